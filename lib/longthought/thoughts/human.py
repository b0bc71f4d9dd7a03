"""Thoughts that people write down, with their wrong turns: a plain-text format, its reader, and its writer.

Complete annotation by people is the dearest of the report's four ways to long thoughts (section 2, Figure 2). A file
holds one problem and one thought: headers, then sections that each begin with a line such as "== step". A wrong turn is
marked where it begins and where it is left: "== wrong turn" sections belong to it until "== back" says what was wrong.
The time that the person spent is the cost of the thought; where nobody measured it, the file says "not recorded", and
so does every table.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import pandas as pd

from longthought.errors import UserError
from longthought.grading import grade
from longthought.grading.extraction import extract_boxed
from longthought.problems import LANGUAGES, Problem
from longthought.thoughts.record import Thought
from longthought.thoughts.reflection import reflection, words

KINDS = ("step", "wrong turn", "back")
NOT_RECORDED = "not recorded"
TEMPLATE = """\
# One problem and one thought. Lines that begin with # before the first section are comments.
# language is en or zh. Give the time as seconds or as minutes: a number, or "not recorded".
id: my-problem
language: en
author: Your Name
licence: CC-BY-4.0
minutes: not recorded

== problem
The text of the problem, in as many lines as you like.

== gold
4

== step
A step that stands.

== wrong turn
Something that will turn out to be wrong. It may be gone on with in further sections "wrong turn".

== back
What was wrong, and where to go on. Every wrong turn needs one.

== step
The last step ends with the answer in a box. \\boxed{4}
"""
_HEADERS = ("id", "language", "author", "licence", "seconds", "minutes")
_SECTION = re.compile(r"==\s*(.*?)\s*$")
_ESCAPED = re.compile(r"(\\*)==")


@dataclass(frozen=True)
class Section:
    """One part of a written thought: its kind, its text, and its first line in the file (0 without a file)."""

    kind: str
    text: str
    line: int = 0


@dataclass(frozen=True)
class Written:
    """A file's headers (`seconds` is None where no time was recorded) and its sections in order."""

    id: str
    language: str
    author: str
    licence: str
    seconds: float | None
    problem: str
    gold: str
    steps: tuple[Section, ...]


def read_human(path: str | Path) -> Thought:
    """The thought of a file, accepted when the grader finds its answer right.

    Raises UserError with file, line and mend for whatever breaks the format: a header that is missing, unknown or bad,
    a section that is missing, empty or out of place, a wrong turn that nothing leaves, an end without a box.
    """
    return as_thought(parse(_text(Path(path)), str(path)), str(path))


def read_folder(folder: str | Path) -> list[Thought]:
    """The thoughts of all .txt files of a folder, by name. Raises UserError for an id that comes twice."""
    thoughts = [read_human(path) for path in sorted(Path(folder).glob("*.txt"))]
    if not thoughts:
        raise UserError(f"{folder}: holds no .txt files; name a folder of written thoughts")
    seen: set[str] = set()
    for thought in thoughts:
        if thought.problem.id in seen:
            raise UserError(f"{folder}: two files have the id {thought.problem.id!r}; give one of them another")
        seen.add(thought.problem.id)
    return thoughts


def examples() -> list[Thought]:
    """The thoughts that come with the project, written by it as examples, with no time recorded."""
    return read_folder(Path(__file__).parent.parent / "data" / "human_thoughts")


def write_human(thought: Thought, path: str | Path) -> None:
    """Write a thought of the method "human" as a file that `read_human` reads back as it is, whole or not at all."""
    write_text(Path(path), rendered(written_of(thought)))


def as_thought(written: Written, where: str) -> Thought:
    """The record of a complete thought. Raises UserError, naming `where`, for one that is not complete."""
    check(written, where)
    text = "\n\n".join(section.text for section in written.steps)
    try:
        verdict = grade(written.gold, text)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    problem = Problem(written.id, written.problem, written.gold, language=written.language, split="train")
    turns = _turns(written.steps)
    return Thought(
        problem=problem,
        text=text,
        answer=verdict.extracted,
        verdict=verdict.verdict,
        method="human",
        calls=(),
        accepted=verdict.correct,
        reason="written by a person" if verdict.correct else f"{verdict.verdict}: {verdict.reason}",
        details={
            "author": written.author,
            "licence": written.licence,
            "seconds": written.seconds,
            "wrong_turns": turns,
            "steps": [[section.kind, section.text] for section in written.steps],
        },
    )


def written_of(thought: Thought) -> Written:
    """The parts of a thought that `as_thought` made."""
    if thought.method != "human":
        raise UserError(f"problem {thought.problem.id!r}: a thought by {thought.method} is not one that a person wrote")
    d, p = thought.details, thought.problem
    steps = tuple(Section(kind, text) for kind, text in d["steps"])
    return Written(p.id, p.language, d["author"], d["licence"], d["seconds"], p.text, p.gold, steps)


def check(written: Written, where: str) -> None:
    """Raise UserError unless wrong turns are left, and the last step holds the answer in a box."""
    open_turn: Section | None = None
    for section in written.steps:
        at = f"{where}, line {section.line}" if section.line else where
        if section.kind == "wrong turn":
            open_turn = open_turn or section
        elif section.kind == "back":
            if open_turn is None:
                raise UserError(f'{at}: "== back" leaves no wrong turn; begin one with "== wrong turn" before it')
            open_turn = None
        elif open_turn is not None:
            raise UserError(
                f"{at}: a step follows a wrong turn that nothing leaves; "
                'write "== back" with what was wrong before it, or mark this as "== wrong turn" too'
            )
    if not written.steps:
        raise UserError(f'{where}: there is no step; write the thought in sections "== step"')
    last = written.steps[-1]
    at = f"{where}, line {last.line}" if last.line else where
    if open_turn is not None:
        raise UserError(f'{at}: the thought ends in a wrong turn; leave it with "== back" and go on')
    if last.kind != "step" or extract_boxed(last.text) is None:
        raise UserError(f'{at}: the last section must be a "== step" with the answer in \\boxed{{}}')


def _turns(steps: Iterable[Section]) -> int:
    return sum(section.kind == "back" for section in steps)


# --- the file ---


def parse(text: str, where: str) -> Written:
    """What a file says, finished or not: `check` says whether it is a whole thought."""
    headers: dict[str, tuple[str, int]] = {}
    sections: list[Section] = []
    lines: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.removesuffix("\r")
        if found := _SECTION.match(line):
            _close(sections, lines)
            sections.append(Section(found[1].lower(), "", number))
            lines = []
        elif sections:
            lines.append(line[1:] if _ESCAPED.match(line) else line)
        elif line.strip() and not line.startswith("#"):
            _header(headers, line, f"{where}, line {number}", number)
    _close(sections, lines)
    return _assembled(headers, sections, where)


def _close(sections: list[Section], lines: Sequence[str]) -> None:
    if sections:
        last = sections[-1]
        sections[-1] = Section(last.kind, "\n".join(lines).strip(), last.line)


def _header(headers: dict[str, tuple[str, int]], line: str, at: str, number: int) -> None:
    name, colon, value = line.partition(":")
    name, value = name.strip().lower(), value.strip()
    if not colon:
        raise UserError(f'{at}: neither "name: value" nor a section; sections begin with a line such as "== problem"')
    if name not in _HEADERS:
        raise UserError(f"{at}: unknown header {name[:40]!r}; known are {', '.join(_HEADERS)}")
    if name in headers:
        raise UserError(f"{at}: {name} is given twice, first in line {headers[name][1]}; keep one of them")
    if not value:
        raise UserError(f"{at}: {name} is empty; write its value behind the colon")
    headers[name] = value, number


def _assembled(headers: dict[str, tuple[str, int]], sections: Sequence[Section], where: str) -> Written:
    for name in ("language", "author", "licence"):
        if name not in headers:
            raise UserError(f'{where}, line 1: header {name} is missing; add a line "{name}: ..." at the top')
    language, line = headers["language"]
    if language not in LANGUAGES:
        raise UserError(f"{where}, line {line}: language {language[:20]!r} is not one of {', '.join(LANGUAGES)}")
    given: dict[str, Section] = {}
    steps = []
    for section in sections:
        at = f"{where}, line {section.line}"
        if section.kind not in (*KINDS, "problem", "gold"):
            known = ", ".join(("problem", "gold", *KINDS))
            raise UserError(
                f"{at}: unknown section {section.kind[:40]!r}; known are {known}. "
                'A line of text that begins with "==" is written "\\=="'
            )
        if not section.text:
            raise UserError(f"{at}: the section {section.kind} is empty; write its text below, or delete it")
        if section.kind in KINDS:
            steps.append(section)
        elif section.kind in given or steps:
            raise UserError(f"{at}: {section.kind} must stand once, before the steps; move or delete it")
        else:
            given[section.kind] = section
    for name in ("problem", "gold"):
        if name not in given:
            raise UserError(
                f'{where}: the section {name} is missing; add a line "== {name}" and its text before the steps'
            )
    problem = given["problem"].text
    identity = headers["id"][0] if "id" in headers else "human-" + hashlib.sha256(problem.encode()).hexdigest()[:12]
    return Written(
        identity, language, headers["author"][0], headers["licence"][0], _seconds(headers, where), problem,
        given["gold"].text, tuple(steps),
    )  # fmt: skip


def _seconds(headers: dict[str, tuple[str, int]], where: str) -> float | None:
    if "seconds" in headers and "minutes" in headers:
        raise UserError(f"{where}, line {headers['minutes'][1]}: the time is given in seconds and minutes; keep one")
    for name, factor in (("seconds", 1), ("minutes", 60)):
        if name not in headers:
            continue
        text, line = headers[name]
        if text.lower() == NOT_RECORDED:
            return None
        try:
            value = factor * float(text)
        except ValueError:
            value = -1.0
        if not isfinite(value) or value < 0:
            raise UserError(
                f'{where}, line {line}: {name} {text[:20]!r} is no time; write a number from 0, or "{NOT_RECORDED}"'
            )
        return value
    raise UserError(f'{where}, line 1: the time on task is missing; add "seconds: ..." or "seconds: {NOT_RECORDED}"')


def rendered(written: Written) -> str:
    """The text of the file. Raises UserError for a header that would not be read back."""
    seconds = NOT_RECORDED if written.seconds is None else repr(written.seconds)
    headers = {"id": written.id, "language": written.language, "author": written.author, "licence": written.licence}
    for name, value in headers.items():
        if not value or value != value.strip() or "\n" in value or "\r" in value:
            raise UserError(
                f"{name} {value[:40]!r} cannot be written: a single line without spaces at its ends is wanted"
            )
    parts = [f"{name}: {value}\n" for name, value in (headers | {"seconds": seconds}).items()]
    for section in (Section("problem", written.problem), Section("gold", written.gold), *written.steps):
        body = "\n".join("\\" + line if _ESCAPED.match(line) else line for line in section.text.split("\n"))
        parts.append(f"\n== {section.kind}\n{body}\n")
    return "".join(parts)


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); give the path of a text file") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: byte {error.start} is not UTF-8; save the file as UTF-8") from None


def write_text(file: Path, text: str) -> None:
    """Write a file whole or not at all."""
    draft = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        draft.write_bytes(text.encode("utf-8"))
        draft.replace(file)
    except OSError as error:
        raise UserError(f"{file}: cannot be written ({error.strerror}); choose another place") from None
    finally:
        draft.unlink(missing_ok=True)


# --- what the book shows ---


def time_on_task(thoughts: Sequence[Thought]) -> str:
    """The seconds per accepted thought where every one was timed; otherwise how many were not."""
    timed = [t.details["seconds"] for t in thoughts if t.details["seconds"] is not None]
    if len(timed) < len(thoughts) or not any(t.accepted for t in thoughts):
        return f"{NOT_RECORDED} for {len(thoughts) - len(timed)} of {len(thoughts)}"
    return f"{sum(timed) / sum(t.accepted for t in thoughts):.4g}"


def human_table(thoughts: Sequence[Thought]) -> pd.DataFrame:
    """A row for each written thought: how long it is, how it turns, who wrote it and in what time."""
    rows: list[dict[str, Any]] = []
    for t in thoughts:
        seconds = t.details["seconds"]
        found = reflection(t.text, t.problem.language, t.problem.text)
        rows.append(
            {
                "problem": t.problem.text,
                "language": t.problem.language,
                "author": t.details["author"],
                "licence": t.details["licence"],
                "words": f"{words(t.text):g}",
                "steps": len(t.details["steps"]),
                "wrong turns": t.details["wrong_turns"],
                "marks of reflection": len(found.marks),
                "seconds": NOT_RECORDED if seconds is None else f"{seconds:.4g}",
                "verdict": t.verdict,
            }
        )
    return pd.DataFrame(rows)
