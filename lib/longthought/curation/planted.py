"""Planted copies: how much of a known contamination is found, and what is found in innocent texts.

Five kinds of copies of benchmark problems stand among innocent texts: verbatim; renumbered (the same words, other
numbers); LaTeX-edited (what prints the same, or nearly, typed in another way); reworded by rules (synonyms, the order
of clauses, names of people, the way of asking); and translated, for which the project holds problems of its own in
English and in Chinese. The rules are those of this module, so a recall speaks of such copies, not of all rewording
there is.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from longthought.curation.contamination import STAGES, Benchmarks, Embed, Finding, Item, Limits
from longthought.statistics import Rate, wilson

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

KINDS = ("verbatim", "renumbered", "LaTeX-edited", "reworded", "translated")
_FORMULA = re.compile(r"(?<![\\$])\$(?!\$)([^$]+?)(?<!\\)\$(?!\$)")
_PARTS = re.compile(r"(\$\$.*?\$\$|(?<!\\)\$[^$]+?(?<!\\)\$|\\\[.*?\\\]|\\\(.*?\\\)|\[asy\].*?\[/asy\])", re.DOTALL)


# --- renumbered ---


def renumber(text: str, rng: random.Random) -> str | None:
    """The text with other numbers of the same length in place of about two in three, of one at least; None without any.

    Pictures in asy code keep theirs.
    """
    spans = [
        (piece.start(), piece.end())
        for piece in re.finditer(r"(?<![\d.])\d+(?![\d.]*\d)", text)
        if "[asy]" not in text[: piece.start()] or "[/asy]" not in text[piece.end() :]
    ]
    if not spans:
        return None
    chosen = [span for span in spans if rng.random() < 2 / 3] or [rng.choice(spans)]
    for start, end in reversed(chosen):
        text = text[:start] + _other_number(text[start:end], rng) + text[end:]
    return text


def _other_number(number: str, rng: random.Random) -> str:
    low, high = (2, 10) if len(number) == 1 else (10 ** (len(number) - 1), 10 ** len(number))
    other = rng.randrange(low, high)
    while str(other) == number:
        other = rng.randrange(low, high)
    return str(other)


# --- LaTeX-edited ---


def _in_formulas(edit: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: _FORMULA.sub(lambda found: f"${edit(found[1])}$", text)


def _in_words(edit: Callable[[str], str]) -> Callable[[str], str]:
    """Applies an edit to what stands outside formulas and pictures."""
    return lambda text: "".join(part if i % 2 else edit(part) for i, part in enumerate(_PARTS.split(text)))


def _sized(formula: str) -> str:
    if "\\left" in formula or "\\right" in formula or not re.fullmatch(r"[^()\\]*(?:\([^()\\]*\)[^()\\]*)+", formula):
        return formula
    return formula.replace("(", "\\left(").replace(")", "\\right)")


LATEX_EDITS: dict[str, Callable[[str], str]] = {
    "display fractions": lambda t: re.sub(r"\\frac(?![a-zA-Z])", r"\\dfrac", t),
    "plain fractions": lambda t: re.sub(r"\\[dt]frac(?![a-zA-Z])", r"\\frac", t),
    "fractions without braces": lambda t: re.sub(r"\\frac\{(\d)\}\{(\d)\}", r"\\frac\1\2", t),
    "round delimiters": lambda t: _FORMULA.sub(lambda found: f"\\({found[1]}\\)", t),
    "dollars for brackets": lambda t: re.sub(r"\\\[(.*?)\\\]", lambda found: f"$${found[1]}$$", t, flags=re.DOTALL),
    "brackets for dollars": lambda t: re.sub(r"\$\$([^$]+)\$\$", lambda found: f"\\[{found[1]}\\]", t),
    "sized parentheses": _in_formulas(_sized),
    "no sizes": lambda t: re.sub(r"\\(?:left|right)(?=[()\[\]|])", "", t),
    "times": lambda t: re.sub(r"\\cdot(?![a-zA-Z])", r"\\times", t),
    "dots": lambda t: re.sub(r"\\times(?![a-zA-Z])", r"\\cdot", t),
    "braces": _in_formulas(lambda f: re.sub(r"([\^_])([A-Za-z0-9])(?!\d)", r"\1{\2}", f)),
    "no braces": _in_formulas(lambda f: re.sub(r"([\^_])\{([A-Za-z0-9])\}(?!\d)", r"\1\2", f)),
    "short relations": lambda t: re.sub(r"\\(le|ge|ne)q?(?![a-zA-Z])", r"\\\1", t),
    "long relations": lambda t: re.sub(r"\\(le|ge|ne)(?![a-zA-Z])", r"\\\1q", t),
    "dots below": lambda t: re.sub(r"\\(?:l|c)dots(?![a-zA-Z])", r"\\dots", t),
    "spaces": _in_formulas(lambda f: re.sub(r"\s*([=+<>])\s*", r" \1 ", f)),
    "no spaces": _in_formulas(lambda f: re.sub(r"\s*([=+<>-])\s*", r"\1", f)),
    "thin spaces": _in_formulas(lambda f: re.sub(r"([=+<>])", r"\\,\1\\,", f)),
    "white space": _in_words(lambda w: re.sub(r"[ \t]+", "  ", w)),
    "line breaks": _in_words(lambda w: re.sub(r"(?<=[.?,]) ", "\n", w)),
    "small letters": _in_words(lambda w: re.sub(r"\b[A-Z](?=[a-z])", lambda found: found[0].lower(), w)),
    "capitals": _in_words(lambda w: re.sub(r"\b[a-z](?=[a-z]{3})", lambda found: found[0].upper(), w)),
    "no commas": _in_words(lambda w: re.sub(r",(?=\s)", "", w)),
    "no end": lambda t: re.sub(r"[.?]\s*$", "", t),
    "an exclamation of dots": lambda t: t + " ...",
}


def edit_latex(text: str, rng: random.Random) -> str:
    """The text typed in another way: three to seven of `LATEX_EDITS` that change something, in random order."""
    wanted = rng.randrange(3, 8)
    for name in rng.sample(sorted(LATEX_EDITS), len(LATEX_EDITS)):
        edited = LATEX_EDITS[name](text)
        if edited != text:
            text, wanted = edited, wanted - 1
        if not wanted:
            break
    return text


# --- reworded ---

_OPENINGS = (
    (r"^(?:Find|Compute|Evaluate|Determine|Calculate)\b(?! the value of)", "Determine the value of"),
    (r"(?<=[.,?] )(?:find|compute|evaluate|determine|calculate)\b", "work out"),
    (r"(?<=[.?] )(?:Find|Compute|Evaluate|Determine|Calculate)\b", "Work out"),
    (r"\bWhat is\b", "Give"),
    (r"\bwhat is\b", "give"),
    (r"\bHow many\b", "What is the number of"),
    (r"\bhow many\b", "what is the number of"),
    (r"\bLet\b", "Suppose"),
    (r"\bSuppose that\b", "Assume"),
    (r"\bSimplify\b", "Bring to simplest form"),
    (r"\bExpress your answer as\b", "Write the result as"),
)
_SYNONYMS = {
    "such that": "so that",
    "smallest": "least",
    "largest": "greatest",
    "greatest": "largest",
    "least": "smallest",
    "integer": "whole number",
    "integers": "whole numbers",
    "satisfy": "fulfil",
    "satisfies": "fulfils",
    "satisfying": "that fulfils",
    "sum": "total",
    "value": "quantity",
    "values": "quantities",
    "number of": "count of",
    "real numbers": "reals",
    "is divided by": "is divided through",
    "possible": "conceivable",
    "distinct": "different",
    "different": "distinct",
    "each": "every",
    "every": "each",
    "contains": "has",
    "equation": "relation",
    "shown": "depicted",
    "given": "provided",
    "point": "location",
    "side": "edge",
    "sides": "edges",
    "has": "possesses",
    "there are": "we have",
    "chosen": "picked",
    "probability": "chance",
    "exactly": "precisely",
    "must": "has to",
    "total": "overall",
    "and": "as well as",
    "then": "afterwards",
    "if": "provided that",
    "where": "in which",
    "for which": "with the property that",
    "people": "persons",
    "dollars": "euros",
    "miles": "kilometres",
    "feet": "metres",
    "inches": "centimetres",
    "common fraction": "fraction in lowest terms",
    "answer": "result",
    "function": "map",
    "line": "straight line",
    "lies": "is situated",
    "equal to": "the same as",
    "positive": "strictly positive",
}
_NAMES = """
    Alice Bob Carol Dave Eve Frank Grace Henry Jack Jane Jill Jim Joe John Kate Larry Lee Lisa Maria Mark Mary Mike
    Nancy Paul Peter Sam Sarah Steve Susan Tom Tim Trevor Bill Ben Anna Boris Karen Daniel David Emily George Jessica
"""
_OTHER_NAMES = ("Ingrid", "Tariq", "Mei", "Oluwaseun", "Lucía", "Bjarne", "Yusuf", "Priya")
_CLAUSE = re.compile(r"^(If|When|Given that|Suppose that) ([^.?]{5,160}?), (?:then )?([^.?]{5,160})([.?])")


def reword(text: str, rng: random.Random) -> str:
    """The text in other words: another way of asking, clauses turned round, and each synonym with a chance of 0.8."""
    turned = _CLAUSE.sub(lambda c: f"{c[3][0].upper()}{c[3][1:]}, {c[1].lower()} {c[2]}{c[4]}", text, count=1)

    def words(part: str) -> str:
        for pattern, other in _OPENINGS:
            part = re.sub(pattern, other, part)
        return re.sub(_ANY, lambda found: _reworded(found[0], rng), part)

    names = sorted(set(re.findall(r"[A-Z][a-z]+", turned)) & _NAME_SET)
    for name, other in zip(names, rng.sample(_OTHER_NAMES, len(_OTHER_NAMES)), strict=False):
        turned = re.sub(rf"\b{name}\b", other, turned)
    return _in_words(words)(turned)


def _reworded(words: str, rng: random.Random) -> str:
    return _SYNONYMS[words] if rng.random() < 0.8 else words


_ANY = re.compile(r"\b(?:" + "|".join(sorted(map(re.escape, _SYNONYMS), key=len, reverse=True)) + r")\b")
_NAME_SET = frozenset(_NAMES.split())


# --- planting and measuring ---


@dataclass(frozen=True)
class Copy:
    """A copy that was made on purpose: its kind, its text and the id of the benchmark problem behind it."""

    kind: str
    text: str
    id: str


def translated_problems() -> list[dict[str, str]]:
    """The project's own problems in both languages: rows with `id`, `en`, `zh` and `answer`."""
    lines = (files("longthought") / "data" / "translated_problems.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def plant(items: Sequence[Item], translations: Mapping[str, str] | None = None, seed: int = 0) -> list[Copy]:
    """Copies of every problem, of each kind where there is one; `translations` maps ids to the other language."""
    rng = random.Random(f"planted-{seed}")
    copies = []
    for item in items:
        made = {
            "verbatim": item.text,
            "renumbered": renumber(item.text, rng),
            "LaTeX-edited": edit_latex(item.text, rng),
            "reworded": reword(item.text, rng),
            "translated": (translations or {}).get(item.id),
        }
        copies += [
            Copy(kind, text, item.id)
            for kind, text in made.items()
            if text is not None and (text != item.text or kind == "verbatim")
        ]
    return copies


@dataclass(frozen=True)
class Study:
    """What the stages found: for each kind the number of copies and, by stage, of those found with their problem.

    `missed` are the copies that no stage found, `innocents` the number of other texts, `false` the findings among them.
    """

    planted: Mapping[str, int]
    found: Mapping[str, Mapping[str, int]]
    missed: tuple[Copy, ...]
    innocents: int
    false: tuple[Finding, ...]

    def recall(self, kind: str) -> Rate:
        """Copies of a kind that some stage found."""
        return wilson(sum(self.found[kind].values()), self.planted[kind])


def measure(
    items: Sequence[Item],
    copies: Sequence[Copy],
    innocents: Sequence[str],
    *,
    limits: Limits | None = None,
    embed: Embed | None = None,
) -> Study:
    """Check planted copies and innocent texts, all mixed, against a benchmark of `items`."""
    benchmark = Benchmarks({"planted": items}, limits=limits, embed=embed)
    order = list(range(len(copies) + len(innocents)))
    random.Random("mixed").shuffle(order)
    texts = [*(copy.text for copy in copies), *innocents]
    findings = dict(zip(order, benchmark.check_many([texts[i] for i in order]), strict=True))
    found: dict[str, Counter[str]] = {copy.kind: Counter() for copy in copies}
    missed = []
    for i, copy in enumerate(copies):
        if findings[i] and findings[i][0].id == copy.id:
            found[copy.kind][findings[i][0].stage] += 1
        else:
            missed.append(copy)
    false = [finding for i in range(len(copies), len(texts)) for finding in findings[i]]
    return Study(Counter(copy.kind for copy in copies), found, tuple(missed), len(innocents), tuple(false))


def own_study(*, seed: int = 0, limits: Limits | None = None, embed: Embed | None = None) -> Study:
    """`measure` on the project's own problems: half of them, in either language, are the benchmark.

    The other half, in both languages, and procedural problems are the innocents.
    """
    from longthought.problems import DIFFICULTIES, FAMILIES, generate

    rows = translated_problems()
    items, translations, innocents = [], {}, []
    for number, row in enumerate(rows):
        language, other = ("en", "zh") if number % 4 < 2 else ("zh", "en")
        if number % 2:
            innocents += [row["en"], row["zh"]]
        else:
            items.append(Item(row["id"], row[language]))
            translations[row["id"]] = row[other]
    innocents += [p.text for p in generate(200, "train", families=FAMILIES, difficulties=DIFFICULTIES, seed=seed)]
    return measure(items, plant(items, translations, seed), innocents, limits=limits, embed=embed)


def recall_table(study: Study) -> pd.DataFrame:
    """Recall for each kind of copy, the stages that found them, and the false alarms, as printed rates."""
    import pandas as pd

    rows = [
        {"copies": kind, "found": str(study.recall(kind)), "by stage": _by_stage(study.found[kind])}
        for kind in KINDS
        if kind in study.planted
    ]
    if study.innocents:
        false = Counter(finding.stage for finding in study.false)
        found = str(wilson(false.total(), study.innocents))
        rows.append({"copies": "none (false alarms)", "found": found, "by stage": _by_stage(false)})
    return pd.DataFrame(rows)


def _by_stage(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{counts[stage]} {stage}" for stage in STAGES if counts.get(stage)) or "-"


def recall_figure(study: Study) -> tuple[go.Figure, pd.DataFrame]:
    """Recall by kind of copy, with intervals, and the false positives beside it."""
    from longthought.figures import rate_dots

    rates = {kind: study.recall(kind) for kind in KINDS if kind in study.planted}
    if study.innocents:
        rates["innocent texts"] = wilson(len(study.false), study.innocents)
    return rate_dots(rates, "found, %")
