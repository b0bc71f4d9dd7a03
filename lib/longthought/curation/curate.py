"""Curation: rows of training data in, the rows that are kept out, and for every other row the rule that dropped it.

Worker processes parse chunks and ask the rules that look at one row alone; this process asks for duplicates among what
is left, in the order of the input, so that the result does not depend on the number of workers. Memory holds a few
chunks and what the detector of duplicates remembers.

`curate_files` writes a folder: `kept.jsonl`, `dropped.jsonl`, `broken.jsonl`, `summary.json`, a data card `card.md`,
and the funnel as `funnel.html` and `funnel.json`. The folder appears when all of it is there. How well the rules do on
rows that were labelled by hand is measured by `measured`.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import threading
from array import array
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.resources import files
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longthought.curation.folders import drafted
from longthought.curation.rows import Broken, Chunk, Source, case_of, check_fields, listed, parsed
from longthought.curation.rules import DUPLICATES, TITLES, Case, Rules, language
from longthought.errors import UserError
from longthought.progress import report

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

CASES = files("longthought") / "data/curation_cases.jsonl"
SUMMARY = "summary.json"
_ROWS = ("kept.jsonl", "dropped.jsonl", "broken.jsonl")
_FILES = (*_ROWS, SUMMARY, "card.md", "funnel.html", "funnel.json")
_FORM = 1  # of the folder
_SMALL = 2_000_000  # bytes that are judged faster here than workers start
NO_ROW = "no such row"  # in place of a rate
_SHOWN = 160
_MAP = "map the names with --field problem=FIELD"
_LACKING = 20  # rows without a field before the field's name is taken for a mistake


# --- one chunk, wherever it is judged ---


@dataclass
class Sifted:
    """What one chunk came to: `kept` holds (line, problem, its JSON), the others (line, their JSON)."""

    kept: list[tuple[int, str, str]] = field(default_factory=list)
    dropped: list[tuple[int, str]] = field(default_factory=list)
    broken: list[tuple[int, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    lacking: str = ""
    present: str = ""  # the fields of the first row that is an object
    unseen: set[str] = field(default_factory=set)  # names of fields that were asked for and that no row has
    done: int = 0


def sift(rows: Iterable[tuple[int, Mapping[str, Any] | Broken]], rules: Rules, fields: Mapping[str, str]) -> Sifted:
    """Each of some numbered rows as kept, dropped (by the first rule that fires on it alone) or broken."""
    result = Sifted(unseen=set(fields.values()))
    for line, row in rows:
        if isinstance(row, Broken):
            result.broken.append((line, _json({"line": line, "reason": row.reason, "text": row.text})))
            continue
        result.unseen.difference_update(row)
        result.present = result.present or listed(row)
        case = case_of(row, fields)
        if isinstance(case, str):
            if " is missing; " in case:
                result.lacking = case
            text = json.dumps(row, default=str)[:2_000]
            result.broken.append((line, _json({"line": line, "reason": case, "text": text})))
            continue
        rule, reason = rules.first(case)
        if rule:
            result.counts[rule] += 1
            result.dropped.append((line, _json(_reference(line, row, case) | {"rule": rule, "reason": reason})))
            continue
        kept = _kept(row, case, fields)
        try:
            text = json.dumps(kept, ensure_ascii=False, default=str)
            text.encode()
        except UnicodeEncodeError:
            broken = {
                "line": line,
                "reason": "holds half a character (a lone surrogate)",
                "text": case.problem[:_SHOWN],
            }
            result.broken.append((line, _json(broken)))
            continue
        result.counts[kept["language"]] += 1
        result.counts["unknown level"] += not (case.source or case.level)
        result.kept.append((line, case.problem, text))
    return result


def _json(content: Mapping[str, Any]) -> str:
    """A line in ASCII, so that no text, however broken, stops the writing."""
    return json.dumps(content)


def _reference(line: int, row: Mapping[str, Any], case: Case) -> dict[str, Any]:
    identity = row.get("id", row.get("unique_id"))
    found = {"line": line} if identity is None else {"line": line, "id": str(identity)[:_SHOWN]}
    return found | {"source": case.source[:_SHOWN], "problem": case.problem[:_SHOWN]}


def _kept(row: Mapping[str, Any], case: Case, fields: Mapping[str, str]) -> dict[str, Any]:
    """The row under NuminaMath-CoT's names, with the extracted answer; another `answer` of the row stays beside it."""
    own = {theirs: ours for ours, theirs in fields.items()}
    kept = {own.get(name, name): value for name, value in row.items()}
    if "answer" not in fields and "answer" in kept and kept["answer"] != case.answer:
        kept["given_answer"] = kept["answer"]
    return kept | {"problem": case.problem, "answer": case.answer, "language": language(case.problem)}


_rules: Rules | None = None


def _start_worker(data: dict[str, Any]) -> None:
    """A worker ignores Ctrl-C (its parent decides) and never outlives its parent."""
    global _rules
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch_parent, daemon=True).start()
    _rules = Rules.of(data)


def _watch_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _sift_chunk(chunk: Chunk, fields: Mapping[str, str]) -> Sifted:
    assert _rules is not None
    return _sifted(chunk, _rules, fields)


def _sifted(chunk: Chunk, rules: Rules, fields: Mapping[str, str]) -> Sifted:
    result = sift(parsed(chunk), rules, fields)
    result.done = chunk.done
    return result


# --- duplicates ---


class _Seen:
    """The detector of duplicates with, for each text that it remembers, where that text stood."""

    def __init__(self, rules: Rules) -> None:
        self.exact, self.near = ("exact_duplicate" in rules.names), ("near_duplicate" in rules.names)
        self.detector = None
        if self.exact or self.near:
            from longthought.curation.duplicates import Duplicates

            self.detector = Duplicates(rules.threshold)
        self.places, self.lines = array("i"), array("q")

    def check(self, place: int, rows: Sequence[tuple[int, str]]) -> list[tuple[str, str, tuple[int, int]] | None]:
        """For each (line, problem) of source number `place`: None, or (rule, reason, where the earlier row stands)."""
        if self.detector is None:
            return [None] * len(rows)
        found: list[tuple[str, str, tuple[int, int]] | None] = []
        for (line, _), match in zip(rows, self.detector.check_many([text for _, text in rows]), strict=True):
            if match is None:
                self.places.append(place)
                self.lines.append(line)
                found.append(None)
                continue
            rule = "exact_duplicate" if match.kind == "exact" and self.exact else "near_duplicate"
            # At similarity 1 texts of other word order match as well, which are no exact duplicates.
            if rule == "near_duplicate" and not self.near:
                found.append(None)
                continue
            earlier = self.places[match.index], self.lines[match.index]
            reason = "the same problem" if match.kind == "exact" else f"similarity {match.score:.2f}"
            found.append((rule, reason, earlier))
        return found


# --- files ---


@dataclass(frozen=True)
class Summary:
    """What curation came to, in rows. `dropped` counts by rule, in the order of the rules."""

    read: int
    broken: int
    kept: int
    dropped: dict[str, int]
    languages: dict[str, int]
    unknown_level: int
    record: dict[str, Any]

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Summary:
        """The summary that a `summary.json` holds."""
        rows = record["rows"]
        return cls(
            rows["read"], rows["broken"], rows["kept"], dict(rows["dropped"]), dict(rows["languages"]),
            rows["unknown_level"], dict(record),
        )  # fmt: skip


def curate_files(
    inputs: Sequence[str],
    out: str | Path,
    rules: Rules,
    *,
    fields: Mapping[str, str] | None = None,
    split: str = "train",
    workers: int | None = None,
    force: bool = False,
) -> tuple[Summary, bool]:
    """Curate files (or name@commit of a hub) into the folder `out`: the summary, and whether it was there already.

    An `out` of the same inputs, rules and fields is left as it is; any other is refused, or replaced with `force`.
    Raises UserError for what the user can mend; `out` is then as it was before.
    """
    own = check_fields(fields or {})
    target = Path(out)
    _check_target(target)
    if not inputs:
        raise UserError("no input: name JSONL, JSON or Parquet files, or name@commit of a hub")
    sources = [Source.of(name, split) for name in inputs]
    for source in sources:
        source.chunks()  # an unknown ending is said before any work
        if target.exists() and not source.commit and target.resolve() in Path(source.name).resolve().parents:
            raise UserError(f"{source.name}: lies in the folder {target} that would be written")
    asked = {"form": _FORM, "inputs": [s.record() for s in sources], "rules": list(rules.data), "fields": own}
    if target.exists() and any(target.iterdir()):
        record = _summary_of(target)
        if record is not None and {key: record.get(key) for key in asked} == asked and not force:
            _check_whole(target, record)
            return Summary.of(record), True
        if not force:
            raise UserError(f"{target}: holds the result of other inputs or rules; name another folder, or add --force")
    with drafted(target) as draft:
        summary = _write(sources, draft, rules, own, workers or _cores(), asked)
    return summary, False


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _check_target(target: Path) -> None:
    if target.exists() and not target.is_dir():
        raise UserError(f"{target}: is a file; name a folder for the result")
    try:
        entries = sorted(target.iterdir()) if target.exists() else []
    except OSError as error:
        raise UserError(f"{target}: cannot be read ({error.strerror})") from None
    foreign = [entry for entry in entries if entry.name not in _FILES or not entry.is_file()]
    if foreign:
        raise UserError(f"{target}: holds {foreign[0].name}, which is no result of curate; name another folder")
    if entries and _summary_of(target) is None:
        raise UserError(f"{target}: holds files that are no result of curate; name another folder")
    if not target.parent.is_dir():
        raise UserError(f"{target}: there is no folder {target.parent}; make it first")


def _check_whole(target: Path, record: Mapping[str, Any]) -> None:
    """Raise UserError unless every file of a result is there, with as many rows as its summary says."""
    rows = record["rows"]
    wanted = dict(zip(_ROWS, (rows["kept"], sum(rows["dropped"].values()), rows["broken"]), strict=True))
    for name in _FILES:
        try:
            with (target / name).open("rb") as stream:
                found = sum(block.count(b"\n") for block in iter(lambda: stream.read(1 << 20), b""))
        except OSError as error:
            raise UserError(f"{target}: {name} cannot be read ({error.strerror}); write it anew with --force") from None
        if found != wanted.get(name, found):
            raise UserError(f"{target}: {name} has {found:,} of its {wanted[name]:,} rows; write it anew with --force")


def _summary_of(folder: Path) -> dict[str, Any] | None:
    try:
        record = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and "rows" in record and "rules" in record else None


def _write(
    sources: Sequence[Source],
    draft: Path,
    rules: Rules,
    fields: Mapping[str, str],
    workers: int,
    asked: dict[str, Any],
) -> Summary:
    seen, counts = _Seen(rules), Counter[str]()
    total = max(1, sum(source.size for source in sources) // 1_000_000)
    places = [json.dumps(f"{s.name}@{s.commit}" if s.commit else s.name) for s in sources]
    before = 0
    with (
        (draft / "kept.jsonl").open("w", encoding="utf-8", newline="\n") as kept,
        (draft / "dropped.jsonl").open("w", encoding="utf-8", newline="\n") as dropped,
        (draft / "broken.jsonl").open("w", encoding="utf-8", newline="\n") as broken,
        _judges(rules, fields, workers if sum(s.size for s in sources) > _SMALL or sources[0].commit else 0) as judge,
    ):
        unseen, present = set(fields.values()), ""
        for place, source in enumerate(sources):
            head, good, lacking = f'{{"file": {places[place]}, ', 0, 0
            first: tuple[int, str] | None = None  # broken row
            for sifted in judge(source.chunks()):
                counts += sifted.counts
                counts["broken"] += len(sifted.broken)
                good += len(sifted.kept) + len(sifted.dropped)
                lacking += len(sifted.broken) if sifted.lacking else 0
                if not good and lacking >= _LACKING:
                    raise UserError(f"{source.name}: {sifted.lacking}; {_MAP}")
                unseen &= sifted.unseen
                present = present or sifted.present
                first = first or min(sifted.broken, default=None)
                matches = seen.check(place, [(line, problem) for line, problem, _ in sifted.kept])
                for (line, problem, text), match in zip(sifted.kept, matches, strict=True):
                    if match is None:
                        counts["kept"] += 1
                        kept.write(text + "\n")
                        continue
                    rule, reason, (earlier, its_line) = match
                    counts[rule] += 1
                    counts[language(problem)] -= 1
                    more = {"line": line, "problem": problem[:_SHOWN], "rule": rule, "reason": reason}
                    if earlier != place:
                        more["earlier_file"] = sources[earlier].name
                    sifted.dropped.append((line, _json(more | {"earlier_line": its_line})))
                dropped.writelines(head + text[1:] + "\n" for _, text in sorted(sifted.dropped))
                broken.writelines(head + text[1:] + "\n" for _, text in sifted.broken)
                if source.size:
                    report("curating, MB", (before + sifted.done) // 1_000_000, total)
            before += source.size
            if first and not good:
                reason = json.loads(first[1])["reason"]
                mend = f"; {_MAP}" if " is missing; " in reason else ""
                raise UserError(f"{source.name}, line {first[0]}: {reason}{mend} (no row of the file can be used)")
        if unseen and present:
            name = next(own for own in fields.values() if own in unseen)
            raise UserError(
                f"{', '.join(s.name for s in sources)}: field {name!r} is missing; present are {present}; {_MAP}"
            )
    report("curating, MB", total, total)
    by_rule = {name: counts[name] for name in rules.names}
    read = counts["kept"] + counts["broken"] + sum(by_rule.values())
    if not read:
        raise UserError(f"{', '.join(source.name for source in sources)}: no rows in there")
    rows = {
        "read": read, "broken": counts["broken"], "dropped": by_rule, "kept": counts["kept"],
        "languages": {name: counts[name] for name in ("en", "zh")}, "unknown_level": counts["unknown level"],
    }  # fmt: skip
    versions = {"longthought": version("longthought"), "python": platform.python_version()}
    record = asked | {"rules_sha256": rules.digest, "versions": versions, "rows": rows}
    (draft / SUMMARY).write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    summary = Summary.of(record)
    figure, data = funnel_figure(summary)
    from longthought.curation.cards import card_of_curation

    card_of_curation("curated rows", summary).write(draft / "card.md")
    figure.write_html(draft / "funnel.html", include_plotlyjs=True, full_html=True)
    data.to_json(draft / "funnel.json", orient="records", indent=2)
    return summary


@contextmanager
def _judges(rules: Rules, fields: Mapping[str, str], workers: int) -> Iterator[Any]:
    """A function from chunks to what they came to, in order: in `workers` processes, or here for 0."""
    if not workers:
        yield lambda chunks: (_sifted(chunk, rules, fields) for chunk in chunks)
        return
    pool = ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_start_worker, initargs=({"rules": list(rules.data)},)
    )

    def judge(chunks: Iterable[Chunk]) -> Iterator[Sifted]:
        waiting: deque[Future[Sifted]] = deque()
        for chunk in chunks:
            waiting.append(pool.submit(_sift_chunk, chunk, fields))
            if len(waiting) > workers + 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    try:
        yield judge
    except BrokenProcessPool:
        raise UserError("a worker process died, most often for want of memory: try --workers 1") from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


# --- rows in memory ---


@dataclass(frozen=True)
class Curated:
    """Rows in memory after curation; `line` counts the rows from 1. `summary` is what `curate_files` would write."""

    kept: list[dict[str, Any]]
    dropped: list[dict[str, Any]]
    broken: list[dict[str, Any]]
    summary: Summary


def curate_rows(
    rows: Iterable[Mapping[str, Any]], rules: Rules | None = None, fields: Mapping[str, str] | None = None
) -> Curated:
    """What `curate_files` does, for rows in memory and without files."""
    rules = rules or Rules.read()
    sifted = sift(enumerate(rows, start=1), rules, check_fields(fields or {}))
    counts = sifted.counts
    kept: list[dict[str, Any]] = []
    matches = _Seen(rules).check(0, [(line, problem) for line, problem, _ in sifted.kept])
    for (line, problem, text), match in zip(sifted.kept, matches, strict=True):
        if match is None:
            kept.append(json.loads(text))
            continue
        rule, reason, (_, earlier) = match
        counts[rule] += 1
        counts[language(problem)] -= 1
        more = {"line": line, "problem": problem[:_SHOWN], "rule": rule, "reason": reason, "earlier_line": earlier}
        sifted.dropped.append((line, _json(more)))
    by_rule = {name: counts[name] for name in rules.names}
    read = len(kept) + len(sifted.broken) + sum(by_rule.values())
    languages = {name: counts[name] for name in ("en", "zh")}
    summary = Summary(read, len(sifted.broken), len(kept), by_rule, languages, counts["unknown level"], {})
    return Curated(
        kept,
        [json.loads(text) for _, text in sorted(sifted.dropped)],
        [json.loads(text) for _, text in sifted.broken],
        summary,
    )


# --- what a reader sees ---


def funnel_table(summary: Summary) -> pd.DataFrame:
    """One row per stage: what it is, how many rows it took away, how many were left."""
    import pandas as pd

    left = summary.read
    rows: list[dict[str, Any]] = [{"stage": "rows read", "rows dropped": 0, "rows left": left}]
    stages = {"broken rows": summary.broken} | {TITLES[rule]: count for rule, count in summary.dropped.items()}
    for stage, count in stages.items():
        left -= count
        rows.append({"stage": stage, "rows dropped": count, "rows left": left})
    return pd.DataFrame(rows)


def funnel_figure(summary: Summary) -> tuple[go.Figure, pd.DataFrame]:
    """How many rows each stage leaves, as bars, with the numbers."""
    import plotly.graph_objects as go

    from longthought.figures import COLOURS, layout

    data = funnel_table(summary)
    figure = go.Figure()
    figure.add_bar(
        x=data["stage"], y=data["rows left"], name="rows left", marker={"color": COLOURS[0]},
        hovertext=[f"{row[0]}: {row[1]:,} dropped, {row[2]:,} left" for row in data.itertuples(index=False)],
        hoverinfo="text",
    )  # fmt: skip
    figure.add_bar(x=data["stage"], y=data["rows dropped"], name="dropped here", marker={"color": COLOURS[1]})
    layout(figure, "", "rows", barmode="stack")
    return figure, data


# --- how well the rules do ---


@dataclass(frozen=True)
class Measured:
    """One rule on labelled rows: how often it fired rightly, wrongly, and failed to; the rows of the mistakes."""

    rule: str
    hits: int
    false_alarms: tuple[str, ...]
    misses: tuple[str, ...]


def labelled_cases(path: Path | None = None) -> list[dict[str, Any]]:
    """The labelled rows of the project: NuminaMath-CoT's fields, `language`, `part`, and `labels`, the rules to fire.

    They were written for this purpose, in parts. The rules were written on "tuned"; "held back" was there before them
    and was first looked at after that; "added" holds what came up later. "examination" was written by somebody who had
    not seen the rules, "first held out" and "held out" after the rules had been mended on the part before them. In
    these three parts `why` tells what a row is there for, `first` names the rules that fired when they met the row for
    the first time, and `first_labels`, where it is there, the labels before they were changed (`why` says for
    what reason).
    Classes of mistakes that a part showed were mended afterwards, so that only a first look speaks for other rows.
    """
    text = (path or CASES).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def measured(cases: Sequence[Mapping[str, Any]], rules: Rules | None = None) -> list[Measured]:
    """Every rule asked on its own about every case, duplicates in the order of the cases."""
    rules = rules or Rules.read()
    rows = [case_of(case, {}) for case in cases]
    broken = [row for row in rows if isinstance(row, str)]
    if broken:
        raise UserError(f"a labelled row is broken: {broken[0]}")
    sound = [row for row in rows if isinstance(row, Case)]
    fired = {name: [bool(check(row)) for row in sound] for name, check in rules.checks.items()}
    matches = _Seen(rules).check(0, [(at, row.problem) for at, row in enumerate(sound)])
    for name in DUPLICATES:
        if name in rules.names:
            fired[name] = [match is not None and match[0] == name for match in matches]
    return [_compared(name, cases, fired[name], [case["labels"] for case in cases]) for name in rules.names]


def first_look(cases: Sequence[Mapping[str, Any]]) -> list[Measured]:
    """What the rules did when they met these cases for the first time, against the labels of that time."""
    labels = [case.get("first_labels", case["labels"]) for case in cases]
    return [_compared(name, cases, [name in case["first"] for case in cases], labels) for name in TITLES]


def _compared(
    rule: str, cases: Sequence[Mapping[str, Any]], fired: Sequence[bool], labels: Sequence[Sequence[str]]
) -> Measured:
    triples = [(case["problem"], said, rule in own) for case, said, own in zip(cases, fired, labels, strict=True)]
    return Measured(
        rule,
        sum(said and right for _, said, right in triples),
        tuple(problem for problem, said, right in triples if said and not right),
        tuple(problem for problem, said, right in triples if right and not said),
    )


def rule_table(found: Sequence[Measured]) -> pd.DataFrame:
    """Precision and recall of each rule, each with count and 95% interval."""
    import pandas as pd

    from longthought.statistics import wilson

    def rate(k: int, n: int) -> str:
        return str(wilson(k, n)) if n else NO_ROW

    return pd.DataFrame(
        [
            {
                "rule": TITLES[one.rule],
                "precision": rate(one.hits, one.hits + len(one.false_alarms)),
                "recall": rate(one.hits, one.hits + len(one.misses)),
            }
            for one in found
        ]
    )
