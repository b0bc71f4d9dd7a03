"""Which thoughts are kept because they reflect, and the control without which such a choice proves nothing.

The report selects about 5,000 thoughts that show retrospection for its bilingual set (section 4). Ranking by the number
of marks would choose the longest thoughts, ranking by their density the shortest; so here a thought only has to pass a
threshold, and chance decides among those that do. A gain from selected data means little as long as any data of the
same size and length might bring it: `matched_control` draws such data without a look at reflection.
"""

from __future__ import annotations

import hashlib
import random
from bisect import bisect_left
from collections.abc import Iterable, Sequence

from longthought.errors import UserError
from longthought.thoughts.record import Thought
from longthought.thoughts.reflection import reflection, words

BALANCED = ("language", "difficulty", "family")
# The control takes one of so many thoughts of the nearest length.
_NEAREST = 5


def select_reflective(
    thoughts: Sequence[Thought],
    count: int,
    *,
    threshold: float = 0.0,
    balance: Sequence[str] = (),
    seed: int = 0,
) -> list[Thought]:
    """`count` accepted thoughts with more than `threshold` marks of reflection per 100 words, one for a problem.

    `balance` names fields of the problem (see `BALANCED`) whose values get equal shares as long as they last. The same
    thoughts give the same choice in whatever order they come. Raises UserError when too few thoughts qualify.
    """
    _check(balance)
    fit = [
        t for t in thoughts if t.accepted and reflection(t.text, t.problem.language, t.problem.text).score > threshold
    ]
    groups: dict[tuple[str, ...], list[Thought]] = {}
    for thought in _one_for_a_problem(fit, seed):
        groups.setdefault(_group(thought, balance), []).append(thought)
    available = sum(map(len, groups.values()))
    if available < count:
        raise UserError(
            f"asked for {count} reflective thoughts, but only {available} problems have an accepted thought with more "
            f"than {threshold:g} marks per 100 words: ask for fewer, lower the threshold, or make more thoughts"
        )
    chosen: list[Thought] = []
    while len(chosen) < count:
        for key in sorted(groups):
            if groups[key] and len(chosen) < count:
                chosen.append(groups[key].pop(0))
    return chosen


def matched_control(
    selected: Sequence[Thought], thoughts: Sequence[Thought], *, balance: Sequence[str] = (), seed: int = 0
) -> list[Thought]:
    """For each selected thought another accepted one of nearly its length, at random with regard to reflection.

    Problems that were selected are left out, a problem comes once, and the fields of `balance` agree pair by pair.
    Raises UserError when too few thoughts are left.
    """
    _check(balance)
    taken = {t.problem.id for t in selected}
    left = _one_for_a_problem([t for t in thoughts if t.accepted and t.problem.id not in taken], seed)
    groups: dict[tuple[str, ...], list[tuple[float, int]]] = {}
    for at, thought in enumerate(left):
        groups.setdefault(_group(thought, balance), []).append((words(thought.text), at))
    for group in groups.values():
        group.sort()
    rng = random.Random(f"control-{seed}")
    order = rng.sample(range(len(selected)), len(selected))
    control: dict[int, Thought] = {}
    for place in order:
        group = groups.get(_group(selected[place], balance), [])
        if not group:
            raise UserError(
                f"the control wants {len(selected)} accepted thoughts on problems that were not selected, but only "
                f"{len(left)} are left of its kinds: select fewer, or make more thoughts"
            )
        length = words(selected[place].text)
        middle = bisect_left(group, (length, -1))
        near = sorted(
            range(max(0, middle - _NEAREST), min(len(group), middle + _NEAREST)),
            key=lambda i, own=group: (abs(own[i][0] - length), i),  # type: ignore[misc]
        )
        control[place] = left[group.pop(rng.choice(near[:_NEAREST]))[1]]
    return [control[place] for place in range(len(selected))]


def _check(balance: Sequence[str]) -> None:
    for name in balance:
        if name not in BALANCED:
            raise UserError(f"balance over {name!r} is not known: choose from {', '.join(BALANCED)}")


def _group(thought: Thought, balance: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(getattr(thought.problem, name)) for name in balance)


def _one_for_a_problem(thoughts: Iterable[Thought], seed: int) -> list[Thought]:
    """The thoughts in an order that only their content and the seed decide, the first of each problem."""

    def lot(thought: Thought) -> bytes:
        return hashlib.sha256(f"{seed}\n{thought.problem.id}\n{thought.text}".encode()).digest()

    first: dict[str, Thought] = {}
    for thought in sorted(thoughts, key=lot):
        first.setdefault(thought.problem.id, thought)
    return list(first.values())
