"""The rules of curation: what makes a row unfit for training on long thoughts whose answers can be checked.

The report (section 2) drops problems that depend on a picture, problems without a labelled answer and proofs, and
keeps problems of olympiad level whose answer is numerical. Which rules apply, in which order and with which parameters
is data (`data/curation_rules.yaml`); how a text is recognised, in English and in Chinese, is here.

Every rule can be asked on its own; in curation a row counts for the first rule that fires. A rule returns its reason in
a few words, or "" for a row that it lets pass. Texts are hostile: each pattern is bounded, each scan is linear, and a
cheap look for a telling word comes before any pattern.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from longthought.errors import UserError
from longthought.grading import expressions
from longthought.grading.answers import Answer, read
from longthought.grading.extraction import extract_boxed
from longthought.grading.latex import clean

DEFAULT = files("longthought") / "data/curation_rules.yaml"
TITLES = {
    "picture": "needs a picture",
    "no_answer": "no labelled answer",
    "proof": "proof",
    "parts": "several parts",
    "not_numerical": "answer not numerical",
    "not_olympiad": "not olympiad level",
    "exact_duplicate": "exact duplicate",
    "near_duplicate": "near duplicate",
}
DUPLICATES = ("exact_duplicate", "near_duplicate")
_CHINESE = re.compile(r"[\u3400-\u9fff]")


class Case:
    """What the rules look at: one row's texts, with the answer that its solution labels, found once.

    `label` is the answer where a field of the row gives it; otherwise the last complete box of the solution counts.
    """

    def __init__(self, problem: str, solution: str = "", source: str = "", level: str = "", label: str | None = None):
        self.problem = problem
        self.solution = solution
        self.source = source
        self.level = level
        self.label = label

    @cached_property
    def text(self) -> str:
        """The problem in lower case."""
        return self.problem.lower()

    @cached_property
    def chinese(self) -> bool:
        """Whether the problem holds a Chinese character."""
        return not self.problem.isascii() and _CHINESE.search(self.problem) is not None

    @cached_property
    def answer(self) -> str:
        """The labelled answer, "" without one; a box with nothing to be seen in it is none."""
        found = self.label
        if found is None:
            found = boxed(self.solution)
        found = (found or "").strip()
        if len(found) > _LONGEST_ANSWER:
            return found
        return found if any(map(str.isdigit, found)) or clean(found).strip("?_. {}\\") else ""

    @cached_property
    def number(self) -> tuple[str, str]:
        """(why the answer is no number, or ""; what kind of number it is)."""
        return _numerical(self.answer) if self.answer else ("no answer", "")


Check = Callable[[Case], str]


def boxed(solution: str) -> str | None:
    """What `extract_boxed` finds, in a fraction of the time: it need not read what stands before the first box."""
    starts = [start for start in map(solution.find, ("\\boxed", "\\fbox", "\\framebox")) if start >= 0]
    if not starts:
        return None
    if "<" in solution or "◁" in solution:
        text = solution.lower()
        if "think" in text or "thought" in text or "reasoning" in text or "scratchpad" in text:
            return extract_boxed(solution)
    return extract_boxed(solution[max(0, min(starts) - 1) :])


def language(problem: str) -> str:
    """ "zh" for a problem with more Chinese characters than English words, otherwise "en"."""
    if problem.isascii():
        return "en"
    chinese = len(_CHINESE.findall(problem))
    return "zh" if chinese and chinese > len(_WORD.findall(problem)) else "en"


_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}")

# --- needs a picture ---

_CODE = ("[asy]", "<asy>", "\\begin{asy}", "\\includegraphics", "tikzpicture", "\\begin{picture}", "<img", "<svg")
_LINK = re.compile(r"!\[[^\]\n]{0,300}\]\s?\(")
_TELLING = (
    "figure", "fig.", "diagram", "pictur", "drawing", "drawn", "illustrat", "sketch", "graph", "chart", "image", "map",
    "shown", "shaded", "depicted", "table", "below", "above",
)  # fmt: skip
_NOUN = r"(?:figure|fig\.|diagram|picture|drawing|illustration|sketch|image|photo(?:graph)?)"
_PLOT = r"(?:graph|chart|map|plot|histogram|grid|number line)"
_SHAPE = (
    r"(?:circle|square|triangle|rectangle|grid|array|board|cube|solid|polygon|hexagon|pentagon|octagon|quadrilateral|"
    r"trapezoid|parallelogram|region|shape|object|block|net|pattern|arrangement|clock|dial|spinner|tile|number line|"
    r"scale|prism|pyramid|cone|cylinder|path|network|target|letter|dot|segment|arc|semicircle|graph|chart|map)s?"
)
_PLACE = r"(?:below|above|here|opposite|(?:at|on|to|in) (?:the |its )?(?:right|left|margin)\b)"
_IS_SHOWN = r"(?:shown|pictured|depicted|illustrated|displayed)"
_SHOWS = r"(?:shows?|depicts?|illustrates?|gives|displays)"
_PICTURE = re.compile(
    rf"\b(?:in|on|from|see|using|use|per|consult|refer to|referring to|with reference to) (?:the |this )?"
    rf"(?:\w+ )?{_NOUN}(?!\w)(?! (?:skat|frame|of speech))"
    rf"|\b{_NOUN} ?\(?\d"
    rf"|\b(?:the|this|following|accompanying|adjoining) {_NOUN} (?:\d+ )?(?:{_SHOWS}|represents)\b"
    rf"|\b(?:the|this|following|accompanying) (?:\w+ )?{_PLOT} {_SHOWS}\b"
    rf"|\b(?:following|accompanying|adjacent|adjoining|attached) (?:{_NOUN}|{_PLOT}(?! of))(?!\w)"
    r"|\b(?:based on|according to|use|using|from) (?:the |this )?(?:\w+ )?(?:graph|chart|map|histogram)(?! of\b)(?!\w)"
    rf"|\b(?:{_NOUN}|{_PLOT}|{_SHAPE}) (?:(?:is|are|that is|which is|as) )?(?:{_IS_SHOWN}|{_PLACE})"
    r"(?! (?:by|that|to|how)\b)"
    rf"|\b{_IS_SHOWN} (?:{_PLACE}|in the (?:{_NOUN}|{_PLOT}))"
    rf"|\bas (?:is |are )?(?:{_IS_SHOWN}|sketched|drawn)\b"
    r"(?! (?:by|earlier|before|previously|in (?:class|the (?:\w+ )?(?:table|example|text|lecture|proof))))"
    r"|\bthe (?:diagram|illustration)\b"
    r"|\bpictured\b(?! (?:him|her|them|it|that|a|an|the)\b)"
)
_OWN_DRAWING = re.compile(
    r"\b(?:draw|make|sketch|construct|imagine) (?:a|an|your own|the) (?:\w+ )?(?:diagram|figure|picture)"
)
_SHADED = re.compile(
    r"\bthe (?:\w+ ){0,3}shaded\b|\b(?:what|which|find)\b[^.?]{0,80}\bshaded\b|\bshaded (?:region|area|part|portion)"
)
_SHADING = re.compile(
    r"\b(?:is|are|be|been|being|was|were|and|then) (?:\w+ )?shaded\b(?! in (?:the|this))(?![^.?]{0,40}\?)"
    r"|\bshad(?:e|es|ing)\b"
)
_TABLE = re.compile(r"\btable (?:is )?(?:shown |given )?(?:below|above)\b|\bfollowing table\b")
_TABLE_MARKS = ("|", "&", "\\hline", "tabular", "\\begin")
_PICTURE_ZH = re.compile(
    r"如[上下左右附]?(?:边|面|侧)?的?图(?![像象书])|(?<!以)[上下左右附](?:边|面|侧)?的?图(?![像象书形纸])|[观看读见](?:察)?(?:下列|以下|下面)?图(?:形|案|(?![像象书]))"
    r"|(?<![画作地])图\s?[(（]?[0-9１-９一二三四甲乙①②③]|[左右]所示|图所示|图示|插图|附图|(?<!画)(?<!画出)(?<!作出)示意图"
    r"|[下上右左](?:面|边|列)的?(?:程序框图|流程图|统计图|图表|图案)"
)
_IN_GRAPH_ZH = re.compile(r"(?<![地画])图中")
_GRAPH_THEORY = re.compile(r"顶点|连通|完全图|简单图|子图|图论|无向图|有向图|[度边]数")
_SHADED_ZH = re.compile(r"(?<![涂画成为])(?<!涂上)(?<!画上)阴影")


def _picture(parameters: Mapping[str, Any]) -> Check:
    phrases = tuple(phrase.lower() for phrase in parameters["phrases"])

    def check(case: Case) -> str:
        text = case.text
        for mark in _CODE:
            if mark in text:
                return f"{mark} in the problem"
        if "![" in text and _LINK.search(text):
            return "a link to a picture"
        for phrase in phrases:
            if phrase in text:
                return _quoted(phrase)
        if any(map(text.__contains__, _TELLING)):
            found = _PICTURE.search(text)
            if found and not (found[0] == "the diagram" and _OWN_DRAWING.search(text)):
                return _quoted(found[0])
            if "shaded" in text and not _SHADING.search(text):
                found = _SHADED.search(text)
                if found:
                    return _quoted(found[0])
            if "table" in text and not any(map(text.__contains__, _TABLE_MARKS)):
                found = _TABLE.search(text)
                if found:
                    return _quoted(found[0]) + " without the table"
        if case.chinese and ("图" in text or "阴影" in text or "所示" in text):
            found = _PICTURE_ZH.search(text) or _SHADED_ZH.search(text)
            if found is None and not _GRAPH_THEORY.search(text):
                found = _IN_GRAPH_ZH.search(text)
            if found:
                return _quoted(found[0])
        return ""

    return check


def _quoted(words: str) -> str:
    return '"' + " ".join(words.split())[:60] + '"'


# --- no labelled answer ---


def _no_answer(parameters: Mapping[str, Any]) -> Check:
    def check(case: Case) -> str:
        if case.answer:
            return ""
        return "an empty box" if case.label is None and "boxed" in case.solution else "no box"

    return check


# --- proof ---

_CLAUSE = r"(?:^|[.;:?!,)\]}$*]|\\\\"
_PROOF = re.compile(
    _CLAUSE
    + r"|\b(?:and|then|also|please|hence|thus|therefore|can you|(?:required|asked|have|need|want|is) to))\s{0,8}"
    r"((?:dis)?prove\b(?! (?:\w+ )?(?:your|his|her|their|my|our|its)\b)(?! (?:it|this|so|him|her|them)\b\W)"
    r"|(?:show|demonstrate|verify|establish|deduce|conclude)(?: also| further| algebraically)?"
    r"(?: that\b|,? (?:\$|\\[(\[])|:| the (?:following|identity|inequality|equality|statement)\b)"
    r"(?! (?:your|is|was|runs|airs|starts|begins|lasts)\b)"
    r"|show how\b|(?:give|write|find) a proof\b)",
    re.MULTILINE,
)
# A choice among several names, such as "a circle, a line, or empty", is no decision that needs a proof.
_DECISION = re.compile(
    r"\b(?:determine|decide|investigate|examine|discuss|check|find out|say|tell) (?:, with proof, )?(?:whether|if)\b"
    r"(?![^.?]{0,200}, or )"
    r"|(?:^|[.;:?!]|\bthen)\s{0,8}(?:is it (?:always |necessarily |also )?(?:true|possible|correct|the case)"
    r"|(?:does|do|must) there (?:also )?(?:exist|be)|are there (?:any|infinitely)"
    r"|can (?:one|we|you|it|he|she|they|this|the|a|an|every|any)\b)",
    re.MULTILINE,
)
_VALUE = re.compile(
    r"\b(?:find|values? of|compute|calculate|evaluate|how (?:many|much|long|far|old)|what is|what are|"
    r"determine (?:the|all))\b"
)
_PROOF_ZH = re.compile(r"求证|试证|证明")
_NO_PROOF_BEFORE = re.compile(r"(?:身份|学生|工作|出生|健康|资格|收入|可以|能够|可|被|曾|已|所|不能|无法|经|法)$")
_NO_PROOF_AFTER = re.compile(r"(?:自己|自身|清白|[他她]|文件|书|材料|人|信|了|过|[你您](?:们)?的|上述结论|这个结论|$)")
_METHOD_QUESTION_ZH = re.compile(r"[几多]|增加|假设|应|第[一二]步")
_DECISION_ZH = re.compile(r"是否|能否|判断[^。]{0,60}(?:理由|真假|关系)|说明理由")
_VALUE_ZH = re.compile(r"求(?!证)|多少|几(?!何)|计算")


def _proof(parameters: Mapping[str, Any]) -> Check:
    def check(case: Case) -> str:
        text = case.text
        if "prove" in text or "proof" in text or "show" in text or "demonstrate" in text or "verify" in text or (
            "establish" in text or "deduce" in text or "conclude" in text
        ):  # fmt: skip
            found = _PROOF.search(text)
            if found:
                return _quoted(found[1])
        if "证" in text and case.chinese:
            for found in _PROOF_ZH.finditer(text):
                if _asks_for_proof(text, found.start(), found.end()):
                    return _quoted(found[0])
        decided = None
        if "whether" in text or " if " in text or "there " in text or "can " in text or "is it " in text:
            decided = _DECISION.search(text)
        if decided and not _VALUE.search(text) and case.number[0]:
            return _quoted(decided[0].lstrip(" .;:?!,)]}$*\\\n"))
        if case.chinese and ("是否" in text or "能否" in text or "判断" in text or "理由" in text):
            decided = _DECISION_ZH.search(text)
            if decided and not _VALUE_ZH.search(text) and case.number[0]:
                return _quoted(decided[0])
        return ""

    return check


def _asks_for_proof(text: str, start: int, end: int) -> bool:
    if text[start:end] != "证明":
        return True
    if text[start - 1 : start] == "法":
        # Proof by induction is asked for, unless only a step of it is.
        return not _METHOD_QUESTION_ZH.search(text, end, end + 300)
    return not _NO_PROOF_BEFORE.search(text[max(0, start - 4) : start]) and not _NO_PROOF_AFTER.match(text, end)


# --- several parts ---

_MARK = re.compile(
    r"(?<![a-z0-9\\^_)])[(（]\s?(?P<bracketed>[a-h]|[ivx]{1,4}|[1-9]|[ⅰⅱⅲⅳⅴ])\s?[)）]|(?P<circled>[①-⑨])"
    r"|(?:^|(?<=[.?!:;。；：？]))[\s*]{0,4}(?:(?:part|question|problem|task)\s(?P<part>[a-h]|[1-9]|[ivx]{1,4})\b"
    r"|(?P<bare>[ivx]{1,4}|[a-h]|[1-9])[.)、．](?=[\s$\u3400-\u9fff]))"
    r"|(?:问题|第)(?P<chinese>[一二三四五])(?=问|[：:])",
    re.MULTILINE,
)
_MARKS = (
    ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x"), "abcdefgh", "123456789", "①②③④⑤⑥⑦⑧⑨",
    "一二三四五", "ⅰⅱⅲⅳⅴ",
)  # fmt: skip
_SECOND = re.compile(
    r"[(（]\s?(?:b|2|ii|ⅱ)\s?[)）]|②|(?:b|2|ii)[.)、．][\s$\u3400-\u9fff]|(?:part|question|problem|task)\s(?:b|2|ii)\b|二"
)
# Which rows of marks a mark belongs to ("i" to two), and its place there from 0.
_PLACES = {m: [(at, row.index(m)) for at, row in enumerate(_MARKS) if m in row] for row in _MARKS for m in row}
_ASKS = re.compile(
    r"[?？]|\b(?:find|compute|calculate|evaluate|determine|prove|show|solve|simplify|factor|estimate|verify|express|"
    r"sketch|deduce|construct|describe|what|how many|how much)\b"
    r"|求|证明|判断|计算|写出|化简|解方程|解不等式|多少|几(?!何)|是否|说明理由|讨论|比较|作出|画出|指出|猜想|试问"
)
_SHARED = re.compile(
    r"\b(?:find|compute|calculate|evaluate|simplify|solve|factor|prove|show|determine|differentiate|integrate|expand|"
    r"convert|express|write)\b(?: (?:each|all|both) of)?"
    r"(?: the following(?: \w+){0,4}| that| the (?:values?|sums?|products?|derivatives?)(?: of)?| for \$?\w\$?)?"
    r"\s?[:.,]?\s*$"
    r"|(?:求|计算|化简|解|证明|求证|因式分解|判断|比较|写出)(?:(?!满足|条件|使)[^，。；,;]){0,14}[：:]?\s*$"
)


def _parts(parameters: Mapping[str, Any]) -> Check:
    def check(case: Case) -> str:
        text = case.text
        if not _SECOND.search(text):
            return ""
        marks: dict[tuple[str, int], list[tuple[int, int]]] = {}
        for found in _MARK.finditer(text):
            style = str(found.lastgroup)
            for row, place in _PLACES.get(found[style], ()):
                spans = marks.setdefault((style, row), [])
                # Only marks that count on from the first are marks of parts.
                if place == len(spans):
                    spans.append(found.span())
        for spans in marks.values():
            if len(spans) < 2:
                continue
            ends = [start for start, _ in spans[1:]] + [len(text)]
            asking = sum(_ASKS.search(text, end, stop) is not None for (_, end), stop in zip(spans, ends, strict=True))
            if asking >= 2 or _SHARED.search(text[max(0, spans[0][0] - 80) : spans[0][0]]):
                first, second = (" ".join(text[slice(*span)].split()) for span in spans[:2])
                return f"{first} and {second} ask for different things"[:80]
        return ""

    return check


# --- answer not numerical ---

_LONGEST_ANSWER = 400
# "4.5 (元)", which the grader leaves unread.
_UNIT_IN_BRACKETS = re.compile(
    r"^(?P<number>.*\d\}?\s*)(?P<open>\\text\{)?\s*[(（](?P<unit>[\u3400-\u9fff]{1,6})[)）]\s*\}?$"
)
_NAMED_BY_WORDS = re.compile(r"[A-Za-z]{4}|[\u3400-\u9fff]")


@lru_cache(maxsize=50_000)
def _numerical(answer: str) -> tuple[str, str]:
    """(why the answer is not one number, or ""; what kind of number it is)."""
    if len(answer) > _LONGEST_ANSWER:
        return "longer than any number", ""
    unit = _UNIT_IN_BRACKETS.match(answer)
    return _constant(read(unit["number"] + unit["unit"] if unit else answer))


def _constant(found: Answer) -> tuple[str, str]:
    if found.kind == "assignment" and not _NAMED_BY_WORDS.search(found.name.lstrip("\\")):
        return _constant(found.items[0])
    if found.kind == "base":
        return "", "base"
    if found.kind == "text" and found.name == "choice":
        if found.other is None:
            return "a letter of a choice", ""
        reason, _ = _constant(found.other)
        return reason, "choice"
    if found.kind != "value" or found.node is None:
        what = {"tuple": found.name or "tuple", "text": "text", "unread": "not understood"}.get(found.kind, found.kind)
        return (
            f"{_article(what)} {what}" if what not in ("text", "not understood", "anything", "infinity") else what
        ), ""
    if found.other is not None and found.other.kind == "list":
        return "a list", ""
    letters = expressions.symbols(found.node)
    if letters:
        return "an expression in " + ", ".join(sorted(letters))[:40], ""
    if _imaginary(found.node):
        return "", "complex"
    return "", "percent" if found.percent else "unit" if found.unit else ""


def _imaginary(node: expressions.Node) -> bool:
    return node == ("const", "i") or any(isinstance(child, tuple) and _imaginary(child) for child in node[1:])


def _article(word: str) -> str:
    return "an" if word[:1] in "aei" else "a"


def _not_numerical(parameters: Mapping[str, Any]) -> Check:
    accepted = frozenset(parameters["accept"])

    def check(case: Case) -> str:
        if not case.answer:
            return ""
        reason, kind = case.number
        if reason:
            return reason
        if kind and kind not in accepted:
            return f"a number with {kind}"
        return ""

    return check


# --- not olympiad level ---

_LEVEL = re.compile(r"level\s*")


def _not_olympiad(parameters: Mapping[str, Any]) -> Check:
    sources = frozenset(source.strip().casefold() for source in parameters["sources"])
    levels = frozenset(str(level).casefold() for level in parameters["levels"])
    unknown = "names neither source nor level" if parameters["unknown"] == "drop" else ""

    def check(case: Case) -> str:
        if case.source:
            return "" if case.source.strip().casefold() in sources else f"source {case.source[:40]}"
        if case.level:
            return "" if _LEVEL.sub("", case.level.casefold()).strip() in levels else f"level {case.level[:40]}"
        return unknown

    return check


# --- the rules as data ---

_KINDS: dict[str, tuple[Callable[[Mapping[str, Any]], Check], dict[str, Any]]] = {
    "picture": (_picture, {"phrases": []}),
    "no_answer": (_no_answer, {}),
    "proof": (_proof, {}),
    "parts": (_parts, {}),
    "not_numerical": (_not_numerical, {"accept": ["unit", "percent", "complex", "base", "choice"]}),
    "not_olympiad": (_not_olympiad, {"sources": [], "levels": [], "unknown": "keep"}),
}


@dataclass(frozen=True)
class Rules:
    """Rules in order, made from data: `names`, the `checks` of those that look at a row alone, and the thresholds.

    `exact` and `near` say which duplicates are dropped, `threshold` from which similarity on. `data` is what they were
    made from, in full, and `digest` its SHA-256.
    """

    names: tuple[str, ...]
    data: tuple[dict[str, Any], ...]

    @classmethod
    def of(cls, content: object, where: str = "the rules") -> Rules:
        """The rules that parsed YAML holds. Raises UserError, naming `where`, for anything else."""
        listed = content.get("rules") if isinstance(content, Mapping) else None
        if not isinstance(listed, list) or not listed:
            raise UserError(f"{where}: a list of rules under the name 'rules' is wanted; see --show-rules")
        full = tuple(_checked(entry, where) for entry in listed)
        names = tuple(entry["rule"] for entry in full)
        if len(set(names)) < len(names):
            raise UserError(f"{where}: the rule {max(names, key=names.count)} stands there twice")
        last = [name in DUPLICATES for name in names]
        if last != sorted(last):
            raise UserError(f"{where}: rules on duplicates look at what the others left: put them last")
        return cls(names, full)

    @classmethod
    def read(cls, path: str | Path | None = None) -> Rules:
        """The rules of a YAML file, or the default ones. Raises UserError with file and mend."""
        if path is None:
            return cls.of(yaml.safe_load(DEFAULT.read_text(encoding="utf-8")))
        try:
            return cls.of(yaml.safe_load(Path(path).read_text(encoding="utf-8")), str(path))
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror}); give a YAML file, see --show-rules") from None
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
            mark = getattr(error, "problem_mark", None)
            line = f", line {mark.line + 1}" if mark else ""
            raise UserError(f"{path}{line}: not valid YAML in UTF-8; see --show-rules for the form") from None

    @cached_property
    def checks(self) -> dict[str, Check]:
        """The rules that look at one row alone, by name, in order."""
        return {entry["rule"]: _KINDS[entry["rule"]][0](entry) for entry in self.data if entry["rule"] in _KINDS}

    @property
    def digest(self) -> str:
        """SHA-256 of the rules with all their parameters."""
        return hashlib.sha256(json.dumps(self.data, sort_keys=True).encode()).hexdigest()

    @property
    def threshold(self) -> float:
        """From which similarity on an earlier row is a near duplicate; 1.0 where no rule asks for near ones."""
        return next((float(entry["threshold"]) for entry in self.data if entry["rule"] == "near_duplicate"), 1.0)

    def first(self, case: Case) -> tuple[str, str]:
        """(the first rule that fires on a row alone, its reason), or two empty texts."""
        for name, check in self.checks.items():
            reason = check(case)
            if reason:
                return name, reason
        return "", ""


_NEAR = {"threshold": 0.8}


def _checked(entry: object, where: str) -> dict[str, Any]:
    """One rule with all its parameters."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("rule"), str):
        raise UserError(f"{where}: each rule is written '- rule: NAME' with its parameters below; see --show-rules")
    name = entry["rule"]
    if name not in TITLES:
        raise UserError(f"{where}: there is no rule {name!r}; choose from {', '.join(TITLES)}")
    known = _KINDS[name][1] if name in _KINDS else _NEAR if name == "near_duplicate" else {}
    for key, value in entry.items():
        if key == "rule":
            continue
        if key not in known:
            raise UserError(f"{where}: rule {name} has no parameter {key!r}; it has {', '.join(known) or 'none'}")
        wanted = known[key]
        if isinstance(wanted, list):
            items: Sequence[object] = value if isinstance(value, list) else [None]
            if not all(isinstance(item, str) or (key == "levels" and isinstance(item, int)) for item in items):
                raise UserError(f"{where}: {key} of rule {name} must be a list of texts")
            if key == "phrases" and not all(str(item).strip() for item in items):
                raise UserError(f"{where}: a phrase of rule {name} is empty and would drop every row")
            if key == "accept" and not set(items) <= set(wanted):
                raise UserError(f"{where}: accept of rule {name} takes {', '.join(wanted)}")
        elif key == "unknown" and value not in ("keep", "drop"):
            raise UserError(f"{where}: unknown of rule {name} is keep or drop, not {value!r}")
        elif key == "threshold" and (
            isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1
        ):
            raise UserError(f"{where}: threshold of rule {name} lies above 0 and up to 1, not {value!r}")
    return {"rule": name, **known, **{key: value for key, value in entry.items() if key != "rule"}}
