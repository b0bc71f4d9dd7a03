"""What an answer says: its text read as a number, a tuple, an interval, a set, an equation, a choice, and compared.

The policy of this project, in one place:

- numbers are compared exactly; a decimal gold also accepts a value that rounds to it at the gold's own places (an
  irrational one only from two places on: 2 sqrt(5) is not 4.5);
- the form of an answer is not graded: 2/4 is 1/2, and (x+1)^2 is x^2+2x+1;
- brackets matter: (3,4] is not [3,4); a list or a set has no order, a tuple has;
- a unit on one side only is ignored, units on both sides must agree or convert;
- p% is p/100, and also p where the other side names no unit; a bare number is never multiplied or divided by 100;
- "x = 5" is 5, and y = 2x + 3 is 2x + 3, but an equation such as 2x + 5y - 9 = 0 is never its right side;
- a number in base b is its digits and its base;
- what cannot be read or decided is `undecided`, which is neither right nor wrong.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise, product
from math import prod

from longthought.grading import expressions as ex
from longthought.grading.latex import balanced, bracketed, clean, split_top
from longthought.grading.units import Unit, split_unit

MOST_ITEMS = 60
MOST_COMPARED = 10  # members compared one against another
DEEPEST = 8


@dataclass(frozen=True)
class Answer:
    """An answer that was read.

    `kind` is one of value, text, tuple, list, set, union, equation, assignment, assignments, base, ratio, infinity,
    matrix, anything (the real line and the like), unread. `node` is a value's tree; `items` the parts of a
    composite; `text` a canonical spelling; `places` the decimals of a plain decimal; `unit` and `percent` what stood
    behind the number; `name` the left side of an assignment, a base, or what a text or tuple is besides ("choice",
    "interval"); `other` a second reading ("5m" as five metres, "-100,100" as two numbers).
    """

    kind: str
    text: str
    node: ex.Node | None = None
    items: tuple[Answer, ...] = ()
    brackets: str = ""
    places: int | None = None
    unit: Unit | None = None
    percent: bool = False
    name: str = ""
    other: Answer | None = field(default=None, compare=False)


_INTEGER = re.compile(r"[+-]?\s?\d+")
_DECIMAL = re.compile(r"[+-]?\s?(?:\d+\.\d*|\.\d+)")
_SIMPLE_FRACTION = re.compile(
    r"([+-]?)\s*\\frac\s*\{\s*([+-]?\d{1,40})\s*\}\s*\{\s*(\d{1,40})\s*\}|([+-]?\d{1,40})\s*/\s*(\d{1,40})"
)
_GROUPED = re.compile(r"[+-]?\s?[1-9]\d{0,2}(?:(?:,\d{3})+|(?: \d{3})+)(?:\.\d+)?")
_SCIENTIFIC = re.compile(r"[+-]?\d+(?:\.\d+)?[eE][+-]?\d{1,3}")
_ORDINAL = re.compile(r"(\d{1,30})\s*\^?\s*\{?\s*(?:st|nd|rd|th)\s*\}?")
_GROUP_INSIDE = re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?:,\d{3})+(?![\d,])")
_BASE = re.compile(
    r"\(?\s*([0-9A-Fa-f]+(?:\.[0-9A-Fa-f]+)?)\s*\)?\s*_\s*\{?\s*\(?\s*(?:base\s*)?(\d{1,2})\s*\)?\s*\}?|"
    r"([0-9A-Fa-f]+)\s*(?:in\s+)?base\s*(\d{1,2})"
)
_BASE_WORDS = re.compile(r"(.*?)_\s*\{?\s*(two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|sixteen)\s*\}?$")
_COUNT = {
    "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11,
    "twelve": 12, "sixteen": 16,
}  # fmt: skip
_CHOICE = re.compile(r"(?:(?i:option|choice)\s+)?\(?\s*([A-Ja-j])\s*\)?\s*[.:]?")
_CHOICE_AND_MORE = re.compile(r"(?:\(\s*([A-J])\s*\)\s+|([A-J])\s*[.:)]\s*)(.+)", re.DOTALL)
_AND = re.compile(
    r"\s+(?:or|and)\s+|\s*(?<![\u4e00-\u9fff])(?:或者|或|和|以及)\s*(?![\u4e00-\u9fff]{2})|\s*\\vee\s*|\s*\\wedge\s*|\s*;\s*"
)
_LEADING_AND = re.compile(r"^(?:and|or|和|或)\s+")
_EITHER = re.compile(r"\s+or\s+|或|\\vee")
_RELATION = re.compile(r"\\le(?![A-Za-z])|\\ge(?![A-Za-z])|<=|>=|<|>")
_APPROX = re.compile(r"\\approx(?![A-Za-z])|\\doteq|\\sim(?![A-Za-z])")
_CUP = re.compile(r"\\cup(?![A-Za-z])|(?<=[\])}])\s*U\s*(?=[\[(\\{])")
_SETMINUS = re.compile(r"\\setminus(?![A-Za-z])")
_PLUS_MINUS = re.compile(r"\\pm(?![A-Za-z])|\\mp(?![A-Za-z])|\+/-|\+-(?=\s*\d)")
_LEAD = re.compile(
    r"^(?:(?:so|thus|hence|therefore)\b,?\s*)?(?:(?:the\s+)?(?:final\s+)?answer\s*(?:is|:|=)+|答案\s*(?:是|为|:)+|答\s*:|the\s+point(?=\s*\()|"
    r"\\(?:Rightarrow|implies|therefore|Longrightarrow)(?![A-Za-z])|\\approx(?![A-Za-z]))\s*",
    re.IGNORECASE,
)
_IN = re.compile(r"^\s*[A-Za-z](?:_\{?\w+\}?)?\s*\\in(?![A-Za-z])\s*")
_INFINITY = re.compile(r"([+-]?)\s*(?:\\infty|infinity|inf|oo)", re.IGNORECASE)
_EMPTY = {"\\emptyset", "\\{\\}", "\\{ \\}", "emptyset", "empty set"}
_ALL = re.compile(r"(?:\\mathbb\s*\{?\s*([RQZNC])\s*\}?|\\(R|Q|Z|N|C)|(all real numbers|all reals))")
_BUILDER = re.compile(r"[a-z]\s*(?:\\in\s*\\mathbb\s*\{?\s*R\s*\}?\s*)?[|:]\s*(.*)", re.DOTALL)
_MATRIX = re.compile(
    r"([^\\=]{0,20}|-?\\frac\{[^{}]{1,20}\}\{[^{}]{1,20}\}|-?\\frac\s*\d\s*\d)\s*"
    r"\\begin\{(?:p|b|B|v|V|small)?matrix\}(.*)\\end\{(?:p|b|B|v|V|small)?matrix\}",
    re.DOTALL,
)
_RATIO = re.compile(r"[^:]+(?::[^:]+)+")
_NAME = re.compile(
    r"(?:\\angle\s*|\\triangle\s*|m\s*\\angle\s*)?(?:[A-Za-z]|\\[a-z]+)(?:_\{?\s*\w+\s*\}?)?'*(?:\s*[A-Za-z](?:_\{?\w+\}?)?'*){0,3}"
    r"(?:\s*\([^()=]{1,20}\))?|\|\s*[A-Za-z]{1,3}\s*\||"
    r"[A-Za-z](?:_\{?\w\}?)?(?:\s*\+\s*[A-Za-z](?:_\{?\w\}?)?){1,4}|\[\s*[A-Z]{3,4}\s*\]|"
    r"\(\s*(?:[A-Za-z]|\\[a-z]+)(?:_\{?\w\}?)?(?:\s*,\s*(?:[A-Za-z]|\\[a-z]+)(?:_\{?\w\}?)?){1,4}\s*\)|"
    r"\\(?:overline|text|mathrm|frac)\s*\{\s*[A-Z]{1,3}\s*\}(?:\{\s*[A-Z]{1,3}\s*\})?"
)
_APPLIED = re.compile(r"(?:[A-Za-z]|\\[a-z]+)(?:_\{?\w+\}?)?(?:\s*\^\s*\{?\s*-1\s*\}?|')*\s*[(\[].{1,40}[)\]]")
_SINGLE = re.compile(r"[A-Za-z](?:_\{?\w+\}?)?|[A-Za-z]\s*\(\s*[A-Za-z]\s*\)|\\[a-z]+")
_INDEXED = re.compile(r"([a-z])_?\d")
INEQUALITY = "inequality"
_FUNCTION_OF = re.compile(r"[a-z]\([a-z]\)")
_ARTICLE = re.compile(r"^(?:an?|the)\s+")
_PRODUCT = re.compile(r"[abckmnpqrstuvwxyz]{2}")
_SHORT_WORDS = {"am", "an", "as", "at", "by", "my", "pm", "up", "us", "km", "cm", "mm", "ms", "no"}
_WORD = re.compile(r"[A-Za-z]+")
_WORDLIKE = re.compile(r"[A-Za-z\u4e00-\u9fff][A-Za-z\u4e00-\u9fff' .,-]*[?!]?|\W+")
_UNDEFINED = re.compile(
    r"undefined|does not exist|dne|no solutions?|no real solutions?|none|not defined|无解|不存在|空集", re.IGNORECASE
)


def _value(node: ex.Node, text: str, **more: object) -> Answer:
    return Answer("value", text, node=node, **more)  # type: ignore[arg-type]


def _compact(text: str) -> str:
    """The name of a letter or a point, however its index is braced."""
    return re.sub(r"[\s{}]", "", text)


def _spelled(text: str) -> str:
    """What is not understood, for comparison as text: nothing but spaces is left out."""
    return re.sub(r"\s", "", text)


@lru_cache(maxsize=50_000)
def read(raw: str) -> Answer:
    """The meaning of an answer's text. Never raises: what is not understood is of kind "unread" or "text"."""
    if len(raw) > 4 * ex.LONGEST:
        return Answer("unread", raw.strip())
    plain = _plain_number(raw.strip())
    return plain if plain is not None else _read(clean(raw), 0)


def _plain_number(text: str) -> Answer | None:
    if len(text) > ex.LONGEST:
        return None
    if _INTEGER.fullmatch(text) and text.isascii():
        return _value(("num", Fraction(int(text.replace(" ", "")))), text)
    if _DECIMAL.fullmatch(text) and text.isascii():
        number = text.replace(" ", "")
        return _value(("num", Fraction(number)), text, places=len(number.partition(".")[2]))
    if _SCIENTIFIC.fullmatch(text) and text.isascii():
        return _value(("num", Fraction(text)), text)
    fraction = _SIMPLE_FRACTION.fullmatch(text)
    if fraction and text.isascii():
        top, bottom = int(fraction[2] or fraction[4]), int(fraction[3] or fraction[5])
        if bottom:
            return _value(("num", Fraction(-top if fraction[1] == "-" else top, bottom)), text)
    return None


def _read(text: str, depth: int) -> Answer:
    text = _LEAD.sub("", text.strip())
    if len(text) > ex.LONGEST or depth > DEEPEST:
        return Answer("unread", text)
    if text.startswith("{") and text.endswith("}") and balanced(text[1:-1]):
        return _read(text[1:-1], depth + 1)
    if not text:
        return Answer("text", "")
    simple = _simple(text)
    if simple is not None:
        return simple
    joined = _joined(text, depth)
    if joined is not None:
        return joined
    enclosed = _enclosed(text, depth)
    if enclosed is not None:
        return enclosed
    if _PLUS_MINUS.search(text):
        up = _PLUS_MINUS.sub(lambda m: "-" if m[0] == "\\mp" else "+", text)
        down = _PLUS_MINUS.sub(lambda m: "+" if m[0] == "\\mp" else "-", text)
        return _listed((_read(up, depth + 1), _read(down, depth + 1)), text)
    related = _related(text, depth)
    if related is not None:
        return related
    return _single(text, depth)


def _simple(text: str) -> Answer | None:
    """Numbers, bases, infinities, the empty set, number systems and matrices: what one pattern tells."""
    plain = _plain_number(text)
    if plain is not None:
        return plain
    if _GROUPED.fullmatch(text) and ", " not in text:
        number = re.sub(r"[ ,]", "", text)
        places = len(number.partition(".")[2]) if "." in number else None
        # "-100,100" is far more often two numbers than one; both readings are kept.
        pair = [_plain_number(part.strip()) for part in text.split(",")] if text.startswith("-") else []
        other = Answer("list", text, items=tuple(p for p in pair if p)) if len(pair) == 2 and all(pair) else None
        return _value(("num", Fraction(number)), text, places=places, other=other)
    words = _BASE_WORDS.fullmatch(text)
    if words:
        text = f"{words[1]}_{_COUNT[words[2]]}"
    base = _BASE.fullmatch(text)
    if base:
        digits, radix = (base[1] or base[3]).upper().lstrip("0") or "0", int(base[2] or base[4])
        if 2 <= radix <= 36 and re.search(r"\d", digits) and all(int(c, 36) < radix for c in digits if c != "."):
            return Answer("base", f"{digits}_{radix}", name=str(radix))
    ordinal = _ORDINAL.fullmatch(text)
    if ordinal:
        return _value(("num", Fraction(int(ordinal[1]))), text)
    infinity = _INFINITY.fullmatch(text)
    if infinity:
        return Answer("infinity", "-" if infinity[1] == "-" else "+")
    if text.casefold() in _EMPTY:
        return Answer("set", "{}")
    everything = _ALL.fullmatch(text)
    if everything:
        return Answer("anything", everything[1] or everything[2] or "R")
    matrix = _MATRIX.fullmatch(text)
    if matrix:
        rows = [row for row in re.split(r"\\\\", matrix[2]) if row.strip()]
        cells = [[_read(cell, DEEPEST - 1) for cell in row.split("&")] for row in rows[:MOST_ITEMS]]
        if matrix[1].strip():
            scaled = _scaled(matrix[1].strip(), cells)
            if scaled is None:
                return Answer("unread", _spelled(text))
            cells = scaled
        parts = tuple(Answer("tuple", "row", items=tuple(row[:MOST_ITEMS])) for row in cells)
        return Answer("matrix", _spelled(text), items=parts)
    return None


def _scaled(factor: str, cells: list[list[Answer]]) -> list[list[Answer]] | None:
    """The cells of a matrix times the number before it; None where that is no number, or a cell is none."""
    number = _value(("num", Fraction(-1)), "-1") if factor == "-" else _read(factor, DEEPEST - 1)
    if not _is_constant(number) or any(cell.node is None for row in cells for cell in row):
        return None
    return [[_value(("prod", number.node, cell.node), cell.text) for cell in row] for row in cells]


def _without(text: str, depth: int) -> Answer | None:
    """An interval, or the real line, without some points, as a union of what is left."""
    first, *rest = _SETMINUS.split(text)
    whole, points = _read(first, depth + 1), _read(rest[0], depth + 1)
    ends = ("(", Answer("infinity", "-"), Answer("infinity", "+"), ")")
    if whole.kind == "tuple" and len(whole.items) == 2:
        ends = (whole.brackets[0], *whole.items, whole.brackets[1])
    elif (whole.kind, whole.text) != ("anything", "R"):
        return None
    if len(rest) != 1 or points.kind != "set" or not points.items:
        return None
    inner = [(ex.approximate(p.node) if p.node is not None else None, p) for p in points.items]
    bounds = _ends(Answer("tuple", "", items=(ends[1], ends[2]), brackets="()"))
    if bounds is None or any(at is None or not bounds[0] < at < bounds[2] for at, _ in inner):
        return None
    inner.sort(key=lambda pair: pair[0] or 0.0)
    marks = [ends[1], *(point for _, point in inner), ends[2]]
    pieces = []
    for i, (low, high) in enumerate(pairwise(marks)):
        brackets = (ends[0] if i == 0 else "(") + (ends[3] if i == len(inner) else ")")
        pieces.append(Answer("tuple", "", items=(low, high), brackets=brackets, name="interval"))
    return Answer("union", "", items=tuple(pieces))


def _joined(text: str, depth: int) -> Answer | None:
    """Lists (by comma, "and", "or"), unions, and two values joined by plus-minus."""
    if "," in text and "(" not in text and "[" not in text and "\\{" not in text:
        ungrouped = _GROUP_INSIDE.sub(lambda m: m[0].replace(",", ""), text)
        if "," not in ungrouped:
            return _read(ungrouped, depth + 1)
    belongs = _IN.match(text)
    if belongs:
        return _read(text[belongs.end() :], depth + 1)
    if _SETMINUS.search(text):
        return _without(text, depth) or Answer("unread", _spelled(text))
    if _CUP.search(text):
        parts = [_read(part, depth + 1) for part in _CUP.split(text)[:MOST_ITEMS]]
        return Answer("union", "", items=tuple(parts))
    if bracketed(text) is not None:
        return None
    worded = bool(_AND.search(text))
    members = [_LEADING_AND.sub("", part.strip()) for part in split_top(text, ",;")]
    members = [member.strip() for part in members for member in _AND.split(part)]
    if 1 < len(members) <= MOST_ITEMS and all(members):
        items = tuple(_read(member, depth + 1) for member in members)
        if worded and any(item.kind in ("text", "unread") and not _CHOICE.fullmatch(item.text) for item in items):
            return Answer("text", _spelled(text).casefold()) if not re.search(r"\d", text) else Answer("unread", text)
        if _CHOICE_AND_MORE.fullmatch(text):
            return None
        if all(_is_interval(item) and item.text == INEQUALITY for item in items):
            if _EITHER.search(text):
                return Answer("union", text, items=items)
            return _intersection(items) if worded else Answer("unread", text)
        return _listed(items, text)
    if len(members) > MOST_ITEMS:
        return Answer("unread", text)
    return None


def _listed(items: tuple[Answer, ...], text: str) -> Answer:
    """A list; several assignments become one record, or one list when they name one letter."""
    flat = tuple(inner for item in items for inner in (item.items if item.kind == "list" else (item,)))
    if all(item.kind == "assignment" for item in flat):
        names = [item.name for item in flat]
        stems = {_INDEXED.sub(r"\1", name) for name in names if _INDEXED.fullmatch(name)}
        if len(stems) == 1 and all(_INDEXED.fullmatch(name) for name in names):  # x_1 = 1, x_2 = -2
            return Answer("list", text, items=tuple(item.items[0] for item in flat))
        if len(set(names)) == len(names):
            return Answer("assignments", text, items=tuple(sorted(flat, key=lambda item: item.name)))
        if len(set(names)) == 1:
            return Answer("list", text, items=tuple(item.items[0] for item in flat), name=names[0])
    if len(flat) > 1 and flat[0].kind == "assignment" and all(item.kind == "value" for item in flat[1:]):
        return Answer("list", text, items=(flat[0].items[0], *flat[1:]), name=flat[0].name)  # x = 1, 2
    if all(_is_interval(item) for item in flat):
        return Answer("union", text, items=flat)
    return Answer("list", text, items=flat)


def _ends(answer: Answer) -> tuple[float, bool, float, bool] | None:
    """(low, closed, high, closed) of an interval as numbers; None where an end is not a real constant."""
    bounds = []
    for item in answer.items:
        if item.kind == "infinity":
            bounds.append(float(item.text + "inf"))
        else:
            value = ex.approximate(item.node) if item.node is not None else None
            if value is None:
                return None
            bounds.append(value)
    return bounds[0], answer.brackets[0] == "[", bounds[1], answer.brackets[1] == "]"


def _intersection(items: tuple[Answer, ...]) -> Answer:
    """What holds in every one of some intervals."""
    ends = [_ends(item) for item in items]
    if any(end is None for end in ends):
        return Answer("unread", "")
    low = max(range(len(items)), key=lambda i: (ends[i][0], not ends[i][1]))  # type: ignore[index]
    high = min(range(len(items)), key=lambda i: (ends[i][2], ends[i][3]))  # type: ignore[index]
    bottom, closed_low, _, _ = ends[low]  # type: ignore[misc]
    _, _, top, closed_high = ends[high]  # type: ignore[misc]
    if bottom > top or (bottom == top and not (closed_low and closed_high)):
        return Answer("set", "{}")
    brackets = items[low].brackets[0] + items[high].brackets[1]
    return Answer("tuple", "", items=(items[low].items[0], items[high].items[1]), brackets=brackets, name="interval")


def _merged(pieces: tuple[Answer, ...]) -> tuple[Answer, ...] | None:
    """Intervals and points in order, those that touch put together; None where an end is not a real constant."""
    found: list[Answer] = []
    for piece in pieces:
        if piece.kind in ("set", "list"):
            found += [Answer("tuple", "", items=(p, p), brackets="[]", name="interval") for p in piece.items]
        elif piece.kind == "tuple" and len(piece.items) == 2:
            found.append(piece)
        else:
            return None
    ends = [_ends(piece) for piece in found]
    if any(end is None for end in ends):
        return None
    order = sorted(range(len(found)), key=lambda i: (ends[i][0], not ends[i][1]))  # type: ignore[index]
    whole: list[tuple[Answer, tuple[float, bool, float, bool]]] = []
    for i in order:
        piece, end = found[i], ends[i]
        assert end is not None
        if whole:
            last, (low, closed, high, closed_high) = whole[-1]
            if end[0] < high or (end[0] == high and (closed_high or end[1])):
                longer = end[2] > high or (end[2] == high and end[3])
                upper = (piece, end) if longer else (last, whole[-1][1])
                joined = Answer(
                    "tuple", "", items=(last.items[0], upper[0].items[1]), name="interval",
                    brackets=last.brackets[0] + upper[0].brackets[1],
                )  # fmt: skip
                whole[-1] = (joined, (low, closed, upper[1][2], upper[1][3]))
                continue
        whole.append((piece, end))
    return tuple(piece for piece, _ in whole)


def _is_interval(answer: Answer) -> bool:
    return answer.kind == "tuple" and len(answer.items) == 2 and answer.name == "interval"


def _enclosed(text: str, depth: int) -> Answer | None:
    """Tuples, intervals and sets, and answers inside superfluous brackets."""
    pair = bracketed(text)
    if pair is None:
        return None
    opening, inside, closing = pair
    parts = split_top(inside, ",;")
    if len(parts) > MOST_ITEMS:
        return Answer("unread", text)
    if opening == "\\{":
        builder = _BUILDER.fullmatch(inside)
        if builder:
            return _read(builder[1], depth + 1)
        described = inside.count("|") % 2 or re.search(r"(?<!\d)\s*:\s*(?!\d)", inside)
        if described or "\\ldots" in inside:
            return Answer("unread", _spelled(text))
        items = tuple(_read(part, depth + 1) for part in parts if part.strip())
        flat = tuple(inner for item in items for inner in (item.items if item.kind == "list" else (item,)))
        return Answer("set", "", items=flat)
    if len(parts) == 1:
        if opening + closing == "()" and _CHOICE.fullmatch(text):
            return None
        if opening + closing == "()":
            return _read(inside, depth + 1)
        return None
    if any(not part.strip() for part in parts):
        return Answer("unread", text)
    items = tuple(_read(part, depth + 1) for part in parts)
    if any(item.kind == "list" for item in items):  # 1 ± 2 as a coordinate makes two points
        each = [item.items if item.kind == "list" else (item,) for item in items]
        if prod(map(len, each)) > MOST_COMPARED:
            return Answer("unread", text)
        points = tuple(Answer("tuple", "", items=point, brackets=opening + closing) for point in product(*each))
        return Answer("list", text, items=points)
    brackets = opening + closing
    mixed = brackets in ("(]", "[)")
    if mixed and len(items) != 2:
        return Answer("unread", text)
    return Answer("tuple", "", items=items, brackets=brackets, name="interval" if mixed else "")


def _related(text: str, depth: int) -> Answer | None:
    """Equations, chains of them, and inequalities in one letter."""
    if _APPROX.search(text):
        first, *rest = _APPROX.split(text)
        exact = _read(first, depth + 1)
        if exact.kind in ("value", "assignment") and not _NAME.fullmatch(first.strip()):
            return exact
        return _read(rest[-1], depth + 1) if _NAME.fullmatch(first.strip()) else Answer("unread", text)
    if _RELATION.search(re.sub(r"\([^()]*\)", "", text)):
        return _inequality(text, depth)
    if "\\ne" in text and re.search(r"\\ne(?![A-Za-z])", text):
        return Answer("unread", _spelled(text))
    members = [m.strip() for m in split_top(text, "=")]
    if len(members) < 2:
        return None
    if len(members) > 12 or not all(members):
        return Answer("unread", text)
    return _chain(members, depth, text)


def _chain(members: list[str], depth: int, text: str) -> Answer:
    read = [_read(member, depth + 1) for member in members]
    named = [_is_name(member) for member in members]
    if len(members) == 2:
        for left, right in ((0, 1), (1, 0)):
            if named[left] and _is_constant(read[right]):
                return Answer("assignment", text, items=(read[right],), name=_compact(members[left]))
        left_symbols = ex.symbols(read[0].node) if read[0].node is not None else frozenset()
        if _SINGLE.fullmatch(members[0]) and read[1].kind in ("value", "list", "tuple"):
            right_symbols = ex.symbols(read[1].node) if read[1].node is not None else frozenset()
            if len(left_symbols) != 1 or not left_symbols & right_symbols:
                return Answer(
                    "assignment", text, items=(read[1],), name=_compact(members[0]), node=_difference(members)
                )
    if all(_is_constant(part) for part in read) and len(members) == 2:
        same = compare(read[0], read[1])
        return read[1] if same else Answer("unread", text)
    if len(members) > 2:
        values = [part for part in read if _is_constant(part)]
        if values and all(compare(values[0], part) for part in values[1:]):
            if _is_constant(read[-1]):
                return read[-1]
            if named[-1] and len(values) == len(members) - 1:
                return Answer("assignment", text, items=(read[-2],), name=_compact(members[-1]))
        if named[0] and not values and read[-1].kind == "value":
            return Answer("assignment", text, items=(read[-1],), name=_compact(members[0]))
        return Answer("unread", text)
    node = _difference(members)
    told = tuple(part for part in read if _is_constant(part))[:1]
    return (
        Answer("equation", _spelled(text), node=node, items=told)
        if node is not None
        else Answer("unread", _spelled(text))
    )


def _is_name(member: str) -> bool:
    """Whether the left side of "... = 5" only names the 5: a letter, AB, f(2), a/b, m+n, a limit, words.

    An expression that holds numbers or powers (2x + 5y, x^2 + y^2) does not: it makes an equation.
    """
    if _NAME.fullmatch(member) or _APPLIED.fullmatch(member):
        return True
    try:
        return _only_letters(ex.parse(member))
    except ex.Unreadable:
        return len(member) <= 60 and bool(re.match(r"[A-Za-z\\|\u4e00-\u9fff]", member))


def _only_letters(node: ex.Node) -> bool:
    if node[0] == "sym":
        return True
    return node[0] in ("sum", "prod", "inv", "call") and all(
        _only_letters(child) for child in node[1:] if isinstance(child, tuple)
    )


def _difference(members: list[str]) -> ex.Node | None:
    try:
        return ("sum", ex.parse(members[0]), ("prod", ("num", Fraction(-1)), ex.parse(members[1])))
    except ex.Unreadable:
        return None


def _is_constant(answer: Answer) -> bool:
    if answer.kind == "value" and answer.node is not None:
        return not ex.symbols(answer.node) or (answer.other is not None and answer.other.unit is not None)
    if answer.kind in ("tuple", "set", "list", "union", "matrix"):
        return all(_is_constant(item) for item in answer.items)
    return answer.kind in ("base", "infinity", "ratio")


def _inequality(text: str, depth: int) -> Answer:
    """2 < x <= 5 and its kin as an interval; anything else as text."""
    signs = _RELATION.findall(text)
    parts = [part.strip() for part in _RELATION.split(text)]
    kinds = [{"<": "<", ">": ">", "\\le": "<=", "\\ge": ">=", "<=": "<=", ">=": ">="}[sign] for sign in signs]
    unread = Answer("unread", _spelled(text))
    if len(parts) == 2 and kinds[0][0] == "<" and re.fullmatch(r"\|\s*[a-z]\s*\|", parts[0]):
        bound = _read(parts[1], depth + 1)
        if bound.kind == "value" and bound.node is not None and (ex.approximate(bound.node) or 0) > 0:
            negative = _value(("prod", ("num", Fraction(-1)), bound.node), "-" + bound.text)
            brackets = "[]" if "=" in kinds[0] else "()"
            return Answer("tuple", INEQUALITY, items=(negative, bound), brackets=brackets, name="interval")
    if len(parts) not in (2, 3) or not all(parts) or "=" in "".join(parts):
        return unread
    lowest, highest = Answer("infinity", "-"), Answer("infinity", "+")
    if len(parts) == 3:
        if not _SINGLE.fullmatch(parts[1]) or kinds[0][0] != kinds[1][0]:
            return unread
        ends = [_read(parts[0], depth + 1), _read(parts[2], depth + 1)]
        closed = ["=" in kinds[0], "=" in kinds[1]]
        if kinds[0][0] == ">":
            ends.reverse()
            closed.reverse()
    else:
        left_letter = bool(_SINGLE.fullmatch(parts[0]))
        if left_letter == bool(_SINGLE.fullmatch(parts[1])):
            return unread
        bound = _read(parts[1] if left_letter else parts[0], depth + 1)
        upper = (kinds[0][0] == "<") == left_letter
        equal = "=" in kinds[0]
        ends = [lowest, bound] if upper else [bound, highest]
        closed = [False, equal] if upper else [equal, False]
    if not all(_is_constant(end) for end in ends):
        return unread
    brackets = ("[" if closed[0] else "(") + ("]" if closed[1] else ")")
    return Answer("tuple", INEQUALITY, items=tuple(ends), brackets=brackets, name="interval")


def _single(text: str, depth: int) -> Answer:
    """One value, with or without a unit; a choice; a word."""
    if _CHOICE.fullmatch(text) and (len(text.strip()) > 1 or text.strip() in "ABCDEFGHIJ"):
        letter = _CHOICE.fullmatch(text)
        assert letter
        name = letter[1]
        bare = text.strip() == name
        node: ex.Node | None = ("sym", name) if bare else None
        return Answer("text", name.upper() if not bare else name, node=node, name="choice")
    more = _CHOICE_AND_MORE.fullmatch(text)
    if more:
        return Answer("text", more[1] or more[2], name="choice", other=_read(more[3], depth + 1))
    if text.endswith(("%", " percent", " per cent")) or re.search(r"\d\s*percent$", text):
        number = _read(re.sub(r"(?:%|\s*per ?cent)$", "", text), depth + 1)
        if number.kind == "value":
            return Answer("value", text, node=number.node, places=number.places, percent=True)
    if ":" in text and _RATIO.fullmatch(text):
        parts = tuple(_read(part, depth + 1) for part in text.split(":"))
        if all(part.kind == "value" for part in parts):
            clock = re.fullmatch(r"\d{1,2}\s*:\s*\d{2}(?:\s*:\s*\d{2})?", text)
            return Answer("ratio", re.sub(r"\s", "", text) if clock else "", items=parts)
    node = None
    if not _is_words(text):
        try:
            node = ex.parse(text)
        except ex.Unreadable:
            node = None
    tail = split_unit(text)
    if tail is not None and tail[0].strip():
        number = _read(tail[0], depth + 1)
        if number.kind in ("value", "tuple", "list") and not number.percent:
            if tail[1] is None:
                return Answer("value", text, node=number.node, places=number.places)
            measured = Answer(
                number.kind, text, node=number.node, items=number.items, places=number.places, unit=tail[1],
                brackets=number.brackets,
            )  # fmt: skip
            if node is None or tail[2]:
                return measured
            return _value(node, text, other=measured)
    if node is not None:
        return _value(node, text)
    if _UNDEFINED.fullmatch(text):
        return Answer("text", _spelled(text).casefold().removesuffix("s"))
    if _WORDLIKE.fullmatch(text):
        return Answer("text", re.sub(r"[\s.,!]", "", _ARTICLE.sub("", text.casefold())))
    return Answer("unread", _spelled(text))


def _is_words(text: str) -> bool:
    """Whether a text is made of words, so that its letters are no product of variables."""
    if _PRODUCT.fullmatch(text) and text not in _SHORT_WORDS:
        return False
    words = [w for w in _WORD.findall(re.sub(r"\\[A-Za-z]+", " ", text)) if w not in ("sqrt", "pi", *ex.FUNCTIONS)]
    if any(len(word) > 3 for word in words):
        return True
    return bool(words) and max(map(len, words)) > 1 and bool(re.fullmatch(r"[A-Za-z .'-]+", text))


def compare(gold: Answer, answer: Answer) -> bool | None:
    """Whether two answers say the same; None where that cannot be decided. `gold` lends its decimals only."""
    if gold.kind == answer.kind and gold.text == answer.text and gold.text and gold.kind in ("text", "unread", "base"):
        return True
    if gold.name == "choice" or answer.name == "choice":
        return _compare_choice(gold, answer)
    if gold.other is not None and gold.other.kind == "list" and answer.kind in ("list", "set"):
        return compare(gold.other, answer)
    if answer.other is not None and answer.other.kind == "list" and gold.kind in ("list", "set"):
        return compare(gold, answer.other)
    if {gold.kind, answer.kind} in ({"tuple", "assignments"}, {"assignment", "assignments"}):
        return _compare_system(gold, answer)
    if gold.kind == "assignments" and answer.kind == "assignments":
        if [item.name for item in gold.items] != [item.name for item in answer.items]:
            return None
        return _all(compare(a.items[0], b.items[0]) for a, b in zip(gold.items, answer.items, strict=True))
    if gold.kind == "equation" or answer.kind == "equation":
        return _compare_equation(gold, answer)
    if "assignment" in (gold.kind, answer.kind):
        return _compare_assignment(gold, answer)
    if gold.kind == "value" and answer.kind == "value":
        return _compare_values(gold, answer)
    if gold.kind == "tuple" and answer.kind == "tuple":
        return _compare_tuples(gold, answer)
    if {gold.kind, answer.kind} <= {"set", "list", "value", "infinity"} and {gold.kind, answer.kind} & {"set", "list"}:
        return _compare_unordered(gold, answer)
    if {gold.kind, answer.kind} <= {"union", "tuple", "list", "set"} and "union" in (gold.kind, answer.kind):
        same = _unordered(_pieces(gold), _pieces(answer))
        if same:
            return True
        left, right = _merged(_pieces(gold)), _merged(_pieces(answer))
        return same if left is None or right is None else _unordered(left, right)
    return _compare_others(gold, answer)


def _pieces(answer: Answer) -> tuple[Answer, ...]:
    return answer.items if answer.kind in ("union", "list") else (answer,)


def _compare_others(gold: Answer, answer: Answer) -> bool | None:
    kinds = {gold.kind, answer.kind}
    if kinds == {"base"}:
        return gold.text == answer.text
    if "base" in kinds:
        return _compare_base(gold, answer) if gold.kind == "base" else _compare_base(answer, gold)
    if kinds in ({"infinity"}, {"anything"}):
        return gold.text == answer.text
    if kinds == {"anything", "tuple"}:
        line, pair = (gold, answer) if gold.kind == "anything" else (answer, gold)
        ends = [item.text if item.kind == "infinity" else "" for item in pair.items]
        return line.text == "R" and ends == ["-", "+"] and pair.brackets == "()"
    if kinds == {"matrix"}:
        if [len(row.items) for row in gold.items] != [len(row.items) for row in answer.items]:
            return False
        return _all(
            compare(a, b)
            for left, right in zip(gold.items, answer.items, strict=True)
            for a, b in zip(left.items, right.items, strict=True)
        )
    if kinds == {"ratio"}:
        if gold.text or answer.text:
            return gold.text == answer.text or _parts(gold, answer)
        same = _parts(gold, answer)
        if same or len(gold.items) != len(answer.items):
            return same
        first, second = ([ex.rational(part.node) for part in side.items if part.node] for side in (gold, answer))
        if None in (*first, *second) or not first[0] or not second[0]:
            return None
        return None if len({a / b for a, b in zip(first, second, strict=True) if a and b}) == 1 else False
    if "unread" in kinds:
        return None
    if "matrix" in kinds and "tuple" in kinds:
        return None
    if "ratio" in kinds and "value" in kinds:
        return None
    if kinds == {"tuple", "list"}:  # brackets left out, perhaps
        return None if _parts(gold, answer) else False
    return False


def _parts(gold: Answer, answer: Answer) -> bool | None:
    if len(gold.items) != len(answer.items):
        return False
    return _all(compare(a, b) for a, b in zip(gold.items, answer.items, strict=True))


def _all(verdicts: object) -> bool | None:
    unsure = False
    for verdict in verdicts:  # type: ignore[attr-defined]
        if verdict is False:
            return False
        unsure = unsure or verdict is None
    return None if unsure else True


def _compare_system(gold: Answer, answer: Answer) -> bool | None:
    """x = -2, y = 1 against (-2, 1) or (x, y) = (-2, 1): letters in the order of the alphabet name the places."""
    system, other = (gold, answer) if gold.kind == "assignments" else (answer, gold)
    names = [item.name for item in system.items]
    pair = other
    if other.kind == "assignment":
        pair = other.items[0]
        if pair.kind != "tuple" or other.name.strip("()").split(",") != names:
            return None if pair.kind != "value" else False
    if not all(len(name) == 1 for name in names) or len(pair.items) != len(names) or pair.brackets != "()":
        return None
    values = tuple(item.items[0] for item in system.items)
    left, right = (values, pair.items) if system is gold else (pair.items, values)
    return _all(compare(a, b) for a, b in zip(left, right, strict=True))


def _compare_choice(gold: Answer, answer: Answer) -> bool | None:
    if gold.name == answer.name == "choice":
        if gold.node is not None and answer.node is not None:  # two bare letters may be variables
            return gold.text == answer.text
        return gold.text.upper() == answer.text.upper()
    choice, plain = (gold, answer) if gold.name == "choice" else (answer, gold)
    if choice.other is not None:
        return compare(choice.other, plain) if choice is answer else None
    if choice.node is None and plain.text.upper() == choice.text.upper():
        return True
    if choice.node is not None and plain.kind in ("value", "assignment"):
        return compare(_value(choice.node, choice.text), plain)
    return None if plain.kind == "unread" else False


def _compare_base(based: Answer, other: Answer) -> bool | None:
    """Digits with their base against a bare number: undecided where either the digits or the value agree."""
    if other.kind != "value" or other.node is None:
        return None if other.kind == "unread" else False
    digits = based.text.partition("_")[0]
    if based.name == "10":
        return _compare_values(_value(("num", Fraction(digits)), digits), other)
    value = ex.rational(other.node)
    spelled = re.sub(r"[\s,]", "", other.text).upper()
    return None if spelled == digits or value == _in_base(digits, int(based.name)) else False


def _in_base(digits: str, base: int) -> Fraction:
    whole, _, part = digits.partition(".")
    return Fraction(int(whole + part, base), base ** len(part))


def _compare_equation(gold: Answer, answer: Answer) -> bool | None:
    if gold.node is None or answer.node is None:
        return None
    if "value" in (gold.kind, answer.kind) or "text" in (gold.kind, answer.kind):
        equation, number = (gold, answer) if gold.kind == "equation" else (answer, gold)
        # x^2 + y^2 = 9 is not 9, but it may be how somebody says that the sum is 9.
        told = equation.items[0] if equation.items else None
        zero = number.node is not None and ex.rational(number.node) == 0
        return None if told is not None and not zero and compare(told, number) else False
    if {gold.kind, answer.kind} <= {"equation", "assignment"}:
        return _proportional(gold.node, answer.node)
    return None


def _proportional(first: ex.Node, second: ex.Node) -> bool | None:
    """Whether two equations, each as left minus right, differ by a constant factor."""
    names = ex.symbols(first) | ex.symbols(second)
    if ex.symbols(first) != ex.symbols(second):
        return False
    ratios = []
    for which in range(ex.POINTS):
        at = ex.points(names, which)
        values = [ex.rational(ex.placed(node, at)) for node in (first, second)]
        if None in values:
            return None
        a, b = values
        if not a or not b:
            return None
        ratios.append(a / b)
    if len(set(ratios)) == 1:
        return True
    return False if ex.is_polynomial(first) and ex.is_polynomial(second) else None


def _compare_assignment(gold: Answer, answer: Answer) -> bool | None:
    if gold.kind == answer.kind == "assignment":
        same = compare(gold.items[0], answer.items[0])
        if gold.name == answer.name:
            return same
        if same and (_FUNCTION_OF.fullmatch(gold.name) or _FUNCTION_OF.fullmatch(answer.name)):
            return True if gold.node is not None and answer.node is not None else None
        if gold.node is not None and answer.node is not None:
            return _proportional(gold.node, answer.node)
        return None if same else same
    assigned, other = (gold, answer) if gold.kind == "assignment" else (answer, gold)
    if other.kind in ("assignments", "unread"):
        return None
    inner = assigned.items[0]
    return compare(inner, other) if assigned is gold else compare(other, inner)


def _compare_tuples(gold: Answer, answer: Answer) -> bool | None:
    if len(gold.items) != len(answer.items) or gold.brackets != answer.brackets:
        return False
    return _parts(gold, answer)


def _compare_unordered(gold: Answer, answer: Answer) -> bool | None:
    """Sets and lists: no order, and a set with one element is not that element's list of two."""
    if gold.kind == answer.kind == "set" and {i.kind for i in (*gold.items, *answer.items)} & {"set"}:
        return _unordered(_distinct(gold.items), _distinct(answer.items))
    left = gold.items if gold.kind in ("set", "list") else (gold,)
    right = answer.items if answer.kind in ("set", "list") else (answer,)
    if gold.name and answer.name and gold.name != answer.name:
        return None
    if "set" in (gold.kind, answer.kind):
        left, right = _distinct(left), _distinct(right)
    return _unordered(left, right)


def _distinct(items: tuple[Answer, ...]) -> tuple[Answer, ...]:
    return tuple({key(item): item for item in items}.values())


def _unordered(left: tuple[Answer, ...], right: tuple[Answer, ...]) -> bool | None:
    """Each on the left matched with one on the right: by their keys, and what is left over one against another
    (largest matching, since rounding makes sameness no class)."""
    if len(left) != len(right):
        return False
    waiting: dict[str, list[Answer]] = {}
    for item in right:
        waiting.setdefault(key(item), []).append(item)
    rest = []
    for item in left:
        twins = waiting.get(key(item))
        if twins and _alike(item, twins[-1]):
            twins.pop()
        else:
            rest.append(item)
    others = [item for twins in waiting.values() for item in twins]
    if len(rest) > MOST_COMPARED:
        return None
    verdicts = [[_alike(a, b) for b in others] for a in rest]
    if _matching([[v is True for v in row] for row in verdicts]):
        return True
    return None if _matching([[v is not False for v in row] for row in verdicts]) else False


def _alike(gold: Answer, answer: Answer) -> bool | None:
    """`compare` for members, of which a set is never its only element."""
    return False if (gold.kind == "set") != (answer.kind == "set") else compare(gold, answer)


def _matching(allowed: list[list[bool]]) -> bool:
    """Whether a perfect matching exists (augmenting paths)."""
    partner: dict[int, int] = {}

    def place(row: int, seen: set[int]) -> bool:
        for column, fits in enumerate(allowed[row]):
            if fits and column not in seen:
                seen.add(column)
                if column not in partner or place(partner[column], seen):
                    partner[column] = row
                    return True
        return False

    return all(place(row, set()) for row in range(len(allowed)))


def _compare_values(gold: Answer, answer: Answer) -> bool | None:
    assert gold.node is not None and answer.node is not None
    if gold.unit is not None and answer.unit is not None:
        return _compare_measured(gold, answer)
    if gold.percent != answer.percent:
        return _compare_percent(gold, answer)
    same = _same(gold.node, answer.node, gold.places)
    if same is True:
        return True
    # "5m": five metres where the other side has no letters.
    for one, two, swapped in ((gold, answer, False), (answer, gold, True)):
        if one.other is not None and (two.unit is not None or not ex.symbols(two.node or ("num", Fraction(0)))):
            verdict = compare(two, one.other) if swapped else compare(one.other, two)
            if verdict is not False:
                return verdict
    return same


def _same(gold: ex.Node, answer: ex.Node, places: int | None) -> bool | None:
    same = ex.same_value(gold, answer)
    if same is not True and places is not None and not ex.symbols(answer):
        target = ex.rational(gold)
        # One place is too few to take an irrational number for what was rounded: 2 sqrt(5) is not 4.5.
        if target is not None and (places > 1 or ex.rational(answer) is not None):
            return ex.rounds_to(answer, target, places)
    return same


def _compare_percent(gold: Answer, answer: Answer) -> bool | None:
    """p% against a bare number: p/100, or p itself where the sign was left out."""
    percent, bare = (gold, answer) if gold.percent else (answer, gold)
    assert percent.node is not None and bare.node is not None
    if bare.unit is not None:
        return None
    places = gold.places
    for node in (percent.node, ("prod", percent.node, ("num", Fraction(1, 100)))):
        left, right = (node, bare.node) if percent is gold else (bare.node, node)
        same = _same(left, right, places if node is percent.node or percent is answer else None)
        if same is not False:
            return same
    return False


def _in_radians(answer: Answer) -> ex.Node:
    assert answer.node is not None and answer.unit is not None
    return ("call", "degree", answer.node) if answer.unit.dimension == "angle" else answer.node


def _compare_measured(gold: Answer, answer: Answer) -> bool | None:
    assert gold.unit and answer.unit and gold.node is not None and answer.node is not None
    if gold.unit == answer.unit:
        return _same(gold.node, answer.node, gold.places)
    same_number = _same(gold.node, answer.node, gold.places)
    if not (gold.unit.known and answer.unit.known):
        return None if same_number is not False else False
    if {gold.unit.dimension, answer.unit.dimension} == {"angle", "radian"}:
        first, second = (_in_radians(a) for a in (gold, answer))
        return ex.same_value(first, second)
    if gold.unit.dimension != answer.unit.dimension:
        return False
    scale = ("num", answer.unit.factor / gold.unit.factor)
    return _same(gold.node, ("prod", answer.node, scale), gold.places)


def key(answer: Answer) -> str:
    """A text shared by answers that vote together: the exact value, with units and percent signs left out."""
    if answer.name == "choice":
        return f"choice {answer.text.upper()}"
    if answer.kind == "value" and answer.node is not None:
        return ex.key(answer.node)
    if answer.kind == "assignment":
        return key(answer.items[0])
    if answer.kind == "base":
        return answer.text.partition("_")[0].lower() + "/1" if answer.name == "10" else "base " + answer.text
    parts = [key(item) for item in answer.items]
    if answer.kind in ("set", "list", "union"):
        parts = sorted(set(parts) if answer.kind == "set" else parts)
        kind = "union" if answer.kind == "union" else "some"
        return f"{kind}({'; '.join(parts)})" if len(parts) != 1 or answer.kind == "set" else parts[0]
    if answer.kind == "assignments":
        return "; ".join(f"{item.name}={part}" for item, part in zip(answer.items, parts, strict=True))
    if parts:
        return f"{answer.kind}{answer.brackets}({'; '.join(parts)})"
    return f"{answer.kind} {answer.text}"
