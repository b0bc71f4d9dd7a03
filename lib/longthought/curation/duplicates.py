"""Duplicates: whether a problem has been seen before, in one pass over as many as there are.

Exact means the same tokens in the same order (see `similarity`: case, white space and the spelling of TeX do not
count). Near means that the shingles of both texts overlap by `threshold` or more (Jaccard), *and* that everything that
can make another problem of the same words is the same in the same order: numbers, signs, names of variables, and words
such as "largest", "odd" or "area". Two problems that differ in their numbers alone are therefore different problems.

Candidates come from MinHash bands, and each is verified on the texts. The hash of the telling tokens is part of a
band's key, so that ten thousand problems of one template do not meet in one bucket. Kept in memory for each text:
itself in UTF-8 and eight bytes for each of its keys.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from longthought.curation import similarity

_BANDS = 12
_MISSED = 0.01  # of the pairs that are just as similar as the threshold
_SLOTS = 1 << 20  # of each column of keys
_BLOCK = 2048
_BLOCK_CHARACTERS = 4_000_000


@dataclass(frozen=True)
class Match:
    """An earlier text that says the same.

    `kind` is "exact" or "near", `index` counts the texts that were kept, from 0, and `score` is the Jaccard similarity
    of the shingles (1.0 for exact).
    """

    kind: str
    index: int
    score: float


class Duplicates:
    """Remembers the texts that it has not seen before.

    With `threshold` at 0.8, of pairs that are just so similar one in a hundred is missed, of more similar pairs fewer.
    Raises ValueError for a threshold outside (0, 1].
    """

    def __init__(self, threshold: float = 0.8) -> None:
        if not 0 < threshold <= 1:
            raise ValueError(f"a threshold of similarity lies above 0 and up to 1, not {threshold}")
        self.threshold = threshold
        each = 1 - _MISSED ** (1 / _BANDS)
        self._rows = 10 if threshold == 1 else max(1, min(10, int(math.log(each) / math.log(threshold))))
        self._columns = _BANDS + 1
        self.count = 0
        self._texts = bytearray()
        self._ends = np.zeros(1, np.int64)
        self._keys = np.zeros((0, self._columns), np.uint32)
        self._earlier = np.zeros((0, self._columns), np.int32)
        # The latest text in each slot of a column, plus one: zero is empty, and untouched pages take no memory.
        self._latest = np.zeros((self._columns, _SLOTS), np.int32)

    def check(self, text: str) -> Match | None:
        """The earlier text that this one repeats; None when there is none, and then the text is remembered."""
        return self.check_many([text])[0]

    def check_many(self, texts: Sequence[str]) -> list[Match | None]:
        """`check` for each text in turn, faster; texts repeat those before them in `texts` as well."""
        found: list[Match | None] = []
        block: list[str] = []
        size = 0
        for text in texts:
            block.append(text)
            size += len(text)
            if len(block) == _BLOCK or size > _BLOCK_CHARACTERS:
                found += self._check_block(block)
                block, size = [], 0
        return found + self._check_block(block) if block else found

    def _check_block(self, texts: list[str]) -> list[Match | None]:
        tokens = similarity.hashed(texts)
        runs = similarity.shingles(tokens)
        full = self._full_keys(tokens, runs)
        candidates = self._earlier_candidates(full)
        found: list[Match | None] = [None] * len(texts)
        first_ordinal = self.count
        kept: list[int] = []
        # Only rows that share a key with another row of the block have to look among its kept rows.
        shared = _shared(full)
        here: dict[tuple[int, int], list[int]] = {}
        for row in range(len(texts)):
            best = None
            seen = candidates.get(row)
            if seen:
                best = self._best(tokens.of(row), runs.of(row), seen, tokens, runs, kept, first_ordinal)
            if row in shared and (best is None or best.kind == "near"):
                own = {n for column in shared[row] for n in here.get((column, int(full[row, column])), ())}
                near = self._best(tokens.of(row), runs.of(row), own, tokens, runs, kept, first_ordinal)
                best = _better(best, near)
            found[row] = best
            if best is None:
                for column in shared.get(row, ()):
                    here.setdefault((column, int(full[row, column])), []).append(first_ordinal + len(kept))
                kept.append(row)
        self._remember([texts[row] for row in kept], full[kept])
        return found

    def _full_keys(self, tokens: similarity.Tokens, runs: similarity.Tokens) -> npt.NDArray[np.uint64]:
        """The keys of each text, shape (texts, bands + 1): one per band, and that of the whole text."""
        signatures = similarity.signatures(runs, _BANDS * self._rows).astype(np.uint64)
        keys = np.empty((len(runs.starts) - 1, self._columns), np.uint64)
        telling = similarity.sequence_hashes(tokens, similarity.telling(tokens.ids))
        for band in range(_BANDS):
            key = telling + np.uint64(band)
            for row in signatures[band * self._rows : (band + 1) * self._rows]:
                key = similarity.mix(key) + row
            keys[:, band] = similarity.mix(key)
        keys[:, _BANDS] = similarity.sequence_hashes(tokens)
        return keys

    def _earlier_candidates(self, full: npt.NDArray[np.uint64]) -> dict[int, set[int]]:
        """For each row, by its number, the ordinals of the kept texts that share a key."""
        candidates: dict[int, set[int]] = {}
        tags = _tags(full)
        current = self._latest[np.arange(self._columns), _slots(full)]
        rows, columns = np.nonzero(current)
        while len(rows):
            at = current[rows, columns] - 1
            same = self._keys[at, columns] == tags[rows, columns]
            for row, ordinal in zip(rows[same].tolist(), at[same].tolist(), strict=True):
                candidates.setdefault(row, set()).add(ordinal)
            current[rows, columns] = self._earlier[at, columns]
            alive = current[rows, columns] > 0
            rows, columns = rows[alive], columns[alive]
        return candidates

    def _best(
        self,
        own_tokens: similarity.Array,
        own_runs: similarity.Array,
        ordinals: set[int],
        tokens: similarity.Tokens,
        runs: similarity.Tokens,
        kept: list[int],
        first_ordinal: int,
    ) -> Match | None:
        """The most similar of the kept texts that passes; an exact one at once, else the earliest of the best."""
        best: Match | None = None
        for ordinal in sorted(ordinals):
            if ordinal >= first_ordinal:
                row = kept[ordinal - first_ordinal]
                other_tokens, other_runs = tokens.of(row), runs.of(row)
            else:
                again = similarity.hashed([self._text(ordinal)])
                other_tokens, other_runs = again.ids, similarity.shingles(again).ids
            if np.array_equal(own_tokens, other_tokens):
                return Match("exact", ordinal, 1.0)
            telling = own_tokens[similarity.telling(own_tokens)]
            if np.array_equal(telling, other_tokens[similarity.telling(other_tokens)]):
                score = similarity.jaccard(own_runs, other_runs)
                if score >= self.threshold and (best is None or score > best.score):
                    best = Match("near", ordinal, score)
        return best

    def _text(self, ordinal: int) -> str:
        return self._texts[self._ends[ordinal] : self._ends[ordinal + 1]].decode("utf-8", "surrogatepass")

    def _remember(self, texts: list[str], full: npt.NDArray[np.uint64]) -> None:
        if not texts:
            return
        first, after = self.count, self.count + len(texts)
        if after > len(self._keys):
            room = max(after, len(self._keys) + len(self._keys) // 4 + _BLOCK)
            # In place, so that the old and the new array never stand side by side.
            self._keys.resize((room, self._columns), refcheck=False)
            self._earlier.resize((room, self._columns), refcheck=False)
            self._ends.resize(room + 1, refcheck=False)
        encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
        self._ends[first + 1 : after + 1] = self._ends[first] + np.cumsum([len(e) for e in encoded])
        self._texts += b"".join(encoded)
        self._keys[first:after] = _tags(full)
        slots = _slots(full)
        for column in range(self._columns):
            own = slots[:, column]
            order = np.argsort(own, kind="stable")
            latest = self._latest[column]
            before = latest[own[order]]
            repeated = np.flatnonzero(own[order][1:] == own[order][:-1])
            before[repeated + 1] = first + order[repeated] + 1
            self._earlier[first + order, column] = before
            latest[own[order]] = first + order + 1
        self.count = after


def _slots(full: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    return (full & np.uint64(_SLOTS - 1)).astype(np.int64)


def _tags(full: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint32]:
    return (full >> np.uint64(32)).astype(np.uint32)


def _shared(full: npt.NDArray[np.uint64]) -> dict[int, list[int]]:
    """The rows that share a key with another row of the block: row number to the columns where they do."""
    found: dict[int, list[int]] = {}
    for column in range(full.shape[1]):
        order = np.argsort(full[:, column])
        equal = np.flatnonzero(full[order[1:], column] == full[order[:-1], column])
        for row in np.unique(np.concatenate([order[equal], order[equal + 1]])).tolist():
            found.setdefault(row, []).append(column)
    return found


def _better(one: Match | None, two: Match | None) -> Match | None:
    if one is None or two is None:
        return one or two
    if two.kind == "exact" or (one.kind == "near" and two.score > one.score):
        return two
    return one
