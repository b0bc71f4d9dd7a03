"""The drawing of a search tree: every node once and in its place, every text only text."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longthought import display as lt
from longthought import trees

HOSTILE = '</pre></details><script>alert(1)</script><img src=x onerror=alert(1)> $x^2$ & &lt; "q" <b>bold</b>'
VOID = {"br", "img", "input", "hr"}


def node(id: int, parent: int | None, text: str = "a step", **more: Any) -> dict[str, Any]:
    return {
        "id": id, "parent": parent, "text": text, "right": 0, "rollouts": 4, "visits": 1, "draws": 1, "end": "",
        "on_path": False, "wrong_turn": False,
    } | more  # fmt: skip


TREE = {
    "selector": "best-first",
    "nodes": [
        node(0, None, "find x", on_path=True, rollouts=0),
        node(1, 0, "first", right=3, on_path=True),
        node(2, 0, HOSTILE, wrong_turn=True),
        node(3, 1, "x" * 200 + "\nsecond line", right=2),
        node(4, 1, "so 4", end="correct", right=1, rollouts=1, on_path=True),
        node(5, 1, "so 5", end="wrong", rollouts=1),
    ],
}


class Reader(HTMLParser):
    """Checks that tags are balanced and keeps the texts and tags that a browser would see."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert not reader.open
    return reader


@st.composite
def records(draw: st.DrawFn) -> dict[str, Any]:
    """Any tree, with any texts, in an order in which parents come first."""
    count = draw(st.integers(1, 25))
    nodes = [node(0, None, draw(st.text(max_size=40)))]
    for at in range(1, count):
        rollouts = draw(st.integers(0, 6))
        nodes.append(
            node(
                at,
                draw(st.integers(0, at - 1)),
                draw(st.text(max_size=150)),
                rollouts=rollouts,
                right=draw(st.integers(0, rollouts)),
                on_path=draw(st.booleans()),
                wrong_turn=draw(st.booleans()),
            )
        )
    return {"selector": "mcts", "nodes": nodes}


@given(records())
@settings(max_examples=60, deadline=None)
def test_any_tree_becomes_balanced_html_with_only_its_own_tags_and_all_of_its_text(tree: dict[str, Any]) -> None:
    reader = read(trees.tree_html(tree, "any", "A tree"))
    assert {tag for tag, _ in reader.tags} <= {"div", "p", "details", "summary", "span", "pre"}
    assert not any(name.startswith("on") for _, attrs in reader.tags for name in attrs)
    shown = " ".join("".join(reader.text).split())
    for one in tree["nodes"]:
        short = " ".join(one["text"].split())
        assert short[:100].strip() in shown


@given(records())
@settings(max_examples=60, deadline=None)
def test_no_two_nodes_share_a_place_and_children_lie_below_their_parents(tree: dict[str, Any]) -> None:
    at = trees.placed(tree)
    assert len(set(at.values())) == len(at) == len(tree["nodes"])
    for one in tree["nodes"]:
        if one["parent"] is not None:
            assert at[one["id"]][1] == at[one["parent"]][1] + 1
    # No two edges cross: at every depth, children stand in the order of their parents.
    for depth in range(1, max(d for _, d in at.values()) + 1):
        row = sorted((one for one in tree["nodes"] if at[one["id"]][1] == depth), key=lambda n: at[n["id"]][0])
        above = [at[one["parent"]][0] for one in row]
        assert above == sorted(above)


def test_a_hostile_step_is_text_in_the_view_in_the_figure_and_in_its_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = read(trees.tree_html(TREE, "hostile", HOSTILE))
    assert {tag for tag, _ in reader.tags} <= {"div", "p", "details", "summary", "span", "pre"}
    assert "".join(reader.text).count("<script>alert(1)</script>") == 2
    bundles: list[dict[str, Any]] = []
    monkeypatch.setattr(lt, "display", lambda bundle, raw: bundles.append(bundle))
    figure, data = trees.tree_figure(TREE)
    lt.show_figure(figure, data, "tree", "A tree")
    bundle = bundles[0][lt.FIGURE]
    hovers = [text for trace in bundle["figure"]["data"] for text in trace.get("hovertext", [])]
    assert not any("<script" in text or "<img" in text for text in hovers)
    ElementTree.fromstring(bundle["svg"])
    assert HOSTILE.replace('"', '""') in bundle["csv"]


def test_the_view_unfolds_the_told_path_and_folds_the_rest() -> None:
    reader = read(trees.tree_html(TREE, "folds", "A tree"))
    details = [attrs for tag, attrs in reader.tags if tag == "details"]
    # The problem and the first step are open; the long step beside the path is not, and short leaves have no fold.
    assert ["open" in attrs for attrs in details] == [True, True, False]
    text = " ".join("".join(reader.text).split())
    assert "told, 3/4 rollouts right first" in text and "told, ends right so 4" in text
    assert "wrong turn, 0/4 rollouts right" in text and "ends wrong so 5" in text


def test_the_figure_draws_every_node_once_and_the_path_as_a_line() -> None:
    figure, data = trees.tree_figure(TREE)
    marks = [trace for trace in figure.data if trace.mode == "markers"]
    assert {trace.name: len(trace.x) for trace in marks} == {
        "the problem": 1, "no rollout right": 1, "up to half right": 1, "more than half right": 1, "ends right": 1,
        "ends wrong": 1,
    }  # fmt: skip
    path = next(trace for trace in figure.data if trace.name == "told path")
    at = trees.placed(TREE)
    assert (path.x[0], path.y[0], path.x[1], path.y[1]) == (*at[0], *at[1])
    assert len(path.x) == 3 * 2
    assert list(data["id"]) == [0, 1, 2, 3, 4, 5]
    assert data.loc[1, "right rollouts"].startswith("3/4")
    assert {"told path", "wrong turn that is told"} <= set(trees_words(figure))


def trees_words(figure: Any) -> list[str]:
    """The texts of the static twin."""
    svg = ElementTree.fromstring(lt.static_svg(lt.go.Figure(figure)))
    return ["".join(part.itertext()) for part in svg.iter() if part.tag.endswith("text")]


@pytest.mark.parametrize(
    "nodes", [[node(1, 0)], [node(0, None), node(1, 2)], [node(0, None), node(0, 0)], [node(0, None), node(1, None)]]
)
def test_what_is_no_tree_is_refused(nodes: list[dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match="no tree"):
        trees.tree_html({"selector": "mcts", "nodes": nodes}, "bad", "")


def test_a_very_deep_tree_is_drawn() -> None:
    chain = [node(0, None), *(node(at, at - 1) for at in range(1, 2500))]
    reader = read(trees.tree_html({"selector": "mcts", "nodes": chain}, "deep", ""))
    assert sum(attrs.get("class") == "lt-sample" for _, attrs in reader.tags) == 2500


def test_a_name_that_is_no_name_is_refused() -> None:
    with pytest.raises(ValueError, match="no name"):
        trees.tree_html(TREE, 'x" onclick="', "")
