"""Who answers: one small protocol, and the engine that runs a transformers model in this process.

An engine takes prompts and a `Sampling` and gives back completions with their exact number of output tokens and the
reason why each ended. Whoever wants another back end (vLLM, a server) writes one class with `generate`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from longthought.errors import UserError

# Tokens between two looks at which rows have ended.
STRIDE = 32


@dataclass(frozen=True)
class Sampling:
    """How to answer. Temperature 0 is greedy; `samples` answers are drawn per prompt; `max_tokens` caps each.

    An answer ends before the first of the `stop` texts that it writes, which is not part of it.
    """

    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    samples: int = 1
    seed: int = 0
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.max_tokens < 1 or self.samples < 1 or self.temperature < 0 or not 0 < self.top_p <= 1:
            raise UserError(
                f"sampling cannot be {self}: tokens and samples from 1, temperature from 0, top-p in (0, 1]"
            )
        if self.temperature == 0 and self.samples > 1:
            raise UserError(f"{self.samples} greedy samples would be one and the same: set a temperature above 0")


@dataclass(frozen=True)
class Completion:
    """One answer: its text, its output tokens (the end mark included), and "stop" or "length".

    `seconds` is the time of the request where an engine sends one per answer, and `cost` its price in US dollars where
    one is known; a cached answer keeps what it took when it was made.
    """

    text: str
    tokens: int
    finish: str
    prompt_tokens: int = 0
    seconds: float | None = None
    cost: float | None = None


class Engine(Protocol):
    """What every back end offers."""

    name: str
    tokenizer_name: str

    def generate(
        self,
        prompts: Sequence[str],
        sampling: Sampling,
        progress: Callable[[int, int], None] | None = None,
        prefixes: Sequence[Sequence[str]] | None = None,
    ) -> list[list[Completion]]:
        """For each prompt, in order, `sampling.samples` completions.

        `prefixes` holds for each prompt, per sample, an answer that has begun and is to be gone on with. A completion
        is then only what is new: prefix + text is the answer, spaces included, and `tokens` counts the new ones.
        """
        ...


def batches_by_length(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Indices in batches of at most `size`, longest first: batches pad little, and a lack of memory shows early."""
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    return [order[i : i + size] for i in range(0, len(order), size)]


class TransformersEngine:
    """Answers with a transformers model: left-padded batches of similar length that end when all their rows have.

    The same model, prompts, sampling and batch size give the same output: every batch draws from a generator seeded
    by the sampling seed and the batch's own content, so neither earlier calls nor the global state matter.
    """

    def __init__(self, model: Any, tokenizer: Any, *, name: str, batch_size: int = 96) -> None:
        self.name = name
        self.tokenizer_name = str(getattr(tokenizer, "name_or_path", "") or name)
        self.batch_size = batch_size
        self._model = model.eval()
        if model.device.type == "cpu":
            from longthought.decoding import use_grouped_attention

            use_grouped_attention(model)
        self._tokenizer = tokenizer

    def _encode(self, prompt: str) -> list[int]:
        if getattr(self._tokenizer, "chat_template", None):
            message = [{"role": "user", "content": prompt}]
            text = self._tokenizer.apply_chat_template(message, add_generation_prompt=True, tokenize=False)
            return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])
        return list(self._tokenizer(prompt)["input_ids"])

    def _ends(self) -> set[int]:
        """Every token that ends an answer: a chat model has one for the turn and one for the text."""
        configured = self._model.generation_config.eos_token_id
        ids = configured if isinstance(configured, list) else [configured]
        return {i for i in [*ids, self._tokenizer.eos_token_id] if i is not None}

    def generate(
        self,
        prompts: Sequence[str],
        sampling: Sampling,
        progress: Callable[[int, int], None] | None = None,
        prefixes: Sequence[Sequence[str]] | None = None,
    ) -> list[list[Completion]]:
        """See `Engine.generate`. Raises UserError when prompt and answer together exceed the model's positions."""
        k = sampling.samples
        encoded = [self._encode(prompt) for prompt in prompts]
        begun = [self._words(p) for own in prefixes for p in own] if prefixes else [[]] * (k * len(prompts))
        if len(begun) != k * len(prompts):
            raise ValueError(f"{len(begun)} prefixes for {len(prompts)} prompts of {k} samples each")
        rows = [encoded[i // k] + begun[i] for i in range(k * len(prompts))]
        positions = getattr(self._model.config, "max_position_embeddings", None)
        longest = max(map(len, rows), default=0) + sampling.max_tokens
        if positions and longest > positions:
            raise UserError(
                f"{self.name}: the longest prompt with max_tokens {sampling.max_tokens} takes {longest} tokens, "
                f"but the model has {positions} positions: lower max_tokens"
            )
        done: list[Completion | None] = [None] * len(rows)
        finished = 0
        for batch in batches_by_length([len(row) for row in rows], self.batch_size):
            for row, answer in zip(batch, self._run([rows[r] for r in batch], sampling), strict=True):
                done[row] = self._completion(begun[row], answer)
            finished += len(batch)
            if progress:
                progress(finished, len(rows))
        answers = [c for c in done if c is not None]
        return [answers[i * k : (i + 1) * k] for i in range(len(prompts))]

    def _run(self, rows: list[list[int]], sampling: Sampling) -> list[list[int]]:
        import torch

        from longthought.decoding import new_cache, read_prompts

        device = self._model.device
        pad, ends = self._tokenizer.pad_token_id, sorted(self._ends())
        width = max(map(len, rows))
        ids = torch.tensor([[pad] * (width - len(row)) + row for row in rows], device=device)
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=device)
        options: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        if sampling.temperature > 0:
            # top_k 0 switches off a library default of 50, which would quietly change the distribution.
            options = {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
        content = hashlib.sha256(f"{sampling.seed}|{sampling}|{rows}".encode()).digest()
        answers: list[list[int]] = [[] for _ in rows]
        alive = list(range(len(rows)))
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), torch.inference_mode():
            torch.manual_seed(int.from_bytes(content[:7], "big"))
            cache = new_cache(self._model)
            read_prompts(self._model, cache, ids, mask)
            # In strides, so that rows that have ended leave the batch.
            for drawn in range(0, sampling.max_tokens, STRIDE):
                output = self._model.generate(
                    input_ids=ids,
                    attention_mask=mask,
                    past_key_values=cache,
                    max_new_tokens=min(STRIDE, sampling.max_tokens - drawn),
                    pad_token_id=pad,
                    eos_token_id=ends,
                    **options,
                )
                going = []
                for place, new in enumerate(output[:, ids.shape[1] :].tolist()):
                    end = next((i for i, token in enumerate(new) if token in ends), None)
                    answers[alive[place]] += new if end is None else new[: end + 1]
                    if end is None:
                        going.append(place)
                if not going:
                    break
                keep = torch.tensor(going, device=device)
                if len(going) < len(alive):
                    cache.batch_select_indices(keep)
                alive = [alive[place] for place in going]
                mask = torch.nn.functional.pad(mask[keep], (0, output.shape[1] - ids.shape[1]), value=1)
                ids = output[keep]
        return answers

    def _words(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _completion(self, begun: list[int], answer: list[int]) -> Completion:
        stopped = bool(answer) and answer[-1] in self._ends()
        new = answer[:-1] if stopped else answer
        # Decoded together with what came before, since a tokenizer writes the first word of a text without its space.
        before = self._tokenizer.decode(begun, skip_special_tokens=True) if begun else ""
        text = self._tokenizer.decode(begun + new, skip_special_tokens=True)[len(before) :]
        return Completion(text, len(answer), "stop" if stopped else "length")
