"""Inference-time scaling: accuracy against the mean number of output tokens (report section 3).

Three ways to spend more or fewer tokens with the same model, all from one set of samples:

- one answer, at its own length;
- maj@k, the report's way to larger budgets: k answers and a vote, at k times the tokens (Wang et al. 2022);
- truncation: an answer longer than L tokens is cut off, and counts as wrong.

pass@k (Chen et al. 2021) and maj@k are expectations over all k-subsets of the n samples that were drawn, so one run
gives the whole curve up to n, with ties shared fairly and abstentions (no answer) never winning. They are exact up to
`EXACT_SAMPLES` samples of a problem; beyond that maj@k is the mean over seeded random subsets.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import comb
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from longthought.errors import UserError
from longthought.statistics import clustered_interval

if TYPE_CHECKING:
    from longthought.evaluation.samples import Graded

# Beyond this many samples of one problem the number of subsets outgrows a float, and random subsets take over.
EXACT_SAMPLES = 1000
# Standard error of one problem's maj@k beyond that: at most 0.5 / sqrt(10,000) = 0.005.
MONTE_CARLO_DRAWS = 10_000
_CHUNK = 32_768  # numbers in the arrays of one step


@dataclass(frozen=True)
class Point:
    """One point of a budget curve; `per_problem` holds each problem's expected accuracy, for paired comparisons."""

    label: str
    budget: str
    tokens: float
    accuracy: float
    low: float
    high: float
    per_problem: np.ndarray
    truncated: int = 0
    answers: int = 0


def pass_at_k(correct: int, samples: int, k: int) -> float:
    """Probability that a random k-subset of `samples` holds at least one of the `correct` ones.

    Raises ValueError when k > samples: the estimate would be invented, not measured.
    """
    if not 1 <= k <= samples or not 0 <= correct <= samples:
        raise ValueError(f"pass@{k} needs at least {k} samples and {correct} <= samples, got {samples}")
    return 1.0 - comb(samples - correct, k) / comb(samples, k)


def maj_at_k(votes: Sequence[int], gold: int, k: int) -> float:
    """Probability that `gold` wins the vote of a random k-subset of `votes`, a tie of r classes counting 1/r.

    `votes` are class numbers, -1 for an abstention, which never wins. Exact up to `EXACT_SAMPLES` votes, beyond that
    the mean of `MONTE_CARLO_DRAWS` random subsets. Raises ValueError when k exceeds the number of votes.
    """
    return float(maj_curves([votes], [gold], [k])[0, 0])


def maj_curve(votes: Sequence[int], gold: int) -> np.ndarray:
    """maj@k for every k from 1 to the number of votes; see `maj_at_k`."""
    return maj_curves([votes], [gold], range(1, len(votes) + 1))[0]


def maj_curves(votes: Sequence[Sequence[int]], gold: Sequence[int], ks: Sequence[int]) -> np.ndarray:
    """maj@k of many problems at once, shape (problems, ks); see `maj_at_k`.

    `votes` holds a row per problem and `gold` the class that is right in it. Rows may differ in length. Raises
    ValueError for a k that a row is too short for.
    """
    sizes = [_class_sizes(row, right) for row, right in zip(votes, gold, strict=True)]
    shortest = min((len(row) for row in votes), default=0)
    if not ks or min(ks) < 1 or max(ks) > shortest:
        raise ValueError(f"k runs from 1 to at least one sample per vote: not k = {list(ks)} with {shortest} samples")
    # Only the sizes of the classes matter, so problems that share them share the work, and order cannot matter.
    by_length: dict[int, list[_Sizes]] = {}
    for one in dict.fromkeys(sizes):
        by_length.setdefault(one.n, []).append(one)
    found: dict[_Sizes, np.ndarray] = {}
    at = np.array(ks)
    for n, different in by_length.items():
        if n <= EXACT_SAMPLES:
            found.update(zip(different, _exact(different, n)[:, at], strict=True))
        else:
            found.update((one, np.array([_monte_carlo(one, k) for k in ks])) for one in different)
    return np.array([found[one] for one in sizes])


class _Sizes(NamedTuple):
    """What decides a vote: how many samples gave the gold, each other class (largest first), and none."""

    gold: int
    others: tuple[int, ...]
    abstentions: int

    @property
    def n(self) -> int:
        return self.gold + sum(self.others) + self.abstentions


def _class_sizes(votes: Sequence[int], gold: int) -> _Sizes:
    counts = Counter(votes)
    abstentions = counts.pop(-1, 0)
    right = counts.pop(gold, 0)
    return _Sizes(right, tuple(sorted(counts.values(), reverse=True)), abstentions)


@lru_cache(maxsize=8)
def _binomials(n: int) -> np.ndarray:
    """Pascal's triangle up to n, shape (n + 1, n + 1)."""
    table = np.zeros((n + 1, n + 1))
    table[:, 0] = 1.0
    for row in range(1, n + 1):
        table[row, 1:] = table[row - 1, 1:] + table[row - 1, :-1]
    return table


def _exact(problems: Sequence[_Sizes], n: int) -> np.ndarray:
    """maj@k for k from 0 to n of problems with n samples each, shape (problems, n + 1).

    For each number t of gold votes in the subset, a polynomial in x counts the ways to draw other votes with no class
    above t. A tie of r other classes is worth 1/(r+1), the integral of y^r over [0, 1], so each class that reaches t
    carries a factor y there, and Gauss-Legendre quadrature of sufficient order makes the integral exact. A class below
    t is never cut off, so all of them and the abstentions together are one binomial. Every term is positive: nothing
    cancels, and the result is as precise as its type (counts stay below the largest one up to n = 1029).
    """
    choose = _binomials(n)
    gold = np.array([p.gold for p in problems], dtype=int)
    width = max((len(p.others) for p in problems), default=0)
    others = np.array([p.others + (0,) * (width - len(p.others)) for p in problems], dtype=int).reshape(
        len(problems), width
    )
    won = np.zeros((len(problems), n + 1))
    for t in range(1, int(gold.max(initial=0)) + 1):
        rows = np.flatnonzero(gold >= t)
        reach = (others[rows] >= t).sum(axis=1)
        order = np.argsort(-reach, kind="stable")
        rows, reach = rows[order], reach[order]
        begin = 0
        while begin < len(rows):
            # As many problems at once as keep the arrays within a processor's cache.
            nodes = 1 if t == 1 else int(reach[begin]) // 2 + 1
            chunk = slice(begin, begin + max(1, _CHUNK // (nodes * (n + 1))))
            own = rows[chunk]
            ways = _without_overtaking(others[own], reach[chunk], t, n, choose)
            free = n - gold[own] - np.where(others[own] >= t, others[own], 0).sum(axis=1)
            won[own, t:] += choose[gold[own], t][:, None] * _times_binomial(ways, choose[free])[:, : n + 1 - t]
            begin += len(own)
    return won / choose[n]


def _without_overtaking(others: np.ndarray, reach: np.ndarray, t: int, n: int, choose: np.ndarray) -> np.ndarray:
    """Weighted ways to draw s votes from the classes that reach t, none above t, shape (problems, up to n + 1).

    `reach` is the number of such classes, falling from problem to problem; in `others` they come first.
    """
    ranks = int(reach[0]) if len(reach) else 0
    full = min(n, ranks * t) + 1
    if t == 1:
        # One vote per class at most: elementary symmetric polynomials, with every drawn class in the tie.
        symmetric = np.zeros((len(others), full))
        symmetric[:, 0] = 1.0
        for rank in range(ranks):
            symmetric[:, 1:] += others[:, rank, None] * symmetric[:, :-1]
        return symmetric / np.arange(1, full + 1)
    y, weights = _quadrature(ranks // 2 + 1)
    ways = np.zeros((len(others), len(y), full))
    ways[:, :, 0] = 1.0
    for rank in range(ranks):
        live = int(np.searchsorted(-reach, -rank))  # the problems with more than `rank` such classes
        before = ways[:live, :, : min(full, rank * t + 1)].copy()
        factors = choose[others[:live, rank], : t + 1]
        for drawn in range(1, t + 1):
            part = before[:, :, : full - drawn]
            factor = factors[:, drawn, None, None] * (y[:, None] if drawn == t else 1.0)
            ways[:live, :, drawn : drawn + part.shape[2]] += factor * part
    return np.asarray(weights @ ways)


def _times_binomial(ways: np.ndarray, free: np.ndarray) -> np.ndarray:
    """The product of polynomials, row by row, shape of `free`: (problems, n + 1)."""
    product = np.zeros_like(free)
    for drawn in range(ways.shape[1]):
        product[:, drawn:] += ways[:, drawn, None] * free[:, : free.shape[1] - drawn]
    return product


@lru_cache(maxsize=512)
def _quadrature(order: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre nodes and weights on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    return (nodes + 1) / 2, weights / 2


def _monte_carlo(problem: _Sizes, k: int, draws: int = MONTE_CARLO_DRAWS) -> float:
    """maj@k as the mean over random k-subsets; the same problem and k give the same subsets."""
    seed = int.from_bytes(hashlib.sha256(f"{tuple(problem)}|{k}".encode()).digest()[:8], "big")
    rng = np.random.default_rng(seed)
    drawn = rng.multivariate_hypergeometric([*problem.others, problem.gold, problem.abstentions], k, size=draws)
    gold, others = drawn[:, -2], drawn[:, :-2]
    if not problem.gold:
        return 0.0
    wins = (gold > 0) & (gold >= others.max(axis=1, initial=0))
    return float((wins / (1 + (others == gold[:, None]).sum(axis=1))).mean())


def one_answer(graded: Graded) -> Point:
    """Mean accuracy of a single answer at its own mean length."""
    per_problem = graded.correct.mean(axis=1)
    low, high = clustered_interval(per_problem)
    cut, answers = int(graded.truncated.sum()), graded.truncated.size
    accuracy = float(per_problem.mean())
    return Point(graded.label, "one answer", graded.mean_tokens, accuracy, low, high, per_problem, cut, answers)


def votes_curve(graded: Graded, ks: Sequence[int]) -> list[Point]:
    """maj@k at k times the mean tokens, for each k. Raises UserError for a k beyond the samples drawn."""
    n = graded.votes.shape[1]
    if max(ks) > n:
        raise UserError(f"maj@{max(ks)} needs {max(ks)} samples per problem, but only {n} were drawn: raise `samples`")
    curves = maj_curves(graded.votes.tolist(), graded.gold_vote.tolist(), ks)
    points = []
    for k, per_problem in zip(ks, curves.T, strict=True):
        low, high = clustered_interval(per_problem)
        accuracy, cost = float(per_problem.mean()), k * graded.mean_tokens
        points.append(Point(graded.label, f"maj@{k}", cost, accuracy, low, high, per_problem))
    return points


def truncation_curve(graded: Graded, caps: Sequence[int]) -> list[Point]:
    """Accuracy when an answer longer than L tokens is cut off at L and counts as wrong, for each L in `caps`."""
    points = []
    for cap in sorted(caps):
        cut = (graded.tokens > cap) | graded.truncated
        per_problem = (graded.correct & ~cut).mean(axis=1)
        low, high = clustered_interval(per_problem)
        tokens = float(np.minimum(graded.tokens, cap).mean())
        accuracy, size = float(per_problem.mean()), cut.size
        points.append(Point(graded.label, f"L={cap}", tokens, accuracy, low, high, per_problem, int(cut.sum()), size))
    return points


def at_budget(points: Sequence[Point], tokens: float) -> np.ndarray:
    """Per-problem accuracy at a budget, linear between neighbouring points of one curve.

    Raises UserError outside the curve: a budget that was never measured is not compared.
    """
    ordered = sorted(points, key=lambda p: p.tokens)
    low, high = ordered[0].tokens, ordered[-1].tokens
    if not low <= tokens <= high:
        raise UserError(
            f"{ordered[0].label} was measured from {low:.0f} to {high:.0f} tokens: it has no accuracy at {tokens:.0f}"
        )
    for left, right in pairwise(ordered):
        if left.tokens <= tokens <= right.tokens and right.tokens > left.tokens:
            share = (tokens - left.tokens) / (right.tokens - left.tokens)
            return np.asarray((1 - share) * left.per_problem + share * right.per_problem)
    return ordered[0].per_problem
