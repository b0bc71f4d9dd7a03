"""An engine whose answers a test writes: a function of prompt, begun answer and number of the sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from longthought.engines import Completion, Sampling


class Scripted:
    """Answers with `script(prompt, prefix, sample)`, cut at stop texts and at the limit, a token per word."""

    tokenizer_name = "words"

    def __init__(self, script: Callable[[str, str, int], str], name: str = "scripted") -> None:
        self.script = script
        self.name = name
        self.requests: list[Sampling] = []

    def generate(
        self,
        prompts: Sequence[str],
        sampling: Sampling,
        progress: Callable[[int, int], None] | None = None,
        prefixes: Sequence[Sequence[str]] | None = None,
    ) -> list[list[Completion]]:
        self.requests.append(sampling)
        answers = []
        for at, prompt in enumerate(prompts):
            begun = prefixes[at] if prefixes else [""] * sampling.samples
            assert len(begun) == sampling.samples
            answers.append([self._one(prompt, prefix, i, sampling) for i, prefix in enumerate(begun)])
        return answers

    def _one(self, prompt: str, prefix: str, sample: int, sampling: Sampling) -> Completion:
        text = self.script(prompt, prefix, sample)
        ends = [at for at in (text.find(stop) for stop in sampling.stop) if at >= 0]
        text = text[: min(ends)] if ends else text
        words = text.split(" ")
        if len(words) > sampling.max_tokens:
            return Completion(" ".join(words[: sampling.max_tokens]), sampling.max_tokens, "length")
        return Completion(text, max(1, len(words)), "stop")
