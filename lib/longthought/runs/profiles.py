"""Profiles: named answers to every notebook's parameters, from a smoke test to the report's own machine.

A profile is a YAML file: `description`, `common` (values for every notebook that has the parameter), one section per
notebook by its short name, and `machine` (what the estimate needs to know and no notebook does: cards, memory, speed).
A notebook never learns which profile it runs under. A key that nothing reads is a mistake, never silently dropped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from longthought.errors import UserError
from longthought.runs.estimate import Machine, read_machine
from longthought.runs.parameters import Parameter, Value, check, convert, unknown

BUILT_IN = Path(__file__).parent.parent / "profiles"
ORDER = ("smoke", "mini", "full", "gpu", "paper")


@dataclass(frozen=True)
class Profile:
    """A named set of parameter values; `sections` is keyed by a notebook's short name."""

    name: str
    description: str = ""
    common: dict[str, Any] = field(default_factory=dict)
    sections: dict[str, dict[str, Any]] = field(default_factory=dict)
    machine: Machine = field(default_factory=Machine)


@dataclass(frozen=True)
class Resolved:
    """The value of every parameter of one notebook, and where each came from (default, a profile, or -p)."""

    values: dict[str, Value]
    origin: dict[str, str]


def short_name(notebook: str) -> str:
    """`scaling` for `02_scaling`, `grading` for `A1_grading`."""
    return re.sub(r"^[A-Z]?\d+_", "", notebook)


def profile_names() -> list[str]:
    """The profiles that come with the book, cheapest first."""
    present = {path.stem for path in BUILT_IN.glob("*.yaml")}
    return [name for name in ORDER if name in present] + sorted(present - set(ORDER))


def load_profile(name: str, notebooks: Mapping[str, Mapping[str, Parameter]]) -> Profile:
    """The profile called `name`, or in the YAML file `name`, checked against all `notebooks` and their parameters.

    UserError when it is missing, cannot be read, or holds a key that no notebook has.
    """
    import yaml

    path = Path(name) if name.endswith((".yaml", ".yml")) else BUILT_IN / f"{name}.yaml"
    if not path.is_file():
        if path.parent != BUILT_IN:
            raise UserError(f"--profile {name}: there is no such file")
        raise unknown(name, profile_names(), "profile", "the book")
    where = f"profile {path.stem}"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{where}: not valid YAML ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict) or not all(
        isinstance(content.get(key) or {}, dict) for key in content if key != "description"
    ):
        raise UserError(f"{where}: write `section:` and under it lines of `parameter: value`")
    shorts = {short_name(notebook): notebook for notebook in notebooks}
    sections: dict[str, dict[str, Any]] = {}
    for key, section in content.items():
        if key in ("description", "common", "machine"):
            continue
        if str(key) not in shorts:
            raise unknown(str(key), ["description", "common", "machine", *shorts], "section", where)
        sections[str(key)] = section or {}
    profile = Profile(
        path.stem,
        str(content.get("description") or "").strip(),
        content.get("common") or {},
        sections,
        read_machine(content.get("machine") or {}, where),
    )
    every = sorted({name for parameters in notebooks.values() for name in parameters})
    for key in profile.common:
        if str(key) not in every:
            raise unknown(str(key), every, "parameter", f"{where}, common: no notebook")
    for short, section in sections.items():
        for key in section:
            if str(key) not in notebooks[shorts[short]]:
                raise unknown(str(key), notebooks[shorts[short]], "parameter", f"{where}, {short}: {shorts[short]}")
    return profile


def parse_assignments(pairs: Sequence[str]) -> dict[str, str]:
    """The `key=value` pairs given with -p. UserError for one without a key, or a key given twice."""
    found: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        key = key.strip()
        if not equals or not key.isidentifier():
            raise UserError(f"-p {pair}: write -p name=value, as in -p seeds=3")
        if key in found:
            raise UserError(f"-p {key}: given twice ({found[key]!r} and {value!r}); give it once")
        found[key] = value
    return found


def check_names(assignments: Mapping[str, str], notebooks: Mapping[str, Mapping[str, Parameter]]) -> None:
    """UserError unless every assigned name is a parameter of at least one of `notebooks`."""
    every = sorted({name for parameters in notebooks.values() for name in parameters})
    for key in assignments:
        if key not in every:
            raise unknown(key, every, "parameter", f"-p {key}={assignments[key]}: " + ", ".join(notebooks))


def resolve(
    notebook: str, parameters: Mapping[str, Parameter], profile: Profile, assignments: Mapping[str, str]
) -> Resolved:
    """What each parameter of `notebook` will be: from -p, else the notebook's section, `common`, or the default."""
    values: dict[str, Value] = {}
    origin: dict[str, str] = {}
    section = profile.sections.get(short_name(notebook), {})
    for name, parameter in parameters.items():
        values[name], origin[name] = parameter.default, "default"
        for layer, place in ((profile.common, "common"), (section, short_name(notebook))):
            if name in layer:
                values[name] = check(parameter, layer[name], f"profile {profile.name}, {place}")
                origin[name] = profile.name
        if name in assignments:
            values[name], origin[name] = convert(parameter, assignments[name], f"-p {name} ({notebook})"), "-p"
    return Resolved(values, origin)
