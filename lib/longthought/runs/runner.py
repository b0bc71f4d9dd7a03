"""The runner: executes a notebook and decides, by looking at the cells, whether it may be shown.

papermill injects the parameters and drives the kernel; its own status fields are not used, because it calls a run
whose kernel was killed "completed". A run counts only when every code cell was executed and none raised. Then the
copy is tidied (one parameters cell, no timestamps, no progress bars), its results are collected, and copy and record
replace the old ones in one step. Anything else ends as failed, with its cause beside the last good copy, and nothing
the kernel started is left running.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import logging
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from longthought import progress
from longthought.errors import UserError
from longthought.runs import records
from longthought.runs.display import Display
from longthought.runs.parameters import Value, notebook_cells, parameters_cell
from longthought.runs.records import Project

RESULT_MIME = "application/vnd.longthought.result+json"
PROVENANCE_MIME = "application/vnd.longthought.provenance+json"
EXIT_USER, EXIT_RAISED, EXIT_KERNEL, EXIT_TIMEOUT, EXIT_INTERRUPTED = 2, 3, 4, 5, 130
_ENGINE = "longthought"
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_BAR = re.compile(r"\d+%\||\d+(\.\d+)?\s*(it|s|B|examples)/(s|it)\b|\?it/s")


@dataclass(frozen=True)
class Cause:
    """Why a run failed. `cell` is its index in the executed copy, from 0; `exit_code` what the shell is told."""

    kind: str
    message: str
    exit_code: int
    cell: int | None = None
    ename: str = ""


class _Failure(Exception):
    def __init__(self, cause: Cause) -> None:
        super().__init__(cause.message)
        self.cause = cause


@dataclass
class _Watch:
    """What the engine sees while the notebook runs; it outlives every exception."""

    display: Display
    environment: dict[str, str]
    titles: list[str]
    timeout: int | None
    nb: Any = None
    process: Any = None
    current: int | None = None
    number: int = 0
    seconds: dict[int, float] = field(default_factory=dict)


_watch: _Watch | None = None


def execute(
    project: Project,
    notebook: str,
    values: Mapping[str, Value],
    *,
    profile: str,
    timeout: int | None = None,
    say: Callable[[str], None] = print,
    name: str = "",
) -> int:
    """Run `notebook` with `values` (paths already relative to the root) and publish or refuse the outcome.

    The copy and its record are called `name`, or like the notebook. `timeout` is in seconds per cell. Returns the exit
    code: 0, or 2 a mistake of the user's found in the notebook, 3 a cell raised, 4 the kernel died, 5 a time-out, 130
    interrupted.
    """
    source, name = project.notebooks()[notebook], name or notebook
    parts = records.key_parts(project, source, values)
    threads = _threads(values)
    record: dict[str, Any] = {
        "notebook": notebook,
        "status": "failed",
        "profile": profile,
        "parameters": dict(values),
        "git": records.git_state(project.root),
        "versions": dict(records.versions()),
        "device": values.get("device", "cpu"),
        "seeds": values.get("seeds"),
        "threads": threads,
        "platform": records.machine_facts(),
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "files": records.file_hashes(project, values),
        "key_parts": parts,
        "key": records.run_key(parts),
    }
    project.runs.mkdir(parents=True, exist_ok=True)
    cells = notebook_cells(source)
    steps = Path(tempfile.mkdtemp(prefix="longthought-")) / "progress"
    code_cells = sum(cell["cell_type"] == "code" and bool(cell["source"].strip()) for cell in cells)
    display = Display(name, code_cells + (parameters_cell(cells) is not None), steps)
    watch = _Watch(display, _environment(steps, threads, offline=not _names_a_hub(values)), _titles(cells), timeout)
    begun = time.monotonic()
    cause: Cause | None = None
    try:
        with _lock(project, name), _terminable(), display:
            cause = _drive(project, source, values, watch)
    except KeyboardInterrupt:
        cause = Cause("interrupted", "interrupted", EXIT_INTERRUPTED, watch.current)
    finally:
        _end_processes(watch.process)
        shutil.rmtree(steps.parent, ignore_errors=True)
    record["seconds"] = round(time.monotonic() - begun, 3)
    return _finish(project, name, record, watch, cause, profile, say)


def _drive(project: Project, source: Path, values: Mapping[str, Value], watch: _Watch) -> Cause | None:
    """Execute through papermill and say what went wrong, if anything did."""
    global _watch
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    _register_engine()
    logging.getLogger("papermill").setLevel(logging.CRITICAL)
    logging.getLogger("traitlets").setLevel(logging.CRITICAL)
    _watch = watch
    try:
        papermill.execute_notebook(
            str(source),
            None,
            parameters=dict(values),
            engine_name=_ENGINE,
            progress_bar=False,
            log_output=False,
            kernel_name="python3",
            cwd=str(project.root),
            start_timeout=120,
        )
    except DeadKernelError:
        return _death(watch)
    except CellTimeoutError:
        message = f"a cell took longer than {watch.timeout} s (--timeout)"
        return Cause("timeout", message, EXIT_TIMEOUT, watch.current)
    except papermill.PapermillExecutionError as error:
        return _raised(watch, str(error.ename), str(error.evalue))
    except RuntimeError as error:
        if watch.current is not None and "died" not in str(error):
            raise
        return Cause("kernel", f"the kernel did not start ({str(error).strip()})", EXIT_KERNEL)
    finally:
        _watch = None
    return _unfinished(watch)


def _register_engine() -> None:
    """Teach papermill an engine whose kernel is this very interpreter and whose cells are watched."""
    from jupyter_client.kernelspec import KernelSpec
    from papermill.clientwrap import PapermillNotebookClient
    from papermill.engines import NBClientEngine, papermill_engines

    class Client(PapermillNotebookClient):
        def create_kernel_manager(self) -> Any:
            km = super().create_kernel_manager()
            # A kernelspec of another environment may shadow "python3"; the results are to be of this one.
            km._kernel_spec = KernelSpec(
                argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--log-level=CRITICAL"],
                language="python",
                display_name="Python 3",
                metadata={"supported_encryption": ["curve"]},
            )
            return km

        def start_new_kernel(self, **kwargs: Any) -> None:
            super().start_new_kernel(env=_current().environment, **kwargs)
            _current().process = getattr(self.km.provisioner, "process", None)

        def execute_cell(self, cell: Any, cell_index: int, *args: Any, **kwargs: Any) -> Any:
            watch = _current()
            watch.current = cell_index
            if cell.cell_type == "code" and cell.source.strip():
                watch.number += 1
                watch.display.cell(watch.number, _title_of(watch, cell_index, self.nb.cells))
            begun = time.monotonic()
            try:
                return super().execute_cell(cell, cell_index, *args, **kwargs)
            finally:
                watch.seconds[cell_index] = round(time.monotonic() - begun, 3)

        def _cleanup_kernel(self) -> Any:
            if sys.exc_info()[0] is not None:  # asking a busy kernel to leave would cost five seconds
                _end_processes(_current().process)
            return super()._cleanup_kernel()

    class Engine(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **kwargs: Any) -> Any:
            watch = _current()
            watch.nb = nb_man.nb
            client = Client(
                nb_man,
                timeout=watch.timeout,
                startup_timeout=kwargs.get("start_timeout", 60),
                kernel_name=kernel_name,
                log=logging.getLogger("papermill"),
            )
            return client.execute()

    papermill_engines.register(_ENGINE, Engine)


def _current() -> _Watch:
    assert _watch is not None
    return _watch


def _titles(cells: list[dict[str, Any]]) -> list[str]:
    """What each source cell is about: its first comment, or the heading above it."""
    titles, heading = [], ""
    for cell in cells:
        first = next((line.strip() for line in cell["source"].splitlines() if line.strip()), "")
        if cell["cell_type"] == "markdown":
            found = re.search(r"^#+\s*(.+)$", cell["source"], re.MULTILINE)
            heading = found[1].strip() if found else heading
        titles.append(
            first.lstrip("# ").rstrip(".") if first.startswith("#") and cell["cell_type"] == "code" else heading
        )
    return titles


def _injected(cells: Any) -> int | None:
    """The index of papermill's injected cell."""
    for index, cell in enumerate(cells):
        if "injected-parameters" in cell.metadata.get("tags", []):
            return index
    return None


def _title_of(watch: _Watch, index: int, cells: Any) -> str:
    injected = _injected(cells)
    if injected is not None and index == injected:
        return "parameters"
    source = index - 1 if injected is not None and index > injected else index
    return watch.titles[source] if source < len(watch.titles) else ""


def _threads(values: Mapping[str, Value]) -> int:
    """Threads per process: the cores shared between the worker processes, unless OMP_NUM_THREADS says otherwise."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    if given.isdigit() and int(given) > 0:
        return int(given)
    workers = values.get("workers", 1)
    return max(1, (os.cpu_count() or 1) // max(1, workers if isinstance(workers, int) else 1))


def _names_a_hub(values: Mapping[str, Value]) -> bool:
    """Whether a parameter names a model on a hub (name@revision), which may have to be fetched."""
    return any(isinstance(value, str) and "@" in value for value in values.values())


def _environment(steps: Path, threads: int, *, offline: bool) -> dict[str, str]:
    fixed = {
        progress.VARIABLE: str(steps),
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": str(threads),
    }
    defaults = {
        "HF_HUB_OFFLINE": "1" if offline else "0",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    return {**defaults, **os.environ, **fixed}


@contextlib.contextmanager
def _lock(project: Project, notebook: str) -> Iterator[None]:
    """Hold the only right to run this notebook here; the system lets go of it even when this process is killed."""
    try:
        import fcntl
    except ImportError:  # Windows: two runs at once are the user's to avoid
        yield
        return
    with (project.runs / f".{notebook}.lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"{notebook} is being run by another command; wait for it or stop it") from None
        yield


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C, so that a stopped run is recorded and its kernel ended."""

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    # A shell starts background commands with SIGINT ignored; a run is to be stoppable all the same.
    before_int = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGINT, before_int)


def _end_processes(process: Any) -> None:
    """End the kernel and everything it started: it leads a session of its own, which its children stay in."""
    if process is None or getattr(process, "pid", None) is None:
        return
    import psutil

    leader = process.pid
    family: dict[int, psutil.Process] = {}
    with contextlib.suppress(psutil.Error):
        family = {child.pid: child for child in psutil.Process(leader).children(recursive=True)}
    if hasattr(os, "getsid"):
        for candidate in psutil.process_iter():
            with contextlib.suppress(OSError):
                if os.getsid(candidate.pid) == leader and candidate.pid != os.getpid():
                    family[candidate.pid] = candidate
    if process.poll() is None:
        with contextlib.suppress(OSError):
            process.kill()
    for member in family.values():
        with contextlib.suppress(psutil.Error):
            member.kill()
    with contextlib.suppress(Exception):
        process.wait(timeout=5)
    deadline = time.monotonic() + 5
    while any(map(_runs, family.values())) and time.monotonic() < deadline:
        time.sleep(0.02)


def _runs(member: Any) -> bool:
    """Whether a process still does anything; in a container nobody may collect the dead, which then stay as zombies."""
    import psutil

    try:
        return bool(member.is_running() and member.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _death(watch: _Watch) -> Cause:
    code = None
    with contextlib.suppress(Exception):
        code = watch.process.wait(timeout=2)
    if code in (-signal.SIGKILL, 137):
        message = (
            "the kernel was killed (SIGKILL), most likely for want of memory: reduce batch_size, max_length or workers"
        )
    elif isinstance(code, int) and code < 0:
        message = f"the kernel died of {signal.Signals(-code).name}"
    else:
        message = "the kernel ended in the middle of a cell" + (f" with exit status {code}" if code is not None else "")
    return Cause("kernel", message, EXIT_KERNEL, watch.current)


def _raised(watch: _Watch, ename: str, evalue: str, cell: int | None = None) -> Cause:
    text = " ".join(_ANSI.sub("", evalue).split())
    cell = watch.current if cell is None else cell
    if ename == "UserError":
        return Cause("mistake", text, EXIT_USER, cell, ename)
    if ename == "KeyboardInterrupt":
        return Cause("interrupted", "interrupted", EXIT_INTERRUPTED, cell, ename)
    memory = " (out of memory)" if ename in ("MemoryError", "OutOfMemoryError") else ""
    return Cause("raised", f"{ename}{memory}: {text}" if text else ename + memory, EXIT_RAISED, cell, ename)


def _unfinished(watch: _Watch) -> Cause | None:
    """Look at the cells themselves: a run is complete when each code cell was executed and none shows an error."""
    if watch.nb is None:
        return Cause("kernel", "the notebook was not executed", EXIT_KERNEL)
    for index, cell in enumerate(watch.nb.cells):
        if cell.cell_type != "code":
            continue
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                return _raised(watch, str(output.ename), str(output.evalue), index)
        if cell.source.strip() and cell.get("execution_count") is None:
            return Cause("kernel", "a cell was never executed", EXIT_KERNEL, index)
    return None


def _finish(
    project: Project,
    notebook: str,
    record: dict[str, Any],
    watch: _Watch,
    cause: Cause | None,
    profile: str,
    say: Callable[[str], None],
) -> int:
    """Tidy, collect, write; the copy takes its public name only when nothing failed."""
    hidden = records.secrets(os.environ)
    text, moved = "", {}
    if watch.nb is not None:
        try:
            moved = _tidy(watch.nb, profile, hidden, project.root)
            if cause is None:
                record["results"], record["provenance"] = _collect(watch.nb)
        except _Failure as failure:
            cause = failure.cause
        text = _text(watch.nb)
    spent: dict[int, float] = {}
    for index, seconds in watch.seconds.items():
        if index in moved and watch.nb.cells[moved[index]].cell_type == "code":
            spent[moved[index]] = round(spent.get(moved[index], 0.0) + seconds, 3)
    record["cells"] = [{"index": index, "seconds": seconds} for index, seconds in sorted(spent.items())]
    record["notebook_sha256"] = hashlib.sha256(text.encode()).hexdigest() if text else None
    failed_copy, failed_record = project.copy(notebook, failed=True), project.record(notebook, failed=True)
    if cause is None:
        record["status"] = "completed"
        records.write_text(project.copy(notebook), text)
        records.write_text(project.record(notebook), _dump(record, hidden, project.root))
        for leftover in (failed_copy, failed_record):
            leftover.unlink(missing_ok=True)
        return 0
    cell = moved.get(cause.cell, cause.cell) if cause.cell is not None else None
    message = str(records.redact(cause.message, hidden, project.root))
    record["cause"] = {"kind": cause.kind, "message": message, "ename": cause.ename, "cell": cell}
    if text:
        records.write_text(failed_copy, text)
    else:
        failed_copy.unlink(missing_ok=True)
    records.write_text(failed_record, _dump(record, hidden, project.root))
    place = f", cell {cell + 1}" if cell is not None else ""
    if cause.kind == "mistake":
        say(f"error: {message} ({notebook}{place})")
    else:
        seen = f"; see {failed_copy.relative_to(project.root)}" if text else ""
        say(f"error: {notebook}{place}: {message}{seen}")
    return cause.exit_code


def _tidy(nb: Any, profile: str, hidden: Mapping[str, str], root: Path) -> dict[int, int]:
    """Make the copy deterministic and readable, in place. Returns where each executed cell has moved to."""
    from nbformat import from_dict

    kept: list[Any] = []
    moved: dict[int, int] = {}
    executed = [cell for cell in nb.cells if "papermill-error-cell-tag" not in cell.metadata.get("tags", [])]
    injected = _injected(executed)
    count = 0
    for index, cell in enumerate(executed):
        tags = cell.metadata.get("tags", [])
        if injected is not None and "parameters" in tags:
            moved[index] = len(kept)  # the injected cell takes its place
            continue
        if index == injected:
            cell.id = "run-parameters"
            lines = [line for line in cell.source.splitlines() if line.strip() != "# Parameters"]
            cell.source = "\n".join([f"# The parameters of this run (profile {profile}).", *lines])
            cell.metadata = from_dict({"tags": ["hide-input", "injected-parameters"]})
        for noise in ("papermill", "execution"):
            cell.metadata.pop(noise, None)
        if not cell.metadata.get("tags", True):
            del cell.metadata["tags"]
        if cell.cell_type == "code":
            cell.outputs = [from_dict(records.redact(o, hidden, root)) for o in _outputs(cell.outputs)]
            if cell.execution_count is not None:
                count += 1
                cell.execution_count = count
                for output in cell.outputs:
                    if output.output_type == "execute_result":
                        output.execution_count = count
        moved[index] = len(kept)
        kept.append(cell)
    nb.cells = kept
    nb.metadata = from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    return moved


def _outputs(outputs: Any) -> list[Any]:
    """Outputs without progress bars, with neighbouring streams of one kind joined."""
    kept: list[Any] = []
    for output in outputs:
        output.get("metadata", {}).pop("papermill", None)
        if output.output_type == "stream":
            text = _without_bars(output.text) if output.name == "stderr" else output.text
            if not text:
                continue
            if kept and kept[-1].output_type == "stream" and kept[-1].name == output.name:
                kept[-1].text += text
                continue
            output.text = text
        elif "application/vnd.jupyter.widget-view+json" in output.get("data", {}):
            continue
        kept.append(output)
    return kept


def _without_bars(text: str) -> str:
    """stderr without tqdm's bars, which redraw one line with carriage returns."""
    lines = []
    for line in text.replace("\r\n", "\n").split("\n"):
        segments = [part for part in _ANSI.sub("", line).split("\r") if part.strip() and not _BAR.search(part)]
        if segments:
            lines.append(segments[-1])
    return "\n".join(lines) + "\n" if lines else ""


def _collect(nb: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Results by name, and provenance, from the outputs; a name given to two different results is a failure."""
    results: dict[str, Any] = {}
    provenance: dict[str, Any] = {}
    for index, cell in enumerate(nb.cells):
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if RESULT_MIME in data:
                result = json.loads(json.dumps(data[RESULT_MIME]))
                name = str(result.get("name", ""))
                before = results.get(name)
                if before is not None and {**before, "cell": index} != {**result, "cell": index}:
                    message = f"two different results are called {name!r} (cells {before['cell'] + 1} and {index + 1})"
                    raise _Failure(Cause("raised", message, EXIT_RAISED, None, "ResultError"))
                results[name] = {**result, "cell": index}
            if PROVENANCE_MIME in data:
                provenance.update(json.loads(json.dumps(data[PROVENANCE_MIME])))
    return results, provenance


def _text(nb: Any) -> str:
    import nbformat

    return str(nbformat.writes(nb, version=4, indent=1, sort_keys=True)).rstrip("\n") + "\n"


def _dump(record: Mapping[str, Any], hidden: Mapping[str, str], root: Path) -> str:
    return json.dumps(records.redact(dict(record), hidden, root), indent=1, ensure_ascii=False) + "\n"
