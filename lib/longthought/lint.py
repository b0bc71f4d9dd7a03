"""Refuses results that go around `longthought.statistics`: no rate without count and interval, none typed by hand.

Two gates use it. What a notebook publishes (a table, a figure's data, a named result) is read cell by cell when it is
published. The prose of the book and what its notebooks print besides are read when the book is built.

A complete rate is what `format_rate` prints, a complete comparison what `format_comparison` prints, or a difference
with its interval in a table that has a column p. Percentages that are no results are few and listed in `EXPLAINED`. A
column may say in its heading that it holds something else: `(parameter)`, `(verbatim)` for text that is quoted, or
`(reported)` for another's numbers, which then need a column with the interval beside them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

# A level of confidence or of a test, and the dials of the teacher that name a student.
EXPLAINED = (
    r"95%\s+(?:confidence|interval|band)s?",
    r"(?:intervals?|bands?)\s+(?:are|is|of)\s+95%",
    r"5%\s+level",
    r"80%\s+power",
    r"\d+%\s+reflective",
    r"\bteacher\s+\d+%",
)
VERBATIM = frozenset({"problem", "gold", "answer", "solution", "thought", "quote"})

_NUMBER = r"\d[\d,]*(?:\.\d+)?"
_PAIR = r"\[[+-]?\d+\.\d, [+-]?\d+\.\d\]"
_RATE = rf"{_NUMBER}/\d[\d,]* = \d+\.\d% {_PAIR}"
_COMPARISON = (
    rf"[+-]\d+\.\d points {_PAIR}, p [=<] \d\.\d+ \([^()]*\), "
    r"(?:discordant \d+:\d+ of \d+|\d+/\d+ against \d+/\d+, no pairing known)"
)
_COMPLETE = re.compile("|".join((_RATE, _COMPARISON, *EXPLAINED)), re.IGNORECASE)
_BARE = re.compile(
    rf"{_NUMBER} ?(?:\\?[%％]|(?:per ?cent|percentage points?|pp)\b)|[+−-]{_NUMBER} points\b"
    r"|\baccuracy(?: (?:is|was|of))?[ :=]{1,3}0?\.\d+",
    re.IGNORECASE,
)
_RATE_COLUMN = re.compile(r"accuracy|percent|%|\b(?:pass|maj)@", re.IGNORECASE)
_RATE_NAME = re.compile(r"accuracy|percent|share|(?:^|_)rate(?:$|_)")


def bare_number(text: str) -> str | None:
    """The first percentage, difference in points or accuracy in `text` that lacks its count or interval, or None."""
    found = _BARE.search(_COMPLETE.sub(" ", text))
    return found[0] if found else None


def check_result(name: str, value: object) -> None:
    """Raise ValueError when a result that is to be published under `name` is a bare rate."""
    lone = isinstance(value, float) and _RATE_NAME.search(name) is not None
    if lone or bare_number(str(value)) is not None:
        raise ValueError(
            f"result {name!r} holds {bare_number(str(value)) or value} without count and interval: "
            "publish a Rate or a Comparison of longthought.statistics"
        )


def check_table(frame: pd.DataFrame, what: str, caption: str = "") -> None:
    """Raise ValueError for the first bare rate or difference among a table's cells or in its caption.

    `what` names the table in the message. Rates may also stand as numbers in a column of their own, if columns `low`
    and `high` and one of `n` or `problems` stand beside it, as in the data of a figure.
    """
    if bare_number(caption) is not None:
        raise ValueError(f"{what}: its caption holds {bare_number(caption)} without count and interval")
    headings = [str(column) for column in frame.columns]
    intervals = [at for at, heading in enumerate(headings) if "interval" in heading]
    split = {"low", "high"} <= set(headings) and bool({"n", "problems"} & set(headings))
    for number, row in enumerate(frame.itertuples(index=False, name=None), start=1):
        beside = any("[" in str(row[at]) for at in intervals)
        for heading, cell in zip(headings, row, strict=True):
            trouble = _trouble(heading, cell, split, beside, "p" in headings)
            if trouble:
                raise ValueError(
                    f"{what}, column {heading!r}, row {number}: {str(cell)[:60]!r} {trouble}; print it with "
                    "longthought.statistics, or mark the column (reported), (parameter) or (verbatim)"
                )


def _trouble(heading: str, cell: object, split: bool, beside: bool, tested: bool) -> str | None:
    """What a cell lacks, or None; `split`, `beside`, `tested`: what else the table and the row hold."""
    if heading in VERBATIM or heading.endswith(("(parameter)", "(verbatim)")):
        return None
    if heading.endswith("(reported)") and beside:
        return None
    rates, differences = _RATE_COLUMN.search(heading), "difference" in heading
    if not isinstance(cell, str):
        number = isinstance(cell, int | float | np.number) and not isinstance(cell, bool) and cell == cell
        if number and rates and not split:
            return "has no count and interval"
        return "has no interval and p" if number and differences else None
    if differences:
        stated = re.search(_PAIR, cell) and (tested or re.search(_COMPARISON, cell))
        return "has no interval and p" if re.search(r"\d", cell) and not stated else None
    if bare_number(cell) is not None:
        return "has no count and interval"
    if rates and re.search(r"\d", cell) and "interval" not in heading and re.search(_RATE, cell) is None:
        return "has no count and interval"
    return None


# --- prose ---

_ROLE = re.compile(r"\{(run|reported)\}`([^`]*)`")
# Addresses, tags, and the sizes of figures.
_MARKUP = re.compile(
    r"https?://\S+|\]\([^)\s]*\)|<[^<>\n]+>|^[ \t]*:(?:fig)?(?:width|height|scale)s?:.*$", re.MULTILINE
)
_FORMULA = re.compile(r"\$\$.*?\$\$|\$[^$\n]+\$|`[^`\n]+`", re.DOTALL)
_COUNT = re.compile(r"(?<![\w/.-])(\d[\d,]*)\s*/\s*(\d[\d,]+)(?![\w/])")
_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})[ \t]*([^`\n]*)$")
_EXPLAINED = re.compile("|".join(EXPLAINED), re.IGNORECASE)


def typed_results(path: Path) -> list[str]:
    """Results that a page (.md) or a notebook (.ipynb) shows without having published them, one line of text each.

    In a notebook, these are results typed in markdown cells, and bare rates that a cell printed by itself.
    """
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return [f"line {line}: {words}" for line, words in typed_in(text)]
    found = []
    for at, cell in enumerate(json.loads(text)["cells"]):
        if cell["cell_type"] == "markdown":
            found += [f"cell {at}, line {line}: {words}" for line, words in typed_in(_joined(cell["source"]))]
        for printed in map(_printed, cell.get("outputs", ())):
            if bare_number(printed) is not None:
                found.append(f"cell {at}: {bare_number(printed)!r} is printed without count and interval: publish it")
    return found


def _printed(output: Mapping[str, Any]) -> str:
    """What an output shows as plain text, unless it was published and read then, or is only progress."""
    if output["output_type"] == "stream":
        return _joined(output["text"]) if output["name"] == "stdout" else ""
    data = output.get("data", {})
    published = any("longthought" in kind for kind in data) or "lt-" in _joined(data.get("text/html", ""))[:40]
    return "" if published else _joined(data.get("text/plain", ""))


def typed_in(markdown: str) -> Iterator[tuple[int, str]]:
    """(line, message) for each result that is typed in markdown, and each bare `|value` without its interval nearby.

    Listings, addresses and what stands in a {run} or {reported} role are left out; formulas and inline code may hold
    a fraction, but no percentage either.
    """
    text = _without_listings(markdown)
    for found in _ROLE.finditer(text):
        name, _, part = found[2].partition("|")
        if found[1] == "run" and part == "value":
            beside = re.compile(rf"\{{run\}}`{re.escape(name)}(?:\|short)?`")
            if not beside.search(_paragraph(text, found.start())):
                yield _line(text, found.start()), f"{found[0]} stands without its interval in its paragraph"
    text = _MARKUP.sub(_blank, _ROLE.sub(_blank, text))
    for found in _BARE.finditer(_EXPLAINED.sub(_blank, text)):
        yield _line(text, found.start()), _advice(found[0])
    for found in _COUNT.finditer(_FORMULA.sub(_blank, text)):
        if int(found[1].replace(",", "")) <= int(found[2].replace(",", "")):
            yield _line(text, found.start()), _advice(found[0])


def _without_listings(markdown: str) -> str:
    """The text with every code listing blanked; what stands in a directive is prose and stays."""
    lines: list[str] = []
    directives: list[str] = []
    listing = ""
    for line in markdown.split("\n"):
        fence = _FENCE.match(line)
        if listing:
            closed = fence is not None and not fence[2] and fence[1].startswith(listing)
            listing, line = "" if closed else listing, ""
        elif fence is not None and not fence[2].strip() and directives and fence[1].startswith(directives[-1]):
            directives.pop()
        elif fence is not None and fence[2].startswith("{") and not fence[2].startswith("{code"):
            directives.append(fence[1])
        elif fence is not None:
            listing, line = fence[1], ""
        lines.append(line)
    return "\n".join(lines)


def _advice(words: str) -> str:
    return (
        f"{words.strip()!r} is typed by hand: name the result with {{run}}`notebook.name`, or cite it with {{reported}}"
    )


def _blank(found: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", found[0])


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def _paragraph(text: str, at: int) -> str:
    start, end = text.rfind("\n\n", 0, at), text.find("\n\n", at)
    return text[max(0, start) : end if end >= 0 else len(text)]


def _joined(source: Any) -> str:
    return source if isinstance(source, str) else "".join(source)
