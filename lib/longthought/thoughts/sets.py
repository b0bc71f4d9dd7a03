"""Sets of thoughts: made once by a method and its engines, kept as an artifact, and what an accepted thought cost.

The report's Figure 2 ranks four ways to make long thoughts by cost and draws no scale. Here the cost is measured: all
calls spent on a set, those of rejected candidates included, per accepted thought, in calls, tokens, seconds and, where
a price is known, dollars. Problems are the unit of every interval, since the candidates of one problem are alike.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from importlib import import_module
from math import isfinite, isinf, nan
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from longthought.artifacts import Artifact, artifact_key, code_hash, path_of
from longthought.engines import Engine, TransformersEngine
from longthought.errors import UserError
from longthought.figures import COLOURS, MARKERS, layout
from longthought.models import load
from longthought.problems import Problem
from longthought.progress import report
from longthought.statistics import CONFIDENCE, DRAWS, Rate, clustered_interval, wilson
from longthought.thoughts import record
from longthought.thoughts.distil import reflected
from longthought.thoughts.procedural import Teacher
from longthought.thoughts.prompts import Prompt
from longthought.thoughts.record import Call, Spent, Thought, Trace, spent
from longthought.thoughts.rule_based import RuleBasedEngine
from longthought.training import Example, Stage

# A method is the function of its name in the module of its name here, and takes an engine for each of these roles.
METHODS = {"reformat": ("teacher",), "distil": ("teacher",), "debate": ("policy", "critic"), "search": ("policy",)}
MEASURES: Mapping[str, Callable[[Spent], float | None]] = {
    "calls": lambda s: s.calls,
    "prompt tokens": lambda s: s.prompt_tokens,
    "output tokens": lambda s: s.output_tokens,
    "seconds": lambda s: s.seconds,
    "US dollars": lambda s: s.cost,
}
Source = Stage | Teacher | str


def roles(method: str) -> tuple[str, ...]:
    """The roles that a method needs an engine for. Raises UserError for an unknown method."""
    if method not in METHODS:
        raise UserError(f"unknown method {method!r}: choose from {', '.join(METHODS)}")
    return METHODS[method]


def method_module(method: str) -> Any:
    """The module of a method. Raises UserError for an unknown one."""
    roles(method)
    return import_module(f"longthought.thoughts.{method}")


def options_class(method: str) -> Any:
    """The dataclass of a method's options."""
    return getattr(method_module(method), f"{method.capitalize()}Options")


def run_method(
    method: str,
    problems: Sequence[Problem],
    engines: Mapping[str, Engine],
    options: Any,
    trace: Trace,
    progress: Callable[[int, int], None] | None = None,
) -> list[Thought]:
    """The candidates that a method makes with an engine for each of its roles."""
    ordered = [engines[role] for role in roles(method)]
    return list(getattr(method_module(method), method)(problems, *ordered, options, trace, progress))


def check_roles(method: str, given: Sequence[str]) -> None:
    """Raise UserError unless an engine is given for each role of the method, and for no other."""
    if set(roles(method)) != set(given):
        wanted, got = " and ".join(roles(method)), ", ".join(given) or "nothing"
        raise UserError(f"{method} needs an engine as {wanted}, not as {got}")


@dataclass(frozen=True)
class ThoughtSet:
    """The thoughts of one method on `problems`, and, once made, their folder (see `artifacts`).

    `engines` names for each role of the method who plays it: a trained `Stage`, a rule-based `Teacher`, or what
    `engines.choose.open_engine` opens. `options` is the dataclass of the method's options.
    """

    label: str
    method: str
    problems: tuple[Problem, ...]
    engines: Mapping[str, Source] = field(hash=False)
    options: Any
    device: str = "cpu"
    dtype: str = "float32"
    batch_size: int = 96

    kind = "thoughts"

    def __post_init__(self) -> None:
        check_roles(self.method, list(self.engines))
        if not self.problems:
            raise UserError(f"{self.label}: there are no problems to think about")
        if not isinstance(self.options, options_class(self.method)):
            raise UserError(f"{self.label}: {self.method} wants {options_class(self.method).__name__}")

    @cached_property
    def key(self) -> str:
        """Hash of the method's code and options, the problems, and everything that made the engines."""
        own = {name: getattr(self, name) for name in ("method", "device", "dtype", "batch_size")}
        content = {
            "own": own,
            "options": asdict(self.options),
            "problems": [asdict(p) for p in self.problems],
            "engines": {role: _identity(source) for role, source in self.engines.items()},
        }
        return artifact_key(f"longthought.thoughts.{self.method}", content)

    @property
    def needs(self) -> Sequence[Artifact]:
        """The students that play a role."""
        return [source for source in self.engines.values() if isinstance(source, Stage)]

    def make(self, folder: Path) -> None:
        """Run the method and write `thoughts.jsonl`, `calls.jsonl` and `card.json`."""
        trace = Trace()
        engines = {role: self._open(source) for role, source in self.engines.items()}
        thoughts = run_method(
            self.method, self.problems, engines, self.options, trace, lambda done, n: report(self.label, done, n)
        )
        names = {role: engine.name for role, engine in engines.items()}
        record.write(folder, thoughts, trace.calls)
        write_card(folder, self.label, self.method, names, self.options, thoughts, trace.calls)

    def _open(self, source: Source) -> Engine:
        if isinstance(source, Teacher):
            writes = "solutions" if self.method == "reformat" else "thoughts"
            return RuleBasedEngine(self.problems, source, writes=writes)
        if isinstance(source, Stage):
            model, tokenizer = load(str(path_of(source)), dtype=self.dtype, device=self.device)
            return TransformersEngine(model, tokenizer, name=source.label, batch_size=self.batch_size)
        from longthought.engines.choose import open_engine
        from longthought.engines.options import EngineOptions

        return open_engine(source, EngineOptions(device=self.device, dtype=self.dtype, batch_size=self.batch_size))


def _identity(source: Source) -> Any:
    if isinstance(source, Stage):
        return source.key
    if isinstance(source, Teacher):
        return asdict(source) | {"code": code_hash("longthought.thoughts.rule_based")}
    return source


def read_set(made: ThoughtSet) -> tuple[list[Thought], dict[str, Call]]:
    """The thoughts and calls of a set, which must have been made."""
    return record.read(path_of(made))


def training_examples(thoughts: Sequence[Thought]) -> tuple[Example, ...]:
    """The accepted thoughts as training texts, each with its problem, so that training can refuse what it must."""
    return tuple(Example(t.problem.text, t.text, t.problem) for t in thoughts if t.accepted)


# --- what a data card says of a set ---


def write_card(
    folder: Path,
    label: str,
    method: str,
    engines: Mapping[str, str],
    options: Any,
    thoughts: Sequence[Thought],
    calls: Mapping[str, Call],
) -> None:
    """Write `card.json`: what was asked of whom, what came back, what was rejected and why, and what it cost."""
    texts: Mapping[str, Prompt] = method_module(method).prompt_texts(options)
    card = {
        "label": label,
        "method": method,
        "engines": dict(engines),
        "options": asdict(options),
        "prompts": {name: asdict(prompt) for name, prompt in texts.items()},
        "problems": len({t.problem.id for t in thoughts}),
        "candidates": len(thoughts),
        "accepted": sum(t.accepted for t in thoughts),
        "verdicts": dict(Counter(t.verdict for t in thoughts).most_common()),
        "rejections": rejections(thoughts),
        "languages": dict(Counter(t.problem.language for t in thoughts if t.accepted).most_common()),
        "families": dict(Counter(t.problem.family for t in thoughts if t.accepted).most_common()),
        "spent": asdict(spent(calls.values())),
    }
    draft = folder / ".card.json.partial"
    draft.write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    draft.replace(folder / "card.json")


def rejections(thoughts: Sequence[Thought]) -> dict[str, int]:
    """How often each reason rejected a candidate, the most frequent first."""
    return dict(Counter(t.reason for t in thoughts if not t.accepted).most_common())


# --- cost ---


@dataclass(frozen=True)
class Ratio:
    """Something per accepted thought over `n` problems, with a 95% interval; `low` and `high` are NaN without one.

    `high` is infinite where so few thoughts were accepted that another draw of problems could have given none.
    """

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        if isinf(self.value):
            return "none accepted"
        if not isfinite(self.low):
            return f"{number(self.value)}, too alike for an interval over {self.n} problems"
        top = number(self.high) if isfinite(self.high) else "no bound"
        return f"{number(self.value)} [{number(self.low)}, {top}]"


@dataclass(frozen=True)
class Costs:
    """What a set of thoughts took and gave.

    `accepted` is of candidates (interval clustered by problem), `served` of problems with an accepted thought. `per`
    holds for each of `MEASURES` the cost per accepted thought, None where it is not known; `reflection` the marks per
    100 words of an accepted thought.
    """

    accepted: Rate
    served: Rate
    per: Mapping[str, Ratio | None]
    reflection: Ratio


def costs(thoughts: Sequence[Thought], calls: Mapping[str, Call]) -> Costs:
    """The costs of all candidates, those that were rejected included.

    Raises UserError without thoughts, and where calls and thoughts do not belong together: a cost would be left out.
    """
    if not thoughts:
        raise UserError("there are no thoughts whose cost could be counted")
    own: dict[str, list[Thought]] = {}
    for thought in thoughts:
        own.setdefault(thought.problem.id, []).append(thought)
    spent_on = [{call for t in group for call in t.calls} for group in own.values()]
    spent_at_all: set[str] = set().union(*spent_on)
    for wrong, what in (
        (calls.keys() - spent_at_all, "belong to no thought"),
        (spent_at_all - calls.keys(), "are lost"),
    ):
        if wrong:
            raise UserError(f"{len(wrong)} calls {what}, so that the cost would be too low")
    sums = [spent(calls[call] for call in group) for group in spent_on]
    accepted = np.array([sum(t.accepted for t in group) for group in own.values()], dtype=float)
    tried = np.array([len(group) for group in own.values()], dtype=float)
    held = np.array([sum(reflected(t) for t in group if t.accepted) for group in own.values()], dtype=float)
    columns: dict[str, np.ndarray] = {"reflection": held}
    for name, measure in MEASURES.items():
        known = [v for v in map(measure, sums) if v is not None]
        if len(known) == len(sums):
            columns[name] = np.array(known, dtype=float)
    ratios = dict(zip(columns, _ratios(np.stack(list(columns.values())), accepted), strict=True))
    share = accepted.sum() / tried.sum()
    # The linearised ratio (Cochran 1977, section 6): its mean is the share itself, its variance that of the ratio.
    low, high = clustered_interval(share + (accepted - share * tried) / tried.mean())
    return Costs(
        Rate(int(accepted.sum()), int(tried.sum()), low, high),
        wilson(int((accepted > 0).sum()), len(own)),
        {name: ratios.get(name) for name in MEASURES},
        ratios["reflection"],
    )


def _ratios(values: np.ndarray, accepted: np.ndarray, seed: int = 0) -> list[Ratio]:
    """Sums of values per accepted thought with a percentile bootstrap over problems (Efron and Tibshirani 1993).

    `values` has the shape (measures, problems), `accepted` (problems,); all measures share their draws.
    """
    n = len(accepted)
    if not accepted.sum():
        return [Ratio(np.inf, nan, nan, n) for _ in values]
    rng, sums = np.random.default_rng(seed), []
    batch = max(1, 4_000_000 // n)
    for start in range(0, DRAWS, batch):
        times = rng.multinomial(n, np.full(n, 1 / n), size=min(batch, DRAWS - start))
        sums.append(times @ np.column_stack([accepted, *values]))
    drawn = np.concatenate(sums).T
    with np.errstate(divide="ignore", invalid="ignore"):
        # Nothing spent and nothing accepted is no cheap thought.
        found = np.nan_to_num(drawn[1:] / drawn[0], nan=np.inf, posinf=np.inf)
    edge = (1 - CONFIDENCE) / 2
    lows, highs = np.quantile(found, [edge, 1 - edge], axis=1, method="inverted_cdf")
    ratios = []
    for own, low, high in zip(values, lows, highs, strict=True):
        value = float(own.sum() / accepted.sum())
        # An interval without width would claim certainty.
        spread = not np.allclose(own, value * accepted)
        ratios.append(Ratio(value, float(low) if spread else nan, float(high) if spread else nan, n))
    return ratios


def number(x: float) -> str:
    """A cost with as many digits as matter: 12,345; 12.3; 12; 0.012."""
    return f"{x:,.0f}" if x >= 100 or x == round(x) else f"{x:.1f}" if x >= 1 else f"{x:.2g}"


def cost_cells(found: Costs) -> dict[str, str]:
    """Costs as the cells of a table's row."""
    cells = {"accepted of candidates": str(found.accepted), "problems with a thought": str(found.served)}
    for name, ratio in found.per.items():
        cells[f"{name} per accepted"] = "no price" if ratio is None else str(ratio)
    cells["reflection, marks per 100 words"] = str(found.reflection)
    return cells


def cost_table(sets: Sequence[ThoughtSet]) -> pd.DataFrame:
    """One row per set: what was accepted, and what an accepted thought cost, each with its interval over problems."""
    return pd.DataFrame([{"set": s.label, "problems": len(s.problems)} | cost_cells(costs(*read_set(s))) for s in sets])


def cost_figure(sets: Sequence[ThoughtSet], measure: str = "output tokens") -> tuple[go.Figure, pd.DataFrame]:
    """Cost per accepted thought of each set on a log axis, with its interval over problems, and the data.

    `measure` is one of `MEASURES`. A set without an accepted thought, or without a price, has a row and no dot.
    """
    if measure not in MEASURES:
        raise UserError(f"unknown measure {measure!r}: choose from {', '.join(MEASURES)}")
    figure, rows = go.Figure(), []
    for i, one in enumerate(sets):
        found = costs(*read_set(one))
        ratio = found.per[measure]
        row = {"set": one.label, "method": one.method, "measure": measure, "problems": len(one.problems)}
        row |= {"accepted": found.accepted.k, "candidates": found.accepted.n}
        known = ratio is not None and isfinite(ratio.value)
        numbers = [getattr(ratio, f.name) for f in fields(Ratio)[:3]] if known else [nan] * 3
        rows.append(row | dict(zip(("per accepted", "low", "high"), numbers, strict=True)))
        if ratio is None or not known:
            continue
        # A bar without an upper bound would have no end: it is left out, and the table says "no bound".
        up, down = (abs(x - ratio.value) if isfinite(x) else 0.0 for x in (ratio.high, ratio.low))
        figure.add_scatter(
            x=[one.label], y=[ratio.value], mode="markers", showlegend=False,
            error_y={"type": "data", "array": [up], "arrayminus": [down], "thickness": 1.5},
            marker={"size": 11, "color": COLOURS[i % len(COLOURS)], "symbol": MARKERS[i % len(MARKERS)]},
            hovertext=[f"{ratio} {measure}; {found.accepted.k}/{found.accepted.n} candidates accepted"],
            hoverinfo="text", name=one.label,
        )  # fmt: skip
    layout(figure, "", f"{measure} per thought (log)")
    figure.update_yaxes(type="log")
    return figure, pd.DataFrame(rows)
