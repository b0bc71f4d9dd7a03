"""The protocol of every engine: what it is asked with (`Sampling`), what it gives back (`Completion`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from longthought.errors import UserError


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
