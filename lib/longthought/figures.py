"""Plotly figures from result records: every point with its interval, every figure with its data as a table.

A function here takes records and returns (figure, data); `display.show_figure` publishes both. Colours are those of
Okabe and Ito (2008), which remain apart for colour-blind readers; each series has its own marker as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from longthought.evaluation.scaling import Point
from longthought.statistics import Rate, format_rate

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999", "#8C564B")
MARKERS = ("circle", "square", "diamond", "triangle-up", "x", "cross", "star", "hexagon")


def _style(index: int) -> dict[str, Any]:
    return {"color": COLOURS[index % len(COLOURS)], "symbol": MARKERS[index % len(MARKERS)]}


def bars(rates: Sequence[Rate]) -> dict[str, Any]:
    """Error bars from intervals, in percent."""
    return {
        "type": "data",
        "array": [100 * (r.high - r.value) for r in rates],
        "arrayminus": [100 * (r.value - r.low) for r in rates],
        "thickness": 1.5,
    }


def layout(figure: go.Figure, x: str, y: str, **more: Any) -> go.Figure:
    """`figure` with its axes named and its legend above, as every figure of the book has it."""
    figure.update_layout(
        xaxis_title=x, yaxis_title=y, legend={"orientation": "h", "y": 1.12, "x": 0}, margin={"t": 40, "r": 20}, **more
    )
    return figure


def _rate_row(rate: Rate) -> dict[str, Any]:
    return {
        "k": rate.k,
        "n": rate.n,
        "percent": round(100 * rate.value, 2),
        "low": round(100 * rate.low, 2),
        "high": round(100 * rate.high, 2),
        "seeds": rate.seeds,
    }


def rate_dots(rates: Mapping[str, Rate], y: str = "accuracy, %") -> tuple[go.Figure, pd.DataFrame]:
    """One dot with its 95% interval per named rate; `y` says what they are rates of."""
    names, values = list(rates), list(rates.values())
    figure = go.Figure()
    for i, (name, rate) in enumerate(rates.items()):
        figure.add_scatter(
            x=[name], y=[100 * rate.value], error_y=bars([rate]), mode="markers", name=name,
            marker={"size": 11, **_style(i)}, showlegend=False, hovertext=[str(rate)], hoverinfo="text",
        )  # fmt: skip
    layout(figure, "", y, yaxis_range=[0, 102])
    return figure, pd.DataFrame([{"name": n} | _rate_row(r) for n, r in zip(names, values, strict=True)])


def rate_lines(
    series: Mapping[str, Sequence[tuple[float, Rate]]], x: str, *, log: bool = False, diagonal: bool = False
) -> tuple[go.Figure, pd.DataFrame]:
    """Accuracy with intervals against a number, a line per series; `diagonal` draws y = x (both in percent)."""
    figure = go.Figure()
    rows = []
    if diagonal:
        figure.add_scatter(
            x=[0, 100], y=[0, 100], mode="lines", name="as good as its teacher",
            line={"color": "#999999", "dash": "dot"}, hoverinfo="skip",
        )  # fmt: skip
    for i, (name, points) in enumerate(series.items()):
        ordered = sorted(points, key=lambda point: point[0])
        rates = [r for _, r in ordered]
        figure.add_scatter(
            x=[at for at, _ in ordered], y=[100 * r.value for r in rates], error_y=bars(rates),
            mode="lines+markers", name=name, marker={"size": 9, **_style(i)}, line={"color": _style(i)["color"]},
            hovertext=[str(r) for r in rates], hoverinfo="x+text",
        )  # fmt: skip
        rows += [{"series": name, "x": at} | _rate_row(r) for at, r in ordered]
    layout(figure, x, "accuracy, %", yaxis_range=[0, 102])
    if log:
        figure.update_xaxes(type="log")
    return figure, pd.DataFrame(rows)


def loss_curves(logs: Mapping[str, Mapping[str, Any]]) -> tuple[go.Figure, pd.DataFrame]:
    """Training loss against steps, a line per student."""
    figure = go.Figure()
    rows = []
    for i, (name, log) in enumerate(logs.items()):
        steps, losses = [p["step"] for p in log["loss"]], [p["loss"] for p in log["loss"]]
        figure.add_scatter(x=steps, y=losses, mode="lines", name=name, line={"color": _style(i)["color"]})
        rows += [{"student": name, "step": a, "loss": b} for a, b in zip(steps, losses, strict=True)]
    layout(figure, "optimiser steps", "loss on the completion (log)")
    figure.update_yaxes(type="log")
    return figure, pd.DataFrame(rows)


def _of_problems(point: Point) -> str:
    n = len(point.per_problem)
    return format_rate(point.accuracy * n, n, point.low, point.high)


def point_row(p: Point) -> dict[str, Any]:
    """A point of a curve as data, rates in percent."""
    return {
        "budget": p.budget,
        "mean_tokens": round(p.tokens, 2),
        "percent": round(100 * p.accuracy, 2),
        "low": round(100 * p.low, 2),
        "high": round(100 * p.high, 2),
        "problems": len(p.per_problem),
    }


def budget_curves(curves: Mapping[str, Sequence[Point]]) -> tuple[go.Figure, pd.DataFrame]:
    """Accuracy against mean output tokens per problem (log), with 95% bands, a line per student and way."""
    figure = go.Figure()
    rows = []
    for i, (name, points) in enumerate(curves.items()):
        ordered = sorted(points, key=lambda p: p.tokens)
        figure.add_scatter(
            x=[p.tokens for p in ordered], y=[100 * p.accuracy for p in ordered],
            error_y={
                "type": "data",
                "array": [100 * (p.high - p.accuracy) for p in ordered],
                "arrayminus": [100 * (p.accuracy - p.low) for p in ordered],
                "thickness": 1.2,
            },
            mode="lines+markers" if len(ordered) > 1 else "markers",
            name=name, marker={"size": 8, **_style(i)}, line={"color": _style(i)["color"]},
            hovertext=[f"{p.budget}: {_of_problems(p)} at {p.tokens:.0f} tokens" for p in ordered],
            hoverinfo="text",
        )  # fmt: skip
        rows += [{"student": name} | point_row(p) for p in ordered]
    layout(figure, "mean output tokens per problem (log)", "accuracy, %", yaxis_range=[0, 102])
    figure.update_xaxes(type="log")
    return figure, pd.DataFrame(rows)
