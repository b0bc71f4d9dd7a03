"""Decontamination: which training texts repeat a problem of a benchmark, and how.

Each text passes stages, and the first that finds it says so:

- `exact`: the same but for the spelling (see `similarity`), braces, and spaces between letters;
- `n-gram`: it holds half or more of the runs of 8 tokens (words, numbers, signs; characters of Chinese) that tell a
  benchmark problem from its neighbours. Runs that several benchmark problems share are boilerplate and do not count. A
  problem too short to have a run is looked for whole, among texts with the same numbers that are not much longer;
- `fuzzy`: a reworded copy; the tokens agree (rapidfuzz's indel similarity, in order or sorted), and the numbers do;
- `multilingual`: the same formulas, numbers and names of variables, enough of them, whatever the words around them; or
  a fuzzy match between a text in Chinese characters and one without;
- `embedding`: with a model of the user's choice, the cosine of mean-pooled embeddings;
- `template`: the same words with other numbers. A renumbered copy is another problem, so it is reported, and removed
  only on demand: problems of one family are templates of each other. The same numbers in another order count as
  reworded.

Nothing is compared pair by pair. Inverted indices of the benchmarks, as sparse matrices, propose the pairs, so that the
work grows with the number of training texts alone. Checking by n-grams of words goes back to Brown et al. (2020),
appendix C; that rewording and translation pass below it, to Yang et al. (2023, arXiv:2311.04850).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import Indel
from scipy import sparse
from xxhash import xxh3_64_intdigest

from longthought.curation import similarity
from longthought.curation.rows import Broken, Source, parsed
from longthought.curation.similarity import Array, Tokens
from longthought.errors import UserError

STAGES = ("exact", "n-gram", "fuzzy", "multilingual", "embedding", "template")
Embed = Callable[[Sequence[str]], npt.NDArray[np.float32]]
_COMMIT = re.compile(r"[0-9a-f]{40}")
_EXCERPT = 160
_BLOCK = 1024
_BLOCK_CHARACTERS = 1_000_000
_CELLS = 4_000_000  # of the products of a block with the index


@dataclass(frozen=True)
class Limits:
    """From where on a text counts as a copy; all but the first are shares from 0 to 1.

    `ngram`: tokens in a run; `coverage`: of a problem's own runs; `fuzzy`, `template`: similarity of the tokens, for a
    template with the numbers masked; `numbers`: of a problem's numbers that a reworded copy keeps; `skeleton`: of the
    weight of the formulas; `cosine`: of the embeddings.
    """

    ngram: int = 8
    coverage: float = 0.5
    fuzzy: float = 0.65
    numbers: float = 0.75
    template: float = 0.85
    skeleton: float = 0.8
    cosine: float = 0.9


# Pairs below these shares are not looked at by the fuzzy and the template stage.
_WORTH_SHINGLES = 0.15
_WORTH_SKELETON = 0.6
_LONGER = 3  # times the problem: a text in which a whole short problem may still be a copy
_UNVOUCHED = 0.1  # more of similarity that is wanted of texts with hardly a number
_FEWEST_RUNS = 4
_LEAST_WORDS = 5  # of a template
# Of a skeleton: formulas alone have to tell more where the words could have told as well.
_LEAST_BITS = 12.0
_LEAST_BITS_ACROSS_SCRIPTS = 8.0


@dataclass(frozen=True)
class Finding:
    """A training text, by its row from 0, that repeats a problem of a benchmark; `text` and `problem` are excerpts."""

    row: int
    benchmark: str
    id: str
    stage: str
    score: float
    text: str
    problem: str


@dataclass(frozen=True)
class Item:
    """A benchmark problem as the index holds it: an id within its benchmark, and its text."""

    id: str
    text: str


def read_benchmark(source: str) -> tuple[str, list[Item]]:
    """The name and the problems of a benchmark: a JSONL, JSON or Parquet file, or `name@commit` on a data set hub.

    The text stands in the field problem or question, the id in unique_id or id; all splits of a hub's data set are
    read. Raises UserError for a file that does not read as a whole, a row without a text, a name without a full commit,
    and an unreachable hub.
    """
    origin = Source.of(source)
    if origin.commit:
        return origin.name, _from_hub(origin.name, origin.commit)
    items = []
    for chunk in origin.chunks():
        for line, row in parsed(chunk):
            where = f"benchmark {source}, line {line}"
            if isinstance(row, Broken):
                raise UserError(f"{where}: {row.reason}; a benchmark has to be whole")
            items.append(_item(row, where, str(line)))
    if not items:
        raise UserError(f"benchmark {source}: holds no problems; rows with a field problem are wanted")
    return Path(source).name.partition(".")[0], items


def _item(row: Mapping[str, Any], where: str, default_id: str) -> Item:
    text = next((row[name] for name in ("problem", "question", "Problem", "Question") if row.get(name)), None)
    if not isinstance(text, str) or not text.strip():
        raise UserError(
            f"{where}: no text in a field problem or question; present are {', '.join(map(str, row))[:200]}"
        )
    identity = next((row[name] for name in ("unique_id", "id", "ID") if row.get(name) is not None), default_id)
    return Item(str(identity), text)


def _from_hub(name: str, commit: str) -> list[Item]:
    import logging

    from datasets import load_dataset

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # It would print every retry.
    try:
        splits = load_dataset(name, revision=commit)
    except Exception as error:  # The hub's client raises dozens of kinds, each of them "it did not come".
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"benchmark {name}@{commit} could not be fetched ({reason}): check the name and the network, or give a file"
        ) from error
    return [
        _item(row, f"benchmark {name}, split {split}, row {number}", f"{split}/{number}")
        for split, rows in splits.items()
        for number, row in enumerate(rows, start=1)
    ]


def embedder(name: str, *, device: str = "cpu", batch: int = 32, tokens: int = 512) -> Embed:
    """Texts to unit vectors, shape (texts, width): the mean of a model's last hidden states over the real tokens.

    `name` is a folder or `name@commit` on a model hub. Raises UserError when the model cannot be had.
    """
    import torch
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    source, options = name, {}
    if not Path(name).is_dir():
        source, _, commit = name.rpartition("@")
        if not _COMMIT.fullmatch(commit):
            raise UserError(f"model {name!r} is neither a folder nor name@commit, with 40 hex digits, of a model hub")
        options = {"revision": commit}
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, **options)
        model = AutoModel.from_pretrained(source, dtype=torch.float32, **options).to(device).eval()
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"model {name!r} could not be loaded ({reason}): check the name and the network") from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token

    @torch.inference_mode()
    def embed(texts: Sequence[str]) -> npt.NDArray[np.float32]:
        found = []
        for at in range(0, len(texts), batch):
            given = tokenizer(
                list(texts[at : at + batch]), padding=True, truncation=True, max_length=tokens, return_tensors="pt"
            ).to(device)
            states = model(input_ids=given["input_ids"], attention_mask=given["attention_mask"]).last_hidden_state
            mask = given["attention_mask"].unsqueeze(-1).to(states.dtype)
            pooled = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
            found.append(torch.nn.functional.normalize(pooled, dim=1).cpu().numpy())
        return np.concatenate(found)

    return embed


# --- the language-independent part of a text ---

_FORMULA = re.compile(r"\$\$?([^$]{1,1000})\$\$?|\\\((.{1,1000}?)\\\)|\\\[(.{1,1000}?)\\\]", re.DOTALL)
_WORDS_INSIDE = re.compile(r"\\(?:text\w*|mbox|mathrm|operatorname|begin|end)\s*\{[^{}]{0,200}\}")
_POINTS = re.compile(r"\b[B-HJ-Z]{1,4}\b|\b\d[\d,]*(?:\.\d+)?")
_CHINESE = re.compile("[\u3400-\u9fff]")
_SKELETON_CHARACTERS = 20_000
_MOST_REPEATED = 20
_SIGNS = frozenset("+-*/^=<>|%")


def _formulas(text: str) -> str:
    """What of a text any translation would keep: its formulas, the numbers, and the names of points."""
    text = _WORDS_INSIDE.sub(" ", text[:_SKELETON_CHARACTERS])
    if _CHINESE.search(text):
        return _CHINESE.sub(" ", text)
    parts: list[str] = []
    at = 0
    for formula in _FORMULA.finditer(text):
        parts += _POINTS.findall(text[at : formula.start()])
        parts.append(formula[formula.lastindex or 0])
        at = formula.end()
    return " ".join([*parts, *_POINTS.findall(text[at:])])


def _chinese(texts: Sequence[str]) -> npt.NDArray[np.bool_]:
    return np.array([_CHINESE.search(text) is not None for text in texts])


def _bits(item: str) -> float:
    """About how surprising it is to meet the item in another problem, in bits."""
    if item[0].isdigit():
        return min(1.5 + 1.75 * (len(item) - 1), 6.0)
    if item[0] == "\\":
        return 1.5
    return 0.25 if item in _SIGNS else 1.0


def skeleton(text: str) -> dict[str, int]:
    """The multiset of a text's numbers, variables, commands and signs: item to count, at most 20."""
    counts: Counter[str] = Counter()
    for token, count in Counter(similarity.spellings(_formulas(text))).items():
        if token[0] == "#":
            counts[token[1:]] += count
        elif token[0] == "\\" or token in _SIGNS:
            counts[token] += count
        elif token.isascii() and token.isalpha():
            for letter in token[:_MOST_REPEATED]:
                counts[letter] += count
    return {item: min(count, _MOST_REPEATED) for item, count in counts.items()}


def _skeletons(texts: Sequence[str]) -> tuple[Tokens, npt.NDArray[np.float64]]:
    """The hashed items of each text's skeleton, and their weights in bits, both flat.

    The second and later ones of an item tell half as much as the first.
    """
    found = [skeleton(text) for text in texts]
    items = [item for one in found for item in one]
    counts = np.fromiter((count for one in found for count in one.values()), np.int64, len(items))
    hashes = np.fromiter((xxh3_64_intdigest(item.encode()) for item in items), np.uint64, len(items))
    bits = np.fromiter(map(_bits, items), np.float64, len(items))
    ends = np.concatenate([[0], np.cumsum(counts)])
    repetition = np.arange(ends[-1]) - np.repeat(ends[:-1], counts)
    starts = ends[np.concatenate([[0], np.cumsum([len(one) for one in found])]).astype(np.int64)]
    ids = similarity.mix(np.repeat(hashes, counts) + repetition.astype(np.uint64))
    return Tokens(ids, starts), np.repeat(bits, counts) * np.where(repetition, 0.5, 1.0)


class _Overlap:
    """An inverted index: for each text, the summed weight of the features that it shares with each problem."""

    def __init__(self, features: Tokens, weights: npt.NDArray[np.float64], problems: int) -> None:
        self._known, columns = np.unique(features.ids, return_inverse=True)
        rows = np.repeat(np.arange(problems), np.diff(features.starts))
        pairs, first = np.unique(np.stack([columns, rows]), axis=1, return_index=True)
        self._index = sparse.csr_array(
            (weights[first].astype(np.float32), (pairs[0], pairs[1])), shape=(len(self._known), problems)
        )

    def __call__(self, features: Tokens) -> Any:
        """A sparse matrix of shape (texts, problems)."""
        texts = len(features.starts) - 1
        if not len(self._known):
            return sparse.csr_array((texts, self._index.shape[1]), dtype=np.float32)
        at = np.minimum(np.searchsorted(self._known, features.ids), len(self._known) - 1)
        hit = self._known[at] == features.ids
        rows = np.repeat(np.arange(texts), np.diff(features.starts))[hit]
        cells = np.unique(rows * len(self._known) + at[hit])
        given = sparse.csr_array(
            (np.ones(len(cells), np.float32), np.divmod(cells, len(self._known))), shape=(texts, len(self._known))
        )
        return given @ self._index


class Benchmarks:
    """The index of everything that training must not repeat.

    `problems` maps the name of a benchmark to its problems, `embed` adds the stage `embedding` (see `embedder`). A
    problem that stands in several benchmarks is reported for each. Raises UserError for a problem without any token.
    """

    def __init__(
        self, problems: Mapping[str, Sequence[Item]], *, limits: Limits | None = None, embed: Embed | None = None
    ) -> None:
        self.limits = limits or Limits()
        self.counts = {name: len(items) for name, items in problems.items()}
        flat = [(name, item) for name, items in problems.items() for item in items]
        _, compact = similarity.scanned([item.text for _, item in flat])
        self._exact: dict[str, int] = {}
        self._owners: list[dict[str, str]] = []
        self._texts: list[str] = []
        for (name, item), spelt in zip(flat, compact, strict=True):
            if not spelt:
                raise UserError(f"benchmark {name}: problem {item.id} holds no word, number or sign to look for")
            at = self._exact.setdefault(spelt, len(self._texts))
            if at == len(self._texts):
                self._texts.append(item.text)
                self._owners.append({})
            self._owners[at].setdefault(name, item.id)
        if not self._texts:
            raise UserError("no benchmark holds a problem, so that nothing could be found")
        self._index()
        self._embed = embed
        self._vectors = embed(self._texts) if embed else None

    def _index(self) -> None:
        count, size = len(self._texts), self.limits.ngram
        self._tokens = similarity.hashed(self._texts)
        runs = similarity.ngrams(self._tokens, size)
        names, inverse = np.unique(runs.ids, return_inverse=True)
        rows = np.repeat(np.arange(count), np.diff(runs.starts))
        pairs = np.unique(np.stack([inverse, rows]), axis=1)
        shared = np.bincount(pairs[0], minlength=len(names))
        own = np.bincount(pairs[1][shared[pairs[0]] == 1], minlength=count)
        # One run is no evidence where a problem has lost most of its runs as boilerplate.
        own = np.maximum(own, np.minimum(np.bincount(pairs[1], minlength=count), _FEWEST_RUNS))
        weights = np.where(shared[inverse] == 1, 1 / np.maximum(own, 1)[rows], 0.0)
        chosen = weights > 0
        starts = np.concatenate([[0], np.cumsum(chosen)])[runs.starts]
        self._ngrams = _Overlap(Tokens(runs.ids[chosen], starts), weights[chosen], count)
        # Problems too short for a run, by their length and the hash of all of their tokens.
        self._short: dict[int, dict[int, int]] = {}
        for at, length in enumerate(np.diff(self._tokens.starts).tolist()):
            if length < size:
                whole = similarity.ngrams(Tokens(self._tokens.of(at), np.array([0, length])), length).ids[0]
                self._short.setdefault(length, {})[int(whole)] = at
        shingles = similarity.shingles(self._tokens)
        rows = np.repeat(np.arange(count), np.diff(shingles.starts))
        names, inverse = np.unique(shingles.ids, return_inverse=True)
        rare = np.log((count + 1) / np.bincount(inverse, minlength=len(names)))[inverse] + 0.1
        self._shingles = _Overlap(shingles, rare / np.bincount(rows, rare, count)[rows], count)
        items, bits = _skeletons(self._texts)
        self._skeletons = _Overlap(items, bits, count)
        self._bits = np.bincount(np.repeat(np.arange(count), np.diff(items.starts)), bits, count)
        self._chinese = _chinese(self._texts)

    def check(self, text: str) -> list[Finding]:
        """The findings for one text: none, or one per benchmark that holds the problem."""
        return self.check_many([text])[0]

    def check_many(self, texts: Sequence[str], first_row: int = 0) -> list[list[Finding]]:
        """The findings for each text, all of one stage; rows are counted from `first_row`."""
        found: list[list[Finding]] = []
        block: list[str] = []
        size = 0
        most = max(16, min(_BLOCK, _CELLS // len(self._texts)))
        for text in texts:
            block.append(text)
            size += len(text)
            if len(block) == most or size > _BLOCK_CHARACTERS:
                found += self._check_block(block, first_row + len(found))
                block, size = [], 0
        return found + self._check_block(block, first_row + len(found)) if block else found

    def _check_block(self, texts: list[str], first_row: int) -> list[list[Finding]]:
        tokens, compact = similarity.scanned(texts)
        exact = {row: at for row, spelt in enumerate(compact) if (at := self._exact.get(spelt, -1)) >= 0}
        chinese = _chinese(texts)
        pairs = self._pairs(texts, tokens, chinese)
        best: dict[int, tuple[int, float, int]] = {row: (0, -1.0, at) for row, at in exact.items()}
        for (row, at), shares in pairs.items():
            if row in exact:
                continue
            verdict = self._verdict(tokens.of(row), self._tokens.of(at), shares)
            if verdict:
                stage, score = verdict
                if stage == "fuzzy" and chinese[row] != self._chinese[at]:
                    stage = "multilingual"
                ranked = (STAGES.index(stage), -score, at)
                best[row] = min(best.get(row, ranked), ranked)
        if self._embed:
            self._by_embedding(texts, best)
        return [self._findings(first_row + row, text, best.get(row)) for row, text in enumerate(texts)]

    def _pairs(
        self, texts: list[str], tokens: Tokens, chinese: npt.NDArray[np.bool_]
    ) -> dict[tuple[int, int], dict[str, float]]:
        """The pairs of text and problem worth a closer look, with what the indices say of them."""
        pairs: dict[tuple[int, int], dict[str, float]] = {}

        def propose(name: str, shares: Any, least: float) -> None:
            chosen = shares.data >= least
            for row, at, share in zip(
                shares.row[chosen].tolist(), shares.col[chosen].tolist(), shares.data[chosen].tolist(), strict=True
            ):
                pairs.setdefault((row, at), {})[name] = share

        propose("coverage", self._ngrams(similarity.ngrams(tokens, self.limits.ngram)).tocoo(), self.limits.coverage)
        propose("shingles", self._shingles(similarity.shingles(tokens)).tocoo(), _WORTH_SHINGLES)
        items, bits = _skeletons(texts)
        shared = self._skeletons(items).tocoo()
        own = np.bincount(np.repeat(np.arange(len(texts)), np.diff(items.starts)), bits, len(texts))
        across = chinese[shared.row] != self._chinese[shared.col]
        enough = shared.data >= np.where(across, _LEAST_BITS_ACROSS_SCRIPTS, _LEAST_BITS)
        shared.data = np.where(enough, shared.data / (own[shared.row] + self._bits[shared.col] - shared.data), 0.0)
        propose("skeleton", shared, min(_WORTH_SKELETON, self.limits.skeleton))
        for length, known in self._short.items():
            runs = similarity.ngrams(tokens, length)
            for place in np.flatnonzero(np.isin(runs.ids, np.fromiter(known, np.uint64))).tolist():
                row = int(np.searchsorted(runs.starts, place, side="right")) - 1
                at = known[int(runs.ids[place])]
                if len(tokens.of(row)) <= _LONGER * length:
                    pairs.setdefault((row, at), {})["whole"] = length / len(tokens.of(row))
        return pairs

    def _verdict(self, text: Array, problem: Array, shares: Mapping[str, float]) -> tuple[str, float] | None:
        """The stage that takes the pair for a copy, with its score; None when none does."""
        limits = self.limits
        numbers, wanted = (Counter(side[similarity.numeric(side)].tolist()) for side in (text, problem))
        kept = 1 - (wanted - numbers).total() / max(1, wanted.total())
        if "whole" in shares and numbers == wanted:
            return "n-gram", shares["whole"]
        if shares.get("coverage", 0) >= limits.coverage and kept == 1:
            return "n-gram", shares["coverage"]
        if len(text) <= _LONGER * len(problem):
            masked = [np.where(similarity.numeric(side), np.uint64(0), side).tolist() for side in (text, problem)]
            worded = len(problem) - wanted.total() >= _LEAST_WORDS
            score = Indel.normalized_similarity(*masked)
            if kept < 1 and worded and score >= limits.template:
                return "template", score
            if kept >= limits.numbers and (numbers - wanted).total() <= (1 - limits.numbers) * max(4, wanted.total()):
                score = max(
                    Indel.normalized_similarity(text.tolist(), problem.tolist()),
                    Indel.normalized_similarity(np.sort(text).tolist(), np.sort(problem).tolist()),
                )
                # Where hardly a number vouches for the words, the words have to say more.
                if score >= limits.fuzzy + (_UNVOUCHED if wanted.total() < 2 else 0):
                    return "fuzzy", score
        if shares.get("coverage", 0) >= limits.coverage:
            return "n-gram", shares["coverage"]
        if shares.get("skeleton", 0) >= limits.skeleton:
            return "multilingual", shares["skeleton"]
        return None

    def _by_embedding(self, texts: list[str], best: dict[int, tuple[int, float, int]]) -> None:
        """Adds, for texts without another finding than a template, the nearest problem by cosine."""
        rank = STAGES.index("embedding")
        rows = [row for row in range(len(texts)) if row not in best or best[row][0] > rank]
        if not rows or self._embed is None or self._vectors is None:
            return
        cosines = self._embed([texts[row] for row in rows]) @ self._vectors.T
        for row, at, cosine in zip(rows, cosines.argmax(1).tolist(), cosines.max(1).tolist(), strict=True):
            if cosine >= self.limits.cosine:
                best[row] = (rank, -cosine, at)

    def _findings(self, row: int, text: str, verdict: tuple[int, float, int] | None) -> list[Finding]:
        if verdict is None:
            return []
        stage, score, at = verdict
        return [
            Finding(row, name, identity, STAGES[stage], round(-score, 4), _excerpt(text), _excerpt(self._texts[at]))
            for name, identity in self._owners[at].items()
        ]


def _excerpt(text: str) -> str:
    flat = " ".join(text[: 4 * _EXCERPT].split())
    return flat if len(flat) <= _EXCERPT else flat[: _EXCERPT - 3] + "..."
