"""A clone of the book in miniature, with notebooks made for one test, and the command line run on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

PARAMETERS = """seeds: int = 1  # [1, 5] how many
rate: float = 0.5  # [0, 1] a share
device: str = "cpu"  # {cpu|cuda} where
caps: list[int] = [1, 2]  # [1, 9] budgets
label: str = ""  # free text
problems: str = ""  # path of a file
"""


def notebook(*sources: str, parameters: str = PARAMETERS) -> dict[str, Any]:
    """The JSON of a notebook: a heading, a parameters cell and one code cell per source."""
    code = {"cell_type": "code", "execution_count": None, "outputs": []}
    cells: list[dict[str, Any]] = [
        {"cell_type": "markdown", "id": "heading", "metadata": {}, "source": "# A heading"},
        {**code, "id": "parameters", "metadata": {"tags": ["parameters"]}, "source": parameters},
    ]
    cells += [{**code, "id": f"cell-{i}", "metadata": {}, "source": source} for i, source in enumerate(sources)]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


class Clone:
    """A project root with the notebooks given by name, and a profile that sets nothing."""

    def __init__(self, root: Path, **sources: list[str]) -> None:
        self.root = root
        (root / "notebooks").mkdir(parents=True)
        (root / "book").mkdir()
        (root / "plain.yaml").write_text("description: nothing is set\n")
        for number, (name, cells) in enumerate(sources.items(), 1):
            self.write(f"{number:02}_{name}", cells)

    def write(self, name: str, sources: list[str], parameters: str = PARAMETERS) -> None:
        path = self.root / "notebooks" / f"{name}.ipynb"
        path.write_text(json.dumps(notebook(*sources, parameters=parameters)), encoding="utf-8")

    def command(self, *arguments: str) -> list[str]:
        profile = ["--profile", "plain.yaml"] if arguments[0] == "run" and "--profile" not in arguments else []
        return [sys.executable, "-m", "longthought.cli", *arguments, *profile]

    def call(self, *arguments: str, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the command line to its end, with extra environment variables."""
        return subprocess.run(
            self.command(*arguments),
            cwd=cwd or self.root,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def record(self, name: str, failed: bool = False) -> dict[str, Any]:
        path = self.root / "book" / "runs" / f"{name}{'.failed' if failed else ''}.run.json"
        return dict(json.loads(path.read_text(encoding="utf-8")))

    def copy(self, name: str, failed: bool = False) -> Path:
        return self.root / "book" / "runs" / f"{name}{'.failed' if failed else ''}.ipynb"
