"""Tables of the book: rows for readers, built from graded answers, every rate with its count and interval."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files

import numpy as np
import pandas as pd

from longthought.evaluation.samples import Graded, cut_at, cut_to_cost
from longthought.evaluation.scaling import Point, at_budget
from longthought.experiments import Forced, Line, Settings, Variant, times_word
from longthought.problems import Problem
from longthought.statistics import (
    Comparison,
    Expected,
    Rate,
    clustered_interval,
    compare,
    format_difference,
    format_interval,
    format_p,
    rate,
    verdict,
    wilson,
)


def by_seed(graded: Mapping[str, Graded], names: Sequence[str], lines: Sequence[Line]) -> dict[str, np.ndarray]:
    """Right or wrong of each named student, shape (seeds, problems), from greedy answers labelled "name, seed i"."""
    return {name: np.array([graded[f"{name}, seed {line.seed}"].correct[:, 0] for line in lines]) for name in names}


def accuracy_table(outcomes: Mapping[str, np.ndarray], graded: Mapping[str, Graded]) -> pd.DataFrame:
    """One row per student: accuracy over its seeds, each seed alone, and what its answers cost."""
    rows = []
    for name, matrix in outcomes.items():
        own = [g for label, g in graded.items() if label.startswith(f"{name}, seed ")]
        rows.append(
            {
                "student": name,
                "accuracy": str(rate(matrix)),
                "seeds": matrix.shape[0],
                "each seed": ", ".join(f"{int(row.sum())}/{len(row)}" for row in matrix),
                "mean output tokens": f"{np.mean([g.mean_tokens for g in own]):.1f}",
                "truncated": f"{sum(int(g.truncated.sum()) for g in own)}/{matrix.size}",
                "no answer": f"{sum(int(g.no_answer.sum()) for g in own)}/{matrix.size}",
                "undecided": f"{sum(int(g.undecided.sum()) for g in own)}/{matrix.size}",
            }
        )
    return pd.DataFrame(rows)


def comparison_cells(c: Comparison) -> dict[str, str]:
    """A paired comparison as columns: difference in points with its interval, p, discordant pairs."""
    return {
        "difference, points": format_difference(c.difference, c.low, c.high, unit=""),
        "p": format_p(c.p).removeprefix("= "),
        "discordant": f"{c.only_first} : {c.only_second} of {c.n}",
    }


def comparison_table(comparisons: Mapping[str, Comparison]) -> pd.DataFrame:
    """One row per paired comparison, with the verdict in words and the test that gave it."""
    rows = [
        {"comparison": name, "verdict": verdict(c)} | comparison_cells(c) | {"test": c.test}
        for name, c in comparisons.items()
    ]
    return pd.DataFrame(rows or [{"comparison": "none in this run"}])


def by_kind(outcomes: Mapping[str, np.ndarray], problems: Sequence[Problem], kinds: Sequence[str]) -> pd.DataFrame:
    """Accuracy of each student within each language, difficulty or family (`kinds` are fields of a problem)."""
    rows = []
    for kind in kinds:
        for value in sorted({getattr(p, kind) for p in problems}):
            chosen = np.array([getattr(p, kind) == value for p in problems])
            accuracies = {name: str(rate(matrix[:, chosen])) for name, matrix in outcomes.items()}
            rows.append({"kind": kind, "value": value, "problems": int(chosen.sum())} | accuracies)
    return pd.DataFrame(rows)


def variant_table(variants: Sequence[Variant], graded: Mapping[str, Graded], reference: np.ndarray) -> pd.DataFrame:
    """One row per ablated student, compared pairwise with the distilled student of its seed.

    `reference` holds the distilled students' outcomes, shape (seeds, problems).
    """
    rows = []
    for variant in variants:
        own = graded[variant.stage.label]
        comparison = compare(reference[variant.seed], own.correct[:, 0])
        rows.append(
            {
                "student": variant.name,
                "accuracy": str(rate(own.correct[:, 0])),
                "against distilled": verdict(comparison),
                **comparison_cells(comparison),
                "mean output tokens": f"{own.mean_tokens:.1f}",
                "training examples": len(variant.stage.examples),
                "seed": variant.seed,
            }
        )
    return pd.DataFrame(rows)


def ceiling_table(
    variants: Sequence[Variant], graded: Mapping[str, Graded], teachers: Mapping[str, Sequence[bool]]
) -> pd.DataFrame:
    """Student against its own teacher on the same held-out problems, with a verdict on the claimed ceiling."""
    rows = []
    for variant in variants:
        taught, own = np.array(teachers[variant.stage.label]), graded[variant.stage.label].correct[:, 0]
        comparison = compare(taught, own)
        outcome = verdict(comparison)
        if comparison.distinguishable:
            outcome = "student surpasses its teacher" if comparison.difference > 0 else "student stays below"
        rows.append(
            {
                "teacher's errors": variant.group,
                "wrong thoughts": "rejected" if variant.rejection else "kept",
                "teacher": str(rate(taught)),
                "student": str(rate(own)),
                "verdict": outcome,
                **comparison_cells(comparison),
                "thoughts": len(variant.stage.examples),
                "seed": variant.seed,
            }
        )
    return pd.DataFrame(rows)


def ceiling_series(
    variants: Sequence[Variant], graded: Mapping[str, Graded], teachers: Mapping[str, Sequence[bool]]
) -> dict[str, list[tuple[float, Rate]]]:
    """Student accuracy against measured teacher accuracy (percent), a series per kind of error and rejection."""
    series: dict[str, list[tuple[float, Rate]]] = {}
    for variant in variants:
        name = f"{variant.group} errors, wrong " + ("rejected" if variant.rejection else "kept")
        point = (100 * rate(teachers[variant.stage.label]).value, rate(graded[variant.stage.label].correct[:, 0]))
        series.setdefault(name, []).append(point)
    return series


def samples_table(graded: Mapping[str, Graded]) -> pd.DataFrame:
    """Accuracy of one answer over all samples, with problems as the unit of the interval, and its failures."""
    rows = []
    for name, g in graded.items():
        low, high = clustered_interval(g.correct.mean(axis=1))
        k, n = int(g.correct.sum()), g.correct.size
        rows.append(
            {
                "student": name,
                "problems": len(g.problems),
                "samples each": g.correct.shape[1],
                "accuracy of one answer": str(Rate(k, n, low, high)),
                "mean output tokens": f"{g.mean_tokens:.1f}",
                "truncated": f"{int(g.truncated.sum())}/{n}",
                "no answer": f"{int(g.no_answer.sum())}/{n}",
                "undecided": f"{int(g.undecided.sum())}/{n}",
            }
        )
    return pd.DataFrame(rows)


def points_table(points: Sequence[Point]) -> pd.DataFrame:
    """One row per point of a budget curve."""
    return pd.DataFrame(
        [
            {
                "student": p.label,
                "budget": p.budget,
                "mean output tokens": f"{p.tokens:.1f}",
                "accuracy": str(expected_rate(p)),
                "cut off": f"{p.truncated}/{p.answers}" if p.answers else "",
            }
            for p in points
        ]
    )


def expected_rate(point: Point) -> Rate | Expected:
    """A point as a rate with its own interval: a count where each problem is right or wrong, else an expectation.

    maj@k is a chance for every problem, so its sum over problems is no whole number and is not rounded to one.
    """
    n, right = len(point.per_problem), float(point.accuracy * len(point.per_problem))
    if np.isin(point.per_problem, (0, 1)).all():
        return Rate(round(right), n, point.low, point.high)
    return Expected(right, n, point.low, point.high)


def problem_table(problems: Sequence[Problem]) -> pd.DataFrame:
    """Problems with their gold answers and the split that their numbers put them in."""
    return pd.DataFrame(
        [
            {"split": p.split, "language": p.language, "difficulty": p.difficulty, "problem": p.text, "gold": p.gold}
            for p in problems
        ]
    )


def variant_series(
    variants: Sequence[Variant], graded: Mapping[str, Graded], group: str, reference: np.ndarray, s: Settings
) -> dict[str, list[tuple[float, Rate]]]:
    """Accuracy against the changed value, first seed, with the unchanged distilled student as the last point."""
    full, scale = {"size": (float(s.thoughts), 1.0), "reflection": (100 * s.teacher.reflection, 100.0)}[group]
    points = [
        (v.value * scale, rate(graded[v.stage.label].correct[:, 0]))
        for v in variants
        if v.group == group and v.seed == 0
    ]
    return {"distilled on": [*points, (full, rate(reference[0]))]}


def ceiling_findings(
    variants: Sequence[Variant], graded: Mapping[str, Graded], teachers: Mapping[str, Sequence[bool]]
) -> dict[str, str]:
    """One sentence per kind of error on whether the ceiling held, made from the tests."""
    found = {}
    rows = ceiling_table([v for v in variants if v.value < 1], graded, teachers).to_dict("records")
    for group in ("random", "systematic"):
        parts = []
        for kept in ("kept", "rejected"):
            verdicts = [r["verdict"] for r in rows if r["teacher's errors"] == group and r["wrong thoughts"] == kept]
            if not verdicts:
                continue
            above = verdicts.count("student surpasses its teacher")
            below = verdicts.count("student stays below")
            parts.append(
                f"with wrong thoughts {kept}, {above} of {len(verdicts)} students surpass their teacher, {below} stay "
                f"below, {len(verdicts) - above - below} are not distinguishable from it"
            )
        found[f"ceiling_{group}"] = "; ".join(parts) or "not tried in this run"
    return found


def result_name(label: str) -> str:
    """A label as part of the name of a published result: lower case letters, digits and underscores."""
    return re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_")


def matched_rows(curves: Mapping[str, Sequence[Point]]) -> list[dict[str, str]]:
    """Every pair of students at the smallest and at the largest budget that both of them reached."""
    rows = []
    names = list(curves)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            a, b = curves[first], curves[second]
            low = max(min(p.tokens for p in a), min(p.tokens for p in b))
            high = min(max(p.tokens for p in a), max(p.tokens for p in b))
            pair = {"first": first, "second": second}
            if low > high:
                rows.append(pair | {"mean output tokens": "none", "second minus first": "no budget reached by both"})
                continue
            for tokens in dict.fromkeys((low, high)):
                c = compare(at_budget(a, tokens), at_budget(b, tokens))
                rows.append(pair | {"mean output tokens": f"{tokens:.1f}", "second minus first": str(c)})
    return rows


def matched_table(curves: Mapping[str, Sequence[Point]]) -> pd.DataFrame:
    """`matched_rows` for a reader."""
    return pd.DataFrame(matched_rows(curves) or [{"students": "only one, so there is nothing to compare"}])


def scaling_findings(curves: Mapping[str, Sequence[Point]]) -> dict[str, str]:
    """Sentences on what voting added and how students compare at one budget, made from the tests."""
    parts = []
    for name, points in curves.items():
        first, last = points[0], points[-1]
        if first is last:
            parts.append(f"{name}: {expected_rate(first)} with one answer (no votes were drawn)")
        else:
            change = compare(first.per_problem, last.per_problem)
            start, end = expected_rate(first), expected_rate(last)
            parts.append(f"{name}: from {start} with one answer to {end} with {last.budget} ({change})")
    found = {"votes_finding": "Votes. " + "; ".join(parts) + "."}
    for key, budget in (("one", 0), ("vote", -1)):
        for name, points in curves.items():
            found[f"{result_name(name)}_{key}"] = str(expected_rate(points[budget]))
    matched = [
        f"distilled minus control at {row['mean output tokens']} tokens: {row['second minus first']}"
        for row in matched_rows(curves)
        if (row["first"], row["second"]) == ("control", "distilled")
    ]
    found["matched_finding"] = "Matched budgets. " + ("; ".join(matched) or "This run has no two students to compare.")
    return found


_NOT_FORCED = "left out of this run (forced_caps and forced_waits ask for it, and force_file for a file of problems)"


def forced_table(forced: Forced | None) -> pd.DataFrame:
    """One row per way to spend a budget, each compared with the answers as they end, paired by problem."""
    if forced is None:
        return pd.DataFrame([{"forced budgets": _NOT_FORCED}])
    free = forced.free
    ways = {f"cut at {cap}": cut_at(free, cap) for cap in forced.closed}
    ways |= {f"answer forced at {cap}": own for cap, own in forced.closed.items()}
    ways |= {f"wait {times_word(n)}": own for n, own in forced.waited.items()}
    rows = []
    for name, g in {"as it ends": free, **ways}.items():
        n = g.correct.size
        row = {
            "answers": name,
            "accuracy": str(rate(g.correct[:, 0])),
            "mean output tokens": f"{g.mean_tokens:.1f}",
            "truncated": f"{int(g.truncated.sum())}/{n}",
            "no answer": f"{int(g.no_answer.sum())}/{n}",
        }
        if g is not free:
            c = compare(free.correct[:, 0], g.correct[:, 0])
            row |= {"against as it ends": verdict(c), **comparison_cells(c)}
        rows.append(row)
    return pd.DataFrame(rows).fillna("")


def forced_against_cuts(forced: Forced | None) -> dict[str, Comparison]:
    """Each forced answer minus cutting off later, at as many tokens on average or slightly more."""
    found: dict[str, Comparison] = {}
    if forced is None:
        return found
    for cap, own in forced.closed.items():
        same, cut = cut_to_cost(forced.free, own.mean_tokens)
        name = f"forced at {cap} ({own.mean_tokens:.1f} tokens) minus cut at {same} ({cut.mean_tokens:.1f} tokens)"
        found[name] = compare(cut.correct[:, 0], own.correct[:, 0])
    return found


def forced_findings(forced: Forced | None) -> dict[str, str]:
    """Sentences on what forcing an answer and making a thought go on did, made from the tests."""
    capped, waited = f"Forced answers were {_NOT_FORCED}.", f"Going on was {_NOT_FORCED}."
    if forced and forced.closed:
        tests = forced_against_cuts(forced)
        parts = [f"{name}: {c}" for name, c in tests.items()]
        capped = f"Forced answers, at equal cost. {_tally(list(tests.values()))}: {'; '.join(parts)}."
    if forced and forced.waited:
        compared = {n: compare(forced.free.correct[:, 0], g.correct[:, 0]) for n, g in forced.waited.items()}
        parts = [f"as it ends: {rate(forced.free.correct[:, 0])} at {forced.free.mean_tokens:.1f} tokens"]
        parts += [
            f"after wait {times_word(n)}: {rate(g.correct[:, 0])} at {g.mean_tokens:.1f} tokens ({compared[n]})"
            for n, g in forced.waited.items()
        ]
        waited = f"Going on, against ending by itself. {_tally(list(compared.values()))}: {'; '.join(parts)}."
    return {"forced_cap_finding": capped, "forced_wait_finding": waited}


def _tally(comparisons: Sequence[Comparison]) -> str:
    """How often what is compared came out better, worse, or neither."""
    better = sum(c.distinguishable and c.difference > 0 for c in comparisons)
    worse = sum(c.distinguishable and c.difference < 0 for c in comparisons)
    open_ = len(comparisons) - better - worse
    return f"Better in {better}, worse in {worse}, not distinguishable in {open_} of {len(comparisons)} tests"


def reported_table1() -> pd.DataFrame:
    """Table 1 of the report, as reported, with the Wilson interval that its own counts allow."""
    rows = []
    with files("longthought").joinpath("data/report_table1.csv").open(encoding="utf-8") as source:
        for row in csv.DictReader(source):
            n = int(row["n"])
            k = float(row["k"]) if row["k"] else float(row["percent"]) * n / 100
            interval = wilson(round(k), n)
            note = "" if abs(k - round(k)) < 1e-9 else f" for {round(k)}/{n}: the rate is no whole number of answers"
            rows.append(
                {
                    "model": row["model"],
                    "benchmark": row["benchmark"],
                    "accuracy (reported)": f"{row['k']}/{n}" if row["k"] else f"{row['percent']}%",
                    "95% interval (computed here)": format_interval(interval.low, interval.high) + note,
                    "mean output tokens (reported)": row["mean_tokens"],
                    "source": row["source"],
                }
            )
    return pd.DataFrame(rows)
