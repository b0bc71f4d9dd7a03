"""Statistics: published values, brute force, and coverage by simulation."""

from math import isinf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import binom

from longthought.statistics import (
    Expected,
    barnard,
    clustered_bootstrap,
    clustered_interval,
    cohen_kappa,
    compare,
    compare_counts,
    fisher,
    grim,
    holm,
    krippendorff_alpha,
    mcnemar,
    mcnemar_range,
    newcombe_paired,
    newcombe_unpaired,
    paired_bootstrap,
    power,
    rate,
    sample_size,
    smallest_detectable_difference,
    smallest_paired_difference,
    wilson,
)


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


def test_a_comparison_over_seeds_keeps_its_level_where_seeds_do_not_differ():
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


@pytest.mark.parametrize(
    ("seeds", "spread", "least"),
    # Three seeds that differ as much as the last ones (about 7 points) sometimes look alike, and then cost a little.
    [(3, 0.0, 0.93), (3, 0.2, 0.93), (5, 0.2, 0.93), (3, 0.4, 0.92)],
)
def test_intervals_over_seeds_cover_other_seeds_and_other_problems(seeds, spread, least):
    """Answers whose log-odds hold a problem's part (SD 1.5) and a seed's part; the second system is 0.5 better."""
    rng = np.random.default_rng(6)
    population = np.hypot(1.5, spread) * rng.standard_normal(400_000)
    truth, better = expit(population).mean(), expit(population + 0.5).mean()
    inside, paired = [], []
    for _ in range(1500):
        problems = rng.normal(0, 1.5, 200)
        a, b = (
            rng.random((seeds, 200)) < expit(gain + problems + rng.normal(0, spread, (seeds, 1))) for gain in (0, 0.5)
        )
        r, c = rate(a), compare(a, b)
        inside.append(r.low <= truth <= r.high)
        paired.append(c.low <= better - truth <= c.high)
    assert least <= np.mean(inside) <= 0.97 and least <= np.mean(paired) <= 0.97


def test_a_spread_between_seeds_is_not_taken_for_a_difference():
    rng = np.random.default_rng(7)
    rejected = 0
    for _ in range(1000):
        problems = rng.normal(0, 1.5, 200)
        a, b = (rng.random((3, 200)) < expit(problems + rng.normal(0, 0.4, (3, 1))) for _ in range(2))
        rejected += compare(a, b).distinguishable
    assert rejected <= 80  # A test over problems alone, as if the seeds were fixed, rejects in about 440.


def test_an_interval_never_collapses():
    ones = np.ones((3, 50))
    assert rate(ones).low == pytest.approx(wilson(50, 50).low, abs=5e-3) and rate(ones).high == 1
    same = compare(ones, ones)
    assert same.p == 1 and same.low < -0.05 and same.high > 0.05
    assert compare([0.3, 0.3], [0.3, 0.3]).high > 0.3
    assert (compare([[1], [0]], [[0], [0]]).low, compare([[1], [0]], [[0], [0]]).p) == (-1, 1)


def test_equal_expectations_that_differ_in_their_last_bits_are_equal():
    assert compare([0.1 + 0.2, 0.7], [0.3, 0.7]).p == 1


# What the report's counts allow. Each row: ours and another's count of n (Huang et al. 2024, Tables 1 and 2, by their
# printed percentages; n of the last two rows inferred), both Wilson intervals, the difference with Newcombe's
# interval, Fisher's p, and the exact McNemar p over all pairings with the most discordant pairs that give p < 0.05.
REPORT = [
    (13, 12, 30, (27, 61), (25, 58), (3.3, -20.5, 26.6), 1.00, (1, 1, None)),
    (13, 21, 30, (27, 61), (52, 83), (-26.7, -47.5, -1.7), 0.067, (0.008, 0.17, 12)),
    (436, 428, 500, (84.0, 89.8), (82.3, 88.4), (1.6, -2.7, 5.9), 0.52, (0.008, 0.55, 12)),
    (436, 427, 500, (84.0, 89.8), (82.0, 88.2), (1.8, -2.5, 6.1), 0.46, (0.004, 0.49, 17)),
    (436, 450, 500, (84.0, 89.8), (87.1, 92.3), (-2.8, -6.8, 1.2), 0.196, (0.0001, 0.22, 44)),
    (185, 182, 200, (88.0, 95.4), (86.2, 94.2), (1.5, -4.0, 7.1), 0.72, (0.25, 0.73, None)),
    (200, 200, 200, (98.1, 100), (98.1, 100), (0, -1.9, 1.9), 1, (1, 1, None)),
    (173, 184, 200, (81.1, 90.6), (87.4, 95.0), (-5.5, -11.7, 0.6), 0.106, (0.001, 0.13, 25)),
    (558, 566, 600, (90.7, 94.8), (92.2, 95.9), (-1.3, -4.1, 1.5), 0.41, (0.008, 0.42, 12)),
    (450, 458, 4326, (9.5, 11.3), (9.7, 11.5), (-0.2, -1.5, 1.1), 0.81, (0.008, 0.82, 12)),
    (1373, 1412, 3000, (44.0, 47.6), (45.3, 48.9), (-1.3, -3.8, 1.2), 0.33, (0, 0.47, 375)),
    (156, 172, 249, (56.5, 68.4), (63.1, 74.5), (-6.4, -14.6, 1.9), 0.156, (0, 0.25, 58)),
    (63, 61, 68, (83.9, 96.8), (80.2, 94.9), (2.9, -7.2, 13.3), 0.76, (0.5, 0.77, None)),
]


@pytest.mark.parametrize(("ours", "other", "n", "first", "second", "difference", "p", "pairings"), REPORT)
def test_the_reports_counts(ours, other, n, first, second, difference, p, pairings):
    digits = 0 if n == 30 else 1
    for k, interval in ((ours, first), (other, second)):
        assert (round(100 * wilson(k, n).low, digits), round(100 * wilson(k, n).high, digits)) == interval
    c = compare_counts(other, n, ours, n)
    assert tuple(round(100 * x, 1) for x in (c.difference, c.low, c.high)) == difference
    assert c.p == pytest.approx(p, abs=6e-3 if p in (1, 0.41, 0.33, 0.52, 0.46, 0.72, 0.81, 0.76) else 6e-4)
    assert str(c).endswith(f"(Fisher), {ours}/{n} against {other}/{n}, no pairing known; not distinguishable")
    found = mcnemar_range(ours, other, n)
    assert (found.smallest, found.largest) == pytest.approx(pairings[:2], abs=6e-3)
    assert found.most_discordant == pairings[2]


def test_no_cell_of_the_reports_second_table_survives_holm():
    # The nine comparisons before and after, or with o1-preview.
    cells = [REPORT[i] for i in (0, 2, 5, 6, 7, 9, 10, 11, 12)]
    assert min(holm([fisher(ours, n, other, n) for ours, other, n, *_ in cells])) == pytest.approx(0.95, abs=2e-3)


def test_a_pairing_range_prints_its_condition():
    assert str(mcnemar_range(13, 21, 30)) == (
        "McNemar p from 0.0078 to 0.1686 over all pairings, below 0.05 only with at most 12 discordant pairs of 30"
    )
    assert str(mcnemar_range(13, 12, 30)).endswith("never below 0.05")


@given(st.integers(1, 14).flatmap(lambda n: st.tuples(st.integers(0, n), st.integers(0, n), st.just(n))))
def test_the_range_of_mcnemar_holds_every_pairing(counts):
    k1, k2, n = counts
    ps = {}
    for both in range(min(k1, k2) + 1):
        if k1 + k2 - both <= n:
            ps[k1 + k2 - 2 * both] = mcnemar(k1 - both, k2 - both)
    found = mcnemar_range(k1, k2, n)
    assert (found.smallest, found.largest) == pytest.approx((min(ps.values()), max(ps.values())))
    assert found.most_discordant == max((d for d, p in ps.items() if p < 0.05), default=None)


@pytest.mark.parametrize(
    ("k1", "n1", "k2", "n2", "low", "high"),
    [
        # Newcombe (1998), "Interval estimation for the difference between independent proportions: comparison of
        # eleven methods", table II, method 10.
        (48, 80, 56, 70, 0.0524, 0.3339),
        (3, 10, 9, 10, 0.1705, 0.8090),
        (0, 10, 10, 10, 0.6075, 1.0),
    ],
)
def test_newcombe_unpaired_gives_the_published_intervals(k1, n1, k2, n2, low, high):
    assert newcombe_unpaired(k1, n1, k2, n2) == pytest.approx((low, high), abs=6e-5)


def test_fishers_tea():
    # Fisher (1935), "The Design of Experiments", chapter II: three of four cups; 2 (1 + 16) / 70.
    assert fisher(3, 4, 1, 4) == pytest.approx(34 / 70)


@pytest.mark.parametrize(("k1", "k2", "n", "expected"), [(13, 21, 30, 0.0428), (173, 184, 200, 0.0800)])
def test_barnard_is_the_worst_case_over_the_common_rate(k1, k2, n, expected):
    counts = np.arange(n + 1)
    a, b = np.meshgrid(counts, counts, indexing="ij")
    pooled = (a + b) / (2 * n)
    spread = np.sqrt(2 * n * pooled * (1 - pooled))
    z = np.divide(abs(a - b), spread, out=np.zeros_like(pooled), where=spread > 0)
    as_far = z >= z[k1, k2] - 1e-9
    worst = max(binom.pmf(counts, n, p) @ as_far @ binom.pmf(counts, n, p) for p in np.linspace(0.001, 0.999, 999))
    assert barnard(k1, n, k2, n) == pytest.approx(worst, abs=1e-4) == pytest.approx(expected, abs=1e-4)
    assert barnard(0, 5, 0, 5) == 1


def test_holm_by_hand():
    # Holm (1979): the i-th smallest of m is multiplied by m - i + 1, and none falls below the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@pytest.mark.parametrize(("p1", "p2"), [(0.92, 0.86), (0.43, 0.40), (0.10, 0.12)])
def test_newcombe_unpaired_covers(p1, p2):
    rng = np.random.default_rng(8)
    drawn = zip(rng.binomial(200, p1, 3000), rng.binomial(200, p2, 3000), strict=True)
    inside = [(i := newcombe_unpaired(int(a), 200, int(b), 200))[0] <= p2 - p1 <= i[1] for a, b in drawn]
    assert 0.93 <= np.mean(inside) <= 0.97


@pytest.mark.parametrize("cells", [(0.5, 0.1, 0.2, 0.2), (0.8, 0.03, 0.09, 0.08)])
def test_newcombe_paired_covers(cells):
    rng = np.random.default_rng(9)
    inside = []
    for both, only_first, only_second, _ in rng.multinomial(200, cells, 3000):
        low, high = newcombe_paired(int(both), int(only_first), int(only_second), 200)
        inside.append(low <= cells[2] - cells[1] <= high)
    assert 0.93 <= np.mean(inside) <= 0.97


def test_bootstraps_cover():
    rng = np.random.default_rng(10)
    clustered, paired = [], []
    for _ in range(600):
        chance = rng.beta(0.6, 0.6, 100)
        first, second = rng.random((2, 100, 8)) < np.array([chance, chance + 0.2 * (1 - chance)])[:, :, None]
        low, high = clustered_bootstrap(first)
        clustered.append(low <= 0.5 <= high)
        low, high = paired_bootstrap(first.mean(axis=1), second.mean(axis=1))
        paired.append(low <= 0.1 <= high)
    assert 0.93 <= np.mean(clustered) <= 0.97 and 0.93 <= np.mean(paired) <= 0.97


def test_bootstraps_are_repeatable_and_take_ragged_samples():
    ragged = [[1, 0, 1], [0], [1, 1], [0, 1]]
    assert clustered_bootstrap(ragged) == clustered_bootstrap([[2 / 3], [0], [1], [0.5]]) == clustered_bootstrap(ragged)


def test_planning_gives_the_known_sizes():
    # 13/30 against 12/30 would take some 3,430 problems per arm.
    assert sample_size(13 / 30, 12 / 30) == pytest.approx(3430, abs=5)
    assert power(13 / 30, 12 / 30, sample_size(13 / 30, 12 / 30)) == pytest.approx(0.8, abs=1e-3)
    for n, base, points in ((30, 12.5 / 30, 35.7), (200, 0.92, 7.6), (500, 0.87, 6.0), (3000, 0.46, 3.6)):
        assert round(100 * smallest_detectable_difference(n, base), 1) == points
    assert round(100 * smallest_detectable_difference(4326, 0.105), 2) == 1.85
    assert isinf(smallest_detectable_difference(3, 0.5)) and isinf(smallest_paired_difference(5, 0.2))


def test_power_is_the_chance_of_the_pooled_test():
    n, p1, p2 = 150, 0.5, 0.65
    counts = np.arange(n + 1)
    a, b = np.meshgrid(counts, counts, indexing="ij")
    pooled = (a + b) / (2 * n)
    rejected = abs(a - b) > 1.959964 * np.sqrt(2 * n * pooled * (1 - pooled))
    exact = binom.pmf(counts, n, p1) @ rejected @ binom.pmf(counts, n, p2)
    assert power(p1, p2, n) == pytest.approx(exact, abs=0.02)
    assert power(0.3, 0.3, 100) == pytest.approx(0.05)


def test_the_paired_difference_has_its_power():
    n, discordance = 500, 0.2
    d = smallest_paired_difference(n, discordance)
    rng = np.random.default_rng(11)
    draws = rng.multinomial(n, [(discordance + d) / 2, (discordance - d) / 2, 1 - discordance], 20000)
    # McNemar's test without continuity, which the formula is for.
    found = abs(draws[:, 0] - draws[:, 1]) > 1.959964 * np.sqrt(draws[:, 0] + draws[:, 1])
    assert np.mean(found) == pytest.approx(0.8, abs=0.015)
    assert d < smallest_detectable_difference(n, 0.5)


@pytest.mark.parametrize(
    ("text", "n", "rounded", "truncated"),
    [
        ("10.58", 4326, [], [458]),  # SimpleQA: 457 is 10.56, 458 is 10.587
        ("10.41", 4326, [], []),
        ("47.08", 3000, [], []),  # C-SimpleQA
        ("45.76", 3000, [], [1373]),
        ("85.5%", 500, [], []),  # 427.5 of 500
        ("87.2", 500, [436], [436]),
        ("89.70", 68, [], [61]),
        ("92.65", 68, [63], []),
    ],
)
def test_grim_on_the_report(text, n, rounded, truncated):
    found = grim(text, n)
    assert (list(found.half_up), list(found.half_even), list(found.truncated)) == (rounded, rounded, truncated)
    assert found.possible == bool(rounded)


def test_grim_names_the_only_sizes_of_an_unpublished_split():
    fits = [n for n in range(1, 521) if grim("69.08", n).possible and grim("62.65", n).possible]
    assert fits == [249, 498]
    assert not any(grim("89.70", n).possible and grim("92.65", n).possible for n in range(1, 521))


def test_grim_tells_ties_apart():
    found = grim("12.5", 2000)
    assert [list(x) for x in (found.half_up, found.half_even, found.truncated)] == [[249, 250], [250], [250, 251]]
    assert list(grim("0.1", 2000).half_up) == [1, 2] and list(grim("0.2", 2000).half_even) == [3, 4, 5]
    assert list(grim("50", 3, scale=2).half_up) == [3] and not grim("50", 3).possible


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.integers(0, 2))
def test_grim_finds_every_count_that_was_printed(kn, places):
    k, n = kn
    scaled, rest = divmod(k * 100 * 10**places, n)
    up = scaled + (2 * rest >= n)
    even = scaled + (2 * rest > n or (2 * rest == n and scaled % 2))
    for number, way in ((up, "half_up"), (even, "half_even"), (scaled, "truncated")):
        text = f"{number // 10**places}.{number % 10**places:0{places}d}" if places else str(number)
        assert k in getattr(grim(text, n), way)


# Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", sections C and D: four observers, twelve units.
X = None
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, X, X, X],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, X, 3],
    [X, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, X],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, X],
]


@pytest.mark.parametrize(("level", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_krippendorffs_own_example(level, alpha):
    assert round(krippendorff_alpha(OBSERVERS, level), 3) == alpha
    gaps = np.array(OBSERVERS, dtype=float)
    assert krippendorff_alpha(gaps[::-1], level) == pytest.approx(krippendorff_alpha(OBSERVERS, level))


def test_alpha_takes_names_and_is_one_for_full_agreement():
    assert krippendorff_alpha([["yes", "no", "yes"], ["yes", "no", "yes"]]) == 1
    assert krippendorff_alpha([["a", "b"], ["b", "a"]]) < 0


def test_cohens_own_example():
    # Cohen (1960), "A coefficient of agreement for nominal scales", table 1: proportions .44 .05 .01 ..., N = 200.
    found = cohen_kappa([[88, 10, 2], [14, 40, 6], [18, 10, 12]])
    assert found.kappa == pytest.approx((0.70 - 0.41) / (1 - 0.41)) and found.n == 200
    assert str(found).startswith("kappa 0.492 [0.3") and found.low < found.kappa < found.high


def test_kappas_interval_covers():
    rng = np.random.default_rng(12)
    cells = np.array([0.4, 0.1, 0.15, 0.35])
    truth = (0.75 - 0.5) / 0.5
    inside = [(c := cohen_kappa(t.reshape(2, 2))).low <= truth <= c.high for t in rng.multinomial(200, cells, 1500)]
    assert 0.93 <= np.mean(inside) <= 0.97


def test_an_expectation_prints_no_whole_count():
    assert str(Expected(121.55, 200, 0.577, 0.637)) == "121.5/200 = 60.8% [57.7, 63.7]"
    assert str(Expected(34, 200, 0.1, 0.2)).startswith("34.0/200 = 17.0%")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (lambda: compare_counts(5, 4, 1, 4), "5 of 4 is not a rate"),
        (lambda: mcnemar_range(3, 2, 0), "3 of 0 is not a rate"),
        (lambda: mcnemar(-1, 2), "no discordant pairs"),
        (lambda: newcombe_paired(1, 1, 1, 2), "four cells"),
        (lambda: paired_bootstrap([1, 0], [1]), "one value per problem"),
        (lambda: paired_bootstrap([1, 0], [1, 0]), "not all the same"),
        (lambda: clustered_bootstrap([[1], []]), "at least one sample"),
        (lambda: holm([]), "at least one p"),
        (lambda: holm([0.2, 1.2]), "between 0 and 1"),
        (lambda: power(0.2, 0.3, 0), "at least one problem"),
        (lambda: power(1, 1, 10), "could differ"),
        (lambda: sample_size(0.4, 0.4), "two equal rates"),
        (lambda: sample_size(0.4, 0.5, power=1), "a power lies"),
        (lambda: smallest_detectable_difference(10, 1), "a base rate within"),
        (lambda: smallest_paired_difference(10, 0), "a discordance"),
        (lambda: grim("about 5", 10), "no percentage"),
        (lambda: grim("100.1", 10), "no percentage"),
        (lambda: krippendorff_alpha([[1, 2], [1]]), "one rating, or None"),
        (lambda: krippendorff_alpha([[1, 1], [1, 1]]), "at least two values"),
        (lambda: krippendorff_alpha([["a", "b"], ["a", "b"]], "interval"), "finite numbers"),
        (lambda: krippendorff_alpha([[1, 2]], "ratio"), "must be nominal"),
        (lambda: cohen_kappa([[1, 2]]), "square table"),
        (lambda: cohen_kappa([[1, -2], [0, 1]]), "whole counts"),
        (lambda: cohen_kappa([[9, 0], [0, 0]]), "single category"),
        (lambda: clustered_interval([]), "one value per problem"),
        (lambda: rate([]), "non-empty"),
    ],
)
def test_bad_input_is_refused_in_one_line(bad, reason):
    with pytest.raises(ValueError, match=reason) as error:
        bad()
    assert "\n" not in str(error.value)
