"""Options that a user writes as KEY=VALUE, read into the dataclass that holds them, by the types of its fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from longthought.errors import UserError
from longthought.problems import json_object


def filled(record: Any, owner: str, given: Mapping[str, Any], flag: str, assignments: Sequence[str]) -> Any:
    """An options record from flags (None is not given) and from KEY=VALUE, read by the types of its fields."""
    known = {f.name: str(f.type).removesuffix(" | None") for f in fields(record)}
    values = {name: value for name, value in given.items() if value is not None}
    for name, value in values.items():
        if name not in known:
            raise UserError(f"--{name.replace('_', '-')} is no option of {owner}; there are {', '.join(known)}")
        if known[name].startswith("tuple") and isinstance(value, str):
            values[name] = _value(f"--{name}", known[name], value)
    for assignment in assignments:
        name, sign, text = assignment.partition("=")
        if not sign:
            raise UserError(f"{flag} {assignment}: write {flag} name=value")
        if name not in known:
            raise UserError(f"{flag} {assignment}: {owner} has no option {name!r}; there are {', '.join(known)}")
        values[name] = _value(f"{flag} {assignment}", known[name], text)
    return record(**values)


def _value(where: str, kind: str, text: str) -> Any:
    """A text as the type of a field."""
    if kind.startswith("tuple"):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if kind.startswith("Mapping"):
        return json_object(text, where)
    read, wanted = {"int": (int, "a whole number"), "float": (float, "a number")}.get(kind, (str, "a text"))
    try:
        return Path(text) if kind == "Path" else read(text)
    except ValueError:
        raise UserError(f"{where}: {wanted} is wanted") from None
