"""Votes and budgets against brute force, and the invariants that a cheating curve would break."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longthought.errors import UserError
from longthought.evaluation.samples import Graded
from longthought.evaluation.scaling import (
    at_budget,
    maj_at_k,
    maj_curve,
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
    return Graded("m", problems, [], (votes == gold) & ~cut, votes, gold_vote, np.array(tokens), cut)


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
