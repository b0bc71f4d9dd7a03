"""The drawing of a search tree: a figure of its shape and values, and its steps to be unfolded and read.

Both take the record that `thoughts.search.tree_record` makes and that a thought keeps in its details. The figure shows
which branches were worth what, which path is told and where it goes wrong on purpose. The view for reading nests HTML
<details> elements, so it unfolds without any script. Steps are written by models: they are escaped here, and the
figure's hover texts once more by `display`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from math import nan
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from IPython.display import display

from longthought.display import UNTYPESET
from longthought.figures import COLOURS, layout
from longthought.statistics import wilson

_KINDS = {
    "the problem": ("#7d8590", "square", 11),
    "no rollout right": (COLOURS[1], "circle-open", 8),
    "up to half right": (COLOURS[4], "diamond", 9),
    "more than half right": (COLOURS[0], "circle", 9),
    "ends right": (COLOURS[2], "star", 13),
    "ends wrong": (COLOURS[1], "x", 9),
}
_HOVER_WIDTH, _HOVER_LINES = 72, 12
_ROW_HEIGHT = 34
_SUMMARY = 100
# A thin rule and a small indent per level, so that a deep tree still fits a narrow screen.
_LEVEL = "margin:0.2rem 0 0 0.2rem;padding:0 0 0 0.6rem;border:0;border-left:1px solid currentColor;border-radius:0"


def kind_of(node: Mapping[str, Any]) -> str:
    """What a node is shown as: the problem, a finished step by its verdict, or a step by the worth of its rollouts."""
    if node["parent"] is None:
        return "the problem"
    if node["end"]:
        return "ends right" if node["end"] == "correct" else "ends wrong"
    if not node["right"]:
        return "no rollout right"
    return "up to half right" if 2 * node["right"] <= node["rollouts"] else "more than half right"


def placed(tree: Mapping[str, Any]) -> dict[int, tuple[float, int]]:
    """Where each node stands, by id: leaves side by side in the order of the tree, parents over their middle; depth.

    Raises ValueError for a record that is no tree whose parents stand before their children.
    """
    children: dict[int, list[int]] = {}
    depth: dict[int, int] = {}
    for node in tree["nodes"]:
        parent = node["parent"]
        if node["id"] in depth or (parent is None) != (not depth) or (parent is not None and parent not in depth):
            raise ValueError(f"node {node['id']} does not hang on an earlier node: the record is no tree")
        depth[node["id"]] = 0 if parent is None else depth[parent] + 1
        children[node["id"]] = []
        if parent is not None:
            children[parent].append(node["id"])
    across: dict[int, float] = {}
    free = 0
    waiting = [(tree["nodes"][0]["id"], False)] if depth else []
    while waiting:
        node, seen = waiting.pop()
        if children[node] and not seen:
            waiting += [(node, True), *((child, False) for child in reversed(children[node]))]
        elif children[node]:
            across[node] = sum(across[child] for child in children[node]) / len(children[node])
        else:
            across[node] = float(free)
            free += 1
    return {node: (across[node], depth[node]) for node in depth}


def tree_figure(tree: Mapping[str, Any]) -> tuple[go.Figure, pd.DataFrame]:
    """The tree from the problem at the top down to its answers, and a table with one row per node.

    The told path is a thick line and each wrong turn on it has a ring. Hovering shows a step's text, its value as
    right of all rollouts, and its visits.
    """
    nodes, at = {node["id"]: node for node in tree["nodes"]}, placed(tree)
    figure = go.Figure()
    edges = [(node["parent"], node["id"]) for node in nodes.values() if node["parent"] is not None]
    told = [(a, b) for a, b in edges if nodes[b]["on_path"]]
    turned = [(a, b) for a, b in edges if nodes[b]["wrong_turn"]]
    for pairs, name, style in (
        (edges, "", {"color": "#7d8590", "width": 1}),
        (told, "told path", {"color": COLOURS[2], "width": 4}),
        (turned, "wrong turn that is told", {"color": COLOURS[1], "width": 3, "dash": "dot"}),
    ):
        if pairs:
            x = [place for a, b in pairs for place in (at[a][0], at[b][0], nan)]
            y = [place for a, b in pairs for place in (at[a][1], at[b][1], nan)]
            figure.add_scatter(x=x, y=y, mode="lines", line=style, name=name, showlegend=bool(name), hoverinfo="skip")
    for kind, (colour, symbol, size) in _KINDS.items():
        own = [node for node in nodes.values() if kind_of(node) == kind]
        if own:
            figure.add_scatter(
                x=[at[node["id"]][0] for node in own],
                y=[at[node["id"]][1] for node in own],
                mode="markers",
                marker={"color": colour, "symbol": symbol, "size": size},
                name=kind,
                hovertext=[_hover(node) for node in own],
                hoverinfo="text",
            )
    deepest = max((depth for _, depth in at.values()), default=0)
    layout(figure, "", "step", height=max(360, 160 + _ROW_HEIGHT * deepest))
    figure.update_xaxes(showticklabels=False, showgrid=False, ticks="")
    figure.update_yaxes(autorange="reversed", tickvals=list(range(deepest + 1)))
    rows = [
        {
            "id": node["id"],
            "parent": "" if node["parent"] is None else node["parent"],
            "step": at[node["id"]][1],
            "right rollouts": value_text(node),
            "visits": node["visits"],
            "drawn": node["draws"],
            "end": node["end"],
            "told": bool(node["on_path"]),
            "wrong turn": bool(node["wrong_turn"]),
            "text (verbatim)": node["text"],
        }
        for node in nodes.values()
    ]
    return figure, pd.DataFrame(rows)


def value_text(node: Mapping[str, Any]) -> str:
    """The value of a node as k/n with its interval, its verdict if it ends, or a dash if it was never valued."""
    if node["end"]:
        return str(node["end"]).replace("_", " ")
    return str(wilson(node["right"], node["rollouts"])) if node["rollouts"] else "–"


def _hover(node: Mapping[str, Any]) -> str:
    # Plotly reads entities and tags in a hover text; `display` makes tags harmless, an ampersand is escaped here.
    text = node["text"].replace("&", "&amp;")
    lines = [
        part[start : start + _HOVER_WIDTH]
        for part in text.split("\n")
        for start in range(0, max(1, len(part)), _HOVER_WIDTH)
    ]
    shown = [*lines[:_HOVER_LINES], "…"] if len(lines) > _HOVER_LINES else lines
    visits = f"{node['visits']} visits" if node["visits"] else ""
    facts = [kind_of(node), *([f"{node['right']}/{node['rollouts']} rollouts"] if node["rollouts"] else []), visits]
    return "<br>".join([*shown, ", ".join(fact for fact in facts if fact)])


def show_tree(tree: Mapping[str, Any], name: str, caption: str) -> None:
    """Publish `tree_html` in a notebook."""
    plain = "\n".join([caption, *(f"{node['id']} <- {node['parent']}: {node['text']}" for node in tree["nodes"])])
    display({"text/html": tree_html(tree, name, caption), "text/plain": plain}, raw=True)


def tree_html(tree: Mapping[str, Any], name: str, caption: str) -> str:
    """The tree as nested <details>, which unfold without a script; the told path and its wrong turns are unfolded.

    Each step stands with its value, and whether it is on the told path or a wrong turn of it. Raises ValueError for a
    name that is none, or a record that is no tree.
    """
    if not re.fullmatch(r"[a-z0-9_]+", name):
        raise ValueError(f"{name!r} is no name for something published: use a-z, 0-9 and _")
    placed(tree)
    nodes = {node["id"]: node for node in tree["nodes"]}
    children: dict[int, list[int]] = {key: [] for key in nodes}
    for node in nodes.values():
        if node["parent"] is not None:
            children[node["parent"]].append(node["id"])
    parts: list[str] = []
    waiting: list[int | str] = list(nodes)[:1]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            parts.append(item)
            continue
        opening, closing = _unfolding(nodes[item], bool(children[item]))
        parts.append(opening)
        waiting += [closing, *reversed(children[item])]
    return (
        f'<div class="lt-samples lt-tree {UNTYPESET}" id="lt-tree-{name}">'
        f'<p class="lt-caption">{escape(caption)}</p>{"".join(parts)}</div>'
    )


def _unfolding(node: Mapping[str, Any], branches: bool) -> tuple[str, str]:
    """What stands before and after the branches of a node."""
    marks = [word for word, holds in (("told", node["on_path"]), ("wrong turn", node["wrong_turn"])) if holds]
    worth = [f"{node['right']}/{node['rollouts']} rollouts right"] if node["rollouts"] and not node["end"] else []
    ends = [kind_of(node)] if node["end"] or node["parent"] is None else []
    facts = f'<span class="lt-label">{escape(", ".join([*marks, *worth, *ends]) or "not valued")}</span>'
    text = node["text"]
    language = ' lang="zh"' if re.search(r"[\u3400-\u9fff]", text) else ""
    short = " ".join(text.split())
    long = len(short) > _SUMMARY or "\n" in text
    head = f"{facts} <span{language}>{escape(short[:_SUMMARY])}{'…' if len(short) > _SUMMARY else ''}</span>"
    if not branches and not long:
        return f'<div class="lt-sample" style="{_LEVEL}">{head}', "</div>"
    # The newline after <pre> is eaten by the HTML parser; without it a text's own first newline would be.
    whole = f'<pre class="lt-text" tabindex="0"{language}>\n{escape(text)}</pre>' if long else ""
    unfolded = " open" if node["on_path"] or node["wrong_turn"] else ""
    return f'<details class="lt-sample" style="{_LEVEL}"{unfolded}><summary>{head}</summary>{whole}', "</details>"
