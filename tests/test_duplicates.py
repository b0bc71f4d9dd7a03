"""Duplicates: against brute force, one by one against in blocks, and what makes another problem of the same words."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longthought.curation import duplicates, similarity
from longthought.curation.duplicates import Duplicates, Match

LONG = (
    "Let $ABCD$ be a convex quadrilateral with $AB = 12$ and $CD = 20$ whose diagonals meet at the point $P$ inside "
    "it. The circle through $A$, $B$ and $P$ meets the side $BC$ again at $Q$. Find the area of the triangle $APQ$ "
    "if the angle at $P$ is $\\frac{\\pi}{3}$ and the perimeter of $ABCD$ is $70$."
)
CHINESE = (
    "甲乙两人同时从A地出发前往B地,甲的速度是每小时15千米,"
    "乙的速度是每小时12千米,甲比乙早到2小时。求A、B两地之间的距离是多少千米。"
)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("Find $x$ if $2x = 6$.", "find  $X$\nif $2x=6$"),
        (r"Compute $\frac{1}{2}+\frac{10}{3}$.", r"Compute \(\dfrac12 + \tfrac{10}3\)."),
        (r"Evaluate $\left(3\cdot 4\right)^{2}$", r"Evaluate $$(3 \times 4)^2$$"),
        (r"Is $x \leq 1{,}000$?", r"Is $x \, \le \, 1000$?"),
        ("求f(x)=2x+1的值", "求ｆ（ｘ）＝２ｘ＋１的值。"),
        ("If x² − 3 ≥ 0", r"If $x^2 - 3 \geq 0$"),
        ("Problem 12. Find the sum of the digits of $7^{12}$.", "Find the sum of the digits of $7^{12}$."),
        ("【例3】求最小的正整数。", "求最小的正整数。"),
        (r"Find $x$ in \text{cm} now", r"Find $x$ in \mathrm{cm} now"),
    ],
)
def test_spelling_does_not_make_another_problem(one, two):
    seen = Duplicates()
    assert seen.check(one) is None
    assert seen.check(two) == Match("exact", 0, 1.0)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (r"Compute $\frac{1}{12}$.", r"Compute $\frac{11}{2}$."),
        ("Solve $2^{x+1} = 8$.", "Solve $2^x + 1 = 8$."),
        ("Add the numbers 1 and 23.", "Add the numbers 12 and 3."),
        ("Compute $1.5$.", "Compute $15$."),
        ("Compute $5!$.", "Compute $5$."),
        ("3 apples are left.", "4 apples are left."),
        ("3.5 litres of milk are left.", "4.5 litres of milk are left."),
        (LONG, LONG.replace("12", "13")),
        (LONG, LONG.replace("area", "perimeter")),
        (LONG, LONG.replace("AB = 12", "AB > 12")),
        (LONG + " Find $x$.", LONG + " Find $y$."),
        (CHINESE, CHINESE.replace("15", "18")),
        (CHINESE + "求最大值。", CHINESE + "求最小值。"),
    ],
)
def test_a_changed_number_sign_name_or_question_makes_another_problem(one, two):
    assert Duplicates().check_many([one, two, one]) == [None, None, Match("exact", 0, 1.0)]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (LONG, LONG.replace("meet at the point", "intersect at the point")),
        (LONG, LONG + " Give a reason please."),
        (CHINESE, CHINESE.replace("同时从", "一起从")),
    ],
)
def test_a_changed_word_in_a_long_text_is_near(one, two):
    match = Duplicates().check_many(["Something else of which nothing is said here.", one, two])[2]
    assert match is not None and match.kind == "near" and match.index == 1 and 0.8 <= match.score < 1


def brute_force(texts, threshold, answers):
    """The contract, word for word: the first exact one, else the earliest of the most similar.

    It compares each text with all those before it that `answers`, the detector's, left in.
    """
    kept, found = [], []
    for text, answer in zip(texts, answers, strict=True):
        tokens = similarity.tokens(text)
        grams = {tuple(tokens[i : i + 3]) for i in range(max(1, len(tokens)))}
        best = None
        for index, (other, others) in enumerate(kept):
            if tokens == other:
                best = Match("exact", index, 1.0)
                break
            numbers = [[t for t in side if t.isdigit()] for side in (tokens, other)]
            score = len(grams & others) / len(grams | others)
            if numbers[0] == numbers[1] and score >= threshold and (best is None or score > best.score):
                best = Match("near", index, score)
        if answer is None:
            kept.append((tokens, grams))
        found.append(best)
    return found


# Plain words: of the telling tokens only numbers occur, so that the brute force can tell them without the library.
WORDS = [f"{a}{b}{c}" for a in "bdg" for b in "ei" for c in ("nno", "rra", "lly", "ssu")]


def edited(text, rng):
    words = text.split()
    for _ in range(rng.randrange(3)):
        words[rng.randrange(len(words))] = rng.choice([*WORDS, "7", "8"])
    return " ".join(words)


@pytest.mark.parametrize("threshold", [0.6, 0.8, 0.9])
def test_it_finds_what_comparing_every_pair_finds(threshold, monkeypatch):
    monkeypatch.setattr(duplicates, "_BLOCK", 64)
    rng = random.Random(f"pairs-{threshold}")
    texts = [" ".join(rng.choices(WORDS, k=rng.randrange(15, 60))) for _ in range(120)]
    for _ in range(500):
        texts.append(edited(rng.choice(texts), rng))
    found = Duplicates(threshold).check_many(texts)
    expected = brute_force(texts, threshold, found)
    assert sum(m is not None for m in expected) > 150
    # A pair just at the threshold is missed once in a hundred times; whatever is said is true.
    missed = sum(a is not None and b is None for a, b in zip(expected, found, strict=True))
    assert missed <= 0.01 * len(texts)
    assert sum(a != b for a, b in zip(expected, found, strict=True)) <= 0.02 * len(texts)
    assert all(a is not None and a.score >= b.score for a, b in zip(expected, found, strict=True) if b is not None)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=40) | st.sampled_from([LONG, LONG + "!", CHINESE, "", " ", "{", "\x00", "1 2"])))
def test_blocks_of_any_size_say_the_same_as_one_by_one(texts):
    one = Duplicates()
    expected = [one.check(text) for text in texts]
    assert Duplicates().check_many(texts) == expected
    many = Duplicates()
    assert many.check_many(texts[:3]) + many.check_many(texts[3:]) == expected
    assert one.count == sum(m is None for m in expected)
    # A second time, everything is an exact repetition of what was kept.
    assert all(m is not None for m in one.check_many(texts))


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.sampled_from("{}\\ab12 .,$()^-求frac\x00\n"), max_size=30))
def test_tokens_and_their_hashes_are_the_same_sequence(text):
    hashes = similarity.hashed(["before", text, "after"]).of(1)
    assert hashes.tolist() == [similarity._identity(t) for t in similarity.tokens(similarity.without_label(text))]


def test_texts_that_share_a_slot_are_kept_apart(monkeypatch):
    rng = random.Random("slots")
    texts = [" ".join(rng.choices(WORDS, k=20)) for _ in range(300)]
    texts += [text.upper() for text in rng.sample(texts, 100)]
    expected = Duplicates().check_many(texts)
    monkeypatch.setattr(duplicates, "_SLOTS", 4)
    crowded = Duplicates()
    assert crowded.check_many(texts[:200]) + crowded.check_many(texts[200:]) == expected
    assert sum(m is not None for m in expected) == 100


def test_copies_by_the_thousand_and_templates_by_the_thousand():
    copies = Duplicates().check_many([LONG] * 5000)
    assert copies[0] is None and set(copies[1:]) == {Match("exact", 0, 1.0)}
    templates = Duplicates()
    assert templates.check_many([LONG.replace("70", str(n)) for n in range(100, 5100)]) == [None] * 5000
    assert templates.count == 5000


@pytest.mark.parametrize("hostile", ["a" * 10**6, "{" * 10**6, "}{" * 10**5, "\\" * 10**6, "1," * 10**5, "求" * 10**6])
def test_a_hostile_text_is_a_text(hostile):
    assert Duplicates().check_many([hostile, "Find $x$.", hostile]) == [None, None, Match("exact", 0, 1.0)]


def test_a_lone_surrogate_is_a_character():
    assert Duplicates().check_many(["\ud800 x 1", "\ud800 x 1"]) == [None, Match("exact", 0, 1.0)]


@pytest.mark.parametrize("threshold", [0, -1, 1.2])
def test_a_threshold_is_a_share(threshold):
    with pytest.raises(ValueError, match="threshold"):
        Duplicates(threshold)
