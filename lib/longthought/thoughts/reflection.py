"""How much a thought reflects: the places where its writer doubts, checks, turns to another way, or looks back.

The report selects long thoughts "with retrospection and self-reflection" (section 4) and does not say how. Here a mark
is a phrase by which a writer comes back to what he wrote himself. The phrases are patterns for English and Chinese,
the miniature's word-level texts included; they were written against traps (a waiting time, a bank check, "and so on" in
Chinese), and `measured` says on a labelled set how often they err. Patterns see words and not meaning: a model that
writes "wait" without a reason is counted like one that has a reason. Of the reflective passages that they were not
tuned on the patterns find about half, and most of what they find is right: a count of marks is a lower bound of the
reflection in a text, and a comparison of counts supposes that the compared texts use the same kind of words.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left, bisect_right
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


# Pieces that the phrases below share, written in them as <NAME>.
_PIECES = {
    # Where a clause begins; "but", "hmm" and the like may stand before the phrase.
    "CLAUSE": r"(?:(?<=[.!?:;,(…—–\n*\"“”-])|^)[ \t*_]{0,8}(?:(?:oh|but|hmm+|no|ah|ok|okay|well|and|so)\b[,.…]*[ ]+)?",
    "SENTENCE": r"(?:(?<=[.!?:\n])|^)[ *]*",
    "句首": r"(?:(?<=[，。！？；：,.!?;:…—\n（\s])|^)(?:(?:哦|啊|咦|嗯|呃|但|但是|可是|不过|然而)[，,]?)?",
    "I": r"\b(?:I|we)(?:['’]ve| have| had| must have| may have| might have| seem to have| just| also| clearly"
    r"| simply)*",
    "LET": r"\b(?:let me|let['’]s|let us|I(?:['’]ll| will| should| could| might| need to| must| have to"
    r"| want to| had better)?"
    r"|we (?:should|could|need to|had better|ought to|must)|better|maybe|perhaps)(?: also| now| quickly| just"
    r"| at least| first| then)*",
    "WAY": r"(?:approach|method|way|route|path|idea|strategy|angle|tack|direction|substitution|trick|trail)",
    "OWN": r"(?:work|working|steps?|calculations?|computations?|solution|answer|argument|reasoning|derivation"
    r"|result|proof"
    r"|lines?|equation|table|drawing|picture|question|problem|statement)",
    "SLIP": r"(?:mis(?:read|count|appl|took|taken|understood|calculat|interpret|comput|cop|stat)\w*|forgot\w*"
    r"|overlooked|missed"
    r"|over-?count\w*|under-?count\w*|double[- ]count\w*|skipped|dropped|confused|mixed up|messed up|ignored"
    r"|took for granted)",
    "思路": r"(?:思路|方法|角度|办法|做法|解法|算法|想法|途径|方式|路子|策略|路线|方向)",
    "错": r"(?:(?:算|看|弄|搞|写|数|想|记|用|抄|取|理解|换算)错|(?:弄|搞)混|(?:抄|写|弄)反|漏|忘|忽略|没注意"
    r"|没考虑|想当然|想复杂|默认"
    r"|多算|少算|多数了|少数了|重复[计]?算|重复数|[数约]重|丢了|丢掉)",
    "前": r"(?:前面|刚才|刚刚|上面|上一步|前一步|之前|先前|一开始|起初|最初|原先|开始时)",
    "所做": r"(?:假设|猜测|猜想|思路|结论|做法|想法|答案|算法|计算|推导|推理|判断|步骤|结果|尝试|估计)",
}  # fmt: skip

# (language, kind): phrases as regular expressions. A phrase about one's own words needs "I", "let me" or the beginning
# of a clause around it, for stories have people who wait, check, forget and start again.
_PHRASES: Mapping[tuple[str, str], Sequence[str]] = {
    ("en", "doubt"): (
        r"<CLAUSE>wait\b(?!-)(?![ ]+(?:for|until|till|at|on|in|there|here|and|your|his|her|their|times?|lists?"
        r"|staff|outside)\b)"
        r"(?![ ]+(?:\w+[ ]+){1,3}?(?:more )?(?:minute|second|hour|day|turn|round|week)s?\b)",
        r"<CLAUSE>(?:hold|hang) on\b(?![ ]+to\b)(?=[,.!…:— -])",
        r"\b(?:hmm+|oops|whoops)\b|<CLAUSE>not so fast\b|<SENTENCE>correction:",
        r"(?:(?<=[.!:;,…—\n])|^)[ ]*no[,.!—:-]+[ ]*(?:that|this|wait|I|not quite)\b",
        r"\b(?:that|this|which|it)(?:['’]s| is| was| can['’]?t be| cannot be| isn['’]t| seems| looks"
        r"| (?:doesn['’]t|does not)"
        r" (?:look|seem))(?: not| clearly| actually| much)* (?:right|wrong|correct|incorrect|a mistake|an error"
        r"|off|suspicious"
        r"|careless|too (?:big|small|large))(?=[.,;:!?— ]|$)",
        r"\b(?:is|are|looks?|seems?) (?:\w+ )?(?:suspicious|fishy)\b|\bmuch too (?:big|small|large|long|short)\b",
        r"\b(?:something|somewhere|conversion|calculation|step|line)(?:['’]s| is| went| has gone"
        r"| must be) (?:wrong|off|amiss)\b",
        r"\b(?:the|my|an) (?:error|mistake|slip|flaw|gap|trouble) (?:must be|is|was|lies|lay|came|comes) (?:in"
        r"|with|here|from|to|that|where)\b",
        r"<I> (?:made|make) (?:an?|some) (?:\w+ ){0,2}(?:mistake|error|slip)\b|\bmy (?:mistake|error)\b"
        r"|\bI was wrong\b|<I> <SLIP>\b",
        r"\bI(?: have been|['’]ve been| was| am|['’]m) (?:just |probably |perhaps )?(?:wrong|careless|stuck"
        r"|solving|reading|counting"
        r"|treating|assuming|over-?complicating|over-?thinking|going (?:round|around) in circles"
        r"|not (?:convinced|sure|certain|happy))\b",
        r"\bI (?:get|got) stuck\b|\bI (?:abandon|give up|take (?:that|this|it) back|withdraw)\b|\bI do(?: not"
        r"|n['’]t) (?:see how|trust|believe)\b",
        r"\bI (?:have |['’]ve )?(?:still |so far )?only (?:shown|showed|proved|proven|checked|considered"
        r"|counted|used)\b|\bI still owe\b",
        r"\b(?:scratch that|strike that|on second thoughts?|back to square one|dead end|false trail"
        r"|leads? nowhere)\b",
        r"<LET> (?:start|begin) (?:over|again|afresh|from scratch)\b|\bstarting (?:over|afresh|from scratch)\b",
        r"<LET>(?: \w+)? (?:re-?(?:think|do|check|consider|examine|count|compute|calculate|read|visit|start"
        r"|work|try|evaluate|derive|state)"
        r"|backtrack|back up|go back|step back|correct|fix|undo)\b",
        r"\b(?:go|going|went|come|coming|stepping|back) (?:back )?(?:(?:to|over) )?(?:(?:the|my|that|step|line"
        r"|one|two|three|a few|first"
        r"|second|third|last|previous|earlier) )+<OWN>\b",
        r"\b(?:counting|computing|adding|multiplying|reading|expanding|doing|checking|count|compute|calculate"
        r"|read|do) (?:\w+ ){0,2}"
        r"(?:again|once more|more carefully)\b[,:]",
        r"\b(?:this|that|my) (?:\w+ )?(?:<WAY>|case ?work) (?:does not|doesn['’]t|will not|won['’]t|isn['’]t"
        r"|is not|fails|failed|explodes"
        r"|did not|didn['’]t|gets?|is|seems|looks|was)\b",
        r"\b(?:this|that|which|it|induction) do(?:es)?(?:n['’]t| not) (?:seem to )?(?:work|help|lead anywhere)\b"
        r"|\b(?:is|are) (?:getting|becoming|too) (?:\w+ )?(?:ugly|messy|complicated|hairy|unwieldy|long|horrible)\b",
        r"\bactually,? (?:no|wait|that|let me|hold on|I)\b|(?:\.\.\.|…|[—-])[ ]*actually\b",
        r"\b(?:is|was|can) (?:that|this|it) (?:really |actually |even |be )*(?:right|correct|true|valid|possible)\?",
        r"\b(?:am I|are we) (?:really |so )?sure\b|\b(?:did|have|am|was|should) I\b[^.!?\n]{0,80}\?"
        r"|\bdo I (?:really|know|need|get)\b[^.!?\n]{0,80}\?",
        r"<SENTENCE>(?:but )?do(?:es)? (?:the|this|that|my) (?:formula|answer|result|bound|claim|argument"
        r"|identity|pattern|condition|guess)"
        r"\b[^.?!\n]{0,80}\?|<SENTENCE>but (?:do|does|is|are|what|why|can|could|how)\b[^.!?\n]{0,80}\?",
    ),
    ("en", "check"): (
        r"<LET> (?:double[- ]?check|check(?! (?:in|out)\b)|verify|confirm|test|sanity[- ]check|make sure)"
        r"(?![ ]+(?:each|all|every|the (?:cases|options|remaining|mail)))\w*|\b(?:worth|just to) (?:check"
        r"|verify|test)ing\b",
        r"\bdouble[- ]?check\w*|\b(?:sanity|quick|cross|second)[- ]check\b|\bas a check\b|\bchecks out\b",
        r"<SENTENCE>(?:check|verification|checking|verifying)[*]*:|<SENTENCE>(?:checking|verifying"
        r"|testing) (?:this|that|it|my|our|again)\b",
        r"\bcheck(?= [a-z]= \d)",
        r"\b(?:plug|plugging|put|putting|substitute|substituting) (?:\S+ ){0,4}?back\b|\b(?:put|plug) (?:them"
        r"|it|both) into the original\b",
        r"\bto (?:be sure|be safe|make sure)\b|\bbefore (?:I |we )?(?:box|answer|commit|finish|conclud|go|mov)\w*",
        r"\b(?:a second|another|in a different|a different) way(?=[:,]|[^.\n]{0,80}\bagree)|\bthey should agree\b"
        r"|\b(?:answer|result|claim) (?:really |indeed )?(?:stands|holds) up\b",
    ),
    ("en", "alternative"): (
        r"<SENTENCE>alternatively,? (?:I|we|let|maybe|perhaps|one (?:could|can)|use|using|try|consider|think"
        r"|count|by|there)\b",
        r"\b(?:another|a different|a better|an easier|a cleaner|a slicker) <WAY>(?:,|:|\?| to (?:see|do|solve"
        r"|look|think|check|count|approach"
        r"|get|verify|compute|attack)\b| is to\b| would be\b)",
        r"<LET> (?:try|use|take|consider|need|switch to|look for) (?:a different|another|some other"
        r"|something else|an easier|a better)\b"
        r"|\bis there (?:another|a|an|some) (?:\w+ )?<WAY>",
        r"\b(?:let me|let['’]s|I['’]ll|I will|I) [^.!?\n]{0,60}\b(?:instead|from the other side"
        r"|the other way round)\b",
        r"<SENTENCE>rather than \w+ing\b|\b(?:new|better|fresh|simpler) idea\b|<SENTENCE>better:",
        r"\b(?:perhaps|maybe)\b[^.!?\n]{0,60}\b(?:quicker|easier|better|simpler|cleaner|faster|would (?:help"
        r"|work)|helps?|works?)\b",
        r"\b(?:maybe|perhaps) (?:I|we) (?:should|can|could|need|ought|must|am|are)\b|\bwhat if (?:I"
        r"|we) (?:instead|try|use)\b",
    ),
    ("en", "hindsight"): (
        r"\b(?:looking|thinking) back(?=,|:| at (?:my|this|what|it|our|the (?:\w+ )?<OWN>)| on (?:my|this)"
        r"| over| I\b)",
        r"\bin (?:hindsight|retrospect)\b|\bwith hindsight\b|\bearlier,? I\b",
        r"\bI (?:\w+ )?(?:thought|assumed|believed|guessed|claimed|concluded|supposed|said|wrote"
        r"|had)[^.!?\n]{0,40}\b(?:earlier|at first"
        r"|initially|above)\b",
        r"\b(?:I|we) (?:initially|at first|first|originally|previously|wrongly|mistakenly|carelessly)"
        r" (?:thought|assumed|believed|guessed|claimed|concluded|supposed|took|wrote|used|said)\b",
        r"\b(?:my|our) (?:earlier|first|initial|original|previous|last|wrong) (?:\w+ )?(?:guess|assumption"
        r"|attempt|answer|approach|idea|claim"
        r"|thought|calculation|count|reasoning|intuition|formula|mistake|work|conclusion)\b|\bmy (?:guess|claim"
        r"|assumption)\b[^.]{0,60} was wrong\b",
        r"\bI should have\b|\bI see (?:now|where|what went|my)\b|\bnow I see\b|\bI (?:now "
        r"|just )?reali[sz]ed?\b|\bwhere did I go wrong\b",
    ),
    ("zh", "doubt"): (
        r"<句首>(?:等等|等一下|等一等|慢着|且慢|稍等)(?=[，,！!…：:—\s]|我|这|那|不|似乎|好像|为什么|刚|前面"
        r"|如果|是|有)(?!我们?(?:[，。！？”\s]|$))",
        r"<句首>(?:(?:这|那|结果|答案)[^。，！？；、\n]{0,6}?)?(?:好像|似乎|显然|肯定|还是|也|可能|感觉|有点"
        r"|有些|并)*不(?:太|大)?对(?![称等应外齐号头口手立着])",
        r"(?:(?<=[。！；…\n])|^)不[，,]|(?:哦|啊|呃)[，,]?不[，,]",
        r"(?:我|这里|是不是|第.{1,2}[步行]|<前>)[^。，！？\n]{0,8}<错>",
        r"(?:哪里|什么地方|某处|这里|那里|前面|一定|肯定|好像|似乎|大概|应该是?)[^。！？，\n]{0,8}(?:出了?错"
        r"|有误|出了?问题|错了|不正确|丢了|漏了)",
        r"问题出在|有漏洞|不(?:够)?严[谨格]|这(?:显然|肯定|也)?不合理|不(?:太)?放心|不踏实|可疑|蹊跷|对不上",
        r"<句首>(?:糟糕|哎呀|更正|纠正)(?:一下)?[，,：:]",
        r"看来(?:我|<前>|原来|不)|我们?(?:都|一直)(?:按|以为|把|默认|当)|我[^。，\n]{0,4}只(?:证明|考虑|讨论|数"
        r"|算|检查|验证)了",
        r"(?:行|走)不(?:通|下去)|此路不通|死胡同|卡住|推倒重来|从头(?:再来|开始|来过|再算|再想)|这条路是错|撤回"
        r"|作废|放弃(?:这|该|此|上|刚)|越算越",
        r"(?:让我们?|我们?|需要|得|应该|必须|要|那就|于是|还是|<句首>)再?重新(?:来|考虑|思考|检查|审视|计算|算"
        r"|推|整理|想|看|数|读|审题|做|消元|列)",
        r"(?:<句首>|我们?|只好|还是|得|先)(?:回|退回|返回)(?:到|去)(?:看|前面|上一步|第.{1,2}[步行]|起点|开头"
        r"|刚才|原来的|最初)|往回看",
        r"真的(?:对|正确|成立|可以|可能)?吗|(?:这样|这)?(?:是)?对吗|是不是(?:我|漏|错|算|少|多|同)|确定吗|难道"
        r"|为什么[^。？\n]{0,10}(?:不一样|不同|不符)",
        r"分类太多|太(?:难算|繁琐?|麻烦)了?",
    ),
    ("zh", "check"): (
        r"(?:让我们?|我们?(?:再|来|先|还是|需要|应该|得|想|要|最好)+|<句首>再|最后|不妨|现在来?|保险起见"
        r"|为了?(?:保险|确认|放心)|快速|简单)"
        r"[^。，！？；\n]{0,8}?(?:检验|检查|验证|验算|核对|核实|确认)(?![员站码官])",
        r"<句首>(?:检验|验算|验证|检查)(?:一下|一遍|[^。，！？\n]{0,8}[：:]|(?= ?[a-z] ?=))",
        r"代回|回代|代[入进](?:原式|原方程|原题|题目)(?:检验|验证|验算|看)",
        r"(?:取|令|代入)[^。！？\n]{0,20}(?:来)?(?:检验|验证|验算)(?!明)|来检验|用[^。！？\n]{0,10}试(?:一试"
        r"|一下|试)",
        r"(?:<句首>|我|之前|前)再(?:仔细|认真|小心)?(?:数|算|读|看|推|想|核|查|验|确认)(?:一|上)?(?:遍|次|下|读"
        r"|看|想)",
        r"[与和跟]<前>[^。，\n]{0,6}(?:一致|吻合|相符|相同)|(?:结果|答案)(?:就|是)?没(?:有)?问题",
    ),
    ("zh", "alternative"): (
        r"换(?:一)?(?:个|种|条)<思路>|换条路|不如|另辟",
        r"(?:试试|试一试|尝试|考虑|用|有没有|还有|找)(?:别的|另外?一?[种个条]|其他的?|更好的?|更简单的?"
        r"|巧一点的)<思路>",
        r"(?:或者|也许|或许)(?:我们?)?(?:可以|应该|不妨|试试|换|考虑|改)",
    ),
    ("zh", "hindsight"): (
        r"(?:<句首>|我们?|再|现在|不过|但)再?回(?:过)?头(?:来)?(?:看|想|检查|审视)(?!了|见|着|他|她|一眼)",
        r"回顾(?:一下|前面|上面|整个|刚才|我|以上)|反思|事后看|(?:现在|这样|如此)(?:看来|想来)|这才(?:明白|发现"
        r"|意识到)",
        r"我(?:现在|突然|忽然)?(?:意识到|发现自己)|原来是?我|还好",
        r"我们?<前>[^。，\n]{0,4}(?:以为|认为|假设|觉得|想|用|得出|默认|说)",
        r"(?:我们?)?(?:<前>|原来)的<所做>",
    ),
}  # fmt: skip


def _compiled() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    found: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    for (language, kind), phrases in _PHRASES.items():
        for phrase in phrases:
            while (whole := _PIECE.sub(lambda name: _PIECES[name[1]], phrase)) != phrase:
                phrase = whole
            found.setdefault(language, []).append((kind, re.compile(phrase, re.IGNORECASE)))
    return found


_PIECE = re.compile(r"<([A-Z]+|[\u4e00-\u9fff]+)>")
_COMPILED = _compiled()
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
    quotes = [m.span() for m in _QUOTE.finditer(text) if m.end() - m.start() <= _LONGEST_QUOTE]
    ends = [m.start() for m in _SENTENCE_END.finditer(text)]
    given = "".join(problem.split()).lower()

    def foreign(start: int, end: int) -> bool:
        at = bisect_right(quotes, (start, len(text))) - 1
        if at >= 0 and end <= quotes[at][1]:
            return True
        at = bisect_left(ends, start)
        first, last = ends[at - 1] + 1 if at else 0, ends[at] if at < len(ends) else len(text)
        # A sentence much longer than the problem cannot stand in it, and reading it for every mark would take long.
        return last - first <= 2 * len(problem) and "".join(text[first:last].split()).lower() in given

    found: list[Mark] = []
    for kind, pattern in _COMPILED[language]:
        for match in pattern.finditer(text):
            start = match.start() + len(match[0]) - len(match[0].lstrip())
            if not foreign(start, match.end()):
                found.append(Mark(kind, start, match.end()))
    marks: list[Mark] = []
    for mark in sorted(found, key=lambda m: (m.start, -m.end)):
        # Where two phrases overlap, they are one turn of thought.
        if not marks or mark.start >= marks[-1].end:
            marks.append(mark)
    length = words(text)
    return Reflection(100 * len(marks) / length if length else 0.0, tuple(marks))


def load_cases() -> list[dict[str, Any]]:
    """The labelled passages: `text`, `language`, `reflective`, `half`, `why`, and `first`.

    Parts A and B were tuned on, parts C and D never were; D was written by somebody who had not seen the phrases.
    `first` is what the scorer said of a passage of B, C or D when it met the passage for the first time; all of these
    were labelled before that.
    """
    content = files("longthought").joinpath("data/reflection_cases.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in content.splitlines() if line]


def measured(cases: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Precision and recall of "holds a mark" against the labels, with counts and intervals.

    A row for each part and language, at the first look where there was one, and now.
    """
    rows = []
    for half in sorted({c["half"] for c in cases}):
        for language, name in (("en", "English"), ("zh", "Chinese"), ("", "both")):
            own = [c for c in cases if c["half"] == half and language in ("", c["language"])]
            looks = {"now": [reflection(c["text"], c["language"], c.get("problem", "")).present for c in own]}
            if all("first" in c for c in own):
                looks = {"first": [c["first"] for c in own], **looks}
            for look, said in looks.items():
                found = sum(s and c["reflective"] for s, c in zip(said, own, strict=True))
                rows.append(
                    {
                        "part": half,
                        "language": name,
                        "look": look,
                        "passages": len(own),
                        "reflective": sum(c["reflective"] for c in own),
                        "precision": _rate(found, sum(said)),
                        "recall": _rate(found, sum(c["reflective"] for c in own)),
                    }
                )
    return pd.DataFrame(rows)


def _rate(k: int, n: int) -> Rate | str:
    return wilson(k, n) if n else "none"
