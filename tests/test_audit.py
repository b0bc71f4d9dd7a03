"""The audit of the grader: known truths, counted right, bugs of others absent, and a recording that still holds."""

import importlib.metadata
import json
import threading
from fractions import Fraction

import pytest

from longthought import audit
from longthought.errors import UserError
from longthought.grading import grade
from longthought.lint import check_table

POLICY_VERDICTS = [
    "wrong", "wrong", "correct", "correct", "correct", "wrong", "correct", "wrong", "correct", "wrong", "correct",
    "wrong", "correct", "correct", "wrong", "correct", "wrong", "wrong", "undecided",
]  # fmt: skip
EXTRACTION_VERDICTS = [
    "correct", "wrong", "no_answer", "correct", "no_answer", "no_answer", "no_answer", "no_answer", "correct",
    "wrong", "undecided",
]  # fmt: skip


def test_the_examples_of_the_policy_show_what_their_rules_say():
    assert list(audit.policy_table()["verdict"]) == POLICY_VERDICTS
    table = audit.extraction_table()
    assert list(table["verdict"]) == EXTRACTION_VERDICTS
    assert table["why"].str.startswith("marker").sum() == 1


def test_errors_are_counted_by_their_kind():
    rows = [
        audit.Judged("a", True, "correct"), audit.Judged("a", True, "wrong"), audit.Judged("a", True, "no_answer"),
        audit.Judged("a", True, "undecided"), audit.Judged("b", False, "wrong"), audit.Judged("b", False, "correct"),
        audit.Judged("b", False, "no_answer"), audit.Judged("b", None, "undecided"), audit.Judged("b", None, "wrong"),
    ]  # fmt: skip
    found = audit.errors(rows)
    assert (found.right.k, found.right.n) == (4, 9)
    assert (found.false_accepts.k, found.false_accepts.n) == (1, 3)
    assert (found.false_rejects.k, found.false_rejects.n) == (2, 4)
    assert (found.undecided.k, found.undecided.n) == (2, 9)
    table = audit.errors_table(rows)
    assert list(table["kind"]) == ["a", "b", "all"]
    assert table["false accepts"][0] == "nothing different" and table["false rejects"][1] == "nothing equal"


def test_the_whole_case_table_is_judged():
    judged = audit.judge_cases()
    found = audit.findings(judged, "table")
    assert found["table_rows"] == len(audit.case_table()) > 500
    assert found["table_right"].k == found["table_rows"]
    assert {row.kind for row in judged} >= {"integer", "surd", "interval", "extraction"}


def test_generated_pairs_are_repeatable_and_of_both_kinds():
    pairs = list(audit.generated_pairs(200, 3))
    assert pairs == list(audit.generated_pairs(200, 3)) != list(audit.generated_pairs(200, 4))
    for kind in ("fractions", "surds", "intervals", "sets", "polynomials"):
        equal = [row[3] for row in pairs if row[0] == kind]
        assert len(equal) == 200 and 60 < sum(equal) < 140
    assert sum(gold == answer for _, gold, answer, _ in pairs) < len(pairs) / 10


def test_finite_and_repeating_decimals_are_spelled_exactly():
    for text, value in (("0.25", "1/4"), ("-2.5", "-5/2"), ("0.0001", "1/10000"), ("", "1/7")):
        assert audit._decimal(Fraction(value)) == text
    assert audit._decimal(Fraction(-4, 3)) == "-1.\\overline{3}"
    assert audit._decimal(Fraction(1, 99)) == "0.\\overline{01}"


@pytest.mark.parametrize("kind", ["fractions", "surds", "intervals", "sets", "polynomials"])
def test_generated_pairs_are_graded_right(kind):
    rows = [row for row in audit.generated_pairs(300, 11) if row[0] == kind]
    missed = [row for row in rows if grade(row[1], audit.boxed(row[2])).correct != row[3]]
    assert not missed


@pytest.mark.parametrize("row", audit.known_bugs(), ids=lambda row: f"{row['grader']}: {row['bug']}")
def test_the_bugs_of_other_graders_are_absent(row):
    assert row["source"] and row["there"] and row["equal"] in ("yes", "no")
    assert audit.bug_is_absent(row)
    assert grade(row["gold"], row["completion"]).verdict != "undecided"
    found = []
    worker = threading.Thread(target=lambda: found.append(audit.bug_is_absent(row)))
    worker.start()
    worker.join(20)
    assert found == [True]


def test_a_disagreement_is_settled_by_the_table():
    beside = audit.beside_math_verify()
    assert len(beside.ours) == len(beside.theirs) > 400
    apart = beside.disagreements
    assert len(apart) == sum(
        (a.verdict == "correct") != (b.verdict == "correct") for a, b in zip(beside.ours, beside.theirs, strict=True)
    )
    assert set(apart["right"]) <= {"ours", "Math-Verify"}
    row = apart[(apart["gold"] == "73_8") & (apart["answer"] == "73_9")].iloc[0]
    assert (row["Math-Verify"], row["ours"], row["right"]) == ("accepts", "wrong", "ours")
    found = audit.beside_findings(beside)
    assert found["made_by"].startswith("Math-Verify 0.9.0, recorded on 20")
    assert found["apart"] == f"{len(apart)} of {len(beside.ours)} rows"


def test_a_row_newer_than_the_recording_is_left_out(monkeypatch):
    full = audit.beside_math_verify()
    rows = audit._data("math_verify.csv")
    monkeypatch.setattr(audit, "_data", lambda name: rows[10:])
    fewer = audit.beside_math_verify()
    assert fewer.left_out == full.left_out + 10
    assert len(fewer.ours) == len(full.ours) - 10


def test_every_table_passes_the_lint_and_is_plain_data():
    judged = audit.judge_cases()
    beside = audit.beside_math_verify()
    for frame in (
        audit.policy_table(), audit.extraction_table(), audit.errors_table(judged), audit.generated_examples(2, 0),
        audit.bugs_table(), audit.beside_table(beside), beside.disagreements,
    ):  # fmt: skip
        check_table(frame, "a table")
        json.loads(frame.to_json())


def _installed():
    try:
        return importlib.metadata.version("math-verify")
    except importlib.metadata.PackageNotFoundError:
        return None


def test_without_the_package_the_live_way_says_what_to_do(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(audit.importlib.metadata, "version", missing)
    with pytest.raises(UserError, match="pip install math-verify"):
        audit.beside_math_verify(live=True)


@pytest.mark.skipif(_installed() != "0.9.0", reason="the recording was made with math-verify 0.9.0")
def test_the_recording_and_the_bugs_are_what_math_verify_says():
    rows = audit._data("math_verify.csv")[::12]
    slow = [row for row in rows if "9^{9" in row["completion"]]
    for row in (row for row in rows if row not in slow):
        assert audit.math_verify(row["gold"], row["completion"]) == (row["accepted"] == "yes"), row
    for bug in audit.known_bugs():
        if bug["grader"] == "Math-Verify 0.9.0" and bug["there"] in ("accepted", "rejected"):
            assert audit.math_verify(bug["gold"], bug["completion"]) == (bug["there"] == "accepted"), bug


def test_the_examination_counts_a_refusal_as_right_where_nothing_should_be_accepted():
    judged = audit.judge_examination()
    found = audit.errors(judged)
    assert found.rows > 2000 and found.false_accepts is not None and found.false_accepts.k == 0
    assert found.right is not None and found.right.value > 0.97
    assert {row.kind for row in judged} == {
        "written blind", "written after the first results", "written against the code"
    }  # fmt: skip
