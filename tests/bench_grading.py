"""Our grader beside Math-Verify on the same rows in one run: speed, and every verdict on which they differ.

The rows are the tables of data/grading_cases.json in the library, whose verdicts were written by hand, so that "who is
right" is looked up and not argued. With `--math500 FILE` the gold answers of that file are paired as well: each with
itself in three spellings, and with another gold of the same file. `--record` writes Math-Verify's verdicts on the case
table where the book reads them.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Callable, Sequence
from datetime import date
from importlib.resources import files
from pathlib import Path

from longthought.audit import record_math_verify
from longthought.grading import grade
from longthought.grading.answers import read

WORDS = re.compile(r"\d+|[a-zA-Z]+")
CASES = files("longthought") / "data/grading_cases.json"
Row = tuple[str, str, bool | None]  # gold, boxed answer, whether they are equal (None where people may differ)


def own_rows() -> list[Row]:
    """The answers of the case table."""
    table = json.loads(CASES.read_text(encoding="utf-8"))["answers"]
    verdicts = {"correct": True, "wrong": False, "undecided": None}
    return [(row[0], row[1], verdicts[row[2]]) for rows in table.values() for row in rows]


def gold_rows(golds: Sequence[str]) -> list[Row]:
    """Golds against other spellings of themselves and against the next different gold."""
    rows: list[Row] = []
    for i, gold in enumerate(golds):
        others = (g for g in golds[i + 1 :] + golds[:i] if not set(WORDS.findall(g)) & set(WORDS.findall(gold)))
        other = next(others, "0")
        rows += [
            (gold, gold, True),
            (gold, gold.replace("\\frac", "\\dfrac").replace(", ", ","), True),
            (gold, f"\\displaystyle {gold} ", True),
            (gold, other, False),
        ]
    return rows


def number_rows(count: int = 2000) -> list[Row]:
    """Plain-number answers, the common case: half of them right."""
    return [(str(i * 7 % 1000), str(i * 7 % 1000 + i % 2), i % 2 == 0) for i in range(count)]


def timed(rows: Sequence[Row], verdict: Callable[[str, str], bool]) -> tuple[float, list[bool]]:
    """Rows per second, and the verdicts."""
    start = time.perf_counter()
    found = [verdict(gold, f"So the final answer is $\\boxed{{{answer}}}$.") for gold, answer, _ in rows]
    return len(rows) / (time.perf_counter() - start), found


def ours(gold: str, completion: str) -> bool:
    """Our verdict, with no memory of earlier answers."""
    read.cache_clear()
    return grade(gold, completion).correct


def theirs(gold: str, completion: str) -> bool:
    """Math-Verify with its default settings, the gold between dollar signs as its documentation asks."""
    from math_verify import parse, verify

    return bool(verify(parse(f"${gold}$"), parse(completion)))


def report(math500: str = "") -> None:
    """Print the ratios and the disagreements."""
    try:
        import math_verify  # noqa: F401
    except ImportError:
        print("grading: Math-Verify is not installed (pip install math-verify==0.9.0), so only ours is timed")
        for name, rows in {"plain numbers": number_rows(), "case table": own_rows()}.items():
            print(f"  {name}: {timed(rows, ours)[0]:.0f} rows/s")
        return
    sets = {"plain numbers": number_rows(), "case table": own_rows()}
    if math500:
        lines = Path(math500).read_text(encoding="utf-8").splitlines()
        sets["MATH-500 golds"] = gold_rows([json.loads(line)["answer"] for line in lines])
    for name, rows in sets.items():
        (fast, mine), (slow, other) = timed(rows, ours), timed(rows, theirs)
        decided = [i for i, row in enumerate(rows) if row[2] is not None]
        right = [sum(v[i] == rows[i][2] for i in decided) for v in (mine, other)]
        accepts = [sum(v[i] and rows[i][2] is False for i in decided) for v in (mine, other)]
        speed = f"ours {fast:.0f}/s, Math-Verify {slow:.0f}/s, x{fast / slow:.1f}"
        quality = f"right {right[0]}/{len(decided)} against {right[1]}/{len(decided)}"
        print(f"grading, {name}, {len(rows)} rows: {speed}; {quality}, false accepts {accepts[0]} against {accepts[1]}")
        for i in decided:
            if mine[i] != other[i]:
                who = "ours" if mine[i] == rows[i][2] else "Math-Verify"
                print(f"    gold {rows[i][0]!r}, answer {rows[i][1]!r}: {who} is right")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--math500", default="", help="a JSONL file with an answer per row")
    parser.add_argument("--record", action="store_true", help="write lib/longthought/data/math_verify.csv instead")
    asked = parser.parse_args()
    if asked.record:
        record_math_verify(Path(str(files("longthought"))) / "data" / "math_verify.csv", date.today().isoformat())
    else:
        report(asked.math500)
