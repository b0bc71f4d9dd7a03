"""The book's notebooks: thin, stripped, typed, and able to run on a user's own problems with a real model."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from longthought.runs.parameters import read_parameters

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def cells(path, kind="code"):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return [c for c in notebook["cells"] if c["cell_type"] == kind]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_outputs_are_stripped_and_cells_are_thin(path):
    for cell in cells(path):
        source = "".join(cell["source"])
        assert not cell["outputs"] and cell["execution_count"] is None
        tree = ast.parse(source)
        # What a cell does belongs into the library, where it can be tested.
        assert not any(isinstance(n, ast.FunctionDef | ast.ClassDef | ast.While | ast.Lambda) for n in ast.walk(tree))
        if "parameters" not in cell["metadata"].get("tags", []):
            assert len(source.splitlines()) <= 25


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_one_parameters_cell_and_every_parameter_is_explained(path):
    assert sum("parameters" in c["metadata"].get("tags", []) for c in cells(path)) == 1
    assert all(p.help for p in read_parameters(path).values())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_prose_types_no_result(path):
    for cell in cells(path, "markdown"):
        text = re.sub(r"\{run\}`[^`]*`|`[^`]*`", "", "".join(cell["source"]))
        assert not re.search(r"\d+(\.\d+)?\s*(%|percent|points)|\b\d+/\d+\b", text), text


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    root = tmp_path_factory.mktemp("clone")
    (root / "book").mkdir()
    shutil.copytree(ROOT / "notebooks", root / "notebooks")
    return root


def longthought(clone, *arguments):
    command = [sys.executable, "-m", "longthought.cli", *arguments]
    return subprocess.run(
        command, cwd=clone, capture_output=True, text=True, timeout=280, env={**os.environ}, check=False
    )


def test_scaling_measures_a_real_model_on_a_users_file(clone):
    rows = [{"problem": "What is $2+3$?", "answer": "5"}, {"problem": "Compute 7*6 <b>now</b>.", "answer": "42"}]
    (clone / "mine.jsonl").write_text("\n".join(map(json.dumps, rows)))
    sizes = ["-p", "samples=2", "-p", "max_tokens=24", "-p", "dtype=bfloat16", "-p", "caps=8"]
    sizes += ["-p", "force_file=true", "-p", "forced_caps=8,99", "-p", "forced_waits=1"]
    done = longthought(clone, "run", "scaling", "-p", "problems=mine.jsonl", "-p", "model=smollm2-135m", *sizes)
    assert done.returncode == 0, done.stderr
    record = json.loads((clone / "book/runs/02_scaling.run.json").read_text())
    assert record["provenance"]["test_problems"] == 2 and record["provenance"]["model"] == "smollm2-135m"
    assert re.search(r"smollm2-135m: from \d/2 = ", record["results"]["votes_finding"]["text"])
    assert "no two students" in record["results"]["matched_finding"]["text"]
    assert "forced at 8 (" in record["results"]["forced_cap_finding"]["text"]
    assert "after wait once: " in record["results"]["forced_wait_finding"]["text"]
    copy = json.loads((clone / "book/runs/02_scaling.ipynb").read_text())
    shown = json.dumps(copy)
    assert "Compute 7*6 &lt;b&gt;now" in shown and "<b>now</b>" not in "".join(
        "".join(o["data"].get("text/html", "")) for c in copy["cells"] for o in c.get("outputs", []) if "data" in o
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no problems"),
        (b'{"problem": "x"}\n', "line 1: field 'answer' is missing"),
        (b'{"problem": "x", "answer"\n', "line 1: not valid JSON"),
        ('{"problem": "求", "answer": "1"}'.encode("gb18030"), "not UTF-8"),
    ],
)
def test_a_bad_file_ends_the_run_with_one_line(clone, content, said):
    (clone / "bad.jsonl").write_bytes(content)
    done = longthought(clone, "run", "scaling", "-p", "problems=bad.jsonl")
    assert done.returncode == 2
    assert said in done.stderr and "Traceback" not in done.stderr
    assert len([line for line in done.stderr.splitlines() if "error" in line]) == 1


def test_a_missing_file_is_refused_before_a_kernel_starts(clone):
    done = longthought(clone, "run", "scaling", "-p", "problems=nowhere.jsonl")
    assert done.returncode == 2 and "nowhere.jsonl" in done.stderr and "Traceback" not in done.stderr
