"""vLLM's own server on a free port of this machine, serving SmolLM2: the real thing that the tests talk to."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NEEDS_VLLM = "needs vLLM: run make vllm"
START_SECONDS = 270


def installed() -> bool:
    return importlib.util.find_spec("vllm") is not None


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _end_with_parent() -> None:
    """Even a killed test run leaves no server behind (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


@contextmanager
def running(model: Path, name: str, log: Path, dtype: str = "float32") -> Iterator[str]:
    """The base URL of a server of `model` under `name`; it ends with the block, whatever ends that."""
    port = free_port()
    options = ["--model", str(model), "--served-model-name", name, "--host", "127.0.0.1", "--port", str(port)]
    # Without this, the server would take its default sampling from the model's files.
    options += ["--generation-config", "vllm", "--dtype", dtype, "--max-model-len", "2048", "--enforce-eager"]
    # On processor cores a seeded request whose prompt is read in pieces ends vLLM 0.32.0 with "CPU Generator does not
    # use offset".
    options += ["--no-enable-chunked-prefill", "--max-num-batched-tokens", "4096"]
    quiet = {"VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
    with log.open("w") as out:
        server = subprocess.Popen(
            [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *options],
            env=os.environ | quiet,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )
        try:
            _wait_for(f"http://127.0.0.1:{port}/health", server, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            _end(server)


def _wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise RuntimeError(f"vLLM's server did not come up; its log ends with\n{log.read_text()[-3000:]}")


def _end(server: subprocess.Popen[bytes]) -> None:
    for signum, patience in ((signal.SIGTERM, 20), (signal.SIGKILL, 20)):
        try:
            os.killpg(server.pid, signum)
        except ProcessLookupError:
            break
        try:
            server.wait(patience)
        except subprocess.TimeoutExpired:
            continue
