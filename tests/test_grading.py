"""Grading: what counts as an answer, what counts as equal, and that hostile text costs only its length."""

import json
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longthought.grading import equivalent, extract_boxed, grade, vote_key

SHARED_CASES = Path(__file__).parents[2] / "shared" / "grading" / "cases.jsonl"


@pytest.mark.parametrize(
    ("text", "box"),
    [
        (r"so \boxed{ 4 } .", "4"),
        (r"\boxed{1} no, \boxed{2}", "2"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\boxed{5}}", "5"),
        (r"\fbox{12}", "12"),
        (r"\boxed{3} and then \boxed{", "3"),
        (r"\boxed{3} and then \boxed{ }", "3"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"<think> \boxed{3}", None),
        (r"<think> \boxed{3} </think> it is 4", None),
        (r"<think> \boxed{3} </think> \boxed{4}", "4"),
        ("the answer is 42", None),
        ("", None),
        (r"\boxed{", None),
        (r"\boxed{}", None),
    ],
)
def test_extraction(text, box):
    assert extract_boxed(text) == box


@pytest.mark.parametrize(
    ("gold", "answer", "same"),
    [
        ("25", "025", True),
        ("25", "25.0", True),
        ("25", "-25", False),
        ("1/2", r"\frac{1}{2}", True),
        ("1/2", "0.5", True),
        ("1/3", "0.333", False),
        ("10000", "10,000", True),
        ("10000", "10001", False),
        ("10", "1,0", False),
        ("5", "500", False),
        ("x", r"\text{x}", True),
        ("3", "3 apples", False),
        ("1", r"\frac{1}{0}", False),
    ],
)
def test_equivalence(gold, answer, same):
    assert equivalent(gold, answer) is same
    assert equivalent(answer, gold) is same


def test_verdicts():
    assert grade("4", r"\boxed{4}").verdict == "correct"
    assert grade("4", r"\boxed{5}").verdict == "wrong"
    assert grade("4", "4").verdict == "no_answer"


def test_equivalent_answers_vote_together():
    assert vote_key("0.5") == vote_key(r"\frac{1}{2}") == vote_key("1/2")
    assert vote_key("5") != vote_key("50")


@given(st.text(max_size=300))
def test_any_text_gets_a_verdict_and_is_equal_to_itself(text):
    assert grade("1", text).verdict in ("correct", "wrong", "no_answer")
    assert equivalent(text, text)


@pytest.mark.parametrize(
    "text",
    [
        "\\boxed{" * 100_000 + "}" * 100_000,
        "{" * 500_000,
        "\\boxed{" + "9" * 500_000 + "}",
        "\\boxed{9^{9^{9^9}}}" * 10_000,
    ],
)
def test_hostile_answers_cost_only_their_length(text):
    started = time.monotonic()
    grade("1", text)
    assert time.monotonic() - started < 10


@pytest.mark.skipif(not SHARED_CASES.exists(), reason="the labelled cases are not on this machine")
def test_written_out_integers_of_the_labelled_cases_are_right():
    cases = [json.loads(line) for line in SHARED_CASES.read_text().splitlines()]
    plain = [c for c in cases if not c["policy"] and re.fullmatch(r"-?\d+(\.0)?", c["extracted"] or "")]
    plain = [c for c in plain if re.fullmatch(r"-?\d+", c["gold"])]
    assert len(plain) > 3
    assert [c["id"] for c in plain if grade(c["gold"], c["pred"]).correct != c["expected"]] == []
