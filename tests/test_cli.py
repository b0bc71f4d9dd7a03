"""The command line: mistakes get one line, exit status 2, at once; plans and lists can be read."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from runs_clone import Clone

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return Clone(tmp_path_factory.mktemp("cli") / "clone", good=["print(1)"], scaling=["print(2)"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["scalng"], "did you mean `scaling`?"),
        (["good", "-p", "sead=3"], "did you mean `seeds`?"),
        (["good", "-p", "seeds=abc"], "seeds wants a whole number from 1 to 5, not 'abc'"),
        (["good", "-p", "seeds=1.5"], "seeds wants a whole number"),
        (["good", "-p", "seeds=6"], "from 1 to 5"),
        (["good", "-p", "rate=nan"], "rate wants a number from 0 to 1"),
        (["good", "-p", "caps=1,99"], "each item a whole number from 1 to 9"),
        (["good", "-p", "device=coda"], "did you mean cuda?"),
        (["good", "-p", "seeds"], "write -p name=value"),
        (["good", "-p", "problems=nowhere.jsonl"], "problems=nowhere.jsonl: there is no such file"),
        (["good", "-p", "label=sk-abcdefghijklmnopqrstuvwx"], "environment variable"),
        (["good", "--profile", "pape"], "did you mean `paper`?"),
        (["good", "--profile", "nowhere.yaml"], "no such file"),
    ],
)
def test_a_mistake_is_one_line_before_any_kernel(clone: Clone, arguments: list[str], says: str) -> None:
    begun = time.monotonic()
    done = clone.call("run", *arguments)
    assert time.monotonic() - begun < 3  # under a second on an idle machine
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert says in done.stderr
    assert not (clone.root / "book" / "runs").exists()


def test_outside_a_clone_the_way_in_is_named(clone: Clone, tmp_path: Path) -> None:
    done = clone.call("status", cwd=tmp_path)
    assert done.returncode == 2 and "--root" in done.stderr
    assert clone.call("status", "--root", str(clone.root), cwd=tmp_path).returncode == 1


def test_a_parameter_of_one_notebook_may_be_given_to_all(clone: Clone) -> None:
    clone.write("03_extra", ["print(3)"], parameters="only_here: int = 1  # [1, 9] x\n")
    try:
        done = clone.call("run", "all", "-p", "only_here=7", "--dry-run")
        assert done.returncode == 0 and "only_here" in done.stdout
    finally:
        (clone.root / "notebooks" / "03_extra.ipynb").unlink()


def test_a_relative_path_counts_from_where_the_user_stands(clone: Clone) -> None:
    inside = clone.root / "book"
    (inside / "mine.jsonl").write_text("{}")
    done = clone.call(
        "run", "good", "-p", "problems=mine.jsonl", "--dry-run", "--profile", str(clone.root / "plain.yaml"), cwd=inside
    )
    assert done.returncode == 0, done.stderr
    assert "book/mine.jsonl" in done.stdout


def test_a_dry_run_shows_where_each_value_comes_from(clone: Clone) -> None:
    done = clone.call("run", "good", "-p", "seeds=2", "--dry-run")
    assert done.returncode == 0
    for word in ("seeds", "-p", "default", "run key", "it would run"):
        assert word in done.stdout
    assert not (clone.root / "book" / "runs").exists()


def _book(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "longthought.cli", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("profile", ["smoke", "mini", "full", "gpu", "paper"])
def test_the_books_own_profiles_can_be_planned(profile: str) -> None:
    done = _book("run", "all", "--profile", profile, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "training memory" in done.stdout and "run key" in done.stdout


def test_a_sequence_longer_than_the_positions_is_refused() -> None:
    student = "student=Qwen/Qwen2.5-Math-7B@b101308fe89651ea5ce025f25317fea6fc07e96e"
    done = _book("run", "scaling", "-p", student, "-p", "max_length=32768", "--dry-run")
    assert done.returncode == 2 and "longer than the 4096 positions" in done.stderr


def test_lists_and_help_can_be_read() -> None:
    listed = _book("profiles")
    assert listed.returncode == 0 and all(name in listed.stdout for name in ("smoke", "mini", "full", "gpu", "paper"))
    assert "machine:" in _book("profiles", "gpu").stdout
    assert "longthought 0.1.0" in _book("version").stdout
    assert "Examples" in _book("run", "--help").stdout


def _main(body: str) -> subprocess.CompletedProcess[str]:
    """The console script with one more command, `extra`, that does `body`."""
    code = (
        "import sys\nfrom longthought import cli\nimport typer\n"
        f"@cli.app.command()\ndef extra():\n    {body}\nsys.argv = ['longthought', 'extra']\ncli.main()"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ("raise KeyboardInterrupt", 130, "error: interrupted\n"),
        ("raise KeyboardInterrupt('go on')", 130, "error: interrupted; go on\n"),
        ("raise typer.Exit(130)", 130, ""),
        ("open('/nowhere/file')", 2, "error: /nowhere/file: No such file or directory\n"),
    ],
)
def test_what_ends_a_command_is_one_line(body: str, status: int, said: str) -> None:
    done = _main(body)
    assert (done.returncode, done.stderr) == (status, said)


def test_an_error_without_a_file_is_no_mistake_of_the_users() -> None:
    done = _main("raise OSError('inner')")
    assert done.returncode == 1 and "inner" in done.stderr


def test_nothing_heavy_is_imported_to_answer_a_mistake(clone: Clone) -> None:
    code = (
        "import sys\nfrom longthought import cli\nsys.argv = ['longthought', 'run', 'good', '-p', 'sead=1']\n"
        "try:\n    cli.main()\nexcept SystemExit as end:\n    assert end.code == 2\n"
        "heavy = {'torch', 'transformers', 'papermill', 'pandas', 'numpy', 'nbformat', 'nbclient'} & set(sys.modules)\n"
        "print(sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=clone.root, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
