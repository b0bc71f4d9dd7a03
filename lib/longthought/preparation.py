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
    NO_ROW,
    Summary,
    curate_files,
    curate_rows,
    first_look,
    labelled_cases,
    measured,
    rule_table,
)
from longthought.curation.rows import Source
from longthought.curation.rules import Rules
from longthought.statistics import wilson


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


def rule_errors() -> pd.DataFrame:
    """Precision and recall of each rule: now on all labelled rows, and at first look on the parts it had not seen.

    Somebody who had not seen the rules wrote the examination; the held-out rows were written after the rules had been
    mended on it. What a first look showed was mended afterwards, so the first looks say more about other rows.
    """
    cases = labelled_cases()
    parts = {name: [case for case in cases if case["part"] == name] for name in ("examination", "held out")}
    looks = {f"all {len(cases)} rows, now": measured(cases)}
    looks |= {f"{name}, first look": first_look(own) for name, own in parts.items()}
    table = pd.concat(rule_table(found).assign(**{"labelled rows": look}) for look, found in looks.items())
    table = table[(table["precision"] != NO_ROW) | (table["recall"] != NO_ROW)]
    order = list(dict.fromkeys(table["rule"]))
    table = table.sort_values("rule", key=lambda rules: rules.map(order.index), kind="stable", ignore_index=True)
    return table[["rule", "labelled rows", "precision", "recall"]]


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
