"""Reformat: a teacher rewrites a known solution in finer steps, and what it wrote is checked before it is believed.

Phase 1 of the report trains on solutions that another model rewrote after Fan et al. (2024): step by step, longer, the
answer in a box (section 2). A rewriting is accepted when it ended, holds exactly one box, at its end, with the gold
answer, is not shorter than the original, is in the problem's language, and has kept the answer as the original writes
it. Otherwise it is asked again with another seed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from longthought.engines import Engine, Sampling
from longthought.errors import UserError
from longthought.grading.extraction import extract_boxed, visible
from longthought.problems import Problem
from longthought.thoughts import prompts
from longthought.thoughts.distil import judged
from longthought.thoughts.procedural import direct_answer
from longthought.thoughts.record import Thought, Trace
from longthought.thoughts.reflection import words

_BOX = re.compile(r"\\(?:boxed|fbox|framebox)(?![A-Za-z])")
# Spacing and size of LaTeX that change no formula; a row break, which begins like spacing, is kept.
_COSMETIC = re.compile(r"(\\\\)|\\(?:left|right|displaystyle|quad)(?![A-Za-z])|\\[,;:! ]|[\s$]|(?<=\\)[dt](?=frac)")


@dataclass(frozen=True)
class ReformatOptions:
    """Each solution is rewritten once and, where a check fails, up to `retries` times again, with seeds counted on.

    The `prompts` take turns from try to try.
    """

    max_tokens: int = 2048
    temperature: float = 0.7
    top_p: float = 1.0
    seed: int = 0
    retries: int = 2
    prompts: tuple[str, ...] = ("finer",)

    def __post_init__(self) -> None:
        if self.retries < 0:
            raise UserError(f"retries is {self.retries}: 0 or more are wanted")
        if self.retries and self.temperature == 0:
            raise UserError("a greedy teacher would repeat itself: set a temperature above 0, or retries to 0")
        prompts.chosen(self.prompts, prompts.REFORMAT)
        self.sampling(0)

    def sampling(self, attempt: int) -> Sampling:
        """How the tries are asked, the first being 0."""
        return Sampling(self.max_tokens, self.temperature, self.top_p, seed=self.seed + attempt)


def prompt_texts(options: ReformatOptions) -> dict[str, prompts.Prompt]:
    """The prompts that these options ask, by name."""
    return prompts.chosen(options.prompts, prompts.REFORMAT)


def original(problem: Problem) -> str:
    """The solution to rewrite: the problem's own, or the bare answer of a procedural problem."""
    return problem.solution.strip() or (direct_answer(problem) if problem.numbers else "")


def check_problems(problems: Sequence[Problem]) -> None:
    """Raise UserError where a problem has no solution that could be rewritten."""
    bare = [problem.id for problem in problems if not original(problem)]
    if bare:
        raise UserError(
            f"{len(bare)} of {len(problems)} problems have no solution to rewrite, the first is {bare[0]!r}: "
            "give each a field `solution`, or distil instead"
        )


def reformat(
    problems: Sequence[Problem],
    teacher: Engine,
    options: ReformatOptions,
    trace: Trace,
    progress: Callable[[int, int], None] | None = None,
) -> list[Thought]:
    """Every try of every problem, in the order of the problems; at most the last of a problem is accepted.

    Progress counts problems that are settled. Raises UserError for a problem without a solution.
    """
    check_problems(problems)
    styles = list(prompt_texts(options).items())
    tries: list[list[Thought]] = [[] for _ in problems]
    open_ones = list(range(len(problems)))
    for attempt in range(1 + options.retries):
        name, prompt = styles[attempt % len(styles)]
        texts = [prompt.of(problems[i], original(problems[i])) for i in open_ones]
        for i, row in zip(open_ones, trace.ask(teacher, "teacher", texts, options.sampling(attempt)), strict=True):
            found = judged(problems[i], row[0], "reformat")
            # What a reasoning model thought before it wrote is no part of the solution.
            found = replace(found, text=visible(found.text).strip() or found.text)
            why = complaint(problems[i], found)
            reason = why or ("passed all checks" if attempt == 0 else f"passed all checks at try {attempt + 1}")
            details = {"prompt": name, "try": attempt + 1}
            tries[i].append(replace(found, accepted=not why, reason=reason, details=details))
        open_ones = [i for i in open_ones if not tries[i][-1].accepted]
        if progress:
            progress(len(problems) - len(open_ones), len(problems))
        if not open_ones:
            break
    if progress:
        progress(len(problems), len(problems))
    return [thought for own in tries for thought in own]


def complaint(problem: Problem, rewritten: Thought) -> str:
    """Why a rewriting is rejected, or ""."""
    if not rewritten.accepted:
        return rewritten.reason
    text, old = rewritten.text, original(problem)
    boxes = list(_BOX.finditer(text))
    if len(boxes) != 1:
        return "more than one box"
    # A displayed box may stand alone in its last lines, so a paragraph is asked for and not a line.
    if "\n\n" in text[boxes[0].end() :].strip():
        return "the box is not at the end"
    if words(text) < words(old):
        return "shorter than the original"
    if prompts.language_of(text) not in ("", problem.language):
        return "in another language"
    formula = extract_boxed(old)
    if formula and _plain(formula) not in _plain(text):
        return "the original's answer is not kept as it was written"
    return ""


def _plain(formula: str) -> str:
    return _COSMETIC.sub(r"\1", formula)
