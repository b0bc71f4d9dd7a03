"""How much a thought reflects: the places where its writer doubts, checks, turns to another way, or looks back.

The report selects long thoughts "with retrospection and self-reflection" (section 4) and does not say how. Here a mark
is a phrase by which a writer comes back to what he wrote himself. The phrases are patterns for English and Chinese,
the miniature's word-level texts included; they were written against traps (a waiting time, a bank check, "and so on" in
Chinese), and `measured` says on a labelled set how often they err. Patterns see words and not meaning: a model that
writes "wait" without a reason is counted like one that has a reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import pandas as pd

from longthought.errors import UserError
from longthought.statistics import Rate, wilson

KINDS = ("doubt", "check", "alternative", "hindsight")
# How much longer a quotation may be before its marks are taken for the writer's own.
_LONGEST_QUOTE = 200


@dataclass(frozen=True)
class Mark:
    """One phrase of reflection, `text[start:end]`; `kind` is one of `KINDS`."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True)
class Reflection:
    """The marks of a text in their order, and `score`: marks per 100 words, where two Chinese characters are a word."""

    score: float
    marks: tuple[Mark, ...]

    @property
    def present(self) -> bool:
        """Whether there is any mark."""
        return bool(self.marks)

    def count(self, kind: str) -> int:
        """The marks of one kind."""
        return sum(mark.kind == kind for mark in self.marks)


# Begins a clause in English and in Chinese.
_EN = r"(?:(?<=[.!?:;,(…—–\n*])|(?<=[-\"“”])|^)[ \t*_]*(?:(?:oh|but|hmm+|no|ah|ok|okay|well|and|so)[,.…]*[ ]+)?"
_ZH = r"(?:(?<=[，。！？；：、,.!?;:…—\n（\s])|^)(?:哦|啊|咦|嗯|呃|但|但是|可是|不过|然而)?[，,]?"
_I = r"\b(?:I|we)(?:['’]ve| have| had| must have| may have| might have| seem to have| just| also| clearly| simply)*"
_WAY = r"(?:approach|method|way|route|path|idea|strategy|angle|tack|direction|substitution|line of attack|tactic)"
_OWN = r"(?:work|working|steps?|calculations?|computations?|solution|answer|argument|reasoning|derivation|result|proof)"
_SLIP = (
    r"(?:mis(?:read|count|appl|took|taken|understood|calculat|interpret|comput|cop|stat)\w*|forgot\w*|overlooked"
    r"|missed|over-?count\w*|under-?count\w*|double[- ]count\w*|skipped|dropped|confused|mixed up|messed up|ignored)"
)
_ZH_SLIP = (
    r"(?:算错|看错|弄错|搞错|写错|数错|想错|记错|理解错|用错|抄错|漏|忘|忽略|多算|少算|多数|少数了|重复[计]?算|重复数)"
)
_ZH_WAY = r"(?:思路|方法|角度|办法|做法|解法|想法|途径|方式|路子|策略)"
_ZH_WORK = r"(?:假设|猜测|思路|结论|做法|想法|答案|算法|计算|推导|推理|判断|步骤|结果|尝试|估计)"

_PATTERNS: Mapping[str, Sequence[tuple[str, str]]] = {
    "en": (
        ("doubt", _EN + r"wait(?![ ]+(?:for|until|till|at|on|in|there|here|and|your|his|her|their|times?|lists?|staff|outside"
                  r"|(?:\w+[ ]+){1,3}?(?:more )?(?:minute|second|hour|day|turn|round|week)s?)\b)\b(?!-)"),
        ("doubt", _EN + r"(?:hold|hang) on\b(?![ ]+to\b)(?=[,.!…:— -])"),
        ("doubt", r"\b(?:hmm+|oops|whoops)\b"),
        ("doubt", r"(?:(?<=[.!:;,…—\n])|^)[ ]*no[,.!—:-]+[ ]*(?:that|this|wait|I|not quite)\b"),
        ("doubt", r"\b(?:that|this|which|it)(?:['’]s| is| was| can['’]?t be| cannot be| isn['’]t| doesn['’]t (?:look|seem)"
                  r"| does not (?:look|seem)| seems| looks)(?: not| clearly| actually)*"
                  r" (?:right|wrong|correct|incorrect|a mistake|an error|off|suspicious|too (?:big|small|large))(?=[.,;:!?— ]|$)"),
        ("doubt", r"\bsomething(?:['’]s| is| went| has gone| must be) (?:wrong|off|amiss)\b"),
        ("doubt", _I + r" (?:made|make) (?:an?|some) (?:\w+ ){0,2}(?:mistake|error|slip)\b|\bmy (?:mistake|error)\b"
                  r"|\bI was wrong\b|" + _I + " " + _SLIP + r"\b"),
        ("doubt", r"\b(?:scratch that|strike that|on second thoughts?|back to square one|dead end|leads? nowhere"
                  r"|(?:start|begin) (?:over|again|afresh|from scratch))\b"),
        ("doubt", r"\b(?:let me|let['’]s|let us|I(?:['’]ll| will| should| need to| must| have to| had better)|better)"
                  r"(?: \w+)? (?:re-?(?:think|do|check|consider|examine|count|compute|calculate|read|visit|start|work|try|evaluate"
                  r"|derive|state)|backtrack|back up|go back|step back|correct|fix|undo)\b"),
        ("doubt", r"\b(?:this|that|my) (?:\w+ )?" + _WAY + r" (?:does not|doesn['’]t|will not|won['’]t|isn['’]t|is not|fails"
                  r"|failed|did not|didn['’]t|gets?|is getting|seems|looks|was)\b"),
        ("doubt", r"\bactually,? (?:no|wait|that|let me|hold on|I)\b"),
        ("doubt", r"\b(?:is|was|can) (?:that|this|it) (?:really |actually |even |be )*(?:right|correct|true|valid|possible)\?"
                  r"|\b(?:am I|are we) (?:really |so )?sure\b|\b(?:did|have|do|am) I (?:\w+ )?(?:miss|forg|mak|made|mis|over|double|us)"),
        ("check", r"\b(?:let me|let['’]s|let us|I(?:['’]ll| will| should| need to| must| have to| want to| had better| can)"
                  r"|we (?:should|had better|ought to)|worth|safe(?:r)? to|just to)(?: also| now| quickly| just| at least| first)*"
                  r" (?:double[- ]?check|check(?! (?:in|out)\b)|verify|confirm|test|sanity[- ]check|make sure)"
                  r"(?![ ]+(?:each|all|every|the (?:cases|options|remaining|mail)))\w*"),
        ("check", r"\bdouble[- ]?check\w*|\b(?:sanity|quick|cross|second)[- ]check\b|\bas a check\b"),
        ("check", r"(?:(?<=[.!?\n])|^)[ *]*(?:check|checking|verification|verifying|verify)(?:[*]*:| (?:this|that|it|my|our|again|back)\b)"),
        ("check", r"\bcheck(?= [a-z]= \d)"),
        ("check", r"\b(?:plug|plugging|put|putting|substitute|substituting) (?:\S+ ){0,4}?back\b|\bto (?:be sure|be safe|make sure)\b"),
        ("alternative", r"(?:(?<=[.!?\n:])|^)[ ]*alternatively,? (?:I|we|let|maybe|perhaps|one (?:could|can)|use|using|try|consider"
                        r"|think|count|by|there)\b"),
        ("alternative", r"\b(?:another|a different|a better|an easier|a cleaner) " + _WAY
                        + r"(?:,|:| to (?:see|do|solve|look|think|check|count|approach|get|verify|compute|attack)| is to\b| would be\b)"),
        ("alternative", r"\b(?:try|use|take|consider|need|switch to|look for|is there) (?:a different|another|some other|something else"
                        r"|an easier|a better)\b"),
        ("alternative", r"\b(?:maybe|perhaps) (?:I|we) (?:should|can|could|need|ought|must)\b|\bwhat if (?:I|we) (?:instead|try|use)\b"),
        ("hindsight", r"\b(?:looking|thinking) back(?=,|:| at (?:my|this|what|it|our|the (?:\w+ )?" + _OWN + r")| on (?:my|this)| over| I\b)"
                      r"|\bin (?:hindsight|retrospect)\b|\bwith hindsight\b"),
        ("hindsight", r"\bearlier,? I\b|\bI (?:\w+ )?(?:thought|assumed|believed|guessed|claimed|concluded|supposed|said|wrote|had)"
                      r"[^.!?\n]{0,40}\b(?:earlier|at first|initially|above)\b"),
        ("hindsight", r"\b(?:I|we) (?:initially|at first|first|originally|previously|wrongly|mistakenly|carelessly) "
                      r"(?:thought|assumed|believed|guessed|claimed|concluded|supposed|took|wrote|used)\b"),
        ("hindsight", r"\b(?:my|our) (?:earlier|first|initial|original|previous|last) (?:\w+ )?(?:guess|assumption|attempt|answer"
                      r"|approach|idea|claim|thought|calculation|count|reasoning|intuition|formula|mistake|work|conclusion)\b"),
        ("hindsight", r"\bI should have\b|\bI see (?:now|where|what went|my)\b|\bnow I see\b|\bI (?:now |just )?reali[sz]ed?\b"
                      r"|\bwhere did I go wrong\b"),
    ),
    "zh": (
        ("doubt", _ZH + r"(?:等等|等一下|等一等|慢着|且慢|稍等)(?=[，,。！!…：:—\s]|我|这|那|不|似乎|好像|为什么|刚|前面|如果|是|有)"
                  r"(?!我们?(?:[，。！？”\s]|$))"),
        ("doubt", _ZH + r"(?:这|那|这样|这个|结果|我|这里|那里|哪里|答案)?(?:好像|似乎|显然|肯定|还是|也|可能|感觉|有点|有些|并)*"
                  r"不(?:太|大)?对(?![称等应外齐号头口手立着])"),
        ("doubt", _ZH + r"不[，,](?:这|那|应该|我|不|还)"),
        ("doubt", r"(?:我|这里|前面|刚才|刚刚|上面|上一步|是不是|之前)[^。，！？\n]{0,8}" + _ZH_SLIP),
        ("doubt", r"(?:哪里|什么地方|某处|这里|前面|一定|肯定|好像|似乎)(?:一定|肯定|好像|似乎|可能)?(?:出了?错|有问题|有误|出了?问题|错了|不正确)"),
        ("doubt", r"(?:行|走)不通|此路不通|死胡同|推倒重来|从头(?:再来|开始|来过|再算|再想)"),
        ("doubt", r"(?:让我们?|我们?|需要|得|应该|必须|要|那就|于是|还是|来|(?<=[，。！？；：\s])|^)(?:再)?重新(?:来|考虑|思考|检查|审视|计算|算|推"
                  r"|整理|想|看|数|读|审题|做)"),
        ("doubt", r"(?:回到|退回|返回)(?:到)?(?:前面|上一步|第.{1,2}步|起点|开头|刚才|原来的|最初)"),
        ("doubt", r"(?:真的)(?:对|正确|成立|可以|可能)?吗|(?:这样|这)?(?:是)?对吗|是不是(?:我)?(?:漏|错|算|少|多)|确定吗"),
        ("check", r"(?:让我们?|我们?(?:再|来|先|还是|需要|应该|得|想|要|最好)+|(?<![.])再|最后|不妨|现在来?|保险起见|为了?保险|为了?确认|快速|简单)"
                  r"[^。，！？；\n]{0,8}?(?:检验|检查|验证|验算|核对|核实|确认)(?![员站码官])"),
        ("check", r"(?:(?<=[，。；：！？\s])|^)(?:检验|验算|验证|检查)(?:一下|一遍|[：:]|(?= ?[a-z] ?=))"),
        ("check", r"代回|回代|代入(?:原式|原方程|原题|题目)?(?:检验|验证|验算)"),
        ("alternative", r"换(?:一)?(?:个|种|条)" + _ZH_WAY + r"|换条路"),
        ("alternative", r"(?:试试|试一试|尝试|考虑|用|有没有|还有|找)(?:别的|另外?一?[种个条]|其他的?|更好的?|更简单的?)" + _ZH_WAY),
        ("alternative", r"(?:或者|也许|或许|不如)(?:我们?)?(?:可以|应该|不妨|试试|换|考虑|改)"),
        ("hindsight", r"(?:(?<=[，。！？；：\s])|^|我们?|再|现在|不过|但)(?:再)?回(?:过)?头(?:来)?(?:看|想|检查|审视)(?!了|见|着|他|她|一眼)"),
        ("hindsight", r"回顾(?:一下|前面|上面|整个|刚才|我|以上)|反思|事后看|(?:现在|这样|如此)(?:看来|想来)|我?这才(?:明白|发现|意识到)"
                      r"|我(?:现在|突然|忽然)?(?:意识到|发现自己)|原来是?我"),
        ("hindsight", r"我们?(?:一开始|起初|最初|先前|之前|刚才|原先|开始时)[^。，\n]{0,4}(?:以为|认为|假设|觉得|想|用|得出|默认)"),
        ("hindsight", r"(?:我|我们)?(?:之前|先前|最初|一开始|起初|刚才|原来)的" + _ZH_WORK),
    ),
}  # fmt: skip
_COMPILED = {
    language: [(kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in patterns]
    for language, patterns in _PATTERNS.items()
}
_QUOTE = re.compile(r"“[^“”\n]*”|「[^「」\n]*」|\"[^\"\n]*\"")
_HAN = re.compile(r"[\u3400-\u9fff]")
_SENTENCE_END = re.compile(r"[.!?。！？\n]")


def words(text: str) -> float:
    """The length of a text in words: pieces between spaces that hold a letter or a digit, and half of each Han one."""
    rest = _HAN.sub(" ", text)
    han = len(_HAN.findall(text))
    return han / 2 + sum(any(c.isalnum() for c in piece) for piece in rest.split())


def reflection(text: str, language: str, problem: str = "") -> Reflection:
    """The marks of reflection in a text of one language, "en" or "zh", and their density.

    Marks do not count in a short quotation, nor, where the text of the `problem` is given, in a sentence that stands
    in it: neither is the writer's own. Raises UserError for another language.
    """
    if language not in _COMPILED:
        raise UserError(f"reflection is known in {', '.join(_COMPILED)}, not in {language!r}")
    foreign = [m.span() for m in _QUOTE.finditer(text) if m.end() - m.start() <= _LONGEST_QUOTE]
    given = "".join(problem.split()).lower()
    found: list[Mark] = []
    for kind, pattern in _COMPILED[language]:
        for match in pattern.finditer(text):
            start = match.start() + len(match[0]) - len(match[0].lstrip())
            if any(s <= start and match.end() <= e for s, e in foreign):
                continue
            if given and "".join(_sentence(text, start).split()).lower() in given:
                continue
            found.append(Mark(kind, start, match.end()))
    marks: list[Mark] = []
    for mark in sorted(found, key=lambda m: (m.start, -m.end)):
        # Where two phrases overlap, they are one turn of thought.
        if not marks or mark.start >= marks[-1].end:
            marks.append(mark)
    length = words(text)
    return Reflection(100 * len(marks) / length if length else 0.0, tuple(marks))


def _sentence(text: str, at: int) -> str:
    """The sentence around a place, without its end."""
    start = max((m.end() for m in _SENTENCE_END.finditer(text, 0, at)), default=0)
    end = _SENTENCE_END.search(text, at)
    return text[start : end.start() if end else len(text)]


def load_cases() -> list[dict[str, Any]]:
    """The labelled passages: `text`, `language`, `reflective`, `half` ("A" was tuned on, "B" was not), `why`."""
    content = files("longthought").joinpath("data/reflection_cases.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in content.splitlines() if line]


def measured(cases: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Precision and recall of "holds a mark" against the labels, per half and language, with counts and intervals."""
    rows = []
    for half in sorted({c["half"] for c in cases}):
        for language, name in (("en", "English"), ("zh", "Chinese"), ("", "both")):
            own = [c for c in cases if c["half"] == half and language in ("", c["language"])]
            said = [reflection(c["text"], c["language"], c.get("problem", "")).present for c in own]
            both = sum(s and c["reflective"] for s, c in zip(said, own, strict=True))
            rows.append(
                {
                    "half": half,
                    "language": name,
                    "passages": len(own),
                    "reflective": sum(c["reflective"] for c in own),
                    "precision": _rate(both, sum(said)),
                    "recall": _rate(both, sum(c["reflective"] for c in own)),
                }
            )
    return pd.DataFrame(rows)


def _rate(k: int, n: int) -> Rate | str:
    return wilson(k, n) if n else "none"
