"""What notebooks publish: figures, tables, samples and numbers, each in a form that the book can show safely.

A notebook says what it found by calling `show_figure`, `show_table`, `show_samples` and `publish`. A figure travels as
plotly JSON with a static drawing and its data as CSV beside it, so a reader without JavaScript sees it too and anyone
can take the numbers away. A number travels with its interval under a name, and prose in the book fetches it by that
name. Whatever a model wrote is data here: it is escaped once, in this module, and never read as markup.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from html import escape
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from IPython.display import display
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator, PercentFormatter

from longthought.lint import check_result, check_table

FIGURE = "application/vnd.longthought.figure+json"
RESULT = "application/vnd.longthought.result+json"
PROVENANCE = "application/vnd.longthought.provenance+json"
PLOTLY = "application/vnd.plotly.v1+json"

# Each colour has a contrast of at least 3:1 with a white and with a near-black page.
COLOURS = ("#2f7fc1", "#d55e00", "#0f9d72", "#a45fc0", "#b07d0b", "#7d8590")
UNTYPESET = "mathjax_ignore tex2jax_ignore"
_INK = "#010203"  # stands for "the colour of the text around the drawing" until the drawing is done
_MARKUP = re.compile(r"<(?!/?(?:b|i|sub|sup|br|extra)\s*/?>)")
_TAG = re.compile(r"</?(?:b|i|sub|sup|extra)\s*/?>")
_CHINESE = re.compile(r"[\u3400-\u9fff]")
_DASHES = {"dash": "--", "dot": ":", "dashdot": "-.", "longdash": (0, (8, 4))}
_MARKERS = {"circle": "o", "square": "s", "diamond": "D", "cross": "P", "x": "X", "triangle-up": "^",
            "star": "*", "hexagon": "h"}  # fmt: skip


def show_figure(figure: go.Figure, data: pd.DataFrame, name: str, caption: str) -> None:
    """Publish a figure under `name` with the data that it shows. Raises ValueError for rates without intervals."""
    _check_name(name)
    check_table(data, f"data of figure {name!r}", caption)
    figure = go.Figure(figure)
    figure.layout.template = go.layout.Template(_template())
    for axis in (*figure.select_xaxes(), *figure.select_yaxes()):
        if axis.type == "log" and axis.tickvals is None:
            # Left alone, plotly writes 20 as a lone 2.
            ticks = [digit * 10.0**power for power in range(-6, 10) for digit in (1, 2, 5)]
            axis.update(tickvals=ticks, ticktext=[f"{tick:.12g}" for tick in ticks])
    drawn = _as_text(json.loads(figure.to_json()))
    bundle = {"name": name, "caption": caption, "figure": drawn, "svg": static_svg(figure), "csv": csv_text(data)}
    display({FIGURE: bundle, PLOTLY: drawn, "text/plain": f"Figure {name}: {caption}"}, raw=True)


def show_table(frame: pd.DataFrame, name: str, caption: str) -> None:
    """Publish a table under `name`; wide ones scroll sideways inside their own box.

    Raises ValueError for a cell with a rate or a comparison that lacks its count or interval, see `longthought.lint`.
    """
    _check_name(name)
    flat = _flat(frame)
    check_table(flat, f"table {name!r}", caption)
    head = "".join(_heading(str(column), flat.dtypes.iloc[at]) for at, column in enumerate(flat.columns))
    rows = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in flat.itertuples(index=False, name=None))
    html = (
        f'<div class="lt-table-box {UNTYPESET}" id="lt-table-{name}">'
        f'<div class="lt-scroll" role="region" tabindex="0" aria-label="{escape(caption)}">'
        f'<table class="lt-table"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>{csv_link(csv_text(frame), name)}</div>"
    )
    display({"text/html": html, "text/plain": f"{caption}\n{flat.to_string(index=False)}"}, raw=True)


def show_samples(samples: Sequence[Mapping[str, str]], name: str, caption: str) -> None:
    """Publish what models wrote, verbatim; the first entry of each sample is its heading and the rest its texts."""
    _check_name(name)
    blocks, plain = [], [caption]
    for number, sample in enumerate(samples):
        (label, heading), *texts = sample.items()
        body = "".join(f'<p class="lt-label">{escape(key)}</p>{_verbatim(text)}' for key, text in texts)
        blocks.append(
            f'<details class="lt-sample"{"" if number else " open"}><summary><span class="lt-label">{escape(label)}'
            f"</span> <span{_language(heading)}>{escape(heading)}</span></summary>{body}</details>"
        )
        plain += [f"{key}: {text}" for key, text in sample.items()]
    html = (
        f'<div class="lt-samples {UNTYPESET}" id="lt-samples-{name}">'
        f'<p class="lt-caption">{escape(caption)}</p>{"".join(blocks)}</div>'
    )
    display({"text/html": html, "text/plain": "\n".join(plain)}, raw=True)


def publish(name: str, value: object, note: str = "") -> None:
    """Publish one result, invisibly, for prose that names it.

    Raises ValueError for a number that is not finite, and for a rate or a comparison without its count or interval.
    """
    _check_name(name)
    check_result(name, value)
    data: object = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
    result = {"name": name, "text": str(value), "note": note, "data": _json_safe(data)}
    display({RESULT: result}, raw=True)


def publish_provenance(record: Mapping[str, object]) -> None:
    """Publish where results came from (data hashes, model revisions, ...), invisibly, for the record of the run."""
    display({PROVENANCE: _json_safe(dict(record))}, raw=True)


def csv_text(frame: pd.DataFrame) -> str:
    """The frame as CSV; text that a spreadsheet would run as a formula is made plain with a leading apostrophe."""
    safe = _flat(frame).map(_no_formula)
    safe.columns = [_no_formula(str(column)) for column in safe.columns]
    return safe.to_csv(index=False, lineterminator="\n")


def csv_link(csv: str, name: str) -> str:
    """A link that saves `csv` as name.csv; the data is inside the link, so it needs no server."""
    return (
        f'<a class="lt-csv" download="{escape(name)}.csv" href="data:text/csv;charset=utf-8,{quote(csv)}" '
        f'aria-label="Data of {escape(name)} as CSV">Data (CSV)</a>'
    )


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[a-z0-9_]+", name):
        raise ValueError(f"{name!r} is no name for something published: use a-z, 0-9 and _")


def _json_safe(value: object) -> Any:
    def plain(other: Any) -> Any:
        return other.tolist() if hasattr(other, "tolist") else str(other)

    return json.loads(json.dumps(value, default=plain, allow_nan=False))


def _flat(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with a meaningful index turned into columns."""
    return frame if isinstance(frame.index, pd.RangeIndex) else frame.reset_index()


def _no_formula(value: object) -> object:
    if not isinstance(value, str) or value[:1] not in {"=", "+", "-", "@", "\t", "\r"}:
        return value
    try:
        float(value)
    except ValueError:
        return "'" + value
    return value


def _heading(text: str, kind: Any) -> str:
    number = pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind)
    marked = ' class="lt-number"' if number else ""
    return f'<th scope="col"{marked}>{escape(text)}</th>'


def _cell(value: object) -> str:
    if isinstance(value, bool | np.bool_):
        return f"<td>{'yes' if value else 'no'}</td>"
    if isinstance(value, int | np.integer):
        return f'<td class="lt-number">{value}</td>'
    if isinstance(value, float | np.floating):
        number = float(value)
        text = "–" if np.isnan(number) else f"{number:.0f}" if abs(number) >= 1000 else f"{number:.4g}"
        return f'<td class="lt-number">{text}</td>'
    text = "–" if value is None or value is pd.NA else str(value)
    # A rate with its interval stays on one line; only prose wraps.
    width = "lt-short" if len(text) <= 32 and "\n" not in text else "lt-long"
    return f'<td class="{width}"{_language(text)}>{escape(text)}</td>'


def _language(text: str) -> str:
    return ' lang="zh"' if _CHINESE.search(text) else ""


def _verbatim(text: str) -> str:
    # The newline after <pre> is eaten by the HTML parser; without it a text's own first newline would be.
    return f'<pre class="lt-text" tabindex="0"{_language(text)}>\n{escape(text)}</pre>'


def _as_text(value: Any) -> Any:
    """Plotly reads some tags in any text; only harmless ones stay tags, every other `<` is shown as it is."""
    if isinstance(value, str):
        return _MARKUP.sub("&lt;", value)
    if isinstance(value, list):
        return [_as_text(item) for item in value]
    return {key: _as_text(item) for key, item in value.items()} if isinstance(value, dict) else value


def _template() -> dict[str, Any]:
    """Small and neutral; colours of text and grid are the page's business, which has a light and a dark side."""
    axis: dict[str, Any] = {"automargin": True, "showline": True, "ticks": "outside", "ticklen": 4, "zeroline": False}
    axis["title"] = {"standoff": 14}
    return {
        "layout": {
            "colorway": list(COLOURS),
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"family": "system-ui, sans-serif", "size": 13},
            "margin": {"l": 64, "r": 16, "t": 48, "b": 56},
            "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0},
            "dragmode": False,
            "xaxis": axis,
            "yaxis": axis,
        }
    }


# --- the static twin: the traces that the book uses, drawn again with matplotlib ---


def static_svg(figure: go.Figure) -> str:
    """The figure as SVG text: same input, same bytes; text in it is text, and its ink is that of the page around it."""
    salt = hashlib.sha256(figure.to_json().encode()).hexdigest()
    style: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": salt,
        "text.parse_math": False,
        "font.size": 9,
        "legend.frameon": False,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.alpha": 0.15,
    } | {f"{what}.color": _INK for what in ("text", "xtick", "ytick", "grid")}
    style |= {"axes.edgecolor": _INK, "axes.labelcolor": _INK}
    # The fonts of this machine do not matter, since the text is set by the reader's browser.
    with rc_context(style), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        page = Figure(figsize=(7.2, (figure.layout.height or 420) / 100))
        _draw(page, figure)
        buffer = io.StringIO()
        page.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _tidy(buffer.getvalue())


def _tidy(svg: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    # matplotlib's style element would reach every line on the page, and its ids would clash between figures.
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.S)
    used = set(re.findall(r'(?:url\(|href=")#([^)"]+)', svg))
    svg = re.sub(r' id="([^"]*)"', lambda match: match[0] if match[1] in used else "", svg)
    svg = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', _open_svg, svg, count=1)
    return svg.replace(_INK, "currentColor").strip()


def _open_svg(match: re.Match[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{match[1]}" '
        'width="100%" stroke-linejoin="round" stroke-linecap="butt" aria-hidden="true">'
    )


def _draw(page: Figure, figure: go.Figure) -> None:
    axes: dict[tuple[str, str], Axes] = {}
    for trace in figure.data:
        pair = (trace.xaxis or "x", trace.yaxis or "y")
        if pair not in axes:
            axes[pair] = _add_axes(page, figure, *pair)
    for pair, ax in axes.items():
        traces = [
            (trace, COLOURS[index % len(COLOURS)])
            for index, trace in enumerate(figure.data)
            if ((trace.xaxis or "x"), (trace.yaxis or "y")) == pair and trace.visible not in (False, "legendonly")
        ]
        _draw_bars(ax, [one for one in traces if one[0].type == "bar"], figure.layout.barmode or "group")
        previous = None
        for trace, colour in traces:
            if trace.type == "scatter":
                _draw_scatter(ax, trace, colour, previous)
                previous = trace
        _finish_axes(ax, figure.layout[_key(pair[0])], figure.layout[_key(pair[1])])
    _draw_marks(page, figure, axes)
    _draw_legend(page, axes.values())


def _key(axis: str) -> str:
    """The layout's name of an axis: x2 -> xaxis2."""
    return f"{axis[0]}axis{axis[1:]}"


def _add_axes(page: Figure, figure: go.Figure, x: str, y: str) -> Axes:
    left, bottom, width, height = _box()
    x_from, x_to = figure.layout[_key(x)].domain or (0, 1)
    y_from, y_to = figure.layout[_key(y)].domain or (0, 1)
    return page.add_axes(
        (left + width * x_from, bottom + height * y_from, width * (x_to - x_from), height * (y_to - y_from))
    )


def _box() -> tuple[float, float, float, float]:
    return 0.1, 0.13, 0.88, 0.71


def _draw_scatter(ax: Axes, trace: Any, fallback: str, previous: Any) -> None:
    x, y = _values(trace.x), _values(trace.y)
    if trace.x is None:
        x = list(range(len(y)))
    mode = trace.mode or ("lines" if len(y) > 20 else "lines+markers")
    label = _label(trace)
    if trace.fill in ("toself", "tonext"):
        ax.fill(x, y, color=_colour(trace.fillcolor, fallback), alpha=_alpha(trace.fillcolor), linewidth=0, label=label)
        label = None
    elif trace.fill in ("tonexty", "tozeroy"):
        base = _values(previous.y) if trace.fill == "tonexty" and previous is not None else 0
        ax.fill_between(
            x, base, y, color=_colour(trace.fillcolor, fallback), alpha=_alpha(trace.fillcolor), linewidth=0
        )
    line = _colour(trace.line.color or trace.marker.color, fallback)
    visible = _alpha(trace.line.color, 1.0) if "lines" in mode else 0
    shown = "lines" in mode and visible > 0 and trace.line.width != 0
    marked = "markers" in mode
    if shown or marked or _errors(trace.error_x, x) is not None or _errors(trace.error_y, y) is not None:
        symbol = trace.marker.symbol if isinstance(trace.marker.symbol, str) else "circle"
        ax.errorbar(
            x,
            y,
            xerr=_errors(trace.error_x, x),
            yerr=_errors(trace.error_y, y),
            color=line,
            linestyle=_DASHES.get(trace.line.dash, "-") if shown else "none",
            linewidth=0.75 * (trace.line.width or 2),
            drawstyle="steps-post" if trace.line.shape == "hv" else "default",
            marker=_MARKERS.get(symbol.removesuffix("-open"), "o") if marked else "none",
            markersize=0.75 * (trace.marker.size if isinstance(trace.marker.size, int | float) else 6),
            markerfacecolor="none" if symbol.endswith("-open") else _colour(trace.marker.color, line),
            elinewidth=1,
            capsize=2,
            label=label,
        )
    if "text" in mode:
        words = [trace.text] * len(x) if isinstance(trace.text, str) else _values(trace.text)
        above = "bottom" not in (trace.textposition or "top")
        for across, up, text in zip(x, y, words, strict=False):
            ax.annotate(
                _plain(str(text)),
                (across, up),
                xytext=(0, 6 if above else -6),
                textcoords="offset points",
                ha="center",
                va="bottom" if above else "top",
                fontsize=8,
            )


def _draw_bars(ax: Axes, bars: list[tuple[Any, str]], barmode: str) -> None:
    if not bars:
        return
    flat = bars[0][0].orientation == "h"
    names = [_values(trace.y if flat else trace.x) for trace, _ in bars]
    named = any(isinstance(name, str) for row in names for name in row)
    places = {name: index for index, name in enumerate(dict.fromkeys(name for row in names for name in row))}
    grouped = barmode == "group"
    width = 0.8 / len(bars) if grouped else 0.8
    if not named and len(places) > 1:
        width *= float(min(np.diff(sorted(places))))
    base: dict[Any, float] = {}
    for number, ((trace, fallback), row) in enumerate(zip(bars, names, strict=True)):
        lengths = [float(length or 0) for length in _values(trace.x if flat else trace.y)]
        shift = width * (number - (len(bars) - 1) / 2) if grouped else 0
        at = [(places[name] if named else name) + shift for name in row]
        starts = [base.get(name, 0.0) if barmode in ("stack", "relative") else 0.0 for name in row]
        base.update({name: start + length for name, start, length in zip(row, starts, lengths, strict=True)})
        errors = _errors(trace.error_x if flat else trace.error_y, lengths)
        draw, side = (ax.barh, "xerr") if flat else (ax.bar, "yerr")
        draw(
            at,
            lengths,
            width,
            starts,
            color=_colours(trace.marker.color, fallback),
            label=_label(trace),
            ecolor=_INK,
            capsize=2,
            **({} if errors is None else {side: errors}),
        )
    if named:
        setter = ax.set_yticks if flat else ax.set_xticks
        setter(list(places.values()), [_plain(str(name)) for name in places])


def _finish_axes(ax: Axes, x: Any, y: Any) -> None:
    for one, layout, label in ((ax.xaxis, x, ax.set_xlabel), (ax.yaxis, y, ax.set_ylabel)):
        label(_plain(layout.title.text or ""))
        if layout.type == "log":
            (ax.set_xscale if one is ax.xaxis else ax.set_yscale)("log")
            one.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            one.set_minor_formatter(NullFormatter())
        if layout.range is not None:
            low, high = (10**end if layout.type == "log" else end for end in layout.range)
            (ax.set_xlim if one is ax.xaxis else ax.set_ylim)(low, high)
        elif layout.autorange == "reversed":
            one.set_inverted(True)
        if layout.tickvals is not None:
            texts = layout.ticktext if layout.ticktext is not None else layout.tickvals
            low, high = sorted(one.get_view_interval())
            pairs = zip(_values(layout.tickvals), map(str, _values(texts)), strict=True)
            inside = {at: _plain(text) for at, text in pairs if low <= at <= high}
            one.set_ticks(list(inside), list(inside.values()))
            one.set_minor_locator(NullLocator())
        elif layout.tickformat and layout.tickformat.endswith("%"):
            one.set_major_formatter(PercentFormatter(1.0, decimals=0))
        if layout.showticklabels is False:
            one.set_ticklabels([])


def _draw_marks(page: Figure, figure: go.Figure, axes: dict[tuple[str, str], Axes]) -> None:
    left, bottom, width, height = _box()
    if figure.layout.title.text:
        page.text(0.01, 0.985, _plain(figure.layout.title.text), ha="left", va="top", fontsize=11)

    def where(xref: str, yref: str, x: Any, y: Any) -> tuple[Any, Any, Any]:
        """The axes, transform and point that plotly's references mean; None for the page."""
        if xref == "paper" and yref == "paper":
            return page, page.transFigure, (left + width * x, bottom + height * y)
        names = xref.split()[0], yref.split()[0]
        pairs = [pair for pair in axes if names[0] in ("paper", pair[0]) and names[1] in ("paper", pair[1])]
        ax = axes[pairs[0]]
        whole_x, whole_y = xref == "paper" or "domain" in xref, yref == "paper" or "domain" in yref
        transform = {
            (False, False): ax.transData,
            (True, False): ax.get_yaxis_transform(),
            (False, True): ax.get_xaxis_transform(),
            (True, True): ax.transAxes,
        }[whole_x, whole_y]
        return ax, transform, (x, y)

    for shape in figure.layout.shapes:
        if shape.type == "line":
            xref, yref = shape.xref or "x", shape.yref or "y"
            ax, transform, start = where(xref, yref, shape.x0, shape.y0)
            _, _, end = where(xref, yref, shape.x1, shape.y1)
            if isinstance(ax, Axes):
                dash: Any = _DASHES.get(shape.line.dash, "-")
                colour = _colour(shape.line.color, _INK)
                points = [[one, two] for one, two in zip(start, end, strict=True)]
                ax.plot(*points, transform=transform, color=colour, linestyle=dash, linewidth=1)
    for note in figure.layout.annotations:
        target, transform, point = where(note.xref or "x", note.yref or "y", note.x, note.y)
        target.text(
            *point,
            _plain(note.text or ""),
            transform=transform,
            ha=note.xanchor if note.xanchor in ("left", "right") else "center",
            va={"top": "top", "middle": "center"}.get(note.yanchor, "bottom"),
        )


def _draw_legend(page: Figure, axes: Any) -> None:
    entries: dict[str, Any] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if len(entries) > 1:
        page.legend(
            list(entries.values()),
            list(entries),
            loc="upper left",
            bbox_to_anchor=(0.08, 0.96),
            ncols=min(3, len(entries)),
        )


def _label(trace: Any) -> str | None:
    return _plain(trace.name) if trace.name and trace.showlegend is not False else None


def _plain(text: str) -> str:
    """Plotly's text as plain text."""
    return _TAG.sub("", re.sub(r"<br\s*/?>", "\n", text))


def _values(column: Any) -> list[Any]:
    return [] if column is None else np.asarray(column).tolist()


def _errors(error: Any, along: Sequence[Any]) -> Any:
    if error.array is None or error.visible is False:
        return None
    up = np.asarray(error.array, dtype=float)
    down = up if error.arrayminus is None else np.asarray(error.arrayminus, dtype=float)
    return np.abs(np.nan_to_num(np.vstack([down, up])))[:, : len(along)]


def _colour(value: Any, fallback: str) -> str:
    """A plotly colour as a hex or named colour, without its opacity."""
    if not isinstance(value, str):
        return fallback
    parts = re.fullmatch(r"rgba?\(([^)]*)\)", value)
    if not parts:
        return value
    return "#" + "".join(f"{round(float(number)):02x}" for number in parts[1].split(",")[:3])


def _colours(value: Any, fallback: str) -> Any:
    return [_colour(one, fallback) for one in value] if isinstance(value, list | tuple) else _colour(value, fallback)


def _alpha(value: Any, otherwise: float = 0.25) -> float:
    parts = re.fullmatch(r"rgba\(([^)]*)\)", value) if isinstance(value, str) else None
    return float(parts[1].split(",")[3]) if parts else otherwise
