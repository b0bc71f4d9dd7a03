"""Display: what a person sees while a notebook runs: the notebook, the cell, its steps, the time.

On a terminal it is drawn in place; anywhere else (a log, CI) one plain line every ten seconds, so that a long cell is
never silent and a log never flooded.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from longthought import progress

_SECONDS_BETWEEN_LINES = 10.0
_STEPS_SHOWN = 6


class Display:
    """Shows one run from `with` to its end. `cell` is called by the runner, the steps are read from progress files."""

    def __init__(self, notebook: str, cells: int, steps: Path) -> None:
        from rich.console import Console

        self.notebook, self.cells, self.steps = notebook, cells, steps
        self.console = Console(stderr=True)
        self.started = time.monotonic()
        self.number, self.title = 0, "starting the kernel"
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._live: Any = None

    def cell(self, number: int, title: str) -> None:
        """The cell that starts now, counted from 1 among the code cells; steps of the cell before are dropped."""
        self.number, self.title = number, title
        for path in self.steps.parent.glob(self.steps.name + ".*"):
            path.unlink(missing_ok=True)

    def __enter__(self) -> Display:
        if self.console.is_terminal:
            from rich.live import Live

            self._live = Live(get_renderable=self._drawing, console=self.console, refresh_per_second=4, transient=True)
            self._live.start()
        else:
            self._thread = threading.Thread(target=self._speak, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._live is not None:
            self._live.stop()
        if self._thread is not None:
            self._thread.join(timeout=2)

    def _head(self) -> str:
        place = f"cell {self.number}/{self.cells}" if self.number else ""
        return "  ".join(part for part in (self.notebook, place, self.title) if part)

    def _running(self) -> Mapping[str, tuple[int, int]]:
        steps = progress.read(self.steps)
        going = {label: step for label, step in steps.items() if step[0] < step[1]} or steps
        return dict(list(going.items())[-_STEPS_SHOWN:])

    def _speak(self) -> None:
        while not self._stop.wait(_SECONDS_BETWEEN_LINES):
            steps = [f"{label} {done}/{total}" for label, (done, total) in self._running().items()]
            line = "; ".join([self._head(), *steps, clock(time.monotonic() - self.started)])
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _drawing(self) -> Any:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        table.add_row(Text(self._head(), style="bold"), "", clock(time.monotonic() - self.started))
        for label, (done, total) in self._running().items():
            table.add_row(
                Text("  " + label), ProgressBar(total=max(total, 1), completed=done, width=24), f"{done}/{total}"
            )
        return table


def clock(seconds: float) -> str:
    """Minutes and seconds, with hours when there are any: 0:07, 12:30, 1:02:03."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
