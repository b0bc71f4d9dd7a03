"""The engine that runs a transformers model in this process."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from longthought.engines.protocol import Completion, Sampling
from longthought.errors import UserError

# Tokens between two looks at which rows have ended.
STRIDE = 32


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
            answers = self._run([rows[r] for r in batch], [begun[r] for r in batch], sampling)
            for row, answer in zip(batch, answers, strict=True):
                done[row] = self._completion(len(rows[row]), begun[row], answer, sampling.stop)
            finished += len(batch)
            if progress:
                progress(finished, len(rows))
        completions = [c for c in done if c is not None]
        return [completions[i * k : (i + 1) * k] for i in range(len(prompts))]

    def _run(self, rows: list[list[int]], begun: list[list[int]], sampling: Sampling) -> list[list[int]]:
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
                    answer = answers[alive[place]]
                    answer += new if end is None else new[: end + 1]
                    stopped = sampling.stop and self._stopped(begun[alive[place]], answer, drawn, sampling.stop)
                    if end is None and not stopped:
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

    def count(self, text: str) -> int:
        """Tokens of a text, without marks."""
        return len(self._words(text))

    def _words(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _stopped(self, begun: list[int], answer: list[int], checked: int, stop: Sequence[str]) -> bool:
        """Whether an answer holds a stop text; it is then cut after the token that completes it.

        The first `checked` tokens are known to hold none.
        """
        if _first(self._text(begun, answer), stop) is None:
            return False
        reached = (
            n for n in range(checked + 1, len(answer)) if _first(self._text(begun, answer[:n]), stop) is not None
        )
        del answer[next(reached, len(answer)) :]
        return True

    def _text(self, begun: list[int], answer: list[int]) -> str:
        new = answer[:-1] if answer and answer[-1] in self._ends() else answer
        # Decoded together with what came before, since a tokenizer writes the first word of a text without its space.
        before = self._tokenizer.decode(begun, skip_special_tokens=True) if begun else ""
        return str(self._tokenizer.decode(begun + new, skip_special_tokens=True)[len(before) :])

    def _completion(self, prompt_tokens: int, begun: list[int], answer: list[int], stop: Sequence[str]) -> Completion:
        text = self._text(begun, answer)
        cut = _first(text, stop)
        ended = cut is not None or (bool(answer) and answer[-1] in self._ends())
        return Completion(text[:cut], len(answer), "stop" if ended else "length", prompt_tokens)


def _first(text: str, stop: Sequence[str]) -> int | None:
    """Where the first of the stop texts begins, or None."""
    return min((at for at in map(text.find, stop) if at >= 0), default=None)
