"""Running notebooks for real: what is published, and that no failure can look like a result."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from longthought import progress
from longthought.runs import records, runner
from runs_clone import Clone

GOOD = """# Show a result
import os, sys
from IPython.display import display
from tqdm import tqdm
for _ in tqdm(range(3)):
    pass
print("seeds", seeds)
print("rate", rate)
print(os.environ["OPENAI_API_KEY"], os.getcwd(), sys.executable, file=sys.stderr)
display({"application/vnd.longthought.result+json":
         {"name": "accuracy", "text": "42%", "note": os.environ["OPENAI_API_KEY"], "data": [1]}}, raw=True)
display({"application/vnd.longthought.provenance+json": {"model": "tiny"}}, raw=True)
"""
SECRET = "a-very-secret-value"
CHILD = "import subprocess\nsubprocess.Popen(['sleep', '{marker}'])\n"


def _sleeping(marker: str) -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if not any(p.info["cmdline"] == ["sleep", marker] for p in psutil.process_iter(["cmdline"])):
            return False
        time.sleep(0.1)
    return True


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone whose one notebook has run."""
    clone = Clone(tmp_path_factory.mktemp("good") / "clone", good=[GOOD])
    done = clone.call("run", "good", "-p", "seeds=2", OPENAI_API_KEY=SECRET)
    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stdout + done.stderr
    return clone


def test_the_record_says_what_made_the_result(good: Clone) -> None:
    record = good.record("01_good")
    assert record["status"] == "completed" and record["profile"] == "plain"
    assert record["parameters"] == {
        "seeds": 2, "rate": 0.5, "device": "cpu", "caps": [1, 2], "label": "", "problems": "",
    }  # fmt: skip
    assert record["results"]["accuracy"]["text"] == "42%" and record["results"]["accuracy"]["cell"] == 2
    assert record["provenance"] == {"model": "tiny"}
    assert {"torch", "transformers", "trl", "papermill", "plotly", "python", "longthought"} <= set(record["versions"])
    assert [cell["index"] for cell in record["cells"]] == [1, 2]
    assert record["notebook_sha256"] == hashlib.sha256(good.copy("01_good").read_bytes()).hexdigest()


def test_neither_secrets_nor_machine_paths_are_written(good: Clone) -> None:
    for path in (good.root / "book" / "runs").iterdir():
        text = path.read_text()
        assert SECRET not in text
        assert f"{good.root}/" not in text
    assert "[OPENAI_API_KEY]" in good.copy("01_good").read_text()


def test_the_copy_is_tidy(good: Clone) -> None:
    content = json.loads(good.copy("01_good").read_text())
    assert [cell["cell_type"] for cell in content["cells"]] == ["markdown", "code", "code"]
    parameters, work = content["cells"][1:]
    assert "hide-input" in parameters["metadata"]["tags"]
    assert "".join(parameters["source"]).startswith("# The parameters of this run (profile plain).\nseeds = 2\n")
    assert [parameters["execution_count"], work["execution_count"]] == [1, 2]
    assert "papermill" not in good.copy("01_good").read_text()
    streams = [o for o in work["outputs"] if o["output_type"] == "stream"]
    assert [o["name"] for o in streams] == ["stdout", "stderr"]
    assert "".join(streams[0]["text"]) == "seeds 2\nrate 0.5\n"
    assert "100%" not in "".join(streams[1]["text"])


def test_an_unchanged_run_is_reused_and_a_changed_one_is_not(good: Clone) -> None:
    before = good.copy("01_good").stat().st_mtime_ns
    again = good.call("run", "good", "-p", "seeds=2")
    assert again.returncode == 0 and "01_good is up to date" in again.stdout
    assert good.copy("01_good").stat().st_mtime_ns == before
    assert good.call("status").returncode == 0
    plan = good.call("run", "good", "-p", "seeds=3", "--dry-run")
    assert plan.returncode == 0 and "it would run" in plan.stdout
    assert "up to date: nothing would run" in good.call("run", "good", "-p", "seeds=2", "--dry-run").stdout


def test_a_run_under_another_name_leaves_the_books_own_alone(good: Clone) -> None:
    before = good.copy("01_good").read_bytes()
    assert good.call("run", "good", "-p", "seeds=4", "--as", "mine", OPENAI_API_KEY=SECRET).returncode == 0
    assert good.copy("01_good").read_bytes() == before
    assert good.record("mine")["parameters"]["seeds"] == 4 and good.record("mine")["notebook"] == "01_good"
    assert "mine is up to date" in good.call("run", "good", "-p", "seeds=4", "--as", "mine").stdout
    for bad in ("01_good", "../out", ""):
        refused = good.call("run", "good", "--as", bad or "a b")
        assert refused.returncode == 2 and "--as" in refused.stderr and "Traceback" not in refused.stderr


def test_a_copy_edited_by_hand_is_stale(good: Clone) -> None:
    text = good.copy("01_good").read_text()
    try:
        good.copy("01_good").write_text(text.replace("42%", "99%"))
        done = good.call("status")
        assert done.returncode == 1 and "stale" in done.stdout and "changed after the run" in done.stdout
    finally:
        good.copy("01_good").write_text(text)


def _fails(clone: Clone, name: str, timeout: int | None = None) -> tuple[int, str]:
    said: list[str] = []
    project = records.Project(clone.root)
    values = {"seeds": 1, "rate": 0.5, "device": "cpu", "caps": [1], "label": "", "problems": ""}
    stem = next(stem for stem in project.notebooks() if stem.endswith(name))
    code = runner.execute(project, stem, values, profile="plain", timeout=timeout, say=said.append)
    (line,) = said
    assert "\n" not in line
    assert not clone.copy(stem).exists() and not (clone.root / "book" / "runs" / f"{stem}.run.json").exists()
    record = clone.record(stem, failed=True)
    assert record["status"] == "failed" and "results" not in record
    assert clone.copy(stem, failed=True).exists()
    return code, line


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone of notebooks that each fail in their own way; the first three leave a child process behind."""
    child: Callable[[str], str] = lambda marker: CHILD.format(marker=marker)  # noqa: E731
    return Clone(
        tmp_path_factory.mktemp("bad") / "clone",
        killed=["print(1)", child("98101") + "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "print(3)"],
        slow=[child("98102") + "import time\ntime.sleep(60)"],
        raised=[child("98103") + "1 / 0", "print(3)"],
        mistake=["from longthought.errors import UserError\nraise UserError('mend\\nthis')"],
        left=["import os\nos._exit(0)"],
        twice=[
            "from IPython.display import display\nfor i in range(2):\n"
            "    display({'application/vnd.longthought.result+json': {'name': 'a', 'text': str(i)}}, raw=True)"
        ],
    )


def test_a_killed_kernel_is_a_failure_and_probably_memory(bad: Clone) -> None:
    code, line = _fails(bad, "killed")
    assert code == runner.EXIT_KERNEL and "SIGKILL" in line and "memory" in line and "cell 4" in line
    assert bad.record("01_killed", failed=True)["cause"]["cell"] == 3
    assert not _sleeping("98101")


def test_a_time_out_is_a_failure(bad: Clone) -> None:
    code, line = _fails(bad, "slow", timeout=2)
    assert code == runner.EXIT_TIMEOUT and "longer than 2 s" in line
    assert not _sleeping("98102")


def test_a_cell_that_raises_is_a_failure(bad: Clone) -> None:
    code, line = _fails(bad, "raised")
    assert code == runner.EXIT_RAISED and "ZeroDivisionError: division by zero" in line and "cell 3" in line
    assert not _sleeping("98103")


def test_a_users_mistake_found_late_is_one_line(bad: Clone) -> None:
    code, line = _fails(bad, "mistake")
    assert code == runner.EXIT_USER and line == "error: mend this (04_mistake, cell 3)"


def test_a_kernel_that_leaves_is_a_failure(bad: Clone) -> None:
    code, line = _fails(bad, "left")
    assert code == runner.EXIT_KERNEL and "ended in the middle of a cell" in line


def test_one_name_for_two_results_is_a_failure(bad: Clone) -> None:
    code, line = _fails(bad, "twice")
    assert code == runner.EXIT_RAISED and "two different results are called 'a'" in line


@pytest.mark.skipif(not hasattr(signal, "SIGINT"), reason="needs POSIX signals")
def test_ctrl_c_keeps_the_good_copy_and_leaves_nothing_running(tmp_path: Path) -> None:
    marker = "98104"
    wait = "import time\nif seeds > 1:\n    open('going', 'w').close()\n    time.sleep(60)"
    clone = Clone(tmp_path / "clone", good=[CHILD.format(marker=marker) + wait])
    assert clone.call("run", "good").returncode == 0
    assert not _sleeping(marker)
    kept = clone.copy("01_good").read_text()
    process = subprocess.Popen(clone.command("run", "good", "-p", "seeds=2"), cwd=clone.root, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not (clone.root / "going").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130 and b"interrupted" in errors and b"Traceback" not in errors
    assert not _sleeping(marker)
    assert clone.copy("01_good").read_text() == kept
    assert clone.record("01_good", failed=True)["cause"]["kind"] == "interrupted"
    done = clone.call("status")
    assert done.returncode == 1 and "failed" in done.stdout and "older good copy is kept" in done.stdout
    assert clone.call("run", "good").returncode == 0  # the good copy still holds, so this mends it at once
    assert not clone.copy("01_good", failed=True).exists()


# Pieces


def test_progress_bars_leave_stderr_and_warnings_stay() -> None:
    bars = "\rstep:  10%|#  | 1/10 [00:00<00:01, 9.9it/s]\rstep: 100%|###| 10/10 [00:01<00:00, 9.9it/s]\n"
    assert runner._without_bars(bars + "Warning: x\n") == "Warning: x\n"
    assert runner._without_bars("\r 0%|  | 0/3") == ""


def test_progress_goes_through_files_and_never_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "progress"
    monkeypatch.setenv(progress.VARIABLE, str(target))
    monkeypatch.setattr(progress, "_state", progress._State())
    progress.report("phase 1", 0, 10)
    for done in range(1, 11):
        progress.report("phase 2", done, 10)
    assert progress.read(target) == {"phase 1": (0, 10), "phase 2": (10, 10)}
    (tmp_path / "progress.1.json").write_text("{half")
    assert "phase 2" in progress.read(target)
    monkeypatch.setenv(progress.VARIABLE, str(tmp_path / "missing" / "progress"))
    progress.report("phase 3", 1, 2)
