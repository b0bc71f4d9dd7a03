"""Sets of thoughts and jobs on a user's file: made once, resumed after a kill, never mixed, and their cost adds up."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from longthought import artifacts
from longthought.cli.thinking import _show
from longthought.display import static_svg
from longthought.errors import UserError
from longthought.models import Architecture
from longthought.problems import Problem, generate
from longthought.thoughts import record
from longthought.thoughts.debate import DebateOptions
from longthought.thoughts.distil import DistilOptions
from longthought.thoughts.making import Job, run_job
from longthought.thoughts.procedural import Teacher, long_thought, vocabulary
from longthought.thoughts.record import Call, Thought
from longthought.thoughts.reformat import ReformatOptions
from longthought.thoughts.search import SearchOptions
from longthought.thoughts.sets import ThoughtSet, cost_figure, cost_table, costs, read_set, training_examples
from longthought.training import Example, Stage, Start
from small_server import QuietHandler, listening
from told_engine import Told

TRAIN = tuple(generate(40, "train", difficulties=["easy"]))
MINI = DistilOptions(max_tokens=400, samples=3, prompts=("miniature",), select="shortest")


@pytest.fixture(scope="module", autouse=True)
def own_artifacts(tmp_path_factory):
    before = os.environ.get("LONGTHOUGHT_ARTIFACTS")
    os.environ["LONGTHOUGHT_ARTIFACTS"] = str(tmp_path_factory.mktemp("artifacts"))
    yield
    os.environ.pop("LONGTHOUGHT_ARTIFACTS")
    if before:
        os.environ["LONGTHOUGHT_ARTIFACTS"] = before


@pytest.fixture(scope="module")
def tiny():
    """A student that was taught long thoughts for a moment: it often finds the answer of easy problems."""
    import random

    rng = random.Random(0)
    examples = tuple(Example(p.text, long_thought(p, Teacher(), rng), p) for p in TRAIN)
    start = Start(
        Architecture(hidden=32, layers=1, heads=2, positions=256), tuple(vocabulary(["congruence"], ["easy"]))
    )
    stage = Stage("tiny", start, examples, steps=150, batch_size=8, learning_rate=8e-3, seed=1, max_length=256)
    artifacts.make(stage)
    return stage


# --- sets as artifacts ---


def test_a_set_is_made_once_and_every_thought_is_traced():
    made = ThoughtSet("d", "distil", TRAIN, {"teacher": Teacher(accuracy=0.5)}, MINI)
    folder = Path(artifacts.make(made))
    stamp = (folder / "thoughts.jsonl").stat().st_mtime_ns
    artifacts.make(made)
    assert (folder / "thoughts.jsonl").stat().st_mtime_ns == stamp
    thoughts, calls = read_set(made)
    assert len(thoughts) == 120 and len(calls) == 120
    assert all(calls[t.calls[0]].completion == t.text and calls[t.calls[0]].prompt == t.problem.text for t in thoughts)
    card = json.loads((folder / "card.json").read_text())
    assert (card["problems"], card["candidates"]) == (40, 120)
    assert card["accepted"] + sum(card["rejections"].values()) == 120 == sum(card["verdicts"].values())
    assert card["prompts"] == {"miniature": {"en": "{problem}", "zh": "{problem}"}}
    assert card["spent"]["output_tokens"] == sum(c.output_tokens for c in calls.values())


def test_the_key_of_a_set_follows_everything_that_made_it(tiny):
    made = ThoughtSet("d", "distil", TRAIN, {"teacher": Teacher()}, MINI)
    assert replace(made, label="another").key == made.key
    others = [
        replace(made, problems=TRAIN[1:]),
        replace(made, problems=(replace(TRAIN[0], gold="99"), *TRAIN[1:])),
        replace(made, engines={"teacher": Teacher(slip=0.2)}),
        replace(made, engines={"teacher": tiny}),
        replace(made, engines={"teacher": replace(tiny, seed=2)}),
        replace(made, engines={"teacher": "smollm2-135m"}),
        replace(made, options=replace(MINI, keep=2)),
        replace(made, device="cuda"),
        replace(made, method="reformat", options=ReformatOptions()),
    ]
    assert len({made.key, *(o.key for o in others)}) == 10
    assert others[3].needs == [tiny] and list(made.needs) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"method": "dream"}, "unknown method 'dream'"),
        ({"engines": {}}, "distil needs an engine as teacher, not as nothing"),
        ({"engines": {"teacher": "a", "critic": "b"}}, "not as teacher, critic"),
        ({"problems": ()}, "no problems"),
        ({"options": ReformatOptions()}, "wants DistilOptions"),
    ],
)
def test_an_impossible_set_is_refused(change, said):
    with pytest.raises(UserError, match=said):
        ThoughtSet(
            **(
                {"label": "d", "method": "distil", "problems": TRAIN, "engines": {"teacher": "x"}, "options": MINI}
                | change
            )
        )


def test_a_student_distilled_here_teaches_the_next_one(tiny):
    made = ThoughtSet("of tiny", "distil", TRAIN, {"teacher": tiny}, replace(MINI, max_tokens=150, temperature=0.7))
    artifacts.make(made)
    thoughts, calls = read_set(made)
    examples = training_examples(thoughts)
    assert 0 < len(examples) == sum(t.accepted for t in thoughts) < len(thoughts)
    assert {c.engine for c in calls.values()} == {"tiny"}
    student = Stage("next", tiny, examples, steps=3, batch_size=4, learning_rate=1e-3, seed=1, max_length=256)
    artifacts.make(student)
    assert student.log()["examples"] == len(examples)


def test_every_method_is_made_as_a_set_and_its_card_and_cost_are_whole(tiny):
    few = TRAIN[:6]
    made = {
        "reformat": ThoughtSet("r", "reformat", few, {"teacher": Teacher()}, ReformatOptions(prompts=("miniature",))),
        "debate": ThoughtSet(
            "b",
            "debate",
            few,
            {"policy": Teacher(slip=0.2), "critic": tiny},
            DebateOptions(style="miniature", turns=20),
        ),
        "search": ThoughtSet(
            "s", "search", few, {"policy": Teacher(accuracy=0.6)}, SearchOptions(style="miniature", expansions=6)
        ),
    }
    for method, one in made.items():
        folder = Path(artifacts.make(one))
        thoughts, calls = read_set(one)
        assert {t.problem.id for t in thoughts} == {p.id for p in few}
        card = json.loads((folder / "card.json").read_text())
        assert card["method"] == method and set(card["engines"]) == set(one.engines) and card["prompts"]
        assert card["spent"]["calls"] == len(calls)
        if card["accepted"]:
            assert costs(thoughts, calls).per["calls"].value == pytest.approx(len(calls) / card["accepted"])
    assert len({one.key for one in made.values()}) == 3 and made["debate"].needs == [tiny]


def test_thoughts_on_held_out_problems_never_become_training_texts():
    held = tuple(generate(5, "held_out", difficulties=["easy"]))
    made = ThoughtSet("held", "distil", held, {"teacher": Teacher()}, MINI)
    artifacts.make(made)
    with pytest.raises(ValueError, match="not for training"):
        Stage("leak", Start(), training_examples(read_set(made)[0]), 1, 1, 1e-3, 0)


# --- cost ---


def spent_call(name, tokens=10, cost=0.1):
    return Call(name, "teacher", "e", "p", "", "x", 5, tokens, "stop", 2.0, cost)


def candidate(problem, call, accepted, text="plain"):
    calls = (call,) if isinstance(call, str) else call
    return Thought(Problem(problem, "?", "1"), text, "", "correct" if accepted else "wrong", "m", calls, accepted)


def test_the_cost_of_an_accepted_thought_holds_that_of_the_rejected():
    thoughts = [candidate("a", "1", True), candidate("a", "2", False), candidate("b", ("3", "4"), False)]
    thoughts += [candidate("c", ("5",), True), candidate("c", ("5", "6"), False)]
    calls = {str(i): spent_call(str(i), tokens=10 * i) for i in range(1, 7)}
    found = costs(thoughts, calls)
    assert (found.accepted.k, found.accepted.n, found.served.k, found.served.n) == (2, 5, 2, 3)
    assert found.per["calls"].value == 3 and found.per["output tokens"].value == 105
    assert found.per["prompt tokens"].value == 15 and found.per["seconds"].value == 6
    assert found.per["US dollars"].value == pytest.approx(0.3)
    unpriced = costs(thoughts, calls | {"6": replace(calls["6"], cost=None)})
    assert unpriced.per["US dollars"] is None and unpriced.per["calls"].value == 3
    with pytest.raises(UserError, match="1 calls belong to no thought"):
        costs(thoughts, calls | {"7": spent_call("7")})
    with pytest.raises(UserError, match="1 calls are lost"):
        costs(thoughts, {name: call for name, call in calls.items() if name != "4"})
    with pytest.raises(UserError, match="no thoughts"):
        costs([], {})


def test_without_an_accepted_thought_there_is_no_cost_and_without_spread_no_interval():
    calls = {str(i): spent_call(str(i)) for i in range(4)}
    none = costs([candidate(str(i), str(i), False) for i in range(4)], calls)
    assert str(none.per["calls"]) == "none accepted" == str(none.reflection)
    assert none.accepted.low == 0 and none.accepted.high > 0.4
    every = costs([candidate(str(i), str(i), True) for i in range(4)], calls)
    assert str(every.per["calls"]) == "1, too alike for an interval over 4 problems"
    assert every.accepted.high == 1 and every.accepted.low < 0.6
    one = costs([candidate(str(i), str(i), i == 0) for i in range(4)], calls)
    assert "no bound" in str(one.per["calls"]) and one.per["calls"].value == 4


def test_intervals_cover_the_true_cost_about_as_often_as_they_say():
    """200 sets of 40 problems whose candidates are alike within a problem: half of them are always right."""
    rng = np.random.default_rng(0)
    cost_covered = share_covered = 0
    for _ in range(200):
        easy = rng.random(40) < 0.5
        thoughts = [candidate(str(i), f"{i}-{j}", bool(easy[i])) for i in range(40) for j in range(3)]
        calls = {c: spent_call(c) for t in thoughts for c in t.calls}
        found = costs(thoughts, calls)
        share_covered += found.accepted.low <= 0.5 <= found.accepted.high
        cost_covered += found.per["calls"].low <= 2 <= found.per["calls"].high
    assert 0.90 < share_covered / 200 <= 0.99
    assert 0.90 < cost_covered / 200 <= 0.99


def test_the_table_and_the_figure_show_every_set_with_its_interval():
    good = ThoughtSet("always right", "distil", TRAIN, {"teacher": Teacher(slip=0.3)}, MINI)
    half = ThoughtSet("half right", "distil", TRAIN, {"teacher": Teacher(accuracy=0.3)}, replace(MINI, samples=1))
    never = ThoughtSet("never", "distil", TRAIN, {"teacher": Teacher(accuracy=0.0)}, MINI)
    for one in (good, half, never):
        artifacts.make(one)
    table = cost_table([good, half, never])
    assert table["accepted of candidates"].str.match(r"\d+/(120|40) = \d+\.\d% \[\d+\.\d, \d+\.\d\]").all()
    assert table["output tokens per accepted"].str.contains(r"\[").tolist() == [True, True, False]
    assert table["US dollars per accepted"].eq("no price").all()
    assert table["reflection, marks per 100 words"].tolist()[2] == "none accepted"
    figure, data = cost_figure([good, half, never])
    assert len(figure.data) == 2 and len(data) == 3 and figure.layout.yaxis.type == "log"
    thoughts, calls = read_set(half)
    value = sum(c.output_tokens for c in calls.values()) / sum(t.accepted for t in thoughts)
    assert data["per accepted"][1] == pytest.approx(value) == figure.data[1].y[0]
    assert data["low"][1] < value < data["high"][1]
    assert "half right" in static_svg(figure)
    with pytest.raises(UserError, match="unknown measure 'joules'"):
        cost_figure([good], "joules")


# --- jobs on a user's file ---

FILE = [Problem(str(i), f"What is {i} + 1?", str(i + 1)) for i in range(10)]


def right(prompt):
    number = int(prompt.split()[2])
    return f"{number} and one is \\boxed{{{number + 1}}}" if number != 3 else "I do not know"


def job(out, problems=FILE, **more):
    options = DistilOptions(samples=1, prompts=("miniature",))
    fields = {"method": "distil", "options": options, "engines": {"teacher": "x"}, "settings": {"base_url": ""}}
    return Job(problems=problems, out=out, **(fields | {"chunk": 3} | more))


def files(folder):
    return {f.name: f.read_bytes() for f in folder.iterdir() if f.is_file()}


def test_a_job_writes_what_it_made_in_the_order_of_the_file(tmp_path):
    engine = Told(right)
    thoughts, calls, done = run_job(job(tmp_path), lambda: {"teacher": engine})
    assert done == {"done": 10, "new": 10} and len(calls) == 10
    assert [t.problem.id for t in thoughts] == [p.id for p in FILE]
    assert record.read(tmp_path) == (thoughts, calls)
    pairs = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert pairs == [{"prompt": p.text, "completion": right(p.text)} for p in FILE if p.id != "3"]
    assert json.loads((tmp_path / "card.json").read_text())["rejections"] == {"no answer": 1}
    assert not [f for f in tmp_path.rglob("*partial*")]


def test_what_is_done_is_not_asked_again_and_a_larger_limit_adds_to_it(tmp_path):
    first = Told(right)
    run_job(job(tmp_path, limit=4), lambda: {"teacher": first})
    second = Told(right)
    thoughts, _, done = run_job(job(tmp_path, limit=8), lambda: {"teacher": second})
    assert [p for p, _, _ in first.asked] == [p.text for p in FILE[:4]]
    assert [p for p, _, _ in second.asked] == [p.text for p in FILE[4:8]]
    assert done == {"done": 8, "new": 4} and len(thoughts) == 8
    before = files(tmp_path)

    def never():
        raise AssertionError("nothing is left to ask")

    assert run_job(job(tmp_path, limit=8), never)[2] == {"done": 8, "new": 0}
    assert files(tmp_path) == before


def test_equal_problems_in_different_parts_keep_their_calls_apart(tmp_path):
    twins = [replace(FILE[0], id=str(i)) for i in range(6)]
    _, calls, _ = run_job(job(tmp_path, twins, chunk=1), lambda: {"teacher": Told(right)})
    assert len(calls) == 6


def test_an_error_keeps_what_was_done_and_says_so(tmp_path):
    def breaks(prompt):
        if "7" in prompt:
            raise UserError("the next call could cost more than the cap of 1 USD")
        return right(prompt)

    with pytest.raises(UserError, match=r"cap of 1 USD \(6 of 10 problems are done and kept in .*goes on"):
        run_job(job(tmp_path), lambda: {"teacher": Told(breaks)})
    assert len(record.read(tmp_path)[0]) == 6
    assert len((tmp_path / "train.jsonl").read_text().splitlines()) == 5
    engine = Told(right)
    assert len(run_job(job(tmp_path), lambda: {"teacher": engine})[0]) == 10 and len(engine.asked) == 4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"options": DistilOptions(samples=2, prompts=("miniature",))},
            r"way \(options.samples was 1, now 2\)",
        ),
        ({"engines": {"teacher": "y"}}, 'engines.teacher was "x", now "y"'),
        ({"method": "reformat"}, 'method was "distil", now "reformat"'),
        ({"settings": {"base_url": "http://elsewhere"}}, "base_url was"),
        ({"problems": [replace(FILE[0], gold="7"), *FILE[1:]]}, "problem '0' is done and has changed"),
        ({"problems": FILE[1:]}, "problem '0' is done and is missing from"),
    ],
)
def test_one_folder_holds_one_way_of_asking(change, said, tmp_path):
    run_job(job(tmp_path, limit=3), lambda: {"teacher": Told(right)})
    before = files(tmp_path)
    with pytest.raises(UserError, match=said):
        run_job(job(tmp_path, **change), lambda: {"teacher": Told(right)})
    assert files(tmp_path) == before


def test_a_teacher_that_cannot_be_opened_leaves_nothing_and_commits_to_nothing(tmp_path):
    def fails():
        raise UserError("no such model")

    with pytest.raises(UserError, match="no such model"):
        run_job(job(tmp_path / "new"), fails)
    assert not (tmp_path / "new").exists()

    def breaks(_):
        raise UserError("no such model on the server")

    with pytest.raises(UserError, match="0 of 10") as refusal:
        run_job(job(tmp_path / "new", engines={"teacher": "typo"}), lambda: {"teacher": Told(breaks)})
    assert "goes on" not in str(refusal.value)
    assert len(run_job(job(tmp_path / "new"), lambda: {"teacher": Told(right)})[0]) == 10


def test_a_folder_that_cannot_be_one_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="is a file"):
        run_job(job(tmp_path / "file"), lambda: {"teacher": Told(right)})
    with pytest.raises(UserError, match="cannot be written to"):
        run_job(job(tmp_path / "file" / "below"), lambda: {"teacher": Told(right)})


@pytest.mark.parametrize("name", ["train.jsonl", "card.json", "settings.json", "notes.txt"])
def test_a_folder_of_the_users_own_is_left_as_it_is(name, tmp_path):
    (tmp_path / name).write_text("mine")

    def never():
        raise AssertionError("refused before an engine is opened")

    with pytest.raises(UserError, match=f"no result of think \\({name}\\); name another folder"):
        run_job(job(tmp_path), never)
    assert files(tmp_path) == {name: b"mine"} and len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_holds_only_what_was_paid_for_is_used(tmp_path):
    (tmp_path / "paid").mkdir()
    (tmp_path / ".lock").touch()
    assert run_job(job(tmp_path), lambda: {"teacher": Told(right)})[2] == {"done": 10, "new": 10}


@pytest.mark.parametrize("name", ["done.json", "thoughts.jsonl", "calls.jsonl"])
@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", None])
def test_a_damaged_part_is_named_with_its_mend_before_anything_is_asked(name, content, tmp_path):
    run_job(job(tmp_path, limit=9), lambda: {"teacher": Told(right)})
    part = tmp_path / "parts" / "00001"
    (part / name).write_bytes(content) if content is not None else (part / name).unlink()
    asked = Told(right)
    with pytest.raises(UserError, match=r"parts/00001: is damaged \(.*\); delete this folder, and its problems"):
        run_job(job(tmp_path), lambda: {"teacher": asked})
    assert not asked.asked
    for file in part.iterdir():
        file.unlink()
    part.rmdir()
    thoughts, calls, done = run_job(job(tmp_path), lambda: {"teacher": asked})
    assert done == {"done": 10, "new": 4} and len(calls) == 10
    assert [t.problem.id for t in thoughts] == [p.id for p in FILE]
    assert [p for p, _, _ in asked.asked] == [FILE[i].text for i in (3, 4, 5, 9)]


def test_a_disk_that_is_full_is_one_line_and_the_job_goes_on_later(tmp_path, monkeypatch):
    real = record.write

    def full(folder, thoughts, calls):
        if "7" in [t.problem.id for t in thoughts]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(folder, thoughts, calls)

    monkeypatch.setattr(record, "write", full)
    with pytest.raises(UserError, match=r"cannot be read or written \(No space left on device\)"):
        run_job(job(tmp_path), lambda: {"teacher": Told(right)})
    monkeypatch.undo()
    assert run_job(job(tmp_path), lambda: {"teacher": Told(right)})[2] == {"done": 10, "new": 4}


CHILD = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from told_engine import Told
from test_think import FILE, job, right
from longthought.thoughts.making import run_job

def say(prompt):
    with open({log!r}, "a") as out:
        out.write(prompt + "\\n")
    time.sleep(0.05 if int(prompt.split()[2]) < 5 else 60)
    return right(prompt)

run_job(job(Path({out!r}), chunk=2), lambda: {{"teacher": Told(say)}})
"""


def test_a_killed_job_goes_on_where_it_stood_and_two_do_not_mix(tmp_path):
    log, out = tmp_path / "asked", tmp_path / "out"
    code = CHILD.format(tests=str(Path(__file__).parent), log=str(log), out=str(out))
    child = subprocess.Popen([sys.executable, "-c", code])
    try:
        deadline = time.monotonic() + 180
        while not log.exists() or "What is 5" not in log.read_text():
            assert child.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        with pytest.raises(UserError, match="another process is making thoughts"):
            run_job(job(out, chunk=2), lambda: {"teacher": Told(right)})
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert not (out / "thoughts.jsonl").exists()
    engine = Told(right)
    thoughts, calls, done = run_job(job(out, chunk=2), lambda: {"teacher": engine})
    # The parts of two were stored up to problem 3; 4 was asked and lost with the process, 5 was under way.
    assert [p for p, _, _ in engine.asked] == [p.text for p in FILE[4:]]
    assert [t.problem.id for t in thoughts] == [p.id for p in FILE] and len(calls) == 10
    assert done == {"done": 10, "new": 6}
    assert not [f for f in (out / "parts").iterdir() if f.name.startswith(".")]


# --- the command ---


def call(*arguments, **more):
    command = [sys.executable, "-m", "longthought.cli", "think", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **more)


@pytest.fixture(scope="module")
def problem_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("file") / "problems.jsonl"
    rows = [{"id": p.id, "problem": p.text, "answer": p.gold, "solution": f"\\boxed{{ {p.gold} }}"} for p in TRAIN]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_the_command_makes_thoughts_with_a_real_model_and_says_what_they_cost(tiny, problem_file, tmp_path):
    out = tmp_path / "out"
    arguments = ("distil", problem_file, out, "--teacher", artifacts.path_of(tiny), "--prompts", "miniature")
    arguments += ("--samples", 3, "--max-tokens", 150, "--limit", 20, "--select", "shortest", "-p", "keep=2")
    done = call(*arguments)
    assert done.returncode == 0, done.stderr
    thoughts, calls = record.read(out)
    assert len(thoughts) == 60 and len(calls) == 60
    assert {t.problem.language for t in thoughts} == {"en", "zh"}
    accepted = [t for t in thoughts if t.accepted]
    assert accepted and all(t.verdict == "correct" for t in accepted)
    assert f"{len(accepted)}/60 = " in done.stdout and f"holds {len(accepted)} pairs" in done.stdout
    assert "output tokens per accepted" in done.stdout and "rejected: wrong" in done.stdout
    pairs = [json.loads(line) for line in (out / "train.jsonl").read_text().splitlines()]
    assert pairs == [{"prompt": t.problem.text, "completion": t.text} for t in accepted]
    before = files(out)
    again = call(*arguments)
    assert again.returncode == 0 and "20 problems, 0 of them now" in again.stdout and files(out) == before
    other = call(*arguments[:-2], "-p", "keep=1")
    assert other.returncode == 2 and "was made in another way" in other.stderr and files(out) == before


def test_the_command_killed_in_the_middle_loses_only_what_was_under_way(tiny, problem_file, tmp_path):
    out = tmp_path / "out"
    arguments = ("distil", problem_file, out, "--teacher", artifacts.path_of(tiny), "--prompts", "miniature")
    arguments += ("--samples", "8", "--max-tokens", "200", "--chunk", "2")
    child = subprocess.Popen([sys.executable, "-m", "longthought.cli", "think", *map(str, arguments)])
    deadline = time.monotonic() + 180
    while len(list((out / "parts").glob("[0-9]*"))) < 3:
        assert child.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    kept = {p: (p / "calls.jsonl").read_bytes() for p in (out / "parts").glob("[0-9]*")}
    assert 3 <= len(kept) < 20
    done = call(*arguments)
    assert done.returncode == 0 and f"40 problems, {40 - 2 * len(kept)} of them now" in done.stdout
    assert all((p / "calls.jsonl").read_bytes() == content for p, content in kept.items())
    assert len(record.read(out)[0]) == 320


def test_a_cap_on_money_stops_the_command_and_a_higher_one_goes_on(small_url, tmp_path):
    file, out = tmp_path / "problems.jsonl", tmp_path / "out"
    rows = [{"problem": f"What is {i} plus 1?", "answer": str(i + 1)} for i in range(6)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    key = "sk-thisisnotakeybutlookslikeone"
    environment = os.environ | {"OPENAI_API_KEY": key}
    arguments = ["distil", file, out, "--teacher", "openai:smollm2-135m", "--base-url", small_url, "--samples", 1]
    arguments += ["--max-tokens", 12, "--prompts", "plain", "--chunk", 1, "--price-in", 1, "--price-out", 2]
    stopped = call(*arguments, "--max-cost", 0.0006, env=environment)
    assert stopped.returncode == 2 and "raise max_cost" in stopped.stderr and stopped.stderr.count("\n") == 1
    thoughts, calls = record.read(out)
    assert 0 < len(thoughts) < 6
    assert 0 < sum(c.cost for c in calls.values()) <= 0.0006
    done = call(*arguments, "--max-cost", 1, env=environment)
    assert done.returncode == 0 and f"6 problems, {6 - len(thoughts)} of them now" in done.stdout
    after, priced = record.read(out)
    assert after[: len(thoughts)] == thoughts and len(after) == 6
    for found in priced.values():
        assert found.cost == pytest.approx((found.prompt_tokens + 2 * found.output_tokens) / 1e6)
    assert not [f for f in tmp_path.rglob("*") if f.is_file() and key.encode() in f.read_bytes()]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["dream", "FILE", "OUT"], "unknown method 'dream': choose from reformat, distil, debate, search"),
        (["distil", "nowhere.jsonl", "OUT"], "nowhere.jsonl: no such file"),
        (["distil", "FILE", "OUT", "--select", "best"], "unknown selection 'best'"),
        (["distil", "FILE", "OUT", "--retries", "2"], "--retries is no option of distil; there are max_tokens"),
        (["distil", "FILE", "OUT", "--critic", "x"], "distil has no critic"),
        (["distil", "FILE", "OUT", "-p", "samples=many"], "-p samples=many: a whole number is wanted"),
        (["distil", "FILE", "OUT", "-p", "sample=2"], "distil has no option 'sample'"),
        (["distil", "FILE", "OUT", "-e", "batch_size=0"], "batch_size is 0"),
        (["distil", "FILE", "OUT", "-e", "speed=9"], "the engines has no option"),
        (["distil", "FILE", "OUT", "--base-url", "http://x/sk-abcdefghijklmnopqrstuvwx"], "environment variable"),
        (["distil", "FILE", "OUT", "--base-url", "http://me:hunter2@host/v1"], "holds a name or a password"),
        (["distil", "FILE", "OUT", "--device", "bogus"], "device is 'bogus': choose cpu, cuda"),
        (["distil", "FILE", "OUT", "--dtype", "bogus"], "dtype is 'bogus': choose float32"),
        (["distil", "FILE", "OUT", "--dtype", "auto"], "dtype auto is for vllm"),
        (["distil", "FILE", "OUT", "--temperature", "inf"], "--temperature inf: a finite number is wanted"),
        (["distil", "FILE", "OUT", "-p", "top_p=nan"], "-p top_p=nan: a finite number is wanted"),
        (["distil", "FILE", "OUT", "--max-cost", "inf"], "--max-cost inf: a finite number is wanted"),
        (["distil", "FILE", "OUT", "-e", "price_in=1e999"], "-e price_in=1e999: a finite number is wanted"),
        (["distil", "FILE", "OUT", "--samples", "2", "-p", "samples=3"], "samples is given twice"),
        (["distil", "FILE", "OUT", "--device", "cpu", "-e", "device=cuda"], "device is given twice"),
        (["distil", "FILE", "OUT", "-e", "extra_body=notjson"], "extra_body=notjson: a JSON object is wanted, such as"),
        (["distil", "FILE", "OUT"], "model 'nobody'"),
        (["reformat", "BARE", "OUT"], "1 of 1 problems have no solution to rewrite"),
        (["distil", "FILE", "FILE"], "is a file; name a folder"),
    ],
)
def test_a_mistake_is_one_line_and_makes_nothing(arguments, said, problem_file, tmp_path):
    bare = tmp_path / "bare.jsonl"
    bare.write_text('{"problem": "1+1?", "answer": "2"}\n')
    names = {"FILE": str(problem_file), "OUT": str(tmp_path / "out"), "BARE": str(bare)}
    done = call(*(names.get(a, a) for a in arguments), "--teacher", "nobody")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and said in done.stderr
    assert not (tmp_path / "out").exists()


def test_ctrl_c_says_that_the_same_command_goes_on(problem_file, tmp_path):
    arrived = threading.Event()

    class Hangs(QuietHandler):
        def do_POST(self):
            arrived.set()
            time.sleep(60)

    with listening(Hangs) as root:
        command = [sys.executable, "-m", "longthought.cli", "think", "distil", problem_file, tmp_path / "out"]
        command += ["--teacher", "openai:m", "--base-url", f"{root}/v1", "--limit", "1"]
        child = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True)
        assert arrived.wait(120)
        child.send_signal(signal.SIGINT)
        said = child.communicate(timeout=60)[1]
    assert child.returncode == 130
    assert said.splitlines()[-1].startswith("error: interrupted; what is done is kept in ") and "goes on" in said
    assert "Traceback" not in said


def test_what_a_file_holds_cannot_steer_the_terminal(tmp_path, capsys):
    bad = Thought(Problem("1", "?", "1"), "\x1b[31m[bold]<b>", "", "wrong", "m", ("1",), False, "wrong \x1b[2J[red]")
    _show("distil", tmp_path, [bad], {"1": spent_call("1")}, {"done": 1, "new": 1})
    seen = capsys.readouterr().out
    assert "\x1b" not in seen and "[red]" in seen
