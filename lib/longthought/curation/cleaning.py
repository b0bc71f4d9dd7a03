"""Files of training data without what benchmarks hold: one pass over the rows, and a record of each that goes.

A folder is written whole or not at all: `clean.jsonl` with the rows that stay, `removed.jsonl` with every row that
went, why and because of which problem, `templates.jsonl` with the renumbered copies that stayed, `broken.jsonl` with
what is no row, and `summary.json`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from longthought import progress
from longthought.curation.contamination import STAGES, Benchmarks, Finding
from longthought.curation.folders import drafted
from longthought.curation.rows import Broken, Source, parsed
from longthought.errors import UserError

_FILES = ("clean", "removed", "templates", "broken")
Row = Mapping[str, Any]


def decontaminate(
    sources: Sequence[str],
    out: Path,
    benchmarks: Benchmarks,
    *,
    field: str = "problem",
    remove_templates: bool = False,
) -> dict[str, Any]:
    """Write the folder `out` (see the module) from the rows of `sources`, and return its summary.

    `field` names where a row holds its problem. Renumbered copies stay, unless `remove_templates`. Raises UserError for
    a source that is no data, a source without a single row with such a field, and a folder that is already in use.
    """
    origins = [Source.of(name) for name in sources]
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UserError(f"{out}: exists already; name a new folder for the result")
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror})") from None
    with drafted(out) as draft:
        summary = _write(origins, draft, benchmarks, field, remove_templates)
        text = json.dumps(summary, indent=2, ensure_ascii=False)
        (draft / "summary.json").write_text(text + "\n", encoding="utf-8")
    return summary


def _write(
    origins: Sequence[Source], folder: Path, benchmarks: Benchmarks, field: str, remove_templates: bool
) -> dict[str, Any]:
    rows: Counter[str] = Counter()
    found: dict[str, Counter[str]] = {name: Counter() for name in benchmarks.counts}
    problems: dict[str, set[str]] = {name: set() for name in benchmarks.counts}
    with ExitStack() as stack:
        files = {
            name: stack.enter_context((folder / f"{name}.jsonl").open("w", encoding="utf-8", errors="backslashreplace"))
            for name in _FILES
        }

        def put(name: str, record: Mapping[str, Any]) -> None:
            files[name].write(json.dumps(record, ensure_ascii=False, default=str) + "\n")
            rows[name] += 1

        for origin in origins:
            usable, first = 0, None
            for batch in _batches(origin, field):
                texts = [row[field] for _, row in batch if not isinstance(row, Broken)]
                usable += len(texts)
                bad = [row for _, row in batch if isinstance(row, Broken)]
                first = first or min(bad, key=lambda row: row.line, default=None)
                findings = iter(benchmarks.check_many(texts))
                for line, row in batch:
                    if isinstance(row, Broken):
                        broken = {"source": origin.name, "line": line, "reason": row.reason, "text": row.text}
                        put("broken", broken)
                        continue
                    own = next(findings)
                    for finding in own:
                        found[finding.benchmark][finding.stage] += 1
                        problems[finding.benchmark].add(finding.id)
                    if not own:
                        put("clean", row)
                    elif own[0].stage == "template" and not remove_templates:
                        put("clean", row)
                        put("templates", _record(origin, line, own))
                    else:
                        put("removed", {**_record(origin, line, own), "row": row})
            if not usable:
                raise UserError(_unusable(origin, first, field))
    return {
        "sources": [origin.record() for origin in origins],
        "rows": {"read": rows["clean"] + rows["removed"] + rows["broken"], **{name: rows[name] for name in _FILES}},
        "removes": [stage for stage in STAGES if stage != "template" or remove_templates],
        "benchmarks": {
            name: {
                "problems": benchmarks.counts[name],
                "problems found": len(problems[name]),
                "rows": {stage: found[name][stage] for stage in STAGES},
            }
            for name in benchmarks.counts
        },
        "limits": asdict(benchmarks.limits),
    }


def _record(origin: Source, line: int, findings: Sequence[Finding]) -> dict[str, Any]:
    first = findings[0]
    return {
        "source": origin.name,
        "line": line,
        "stage": first.stage,
        "score": first.score,
        "benchmarks": {finding.benchmark: finding.id for finding in findings},
        "problem": first.problem,
        "text": first.text,
    }


def _unusable(origin: Source, first: Broken | None, field: str) -> str:
    """Why a source without a usable row is refused; `first` is the first of its broken rows."""
    if first is None:
        return f"{origin.name}: no rows in there"
    if first.reason == _no_text(field):
        return f"{origin.name}: no row has a text in a field {field!r}; name the field with --field problem=NAME"
    return f"{origin.name}, line {first.line}: {first.reason} (no row of the file can be used)"


def _no_text(field: str) -> str:
    return f"no text in field {field!r}"


def _batches(origin: Source, field: str) -> Iterator[list[tuple[int, Row | Broken]]]:
    """The rows of a source with their numbers, a chunk at a time; a row without the field is a broken one."""
    for chunk in origin.chunks():
        batch: list[tuple[int, Row | Broken]] = []
        for line, row in parsed(chunk):
            if not isinstance(row, Broken) and not (isinstance(row.get(field), str) and row[field].strip()):
                shown = json.dumps(row, ensure_ascii=False, default=str)[:2000]
                row = Broken(line, _no_text(field), shown)
            batch.append((line, row))
        yield batch
        progress.report(f"decontaminating {Path(origin.name).name}", chunk.done, origin.size or chunk.done)
