"""Votes and budgets against brute force, and the invariants that a cheating curve would break."""

import time
from collections import Counter
from fractions import Fraction
from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longthought.errors import UserError
from longthought.evaluation import scaling
from longthought.evaluation.samples import Graded
from longthought.evaluation.scaling import (
    at_budget,
    maj_at_k,
    maj_curve,
    maj_curves,
    one_answer,
    pass_at_k,
    truncation_curve,
    votes_curve,
)
from longthought.problems import Problem


def brute_force(votes, gold, k):
    total = 0.0
    subsets = list(combinations(range(len(votes)), k))
    for subset in subsets:
        cast = [votes[i] for i in subset if votes[i] != -1]
        if cast:
            most = max(cast.count(v) for v in cast)
            modes = {v for v in cast if cast.count(v) == most}
            total += (gold in modes) / len(modes)
    return total / len(subsets)


VOTES = st.lists(st.integers(-1, 3), min_size=1, max_size=8)


@settings(max_examples=150, deadline=None)
@given(VOTES)
def test_maj_at_k_is_the_mean_over_all_subsets(votes):
    for k in range(1, len(votes) + 1):
        assert maj_at_k(votes, 0, k) == pytest.approx(brute_force(votes, 0, k), abs=1e-12)


@given(VOTES)
def test_one_vote_is_pass_at_1(votes):
    assert maj_at_k(votes, 0, 1) == pytest.approx(pass_at_k(votes.count(0), len(votes), 1))


@given(st.lists(st.integers(0, 4), min_size=2, max_size=30))
def test_two_votes_without_abstentions_change_nothing(votes):
    assert maj_at_k(votes, 0, 2) == pytest.approx(votes.count(0) / len(votes), abs=1e-12)


@given(st.lists(st.integers(-1, 4), min_size=1, max_size=64), st.randoms())
def test_order_does_not_matter_and_values_are_probabilities(votes, rng):
    curve = maj_curve(votes, 0)
    shuffled = list(votes)
    rng.shuffle(shuffled)
    assert np.allclose(curve, maj_curve(shuffled, 0))
    assert ((curve >= -1e-12) & (curve <= 1 + 1e-12)).all()


def test_abstentions_never_win():
    assert maj_at_k([-1] * 7 + [0], 0, 8) == 1.0
    assert maj_at_k([-1] * 8, 0, 3) == 0.0


@pytest.mark.parametrize("k", [0, 4])
def test_more_votes_than_samples_are_an_error(k):
    with pytest.raises(ValueError, match="at least"):
        maj_at_k([0, 1, 0], 0, k)
    with pytest.raises(ValueError, match="at least"):
        pass_at_k(2, 3, k)


def exactly(gold, others, abstentions):
    """maj@k for every k in rational numbers, counting ways by (rivals in the tie, votes drawn)."""
    n = gold + sum(others) + abstentions
    won = [Fraction(0)] * (n + 1)
    for t in range(1, gold + 1):
        ways = {(0, 0): 1}
        for size in (*others, *[1] * abstentions):
            grown = Counter()
            for (ties, drawn), count in ways.items():
                for more in range(min(size, t) + 1):
                    grown[ties + (more == t), drawn + more] += count * comb(size, more)
            ways = grown
        for (ties, drawn), count in ways.items():
            won[t + drawn] += Fraction(comb(gold, t) * count, ties + 1)
    return [float(w / comb(n, k)) for k, w in enumerate(won)][1:]


@pytest.mark.parametrize(
    ("gold", "others"),
    [
        (30, (30, 30)),
        (7, (1,) * 20 + (2,) * 10 + (5, 7, 9)),
        (12, (13, 12, 11, 8, 4, 2, 1, 1, 1)),
        (60, ()),
        (1, (2,) * 29),
    ],
)
def test_large_votes_lose_no_precision(gold, others):
    votes = [0] * gold + [name for name, size in enumerate(others, 1) for _ in range(size)]
    assert np.abs(maj_curve(votes, 0) - exactly(gold, others, 0)).max() < 1e-12


def test_the_largest_exact_vote_is_still_a_probability():
    n = scaling.EXACT_SAMPLES
    even = maj_curve([0] * (n // 2) + [1] * (n // 2), 0)
    assert np.abs(even - 0.5).max() < 1e-12
    alone = maj_curve([0] * 3 + [-1] * (n - 3), 0)
    assert np.allclose(alone, [pass_at_k(3, n, k) for k in range(1, n + 1)], atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(-1, 5), min_size=6, max_size=20), min_size=1, max_size=12))
def test_many_problems_at_once_are_each_alone(rows):
    gold = [i % 3 for i in range(len(rows))]
    together = maj_curves(rows, gold, [1, 2, 6])
    for row, right, curve in zip(rows, gold, together, strict=True):
        assert np.allclose(curve, maj_curve(row, right)[[0, 1, 5]], atol=1e-12)


def test_beyond_the_stated_size_random_subsets_agree_with_the_exact_vote(monkeypatch):
    rng = np.random.default_rng(3)
    rows = [rng.choice(6, p=p, size=40).tolist() for p in rng.dirichlet(np.ones(6), size=8)]
    rows += [[0] * 5 + [-1] * 35, [-1] * 40, list(range(40))]
    gold, ks = [0] * len(rows), [1, 2, 3, 8, 21, 40]
    exact = maj_curves(rows, gold, ks)
    monkeypatch.setattr(scaling, "EXACT_SAMPLES", 39)
    drawn = maj_curves(rows, gold, ks)
    assert np.array_equal(drawn, maj_curves([row[::-1] for row in rows], gold, ks))
    assert 0 < np.abs(drawn - exact).max() < 4 * 0.5 / np.sqrt(scaling.MONTE_CARLO_DRAWS)


def test_500_problems_of_64_samples_take_less_than_a_second():
    rng = np.random.default_rng(0)
    rows = [rng.choice(40, p=p, size=64).tolist() for p in rng.dirichlet(np.full(40, 0.3), size=500)]
    started = time.process_time()
    maj_curves(rows, [0] * 500, range(1, 65))
    assert time.process_time() - started < 1


@given(st.integers(1, 8).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n), st.integers(1, n))))
def test_pass_at_k_is_the_share_of_subsets_with_a_right_one(case):
    c, n, k = case
    subsets = list(combinations([True] * c + [False] * (n - c), k))
    assert pass_at_k(c, n, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


def graded(votes, tokens, gold=0, truncated=None):
    votes = np.array(votes)
    cut = np.zeros(votes.shape, bool) if truncated is None else np.array(truncated)
    problems = tuple(Problem(str(i), "q", "0") for i in range(len(votes)))
    gold_vote = np.full(len(votes), gold)
    return Graded("m", problems, [], (votes == gold) & ~cut, votes, gold_vote, np.array(tokens), cut, cut & False)


def test_votes_cost_k_times_the_mean_tokens_abstentions_included():
    g = graded([[0, 0, -1, 1], [1, 1, 0, -1]], [[10, 10, 30, 10], [20, 20, 20, 40]])
    points = votes_curve(g, [1, 2, 4])
    assert [p.tokens for p in points] == [20, 40, 80]
    assert points[0].accuracy == pytest.approx(one_answer(g).accuracy) == pytest.approx(3 / 8)
    with pytest.raises(UserError, match="only 4 were drawn"):
        votes_curve(g, [8])


def test_truncation_cuts_long_answers_counts_them_and_never_gains():
    g = graded([[0, 0], [0, 1]], [[5, 50], [50, 5]])
    short, long = truncation_curve(g, [50, 10])
    assert (short.budget, short.truncated, short.answers) == ("L=10", 2, 4)
    assert short.accuracy == 0.25 and short.tokens == 7.5
    assert long.accuracy == one_answer(g).accuracy and long.truncated == 0


def test_budgets_are_compared_only_where_they_were_measured():
    g = graded([[0, 0, 1, 1]], [[10, 10, 10, 10]])
    points = votes_curve(g, [1, 4])
    assert at_budget(points, 25)[0] == pytest.approx((points[0].accuracy + points[1].accuracy) / 2)
    for outside in (9.9, 40.1):
        with pytest.raises(UserError, match="measured from 10 to 40"):
            at_budget(points, outside)
