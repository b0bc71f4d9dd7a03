"""The comparison of methods: equal problems, equal numbers of thoughts, every test adjusted, nothing made up when a
method fails."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from longthought import experiments as ex
from longthought import methods, preparation
from longthought.errors import UserError
from longthought.runs.parameters import read_parameters
from longthought.thoughts.distil import DistilOptions, distil
from longthought.thoughts.procedural import Teacher
from longthought.thoughts.record import Trace
from longthought.thoughts.rule_based import RuleBasedEngine

NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "01_distillation.ipynb"


@pytest.fixture(scope="module")
def settings() -> ex.Settings:
    parameters = {name: p.default for name, p in read_parameters(NOTEBOOK).items()}
    return ex.Settings.of(parameters | {"thoughts": 500})


@pytest.fixture(scope="module")
def line(settings: ex.Settings) -> ex.Line:
    return ex.main_line(settings, 0)


@pytest.fixture(scope="module")
def sets(settings: ex.Settings, line: ex.Line) -> list:
    return methods.sets(settings, line, 100, 30, 4)


def made(one, accuracy: float) -> methods.Made:
    """A set as it would be, had a rule-based teacher of that accuracy made it."""
    trace = Trace()
    engine = RuleBasedEngine(one.problems, Teacher(accuracy=accuracy, slip=0.3))
    options = DistilOptions(max_tokens=400, samples=1, prompts=("miniature",))
    return methods.Made(one, distil(one.problems, engine, options, trace), trace.calls)


def test_all_methods_work_on_the_same_unseen_problems(settings, line, sets) -> None:
    asked = [tuple(p.id for p in one.problems) for one in sets]
    assert len(set(asked[:4])) == 1 and len(asked[0]) == 30 and asked[4] == asked[0][:8]
    seen = {e.problem.id for e in line.distilled.examples}
    assert not seen & set(asked[0])
    assert all(p.split == "train" for p in sets[0].problems)
    assert [one.method for one in sets] == ["distil", "distil", "debate", "search", "search"]


def test_policy_and_critic_are_the_students_of_the_ablations(settings, line, sets) -> None:
    ablated = {v.name: v.stage.key for v in ex.ablations(settings, line, [100], [0.0])}
    assert methods.policy(settings, line, 100).key == ablated["100 thoughts"]
    assert methods.critic(settings, line).key == ablated["0% reflective"]
    debate = next(one for one in sets if one.method == "debate")
    assert debate.engines["policy"].key == ablated["100 thoughts"]


def test_more_problems_than_are_left_is_one_clear_line(settings, line) -> None:
    with pytest.raises(UserError, match=r"method_problems is 100000 and thoughts 500, but only \d+ training problems"):
        methods.sets(settings, line, 100, 100_000, 4)


def test_students_learn_from_equally_many_thoughts(settings, line, sets) -> None:
    own = [made(sets[0], 1.0), made(sets[1], 0.5), made(sets[2], 0.0)]
    poorest = len(own[1].accepted)
    assert 5 < poorest < 25 and not own[2].accepted
    variants = methods.taught(settings, line, own, 1000, 7)
    assert [v.name for v in variants] == [sets[0].label, sets[1].label]
    assert {len(v.stage.examples) for v in variants} == {poorest} and {v.stage.steps for v in variants} == {7}
    assert {len(v.stage.examples) for v in methods.taught(settings, line, own, 3, 7)} == {3}
    with pytest.raises(UserError, match="no method gave a single right thought"):
        methods.taught(settings, line, own[2:], 10, 7)


def test_the_table_of_students_adjusts_for_the_number_of_comparisons(settings, line, sets) -> None:
    variants = methods.taught(settings, line, [made(one, 1.0) for one in sets], 20, 5)
    right = dict(zip([v.stage.label for v in variants], (100, 113, 100, 160), strict=True))
    graded = {
        name: SimpleNamespace(correct=(np.arange(200) < k)[:, None], mean_tokens=50.0) for name, k in right.items()
    }
    table = methods.student_table(variants, graded)
    against = table.columns[table.columns.str.startswith("against")][0]
    said = dict(zip(table["trained on"], table[against], strict=True))
    # 13 : 0 discordant is p = 0.0002 alone and stays below 0.05 after Holm; equal outcomes never differ.
    assert said[variants[1].name] == "different" and said[variants[2].name] == "not distinguishable"
    assert said[variants[3].name] == "different"
    close = dict(zip(right, (100, 106, 94, 106), strict=True))
    graded = {
        name: SimpleNamespace(correct=(np.arange(200) < k)[:, None], mean_tokens=50.0) for name, k in close.items()
    }
    table = methods.student_table(variants, graded)
    # 6 : 0 is p = 0.031 each, and three such tests tell nothing together.
    assert (table[against].dropna() == "not distinguishable").all()
    assert table["p"].dropna().astype(float).max() < 0.05 < table["p, Holm"].dropna().astype(float).min()


def test_what_is_shown_comes_from_one_problem(sets) -> None:
    shown = methods.told([made(one, 1.0) for one in sets[:3]])
    assert len(shown) == 1 and list(shown[0])[2:] == [one.label for one in sets[:3]]
    alone = methods.told([made(sets[0], 1.0), made(sets[1], 0.0)])
    assert len(alone) == 1 and list(alone[0]) == ["problem", "gold", sets[0].label]


def test_the_drawn_tree_is_the_richest_that_fits(sets) -> None:
    own = made(sets[3], 1.0)

    def tree(nodes: int, turns: int) -> dict:
        return {"tree": {"nodes": [{"wrong_turn": i < turns} for i in range(nodes)]}}

    first, second, third, *rest = own.thoughts
    grown = [
        replace(first, details=tree(10, 1)),
        replace(second, details=tree(20, 3)),
        replace(third, details=tree(90, 9)),
    ]
    assert methods.grown([replace(own, thoughts=[*grown, *rest])]) == grown[1]
    assert methods.grown([made(sets[0], 1.0)]) is None


def test_cards_and_findings_are_named_after_their_sets(settings, line, sets) -> None:
    own = [made(one, 0.8) for one in sets[:2]]
    card = methods.card(own[0])
    assert card.size == len(own[0].accepted) and card.origins[0].rows == 30
    variants = methods.taught(settings, line, own, 10, 5)
    graded = {v.stage.label: SimpleNamespace(correct=np.ones((200, 1), bool)) for v in variants}
    found = methods.findings(own, variants, graded)
    assert set(found) == {
        "tokens_distilled_from_rules", "tokens_distilled_from_a_student", "student_distilled_from_a_student",
        "methods_taught",
    }  # fmt: skip
    assert str(found["methods_taught"]).startswith("on 10 thoughts each, none of 1 differs")
    assert "output tokens per accepted thought" in str(found["tokens_distilled_from_rules"])


def test_a_file_is_curated_once_and_screened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTHOUGHT_ARTIFACTS", str(tmp_path / "artifacts"))
    rows = [
        {"source": "olympiads", "problem": f"Find the number of lattice points on $x^2 + {i} y = {i * i + 7}$ with "
         f"$0 < x < {i + 20}$.", "solution": f"So \\boxed{{{i}}}."}
        for i in range(12)
    ]  # fmt: skip
    rows.append({"source": "olympiads", "problem": "Prove that 2 is prime.", "solution": "Clear."})
    train, bench = tmp_path / "train.jsonl", tmp_path / "bench.jsonl"
    train.write_text("".join(json.dumps(row) + "\n" for row in rows))
    bench.write_text(json.dumps({"problem": rows[4]["problem"], "answer": "4"}) + "\n")
    summary = preparation.curated(str(train))
    assert (summary.read, summary.kept) == (13, 12)
    assert preparation.curated(str(train)) == summary
    table = preparation.screened(str(train), str(bench)).set_index("stage")
    assert table.loc["any but template", "rows"].startswith("1/12") and table.loc["exact", "rows"].startswith("1/12")
    assert table.loc["template", "rows"].startswith("11/12")
