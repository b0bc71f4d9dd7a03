"""Reformat: every check rejects what it names and nothing else, and what fails is asked again, no oftener than said."""

from dataclasses import replace

import pytest

from longthought.engines import Sampling
from longthought.errors import UserError
from longthought.grading import grade
from longthought.problems import DIFFICULTIES, FAMILIES, Problem, generate
from longthought.thoughts import prompts
from longthought.thoughts.procedural import Teacher, direct_answer
from longthought.thoughts.record import Trace
from longthought.thoughts.reflection import words
from longthought.thoughts.reformat import ReformatOptions, original, reformat
from longthought.thoughts.rule_based import RuleBasedEngine
from told_engine import Told

HALF = Problem("half", "What is one divided by two?", "\\frac{1}{2}", solution="We divide: $\\boxed{\\dfrac{1}{2}}$.")
ZH = replace(HALF, id="zh", text="一除以二等于多少？", language="zh", solution="相除得 $\\boxed{\\frac{1}{2}}$。")
GOOD = "First we write one over two.\nThen we see that it is in lowest terms.\n\nSo $\\boxed{\\frac{1}{2}}$."
GOOD_ZH = "首先把一写在二的上面，得到一个分数。然后可以看到它已经是最简分数，所以答案是 $\\boxed{\\frac{1}{2}}$。"


def once(text, problem=HALF):
    return reformat([problem], Told([text]), ReformatOptions(retries=0), Trace())[0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (GOOD, "passed all checks"),
        (GOOD.replace("So $", "So\n\\[ ").replace("$.", "\n\\]"), "passed all checks"),
        (GOOD.replace("\\frac", "\\dfrac"), "passed all checks"),
        (GOOD.replace("\\frac{1}{2}", "\\left( \\frac{1}{2} \\right)"), "passed all checks"),
        ("<think>maybe \\boxed{3}? no\n\nwait</think>\n" + GOOD, "passed all checks"),
        (GOOD + "✂", "truncated"),
        (GOOD.replace("\\boxed", ""), "no answer"),
        (GOOD.replace("{1}{2}", "{2}{1}"), "wrong"),
        (GOOD.replace("in lowest", "\\boxed{\\frac{1}{2}} in lowest"), "more than one box"),
        (GOOD + " \\boxed{}", "more than one box"),
        (GOOD + "\n\nI hope that this helps you.", "the box is not at the end"),
        ("So $\\boxed{\\frac{1}{2}}$.", "shorter than the original"),
        (GOOD_ZH, "in another language"),
        (GOOD.replace("\\frac{1}{2}", "0.5"), "the original's answer is not kept as it was written"),
    ],
)  # fmt: skip
def test_each_check_rejects_what_it_names(text, reason):
    longer = replace(HALF, solution="We divide one by two and find $\\boxed{\\dfrac{1}{2}}$.")
    problem = longer if reason.startswith("shorter") else HALF
    found = once(text, problem)
    assert (found.reason, found.accepted) == (reason, reason == "passed all checks")


def test_a_matrix_may_be_spaced_otherwise():
    rows = "\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}"
    problem = replace(HALF, gold=rows, solution=f"So $\\boxed{{{rows}}}$.")
    spaced = rows.replace(" \\\\ ", "\\\\")
    assert once(f"We write both entries in a column.\n\nSo $\\boxed{{{spaced}}}$.", problem).accepted
    other = rows.replace(" \\\\ ", " & ")
    assert not once(f"We write both entries in a row.\n\nSo $\\boxed{{{other}}}$.", problem).accepted


def test_a_chinese_solution_is_asked_for_and_wanted_in_chinese():
    engine = Told([GOOD_ZH])
    assert reformat([ZH], engine, ReformatOptions(), Trace())[0].accepted
    prompt = engine.asked[0][0]
    assert prompt == prompts.REFORMAT["finer"].zh.replace("{problem}", ZH.text).replace("{solution}", ZH.solution)
    assert once(GOOD, ZH).reason == "in another language"


def test_a_thinking_block_is_spent_but_not_taught():
    found = once("<think>is it \\boxed{3}?</think>" + GOOD)
    assert found.accepted and found.text == GOOD


def test_what_fails_is_asked_again_with_another_seed_until_it_passes():
    engine = Told(["no box", GOOD + "✂", GOOD, "never asked"])
    trace = Trace()
    thoughts = reformat([HALF], engine, ReformatOptions(retries=5, seed=10), trace)
    assert [t.reason for t in thoughts] == ["no answer", "truncated", "passed all checks at try 3"]
    assert [t.accepted for t in thoughts] == [False, False, True]
    assert [sampling.seed for _, _, sampling in engine.asked] == [10, 11, 12]
    assert [t.calls[0] for t in thoughts] == list(trace.calls) and len(trace.calls) == 3


def test_what_never_passes_is_given_up_and_the_others_are_not_asked_again():
    def say(prompt):
        return GOOD if "divided by two" in prompt else "I do not know"

    stubborn = replace(HALF, id="stubborn", text="What is one by 2?")
    engine, seen = Told(say), []
    thoughts = reformat(
        [stubborn, HALF, replace(HALF, id="again")],
        engine,
        ReformatOptions(retries=2),
        Trace(),
        lambda done, n: seen.append((done, n)),
    )
    assert [(t.problem.id, t.accepted) for t in thoughts] == [
        ("stubborn", False), ("stubborn", False), ("stubborn", False), ("half", True), ("again", True),
    ]  # fmt: skip
    assert len(engine.asked) == 5 and seen[0] == (2, 3) and seen[-1] == (3, 3)


def test_the_prompts_take_turns():
    engine = Told(["x", "y", "z"])
    options = ReformatOptions(retries=2, prompts=("finer", "miniature"))
    thoughts = reformat([HALF], engine, options, Trace())
    assert [t.details["prompt"] for t in thoughts] == ["finer", "miniature", "finer"]
    assert engine.asked[1][0] == f"{HALF.text} {HALF.solution}"


def test_the_miniature_makes_worked_solutions_of_bare_answers():
    problems = generate(60, "train", families=FAMILIES, difficulties=DIFFICULTIES)
    options = ReformatOptions(max_tokens=400, retries=0, prompts=("miniature",))
    engine = RuleBasedEngine(problems, Teacher(), writes="solutions")
    thoughts = reformat(problems, engine, options, Trace())
    assert all(t.accepted for t in thoughts), [t.reason for t in thoughts if not t.accepted]
    assert all(words(t.text) > words(direct_answer(t.problem)) for t in thoughts)
    assert [original(p) for p in problems] == [direct_answer(p) for p in problems]


def test_a_teacher_that_errs_is_rejected_and_asked_again():
    problems = generate(60, "train", families=FAMILIES, difficulties=DIFFICULTIES)
    engine = RuleBasedEngine(problems, Teacher(accuracy=0.5), writes="solutions")
    thoughts = reformat(problems, engine, ReformatOptions(retries=3, prompts=("miniature",)), Trace())
    assert all(t.accepted == grade(t.problem.gold, t.text).correct for t in thoughts)
    assert {t.reason for t in thoughts if not t.accepted} == {"wrong"}
    served = {t.problem.id for t in thoughts if t.accepted}
    # One half of all problems passes at each of four tries: 56 of 60 are expected.
    assert len(served) > 48 and len(thoughts) > 90


def test_a_begun_solution_is_gone_on_with():
    problems = generate(30, "train", families=FAMILIES, difficulties=DIFFICULTIES)
    for teacher in (Teacher(), Teacher(accuracy=0.0)):
        engine = RuleBasedEngine(problems, teacher, writes="solutions")
        for problem in problems:
            whole = engine.generate([problem.text], Sampling(400))[0][0].text.split()
            for at in range(2, len(whole) + 1):
                begun = " ".join(whole[:at])
                rest = engine.generate([problem.text], Sampling(400), prefixes=[[begun]])[0][0].text
                assert (begun + rest).split() == whole
        with pytest.raises(UserError, match="no solution of"):
            engine.generate([problems[0].text], Sampling(400), prefixes=[["I think"]])


def test_problems_without_solutions_are_counted_and_named():
    bare = [replace(HALF, id=str(i), solution=" ") for i in range(2)]
    with pytest.raises(UserError, match="2 of 3 problems have no solution to rewrite, the first is '0'"):
        reformat([HALF, *bare], Told([]), ReformatOptions(), Trace())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"retries": -1}, "retries is -1"),
        ({"temperature": 0.0}, "greedy teacher would repeat itself"),
        ({"prompts": ("ways",)}, "unknown prompt 'ways'"),
        ({"max_tokens": 0}, "tokens and samples from 1"),
    ],
)
def test_impossible_options_are_refused(options, said):
    with pytest.raises(UserError, match=said):
        ReformatOptions(**options)
