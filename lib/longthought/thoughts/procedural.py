"""How long thoughts are made: a rule-based teacher that stands in for o1, and the shorter texts around it.

The report distils o1's thoughts (section 2). No such teacher fits on a laptop, so a procedural solver plays it: it
tries one candidate after another, writes each value and *repeats the target beside it*, sometimes slips, says "wait"
and redoes the line, checks the end, and boxes its answer. How often it is right, how it goes wrong, how often it
slips and how often it reflects are parameters (`Teacher`), so that a reader can turn the dials that o1 hides.

Four kinds of text come from here: `documents` for pretraining the base, `direct_answer`, `worked_solution` for
phase 1 (format alignment), `long_thought` for phase 2. All are words separated by spaces, in English or Chinese.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from longthought.errors import UserError
from longthought.problems import Problem, every_instance

WORDS = {
    "en": {"vs": "vs", "off": "off", "stop": ".", "wait": "wait", "check": "check", "so": "so", "because": "because"},
    "zh": {"vs": "对比", "off": "差", "stop": "。", "wait": "等等", "check": "检验", "so": "所以", "because": "因为"},
}
ERRORS = ("random", "systematic")


@dataclass(frozen=True)
class Teacher:
    """The dials of the rule-based teacher; all are probabilities.

    accuracy: share of problems on which its final answer is right.
    errors: "random", one unnoticed slip somewhere, or "systematic", the same misconception (the starting
        value is forgotten) on a fixed kind of problem (a large target), which no averaging can remove.
    slip: chance per line of a slip that it notices at once, in a reflective thought.
    reflection: share of thoughts that are reflective, that is, hold slips, "wait" and a final check.
    """

    accuracy: float = 1.0
    errors: str = "random"
    slip: float = 0.08
    reflection: float = 1.0

    def __post_init__(self) -> None:
        for name in ("accuracy", "slip", "reflection"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"teacher {name} is {getattr(self, name)}: a probability between 0 and 1 is wanted")
        if self.errors not in ERRORS:
            raise UserError(f"teacher errors {self.errors!r}: choose from {', '.join(ERRORS)}")


@dataclass(frozen=True)
class Search:
    """A problem as a search: candidates start, start + stride, ...; their values first, then step by `by`.

    `times` says that values step by multiplication instead of addition. All values are taken modulo `modulus`.
    """

    unknown: str
    start: int
    stride: int
    first: int
    by: int
    times: bool
    modulus: int
    target: int

    def step(self, value: int) -> int:
        """The next value before reduction."""
        return value * self.by if self.times else value + self.by


def search_of(problem: Problem) -> Search:
    """The search that answers a procedural problem. Raises UserError for a problem from a file."""
    n = problem.numbers
    if problem.family == "congruence":
        return Search("x", 0, 1, n["c"], n["a"], False, n["m"], n["b"])
    if problem.family == "remainders":
        return Search("x", n["r"], n["p"], n["r"] % n["q"], n["p"] % n["q"], False, n["q"], n["s"])
    if problem.family == "powers":
        return Search("n", 1, 1, n["g"], n["g"], True, n["m"], n["b"])
    raise UserError(f"problem {problem.id!r}: the rule-based teacher solves only procedural families")


def boxed(answer: int | str) -> str:
    """The final answer as the report's format demands, spaced for a word-level tokenizer."""
    return f"\\boxed{{ {answer} }}"


def direct_answer(problem: Problem) -> str:
    """What the base student is taught to say: the answer and nothing else."""
    return boxed(problem.gold)


def worked_solution(problem: Problem) -> str:
    """A plain solution for phase 1: it names the right candidate, verifies it, and boxes it, without any search."""
    w, s = WORDS[problem.language], search_of(problem)
    answer = int(problem.gold)
    steps = (answer - s.start) // s.stride
    operation = "^" if s.times else "*"
    raw = s.by ** (steps + 1) if s.times else s.by * steps
    shown = raw % s.modulus
    line = [f"{s.unknown}=", str(answer), w["because"], str(s.by), operation, str(steps + s.times), "=", str(shown)]
    if not s.times:
        total = shown + s.first
        line += [w["stop"], str(shown), "+", str(s.first), "=", str(total)]
        line += ["=", str(total % s.modulus)] if total >= s.modulus else []
    line += [w["stop"], w["so"], boxed(answer), w["stop"]]
    return " ".join(line)


def long_thought(problem: Problem, teacher: Teacher, rng: random.Random) -> str:
    """One thought of the teacher on one problem; whether it is right is drawn from `teacher.accuracy`."""
    right = rng.random() < teacher.accuracy
    if teacher.errors == "systematic":
        search = search_of(problem)
        right = search.target < teacher.accuracy * search.modulus
        return _think(problem, teacher, rng, forget=not right)[0]
    while True:
        # A slip can cancel out; draw again until the thought is as wrong as it was meant to be.
        text, answer = _think(problem, teacher, rng, unnoticed=not right)
        if (str(answer) == problem.gold) == right:
            return text


def _think(
    problem: Problem, teacher: Teacher, rng: random.Random, *, unnoticed: bool = False, forget: bool = False
) -> tuple[str, int]:
    """The text of a search and the answer that it ends in."""
    w, s = WORDS[problem.language], search_of(problem)
    reflective = rng.random() < teacher.reflection
    steps_right = (int(problem.gold) - s.start) // s.stride
    slip_at = rng.randint(0, steps_right) if unnoticed else -1
    value = (0 if not s.times else 1) if forget else s.first % s.modulus
    words: list[str] = []
    last = 2 * s.modulus
    for step in range(last + 1):
        candidate = s.start + step * s.stride
        head = [f"{s.unknown}=", str(candidate), ":"]
        previous = value
        raw = s.step(previous) if step else value
        if step == slip_at:
            raw = max(1, raw + rng.choice([-2, -1, 1, 2]))
        value = raw % s.modulus

        def line(shown: int, step: int = step, previous: int = previous) -> list[str]:
            operation = [str(previous), "*" if s.times else "+", str(s.by), "="] if step else []
            return [*operation, str(shown), *(["=", str(shown % s.modulus)] if shown >= s.modulus else [])]

        words += head
        if reflective and rng.random() < teacher.slip:
            words += [*line(max(0, raw + rng.choice([-2, -1, 1, 2]))), w["stop"], w["wait"], *head]
        found = value == s.target
        words += [*line(raw), w["vs"], str(s.target), w["off"], str(abs(value - s.target))]
        if found or step == last:
            if reflective and found:
                words += [w["check"], *head, *line(raw), w["vs"], str(s.target), w["off"], "0"]
            words += [w["so"], boxed(candidate), w["stop"]]
            return " ".join(words), candidate
    raise AssertionError("unreachable")


def documents(problems: Sequence[Problem], count: int, seed: int) -> list[tuple[str, str]]:
    """`count` short (prompt, completion) texts that give the base student its arithmetic facts.

    A quarter are training problems answered directly; the rest, with an empty prompt, are runs of additions or
    multiplications with reductions, comparisons, counting and copying: the parts of a search, never a search.
    """
    rng = random.Random(f"documents-{seed}")
    searches = [(p.language, search_of(p)) for p in problems]
    texts: list[tuple[str, str]] = []
    for _ in range(count):
        kind = rng.random()
        language, s = rng.choice(searches)
        w = WORDS[language]
        if kind < 0.25:
            problem = rng.choice(problems)
            texts.append((problem.text, direct_answer(problem)))
        elif kind < 0.5:
            value = rng.randrange(s.modulus)
            words = ["mod" if language == "en" else "模", str(s.modulus), ":"]
            for _ in range(rng.randint(3, 7)):
                raw = s.step(value)
                words += [str(value), "*" if s.times else "+", str(s.by), "=", str(raw)]
                words += ["=", str(raw % s.modulus)] if raw >= s.modulus else []
                words.append(w["stop"])
                value = raw % s.modulus
            texts.append(("", " ".join(words)))
        elif kind < 0.8:
            words = []
            target = rng.randrange(s.modulus)
            for _ in range(rng.randint(3, 8)):
                value = target if rng.random() < 0.2 else rng.randrange(s.modulus)
                words += [str(value), w["vs"], str(target), w["off"], str(abs(value - target)), w["stop"]]
            texts.append(("", " ".join(words)))
        elif kind < 0.9:
            first = s.start + s.stride * rng.randrange(s.modulus)
            count_on = (first + s.stride * i for i in range(rng.randint(4, 9)))
            texts.append(("", " ".join(f"{s.unknown}= {x} :" for x in count_on)))
        else:
            row = [str(rng.randrange(2 * s.modulus)) for _ in range(rng.randint(2, 6))]
            texts.append(("", " ".join([*row, ":", *row])))
    return texts


def vocabulary(families: Sequence[str], difficulties: Sequence[str]) -> list[str]:
    """Every word that problems of these families, their solutions and their thoughts can hold, in a fixed order."""
    words = {"=", ":", "+", "*", "^", "mod", "模", "\\boxed{", "}"}
    for lexicon in WORDS.values():
        words.update(lexicon.values())
    largest = 0
    for problem in every_instance(families, difficulties):
        words.update(problem.text.split())
        s = search_of(problem)
        words.add(f"{s.unknown}=")
        largest = max(largest, s.start + s.stride * 2 * s.modulus, s.modulus**2 if s.times else 3 * s.modulus)
    words.update(map(str, range(largest + 3)))
    return sorted(words)
