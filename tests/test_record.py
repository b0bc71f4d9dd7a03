"""The record of thoughts and calls: what is written is read back, costs add up, and nothing is half written."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longthought.engines import Sampling
from longthought.errors import UserError
from longthought.problems import Problem
from longthought.thoughts.record import Call, Thought, Trace, read, spent, write
from told_engine import Told

PROBLEM = Problem("p", "What is 1+1?", "2", numbers={"a": 1})


def call(name="c", **more):
    fields = {"role": "teacher", "engine": "e", "prompt": "p", "prefix": "", "completion": "x", "prompt_tokens": 3}
    return Call(id=name, **(fields | {"output_tokens": 5, "finish": "stop", "seconds": 0.5, "cost": 0.25} | more))


@given(text=st.text(), reason=st.text(), number=st.integers())
def test_any_text_is_read_back_as_it_was(text, reason, number, tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    thought = Thought(PROBLEM, text, text, "wrong", "distil", ("c", "d"), False, reason, {"try": number})
    calls = {"c": call(prompt=text, completion=text), "d": call("d", cost=None)}
    write(folder, [thought, thought], calls)
    assert read(folder) == ([thought, thought], calls)


def test_a_failed_write_leaves_what_was_there(tmp_path):
    write(tmp_path, [Thought(PROBLEM, "a", "", "wrong", "m", (), False)], {})
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    unwritable = Thought(PROBLEM, "b", "", "wrong", "m", (), False, details={"x": object()})
    with pytest.raises(TypeError):
        write(tmp_path, [unwritable], {})
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("not json\n", "line 1: not valid JSON"),
        ('{"problem": {"id": "1"}}\n', "line 1: not a thought"),
        ('\n{"text": "x"}\n', "line 2: not a thought"),
    ],
)
def test_a_broken_line_is_named(lines, said, tmp_path):
    (tmp_path / "thoughts.jsonl").write_text(lines)
    (tmp_path / "calls.jsonl").write_text("")
    with pytest.raises(UserError, match=said):
        read(tmp_path)


def test_a_folder_without_thoughts_and_a_foreign_call_are_refused(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read(tmp_path)
    write(tmp_path, [], {})
    (tmp_path / "calls.jsonl").write_text(json.dumps({"id": "1"}))
    with pytest.raises(UserError, match="not a call"):
        read(tmp_path)


def test_the_sum_of_calls_has_a_price_only_when_all_have():
    total = spent([call("a"), call("b", output_tokens=7)])
    assert (total.calls, total.prompt_tokens, total.output_tokens, total.seconds) == (2, 6, 12, 1.0)
    assert total.cost == 0.5
    assert spent([call("a"), call("b", cost=None)]).cost is None
    assert spent([]).cost is None and spent([]).calls == 0


def test_every_answer_is_a_call_of_its_own_even_when_equal():
    trace = Trace()
    engine = Told(lambda _: "the same")
    rows = trace.ask(engine, "critic", ["a", "a"], Sampling(9, temperature=1, samples=2))
    rows += trace.ask(engine, "critic", ["a"], Sampling(9, temperature=1, samples=1), prefixes=[["begun"]])
    assert [len(row) for row in rows] == [2, 2, 1] and len(trace.calls) == 5
    assert list(trace.calls.values()) == [c for row in rows for c in row]
    assert rows[2][0].prefix == "begun" and {c.role for c in trace.calls.values()} == {"critic"}
    again, other = Trace(), Trace(part="1")
    again.ask(engine, "critic", ["a", "a"], Sampling(9, temperature=1, samples=2))
    other.ask(engine, "critic", ["a", "a"], Sampling(9, temperature=1, samples=2))
    assert list(again.calls) == list(trace.calls)[:4]
    assert not other.calls.keys() & trace.calls.keys()


def test_the_time_of_a_batch_is_shared_by_output_tokens(monkeypatch):
    clock = iter([10.0, 16.0])
    monkeypatch.setattr("longthought.thoughts.record.time.monotonic", lambda: next(clock))
    row = Trace().ask(Told(["one", "one two three"]), "teacher", ["a", "b"], Sampling(9))
    assert [c[0].seconds for c in row] == [pytest.approx(2.0), pytest.approx(4.0)]
    assert sum(c[0].output_tokens for c in row) == 6
