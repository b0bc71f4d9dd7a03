"""Taking the answer out of a completion: the last complete box that the model shows, and nothing else.

A box inside a thinking block, finished or not, is a thought and not an answer; an empty box is skipped; a box that
the token limit cut off is not complete. The last number of a text is never taken for its answer. Whoever wants to know
how often a model answered without a box can allow the marker fallback, which is counted on its own.

Every function here is one pass over the text, so hostile input costs no more than its length.
"""

from __future__ import annotations

import re

_THOUGHT = re.compile(
    r"(<(?:think|thinking|thought|reasoning|scratchpad)>|<\|begin_of_thought\|>|◁think▷)|"
    r"(</(?:think|thinking|thought|reasoning|scratchpad)>|<\|end_of_thought\|>|◁/think▷)",
    re.IGNORECASE,
)
# A second backslash is what remains of a log that was escaped twice.
_BOX = r"\\{1,2}(?:boxed|fbox|framebox)(?![A-Za-z])"
_MARK = re.compile(_BOX + r"\s*(?P<open>\{)|" + _BOX + r"\s*(?P<bare>-?\d+(?:\.\d+)?)|\\\\|\\[{}]|[{}]")
_VISIBLE = re.compile(r"\S")
_NESTED = re.compile(_BOX + r"\s*\{")
_NESTED_BOXES = 3
_MARKER = re.compile(
    r"(?:the\s+)?(?:final\s+|correct\s+)?answer\s*(?:is|:|=)+\s*|####\s*|<answer>|故选\s*[:：]?\s*|(?:最终|最后)?答案\s*(?:是|为|选|：|:|=)+\s*",
    re.IGNORECASE,
)
_LONGEST_MARKED = 200
_SENTENCE = re.compile(r"\n|</answer>|。|；|;\s|\.(?=\s|$|\*)|，(?=\D)|,\s+(?=[a-z]{2})")


def visible(completion: str) -> str:
    """What follows the last closed thinking block, up to a block that was opened and never closed."""
    text = completion
    closed = None
    for mark in _THOUGHT.finditer(text):
        if mark[2]:
            closed = mark.end()
    if closed is not None:
        text = text[closed:]
    opened = _THOUGHT.search(text)
    return text[: opened.start()] if opened else text


def extract_boxed(completion: str) -> str | None:
    """The content of the last complete, non-empty \\boxed{} or \\fbox{}, braces balanced; None without one."""
    text = visible(completion)
    last = None
    opened: list[int] = []  # for each open brace, where its box's content begins, or -1 for a plain brace
    for mark in _MARK.finditer(text):
        token = mark.group()
        if mark["bare"] is not None:
            last = mark.span("bare")
        elif mark["open"]:
            opened.append(mark.end())
        elif token == "{":
            opened.append(-1)
        elif token == "}":
            start = opened.pop() if opened else -1
            if start >= 0 and _VISIBLE.search(text, start, mark.start()):
                last = (start, mark.start())
    if last is None:
        return None
    content = text[slice(*last)].strip()
    for _ in range(_NESTED_BOXES):
        inner = _NESTED.match(content)
        if not inner or not content.endswith("}"):
            break
        content = content[inner.end() : -1].strip()
    return content


def extract_marked(completion: str) -> str | None:
    """What follows the last "the answer is", "答案是" or "####" (GSM8K), to the end of its sentence; None without."""
    text = visible(completion)
    start = None
    for mark in _MARKER.finditer(text):
        start = mark.end()
    if start is None:
        return None
    tail = text[start : start + _LONGEST_MARKED]
    end = _SENTENCE.search(tail)
    answer = (tail[: end.start()] if end else tail).strip().strip("*").strip()
    return answer or None
