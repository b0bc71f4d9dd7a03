"""Distil and the rule-based engine: rejection leaves exactly the right ones, selection chooses what it names."""

import random
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longthought.engines import Sampling
from longthought.errors import UserError
from longthought.grading import grade
from longthought.problems import DIFFICULTIES, FAMILIES, Problem, generate
from longthought.thoughts import prompts
from longthought.thoughts.distil import DistilOptions, distil, reflected
from longthought.thoughts.procedural import WORDS, Teacher
from longthought.thoughts.record import Trace
from longthought.thoughts.reflection import words
from longthought.thoughts.rule_based import RuleBasedEngine
from told_engine import Told

PROBLEMS = generate(80, "train", families=FAMILIES, difficulties=DIFFICULTIES)
TWO = Problem("two", "What is 1+1?", "2")
MINI = DistilOptions(max_tokens=2000, prompts=("miniature",))


def from_script(lines, problem=TWO, **options):
    engine = Told(lines)
    chosen = DistilOptions(**({"samples": len(lines), "prompts": ("miniature",), "temperature": 1.0} | options))
    trace = Trace()
    return distil([problem], engine, chosen, trace), trace, engine


# --- the rule-based engine ---


def test_the_engine_is_as_right_as_its_teacher_and_counts_words():
    engine = RuleBasedEngine(PROBLEMS, Teacher(accuracy=0.5))
    rows = engine.generate([p.text for p in PROBLEMS], Sampling(4000, temperature=1.0, samples=4))
    right = [grade(p.gold, c.text).correct for p, row in zip(PROBLEMS, rows, strict=True) for c in row]
    assert 0.4 < sum(right) / len(right) < 0.6
    assert all(c.tokens == len(c.text.split()) + 1 and c.finish == "stop" for row in rows for c in row)
    assert sum(len({c.text for c in row}) > 1 for row in rows) > 70  # an answer found at once leaves little to vary


def test_a_limit_cuts_and_a_seed_fixes():
    engine = RuleBasedEngine(PROBLEMS, Teacher())
    texts = [p.text for p in PROBLEMS]
    whole = [row[0] for row in engine.generate(texts, Sampling(4000, temperature=1.0))]
    for limit in (1, 20, 45):
        for long, short in zip(whole, engine.generate(texts, Sampling(limit, temperature=1.0)), strict=True):
            if long.tokens <= limit:
                assert short == [long]
            else:
                assert short[0].finish == "length" and short[0].tokens == limit
                assert short[0].text.split() == long.text.split()[:limit]
    exact = whole[0].tokens
    assert engine.generate(texts[:1], Sampling(exact, temperature=1.0))[0][0].finish == "stop"
    assert engine.generate(texts[:1], Sampling(exact - 1, temperature=1.0))[0][0].finish == "length"
    assert engine.generate(texts, Sampling(4000, temperature=1.0))[0][0] == whole[0]
    assert [r[0] for r in engine.generate(texts, Sampling(4000, temperature=1.0, seed=1))] != whole
    assert engine.generate(texts, Sampling(4000, seed=1)) == engine.generate(texts, Sampling(4000, seed=2))


def test_an_answer_ends_before_a_stop_text():
    engine = RuleBasedEngine(PROBLEMS, Teacher(slip=0.0))
    for problem in PROBLEMS[:20]:
        unknown = "n=" if problem.family == "powers" else "x="
        whole = engine.generate([problem.text], Sampling(4000))[0][0]
        cut = engine.generate([problem.text], Sampling(4000, stop=(f" {unknown}",)))[0][0]
        assert cut.finish == "stop" and cut.text == whole.text[: whole.text.index(f" {unknown}")]
        assert cut.tokens == len(cut.text.split()) + 1


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, 79), share=st.floats(0, 1), slip=st.sampled_from([0.0, 0.4]), seed=st.integers(0, 5))
def test_a_sure_teacher_finishes_any_thought_rightly_wherever_it_broke_off(at, share, slip, seed):
    """Also thoughts that had gone wrong: unnoticed slips, a misconception, a wrong answer already boxed."""
    problem = PROBLEMS[at]
    sure = RuleBasedEngine(PROBLEMS, Teacher(slip=slip))
    for writer in (Teacher(slip=slip), Teacher(accuracy=0.0), Teacher(accuracy=0.0, errors="systematic")):
        whole = RuleBasedEngine(PROBLEMS, writer, seed).generate([problem.text], Sampling(4000))[0][0].text.split()
        begun = " ".join(whole[: round(share * len(whole))])
        rest = sure.generate([problem.text], Sampling(4000), prefixes=[[begun]])[0][0]
        assert grade(problem.gold, begun + rest.text).correct
        assert rest.tokens == len(rest.text.split()) + 1
        assert (begun + rest.text).split() == begun.split() + rest.text.split()


def test_going_on_from_a_clean_thought_searches_no_line_twice():
    clean = RuleBasedEngine(PROBLEMS, Teacher(slip=0.0, reflection=0.0))
    for problem in PROBLEMS:
        whole = clean.generate([problem.text], Sampling(4000))[0][0].text.split()
        for at in range(len(whole) + 1):
            begun = " ".join(whole[:at])
            rest = clean.generate([problem.text], Sampling(4000), prefixes=[[begun]])[0][0].text
            assert (begun + rest).split() == whole


def test_after_wait_the_line_is_written_again():
    problem = next(p for p in PROBLEMS if p.family == "congruence" and p.language == "en" and int(p.gold) > 3)
    engine = RuleBasedEngine(PROBLEMS, Teacher(slip=0.0, reflection=0.0))
    whole = engine.generate([problem.text], Sampling(4000))[0][0].text
    begun = whole[: whole.index(" x= 3")] + " wait"
    rest = engine.generate([problem.text], Sampling(4000), prefixes=[[begun]])[0][0].text
    assert rest == " " + whole[whole.index("x= 2") :]


def test_what_the_engine_cannot_answer_is_an_error():
    engine = RuleBasedEngine(PROBLEMS, Teacher())
    with pytest.raises(UserError, match="knows no problem"):
        engine.generate(["1+1"], Sampling(9))
    with pytest.raises(UserError, match="cannot go on from 'Let me think'"):
        engine.generate([PROBLEMS[0].text], Sampling(9), prefixes=[["Let me think"]])
    with pytest.raises(UserError, match="procedural"):
        RuleBasedEngine([TWO], Teacher())
    with pytest.raises(ValueError, match="prefixes"):
        engine.generate([PROBLEMS[0].text], Sampling(9), prefixes=[["", ""]])


def test_the_problem_is_found_among_other_words():
    engine = RuleBasedEngine(PROBLEMS, Teacher())
    for problem in PROBLEMS:
        for prompt in prompts.DISTIL.values():
            assert grade(problem.gold, engine.generate([prompt.of(problem)], Sampling(4000))[0][0].text).correct


# --- rejection ---


def test_rejection_leaves_exactly_the_right_thoughts():
    trace = Trace()
    engine = RuleBasedEngine(PROBLEMS, Teacher(accuracy=0.5))
    thoughts = distil(PROBLEMS, engine, replace(MINI, samples=6, keep=6), trace)
    assert [t.problem.id for t in thoughts] == [p.id for p in PROBLEMS for _ in range(6)]
    for thought in thoughts:
        right = thought.text.split()[-3:-2] == [thought.problem.gold]
        assert (thought.verdict == "correct") == right
        assert thought.accepted == (right and thought.reason != "a copy of another")
        assert trace.calls[thought.calls[0]].completion == thought.text
    assert {t.reason for t in thoughts if not t.accepted} <= {"wrong", "a copy of another"}
    assert len(trace.calls) == len(thoughts) == 480


def test_each_fate_has_its_reason():
    hostile = '<script>alert(1)</script> {problem} \\boxed{2} "; rm -rf / #\n' + "{" * 50_000
    lines = [
        "\\boxed{2}✂",
        "two",
        "\\boxed{3}",
        "\\boxed{q_1 \\oplus x?}",
        "\\boxed{",
        "so \\boxed{2}",
        "so  \\boxed{2}\n",
        hostile,
    ]
    thoughts, _, _ = from_script(lines, keep=9)
    reasons = [t.reason for t in thoughts]
    assert reasons[:3] == ["truncated", "no answer", "wrong"] and reasons[4] == "no answer"
    assert reasons[3] in ("undecided", "wrong") and reasons[6] == "a copy of another"
    assert [t.accepted for t in thoughts] == [False] * 5 + [True, False, True]
    assert thoughts[0].verdict == "no_answer" and thoughts[0].answer == ""
    assert thoughts[7].text == hostile.strip()


def test_undecided_is_a_reason_of_its_own():
    unread = replace(TWO, gold="\\text{the blue }\\oplus_{?} one")
    thoughts, _, _ = from_script(["\\boxed{2 \\circledast}"], problem=unread)
    assert (thoughts[0].verdict, thoughts[0].reason, thoughts[0].accepted) == ("undecided", "undecided", False)


# --- prompts ---


def test_samples_are_shared_out_among_the_prompts():
    thoughts, _, engine = from_script(["\\boxed{2}"] * 4, prompts=("reflect", "check", "ways"), temperature=1.0)
    asked = [prompt for prompt, _, _ in engine.asked]
    assert asked == [prompts.DISTIL[n].of(TWO) for n in ("reflect", "reflect", "check", "ways")]
    assert [t.details["prompt"] for t in thoughts] == ["reflect", "reflect", "check", "ways"]


def test_problem_text_is_only_text_and_its_language_chooses_the_wording():
    evil = replace(TWO, text="{solution} {problem} {0} %s {__class__}", language="zh")
    for prompt in [*prompts.DISTIL.values(), *prompts.REFORMAT.values()]:
        filled = prompt.of(evil, "{problem} S")
        assert filled.count(evil.text) == 1
        assert filled.replace(evil.text, "", 1).replace("{problem} S", "", 1) == prompt.zh.replace(
            "{problem}", "", 1
        ).replace("{solution}", "", 1)
    assert "请" in prompts.DISTIL["reflect"].of(evil) and "Wait" in prompts.DISTIL["reflect"].of(TWO)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("求最小的 x 使 3x = 1", "zh"),
        ("find the smallest x", "en"),
        ("\\frac{1}{2} + \\boxed{3}", ""),
        ("x= 3 因为 2 * 3 = 6 。 所以 \\boxed{ 3 } 。", "zh"),
        ("The character 道 means way", "en"),
        ("", ""),
    ],
)
def test_the_language_of_a_text(text, language):
    assert prompts.language_of(text) == language


def test_progress_counts_every_sample_once():
    seen = []
    options = DistilOptions(samples=5, prompts=("reflect", "check"))
    distil(PROBLEMS[:3], RuleBasedEngine(PROBLEMS, Teacher()), options, Trace(), lambda done, n: seen.append((done, n)))
    assert [n for _, n in seen] == [15] * len(seen)
    assert [d for d, _ in seen] == sorted(d for d, _ in seen) and seen[-1][0] == 15


# --- selection ---

RIGHT = [
    "one two three four five six \\boxed{2}",
    "\\boxed{2}",
    "Wait, that is wrong. Let me check it. \\boxed{2}",
    "one two three four five seven \\boxed{2}",
]


@pytest.mark.parametrize(("policy", "first"), [("shortest", 1), ("longest", 2), ("reflective", 2)])
def test_a_policy_chooses_what_it_names(policy, first):
    thoughts, _, _ = from_script([*RIGHT, "\\boxed{7}"], select=policy)
    assert [t.accepted for t in thoughts] == [i == first for i in range(5)]
    assert thoughts[first].reason == f"{policy} of 4 correct"
    assert {t.reason for i, t in enumerate(thoughts[:4]) if i != first} == {"correct, not selected"}
    assert thoughts[4].reason == "wrong"


@pytest.mark.parametrize("policy", ["shortest", "longest", "reflective"])
def test_policies_keep_the_extremes_of_real_thoughts(policy):
    engine = RuleBasedEngine(PROBLEMS, Teacher(accuracy=0.7, slip=0.3, reflection=0.5))
    thoughts = distil(PROBLEMS, engine, replace(MINI, samples=6, keep=2, select=policy), Trace())
    value = {"shortest": lambda t: -words(t.text), "longest": lambda t: words(t.text), "reflective": reflected}[policy]
    for problem in PROBLEMS:
        own = [t for t in thoughts if t.problem.id == problem.id and t.reason != "a copy of another"]
        right = [t for t in own if t.verdict == "correct"]
        kept = [t for t in own if t.accepted]
        assert len(kept) == min(2, len(right))
        assert min(map(value, kept), default=0) >= max((value(t) for t in right if not t.accepted), default=-1e9)


def test_diverse_takes_the_texts_that_are_farthest_apart():
    base = [f"w{i}" for i in range(30)]
    near = [" ".join([*base[:29], word, "\\boxed{2}"]) for word in ("a", "b", "c")]
    far = [" ".join([*(f"{tag}{i}" for i in range(30)), "\\boxed{2}"]) for tag in ("u", "v")]
    for order in range(5):
        lines = near + far
        random.Random(order).shuffle(lines)
        kept = [t.text for t in from_script(lines, select="diverse", keep=3)[0] if t.accepted]
        assert set(far) < set(kept) and len(kept) == 3

    def apart(a, b):
        first, second = ({tuple(t.split()[i : i + 3]) for i in range(len(t.split()) - 2)} for t in (a, b))
        return 1 - len(first & second) / len(first | second)

    kept = [t.text for t in from_script(near + far, select="diverse", keep=2)[0] if t.accepted]
    assert apart(*kept) == max(apart(a, b) for a, b in combinations(near + far, 2))


def test_chinese_texts_are_told_apart_by_their_characters():
    same = ["先把两边同时减去三再除以二得到答案是 \\boxed{2}", "先把两边同时减去三再除以二得到结果是 \\boxed{2}"]
    other = "我们从零开始一个一个地试直到发现等式成立 \\boxed{2}"
    thoughts, _, _ = from_script([*same, other], select="diverse", keep=2)
    assert [t.accepted for t in thoughts].count(True) == 2 and thoughts[2].accepted


def test_random_is_fixed_by_the_seed_and_differs_between_seeds():
    def kept(seed):
        return [t.accepted for t in from_script(RIGHT, select="random", keep=1, seed=seed)[0]]

    assert kept(1) == kept(1) and sum(kept(1)) == 1
    assert len({tuple(kept(seed)) for seed in range(30)}) == 4


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"select": "best"}, "unknown selection 'best'"),
        ({"keep": 0}, "both start at 1"),
        ({"samples": 0}, "both start at 1"),
        ({"prompts": ("clever",)}, "unknown prompt 'clever'"),
        ({"prompts": ()}, "none"),
        ({"prompts": ("check", "check")}, "name each once"),
        ({"temperature": 0.0, "samples": 4}, "greedy"),
        ({"max_tokens": 0}, "tokens and samples from 1"),
    ],
)
def test_impossible_options_are_refused(options, said):
    with pytest.raises(UserError, match=said):
        DistilOptions(**options)


def test_greedy_with_one_sample_per_prompt_is_possible():
    assert len(from_script(["\\boxed{2}"] * 3, prompts=("reflect", "check", "ways"), temperature=0.0)[0]) == 3


def test_reflection_is_counted_in_the_language_of_the_thought():
    line = "我们先算第一步。等等，这里算错了，让我重新检查一遍。所以 \\boxed{2}"
    assert reflected(from_script([line])[0][0]) > 0
    quoted = replace(TWO, text="Wait, that is wrong, said Ann. What is 1+1?")
    assert reflected(from_script(["Wait, that is wrong, said Ann. So \\boxed{2}"], problem=quoted)[0][0]) == 0


def test_thoughts_of_a_reflective_teacher_hold_marks():
    engine = RuleBasedEngine(PROBLEMS, Teacher(slip=0.5))
    thoughts = distil(PROBLEMS, engine, replace(MINI, samples=1), Trace())
    waits = [WORDS[t.problem.language]["wait"] in t.text.split() for t in thoughts]
    assert sum(waits) > 60 and all(reflected(t) > 0 for t, w in zip(thoughts, waits, strict=True) if w)
