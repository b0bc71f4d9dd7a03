"""Rows of training data, streamed: JSONL, a JSON array, Parquet, or a pinned data set of a hub, gzipped or not.

The reader cuts a source into chunks that a worker process can parse by itself, and never holds more than a chunk. What
cannot be parsed is a broken row with its place and reason. A file that is no data at all, or that lacks the wanted
fields, is the user's mistake and said in one line.
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, cast

from longthought.curation.rules import Case
from longthought.errors import UserError

CHUNK_BYTES = 4_000_000
CHUNK_ROWS = 2_000
MOST_BYTES = 16_000_000  # of one line
MOST_CHARACTERS = 50_000  # of one problem
FIELDS = ("source", "problem", "solution", "level", "answer")
_KEPT_TEXT = 2_000
_STEP = 1 << 16
_COMMIT = re.compile(r"[0-9a-f]{40}")
_NEXT_ITEM = re.compile(r",\s*(?=\{)")
_END = re.compile(r"\]?\s*\Z")
_SPACE = re.compile(r"[\s,]*")


@dataclass(frozen=True)
class Broken:
    """A row that cannot be used: its line (or its number, where the file has no lines), why, and how it begins."""

    line: int
    reason: str
    text: str = ""


@dataclass(frozen=True)
class Chunk:
    """Some rows of a source, unparsed: lines of JSON, or an Arrow stream.

    `first` is the line or row number of the first; `done` how many bytes (of a hub: rows) of the source lie behind it.
    """

    data: bytes
    first: int
    arrow: bool = False
    broken: tuple[Broken, ...] = ()
    done: int = 0


@dataclass(frozen=True)
class Source:
    """Where rows come from: a file with its size in bytes and SHA-256, or a data set of a hub at a commit."""

    name: str
    size: int = 0
    sha256: str = ""
    commit: str = ""
    split: str = "train"

    @classmethod
    def of(cls, name: str, split: str = "train") -> Source:
        """The source that the user named. Raises UserError for what is neither a file nor name@commit."""
        path = Path(name)
        if path.is_dir():
            raise UserError(f"{name}: is a folder; name its files, for example {name.rstrip('/')}/*.parquet")
        if path.exists():
            try:
                with path.open("rb") as stream:
                    return cls(name, path.stat().st_size, hashlib.file_digest(stream, "sha256").hexdigest())
            except OSError as error:
                raise UserError(f"{name}: cannot be read ({error.strerror})") from None
        repository, at, commit = name.rpartition("@")
        if at and repository and not _COMMIT.fullmatch(commit):
            raise UserError(f"data set {name}: pin it by its full commit, as {repository}@ and 40 hex digits")
        if not at or not repository:
            raise UserError(f"{name}: no such file; give JSONL, JSON or Parquet files, or name@commit of a hub")
        return cls(repository, commit=commit, split=split)

    def record(self) -> dict[str, Any]:
        """What a summary says of the source."""
        if self.commit:
            return {"name": self.name, "commit": self.commit, "split": self.split}
        return {"name": self.name, "bytes": self.size, "sha256": self.sha256}

    def chunks(self) -> Iterator[Chunk]:
        """All rows, in order."""
        if self.commit:
            return _hub_chunks(self)
        path = Path(self.name)
        suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
        if suffixes[-1:] == [".parquet"]:
            return _parquet_chunks(path)
        zipped = suffixes[-1:] == [".gz"]
        kind = suffixes[-2:-1] if zipped else suffixes[-1:]
        if kind not in ([".json"], [".jsonl"], [".ndjson"]):
            raise UserError(
                f"{path}: the name must end in .jsonl, .ndjson, .json or .parquet, the first three also .gz"
            )
        return _text_chunks(path, zipped, array=kind == [".json"])


# --- JSON ---


def _text_chunks(path: Path, zipped: bool, array: bool) -> Iterator[Chunk]:
    with path.open("rb") as raw:
        stream = cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if zipped else raw
        stops: list[str] = []
        blocks = _blocks(stream, stops)
        head = next(blocks, b"").removeprefix(codecs.BOM_UTF8)
        is_array = array and head.lstrip().startswith(b"[")
        number = 0
        for chunk in (_items if is_array else _lines)(_with(head, blocks)):
            number = chunk.first + (len(chunk.broken) if is_array else 0) + chunk.data.count(b"\n")
            yield Chunk(chunk.data, chunk.first, broken=chunk.broken, done=raw.tell())
        if stops and not number:
            raise UserError(f"{path}: cannot be read ({stops[0]})")
        if stops:
            broken = Broken(number, f"the file breaks off here ({stops[0]})")
            yield Chunk(b"", number, broken=(broken,), done=raw.tell())


def _with(first: bytes, rest: Iterable[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _blocks(stream: IO[bytes], stops: list[str]) -> Iterator[bytes]:
    """The stream in blocks; why it breaks off, if it does, is put into `stops`."""
    parts: list[bytes] = []
    try:
        # Small steps, since a reader of compressed data that breaks off keeps the step in which it does.
        while part := stream.read(_STEP):
            parts.append(part)
            if len(parts) * _STEP >= CHUNK_BYTES:
                yield b"".join(parts)
                parts = []
    except (OSError, EOFError, zlib.error) as error:
        stops.append(str(error))
    if parts:
        yield b"".join(parts)


def _lines(blocks: Iterable[bytes]) -> Iterator[Chunk]:
    """Whole lines; a line that is longer than any row is left out, and only its beginning is held."""
    rest, first, skipped = b"", 1, 0
    for block in blocks:
        cut = block.rfind(b"\n") + 1
        if not cut:
            if skipped or len(rest) + len(block) > MOST_BYTES:
                skipped += len(block)
                rest = rest[:_KEPT_TEXT] or block[:_KEPT_TEXT]
            else:
                rest += block
            continue
        broken: tuple[Broken, ...] = ()
        if skipped:
            start = block.index(b"\n")
            broken, block, cut = (_too_long(first, rest),), block[start:], cut - start
            rest, skipped = b"", 0
        yield Chunk(rest + block[:cut], first, broken=broken)
        first += block.count(b"\n", 0, cut)
        rest = block[cut:]
    if skipped:
        yield Chunk(b"", first, broken=(_too_long(first, rest),))
    elif rest:
        yield Chunk(rest, first)


def _too_long(line: int, text: bytes) -> Broken:
    return Broken(line, f"longer than {MOST_BYTES:,} bytes", _shown(text))


def _items(blocks: Iterable[bytes]) -> Iterator[Chunk]:
    """The elements of one JSON array, a line each; behind a broken element reading goes on at the next object."""
    decoder, decode = codecs.getincrementaldecoder("utf-8")("surrogateescape"), json.JSONDecoder().raw_decode
    text, at, number = "", 0, 1
    lines: list[str] = []
    broken: list[Broken] = []
    source, ended = iter(blocks), False
    text = decoder.decode(next(source, b"")).lstrip()[1:]
    while True:
        at = _SPACE.match(text, at).end()  # type: ignore[union-attr]
        left = len(text) - at
        try:
            if not left:
                raise json.JSONDecodeError("", text, at)
            _, end = decode(text, at)
            if end == len(text) and not ended and text[at] != "{":  # a number may go on in the next block
                raise json.JSONDecodeError("", text, at)
            lines.append(text[at:end].replace("\n", " ").replace("\r", " "))
            at, number = end, number + 1
        except (ValueError, RecursionError):
            block = next(source, None) if left < MOST_BYTES else b""
            if block:
                if lines or broken:
                    yield _array_chunk(lines, broken, number)
                    lines, broken = [], []
                text, at = text[at:] + decoder.decode(block), 0
                continue
            ended = ended or block is None
            if ended and _END.match(text, at):
                if not left:
                    broken.append(Broken(number, "the array is not closed"))
                    number += 1
                break
            broken.append(Broken(number, "not valid JSON", text[at : at + _KEPT_TEXT]))
            number += 1
            following = _NEXT_ITEM.search(text, at + 1)
            if following is None:
                if ended:
                    break
                text, at = text[-100:], 100
            else:
                at = following.end()
    if lines or broken:
        yield _array_chunk(lines, broken, number)


def _array_chunk(lines: Sequence[str], broken: Sequence[Broken], number: int) -> Chunk:
    """The elements before `number`: an empty line stands for a broken one, so that they can be counted."""
    first = number - len(lines) - len(broken)
    gaps, parts = {item.line for item in broken}, iter(lines)
    whole = ["" if at in gaps else next(parts) for at in range(first, number)]
    return Chunk("\n".join(whole).encode("utf-8", "surrogateescape"), first, broken=tuple(broken))


# --- Parquet and the hub ---


def _parquet_chunks(path: Path) -> Iterator[Chunk]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: is no Parquet file ({str(error).splitlines()[0][:120]})") from None
    size, total, first = path.stat().st_size, max(1, file.metadata.num_rows), 1
    for group in range(file.num_row_groups):
        rows, start = file.metadata.row_group(group).num_rows, first
        try:
            for batch in file.iter_batches(CHUNK_ROWS, row_groups=[group], use_threads=False):
                sink = io.BytesIO()
                with pa.ipc.new_stream(sink, batch.schema) as writer:
                    writer.write_batch(batch)
                yield Chunk(sink.getvalue(), first, arrow=True, done=size * (first + batch.num_rows) // total)
                first += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            reason = f"row group {group} cannot be read ({str(error).splitlines()[0][:120]})"
            lost = tuple(Broken(line, reason) for line in range(first, start + rows))
            yield Chunk(b"", first, broken=lost, done=size * first // total)
            first = start + rows


def _hub_chunks(source: Source) -> Iterator[Chunk]:
    import datasets

    try:
        rows = iter(datasets.load_dataset(source.name, split=source.split, revision=source.commit, streaming=True))
        first = 1
        while block := list(islice(rows, CHUNK_ROWS)):
            lines = "\n".join(json.dumps(row, ensure_ascii=False, default=str) for row in block)
            yield Chunk(lines.encode("utf-8", "surrogatepass"), first, done=first + len(block))
            first += len(block)
    except Exception as error:  # whatever a hub's many libraries raise means the same to the user
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise UserError(
            f"data set {source.name}@{source.commit}, split {source.split}, cannot be read ({reason}): check the name "
            "and the network, or download its files and name them"
        ) from None


# --- parsing, in a worker ---


def parsed(chunk: Chunk) -> Iterator[tuple[int, dict[str, Any] | Broken]]:
    """Every row of a chunk with its number: an object, or what is wrong with it."""
    yield from ((item.line, item) for item in chunk.broken)
    if chunk.arrow:
        import pyarrow as pa

        with pa.ipc.open_stream(chunk.data) as stream:
            for batch in stream:
                yield from enumerate(batch.to_pylist(), start=chunk.first)
        return
    gaps = {item.line for item in chunk.broken}
    for line, raw in enumerate(chunk.data.split(b"\n"), start=chunk.first):
        if line in gaps or not raw or raw.isspace():
            continue
        if len(raw) > MOST_BYTES:
            yield line, _too_long(line, raw)
            continue
        try:
            # Bytes would be taken for UTF-16 or UTF-32 where they look like it.
            row = json.loads(raw.decode("utf-8", "surrogatepass"))
        except UnicodeDecodeError:
            yield line, Broken(line, "not UTF-8", _shown(raw))
            continue
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "msg", "nested too deeply")
            if reason == "Extra data" and b"\r" in raw.rstrip():
                reason = "lines end in CR alone; they must end in LF"
            yield line, Broken(line, f"not valid JSON ({reason})", _shown(raw))
            continue
        yield line, row if isinstance(row, dict) else Broken(line, f"no JSON object but {_kind(row)}", _shown(raw))


def _shown(raw: bytes) -> str:
    return raw[:_KEPT_TEXT].decode("utf-8", "backslashreplace")


def _kind(value: object) -> str:
    return {list: "a list", str: "a text", bool: "a truth value", type(None): "null"}.get(type(value), "a number")


def case_of(row: Mapping[str, Any], fields: Mapping[str, str]) -> Case | str:
    """What the rules look at in a row, or why the row is broken; `fields` maps the names of `FIELDS` to the row's own.

    The answer is taken from a field only where `fields` names one. A solution that is null is an empty one.
    """
    problem_field, solution_field = fields.get("problem", "problem"), fields.get("solution", "solution")
    if problem_field not in row:
        return _missing(problem_field, row)
    problem = row[problem_field]
    if not isinstance(problem, str) or not problem.strip():
        return f"field {problem_field!r} is {'empty' if isinstance(problem, str) else 'no text'}"
    if len(problem) > MOST_CHARACTERS:
        return f"field {problem_field!r} is longer than {MOST_CHARACTERS:,} characters"
    label: str | None = None
    if "answer" in fields:
        given = row.get(fields["answer"])
        label = "" if given is None else str(given)
    elif solution_field not in row:
        return _missing(solution_field, row)
    solution = row.get(solution_field)
    if solution is not None and not isinstance(solution, str):
        return f"field {solution_field!r} is no text"
    source, level = (row.get(fields.get(name, name)) for name in ("source", "level"))
    return Case(problem, solution or "", _text(source), _text(level), label)


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _missing(name: str, row: Mapping[str, Any]) -> str:
    return f"field {name!r} is missing; present are {listed(row)}"


def listed(row: Mapping[str, Any]) -> str:
    """The names of a row's fields, in a line that holds nothing to steer a terminal with."""
    names = ", ".join(map(str, row))[:200]
    return "".join(c if c.isprintable() else "\ufffd" for c in names) or "none"


def check_fields(given: Mapping[str, str]) -> dict[str, str]:
    """The mapping of field names that the user gave. Raises UserError for a name that curation does not use."""
    for name, own in given.items():
        if name not in FIELDS or not own:
            raise UserError(f"--field {name}={own}: write NAME=FIELD, with NAME one of {', '.join(FIELDS)}")
    return dict(given)
