"""The Makefile: what it promises in `make help`, and that a machine it cannot work on is told so in one line."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def _make(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", *arguments], cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def test_help_lists_every_target() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony
    shown = _make("help").stdout
    for target in set(phony[1].split()) - {"help", "install"}:
        assert f"make {target}" in shown


def test_an_old_python_is_one_line(fresh: Path) -> None:
    done = _make("install", "PYTHON=false", cwd=fresh)
    assert done.returncode != 0 and "error: Python 3.11 or newer is needed" in done.stderr
    assert "Traceback" not in done.stderr and not (fresh / ".venv").exists()


def test_a_full_disk_is_one_line(fresh: Path) -> None:
    done = _make("install", "NEEDED_KB=999999999999999", cwd=fresh)
    assert done.returncode != 0 and "of free disk are needed" in done.stderr
    assert not (fresh / ".venv").exists()


def test_book_runs_then_builds(fresh: Path) -> None:
    plan = _make("-n", "book", "PROFILE=smoke", "SPHINXOPTS=-W", cwd=fresh).stdout
    assert plan.index("longthought run all --profile smoke") < plan.index("jupyter-book build book -q -W")


def test_every_requirement_is_pinned() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    pins = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    }
    wanted = re.findall(r'^    "([A-Za-z0-9_.-]+)[=<>]', project, re.MULTILINE)
    assert len(wanted) > 20
    assert [name for name in wanted if name.lower().replace("_", "-") not in pins] == []
