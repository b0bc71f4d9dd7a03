"""The rule-based teacher as an engine, so that every method of making thoughts can ask it as it asks a model.

It reads the problem out of its prompt, writes a long thought (or, for reformatting, a worked solution) in words, and
counts words as tokens. It obeys the sampling like a model does: a limit cuts its text, a seed fixes it, samples differ.
An answer that has begun is gone on with from where it stands in the search.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from longthought.engines import Completion, Sampling
from longthought.errors import UserError
from longthought.problems import Problem
from longthought.thoughts.procedural import WORDS, Search, Teacher, long_thought, search_of, worked_solution

WRITES = ("thoughts", "solutions")
# Thoughts drawn to find one that goes through the place where a begun one stands.
_DRAWS = 60


class RuleBasedEngine:
    """Answers prompts about `problems`, which must be procedural, with the texts of a `Teacher`.

    A prompt is a problem's text, or holds it among other words. `writes` is "thoughts" or "solutions"; the teacher's
    accuracy holds for both. At temperature 0 the sampling seed does not matter, as for a model.
    """

    tokenizer_name = "words"

    def __init__(self, problems: Sequence[Problem], teacher: Teacher, seed: int = 0, writes: str = "thoughts") -> None:
        if writes not in WRITES:
            raise UserError(f"the rule-based teacher writes {' or '.join(WRITES)}, not {writes!r}")
        for problem in problems:
            search_of(problem)  # Refuses what it cannot solve now and not in the middle of a run.
        self.name = f"rule-based, accuracy {teacher.accuracy}, slip {teacher.slip}, reflection {teacher.reflection}"
        self._problems = {problem.text: problem for problem in problems}
        self._teacher, self._seed, self._writes = teacher, seed, writes

    def generate(
        self,
        prompts: Sequence[str],
        sampling: Sampling,
        progress: Callable[[int, int], None] | None = None,
        prefixes: Sequence[Sequence[str]] | None = None,
    ) -> list[list[Completion]]:
        """See `Engine.generate`. Raises UserError for a prompt about no known problem and for a foreign prefix."""
        answers = []
        for i, prompt in enumerate(prompts):
            problem = self._problem(prompt)
            own = list(prefixes[i]) if prefixes else [""] * sampling.samples
            if len(own) != sampling.samples:
                raise ValueError(f"{len(own)} prefixes for a prompt of {sampling.samples} samples")
            seed = sampling.seed if sampling.temperature > 0 else 0
            row = []
            for j, prefix in enumerate(own):
                rng = random.Random(f"{self._seed}|{seed}|{j}|{prompt}|{prefix}")
                row.append(_completion(prompt, prefix, self._text(problem, prefix, rng), sampling))
            answers.append(row)
            if progress:
                progress((i + 1) * sampling.samples, len(prompts) * sampling.samples)
        return answers

    def _problem(self, prompt: str) -> Problem:
        known = self._problems.get(prompt)
        if known is None:
            held = [text for text in self._problems if text in prompt]
            if not held:
                raise UserError(f"the rule-based teacher knows no problem in the prompt {prompt[:80]!r}")
            known = self._problems[max(held, key=len)]
        return known

    def _text(self, problem: Problem, prefix: str, rng: random.Random) -> str:
        if self._writes == "thoughts":
            return _continued(problem, prefix.split(), self._teacher, rng)
        # One that has begun names its candidate, which then is kept, right or wrong.
        answer, others = int(problem.gold), _others(problem)
        drawn = answer if rng.random() < self._teacher.accuracy else rng.choice(others)
        begun = prefix.split()
        for candidate in (drawn, answer, *others):
            whole = worked_solution(replace(problem, gold=str(candidate))).split()
            if _begins(whole, begun):
                return " ".join(whole[len(begun) :])
        raise UserError(f"the rule-based teacher has no solution of {problem.id!r} that begins with {prefix[-80:]!r}")


def _completion(prompt: str, prefix: str, text: str, sampling: Sampling) -> Completion:
    """What of a text the sampling lets through."""
    words, asked = text.split(), len(prompt.split()) + len(prefix.split())
    # A space parts words, so what goes on from a word begins with one.
    lead = " " if prefix and not prefix[-1].isspace() and words else ""
    ended = len(words) < sampling.max_tokens
    words = words[: sampling.max_tokens]
    whole = lead + " ".join(words)
    stops = [at for stop in sampling.stop if (at := whole.find(stop)) >= 0]
    if stops:
        kept = whole[: min(stops)]
        return Completion(kept, min(len(kept.split()) + 1, len(words)), "stop", asked)
    return Completion(whole, len(words) + ended, "stop" if ended else "length", asked)


def _others(problem: Problem) -> list[int]:
    """The candidates of the search that are not the answer."""
    s = search_of(problem)
    return [x for x in (s.start + i * s.stride for i in range(s.modulus)) if x != int(problem.gold)]


def _continued(problem: Problem, begun: list[str], teacher: Teacher, rng: random.Random) -> str:
    """What the teacher writes after `begun`, the words of a thought of its own or of a student trained on its thoughts.

    Whole thoughts are drawn until one goes through the last line that has begun; its rest is the answer. A teacher that
    would be wrong is so only where such a thought exists. Where none does, because a line before holds a mistake, the
    teacher says "wait" and goes back to the first such line.
    """
    right = rng.random() < teacher.accuracy
    if teacher.errors == "systematic":
        # Which problems it gets wrong is fixed, so its own rule decides, and not this draw.
        right = search_of(problem).target < teacher.accuracy * search_of(problem).modulus
    search, wait = search_of(problem), WORDS[problem.language]["wait"]
    sure = {True: replace(teacher, accuracy=1.0), False: replace(teacher, accuracy=0.0)}
    heads = _heads(begun, search)
    if not heads and not _begins(long_thought(problem, sure[True], rng).split(), begun):
        shown = " ".join(begun)[-80:]
        raise UserError(f"the rule-based teacher cannot go on from {shown!r}: no line of a search for {problem.id!r}")
    for outcome in (right, True):
        for _ in range(_DRAWS):
            whole = long_thought(problem, sure[outcome], rng).split()
            if _begins(whole, begun):
                return " ".join(whole[len(begun) :])
            rest = _rest(whole, begun, heads, search, wait)
            if rest is not None:
                return " ".join(rest)
    whole = long_thought(problem, sure[True], rng).split()
    back = _first_mistake(problem, begun, heads, search, wait)
    place = next(at for at, candidate in _heads(whole, search) if candidate == back)
    stop = WORDS[problem.language]["stop"]
    pause = [] if begun[-1] == wait else [wait] if begun[-1] == stop else [stop, wait]
    return " ".join([*pause, *whole[place:]])


def _begins(whole: list[str], begun: list[str]) -> bool:
    return whole[: len(begun)] == begun


def _heads(words: list[str], search: Search) -> list[tuple[int, int]]:
    """Where a line of the search begins ("x= 3 :") and with which candidate."""
    return [
        (at, int(words[at + 1]))
        for at in range(len(words) - 2)
        if words[at] == f"{search.unknown}=" and words[at + 2] == ":" and words[at + 1].isdecimal()
    ]


def _rest(
    whole: list[str], begun: list[str], heads: list[tuple[int, int]], search: Search, wait: str
) -> list[str] | None:
    """What follows in the whole thought after the place where the begun one stands, or None where it does not pass."""
    at, candidate = heads[-1]
    # After "wait", the line is written again from its head.
    tail = [] if begun[-1] == wait else begun[at:]
    before = begun[at - 1] if at else ""
    passes = [
        place
        for place, other in _heads(whole, search)
        if other == candidate and whole[place : place + len(tail)] == tail
    ]
    if not passes:
        return None
    # The final check repeats a line: what has been checked is not checked again.
    place = max(passes, key=lambda p: (p > 0 and whole[p - 1] == before, p))
    return whole[place + len(tail) :]


def _first_mistake(problem: Problem, begun: list[str], heads: list[tuple[int, int]], search: Search, wait: str) -> int:
    """The candidate of the first line that is wrong and was not taken back; the answer where the search ran past it."""
    clean = long_thought(problem, Teacher(slip=0.0, reflection=0.0), random.Random(0)).split()
    true_heads = _heads(clean, search)
    ends = [place for place, _ in true_heads[1:]] + [len(clean)]
    lines = {c: clean[p:end] for (p, c), end in zip(true_heads, ends, strict=True)}
    for (at, candidate), end in zip(heads, [place for place, _ in heads[1:]] + [len(begun)], strict=True):
        line = [word for word in begun[at:end] if word != WORDS[problem.language]["check"]]
        if candidate not in lines:
            return int(problem.gold)
        if line[-1] != wait and not _begins(lines[candidate], line):
            return candidate
    return heads[-1][1]
