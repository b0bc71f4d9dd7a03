"""Trained students and their samples, kept under a key of everything that made them.

The key of an artifact hashes its parameters, its data, the keys of its parents, the versions of the libraries that
computed it, and the code of the modules that made it with all that they import from this package. So two notebooks
share a student, a rerun reuses it, and an edit to the code invalidates just what it could change: comments and
docstrings do not count, nor does code that the maker never imports (figures, pages).

`build` makes what is missing, several artifacts side by side, each in a worker process of its own: tiny models do
not fill two cores. An artifact appears under its final name only when it is complete.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import shutil
import signal
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from longthought.progress import report

_PACKAGE = Path(__file__).parent
_LIBRARIES = ("torch", "transformers", "trl", "tokenizers")


class Artifact(Protocol):
    """What `build` needs to know of a thing that it can make."""

    @property
    def label(self) -> str:
        """A short name for progress and errors."""
        ...

    @property
    def kind(self) -> str:
        """The folder that artifacts of this sort share."""
        ...

    @property
    def key(self) -> str:
        """The hash of everything that made it."""
        ...

    @property
    def needs(self) -> Sequence[Artifact]:
        """The artifacts that must exist before this one can be made."""
        ...

    def make(self, folder: Path) -> None:
        """Write the artifact's files into an empty folder."""
        ...


def root() -> Path:
    """The folder of all artifacts: LONGTHOUGHT_ARTIFACTS, or `artifacts` in the working directory."""
    return Path(os.environ.get("LONGTHOUGHT_ARTIFACTS", "artifacts")).absolute()


def path_of(artifact: Artifact) -> Path:
    """Where an artifact lies once it is made."""
    return root() / artifact.kind / artifact.key[:24]


def digest(content: Any) -> str:
    """SHA-256 of a JSON-like value, independent of the order of keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False, default=str).encode()).hexdigest()


def _own_imports(tree: ast.AST) -> Iterable[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _without_docstrings(tree: ast.AST) -> ast.AST:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return tree


def module_file(name: str, package: Path = _PACKAGE) -> Path | None:
    """The source file of a module of this package, or None for any other name."""
    parts = name.split(".")
    if parts[0] != "longthought":
        return None
    base = package.joinpath(*parts[1:])
    return next((file for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file()), None)


@cache
def code_hash(module: str, package: Path = _PACKAGE) -> str:
    """Hash of a module's code and of all modules of this package that it imports, directly or not."""
    seen: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        file = module_file(name, package)
        # Progress reports only watch the work; they cannot change a result.
        if file is None or file == package / "progress.py" or str(file.relative_to(package)) in seen:
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        waiting.extend(_own_imports(tree))
        seen[str(file.relative_to(package))] = ast.dump(_without_docstrings(tree))
    return digest(seen)


@cache
def library_versions() -> dict[str, str]:
    """The versions that enter every key."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def artifact_key(module: str, content: Any) -> str:
    """The key of an artifact that `module` makes from `content`."""
    return digest({"code": code_hash(module), "libraries": library_versions(), "content": content})


def _watch_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _start_worker(threads: int) -> None:
    """A worker ignores Ctrl-C (its parent decides) and never outlives its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch_parent, daemon=True).start()
    import torch

    torch.set_num_threads(threads)


def make(artifact: Artifact) -> str:
    """Make one artifact whose needs exist; returns its folder. A half-made one leaves nothing behind."""
    final = path_of(artifact)
    if not final.exists():
        draft = final.parent / f".{final.name}-{uuid4().hex[:8]}"
        draft.mkdir(parents=True)
        try:
            artifact.make(draft)
            try:
                draft.replace(final)
            except OSError:
                if not final.exists():  # Otherwise another process was faster, with the same content.
                    raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return str(final)


_pool: ProcessPoolExecutor | None = None
_pool_size = 0


def _workers(count: int) -> ProcessPoolExecutor:
    """One pool for the process, since a worker's start costs seconds of imports."""
    global _pool, _pool_size
    if _pool is None or _pool_size != count:
        close_workers()
        threads = max(1, (os.cpu_count() or 1) // count)
        _pool = ProcessPoolExecutor(
            count, mp_context=get_context("spawn"), initializer=_start_worker, initargs=(threads,)
        )
        _pool_size = count
    return _pool


def close_workers() -> None:
    """End the worker processes, if there are any."""
    global _pool
    if _pool is not None:
        _pool.shutdown(wait=False, cancel_futures=True)
        _pool = None


def build(wanted: Sequence[Artifact], workers: int = 1, label: str = "artifacts") -> list[Path]:
    """Make whatever of `wanted` (and of what they need) is missing; returns the folders of `wanted`, in order.

    Raises the first error of a worker, after the rest is cancelled; RuntimeError when a worker dies, which on a
    laptop is most often for want of memory.
    """
    order: dict[str, Artifact] = {}

    def add(artifact: Artifact) -> None:
        if artifact.key not in order:
            for need in artifact.needs:
                add(need)
            order[artifact.key] = artifact

    for artifact in wanted:
        add(artifact)
    missing = {key: artifact for key, artifact in order.items() if not path_of(artifact).exists()}
    running: dict[Future[str], str] = {}
    total, done = len(missing), 0
    workers = max(1, min(workers, total))
    while missing or running:
        report(label, done, total)
        busy = set(running.values())
        for key, artifact in list(missing.items()):
            if all(path_of(need).exists() for need in artifact.needs) and key not in busy:
                running[_workers(workers).submit(make, artifact)] = key
                del missing[key]
        finished, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in finished:
            key = running.pop(future)
            try:
                future.result()
            except BrokenProcessPool as error:
                close_workers()
                raise RuntimeError(
                    f"a worker process died while making {order[key].label}, probably out of memory: "
                    "use fewer workers or a smaller student"
                ) from error
            except BaseException:
                close_workers()
                raise
            done += 1
    report(label, total, total)
    return [path_of(artifact) for artifact in wanted]
