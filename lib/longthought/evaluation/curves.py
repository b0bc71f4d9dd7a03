"""Budget curves from a log of samples: accuracy against mean output tokens, with bands, for `longthought curve`.

A log (see `logs`) is graded answer by answer and kept as groups: one per model, or whatever field is named. A group's
curve joins what its samples can tell of more and of fewer tokens: answers cut off at L tokens, one answer, and votes of
k answers, up to the smallest number of samples of a problem. Groups are compared in pairs, on the problems that both
answered, and only at budgets that both curves reached.

Problems are the unit of every interval. Bands come from a two-level bootstrap: problems are drawn again, and the
samples of each are drawn again as well. That counts the noise between samples a second time, so a band is rather too
wide than too narrow; it is moved onto the measured value, since the repeated samples in a resample vote more alike than
fresh ones would; and it is never narrower than the interval of `statistics.clustered_interval`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from itertools import combinations, islice
from pathlib import Path
from typing import Any

import numpy as np

from longthought.errors import UserError
from longthought.evaluation import logs
from longthought.evaluation.logs import Answer, Wanted, plain
from longthought.evaluation.scaling import (
    EXACT_SAMPLES,
    MONTE_CARLO_DRAWS,
    Point,
    at_budget,
    maj_curves,
    pass_at_k,
)
from longthought.grading import GRADER_VERSION, Grade, grade, vote_key
from longthought.progress import report
from longthought.statistics import CONFIDENCE, clustered_interval, compare, format_rate

VERDICTS = ("correct", "wrong", "no_answer", "undecided", "truncated")
BOOTSTRAP_DRAWS = 2000
_RESAMPLES = 20  # of each problem's samples; of those the bootstrap over problems draws
_FEWER_RESAMPLES = 5  # where votes of one problem take tens of milliseconds
_MANY_SAMPLES = 128
_BATCH = 256
_BAR_FROM_ANSWERS = 5000
PLOTS = (".html", ".json", ".csv", ".png", ".svg", ".pdf")


@dataclass(frozen=True)
class Group:
    """The graded answers of one model, or of whatever the log was grouped by; a list entry per problem.

    `votes` are class numbers, 0 for the gold and -1 for none. A truncated answer is not correct and casts no vote, but
    its tokens count. `verdicts` counts answers by `VERDICTS`, each in one of them.
    """

    label: str
    problems: tuple[str, ...]
    correct: tuple[np.ndarray, ...]
    votes: tuple[np.ndarray, ...]
    tokens: tuple[np.ndarray, ...]
    truncated: tuple[np.ndarray, ...]
    verdicts: Mapping[str, int]
    marked: int = 0

    @property
    def samples(self) -> tuple[int, int]:
        """The smallest and the largest number of samples of a problem."""
        sizes = [len(row) for row in self.correct]
        return min(sizes), max(sizes)

    @property
    def mean_tokens(self) -> float:
        """Mean output tokens of an answer, every problem counting the same."""
        return float(np.mean([row.mean() for row in self.tokens]))

    def only(self, problems: Sequence[str]) -> Group:
        """The same answers to `problems` alone, in that order; `verdicts` stay those of all."""
        place = {name: i for i, name in enumerate(self.problems)}
        rows = [place[name] for name in problems]

        def of(values: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
            return tuple(values[i] for i in rows)

        return replace(
            self, problems=tuple(problems), correct=of(self.correct), votes=of(self.votes), tokens=of(self.tokens),
            truncated=of(self.truncated),
        )  # fmt: skip


@dataclass(frozen=True)
class Options:
    """How to read logs and what to work out. Empty `ks` and `caps` choose powers of two; `at` are budgets in tokens."""

    form: str = "auto"
    group: str = ""
    gold: str = ""
    tokenizer: str = ""
    tokenizer_label: str = ""
    fallback: bool = False
    ks: tuple[int, ...] = ()
    caps: tuple[int, ...] = ()
    at: tuple[float, ...] = ()
    passes: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Curve:
    """A group with the points of its curve, fewest tokens first, and pass@k, which is no way to answer but a bound."""

    group: Group
    points: list[Point]
    passes: list[Point]


@dataclass(frozen=True)
class Study:
    """All that one call of `longthought curve` found out; `notes` is what a reader must know to believe it."""

    curves: list[Curve]
    comparisons: list[dict[str, Any]]
    tokens_from: str
    notes: list[str]
    seed: int


def study(paths: Sequence[Path], options: Options) -> Study:
    """Read, grade and measure. Raises UserError for what is wrong with the files or the options."""
    remarks: Counter[str] = Counter()
    wanted = Wanted(options.group, options.gold, remarks)
    answers = (answer for path in paths for answer in logs.read(path, options.form, wanted))
    groups = graded(with_tokens(answers, options.tokenizer), options.fallback, len(paths) > 1)
    curves = []
    for group in groups:
        curves.append(measured(group, options))
    comparisons, notes = compared(groups, options)
    if options.tokenizer:
        tokens_from = plain(options.tokenizer_label) or f"the tokenizer {plain(options.tokenizer)}"
        if options.tokenizer == "words":
            tokens_from = "words between spaces (not tokens)"
    else:
        tokens_from = plain(options.tokenizer_label) or "as counted by the log"
        if len(groups) > 1 and not options.tokenizer_label:
            notes.append("budgets are in tokens of whatever tokenizer each log used; --tokenizer counts all with one")
    notes = [f"{text} ({count})" for text, count in remarks.items()] + _notes(groups) + notes
    return Study(curves, comparisons, tokens_from, notes, options.seed)


def with_tokens(answers: Iterable[Answer], tokenizer: str) -> Iterator[Answer]:
    """The answers, all with token counts: those of the log, or all counted anew with the named tokenizer.

    Raises UserError when there are none and no tokenizer is named, or when there is no text to count.
    """
    if not tokenizer:
        for answer in answers:
            if answer.tokens is None:
                raise UserError(
                    f"{answer.where}: the log does not count tokens: name a tokenizer with --tokenizer "
                    "(a folder, smollm2-135m, name@commit, or words)"
                )
            yield answer
        return
    count = logs.token_counter(tokenizer)
    rest = iter(answers)
    while batch := list(islice(rest, _BATCH)):
        for answer in batch:
            if answer.bare:
                raise UserError(f"{answer.where}: an answer without its completion has no tokens to count again")
        counts = count([answer.completion for answer in batch])
        yield from (replace(answer, tokens=n) for answer, n in zip(batch, counts, strict=True))


def graded(answers: Iterable[Answer], fallback: bool = False, several: bool = False) -> list[Group]:
    """Grade answers and gather them by group and problem, both in order of appearance.

    Raises UserError for a problem with two golds and for a sample that appears twice; `several` files change its mend.
    """
    golds: dict[str, Answer] = {}
    seen: dict[tuple[str, str, str], str] = {}
    gathering: dict[str, _Gathering] = {}
    for answer in answers:
        first = golds.setdefault(answer.problem, answer)
        if first.golds != answer.golds:
            raise UserError(
                f"{answer.where}: problem {plain(answer.problem)} has the gold {plain(' or '.join(answer.golds))}, but "
                f"{plain(' or '.join(first.golds))} in {first.where}: give different problems different names"
            )
        if answer.sample is not None:
            key = (answer.group, answer.problem, answer.sample)
            if key in seen:
                mend = "--group file keeps several files apart" if several else "remove one, or name --group FIELD"
                raise UserError(
                    f"{answer.where}: sample {plain(answer.sample)} of problem {plain(answer.problem)} was in "
                    f"{seen[key]} already: {mend}"
                )
            seen[key] = answer.where
        gathering.setdefault(answer.group, _Gathering()).add(answer, fallback)
    labels = _labels(list(gathering))
    return [one.group(labels[name]) for name, one in gathering.items()]


@dataclass
class _Gathering:
    rows: dict[str, list[tuple[bool, int, int, bool]]] = field(default_factory=dict)
    classes: dict[str, dict[str, int]] = field(default_factory=dict)
    verdicts: Counter[str] = field(default_factory=Counter)
    marked: int = 0

    def add(self, answer: Answer, fallback: bool) -> None:
        # An answer that was cut off is not finished, even if it happened to box something on the way.
        found = Grade("no_answer", "") if answer.truncated else _best(answer, fallback)
        self.verdicts["truncated" if answer.truncated else found.verdict] += 1
        self.marked += found.reason.startswith("marker")
        vote = -1
        if found.verdict == "correct":
            vote = 0
        elif found.verdict != "no_answer":
            own = self.classes.setdefault(answer.problem, {})
            vote = own.setdefault(vote_key(found.extracted), len(own) + 1)
        tokens = answer.tokens or 0
        self.rows.setdefault(answer.problem, []).append((vote == 0, vote, tokens, answer.truncated))

    def group(self, label: str) -> Group:
        columns = [list(zip(*rows, strict=True)) for rows in self.rows.values()]
        correct, votes, tokens, truncated = (tuple(np.array(c[i]) for c in columns) for i in range(4))
        return Group(label, tuple(self.rows), correct, votes, tokens, truncated, dict(self.verdicts), self.marked)


def _best(answer: Answer, fallback: bool) -> Grade:
    """The verdict against the gold that suits the answer best, where a problem has several."""
    found = [grade(gold, answer.completion, fallback=fallback) for gold in answer.golds]
    return min(found, key=lambda g: ("correct", "undecided", "wrong", "no_answer").index(g.verdict))


def _labels(names: Sequence[str]) -> dict[str, str]:
    """What groups are called in print: safe, and different where they are."""
    labels: dict[str, str] = {}
    for name in names:
        label = plain(name) or "all answers"
        number = 2
        while label in labels.values():
            label, number = f"{plain(name, 50)} ({number})", number + 1
        labels[name] = label
    return labels


# --- curves and bands ---


def measured(group: Group, options: Options) -> Curve:
    """The curve of a group with its bands. Raises UserError for a k beyond the samples of some problem."""
    ks = _ks(group, options.ks)
    caps = _caps(group, options.caps)
    rng = np.random.default_rng(options.seed)
    resamples = 1 if group.samples[1] == 1 else _RESAMPLES if group.samples[1] <= _MANY_SAMPLES else _FEWER_RESAMPLES
    slow = resamples > 1 and sum(map(len, group.correct)) >= _BAR_FROM_ANSWERS
    bare = _points(group, ks, caps)
    passes = _passes(group, ks) if options.passes else []
    pools: list[list[np.ndarray]] = [[] for _ in (*bare, *passes)]
    for number in range(resamples):
        if slow:
            report(f"bootstrap of {group.label}", number, resamples)
        again = _resampled(group, rng) if resamples > 1 else group
        others = [*_points(again, ks, caps), *(_passes(again, ks) if passes else [])]
        for pool, point in zip(pools, others, strict=True):
            pool.append(point.per_problem)
    if slow:
        report(f"bootstrap of {group.label}", resamples, resamples)
    banded = []
    for point, pool in zip((*bare, *passes), pools, strict=True):
        low, high = band(point.per_problem, np.array(pool), options.seed)
        banded.append(replace(point, low=low, high=high))
    curve, bounds = banded[: len(bare)], banded[len(bare) :]
    return Curve(group, sorted(curve, key=lambda p: p.tokens), bounds)


def band(per_problem: np.ndarray, resampled: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """95% band for the mean of `per_problem`, shape (problems,), by a bootstrap over problems and their samples.

    `resampled`, shape (resamples, problems), holds each problem's value worked out from samples drawn again.
    """
    rng = np.random.default_rng(seed)
    rows, problems = resampled.shape
    means = np.empty(BOOTSTRAP_DRAWS)
    block = max(1, 1_000_000 // problems)
    for begin in range(0, BOOTSTRAP_DRAWS, block):
        shape = (min(block, BOOTSTRAP_DRAWS - begin), problems)
        chosen = rng.integers(problems, size=shape)
        means[begin : begin + block] = resampled[rng.integers(rows, size=shape), chosen].mean(axis=1)
    tail = 50 * (1 - CONFIDENCE)
    below, above = np.percentile(means, [tail, 100 - tail]) - resampled.mean()
    middle = float(per_problem.mean())
    low, high = clustered_interval(np.clip(per_problem, 0, 1))
    return max(0.0, min(low, middle + float(below))), min(1.0, max(high, middle + float(above)))


def _resampled(group: Group, rng: np.random.Generator) -> Group:
    picks = [rng.integers(len(row), size=len(row)) for row in group.correct]

    def of(values: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        return tuple(row[pick] for row, pick in zip(values, picks, strict=True))

    return replace(
        group, correct=of(group.correct), votes=of(group.votes), tokens=of(group.tokens), truncated=of(group.truncated)
    )


def _ks(group: Group, asked: Sequence[int]) -> list[int]:
    most = group.samples[0]
    if asked:
        if min(asked) < 1 or max(asked) > most:
            raise UserError(f"{group.label}: k runs from 1 to {most}, the samples of every problem, not {max(asked)}")
        return sorted(set(asked))
    powers = [2**i for i in range(most.bit_length()) if 2**i <= most]
    return powers if powers[-1] == most else [*powers, most]


def _caps(group: Group, asked: Sequence[int]) -> list[int]:
    every = np.concatenate(group.tokens)
    if asked:
        if min(asked) < 1:
            raise UserError(f"a truncation budget of {min(asked)} tokens is none: name budgets from 1")
        # Beyond the longest answer nothing is cut, and what a larger limit would have given was never measured.
        return sorted({cap for cap in asked if cap < every.max()})
    return [2**i for i in range(1, 31) if every.min() < 2**i < every.max()]


def _points(group: Group, ks: Sequence[int], caps: Sequence[int]) -> list[Point]:
    """Votes of k and truncation at L, without bands."""
    points = []
    curves = maj_curves([v.tolist() for v in group.votes], [0] * len(group.votes), ks)
    cut = sum(int(row.sum()) for row in group.truncated)
    answers = sum(map(len, group.correct))
    for k, per_problem in zip(ks, curves.T, strict=True):
        label = "one answer" if k == 1 else f"maj@{k}"
        accuracy = float(per_problem.mean())
        points.append(Point(group.label, label, k * group.mean_tokens, accuracy, 0, 0, per_problem, cut, answers))
    for cap in caps:
        lost = [(t > cap) | c for t, c in zip(group.tokens, group.truncated, strict=True)]
        per_problem = np.array([(c & ~gone).mean() for c, gone in zip(group.correct, lost, strict=True)])
        tokens = float(np.mean([np.minimum(row, cap).mean() for row in group.tokens]))
        accuracy, cut = float(per_problem.mean()), sum(int(gone.sum()) for gone in lost)
        points.append(Point(group.label, f"cut at {cap}", tokens, accuracy, 0, 0, per_problem, cut, answers))
    return points


def _passes(group: Group, ks: Sequence[int]) -> list[Point]:
    """pass@k: what a perfect chooser among k answers would reach."""
    points = []
    for k in ks:
        per_problem = np.array([pass_at_k(int(row.sum()), len(row), k) for row in group.correct])
        cost = k * group.mean_tokens
        points.append(Point(group.label, f"pass@{k}", cost, float(per_problem.mean()), 0, 0, per_problem))
    return points


# --- comparisons ---


def compared(groups: Sequence[Group], options: Options) -> tuple[list[dict[str, Any]], list[str]]:
    """Paired comparisons of every two groups at `options.at`, or at the smallest and largest budget that both reached.

    Each is on the problems that both answered; whole curves are worked out anew for those. Returns the comparisons
    and notes on pairs that could not be compared. Raises UserError for a budget in `at` that a curve did not reach.
    """
    if options.at and len(groups) < 2:
        raise UserError(
            "--at compares groups, and there is only one: name the field that tells them apart with --group"
        )
    found: list[dict[str, Any]] = []
    notes: list[str] = []
    for first, second in combinations(groups, 2):
        names = f"{first.label} and {second.label}"
        theirs = set(second.problems)
        shared = [name for name in first.problems if name in theirs]
        if not shared:
            notes.append(f"{names} share no problem: not compared")
            continue
        if len(shared) < max(len(first.problems), len(second.problems)):
            notes.append(
                f"{names} have {len(first.problems)} and {len(second.problems)} problems: compared on the "
                f"{len(shared)} that both answered"
            )
        curves = []
        for one in (first, second):
            own = one.only(shared)
            curves.append(_points(own, _ks(own, options.ks), _caps(own, options.caps)))
        ends = [(min(p.tokens for p in points), max(p.tokens for p in points)) for points in curves]
        low, high = max(a for a, _ in ends), min(b for _, b in ends)
        if not options.at and low > high:
            spans = " and ".join(f"{a:.0f} to {b:.0f}" for a, b in ends)
            notes.append(f"{names} reach no common budget ({spans} tokens): not compared")
            continue
        for budget in options.at or sorted({low, high}):
            a, b = (at_budget(points, budget) for points in curves)
            c = compare(np.clip(a, 0, 1), np.clip(b, 0, 1))
            found.append({"first": first.label, "second": second.label, "tokens": budget, "result": c})
    if len(found) > 1:
        notes.append(f"p-values of the {len(found)} comparisons are not adjusted for their number")
    return found, notes


def _notes(groups: Sequence[Group]) -> list[str]:
    notes = []
    for group in groups:
        fewest, most = group.samples
        if fewest < most:
            notes.append(f"{group.label}: problems have {fewest} to {most} samples; k goes up to {fewest}")
        if most > EXACT_SAMPLES:
            notes.append(
                f"{group.label}: maj@k of problems with more than {EXACT_SAMPLES} samples is the mean of "
                f"{MONTE_CARLO_DRAWS} random subsets"
            )
        answers = sum(group.verdicts.values())
        missing = group.verdicts.get("no_answer", 0)
        if 2 * missing > answers:
            notes.append(f"{group.label}: most answers hold no \\boxed{{}}; --fallback also takes 'the answer is ...'")
        if group.marked:
            notes.append(f"{group.label}: {group.marked} answers were taken from 'the answer is ...', without a box")
    return notes


# --- what is shown ---


def rate_text(point: Point) -> str:
    """A point's accuracy as a count of problems, which is an expectation where a problem has several samples."""
    n = len(point.per_problem)
    k = float(point.per_problem.sum())
    whole = np.isin(point.per_problem, (0.0, 1.0)).all()
    return format_rate(round(k) if whole else k, n, point.low, point.high)


def counts_text(group: Group) -> str:
    """How many answers had each verdict."""
    total = sum(group.verdicts.values())
    parts = ", ".join(f"{group.verdicts.get(v, 0)} {v.replace('_', ' ')}" for v in VERDICTS)
    problems = len(group.problems)
    return f"{total} answers to {problems} problem{'s' if problems > 1 else ''}: {parts}"


def comparison_text(entry: Mapping[str, Any]) -> str:
    """A comparison in one line, second minus first."""
    return f"{entry['second']} minus {entry['first']} at {entry['tokens']:.0f} tokens: {entry['result']}"


def heading(found: Study) -> list[str]:
    """Where the numbers come from."""
    return [
        f"graded with grader version {GRADER_VERSION}; truncated answers count as wrong and cast no vote",
        f"tokens: {found.tokens_from}",
        f"intervals: 95%, problems as units, bootstrap over problems and samples (seed {found.seed})",
    ]


def as_json(found: Study) -> dict[str, Any]:
    """Everything in a `Study` as plain values; fractions, not percent."""

    def row(point: Point) -> dict[str, Any]:
        return {
            "budget": point.budget, "mean_tokens": point.tokens, "accuracy": point.accuracy, "low": point.low,
            "high": point.high, "problems": len(point.per_problem), "truncated": point.truncated,
        }  # fmt: skip

    groups = []
    for curve in found.curves:
        group = curve.group
        groups.append(
            {
                "label": group.label,
                "problems": len(group.problems),
                "samples_per_problem": list(group.samples),
                "mean_tokens": group.mean_tokens,
                "answers": {verdict: group.verdicts.get(verdict, 0) for verdict in VERDICTS},
                "curve": [row(point) for point in curve.points],
                "pass": [{k: v for k, v in row(p).items() if k != "truncated"} for p in curve.passes],
            }
        )
    comparisons = []
    for entry in found.comparisons:
        c = entry["result"]
        comparisons.append(
            {
                "first": entry["first"], "second": entry["second"], "mean_tokens": entry["tokens"],
                "difference": c.difference, "low": c.low, "high": c.high, "p": c.p, "problems": c.n, "test": c.test,
            }
        )  # fmt: skip
    return {
        "grader_version": GRADER_VERSION,
        "tokens": found.tokens_from,
        "confidence": CONFIDENCE,
        "seed": found.seed,
        "groups": groups,
        "comparisons": comparisons,
        "notes": found.notes,
    }


def rows(found: Study) -> list[dict[str, Any]]:
    """A row per point of every curve and of pass@k, in percent, for CSV."""
    from longthought.figures import point_row

    return [
        {"group": curve.group.label} | point_row(p) for curve in found.curves for p in (*curve.points, *curve.passes)
    ]


def figure(found: Study) -> Any:
    """The curves as a plotly figure, tokens on a logarithmic axis. Labels of the log are escaped."""
    import plotly.graph_objects as go

    from longthought.figures import COLOURS, MARKERS

    drawn = go.Figure()
    for i, curve in enumerate(found.curves):
        colour, symbol, name = COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)], escape(curve.group.label)
        points = [p for p in curve.points if p.tokens > 0]
        x = [p.tokens for p in points]
        around = [100 * p.high for p in points] + [100 * p.low for p in reversed(points)]
        drawn.add_scatter(
            x=x + x[::-1], y=around, fill="toself", fillcolor=colour, opacity=0.15, line={"width": 0},
            mode="lines", hoverinfo="skip", showlegend=False, legendgroup=str(i),
        )  # fmt: skip
        drawn.add_scatter(
            x=x, y=[100 * p.accuracy for p in points], mode="lines+markers", name=name, legendgroup=str(i),
            line={"color": colour}, marker={"size": 8, "color": colour, "symbol": symbol}, hoverinfo="text",
            hovertext=[f"{name}: {p.budget}, {rate_text(p)} at {p.tokens:.0f} tokens" for p in points],
        )  # fmt: skip
        if curve.passes:
            drawn.add_scatter(
                x=[p.tokens for p in curve.passes], y=[100 * p.accuracy for p in curve.passes], mode="lines",
                name=f"{name}, pass@k", line={"color": colour, "dash": "dot"}, legendgroup=str(i),
            )  # fmt: skip
    # Left alone, plotly writes 20 as a lone 2.
    ticks = [digit * 10**power for power in range(10) for digit in (1, 2, 5)]
    drawn.update_xaxes(tickvals=ticks, ticktext=[f"{tick:,}" for tick in ticks])
    drawn.update_layout(
        xaxis={"title": f"mean output tokens per problem, log ({escape(found.tokens_from)})", "type": "log"},
        yaxis={"title": "accuracy, % of problems", "range": [0, 102]},
        title={"text": f"95% bands; grader version {GRADER_VERSION}", "font": {"size": 12}},
        template="plotly_white",
    )
    return drawn


def check_plot(path: Path) -> None:
    """UserError for a figure that could not be written, before anything is worked out."""
    if path.suffix.lower() not in PLOTS:
        raise UserError(f"--plot {path}: the name must end in one of {', '.join(PLOTS)}")
    if not path.parent.is_dir():
        raise UserError(f"--plot {path}: there is no folder {path.parent}")
    if path.suffix.lower() in (".png", ".svg", ".pdf"):
        from importlib.util import find_spec

        if find_spec("kaleido") is None:
            raise UserError(f"--plot {path}: pictures need the package kaleido; write .html, .json or .csv instead")


def write_plot(found: Study, path: Path) -> None:
    """The figure as one HTML file that needs no network or as a picture, or its data, by the ending of the name."""
    kind = path.suffix.lower()
    try:
        if kind == ".json":
            path.write_text(json_text(found), encoding="utf-8")
        elif kind == ".csv":
            import pandas as pd

            from longthought.display import csv_text

            path.write_text(csv_text(pd.DataFrame(rows(found))), encoding="utf-8")
        elif kind == ".html":
            figure(found).write_html(path, include_plotlyjs=True, full_html=True)
        else:
            _write_picture(figure(found), path)
    except OSError as error:
        raise UserError(f"--plot {path} cannot be written: {error.strerror or error}") from error


def _write_picture(drawn: Any, path: Path) -> None:
    try:
        drawn.write_image(path, width=900, height=560)
    except (ImportError, RuntimeError, ValueError) as error:
        raise UserError(f"--plot {path}: kaleido cannot draw it ({plain(error, 120)}); write .html instead") from error


def json_text(found: Study) -> str:
    """`as_json` as text that ends with a newline."""
    import json

    return json.dumps(as_json(found), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
