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

from longthought.curation import parts
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
    rf"(?:(?!an? )\w+ )?{_NOUN}(?!\w)(?! (?:skat|frame|of speech))"
    rf"|\b{_NOUN} ?\(?\d"
    rf"|\b(?:the|this|following|accompanying|adjoining) {_NOUN} (?:\d+ )?(?:{_SHOWS}|represents)\b"
    rf"|\b(?:the|this|following|accompanying) (?:\w+ )?{_PLOT} {_SHOWS}\b"
    rf"|\b(?:following|accompanying|adjacent|adjoining|attached) (?:{_NOUN}|{_PLOT}(?! of))(?!\w)"
    r"|\b(?:based on|according to|use|using|from) (?:the |this )?(?:\w+ )?(?:graph|chart|map|histogram)(?! of\b)(?!\w)"
    rf"|\b(?:{_NOUN}|{_PLOT}|{_SHAPE}) (?:(?:is|are|that is|which is|as) )?(?:{_IS_SHOWN}|{_PLACE})"
    r"(?! (?:by|that|to|how)\b)"
    rf"|\b{_IS_SHOWN} (?:{_PLACE}|in the (?:{_NOUN}|{_PLOT}))"
    r"|\b(?:drawn|sketched|plotted|graphed|printed|reproduced|copied) (?:below|above|here|opposite)"
    r"(?! (?:the|an?|it|this|that|each|every|its|\$))"
    r"|\b(?:in|on|from|by|at|off|use|using|consult|study|based on|according to) the (?:\w+ ){0,2}"
    rf"(?:{_NOUN}|{_PLOT}) (?:(?:of|for) [^.?;]{{1,60}}? )?(?:provided|supplied|given|attached)\b"
    r"(?! (?:that|by|a|an|the)\b)"
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
    r"|(?<![画作地])图\s?[(（]?[0-9１-９一二三四甲乙①②③]|[左右]所示|图所示|图示|插图|附图|(?<![画作张幅个])(?<![画作]出)示意图"
    r"|(?<![画作])图(?:[(（][^()（）]{1,8}[)）])?(?:分别)?(?:如[下右左]|见[下右左])"
    r"|[下上右左](?:面|边|列)的?(?:程序框图|流程图|统计图|图表|图案)"
    r"|(?:根据|依据|由|从|据|看|观察|阅读)(?:(?!画|作)[^，,。；;]){0,6}(?:统计|直方|折线|条形|扇形|流程|框|示意)图(?!的?[画作绘制])"
    r"|如[上下左右](?:面|边)?(?:(?!画|作|绘)[\u4e00-\u9fff]){0,8}图(?![像象书])"
)
# "Which of the following patterns": a picture, unless the text names or describes them.
_AMONG_ZH = re.compile(
    r"(?:下列|以下|下面)(?:各|的|这)?[\d一二两三四五六七八九几]?[个幅张组种]?(?:图[案形片标]|标志|几何体)(?:中|里|是)"
)
_LISTED_ZH = re.compile(r"[①、]|[a-d][.．]")
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
        if case.chinese and ("图" in text or "阴影" in text or "所示" in text or "下列" in text):
            found = _PICTURE_ZH.search(text) or _SHADED_ZH.search(text)
            if found is None and not _GRAPH_THEORY.search(text):
                found = _IN_GRAPH_ZH.search(text)
            if found is None:
                found = _AMONG_ZH.search(text)
                if found and _LISTED_ZH.search(text):
                    found = None
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
    _CLAUSE + r"|\buse [^.;?]{1,80}? to|\b(?:and|then|also|please|hence|thus|therefore|can you"
    r"|(?:required|asked|have|need|want|wish|is|are|remains) to))\s{0,8}"
    r"((?:dis)?prove\b(?! (?:\w+ )?(?:your|his|her|their|my|our|its)\b)(?! (?:it|this|so|him|her|them)\b\W)"
    r"|(?:show|demonstrate|verify|establish|deduce|conclude)(?: also| further| algebraically)?"
    r"(?:(?: from|,? (?:using|by|with)) [^.;?]{1,60}? that\b| that\b|,? (?:\$|\\[(\[])|:"
    r"| the (?:following|identity|inequality|equality|statement)\b)"
    r"(?! (?:your|is|was|runs|airs|starts|begins|lasts)\b)"
    r"|show how\b|establish the (?:existence|uniqueness|convergence)\b|(?:give|write|find) a proof\b"
    r"|be (?:shown|proved|proven|demonstrated|established)(?: that\b|:))",
    re.MULTILINE,
)
# What follows "prove" or "show" where the proof is that of an answer which the problem asks for.
_OF_THE_ANSWER = re.compile(
    r"(?: that)? (?:it|this|that|these|those|they|there (?:is|are) no|no (?:other|larger|smaller|greater|bigger|more|"
    r"further|such|better)|(?:the|this|that) (?:answer|value|bound|minimum|maximum|number|result|list)|your)\b"
)
# Demands for reasons: a proof where no value is asked, otherwise the way to it.
_REASONS = re.compile(
    _CLAUSE + r"|\b(?:and|then|please|can you))\s{0,8}"
    r"(convince (?:yourself|me|us) that\b|give (?:an? |some )?(?:argument|explanation|reason|justification)s? "
    r"(?:that (?:shows|proves) )?(?:that|why)\b"
    r"|explain (?:carefully |briefly )?(?:why|how it follows)\b(?! (?:he|she|they|his|her|their)\b)"
    r"|(?:confirm|argue|check|ascertain|reason)\b(?:,? by induction(?: on \S{1,9})?,?)?"
    r"(?: that\b| the (?:identity|inequality|equality|statement|claim))"
    r"|justify(?: the (?:following|claim|statement|assertion|fact|identity|inequality|formula)| that\b| why\b|:)"
    r"|derive (?:that\b|the (?:\w+ )?(?:inequality|identity|relation|equality|estimate|bound)|[$:]))",
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
_ASKED = r"find|compute|calculate|evaluate|how (?:many|much|long|far|old)|what is|what are|determine (?:the|all)"
_ASKED_FOR = re.compile(rf"\b(?:{_ASKED})\b")
_VALUE = re.compile(rf"\b(?:{_ASKED}|values? of)\b")
_PROOF_ZH = re.compile(
    r"求证(?!书|件|券|人|明[显白文])|[试推]证(?!券)|证明(?![显文])|论证(?=[:：]|[^，。]{0,40}(?:成立|必|总|都))"
)
_NO_PROOF_BEFORE = re.compile(
    r"(?:身份|学生|工作|出生|健康|资格|收入|居住|在职|财产|完税|事实|实践|经验|历史|研究|实验|调查|结果|数据|理论"
    r"|可以|能够|可|被|曾|已|所|不能|无法|经|了|过|[种个]|法)$"
)
# "A certificate", as something that is handed out or held.
_CERTIFICATE = re.compile(r"(?:办理?|开具?|出具|凭|持|领取?|提交|[份张])[\u4e00-\u9fff]{0,5}$")
_NO_PROOF_AFTER = re.compile(r"(?:自己|自身|清白|[他她]|文件|书|材料|人|信|了|过|[你您](?:们)?的|上述结论|这个结论|$)")
_OF_THE_ANSWER_ZH = re.compile(
    r"之(?:[。.，,；;！!]|$)|[。.！!]|$|(?:[你您所此该本这]|上述|以上|得到)[^，。,]{0,5}(?:结论|结果|答案|解答|值)|[其它这此][^，。,]{0,3}(?:最[大小多少]|唯一)"
    r"|(?:没有|再无|不存在|别无|无)(?:其[他它余]|别的|更)"
)
_METHOD_QUESTION_ZH = re.compile(r"[几多]|增加|假设|应|第[一二]步")
_CLAIM_ZH = r"(?=[^。]{0,80}(?:[都均总必恒]|能被|不可能|成立|任[意何]|无论|相等|单调|递[增减]|等式|[=≥≤><]|\\[gl]eq?))"
_REASONS_ZH = re.compile(
    r"(?:^|[，,。.；;：:请试])说明(?![书牌]|理由|[你您])(?:(?=[:：，,])|(?=为什么|为何)|" + _CLAIM_ZH + r")"
    r"|(?:[试请][你您]?用|利用|运用|归纳)[^，,。]{0,12}说明(?![书牌]|理由|[你您])"
    r"|(?:^|[，,。.；;：:请试])(?:验证|推导|导出)(?!码)" + _CLAIM_ZH
)
_DECISION_ZH = re.compile(r"是否|能否|判断[^。]{0,60}(?:理由|真假|关系)|说明理由")
_VALUE_ZH = re.compile(r"求(?!证)|多少|几(?!何)|计算")


def _proof(parameters: Mapping[str, Any]) -> Check:
    def check(case: Case) -> str:
        text = case.text
        if any(map(text.__contains__, _PROVING)):
            for found in _PROOF.finditer(text):
                if not (_OF_THE_ANSWER.match(text, found.end()) and _asked_before(_ASKED_FOR, text, found.start())):
                    return _quoted(found[1])
        if "证" in text and case.chinese:
            for found in _PROOF_ZH.finditer(text):
                if _asks_for_proof(text, found.start(), found.end()):
                    return _quoted(found[0])
        wanted = None
        if any(map(text.__contains__, _DECIDING)):
            wanted = _DECISION.search(text)
        if wanted and not _VALUE.search(text) and case.number[0]:
            return _quoted(wanted[0].lstrip(" .;:?!,)]}$*\\\n"))
        wanted = None
        if any(map(text.__contains__, _REASONING)):
            wanted = _REASONS.search(text)
        if wanted and not _VALUE.search(text):
            return _quoted(wanted[1])
        if case.chinese and any(map(text.__contains__, _TELLING_ZH)) and not _VALUE_ZH.search(text):
            wanted = _REASONS_ZH.search(text) or (_DECISION_ZH.search(text) if case.number[0] else None)
            if wanted:
                return _quoted(wanted[0])
        return ""

    return check


_PROVING = ("prove", "proof", "show", "demonstrate", "verify", "establish", "deduce", "conclude")
_DECIDING = ("whether", " if ", "there ", "can ", "is it ")
_REASONING = ("explain", "convince", "give ", "confirm", "argue", "check", "ascertain", "reason", "justify", "derive")
_TELLING_ZH = ("是否", "能否", "判断", "说明", "理由", "验证", "推导", "导出")


def _asked_before(value: re.Pattern[str], text: str, end: int) -> bool:
    found = value.search(text)
    return found is not None and found.start() < end


def _asks_for_proof(text: str, start: int, end: int) -> bool:
    if text[start:end] != "证明":
        return True
    if text[start - 1 : start] == "法":
        # Proof by induction is asked for, unless only a step of it is.
        return not _METHOD_QUESTION_ZH.search(text, end, end + 300)
    before = text[max(0, start - 8) : start]
    if _NO_PROOF_BEFORE.search(before) or _CERTIFICATE.search(before) or _NO_PROOF_AFTER.match(text, end):
        return False
    return not (_OF_THE_ANSWER_ZH.match(text, end) and _asked_before(_VALUE_ZH, text, start))


# --- several parts ---


def _parts(parameters: Mapping[str, Any]) -> Check:
    return lambda case: parts.several(case.text, case.chinese)


# --- answer not numerical ---

_LONGEST_ANSWER = 400
# "4.5 (元)" and "36千米/时", which the grader leaves unread.
_UNIT_IN_BRACKETS = re.compile(
    r"^(?P<number>.*\d\}?\s*)(?P<open>\\text\{)?\s*[(（](?P<unit>[\u3400-\u9fff]{1,6})[)）]\s*\}?$"
)
_COMPOUND_UNIT = re.compile(
    r"^(?P<number>.*\d\}?)\s*(?:\\text\{)?\s*(?P<unit>[\u3400-\u9fff]{1,4})(?:[/／每][\u3400-\u9fff]{1,4})\s*\}?$"
)
_NAMED_BY_WORDS = re.compile(r"[A-Za-z]{4}|[\u3400-\u9fff]")


@lru_cache(maxsize=50_000)
def _numerical(answer: str) -> tuple[str, str]:
    """(why the answer is not one number, or ""; what kind of number it is)."""
    if len(answer) > _LONGEST_ANSWER:
        return "longer than any number", ""
    unit = _UNIT_IN_BRACKETS.match(answer) or _COMPOUND_UNIT.match(answer)
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
    "not_numerical": (_not_numerical, {"accept": ["unit", "percent", "base", "choice"]}),
    "not_olympiad": (_not_olympiad, {"sources": [], "levels": [], "unknown": "keep"}),
}


class _Twice(yaml.MarkedYAMLError):
    """A name that stands twice in one mapping, of which YAML would keep the last in silence."""


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in names:
                raise _Twice(problem=f"{key.value!r} stands there twice; keep one", problem_mark=key.start_mark)
            names.add(str(key.value))
        return super().construct_mapping(node, deep)


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
        unknown = [str(key) for key in content if key != "rules"] if isinstance(content, Mapping) else []
        if unknown:
            raise UserError(f"{where}: {unknown[0]!r} is not known beside 'rules'; see --show-rules for the form")
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
            # A safe loader with one more check.
            return cls.of(yaml.load(Path(path).read_text(encoding="utf-8"), _Loader), str(path))
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror}); give a YAML file, see --show-rules") from None
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
            mark = getattr(error, "problem_mark", None)
            line = f", line {mark.line + 1}" if mark else ""
            what = error.problem if isinstance(error, _Twice) else "not valid YAML in UTF-8"
            raise UserError(f"{path}{line}: {what}; see --show-rules for the form") from None

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
_ACCEPTABLE = ("unit", "percent", "complex", "base", "choice")


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
            if key == "accept" and not set(items) <= set(_ACCEPTABLE):
                raise UserError(f"{where}: accept of rule {name} takes {', '.join(_ACCEPTABLE)}")
        elif key == "unknown" and value not in ("keep", "drop"):
            raise UserError(f"{where}: unknown of rule {name} is keep or drop, not {value!r}")
        elif key == "threshold" and (
            isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1
        ):
            raise UserError(f"{where}: threshold of rule {name} lies above 0 and up to 1, not {value!r}")
    return {"rule": name, **known, **{key: value for key, value in entry.items() if key != "rule"}}
