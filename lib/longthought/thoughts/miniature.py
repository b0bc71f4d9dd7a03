"""Texts that train a tiny critic, and the truth about a tiny policy's steps by which both can be measured.

The critic of a debate in miniature reads a problem, a thought and its newest line, and the word "check"; it says "so"
to go on and "wait" to go back. It learns this from thoughts on training problems that are right so far and whose
newest line is right in half of the texts and spoilt in the other half, at a known place and in a known way.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from longthought.problems import Problem, require_train
from longthought.thoughts.debate import miniature_request
from longthought.thoughts.procedural import WORDS, Teacher, boxed, long_thought, search_of
from longthought.thoughts.steps import MINIATURE, Turn, form_of
from longthought.training import Example

# A candidate passed over, a slip in the sum or in what it goes on from, a wrong rest, target or distance, a box too
# early, and going on after the end: the ways in which the tiny policies were seen to fail.
SLIPS = ("candidate", "start", "sum", "rest", "target", "off", "box", "past")
_CHECKED = 0.3  # share of texts about the last line that are about the check after it
_DETOUR = 0.25  # chance that the line before was once taken back


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
    """`count` texts for the critic, about training problems only (ValueError for any other)."""
    require_train(problems)
    return tuple(Example(prompt, word, problem) for problem, prompt, word, _ in critic_cases(problems, count, seed))


def critic_cases(problems: Sequence[Problem], count: int, seed: int) -> list[tuple[Problem, str, str, str]]:
    """`count` times (problem, what the critic is asked, the word it should say, the slip in the newest line or "")."""
    rng = random.Random(f"critic-{seed}")
    cases: list[tuple[Problem, str, str, str]] = []
    while len(cases) < count:
        problem = rng.choice(problems)
        words, right = WORDS[problem.language], right_steps(problem)
        form = form_of(MINIATURE, problem)
        at = rng.randrange(len(right))
        turns = [Turn(step) for step in right[:at]]
        step = right[at]
        if at == len(right) - 1 and rng.random() < _CHECKED:
            found = step.split()
            turns.append(Turn(" ".join([*found[: found.index(words["so"])], words["check"]])))
        if rng.random() < _DETOUR:
            wrong, _ = _spoilt(problem, right, at, rng)
            turns.append(Turn(wrong, words["wait"]))
        slip = ""
        if len(cases) % 2:
            step, slip = _spoilt(problem, right, at, rng)
        prompt = miniature_request(problem, form.text([*turns, Turn(step)]))
        cases.append((problem, prompt, words["wait"] if slip else words["so"], slip))
    return cases


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
