"""What many tests share and nobody wants to start twice: SmolLM2 in memory, and servers that answer with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import small_server
import vllm_server
from longthought.models import SMOLLM2


@pytest.fixture(scope="session")
def smollm2() -> Any:
    """The transformers engine with SmolLM2."""
    from longthought.engines import TransformersEngine
    from longthought.models import load

    model, tokenizer = load(SMOLLM2)
    return TransformersEngine(model, tokenizer, name=SMOLLM2)


@pytest.fixture(scope="session")
def small_url(smollm2: Any) -> Iterator[str]:
    """The base URL of a small server around that engine."""
    with small_server.running(smollm2, SMOLLM2) as url:
        yield url


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2 in a folder, as vLLM reads it."""
    from longthought.engines.in_process import Unpacked

    folder = tmp_path_factory.mktemp("models")
    Unpacked(SMOLLM2).make(folder)
    return folder


@pytest.fixture(scope="session")
def vllm_url(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of vLLM's server."""
    if not vllm_server.installed():
        pytest.skip(vllm_server.NEEDS_VLLM)
    with vllm_server.running(unpacked, SMOLLM2, tmp_path_factory.mktemp("logs") / "vllm.log") as url:
        yield url
