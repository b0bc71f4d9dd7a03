"""Written thoughts: what is written is read back, mistakes are named with their line, time is counted or unknown."""

import re
from dataclasses import replace
from itertools import pairwise, permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from longthought.cli.base import app
from longthought.cli.human import human  # noqa: F401  (registers the command)
from longthought.errors import UserError
from longthought.grading import grade
from longthought.problems import Problem, require_train
from longthought.thoughts import record
from longthought.thoughts.form import draft_of, resume, start
from longthought.thoughts.human import (
    TEMPLATE,
    Section,
    Written,
    as_thought,
    examples,
    human_table,
    parse,
    read_folder,
    read_human,
    rendered,
    time_on_task,
    write_human,
)
from longthought.thoughts.reflection import reflection

GOOD = """\
# a comment
id: sum
language: en
author: Ada
licence: CC-BY-4.0
minutes: 1.5

== problem
What is 2 + 2?

== gold
4

== step
I add.

== wrong turn
It is 5.

== wrong turn
So the answer would be 5.

== back
Wait, 2 + 2 is not 5.

== step
It is \\boxed{4}.
"""


def written(tmp_path, text, name="a.txt"):
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return file


def test_a_file_becomes_a_thought_with_its_turns_and_its_time(tmp_path):
    found = read_human(written(tmp_path, GOOD))
    assert found.accepted and found.verdict == "correct" and found.answer == "4" and found.method == "human"
    assert (found.problem.id, found.problem.text, found.problem.gold) == ("sum", "What is 2 + 2?", "4")
    assert found.text.startswith("I add.\n\nIt is 5.") and found.text.endswith("\\boxed{4}.")
    assert found.details["seconds"] == 90 and found.details["wrong_turns"] == 1
    assert (found.details["author"], found.details["licence"]) == ("Ada", "CC-BY-4.0")
    require_train([found.problem])


def test_windows_line_ends_a_byte_order_mark_and_comments_do_not_matter(tmp_path):
    file = tmp_path / "w.txt"
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert read_human(file) == read_human(written(tmp_path, GOOD))


def test_a_wrong_answer_is_read_and_rejected(tmp_path):
    found = read_human(written(tmp_path, GOOD.replace("\\boxed{4}", "\\boxed{6}")))
    assert not found.accepted and found.verdict == "wrong" and found.reason.startswith("wrong")


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("author: Ada\n", "", 1, "author is missing"),
        ("licence: CC-BY-4.0\n", "", 1, "licence is missing"),
        ("minutes: 1.5\n", "", 1, "time on task is missing"),
        ("minutes: 1.5", "minutes: -3", 6, "no time"),
        ("minutes: 1.5", "minutes: nan", 6, "no time"),
        ("minutes: 1.5", "minutes: an hour", 6, "no time"),
        ("minutes: 1.5", "seconds: 9\nminutes: 1.5", 7, "keep one"),
        ("language: en", "language: klingon", 3, "klingon"),
        ("author: Ada", "writer: Ada", 4, "writer"),
        ("author: Ada", "author:", 4, "author is empty"),
        ("author: Ada", "author: Ada\nauthor: Bob", 5, "twice, first in line 4"),
        ("author: Ada", "just some words", 4, "neither"),
        ("== gold\n4\n", "", None, "gold is missing"),
        ("== step\nI add.", "== stpe\nI add.", 14, "stpe"),
        ("== step\nI add.", "== step\n", 14, "step is empty"),
        ("== step\nI add.", "== gold\n5", 14, "gold must stand once"),
        ("== step\nI add.", "== back\nI add.", 14, "leaves no wrong turn"),
        ("== back\nWait, 2 + 2 is not 5.\n", "", 24, "nothing leaves"),
        ("== step\nIt is \\boxed{4}.\n", "", 23, "last section"),
        ("== step\nIt is \\boxed{4}.", "== wrong turn\nIt is \\boxed{4}.", 26, "ends in a wrong turn"),
        ("\\boxed{4}", "4", 26, "\\boxed{}"),
    ],
)
def test_what_breaks_the_format_is_named_with_its_line_and_a_mend(tmp_path, old, new, line, words):
    assert old in GOOD
    with pytest.raises(UserError) as error:
        read_human(written(tmp_path, GOOD.replace(old, new)))
    message = str(error.value)
    assert "\n" not in message and words in message and "a.txt" in message
    if line:
        assert f"line {line}:" in message


def test_files_that_cannot_be_read_are_one_line(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_human(tmp_path / "none.txt")
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="not UTF-8"):
        read_human(tmp_path / "b.txt")
    with pytest.raises(UserError, match=r"no \.txt"):
        read_folder(tmp_path / "nothing")


def test_a_folder_is_read_by_name_and_an_id_comes_once(tmp_path):
    written(tmp_path, GOOD, "b.txt")
    written(tmp_path, GOOD.replace("id: sum", "id: other"), "a.txt")
    assert [t.problem.id for t in read_folder(tmp_path)] == ["other", "sum"]
    written(tmp_path, GOOD, "c.txt")
    with pytest.raises(UserError, match="'sum'"):
        read_folder(tmp_path)


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r"), min_size=1).map(str.strip).filter(bool)
LINE = (
    st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1).map(str.strip).filter(bool)
)
TURN = st.builds(
    lambda wrong, back: [*(("wrong turn", w) for w in wrong), ("back", back)], st.lists(TEXT, min_size=1), TEXT
)
STEPS = st.lists(st.one_of(TEXT.map(lambda text: [("step", text)]), TURN), max_size=6)
SECONDS = st.one_of(st.none(), st.floats(0, 1e7))
MARKED = st.sampled_from(["== step", "\\== step", "==", "# no comment", "=== x", "\\\\==", "id: x"])


@settings(max_examples=300, deadline=None)
@given(
    st.lists(LINE, min_size=3, max_size=3),
    TEXT,
    STEPS,
    SECONDS,
    st.lists(MARKED, max_size=3),
    st.sampled_from(["en", "zh"]),
)
def test_whatever_is_written_is_read_back(tmp_path_factory, headers, problem, parts, seconds, marked, language):
    steps = tuple(Section(*part) for group in parts for part in group)
    end = Section("step", "\n".join([*marked, "so \\boxed{7}"]))
    thought = as_thought(Written(*headers[:1], language, *headers[1:], seconds, problem, "7", (*steps, end)), "x")
    file = tmp_path_factory.mktemp("round") / "thought.txt"
    write_human(thought, file)
    assert read_human(file) == thought
    text = file.read_bytes().decode()
    assert rendered(parse(text, "x")) == text


def test_a_header_that_would_not_be_read_back_is_not_written(tmp_path):
    thought = read_human(written(tmp_path, GOOD))
    bad = replace(thought, details={**thought.details, "author": "Ada\n== gold\n5"})
    with pytest.raises(UserError, match="author"):
        write_human(bad, tmp_path / "out.txt")
    assert not (tmp_path / "out.txt").exists() and not list(tmp_path.glob(".*"))
    with pytest.raises(UserError, match="distil"):
        write_human(replace(thought, method="distil"), tmp_path / "out.txt")


def test_a_written_thought_is_a_record_like_every_other(tmp_path):
    record.write(tmp_path, examples(), {})
    assert record.read(tmp_path)[0] == examples()


# --- the project's own thoughts ---


def stairs(n):
    """Climbings of n steps by brute force: all sequences of strides without a repetition."""
    return sum(
        sum(strides) == n and all(a != b for a, b in pairwise(strides))
        for length in range(1, n + 1)
        for strides in product((1, 2, 3), repeat=length)
    )


INDEPENDENT = {
    "staircase-8": lambda: stairs(8),
    "ninety-one": lambda: next(n for n in range(10, 10**4, 10) if (n * n + n + 1) % 91 == 0),
    "diagonals-4": lambda: sum(
        all(p[i] != i and p[i] != 3 - i for i in range(4)) for p in permutations(range(4))
    ),
}  # fmt: skip


def test_the_examples_are_right_by_the_grader_and_by_an_independent_computation():
    found = {t.problem.id: t for t in examples()}
    assert found.keys() == INDEPENDENT.keys()
    for identity, thought in found.items():
        assert thought.accepted and grade(str(INDEPENDENT[identity]()), thought.text).correct


def test_the_numbers_on_the_way_are_right_too():
    text = next(t for t in examples() if t.problem.id == "staircase-8").text
    triples = dict(zip(range(3, 9), re.findall(r"\$\((\d), (\d), (\d)\)\$", text), strict=True))
    for n, triple in triples.items():
        assert sum(map(int, triple)) == stairs(n)
    # The known recurrence, which the wrong turn follows.
    ways = [1, 1, 2]
    while len(ways) < 9:
        ways.append(sum(ways[-3:]))
    assert f"f(8) = {ways[8]}" in text
    other = next(t for t in examples() if t.problem.id == "ninety-one").text
    assert [n * n + n + 1 for n in (3, 9)] == [13, 91] and "9, 16, 74 or 81" in other
    assert [n for n in range(91) if (n * n + n + 1) % 91 == 0] == [9, 16, 74, 81]


def test_the_examples_turn_back_reflect_and_claim_no_time():
    assert {t.problem.language for t in examples()} == {"en", "zh"}
    for thought in examples():
        assert thought.details["wrong_turns"] >= 1 and thought.details["seconds"] is None
        assert thought.details["author"] == "written by the project"
        assert reflection(thought.text, thought.problem.language).present
    assert set(human_table(examples())["seconds"]) == {"not recorded"}
    assert time_on_task(examples()) == "not recorded for 3 of 3"


def test_time_on_task_counts_what_was_rejected_too(tmp_path):
    right = read_human(written(tmp_path, GOOD))
    wrong = read_human(written(tmp_path, GOOD.replace("\\boxed{4}", "\\boxed{6}")))
    assert time_on_task([right, wrong]) == "180"
    assert time_on_task([right, *examples()]) == "not recorded for 3 of 4"


# --- the form ---

PROBLEM = Problem("p", "What is 2 + 2?", "4", split="train")


class Watch:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def test_the_form_counts_the_time_without_pauses_and_saves_a_thought(tmp_path):
    watch, file = Watch(), tmp_path / "mine.txt"
    thought = start(PROBLEM, file, author="Ada", licence="CC-BY-4.0", clock=watch)
    watch.now += 10
    thought.step("I add.").wrong_turn("It is 5.")
    watch.now += 5
    thought.pause()
    watch.now += 1000
    thought.go_on()
    watch.now += 7
    thought.back("Wait, no.").step("\\boxed{4}")
    watch.now += 1
    saved = thought.save()
    assert saved.accepted and saved.details["seconds"] == pytest.approx(23)
    assert read_human(file) == saved and not draft_of(file).exists()


def test_the_form_does_not_save_what_is_not_whole_and_loses_nothing(tmp_path):
    watch, file = Watch(), tmp_path / "mine.txt"
    thought = start(PROBLEM, file, author="Ada", licence="CC-BY-4.0", clock=watch)
    watch.now += 3
    thought.wrong_turn("It is 5.")
    with pytest.raises(UserError, match="ends in a wrong turn"):
        thought.save()
    assert not file.exists()
    del thought  # the kernel dies
    again = resume(file, clock=watch)
    watch.now += 4
    assert "wrong turn: It is 5." in repr(again)
    again.back("No, wait.").step("oops").undo().step("\\boxed{4}")
    assert again.save().details["seconds"] == pytest.approx(7)


def test_the_form_overwrites_nothing(tmp_path):
    file = tmp_path / "mine.txt"
    start(PROBLEM, file, author="Ada", licence="CC-BY-4.0")
    with pytest.raises(UserError, match="resume"):
        start(PROBLEM, file, author="Ada", licence="CC-BY-4.0")
    file.write_text("x")
    with pytest.raises(UserError, match="exists already"):
        start(PROBLEM, file, author="Ada", licence="CC-BY-4.0")
    with pytest.raises(UserError, match="no draft"):
        resume(tmp_path / "other.txt")


# --- the command ---


def run(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_the_template_has_the_format_but_is_no_thought(tmp_path):
    template = run("human", "template").output
    assert template == TEMPLATE and read_human(written(tmp_path, template)).accepted
    for text in (template, template.replace("\n", "\r\n"), template.replace("Your Name", "Ada")):
        found = run("human", "check", written(tmp_path, text))
        assert found.exit_code == 2 and "is the template" in found.output and "correct" not in found.output
    mine = template.replace("A step that stands.", "I add.")
    assert run("human", "check", written(tmp_path, mine)).exit_code == 0


def test_what_a_file_holds_never_steers_the_terminal(tmp_path):
    text = GOOD.replace("id: sum", "id: \x1b[2Jsum").replace("== gold\n4", "== gold\n5\x1b]0;x\x07")
    found = run("human", "check", written(tmp_path, text, "\x1b[31m[red]a.txt"))
    assert found.exit_code == 1 and "[2Jsum: undecided" in found.output and "[red]" in found.output
    found = run("human", "check", written(tmp_path, text.replace("id:", "\x1b[31m:"), "\x1bb.txt"), tmp_path / "\x1bc")
    assert found.exit_code == 2 and "unknown header" in found.output
    assert not any(c in found.output for c in "\x1b\x07")


def test_the_command_checks_every_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good = written(tmp_path, GOOD, "good.txt")
    assert run("human", "check", good).exit_code == 0
    wrong = written(tmp_path, GOOD.replace("\\boxed{4}", "\\boxed{6}"), "wrong.txt")
    assert run("human", "check", good, wrong).exit_code == 1
    broken = written(tmp_path, GOOD.replace("== back", "== step"), "broken.txt")
    found = run("human", "check", broken.name, good.name, wrong.name)
    assert found.exit_code == 2 and "Traceback" not in found.output
    assert "broken.txt, line 23" in found.output and "good.txt" in found.output and "the gold is 4" in found.output
