"""Was it right: the answer is taken out of a completion, read, and compared with the gold exactly.

`grade` is a pure function of a gold and a completion. It evaluates nothing, starts no process and sets no alarm, so it
may be called from any thread; every limit is a size and not a time. Four verdicts:

- `correct` and `wrong`: decided;
- `no_answer`: the completion shows no complete box;
- `undecided`: there is an answer, but whether it equals the gold could not be decided. Counted on its own, never folded
  into wrong.

`extraction` says what the answer is, `answers` holds the policy, `expressions` the arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass

from longthought.errors import UserError
from longthought.grading import answers
from longthought.grading.answers import read
from longthought.grading.extraction import extract_boxed, extract_marked

# Stands beside every stored verdict; raised whenever a verdict can change.
GRADER_VERSION = "2"
VERDICTS = ("correct", "wrong", "no_answer", "undecided")


@dataclass(frozen=True)
class Grade:
    """A verdict (one of `VERDICTS`), the answer that was extracted ("" without one), and why, in a few words."""

    verdict: str
    extracted: str
    reason: str = ""

    @property
    def correct(self) -> bool:
        """Whether the verdict is "correct"; no answer and undecided are not."""
        return self.verdict == "correct"


def equivalent(gold: str, answer: str) -> bool | None:
    """Whether two answers, without boxes, say the same; None where that cannot be decided."""
    return _decide(gold, answer)[0]


def _decide(gold: str, answer: str) -> tuple[bool | None, str]:
    first, second = read(gold), read(answer)
    if (first == second and first.kind != "text") or gold.strip() == answer.strip():
        return True, "the same " + first.kind
    same = answers.compare(first, second)
    if same is None:
        what = "the gold" if first.kind == "unread" else "the answer" if second.kind == "unread" else ""
        return None, f"{what} is not understood" if what else f"{second.kind} against {first.kind} is not decided"
    if same:
        return True, "the same " + first.kind if first.kind == second.kind else f"{second.kind} equals {first.kind}"
    return False, "another " + first.kind if first.kind == second.kind else f"{second.kind} is not {first.kind}"


def grade(gold: str, completion: str, *, fallback: bool = False) -> Grade:
    """The verdict on one completion.

    `fallback` also takes what follows "the answer is" (or its Chinese equivalent) where there is no box; the reason
    then begins with "marker", so that such answers can be counted. Raises UserError for an empty gold.
    """
    if not gold.strip():
        raise UserError("a problem has an empty gold answer: give it one, or leave the problem out")
    extracted, via = extract_boxed(completion), ""
    if extracted is None and fallback:
        extracted, via = extract_marked(completion), "marker: "
    if extracted is None:
        return Grade("no_answer", "", "no complete box")
    same, reason = _decide(gold, extracted)
    verdict = {True: "correct", False: "wrong", None: "undecided"}[same]
    return Grade(verdict, extracted, via + reason)


def vote_key(extracted: str) -> str:
    """A text that equal answers share, so that they vote together. Sameness of keys is a true equivalence."""
    return answers.key(read(extracted))
