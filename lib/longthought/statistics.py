"""Intervals and paired tests: what a k of n says, and what it does not.

Every rate that the book prints goes through `Rate`, every comparison through `Comparison`, so that none appears
without its count, its interval and, where it is so, the words "not distinguishable". The module knows nothing about
language models. Numerical work is left to scipy and statsmodels.

Sources: Wilson (1927) for single rates; Newcombe (1998), method 10, for paired differences; McNemar's test in its
exact form; crossed bootstrap over problems and seeds after Owen (2007) where several trained models answer the
same problems, since pooling them as if they were independent would make the interval too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy.stats import binomtest, norm
from statsmodels.stats.proportion import proportion_confint

CONFIDENCE = 0.95
DRAWS = 2000


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
        return f"{self.k}/{self.n} = {100 * self.value:.1f}% [{100 * self.low:.1f}, {100 * self.high:.1f}]"


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
        return self.p < 1 - CONFIDENCE

    def __str__(self) -> str:
        p = "p < 0.0001" if self.p < 1e-4 else f"p = {self.p:.4f}"
        verdict = "" if self.distinguishable else "; not distinguishable"
        return (
            f"{100 * self.difference:+.1f} points [{100 * self.low:+.1f}, {100 * self.high:+.1f}], {p} ({self.test}), "
            f"discordant {self.only_first}:{self.only_second} of {self.n}{verdict}"
        )


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


def _crossed_bootstrap(matrix: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Percentile interval of the mean when rows (seeds) and columns (problems) are both drawn again."""
    rng = np.random.default_rng(seed)
    rows, columns = matrix.shape
    row_weights = rng.multinomial(rows, np.full(rows, 1 / rows), size=DRAWS)
    column_weights = rng.multinomial(columns, np.full(columns, 1 / columns), size=DRAWS)
    means = np.einsum("dr,rc,dc->d", row_weights, matrix, column_weights, optimize=True) / matrix.size
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(means, [tail, 100 - tail])
    return float(low), float(high)


def rate(outcomes: Sequence[Sequence[bool]] | Sequence[bool] | np.ndarray) -> Rate:
    """The rate of True in outcomes of shape (problems,) or (seeds, problems).

    One seed: Wilson. Several: a crossed bootstrap over seeds and problems, never narrower than Wilson on the
    problems alone, since a few seeds tell little about the spread between them.
    """
    matrix = _as_matrix(outcomes)
    k, n, seeds = int(matrix.sum()), int(matrix.size), matrix.shape[0]
    if seeds == 1:
        return wilson(k, n)
    low, high = _crossed_bootstrap(matrix)
    one = wilson(round(k / seeds), n // seeds)
    return Rate(k, n, min(low, one.low), max(high, one.high), seeds)


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
    z = float(norm.ppf((1 + CONFIDENCE) / 2))
    centre = (p + z * z / (2 * effective)) / (1 + z * z / effective)
    half = z * sqrt(p * (1 - p) / effective + z * z / (4 * effective**2)) / (1 + z * z / effective)
    return (0.0 if p == 0 else max(0.0, centre - half)), (1.0 if p == 1 else min(1.0, centre + half))


def compare(
    first: Sequence[Sequence[bool]] | Sequence[bool] | np.ndarray,
    second: Sequence[Sequence[bool]] | Sequence[bool] | np.ndarray,
) -> Comparison:
    """Second minus first on the same problems: (problems,) each, or (seeds, problems) each.

    One row of right-or-wrong each: exact McNemar and Newcombe's paired interval. Several rows, or expected accuracies
    between 0 and 1: a sign-flip test over problems on the mean difference, and a crossed bootstrap interval.
    Raises ValueError when the shapes differ.
    """
    a, b = _as_matrix(first), _as_matrix(second)
    if a.shape != b.shape:
        raise ValueError(f"a paired comparison needs the same problems and seeds, got {a.shape} and {b.shape}")
    only_first, only_second = int((a > b).sum()), int((a < b).sum())
    difference = float((b - a).mean())
    if a.shape[0] == 1 and np.isin(a, (0, 1)).all() and np.isin(b, (0, 1)).all():
        discordant = only_first + only_second
        p = float(binomtest(only_first, discordant).pvalue) if discordant else 1.0
        low, high = newcombe_paired(int((a * b).sum()), only_first, only_second, a.size)
        return Comparison(difference, low, high, p, only_first, only_second, a.size, "exact McNemar")
    low, high = _crossed_bootstrap(b - a)
    p = _sign_flip((b - a).mean(axis=0))
    return Comparison(
        difference,
        low,
        high,
        p,
        only_first,
        only_second,
        a.size,
        "sign-flip over problems" + (f", {len(a)} seeds" if len(a) > 1 else ""),
    )


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
