"""Budget forcing: thought cut short at a cap, or kept going when it would end (Muennighoff et al. 2025, "s1").

Both work by writing into the answer and letting the model go on from there. To cap, an answer that still thinks at
`cap` tokens gets the words that open a final answer (`closing`) and a short allowance to finish it. To extend, an
answer that ends gets its final part taken off and a word such as "wait" (`continuation`) put in its place.

A forced answer is complete when its box is closed. Whoever asks for it stops reading there, so what a model would still
write until its allowance ends is left out, instead of making the answer one that was cut off.

What is counted are the tokens of the answer as it stands: thought that was kept, words that were put in, and what the
model wrote after them. A final part that was taken off was written as well but is in no answer, so it is not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from longthought.engines import Completion, Engine, Sampling
from longthought.errors import UserError

ALLOWANCE = 32
_THOUGHT_ENDS = "</think>"
_BOX = "\\boxed"


@dataclass(frozen=True)
class Forcing:
    """A budget that is forced on answers, in words; what each field does is said at `force`.

    `translations` holds (language, closing, continuation) for problems in a language whose answers want other words.
    """

    cap: int | None = None
    closing: str = " \\boxed{"
    continuation: str = ""
    times: int = 0
    allowance: int = ALLOWANCE
    translations: tuple[tuple[str, str, str], ...] = ()

    def __post_init__(self) -> None:
        if self.cap is not None and self.cap < 1:
            raise UserError(f"a cap of {self.cap} tokens is none: choose at least 1")
        if self.times < 0 or self.allowance < 1 or (self.times and not self.continuation):
            raise UserError(
                f"forcing {self.times} times needs a continuation such as ' wait', and an allowance from 1 token"
            )

    def words(self, language: str) -> tuple[str, str]:
        """The closing and the continuation for problems in `language`."""
        translated = {name: (closing, continuation) for name, closing, continuation in self.translations}
        return translated.get(language, (self.closing, self.continuation))


@dataclass
class _Draft:
    """An answer in the making: text and tokens so far, why it last ended, and the prompt it belongs to."""

    prompt: str
    text: str
    tokens: int
    finish: str


def force(
    engine: Engine,
    prompts: Sequence[str],
    sampling: Sampling,
    *,
    cap: int | None,
    closing: str,
    continuation: str | None,
    times: int,
    count: Callable[[str], int],
    allowance: int = ALLOWANCE,
    progress: Callable[[int, int], None] | None = None,
) -> list[list[Completion]]:
    """Answers to `prompts` under a budget that is forced, `sampling.samples` for each.

    cap: thought is cut at so many tokens, then `closing` is appended and at most `allowance` tokens follow, up to the
        box's end if the answer itself finds none. None: the limit is `sampling.max_tokens`, and what reaches it is cut
        off as usual.
    closing: what opens a final answer, with the space before it, such as " so \\boxed{". Also tells where the final
        answer of a finished text begins.
    continuation: what replaces the final answer of a text that ended, such as " wait"; up to `times` times, as long as
        tokens are left. None: never.
    count: tokens of a text as the engine's tokenizer splits it, without marks of beginning or end.
    progress: told of the answers before anything is forced, which take most of the time.

    Each completion's `tokens` are those of its text as it stands, the end mark of the last part included. Raises
    UserError for a cap that is no cap, or for `times` without a continuation.
    """
    Forcing(cap, closing, continuation or "", times, allowance)
    limit = sampling.max_tokens if cap is None else cap
    if limit > sampling.max_tokens:
        raise UserError(f"a cap of {cap} tokens is none: choose 1 to max_tokens, which is {sampling.max_tokens}")
    first = engine.generate(prompts, replace(sampling, max_tokens=limit), progress)
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
    engine: Engine,
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
        begun = thought + (continuation or "") if thought else (continuation or "").lstrip()
        tokens = count(begun)
        if tokens < limit:
            draft.text, draft.tokens = begun, tokens
            chosen.append(draft)
            rooms.append(limit - tokens)
    _go_on(engine, chosen, rooms, sampling)


def _close(
    engine: Engine,
    drafts: Sequence[_Draft],
    sampling: Sampling,
    closing: str,
    allowance: int,
    count: Callable[[str], int],
) -> None:
    """Make answers that were cut while thinking give their final answer; those that had begun it only go on."""
    boxes = []
    for draft in drafts:
        end = _box_end(draft.text, draft.text.rfind(_BOX))
        thinks_on = end is not None and any(map(str.isalnum, draft.text[end:]))
        if thinks_on or final_part(draft.text, closing) == len(draft.text):
            text = draft.text.rstrip()
            text += closing[_begun(text, closing) :]
            # Tokens at the seam may merge, so what counts is how many the words added.
            draft.tokens += count(text) - count(draft.text)
            draft.text = text
        boxes.append(draft.text.rfind(_BOX))
    _go_on(engine, drafts, [allowance] * len(drafts), sampling)
    for draft, box in zip(drafts, boxes, strict=True):
        end = _box_end(draft.text, box)
        if draft.finish == "length" and end is not None:
            draft.tokens -= count(draft.text) - count(draft.text[:end])
            draft.text, draft.finish = draft.text[:end], "stop"


def _box_end(text: str, box: int) -> int | None:
    """The end of the box that begins at `box`; None where none begins there or it is not closed."""
    depth = 0
    for at in range(box, len(text)) if box >= 0 else ():
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if text[at] == "}" and depth == 0:
            return at + 1
    return None


def _begun(text: str, closing: str) -> int:
    """How much of `closing`, in whole words, a text that was cut already ends with."""
    ends = [at for at in range(1, len(closing) + 1) if closing[at - 1].strip() and not closing[at : at + 1].strip()]
    return max((at for at in ends if text.endswith(closing[:at])), default=0)


def _go_on(engine: Engine, drafts: Sequence[_Draft], rooms: Sequence[int], sampling: Sampling) -> None:
    """Let each draft go on for at most its room of tokens.

    Rooms differ from draft to draft, so they are used up by powers of two: whoever still goes on and has that power in
    its room is answered together, in as many calls as a room has binary digits instead of one for each room.
    """
    largest = max(rooms, default=0)
    powers = [1 << digit for digit in reversed(range(largest.bit_length()))]
    going = list(zip(drafts, rooms, strict=True))
    for part in [largest] if len(set(rooms)) == 1 else powers:
        own = [draft for draft, room in going if room & part]
        if not own:
            continue
        # Each draft is a prompt of its own with one sample, since samples of one prompt now differ in what is written.
        answers = engine.generate(
            [draft.prompt for draft in own],
            replace(sampling, samples=1, max_tokens=part),
            prefixes=[[draft.text] for draft in own],
        )
        for draft, (more,) in zip(own, answers, strict=True):
            draft.text += more.text
            draft.tokens += more.tokens
            draft.finish = more.finish
        going = [(draft, room) for draft, room in going if not (room & part and draft.finish == "stop")]
