"""Records: what a run leaves behind, and the key that says whether it still holds.

`book/runs/NAME.ipynb` is the executed copy, `NAME.run.json` the evidence beside it: parameters, revision, versions,
durations, every result by name. The key is a hash of all that can change a result: the notebook's text, the
parameters, the content of files they name, the library's code (without comments and docstrings) and the versions of
the packages it stands on. A record with the same key, whose copy is untouched, need not be made again; a
different key is stale, and `key_parts` says what changed.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from longthought.errors import UserError
from longthought.runs.parameters import Parameter, Value, notebook_cells, unknown
from longthought.runs.profiles import short_name

PACKAGES = (
    "longthought", "torch", "transformers", "tokenizers", "trl", "accelerate", "datasets", "gguf", "numpy", "scipy",
    "pandas", "sympy", "plotly", "papermill", "nbclient", "ipykernel",
)  # fmt: skip
_PART_NAMES = {
    "notebook": "the notebook",
    "parameters": "its parameters",
    "files": "a file it reads",
    "library": "the library",
    "versions": "the installed packages",
}
_WHOLE_FILE_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Project:
    """A clone of the book: the folder that holds notebooks/ and book/."""

    root: Path

    @property
    def runs(self) -> Path:
        """Where executed copies and their records lie."""
        return self.root / "book" / "runs"

    def notebooks(self) -> dict[str, Path]:
        """The notebooks by their file names without suffix, in book order. UserError when there is none."""
        found = {path.stem: path for path in sorted((self.root / "notebooks").glob("*.ipynb"))}
        if not found:
            raise UserError(f"notebooks/ holds no notebook in {self.root}; restore it with git checkout notebooks")
        return found

    def copy(self, notebook: str, failed: bool = False) -> Path:
        """The executed copy of `notebook`, or what a failed run left of it."""
        return self.runs / f"{notebook}{'.failed' if failed else ''}.ipynb"

    def record(self, notebook: str, failed: bool = False) -> Path:
        """The run.json beside the copy."""
        return self.runs / f"{notebook}{'.failed' if failed else ''}.run.json"


def find_project(start: Path | None = None) -> Project:
    """The clone that `start`, or the current folder, lies in. UserError outside of one."""
    here = (start or Path.cwd()).absolute()
    for folder in [here] if start else [here, *here.parents]:
        if (folder / "notebooks").is_dir() and (folder / "book").is_dir():
            return Project(folder)
    raise UserError(f"{here} holds no notebooks/ and book/: run inside a clone of the book, or name one with --root")


def check_copy_name(project: Project, name: str, notebooks: int) -> None:
    """UserError unless `name` can be the file name of one run's copy, beside the book's own copies."""
    if notebooks != 1:
        raise UserError("--as names the copy of one notebook: name one notebook, or leave --as out")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise UserError(f"--as {name!r}: use letters, digits, _ and - only")
    if name in project.notebooks():
        raise UserError(f"--as {name!r} is the book's own copy of that notebook: choose another name")


def select_notebooks(project: Project, names: list[str]) -> dict[str, Path]:
    """The notebooks that `names` mean: `scaling`, `02_scaling`, a path to either, or `all`; in book order."""
    every = project.notebooks()
    by_name = {alias: stem for stem in every for alias in (stem, short_name(stem))}
    chosen: set[str] = set()
    for name in names:
        if name == "all":
            return every
        plain = Path(name).name.removesuffix(".ipynb")
        if plain not in by_name:
            raise unknown(name, ["all", *(short_name(stem) for stem in every)], "notebook", "notebooks/")
        chosen.add(by_name[plain])
    return {stem: path for stem, path in every.items() if stem in chosen}


def resolve_paths(
    project: Project, parameters: Mapping[str, Parameter], values: Mapping[str, Value], base: Mapping[str, Path]
) -> dict[str, Value]:
    """`values` with every path made relative to the project's root, where the kernel will run.

    `base` gives, per parameter, the folder a relative path counts from. UserError when a named file is missing.
    """
    resolved: dict[str, Value] = {}
    for name, value in values.items():
        resolved[name] = value
        if not isinstance(value, str) or not value:
            continue
        looks_like_path = value.startswith(("./", "../", "/", "~/")) or Path(value).is_absolute()
        if not (parameters[name].is_path or looks_like_path):
            continue
        path = Path(base.get(name, project.root), os.path.expanduser(value))
        if not path.exists():
            raise UserError(f"{name}={value}: there is no such file; it was looked for in {path.parent}")
        if parameters[name].is_path and not os.access(path, os.R_OK):
            raise UserError(f"{name}={value}: this file may not be read; mend its permissions")
        try:
            resolved[name] = Path(os.path.relpath(path, project.root)).as_posix()
        except ValueError:  # another drive on Windows
            resolved[name] = str(path)
    return resolved


def key_parts(project: Project, notebook: Path, values: Mapping[str, Value]) -> dict[str, str]:
    """What the key is made of, each part a hash: notebook, parameters, files, library, versions."""
    files = file_hashes(project, values)
    plain = {name: files.get(name, value) for name, value in values.items()}
    cells = [
        (cell["cell_type"], cell["source"], sorted(cell.get("metadata", {}).get("tags", [])))
        for cell in notebook_cells(notebook)
    ]
    parts = {"notebook": cells, "parameters": plain, "files": files, "versions": versions()}
    return {name: _hash(part) for name, part in parts.items()} | {"library": library_hash()}


def run_key(parts: Mapping[str, str]) -> str:
    """The key: one hash over all parts."""
    return _hash(dict(parts))


def file_hashes(project: Project, values: Mapping[str, Value]) -> dict[str, str]:
    """The content hash of each parameter value that names an existing file or folder."""
    found: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, str) and value and ("/" in value or "." in value):
            path = project.root / value
            try:
                if path.exists() and path.resolve() != project.root:
                    found[name] = _path_hash(path)
            except OSError:
                continue
    return found


def _path_hash(path: Path) -> str:
    """Of a file its content; of a folder names and contents. Files above 64 MiB count by size and both ends."""
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if not file.is_file():
            continue
        size = file.stat().st_size
        if path.is_dir():
            digest.update(f"{file.relative_to(path).as_posix()}\0{size}\0".encode())
        with file.open("rb") as stream:
            digest.update(stream.read(_WHOLE_FILE_BYTES))
            if size > _WHOLE_FILE_BYTES:
                stream.seek(-(2**20), os.SEEK_END)
                digest.update(str(size).encode() + stream.read())
    return digest.hexdigest()


@cache
def library_hash() -> str:
    """One hash over the library: code as its syntax tree without docstrings; comments and layout do not count."""
    package = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*")):
        inside = path.relative_to(package)
        if not path.is_file() or inside.parts[0] in ("profiles", "static") or "__pycache__" in inside.parts:
            continue
        digest.update(inside.as_posix().encode() + b"\0")
        digest.update(
            code_hash(path.read_text(encoding="utf-8")).encode() if path.suffix == ".py" else path.read_bytes()
        )
    return digest.hexdigest()


def code_hash(source: str) -> str:
    """The hash of Python code that comments, layout and docstrings leave unchanged."""
    try:
        tree = ast.parse(source)
    except SyntaxError:  # half an edit, perhaps; whatever imports it will say so
        return hashlib.sha256(source.encode()).hexdigest()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


@cache
def versions() -> dict[str, str]:
    """The versions of Python and of the packages a result depends on; a package that is missing is left out."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def git_state(root: Path) -> dict[str, Any]:
    """The revision checked out and whether tracked files differ from it; nulls without git or commits."""
    git = shutil.which("git")
    if git is None:
        return {"revision": None, "dirty": None}

    def ask(*arguments: str) -> str | None:
        done = subprocess.run([git, *arguments], cwd=root, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    changes = ask("status", "--porcelain")
    return {"revision": ask("rev-parse", "HEAD"), "dirty": None if changes is None else bool(changes)}


def machine_facts() -> dict[str, Any]:
    """The kind of machine: system, processor family, cores. No host name, no user, no path."""
    return {"system": platform.system(), "machine": platform.machine(), "cores": os.cpu_count()}


def read_record(path: Path) -> dict[str, Any] | None:
    """A run.json, None when it is missing or unreadable."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def write_text(path: Path, text: str) -> None:
    """Write a file in one step: whoever reads it sees the old text or the new one, never half."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def intact(project: Project, notebook: str, record: Mapping[str, Any]) -> bool:
    """Whether `record` is of a completed run whose copy is still the one that was written."""
    try:
        content = project.copy(notebook).read_bytes()
    except OSError:
        return False
    return record.get("status") == "completed" and record.get("notebook_sha256") == hashlib.sha256(content).hexdigest()


def state(project: Project, notebook: str, path: Path, known: Mapping[str, Parameter]) -> tuple[str, str]:
    """How the book's copy of `notebook` stands: ("completed" | "stale" | "failed" | "missing", why)."""
    failed = read_record(project.record(notebook, failed=True))
    cause = str(failed["cause"]["message"]) if failed and isinstance(failed.get("cause"), dict) else ""
    record = read_record(project.record(notebook))
    if record is None:
        return ("failed", cause) if failed else ("missing", "it was never run")
    if failed:
        return "failed", f"{cause} (an older good copy is kept)"
    if not intact(project, notebook, record):
        return "stale", "the executed copy was changed after the run"
    values = record.get("parameters", {})
    if set(values) != set(known):
        return "stale", "its parameters changed"
    for name, parameter in known.items():
        if parameter.is_path and values[name] and not (project.root / values[name]).exists():
            return "stale", f"{values[name]} is gone"
    parts = key_parts(project, path, values)
    if run_key(parts) == record.get("key"):
        return "completed", f"profile {record.get('profile')}, {float(record.get('seconds', 0)):.0f} s"
    then = record.get("key_parts", {})
    changed = [_PART_NAMES[part] for part in _PART_NAMES if parts[part] != then.get(part)]
    return "stale", " and ".join(changed) + " changed"


_SECRET_NAME = re.compile(r"(^|_)(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)(_|$)", re.IGNORECASE)
_LOOKS_SECRET = re.compile(r"\b(sk-[A-Za-z0-9_-]{16,}|hf_[A-Za-z0-9]{20,}|gh[pousr]_[A-Za-z0-9]{20,})\b")


def secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """The values of variables whose names say key, token, secret or password: value to variable name."""
    return {value: name for name, value in environment.items() if _SECRET_NAME.search(name) and len(value.strip()) >= 8}


def refuse_secrets(values: Mapping[str, Value], environment: Mapping[str, str]) -> None:
    """UserError when a parameter holds a key: parameters are printed in the book, keys belong in the environment."""
    known = secrets(environment)
    for name, value in values.items():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, str) and (_LOOKS_SECRET.search(item) or any(secret in item for secret in known)):
                raise UserError(f"{name}: this value is a key, and parameters are printed in the book; set it as an "
                                "environment variable instead, such as OPENAI_API_KEY")  # fmt: skip


def redact(content: Any, known: Mapping[str, str], root: Path) -> Any:
    """`content` (JSON-like) with every secret replaced by its variable's name and the project's root by nothing."""
    if isinstance(content, str):
        for secret, name in known.items():
            content = content.replace(secret, f"[{name}]")
        content = _LOOKS_SECRET.sub("[key]", content)
        return content.replace(f"{root}{os.sep}", "").replace(str(Path.home()) + os.sep, f"~{os.sep}")
    if isinstance(content, dict):
        return {key: redact(value, known, root) for key, value in content.items()}
    if isinstance(content, list):
        return [redact(item, known, root) for item in content]
    return content


def _hash(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
