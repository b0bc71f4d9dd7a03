"""Intervals, tests and checks: what a k of n says, and what it does not.

Every rate that the book prints goes through `format_rate`, every comparison through `format_comparison`, so that none
appears without its count, its interval and, where it is so, the words "not distinguishable"; `longthought.lint` refuses
what went around them. The module knows nothing about language models. Numerical work is left to scipy and statsmodels.

Sources: Wilson (1927) for single rates; Newcombe (1998), method 10, for differences, paired and not; Fisher's and
McNemar's tests in their exact forms; a two-way analysis of variance with Satterthwaite's (1946) degrees of freedom
where several trained models answer the same problems, since pooling them as if they were independent would make the
interval too narrow; Efron's (1987) bias-corrected bootstrap; Holm (1979) for many tests; Connor (1987) for the power of
paired tests; Brown and Heathers (2017) for means that cannot be; Krippendorff (2011) and Cohen (1960) for agreement.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, inf, isfinite, sqrt
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.stats import barnard_exact, binom, binomtest, bootstrap, fisher_exact, norm, t
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import (
    confint_proportions_2indep,
    power_proportions_2indep,
    proportion_confint,
    samplesize_proportions_2indep_onetail,
)

CONFIDENCE = 0.95
LEVEL = 0.05
DRAWS = 2000
NOT_DISTINGUISHABLE = "not distinguishable"


# --- how the book prints rates and comparisons ---


def percent(fraction: float) -> str:
    """A fraction in percent with one decimal, for use beside its count and interval."""
    return f"{100 * fraction:.1f}%"


def format_interval(low: float, high: float) -> str:
    """An interval of fractions, in percent without the sign: [27.4, 60.8]."""
    return f"[{100 * low:.1f}, {100 * high:.1f}]"


def format_rate(k: float, n: int, low: float, high: float) -> str:
    """Count, percent and interval: 13/30 = 43.3% [27.4, 60.8]. A k that is an expectation has one decimal."""
    count = f"{k}" if isinstance(k, int | np.integer) else f"{k:.1f}"
    return f"{count}/{n} = {percent(k / n)} {format_interval(low, high)}"


def format_difference(difference: float, low: float, high: float, unit: str = " points") -> str:
    """A difference of fractions in points with its interval: +3.3 points [-20.5, +26.6]."""
    middle, bottom, top = (f"{round(100 * x, 1) + 0.0:+.1f}" for x in (difference, low, high))
    return f"{middle}{unit} [{bottom}, {top}]"


def format_p(p: float) -> str:
    """A p with its sign, which follows the letter p: "= 0.0123" or "< 0.0001"."""
    return "< 0.0001" if p < 1e-4 else f"= {p:.4f}"


def format_comparison(c: Comparison | Unpaired) -> str:
    """Difference, interval, p, test, discordant pairs (or both counts where no pairing is known), and the verdict."""
    if isinstance(c, Comparison):
        counts = f"discordant {c.only_first}:{c.only_second} of {c.n}"
    else:
        counts = f"{c.k2}/{c.n2} against {c.k1}/{c.n1}, no pairing known"
    end = "" if c.distinguishable else f"; {NOT_DISTINGUISHABLE}"
    return f"{format_difference(c.difference, c.low, c.high)}, p {format_p(c.p)} ({c.test}), {counts}{end}"


def verdict(c: Comparison | Unpaired) -> str:
    """The outcome of a comparison's test in words."""
    return "different" if c.distinguishable else NOT_DISTINGUISHABLE


# --- records ---


@dataclass(frozen=True)
class Rate:
    """k successes in n trials with a 95% interval, all three always together.

    `seeds` counts the trained models whose trials were put together; `low` and `high` are fractions.
    """

    k: int
    n: int
    low: float
    high: float
    seeds: int = 1

    @property
    def value(self) -> float:
        """The rate as a fraction."""
        return self.k / self.n

    def __str__(self) -> str:
        return format_rate(self.k, self.n, self.low, self.high)


@dataclass(frozen=True)
class Expected:
    """An expected number k of right problems among n, such as maj@k over all choices of k answers, with its interval.

    It is not a count, and prints with a decimal so that it does not pass for one: 121.6/200 = 60.8% [57.7, 63.7].
    """

    k: float
    n: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """The expectation as a fraction of the problems."""
        return self.k / self.n

    def __str__(self) -> str:
        return format_rate(float(self.k), self.n, self.low, self.high)


@dataclass(frozen=True)
class Comparison:
    """A paired difference between two systems on the same problems, in fractions.

    `only_first` and `only_second` are the discordant pairs (summed over seeds); `p` is two-sided.
    """

    difference: float
    low: float
    high: float
    p: float
    only_first: int
    only_second: int
    n: int
    test: str

    @property
    def distinguishable(self) -> bool:
        """Whether the test rejects equality at the 5% level."""
        return self.p < LEVEL

    def __str__(self) -> str:
        return format_comparison(self)


@dataclass(frozen=True)
class Unpaired:
    """A difference (second minus first, in fractions) between two counts of which no pairing is known.

    `p` is two-sided. Two published counts on the same problems are such a case; see `mcnemar_range` for what a
    pairing could have shown.
    """

    difference: float
    low: float
    high: float
    p: float
    k1: int
    n1: int
    k2: int
    n2: int
    test: str

    @property
    def distinguishable(self) -> bool:
        """Whether the test rejects equality at the 5% level."""
        return self.p < LEVEL

    def __str__(self) -> str:
        return format_comparison(self)


@dataclass(frozen=True)
class PairingRange:
    """The exact McNemar p over every pairing that two counts on the same n problems allow.

    `most_discordant` is the largest number of discordant pairs with which p < 0.05; None when no pairing gives it.
    """

    smallest: float
    largest: float
    most_discordant: int | None
    n: int

    def __str__(self) -> str:
        limit = "never below 0.05"
        if self.most_discordant is not None:
            limit = f"below 0.05 only with at most {self.most_discordant} discordant pairs of {self.n}"
        return f"McNemar p from {self.smallest:.4f} to {self.largest:.4f} over all pairings, {limit}"


@dataclass(frozen=True)
class Grim:
    """Which counts out of `trials` print as a given percentage, by the way in which it was shortened.

    Each is a range of consecutive counts, empty where there is none.
    """

    percent: str
    trials: int
    half_up: range
    half_even: range
    truncated: range

    @property
    def possible(self) -> bool:
        """Whether any count rounds to the percentage, in either way of rounding."""
        return bool(self.half_up or self.half_even)


@dataclass(frozen=True)
class Agreement:
    """Cohen's kappa of two raters on n items, with a 95% interval."""

    kappa: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"kappa {self.kappa:.3f} [{self.low:.3f}, {self.high:.3f}] on {self.n} items"


# --- rates ---


def wilson(k: int, n: int) -> Rate:
    """A rate with its Wilson interval. Raises ValueError unless 0 <= k <= n and n > 0."""
    if n <= 0 or not 0 <= k <= n:
        raise ValueError(f"{k} of {n} is not a rate")
    low, high = proportion_confint(k, n, alpha=1 - CONFIDENCE, method="wilson")
    # A bound at the very end is exact; the formula only misses it by rounding.
    return Rate(k, n, 0.0 if k == 0 else float(low), 1.0 if k == n else float(high))


def _as_matrix(outcomes: Sequence[Sequence[bool]] | Sequence[bool] | np.ndarray) -> np.ndarray:
    matrix = np.atleast_2d(np.asarray(outcomes, dtype=float))
    if matrix.ndim != 2 or matrix.size == 0:
        raise ValueError("outcomes must be a non-empty row of problems, or seeds by problems")
    return matrix


def _two_way(matrix: np.ndarray) -> tuple[float, float, float]:
    """Mean of (seeds, problems), the variance of that mean when both are random, and its degrees of freedom.

    The usual two-way analysis of variance; the freedom is Satterthwaite's, so that a spread between a few seeds, where
    there is one, widens an interval as much as so few seeds demand.
    """
    seeds, problems = matrix.shape
    mean = float(matrix.mean())
    if problems == 1:
        return mean, inf, 1.0
    by_seed, by_problem = matrix.mean(axis=1), matrix.mean(axis=0)
    free_seeds, free_problems = seeds - 1, problems - 1
    square_seeds = problems * float(((by_seed - mean) ** 2).sum()) / free_seeds
    square_problems = seeds * float(((by_problem - mean) ** 2).sum()) / free_problems
    rest = matrix - by_seed[:, None] - by_problem[None, :] + mean
    square_rest = float((rest**2).sum()) / (free_seeds * free_problems)
    if square_seeds <= square_rest:
        return mean, square_problems / matrix.size, free_problems
    total = square_seeds + square_problems - square_rest
    parts = (
        square_seeds**2 / free_seeds + square_problems**2 / free_problems + square_rest**2 / free_seeds / free_problems
    )
    return mean, total / matrix.size, max(float(free_seeds), total**2 / parts)


def _score_interval(p: float, effective: float, quantile: float) -> tuple[float, float]:
    """Wilson's interval of a fraction p for any effective number of trials."""
    square = quantile * quantile / effective
    centre = (p + square / 2) / (1 + square)
    half = sqrt(square * (p * (1 - p) + square / 4)) / (1 + square)
    return (0.0 if p == 0 else max(0.0, centre - half)), (1.0 if p == 1 else min(1.0, centre + half))


def rate(outcomes: Sequence[Sequence[bool]] | Sequence[bool] | np.ndarray) -> Rate:
    """The rate of True in outcomes of shape (problems,) or (seeds, problems).

    One seed: Wilson. Several: Wilson's interval with the effective number of trials p(1-p) / Var(mean), where the
    variance holds that between seeds and that between problems.
    """
    matrix = _as_matrix(outcomes)
    k, n, seeds = int(matrix.sum()), int(matrix.size), matrix.shape[0]
    if seeds == 1:
        return wilson(k, n)
    p, variance, freedom = _two_way(matrix)
    # Where nothing varies, the seeds add nothing to what the problems tell.
    effective = min(float(n), max(1.0, p * (1 - p) / variance)) if variance > 0 else float(matrix.shape[1])
    low, high = _score_interval(p, effective, float(t.ppf((1 + CONFIDENCE) / 2, freedom)))
    return Rate(k, n, low, high, seeds)


def clustered_interval(per_problem: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """95% interval for the mean of per-problem values in [0, 1], as fractions.

    Several samples of one problem are not independent, so problems are the unit: Wilson's interval with the
    effective sample size p(1-p) / Var(mean), which for one answer per problem is the number of problems, and which
    cannot collapse when every problem agrees.
    """
    values = np.asarray(per_problem, dtype=float)
    if values.ndim != 1 or not len(values):
        raise ValueError("one value per problem is wanted")
    n, p = len(values), min(1.0, max(0.0, float(values.mean())))
    variance = float(values.var(ddof=1)) / n if n > 1 else 0.0
    effective = max(1.0, p * (1 - p) / variance) if variance > 0 else float(n)
    return _score_interval(p, effective, float(norm.ppf((1 + CONFIDENCE) / 2)))


# --- comparisons ---


def compare(
    first: Sequence[Sequence[bool]] | Sequence[bool] | np.ndarray,
    second: Sequence[Sequence[bool]] | Sequence[bool] | np.ndarray,
) -> Comparison:
    """Second minus first on the same problems: (problems,) each, or (seeds, problems) each.

    One row of right-or-wrong each: exact McNemar and Newcombe's paired interval. One row of expected accuracies between
    0 and 1: a sign-flip test over problems on the mean difference, and `paired_bootstrap`. Several rows: a t test and
    interval whose variance holds that between seeds and that between problems. Raises ValueError when the shapes
    differ.
    """
    a, b = _as_matrix(first), _as_matrix(second)
    if a.shape != b.shape:
        raise ValueError(f"a paired comparison needs the same problems and seeds, got {a.shape} and {b.shape}")
    # Interpolated accuracies that are equal may differ in their last bits, which is no discordance.
    change = np.round(b - a, 12)
    seeds, problems = change.shape
    only_first, only_second = int((change < 0).sum()), int((change > 0).sum())
    difference, variance, freedom = _two_way(change) if seeds > 1 else (float(change.mean()), float(np.ptp(change)), 0)
    if seeds == 1 and np.isin(a, (0, 1)).all() and np.isin(b, (0, 1)).all():
        p, test = mcnemar(only_first, only_second), "exact McNemar"
        low, high = newcombe_paired(int((a * b).sum()), only_first, only_second, problems)
    elif seeds > 1 and variance > 0:
        half = float(t.ppf((1 + CONFIDENCE) / 2, freedom)) * sqrt(variance)
        low, high = max(-1.0, difference - half), min(1.0, difference + half)
        p = 2 * float(t.sf(abs(difference) / sqrt(variance), freedom))
        test = f"t over {seeds} seeds and {problems} problems"
    else:
        p, test = _sign_flip(change.mean(axis=0)), "sign-flip over problems"
        # An interval without width would claim certainty, so where nothing varies the problems are counted instead.
        low, high = _bca(change[0], 0) if variance > 0 else _counted(a.mean(axis=0), b.mean(axis=0))
    return Comparison(difference, low, high, p, only_first, only_second, change.size, test)


def _counted(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    a, b = first > 0.5, second > 0.5
    return newcombe_paired(int((a & b).sum()), int((a & ~b).sum()), int((b & ~a).sum()), a.size)


def _sign_flip(differences: np.ndarray, seed: int = 0, draws: int = 20000) -> float:
    """Two-sided p of a randomisation test that flips the sign of each problem's mean difference."""
    moving = differences[differences != 0]
    if moving.size == 0:
        return 1.0
    rng = np.random.default_rng(seed)
    signs = rng.choice(np.array([-1.0, 1.0]), size=(draws, moving.size))
    as_large = np.abs(signs @ moving) >= abs(moving.sum()) - 1e-12
    return float((as_large.sum() + 1) / (draws + 1))


def newcombe_paired(both: int, only_first: int, only_second: int, n: int) -> tuple[float, float]:
    """Newcombe's (1998) hybrid score interval for a paired difference, second minus first, as fractions."""
    neither = n - both - only_first - only_second
    if min(both, only_first, only_second, neither) < 0 or n <= 0:
        raise ValueError("the four cells of a paired table must be non-negative and sum to n > 0")
    first, second = wilson(both + only_first, n), wilson(both + only_second, n)
    margins = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    product = both * neither - only_first * only_second
    if margins == 0:
        phi = 0.0
    elif product > 0:
        phi = max(product - n / 2, 0) / sqrt(margins)
    else:
        phi = product / sqrt(margins)
    down_2, up_2 = second.value - second.low, second.high - second.value
    down_1, up_1 = first.value - first.low, first.high - first.value
    difference = second.value - first.value
    low = difference - sqrt(down_2**2 - 2 * phi * down_2 * up_1 + up_1**2)
    high = difference + sqrt(up_2**2 - 2 * phi * up_2 * down_1 + down_1**2)
    return max(-1.0, low), min(1.0, high)


def newcombe_unpaired(k1: int, n1: int, k2: int, n2: int) -> tuple[float, float]:
    """Newcombe's (1998) hybrid score interval for k2/n2 - k1/n1 of independent trials, as fractions."""
    _check_counts((k1, n1), (k2, n2))
    low, high = confint_proportions_2indep(k2, n2, k1, n1, method="newcomb", compare="diff", alpha=1 - CONFIDENCE)
    return max(-1.0, float(low)), min(1.0, float(high))


def fisher(k1: int, n1: int, k2: int, n2: int) -> float:
    """Two-sided p of Fisher's exact test that two rates are equal."""
    _check_counts((k1, n1), (k2, n2))
    return float(fisher_exact([[k1, k2], [n1 - k1, n2 - k2]]).pvalue)


def barnard(k1: int, n1: int, k2: int, n2: int) -> float:
    """Two-sided p of Barnard's unconditional test that two rates are equal, with the pooled statistic."""
    _check_counts((k1, n1), (k2, n2))
    if k1 + k2 in (0, n1 + n2):
        return 1.0
    # Columns must be the two groups: with rows for groups scipy would fix the wrong margin.
    return float(barnard_exact([[k1, k2], [n1 - k1, n2 - k2]], n=64).pvalue)


def compare_counts(k1: int, n1: int, k2: int, n2: int) -> Unpaired:
    """Second rate minus first where only the counts are known: Fisher's test and Newcombe's unpaired interval."""
    low, high = newcombe_unpaired(k1, n1, k2, n2)
    return Unpaired(k2 / n2 - k1 / n1, low, high, fisher(k1, n1, k2, n2), k1, n1, k2, n2, "Fisher")


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided p of the exact McNemar test from the two kinds of discordant pairs."""
    if min(only_first, only_second) < 0:
        raise ValueError(f"{only_first}:{only_second} are no discordant pairs")
    discordant = only_first + only_second
    return float(binomtest(only_first, discordant).pvalue) if discordant else 1.0


def mcnemar_range(k1: int, k2: int, n: int) -> PairingRange:
    """The exact McNemar p over all pairings of k1 and k2 right answers to the same n problems."""
    _check_counts((k1, n), (k2, n))
    apart = abs(k1 - k2)
    smaller = np.arange(min(min(k1, k2), n - max(k1, k2)) + 1)
    discordant = 2 * smaller + apart
    # What `mcnemar` gives, for all pairings at once.
    ps = np.where(discordant > 0, np.minimum(1.0, 2 * binom.cdf(smaller, discordant, 0.5)), 1.0)
    low = discordant[ps < LEVEL]
    return PairingRange(float(ps.min()), float(ps.max()), int(low.max()) if low.size else None, n)


def paired_bootstrap(first: Sequence[float], second: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """95% bias-corrected bootstrap interval of the mean of second minus first, problems drawn again.

    One value per problem each. Raises ValueError when the lengths differ or every difference is the same: nothing
    is left to draw then, and an interval without width would claim certainty.
    """
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"a paired bootstrap needs one value per problem in both, got {a.shape} and {b.shape}")
    return _bca(b - a, seed)


def clustered_bootstrap(outcomes: Sequence[Sequence[float]] | np.ndarray, seed: int = 0) -> tuple[float, float]:
    """95% bias-corrected bootstrap interval of the mean over problems, whole problems drawn again.

    `outcomes` holds the samples of each problem, shape (problems, samples) or ragged; each problem weighs the same.
    Raises ValueError when a problem has no samples or all problems have the same mean (use `clustered_interval`).
    """
    rows = [np.asarray(row, dtype=float) for row in outcomes]
    if any(row.ndim != 1 or not row.size for row in rows):
        raise ValueError("a clustered bootstrap needs at least one sample for every problem")
    return _bca(np.array([row.mean() for row in rows]), seed)


def _bca(values: np.ndarray, seed: int) -> tuple[float, float]:
    if len(values) < 2 or not np.isfinite(values).all() or np.ptp(values) == 0:
        raise ValueError("a bootstrap needs two or more problems whose finite values are not all the same")
    found = bootstrap(
        (values,), np.mean, n_resamples=DRAWS, confidence_level=CONFIDENCE, method="BCa",
        batch=max(1, 4_000_000 // len(values)), rng=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    return float(found.low), float(found.high)


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's adjusted p of each of several tests, in their order."""
    if not len(ps) or not all(0 <= p <= 1 for p in ps):
        raise ValueError("Holm's adjustment needs at least one p, all between 0 and 1")
    return [float(p) for p in multipletests(ps, alpha=LEVEL, method="holm")[1]]


def _check_counts(*counts: tuple[int, int]) -> None:
    for k, n in counts:
        if n <= 0 or not 0 <= k <= n:
            raise ValueError(f"{k} of {n} is not a rate")


# --- before measuring: what could be found ---


def power(p1: float, p2: float, n: int) -> float:
    """Chance that a two-sided test at the 5% level tells p1 from p2 (fractions), n independent problems per arm."""
    _check_chances(p1, p2)
    if n < 1:
        raise ValueError(f"power needs at least one problem per arm, got {n}")
    return float(power_proportions_2indep(p2 - p1, p1, n, alpha=LEVEL, return_results=False))


def sample_size(p1: float, p2: float, power: float = 0.8) -> int:
    """Independent problems per arm with which p1 and p2 (fractions) are told apart with the given power."""
    _check_chances(p1, p2)
    _check_power(power)
    if p1 == p2:
        raise ValueError("no number of problems tells two equal rates apart")
    size = samplesize_proportions_2indep_onetail(p2 - p1, p1, power, alpha=LEVEL, alternative="two-sided")
    return max(1, ceil(size))


def smallest_detectable_difference(n: int, base: float, power: float = 0.8) -> float:
    """Smallest difference, as a fraction, that n independent problems per arm find with the given power.

    Both arms are given the variance of the `base` rate, as usual for small differences. Infinite where no rate is so
    far from the base.
    """
    _check_power(power)
    if n < 1 or not 0 < base < 1:
        raise ValueError(f"a detectable difference needs problems and a base rate within (0, 1), got {n} and {base}")
    found = _quantiles(power) * sqrt(2 * base * (1 - base) / n)
    return found if found <= max(base, 1 - base) else inf


def smallest_paired_difference(n: int, discordance: float, power: float = 0.8) -> float:
    """Smallest paired difference, as a fraction, that n problems find when a share `discordance` of pairs disagrees.

    Connor's (1987) formula for McNemar's test. Infinite where even one-sided disagreement would not be found.
    """
    _check_power(power)
    if n < 1 or not 0 < discordance <= 1:
        raise ValueError(f"a paired difference needs problems and a discordance in (0, 1], got {n} and {discordance}")
    null, other = norm.ppf(1 - LEVEL / 2), norm.ppf(power)

    def missing(d: float) -> float:
        return float(null * sqrt(discordance) + other * sqrt(max(0.0, discordance - d * d)) - d * sqrt(n))

    return inf if missing(discordance) > 0 else float(brentq(missing, 0.0, discordance))


def _quantiles(power: float) -> float:
    return float(norm.ppf(1 - LEVEL / 2) + norm.ppf(power))


def _check_chances(p1: float, p2: float) -> None:
    if not (0 <= p1 <= 1 and 0 <= p2 <= 1) or p1 == p2 in (0, 1):
        raise ValueError(f"{p1} and {p2} are not two rates between 0 and 1 that could differ")


def _check_power(power: float) -> None:
    if not LEVEL < power < 1:
        raise ValueError(f"a power lies between {LEVEL} and 1, got {power}")


# --- published numbers ---


def grim(percent_text: str, n: int, scale: int = 1) -> Grim:
    """Which counts print as a published percentage of n trials, each of `scale` equal steps (1: right or wrong).

    The digits of the text matter: "10.50" is not "10.5". Exact arithmetic.
    """
    text = percent_text.strip().removesuffix("%").strip()
    if not re.fullmatch(r"\d+(\.\d+)?", text) or Fraction(text) > 100 or n < 1 or scale < 1:
        raise ValueError(f"{percent_text!r} of {n} trials in {scale} steps is no percentage")
    trials = n * scale
    unit = Fraction(1, 10 ** len(text.partition(".")[2]))
    value = Fraction(text)
    even = (value / unit) % 2 == 0
    down, up = value - unit / 2, value + unit / 2
    return Grim(
        text,
        trials,
        _counts(down, True, up, False, trials),
        _counts(down, even, up, even, trials),
        _counts(value, True, value + unit, False, trials),
    )


def _counts(low: Fraction, with_low: bool, high: Fraction, with_high: bool, trials: int) -> range:
    """The counts whose percentage lies between two bounds."""
    first, last = low * trials / 100, high * trials / 100
    start = ceil(first) if with_low else floor(first) + 1
    stop = floor(last) + 1 if with_high else ceil(last)
    return range(max(0, start), max(0, start, min(trials + 1, stop)))


# --- agreement between raters ---


def krippendorff_alpha(ratings: Sequence[Sequence[Hashable]] | np.ndarray, level: str = "nominal") -> float:
    """Krippendorff's alpha of ratings of shape (raters, items); None or NaN where a rater gave none.

    `level` is nominal (any values), ordinal or interval (numbers). Raises ValueError when no item has two ratings or
    no two values differ, where alpha does not exist.
    """
    if level not in ("nominal", "ordinal", "interval"):
        raise ValueError(f"level must be nominal, ordinal or interval, not {level!r}")
    raters = [list(row) for row in ratings]
    if len({len(row) for row in raters}) > 1:
        raise ValueError("every rater must have one rating, or None, for each item")
    items = [[value for value in item if not _missing(value)] for item in zip(*raters, strict=True)]
    items = [item for item in items if len(item) > 1]
    values: list[Any] = list(dict.fromkeys(value for item in items for value in item))
    if len(values) < 2:
        raise ValueError("alpha needs items with two ratings, and at least two values among them")
    if level != "nominal":
        if not all(isinstance(v, int | float | np.number) and isfinite(v) for v in values):
            raise ValueError(f"{level} ratings must be finite numbers")
        values.sort()
    position = {value: at for at, value in enumerate(values)}
    together = np.zeros((len(values), len(values)))
    for item in items:
        counts = np.bincount([position[value] for value in item], minlength=len(values)).astype(float)
        together += (np.outer(counts, counts) - np.diag(counts)) / (len(item) - 1)
    totals = together.sum(axis=0)
    if level == "nominal":
        apart = 1.0 - np.eye(len(values))
    else:
        # On an ordinal scale, values are as far apart as there are ratings between them.
        place = np.cumsum(totals) - totals / 2 if level == "ordinal" else np.array(values, dtype=float)
        apart = np.subtract.outer(place, place) ** 2
    expected = float((np.outer(totals, totals) * apart).sum()) / (totals.sum() - 1)
    return 1.0 - float((together * apart).sum()) / expected


def _missing(value: object) -> bool:
    return value is None or value != value


def cohen_kappa(table: Sequence[Sequence[int]] | np.ndarray) -> Agreement:
    """Cohen's kappa from a square table of counts, first rater in rows, second in columns, with a 95% interval.

    Raises ValueError when both raters used one and the same category only, where kappa does not exist.
    """
    counts = np.asarray(table, dtype=float)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.shape[0] < 2:
        raise ValueError("kappa needs a square table of at least two categories")
    if not np.isfinite(counts).all() or (counts < 0).any() or (counts % 1).any() or not counts.sum():
        raise ValueError("kappa needs whole counts of at least one item")
    if float(counts.sum(axis=0) @ counts.sum(axis=1)) == counts.sum() ** 2:
        raise ValueError("kappa does not exist where both raters used a single category")
    found = cohens_kappa(counts)
    low, high = max(-1.0, float(found.kappa_low)), min(1.0, float(found.kappa_upp))
    return Agreement(float(found.kappa), low, high, int(counts.sum()))
