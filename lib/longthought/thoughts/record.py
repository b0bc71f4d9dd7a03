"""One record for all ways of making a thought, so that any accepted thought can be traced to the calls that made it.

A method (distil, debate, search, ...) asks its engines through a `Trace`, which keeps every call with its tokens,
its time and its price, and it returns a `Thought` per candidate, accepted or not, each with the ids of its calls and
the reason for its fate. Two files hold all of it: `thoughts.jsonl` and `calls.jsonl`.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from longthought.engines import Engine, Sampling
from longthought.errors import UserError
from longthought.problems import Problem, json_object


@dataclass(frozen=True)
class Call:
    """One completion that was asked for.

    `role` says on whose behalf: "teacher", "policy", "critic", "rollout", ... `seconds` is the completion's share, by
    output tokens, of the time of its batch, or the time of its own request where the engine knows it; `cost` is in US
    dollars, None where no price is known. `prefix` is what the completion goes on from.
    """

    id: str
    role: str
    engine: str
    prompt: str
    prefix: str
    completion: str
    prompt_tokens: int
    output_tokens: int
    finish: str
    seconds: float
    cost: float | None = None


@dataclass(frozen=True)
class Thought:
    """One candidate for the training set.

    `text` is the whole thought with its boxed answer, `answer` what the grader read out of it, `verdict` the grader's
    (see `grading.VERDICTS`), `calls` the ids of every call spent on it. `reason` says why it was rejected, or why it
    was chosen; `details` holds what only its method knows (attempts, a tree, seconds of a person).
    """

    problem: Problem
    text: str
    answer: str
    verdict: str
    method: str
    calls: tuple[str, ...]
    accepted: bool
    reason: str = ""
    details: Mapping[str, Any] = field(default_factory=dict, hash=False)


class Trace:
    """Asks engines and keeps each call, by id, in the order of asking.

    Parts of one job that are traced apart have a name each in `part`, so that their ids cannot meet.
    """

    def __init__(self, part: str = "") -> None:
        self.calls: dict[str, Call] = {}
        self._part = part

    def ask(
        self,
        engine: Engine,
        role: str,
        prompts: Sequence[str],
        sampling: Sampling,
        prefixes: Sequence[Sequence[str]] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[list[Call]]:
        """Like `Engine.generate`, with a `Call` for each completion: shape (prompts, samples)."""
        started = time.monotonic()
        answers = engine.generate(prompts, sampling, progress, prefixes)
        wall = time.monotonic() - started
        total = max(1, sum(c.tokens for own in answers for c in own))
        asked: list[list[Call]] = []
        for i, own in enumerate(answers):
            row = []
            for j, c in enumerate(own):
                prefix = prefixes[i][j] if prefixes else ""
                # The running number keeps two equal requests to a model that answers each differently apart.
                content = [self._part, len(self.calls), engine.name, prompts[i], prefix, asdict(sampling), j, c.text]
                call = Call(
                    id=hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()[:16],
                    role=role,
                    engine=engine.name,
                    prompt=prompts[i],
                    prefix=prefix,
                    completion=c.text,
                    prompt_tokens=c.prompt_tokens,
                    output_tokens=c.tokens,
                    finish=c.finish,
                    seconds=c.seconds if c.seconds is not None else wall * c.tokens / total,
                    cost=c.cost,
                )
                self.calls[call.id] = call
                row.append(call)
            asked.append(row)
        return asked


@dataclass(frozen=True)
class Spent:
    """What calls cost together. `cost` is None as soon as one call has no price."""

    calls: int
    prompt_tokens: int
    output_tokens: int
    seconds: float
    cost: float | None


def spent(calls: Iterable[Call]) -> Spent:
    """The sum over calls."""
    own = list(calls)
    priced = [c.cost for c in own if c.cost is not None]
    return Spent(
        len(own),
        sum(c.prompt_tokens for c in own),
        sum(c.output_tokens for c in own),
        sum(c.seconds for c in own),
        sum(priced) if own and len(priced) == len(own) else None,
    )


def write(folder: Path, thoughts: Sequence[Thought], calls: Mapping[str, Call]) -> None:
    """Write `thoughts.jsonl` and `calls.jsonl` into the folder, each whole or not at all."""
    for name, records in (("calls.jsonl", list(calls.values())), ("thoughts.jsonl", list(thoughts))):
        draft = folder / f".{name}.{os.getpid()}.partial"
        try:
            with draft.open("w", encoding="utf-8") as out:
                for record in records:
                    out.write(json.dumps(asdict(record), ensure_ascii=False) + "\n")
            draft.replace(folder / name)
        finally:
            draft.unlink(missing_ok=True)


def read(folder: Path) -> tuple[list[Thought], dict[str, Call]]:
    """What `write` wrote. Raises UserError for a missing file or a line that is no such record."""
    thoughts = []
    for row, where in _rows(folder / "thoughts.jsonl"):
        try:
            problem = Problem(**row.pop("problem"))
            thoughts.append(Thought(problem=problem, **{**row, "calls": tuple(row["calls"])}))
        except (KeyError, TypeError) as error:
            raise UserError(f"{where}: not a thought as this version writes it ({error})") from None
    calls = {}
    for row, where in _rows(folder / "calls.jsonl"):
        try:
            call = Call(**row)
        except TypeError as error:
            raise UserError(f"{where}: not a call as this version writes it ({error})") from None
        calls[call.id] = call
    return thoughts, calls


def _rows(file: Path) -> Iterable[tuple[dict[str, Any], str]]:
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); name the folder of a set of thoughts") from None
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield json_object(line, f"{file}, line {number}"), f"{file}, line {number}"
