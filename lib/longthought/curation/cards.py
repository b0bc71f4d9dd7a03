"""Data cards: what a data set is made of, how, from what, and what is known to be wrong with it.

After "Datasheets for Datasets" (Gebru et al. 2021), cut down to what can be computed: every number on a card is counted
from the thoughts, calls, training texts or summaries that it is made from, never typed, and every rate has its count
and its interval. A card is written as Markdown, and shown in the book as one table. Names, reasons and prompts may come
from files and models: they are text on a card, whatever they hold.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from longthought.curation.rules import TITLES
from longthought.errors import UserError
from longthought.grading import GRADER_VERSION
from longthought.problems import Problem
from longthought.statistics import Rate, clustered_interval
from longthought.thoughts.record import Call, Spent, Thought, spent
from longthought.thoughts.reflection import reflection, words

if TYPE_CHECKING:
    from longthought.curation.curate import Summary
    from longthought.training import Example

NOT_STATED = "not stated"
NOT_RUN = "not run"
_QUANTILES = {
    "smallest": 0.0, "one in ten below": 0.1, "one in four below": 0.25, "median": 0.5, "one in four above": 0.75,
    "one in ten above": 0.9, "largest": 1.0,
}  # fmt: skip
_KINDS = ("language", "family", "difficulty", "split")
_THOUGHT_LIMITS = (
    "A thought is accepted for its final answer. The steps before it were not checked, and may be wrong.",
    "Marks of reflection are phrases. They do not say whether the reflection did anything.",
)


@dataclass(frozen=True)
class Origin:
    """Where data came from: its licence, its version (a commit or a hash), and how many rows it gave, if counted."""

    name: str
    licence: str = NOT_STATED
    version: str = NOT_STATED
    rows: int | None = None


@dataclass(frozen=True)
class Screened:
    """What decontamination against one benchmark found: its problems that came up, and the rows by stage."""

    benchmark: str
    problems: int
    found: int
    rows: Mapping[str, int] = field(hash=False)


@dataclass(frozen=True)
class DataCard:
    """One data set. `counts` and `lengths` (in words) hold a table for each property, `rules` what each rule dropped.

    `accepted` and `rejected` are of candidates, with intervals clustered by problem; None and {} where nothing was
    judged. `screened` is None where decontamination was not run. `digest` is the SHA-256 of the texts in their order.
    """

    name: str
    about: str
    size: int
    digest: str
    origins: tuple[Origin, ...]
    counts: Mapping[str, Mapping[str, int]] = field(hash=False)
    lengths: Mapping[str, Mapping[str, float]] = field(default_factory=dict, hash=False)
    rules: Mapping[str, int] = field(default_factory=dict, hash=False)
    prompts: Mapping[str, str] = field(default_factory=dict, hash=False)
    accepted: Rate | None = None
    rejected: Mapping[str, Rate] = field(default_factory=dict, hash=False)
    cost: Spent | None = None
    grader: str = ""
    screened: tuple[Screened, ...] | None = None
    limits: tuple[str, ...] = ()

    def rows(self) -> pd.DataFrame:
        """The card as a table for `display.show_table`; prompts stand in `prompts`."""
        return pd.DataFrame(
            [
                {"part": part, "item (verbatim)": item, "value": value}
                for part, pairs in self._parts()
                for item, value in pairs
            ]
        )

    def markdown(self) -> str:
        """The card as the text of a file."""
        blocks = [f"# Data card: {inline(self.name)}", inline(self.about)]
        for part, pairs in self._parts():
            lines = [f"| {inline(item)} | {inline(value) if part in _TOLD else value} |" for item, value in pairs]
            blocks.append("\n".join([f"## {part.capitalize()}", "", "| | |", "| --- | --- |", *lines]))
        if self.prompts:
            blocks.append("## Prompts")
            for name, text in self.prompts.items():
                blocks += [f"{inline(name)}", fenced(text)]
        if self.limits:
            blocks.append("## Known limits\n\n" + "\n".join(f"- {inline(limit)}" for limit in self.limits))
        return "\n\n".join(blocks) + "\n"

    def write(self, path: str | Path) -> None:
        """Write the Markdown, whole or not at all."""
        file = Path(path)
        draft = file.with_name(f".{file.name}.{os.getpid()}.partial")
        try:
            draft.write_text(self.markdown(), encoding="utf-8", errors="backslashreplace")
            draft.replace(file)
        except OSError as error:
            raise UserError(f"{file}: cannot be written ({error.strerror}); choose another place") from None
        finally:
            draft.unlink(missing_ok=True)

    def _parts(self) -> list[tuple[str, list[tuple[str, str]]]]:
        parts: list[tuple[str, list[tuple[str, str]]]] = [
            ("data", [("size", f"{self.size:,}"), ("SHA-256 of the texts", self.digest)])
        ]
        told = [(o.name, "; ".join(_origin(o))) for o in self.origins]
        parts.append(("sources", told or [("sources", NOT_STATED)]))
        parts += [
            (f"count by {what}", [(name or NOT_STATED, f"{n:,}") for name, n in counts.items()])
            for what, counts in self.counts.items()
        ]
        parts += [
            (f"{what}, words", [(name, f"{value:g}") for name, value in lengths.items()])
            for what, lengths in self.lengths.items()
        ]
        if self.rules:
            parts.append(("rows dropped by rule", [(rule, f"{n:,}") for rule, n in self.rules.items()]))
        if self.accepted:
            parts.append(("candidates accepted", [("accepted of candidates", str(self.accepted))]))
        if self.rejected:
            parts.append(("candidates rejected", [(why, str(rate)) for why, rate in self.rejected.items()]))
        if self.cost:
            c = self.cost
            money = "no price" if c.cost is None else f"{c.cost:.4f}"
            parts.append(
                ("cost, rejected candidates included", [
                    ("calls", f"{c.calls:,}"), ("prompt tokens", f"{c.prompt_tokens:,}"),
                    ("output tokens", f"{c.output_tokens:,}"), ("seconds", f"{c.seconds:.1f}"), ("US dollars", money),
                ])
            )  # fmt: skip
        if self.grader:
            parts.append(("grading", [("version of the grader", self.grader)]))
        if self.screened is None:
            parts.append(("decontamination", [("decontamination", NOT_RUN)]))
        else:
            parts.append(("decontamination", [(s.benchmark, _screened(s)) for s in self.screened]))
        return parts


# Parts whose values come from elsewhere too.
_TOLD = ("sources", "decontamination")


def _origin(origin: Origin) -> list[str]:
    rows = [] if origin.rows is None else [f"{origin.rows:,} rows"]
    return [*rows, f"licence: {origin.licence}", f"version: {origin.version}"]


def _screened(s: Screened) -> str:
    stages = ", ".join(f"{stage} {n:,}" for stage, n in s.rows.items() if n)
    return f"{s.found:,} of its {s.problems:,} problems were found; rows by stage: {stages or 'none'}"


# --- cards of what was made ---


def card_of(
    name: str,
    thoughts: Sequence[Thought],
    calls: Mapping[str, Call],
    origins: Sequence[Origin] = (),
    *,
    about: str = "",
    prompts: Mapping[str, str] | None = None,
    decontamination: Mapping[str, Any] | None = None,
    limits: Sequence[str] = (),
) -> DataCard:
    """The card of the accepted thoughts among all candidates, rejected ones included, and of the calls behind them.

    `decontamination` is the summary that `decontaminate` writes. Raises UserError without a candidate.
    """
    if not thoughts:
        raise UserError(f"data card {name!r}: there are no thoughts to describe")
    kept = [t for t in thoughts if t.accepted]
    counts = {"method": _counted(t.method for t in kept)} | _by_kind([t.problem for t in kept])
    reflective = sum(reflection(t.text, t.problem.language, t.problem.text).present for t in kept)
    counts["reflection"] = {"with a mark of reflection": reflective, "without": len(kept) - reflective}
    why = sorted({_head(t.reason) for t in thoughts if not t.accepted})
    rejected = {head: _rate(thoughts, lambda t, head=head: not t.accepted and _head(t.reason) == head) for head in why}  # type: ignore[misc]
    return DataCard(
        name=name,
        about=about or "Thoughts for training: a problem, a thought about it, and its answer in a box.",
        size=len(kept),
        digest=_digest((t.problem.text, t.text) for t in kept),
        origins=tuple(origins),
        counts=counts,
        lengths={"problems": _lengths(t.problem.text for t in kept), "thoughts": _lengths(t.text for t in kept)},
        prompts=dict(prompts or {}),
        accepted=_rate(thoughts, lambda t: t.accepted),
        rejected=dict(sorted(rejected.items(), key=lambda item: -item[1].k)),
        cost=spent(calls.values()),
        grader=GRADER_VERSION,
        screened=screened(decontamination),
        limits=(*_THOUGHT_LIMITS, *limits),
    )


def card_of_examples(
    name: str,
    examples: Sequence[Example],
    origins: Sequence[Origin] = (),
    *,
    about: str = "",
    decontamination: Mapping[str, Any] | None = None,
    limits: Sequence[str] = (),
) -> DataCard:
    """The card of a training set. Raises UserError for an empty one."""
    if not examples:
        raise UserError(f"data card {name!r}: there are no training texts to describe")
    return DataCard(
        name=name,
        about=about or "Texts for training: a prompt, and the completion that is learnt.",
        size=len(examples),
        digest=_digest((e.prompt, e.completion) for e in examples),
        origins=tuple(origins),
        counts=_by_kind([e.problem for e in examples]),
        lengths={"prompts": _lengths(e.prompt for e in examples),
                 "completions": _lengths(e.completion for e in examples)},
        screened=screened(decontamination),
        limits=tuple(limits),
    )  # fmt: skip


def card_of_curation(
    name: str,
    summary: Summary | Mapping[str, Any],
    licences: Mapping[str, str] | None = None,
    *,
    about: str = "",
    decontamination: Mapping[str, Any] | None = None,
    limits: Sequence[str] = (),
) -> DataCard:
    """The card of what `curate` kept, from its summary or the content of its summary.json.

    `licences` says the licence of an input by its name, or by the name of its file.
    """
    record: Mapping[str, Any] = summary if isinstance(summary, Mapping) else summary.record
    try:
        rows, inputs = record["rows"], record["inputs"]
        origins = [_input(item, licences or {}) for item in inputs]
        dropped = {"broken rows": int(rows["broken"])} | {TITLES.get(r, r): int(n) for r, n in rows["dropped"].items()}
        counts = {"language": {str(k): int(n) for k, n in rows["languages"].items()},
                  "fate": {"read": int(rows["read"]), "kept": int(rows["kept"])}}  # fmt: skip
        digest = str(record["rules_sha256"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"data card {name!r}: not a summary as curate writes it ({error!r})") from None
    return DataCard(
        name=name,
        about=about or "Rows that curation kept: problems whose answer can be checked.",
        size=counts["fate"]["kept"],
        # The inputs and the rules decide which rows are kept.
        digest=_digest([(json.dumps(inputs, sort_keys=True), digest)]),
        origins=tuple(origins),
        counts=counts,
        rules=dropped,
        screened=screened(decontamination),
        limits=("Rules see words and not meaning; their measured errors stand beside them in the book.", *limits),
    )


def _input(item: Mapping[str, Any], licences: Mapping[str, str]) -> Origin:
    given = str(item["name"])
    # A folder of the machine says nothing about the data.
    name = given if "commit" in item else Path(given).name
    version = f"commit {item['commit']}" if "commit" in item else f"sha256 {item['sha256']}"
    return Origin(name, licences.get(given, licences.get(name, NOT_STATED)), version)


def origin_of_problems(problems: Sequence[Problem], licence: str, name: str = "procedural problems") -> Origin:
    """The problems themselves as a source, with the hash of their texts and answers."""
    return Origin(name, licence, f"sha256 {_digest((p.text, p.gold) for p in problems)}", len(problems))


def origin_of_file(path: str | Path, licence: str, rows: int | None = None) -> Origin:
    """A file as a source, with the hash of its bytes. Raises UserError when it cannot be read."""
    file = Path(path)
    try:
        with file.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); name the file that the data came from") from None
    return Origin(file.name, licence, f"sha256 {found}", rows)


def screened(summary: Mapping[str, Any] | None) -> tuple[Screened, ...] | None:
    """What the summary of `decontaminate` says, benchmark by benchmark; None for None."""
    if summary is None:
        return None
    try:
        return tuple(
            Screened(str(name), int(found["problems"]), int(found["problems found"]), dict(found["rows"]))
            for name, found in summary["benchmarks"].items()
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"not a summary as decontaminate writes it ({error!r})") from None


def _head(reason: str) -> str:
    """What a reason says before its particulars."""
    return reason.partition(":")[0].strip() or "no reason given"


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _by_kind(problems: Sequence[Problem | None]) -> dict[str, dict[str, int]]:
    return {kind: _counted("no problem" if p is None else str(getattr(p, kind)) for p in problems) for kind in _KINDS}


def _lengths(texts: Iterable[str]) -> dict[str, float]:
    found = [words(text) for text in texts]
    if not found:
        return {}
    values = np.quantile(found, list(_QUANTILES.values()))
    return {name: float(value) for name, value in zip(_QUANTILES, values, strict=True)}


def _rate(thoughts: Sequence[Thought], holds: Callable[[Thought], bool]) -> Rate:
    """How many candidates, with an interval over problems: candidates of one problem are not independent."""
    hits: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    for thought in thoughts:
        tried[thought.problem.id] += 1
        hits[thought.problem.id] += holds(thought)
    own, n = (np.array([c[name] for name in tried], dtype=float) for c in (hits, tried))
    share = own.sum() / n.sum()
    # The linearised ratio (Cochran 1977, section 6): its mean is the share, its variance that of the ratio.
    low, high = clustered_interval(share + (own - share * n) / n.mean())
    return Rate(int(own.sum()), int(n.sum()), low, high)


def _digest(pairs: Iterable[tuple[str, str]]) -> str:
    whole = hashlib.sha256()
    for pair in pairs:
        whole.update(json.dumps(pair).encode() + b"\n")
    return whole.hexdigest()


# --- Markdown that text cannot break out of ---

_SPECIAL = re.compile(r"[\\`*_{}\[\]<>#|$&~^@!%=\"']|(?<=www)\.|:(?=/)|^:")
# What would begin a list.
_LIST = re.compile(r"^(\d*)([-+.)])")
_TICKS = re.compile(r"`+")


def inline(text: str) -> str:
    """A text as one line of Markdown that shows it as it is: no markup, link, formula or table cell begins in it."""
    return _LIST.sub(r"\1\\\2", _SPECIAL.sub(r"\\\g<0>", " ".join(text.split())))


def fenced(text: str) -> str:
    """A text as a code block whose fence is longer than any run of backticks in it."""
    fence = "`" * max(3, 1 + max((len(run) for run in _TICKS.findall(text)), default=0))
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return f"{fence}text\n{lines}\n{fence}"
