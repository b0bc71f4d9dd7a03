"""Translation of thoughts between English and Chinese, and the checks that what must survive it did survive.

The report's bilingual set is half translated (section 4). A translator that drops a minus or solves the problem anew
would poison it, so a translation is believed only when the numbers, the formulas, the units and the box are those of
the source, and the text is whole, of a likely length and in the other language. What fails is asked again with another
seed and rejected in the end, with the reason. The checks compare signs and not meaning: a translation may pass them
and be bad prose. `measured` says on labelled pairs how often the checks err.

For the miniature, `MiniatureTranslator` is a real translator of its few words, with which nothing has to be trained.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from importlib.resources import files
from typing import Any

import pandas as pd

from longthought.engines import Completion, Engine, Sampling
from longthought.errors import UserError
from longthought.grading import grade
from longthought.grading.extraction import visible
from longthought.problems import LANGUAGES
from longthought.statistics import Rate, wilson
from longthought.thoughts.procedural import WORDS
from longthought.thoughts.record import Thought, Trace
from longthought.thoughts.reflection import words

PROMPTS = {
    "zh": "Translate the text below into Chinese. Translate every sentence, doubts and wrong turns too. Keep every "
    "number in digits, every formula and every \\boxed{} exactly as it is. Write the translation and nothing else.\n\n",
    "en": "请把下面的文字翻译成英文。每一句都要翻译，包括怀疑和走错的步骤。所有数字、公式和 \\boxed{} 都必须原样保留。"
    "只写译文，不要写别的。\n\n",
}
# A translation has between these shares of the source's words; short texts are given more room.
_RATIO, _RATIO_SHORT, _SHORT = (0.4, 2.5), (0.2, 5.0), 12


@dataclass(frozen=True)
class TranslateOptions:
    """Each text is asked for once and, where a check fails, up to `retries` times again, with seeds counted on."""

    max_tokens: int = 4096
    temperature: float = 0.3
    top_p: float = 1.0
    seed: int = 0
    retries: int = 2

    def __post_init__(self) -> None:
        if self.retries < 0:
            raise UserError(f"retries is {self.retries}: 0 or more are wanted")
        if self.retries and self.temperature == 0:
            raise UserError("a greedy translator would repeat itself: set a temperature above 0, or retries to 0")
        self.sampling(0)

    def sampling(self, attempt: int) -> Sampling:
        """How the tries are asked, the first being 0."""
        return Sampling(self.max_tokens, self.temperature, self.top_p, seed=self.seed + attempt)


@dataclass(frozen=True)
class Translation:
    """The last try at one text; `reasons` holds what each failed try was rejected for, `calls` the ids of all tries."""

    source: str
    text: str
    to: str
    accepted: bool
    reasons: tuple[str, ...]
    calls: tuple[str, ...]

    @property
    def tries(self) -> int:
        """How often the text was asked for."""
        return len(self.calls)


def translate(
    texts: Sequence[str],
    translator: Engine,
    to: str,
    options: TranslateOptions,
    trace: Trace,
    progress: Callable[[int, int], None] | None = None,
) -> list[Translation]:
    """A translation of each text into "en" or "zh", accepted or not, in order; progress counts settled texts."""
    if to not in LANGUAGES:
        raise UserError(f"cannot translate into {to!r}: choose from {', '.join(LANGUAGES)}")
    found = [Translation(text, "", to, False, (), ()) for text in texts]
    open_ones = list(range(len(texts)))
    for attempt in range(1 + options.retries):
        if not open_ones:
            break
        asked = [PROMPTS[to] + texts[i] for i in open_ones]
        for i, (call,) in zip(
            open_ones, trace.ask(translator, "translator", asked, options.sampling(attempt)), strict=True
        ):
            text = visible(call.completion).strip()
            why = "cut off at the token limit" if call.finish == "length" else complaint(texts[i], text, to)
            reasons = (*found[i].reasons, why) if why else found[i].reasons
            found[i] = Translation(texts[i], text, to, not why, reasons, (*found[i].calls, call.id))
        open_ones = [i for i in open_ones if not found[i].accepted]
        if progress:
            progress(len(texts) - len(open_ones), len(texts))
    if progress:
        progress(len(texts), len(texts))
    return found


def translate_thoughts(
    thoughts: Sequence[Thought],
    translator: Engine,
    to: str,
    options: TranslateOptions,
    trace: Trace,
    progress: Callable[[int, int], None] | None = None,
) -> list[Thought]:
    """Each thought with its problem in the other language, graded anew; accepted only if both translations were.

    The calls of a translated thought are those of its original and those of both translations. Raises UserError for
    a thought that is in the target language already.
    """
    for thought in thoughts:
        if thought.problem.language == to:
            raise UserError(f"problem {thought.problem.id!r} is in {to!r} already: translate only the others")
    texts = [part for t in thoughts for part in (t.problem.text, t.text)]
    done = translate(texts, translator, to, options, trace, progress)
    return [
        _translated(thought, problem, text)
        for thought, problem, text in zip(thoughts, done[::2], done[1::2], strict=True)
    ]


def _translated(thought: Thought, problem: Translation, text: Translation) -> Thought:
    old = thought.problem
    prefix = f"{old.language}:"
    identity = f"{text.to}:{old.id.removeprefix(prefix)}" if old.id.startswith(prefix) else f"{old.id}:{text.to}"
    told = replace(old, id=identity, text=problem.text, language=text.to, solution="")
    verdict = grade(old.gold, text.text)
    parts = (("problem", problem), ("thought", text))
    failed = [f"translation of the {what}: {part.reasons[-1]}" for what, part in parts if not part.accepted]
    if not failed and not verdict.correct:
        failed = [f"graded {verdict.verdict} after the translation"]
    return Thought(
        problem=told,
        text=text.text,
        answer=verdict.extracted,
        verdict=verdict.verdict,
        method=thought.method,
        calls=(*thought.calls, *problem.calls, *text.calls),
        accepted=thought.accepted and not failed,
        reason="; ".join(failed) or thought.reason,
        details={"translated_from": old.id, "tries": problem.tries + text.tries},
    )


# --- the checks ---

_BRACE = re.compile(r"(?P<box>\\(?:boxed|fbox|framebox)\s*\{)|\\[{}]|[{}]")
# Formulas, and numbers below, have a largest length, so that hostile text cannot make the checks take long.
_FORMULA = re.compile(r"\$\$(.{1,2000}?)\$\$|\$([^$]{1,2000})\$|\\\((.{1,2000}?)\\\)|\\\[(.{1,2000}?)\\\]", re.DOTALL)
_COSMETIC = re.compile(
    r"\\(?:left|right|displaystyle|quad|qquad|big|Big|bigl|bigr|,|;|:|!| )(?![A-Za-z])|\s|(?<=\\)[dt](?=frac)"
)
_WORDS_INSIDE = re.compile(r"\\(?:text|mathrm|textbf|mbox|operatorname)\s*\{[^{}]*\}")
_LEADS = re.compile(
    r"\s*(?:sure|certainly|of course|here (?:is|'s)|below is|the (?:english |chinese )?translation|translation\s*:"
    r"|以下(?:是|为)|下面是|译文|翻译(?:如下|结果)?\s*[:：]|好的)",
    re.IGNORECASE,
)
_ECHOES = (
    "translate the text below", "write the translation and nothing else", "翻译成英文", "翻译成中文", "只写译文",
    "original chinese", "original english", "translator's note", "译者注",
)  # fmt: skip
_HAN = re.compile(r"[\u3400-\u9fff]")
_LATIN_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
_COMMAND = re.compile(r"\\[A-Za-z]+")
_FULL_WIDTH = str.maketrans(
    {**{c: chr(c - 0xFEE0) for c in range(0xFF01, 0xFF5F)}, 0x2212: "-", 0x2013: "-", 0x3000: " ", 0xD7: "*", 0xB7: "*",
     0xF7: "/", 0x2264: "<=", 0x2265: ">="}
)  # fmt: skip
_NUMBER = re.compile(
    r"(?P<minus>(?<![\w)}\]])-\s?(?=\d)|负\s*(?=\d)|\b(?:minus|negative) (?=\d))?"
    r"(?P<digits>\d{1,3}(?:,\d{3}){1,9}(?!\d)|\d{1,60})(?P<rest>\.\d{1,60})?"
    r"(?P<scale>\s*(?:千万|百万|万|亿)| (?:thousand|million|billion)\b)?"
)
_SCALE = {"万": 10**4, "百万": 10**6, "千万": 10**7, "亿": 10**8, "thousand": 10**3, "million": 10**6, "billion": 10**9}
_NAMES = (
    "zero", "one once first january", "two twice second double pair february", "three third triple march",
    "four fourth april", "five fifth", "six sixth june", "seven seventh july", "eight eighth august",
    "nine ninth september", "ten tenth october", "eleven november", "twelve dozen december", "thirteen", "fourteen",
    "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
# "May" is left out: as a verb it would excuse a five that was lost.
_SPELLED = {name: value for value, names in enumerate(_NAMES) for name in names.split()}
_SPELLED |= {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80}
_SPELLED |= {"ninety": 90, "hundred": 100, "thousand": 1000, "million": 10**6}
_ENGLISH = re.compile(r"[a-z]+(?:-[a-z]+)?", re.IGNORECASE)
_NEGATED = re.compile(r"(?:负|\b(?:minus|negative) )$", re.IGNORECASE)
_CHINESE = re.compile(r"[零〇一二两三四五六七八九十百千万亿]{1,20}")
_DIGITS = {c: i for i, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_UNITS = {
    "percent": r"%|percent\b|per cent\b",
    "km": r"km\b|kilomet(?:er|re)s?\b|千米|公里",
    "m": r"m\b|met(?:er|re)s?\b|米",
    "cm": r"cm\b|centimet(?:er|re)s?\b|厘米",
    "mm": r"mm\b|millimet(?:er|re)s?\b|毫米",
    "kg": r"kg\b|kilograms?\b|kilos?\b|千克|公斤",
    "g": r"g\b|grams?\b|克",
    "l": r"lit(?:er|re)s?\b|升",
    "hour": r"h\b|hours?\b|个?小时",
    "minute": r"min\b|minutes?\b|分钟",
    "second": r"seconds?\b|秒",
    "day": r"days?\b|天",
    "dollar": r"dollars?\b|美元",
}
_UNIT = re.compile(r"[\s-]*(?:" + "|".join(f"(?P<{name}>{form})" for name, form in _UNITS.items()) + ")", re.IGNORECASE)
_OPERATORS = re.compile(r"<=|>=|[=+*^<>]|(?<=[\d)])\s*/\s*(?=[\d(])|(?<=\s)-(?=\s)")
_LETTER = re.compile(r"(?<![A-Za-z'’\\])[A-Za-z](?![A-Za-z'’])")
# An article, a pronoun, units and what is left of don't: no variables for sure.
_NO_VARIABLE = frozenset("aAIsStmghldO")


def complaint(source: str, translated: str, to: str) -> str:
    """Why a translation of `source` into `to` cannot be believed, in a few words, or "" where no check fails."""
    if not translated.strip():
        return "empty"
    lowered = translated.lower()
    if _LEADS.match(translated) or any(echo in lowered and echo not in source.lower() for echo in _ECHOES):
        return "talks about the translation"
    if _normal(source) == _normal(translated) and _wordy(source):
        return "not translated"
    if wrong := _language(translated, to):
        return wrong
    before, after = words(source), words(translated)
    least, most = _RATIO if before > _SHORT else _RATIO_SHORT
    if not least * before <= after <= most * max(before, 1):
        return f"length: {after:g} words for {before:g}"
    for what, read in (("box", _boxes), ("formulas", _formulas)):
        lost, new = _difference(read(source), read(translated))
        if lost or new:
            return f"{what} changed: {_told(lost, new)}"
    first, second = _plain(source), _plain(translated)
    return _numbers_complaint(first, second) or _rest_complaint(first, second)


def _normal(text: str) -> str:
    return "".join(text.translate(_FULL_WIDTH).split())


def _without_mathematics(text: str) -> str:
    return _COMMAND.sub(" ", _FORMULA.sub(" ", text))


def _wordy(text: str) -> bool:
    return bool(_HAN.search(text) or _LATIN_WORD.search(_without_mathematics(text)))


def _language(translated: str, to: str) -> str:
    """What is wrong with the language of a text: a Chinese character is held to be half a word."""
    bare = _without_mathematics(translated)
    han, latin = len(_HAN.findall(bare)) / 2, len(_LATIN_WORD.findall(bare))
    if to == "en" and han:
        return "Chinese characters are left"
    if to == "zh" and latin > 0.25 * (han + latin):
        return "English words are left"
    return ""


def _box_spans(text: str) -> list[tuple[int, int]]:
    """Where the contents of the boxes stand, braces balanced, in order of their ends."""
    spans, opened = [], []
    for brace in _BRACE.finditer(text):
        if brace["box"] or brace[0] == "{":
            opened.append(brace.end() if brace["box"] else -1)
        elif brace[0] == "}" and opened and (start := opened.pop()) >= 0:
            spans.append((start, brace.start()))
    return spans


def _formula(text: str) -> str:
    return _COSMETIC.sub("", _WORDS_INSIDE.sub("", text.translate(_FULL_WIDTH)))


def _boxes(text: str) -> Counter[str]:
    return Counter(_formula(text[start:end]) for start, end in _box_spans(text))


def _is_number(formula: str) -> bool:
    return re.fullmatch(r"-?[\d.,]+", formula) is not None


def _formulas(text: str) -> Counter[str]:
    spans = (_formula(next(part for part in found.groups() if part)) for found in _FORMULA.finditer(text))
    return Counter(span for span in spans if not _is_number(span))


def _plain(text: str) -> str:
    """The text outside formulas and boxes, digits and signs in their simple form; a formula that is a number stays."""

    def kept(found: re.Match[str]) -> str:
        inside = _formula(next(part for part in found.groups() if part))
        return f" {inside} " if _is_number(inside) else " "

    pieces, at = [], 0
    for start, end in sorted(_box_spans(text)):
        if start >= at:
            pieces.append(text[at:start])
            at = end
    boxless = " ".join([*pieces, text[at:]])
    return _COMMAND.sub(" ", _FORMULA.sub(kept, boxless)).translate(_FULL_WIDTH)


def _difference(first: Counter[Any], second: Counter[Any]) -> tuple[list[Any], list[Any]]:
    return sorted((first - second).elements()), sorted((second - first).elements())


def _told(lost: Sequence[Any], new: Sequence[Any]) -> str:
    told = [f"{mark}{str(item)[:40]}" for mark, items in (("lost ", lost), ("new ", new)) for item in items[:2]]
    return ", ".join(told)


def _numbers(text: str) -> tuple[Counter[Fraction], dict[Fraction, Counter[str]]]:
    """The numbers in digits, and the units that stand behind (or, for percent in Chinese, before) each value."""
    values: Counter[Fraction] = Counter()
    units: dict[Fraction, Counter[str]] = {}
    for found in _NUMBER.finditer(text):
        value = Fraction(found["digits"].replace(",", "") + (found["rest"] or ""))
        if found["scale"]:
            value *= _SCALE[found["scale"].strip()]
        value = -value if found["minus"] else value
        values[value] += 1
        unit = _UNIT.match(text, found.end())
        name = "percent" if text.endswith("百分之", 0, found.start()) else unit.lastgroup if unit else None
        if name:
            units.setdefault(value, Counter())[name] += 1
    return values, units


def _numbers_complaint(first: str, second: str) -> str:
    (values, units), (other_values, other_units) = _numbers(first), _numbers(second)
    lost, new = _difference(values, other_values)
    # A number may be spelled out on one of the sides. What both spell out, such as "the second", excuses no digit.
    said, other_said = _spelled_out(first), _spelled_out(second)
    lost = _unexcused(lost, other_said - said)
    new = _unexcused(new, said - other_said)
    if lost or new:
        return f"numbers changed: {_told([_shown(v) for v in lost], [_shown(v) for v in new])}"
    for value, names in units.items():
        if value in other_units and names != other_units[value]:
            return f"unit changed: of {_shown(value)}"
        if names["percent"] and not other_units.get(value, Counter())["percent"] and other_values[value]:
            return f"unit lost: of {_shown(value)}"
    return ""


def _shown(value: Fraction) -> str:
    return str(value) if value.denominator == 1 else f"{float(value):g}"


def _spelled_out(text: str) -> Counter[Fraction]:
    """The numbers that the text spells out in words."""
    spelled: Counter[Fraction] = Counter()
    for found in _ENGLISH.finditer(text):
        parts = [_SPELLED.get(part) for part in found[0].lower().split("-")]
        if None not in parts:
            spelled[Fraction(_signed(sum(p for p in parts if p is not None), text, found.start()))] += 1
    for found in _CHINESE.finditer(text):
        spelled[Fraction(_signed(chinese_number(found[0]), text, found.start()))] += 1
    return spelled


def _unexcused(values: Sequence[Fraction], spelled: Counter[Fraction]) -> list[Fraction]:
    """Those of the values that are not spelled out."""
    left, missing = spelled.copy(), []
    for value in values:
        if left[value]:
            left[value] -= 1
        else:
            missing.append(value)
    return missing


def _signed(value: int, text: str, start: int) -> int:
    return -value if _NEGATED.search(text[max(0, start - 10) : start]) else value


def chinese_number(numeral: str) -> int:
    """The value of a Chinese numeral such as 三百零五 or 二〇二四."""
    if len(numeral) > 1 and all(c in _DIGITS for c in numeral):
        return int("".join(str(_DIGITS[c]) for c in numeral))
    total = section = digit = 0
    for c in numeral:
        if c in _DIGITS:
            digit = _DIGITS[c]
        elif c in "十百千":
            section += (digit or 1) * {"十": 10, "百": 100, "千": 1000}[c]
            digit = 0
        else:
            total = (total + section + digit or 1) * {"万": 10**4, "亿": 10**8}[c]
            section = digit = 0
    return total + section + digit


def _rest_complaint(first: str, second: str) -> str:
    """Signs and variables outside of formulas, as in the miniature's texts."""
    lost, new = _difference(*(Counter(s.strip() for s in _OPERATORS.findall(text)) for text in (first, second)))
    if lost or new:
        return f"signs changed: {_told(lost, new)}"
    lost, new = _difference(*(Counter(set(_LETTER.findall(text)) - _NO_VARIABLE) for text in (first, second)))
    return f"variables changed: {_told(lost, new)}" if lost or new else ""


# --- how good the checks are ---


def load_cases() -> list[dict[str, Any]]:
    """The labelled pairs: `source`, `translation`, `to`, `should_pass`, `why`, and `first`.

    `first` is whether the checks passed the pair when they met it for the first time.
    """
    content = files("longthought").joinpath("data/translation_cases.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in content.splitlines() if line]


def measured(cases: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """How many good pairs pass (recall), how many that pass are good (precision), how many bad ones are caught."""
    rows = []
    for to, name in (("zh", "English to Chinese"), ("en", "Chinese to English"), ("", "both")):
        own = [c for c in cases if to in ("", c["to"])]
        looks = {
            "first": [c["first"] for c in own],
            "now": [not complaint(c["source"], c["translation"], c["to"]) for c in own],
        }
        for look, passed in looks.items():
            good = sum(p and c["should_pass"] for p, c in zip(passed, own, strict=True))
            total = sum(c["should_pass"] for c in own)
            caught = len(own) - total - (sum(passed) - good)
            rows.append(
                {
                    "direction": name,
                    "look": look,
                    "pairs": len(own),
                    "precision": _rate(good, sum(passed)),
                    "recall": _rate(good, total),
                    "bad ones caught": _rate(caught, len(own) - total),
                }
            )
    return pd.DataFrame(rows)


def _rate(k: int, n: int) -> Rate | str:
    return wilson(k, n) if n else "none"


# --- the miniature ---

_STATEMENT = {"find": "求", "smallest": "最小 的", "positive": "正", "with": "使", "mod": "模", "and": "且"}
_TO_CHINESE = _STATEMENT | {WORDS["en"][name]: WORDS["zh"][name] for name in WORDS["en"]} | {"the": ""}
_TO_ENGLISH = {zh: en for en, zh in _TO_CHINESE.items() if zh} | {"求": "find the", "最小": "smallest", "的": ""}
_SIGN = re.compile(r"[^\W\d_]?=|\d+|[=:+*^}]|\\boxed\{|[a-z]|\.")


class MiniatureTranslator:
    """An engine that translates the miniature's problems and thoughts word for word, into the language they are not in.

    It reads the last line of its prompt and counts words as tokens. Raises UserError for a word that it does not know.
    """

    name = "word-for-word translator of the miniature"
    tokenizer_name = "words"

    def generate(
        self,
        prompts: Sequence[str],
        sampling: Sampling,
        progress: Callable[[int, int], None] | None = None,
        prefixes: Sequence[Sequence[str]] | None = None,
    ) -> list[list[Completion]]:
        """See `Engine.generate`; all samples of a prompt are equal."""
        answers = []
        for at, prompt in enumerate(prompts):
            told = translated_words(prompt.rsplit("\n", 1)[-1])
            row = []
            for sample in range(sampling.samples):
                begun = len(prefixes[at][sample].split()) if prefixes else 0
                cut = told[begun : begun + sampling.max_tokens]
                whole = begun + len(cut) == len(told)
                text = (" " if begun and cut else "") + " ".join(cut)
                row.append(Completion(text, len(cut), "stop" if whole else "length", len(prompt.split())))
            answers.append(row)
            if progress:
                progress((at + 1) * sampling.samples, len(prompts) * sampling.samples)
        return answers


def translated_words(text: str) -> list[str]:
    """The words of a miniature text in the other language."""
    lexicon = _TO_ENGLISH if _HAN.search(text) else _TO_CHINESE
    told: list[str] = []
    for word in text.split():
        if word in lexicon:
            told += lexicon[word].split()
        elif _SIGN.fullmatch(word):
            told.append(word)
        else:
            raise UserError(f"the miniature's translator does not know the word {word[:40]!r}: ask a model instead")
    return told
