"""Closed forms: reading LaTeX arithmetic into a small tree, and deciding exactly whether two trees have one value.

Rational trees are computed with fractions. For surds the difference of two trees is computed to so many digits that a
value other than zero would show: the number of digits comes from the separation bound of Burnikel, Funke, Mehlhorn,
Schirra and Schmitt (2001) for expressions with +, -, *, / and roots, so that "equal" is proven and not a tolerance.
Where pi, logarithms or angles take part no such bound is known and two values that agree to at least 60 digits beyond
the size of their own numbers count as equal. Letters stand for themselves: two formulas are equal when they agree at
fixed, unlikely points (Schwartz 1980, Zippel 1979).

Nothing is evaluated as code. Depth, length, exponents and precision are bounded, so every call returns.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from hashlib import sha256
from math import comb, factorial, isqrt, log2
from typing import Any

import mpmath

LONGEST = 1000  # characters that are read as mathematics
DEEPEST = 40
MOST_BITS = 120_000  # of an exact number
MOST_PRECISION = 60_000  # bits of a numerical value
MOST_TRANSCENDENTAL = 6_000  # bits, where functions are costly
POINTS = 3


class Unreadable(Exception):
    """The text is not an expression that this module reads."""


class Undefined(Exception):
    """The expression has no value, such as a division by zero."""


class TooLarge(Exception):
    """The value or the precision that it asks for is beyond the bounds."""


# A node is a tuple: ("num", Fraction), ("sym", name), ("const", name), ("sum", a, b, ...), ("prod", a, b, ...),
# ("inv", a), ("pow", a, b), ("root", k, a) or ("call", function, a, ...).
Node = tuple[Any, ...]

CONSTANTS = {"e", "i"}
FUNCTIONS = {
    "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "ln", "log", "lg",
    "exp",
}  # fmt: skip
GREEK = {
    "\\alpha", "\\beta", "\\gamma", "\\delta", "\\epsilon", "\\varepsilon", "\\zeta", "\\eta", "\\theta", "\\vartheta",
    "\\iota", "\\kappa", "\\lambda", "\\mu", "\\nu", "\\xi", "\\rho", "\\sigma", "\\tau", "\\upsilon", "\\phi",
    "\\varphi", "\\chi", "\\psi", "\\omega", "\\Gamma", "\\Delta", "\\Theta", "\\Lambda", "\\Sigma", "\\Phi", "\\Psi",
    "\\Omega", "\\ell",
}  # fmt: skip
_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<number>\d+\.\d+|\.\d+|\d+)
    |(?P<command>\\[A-Za-z]+|\\[{}|])
    |(?P<word>sqrt|pi|arcsin|arccos|arctan|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|ln|log|lg|exp)(?![A-Za-z])
    |(?P<letter>[A-Za-z])
    |(?P<power>\*\*|\^)
    |(?P<other>[-+*/(){}\[\]|!_'%])""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    spaced: bool  # whether a space stands before it


def _tokens(text: str) -> list[_Token]:
    found, at, spaced = [], 0, False
    while at < len(text):
        match = _TOKEN.match(text, at)
        if not match:
            raise Unreadable(f"{text[at]!r} is not read")
        at = match.end()
        kind = match.lastgroup or ""
        if kind == "space":
            spaced = True
            continue
        token = match.group()
        if kind == "power":
            token = "^"
        if kind == "word":
            kind, token = "command", "\\" + token
        found.append(_Token(kind, token, spaced))
        spaced = False
    return found


def number(value: int | Fraction) -> Node:
    """A constant node."""
    return ("num", Fraction(value))


class _Parser:
    """Recursive descent; `bars` counts open absolute values, so that | can close one."""

    def __init__(self, tokens: list[_Token]) -> None:
        self.tokens, self.at, self.depth, self.bars = tokens, 0, 0, 0

    def peek(self, ahead: int = 0) -> str:
        place = self.at + ahead
        return self.tokens[place].text if place < len(self.tokens) else ""

    def kind(self, ahead: int = 0) -> str:
        place = self.at + ahead
        return self.tokens[place].kind if place < len(self.tokens) else ""

    def take(self, wanted: str | None = None) -> str:
        token = self.peek()
        if not token or (wanted is not None and token != wanted):
            raise Unreadable(f"{wanted or 'more'} was expected")
        self.at += 1
        return token

    def sum(self) -> Node:
        terms = [self.signed()]
        while self.peek() in ("+", "-"):
            sign = self.take()
            term = self.product()
            terms.append(term if sign == "+" else _negative(term))
        return terms[0] if len(terms) == 1 else ("sum", *terms)

    def signed(self) -> Node:
        sign = 1
        while self.peek() in ("+", "-"):
            sign *= -1 if self.take() == "-" else 1
        node = self.product()
        return node if sign > 0 else _negative(node)

    def product(self) -> Node:
        factors = [self.power()]
        while True:
            token = self.peek()
            if token in ("*", "\\cdot", "\\times", "\\ast"):
                self.take()
                factors.append(self.factor())
            elif token in ("/", "\\div"):
                self.take()
                factors.append(("inv", self.factor()))
            elif self.kind() == "number" and self.plain_mixed():
                factors = self.plain_mixed_number(factors)
            elif self.starts_factor():
                first = self.at
                following = self.power()
                mixed = len(factors) == 1 and self.mixed(factors[0], following, first)
                if mixed:
                    factors = [("sum", factors[0], following)]
                else:
                    factors.append(following)
            else:
                break
        return factors[0] if len(factors) == 1 else ("prod", *factors)

    def factor(self) -> Node:
        """A factor after an explicit sign of multiplication, which may itself carry a sign."""
        if self.peek() in ("+", "-"):
            sign = self.take()
            node = self.factor()
            return node if sign == "+" else _negative(node)
        return self.power()

    def mixed(self, whole: Node, part: Node, first: int) -> bool:
        """Whether an integer directly before a proper fraction means a mixed number."""
        if self.tokens[first - 1].kind != "number" or whole[0] != "num" or whole[1].denominator != 1:
            return False
        if self.tokens[first].text == "\\frac":
            if part[0] != "prod" or part[1][0] != "num" or part[2][1][0] != "num":
                return False
            top, bottom = part[1][1], part[2][1][1]
            return bool(0 < top < bottom and top.denominator == bottom.denominator == 1)
        return False

    def starts_factor(self) -> bool:
        token, kind = self.peek(), self.kind()
        if kind == "number":
            return self.tokens[self.at - 1].text in (")", "}")  # numbers side by side are no product
        if kind == "letter" or token in ("(", "{", "["):
            return True
        if token == "|":
            return self.bars == 0
        return kind == "command" and token not in (
            "\\}", "\\cdot", "\\times", "\\div", "\\ast", "\\rfloor", "\\rceil", "\\circ", "\\%",
        )  # fmt: skip

    def plain_mixed(self) -> bool:
        a, b, c, d = (self.at - 1, self.at, self.at + 1, self.at + 2)
        if d >= len(self.tokens) or self.tokens[a].kind != "number" or self.tokens[c].text != "/":
            return False
        return self.tokens[b].spaced and self.tokens[d].kind == "number" and self.tokens[d].text.isdigit()

    def plain_mixed_number(self, factors: list[Node]) -> list[Node]:
        """3 1/2, written without LaTeX."""
        top = int(self.take())
        self.take("/")
        bottom = int(self.take())
        whole = factors[-1]
        if len(factors) > 1 or whole[0] != "num" or whole[1].denominator != 1 or not 0 < top < bottom:
            raise Unreadable("a number beside a number")
        return [("num", whole[1] + Fraction(top, bottom))]

    def power(self) -> Node:
        base = self.postfix()
        if self.peek() == "^":
            self.take()
            if self.peek() in ("\\circ",):
                self.take()
                return ("call", "degree", base)
            if self.peek() == "{" and self.peek(1) == "\\circ" and self.peek(2) == "}":
                self.at += 3
                return ("call", "degree", base)
            if self.peek() == "'" or self.peek() == "\\prime":
                raise Unreadable("a prime")
            self.depth += 1
            if self.depth > DEEPEST:
                raise Unreadable("nested too deeply")
            sign = 1
            while self.peek() in ("+", "-"):
                sign *= -1 if self.take() == "-" else 1
            # In TeX an exponent without braces is one token: 2^10 shows as 2 to the 1, then 0; writers mean 10.
            exponent = self.power()
            self.depth -= 1
            base = ("pow", base, exponent if sign > 0 else _negative(exponent))
            while self.peek() == "!":
                raise Unreadable("a factorial of a power")
        return base

    def postfix(self) -> Node:
        node = self.atom()
        if self.peek() == "!":
            self.take()
            if self.peek() == "!":
                raise Unreadable("a repeated factorial")
            node = ("call", "factorial", node)
        return node

    def atom(self) -> Node:
        self.depth += 1
        if self.depth > DEEPEST:
            raise Unreadable("nested too deeply")
        node = self._atom()
        self.depth -= 1
        return node

    def _atom(self) -> Node:
        token, kind = self.peek(), self.kind()
        if kind == "number":
            self.take()
            return self.decimal(token)
        if token in ("(", "[", "{"):
            self.take()
            if token == "{" and self.peek() == "}":
                raise Unreadable("nothing between braces")
            bars, self.bars = self.bars, 0
            node = self.sum()
            self.bars = bars
            self.take({"(": ")", "[": "]", "{": "}"}[token])
            if token == "(" and self.plain_mixed():
                raise Unreadable("a number beside a number")
            return node
        if token == "|":
            self.take()
            self.bars += 1
            node = self.sum()
            self.take("|")
            self.bars -= 1
            return ("call", "abs", node)
        if kind == "letter":
            self.take()
            return self.named(token)
        if kind == "command":
            self.take()
            return self.command(token)
        raise Unreadable(f"{token!r} was not expected" if token else "the expression ends too early")

    def decimal(self, token: str) -> Node:
        return ("num", Fraction(token))

    def named(self, name: str) -> Node:
        if self.peek() == "_":
            self.take()
            name += "_" + self.subscript()
            return ("sym", name)
        if self.peek() == "'":
            raise Unreadable("a prime")
        if name in CONSTANTS:
            return ("const", name)
        return ("sym", name)

    def subscript(self) -> str:
        if self.peek() == "{":
            self.take()
            parts = []
            while self.peek() != "}":
                if self.kind() not in ("number", "letter"):
                    raise Unreadable("a subscript")
                parts.append(self.take())
            self.take("}")
            return "".join(parts)
        if self.kind() not in ("number", "letter"):
            raise Unreadable("a subscript")
        return self.take()

    def argument(self) -> Node:
        """What a command such as \\frac takes: a group, or a single digit or letter."""
        if self.peek() == "{":
            self.take()
            node = self.sum()
            self.take("}")
            return node
        if self.kind() == "number" and len(self.peek()) > 1 and self.peek().isdigit():
            # \frac12 and \sqrt25: the first digit only, as TeX has it.
            token = self.tokens[self.at]
            self.tokens[self.at : self.at + 1] = [
                _Token("number", token.text[0], token.spaced),
                _Token("number", token.text[1:], False),
            ]
        return self.atom()

    def command(self, token: str) -> Node:
        if token == "\\frac":
            top = self.argument()
            return ("prod", top, ("inv", self.argument()))
        if token == "\\sqrt":
            degree = 2
            if self.peek() == "[":
                self.take()
                if self.kind() != "number" or not self.peek().isdigit() or not 1 < int(self.peek()) <= 60:
                    raise Unreadable("the degree of a root")
                degree = int(self.take())
                self.take("]")
            if self.kind() == "number":  # "\sqrt 12" and "sqrt12" mean the root of all of it
                return ("root", degree, self.decimal(self.take()))
            return ("root", degree, self.argument())
        if token == "\\binom":
            top = self.argument()
            return ("call", "binomial", top, self.argument())
        if token in ("\\lfloor", "\\lceil"):
            node = self.sum()
            self.take("\\rfloor" if token == "\\lfloor" else "\\rceil")
            return ("call", "floor" if token == "\\lfloor" else "ceil", node)
        name = token[1:]
        if name in FUNCTIONS:
            return self.function(name)
        if token == "\\pi":
            return ("const", "pi")
        if token in GREEK:
            return self.named(token)
        raise Unreadable(f"{token} is not read")

    def function(self, name: str) -> Node:
        base: Node | None = None
        exponent: Node | None = None
        if name == "log" and self.peek() == "_":
            self.take()
            base = self.argument()
        if self.peek() == "^":
            self.take()
            exponent = self.argument() if self.peek() != "-" else None
            if exponent is None or exponent == number(-1):
                raise Unreadable("an inverse function as a power")
        if self.peek() == "(":
            self.take()
            bars, self.bars = self.bars, 0
            inner = self.sum()
            self.bars = bars
            self.take(")")
        else:
            # \sin 2x takes the product, up to the next function.
            factors = [self.power()]
            while (
                self.starts_factor() and self.peek()[1:] not in FUNCTIONS and self.peek() not in ("(", "|", "[")
            ) or self.peek() == "/":
                if self.peek() == "/":
                    self.take()
                    factors.append(("inv", self.power()))
                else:
                    factors.append(self.power())
            inner = factors[0] if len(factors) == 1 else ("prod", *factors)
        if base is not None:
            node: Node = ("prod", ("call", "ln", inner), ("inv", ("call", "ln", base)))
        elif name in ("log", "lg"):
            node = ("prod", ("call", "ln", inner), ("inv", ("call", "ln", number(10))))
        else:
            node = ("call", name, inner)
        return node if exponent is None else ("pow", node, exponent)


_REPEATING = re.compile(r"(\d*)\.(\d*)\\(?:overline|bar|dot)\s*\{?\s*(\d+)\s*\}?")


def _repeating(match: re.Match[str]) -> str:
    """A repeating decimal as the fraction that it is."""
    whole, fixed, period = match[1] or "0", match[2], match[3]
    if len(whole) + len(fixed) + len(period) > 200:
        raise Unreadable("a repeating decimal of that length")
    scale = 10 ** len(fixed) * (10 ** len(period) - 1)
    top = int(whole + fixed + period) - int(whole + fixed)
    return f"(({top})/({scale}))"


@lru_cache(maxsize=20_000)
def parse(text: str) -> Node:
    """The tree of an expression. Raises Unreadable for anything else."""
    if len(text) > LONGEST:
        raise Unreadable("too long to be read")
    if "\\overline" in text or "\\bar" in text or "\\dot" in text:
        text = _REPEATING.sub(_repeating, text)
    parser = _Parser(_tokens(text))
    node = parser.sum()
    if parser.at != len(parser.tokens):
        raise Unreadable(f"{parser.peek()!r} was not expected")
    return node


def _negative(node: Node) -> Node:
    return ("num", -node[1]) if node[0] == "num" else ("prod", ("num", Fraction(-1)), node)


def symbols(node: Node) -> frozenset[str]:
    """The letters of a tree that stand for unknowns."""
    if node[0] == "sym":
        return frozenset([node[1]])
    found: frozenset[str] = frozenset()
    for child in node[1:]:
        if isinstance(child, tuple):
            found |= symbols(child)
    return found


def _bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def _checked(value: Fraction) -> Fraction:
    if _bits(value) > MOST_BITS:
        raise TooLarge
    return value


class _Irrational(Exception):
    pass


def _exact_root(degree: int, value: Fraction) -> Fraction:
    if value < 0:
        if degree % 2 == 0:
            raise _Irrational
        return -_exact_root(degree, -value)
    return Fraction(_integer_root(degree, value.numerator), _integer_root(degree, value.denominator))


def _integer_root(degree: int, value: int) -> int:
    if value.bit_length() > MOST_BITS:
        raise TooLarge
    if degree == 2:
        root = isqrt(value)
    else:
        root = 1 << -(-value.bit_length() // degree)
        while root and (smaller := ((degree - 1) * root + value // root ** (degree - 1)) // degree) < root:
            root = smaller
    if root**degree != value:
        raise _Irrational
    return root


def _exact(node: Node) -> Fraction:
    """The value of a rational tree. Raises _Irrational, Undefined or TooLarge."""
    kind = node[0]
    if kind == "num":
        return node[1]
    if kind in ("const", "sym"):
        raise _Irrational
    if kind == "sum":
        total = Fraction(0)
        for child in node[1:]:
            total = _checked(total + _exact(child))
        return total
    if kind == "prod":
        product = Fraction(1)
        for child in node[1:]:
            product = _checked(product * _exact(child))
        return product
    if kind == "inv":
        value = _exact(node[1])
        if value == 0:
            raise Undefined
        return 1 / value
    if kind == "root":
        return _exact_root(node[1], _exact(node[2]))
    if kind == "pow":
        return _exact_power(_exact(node[1]), _exact(node[2]))
    return _exact_call(node[1], [_exact(child) for child in node[2:]])


def _exact_power(base: Fraction, exponent: Fraction) -> Fraction:
    if base == 0 and exponent <= 0:
        raise Undefined
    if base in (0, 1):
        return base
    if exponent.denominator > 1:
        if exponent.denominator > 60:
            raise _Irrational
        base = _exact_root(exponent.denominator, base)
    power = exponent.numerator
    if abs(power) * _bits(base) > MOST_BITS:
        if base == -1:
            return Fraction(-1 if power % 2 else 1)
        raise TooLarge
    return base**power


def _exact_call(name: str, values: list[Fraction]) -> Fraction:
    value = values[0]
    if name == "abs":
        return abs(value)
    if name == "floor":
        return Fraction(value.__floor__())
    if name == "ceil":
        return Fraction(value.__ceil__())
    if name == "factorial":
        if value.denominator != 1 or value < 0:
            raise Undefined
        if value > 8000:
            raise TooLarge
        return Fraction(factorial(int(value)))
    if name == "binomial":
        n, k = values
        if n.denominator != 1 or k.denominator != 1 or n < 0 or k < 0:
            raise Undefined
        if n > 100_000 or min(k, n - k) * max(1, int(n).bit_length()) > MOST_BITS:
            raise TooLarge
        return Fraction(comb(int(n), int(k)))
    raise _Irrational


@dataclass(frozen=True)
class _Size:
    """Bits of the upper bounds u and l of the separation bound, the radicals met, and whether the bound is proven."""

    u: float
    low: float
    radicals: frozenset[tuple[int, Node]]
    proven: bool


def _log_add(a: float, b: float) -> float:
    big, small = max(a, b), min(a, b)
    return big + (log2(1 + 2 ** (small - big)) if big - small < 60 else 0.0)


def _size(node: Node) -> _Size:
    kind = node[0]
    none: frozenset[tuple[int, Node]] = frozenset()
    if kind == "num":
        value = node[1]
        return _Size(log2(abs(value.numerator)) if value else 0.0, log2(value.denominator), none, True)
    if kind == "const":
        if node[1] == "i":
            return _Size(0.0, 0.0, frozenset([(2, ("num", Fraction(-1)))]), True)
        return _Size(2.0, 0.0, none, False)
    if kind == "inv":
        inner = _size(node[1])
        return _Size(inner.low, inner.u, inner.radicals, inner.proven)
    if kind in ("sum", "prod"):
        total = _size(node[1])
        for child in node[2:]:
            other = _size(child)
            radicals, proven = total.radicals | other.radicals, total.proven and other.proven
            if kind == "prod":
                total = _Size(total.u + other.u, total.low + other.low, radicals, proven)
            else:
                u = _log_add(total.u + other.low, other.u + total.low)
                total = _Size(u, total.low + other.low, radicals, proven)
        return total
    if kind == "root":
        return _root_size(node[1], node[2])
    if kind == "pow":
        return _power_size(node)
    inner = _size(node[2])
    if node[1] in ("abs", "degree"):
        return _Size(inner.u, inner.low, inner.radicals, inner.proven and node[1] == "abs")
    if node[1] in ("exp", "sinh", "cosh"):
        with _workable(node[2]) as mp:
            times = float(abs(_value(node[2], mp)))
        return _Size(_capped(2 * times + 8), _capped(2 * times + 8), none, False)
    return _Size(inner.u + 8.0, inner.low + 8.0, inner.radicals, False)


def _capped(bits: float) -> float:
    if bits > MOST_PRECISION:
        raise TooLarge
    return bits


def _root_size(degree: int, inside: Node) -> _Size:
    inner = _size(inside)
    radicals = inner.radicals | {(degree, inside)}
    if inner.u >= inner.low:
        return _Size((inner.u + (degree - 1) * inner.low) / degree, inner.low, radicals, inner.proven)
    return _Size(inner.u, (inner.u * (degree - 1) + inner.low) / degree, radicals, inner.proven)


def _fraction_power(node: Node) -> Fraction | None:
    """An exponent as an integer or the degree of a modest root; None for any other."""
    try:
        exponent = _exact(node)
    except _Irrational:
        return None
    return exponent if exponent.denominator <= 60 else None


def _power_size(node: Node) -> _Size:
    none: frozenset[tuple[int, Node]] = frozenset()
    base = _size(node[1])
    exponent = _fraction_power(node[2])
    if exponent is None:
        with _workable(node[2]) as mp:
            times = float(abs(_value(node[2], mp)))
        bits = _capped((base.u + base.low + 2) * (times + 1))
        return _Size(bits, bits, none, False)
    times = abs(exponent.numerator)
    u, low = _capped(base.u * times), _capped(base.low * times)
    sized = _Size(low, u, base.radicals, base.proven) if exponent < 0 else _Size(u, low, base.radicals, base.proven)
    if exponent.denominator == 1:
        return sized
    rooted = _root_size(exponent.denominator, node[1])
    return _Size(sized.u, sized.low, rooted.radicals, sized.proven)


_LOCAL = threading.local()


def _context() -> Any:
    """An mpmath context of this thread's own, since its precision is a setting."""
    if not hasattr(_LOCAL, "context"):
        _LOCAL.context = mpmath.MPContext()
    return _LOCAL.context


def _value(node: Node, mp: Any) -> Any:
    """The numerical value at the context's precision."""
    kind = node[0]
    if kind == "num":
        return mp.mpf(node[1].numerator) / node[1].denominator
    if kind == "const":
        if node[1] == "i":
            return mp.mpc(0, 1)
        return +mp.pi if node[1] == "pi" else +mp.e
    if kind == "sum":
        return mp.fsum([_value(child, mp) for child in node[1:]])
    if kind == "prod":
        product = mp.mpf(1)
        for child in node[1:]:
            product *= _value(child, mp)
        return product
    if kind == "inv":
        value = _value(node[1], mp)
        if abs(value) < mp.ldexp(1, -mp.prec // 2):
            raise Undefined
        return 1 / value
    if kind == "root":
        return _numeric_root(node[1], _value(node[2], mp), mp)
    if kind == "pow":
        return _numeric_power(node, mp)
    return _numeric_call(node[1], [_value(child, mp) for child in node[2:]], node, mp)


def _real(value: Any, mp: Any) -> Any:
    """The real number that a value is, but for rounding; None for a truly complex one."""
    if isinstance(value, mp.mpc):
        return value.real if abs(value.imag) <= mp.ldexp(1 + abs(value.real), -mp.prec // 2) else None
    return value


def _numeric_root(degree: int, value: Any, mp: Any) -> Any:
    real = _real(value, mp)
    if real is not None and real < 0 and degree % 2:
        return -mp.root(-real, degree)
    return mp.root(value if real is None else real, degree)


def _numeric_power(node: Node, mp: Any) -> Any:
    base = _value(node[1], mp)
    exponent = _fraction_power(node[2])
    if exponent is None:
        if base == 0:
            raise Undefined
        return mp.power(base, _value(node[2], mp))
    if exponent.denominator > 1:
        base = _numeric_root(exponent.denominator, base, mp)
    if exponent < 0 and abs(base) < mp.ldexp(1, -mp.prec // 2):
        raise Undefined
    return base ** int(exponent.numerator)


def _numeric_call(name: str, values: list[Any], node: Node, mp: Any) -> Any:
    value = values[0]
    if name == "abs":
        return abs(value)
    if name == "degree":
        return value * mp.pi / 180
    if name in ("floor", "ceil"):
        real = _real(value, mp)
        if real is None:
            raise Undefined
        near = mp.nint(real)
        if abs(real - near) < mp.ldexp(1, -mp.prec // 3):
            return near
        return mp.floor(real) if name == "floor" else mp.ceil(real)
    if name in ("factorial", "binomial"):
        raise Undefined
    if name == "ln":
        if value == 0:
            raise Undefined
        return mp.log(value)
    small = mp.ldexp(1, -mp.prec // 2)
    over = {"tan": mp.cos, "sec": mp.cos, "cot": mp.sin, "csc": mp.sin}
    if name in over and abs(over[name](value)) < small:
        raise Undefined
    calls = {
        "sin": mp.sin, "cos": mp.cos, "tan": mp.tan, "cot": mp.cot, "sec": mp.sec, "csc": mp.csc, "arcsin": mp.asin,
        "arccos": mp.acos, "arctan": mp.atan, "sinh": mp.sinh, "cosh": mp.cosh, "tanh": mp.tanh, "exp": mp.exp,
    }  # fmt: skip
    return calls[name](value)


def _is_zero(node: Node) -> bool:
    """Whether a tree without letters is zero; see the module's first lines for what that rests on."""
    try:
        return _exact(node) == 0
    except _Irrational:
        pass
    size = _size(node)
    spread = size.u + size.low
    if size.proven:
        degree = 1
        for k, _ in size.radicals:
            degree *= k
            if degree > MOST_PRECISION:
                raise TooLarge
        needed = (degree - 1) * size.u + size.low
    else:
        needed = 200 + spread
        if needed + 2 * spread > MOST_TRANSCENDENTAL:
            raise TooLarge
    mp = _context()
    first = int(spread) + 200
    with mp.workprec(_within(first + 40)):
        value = abs(_value(node, mp))
        if value > mp.ldexp(1, -(first - int(spread) - 60)):
            return False
    with mp.workprec(_within(int(needed + 2 * spread) + 120)):
        return bool(abs(_value(node, mp)) < mp.ldexp(1, -int(needed) - 4))


@contextmanager
def _workable(node: Node) -> Iterator[Any]:
    """A context with some 200 correct bits of a tree's value, however far its parts cancel."""
    size = _size(node)
    bits = int(size.u + size.low) + 260
    if not size.proven and bits > MOST_TRANSCENDENTAL:
        raise TooLarge
    mp = _context()
    with mp.workprec(_within(bits)):
        yield mp


def _within(bits: int) -> int:
    if bits > MOST_PRECISION:
        raise TooLarge
    return bits


def placed(node: Node, points: dict[str, Fraction]) -> Node:
    """A tree with a number in place of each letter."""
    if node[0] == "sym":
        return ("num", points[node[1]])
    return tuple(placed(child, points) if isinstance(child, tuple) else child for child in node)


def points(names: frozenset[str], which: int, *, whole: bool = False) -> dict[str, Fraction]:
    """Where formulas are compared: a fraction per letter, positive at first, then of both signs.

    `whole` asks for positive integers, where factorials and binomials have their values.
    """
    found = {}
    if whole:
        return {name: Fraction(40 + 7 * which + 3 * i) for i, name in enumerate(sorted(names))}
    for name in names:
        seed = int.from_bytes(sha256(f"{which}|{name}".encode()).digest()[:6], "big")
        value = Fraction(seed % 99_991 + 2, 16_411)  # small, so that it can stand in an exponent
        found[name] = -value if which and (seed >> 40) % 2 else value
    if which == POINTS - 1:
        return {name: -abs(value) for name, value in found.items()}
    return found


def counts(node: Node) -> bool:
    """Whether a factorial or a binomial stands in a tree, so that its letters are integers."""
    if node[0] == "call" and node[1] in ("factorial", "binomial"):
        return True
    return any(counts(child) for child in node[1:] if isinstance(child, tuple))


def is_polynomial(node: Node) -> bool:
    """Whether a tree is a polynomial in its letters."""
    if not symbols(node) or node[0] == "sym":
        return True
    if node[0] == "pow":
        power = rational(node[2])
        return power is not None and power.denominator == 1 and power >= 0 and is_polynomial(node[1])
    return node[0] in ("sum", "prod") and all(is_polynomial(child) for child in node[1:])


def approximate(node: Node) -> float | None:
    """A real constant as a float, for ordering only; None for any other tree."""
    if symbols(node):
        return None
    try:
        with _workable(node) as mp:
            real = _real(_value(node, mp), mp)
            return None if real is None else float(real)
    except (Undefined, TooLarge, OverflowError, ValueError, ZeroDivisionError):
        return None


def same_value(first: Node, second: Node) -> bool | None:
    """Whether two trees have one value; None where that cannot be decided within the bounds.

    With letters: whether they agree at every point; None where they agree at some only (|x| and x).
    """
    if first == second:
        return True
    names = symbols(first) | symbols(second)
    if not names:
        return _same_constant(first, second)
    seen = []
    whole = counts(first) or counts(second)
    for which in range(POINTS):
        at = points(names, which, whole=whole)
        verdict = _same_constant(placed(first, at), placed(second, at))
        if verdict is False and which == 0:
            return False
        seen.append(verdict)
    return seen[0] if len(set(seen)) == 1 else None


def _same_constant(first: Node, second: Node) -> bool | None:
    magnitudes = [_huge(first), _huge(second)]
    if magnitudes == [True, True]:
        return None
    if any(magnitudes):
        return False
    undefined = []
    for node in (first, second):
        try:
            _try_value(node)
            undefined.append(False)
        except Undefined:
            undefined.append(True)
        except TooLarge:
            return None
    if any(undefined):
        return False
    try:
        return _is_zero(("sum", first, _negative(second)))
    except Undefined:
        return False
    except (TooLarge, OverflowError, ValueError, ZeroDivisionError):
        return None


def _try_value(node: Node) -> None:
    try:
        _exact(node)
    except _Irrational:
        with _workable(node) as mp:
            _value(node, mp)


def _huge(node: Node) -> bool:
    """Whether a tree is a power tower so large that nothing readable in full can equal it."""
    if node[0] != "pow":
        return False
    try:
        base = _exact(node[1])
    except (_Irrational, Undefined, TooLarge):
        return False
    if abs(base) < 2:
        return False
    if _huge(node[2]):
        return True
    try:
        exponent = _exact(node[2])
    except TooLarge:
        return node[2][0] in ("num", "pow") and node[2][1][0] == "num" and node[2][1][1] > 0
    except (_Irrational, Undefined):
        return False
    return exponent > 2 * MOST_BITS


def rational(node: Node) -> Fraction | None:
    """The exact value of a rational tree; None for any other."""
    try:
        return _exact(node)
    except (_Irrational, Undefined, TooLarge):
        return None


def rounds_to(node: Node, target: Fraction, places: int) -> bool | None:
    """Whether a value, rounded half up or half even to `places` decimals, is `target`; None if it has no value."""
    half = Fraction(1, 2 * 10**places)
    value = rational(node)
    if value is not None:
        return abs(value - target) <= half
    try:
        with _workable(node) as mp:
            real = _real(_value(node, mp), mp)
            if real is None:
                return False
            return bool(abs(real - mp.mpf(target.numerator) / target.denominator) <= mp.mpf(1) / (2 * 10**places))
    except Undefined:
        return False
    except (TooLarge, OverflowError, ValueError, ZeroDivisionError):
        return None


def key(node: Node) -> str:
    """A text that equal values share: exact for rationals, 40 digits for others, values at the points for formulas."""
    names = symbols(node)
    if names:
        whole = counts(node)
        keys = [_constant_key(placed(node, points(names, which, whole=whole))) for which in range(POINTS)]
        return "formula " + " ".join([*sorted(names), *keys])
    return _constant_key(node)


def _constant_key(node: Node) -> str:
    try:
        value = rational(node)
        if value is None:
            value = _hidden_rational(node)
        if value is not None:
            return f"{value.numerator:x}/{value.denominator:x}"
        with _workable(node) as mp:
            number = mp.mpc(_value(node, mp))
            parts = [part if abs(part) > mp.ldexp(1, -180) else mp.mpf(0) for part in (number.real, number.imag)]
            return "value " + " ".join(mp.nstr(part, 40) for part in parts)
    except Undefined:
        return "undefined"
    except (TooLarge, OverflowError, ValueError, ZeroDivisionError):
        return "beyond bounds " + sha256(repr(node).encode()).hexdigest()


def _hidden_rational(node: Node) -> Fraction | None:
    """The rational number that a tree with roots turns out to be; None if it is none of modest size."""
    with _workable(node) as mp:
        real = _real(_value(node, mp), mp)
        if real is None or abs(real) > 10**30:
            return None
        near = Fraction(int(mp.nint(real * 10**60)), 10**60).limit_denominator(10**12)
    try:
        return near if _is_zero(("sum", node, ("num", -near))) else None
    except (Undefined, TooLarge):
        return None
