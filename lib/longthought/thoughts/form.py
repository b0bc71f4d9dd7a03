"""A form for notebooks in which a person writes a thought cell by cell, while a clock counts the time on task.

    thought = start(problem, "mine.txt", author="Ada", licence="CC-BY-4.0")   # the clock runs
    thought.step("Let x be ...")
    thought.wrong_turn("So x is 5.")
    thought.back("Wait, x must be even.")
    thought.pause()                                                           # and, back at the desk:
    thought.go_on()
    thought.step("So x is 4. \\\\boxed{4}")
    thought.save()

Every call also writes a hidden draft beside the file, so that a kernel that dies loses nothing: `resume` goes on from
it. The format and its rules are those of `human`. A notebook that is executed by a machine must not call this: the
time that it would record is nobody's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from longthought.errors import UserError
from longthought.problems import Problem
from longthought.thoughts.human import Section, Written, as_thought, parse, rendered, write_text
from longthought.thoughts.record import Thought

Clock = Callable[[], float]


class Draft:
    """A thought that is being written; made by `start` or `resume`."""

    def __init__(self, written: Written, path: Path, clock: Clock) -> None:
        self.path = path
        self._written = written
        self._clock = clock
        self._since: float | None = clock()

    def step(self, text: str) -> Draft:
        """A step that stands."""
        return self._add("step", text)

    def wrong_turn(self, text: str) -> Draft:
        """A step that will be taken back; several in a row are one wrong turn."""
        return self._add("wrong turn", text)

    def back(self, text: str) -> Draft:
        """What was wrong: leaves the wrong turn."""
        return self._add("back", text)

    def undo(self) -> Draft:
        """Take the last section away; the time that it took stays counted."""
        if not self._written.steps:
            raise UserError("there is nothing to undo: no section has been written")
        return self._keep(self._written.steps[:-1])

    def pause(self) -> Draft:
        """Stop the clock until `go_on`, or else until the next section is written."""
        self._keep(self._written.steps)
        self._since = None
        return self

    def go_on(self) -> Draft:
        """Start the clock again after a pause."""
        return self._keep(self._written.steps)

    @property
    def seconds(self) -> float:
        """The time on task so far, without pauses."""
        running = self._clock() - self._since if self._since is not None else 0.0
        return (self._written.seconds or 0.0) + running

    def save(self) -> Thought:
        """Check the thought, write it and remove the draft. Raises UserError, and keeps all, while it is not whole."""
        self._keep(self._written.steps)
        thought = as_thought(self._written, str(self.path))
        write_text(self.path, rendered(self._written))
        draft_of(self.path).unlink(missing_ok=True)
        self._since = None
        return thought

    def _add(self, kind: str, text: str) -> Draft:
        if not text.strip():
            raise UserError(f"the {kind} is empty: write its text between the quotes")
        return self._keep((*self._written.steps, Section(kind, text.strip())))

    def _keep(self, steps: tuple[Section, ...]) -> Draft:
        w = self._written
        self._written = Written(w.id, w.language, w.author, w.licence, round(self.seconds, 3), w.problem, w.gold, steps)
        self._since = self._clock()
        write_text(draft_of(self.path), rendered(self._written))
        return self

    def __repr__(self) -> str:
        steps = self._written.steps
        state = "paused" if self._since is None else "the clock runs"
        told = [f"{self._written.id}: {len(steps)} sections, {self.seconds:.0f} s, {state}"]
        return "\n".join(told + [f"  {section.kind}: {section.text[:80]}" for section in steps])


def start(problem: Problem, path: str | Path, *, author: str, licence: str, clock: Clock = time.monotonic) -> Draft:
    """Begin a thought about a problem; the clock runs from now. Raises UserError where a file or a draft is already."""
    file = Path(path)
    for existing, mend in ((file, "name another"), (draft_of(file), f"go on with resume({str(path)!r}), or delete it")):
        if existing.exists():
            raise UserError(f"{existing}: exists already; {mend}")
    written = Written(
        problem.id, problem.language, author, licence, 0.0, problem.text.strip(), problem.gold.strip(), ()
    )
    draft = Draft(written, file, clock)
    return draft._keep(())


def resume(path: str | Path, *, clock: Clock = time.monotonic) -> Draft:
    """Go on with the draft of a file; the time that it holds is kept, and the clock runs from now."""
    draft = draft_of(Path(path))
    if not draft.exists():
        raise UserError(f"{draft}: there is no draft; begin with start(problem, ...)")
    return Draft(parse(draft.read_text(encoding="utf-8"), str(draft)), Path(path), clock)


def draft_of(path: Path) -> Path:
    """Where the draft of a file lies."""
    return path.with_name(f".{path.name}.draft")
