"""Options that a user writes as KEY=VALUE, read into the dataclass that holds them, by the types of its fields."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from longthought.errors import UserError
from longthought.problems import json_object


def filled(record: Any, owner: str, given: Mapping[str, Any], flag: str, assignments: Sequence[str]) -> Any:
    """An options record from flags (None is not given) and from KEY=VALUE, read by the types of its fields.

    Raises UserError for an option that is unknown, given twice, or no such value.
    """
    known = {f.name: str(f.type).removesuffix(" | None") for f in fields(record)}
    values = {name: value for name, value in given.items() if value is not None}
    for name, value in values.items():
        if name not in known:
            raise UserError(f"--{name.replace('_', '-')} is no option of {owner}; there are {', '.join(known)}")
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"--{name.replace('_', '-')} {value}: a finite number is wanted")
        if known[name].startswith("tuple") and isinstance(value, str):
            values[name] = _value(f"--{name}", known[name], value)
    for assignment in assignments:
        name, sign, text = assignment.partition("=")
        if not sign:
            raise UserError(f"{flag} {assignment}: write {flag} name=value")
        if name not in known:
            raise UserError(f"{flag} {assignment}: {owner} has no option {name!r}; there are {', '.join(known)}")
        if name in values:
            raise UserError(f"{flag} {assignment}: {name} is given twice; give it once")
        values[name] = _value(f"{flag} {assignment}", known[name], text)
    return record(**values)


def _value(where: str, kind: str, text: str) -> Any:
    """A text as the type of a field."""
    if kind.startswith("tuple"):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if kind.startswith("Mapping"):
        try:
            return json_object(text, where)
        except UserError:
            raise UserError(f'{where}: a JSON object is wanted, such as {{"reasoning_effort": "high"}}') from None
    readers: dict[str, tuple[Callable[[str], Any], str]] = {
        "int": (int, "a whole number"),
        "float": (_finite, "a finite number"),
    }
    read, wanted = readers.get(kind, (str, "a text"))
    try:
        return Path(text) if kind == "Path" else read(text)
    except ValueError:
        raise UserError(f"{where}: {wanted} is wanted") from None


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number
