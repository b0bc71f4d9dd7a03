"""Progress: how a long step says how far it is, wherever it happens to run.

Library code calls `report("seed 0, phase 2", 340, 1000)` and knows nothing about who listens. Under
`longthought run` the environment variable LONGTHOUGHT_PROGRESS names a file; each process writes its own
`<file>.<pid>.json` beside it, and the command line shows them all. Anywhere else (a notebook opened in Jupyter, a
script at a terminal) the same call draws a tqdm bar. Progress is a courtesy: whatever goes wrong with it, the
run goes on.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

VARIABLE = "LONGTHOUGHT_PROGRESS"
_SECONDS_BETWEEN_WRITES = 0.2
_STEPS_KEPT = 8


class _State:
    """What this process has reported; a forked worker starts a fresh one."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.steps: dict[str, tuple[int, int]] = {}
        self.written = 0.0
        self.bars: dict[str, Any] = {}


_state = _State()


def report(label: str, done: int, total: int) -> None:
    """Say that `done` of `total` units of the step `label` are finished. Never raises."""
    global _state
    with contextlib.suppress(Exception):
        if _state.pid != os.getpid():
            _state = _State()
        target = os.environ.get(VARIABLE)
        if target:
            _write(_state, Path(target), label, done, total)
        elif _watched():
            _draw(_state, label, done, total)


def _write(state: _State, target: Path, label: str, done: int, total: int) -> None:
    fresh = label not in state.steps
    state.steps.pop(label, None)
    state.steps[label] = (done, total)
    while len(state.steps) > _STEPS_KEPT:
        del state.steps[next(iter(state.steps))]
    now = time.monotonic()
    if not fresh and done < total and now - state.written < _SECONDS_BETWEEN_WRITES:
        return
    state.written = now
    path = target.with_name(f"{target.name}.{state.pid}.json")
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps({"time": time.time(), "steps": state.steps}), encoding="utf-8")
    os.replace(draft, path)


def _watched() -> bool:
    return "ipykernel" in sys.modules or sys.stderr.isatty()


def _draw(state: _State, label: str, done: int, total: int) -> None:
    bar = state.bars.get(label)
    if bar is None:
        from tqdm.auto import tqdm

        bar = state.bars[label] = tqdm(total=total, desc=label)
    bar.update(done - bar.n)
    if done >= total:
        bar.close()
        del state.bars[label]


def read(target: Path) -> dict[str, tuple[int, int]]:
    """The latest counts of every process that reports to `target`: label to (done, total), oldest writer first."""
    found: list[tuple[float, dict[str, tuple[int, int]]]] = []
    for path in target.parent.glob(target.name + ".*.json"):
        # A writer may replace or a dying one may leave its file at any moment.
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            content = json.loads(path.read_text(encoding="utf-8"))
            steps = {str(label): (int(done), int(total)) for label, (done, total) in content["steps"].items()}
            found.append((float(content["time"]), steps))
    merged: dict[str, tuple[int, int]] = {}
    for _, steps in sorted(found, key=lambda item: item[0]):
        merged.update(steps)
    return merged
