"""Sample logs of other tools, read as answers: which problem, which gold, what was written, at how many tokens.

Four formats, recognised by their content:

- `longthought`: JSON lines with `problem_id`, `gold`, `completion` (or `answer`, a final answer without its thought),
  `tokens`, and optionally `finish` ("length" where the answer was cut off) and `sample`;
- `lm-eval`: `samples_*.jsonl` of lm-evaluation-harness (fields as written by its EvaluationTracker, 0.4);
- `inspect`: `.eval` or `.json` logs of inspect_ai (fields of its EvalLog and EvalSample, 0.3);
- `lighteval`: `details_*.parquet` of lighteval (doc and model_response in 0.13; gold and predictions in 0.8).

Files are read as a stream, and what is wrong with one is said in one line with the place. Nothing in a log is trusted:
its texts are only graded, and `plain` makes any of them safe to print.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from longthought.errors import UserError
from longthought.grading import grade
from longthought.progress import report

FORMATS = ("longthought", "lm-eval", "inspect", "lighteval")
CUT_OFF = frozenset({"length", "max_tokens", "model_length"})
_BAR_FROM_BYTES = 5_000_000
_LABEL = 60
_MOST_TOKENS = 10**9
_ZSTANDARD = 93
_SAMPLE = re.compile(r"samples/.+_epoch_\d+(?:/sample)?\.json")
_MISSING = object()
_NO_LIMIT = "answers whose log does not say if they were cut off at the token limit: none of them counts as truncated"


@dataclass(frozen=True)
class Answer:
    """One answer. `tokens` is None where the log does not count them; `bare` says that only the final answer is there.

    `golds` are the right answers, any of which will do; `sample` names the repetition where the log does.
    """

    problem: str
    golds: tuple[str, ...]
    completion: str
    tokens: int | None
    truncated: bool
    sample: str | None
    group: str
    where: str
    bare: bool = False


@dataclass(frozen=True)
class Wanted:
    """What to read beside the answers: dotted names of the field to group by and of the field that holds the gold.

    Empty: no groups, and the gold where the format keeps it. "file" groups by file name. `remarks` collects what the
    reader of the log should know, with how many answers each concerns.
    """

    group: str
    gold: str
    remarks: Counter[str]


def plain(text: object, limit: int = _LABEL) -> str:
    """Text from a log made safe to show: one line, no control or invisible characters, at most `limit` long."""
    kept = "".join(c for c in " ".join(str(text).split()) if c.isprintable())
    return kept if len(kept) <= limit else kept[: limit - 1] + "…"


def read(path: Path, form: str, wanted: Wanted) -> Iterator[Answer]:
    """The answers in one log. Raises UserError for a file that cannot be read, naming the place and the mend."""
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    if form not in ("auto", *FORMATS):
        raise UserError(f"--format {form!r}: choose from auto, {', '.join(FORMATS)}")
    try:
        form = detect(path) if form == "auto" else form
        yield from _READERS[form](path, wanted)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error


def detect(path: Path) -> str:
    """The format of a log, from its first bytes and its first record. Raises UserError when it is none of `FORMATS`."""
    with path.open("rb") as file:
        start = file.read(4)
    if not start:
        raise UserError(f"{path} is empty: there are no answers in it")
    if start == b"PAR1":
        return "lighteval"
    if start.startswith(b"PK"):
        return "inspect"
    if path.suffix.lower() == ".json":
        return "inspect"
    _, first = next(_json_lines(path))
    if "resps" in first and "doc_id" in first:
        return "lm-eval"
    if {"problem_id", "gold", "completion", "answer"} & first.keys():
        return "longthought"
    fields = ", ".join(plain(name, 20) for name in islice(first, 8))
    raise UserError(f"{path} is in no format known here (fields: {fields}): {_NEEDS}, or name one with --format")


_NEEDS = "rows need problem_id, gold, completion and tokens"


# --- our own rows ---


def _longthought(path: Path, wanted: Wanted) -> Iterator[Answer]:
    for number, row in _json_lines(path):
        where = f"{path}, line {number}"
        bare = "completion" not in row
        field = "answer" if bare else "completion"
        for name in ("problem_id", field if field in row else "completion"):
            if name not in row:
                raise UserError(f"{where}: the field {name} is missing; {_NEEDS}")
        text = row[field]
        if bare and isinstance(text, int | float) and not isinstance(text, bool):
            text = str(text)
        if not isinstance(text, str) and not (bare and text is None):
            raise UserError(f"{where}: {field} must be text, not {plain(json.dumps(text), 30)}")
        if bare:
            text = f"\\boxed{{{text}}}" if text else ""
        finish = row.get("finish")
        yield Answer(
            problem=_name(row["problem_id"], "problem_id", where),
            golds=_golds(_field(row, wanted.gold or "gold", where), where),
            completion=text,
            tokens=_tokens(row.get("tokens"), where),
            truncated=isinstance(finish, str) and finish in CUT_OFF,
            sample=_name(row["sample"], "sample", where) if row.get("sample") is not None else None,
            group=_group(row, wanted, path, where),
            where=where,
            bare=bare,
        )


# --- lm-evaluation-harness ---


def _lm_eval(path: Path, wanted: Wanted) -> Iterator[Answer]:
    chosen: object = _MISSING
    for number, row in _json_lines(path):
        where = f"{path}, line {number}"
        # A log repeats every answer for each of its filters, which differ only in what the harness extracts.
        name = row.get("filter")
        if chosen is _MISSING:
            chosen = name
        if name != chosen:
            wanted.remarks["rows that repeat the same answers for another filter of the harness were passed over"] += 1
            continue
        for field in ("doc_id", "resps"):
            if field not in row:
                raise UserError(f"{where}: the field {field} is missing; is this a samples_*.jsonl of lm-eval?")
        requests = row["resps"]
        if not (isinstance(requests, list) and len(requests) == 1 and isinstance(requests[0], list)):
            raise UserError(f"{where}: resps holds no generated text; multiple-choice tasks have no answers to grade")
        problem = _name(row["doc_id"], "doc_id", where)
        golds = _solutions(_golds(_field(row, wanted.gold or "target", where), where), wanted)
        wanted.remarks[_NO_LIMIT] += len(requests[0])
        for repeat, text in enumerate(requests[0]):
            if not isinstance(text, str):
                raise UserError(f"{where}: resps holds no generated text; multiple-choice tasks have none to grade")
            group = _group(row, wanted, path, where)
            yield Answer(problem, golds, text, None, False, str(repeat), group, where)


# --- inspect_ai ---


def _inspect(path: Path, wanted: Wanted) -> Iterator[Answer]:
    head, samples = _inspect_zip(path) if zipfile.is_zipfile(path) else _inspect_json(path)
    spec = _mapping(head.get("eval"))
    if head.get("status") != "success":
        status = plain(head.get("status") or "unknown", 20)
        wanted.remarks[f"files whose evaluation did not finish well, status {status}"] += 1
    for where, sample in samples:
        for field in ("id", "target", "output"):
            if field not in sample:
                raise UserError(f"{where}: the field {field} is missing; is this a log of inspect_ai?")
        record = {"model": spec.get("model"), "task": spec.get("task"), **sample}
        output = _mapping(sample["output"])
        choices = output.get("choices") or []
        usage = _mapping(output.get("usage"))
        used = usage.get("output_tokens")
        total = _mapping(_mapping(sample.get("model_usage")).get(str(output.get("model")))).get("output_tokens")
        if isinstance(used, int) and isinstance(total, int) and total > used:
            wanted.remarks["samples took several calls of the model: only the tokens of their last output count"] += 1
        if sample.get("error"):
            wanted.remarks["samples ended in an error in the log: no answer, at the tokens that the log gives"] += 1
        problem = _name(sample["id"], "id", where)
        golds = _solutions(_golds(_field(record, wanted.gold or "target", where), where), wanted)
        group = _group(record, wanted, path, where)
        epoch = sample.get("epoch", 1)
        if not choices:
            yield Answer(problem, golds, "", _tokens(used, where) or 0, False, str(epoch), group, where)
        for number, choice in enumerate(choices):
            choice = _mapping(choice)
            text = _inspect_text(_mapping(choice.get("message")).get("content"), sample, where)
            # The usage is that of the whole call, so it says nothing about one of several choices.
            tokens = _tokens(used, where) if len(choices) == 1 else None
            name = f"{epoch}" if len(choices) == 1 else f"{epoch}.{number}"
            yield Answer(problem, golds, text, tokens, choice.get("stop_reason") in CUT_OFF, name, group, where)


def _inspect_text(content: object, sample: Mapping[str, Any], where: str) -> str:
    """A message as text, with reasoning inside a thinking block, where no answer is looked for."""
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(parts, list):
        raise UserError(f"{where}: the message of the model has no content that can be read")
    texts = []
    for part in map(_mapping, parts):
        text = part.get("reasoning") if part.get("type") == "reasoning" else part.get("text")
        text = text if isinstance(text, str) else ""
        if text.startswith("attachment://"):
            found = _mapping(sample.get("attachments")).get(text.removeprefix("attachment://"))
            if not isinstance(found, str):
                raise UserError(f"{where}: a text is kept in an attachment that the log does not hold")
            text = found
        if part.get("type") == "reasoning":
            texts.append(f"<think>{text}</think>")
        elif part.get("type") == "text":
            texts.append(text)
    return "\n".join(texts)


def _inspect_json(path: Path) -> tuple[Mapping[str, Any], Iterator[tuple[str, Mapping[str, Any]]]]:
    log = _mapping(_parsed(path.read_bytes(), str(path)))
    samples = log.get("samples")
    if not isinstance(samples, list) or "eval" not in log:
        raise UserError(f"{path}: this JSON file is no inspect_ai log with samples; rows of our own go one per line")
    return log, ((f"{path}, sample {n}", _mapping(sample)) for n, sample in enumerate(samples, 1))


def _inspect_zip(path: Path) -> tuple[Mapping[str, Any], Iterator[tuple[str, Mapping[str, Any]]]]:
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        head: Mapping[str, Any] = {}
        for name in ("header.json", "_journal/start.json"):
            if name in names:
                head = _mapping(_parsed(_entry(archive, name, path), f"{path}, {name}"))
                break
    found = sorted(name for name in names if _SAMPLE.fullmatch(name))
    if not found:
        raise UserError(f"{path} holds no samples/*.json: is this an .eval log of inspect_ai?")

    def samples() -> Iterator[tuple[str, Mapping[str, Any]]]:
        with zipfile.ZipFile(path) as archive:
            for number, name in enumerate(found, 1):
                where = f"{path}, {plain(name)}"
                yield where, _mapping(_parsed(_entry(archive, name, path), where))
                _show(path, number, len(found))

    return head, samples()


def _entry(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    """An entry's bytes. inspect_ai packs with Zstandard, which Python's own reader knows only since 3.14."""
    info = archive.getinfo(name)
    try:
        if info.compress_type != _ZSTANDARD:
            return archive.read(info)
        import pyarrow

        file = archive.fp
        assert file is not None
        file.seek(info.header_offset + 26)
        name_length, extra_length = (int.from_bytes(file.read(2), "little") for _ in range(2))
        file.seek(name_length + extra_length, 1)
        packed = pyarrow.BufferReader(file.read(info.compress_size))
        return bytes(pyarrow.CompressedInputStream(packed, "zstd").read(info.file_size))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, OSError) as error:
        raise UserError(f"{path}: its part {plain(name)} cannot be unpacked ({plain(error)})") from error


# --- lighteval ---


def _lighteval(path: Path, wanted: Wanted) -> Iterator[Answer]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.ParquetFile(path)
        columns = set(table.schema_arrow.names)
        rows = _parquet_rows(table, path)
        if {"doc", "model_response"} <= columns:
            yield from _lighteval_new(rows, path, wanted)
        elif {"gold", "predictions"} <= columns:
            yield from _lighteval_old(rows, path, wanted)
        else:
            raise UserError(
                f"{path}: this Parquet file holds neither doc and model_response nor gold and predictions, "
                "as details_*.parquet of lighteval do"
            )
    except pyarrow.ArrowException as error:
        raise UserError(f"{path} is no Parquet file that can be read ({plain(error)})") from error


def _parquet_rows(table: Any, path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    number, total = 0, table.metadata.num_rows
    if not total:
        raise UserError(f"{path} is empty: there are no answers in it")
    for batch in table.iter_batches(batch_size=64):
        for row in batch.to_pylist():
            yield number, row
            number += 1
        _show(path, number, total)


def _lighteval_new(rows: Iterator[tuple[int, Mapping[str, Any]]], path: Path, wanted: Wanted) -> Iterator[Answer]:
    for number, row in rows:
        where = f"{path}, row {number + 1}"
        doc, response = _mapping(row["doc"]), _mapping(row["model_response"])
        texts = response.get("text") or []
        if not texts:
            raise UserError(f"{where}: model_response.text is empty; multiple-choice tasks have no answers to grade")
        if wanted.gold:
            golds = _golds(_field(row, wanted.gold, where), where)
        else:
            index, choices = doc.get("gold_index"), doc.get("choices") or []
            places = index if isinstance(index, list) else [index]
            named = [choices[i] for i in places if isinstance(i, int) and 0 <= i < len(choices)]
            if not named:
                raise UserError(f"{where}: doc.gold_index names none of doc.choices; name the gold with --gold FIELD")
            golds = _golds(named, where)
        golds = _solutions(golds, wanted)
        counts = _lengths(response.get("output_tokens"), len(texts))
        thoughts = response.get("reasonings") or []
        limit = doc.get("generation_size")
        for repeat, text in enumerate(texts):
            thought = thoughts[repeat] if repeat < len(thoughts) else None
            tokens = counts[repeat]
            # lighteval does not say why an answer ended; one that fills the whole allowance was cut off.
            cut = isinstance(limit, int) and tokens is not None and limit > 0 and tokens >= limit
            if cut:
                wanted.remarks["answers that fill the task's generation_size count as truncated"] += 1
            completion = f"<think>{thought}</think>\n{text}" if thought else str(text)
            problem = _name(doc.get("id") or number, "doc.id", where)
            yield Answer(problem, golds, completion, tokens, cut, str(repeat), _group(row, wanted, path, where), where)
        if not isinstance(limit, int):
            wanted.remarks[_NO_LIMIT] += len(texts)


def _lighteval_old(rows: Iterator[tuple[int, Mapping[str, Any]]], path: Path, wanted: Wanted) -> Iterator[Answer]:
    for number, row in rows:
        where = f"{path}, row {number + 1}"
        texts = row["predictions"]
        texts = texts[0] if isinstance(texts, list) and len(texts) == 1 and isinstance(texts[0], list) else texts
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
            raise UserError(
                f"{where}: predictions holds no list of texts; only details of generative tasks can be graded"
            )
        golds = _solutions(_golds(_field(row, wanted.gold or "gold", where), where), wanted)
        counts = _lengths(row.get("cont_tokens"), len(texts))
        wanted.remarks[_NO_LIMIT] += len(texts)
        for repeat, text in enumerate(texts):
            group = _group(row, wanted, path, where)
            yield Answer(str(number), golds, text, counts[repeat], False, str(repeat), group, where)


def _lengths(tokens: object, answers: int) -> list[int | None]:
    """How many tokens each answer has, from lists of token ids, which some versions nest once more; None if unknown."""
    for _ in range(2):
        if not isinstance(tokens, list):
            break
        if len(tokens) == answers and all(isinstance(t, list) and _ids(t) for t in tokens):
            return [len(t) for t in tokens]
        tokens = tokens[0] if len(tokens) == 1 else None
    return [None] * answers


def _ids(tokens: list[object]) -> bool:
    return bool(tokens) and all(isinstance(t, int) for t in tokens)


_READERS: Mapping[str, Callable[[Path, Wanted], Iterator[Answer]]] = {
    "longthought": _longthought,
    "lm-eval": _lm_eval,
    "inspect": _inspect,
    "lighteval": _lighteval,
}


# --- tokens of logs that do not count them ---


def token_counter(name: str) -> Callable[[Sequence[str]], list[int]]:
    """Counts the tokens of texts with a tokenizer: "words" (between spaces), or as `models.load` names models.

    Marks that begin or end a text are not counted. Raises UserError for a name that is none, or cannot be loaded.
    """
    if name == "words":
        return lambda texts: [len(text.split()) for text in texts]
    from longthought.models import SMOLLM2, STUDENT_MARK, smollm2_file

    student = False
    if name == SMOLLM2:
        file = smollm2_file()
        source, options = str(file.parent), {"gguf_file": file.name}
    elif Path(name).is_dir():
        source, options, student = name, {}, (Path(name) / STUDENT_MARK).exists()
    else:
        source, _, revision = name.rpartition("@")
        options = {"revision": revision}
        if not source or not re.fullmatch(r"[0-9a-f]{40}", revision):
            raise UserError(f"--tokenizer {name!r} is neither words, nor {SMOLLM2}, nor a folder, nor name@commit")
    from transformers import AutoTokenizer, PreTrainedTokenizerFast
    from transformers.utils import logging

    logging.set_verbosity_error()  # A text longer than the model's window is only counted here.
    # The automatic class would rebuild the tokenizer that is usual for the model and split a student's words.
    kind: Any = PreTrainedTokenizerFast if student else AutoTokenizer
    try:
        tokenizer = kind.from_pretrained(source, **options)
    except (OSError, ValueError) as error:
        raise UserError(f"--tokenizer {name!r} could not be loaded ({plain(error, 120)})") from error

    def count(texts: Sequence[str]) -> list[int]:
        # JSON can hold halves of characters, which tokenizers refuse.
        whole = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        return [len(ids) for ids in tokenizer(whole, add_special_tokens=False)["input_ids"]]

    return count


# --- fields ---


def _json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, object) of each line that is not blank."""
    size, done, rows = path.stat().st_size, 0, 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            done += len(line)
            if number == 1 and line.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise UserError(f"{path} is encoded as UTF-16: save it as UTF-8")
            if line.strip() in (b"", b"\xef\xbb\xbf"):
                continue
            row = _parsed(line, f"{path}, line {number}")
            if not isinstance(row, dict):
                raise UserError(f"{path}, line {number}: a JSON object is wanted, one per line")
            rows += 1
            yield number, row
            if number % 200 == 0 or done == size:
                _show(path, done, size)
    if not rows:
        raise UserError(f"{path} is empty: there are no answers in it")


def _show(path: Path, done: int, total: int) -> None:
    if path.stat().st_size >= _BAR_FROM_BYTES:
        report(f"reading {plain(path.name)}", done, total)


def _parsed(raw: bytes, where: str) -> Any:
    try:
        return json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UserError(f"{where} is not UTF-8 (byte {error.start}): save the file as UTF-8") from error
    except json.JSONDecodeError as error:
        raise UserError(f"{where} is not JSON ({error.msg} at character {error.pos + 1}): was it cut off?") from error
    except (RecursionError, ValueError) as error:
        raise UserError(f"{where} is JSON that cannot be read here ({plain(error)})") from error


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _name(value: object, field: str, where: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise UserError(f"{where}: {field} must be a text or a whole number, not {plain(json.dumps(value), 30)}")
    return str(value)


def _tokens(value: object, where: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST_TOKENS:
        raise UserError(f"{where}: tokens must be a whole number from 0, not {plain(json.dumps(value), 30)}")
    return value


def _golds(value: object, where: str) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    texts = [str(v) for v in values if isinstance(v, str | int | float) and not isinstance(v, bool)]
    if len(texts) != len(values) or not any(text.strip() for text in texts):
        raise UserError(
            f"{where}: the gold must be a text or a number, not {plain(json.dumps(value, default=str), 30)}"
        )
    return tuple(texts)


def _solutions(golds: tuple[str, ...], wanted: Wanted) -> tuple[str, ...]:
    """Golds that are whole solutions, as GSM8K and MATH keep them, reduced to their final answers."""
    final = []
    for gold in golds:
        short = gold
        if "####" in gold:
            short = gold.rpartition("####")[2].strip()
        elif "\\boxed" in gold or "\\fbox" in gold:
            short = grade("0", gold).extracted
        if short and short != gold:
            wanted.remarks[
                "golds were whole solutions, of which the final answer (boxed, or after ####) was taken"
            ] += 1
        final.append(short or gold)
    return tuple(final)


def _field(record: Mapping[str, Any], name: str, where: str) -> Any:
    """The value under a dotted name, such as doc.level."""
    value: Any = record
    if name in record:
        return record[name]
    for part in name.split("."):
        value = value.get(part, _MISSING) if isinstance(value, dict) else _MISSING
        if value is _MISSING:
            known = ", ".join(plain(field, 20) for field in islice(record, 12))
            raise UserError(f"{where}: the field {plain(name)} is missing; it has {known}")
    return value


def _group(record: Mapping[str, Any], wanted: Wanted, path: Path, where: str) -> str:
    if not wanted.group:
        return ""
    if wanted.group == "file" and "file" not in record:
        return path.name
    value = _field(record, wanted.group, where)
    if not isinstance(value, str | int | float | bool):
        raise UserError(f"{where}: --group {plain(wanted.group)} is no single value there")
    return str(value)
