"""Thoughts on the problems of a user's file: made in parts, each kept once it is done, in one folder.

A real teacher costs hours or money, so a job that is killed goes on where it stood: a part holds the thoughts and the
calls of some problems and appears whole or not at all, and problems that are done are not asked again. One folder holds
one way of asking: a change of method, engine or option is refused, since the yield of a mixture says nothing.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from longthought.artifacts import digest
from longthought.curation.cards import card_of, origin_of_problems
from longthought.engines import Engine
from longthought.errors import UserError
from longthought.grading import GRADER_VERSION
from longthought.problems import Problem
from longthought.progress import report
from longthought.thoughts import record
from longthought.thoughts.record import Call, Thought, Trace
from longthought.thoughts.sets import method_module, run_method, write_card

PARTS, SETTINGS, DONE, PAID = "parts", "settings.json", "done.json", "paid"


@dataclass(frozen=True)
class Job:
    """What is to be made of `problems` (all of the file) in the folder `out`, `limit` problems at most (0 is all).

    `engines` names who plays each role, `settings` what else shapes the answers and may not change within a folder.
    `chunk` problems make a part.
    """

    method: str
    problems: Sequence[Problem]
    out: Path
    options: Any
    engines: Mapping[str, str]
    settings: Mapping[str, Any]
    limit: int = 0
    chunk: int = 16

    @property
    def wanted(self) -> Sequence[Problem]:
        """The problems that are to be done."""
        return self.problems[: self.limit] if self.limit else self.problems


def run_job(
    job: Job, open_engines: Callable[[], Mapping[str, Engine]]
) -> tuple[list[Thought], dict[str, Call], Mapping[str, int]]:
    """Do what is missing; returns all thoughts in the file's order, all calls, and how many problems are done and left.

    Writes `thoughts.jsonl`, `calls.jsonl`, `train.jsonl` and `card.json`, whatever ends the work: an error is raised
    after what is done has been written. Engines are opened only where a problem is left. Raises UserError for a folder
    that another process works in, that holds something else, that is damaged, that cannot be written to, or that was
    made with other settings or problems.
    """
    if job.out.exists() and not job.out.is_dir():
        raise UserError(f"{job.out}: is a file; name a folder, which is made if it is missing")
    _refuse_others(job.out)
    # A teacher that cannot be opened leaves no folder behind.
    engines = None if (job.out / PARTS).is_dir() else open_engines()
    with _locked(job.out), _writing(job.out):
        _check_settings(job)
        done = _done(job)
        left = [p for p in job.wanted if p.id not in done]
        # Damage is found before anything is asked.
        _gathered(job)
        try:
            if left and engines is None:
                engines = open_engines()
            for start in range(0, len(left), job.chunk):
                _make_part(job, engines or {}, left[start : start + job.chunk], start, len(left))
        except UserError as error:
            done = _done(job)
            kept = f"{len(done)} of {len(job.wanted)} problems are done and kept in {job.out}"
            raise UserError(f"{error} ({kept}{'; the same command goes on from there' if done else ''})") from error
        finally:
            thoughts, calls = _gathered(job)
            if thoughts:
                _write_results(job, thoughts, calls)
        return thoughts, calls, {"done": len(_done(job)), "new": len(left)}


def _make_part(job: Job, engines: Mapping[str, Engine], problems: Sequence[Problem], before: int, total: int) -> None:
    folder = job.out / PARTS
    # Not their count: a damaged part may have been deleted.
    name = f"{max((int(part.name) for part in _parts(job.out)), default=-1) + 1:05}"
    trace = Trace(part=name)

    def progress(done: int, of: int) -> None:
        # A method may count samples: the job counts problems, and a part is done when it is written.
        report(job.method, before + min(len(problems) - 1, done * len(problems) // max(1, of)), total)

    progress(0, 1)
    thoughts = run_method(job.method, problems, engines, job.options, trace, progress)
    draft = folder / f".{name}-{uuid4().hex[:8]}"
    draft.mkdir()
    record.write(draft, thoughts, trace.calls)
    (draft / DONE).write_text(json.dumps({p.id: _digest(p) for p in problems}, ensure_ascii=False), encoding="utf-8")
    draft.replace(folder / name)
    report(job.method, before + len(problems), total)


def _parts(out: Path) -> list[Path]:
    return sorted((p for p in (out / PARTS).glob("[0-9]*") if p.name.isdecimal()), key=lambda p: int(p.name))


def _digest(problem: Problem) -> str:
    return digest(asdict(problem))[:16]


def _refuse_others(out: Path) -> None:
    """UserError for a folder with files of another origin, which results could overwrite."""
    if not out.is_dir() or ((out / PARTS).is_dir() and (out / SETTINGS).is_file()):
        return
    others = sorted(f.name for f in out.iterdir() if f.name not in (PARTS, PAID) and not f.name.startswith("."))
    if others:
        raise UserError(f"{out}: holds files that are no result of think ({others[0]}); name another folder")


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    """A full disk and the like, as one line."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{error.filename or out}: cannot be read or written ({error.strerror or error}); mend that, and the same "
            "command goes on with what is done"
        ) from error


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """The folder, made if missing, for this process alone."""
    try:
        (out / PARTS).mkdir(parents=True, exist_ok=True)
        handle = (out / ".lock").open("w")
    except OSError as error:
        raise UserError(f"{out}: cannot be written to ({error.strerror}); name another folder") from None
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"{out}: another process is making thoughts in this folder") from None
        for leftover in (out / PARTS).glob(".*"):
            shutil.rmtree(leftover)
        yield


def _check_settings(job: Job) -> None:
    asked = {"method": job.method, "engines": dict(job.engines), "options": asdict(job.options), **job.settings}
    settings: dict[str, Any] = json.loads(json.dumps(asked | {"grader": GRADER_VERSION}))
    file = job.out / SETTINGS
    if not any((job.out / PARTS).iterdir()):
        _write_text(file, json.dumps(settings, indent=1, ensure_ascii=False) + "\n")
        return
    try:
        before = json.loads(file.read_text(encoding="utf-8"))
        changed = [key for key in {**before, **settings} if before.get(key) != settings.get(key)]
    except (OSError, ValueError, AttributeError, TypeError):
        raise UserError(f"{file}: cannot be read; name another folder") from None
    if changed:
        what = "; ".join(_difference(key, before.get(key), settings.get(key)) for key in changed)
        raise UserError(f"{job.out}: was made in another way ({what}); name another folder")


def _difference(name: str, before: Any, now: Any) -> str:
    """What changed; of records, only the fields that did."""
    if isinstance(before, dict) and isinstance(now, dict):
        changed = [key for key in {**before, **now} if before.get(key) != now.get(key)]
        return "; ".join(_difference(f"{name}.{key}", before.get(key), now.get(key)) for key in changed)
    return f"{name} was {json.dumps(before, ensure_ascii=False)}, now {json.dumps(now, ensure_ascii=False)}"


def _done(job: Job) -> set[str]:
    """The ids of the problems that are done. Raises UserError where one of them is no longer what was asked."""
    current = {p.id: p for p in job.problems}
    found: set[str] = set()
    for part in _parts(job.out):
        try:
            done = json.loads((part / DONE).read_text(encoding="utf-8")).items()
        except (FileNotFoundError, ValueError, AttributeError) as error:
            raise _damaged(part, f"{DONE} cannot be read: {error}") from None
        for name, known in done:
            if name not in current or _digest(current[name]) != known:
                state = "has changed in" if name in current else "is missing from"
                raise UserError(f"{job.out}: problem {name!r} is done and {state} the file; name another folder")
            found.add(name)
    return found


def _gathered(job: Job) -> tuple[list[Thought], dict[str, Call]]:
    thoughts: list[Thought] = []
    calls: dict[str, Call] = {}
    place = {p.id: i for i, p in enumerate(job.problems)}
    for part in _parts(job.out):
        try:
            own, asked = record.read(part)
        except (UserError, ValueError) as error:
            raise _damaged(part, str(error)) from None
        if any(t.problem.id not in place for t in own):
            raise _damaged(part, "a thought is on a problem that is not in the file")
        thoughts += own
        calls |= asked
    return sorted(thoughts, key=lambda t: place[t.problem.id]), calls


def _damaged(part: Path, why: str) -> UserError:
    return UserError(
        f"{part}: is damaged ({why}); delete this folder, and its problems are asked again (paid answers come from the "
        "store, without a new price)"
    )


def _write_results(job: Job, thoughts: Sequence[Thought], calls: Mapping[str, Call]) -> None:
    record.write(job.out, thoughts, calls)
    pairs = [{"prompt": t.problem.text, "completion": t.text} for t in thoughts if t.accepted]
    _write_text(job.out / "train.jsonl", "".join(json.dumps(pair, ensure_ascii=False) + "\n" for pair in pairs))
    write_card(job.out, job.out.name, job.method, job.engines, job.options, thoughts, calls)
    made_by: Callable[[Any], Mapping[str, Any]] = getattr(method_module(job.method), "prompt_texts", lambda _: {})
    prompts = {f"{name}, {language}": text for name, prompt in made_by(job.options).items()
               for language, text in asdict(prompt).items()}  # fmt: skip
    card_of(job.out.name, thoughts, calls, [origin_of_problems(job.problems, "not stated", "the user's problems")],
            prompts=prompts).write(job.out / "card.md")  # fmt: skip


def _write_text(file: Path, text: str) -> None:
    draft = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
