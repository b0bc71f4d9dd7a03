"""Texts that train a tiny critic, and the truth about a tiny policy's lines by which both can be measured.

The critic of a debate in miniature works each line out again (see `debate`), so it learns from right thoughts on
training problems, without slips. Its judgement is measured on lines that are right or spoilt in a known way
(`critic_cases`), and on a policy's own lines, for which `step_is_right` knows the truth.

What did not work, on two layers of width 64: reading a finished line and answering "check" with "so" or "wait". After
400 to 1,500 steps of 12 to 32 such texts, from phase 1 or from a distilled student, half of them spoilt, held-out
judgements stayed between a half and two thirds right. Writing the right line beside the one to be judged came to about
three quarters in 2,000 steps, since copying it is the shorter way. To notice a wrong number such a model has to compute
the right one and compare, in a single step; writing the line that it expects is what its training has taught it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from longthought.engines import Engine, Sampling
from longthought.errors import UserError
from longthought.problems import Problem, require_train
from longthought.thoughts.debate import agrees
from longthought.thoughts.procedural import WORDS, Teacher, boxed, long_thought, search_of
from longthought.thoughts.steps import MINIATURE, Turn, form_of
from longthought.training import Example

# A candidate passed over, a slip in the sum or in what it goes on from, a wrong rest, target or distance, a box too
# early, and going on after the end: the ways in which the tiny policies were seen to fail.
SLIPS = ("candidate", "start", "sum", "rest", "target", "off", "box", "past")


def right_steps(problem: Problem) -> list[str]:
    """The lines of the shortest right thought; the last one holds the answer."""
    text = long_thought(problem, Teacher(slip=0.0, reflection=0.0), random.Random(0))
    return form_of(MINIATURE, problem).cut(text)


def step_is_right(problem: Problem, turns: Sequence[Turn], step: str) -> bool:
    """Whether a line is the right next one after `turns` whose standing lines are right themselves.

    A last line may wait with its box for a check, and the check repeats it.
    """
    words, right = WORDS[problem.language], right_steps(problem)
    standing = [turn.step for turn in turns if not turn.reflection]
    last = right[-1].split()
    found = last[: last.index(words["so"])]
    expected = {right[len(standing)]} if len(standing) < len(right) else set()
    if len(standing) == len(right) - 1:
        expected.add(" ".join([*found, words["check"]]))
    if len(standing) == len(right) and standing[-1].split()[-1] == words["check"]:
        expected.add(right[-1])
    return step in expected


def critic_examples(problems: Sequence[Problem], count: int, seed: int) -> tuple[Example, ...]:
    """`count` right thoughts for the critic, about different training problems (ValueError for any other).

    Half of them check their last line, since a policy may. Raises UserError when there are fewer problems.
    """
    require_train(problems)
    if count > len(problems):
        raise UserError(f"{count} thoughts for a critic are asked for, but there are {len(problems)} problems")
    rng = random.Random(f"critic-{seed}")
    teacher = Teacher(slip=0.0, reflection=0.5)
    return tuple(Example(p.text, long_thought(p, teacher, rng), p) for p in rng.sample(list(problems), count))


@dataclass(frozen=True)
class Case:
    """A new line after a right beginning; `slip` says how it is wrong, "" that it is right."""

    problem: Problem
    before: tuple[str, ...]
    step: str
    slip: str


def critic_cases(problems: Sequence[Problem], count: int, seed: int) -> list[Case]:
    """`count` lines to be judged, at random places of random problems, every second one spoilt."""
    rng = random.Random(f"critic-cases-{seed}")
    cases = []
    for number in range(count):
        problem = rng.choice(problems)
        right = right_steps(problem)
        at = rng.randrange(len(right))
        step, slip = _spoilt(problem, right, at, rng) if number % 2 else (right[at], "")
        cases.append(Case(problem, tuple(right[:at]), step, slip))
    return cases


def judgements(cases: Sequence[Case], critic: Engine, max_tokens: int) -> dict[tuple[str, str], int]:
    """The critic's confusion matrix: how many ("right" or "wrong") lines it lets "go on", sends "back", or judges in no
    known form ("unparsed")."""
    found: Counter[tuple[str, str]] = Counter()
    forms = [form_of(MINIATURE, case.problem) for case in cases]
    for stops in dict.fromkeys(form.stops for form in forms):
        own = [(case, form) for case, form in zip(cases, forms, strict=True) if form.stops == stops]
        begun = [[form.begun([Turn(step) for step in case.before])] for case, form in own]
        prompts = [case.problem.text for case, _ in own]
        answers = critic.generate(prompts, Sampling(max_tokens, stop=stops), prefixes=begun)
        for (case, form), (answer,) in zip(own, answers, strict=True):
            said = agrees(form, form.step(answer.text), case.step)
            verdict = {True: "go on", False: "back", None: "unparsed"}[said]
            found["wrong" if case.slip else "right", verdict] += 1
    return {(truth, said): found[truth, said] for truth in ("right", "wrong") for said in ("go on", "back", "unparsed")}


def _spoilt(problem: Problem, right: Sequence[str], at: int, rng: random.Random) -> tuple[str, str]:
    """Line `at` of a right thought with one slip, and which it is."""
    while True:
        slip = rng.choice(SLIPS)
        line = _slipped(problem, right, at, slip, rng)
        if line and line != right[at]:
            return line, slip


def _slipped(problem: Problem, right: Sequence[str], at: int, slip: str, rng: random.Random) -> str:
    """The line with that slip, or "" where it cannot happen. What follows from the slip is worked out rightly."""
    words, s = WORDS[problem.language], search_of(problem)
    value = s.first % s.modulus
    previous = value
    for _ in range(at):
        previous, value = value, s.step(value) % s.modulus
    candidate, target, nudge = s.start + at * s.stride, s.target, rng.choice([-2, -1, 1, 2])
    if slip == "past":
        found = right[at].split()
        return " ".join(found[: found.index(words["so"])]) if words["so"] in found else ""
    if slip == "candidate":
        candidate += rng.choice([-1, 1]) * s.stride
    if slip == "start":
        previous += nudge
    raw = s.step(previous) if at else value
    if slip == "sum":
        raw += nudge
    if slip == "target":
        target += nudge
    rest = raw % s.modulus
    if slip == "rest":
        rest = rng.choice([rest + nudge, raw])
    off = abs(rest - target) + (nudge if slip == "off" else 0)
    if min(candidate, previous, raw, rest, target, off) < 0 or (slip == "start" and not at):
        return ""
    line = [f"{s.unknown}=", str(candidate), ":"]
    line += [str(previous), "*" if s.times else "+", str(s.by), "="] if at else []
    line += [str(raw), *(["=", str(rest)] if rest != raw else []), words["vs"], str(target), words["off"], str(off)]
    if off == 0 or slip == "box":
        line += [words["so"], boxed(candidate), words["stop"]]
    return " ".join(line)
