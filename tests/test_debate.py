"""Debate: the critic's word decides, budgets hold, every call is traced, and the thought is well made."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longthought.errors import UserError
from longthought.grading import grade
from longthought.problems import DIFFICULTIES, FAMILIES, Problem, generate
from longthought.thoughts import miniature
from longthought.thoughts.debate import DebateOptions, agrees, debate, parse_critic, prompt_texts
from longthought.thoughts.procedural import Teacher, long_thought, vocabulary
from longthought.thoughts.record import Trace, spent
from longthought.thoughts.steps import MINIATURE, NATURAL, Turn, form_of
from scripted import Scripted

TINY = DebateOptions(style=MINIATURE, turns=40, tokens=400, step_tokens=30, critic_tokens=40, temperature=1.0)
CONGRUENCE = generate(1, "train", families=["congruence"], languages=["en"])[0]
SUM = Problem("sum", "What is 2 + 3?", "5")
PROBLEMS = generate(60, "train", families=FAMILIES, difficulties=DIFFICULTIES)


def replayed(problem: Problem, thought: str) -> list[str]:
    """Check a miniature thought word by word against the problem's own numbers; returns the reflections' wrong lines.

    Written from the problem's definition alone: a line that stands must be right, a line before "wait" must be wrong
    or at least broken off, and the line after it takes up the same place.
    """
    n = problem.numbers
    unknown = "n=" if problem.family == "powers" else "x="
    candidate_of = {
        "congruence": lambda at: (at, (n["a"] * at + n["c"]) % n["m"], n["b"]),
        "remainders": lambda at: (n["r"] + at * n["p"], (n["r"] + at * n["p"]) % n["q"], n["s"]),
        "powers": lambda at: (at + 1, pow(n["g"], at + 1, n["m"]), n["b"]),
    }[problem.family] if n else None  # fmt: skip
    wrong, at = [], 0
    lines = [f"{unknown} {part}".split() for part in thought.split(unknown)[1:]]
    for number, line in enumerate(lines):
        if line[-1] in ("wait", "等等"):
            assert line[-2] in (".", "。") and number + 1 < len(lines)
            wrong.append(" ".join(line[:-2]))
            continue
        candidate, value, target = candidate_of(at)
        assert line[1] == str(candidate), (thought, at)
        compared = next(i for i, word in enumerate(line) if word in ("vs", "对比"))
        assert line[compared - 1] == str(value)
        assert line[compared + 1 : compared + 4 : 2] == [str(target), str(abs(value - target))]
        sums = re.findall(r"(\d+) ([+*]) (\d+) = (\d+)", " ".join(line))
        assert all(int(a) + int(b) == int(c) if sign == "+" else int(a) * int(b) == int(c) for a, sign, b, c in sums)
        if line[-1] not in ("check", "检验"):
            at += 1
    assert grade(problem.gold, thought).correct
    return wrong


def slipping(problem: Problem) -> Scripted:
    """A policy that writes every line wrong the first time and right the second."""
    right = miniature.right_steps(problem)
    form = form_of(MINIATURE, problem)
    tried: set[str] = set()

    def script(prompt: str, prefix: str, sample: int) -> str:
        at = len(form.cut(prefix)) - 1
        step = right[at] if prefix in tried else miniature._spoilt(problem, right, at, random.Random(at))[0]
        tried.add(prefix)
        return " " + step.split(" ", 1)[1] + f" {form.opening} and so on"

    return Scripted(script)


def knowing(problem: Problem) -> Scripted:
    """A critic that works out every line rightly."""
    right, form = miniature.right_steps(problem), form_of(MINIATURE, problem)
    return Scripted(lambda prompt, prefix, i: " " + right[len(form.cut(prefix)) - 1].split(" ", 1)[1])


@pytest.mark.parametrize("problem", PROBLEMS[:40], ids=lambda p: p.id)
def test_a_good_critic_mends_a_policy_that_slips_in_every_line(problem: Problem) -> None:
    trace = Trace()
    (thought,) = debate([problem], slipping(problem), knowing(problem), TINY_LONG, trace)
    assert thought.accepted and thought.verdict == "correct"
    lines = len(miniature.right_steps(problem))
    assert len(replayed(problem, thought.text)) == lines == thought.details["backs"]
    assert set(thought.calls) == set(trace.calls) and len(trace.calls) == 4 * lines
    assert spent(trace.calls.values()).output_tokens == thought.details["output_tokens"]
    assert set(thought.text.split()) <= set(vocabulary(FAMILIES, DIFFICULTIES))


TINY_LONG = DebateOptions(style=MINIATURE, turns=200, tokens=9000, step_tokens=40, critic_tokens=40, temperature=1.0)


def test_a_line_that_is_sent_back_is_broken_off_as_the_teacher_breaks_his_off() -> None:
    problem = next(p for p in PROBLEMS if p.language == "en" and len(miniature.right_steps(p)) > 2)
    (thought,) = debate([problem], slipping(problem), knowing(problem), TINY_LONG, Trace())
    (taught,) = {long_thought(problem, Teacher(slip=1.0), random.Random(0))}
    shape = re.compile(r"\d+")
    mine = {shape.sub("#", line) for line in form_of(MINIATURE, problem).cut(thought.text) if line.endswith("wait")}
    his = {shape.sub("#", line) for line in form_of(MINIATURE, problem).cut(taught) if line.endswith("wait")}
    assert mine & his
    assert all("\\boxed" not in line for line in form_of(MINIATURE, problem).cut(thought.text)[:-1])


def test_several_problems_are_debated_together_and_apart() -> None:
    trace = Trace()
    pairs = {p.text: (slipping(p), knowing(p)) for p in PROBLEMS[:12]}
    policy = Scripted(lambda prompt, prefix, i: pairs[prompt][0].script(prompt, prefix, i))
    critic = Scripted(lambda prompt, prefix, i: pairs[prompt][1].script(prompt, prefix, i))
    seen: list[tuple[int, int]] = []
    thoughts = debate(PROBLEMS[:12], policy, critic, TINY_LONG, trace, lambda *told: seen.append(told))
    assert all(t.accepted for t in thoughts) and [t.problem for t in thoughts] == PROBLEMS[:12]
    for thought in thoughts:
        own = slipping(thought.problem), knowing(thought.problem)
        alone = debate([thought.problem], *own, TINY_LONG, Trace())[0]
        assert alone.text == thought.text
    owned = [call for thought in thoughts for call in thought.calls]
    assert len(owned) == len(set(owned)) == len(trace.calls)
    # A round asks the policy once per kind of problem, never once per problem.
    assert len(policy.requests) <= 2 * max(t.details["turns"] for t in thoughts)
    assert seen[-1] == (12, 12) and [done for done, _ in seen] == sorted(done for done, _ in seen)


def talk(steps: list[str]) -> Scripted:
    """A natural policy that says its steps one after the other, whatever the critic says."""
    said = iter(steps)
    return Scripted(lambda prompt, prefix, sample: next(said) + "\n\nmore")


def test_a_natural_step_stays_with_the_critics_reason_and_another_try() -> None:
    verdicts = iter(["GO ON", "GO BACK\n2 and 3 make 5, not 6.\nReally.", "go on.", "GO ON"])
    policy = talk(["Add 2 and 3.", "That gives 6.", "That gives 5.", "So \\boxed{5}."])
    trace = Trace()
    critic = Scripted(lambda *_: next(verdicts))
    (thought,) = debate([SUM], policy, critic, DebateOptions(), trace)
    assert thought.text.split("\n\n") == [
        "Add 2 and 3.",
        "That gives 6.",
        "Wait. 2 and 3 make 5, not 6. Let me go back and try that step again.",
        "That gives 5.",
        "So \\boxed{5}.",
    ]
    assert thought.accepted and thought.answer == "5" and thought.details["backs"] == 1
    critics = [c for c in trace.calls.values() if c.role == "critic"]
    assert "That gives 6." in critics[2].prompt and critics[2].prompt.index("That gives 6.") < critics[2].prompt.index(
        "New step:\nThat gives 5."
    )


def test_what_the_critic_says_in_no_known_form_is_counted_and_lets_the_step_stand() -> None:
    said = iter(["I think you should GO BACK", "", "GO BACKWARDS", "NOT GO ON"])
    (thought,) = debate(
        [SUM], talk(["a", "b", "c", "\\boxed{5}"]), Scripted(lambda *_: next(said)), DebateOptions(), Trace()
    )
    assert thought.details["unparsed"] == 4 and thought.details["backs"] == 0
    assert thought.accepted and thought.text == "a\n\nb\n\nc\n\n\\boxed{5}"


@pytest.mark.parametrize(
    ("language", "answer", "wanted"),
    [
        ("en", "GO ON", True),
        ("en", "\nGo back.\n\nbecause", False),
        ("en", "GO ON or GO BACK", None),
        ("en", "**GO BACK**", None),
        ("zh", "退回\n算错了。", False),
        ("zh", "继续。", True),
        ("zh", "不要继续", None),
        ("en", "继续", None),
    ],
)
def test_the_critics_answer_is_read_strictly(language: str, answer: str, wanted: bool | None) -> None:
    assert parse_critic(Problem("1", "?", "1", language=language), answer)[0] is wanted


@pytest.mark.parametrize(
    ("expected", "step", "wanted"),
    [
        ("x= 1 : 2 + 3 = 5 vs 5 off 0 so \\boxed{ 1 } .", "x= 1 : 2 + 3 = 5 vs 5 off 0 so \\boxed{ 1 } .", True),
        ("x= 1 : 2 + 3 = 5 vs 5 off 0 so \\boxed{ 1 } .", "x= 1 : 2 + 3 = 5 vs 5 off 0 check", True),
        ("x= 1 : 2 + 3 = 5 vs 5 off 0 so \\boxed{ 1 } .", "x= 1 : 2 + 3 = 5 vs 5 off 0", False),
        ("x= 1 : 2 + 3 = 5 vs 5 off 0 so \\boxed{ 1 } .", "x= 1 : 2 + 3 = 5 vs 5 off 0 so \\boxed{ 2 } .", False),
        ("x= 1 : 2 + 3 = 5 vs 7 off 2", "x= 1 : 2 + 3 = 5 vs 7 off 2 so \\boxed{ 1 } .", False),
        ("x= 1 : 2 + 3 = 5 vs 7 off 2", "x= 1 : 2 + 3 = 6 vs 7 off 1", False),
        ("x= 1 : 2 + 3 = 5 vs 7 off 2", "x= 1 : 2 + 3 = 5 . wait", False),
        ("x= 1 : 2 + 3 = 5 . wait", "x= 1 : 2 + 3 = 5 . wait", None),
        ("x= 1 : 2 + 3 = 5 vs 7 off", "x= 1 : 2 + 3 = 5 vs 7 off", None),
        ("", "x= 1 : 2 + 3 = 5 vs 7 off 2", None),
    ],
)
def test_a_miniature_critic_agrees_with_the_line_that_it_expects(expected: str, step: str, wanted: bool | None) -> None:
    assert agrees(form_of(MINIATURE, CONGRUENCE), expected, step) is wanted


def test_a_reason_with_a_box_cannot_answer_for_the_policy() -> None:
    verdicts = iter(["GO BACK\nThe answer is \\boxed{5}.", "GO ON", "GO ON"])
    options = DebateOptions(turns=2)
    (thought,) = debate([SUM], talk(["6", "still 6", "x"]), Scripted(lambda *_: next(verdicts)), options, Trace())
    assert thought.verdict == "no_answer" and not thought.accepted and "2 turns" in thought.reason


def test_an_answer_that_was_sent_back_does_not_end_the_debate() -> None:
    verdicts = iter(["GO BACK\nNo.", "GO ON"])
    (thought,) = debate(
        [SUM], talk(["\\boxed{6}", "\\boxed{5}"]), Scripted(lambda *_: next(verdicts)), DebateOptions(), Trace()
    )
    assert thought.accepted and thought.details["turns"] == 2


def test_a_wrong_end_is_rejected_with_the_graders_word() -> None:
    (thought,) = debate([SUM], talk(["\\boxed{6}"]), Scripted(lambda *_: "GO ON"), DebateOptions(), Trace())
    assert not thought.accepted and thought.verdict == "wrong" and thought.reason.startswith("wrong")


def test_after_so_many_backs_in_a_row_the_step_stands() -> None:
    policy = Scripted(lambda *_: "6\n\n")
    options = DebateOptions(turns=9, backs=2)
    (thought,) = debate([SUM], policy, Scripted(lambda *_: "GO BACK\nNo."), options, Trace())
    assert (thought.details["backs"], thought.details["overruled"]) == (6, 3)
    assert thought.text.count("Wait. No.") == 6


def test_the_budget_of_tokens_ends_a_debate() -> None:
    trace = Trace()
    (thought,) = debate(
        [SUM], Scripted(lambda *_: "on and on\n\n"), Scripted(lambda *_: "GO ON"), DebateOptions(tokens=23), trace
    )
    # Three words and two per turn: the fifth turn passes 23.
    assert thought.details["turns"] == 5 and spent(trace.calls.values()).output_tokens == 25
    assert thought.reason == "no answer within 23 tokens"


@given(st.sampled_from([NATURAL, MINIATURE]), st.data())
@settings(max_examples=60, deadline=None)
def test_a_hostile_policy_and_critic_cannot_keep_a_debate_going(style: str, data: Any) -> None:
    texts = st.sampled_from(["", " ", "\n\n", "x=", " x= x= x=", "word " * 50, "\\boxed{", "{step}", "wait", "GO ON"])
    policy = Scripted(lambda *_: data.draw(texts))
    critic = Scripted(lambda *_: data.draw(texts))
    options = DebateOptions(style=style, turns=7, step_tokens=20, critic_tokens=5, backs=1)
    trace = Trace()
    (thought,) = debate([PROBLEMS[0]], policy, critic, options, trace)
    assert thought.details["turns"] <= 7 and not thought.accepted
    assert set(thought.calls) == set(trace.calls)


def test_places_in_a_models_words_stay_words() -> None:
    problem = Problem("1", "What is {step}?", "5")
    trace = Trace()
    debate([problem], talk(["{thought} {problem}", "\\boxed{5}"]), Scripted(lambda *_: "GO ON"), DebateOptions(), trace)
    first = next(c for c in trace.calls.values() if c.role == "critic")
    assert "Problem:\nWhat is {step}?" in first.prompt and "New step:\n{thought} {problem}" in first.prompt


def test_every_prompt_is_named_for_the_data_card() -> None:
    assert set(prompt_texts(DebateOptions())) == {"policy", "critic"} == set(prompt_texts(TINY))


@pytest.mark.parametrize("bad", [{"turns": 0}, {"tokens": 0}, {"backs": -1}, {"style": "odd"}, {"temperature": 0.0}])
def test_impossible_debates_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        DebateOptions(**bad)


def test_a_miniature_debate_wants_a_procedural_problem() -> None:
    with pytest.raises(UserError, match="procedural"):
        debate([SUM], Scripted(lambda *_: ""), Scripted(lambda *_: ""), TINY, Trace())


# --- the texts that train the tiny critic ---


def test_right_steps_are_a_right_thought_cut_at_its_candidates() -> None:
    for problem in PROBLEMS:
        steps = miniature.right_steps(problem)
        assert replayed(problem, " ".join(steps)) == []
        for at, step in enumerate(steps):
            before = [Turn(s) for s in steps[:at]]
            assert miniature.step_is_right(problem, before, step)
            wrong, _ = miniature._spoilt(problem, steps, at, random.Random(at))
            assert not miniature.step_is_right(problem, before, wrong)
            assert miniature.step_is_right(problem, [*before, Turn(wrong, "wait")], step)


def test_a_critics_judgements_are_counted_against_the_truth() -> None:
    cases = miniature.critic_cases(PROBLEMS, 200, seed=3)
    truth = {(case.problem.text, len(case.before)): miniature.right_steps(case.problem) for case in cases}

    def knows(prompt: str, prefix: str, sample: int) -> str:
        at = len(re.findall(r"[xn]= \d", prefix))
        return " " + truth[prompt, at][at].split(" ", 1)[1]

    found = miniature.judgements(cases, Scripted(knows), 60)
    assert found["right", "go on"] == found["wrong", "back"] == 100 and sum(found.values()) == 200
    silent = miniature.judgements(cases, Scripted(lambda *_: ""), 60)
    assert silent["right", "unparsed"] == silent["wrong", "unparsed"] == 100


def test_a_critic_learns_from_training_problems_only() -> None:
    examples = miniature.critic_examples(PROBLEMS, 20, seed=0)
    assert len({e.problem for e in examples if e.problem}) == 20
    assert all(e.problem and replayed(e.problem, e.completion) == [] for e in examples)
    with pytest.raises(ValueError, match="not for training"):
        miniature.critic_examples(generate(3, "held_out"), 2, seed=0)
    with pytest.raises(UserError, match="there are 60 problems"):
        miniature.critic_examples(PROBLEMS, 61, seed=0)
