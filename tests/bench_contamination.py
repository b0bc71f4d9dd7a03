"""How fast duplicates and contamination are looked for, and that the time grows with the number of texts alone.

    python tests/bench_contamination.py [ROWS] [BENCHMARK.jsonl]

prints, for a quarter, a half and all of ROWS synthetic problems of about 250 characters (100,000 unless told), seconds,
texts per second of CPU time and the growth in memory of both detectors, each size in a process of its own, and the
share of planted copies that were found among them. Without a file the benchmark is the project's own translated
problems.
"""

import json
import multiprocessing
import random
import resource
import sys
import time
from pathlib import Path

from longthought.curation.contamination import Benchmarks, Item, read_benchmark
from longthought.curation.duplicates import Duplicates
from longthought.curation.planted import plant, translated_problems
from longthought.statistics import wilson

LENGTH = 250
COPIES = 0.05
BATCH = 4096


def benchmark(file: str | None) -> list[Item]:
    """The problems to keep out."""
    if file:
        return read_benchmark(file)[1]
    return [Item(row["id"], row["en"]) for row in translated_problems()]


def synthetic(items: list[Item], rows: int) -> list[str]:
    """Texts of the benchmark's plain words in random order, with formulas that are made up."""
    rng = random.Random("synthetic")
    words = [word for item in items for word in item.text.split() if word.strip(".,?").isalpha()]
    texts = []
    for _ in range(rows):
        chosen: list[str] = []
        size = 0
        while size < LENGTH:
            a, b, c = (rng.randrange(1, 1000) for _ in range(3))
            formulas = (f"$x^{{{a % 9}}} + {b}x = {c}$", f"$\\frac{{{a}}}{{{b}}}$", f"${a}$", f"$f({a}) \\leq {b}$")
            chosen.append(rng.choice(words) if rng.random() < 0.85 else rng.choice(formulas))
            size += len(chosen[-1]) + 1
        texts.append(" ".join(chosen))
    return texts


def look_for(what: str, file: str | None, rows: int) -> dict[str, float]:
    """Seconds and peak memory for one detector on so many rows, a twentieth of which are copies."""
    items = benchmark(file)
    texts = synthetic(items, rows - int(rows * COPIES))
    rng = random.Random("copies")
    if what == "duplicates":
        copies = [rng.choice(texts).replace("$", "$ ") for _ in range(rows - len(texts))]
    else:
        pool = [copy.text for copy in plant(items) if copy.kind in ("verbatim", "LaTeX-edited")]
        copies = [rng.choice(pool) for _ in range(rows - len(texts))]
    everything = texts + copies
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started, worked = time.perf_counter(), time.process_time()
    detector = Duplicates() if what == "duplicates" else Benchmarks({"benchmark": items})
    found = []
    for at in range(0, rows, BATCH):
        found += [bool(answer) for answer in detector.check_many(everything[at : at + BATCH])]
    seconds, worked = time.perf_counter() - started, time.process_time() - worked
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "rows": rows,
        "seconds": round(seconds, 2),
        "CPU seconds": round(worked, 2),
        "per CPU second": round(rows / worked),
        "more memory, MB": round((after - before) / 1000),
        "copies found": str(wilson(sum(found[len(texts) :]), len(copies))),
        "others found": str(wilson(sum(found[: len(texts)]), len(texts))),
    }


def main(rows: int = 100_000, file: str | None = None) -> None:
    """Print one line of JSON per detector and size."""
    print(
        json.dumps({"benchmark": Path(file).name if file else "translated_problems", "problems": len(benchmark(file))})
    )
    fresh = multiprocessing.get_context("spawn")
    for what in ("duplicates", "contamination"):
        for size in (rows // 4, rows // 2, rows):
            with fresh.Pool(1) as pool:
                print(json.dumps({"detector": what, **pool.apply(look_for, (what, file, size))}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 100_000, sys.argv[2] if sys.argv[2:] else None)
