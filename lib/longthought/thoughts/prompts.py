"""What engines are asked: the prompts of all methods that are plain text with places for a problem or a solution.

A `Prompt` has an English and a Chinese wording, since a thought is wanted in the language of its problem. Texts of
others are put into the places in one pass, so that a problem that itself holds "{solution}" or any other brace is only
text. The style "miniature" gives a word-level student the bare words that it was trained on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from longthought.errors import UserError
from longthought.problems import Problem

_PLACE = re.compile(r"\{(problem|solution)\}")
_HAN = re.compile(r"[\u3400-\u9fff]")
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")


@dataclass(frozen=True)
class Prompt:
    """A prompt in both languages, with the places `{problem}` and, where one is needed, `{solution}`."""

    en: str
    zh: str

    def of(self, problem: Problem, solution: str = "") -> str:
        """The prompt about one problem, in its language."""
        given = {"problem": problem.text, "solution": solution}
        return _PLACE.sub(lambda place: given[place[1]], self.zh if problem.language == "zh" else self.en)


# Elicits reflection: the signs of o1's thoughts that the report lists (section 2), each asked for in plain words.
DISTIL = {
    "reflect": Prompt(
        "{problem}\n\n"
        "Think about this problem aloud, as a person does who has not seen it before. Take small steps. Whenever a "
        'step looks doubtful, stop, write "Wait", say what is wrong with it, and go back to the last step that you '
        "trust. Before you finish, check the result in a second way. End with the final answer in \\boxed{}.",
        "{problem}\n\n"
        "请像第一次见到这道题的人那样把思考过程说出来。每次只走一小步。一旦觉得哪一步可疑，就停下来，写“等等”，说明哪里不对，"
        "再回到最后一个可靠的步骤。结束之前，用另一种方法检验结果。最后把答案写在 \\boxed{} 中。",
    ),
    "check": Prompt(
        "{problem}\n\n"
        "Solve this step by step. After every step write one line that checks it: put the numbers back in, estimate "
        "the size, or try a small case. If a check fails, say so and correct the step before you go on. End with the "
        "final answer in \\boxed{}.",
        "{problem}\n\n"
        "请一步一步地解这道题。每一步之后写一行来检验它：代回数值、估计大小，或者试一个小的例子。如果检验不通过，就说出来，"
        "改正这一步再继续。最后把答案写在 \\boxed{} 中。",
    ),
    "ways": Prompt(
        "{problem}\n\n"
        "Name two different ways in which this could be solved, and say which looks better and why. Follow that way. "
        "If it leads nowhere, admit it, say what you learnt, and change to the other way. Compare what both give where "
        "you can. End with the final answer in \\boxed{}.",
        "{problem}\n\n"
        "请先说出两种不同的解法，比较哪一种更好、为什么，然后按它来做。如果走不通，就承认走不通，说说从中学到了什么，再换另一种解法。"
        "可能的话，比较两种解法的结果。最后把答案写在 \\boxed{} 中。",
    ),
    # For teachers that reflect unasked, and for those too small to follow more than one wish.
    "plain": Prompt(
        "{problem}\n\nReason step by step, and put your final answer within \\boxed{}.",
        "{problem}\n\n请一步一步地推理，并把最后的答案写在 \\boxed{} 中。",
    ),
    "miniature": Prompt("{problem}", "{problem}"),
}
REFLECTIVE = ("reflect", "check", "ways")

# After Fan et al. (2024), whose reformatted solutions the report uses in phase 1 (section 2).
REFORMAT = {
    "finer": Prompt(
        "Here are a problem and a solution to it.\n\nProblem:\n{problem}\n\nSolution:\n{solution}\n\n"
        "Rewrite the solution so that a student can follow it without filling any gap: finer steps, a reason for every "
        "step, every calculation written out, longer than the original. Keep its method, its formulas and its answer "
        "exactly as they are. Use \\boxed{} once only, in the last line, around the final answer. Write only the new "
        "solution.",
        "下面是一道题和它的解答。\n\n题目：\n{problem}\n\n解答：\n{solution}\n\n"
        "请改写这个解答，让学生不用自己补任何步骤就能看懂：步骤更细，每一步说明理由，每个计算都写出来，比原来的更长。"
        "方法、公式和答案必须与原解答完全一致。整篇只用一次 \\boxed{}，放在最后一行，里面是最终答案。只写新的解答。",
    ),
    # For teachers too small to follow many wishes.
    "short": Prompt(
        "Problem: {problem}\n\nSolution: {solution}\n\nRewrite this solution in more detail, step by step. Put the "
        "final answer in \\boxed{} at the very end.",
        "题目：{problem}\n\n解答：{solution}\n\n请一步一步地、更详细地改写这个解答，并在最后把答案写在 \\boxed{} 中。",
    ),
    "miniature": Prompt("{problem} {solution}", "{problem} {solution}"),
}


def chosen(names: tuple[str, ...], known: dict[str, Prompt]) -> dict[str, Prompt]:
    """The prompts of these names. Raises UserError for no name or an unknown one."""
    for name in names:
        if name not in known:
            raise UserError(f"unknown prompt {name!r}: choose from {', '.join(known)}")
    if not names or len(set(names)) < len(names):
        raise UserError(f"prompts are {', '.join(names) or 'none'}: name each once, from {', '.join(known)}")
    return {name: known[name] for name in names}


def language_of(text: str) -> str:
    """ "zh" or "en", by which of Chinese characters and English words there are more; "" where there is neither.

    LaTeX commands and single letters are no words.
    """
    chinese, english = len(_HAN.findall(text)), len(_WORD.findall(text))
    return "" if not chinese and not english else "zh" if chinese >= english else "en"
