"""What k of n says and what it does not: the exact sums and small simulations behind the page on reading numbers.

Every function here takes plain counts and chances, uses the intervals and tests of `statistics` as the other chapters
do, and returns either (figure, data) for `display.show_figure` or results by name for `display.publish`. Simulations
are seeded; what they count is published as a rate with an interval of its own. Nothing here knows a language model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite, sqrt
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from scipy.stats import binom

from longthought.errors import UserError
from longthought.evaluation.scaling import maj_at_k
from longthought.figures import COLOURS, MARKERS, bars, layout
from longthought.statistics import (
    CONFIDENCE,
    LEVEL,
    Comparison,
    Expected,
    Rate,
    clustered_interval,
    compare,
    compare_counts,
    fisher,
    format_interval,
    format_p,
    mcnemar,
    mcnemar_range,
    newcombe_unpaired,
    rate,
    sample_size,
    smallest_detectable_difference,
    smallest_paired_difference,
    wilson,
)

Shown = tuple[go.Figure, pd.DataFrame]
Interval = Callable[[int, int], tuple[float, float]]

# The test sets of the report: name, problems, and a rate of about the size that it reports there.
TEST_SETS = (
    ("AIME 2024", 30, 0.40),
    ("one safety set", 200, 0.92),
    ("MATH500", 500, 0.87),
    ("Chinese SimpleQA", 3000, 0.46),
    ("SimpleQA", 4326, 0.105),
)


def _lines(series: Mapping[str, Sequence[tuple[float, float]]], x: str, y: str, **more: Any) -> go.Figure:
    """Plain lines, the first in the first colour; the value of a chance in percent is the caller's business."""
    figure = go.Figure()
    for i, (name, points) in enumerate(series.items()):
        figure.add_scatter(
            x=[at for at, _ in points], y=[value for _, value in points], mode="lines", name=name,
            line={"color": COLOURS[i], "dash": ("solid", "dash", "dot", "dashdot")[i % 4]},
        )  # fmt: skip
    return layout(figure, x, y, **more)


def _counted(series: Mapping[str, Mapping[float, Rate]], what: str, x: str, y: str, aim: float | None) -> Shown:
    """Lines of simulated shares with their intervals; `aim` draws the share that is wanted."""
    figure, rows = go.Figure(), []
    for i, (name, rates) in enumerate(series.items()):
        figure.add_scatter(
            x=[f"{at:g}" for at in rates], y=[100 * r.value for r in rates.values()], mode="lines+markers", name=name,
            error_y=bars(list(rates.values())),
            line={"color": COLOURS[i]}, marker={"size": 8, "symbol": MARKERS[i]},
            hovertext=[str(r) for r in rates.values()], hoverinfo="text",
        )  # fmt: skip
        rows += [
            {"series": name, what: at, "k": r.k, "n": r.n, "percent": round(100 * r.value, 2),
             "low": round(100 * r.low, 2), "high": round(100 * r.high, 2)}
            for at, r in rates.items()
        ]  # fmt: skip
    if aim is not None:
        places = [f"{at:g}" for at in next(iter(series.values()))]
        figure.add_scatter(
            x=places, y=[100 * aim] * len(places), mode="lines", name="what is promised",
            line={"color": "#999999", "dash": "dot"}, hoverinfo="skip",
        )  # fmt: skip
    return layout(figure, x, y, xaxis_type="category"), pd.DataFrame(rows)


# --- a rate and its interval ---


def naive_interval(k: int, n: int) -> tuple[float, float]:
    """The textbook interval p +- 1.96 sqrt(p(1-p)/n), cut at 0 and 1; shown for what is wrong with it."""
    p = k / n
    half = 1.959964 * sqrt(p * (1 - p) / n)
    return max(0.0, p - half), min(1.0, p + half)


def wilson_interval(k: int, n: int) -> tuple[float, float]:
    """Wilson's interval as a pair."""
    found = wilson(k, n)
    return found.low, found.high


def coverage(n: int, truths: Sequence[float] | np.ndarray, interval: Interval) -> np.ndarray:
    """The exact chance, for each true rate, that the interval of n problems holds it."""
    bounds = np.array([interval(k, n) for k in range(n + 1)])
    chances = binom.pmf(np.arange(n + 1)[:, None], n, np.asarray(truths)[None, :])
    holds = (bounds[:, :1] <= truths) & (np.asarray(truths) <= bounds[:, 1:])
    return np.asarray((chances * holds).sum(axis=0))


def exams(true_rate: float, n: int, times: int, seed: int) -> list[Rate]:
    """The same exam of n problems taken many times by somebody who solves each with the chance `true_rate`."""
    rng = np.random.default_rng(seed)
    every = [wilson(k, n) for k in range(n + 1)]
    return [every[k] for k in rng.binomial(n, true_rate, size=times)]


def exams_figure(taken: Sequence[Rate], true_rate: float, show: int = 50) -> Shown:
    """The first exams, each with its interval; those whose interval misses the truth stand out."""
    first = list(enumerate(taken[:show], start=1))
    figure = go.Figure()
    groups = {"holds the true rate": True, "misses it": False}
    for i, (name, wanted) in enumerate(groups.items()):
        chosen = [(at, r) for at, r in first if (r.low <= true_rate <= r.high) is wanted]
        figure.add_scatter(
            x=[at for at, _ in chosen], y=[100 * r.value for _, r in chosen], mode="markers", name=name,
            error_y=bars([r for _, r in chosen]),
            marker={"color": COLOURS[i], "symbol": MARKERS[i], "size": 6},
            hovertext=[str(r) for _, r in chosen], hoverinfo="text",
        )  # fmt: skip
    figure.add_scatter(
        x=[0, len(first) + 1], y=[100 * true_rate] * 2, mode="lines", name="true rate",
        line={"color": "#999999", "dash": "dot"}, hoverinfo="skip",
    )  # fmt: skip
    rows = [
        {"exam": at, "k": r.k, "n": r.n, "low": round(100 * r.low, 2), "high": round(100 * r.high, 2)}
        for at, r in first
    ]
    return layout(figure, "exam", "right answers, %", yaxis_range=[0, 102]), pd.DataFrame(rows)


def exams_findings(taken: Sequence[Rate], true_rate: float) -> dict[str, object]:
    """How often the interval held the truth, and the lowest and the highest result by luck alone."""
    held = sum(r.low <= true_rate <= r.high for r in taken)
    counts = [r.k for r in taken]
    return {
        "held": wilson(held, len(taken)),
        "luck": f"between {min(counts)} and {max(counts)} of {taken[0].n}",
        "true_rate": f"{true_rate:g}",
    }


GRID = np.linspace(0.005, 0.995, 199)


def coverage_figure(n: int) -> Shown:
    """How often two kinds of interval hold the truth, against the true rate."""
    found = {
        "Wilson": coverage(n, GRID, wilson_interval),
        "plus or minus 1.96 standard errors": coverage(n, GRID, naive_interval),
    }
    series = {name: list(zip(100 * GRID, 100 * values, strict=True)) for name, values in found.items()}
    series["what is promised"] = [(0.0, 100 * CONFIDENCE), (100.0, 100 * CONFIDENCE)]
    figure = _lines(series, "true rate, %", "intervals that hold it, %", yaxis_range=[0, 102])
    data = pd.DataFrame({"true rate": GRID.round(3)} | {name: values.round(4) for name, values in found.items()})
    return figure, data


def coverage_findings(n: int) -> dict[str, object]:
    """The worst coverage of both intervals, and what they say of an exam without a mistake."""
    worst = {name: coverage(n, GRID, way).min() for name, way in _WAYS.items()}
    return {
        "wilson_worst": f"{100 * worst['wilson']:.0f} of 100",
        "naive_worst": f"{100 * worst['naive']:.0f} of 100",
        "perfect_wilson": wilson(n, n),
        "perfect_naive": format_interval(*naive_interval(n, n)),
        "exam_size": n,
    }


_WAYS: dict[str, Interval] = {"wilson": wilson_interval, "naive": naive_interval}


# --- two published counts ---


def two_counts_findings(first: int, second: int, n: int) -> dict[str, object]:
    """All that can be said about two counts on the same n problems. UserError when they are no such counts."""
    _check(first, second, n)
    pairings = mcnemar_range(first, second, n)
    apart = smallest_detectable_difference(n, first / n)
    least = next((k for k in range(first + 1, n + 1) if fisher(first, n, k, n) < LEVEL), None)
    wanted = sample_size(first / n, second / n) if first != second else None
    return {
        "first_rate": wilson(first, n),
        "second_rate": wilson(second, n),
        "difference": compare_counts(first, n, second, n),
        "fisher_p": format_p(fisher(first, n, second, n)).removeprefix("= "),
        "pairings": str(pairings),
        "detectable": f"{100 * apart:.1f} points" if isfinite(apart) else "no difference at all",
        "least_apart": f"{least} of {n}" if least else "not even all",
        "wanted": f"{wanted:,} problems" if wanted else "no number of problems",
    }


def _check(first: int, second: int, n: int) -> None:
    if not (0 < first < n and 0 <= second <= n):
        raise UserError(
            f"{first} and {second} right of {n}: the first must lie within the exam, the second at most fill it"
        )


def same_rates_figure(first: int, second: int, n: int) -> Shown:
    """The interval of the difference if the same two rates had been seen on more problems."""
    sizes = [round(n * 10 ** (step / 6)) for step in range(19)]
    rows = []
    for size in sizes:
        a, b = round(first / n * size), round(second / n * size)
        low, high = newcombe_unpaired(a, size, b, size)
        rows.append((size, 100 * (b - a) / size, 100 * low, 100 * high))
    figure = go.Figure()
    figure.add_scatter(x=sizes, y=[r[2] for r in rows], mode="lines", line={"width": 0}, showlegend=False)
    figure.add_scatter(
        x=sizes, y=[r[3] for r in rows], mode="lines", line={"width": 0}, fill="tonexty",
        fillcolor="rgba(0,114,178,0.2)", name="95% interval", showlegend=False,
    )  # fmt: skip
    figure.add_scatter(
        x=sizes, y=[r[1] for r in rows], mode="lines+markers", name="difference", line={"color": COLOURS[0]}
    )
    figure.add_scatter(
        x=[sizes[0], sizes[-1]], y=[0, 0], mode="lines", name="no difference",
        line={"color": "#999999", "dash": "dot"},
    )  # fmt: skip
    layout(figure, "problems (log)", "second minus first, points", xaxis_type="log")
    columns = ["problems", "points", "low", "high"]
    return figure, pd.DataFrame([[r[0], *(round(value, 2) for value in r[1:])] for r in rows], columns=columns)


# --- pairing ---


def pairing_figure(first: int, second: int, n: int) -> Shown:
    """McNemar's p for the same two counts, against the number of problems on which the two disagree."""
    apart = abs(first - second)
    most = min(min(first, second), n - max(first, second))
    rows = [(2 * less + apart, mcnemar(less, less + apart)) for less in range(most + 1)]
    ends = (rows[0][0], rows[-1][0])
    series = {
        "paired (McNemar)": [(float(at), p) for at, p in rows],
        "unpaired (Fisher)": [(float(at), fisher(first, n, second, n)) for at in ends],
        "level of the test": [(float(at), LEVEL) for at in ends],
    }
    figure = _lines(series, f"problems of {n} on which the two disagree", "p", yaxis_range=[0, 1.02])
    return figure, pd.DataFrame(rows, columns=["discordant", "p"])


def pairing_findings(first: int, second: int, n: int) -> dict[str, object]:
    """The counts, p without the pairing, and p over all pairings. UserError when they are no such counts."""
    _check(first, second, n)
    return {
        "paired_first": f"{first} of {n}",
        "paired_second": f"{second} of {n}",
        "unpaired_p": format_p(fisher(first, n, second, n)).removeprefix("= "),
        "pairing_range": str(mcnemar_range(first, second, n)),
    }


# --- power ---


def power_figure(agreement: float) -> Shown:
    """The smallest difference that is found with 80% power, against the number of problems, with the report's sets.

    Paired systems are taken to disagree on `agreement` as many problems as two independent ones would.
    """
    sizes = [round(10 ** (1 + step / 12)) for step in range(37)]
    bases = (0.5, 0.9)
    series = {
        f"unpaired, rates near {base:g}": [(n, 100 * smallest_detectable_difference(n, base)) for n in sizes]
        for base in bases
    } | {"paired, rates near 0.5": [(n, 100 * _paired(n, 0.5, agreement)) for n in sizes]}
    series = {name: [(n, d) for n, d in points if isfinite(d)] for name, points in series.items()}
    figure = _lines(series, "problems (log)", "smallest found, points (log)")
    figure.add_scatter(
        x=[n for _, n, _ in TEST_SETS],
        y=[100 * smallest_detectable_difference(n, base) for _, n, base in TEST_SETS],
        mode="markers+text", name="the report's test sets", text=[name for name, _, _ in TEST_SETS],
        textposition=["top right", "bottom left", "top right", "top center", "bottom left"],
        marker={"size": 9, "symbol": "diamond", "color": COLOURS[3]},
    )  # fmt: skip
    figure.update_xaxes(type="log", range=[0.95, 4.25])
    figure.update_yaxes(type="log")
    rows = [
        {"series": name, "problems": n, "points": round(d, 2)} for name, points in series.items() for n, d in points
    ]
    return figure, pd.DataFrame(rows)


def _paired(n: int, base: float, agreement: float) -> float:
    return smallest_paired_difference(n, agreement * 2 * base * (1 - base))


def power_table(agreement: float) -> pd.DataFrame:
    """What the report's test sets could show, if each system answered once."""
    rows = []
    for name, n, base in TEST_SETS:
        unpaired, paired = smallest_detectable_difference(n, base), _paired(n, base, agreement)
        rows.append(
            {
                "test set": name,
                "problems": n,
                "rate assumed (parameter)": f"{base:g}",
                "smallest found, unpaired": f"{100 * unpaired:.1f} points",
                "smallest found, paired": f"{100 * paired:.1f} points" if isfinite(paired) else "none",
            }
        )
    return pd.DataFrame(rows)


# --- many answers to one problem ---


def clustered_coverage(
    true_rate: float, problems: int, answers: Sequence[int], times: int, seed: int
) -> dict[str, dict[float, Rate]]:
    """How often two intervals hold the true rate, by the number of answers drawn for each of a few problems.

    Problems differ: each has its own chance, drawn from a beta distribution with the mean `true_rate`.
    """
    rng = np.random.default_rng(seed)
    found: dict[str, dict[float, Rate]] = {"every answer counted as a problem": {}, "problems counted": {}}
    for m in answers:
        chances = rng.beta(2 * true_rate, 2 * (1 - true_rate), size=(times, problems))
        right = rng.binomial(m, chances)
        pooled = clustered = 0
        for row in right:
            one = wilson(int(row.sum()), problems * m)
            pooled += one.low <= true_rate <= one.high
            low, high = clustered_interval(row / m)
            clustered += low <= true_rate <= high
        found["every answer counted as a problem"][m] = wilson(pooled, times)
        found["problems counted"][m] = wilson(clustered, times)
    return found


def clustered_figure(found: Mapping[str, Mapping[float, Rate]]) -> Shown:
    """`clustered_coverage` drawn."""
    return _counted(
        found, "answers per problem", "answers drawn per problem", "intervals that hold the truth, %", CONFIDENCE
    )


# --- several trained models ---


def seeds_coverage(
    problems: int, trained: Sequence[int], times: int, seed: int, spread: float = 0.4
) -> dict[str, dict[float, Rate]]:
    """How often two intervals hold the rate of the recipe, by the number of models trained with it.

    On the log-odds scale a model's luck has the standard deviation `spread`, a problem's difficulty 1.5; what is
    estimated is the mean over all models and all problems, which one trained model cannot show.
    """
    rng = np.random.default_rng(seed)
    at, weights = np.polynomial.hermite_e.hermegauss(60)
    truth = float((weights / weights.sum()) @ _logistic(sqrt(spread**2 + 1.5**2) * at))
    found: dict[str, dict[float, Rate]] = {"all trials pooled": {}, "seeds and problems counted": {}}
    for s in trained:
        pooled = both = 0
        for _ in range(times):
            logit = spread * rng.standard_normal((s, 1)) + 1.5 * rng.standard_normal((1, problems))
            right = rng.random((s, problems)) < _logistic(logit)
            one, two = wilson(int(right.sum()), right.size), rate(right)
            pooled += one.low <= truth <= one.high
            both += two.low <= truth <= two.high
        found["all trials pooled"][s] = wilson(pooled, times)
        found["seeds and problems counted"][s] = wilson(both, times)
    return found


def _logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def seeds_figure(found: Mapping[str, Mapping[float, Rate]]) -> Shown:
    """`seeds_coverage` drawn."""
    return _counted(found, "models", "models trained with the recipe", "intervals that hold the truth, %", CONFIDENCE)


# --- many comparisons ---


def _mcnemar_ps(rng: np.random.Generator, difference: float, discordance: float, n: int, size: Any) -> np.ndarray:
    """Exact McNemar p of simulated paired exams with a true difference."""
    discordant = rng.binomial(n, discordance, size=size)
    only_second = rng.binomial(discordant, (1 + difference / discordance) / 2)
    smaller = np.minimum(only_second, discordant - only_second)
    return np.minimum(1.0, 2 * binom.cdf(smaller, discordant, 0.5))


def many_comparisons(
    counts: Sequence[int], problems: int, discordance: float, times: int, seed: int
) -> dict[str, dict[float, Rate]]:
    """How often at least one of many comparisons says "different" where nothing differs."""
    rng = np.random.default_rng(seed)
    found: dict[str, dict[float, Rate]] = {"each p on its own": {}, "Holm's p": {}}
    for count in counts:
        ps = _mcnemar_ps(rng, 0.0, discordance, problems, (times, count))
        found["each p on its own"][count] = wilson(int((ps.min(axis=1) < LEVEL).sum()), times)
        # The smallest of Holm's adjusted p is the smallest p times their number; `statistics.holm` has the others.
        found["Holm's p"][count] = wilson(int((count * ps.min(axis=1) < LEVEL).sum()), times)
    return found


def comparisons_figure(found: Mapping[str, Mapping[float, Rate]]) -> Shown:
    """`many_comparisons` drawn."""
    return _counted(found, "comparisons", "comparisons made, none real", "studies with a finding, %", LEVEL)


# --- "not distinguishable" ---


def told_apart(
    differences: Sequence[float], sizes: Sequence[int], discordance: float, times: int, seed: int
) -> dict[str, dict[float, Rate]]:
    """How often a paired test says "different", by the true difference (fraction) and the number of problems."""
    rng = np.random.default_rng(seed)
    return {
        f"{n} problems": {
            round(100 * d, 6): wilson(int((_mcnemar_ps(rng, d, discordance, n, times) < LEVEL).sum()), times)
            for d in differences
        }
        for n in sizes
    }


def told_apart_figure(found: Mapping[str, Mapping[float, Rate]]) -> Shown:
    """`told_apart` drawn."""
    return _counted(found, "points", "true difference, points", "studies that say different, %", None)


def told_apart_findings(found: Mapping[str, Mapping[float, Rate]]) -> dict[str, object]:
    """How often the largest of the real differences up to ten points is seen, for every number of problems."""
    chosen = max(at for at in next(iter(found.values())) if at <= 10)
    parts = [f"with {name} in {rates[chosen]}" for name, rates in found.items()]
    return {"seen": f"A true difference of {chosen:g} points is found " + ", ".join(parts) + " of the studies"}


def told_apart_example(problems: int, discordance: float) -> dict[str, object]:
    """Two comparisons with the same verdict that say different things: one is tight, one is not."""
    near = _example(problems * 10, discordance)
    wide = _example(problems, discordance)
    return {"tight": near, "wide": wide}


def _example(n: int, discordance: float) -> Comparison:
    """A comparison on n problems in which both systems win the same number of discordant pairs."""
    each = round(n * discordance / 2)
    rest = n - 2 * each
    first = np.array([1] * each + [0] * each + [1] * (rest // 2) + [0] * (rest - rest // 2))
    second = np.array([0] * each + [1] * each + [1] * (rest // 2) + [0] * (rest - rest // 2))
    return compare(first, second)


# --- expected numbers of right answers ---

# Eight answers to each of five problems: 0 is right, other numbers are other answers, -1 is none.
VOTES = (
    ("most answers are right", (0, 0, 0, 0, 0, 0, 1, 2)),
    ("right is the most frequent", (0, 0, 0, 1, 1, 2, 3, -1)),
    ("right and one other tie", (0, 0, 0, 1, 1, 1, 2, -1)),
    ("another is more frequent", (0, 0, 1, 1, 1, 1, 2, 3)),
    ("right was drawn once", (0, 1, 1, 1, 1, 1, 1, 2)),
)
VOTES_OF = (1, 3, 8)


def votes_table() -> pd.DataFrame:
    """The chance that a vote of k is right, for each of the example problems."""
    rows: list[dict[str, Any]] = []
    for name, votes in VOTES:
        row: dict[str, Any] = {"problem": f"{name}: {votes.count(0)} of {len(votes)}"}
        rows.append(row | {f"vote of {k}": round(maj_at_k(votes, 0, k), 3) for k in VOTES_OF})
    return pd.DataFrame(rows)


def votes_figure() -> Shown:
    """The same chances for every k."""
    series = {
        name: [(k, 100 * maj_at_k(votes, 0, k)) for k in range(1, len(votes) + 1)] for name, votes in VOTES
    }  # fmt: skip
    figure = go.Figure()
    for i, (name, points) in enumerate(series.items()):
        figure.add_scatter(
            x=[k for k, _ in points], y=[value for _, value in points], mode="lines+markers", name=name,
            line={"color": COLOURS[i]}, marker={"symbol": MARKERS[i], "size": 8},
        )  # fmt: skip
    rows = [
        {"problem": name, "k": k, "chance": round(value / 100, 4)} for name, ks in series.items() for k, value in ks
    ]
    return layout(figure, "answers that vote", "chance that the vote is right, %", yaxis_range=[-2, 102]), pd.DataFrame(
        rows
    )


def votes_findings() -> dict[str, object]:
    """The expected number of right votes among the example problems, for one answer and for the most."""
    found: dict[str, object] = {}
    for name, k in (("one_answer", VOTES_OF[0]), ("small_vote", VOTES_OF[1]), ("all_vote", VOTES_OF[-1])):
        values = [maj_at_k(votes, 0, k) for _, votes in VOTES]
        found[name] = Expected(sum(values), len(values), *clustered_interval(values))
    return found


def first_and_last(found: Mapping[str, Mapping[float, Rate]], names: Mapping[str, str]) -> dict[str, object]:
    """The first and the last rate of each line of a figure, as NAME_first and NAME_last."""
    results: dict[str, object] = {}
    for line, name in names.items():
        rates = list(found[line].values())
        results |= {f"{name}_first": rates[0], f"{name}_last": rates[-1]}
    return results
