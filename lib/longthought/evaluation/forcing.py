"""Budget forcing: thought cut short at a cap, or kept going when it would end (Muennighoff et al. 2025, "s1").

Both work by writing into the answer and letting the model go on from there. To cap, an answer that still thinks at
`cap` tokens gets the words that open a final answer (`closing`) and a short allowance to finish it. To extend, an
answer that ends gets its final part taken off and a word such as "wait" (`continuation`) put in its place.

What is counted are the tokens of the answer as it stands: thought that was kept, words that were put in, and what the
model wrote after them. A final part that was taken off was written as well but is in no answer, so it is not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from longthought.engines import Completion, Sampling
from longthought.errors import UserError

ALLOWANCE = 32
_THOUGHT_ENDS = "</think>"
_BOX = "\\boxed"


class PrefixEngine(Protocol):
    """An engine that can go on from an answer that has begun.

    `prefixes` holds for each prompt, per sample, the text already answered, which follows whatever the engine puts
    before an answer. A completion is then only what comes after it: prefix + text is the answer, spaces included, and
    `tokens` counts the new ones.
    """

    def generate(
        self,
        prompts: Sequence[str],
        sampling: Sampling,
        progress: Callable[[int, int], None] | None = None,
        prefixes: Sequence[Sequence[str]] | None = None,
    ) -> list[list[Completion]]:
        """For each prompt, in order, `sampling.samples` completions."""
        ...


@dataclass
class _Draft:
    """An answer in the making: text and tokens so far, why it last ended, and the prompt it belongs to."""

    prompt: str
    text: str
    tokens: int
    finish: str


def force(
    engine: PrefixEngine,
    prompts: Sequence[str],
    sampling: Sampling,
    *,
    cap: int | None,
    closing: str,
    continuation: str | None,
    times: int,
    count: Callable[[str], int],
    allowance: int = ALLOWANCE,
) -> list[list[Completion]]:
    """Answers to `prompts` under a budget that is forced, `sampling.samples` for each.

    cap: thought is cut at so many tokens, then `closing` is appended and at most `allowance` tokens follow. None: the
        limit is `sampling.max_tokens`, and what reaches it is cut off as usual.
    closing: what opens a final answer, with the space before it, such as " so \\boxed{". Also tells where the final
        answer of a finished text begins.
    continuation: what replaces the final answer of a text that ended, such as " wait"; up to `times` times, as long as
        tokens are left. None: never.
    count: tokens of a text as the engine's tokenizer splits it, without marks of beginning or end.

    Each completion's `tokens` are those of its text as it stands, the end mark of the last part included. Raises
    UserError for a cap that is no cap, or for `times` without a continuation.
    """
    limit = sampling.max_tokens if cap is None else cap
    if cap is not None and not 1 <= cap <= sampling.max_tokens:
        raise UserError(f"a cap of {cap} tokens is none: choose 1 to max_tokens, which is {sampling.max_tokens}")
    if times < 0 or allowance < 1 or (times and not continuation):
        raise UserError(f"forcing {times} times needs a continuation such as ' wait', and an allowance from 1 token")
    first = engine.generate(prompts, replace(sampling, max_tokens=limit))
    drafts = [
        [_Draft(prompt, c.text, c.tokens, c.finish) for c in row] for prompt, row in zip(prompts, first, strict=True)
    ]
    every = [draft for row in drafts for draft in row]
    for number in range(times if continuation else 0):
        _extend(engine, every, replace(sampling, seed=sampling.seed + number + 1), limit, closing, continuation, count)
    if cap is not None:
        _close(engine, [d for d in every if d.finish == "length"], sampling, closing, allowance, count)
    return [[Completion(d.text, d.tokens, d.finish) for d in row] for row in drafts]


def final_part(text: str, closing: str) -> int:
    """Where the final answer of a text begins: at the end of the thinking block, else at the last `closing`, else at
    the last box, else nowhere (the length of the text)."""
    for mark in (_THOUGHT_ENDS, closing.strip(), _BOX):
        found = text.rfind(mark) if mark else -1
        if found >= 0:
            return found
    return len(text)


def _extend(
    engine: PrefixEngine,
    drafts: Sequence[_Draft],
    sampling: Sampling,
    limit: int,
    closing: str,
    continuation: str | None,
    count: Callable[[str], int],
) -> None:
    """Make answers that ended go on, where the limit leaves room for the continuation and at least one token."""
    chosen, rooms = [], []
    for draft in drafts:
        if draft.finish != "stop":
            continue
        thought = draft.text[: final_part(draft.text, closing)].rstrip()
        begun = thought + (continuation or "")
        tokens = count(begun)
        if tokens < limit:
            draft.text, draft.tokens = begun, tokens
            chosen.append(draft)
            rooms.append(limit - tokens)
    _go_on(engine, chosen, rooms, sampling)


def _close(
    engine: PrefixEngine,
    drafts: Sequence[_Draft],
    sampling: Sampling,
    closing: str,
    allowance: int,
    count: Callable[[str], int],
) -> None:
    """Make answers that were cut while thinking give their final answer; those that had begun it only go on."""
    for draft in drafts:
        if final_part(draft.text, closing) == len(draft.text):
            text = draft.text.rstrip() + closing
            # Tokens at the seam may merge, so what counts is how many the words added.
            draft.tokens += count(text) - count(draft.text)
            draft.text = text
    _go_on(engine, drafts, [allowance] * len(drafts), sampling)


def _go_on(engine: PrefixEngine, drafts: Sequence[_Draft], rooms: Sequence[int], sampling: Sampling) -> None:
    """Let each draft go on for at most its room of tokens. Drafts with the same room are answered together."""
    for room in sorted(set(rooms)):
        own = [draft for draft, its in zip(drafts, rooms, strict=True) if its == room]
        # Each draft is a prompt of its own with one sample, since samples of one prompt now differ in what is written.
        answers = engine.generate(
            [draft.prompt for draft in own],
            replace(sampling, samples=1, max_tokens=room),
            prefixes=[[draft.text] for draft in own],
        )
        for draft, (more,) in zip(own, answers, strict=True):
            draft.text += more.text
            draft.tokens += more.tokens
            draft.finish = more.finish
