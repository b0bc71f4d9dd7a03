"""How a thought is cut into steps, so that a step can be judged, valued, or taken back, and put together again.

Debate and tree search let a policy write one step at a time. What a step is depends on who writes: in `NATURAL`, for
models that write language, a paragraph between blank lines; in `MINIATURE`, for the book's tiny word-level students,
one candidate of the rule-based teacher's search, such as "x= 3 : 1 + 5 = 6 vs 8 off 2".

A thought under way is a sequence of `Turn`s. One that was taken back stays in the text, followed by a reflection and
another try. In miniature it then has just the form in which the rule-based teacher corrects itself: the line is
broken off before the comparison, and "wait" and the same candidate again follow.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from longthought.errors import UserError
from longthought.grading.extraction import extract_boxed
from longthought.problems import Problem
from longthought.thoughts.procedural import WORDS, search_of
from longthought.thoughts.prompts import Prompt

NATURAL, MINIATURE = "natural", "miniature"
STYLES = (NATURAL, MINIATURE)
BOX = "\\boxed"

POLICY = Prompt(
    "{problem}\n\nThink aloud, one short step per paragraph, with a blank line between steps. "
    "Put your final answer within \\boxed{}.",
    "{problem}\n\n请一步一步地思考，每一步写成一小段，段落之间空一行。最后把答案写在 \\boxed{} 中。",
)
BARE = Prompt("{problem}", "{problem}")


@dataclass(frozen=True)
class Turn:
    """One step. A `reflection` says that the step is taken back, and in which words."""

    step: str
    reflection: str = ""


@dataclass(frozen=True)
class Form:
    """How the steps of one problem's thought are written.

    `separator` stands between steps and every step begins with `opening`. `lexicon` holds the teacher's words in the
    problem's language for miniature thoughts, and is None for natural ones.
    """

    separator: str
    opening: str
    lexicon: dict[str, str] | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        """What ends a step: the beginning of the next."""
        return (self.separator + self.opening,)

    def text(self, turns: Sequence[Turn]) -> str:
        """The thought so far."""
        return self.separator.join(self._parts(turns))

    def continued(self, turns: Sequence[Turn]) -> str:
        """The thought so far, ready for more of it."""
        # A word-level tokenizer brings its own space before the next word.
        return "".join(part + self.separator for part in self._parts(turns)).rstrip(" ")

    def begun(self, turns: Sequence[Turn]) -> str:
        """The thought so far and the opening of its next step, to be gone on with."""
        return "".join(part + self.separator for part in self._parts(turns)) + self.opening

    def step(self, completion: str) -> str:
        """The step that a policy wrote after `begun`; empty when it wrote nothing."""
        written = completion.strip()
        if self.lexicon is None or not written:
            return written
        return f"{self.opening} {' '.join(written.split())}"

    def cut(self, text: str) -> list[str]:
        """The steps of a whole thought."""
        if self.lexicon is None:
            return [part.strip() for part in text.split("\n\n") if part.strip()]
        steps: list[list[str]] = []
        for word in text.split():
            if word == self.opening or not steps:
                steps.append([])
            steps[-1].append(word)
        return [" ".join(words) for words in steps]

    def broken_off(self, step: str, redo: str = "") -> str:
        """A step that is taken back, as far as it stays.

        Natural steps stay whole. A miniature line ends before its comparison, unless it is only there that it differs
        from its `redo`; and it never keeps an answer.
        """
        if self.lexicon is None:
            return step
        words = step.split()
        if words[-2:] == [self.lexicon["stop"], self.lexicon["wait"]]:
            words = words[:-2]
        if words[-1:] == [self.lexicon["check"]]:
            words = words[:-1]
        value = _before(words, self.lexicon["vs"])
        if value == _before(redo.split(), self.lexicon["vs"]):
            value = _before(words, BOX + "{")
        return " ".join(value)

    def differs(self, step: str, redo: str) -> bool:
        """Whether a reader can see, in the step as it stays, that the other was better."""
        kept = self.broken_off(step, redo).split()
        return redo.split()[: len(kept)] != kept

    def _parts(self, turns: Sequence[Turn]) -> list[str]:
        parts = []
        for at, turn in enumerate(turns):
            if not turn.reflection:
                parts.append(turn.step)
                continue
            redo = next((later.step for later in turns[at + 1 :] if not later.reflection), "")
            parts.append(self.broken_off(turn.step, redo))
            parts.append(f"{self.lexicon['stop']} {turn.reflection}" if self.lexicon else turn.reflection)
        return parts


def _before(words: Sequence[str], mark: str) -> list[str]:
    return list(words[: words.index(mark)] if mark in words else words)


def check_style(style: str) -> None:
    """Raises UserError for a style that is none."""
    if style not in STYLES:
        raise UserError(f"style {style!r} of a thought's steps: choose from {', '.join(STYLES)}")


def form_of(style: str, problem: Problem) -> Form:
    """How a thought on this problem is written. Miniature steps need a procedural problem (UserError)."""
    if style == NATURAL:
        return Form("\n\n", "")
    return Form(" ", f"{search_of(problem).unknown}=", WORDS[problem.language])


def policy_wording(style: str) -> Prompt:
    """What a policy is asked: the bare problem in miniature, as the students were trained."""
    return BARE if style == MINIATURE else POLICY


def worded(prompt: Prompt, problem: Problem, **fields: str) -> str:
    """The prompt about a problem with more places filled, all in one pass: what a model wrote is only text."""
    given = {"problem": problem.text, **fields}
    places = re.compile("|".join(re.escape("{" + name + "}") for name in given))
    return places.sub(lambda place: given[place[0][1:-1]], in_language({"en": prompt.en, "zh": prompt.zh}, problem))


def in_language(texts: Mapping[str, str], problem: Problem) -> str:
    """The text in the problem's language, or in English where there is none."""
    return texts.get(problem.language, texts["en"])


def answered(step: str) -> bool:
    """Whether a step holds a complete box, which ends a thought."""
    return extract_boxed(step) is not None
