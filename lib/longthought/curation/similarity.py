"""Similarity: what two statements of a problem have in common once spelling and TeX are set aside.

A text becomes a sequence of tokens: words, numbers, TeX commands, operators, and single characters of Chinese. Case,
white space, punctuation, dollar signs, sizes of brackets and braces around one token are gone by then, and commands
that print the same are one (\\dfrac and \\frac, \\cdot and \\times). Tokens are 64-bit hashes, handled as arrays for
many texts at once: duplicates are looked for in hundreds of thousands of texts.

Signatures are MinHash (Broder 1997) over shingles of three tokens; bands of them are the keys of locality-sensitive
hashing (Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, section 3.4).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_intdigest

SHINGLE = 3
_SEPARATOR = "\x00"
# The kinds begin with different characters, so their order is one of speed, but for the digits of \\frac12.
_TOKEN = re.compile(
    r"[a-z\u00df-\u052f]+"
    r"|[-+*/^=<>|{}()\[\]!%\x00]"
    r"|\\(?:[a-z]+|[^\x00])"
    r"|(?:(?<=frac)|(?<=frac )|(?<=_))\d"  # \frac12 has two arguments, and \log_264 a base of 2
    r"|\d+(?:(?:,|\{,\}|,?\\[,!])\d{3}(?!\d))*(?:\.\d+)?"
    r"|[^\W_]"
)
# Compatibility forms that NFKC would fold into something else, and Unicode's own operators.
_SIGNS = str.maketrans(
    {
        **{sign: f"^{digit}" for digit, sign in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")},
        "½": "\\frac12 ",
        "−": "-",
        "–": "-",
        "×": "*",
        "·": "*",
        "⋅": "*",
        "÷": "/",
        "≤": "\\le ",
        "≥": "\\ge ",
        "⩽": "\\le ",
        "⩾": "\\ge ",
        "≠": "\\ne ",
        "√": "\\sqrt ",
        "π": "\\pi ",
        "∠": "\\angle ",
        "△": "\\triangle ",
        "°": "^\\circ ",
        "∞": "\\infty ",
        "…": "\\dots ",
        "∈": "\\in ",
    }
)
_SAME = {
    **dict.fromkeys(("\\dfrac", "\\tfrac", "\\cfrac"), "\\frac"),
    **dict.fromkeys(("\\dbinom", "\\tbinom", "\\choose"), "\\binom"),
    **dict.fromkeys(("\\times", "\\cdot", "\\ast"), "*"),
    **dict.fromkeys(("\\ldots", "\\cdots", "\\dotsc", "\\dotsb", "\\dotso"), "\\dots"),
    "\\leq": "\\le",
    "\\leqslant": "\\le",
    "\\geq": "\\ge",
    "\\geqslant": "\\ge",
    "\\neq": "\\ne",
    "\\lt": "<",
    "\\gt": ">",
    "\\div": "/",
    "\\degree": "\\circ",
    "\\lbrace": "\\{",
    "\\rbrace": "\\}",
    "\\lvert": "|",
    "\\rvert": "|",
    "\\vert": "|",
    "\\mid": "|",
    "\\%": "%",
    "\\to": "\\rightarrow",
    "\\varphi": "\\phi",
    "\\varepsilon": "\\epsilon",
}
# What only changes the looks.
_LOOKS = """
    \\left \\right \\big \\bigl \\bigr \\bigg \\biggl \\biggr \\middle \\displaystyle \\textstyle \\limits \\nolimits
    \\quad \\qquad \\hspace \\text \\textbf \\textit \\textrm \\textsf \\mbox \\hbox \\mathrm \\mathbf \\mathit
    \\mathsf \\mathbb \\mathcal \\boldsymbol \\bm \\rm \\it \\bf \\operatorname \\emph \\underline \\ensuremath
    \\noindent \\newline \\par \\thinspace \\, \\; \\: \\! \\> \\( \\) \\[ \\] \\$ \\\\ \\_ \\- \\/ \\.
"""
_DROPPED = frozenset([*_LOOKS.split(), "\\ ", "\\\n", "\\\t"])
# Words that turn a problem into another one, as a number does.
_POLES = """
    maximum minimum maximize minimize max min largest smallest greatest least most fewest highest lowest odd even
    positive negative nonnegative increasing decreasing sum difference product quotient remainder area perimeter
    volume circumference radius diameter length width height median mean mode range not without exactly inside outside
    sin cos tan cot sec csc log ln row column first second third last left right before after more less arithmetic
    geometric north south east west hexagon pentagon octagon square rectangle triangle circle sphere cube cone cylinder
    \\le \\ge \\ne \\sqrt \\sin \\cos \\tan \\cot \\sec \\csc \\log \\ln \\max \\min \\cap \\cup
    both only two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million half double triple
    twice
    二 三 四 五 六 七 八 九 十 百 千 万 两 零 倍
    大 小 多 少 正 负 奇 偶 和 差 积 商 余 不 非 内 外 面 周 体 长 宽 高 半 直 增 减 左 右 前 后 首 末
"""
_TELLING_WORDS = frozenset(_POLES.split())
_TELLING_SIGNS = frozenset("+-=<>^!|%")
_LABEL = re.compile(
    r"\s*(?:[\[(【（]?\s*(?:problem|example|exercise|question|ex\.?|例题?|题|第)?\s*\d{1,3}\s*(?:points?|marks?|分|题)?"
    r"\s*[\])】）.、:：](?=\s|[^\x00-\x7f])\s*)+",
    re.IGNORECASE,
)
_CACHE = 1 << 18


def _identity(token: str) -> int:
    """A 64-bit hash of a token: its lowest bit says whether the token is telling, the next whether it is a number."""
    digest = xxh3_64_intdigest(token.encode("utf-8", "replace")) & ~3
    if token[0].isdigit():
        return digest | _NUMBER | _TELLING
    telling = (
        token in _TELLING_SIGNS
        or token in _TELLING_WORDS
        # A name of a variable or a point; "a" is an article as well.
        or (len(token) == 1 and token.isascii() and token.isalpha() and token != "a")
    )
    return digest | telling


_TELLING, _NUMBER = 1, 2
_END, _DROP = 0, 2  # a number is telling as well, so no token has the second
_OPEN, _CLOSE = _identity("{"), _identity("}")


class _Identities(dict[str, int]):
    """Token to its hash; emptied when it has grown large, since a hash can be computed again."""

    def __missing__(self, token: str) -> int:
        if len(self) > _CACHE:
            self.clear()
        if token == _SEPARATOR:
            found = _END
        elif token in _DROPPED:
            found = _DROP
        else:
            found = _identity(canonical(token))
        self[token] = found
        return found


_identities = _Identities()


def canonical(token: str) -> str:
    """The one spelling of a token among those that mean the same."""
    if token[0].isdigit():
        return re.sub(r"[^\d.]", "", token)
    return _SAME.get(token, token)


def folded(text: str) -> str:
    """The text in lower case, with full-width forms and Unicode operators in their plain spelling."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.translate(_SIGNS)).translate(_SIGNS)
    return text.lower()


def without_label(text: str) -> str:
    """The text without a number in front that only counts problems or points, such as "Problem 12." or "【例3】"."""
    found = _LABEL.match(text)
    return text[found.end() :] if found and found.end() < len(text) else text


def tokens(text: str) -> list[str]:
    """The tokens of one text, as strings (see the module)."""
    found = [
        canonical(t)
        for t in _TOKEN.findall(folded(text).replace(_SEPARATOR, " "))
        if t not in _DROPPED and t != _SEPARATOR
    ]
    kept: list[str] = []
    at = 0
    while at < len(found):
        if found[at] == "{" and at + 2 < len(found) and found[at + 2] == "}" and found[at + 1] not in "{}":
            kept.append(found[at + 1])
            at += 3
        else:
            kept.append(found[at])
            at += 1
    return kept


Array = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Tokens:
    """The hashed tokens of several texts. `ids`: (tokens,), `starts`: (texts + 1,), where each text begins and ends."""

    ids: Array
    starts: npt.NDArray[np.int64]

    def of(self, index: int) -> Array:
        """The tokens of one text, shape (tokens,)."""
        return self.ids[self.starts[index] : self.starts[index + 1]]


def telling(ids: Array) -> npt.NDArray[np.bool_]:
    """Which tokens make another problem when they change: numbers, signs, single letters, and words such as "odd"."""
    return (ids & np.uint64(_TELLING)).astype(bool)


def numeric(ids: Array) -> npt.NDArray[np.bool_]:
    """Which tokens are numbers."""
    return (ids & np.uint64(_NUMBER)).astype(bool)


def _found(texts: Sequence[str]) -> list[str]:
    joined = _SEPARATOR.join([folded(without_label(t)).replace(_SEPARATOR, " ") for t in texts]) + _SEPARATOR
    return _TOKEN.findall(joined)


def hashed(texts: Sequence[str]) -> Tokens:
    """The tokens of many texts at once; the same tokens as `tokens`, as hashes."""
    return _hashed(_found(texts))


def scanned(texts: Sequence[str]) -> tuple[Tokens, list[str]]:
    """The tokens of many texts, and each text as one string of its tokens without any grouping.

    Two texts with the same string differ at most in spelling and in braces, and in spaces between letters.
    """
    found = _found(texts)
    return _hashed(found), "".join(map(_spellings.__getitem__, found)).split(_SEPARATOR)[:-1]


def spellings(text: str) -> list[str]:
    """The tokens of one text without braces, with a # before each number."""
    found = _TOKEN.findall(folded(text).replace(_SEPARATOR, " "))
    return [spelling for spelling in map(_spellings.__getitem__, found) if spelling]


class _Spellings(dict[str, str]):
    """Token to its part of the string of `scanned`; a mark keeps numbers that stand side by side apart."""

    def __missing__(self, token: str) -> str:
        if len(self) > _CACHE:
            self.clear()
        found = "" if token in _DROPPED or token in ("{", "}") else canonical(token)
        self[token] = found = "#" + found if token[0].isdigit() else found
        return found


_spellings = _Spellings()


def _hashed(found: list[str]) -> Tokens:
    ids = np.fromiter(map(_identities.__getitem__, found), np.uint64, len(found))
    ids = ids[ids != _DROP]
    single = np.zeros(len(ids), bool)
    if len(ids) > 2:
        inner = ids[1:-1]
        single[:-2] = (ids[:-2] == _OPEN) & (ids[2:] == _CLOSE) & (inner != _OPEN) & (inner != _CLOSE) & (inner != _END)
    ids = ids[~(single | np.roll(single, 2))]
    ends = np.flatnonzero(ids == _END)
    starts = np.concatenate([[0], ends - np.arange(len(ends))])
    return Tokens(ids[ids != _END], starts.astype(np.int64))


def mix(values: Array) -> Array:
    """A bijection of 64-bit values that scatters their bits (the finalizer of splitmix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _sums(values: Array, starts: npt.NDArray[np.int64]) -> Array:
    """The sum, modulo 2^64, of each text's values; 0 for a text without any."""
    total = np.concatenate([np.zeros(1, np.uint64), np.cumsum(values, dtype=np.uint64)])
    return total[starts[1:]] - total[starts[:-1]]


def sequence_hashes(found: Tokens, only: npt.NDArray[np.bool_] | None = None) -> Array:
    """One hash per text of its sequence of tokens, or of those in the mask `only`; shape (texts,)."""
    ids, starts = found.ids, found.starts
    if only is not None:
        ids, starts = ids[only], np.concatenate([[0], np.cumsum(only)])[starts]
    place = np.arange(len(ids), dtype=np.uint64) - np.repeat(starts[:-1], np.diff(starts)).astype(np.uint64)
    return mix(_sums(mix(ids + mix(place + np.uint64(1))), starts) + np.diff(starts).astype(np.uint64))


def shingles(found: Tokens, size: int = SHINGLE) -> Tokens:
    """The hashes of each text's runs of `size` tokens; runs at the end are shorter, and an empty text has one."""
    counts = np.maximum(np.diff(found.starts), 1)
    starts = np.concatenate([[0], np.cumsum(counts + size - 1)])
    padded = np.full(starts[-1] + size, 1 << 40, np.uint64)
    real = np.arange(len(found.ids)) - np.repeat(found.starts[:-1] - starts[:-1], np.diff(found.starts))
    padded[real] = found.ids
    runs = padded[: starts[-1]]
    for step in range(1, size):
        runs = mix(runs) + padded[step : step + len(runs)]
    inside = np.ones(starts[-1], bool)
    for step in range(1, size):
        inside[starts[1:] - step] = False
    return Tokens(mix(runs[inside]), np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))


def ngrams(found: Tokens, size: int) -> Tokens:
    """The hashes of each text's runs of exactly `size` tokens; a shorter text has none."""
    counts = np.maximum(np.diff(found.starts) - size + 1, 0)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    first = np.arange(starts[-1]) + np.repeat(found.starts[:-1] - starts[:-1], counts)
    runs = found.ids[first]
    for step in range(1, size):
        runs = mix(runs) + found.ids[first + step]
    return Tokens(mix(runs), starts)


def signatures(runs: Tokens, permutations: int) -> npt.NDArray[np.uint32]:
    """MinHash signatures of the sets of shingles, shape (permutations, texts)."""
    rng = np.random.default_rng(1997)
    factors = rng.integers(1 << 31, size=permutations, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    terms = rng.integers(1 << 32, size=permutations, dtype=np.uint32)
    low = (runs.ids >> np.uint64(32)).astype(np.uint32)
    found = np.empty((permutations, len(runs.starts) - 1), np.uint32)
    for row, factor, term in zip(found, factors, terms, strict=True):
        np.minimum.reduceat(low * factor + term, runs.starts[:-1], out=row)
    return found


def jaccard(first: Array, second: Array) -> float:
    """The share of the shingles of either text that both have, 0 to 1."""
    one, two = np.unique(first), np.unique(second)
    common = len(np.intersect1d(one, two, assume_unique=True))
    return common / (len(one) + len(two) - common)
