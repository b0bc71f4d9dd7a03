"""Distil: draw several thoughts per problem, keep the right ones, and choose among them.

The report asks o1 for its thoughts and keeps those whose answer is the gold one (section 2). Here any engine is the
teacher: prompts that elicit reflection are asked in turn, the grader rejects, and a named policy chooses among the
correct thoughts of a problem. Every candidate is returned, each with the reason for its fate.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from longthought.engines import Engine, Sampling
from longthought.errors import UserError
from longthought.grading import grade
from longthought.problems import Problem
from longthought.thoughts import prompts
from longthought.thoughts.record import Call, Thought, Trace
from longthought.thoughts.reflection import reflection, words

SELECTIONS = ("shortest", "longest", "reflective", "diverse", "random")
SHINGLE = 3


@dataclass(frozen=True)
class DistilOptions:
    """`samples` thoughts are drawn per problem, shared out among the `prompts`; at most `keep` of the right ones stay.

    `select` chooses them: "shortest" or "longest" in words, "reflective" by marks of reflection per 100 words,
    "diverse" by word 3-shingles (first the one farthest from all others on average, then whichever is farthest from
    the nearest chosen one), or "random".
    """

    max_tokens: int = 2048
    samples: int = 4
    temperature: float = 0.8
    top_p: float = 1.0
    seed: int = 0
    select: str = "reflective"
    keep: int = 1
    prompts: tuple[str, ...] = prompts.REFLECTIVE

    def __post_init__(self) -> None:
        if self.select not in SELECTIONS:
            raise UserError(f"unknown selection {self.select!r}: choose from {', '.join(SELECTIONS)}")
        if self.samples < 1 or self.keep < 1:
            raise UserError(f"samples is {self.samples} and keep is {self.keep}: both start at 1")
        prompts.chosen(self.prompts, prompts.DISTIL)
        self.sampling(-(-self.samples // len(self.prompts)))

    def sampling(self, samples: int) -> Sampling:
        """How one prompt is asked."""
        return Sampling(self.max_tokens, self.temperature, self.top_p, samples, self.seed)


def prompt_texts(options: DistilOptions) -> dict[str, prompts.Prompt]:
    """The prompts that these options ask, by name."""
    return prompts.chosen(options.prompts, prompts.DISTIL)


def judged(problem: Problem, call: Call, method: str) -> Thought:
    """A completion as a thought, graded. Accepted means only that it ended and is right; methods ask for more.

    An answer that was cut off is not finished, even if it happened to box something on the way.
    """
    truncated = call.finish == "length"
    verdict = grade(problem.gold, "" if truncated else call.completion)
    why = {"correct": "correct", "wrong": "wrong", "no_answer": "no answer", "undecided": "undecided"}[verdict.verdict]
    return Thought(
        problem=problem,
        text=call.completion.strip(),
        answer=verdict.extracted,
        verdict=verdict.verdict,
        method=method,
        calls=(call.id,),
        accepted=verdict.correct,
        reason="truncated" if truncated else why,
    )


def distil(
    problems: Sequence[Problem],
    teacher: Engine,
    options: DistilOptions,
    trace: Trace,
    progress: Callable[[int, int], None] | None = None,
) -> list[Thought]:
    """A thought per problem and sample, in that order, each accepted or with the reason why not.

    Reasons: truncated, no answer, wrong, undecided, a copy of another, or correct and not selected.
    """
    asked = prompt_texts(options)
    candidates: list[list[Thought]] = [[] for _ in problems]
    total, done = len(problems) * options.samples, 0
    for place, (name, prompt) in enumerate(asked.items()):
        share = (options.samples - place + len(asked) - 1) // len(asked)
        if share == 0:
            continue
        texts = [prompt.of(problem) for problem in problems]
        before = done

        def tell(now: int, _: int, before: int = before) -> None:
            if progress:
                progress(before + now, total)

        for i, row in enumerate(trace.ask(teacher, "teacher", texts, options.sampling(share), progress=tell)):
            for call in row:
                candidates[i].append(replace(judged(problems[i], call, "distil"), details={"prompt": name}))
        done += share * len(problems)
    return [thought for own in candidates for thought in select(own, options)]


def select(candidates: Sequence[Thought], options: DistilOptions) -> list[Thought]:
    """The candidates of one problem, in order, of which at most `options.keep` right ones remain accepted."""
    result = list(candidates)
    right: dict[str, int] = {}
    for i, thought in enumerate(result):
        if thought.accepted and right.setdefault(" ".join(thought.text.split()), i) != i:
            result[i] = replace(thought, accepted=False, reason="a copy of another")
    places = list(right.values())
    chosen = _choose([result[i] for i in places], options)
    for at, i in enumerate(places):
        kept = at in chosen
        reason = f"{options.select} of {len(places)} correct" if kept else "correct, not selected"
        result[i] = replace(result[i], accepted=kept, reason=reason)
    return result


def _choose(thoughts: Sequence[Thought], options: DistilOptions) -> list[int]:
    """Places of the chosen thoughts; of equals, the one that was drawn first."""
    places = list(range(len(thoughts)))
    if options.select == "diverse":
        return _spread([t.text for t in thoughts], options.keep)
    if options.select == "random":
        seed = f"select-{options.seed}-{thoughts[0].problem.id}" if thoughts else ""
        return random.Random(seed).sample(places, min(options.keep, len(places)))
    if options.select == "reflective":
        return sorted(places, key=lambda i: -reflected(thoughts[i]))[: options.keep]
    sign = 1 if options.select == "shortest" else -1
    return sorted(places, key=lambda i: sign * words(thoughts[i].text))[: options.keep]


def reflected(thought: Thought) -> float:
    """Marks of reflection per 100 words of a thought, in the language that it is written in."""
    language = prompts.language_of(thought.text) or thought.problem.language
    return reflection(thought.text, language, thought.problem.text).score


def _spread(texts: Sequence[str], count: int) -> list[int]:
    """Places of `count` texts, each farthest (Jaccard, word shingles) from the nearest that was taken before it."""
    if not texts:
        return []
    sets = [_shingles(text) for text in texts]
    apart = [[1 - len(a & b) / len(a | b) for b in sets] for a in sets]
    taken = [max(range(len(texts)), key=lambda i: sum(apart[i]))]
    while len(taken) < min(count, len(texts)):
        rest = (i for i in range(len(texts)) if i not in taken)
        taken.append(max(rest, key=lambda i: min(apart[i][j] for j in taken)))
    return taken


def _shingles(text: str) -> frozenset[tuple[str, ...]]:
    own = [character for word in text.split() for character in _pieces(word)]
    return frozenset(tuple(own[i : i + SHINGLE]) for i in range(max(1, len(own) - SHINGLE + 1)))


def _pieces(word: str) -> list[str]:
    """A word, or its characters where it is Chinese, which puts no spaces between words."""
    return list(word) if prompts.language_of(word) == "zh" else [word]
