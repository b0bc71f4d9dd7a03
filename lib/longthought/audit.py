"""How well the grader grades: its verdicts measured, on examples whose truth is known beforehand.

Three measurements. The case table (`data/grading_cases.json`) was written by hand, verdict by verdict. The generated
set (`generated_pairs`) spells random numbers, intervals and polynomials in many ways, so that the truth of a pair
follows from how it was made. The bugs of other graders (`data/grader_bugs.csv`), each with its source, are graded by
ours. A fourth table sets the verdicts of another grader, Math-Verify, beside ours: recorded in `data/math_verify.csv`,
or asked anew where that package is installed. `python tests/bench_grading.py --record` makes the recording again.

Table and generator come from the same people as the grader, so the rates found here are hopes, not guarantees.
"""

from __future__ import annotations

import csv
import importlib.metadata
import io
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd

from longthought.errors import UserError
from longthought.grading import grade
from longthought.statistics import Rate, wilson

# (rule, gold, answer): each is graded on the page. The rules are those of `grading.answers`.
POLICY = (
    ("Numbers are compared exactly, never within a tolerance", "10000", "10001"),
    ("However many digits agree, a root is not its decimal", "\\sqrt{2}", "1.41421356237309504880"),
    ("The form of an answer is not graded", "\\frac{1}{2}", "\\frac{2}{4}"),
    ("... nor whether a formula is expanded", "x^2+2x+1", "(x+1)^2"),
    ("A decimal gold accepts what rounds to it at its own places", "0.33", "\\frac{1}{3}"),
    ("... and a fraction for a gold does not accept a decimal near it", "\\frac{1}{3}", "0.33"),
    ("A mixed number is a sum", "\\frac{7}{2}", "3\\frac{1}{2}"),
    ("Brackets matter", "(3,4]", "[3,4)"),
    ("A set has no order", "\\{1,2\\}", "\\{2,1\\}"),
    ("... a pair has", "(1,2)", "(2,1)"),
    ("A unit on one side only is ignored", "12\\text{ cm}", "12"),
    ("Units on both sides must agree", "12\\text{ cm}", "12\\text{ m}"),
    ("... or convert", "2\\text{ hours}", "120\\text{ minutes}"),
    ("Percent may be written as a fraction", "\\frac{1}{4}", "25\\%"),
    ("... but a bare number is never multiplied by a hundred", "0.25", "25"),
    ("A name before the answer is left out", "5", "x = 5"),
    ("An equation is not its right side", "0", "2x+5y-9=0"),
    ("A number in a base is its digits and its base", "73_8", "73_9"),
    ("What is not understood is undecided", "42", "\\foo{42}"),
)

# (rule, gold, completion, whether the marker fallback is on)
EXTRACTION = (
    ("The last complete box counts", "70", "First \\boxed{12}. Wait, that is wrong. Again: \\boxed{70}", False),
    ("Later numbers do not", "49", "Thus \\boxed{7}, because 7*7 = 49", False),
    ("A box that the token limit cut off is no box", "42", "So the answer is \\boxed{42", False),
    ("An empty box is skipped", "42", "\\boxed{42} \\boxed{ }", False),
    ("A box inside a thought is a thought", "42", "<think>maybe \\boxed{42}</think> I do not know.", False),
    ("An unfinished thought holds no answer", "42", "<think>so it must be \\boxed{42}", False),
    ("The last number of a text is never taken for its answer", "42", "I compute 6*7 = 42", False),
    ("A marker does not count unless asked for", "42", "答案是 42。", False),
    ("... with the fallback it does, and the reason says so", "42", "答案是 42。", True),
    ("Boxes are never joined to a set", "12,70", "Either \\boxed{12} or \\boxed{70}", False),
    ("What was written is data, and is never run", "42", '\\boxed{__import__("os").getpid()}', False),
)


@dataclass(frozen=True)
class Case:
    """One row of the case table: `verdict` is the one written by hand."""

    kind: str
    gold: str
    completion: str
    verdict: str
    answer: str = ""
    fallback: bool = False

    @property
    def shown(self) -> str:
        """The boxed answer, or the whole completion where that is the subject."""
        return self.answer or self.completion


@dataclass(frozen=True)
class Judged:
    """The truth about an answer (None where people may differ), and a grader's verdict on it."""

    kind: str
    equal: bool | None
    verdict: str


@dataclass(frozen=True)
class Errors:
    """What a grader did on many answers, each a count with its interval; None where there was nothing to count."""

    rows: int
    right: Rate | None
    false_accepts: Rate | None
    false_rejects: Rate | None
    undecided: Rate


def boxed(answer: str) -> str:
    """A completion that ends with `answer` in a box."""
    return f"So the final answer is $\\boxed{{{answer}}}$."


@cache
def case_table() -> tuple[Case, ...]:
    """Every row of the case table."""
    table = json.loads((files("longthought") / "data/grading_cases.json").read_text(encoding="utf-8"))
    rows = [
        Case(kind, gold, boxed(answer), verdict, answer)
        for kind, answers in table["answers"].items()
        for gold, answer, verdict in answers
    ]
    rows += [
        Case("extraction", row["gold"], row["completion"], row["verdict"], fallback=row["fallback"])
        for row in table["completions"]
    ]
    return tuple(rows)


def judge_cases() -> list[Judged]:
    """The case table, graded."""
    truth = {"correct": True, "wrong": False, "no_answer": False, "undecided": None}
    return [
        Judged(case.kind, truth[case.verdict], grade(case.gold, case.completion, fallback=case.fallback).verdict)
        for case in case_table()
    ]


def judge_examination() -> list[Judged]:
    """The examination, graded: cases written against the policy alone; `kind` says how each was written.

    It records whether an answer should be accepted. Undecided counts as not accepted, and is right where it should not.
    """
    judged = []
    for row in _data("grading_examination.csv"):
        accept = row["accept"] == "1"
        verdict = grade(row["gold"], row["completion"], fallback=row["fallback"] == "1").verdict
        open_and_refused = verdict == "undecided" and not accept
        judged.append(Judged(f"written {row['written']}", accept, "wrong" if open_and_refused else verdict))
    return judged


def errors(judged: Sequence[Judged]) -> Errors:
    """The error rates of verdicts whose truth is known.

    A false accept is "correct" for a different answer, a false reject "wrong" or "no_answer" for an equal one.
    "undecided" is right where the truth is open, and neither accept nor reject elsewhere.
    """
    equal = [row for row in judged if row.equal]
    different = [row for row in judged if row.equal is False]
    right = sum(
        (row.verdict == "correct") == row.equal if row.verdict != "undecided" else row.equal is None for row in judged
    )

    def rate(found: int, among: Sequence[Judged]) -> Rate | None:
        return wilson(found, len(among)) if among else None

    return Errors(
        len(judged),
        rate(right, judged),
        rate(sum(row.verdict == "correct" for row in different), different),
        rate(sum(row.verdict in ("wrong", "no_answer") for row in equal), equal),
        wilson(sum(row.verdict == "undecided" for row in judged), len(judged)),
    )


def errors_table(judged: Sequence[Judged]) -> pd.DataFrame:
    """One row per kind, and one for all: how many verdicts are right, and which way the others err."""
    kinds = list(dict.fromkeys(row.kind for row in judged))
    groups = {kind: [row for row in judged if row.kind == kind] for kind in kinds} | {"all": list(judged)}
    rows = []
    for kind, group in groups.items():
        found = errors(group)
        rows.append(
            {
                "kind": kind,
                "false accepts": str(found.false_accepts or "nothing different"),
                "false rejects": str(found.false_rejects or "nothing equal"),
                "right": str(found.right),
                "undecided": f"{found.undecided.k}/{found.undecided.n}",
            }
        )
    return pd.DataFrame(rows)


def findings(judged: Sequence[Judged], name: str) -> dict[str, object]:
    """The rates over all rows, by the names under which the book publishes them."""
    found = errors(judged)
    return {f"{name}_rows": found.rows} | {
        f"{name}_{what}": value
        for what, value in (
            ("right", found.right), ("accepts", found.false_accepts), ("rejects", found.false_rejects),
            ("undecided", found.undecided),
        )
        if value is not None
    }  # fmt: skip


# --- tables of examples ---


def policy_table() -> pd.DataFrame:
    """Every rule of the policy with an example, graded now."""
    rows = []
    for rule, gold, answer in POLICY:
        found = grade(gold, boxed(answer))
        rows.append({"verdict": found.verdict, "gold": gold, "answer": answer, "rule": rule, "why": found.reason})
    return pd.DataFrame(rows)


def extraction_table() -> pd.DataFrame:
    """Every rule of extraction with a completion, graded now."""
    rows = []
    for rule, gold, completion, fallback in EXTRACTION:
        found = grade(gold, completion, fallback=fallback)
        rows.append(
            {
                "verdict": found.verdict,
                "gold": gold,
                "completion (verbatim)": completion,
                "rule": rule,
                "taken out (verbatim)": found.extracted or "nothing",
                "why": found.reason,
            }
        )
    return pd.DataFrame(rows)


def _data(name: str) -> list[dict[str, str]]:
    text = (files("longthought") / "data" / name).read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text)))


@cache
def known_bugs() -> tuple[Mapping[str, str], ...]:
    """The recorded mistakes of other graders: bug, grader, gold, completion, equal (yes or no), there, source."""
    return tuple(_data("grader_bugs.csv"))


def bug_is_absent(row: Mapping[str, str]) -> bool:
    """Whether our verdict is the right one on such an example."""
    return grade(row["gold"], row["completion"]).correct == (row["equal"] == "yes")


def bugs_table() -> pd.DataFrame:
    """The bugs of other graders beside our verdict, made now."""
    return pd.DataFrame(
        [
            {
                "bug": row["bug"],
                "grader": row["grader"],
                "there": row["there"],
                "here": grade(row["gold"], row["completion"]).verdict,
                "gold": row["gold"],
                "completion (verbatim)": row["completion"],
                "equal?": row["equal"],
                "source": row["source"],
            }
            for row in known_bugs()
        ]
    )


# --- pairs whose truth follows from how they were made ---

SQUARE_FREE = (2, 3, 5, 6, 7, 10, 11, 13)


def generated_pairs(pairs: int, seed: int = 0) -> Iterator[tuple[str, str, str, bool]]:
    """(kind, gold, answer, equal): `pairs` of each kind, about half of them equal.

    The two sides are spelled apart, so equal ones seldom look alike; those that differ do so in one small thing. The
    truth is that of the values, which are compared as exact fractions, whatever was meant to differ.
    """
    makers: dict[str, Callable[[random.Random], tuple[str, str, bool]]] = {
        "fractions": _fractions, "surds": _surds, "intervals": _intervals, "sets": _sets, "polynomials": _polynomials,
    }  # fmt: skip
    for kind, make in makers.items():
        rng = random.Random(f"{kind} {seed}")
        for _ in range(pairs):
            yield kind, *make(rng)


def judge_generated(pairs: int, seed: int = 0) -> list[Judged]:
    """The generated set, graded."""
    return [
        Judged(kind, equal, grade(gold, boxed(answer)).verdict)
        for kind, gold, answer, equal in generated_pairs(pairs, seed)
    ]


def generated_examples(count: int, seed: int = 0) -> pd.DataFrame:
    """The first few pairs of each kind, to see what they look like."""
    return pd.DataFrame(
        [
            {
                "kind": kind,
                "equal?": "yes" if equal else "no",
                "verdict": grade(gold, boxed(answer)).verdict,
                "gold": gold,
                "answer": answer,
            }
            for kind, gold, answer, equal in generated_pairs(count, seed)
        ]
    )


def _fraction(rng: random.Random) -> Fraction:
    return Fraction(rng.randint(-400, 400), rng.choice((1, 1, 2, 3, 4, 5, 6, 7, 8, 12, 25, 40, 99)))


def _near(value: Fraction, rng: random.Random) -> Fraction:
    """Another value that a careless reader might take for this one; now and then the same after all."""
    return rng.choice((
        value + Fraction(1, value.denominator), -value, 1 / value if value else value + 1, value * 10, value * 100,
        value + Fraction(1, 10**6), Fraction(round(value * 1000), 1000),
    ))  # fmt: skip


def _exact_spelling(value: Fraction, rng: random.Random) -> str:
    """A way to write a fraction that is neither rounded nor has a unit."""
    top, bottom, times = value.numerator, value.denominator, rng.randint(1, 6)
    sign, size = ("-" if value < 0 else ""), abs(top)
    ways = [
        f"\\frac{{{top * times}}}{{{bottom * times}}}",
        f"{sign}\\dfrac{{{size}}}{{{bottom}}}",
        f"{top * times}/{bottom * times}",
        f"\\frac{{{size * times}}}{{{'-' if value < 0 else ''}{bottom * times}}}",
    ]
    if bottom == 1:
        ways += [str(top), f"{sign}{size}.0", f"{sign}{size:,}", f"{sign}0{size}", f"\\text{{{top}}}"]
    elif size > bottom:
        ways.append(f"{sign}{size // bottom}\\frac{{{size % bottom}}}{{{bottom}}}")
    decimal = _decimal(value)
    return rng.choice([*ways, decimal] if decimal else ways)


def _decimal(value: Fraction) -> str:
    """The finite decimal of a fraction, or its repeating one where the period has one or two digits; "" otherwise."""
    sign, size = ("-" if value < 0 else ""), abs(value)
    for places in range(1, 5):
        if (size * 10**places).denominator == 1:
            digits = f"{int(size * 10**places):0{places + 1}d}"
            return f"{sign}{digits[:-places]}.{digits[-places:]}"
    for period in (1, 2):
        if (size * (10**period - 1)).denominator == 1:
            whole = int(size)
            repeated = int((size - whole) * (10**period - 1))
            return f"{sign}{whole}.\\overline{{{repeated:0{period}d}}}"
    return ""


def _fractions(rng: random.Random) -> tuple[str, str, bool]:
    gold = _fraction(rng)
    other = gold if rng.random() < 0.5 else _near(gold, rng)
    # A decimal gold would also accept what rounds to it, which is policy and not truth.
    return f"\\frac{{{gold.numerator}}}{{{gold.denominator}}}", _exact_spelling(other, rng), gold == other


def _surds(rng: random.Random) -> tuple[str, str, bool]:
    """(a + b sqrt(d)) / c with d free of squares: equal just when a/c, b/c and d are."""
    a, b, c = rng.randint(-30, 30), rng.choice((-1, 1)) * rng.randint(1, 20), rng.randint(1, 9)
    d = rng.choice(SQUARE_FREE)
    gold, other = (a, b, c, d), (a, b, c, d)
    if rng.random() < 0.5:
        other = rng.choice((
            (a + 1, b, c, d), (a, -b, c, d), (a, b, c + 1, d), (a, b, c, rng.choice(SQUARE_FREE)), (-a, b, c, d),
            (b, a or 1, c, d),
        ))  # fmt: skip
    return _surd(*gold, 0, 1), _surd(*other, rng.randrange(5), rng.randint(1, 4)), _parts(*gold) == _parts(*other)


def _parts(a: int, b: int, c: int, d: int) -> tuple[Fraction, Fraction, int]:
    return Fraction(a, c), Fraction(b, c), d


def _surd(a: int, b: int, c: int, d: int, way: int, times: int) -> str:
    inside = b * b * d
    if way == 1:
        return f"\\frac{{{a * times}}}{{{c * times}}}{b * times:+d}\\cdot\\frac{{\\sqrt{{{d}}}}}{{{c * times}}}"
    if way == 2:
        return f"\\frac{{{a}{'-' if b < 0 else '+'}\\sqrt{{{inside}}}}}{{{c}}}"
    if way == 3:  # numerator and denominator times the root
        return f"\\frac{{{b * d}{a:+d}\\sqrt{{{d}}}}}{{{c}\\sqrt{{{d}}}}}"
    if way == 4:
        return f"({b * times}\\sqrt{{{d}}}{a * times:+d})/{c * times}"
    return f"\\frac{{{a * times}{b * times:+d}\\sqrt{{{d}}}}}{{{c * times}}}"


def _intervals(rng: random.Random) -> tuple[str, str, bool]:
    low = _fraction(rng)
    high = low + abs(_fraction(rng)) + 1
    opening, closing = rng.choice("[("), rng.choice("])")
    gold = (opening, low, high, closing)
    other = gold
    if rng.random() < 0.5:
        other = rng.choice((
            ("(" if opening == "[" else "[", low, high, closing), (opening, low, high, ")" if closing == "]" else "]"),
            (opening, low, high + 1, closing), (opening, low - Fraction(1, 3), high, closing),
        ))  # fmt: skip
    same = f"{gold[0]}{_spelled(low)},{_spelled(high)}{gold[3]}"
    left, right = _exact_spelling(other[1], rng), _exact_spelling(other[2], rng)
    return same, f"{other[0]}{left}, {right}{other[3]}", gold == other


def _spelled(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else f"\\frac{{{value.numerator}}}{{{value.denominator}}}"


def _sets(rng: random.Random) -> tuple[str, str, bool]:
    members = list({_fraction(rng) for _ in range(rng.randint(2, 5))})
    other = members.copy()
    rng.shuffle(other)
    if rng.random() < 0.5:
        at = rng.randrange(len(other))
        other = other[:at] + rng.choice(([], [_near(other[at], rng)])) + other[at + 1 :]
    gold = f"\\{{{', '.join(map(_spelled, members))}\\}}"
    answer = f"\\{{{', '.join(_exact_spelling(x, rng) for x in other)}\\}}"
    return gold, answer, set(members) == set(other)


def _polynomials(rng: random.Random) -> tuple[str, str, bool]:
    """k(x - p)(x - q) against its expansion, one coefficient of which may be off by one."""
    k, p, q = rng.randint(1, 5), rng.randint(-9, 9), rng.randint(-9, 9)
    coefficients = [k, -k * (p + q), k * p * q]
    if rng.random() < 0.5:
        coefficients[rng.randrange(3)] += rng.choice((-1, 1))
    a, b, c = coefficients
    factors = f"(x{-p:+d})(x{-q:+d})"
    return f"{k if k > 1 else ''}{factors}", f"{a}x^2{b:+d}x{c:+d}", coefficients == [k, -k * (p + q), k * p * q]


# --- another grader on the same rows ---

OTHER = "Math-Verify"
_FIELDS = ("gold", "completion", "accepted", "version", "date")


def math_verify(gold: str, completion: str) -> bool:
    """Whether Math-Verify accepts, with its default settings and the gold between dollar signs as it asks.

    Its time limit is an alarm, so this works in the main thread only. UserError where the package is missing.
    """
    try:
        from math_verify import parse, verify  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        raise UserError(f"{OTHER} is not installed: pip install math-verify==0.9.0, or use what was recorded") from None
    return bool(verify(parse(f"${gold}$"), parse(completion)))


def record_math_verify(path: Path, date: str) -> None:
    """Ask Math-Verify about every row of the case table that needs no marker, and write its verdicts to `path`."""
    version = importlib.metadata.version("math-verify")
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(_FIELDS)
        for case in _comparable():
            said = "yes" if math_verify(case.gold, case.completion) else "no"
            writer.writerow((case.gold, case.completion, said, version, date))


def _comparable() -> list[Case]:
    """The rows that both graders can be asked about, each once: no marker fallback, and a truth that is decided."""
    rows = {
        (case.gold, case.completion): case for case in case_table() if not case.fallback and case.verdict != "undecided"
    }
    return list(rows.values())


@dataclass(frozen=True)
class Beside:
    """Both graders on the rows of the table that both judged; `left_out` rows are newer than the recording."""

    ours: list[Judged]
    theirs: list[Judged]
    disagreements: pd.DataFrame
    made_by: str
    left_out: int


def beside_math_verify(live: bool = False) -> Beside:
    """Our verdicts, made now, beside Math-Verify's, recorded or (`live`) made now as well."""
    recorded: dict[tuple[str, str], bool] = {}
    if live:
        made_by = f"{OTHER} {_installed_version()}, run with this page"
    else:
        rows = _data("math_verify.csv")
        recorded = {(row["gold"], row["completion"]): row["accepted"] == "yes" for row in rows}
        made_by = f"{OTHER} {rows[0]['version']}, recorded on {rows[0]['date']}"
    cases = [case for case in _comparable() if live or (case.gold, case.completion) in recorded]
    ours, theirs, apart = [], [], []
    for case in cases:
        equal = case.verdict == "correct"
        said = math_verify(case.gold, case.completion) if live else recorded[case.gold, case.completion]
        own = grade(case.gold, case.completion).verdict
        ours.append(Judged(case.kind, equal, own))
        theirs.append(Judged(case.kind, equal, "correct" if said else "wrong"))
        if said != (own == "correct"):
            apart.append(
                {
                    "ours": own,
                    OTHER: "accepts" if said else "rejects",
                    "right": "ours" if (own == "correct") == equal else OTHER,
                    "gold": case.gold,
                    "answer": case.shown,
                    "kind": case.kind,
                }
            )
    columns = ["ours", OTHER, "right", "gold", "answer", "kind"]
    return Beside(ours, theirs, pd.DataFrame(apart, columns=columns), made_by, len(_comparable()) - len(cases))


def _installed_version() -> str:
    try:
        return importlib.metadata.version("math-verify")
    except importlib.metadata.PackageNotFoundError:
        raise UserError(f"{OTHER} is not installed: pip install math-verify==0.9.0, or use what was recorded") from None


def beside_table(beside: Beside) -> pd.DataFrame:
    """Both graders on the same rows, one row each."""
    rows: list[dict[str, Any]] = []
    for name, judged in (("ours", beside.ours), (beside.made_by.partition(",")[0], beside.theirs)):
        found = errors(judged)
        rows.append(
            {
                "grader": name,
                "false accepts": str(found.false_accepts),
                "false rejects": str(found.false_rejects),
                "right": str(found.right),
            }
        )
    return pd.DataFrame(rows)


def beside_findings(beside: Beside) -> dict[str, object]:
    """What the comparison says, by the names under which the book publishes it."""
    apart = beside.disagreements
    mine = int((apart["right"] == "ours").sum())
    accepts, rejects = errors(beside.theirs).false_accepts, errors(beside.theirs).false_rejects
    return {
        "apart": f"{len(apart)} of {len(beside.ours)} rows",
        "apart_ours": f"{mine} of {len(apart)}",
        "made_by": beside.made_by,
        "left_out": f"{beside.left_out} rows",
        "other_accepts": accepts,
        "other_rejects": rejects,
    }
