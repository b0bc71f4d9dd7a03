"""Tables and findings: sentences follow from the tests, and reported numbers stay reported."""

from types import SimpleNamespace

import numpy as np
import pytest

from longthought import experiments as ex
from longthought.evaluation.scaling import Point
from longthought.statistics import compare
from longthought.tables import (
    ceiling_findings,
    ceiling_table,
    comparison_table,
    matched_rows,
    reported_table1,
    result_name,
    scaling_findings,
    variant_table,
)
from longthought.thoughts.procedural import Teacher

N = 200


def variant(errors, accuracy, rejection=False):
    name = f"{errors} {accuracy} {rejection}"
    stage = SimpleNamespace(label=name, examples=())
    return ex.Variant(errors, name, accuracy, 0, stage, Teacher(), rejection)


def first(k):
    return np.arange(N) < k


def answers(k):
    return SimpleNamespace(correct=first(k)[:, None])


@pytest.mark.parametrize(
    ("taught", "own", "verdict"),
    [
        (100, 160, "student surpasses its teacher"),
        (160, 100, "student stays below"),
        (100, 103, "not distinguishable"),
        (100, 100, "not distinguishable"),
    ],
)
def test_the_ceiling_is_judged_by_a_test_not_by_a_glance(taught, own, verdict):
    v = variant("random", 0.5)
    graded, teachers = {v.stage.label: answers(own)}, {v.stage.label: list(first(taught))}
    assert ceiling_table([v], graded, teachers)["verdict"].tolist() == [verdict]


def test_findings_count_what_the_table_says():
    variants = [variant("random", 0.5), variant("random", 0.8), variant("random", 0.5, True), variant("random", 1.0)]
    own = dict(zip([v.stage.label for v in variants], (180, 163, 90, 20), strict=True))
    taught = dict(zip(own, (100, 160, 100, 200), strict=True))
    found = ceiling_findings(
        variants, {k: answers(v) for k, v in own.items()}, {k: list(first(v)) for k, v in taught.items()}
    )
    kept = "with wrong thoughts kept, 1 of 2 students surpass their teacher, 0 stay below, 1 are not distinguishable"
    rejected = "with wrong thoughts rejected, 0 of 1 students surpass their teacher, 1 stay below"
    assert found["ceiling_random"].startswith(kept) and rejected in found["ceiling_random"]
    assert found["ceiling_systematic"] == "not tried in this run"


def test_comparisons_say_when_nothing_can_be_told():
    table = comparison_table({"a": compare(first(100), first(104)), "b": compare(first(20), first(180))})
    assert table["verdict"].tolist() == ["not distinguishable", "different"]


def test_an_ablated_student_is_compared_with_the_distilled_one_of_its_own_seed():
    reference = np.array([first(200), first(0)])
    v = ex.Variant("size", "few", 10, 1, SimpleNamespace(label="few, seed 1", examples=(1, 2)), Teacher())
    graded = {"few, seed 1": SimpleNamespace(correct=first(100)[:, None], mean_tokens=9.0)}
    row = variant_table([v], graded, reference).iloc[0]
    assert row["against distilled"] == "different" and row["training examples"] == 2
    assert row["difference, points"].startswith("+50.0 [") and row["discordant"] == "0 : 100 of 200"


def curve(label, *points):
    return [Point(label, f"maj@{i}", t, a, 0, 1, np.full(10, a)) for i, (t, a) in enumerate(points)]


def test_students_are_matched_only_where_both_were_measured():
    curves = {
        "control": curve("control", (10, 0.1), (100, 0.2)),
        "distilled": curve("distilled", (50, 0.9), (400, 1.0)),
    }
    rows = matched_rows(curves)
    assert [r["mean output tokens"] for r in rows] == ["50.0", "100.0"]
    apart = {"control": curve("control", (1, 0.1)), "distilled": curve("distilled", (50, 0.9))}
    assert [r["second minus first"] for r in matched_rows(apart)] == ["no budget reached by both"]
    found = scaling_findings(curves)
    assert "distilled minus control at 50.0 tokens" in found["matched_finding"]
    assert set(found) >= {"control_one", "distilled_vote"}


def test_one_student_alone_is_compared_with_nobody():
    found = scaling_findings({"smollm2-135m": curve("smollm2-135m", (30, 0.1), (60, 0.1))})
    assert "no two students" in found["matched_finding"] and "smollm2_135m_one" in found


def test_a_result_name_is_plain():
    assert result_name("Phase 1, seed 0/<b>") == "phase_1_seed_0_b"


def test_the_reports_table_is_marked_and_its_impossible_rate_is_named():
    table = reported_table1().set_index(["model", "benchmark"])
    ours, preview = table.loc[("Ours-72B", "AIME2024")], table.loc[("o1-preview", "MATH500")]
    assert ours["accuracy (reported)"] == "13/30"
    assert ours["95% interval (computed here)"] == "[27.4, 60.8]"
    assert "no whole number" in preview["95% interval (computed here)"]
    assert all("reported" in c for c in table.columns if "accuracy" in c or "tokens" in c)
    assert (table["source"] == "Huang et al. 2024, Table 1").all()
