"""Whether a problem asks for several answers: under marks such as (a) and (b), or without any.

Without marks there are two signs of a second question: it is joined to the first ("and for which", "also find", 并求),
or it stands in a sentence of its own. A question whose value is made of what the first one finds is no second one:
"find all roots and compute their sum" asks for one number, as does a probability that is "written as m/n. Find m+n".
A demand to prove the answer asks for no other answer either.
"""

from __future__ import annotations

import re
from itertools import islice


def several(text: str, chinese: bool) -> str:
    """Why a problem (in lower case) asks for several answers, in a few words, or ""."""
    marked = _marked(text) if _SECOND.search(text) else ""
    return marked or (_joined_chinese(text) if chinese else _joined(text))


# --- marks ---

_MARK = re.compile(
    r"(?<![a-z0-9\\^_)])[(（]\s?(?P<bracketed>[a-h]|[ivx]{1,4}|[1-9]|[ⅰⅱⅲⅳⅴ])\s?[)）]|(?P<circled>[①-⑨])"
    r"|(?:^|(?<=[.?!:;$。；：？]))[\s*]{0,4}(?:(?:part|question|problem|task)\s(?P<part>[a-h]|[1-9]|[ivx]{1,4})\b"
    r"|(?P<bare>[ivx]{1,4}|[a-h]|[1-9])[.)、．](?=[\s$\u3400-\u9fff]))"
    r"|(?:问题|第)(?P<chinese>[一二三四五])(?=问|小?题|[：:])|[(（](?P<counted>[一二三四五甲乙丙丁])[)）]",
    re.MULTILINE,
)
_MARKS = (
    ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x"), "abcdefgh", "123456789", "①②③④⑤⑥⑦⑧⑨",
    "一二三四五", "甲乙丙丁", "ⅰⅱⅲⅳⅴ",
)  # fmt: skip
_SECOND = re.compile(
    r"[(（]\s?(?:b|2|ii|ⅱ)\s?[)）]|②|(?:b|2|ii)[.)、．][\s$\u3400-\u9fff]|(?:part|question|problem|task)\s(?:b|2|ii)\b|二"
    r"|[(（]乙[)）]"
)
# Which rows of marks a mark belongs to ("i" to two), and its place there from 0.
_PLACES = {m: [(at, row.index(m)) for at, row in enumerate(_MARKS) if m in row] for row in _MARKS for m in row}
_ASKS = re.compile(
    r"[?？]|\b(?:find|compute|calculate|evaluate|determine|prove|show|solve|simplify|factor|estimate|verify|express|count|"
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


def _marked(text: str) -> str:
    """Questions under marks that count from the first on, such as (a) and (b)."""
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
        shared = _SHARED.search(text[max(0, spans[0][0] - 80) : spans[0][0]])
        if asking >= 2 or (shared and not _COMBINED.search(text, spans[-1][1])):
            first, second = (" ".join(text[slice(*span)].split()) for span in spans[:2])
            return f"{first} and {second} ask for different things"[:80]
    return ""


# One value is made of all that stands under the marks.
_COMBINED = re.compile(r"[之的](?:和|差|积|商|比|乘积|总和)|\btheir (?:sum|product|difference|ratio)\b")

# --- English without marks ---

_VERB = r"(?:find|compute|calculate|evaluate|determine)"
_HOW = r"how (?:many|much|long|far|old|fast|often|tall|large|big|deep|high|wide|heavy|soon)"
_WITH = r"(?:for|at|in|on|by|to|from|of|after|with)"
_ASK = re.compile(
    # At the beginning of a clause, behind words that join it to what stands before.
    r"(?:^|[.?!;:]\)?\s|[,)$]\s|\n|\\\\)\s{0,4}(?P<link>(?:(?:and|then,?|next,?|finally,?|also,?|hence|moreover,?|"
    r"furthermore,?|additionally,?|in addition,?|please|state|say) ){0,3}"
    r"|(?:if|when|suppose|assuming) [^.?!;]{1,120}?, )"
    rf"(?P<ask>(?:{_WITH} )?what|{_WITH} (?:which|how)|{_HOW}|(?:where|when) (?:is|are|do|does|will)|{_VERB})\b"
    # In the middle of one.
    r"|(?<=\w) (?P<and>and (?:then |also |hence )?)(?P<inner>(?:for|at|in|on|by) (?:which|what|how (?:many|much))"
    rf"|what (?:is|are|was|were|will|would|percent|fraction|part)|{_HOW}|(?:where|when) (?:is|are|do|does|will)"
    rf"|{_VERB})\b",
    re.MULTILINE,
)
_ASKING = ("find", "compute", "calculate", "evaluate", "determine", "what", "how ", "which", "where ", "when ")
_IMPERATIVE = re.compile(_VERB)
_QUANTITY = (
    r"(?:value|minimum|maximum|number|area|perimeter|volume|length|width|height|distance|probability|chance|mean|median|"
    r"mode|average|range|sum|product|remainder|(?:in|circum)?radius|diameter|circumference|angle|degree|coefficient|"
    r"period|slope|speed|cost|price|order|rank|determinant|trace|discriminant|gcd|lcm|greatest common divisor|"
    r"least common multiple)"
)
_ONE_QUANTITY = re.compile(
    r"\s+(?:(?:is|are|be|was|were) )?(?:(?:the|its|their|a) )?"
    rf"(?:(?!all|any|every|each|roots?|solutions?|zeros|values)\w+[ -]){{0,3}}?{_QUANTITY}\b"
    # A formula that is more than a letter.
    r"|\s+\$[^$]{0,80}[-+*/^\\(][^$]{0,80}\$\s?(?=,? (?:and|then)\b|\.)"
)
_COUNT = r"(?:number|area|volume|length|perimeter|radius|degree)"
_EXTREME = r"(?:maximum|greatest|largest|highest|minimum|least|smallest|lowest)"
_PAIR = re.compile(
    rf"\b(?:{_VERB}|what (?:is|are)) (?:both )?(?:the|its|their) "
    rf"(?:(?:\w+ ){{0,2}}?{_QUANTITY} and (?:also )?(?:the |its )?(?:\w+ ){{0,2}}?{_QUANTITY}\b"
    rf"|{_COUNT} of (?:the |an? )?\w+(?: of (?:the |an? )?\w+)? (?:and|as well as) (?:also )?the (?:\w+ )?{_COUNT}\b"
    r"|number of (?:(?!sum|difference|product|ratio|between|equal)[^.?!;]){1,80}? and (?:also )?the number of\b"
    rf"|{_EXTREME} and (?:the )?{_EXTREME}(?: possible)? values?\b)"
)
# A value that is made of those found before.
_MADE = re.compile(
    r"\s+(?:(?:is|are|the|values?|of|absolute|exact|their|a|in) ){0,5}"
    r"(?:sum|product|difference|ratio|quotient|total|average|mean|number|remainder|result|answer)\b"
)
_OF_THE_PAIR = re.compile(r"\b(?:their|(?:of|between) (?:these|the) two)\b")
# Words on how one answer is to be written, or said again.
_FORM = re.compile(
    r"lowest terms|(?:relatively prime|coprime)(?! (?:to|with)\b)|simplest form|reduced|irreducible|in the form|"
    r"of the form|in other words|equivalently|that is to say|the answer|"
    r"(?:written|expressed?|write|represented)\b[^.]{0,40}\b(?:as|in|by)\b|"
    r"which of (?:the following|these|them)|remainder when|\bas (?:an?|the)\b"
)
_RELATIVE = re.compile(r" (?:for which|such that|so that|given that|if) ")
_COUNTED_TOGETHER = re.compile(r"\b(?:between|difference|sum|total|compare|ratio)(?: of| between)? (?:how|what)\b")
_RHETORICAL = re.compile(r"\s+(?:if|about|do you|did you|could|can)\b")
_SPOKEN = re.compile(r"“[^“”\n]{0,300}”|\"[^\"\n]{0,300}\"")
_END = re.compile(r"[?!;\n]|\.(?=\s|$|\*)")
_FAR = 1500  # characters between two questions that belong together
_MOST = 200  # questions that are looked at
_MORE = frozenset(("also", "also,", "addition", "addition,", "moreover", "moreover,", "additionally,", "furthermore,"))
_HOW_START = re.compile(rf"(?:{_WITH} )?how\b")


def _joined(text: str) -> str:
    joined = " and " in text or "as well as" in text
    # A cheap count before the pattern: most problems ask once.
    several_asks = sum(map(text.count, _ASKING)) >= 2
    if not joined and not several_asks:
        return ""
    if '"' in text or "“" in text:
        text = _SPOKEN.sub(" ", text)
    pair = _PAIR.search(text) if joined else None
    if pair and not _OF_THE_PAIR.search(text, pair.end()):
        return f'"{pair[0][:60]}"'
    if not several_asks:
        return ""
    first: re.Match[str] | None = None
    for second in islice(_ASK.finditer(text), _MOST):
        if first is not None and _another(text, first, second):
            return f'"{" ".join(second[0].split())[-40:].strip(" .,;:?!)$")}" asks for more'
        first = second
    return ""


def _another(text: str, first: re.Match[str], second: re.Match[str]) -> bool:
    """Whether the second of two questions in a row asks for a value of its own."""
    between = text[first.end() : second.start() + 1]
    after = text[second.end() : second.end() + 120]
    if len(between) > _FAR or _FORM.search(text, first.end(), second.end() + 120):
        return False
    one, other = first["ask"] or first["inner"], second["ask"] or second["inner"]
    link = (second["link"] or second["and"] or "").split()
    asks_for_one = _HOW_START.match(one) is not None or _ONE_QUANTITY.match(text, first.end()) is not None
    made = _MADE.match(after) is not None
    if _MORE.intersection(link) or after.startswith(" also "):
        return asks_for_one or not made
    if _END.search(between):
        if not _IMPERATIVE.match(other):
            end = _END.search(text, second.end(), second.end() + _FAR)
            return "?" in between and end is not None and end[0] == "?" and not _RHETORICAL.match(text, first.end())
        return asks_for_one and bool(link)
    if not link and _HOW_START.match(one) and _HOW_START.match(other) and "," in second[0]:
        return not _COUNTED_TOGETHER.search(between)
    if not {"and", "then", "then,"} & set(link) or (made and not asks_for_one):
        return False
    if _IMPERATIVE.match(other):
        return asks_for_one
    return not _RELATIVE.search(between) and not _COUNTED_TOGETHER.search(between)


# --- Chinese without marks ---

_ASK_ZH = re.compile(
    r"(?<![要需请追征探寻力谋先])求(?![证职助救学婚])|计算|写出|确定|多少|(?<![上下这那后无好第])(?<!(?<!提)前)几(?![何乎])|何值"
)
_MORE_ZH = re.compile(
    r"(?:并且?|另外?|[再又]|同时|还要?|此外|以及)[，,]?(?:请|试)?(?:再|又|分别)?(?:[求算写]出|指出|求(?![证和])|计算|确定|给出)"
    r"(?![^。]{0,8}(?:证|理由|依据|过程|步骤))"
)
_MANY_ZH = re.compile(r"所有|全部|各|[两二三]?个?[根解](?!号)|整数$|质数|[a-z]\$?[、,，]\s?\$?[a-z]")
_MADE_ZH = re.compile(
    r"(?:它们|其|这些|这[两二三]|[两三诸][根数者]|二者|所有|各)[^，。]{0,12}(?:[和差积商]|的个数|总数|比值)|[a-zα-ω\d]\s?[-+*/=·]|结果|答案"
)
_FORM_ZH = re.compile(r"表示[成为]|最简|既约|互[质素]|的形式|即|换[句言]|也就是|下列")
_EACH_ZH = re.compile(r"(?<!每)(?:分别|(?<!平均)各(?!自|分))(?:[是有为重长得做]|等于)?(?:多少|几)")
_EACH_SAME_ZH = re.compile(r"每[人个只组份班名位]|平均|均分|相等|同样")
_QUANTITY_ZH = (
    r"(?:最[大小][值数]|极[大小]值|周长|面积|体积|周期|平均数|中位数|众数|方差|半径|直径|[长宽高]度?|个数|公[约倍]数|公[差比]|"
    r"首项|夹角|概率|坐标|[和差积商]|值)"
)
_PAIR_ZH = re.compile(
    rf"求(?!证)(?:\$[^$]{{1,60}}\$|[^，,。；;？?$]){{0,30}}?{_QUANTITY_ZH}\s?(?:和|与|及|以及)(?:[^，,。；;？?围组构所]{{0,14}}?的)?"
    rf"[最小正大]{{0,3}}{_QUANTITY_ZH}(?<![之的][和差积商])(?=\s?(?:[。.，,；;？?]|$|分别|各))"
    rf"|求(?!证)[^，,。；;？?]{{1,30}}?以及[^，,。；;？?围组构所间]{{1,16}}{_QUANTITY_ZH}(?<![之的][和差积商])(?=[。.，,；;？?]|$)"
    r"|求(?!证)[^，,。；;？?]{1,30}?以?及(?:另|其[他它余])"
)
_END_ZH = re.compile(r"[?？。；;\n！!]|\.(?!\d)")


def _joined_chinese(text: str) -> str:
    if "“" in text:
        text = _SPOKEN.sub(" ", text)
    each = _EACH_ZH.search(text)
    if each and not _EACH_SAME_ZH.search(text):
        return f'"{each[0]}"'
    asks = [found.span() for found in _ASK_ZH.finditer(text)]
    for start, _ in asks[:_MOST]:
        pair = _PAIR_ZH.match(text, start)
        if pair:
            return f'"{pair[0][-60:]}"'
    if len(asks) < 2:
        return ""
    start, end = asks[0]
    for more in islice(_MORE_ZH.finditer(text, end), _MOST):
        before, after = text[end : min(more.start(), end + _FAR)], text[more.end() : more.end() + 40]
        made = _MANY_ZH.search(before[:30]) and _MADE_ZH.search(after)
        if text[start] in "求计多几何" and not made and not _FORM_ZH.search(before):
            return f'"{more[0]}"'
    return _two_sentences(text, asks)


def _two_sentences(text: str, asks: list[tuple[int, int]]) -> str:
    """Two sentences in a row that both end in a question mark, or both begin with 求."""
    found: list[tuple[int, bool]] = []
    begin, at = 0, 0
    for end in [*(mark.end() for mark in _END_ZH.finditer(text)), len(text)]:
        while at < len(asks) and asks[at][0] < begin:
            at += 1
        if at < len(asks) and asks[at][0] < end:
            question = text[end - 1] in "?？"
            if question or (text[asks[at][0]] == "求" and not text[begin : asks[at][0]].strip(" 试请，,")):
                if found and found[-1][1] == question and not _FORM_ZH.search(text, found[-1][0], begin + 30):
                    return "two questions"
                found.append((begin, question))
        begin = end
    return ""
