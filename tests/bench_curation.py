"""Curation beside the same rules in plain pandas, on rows of realistic length made by a seeded generator, in one run.

`python tests/bench_curation.py [ROWS]` (860,000 rows, as many as NuminaMath-CoT has, unless told otherwise). Sources
are mixed as there; a quarter of the problems is Chinese, a tenth of the rows repeats an earlier one, half of them with
a word changed, and some lines are broken. Both ways run in a process of their own, whose memory is summed over all of
its processes; pages that they share count more than once. The pandas version filters rule by rule, with the same
functions and the same detector of duplicates; it holds all rows, and must come to the same counts.
"""

from __future__ import annotations

import json
import math
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

ROWS = 860_000
SEED = 20_240_701
SOURCES = {
    "cn_k12": 276, "synthetic_math": 168, "orca_math": 153, "olympiads": 150, "synthetic_amc": 62, "aops_forum": 30,
    "math": 8, "gsm8k": 7, "amc_aime": 4,
}  # fmt: skip
WORDS = (
    "number integer positive circle triangle point line sum product value distinct real sequence function angle side "
    "area prime digits points equal greater smaller between every each contains exactly passes through centre radius "
    "tangent chord polynomial root coefficient divides remainder square cube even odd train hours speed water tank "
    "boxes marbles red blue green chosen random probability arrangement seats around table players game turns wins"
)
LETTERS = (
    "已知数列函数三角形圆整数正实数满足条件任意最大最小值面积角边长中点直线方程概率取出红球白球甲乙丙小时速度水池工程"
)
FORMULAS = (
    r"$\frac{%d}{%d}$", r"$x^2-%dx+%d=0$", r"$a_{n+1}=%da_n+%d$", r"$\sqrt{%d}+%d$", r"$\angle ABC=%d^\circ, AB=%d$",
    r"$f(x)=%dx+%d$", r"$\binom{%d}{%d}$", r"$n\equiv %d\pmod{%d}$", r"$(%d, %d)$", r"$%d\cdot %d$",
)  # fmt: skip

_WORDS = WORDS.split()


def _prose(rng: random.Random, length: int, chinese: bool) -> str:
    """Words and formulas of about so many characters."""
    parts: list[str] = []
    size = 0
    while size < length:
        if chinese:
            part = "".join(rng.choices(LETTERS, k=24)) + "，"
        else:
            part = " ".join(rng.choices(_WORDS, k=9)).capitalize() + ". "
        part += rng.choice(FORMULAS) % (rng.randint(2, 999), rng.randint(2, 99)) + " "
        parts.append(part)
        size += len(part)
    return "".join(parts)


def _row(rng: random.Random) -> dict[str, str]:
    chinese = rng.random() < 0.25
    problem = _prose(rng, int(rng.lognormvariate(math.log(190), 0.6)), chinese)
    solution = _prose(rng, int(rng.lognormvariate(math.log(1050), 0.65)), chinese)
    kind, answer = rng.random(), str(rng.randint(0, 9999))
    if kind < 0.06:
        problem += "如图，求阴影部分的面积。" if chinese else "Find the area of the shaded region in the figure below."
    elif kind < 0.16:
        problem += "证明结论成立。" if chinese else "Prove that the two lengths are equal."
    elif kind < 0.24:
        problem += "（1）求第一项；（2）求公差。" if chinese else "(a) Find the first term. (b) Find the difference."
    else:
        problem += "求最大值。" if chinese else "What is the largest possible value?"
    if kind > 0.70:
        others = (
            rf"\frac{{{answer}}}{{7}}",
            rf"{answer}\sqrt{{3}}",
            f"({answer}, 2)",
            "x>2",
            "2x+1",
            r"\text{Yes}",
            "B",
        )
        answer = rng.choice(others)
    label = "" if 0.06 < kind < 0.14 else rf" $\boxed{{{answer}}}$"
    return {
        "source": rng.choices(*zip(*SOURCES.items(), strict=True))[0],
        "problem": problem,
        "solution": solution + label,
    }


def lines(count: int, seed: int = SEED) -> Iterator[str]:
    """Lines of JSON, the same for the same seed; the first n of more lines are the lines of n."""
    rng = random.Random(seed)
    earlier: list[dict[str, str]] = []
    for _ in range(count):
        kind = rng.random()
        if kind < 0.001:
            yield rng.choice(['{"source": "olympiads", "problem": "cut o', "[1, 2]", '{"problem": 7, "solution": ""}'])
            continue
        if kind < 0.1 and earlier:
            row = dict(rng.choice(earlier))
            if kind < 0.05:
                row["problem"] = row["problem"].replace("passes", "goes", 1).replace("满足", "适合", 1)
        else:
            row = _row(rng)
            if len(earlier) < 20_000:
                earlier.append(row)
            elif rng.random() < 0.05:
                earlier[rng.randrange(20_000)] = row
        yield json.dumps(row, ensure_ascii=False)


# --- the two ways, each in a process of its own ---


def ours(path: Path, out: Path) -> dict[str, int]:
    """`longthought curate` without the table."""
    from longthought.curation.curate import curate_files
    from longthought.curation.rules import Rules

    summary, _ = curate_files([str(path)], out, Rules.read())
    return {"broken": summary.broken} | summary.dropped | {"kept": summary.kept}


def plain_pandas(path: Path, out: Path) -> dict[str, int]:
    """The same rules as a notebook would have them: a frame that is filtered rule by rule, and written."""
    import pandas as pd

    from longthought.curation.duplicates import Duplicates
    from longthought.curation.rules import Case, Rules, language

    rules = Rules.read()
    rows, counts = [], {"broken": 0}
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            try:
                row = json.loads(line)
                rows.append((row["source"], row["problem"] + "", row["solution"] + ""))
            except (ValueError, TypeError, KeyError):
                counts["broken"] += 1
    frame = pd.DataFrame(rows, columns=["source", "problem", "solution"])
    frame["case"] = [
        Case(p, s, o) for o, p, s in zip(frame["source"], frame["problem"], frame["solution"], strict=True)
    ]
    for name, check in rules.checks.items():
        fires = frame["case"].map(check) != ""
        counts[name] = int(fires.sum())
        frame = frame[~fires]
    kinds = pd.Series([m.kind if m else "" for m in Duplicates(rules.threshold).check_many(list(frame["problem"]))])
    for kind in ("exact", "near"):
        counts[f"{kind}_duplicate"] = int((kinds == kind).sum())
    frame = frame[(kinds == "").to_numpy()]
    frame = frame.assign(answer=[c.answer for c in frame["case"]], language=frame["problem"].map(language))
    out.mkdir()
    frame.drop(columns="case").to_json(out / "kept.jsonl", orient="records", lines=True, force_ascii=False)
    return counts | {"kept": len(frame)}


def _watched(way: str, path: Path, out: Path) -> tuple[float, float, float, dict[str, int]]:
    """Of one way: seconds, seconds of computing and peak memory in GB of all its processes together, and the counts."""
    started, before = time.perf_counter(), _computed()
    child = psutil.Popen([sys.executable, __file__, way, str(path), str(out)], stdout=subprocess.PIPE, text=True)
    peak = 0
    while child.poll() is None:
        total = 0
        for process in [child, *_children(child)]:
            try:
                total += process.memory_info().rss
            except psutil.Error:
                continue
        peak = max(peak, total)
        time.sleep(0.1)
    seconds = time.perf_counter() - started
    printed, _ = child.communicate()
    if child.returncode:
        raise SystemExit(f"{way} failed")
    return seconds, _computed() - before, peak / 1e9, json.loads(printed)


def _computed() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.Error:
        return []


def main(rows: int = ROWS) -> None:
    """Print both ways side by side."""
    from rich.console import Console
    from rich.table import Table

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        with path.open("w", encoding="utf-8") as stream:
            stream.writelines(line + "\n" for line in lines(rows))
        results = {way: _watched(way, path, Path(folder) / way) for way in ("ours", "pandas")}
        size = path.stat().st_size / 1e9
    table = Table(title=f"curation of {rows:,} rows ({size:.2f} GB), {cores} cores", title_justify="left")
    headings = ("way", "seconds", "rows/s", "CPU s", "rows per CPU s", "peak memory, GB", "speed against pandas")
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "way" else "right")
    slow = results["pandas"][0]
    for way, (seconds, computed, peak, _) in results.items():
        cells = (f"{seconds:.1f}", f"{rows / seconds:,.0f}", f"{computed:.1f}", f"{rows / computed:,.0f}")
        table.add_row(way, *cells, f"{peak:.2f}", f"{slow / seconds:.2f}")
    console = Console(width=120)
    console.print(table)
    same = results["ours"][-1] == results["pandas"][-1]
    console.print(f"counts {'agree' if same else 'DIFFER'}: {results['ours'][-1]}", soft_wrap=True, highlight=False)
    if not same:
        raise SystemExit(f"pandas came to {results['pandas'][-1]}")


if __name__ == "__main__":
    if sys.argv[1:2] in (["ours"], ["pandas"]):
        way = ours if sys.argv[1] == "ours" else plain_pandas
        print(json.dumps(way(Path(sys.argv[2]), Path(sys.argv[3]))))
    else:
        main(int(sys.argv[1].replace(",", "").replace("_", "")) if sys.argv[1:] else ROWS)
