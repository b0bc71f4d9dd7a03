"""Four ways to a long thought, side by side in miniature: what each costs, how much it reflects, what it teaches.

The report's Figure 2 ranks distillation, debate, tree search and human annotation by cost and gives no number. Here the
first three are run on the same training problems by the tiny students of this book, each call is counted, and a student
is trained on the same number of accepted thoughts of each. Distillation is run twice: from the rule-based teacher, and
from a student that was distilled from it, since a program's seconds say nothing about a model's. People are not
imitated: the thoughts that people wrote are shown with their recorded time.

The policy of debate and search is the student of an ablation, trained on a few thoughts, so that it errs. The critic
is the student of plain right thoughts, which works each line out again (see `thoughts.miniature`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from longthought import experiments as ex
from longthought.artifacts import artifact_key, build, path_of
from longthought.curation.cards import DataCard, card_of, origin_of_problems
from longthought.engines import TransformersEngine
from longthought.errors import UserError
from longthought.evaluation.samples import Graded
from longthought.models import load
from longthought.problems import Problem
from longthought.statistics import LEVEL, Comparison, compare, format_p, holm, rate, verdict, wilson
from longthought.tables import comparison_cells
from longthought.thoughts import miniature
from longthought.thoughts.debate import DebateOptions
from longthought.thoughts.distil import DistilOptions
from longthought.thoughts.human import examples
from longthought.thoughts.record import Call, Thought
from longthought.thoughts.reflection import load_cases, measured, reflection
from longthought.thoughts.search import BEST_FIRST, MCTS, SearchOptions
from longthought.thoughts.sets import ThoughtSet, costs, read_set, training_examples
from longthought.thoughts.steps import MINIATURE
from longthought.training import Stage

RULES, STUDENT = "distilled from rules", "distilled from a student"
DEBATE, TREE, MCTS_TREE = "debate", "tree search, best-first", "tree search, MCTS"
LICENCE = "CC-BY-4.0"
STEP_TOKENS = 24  # a line of a thought takes about 14
BATCH = 1024  # rows at once: a tiny model is fast only in large batches


@dataclass(frozen=True)
class Made:
    """A set of thoughts that has been made: its candidates, and the calls behind them by id."""

    set: ThoughtSet
    thoughts: list[Thought]
    calls: dict[str, Call]

    @property
    def accepted(self) -> list[Thought]:
        """The accepted thoughts, one per problem, in the order of the problems."""
        return [t for t in self.thoughts if t.accepted]


def policy(s: ex.Settings, line: ex.Line, thoughts: int) -> Stage:
    """A student that errs often: phase 2 on few thoughts (the same as the ablation of that size)."""
    examples = ex.thought_examples(s.curriculum()[: s.thoughts], s.teacher, line.seed)[:thoughts]
    return ex.phase2(s, f"{thoughts} thoughts", line.phase1, line.seed, examples)


def critic(s: ex.Settings, line: ex.Line) -> Stage:
    """A student of right thoughts without slips (the same as the ablation without reflection)."""
    teacher = replace(s.teacher, reflection=0.0)
    examples = ex.thought_examples(s.curriculum()[: s.thoughts], teacher, line.seed)
    return ex.phase2(s, "0% reflective", line.phase1, line.seed, examples)


def sets(s: ex.Settings, line: ex.Line, policy_thoughts: int, problems: int, expansions: int) -> list[ThoughtSet]:
    """Every method on the same `problems` training problems, which no distilled student has seen. Not yet made.

    `expansions` is the budget of a tree search on one problem. The second way to choose in a tree gets a quarter of
    the problems, enough for its cost: searching is by far the slowest.
    """
    curriculum = s.curriculum()
    if problems + s.thoughts > len(curriculum):
        raise UserError(
            f"method_problems is {problems} and thoughts {s.thoughts}, but only {len(curriculum)} training problems "
            "exist: lower one, or add a difficulty or a family"
        )
    pool = tuple(curriculum[-problems:])
    weak, checker = policy(s, line, policy_thoughts), critic(s, line)
    drawn = DistilOptions(
        max_tokens=s.max_tokens, samples=2, temperature=1.0, prompts=("miniature",), select="reflective"
    )
    # Hot enough that the policy errs, and errs differently when it is sent back. What a thought may grow to follows
    # from the students' context.
    talk = DebateOptions(
        style=MINIATURE, turns=s.max_length // 21, backs=4, tokens=600, step_tokens=STEP_TOKENS,
        critic_tokens=STEP_TOKENS, temperature=1.3,
    )  # fmt: skip
    grow = SearchOptions(
        style=MINIATURE, width=8, expansions=expansions, depth=s.max_length // 30, step_tokens=STEP_TOKENS,
        rollout_tokens=s.max_length // 3, temperature=1.2,
    )  # fmt: skip
    wanted: dict[str, tuple[str, dict[str, Any], Any]] = {
        RULES: ("distil", {"teacher": s.teacher}, drawn),
        STUDENT: ("distil", {"teacher": line.distilled}, drawn),
        DEBATE: ("debate", {"policy": weak, "critic": checker}, talk),
        TREE: ("search", {"policy": weak}, replace(grow, selector=BEST_FIRST)),
        MCTS_TREE: ("search", {"policy": weak}, replace(grow, selector=MCTS)),
    }
    return [
        ThoughtSet(
            name, method, pool if name != MCTS_TREE else pool[: -(-problems // 4)], engines, options,
            device=s.device, dtype=s.dtype, batch_size=BATCH,
        )
        for name, (method, engines, options) in wanted.items()
    ]  # fmt: skip


def make(wanted: Sequence[ThoughtSet], workers: int) -> list[Made]:
    """Train whoever plays a role, make the sets that are missing, and read all of them."""
    build(wanted, workers, "thoughts by four methods")
    return [Made(one, *read_set(one)) for one in wanted]


def taught(s: ex.Settings, line: ex.Line, made: Sequence[Made], most: int, steps: int) -> list[ex.Variant]:
    """A student of each set, all on the same number of thoughts: `most`, or as many as the poorest set has.

    A method without a single accepted thought has no student, nor has the search that got fewer problems. Raises
    UserError when none has any.
    """
    fit = [one for one in made if one.accepted and one.set.label != MCTS_TREE]
    if not fit:
        raise UserError("no method gave a single right thought: give the policy more thoughts, or ask more problems")
    count = min(most, *(len(one.accepted) for one in fit))
    short = replace(s, phase2_steps=steps)
    variants = []
    for one in fit:
        examples = training_examples(one.accepted[:count])
        stage = ex.phase2(short, f"{one.set.label}, {count} thoughts", line.phase1, line.seed, examples)
        variants.append(ex.Variant("method", one.set.label, count, line.seed, stage, s.teacher))
    return variants


def student_table(variants: Sequence[ex.Variant], graded: Mapping[str, Graded]) -> pd.DataFrame:
    """Accuracy of each method's student, and the paired comparison with the first one; p adjusted after Holm (1979)."""
    first, *others = variants
    outcomes = {v.name: graded[v.stage.label].correct[:, 0] for v in variants}
    found = {v.name: compare(outcomes[first.name], outcomes[v.name]) for v in others}
    adjusted = dict(zip(found, holm([c.p for c in found.values()]), strict=True))
    rows = []
    for v in variants:
        own = graded[v.stage.label]
        row = {"trained on": v.name, "thoughts": int(v.value), "accuracy": str(rate(outcomes[v.name]))}
        row["mean output tokens"] = f"{own.mean_tokens:.1f}"
        if v.name in found:
            cells = comparison_cells(found[v.name])
            p = format_p(adjusted[v.name]).removeprefix("= ")
            said = verdict(found[v.name]) if adjusted[v.name] < LEVEL else "not distinguishable"
            row |= {f"against {first.name}": said} | cells | {"p, Holm": p}
        rows.append(row)
    return pd.DataFrame(rows)


def reflective_share(made: Sequence[Made]) -> dict[str, Any]:
    """Accepted thoughts with at least one mark of reflection, per method, as rates for a figure."""
    return {
        one.set.label: wilson(
            sum(reflection(t.text, t.problem.language, t.problem.text).present for t in one.accepted),
            len(one.accepted),
        )
        for one in made
        if one.accepted
    }


def told(made: Sequence[Made]) -> list[dict[str, str]]:
    """A problem on which every method has an accepted thought, with these; otherwise one thought of each method."""
    fit = [one for one in made if one.accepted and one.set.label != MCTS_TREE]
    own = [{t.problem.id: t for t in one.accepted} for one in fit]
    shared = [p for p in made[0].set.problems if all(p.id in thoughts for thoughts in own)]
    if not shared:
        return [_heading(one.accepted[0].problem) | {one.set.label: one.accepted[0].text} for one in fit]
    # A larger answer takes a longer search, in which more can be seen.
    problem = max(shared[:40], key=lambda p: (p.language == "en", int(p.gold)))
    return [_heading(problem) | {one.set.label: t[problem.id].text for one, t in zip(fit, own, strict=True)}]


def _heading(problem: Problem) -> dict[str, str]:
    return {"problem": problem.text, "gold": problem.gold}


def grown(made: Sequence[Made], most: int = 60) -> Thought | None:
    """The accepted thought of a tree search with the most wrong turns in a tree of at most so many nodes, if any."""
    trees = [t for one in made for t in one.accepted if "tree" in t.details]
    fit = [t for t in trees if len(t.details["tree"]["nodes"]) <= most]

    def worth(thought: Thought) -> tuple[int, bool, int]:
        nodes = thought.details["tree"]["nodes"]
        return sum(node["wrong_turn"] for node in nodes), thought.problem.language == "en", len(nodes)

    return max(fit, key=worth, default=None)


@dataclass(frozen=True)
class Judgements:
    """What a critic says of `lines` lines of problems, half of them spoilt, as an artifact."""

    critic: Stage
    problems: tuple[Problem, ...]
    lines: int
    seed: int

    label = "critic"
    kind = "judgements"

    @cached_property
    def key(self) -> str:
        """Hash of the critic, the lines and the code that makes and judges them."""
        asked = [[p.id for p in self.problems], self.lines, self.seed, STEP_TOKENS]
        return artifact_key("longthought.thoughts.miniature", {"critic": self.critic.key, "asked": asked})

    @property
    def needs(self) -> list[Stage]:
        """The critic."""
        return [self.critic]

    def make(self, folder: Path) -> None:
        """Let it judge, and write the counts by truth and verdict."""
        model, tokenizer = load(str(path_of(self.critic)))
        engine = TransformersEngine(model, tokenizer, name=self.critic.label, batch_size=BATCH)
        cases = miniature.critic_cases(self.problems, self.lines, self.seed)
        found = miniature.judgements(cases, engine, STEP_TOKENS)
        rows = [[truth, said, count] for (truth, said), count in found.items()]
        (folder / "judgements.json").write_text(json.dumps(rows), encoding="utf-8")


def critic_table(s: ex.Settings, line: ex.Line, problems: Sequence[Problem], lines: int = 400) -> pd.DataFrame:
    """The critic on `lines` lines of held-out problems, half of them spoilt: what it says of either."""
    judged = Judgements(critic(s, line), tuple(problems), lines, line.seed)
    (folder,) = build([judged], 1, "critic")
    found = json.loads((folder / "judgements.json").read_text(encoding="utf-8"))
    rows = []
    for truth in ("right", "wrong"):
        own = {said: count for of, said, count in found if of == truth}
        n = sum(own.values())
        rows.append({"line is": truth} | {said: str(wilson(count, n)) for said, count in own.items()})
    return pd.DataFrame(rows)


def scorer_table() -> pd.DataFrame:
    """How the marks of reflection do on labelled passages, both languages together."""
    found = measured(load_cases())
    return found[found["language"] == "both"].drop(columns="language").reset_index(drop=True)


def written() -> list[dict[str, str]]:
    """The thoughts that people wrote for the book, in full."""
    return [_heading(t.problem) | {str(t.details["author"]): t.text} for t in examples()]


def findings(
    made: Sequence[Made], variants: Sequence[ex.Variant], graded: Mapping[str, Graded]
) -> dict[str, Comparison | str]:
    """What prose says of the methods: tokens per accepted thought, each student against the first, and all together."""
    said: dict[str, Comparison | str] = {}
    for one in made:
        ratio = costs(one.thoughts, one.calls).per["output tokens"]
        said[f"tokens_{slug(one)}"] = f"{ratio} output tokens per accepted thought"
    first, *others = [graded[v.stage.label].correct[:, 0] for v in variants]
    found = {v.name: compare(first, own) for v, own in zip(variants[1:], others, strict=True)}
    said |= {f"student_{named(name)}": c for name, c in found.items()}
    differ = [name for name, p in zip(found, holm([c.p for c in found.values()]), strict=True) if p < LEVEL]
    apart = f"{len(differ)} of {len(found)} differ ({', '.join(differ)})" if differ else f"none of {len(found)} differs"
    said["methods_taught"] = (
        f"on {int(variants[0].value)} thoughts each, {apart} from the student {variants[0].name}, after Holm"
        if found
        else "no two methods gave thoughts in this run"
    )
    return said


def slug(one: Made) -> str:
    """The name of a set as the name of something published."""
    return named(one.set.label)


def named(label: str) -> str:
    """Lower case, with _ for whatever is no letter."""
    return re.sub(r"[^a-z]+", "_", label.lower())


def card(one: Made) -> DataCard:
    """The data card of a set."""
    return card_of(one.set.label, one.thoughts, one.calls, [origin_of_problems(one.set.problems, LICENCE)])
