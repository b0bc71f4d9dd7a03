"""Parameters: what a notebook can be asked, read from the cell tagged `parameters`, enforced before a kernel starts.

The cell is plain annotated Python, one parameter a line, and its comments are the schema:

    seeds: int = 3  # [1, 50] students trained for the main comparison
    device: str = "cpu"  # {cpu|cuda} where students train and answer

`[lo, hi]` is an inclusive range, `{a|b}` a set of choices; for a list they hold for each element. A help text that
starts with "path" marks a file that must exist. papermill itself checks none of this: it takes "abc" for an int and
ignores a misspelt name, so every value goes through `convert` (text from the command line) or `check` (a value from a
profile) first.
"""

from __future__ import annotations

import ast
import difflib
import io
import json
import math
import re
import tokenize
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from longthought.errors import UserError

Scalar = int | float | str | bool
Value = Scalar | list[Any] | None

_KINDS = ("int", "float", "str", "bool")
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_INTEGER = re.compile(r"[+-]?\d+")
_RANGE = re.compile(r"\[\s*([^,\]\s]+)\s*,\s*([^,\]\s]+)\s*\]\s*(.*)")
_CHOICES = re.compile(r"\{([^{}]+)\}\s*(.*)")


@dataclass(frozen=True)
class Parameter:
    """One parameter of a notebook: its type, its default, and what it accepts."""

    name: str
    kind: str
    default: Value
    is_list: bool = False
    optional: bool = False
    low: float | None = None
    high: float | None = None
    choices: tuple[Scalar, ...] = ()
    help: str = ""

    @property
    def type(self) -> str:
        """The annotation, as it is written in the notebook."""
        text = f"list[{self.kind}]" if self.is_list else self.kind
        return f"{text} | None" if self.optional else text

    @property
    def is_path(self) -> bool:
        """Whether a non-empty value names a file that must exist."""
        return self.kind == "str" and not self.is_list and self.help.lower().startswith("path")

    @property
    def wanted(self) -> str:
        """What a value must be, in words for an error message."""
        item = {"int": "a whole number", "float": "a number", "str": "text", "bool": "true or false"}[self.kind]
        if self.choices:
            item = "one of " + ", ".join(_plain(choice) for choice in self.choices)
        elif self.low is not None and self.high is not None:
            item += f" from {_plain(self.low)} to {_plain(self.high)}"
        if self.is_list:
            item = f"a list, each item {item}"
        return item + (", or none" if self.optional else "")


class _Unfit(ValueError):
    """A value that the parameter does not accept; its text is a reason, or empty when `wanted` says it all."""


def notebook_cells(path: Path) -> list[dict[str, Any]]:
    """The cells of a notebook file, their sources joined to one string. UserError when it is no notebook."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return [{**cell, "source": "".join(cell["source"])} for cell in cells]
    except FileNotFoundError:
        raise UserError(f"{path.name}: there is no such notebook") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path.name} is not a notebook that can be read ({error}); restore it with git") from None


def parameters_cell(cells: Sequence[Mapping[str, Any]]) -> int | None:
    """The index of the cell tagged `parameters`, None when there is none."""
    for index, cell in enumerate(cells):
        if cell["cell_type"] == "code" and "parameters" in cell.get("metadata", {}).get("tags", []):
            return index
    return None


def read_parameters(path: Path) -> dict[str, Parameter]:
    """The parameters of a notebook, in the order of its cell. UserError when the cell breaks the convention."""
    cells = notebook_cells(path)
    index = parameters_cell(cells)
    return {} if index is None else parse_parameters(cells[index]["source"], path.stem)


def parse_parameters(source: str, notebook: str) -> dict[str, Parameter]:
    """Read the source of a parameters cell. UserError names the notebook and the line that breaks the convention."""
    try:
        tree = ast.parse(source)
        comments = {
            token.start[0]: token.string
            for token in tokenize.generate_tokens(io.StringIO(source).readline)
            if token.type == tokenize.COMMENT
        }
    except (SyntaxError, tokenize.TokenError) as error:
        raise UserError(f"{notebook}: the parameters cell is not valid Python ({error})") from None
    found: dict[str, Parameter] = {}
    for node in tree.body:
        where = f"{notebook}: parameters cell, line {node.lineno}"
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None):
            raise UserError(f"{where}: write each parameter as `name: type = default  # [lo, hi] meaning`")
        parameter = _declare(node.target.id, node, comments.get(node.end_lineno or node.lineno, ""), where)
        found[parameter.name] = parameter
    return found


def _declare(name: str, node: ast.AnnAssign, comment: str, where: str) -> Parameter:
    kind, is_list, optional = _annotation(node.annotation, where)
    try:
        default = ast.literal_eval(node.value) if node.value is not None else None
    except ValueError:
        raise UserError(f"{where}: the default of `{name}` must be a plain value, not an expression") from None
    bare = Parameter(name, kind, default, is_list, optional)
    text = comment.lstrip("#").strip()
    low: float | None = None
    high: float | None = None
    choices: tuple[Scalar, ...] = ()
    try:
        if text.startswith("["):
            match = _RANGE.fullmatch(text)
            if match is None or kind not in ("int", "float"):
                raise _Unfit
            low, high, text = float(match[1]), float(match[2]), match[3]
        elif text.startswith("{"):
            match = _CHOICES.fullmatch(text)
            if match is None:
                raise _Unfit
            choices = tuple(_from_text(bare, item.strip()) for item in match[1].split("|"))
            text = match[2]
        parameter = Parameter(name, kind, default, is_list, optional, low, high, choices, text)
    except ValueError:
        raise UserError(f"{where}: the comment of `{name}` opens with neither [lo, hi] nor {{a|b}}: {text}") from None
    return Parameter(
        name, kind, check(parameter, default, f"{where}: the default"), is_list, optional, low, high, choices, text
    )


def _annotation(node: ast.expr, where: str) -> tuple[str, bool, bool]:
    text = ast.unparse(node)
    parts = [part.strip() for part in text.split("|")]
    optional = "None" in parts
    parts = [part for part in parts if part != "None"]
    match = re.fullmatch(r"(?:list\[(\w+)\]|(\w+))", parts[0]) if len(parts) == 1 else None
    kind = (match[1] or match[2]) if match else ""
    if match is None or kind not in _KINDS:
        raise UserError(f"{where}: `{text}` is no parameter type; use int, float, str, bool, a list of them, or | None")
    return kind, match[1] is not None, optional


def convert(parameter: Parameter, text: str, where: str) -> Value:
    """The value that `text`, as typed on the command line, means for `parameter`.

    Lists are comma separated or JSON; "007" stays "007" for text. UserError, opening with `where`, when it is unfit.
    """
    try:
        if parameter.optional and text.strip().lower() in ("none", "null"):
            return None
        if not parameter.is_list:
            return _allowed(parameter, _from_text(parameter, text))
        stripped = text.strip()
        if not stripped.startswith("["):
            items = [item.strip() for item in stripped.split(",")] if stripped else []
            return [_allowed(parameter, _from_text(parameter, item)) for item in items]
        try:
            values = json.loads(stripped)
        except ValueError:
            raise _Unfit("the JSON list cannot be read") from None
        return [_allowed(parameter, _from_value(parameter, item)) for item in values]
    except _Unfit as reason:
        raise _refusal(parameter, text, where, str(reason)) from None


def check(parameter: Parameter, value: Any, where: str) -> Value:
    """`value`, given in a profile or as a default, in the parameter's type. UserError when it does not fit."""
    try:
        if value is None and parameter.optional:
            return None
        if not parameter.is_list:
            return _allowed(parameter, _from_value(parameter, value))
        if not isinstance(value, list):
            raise _Unfit
        return [_allowed(parameter, _from_value(parameter, item)) for item in value]
    except _Unfit as reason:
        raise _refusal(parameter, value, where, str(reason)) from None


def format_value(value: Value) -> str:
    """`value` as text that `convert` reads back to the same value."""
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, float) else str(value)


def unknown(name: str, known: Iterable[str], what: str, where: str) -> UserError:
    """The error for a name that does not exist, with the nearest that do."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if near:
        return UserError(f"{where} has no {what} `{name}`; did you mean `{near[0]}`?")
    return UserError(f"{where} has no {what} `{name}`; there is " + (", ".join(names) or "none at all"))


def _refusal(parameter: Parameter, value: Any, where: str, reason: str) -> UserError:
    given = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    note = f" ({reason})" if reason else ""
    return UserError(
        f"{where}: {parameter.name} wants {parameter.wanted}, not {given!r}{note}" + _nearest(parameter, value)
    )


def _nearest(parameter: Parameter, value: Any) -> str:
    if parameter.kind != "str" or not parameter.choices:
        return ""
    options = {str(choice) for choice in parameter.choices}
    for item in value if isinstance(value, list) else str(value).split(","):
        if str(item).strip() not in options:
            near = difflib.get_close_matches(str(item).strip(), options, n=1)
            return f"; did you mean {near[0]}?" if near else ""
    return ""


def _from_text(parameter: Parameter, text: str) -> Scalar:
    if parameter.kind == "str":
        return text
    text = text.strip()
    if parameter.kind == "bool":
        if text.lower() not in _TRUE + _FALSE:
            raise _Unfit
        return text.lower() in _TRUE
    if parameter.kind == "int":
        if not _INTEGER.fullmatch(text) or len(text) > 40:
            raise _Unfit
        return int(text)
    try:
        return _finite(float(text.replace("_", "x")))
    except ValueError:
        raise _Unfit from None


def _from_value(parameter: Parameter, value: Any) -> Scalar:
    if parameter.kind == "float" and isinstance(value, str):
        return _from_text(parameter, value)  # YAML 1.1 reads 1e-5 as text
    accepted = {"int": int, "float": (int, float), "str": str, "bool": bool}[parameter.kind]
    if not isinstance(value, accepted) or (isinstance(value, bool) and parameter.kind != "bool"):  # type: ignore[arg-type]
        raise _Unfit
    return _finite(float(value)) if parameter.kind == "float" else value


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise _Unfit
    return number


def _allowed(parameter: Parameter, value: Scalar) -> Scalar:
    if parameter.choices and value not in parameter.choices:
        raise _Unfit
    if isinstance(value, str) or parameter.low is None or parameter.high is None:
        return value
    if not parameter.low <= value <= parameter.high:
        raise _Unfit
    return value


def _plain(value: Scalar) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)
