"""Was it right: the answer is taken out of the last complete box and compared exactly with the gold.

The rules are few and strict, because graders that guess are the field's first source of numbers that do not
reproduce. Without a box there is no answer (never the last number in the text); a box inside an unfinished thinking
block does not count; numbers are compared as exact rationals, everything else as normalised text. Nothing is
evaluated, so hostile input costs only its own length.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_NESTED_BOXES = 3
_VISIBLE = re.compile(r"\S")
_MARK = re.compile(r"\\(?:boxed|fbox)\s*\{|\\\\|\\[{}]|[{}]")
_NUMBER = re.compile(r"[+-]?\d{1,40}(\.\d{1,40})?")
_FRACTION = re.compile(r"([+-]?)\\[dt]?frac\{([+-]?\d{1,40})\}\{(\d{1,40})\}|([+-]?\d{1,40})/(\d{1,40})")
_GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")


@dataclass(frozen=True)
class Grade:
    """A verdict ("correct", "wrong" or "no_answer"), and the answer that was extracted."""

    verdict: str
    extracted: str

    @property
    def correct(self) -> bool:
        """Whether the verdict is "correct"; no answer counts as not correct."""
        return self.verdict == "correct"


def visible(completion: str) -> str:
    """The part of a completion that may hold its answer: what follows a closed thinking block, or all without one."""
    if "</think>" in completion:
        return completion.rpartition("</think>")[2]
    return completion.partition("<think>")[0] if "<think>" in completion else completion


def extract_boxed(completion: str) -> str | None:
    """The content of the last complete, non-empty \\boxed{} or \\fbox{}, braces balanced; None without one.

    One pass with a stack, so the time is linear in the text whatever its nesting.
    """
    text = visible(completion)
    last = None
    opened: list[int] = []  # for each open brace, where its box's content begins, or -1 for a plain brace
    for mark in _MARK.finditer(text):
        token = mark.group()
        if token == "}":
            start = opened.pop() if opened else -1
            if start >= 0 and _VISIBLE.search(text, start, mark.start()):
                last = (start, mark.start())
        elif not token.startswith("\\\\") and token not in ("\\{", "\\}"):
            opened.append(-1 if token == "{" else mark.end())
    if last is None:
        return None
    content = text[slice(*last)].strip()
    for _ in range(_NESTED_BOXES):
        inner = _BOX.match(content)
        if not inner or not content.endswith("}"):
            break
        content = content[inner.end() : -1].strip()
    return content


def normalise(answer: str) -> str:
    """An answer without what carries no meaning: $, spaces, text wrappers, a trailing full stop."""
    text = answer.strip().strip("$").strip()
    text = re.sub(r"\\(?:text|mathrm|textbf)\s*\{([^{}]*)\}", r"\1", text)
    text = re.sub(r"\\(?:left|right|!|,|;|:)(?![a-zA-Z])|\s+", "", text)
    return text.rstrip(".").replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")


def as_number(text: str) -> Fraction | None:
    """The exact value of an integer, decimal or plain fraction; None for anything else."""
    if _GROUPED.fullmatch(text):
        text = text.replace(",", "")
    if _NUMBER.fullmatch(text):
        return Fraction(text)
    match = _FRACTION.fullmatch(text)
    if match:
        sign, top, bottom = match[1] or "", match[2] or match[4], match[3] or match[5]
        if int(bottom):
            return Fraction(int(top), int(bottom)) * (-1 if sign == "-" else 1)
    return None


def equivalent(gold: str, answer: str) -> bool:
    """Whether two answers are the same number, or the same text after normalisation."""
    first, second = normalise(gold), normalise(answer)
    if first == second:
        return True
    number = as_number(first)
    return number is not None and number == as_number(second)


def grade(gold: str, completion: str) -> Grade:
    """The verdict on one completion."""
    extracted = extract_boxed(completion)
    if extracted is None:
        return Grade("no_answer", "")
    return Grade("correct" if equivalent(gold, extracted) else "wrong", extracted)


def vote_key(extracted: str) -> str:
    """A key under which equivalent answers vote together."""
    text = normalise(extracted)
    number = as_number(text)
    return str(number) if number is not None else text
