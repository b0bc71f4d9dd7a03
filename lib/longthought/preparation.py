"""What the chapter on distillation shows of its data's preparation: curation and decontamination, here or on your rows.

The miniature makes its own problems, which need no sifting. So the rules run on the book's labelled rows, where their
errors are known, and on a file where the reader names one; that result is kept among the artifacts, by its content.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from longthought.artifacts import digest, root
from longthought.curation.contamination import STAGES, Benchmarks, read_benchmark
from longthought.curation.curate import (
    Summary,
    curate_files,
    curate_rows,
    labelled_cases,
    measured,
    rule_table,
)
from longthought.curation.rows import Source
from longthought.curation.rules import Rules
from longthought.statistics import wilson

# The parts of the labelled rows, and what each may be read as.
PARTS = {
    "held_back": "rows that the rules were not fitted to when these were first measured",
    "tuned": "rows that the rules were fitted to",
}


def told(training_file: str) -> str:
    """What curation was run on, for a caption."""
    return f"of {Path(training_file).name}" if training_file else "of the book's labelled rows"


def curated(training_file: str) -> Summary:
    """Curation of the file, or of the labelled rows where it is ""."""
    if not training_file:
        return curate_rows(labelled_cases()).summary
    return curate_files([training_file], _folder(training_file), Rules.read())[0]


def _folder(training_file: str) -> Path:
    rules = Rules.read()
    folder = root() / "curated"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / digest([Source.of(training_file).record(), rules.digest])[:24]


def rule_errors(part: str) -> pd.DataFrame:
    """Precision and recall of each rule on one part of the labelled rows, see `PARTS`."""
    cases = [case for case in labelled_cases() if case["part"] == part.replace("_", " ")]
    return rule_table(measured(cases))


def screened(training_file: str, benchmark_file: str) -> pd.DataFrame:
    """What decontamination finds among the rows that curation keeps of the file, by stage."""
    curated(training_file)
    lines = (_folder(training_file) / "kept.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [str(json.loads(line)["problem"]) for line in lines]
    found = Benchmarks(dict([read_benchmark(benchmark_file)])).check_many(texts)
    # A renumbered copy is another problem: it is reported, and no reason to remove the row.
    repeated = sum(bool(own) and own[0].stage != "template" for own in found)
    rows: list[dict[str, Any]] = [{"stage": "any but template", "rows": str(wilson(repeated, len(texts)))}]
    for stage in STAGES:
        count = sum(bool(own) and own[0].stage == stage for own in found)
        rows.append({"stage": stage, "rows": str(wilson(count, len(texts)))})
    return pd.DataFrame(rows)
