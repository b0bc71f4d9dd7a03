"""The same answer written in one way: what carries no meaning is removed, and signs get their LaTeX names.

Only spelling is decided here (spaces, sizes of brackets, fonts, dollar signs, full-width characters, thousands
separators). What an answer means is decided in `answers`.
"""

from __future__ import annotations

import re
import unicodedata

DOLLAR = "¤"  # an amount in dollars, once the signs of mathematics mode are gone
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ⁿ", "0123456789-+n")
_SUPERSCRIPT = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ⁿ]+")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_SUBSCRIPT = re.compile("[₀₁₂₃₄₅₆₇₈₉]+")
_VULGAR = {
    "½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅖": "2/5", "⅗": "3/5", "⅘": "4/5",
    "⅙": "1/6", "⅚": "5/6", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8", "⅞": "7/8",
}  # fmt: skip
_SIGNS = {
    "π": r"\pi ", "∞": r"\infty ", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "∙": r"\cdot ", "÷": "/",
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "≤": r"\le ", "≥": r"\ge ", "⩽": r"\le ", "⩾": r"\ge ",
    "≠": r"\ne ", "∪": r"\cup ", "∩": r"\cap ", "°": r"^\circ ", "∅": r"\emptyset ", "±": r"\pm ", "∓": r"\mp ",
    "∈": r"\in ", "ℝ": r"\mathbb{R}", "≈": r"\approx ", "∠": r"\angle ", "θ": r"\theta ", "α": r"\alpha ",
    "β": r"\beta ", "γ": r"\gamma ", "λ": r"\lambda ", "φ": r"\phi ", "ω": r"\omega ", "⌊": r"\lfloor ",
    "⌋": r"\rfloor ", "⌈": r"\lceil ", "⌉": r"\rceil ", "⟨": r"\langle ", "⟩": r"\rangle ", "′": "'", "’": "'",
    "⁄": "/", "¢": " cents", "“": '"', "”": '"', "。": ".", "、": ",", "￥": "¥", "∶": ":",
}  # fmt: skip
_SIGN = re.compile("|".join(map(re.escape, _SIGNS)))
_ROOT = re.compile(r"([√∛∜])\s*(\(|\{|\d+|[a-z])?")
_NAMES = {
    r"\dfrac": r"\frac", r"\nicefrac": r"\frac", r"\sfrac": r"\frac",
    r"\tfrac": r"\frac", r"\cfrac": r"\frac", r"\dbinom": r"\binom", r"\tbinom": r"\binom",
    r"\leq": r"\le", r"\geq": r"\ge", r"\leqslant": r"\le", r"\geqslant": r"\ge", r"\neq": r"\ne", r"\lt": "<",
    r"\gt": ">", r"\varnothing": r"\emptyset", r"\infin": r"\infty", r"\lbrace": r"\{", r"\rbrace": r"\}",
    r"\lvert": "|", r"\rvert": "|", r"\vert": "|", r"\mid": "|", r"\bigcup": r"\cup", r"\backslash": r"\setminus",
    r"\lbrack": "[", r"\rbrack": "]", r"\lparen": "(",
    r"\rparen": ")", r"\langle": "(", r"\rangle": ")", r"\ast": "*", r"\degree": r"^\circ", r"\percent": "%",
    r"\colon": ":", r"\land": r"\wedge", r"\lor": r"\vee", r"\div": "/", r"\simeq": r"\approx", r"\cong": r"\approx",
    r"\approxeq": r"\approx", r"\prime": "'", r"\dots": r"\ldots", r"\cdots": r"\ldots",
}  # fmt: skip
_COMMAND = re.compile(r"\\[A-Za-z]+")
_NOTHING = {
    r"\left", r"\right", r"\big", r"\Big", r"\bigg", r"\Bigg", r"\bigl", r"\bigr", r"\Bigl", r"\Bigr", r"\biggl",
    r"\biggr", r"\displaystyle", r"\textstyle", r"\scriptstyle", r"\limits", r"\nolimits", r"\rm", r"\bf", r"\it",
    r"\quad", r"\qquad", r"\thinspace", r"\enspace", r"\hfill", r"\noindent", r"\large", r"\Large", r"\huge",
}  # fmt: skip
_SPACING = re.compile(r"(?<!\\)\\[,;:> ]|~|\\(?:hspace|vspace|phantom)\*?\{[^{}]*\}")
_FONT = re.compile(
    r"\\(?:text|textbf|textit|textrm|textsf|texttt|textnormal|mathrm|mathbf|mathit|mathsf|mathtt|mathnormal|boldsymbol|"
    r"bold|bm|operatorname|mbox|hbox|emph|underline|pmb|rm|bf|it)\s*\{((?:[^{}]|\{[^{}]*\})*)\}"
)
_FONT_COMMAND = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mathsf|boldsymbol|bold|bm|mbox|emph|underline|pmb)\s*(?=\{)"
)
_PLAIN_ENVIRONMENT = re.compile(
    r"\\(?:begin|end)\s*\{(?:aligned|align|align\*|gathered|gather|split|equation|equation\*|array|cases|center)\}"
    r"(?:\{[clr|]*\})?"
)
_BRACED_COMMA = re.compile(r"(?<=\d)(?:\{,\}|\\text\{,\})(?=\d{3}(?!\d))")
_BRACED_COLON = re.compile(r"\{:\}")
_ROW_SPACE = re.compile(r"\\\\\[\s*-?[\d.]+\s*(?:pt|ex|em|mm|cm|in)\s*\]")
_MATHS_MODE = re.compile(r"(?<!\\)\\[()\[\]]")
_DEGREES = re.compile(r"(?:\{\})?\s*\^\s*(?:\{\s*\\circ\s*\}|\\circ(?![A-Za-z])|\{\s*o\s*\}\s*$|o\s*$)")
_NOT_EQUAL = re.compile(r"\\not\s*=")
_COLOUR = re.compile(r"\\(?:text)?color\s*\{[^{}]*\}")
_OVER = re.compile(r"\{([^{}]*)\\(over|choose)(?![A-Za-z])([^{}]*)\}")
_ARRAY = re.compile(r"[(\[]\s*\\begin\s*\{array\}\s*\{[clr| ]*\}(.*?)\\end\s*\{array\}\s*[)\]]", re.DOTALL)
_ROW = re.compile(r"\s*\\\\\s*(=)?")
_JOINED = re.compile(r"\\!\s*")
_SPACE = re.compile(r"\s+")
_PERCENT = re.compile(r"\\%")


def clean(answer: str) -> str:
    """An extracted answer in plain spelling, one space between words."""
    text = answer.strip()
    if any(ord(c) > 126 for c in text):
        text = _SUPERSCRIPT.sub(lambda m: "^{" + m[0].translate(_SUPERSCRIPTS) + "}", text)
        text = _SUBSCRIPT.sub(lambda m: "_{" + m[0].translate(_SUBSCRIPTS) + "}", text)
        for sign, fraction in _VULGAR.items():
            if sign in text:
                text = text.replace(sign, " " + fraction + " ")
        text = _ROOT.sub(_root, text)
        text = _SIGN.sub(lambda m: _SIGNS[m[0]], text)
        text = unicodedata.normalize("NFKC", text)
        text = "".join(c for c in text if unicodedata.category(c) not in ("Cf", "Cc") or c in "\n\t")
    text = text.replace(r"\$", DOLLAR)
    text = _BRACED_COMMA.sub("", text)
    text = _ROW_SPACE.sub(r"\\\\", text)
    text = _MATHS_MODE.sub(" ", text)
    text = text.replace("~", " ").replace("...", r"\ldots ")
    if text.count("$") == 1 and re.match(r"\$\s*[\d.]", text):
        text = text.replace("$", DOLLAR)
    text = text.replace("$", " ")
    if "\\" in text:
        text = _latex(text)
    text = _BRACED_COLON.sub(":", text)
    text = _DEGREES.sub(r"^\\circ", text)
    text = _PERCENT.sub("%", text)
    text = _SPACE.sub(" ", text).strip()
    for mark in ("**", "__", "`", '"', "'"):
        if text.startswith(mark) and text.endswith(mark) and len(text) > 2 * len(mark):
            text = text[len(mark) : -len(mark)].strip()
    while text.endswith((".", ",", ";", ":", " ", "\\\\")):
        text = text.rstrip(".,;: ") if text[-1] != "\\" else text[:-2]
    return text


def _root(match: re.Match[str]) -> str:
    command = {"√": r"\sqrt", "∛": r"\sqrt[3]", "∜": r"\sqrt[4]"}[match[1]]
    inside = match[2] or ""
    return command + (inside if inside in ("", "(", "{") else "{" + inside + "}")


def _latex(text: str) -> str:
    text = _JOINED.sub("", text)
    text = text.replace(r"\/", "")
    text = _COLOUR.sub("", text)
    text = _NOT_EQUAL.sub(r"\\ne ", text)
    for _ in range(4):
        unwrapped = _FONT.sub(r" \1 ", text)
        if unwrapped == text:
            break
        text = unwrapped
    text = _SPACING.sub(" ", text)
    text = _COMMAND.sub(_command, text)
    text = _ARRAY.sub(r"\\begin{pmatrix}\1\\end{pmatrix}", text)
    text = _PLAIN_ENVIRONMENT.sub(" ", text)
    text = _OVER.sub(lambda m: (r"\frac" if m[2] == "over" else r"\binom") + f"{{{m[1]}}}{{{m[3]}}}", text)
    if "\\begin" not in text:
        # Lines of a display are members of one chain where they go on with "=", and separate otherwise.
        text = _ROW.sub(lambda m: " = " if m[1] else ", ", text.replace("&", " "))
    return _FONT_COMMAND.sub("", text)


def _command(match: re.Match[str]) -> str:
    name = match[0]
    return " " if name in _NOTHING else _NAMES.get(name, name)


def split_top(text: str, separators: str) -> list[str]:
    """`text` cut at each of the one-character `separators` that stands outside every bracket and bar."""
    parts, depth, start, at = [], 0, 0, 0
    while at < len(text):
        c = text[at]
        if c == "\\":
            following = text[at + 1 : at + 2]
            if following == "{":
                depth += 1
            elif following == "}":
                depth -= 1
            at += 2
            continue
        if c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
        elif c in separators and depth <= 0:
            parts.append(text[start:at])
            start = at + 1
        at += 1
    parts.append(text[start:])
    return parts


_PAIRS = (("\\{", "\\}"), ("(", ")"), ("[", "]"), ("(", "]"), ("[", ")"))


def bracketed(text: str) -> tuple[str, str, str] | None:
    """(opening, inside, closing) when one pair of brackets encloses all of `text`; ( and [ may be mixed."""
    for opening, closing in _PAIRS:
        if text.startswith(opening) and text.endswith(closing) and len(text) >= len(opening) + len(closing):
            inside = text[len(opening) : -len(closing)]
            if closing == "\\}" and inside.endswith("\\"):
                continue
            if balanced(inside):
                return opening, inside.strip(), closing
    return None


def balanced(text: str) -> bool:
    """Whether every bracket of `text` closes inside it."""
    depth, at = 0, 0
    while at < len(text):
        c = text[at]
        if c == "\\" and text[at + 1 : at + 2] in ("{", "}"):
            depth += 1 if text[at + 1] == "{" else -1
            at += 1
        elif c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
        if depth < 0:
            return False
        at += 1
    return depth == 0
