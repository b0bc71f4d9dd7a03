"""The scorer of reflection finds what was written and not what sounds like it; the selection is fair to its control."""

import math
import random
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longthought.errors import UserError
from longthought.problems import generate
from longthought.thoughts.procedural import WORDS, Teacher, long_thought
from longthought.thoughts.record import Thought
from longthought.thoughts.reflection import KINDS, load_cases, measured, reflection, words
from longthought.thoughts.selection import matched_control, select_reflective

CASES = load_cases()


def test_the_labelled_passages_are_many_balanced_and_different():
    assert len(CASES) >= 200 and sum(c["language"] == "zh" for c in CASES) >= 80
    assert len({c["text"] for c in CASES}) == len(CASES)
    for language in ("en", "zh"):
        for half in "ABCD":
            own = [c["reflective"] for c in CASES if c["language"] == language and c["half"] == half]
            assert 0.4 <= sum(own) / len(own) <= 0.6


def test_the_passages_that_were_tuned_on_are_read_right_and_the_others_are_not_flattered():
    table = measured(CASES).set_index(["part", "language", "look"])
    for part in "AB":
        for column in ("precision", "recall"):
            assert table.loc[(part, "both", "now"), column].value >= 0.98
    for part in "CD":
        first = table.loc[(part, "both", "first")]
        assert first.precision.value >= 0.85
        # These were never tuned on: were one read much better now than at first, somebody has tuned on it.
        now = table.loc[(part, "both", "now")]
        assert abs(now.recall.k - first.recall.k) <= 2
        by_hand = [c for c in CASES if c["half"] == part and c["first"]]
        assert (first.precision.k, first.precision.n) == (sum(c["reflective"] for c in by_hand), len(by_hand))


@pytest.mark.parametrize(
    ("text", "language", "kind"),
    [
        ("Wait, that is wrong.", "en", "doubt"),
        ("Let me check the sum.", "en", "check"),
        ("Alternatively, we could count pairs.", "en", "alternative"),
        ("Looking back, the bound was weak.", "en", "hindsight"),
        ("x= 1 : 3 . wait x= 1 : 4 vs 4 off 0", "en", "doubt"),
        ("等等，这里少了一项。", "zh", "doubt"),
        ("让我检验一下。", "zh", "check"),
        ("换个思路。", "zh", "alternative"),
        ("回头看第一步。", "zh", "hindsight"),
    ],
)
def test_every_kind_is_named_and_found_where_it_stands(text, language, kind):
    found = reflection(text, language)
    assert found.marks[0].kind == kind and kind in KINDS
    assert text[found.marks[0].start : found.marks[0].end].strip() == text[found.marks[0].start : found.marks[0].end]
    assert found.count(kind) >= 1


def test_the_miniatures_words_are_counted_one_by_one():
    rng = random.Random(0)
    for problem in generate(60, "train", languages=("en", "zh")):
        text = long_thought(problem, Teacher(slip=0.3), rng)
        lexicon, found = WORDS[problem.language], reflection(text, problem.language)
        assert found.count("doubt") == text.split().count(lexicon["wait"])
        assert found.count("check") == text.split().count(lexicon["check"]) == 1
        assert len(found.marks) == found.count("doubt") + 1
        plain = long_thought(problem, Teacher(reflection=0.0), rng)
        assert not reflection(plain, problem.language).present


def test_the_score_is_marks_per_hundred_words_and_two_han_characters_are_a_word():
    assert words("two words , 3 . 等等") == 4
    assert reflection("Wait, " + "word " * 49, "en").score == pytest.approx(2.0)
    assert reflection("等等，" + "字" * 198, "zh").score == pytest.approx(1.0)
    assert reflection("", "en").score == 0.0


def test_the_problems_own_words_do_not_count_when_the_problem_is_given():
    problem = "A teacher says this. Let me check your proof. How long do pupils wait?"
    text = "The problem: let me  check your proof. It has 3 lines."
    restated = "Let me check your proof. It has 3 lines."
    assert reflection(restated, "en").present and not reflection(restated, "en", problem).present
    assert reflection(text + " Wait, no.", "en", problem).present


def test_an_unknown_language_is_refused():
    with pytest.raises(UserError, match="fr"):
        reflection("attendez", "fr")


@pytest.mark.parametrize("unit", ["*", "wait ", "did I ", "“a”", '"', "不对，", "等等", "put ", "my guess "])
def test_a_long_hostile_text_is_read_to_its_end(unit):
    # Work that grows with the square of the length does not come back from this in minutes.
    for language in ("en", "zh"):
        found = reflection(unit * (60_000 // len(unit)) + "\nHmm. 等等，", language, "wait 不对 " * 5)
        assert found.marks[-1].start >= 59_000


@settings(max_examples=80, deadline=None)
@given(st.text(alphabet='wait check,. 等不对，。检验\n"“”?Ia', max_size=80), st.sampled_from(["en", "zh"]))
def test_marks_are_ordered_disjoint_and_inside(text, language):
    found = reflection(text, language)
    ends = 0
    for mark in found.marks:
        assert ends <= mark.start < mark.end <= len(text)
        ends = mark.end
    assert found.score >= 0 and (found.score > 0) == found.present


# --- selection ---


def thought(problem, text, accepted=True):
    return Thought(problem, text, problem.gold, "correct" if accepted else "wrong", "distil", (), accepted)


def pool(count=300, seed=1):
    rng = random.Random(seed)
    made = []
    for i, problem in enumerate(generate(count, "train", languages=("en", "zh"), difficulties=("easy", "medium"))):
        text = long_thought(problem, Teacher(slip=0.15, reflection=0.5), rng)
        made.append(thought(problem, text, accepted=i % 10 != 0))
    return made


def test_the_selected_are_accepted_reflective_and_evenly_spread():
    chosen = select_reflective(pool(), 80, balance=("language", "difficulty"))
    assert len(chosen) == len({t.problem.id for t in chosen}) == 80
    assert all(t.accepted and reflection(t.text, t.problem.language).present for t in chosen)
    kinds = [(t.problem.language, t.problem.difficulty) for t in chosen]
    assert {kinds.count(k) for k in set(kinds)} == {20}


def test_the_selection_depends_on_the_set_and_not_on_its_order():
    thoughts = pool()
    shuffled = random.Random(3).sample(thoughts, len(thoughts))
    assert select_reflective(thoughts, 60) == select_reflective(shuffled, 60)
    assert select_reflective(thoughts, 20, seed=1) != select_reflective(thoughts, 20, seed=2)


def test_the_longest_are_not_simply_taken():
    thoughts = [t for t in pool() if t.accepted and reflection(t.text, t.problem.language).present]
    chosen = select_reflective(thoughts, 40)
    lengths = sorted((words(t.text) for t in thoughts), reverse=True)
    assert sum(words(t.text) for t in chosen) < 0.9 * sum(lengths[:40])


def test_too_few_reflective_thoughts_are_an_error_that_says_how_many_there_are():
    with pytest.raises(UserError, match=r"asked for 500 .* only \d+"):
        select_reflective(pool(), 500)
    with pytest.raises(UserError, match="colour"):
        select_reflective(pool(), 5, balance=("colour",))


def test_the_control_is_as_many_as_long_as_and_as_spread_as_the_selected():
    thoughts = pool(900)
    chosen = select_reflective(thoughts, 60, balance=("language",))
    control = matched_control(chosen, thoughts, balance=("language",), seed=5)
    assert len(control) == 60 and len({t.problem.id for t in control}) == 60
    assert not {t.problem.id for t in control} & {t.problem.id for t in chosen}
    assert all(t.accepted for t in control)
    assert [t.problem.language for t in control] == [t.problem.language for t in chosen]
    ours, theirs = ([words(t.text) for t in some] for some in (chosen, control))
    assert math.isclose(statistics.mean(ours), statistics.mean(theirs), rel_tol=0.1)
    assert math.isclose(statistics.stdev(ours), statistics.stdev(theirs), rel_tol=0.25)
    # It is drawn without a look at reflection: some of it does not reflect.
    assert not all(reflection(t.text, t.problem.language).present for t in control)
    assert control != matched_control(chosen, thoughts, balance=("language",), seed=6)


def test_a_control_needs_thoughts_that_were_not_selected():
    thoughts = [t for t in pool(100) if t.accepted]
    with pytest.raises(UserError, match="control"):
        matched_control(thoughts, thoughts)
