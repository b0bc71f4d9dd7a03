/* Draws every figure of the page from the JSON beside it, in the colours of the page, and again when they change. */
(function () {
  "use strict";

  var config = { displayModeBar: false, responsive: true, typesetMath: false, scrollZoom: false };

  function layoutOf(figure, box) {
    var style = getComputedStyle(box);
    var ink = style.color;
    var grid = style.getPropertyValue("--lt-grid").trim();
    var layout = figure.layout || {};
    var template = layout.template || {};
    var base = template.layout || {};
    base.font = Object.assign({}, base.font, { color: ink });
    ["xaxis", "yaxis"].forEach(function (axis) {
      base[axis] = Object.assign({}, base[axis], { gridcolor: grid, linecolor: ink, tickcolor: ink, zerolinecolor: grid });
    });
    base.hoverlabel = { bgcolor: style.getPropertyValue("--lt-paper").trim(), font: { color: ink } };
    base.shapedefaults = { line: { color: ink } };
    template.layout = base;
    // Bars are the one kind whose error bars do not take the colour of the trace.
    template.data = { bar: [{ error_x: { color: ink }, error_y: { color: ink } }] };
    layout.template = template;
    layout.autosize = true;
    delete layout.width;
    return layout;
  }

  function draw(box) {
    var source = box.querySelector("script[type='application/json']").textContent;
    var live = box.querySelector(".lt-live");
    var figure = JSON.parse(source);
    var first = !live;
    if (first) {
      live = document.createElement("div");
      live.className = "lt-live";
      live.style.height = ((figure.layout && figure.layout.height) || 420) + "px";
      if (figure.layout && figure.layout.xaxis2 && figure.layout.xaxis2.domain) {
        live.classList.add("lt-wide");
      }
      box.classList.add("lt-drawn");
      box.appendChild(live);
    }
    var drawn = window.Plotly[first ? "newPlot" : "react"](live, figure.data, layoutOf(figure, box), config);
    return drawn.catch(function () {
      box.classList.remove("lt-drawn");
      live.remove();
    });
  }

  function drawAll() {
    if (window.Plotly) {
      document.querySelectorAll(".lt-plot").forEach(draw);
    }
  }

  function start() {
    drawAll();
    new MutationObserver(drawAll).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  }

  if (document.readyState === "loading") {
    document.addEventListener("DOMContentLoaded", start);
  } else {
    start();
  }
})();
