"""What is published is escaped, complete and the same each time."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from plotly.subplots import make_subplots

from longthought import display as lt
from longthought.evaluation.scaling import Point
from longthought.lint import typed_in, typed_results
from longthought.statistics import Expected, compare, compare_counts, wilson
from longthought.tables import comparison_table, expected_rate, points_table, reported_table1

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


# --- no rate without its count and interval ---

ROOT = Path(__file__).parent.parent
GAIN = compare([True, False, False], [True, True, False])


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ({"student": ["a"], "score": ["61.0%"]}, "table 't', column 'score', row 1: '61.0%' has no count and interval"),
        ({"score": ["122/200 = 61.0%"]}, "no count and interval"),
        ({"score": ["61.0% [54.1, 67.5]"]}, "no count and interval"),
        ({"score": ["122/200 = 61.0% [54.1, 67.5] and 12%"]}, "no count and interval"),
        ({"score": ["sixty or 61 percent"]}, "no count and interval"),
        ({"accuracy": ["122/200"]}, "no count and interval"),
        ({"accuracy": ["0.61"]}, "no count and interval"),
        ({"accuracy": [0.61]}, "no count and interval"),
        ({"percent": [61], "low": [54.1]}, "no count and interval"),
        ({"finding": ["accuracy of 0.61 at best"]}, "no count and interval"),
        ({"finding": ["it gains +3.3 points"]}, "no count and interval"),
        ({"difference, points": ["+3.3"], "p": ["0.5"]}, "no interval and p"),
        ({"difference, points": ["+3.3 [-20.5, +26.6]"]}, "no interval and p"),
        ({"difference": [0.03]}, "no interval and p"),
        ({"accuracy (reported)": ["85.5%"]}, "no count and interval"),
    ],
)
def test_a_bare_rate_is_not_published(shown: list[dict[str, Any]], frame: dict[str, list[Any]], reason: str) -> None:
    with pytest.raises(ValueError) as error:
        lt.show_table(pd.DataFrame(frame), "t", "A table")
    assert reason in str(error.value) and "\n" not in str(error.value)
    assert shown == []


def test_a_caption_and_the_data_of_a_figure_are_read_too(shown: list[dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match="table 't': its caption holds 61%"):
        lt.show_table(pd.DataFrame({"n": [1]}), "t", "It reaches 61%.")
    figure = go.Figure(go.Bar(x=["a"], y=[61]))
    with pytest.raises(ValueError, match=r"data of figure 'f', column 'percent', row 1: '61\.0' has no count"):
        lt.show_figure(figure, pd.DataFrame({"percent": [61.0]}), "f", "One bar")
    assert shown == []
    row = {"percent": [61.0], "low": [54.1], "high": [67.5], "n": [200]}
    lt.show_figure(figure, pd.DataFrame(row), "f", "One bar with its 95% interval")


@pytest.mark.parametrize("value", ["61%", "a gain of 2.5 percentage points", 0.61, "34/200 = 17.0%"])
def test_a_bare_result_is_not_published(shown: list[dict[str, Any]], value: object) -> None:
    with pytest.raises(ValueError, match=r"result 'accuracy' holds .* without count and interval"):
        lt.publish("accuracy", value)
    assert shown == []


def test_what_statistics_prints_is_published(shown: list[dict[str, Any]]) -> None:
    complete = [wilson(122, 200), Expected(121.6, 200, 0.577, 0.637), GAIN, compare_counts(12, 30, 13, 30)]
    for value in complete:
        lt.publish("accuracy", value)
        lt.show_table(pd.DataFrame({"finding": [f"from {value} to {value}, see there"]}), "t", "Intervals are 95%.")
    lt.show_table(pd.DataFrame({"accuracy": [str(wilson(0, 9)), "none"], "n": [9, 0]}), "t", "A table")
    lt.show_table(comparison_table({"a": GAIN}), "t", "A table")
    lt.show_table(reported_table1(), "t", "As reported")
    lt.show_table(
        pd.DataFrame(
            {"student": ["100% reflective"], "problem": ["What is 20% of 5?"], "share (parameter)": ["5%"]}
            | {"claim (verbatim)": ["up by 9%"], "truncated": ["0/600"]}
        ),
        "t",
        "Not results",
    )


def test_an_expectation_is_not_rounded_to_a_count() -> None:
    values = np.array([0.25, 1.0, 0.5])
    point = Point("a", "maj@4", 10.0, float(values.mean()), 0.1, 0.9, values)
    assert str(expected_rate(point)) == "1.8/3 = 58.3% [10.0, 90.0]"
    counted = Point("a", "one answer", 10.0, 2 / 3, 0.1, 0.9, np.array([1.0, 1.0, 0.0]))
    assert str(expected_rate(counted)).startswith("2/3 = 66.7%")
    assert points_table([point, counted])["accuracy"].tolist() == [str(expected_rate(p)) for p in (point, counted)]


# --- no result typed by hand ---


def sources() -> list[Path]:
    return [*(ROOT / "book").glob("*.md"), *(ROOT / "notebooks").glob("*.ipynb"), ROOT / "README.md"]


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.name)
def test_the_book_types_no_result(path: Path) -> None:
    assert typed_results(path) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Distilled reaches 61.0% of them.", "'61.0%'"),
        ("It gains 12 percentage points", "'12 percentage points'"),
        ("It gains +3.3 points.", "'+3.3 points'"),
        ("It solves 13/30 of AIME.", "'13/30'"),
        ("In code `61%`, or $61\\%$", "'61%'"),
        ("Beside a role, {run}`a.b`, 61%", "'61%'"),
        (":::{note}\nIt is 61%.\n:::", "'61%'"),
        ("```{run-card} a\n```\n\n61%\n\n```console\n```", "'61%'"),
        ("Bare {run}`a.b|value` here.\n\n{run}`a.b`", "{run}`a.b|value` stands without its interval"),
    ],
)
def test_a_typed_result_is_found(text: str, words: str) -> None:
    found = [message for _, message in typed_in(text)]
    assert found and found[0].startswith(words) and "\n" not in found[0]


@pytest.mark.parametrize(
    "text",
    [
        "{reported}`85.5%` and {run}`a.b`, or {run}`a.b|value`",
        "All intervals are 95%\n  intervals, tests at the 5% level with 80% power.",
        "In 2024/11, see https://example.org/1%20x or [this](a%20b.md)",
        "A share of $1/12$ or `1/12`\n\n```console\n$ echo 61%\n```",
        "```{figure} a.png\n:width: 80%\n```",
    ],
)
def test_what_is_no_result_may_be_typed(text: str) -> None:
    assert list(typed_in(text)) == []


def test_a_notebook_is_read_cell_by_cell(tmp_path: Path) -> None:
    plain = {"output_type": "stream", "name": "stdout", "text": ["It reached 61%\n"]}
    progress = {"output_type": "stream", "name": "stderr", "text": ["61%|###\n"]}
    table = {"output_type": "display_data", "data": {"text/html": '<div class="lt-table-box">', "text/plain": "61%"}}
    cells = [
        {"cell_type": "markdown", "source": ["Fine.\n", "\n", "About 61% of them."]},
        {"cell_type": "code", "source": "print(61)", "outputs": [progress, table, plain]},
    ]
    path = tmp_path / "n.ipynb"
    path.write_text(json.dumps({"cells": cells}))
    typed, printed = typed_results(path)
    assert typed.startswith("cell 0, line 3: '61%' is typed by hand: name the result with {run}")
    assert printed.startswith("cell 1: '61%' is printed without count and interval")


def test_a_typed_result_stops_the_build(tmp_path: Path) -> None:
    from types import SimpleNamespace

    bookext = pytest.importorskip("longthought.bookext")
    (tmp_path / "index.md").write_text("# A book\n\nIt is 61% right.\n")
    env = SimpleNamespace(found_docs={"index"}, doc2path=lambda name: str(tmp_path / f"{name}.md"))
    with pytest.raises(bookext.TypedResult, match=r"^index.md, line 3: '61%' is typed by hand"):
        bookext.refuse_typed_results(SimpleNamespace(srcdir=tmp_path), env, [])
