"""Inference-time scaling: accuracy against the mean number of output tokens (report section 3).

Three ways to spend more or fewer tokens with the same model, all from one set of samples:

- one answer, at its own length;
- maj@k, the report's way to larger budgets: k answers and a vote, at k times the tokens (Wang et al. 2022);
- truncation: an answer longer than L tokens is cut off, and counts as wrong.

pass@k (Chen et al. 2021) and maj@k are expectations over all k-subsets of the n samples that were drawn, so one run
gives the whole curve up to n, with ties shared fairly and abstentions (no answer) never winning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import comb

import numpy as np

from longthought.errors import UserError
from longthought.evaluation.samples import Graded
from longthought.statistics import clustered_interval


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

    `votes` are class numbers, -1 for an abstention, which never wins. Exact. Raises ValueError when k exceeds the
    number of votes.
    """
    if not 1 <= k <= len(votes):
        raise ValueError(f"maj@{k} needs at least {k} samples, got {len(votes)}")
    return float(maj_curve(votes, gold)[k - 1])


def maj_curve(votes: Sequence[int], gold: int) -> np.ndarray:
    """maj@k for every k from 1 to the number of votes; see `maj_at_k`."""
    classes = [v for v in votes if v != -1]
    counts = tuple(sorted(classes.count(v) for v in set(classes) if v != gold))
    return np.array(_maj_curve(classes.count(gold), counts, len(votes) - len(classes)))


@lru_cache(maxsize=100_000)
def _maj_curve(gold: int, others: tuple[int, ...], abstentions: int) -> tuple[float, ...]:
    """The curve from the sizes of the classes alone.

    For each number t of gold votes in the subset, a polynomial counts the ways to draw s other votes with no class
    above t. A tie of r other classes is worth 1/(r+1), the integral of y^r over [0, 1], so each class at t carries a
    factor y and Gauss-Legendre quadrature of sufficient order makes the integral exact.
    """
    n = gold + sum(others) + abstentions
    won = np.zeros(n + 1)
    for t in range(1, gold + 1):
        ties = sum(1 for c in others if c >= t)
        nodes, weights = np.polynomial.legendre.leggauss(ties // 2 + 1)
        y, weights = (nodes + 1) / 2, weights / 2
        ways = np.zeros((len(y), n + 1))
        ways[:, 0] = 1.0
        for size in others:
            grown = np.zeros_like(ways)
            for drawn in range(min(size, t) + 1):
                factor = comb(size, drawn) * (y[:, None] if drawn == t else 1.0)
                grown[:, drawn:] += factor * ways[:, : n + 1 - drawn]
            ways = grown
        free = np.zeros(n + 1)
        row = weights @ ways
        for drawn in range(abstentions + 1):
            free[drawn:] += comb(abstentions, drawn) * row[: n + 1 - drawn]
        won[t:] += comb(gold, t) * free[: n + 1 - t]
    return tuple(float(won[k] / comb(n, k)) for k in range(1, n + 1))


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
    curves = np.array([maj_curve(v.tolist(), int(g)) for v, g in zip(graded.votes, graded.gold_vote, strict=True)])
    points = []
    for k in ks:
        per_problem = curves[:, k - 1]
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
