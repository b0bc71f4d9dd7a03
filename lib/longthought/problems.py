"""What is asked: one `Problem` record, procedural families that make them, and files that the user brings.

The families stand in for the report's olympiad problems (section 2: numerical answers only). Each asks for the
smallest number with a property, so that a short direct answer is hard to guess and an explicit search finds it:

- `congruence`: the smallest x with a x + c = b (mod m);
- `remainders`: the smallest x that leaves given remainders on division by p and by q;
- `powers`: the smallest n >= 1 with g to the n = b (mod m).

Every problem exists in English and in Chinese. Whether it is held out depends on its numbers alone, through a
hash: both languages fall on the same side, no list has to be kept, and `require_train` lets training refuse the rest.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from math import gcd
from pathlib import Path
from typing import Any

from longthought.errors import UserError

FAMILIES = ("congruence", "remainders", "powers")
LANGUAGES = ("en", "zh")
DIFFICULTIES = ("easy", "medium", "hard")
HELD_OUT_SHARE = 0.25
_MODULI: dict[str, dict[str, Sequence[int]]] = {
    "congruence": {"easy": range(5, 9), "medium": range(9, 12), "hard": range(12, 18)},
    "remainders": {"easy": range(3, 8), "medium": range(8, 11), "hard": range(11, 14)},
    "powers": {"easy": (5, 7), "medium": (11, 13), "hard": (17, 19, 23)},
}


@dataclass(frozen=True)
class Problem:
    """One problem with a gold answer.

    `numbers` holds what a procedural family was instantiated with and is empty for problems from a file.
    `split` is "train", "held_out", or "eval" for a user's benchmark, which training refuses as well.
    """

    id: str
    text: str
    gold: str
    family: str = "file"
    language: str = "en"
    difficulty: str = ""
    split: str = "eval"
    numbers: dict[str, int] = field(default_factory=dict, hash=False)
    solution: str = ""


def _key(family: str, numbers: dict[str, int]) -> str:
    return family + ":" + ",".join(f"{k}={numbers[k]}" for k in sorted(numbers))


def split_of(family: str, numbers: dict[str, int]) -> str:
    """ "held_out" for a fixed quarter of all instances, "train" for the rest, independent of language and seed."""
    digest = hashlib.sha256(_key(family, numbers).encode()).digest()
    return "held_out" if int.from_bytes(digest[:4], "big") < HELD_OUT_SHARE * 2**32 else "train"


def statement(family: str, numbers: dict[str, int], language: str) -> str:
    """The problem as text; words are separated by spaces so that a word-level tokenizer can read them."""
    n = numbers
    if family == "congruence":
        if language == "zh":
            return f"求 最小 的 x 使 {n['a']} x + {n['c']} = {n['b']} 模 {n['m']} 。"
        return f"find the smallest x with {n['a']} x + {n['c']} = {n['b']} mod {n['m']} ."
    if family == "remainders":
        if language == "zh":
            return f"求 最小 的 x 使 x = {n['r']} 模 {n['p']} 且 x = {n['s']} 模 {n['q']} 。"
        return f"find the smallest x with x = {n['r']} mod {n['p']} and x = {n['s']} mod {n['q']} ."
    if language == "zh":
        return f"求 最小 的 正 n 使 {n['g']} ^ n = {n['b']} 模 {n['m']} 。"
    return f"find the smallest positive n with {n['g']} ^ n = {n['b']} mod {n['m']} ."


def answer_of(family: str, numbers: dict[str, int]) -> int:
    """The gold answer by definition: try every candidate in order."""
    n = numbers
    if family == "congruence":
        return next(x for x in range(n["m"]) if (n["a"] * x + n["c"]) % n["m"] == n["b"])
    if family == "remainders":
        return next(x for x in range(n["p"] * n["q"]) if x % n["p"] == n["r"] and x % n["q"] == n["s"])
    return next(e for e in range(1, n["m"]) if pow(n["g"], e, n["m"]) == n["b"])


def _instances(family: str, difficulty: str) -> Iterator[dict[str, int]]:
    """Every instance that has an answer, in a fixed order."""
    moduli = _MODULI[family][difficulty]
    if family == "congruence":
        for m in moduli:
            for a in range(2, m):
                if gcd(a, m) == 1:
                    for c in range(m):
                        for b in range(m):
                            yield {"a": a, "c": c, "b": b, "m": m}
    elif family == "remainders":
        for p in moduli:
            for q in moduli:
                if p < q and gcd(p, q) == 1:
                    for r in range(p):
                        for s in range(q):
                            yield {"p": p, "q": q, "r": r, "s": s}
    else:
        for m in moduli:
            for g in range(2, m):
                reached = {pow(g, e, m) for e in range(1, m)}
                for b in sorted(reached):
                    yield {"g": g, "b": b, "m": m}


def _problem(family: str, numbers: dict[str, int], language: str, difficulty: str, split: str) -> Problem:
    return Problem(
        id=f"{language}:{_key(family, numbers)}",
        text=statement(family, numbers, language),
        gold=str(answer_of(family, numbers)),
        family=family,
        language=language,
        difficulty=difficulty,
        split=split,
        numbers=numbers,
    )


def every_instance(families: Sequence[str], difficulties: Sequence[str]) -> Iterator[Problem]:
    """All problems of the families at the difficulties, of both splits and in all languages (for vocabularies)."""
    for family in families:
        for difficulty in difficulties:
            for numbers in _instances(family, difficulty):
                for language in LANGUAGES:
                    yield _problem(family, numbers, language, difficulty, split_of(family, numbers))


def generate(
    count: int | None,
    split: str,
    *,
    families: Sequence[str] = ("congruence",),
    languages: Sequence[str] = LANGUAGES,
    difficulties: Sequence[str] = ("medium",),
    seed: int = 0,
) -> list[Problem]:
    """`count` different problems of one split ("train" or "held_out"), or all for None.

    Families, difficulties and languages take equal turns as long as they last. The first n of a larger set are the
    set of n. Raises UserError for an unknown name, or when the families do not hold that many problems.
    """
    for given, known, what in (
        (families, FAMILIES, "family"),
        (languages, LANGUAGES, "language"),
        (difficulties, DIFFICULTIES, "difficulty"),
        ([split], ("train", "held_out"), "split"),
    ):
        for name in given:
            if name not in known:
                raise UserError(f"unknown {what} {name!r}: choose from {', '.join(known)}")
    rng = random.Random(f"problems-{seed}")
    kinds = [(family, difficulty) for family in families for difficulty in difficulties]
    pools = [
        [n for n in _instances(family, difficulty) if split_of(family, n) == split] for family, difficulty in kinds
    ]
    for pool in pools:
        rng.shuffle(pool)
    available = sum(map(len, pools))
    if count is None:
        count = available
    if available < count:
        raise UserError(
            f"asked for {count} {split} problems, but {', '.join(families)} at {', '.join(difficulties)} "
            f"hold only {available}: ask for fewer, or add a difficulty or a family"
        )
    chosen: list[Problem] = []
    turns = cycle(list(zip(kinds, pools, strict=True)))
    while len(chosen) < count:
        (family, difficulty), pool = next(turns)
        if not pool:
            continue
        numbers = pool.pop()
        # Each instance is asked once, in one language: a translated twin would not be an independent problem.
        language = languages[len(pool) % len(languages)]
        chosen.append(_problem(family, numbers, language, difficulty, split))
    return chosen


def require_train(problems: Iterable[Problem]) -> None:
    """Refuse, with a ValueError, any problem that training must never see.

    The split is computed again from the numbers, so a relabelled record does not pass.
    """
    for problem in problems:
        actual = split_of(problem.family, problem.numbers) if problem.numbers else problem.split
        if actual != "train" or problem.split != "train":
            raise ValueError(f"problem {problem.id!r} is {actual}, not for training")


_REQUIRED = {"problem": "the text of the problem", "answer": "the gold answer"}


def load_jsonl(path: str | Path, limit: int = 0) -> list[Problem]:
    """Problems from a user's file: one JSON object per line with `problem` and `answer` (`id`, `solution` optional).

    They get the split "eval", which training refuses. `limit` keeps the first so many, 0 keeps all. Raises UserError
    with file, line and mend for a missing or empty file, a wrong encoding, a broken line or a missing field; nothing
    is skipped silently.
    """
    file = Path(path)
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{file}: no such file; give the path of a JSONL file") from None
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); give the path of a JSONL file") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: byte {error.start} is not UTF-8; save the file as UTF-8") from None
    problems: list[Problem] = []
    ids: dict[str, int] = {}
    # Only "\n" ends a line: other separators may stand inside a JSON string.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        if limit and len(problems) == limit:
            break
        problem = _from_row(
            json_object(line, f"{file}, line {number}"), f"{file}, line {number}", default_id=str(number)
        )
        if problem.id in ids:
            raise UserError(f"{file}, line {number}: id {problem.id!r} stands already in line {ids[problem.id]}")
        ids[problem.id] = number
        problems.append(problem)
    if not problems:
        raise UserError(f"{file}: holds no problems; one JSON object per line is wanted, with problem and answer")
    return problems


def json_object(line: str, where: str) -> dict[str, Any]:
    """The object that one line of a JSONL file holds. Raises UserError, naming `where`, for any other line."""
    try:
        row = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        reason = getattr(error, "msg", "nested too deeply")
        raise UserError(f"{where}: not valid JSON ({reason}); each line must be one JSON object") from None
    if not isinstance(row, dict):
        raise UserError(f"{where}: a JSON object is wanted, not {type(row).__name__}")
    return row


def _from_row(row: dict[str, Any], where: str, default_id: str) -> Problem:
    for name, meaning in _REQUIRED.items():
        if name not in row:
            raise UserError(f"{where}: field {name!r} is missing ({meaning}); present are {', '.join(row) or 'none'}")
        if isinstance(row[name], bool) or not isinstance(row[name], str | int | float) or not str(row[name]).strip():
            raise UserError(f"{where}: field {name!r} must be a non-empty text or number ({meaning})")
    identity = row.get("id", row.get("unique_id", default_id))
    solution = row.get("solution") or ""
    return Problem(str(identity), str(row["problem"]), str(row["answer"]), solution=str(solution))
