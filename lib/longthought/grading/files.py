"""Grading a file: rows in, verdicts out, with the rates that a reader wants to see.

A row is a JSON object with `id`, `gold` and `pred` (a whole completion); a verdict row repeats the id and holds
`verdict`, `extracted`, `reason` and the version of the grader. The completions themselves are never changed, so they
can be graded again by a better grader. Rows are read and written one by one; the output appears under its name only
when it is whole.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TextIO

from longthought.errors import UserError
from longthought.grading import GRADER_VERSION, VERDICTS, grade
from longthought.problems import json_object
from longthought.progress import report
from longthought.statistics import wilson

FIELDS = {"id": "names the row", "gold": "the right answer", "pred": "the completion to grade"}


def rows_of(file: Path) -> Iterator[dict[str, Any]]:
    """The rows of a JSONL file. Raises UserError with file, line and mend at the first that is not one."""
    try:
        size, read = max(1, file.stat().st_size), 0
        with file.open("rb") as source:
            for number, line in enumerate(source, start=1):
                read += len(line)
                if line.strip():
                    yield _row(line, f"{file}, line {number}", first=number == 1)
                    report(f"grading {file.name}", read * 100 // size, 100)
    except FileNotFoundError:
        raise UserError(f"{file}: no such file; give the path of a JSONL file") from None
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); give the path of a JSONL file") from None


def _row(line: bytes, where: str, *, first: bool) -> dict[str, Any]:
    try:
        text = line.decode("utf-8-sig" if first else "utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{where}: byte {error.start} of the line is not UTF-8; save the file as UTF-8") from None
    row = json_object(text, where)
    for name, meaning in FIELDS.items():
        if name not in row:
            raise UserError(f"{where}: field {name!r} is missing ({meaning}); present are {', '.join(row) or 'none'}")
    if isinstance(row["gold"], bool) or not isinstance(row["gold"], str | int | float) or not str(row["gold"]).strip():
        raise UserError(f"{where}: field 'gold' must be a non-empty text or number")
    if row["pred"] is not None and not isinstance(row["pred"], str):
        raise UserError(f"{where}: field 'pred' must be a text, or null where the model said nothing")
    return row


def verdicts(file: Path, *, fallback: bool = False) -> Iterator[dict[str, Any]]:
    """One verdict row per row of `file`; see `grade` for `fallback`. Raises UserError as `rows_of` does."""
    found = False
    for row in rows_of(file):
        found = True
        result = grade(str(row["gold"]), row["pred"] or "", fallback=fallback)
        yield {
            "id": row["id"],
            "verdict": result.verdict,
            "extracted": result.extracted,
            "reason": result.reason,
            "grader": GRADER_VERSION,
        }
    if not found:
        raise UserError(f"{file}: holds no rows; one JSON object per line is wanted, with {', '.join(FIELDS)}")


def grade_file(file: Path, out: Path | None, stdout: TextIO, *, fallback: bool = False) -> str:
    """Grade `file` into `out` (or `stdout`) and return a summary: every verdict as k/n with its interval."""
    counts: Counter[str] = Counter()
    by_marker = 0
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial") if out else None
    try:
        with partial.open("w", encoding="utf-8") if partial else nullcontext(stdout) as target:
            for row in verdicts(file, fallback=fallback):
                counts[row["verdict"]] += 1
                by_marker += row["reason"].startswith("marker")
                target.write(json.dumps(row, ensure_ascii=False) + "\n")
        if partial and out:
            partial.replace(out)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UserError(
            f"{out or 'standard output'}: cannot be written ({error.strerror}); name another file with --out"
        ) from None
    finally:
        if partial:
            partial.unlink(missing_ok=True)
    n = sum(counts.values())
    lines = [f"{verdict}: {wilson(counts[verdict], n)}" for verdict in VERDICTS]
    if fallback:
        lines.append(f"answers taken from a marker, without a box: {wilson(by_marker, n)}")
    return "\n".join([f"{n} rows, grader version {GRADER_VERSION}", *lines])
