"""Statistics: published values, brute force, and coverage by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longthought.statistics import clustered_interval, compare, newcombe_paired, rate, wilson


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        # Newcombe (1998), "Two-sided confidence intervals for the single proportion", table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_published_intervals(k, n, low, high):
    got = wilson(k, n)
    assert (round(got.low, 4), round(got.high, 4)) == (low, high)


def test_a_rate_prints_its_count_and_interval():
    assert str(wilson(13, 30)) == "13/30 = 43.3% [27.4, 60.8]"


@pytest.mark.parametrize(("k", "n"), [(1, 0), (-1, 5), (6, 5)])
def test_no_rate_without_trials(k, n):
    with pytest.raises(ValueError, match="not a rate"):
        wilson(k, n)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_an_interval_holds_its_rate_and_mirrors(kn):
    k, n = kn
    r, mirrored = wilson(k, n), wilson(n - k, n)
    assert 0 <= r.low <= r.value <= r.high <= 1
    assert r.low == pytest.approx(1 - mirrored.high, abs=1e-12)


def test_newcombe_paired_gives_the_published_interval():
    # Newcombe (1998), "Improved confidence intervals for the difference between binomial proportions based on
    # paired data", table II, method 10, e = 36, f = 12, g = 2, h = 0: difference (f - g)/n = 0.2.
    low, high = newcombe_paired(both=36, only_first=2, only_second=12, n=50)
    assert (low, high) == (pytest.approx(0.0569, abs=5e-4), pytest.approx(0.3404, abs=5e-4))


def test_mcnemar_is_the_binomial_test_on_discordant_pairs():
    first = [1] * 10 + [0] * 10
    second = [1] * 8 + [0] * 2 + [1] * 9 + [0]
    got = compare(first, second)
    assert (got.only_first, got.only_second) == (2, 9)
    # Both tails of Binomial(11, 1/2) at 2 or fewer: 2 (1 + 11 + 55) / 2048.
    assert got.p == pytest.approx(2 * (1 + 11 + 55) / 2048)
    assert "not distinguishable" in str(got) and "discordant 2:9 of 20" in str(got)


def test_equal_outcomes_are_not_distinguishable():
    assert compare([1, 0, 1], [1, 0, 1]).p == 1.0
    assert compare([[1, 0, 1]] * 2, [[1, 0, 1]] * 2).p == 1.0


def test_a_large_difference_is_found_over_seeds():
    rng = np.random.default_rng(0)
    first, second = rng.random((3, 200)) < 0.2, rng.random((3, 200)) < 0.9
    got = compare(first, second)
    assert got.p < 1e-3 and got.low > 0.5 and got.distinguishable


def test_swapping_turns_a_comparison_round():
    rng = np.random.default_rng(1)
    a, b = rng.random(150) < 0.5, rng.random(150) < 0.6
    forth, back = compare(a, b), compare(b, a)
    assert forth.p == back.p
    assert (forth.difference, forth.low, forth.high) == pytest.approx((-back.difference, -back.high, -back.low))


def test_shapes_must_match():
    with pytest.raises(ValueError, match="same problems"):
        compare([1, 0], [1, 0, 1])


def test_the_sign_flip_test_keeps_its_level():
    rng = np.random.default_rng(2)
    rejected = 0
    for _ in range(200):
        easy = rng.random(60)
        a, b = (rng.random((2, 60)) < easy), (rng.random((2, 60)) < easy)
        rejected += compare(a, b).distinguishable
    assert rejected <= 20  # 5% expected; 20 of 200 would be a chance of about 0.003


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_wilson_covers(p):
    rng = np.random.default_rng(3)
    n = 200
    inside = [(r := wilson(int(k), n)).low <= p <= r.high for k in rng.binomial(n, p, 4000)]
    assert 0.93 <= np.mean(inside) <= 0.97


def test_clustered_interval_covers_where_samples_share_a_problem():
    rng = np.random.default_rng(4)
    inside, naive = [], []
    for _ in range(3000):
        chance = rng.beta(0.5, 0.5, 100)
        means = rng.binomial(16, chance) / 16
        low, high = clustered_interval(means)
        pooled = wilson(round(means.sum() * 16), 1600)
        inside.append(low <= 0.5 <= high)
        naive.append(pooled.low <= 0.5 <= pooled.high)
    assert 0.93 <= np.mean(inside) <= 0.97
    assert np.mean(naive) < 0.7  # What pooling the samples as if independent would have claimed.


def test_clustered_interval_is_wilson_for_one_answer_each_and_never_collapses():
    outcomes = [1.0] * 130 + [0.0] * 70
    expected = wilson(130, 200)
    assert clustered_interval(outcomes) == pytest.approx((expected.low, expected.high), abs=2e-3)
    low, high = clustered_interval([0.0] * 50)
    assert low == 0 and high == pytest.approx(wilson(0, 50).high)


def test_rate_over_seeds_counts_all_answers_but_is_no_narrower_than_one_seed():
    matrix = np.tile(np.arange(200) < 120, (3, 1))
    got = rate(matrix)
    assert (got.k, got.n, got.seeds) == (360, 600, 3)
    one = wilson(120, 200)
    assert got.low <= one.low and got.high >= one.high
