"""What is published is escaped, complete and the same each time."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from plotly.subplots import make_subplots

from longthought import display as lt
from longthought.statistics import compare, wilson

HOSTILE = '<script>alert(1)</script></div>$x^2$ & "quoted"'


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Every mime bundle that was displayed."""
    bundles: list[dict[str, Any]] = []
    monkeypatch.setattr(lt, "display", lambda bundle, raw: bundles.append(bundle))
    return bundles


def words(svg: str) -> str:
    return " ".join(
        "".join(node.itertext()) for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("text")
    )


def test_a_figure_is_published_with_its_data_and_its_twin(shown: list[dict[str, Any]]) -> None:
    figure = go.Figure(go.Bar(x=["a", HOSTILE], y=[1, 2]))
    lt.show_figure(figure, pd.DataFrame({"x": ["a", HOSTILE], "y": [1, 2]}), "bars", "Two bars")
    bundle = shown[0][lt.FIGURE]
    assert set(bundle) == {"name", "caption", "figure", "svg", "csv"}
    assert shown[0][lt.PLOTLY] == bundle["figure"]
    assert "<script>" not in json.dumps(bundle["figure"])
    assert len(json.dumps(bundle["figure"])) < 2000, "the default template is not carried along"
    assert "<script>alert(1)" in words(bundle["svg"]) and "$x^2$" in words(bundle["svg"])
    assert "<script>" not in bundle["svg"]
    assert figure.layout.template.layout.colorway != lt.COLOURS, "the caller's figure is left as it was"


def test_plotly_keeps_its_own_harmless_tags() -> None:
    assert lt._as_text({"a": ["<b>x</b><br>y<extra></extra>", "<a href='javascript:1'>", 3]}) == {
        "a": ["<b>x</b><br>y<extra></extra>", "&lt;a href='javascript:1'>", 3]
    }


def every_kind() -> go.Figure:
    figure = make_subplots(rows=1, cols=2, subplot_titles=["left", "right"])
    x = [1, 10, 100]
    figure.add_scatter(x=x, y=np.array([0.1, 0.2, 0.3]), line={"width": 0}, showlegend=False, row=1, col=1)
    band = {"fill": "tonexty", "fillcolor": "rgba(47,127,193,0.2)", "name": "band"}
    figure.add_scatter(x=x, y=[0.3, 0.4, 0.5], line={"width": 0}, **band, row=1, col=1)
    errors = {"error_x": {"array": [1, 1, 1]}, "error_y": {"array": [0.1] * 3, "arrayminus": [0.05] * 3}}
    figure.add_scatter(x=x, y=[0.2, 0.3, 0.4], mode="lines+markers+text", text=["p", "q", "求"], name="line", **errors,
                       row=1, col=1)  # fmt: skip
    figure.add_scatter(x=[1, 2, 2, 1], y=[0, 0, 1, 1], fill="toself", name="polygon", row=1, col=1)
    figure.add_bar(x=["a", "b"], y=[1, 2], error_y={"array": [0.1, 0.2]}, marker_color=["red", "#00ff00"], row=1, col=2)
    figure.add_bar(x=["a", "b"], y=[2, 1], name="second", row=1, col=2)
    figure.add_hline(y=0.5, line_dash="dot", annotation_text="chance")
    figure.update_xaxes(type="log", title="tokens", row=1, col=1)
    figure.update_yaxes(tickformat=".0%", range=[0, 1], title="accuracy<br>of it", row=1, col=1)
    return figure


def test_the_twin_draws_every_kind_of_trace() -> None:
    text = words(lt.static_svg(every_kind()))
    for piece in (
        "left",
        "right",
        "tokens",
        "accuracy",
        "line",
        "band",
        "polygon",
        "second",
        "求",
        "chance",
        "100%",
        "a",
    ):
        assert piece in text, piece


def test_the_twin_is_the_same_each_time_and_takes_the_pages_ink() -> None:
    svg = lt.static_svg(every_kind())
    assert svg == lt.static_svg(every_kind())
    assert svg.startswith("<svg") and "currentColor" in svg and lt._INK not in svg
    assert "<style" not in svg and "<metadata" not in svg
    identifiers = set(re.findall(r' id="([^"]+)"', svg))
    assert identifiers == set(re.findall(r'(?:url\(|href=")#([^)"]+)', svg)), "no id that could clash on a page"
    other = lt.static_svg(go.Figure(go.Scatter(x=[1, 2], y=[3, 4])))
    assert not identifiers & set(re.findall(r' id="([^"]+)"', other))


@pytest.mark.parametrize("barmode", ["group", "stack", "overlay"])
@pytest.mark.parametrize("orientation", ["v", "h"])
def test_bars_in_every_arrangement(barmode: str, orientation: str) -> None:
    figure = go.Figure(layout={"barmode": barmode})
    for name in ("one", "two"):
        names, values = ["a", "b"], [1, None]
        figure.add_bar(
            x=values if orientation == "h" else names, y=names if orientation == "h" else values,
            orientation=orientation, name=name,
        )  # fmt: skip
    assert {"a", "b", "one", "two"} <= set(words(lt.static_svg(figure)).split())


def test_a_table_is_escaped_and_offers_its_data(shown: list[dict[str, Any]]) -> None:
    frame = pd.DataFrame({HOSTILE: [HOSTILE, "=SUM(A1)", "-1.5", None], "n": [1, 2.5, np.nan, 1234.5]})
    lt.show_table(frame, "table", HOSTILE)
    html = shown[0]["text/html"]
    assert "<script" not in html and "&lt;script&gt;" in html
    assert 'class="lt-table"' in html and "mathjax_ignore tex2jax_ignore" in html
    csv = unquote(re.search(r'href="data:text/csv;charset=utf-8,([^"]*)"', html)[1])  # type: ignore[index]
    assert "'=SUM(A1)" in csv and "\n-1.5," in csv and "1234.5" in csv
    assert HOSTILE in shown[0]["text/plain"]


def test_a_meaningful_index_is_a_column() -> None:
    frame = pd.DataFrame({"n": [1]}, index=pd.Index(["base"], name="@model"))
    assert lt.csv_text(frame) == "'@model,n\nbase,1\n"


def test_samples_are_verbatim(shown: list[dict[str, Any]]) -> None:
    lt.show_samples([{"problem": HOSTILE, "student": "\nfirst\n  second"}, {"problem": "求"}], "answers", "Answers")
    html = shown[0]["text/html"]
    assert "<script" not in html and html.count("<details") == 2 and html.count(" open>") == 1
    assert ">\n\nfirst\n  second</pre>" in html, "a leading newline of the text survives the HTML parser"
    assert 'lang="zh"' in html


def test_results_carry_their_numbers(shown: list[dict[str, Any]]) -> None:
    lt.publish("accuracy", wilson(3, 4), note="of four")
    lt.publish("gain", compare([True, False], [True, True]))
    lt.publish("steps", np.int64(7))
    results = [bundle[lt.RESULT] for bundle in shown]
    assert results[0]["text"] == str(wilson(3, 4)) and results[0]["data"]["k"] == 3 and results[0]["note"] == "of four"
    assert results[1]["data"]["test"] == "exact McNemar"
    assert results[2] == {"name": "steps", "text": "7", "note": "", "data": 7}
    assert all(set(bundle) == {lt.RESULT} for bundle in shown), "nothing visible"


def test_what_is_not_a_number_is_refused(shown: list[dict[str, Any]]) -> None:
    with pytest.raises(ValueError):
        lt.publish("bad", float("nan"))
    for name in ("Bad name", "", "a-b", "<x>"):
        with pytest.raises(ValueError, match="is no name"):
            lt.publish(name, 1)
    assert shown == []


def test_provenance_is_published(shown: list[dict[str, Any]]) -> None:
    lt.publish_provenance({"data": "sha256:0", "n": np.int64(3)})
    assert shown == [{lt.PROVENANCE: {"data": "sha256:0", "n": 3}}]


def test_log_axes_are_labelled_in_full(shown: list[dict[str, Any]]) -> None:
    figure = go.Figure(go.Scatter(x=[16, 192], y=[1, 2])).update_xaxes(type="log")
    lt.show_figure(figure, pd.DataFrame(), "curve", "A curve")
    assert {"20", "50", "100"} <= set(words(shown[0][lt.FIGURE]["svg"]).split())
    assert "20" in shown[0][lt.FIGURE]["figure"]["layout"]["xaxis"]["ticktext"]
    assert figure.layout.xaxis.tickvals is None
