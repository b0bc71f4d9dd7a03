"""What may stand behind a number: units, percent, multipliers such as "million", and harmless words.

Only units whose conversion is beyond doubt are converted. A word that is not known is kept as it is: it neither helps
nor harms a number unless the other answer carries a different one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from longthought.grading.latex import DOLLAR

LONGEST = 200  # characters of a number with its unit


@dataclass(frozen=True)
class Unit:
    """A dimension and the factor to its base; `dimension` is the word itself where no conversion is known."""

    dimension: str
    factor: Fraction = Fraction(1)
    known: bool = True


_TABLE = {
    "money": {"dollar dollars usd 美元": "1", "cent cents 美分": "1/100"},
    "yuan": {"yuan 元 块 rmb": "1", "角": "1/10", "分钱": "1/100"},
    "length": {
        "m meter meters metre metres 米": "1", "cm centimeter centimeters centimetre centimetres 厘米": "1/100",
        "mm millimeter millimeters millimetre millimetres 毫米": "1/1000", "dm decimeter decimeters 分米": "1/10",
        "km kilometer kilometers kilometre kilometres 千米 公里": "1000",
        "in inch inches": "127/5000", "ft foot feet": "381/1250", "yd yard yards": "1143/1250",
        "mi mile miles": "201168/125",
    },
    "time": {
        "s sec secs second seconds 秒": "1", "min mins minute minutes 分钟": "60", "h hr hrs hour hours 小时": "3600",
        "day days 天": "86400", "week weeks 周": "604800",
    },
    "mass": {
        "g gram grams 克": "1", "kg kilogram kilograms 千克 公斤": "1000", "mg milligram milligrams": "1/1000",
        "ton tons tonne tonnes 吨": "1000000", "lb lbs pound pounds": "45359237/100000",
        "oz ounce ounces": "45359237/1600000",
    },
    "volume": {"L liter liters litre litres 升": "1", "ml milliliter milliliters millilitre 毫升": "1/1000"},
    "angle": {"degree degrees deg 度": "1"},
    "radian": {"rad radian radians 弧度": "1"},
    "energy": {"J joule joules": "1"},
    "force": {"N newton newtons": "1"},
    "voltage": {"V volt volts": "1"},
}  # fmt: skip
_WORDS = {
    word: Unit(dimension, Fraction(factor))
    for dimension, units in _TABLE.items()
    for words, factor in units.items()
    for word in words.split()
}
_MULTIPLIERS = {
    "hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12,
    "万": 10**4, "亿": 10**8, "百": 100, "千": 1000,
}  # fmt: skip
# Words that change what a number says, so that a number before them is not the answer by itself.
_NOT_UNITS = {
    "about", "above", "actually", "ad", "am", "and", "approximately", "are", "base", "bc", "below", "between",
    "billion", "billions", "but", "choose", "cubed", "divided", "doubled", "dozens", "eight", "eighth", "eighths",
    "exceeds", "except", "excluded", "factorial", "fails", "false", "fifth", "fifths", "five", "for", "four",
    "fourth", "fourths", "from", "half", "halves", "hmm", "hundred", "hundreds", "hundredth", "hundredths", "if",
    "incorrect", "infinity", "is", "least", "less", "maybe", "million", "millions", "minus", "mixed", "mod",
    "modulo", "more", "most", "negative", "nine", "ninth", "ninths", "no", "not", "one", "or", "otherwise",
    "over", "percentage", "pi", "plus", "pm", "possibly", "quarter", "quarters", "r", "remainder", "root",
    "seven", "seventh", "sevenths", "six", "sixth", "sixths", "so", "sqrt", "squared", "ten", "tens", "tenth",
    "tenths", "th", "than", "then", "third", "thirds", "thousand", "thousands", "thousandth", "thousandths",
    "three", "to", "tripled", "twenty", "twice", "two", "undefined", "under", "wait", "when", "where", "with",
    "without", "wrong", "zero",
}  # fmt: skip
_POWER_WORDS = {"square": 2, "sq": 2, "cubic": 3, "cu": 3, "平方": 2, "立方": 3}
_TAIL = re.compile(
    r"^(?P<number>.*?[\d)}\]!]|.*?\\pi|.*?¤\s*[\d.,]+)(?P<space>\s*)(?P<unit>(?:[A-Za-z]+\.?|[\u4e00-\u9fff]+)"
    r"(?:[ /.-]+(?:[A-Za-z]+\.?|[\u4e00-\u9fff]+)){0,4}"
    r"(?:\s*\^\s*\{?\s*[23]\s*\}?)?(?:/[A-Za-z]+(?:\s*\^\s*\{?\s*[23]\s*\}?)?)?)$"
)
_UNIT_FRACTION = re.compile(r"\s*\\frac\s*\{\s*([A-Za-z]{1,12})\s*\}\s*\{\s*([A-Za-z]{1,12})\s*\}$")
_ANGLE_FUNCTION = re.compile(r"sin|cos|tan|cot|sec|csc")
_CJK = re.compile(r"[\u4e00-\u9fff]")


def _named(words: str, power: int) -> Unit | None:
    """A unit by its name, with the power that "square" or an exponent gives it."""
    lower = words.strip().rstrip(".").lower()
    first, _, rest = lower.partition(" ")
    if first in _POWER_WORDS and rest:
        return _named(rest, power * _POWER_WORDS[first])
    for prefix in ("平方", "立方"):
        if lower.startswith(prefix):
            return _named(lower[len(prefix) :], power * _POWER_WORDS[prefix])
    if lower.endswith((" squared", " cubed")):
        return _named(lower.rpartition(" ")[0], power * (2 if lower.endswith("squared") else 3))
    unit = _WORDS.get(words.strip()) or (_WORDS.get(lower) if len(lower) > 1 else None)
    if unit is None:
        return None
    if power == 1:
        return unit
    return Unit(f"{unit.dimension}^{power}", unit.factor**power)


def _rate(words: str, power: int) -> Unit | None:
    """One known unit per another: km/h, metres per second, g/cm^3 (whose power is that of the last)."""
    halves = re.split(r"\s*/\s*|\s+per\s+", words)
    if len(halves) != 2:
        return None
    exponent = re.search(r"\^\s*\{?\s*([23])\s*\}?$", halves[0])
    top = _named(halves[0][: exponent.start()] if exponent else halves[0], int(exponent[1]) if exponent else 1)
    bottom = _named(halves[1], power)
    if top is None or bottom is None:
        return None
    return Unit(f"{top.dimension}/{bottom.dimension}", top.factor / bottom.factor)


def split_unit(text: str) -> tuple[str, Unit | None, bool] | None:
    """(number, unit, certain) of a text that ends in a unit; None where nothing like a unit stands there.

    The unit is None for a multiplier, which is then part of the number. `certain` is false where the letters could as
    well be variables, as in "5m".
    """
    text = text.strip()
    text = _UNIT_FRACTION.sub(r" \1/\2", text)
    if DOLLAR in text:
        if text.count(DOLLAR) > 1:
            return None
        before, _, after = text.partition(DOLLAR)
        if before.strip() in ("", "-", "+") or not after.strip():
            inner = before + after
            named = split_unit(inner)
            if named and named[1] is None:
                inner = named[0]
            return inner, _WORDS["dollar"], True
        return None
    if text.endswith(("^\\circ", "^{\\circ}")) and not _ANGLE_FUNCTION.search(text):
        return text.rpartition("^")[0], _WORDS["degree"], True
    heat = re.match(r"^(.*?)\s*\^\s*\{?\s*\\circ\s*\}?\s*([CF])$", text)
    if heat:
        return heat[1], Unit("celsius" if heat[2] == "C" else "fahrenheit"), True
    match = _TAIL.match(text) if len(text) <= LONGEST else None
    if not match:
        return None
    number, words, space = match["number"], match["unit"], match["space"]
    exponent = re.search(r"\s*\^\s*\{?\s*([23])\s*\}?$", words)
    power = int(exponent[1]) if exponent else 1
    bare = words[: exponent.start()] if exponent else words
    if bare in _MULTIPLIERS or bare.lower() in _MULTIPLIERS:
        return f"({number})*{_MULTIPLIERS[bare.lower()]}", None, True
    head, _, rest = bare.partition(" ")
    if head.lower() in _MULTIPLIERS and rest:
        counted = split_unit(f"{number} {rest}")
        return (f"({counted[0]})*{_MULTIPLIERS[head.lower()]}", counted[1], counted[2]) if counted else None
    unit = _rate(bare, power) or _named(bare, power)
    if unit is None and _CJK.match(bare) and bare[0] in "万亿":
        unit_of = _named(bare[1:], power) or Unit(bare[1:], known=False)
        return f"({number})*{_MULTIPLIERS[bare[0]]}", unit_of, True
    certain = bool(space) or len(bare.replace(" ", "")) > 2 or bool(_CJK.match(bare))
    if unit is not None:
        return number, unit, certain
    parts = re.split(r"[ /.-]+", bare.lower())
    if _CJK.match(bare):
        if len(bare) > 4 or set(bare) & set("不非或和是否无没十百千万亿成折负半几多约分之"):
            return None
    elif len(parts) > 4 or any(part in _NOT_UNITS or len(part) < 2 for part in parts):
        return None
    if len(bare) < 3 and not _CJK.match(bare):
        return None
    singular = " ".join(part[:-1] if len(part) > 3 and part.endswith("s") else part for part in parts)
    return number, Unit(singular + (f"^{power}" if power > 1 else ""), known=False), certain
