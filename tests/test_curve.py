"""Curves from logs: the logs of other tools as those tools wrote them, bands that cover, and mistakes in one line."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from longthought.errors import UserError
from longthought.evaluation import curves, logs
from longthought.evaluation.curves import Options
from longthought.grading import GRADER_VERSION
from longthought.models import STUDENT_MARK, word_tokenizer

# Written by inspect_ai 0.3.285, lm_eval 0.4.13 and lighteval 0.13.0 with scripted models.
REAL = Path(__file__).parent / "data" / "logs"


def row(problem="a", gold="1", answer="1", tokens=10, **more):
    return {"problem_id": problem, "gold": gold, "completion": f"so \\boxed{{{answer}}}", "tokens": tokens, **more}


@pytest.fixture
def write(tmp_path):
    def lines(*rows, name="samples.jsonl"):
        path = tmp_path / name
        text = [r if isinstance(r, str) else json.dumps(r) for r in rows]
        path.write_text("\n".join(text) + "\n", encoding="utf-8")
        return path

    return lines


def study(*paths, **options):
    return curves.study(list(paths), Options(**options))


def points(found, group=0):
    return {p.budget: p for p in found.curves[group].points}


def run(*arguments):
    command = [sys.executable, "-m", "longthought.cli", "curve", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


# --- what a curve says ---


def test_one_answer_votes_and_truncation_from_our_own_rows(write):
    path = write(
        row("a", answer="1", tokens=10),
        row("a", answer="1", tokens=30),
        row("a", answer="2", tokens=50),
        row("b", answer="7", tokens=20),
        row("b", answer="1.0", tokens=20),
        row("b", answer="1", tokens=20, finish="length"),
    )
    found = study(path, caps=(20, 40))
    at = points(found)
    assert list(at) == ["cut at 20", "cut at 40", "one answer", "maj@2", "maj@3"]
    assert at["one answer"].accuracy == pytest.approx((2 / 3 + 1 / 3) / 2)
    assert at["one answer"].tokens == 25 and at["maj@3"].tokens == 75
    # a: two of three agree on the gold. b: one vote each for 7 and 1, and a truncated answer, which has no vote.
    assert at["maj@3"].accuracy == pytest.approx((1 + 0.5) / 2)
    assert at["cut at 20"].accuracy == pytest.approx((1 / 3 + 1 / 3) / 2)
    assert at["cut at 20"].tokens == pytest.approx(((10 + 20 + 20) / 3 + 20) / 2)
    assert at["cut at 20"].truncated == 3 and at["one answer"].truncated == 1
    group = found.curves[0].group
    assert group.verdicts == {"correct": 3, "wrong": 2, "truncated": 1}
    assert curves.rate_text(at["maj@3"]).startswith("1.5/2 = 75.0% [")


def test_equal_answers_vote_together_and_pass_at_k_bounds_them(write):
    path = write(*(row(answer=a) for a in ("1/2", "0.5", "3", "1")))
    found = study(path, passes=True)
    at = points(found)
    # Two votes for one half against one each for 3 and the gold.
    assert at["maj@4"].accuracy == 0
    bound = {p.budget: p.accuracy for p in found.curves[0].passes}
    assert bound["pass@4"] == 1 and bound["pass@1"] == at["one answer"].accuracy == 0.25


def test_an_answer_without_its_completion_is_graded_as_it_stands(write):
    bare = [{"problem_id": 1, "gold": 5, "answer": a, "tokens": 3} for a in (5, "5", "x}", None)]
    assert study(write(*bare)).curves[0].group.verdicts["correct"] == 2


def test_samples_in_another_order_give_the_same_curve(write):
    rows = [row(p, answer=a, tokens=t) for p in "abc" for a, t in ((1, 5), (2, 9), (1, 7), (3, 1))]
    first, second = study(write(*rows)), study(write(*rows[::-1], name="other.jsonl"))
    for a, b in zip(first.curves[0].points, second.curves[0].points, strict=True):
        assert (a.budget, a.tokens) == (b.budget, b.tokens) and a.accuracy == pytest.approx(b.accuracy)


def test_the_same_seed_gives_the_same_bands_and_another_does_not(write):
    rng = np.random.default_rng(0)
    path = write(*(row(str(p), answer=int(rng.integers(1, 4))) for p in range(12) for _ in range(6)))
    first, again, other = (curves.as_json(study(path, seed=seed)) for seed in (1, 1, 2))
    assert first["groups"] == again["groups"] != other["groups"]


@pytest.mark.parametrize(("k", "spread"), [(1, 1.0), (3, 1.0), (3, 0.05)])
def test_bands_cover_the_accuracy_of_all_problems_and_samples(k, spread):
    """Problems with two classes of answers and a chance p of the right one; the mean of maj@k is known."""
    rng = np.random.default_rng(k)
    p = rng.beta(6 * spread, 4 * spread, size=100_000)
    truth = float(np.mean(p if k == 1 else p**3 + 3 * p**2 * (1 - p)))
    trials, hits, width = 120, 0, []
    for _ in range(trials):
        votes = (rng.random((25, 5)) > rng.choice(p, size=25)[:, None]).astype(int)
        ones = tuple(np.ones(5, int) for _ in votes)
        nothing = tuple(np.zeros(5, bool) for _ in votes)
        names = tuple(map(str, range(25)))
        group = curves.Group("g", names, tuple(v == 0 for v in votes), tuple(votes), ones, nothing, {})
        point = next(q for q in curves.measured(group, Options(ks=(k,))).points if q.budget != "x")
        hits += point.low <= truth <= point.high
        width.append(point.high - point.low)
    # At 95% coverage, 107 hits of 120 or fewer have a chance of about 1%.
    assert hits >= 107
    assert 0.02 < np.mean(width) < 0.6


# --- the logs of other tools ---


@pytest.mark.parametrize(
    ("name", "options", "accuracy", "tokens", "verdicts"),
    [
        ("inspect.eval", {}, 5 / 9, 104 / 9, {"correct": 5, "wrong": 2, "no_answer": 1, "truncated": 1}),
        ("samples_lm_eval.jsonl", {"tokenizer": "words"}, 4 / 6, 2, {"correct": 4, "wrong": 1, "no_answer": 1}),
        ("details_lighteval.parquet", {}, 3 / 6, 33 / 6, {"correct": 3, "wrong": 2, "truncated": 1}),
    ],
)
def test_logs_as_other_tools_wrote_them(name, options, accuracy, tokens, verdicts):
    found = study(REAL / name, **options)
    one = points(found)["one answer"]
    assert (one.accuracy, one.tokens) == (pytest.approx(accuracy), pytest.approx(tokens))
    assert found.curves[0].group.verdicts == verdicts
    assert found.curves[0].group.samples == (3, 3)


def test_what_a_log_does_not_say_is_said():
    notes = " ".join(study(REAL / "samples_lm_eval.jsonl", tokenizer="words").notes)
    assert "(boxed, or after ####) was taken (2)" in notes
    assert "another filter of the harness were passed over (2)" in notes
    assert "none of them counts as truncated (6)" in notes
    with pytest.raises(UserError, match="does not count tokens: name a tokenizer with --tokenizer"):
        study(REAL / "samples_lm_eval.jsonl")


def inspect_log(*samples):
    return json.dumps({"version": 2, "status": "success", "eval": {"model": "m/x", "task": "t"}, "samples": samples})


def inspect_sample(content, tokens=5, stop="stop", **more):
    choice = {"message": {"role": "assistant", "content": content}, "stop_reason": stop}
    output = {"model": "m/x", "choices": [choice], "usage": {"input_tokens": 1, "output_tokens": tokens}}
    return {"id": 1, "epoch": 1, "input": "q", "target": "6", "output": output, **more}


def test_an_inspect_log_as_json_with_thoughts_attachments_and_errors(write):
    thought = [{"type": "reasoning", "reasoning": "\\boxed{6}"}, {"type": "text", "text": "\\boxed{7}"}]
    path = write(
        inspect_log(
            inspect_sample(thought, 9),
            inspect_sample("attachment://abc", epoch=2, attachments={"abc": "\\boxed{6}"}),
            inspect_sample("\\boxed{6}", stop="model_length", epoch=3),
            inspect_sample("", epoch=4, error={"message": "boom"}, output={"choices": []}),
            inspect_sample("\\boxed{5}", epoch=5, target=["5", "6"], id=2),
            inspect_sample("\\boxed{6}", epoch=6, model_usage={"m/x": {"output_tokens": 50}}, target=["5", "6"], id=2),
        ),
        name="log.json",
    )
    found = study(path, group="model")
    group = found.curves[0].group
    assert group.label == "m/x"
    assert group.verdicts == {"wrong": 1, "correct": 3, "truncated": 1, "no_answer": 1}
    assert [t.tolist() for t in group.tokens] == [[9, 5, 5, 0], [5, 5]]
    assert "at the tokens that the log gives (1)" in " ".join(found.notes)
    assert "only the tokens of their last output count" in " ".join(found.notes)
    lost = write(inspect_log(inspect_sample("attachment://gone")), name="lost.json")
    with pytest.raises(UserError, match="attachment that the log does not hold"):
        study(lost)


def test_several_choices_of_one_call_have_no_counts_of_their_own(write):
    sample = inspect_sample("\\boxed{6}")
    sample["output"]["choices"] *= 2
    path = write(inspect_log(sample), name="log.json")
    with pytest.raises(UserError, match="does not count tokens"):
        study(path)
    assert study(path, tokenizer="words").curves[0].group.samples == (2, 2)


def test_an_eval_file_packed_the_old_way_and_a_broken_one(tmp_path):
    path = tmp_path / "old.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", json.dumps({"eval": {"model": "m"}}))
        archive.writestr("samples/a b_epoch_1.json", json.dumps(inspect_sample("\\boxed{6}")))
        archive.writestr("_journal/summaries/1.json", "[]")
    found = study(path)
    assert found.curves[0].group.verdicts == {"correct": 1}
    assert "did not finish well" in " ".join(found.notes)
    assert "did not finish well" not in " ".join(study(REAL / "inspect.eval").notes)
    whole = (REAL / "inspect.eval").read_bytes()
    broken = tmp_path / "broken.eval"
    with zipfile.ZipFile(REAL / "inspect.eval") as archive:
        place = archive.getinfo("samples/p1_epoch_1.json").header_offset + 90
    broken.write_bytes(whole[:place] + bytes(200) + whole[place + 200 :])
    with pytest.raises(UserError, match="cannot be unpacked"):
        study(broken)


@pytest.mark.parametrize("nested", [False, True])
def test_older_details_of_lighteval(tmp_path, nested):
    tokens = [[1, 2], [3, 4, 5]]
    table = pyarrow.Table.from_pylist(
        [{"example": "q", "gold": ["the answer is \\boxed{6}"], "predictions": ["\\boxed{6}", "\\boxed{5}"],
          "cont_tokens": [tokens] if nested else tokens}]
    )  # fmt: skip
    path = tmp_path / "details.parquet"
    pyarrow.parquet.write_table(table, path)
    group = study(path).curves[0].group
    assert group.tokens[0].tolist() == [2, 3] and group.correct[0].tolist() == [True, False]


def test_tokens_are_counted_by_the_tokenizer_that_is_named(tmp_path, write):
    assert logs.token_counter("words")(["a b  c", ""]) == [3, 0]
    word_tokenizer(["so"]).save_pretrained(tmp_path)
    (tmp_path / STUDENT_MARK).write_text("{}")
    assert logs.token_counter(str(tmp_path))(["\ud800 so"]) == [2]
    assert logs.token_counter(str(tmp_path))(["so so \\boxed{1}", "so"]) == [3, 1]
    found = study(write(row(tokens=99), row(tokens=99)), tokenizer=str(tmp_path), tokenizer_label="the student's")
    assert points(found)["one answer"].tokens == 2 and found.tokens_from == "the student's"
    bare = write({"problem_id": 1, "gold": 5, "answer": 5, "tokens": 3}, name="bare.jsonl")
    with pytest.raises(UserError, match="no tokens to count again"):
        study(bare, tokenizer="words")
    for name in ("nowhere", "some/model@main", "@" + 40 * "a"):
        with pytest.raises(UserError, match="neither words, nor smollm2-135m, nor a folder"):
            logs.token_counter(name)


# --- groups ---


def test_groups_are_compared_on_shared_problems_at_budgets_that_both_reached(write):
    rows = [row(str(p), answer=1 if p % 3 else 2, tokens=10, model="x") for p in range(12) for _ in range(4)]
    rows += [row(str(p), answer=1, tokens=20, model="y") for p in range(2, 12) for _ in range(2)]
    path = write(*rows)
    found = study(path, group="model")
    assert [(c["first"], c["second"], c["tokens"]) for c in found.comparisons] == [("x", "y", 20), ("x", "y", 40)]
    first = found.comparisons[0]["result"]
    assert first.n == 10 and first.difference == pytest.approx(0.3)
    notes = " ".join(found.notes)
    assert "12 and 10 problems: compared on the 10 that both answered" in notes and "not adjusted" in notes
    assert len(study(path, group="model", at=(30.0,)).comparisons) == 1
    for budget in (15.0, 41.0):
        with pytest.raises(UserError, match=r"was measured from \d+ to \d+ tokens: it has no accuracy at"):
            study(path, group="model", at=(budget,))
    with pytest.raises(UserError, match="only one"):
        study(path, at=(30.0,))


def test_groups_without_common_problems_or_budgets_are_not_compared(write):
    rows = [row("a", m="x", tokens=5), row("b", m="y", tokens=5), row("a", m="z", tokens=500)]
    notes = " ".join(study(write(*rows), group="m").notes)
    assert "x and y share no problem: not compared" in notes
    assert "x and z reach no common budget (5 to 5 and 500 to 500 tokens): not compared" in notes


def test_files_can_be_groups(write):
    one, two = write(row(sample=0), name="one.jsonl"), write(row(sample=0, answer=2), name="two.jsonl")
    assert [c.group.label for c in study(one, two, group="file").curves] == ["one.jsonl", "two.jsonl"]
    with pytest.raises(UserError, match="--group file keeps several files apart"):
        study(one, two)


# --- mistakes and oddities ---


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "is empty"),
        (["", "  "], "is empty"),
        (["{"], "line 1 is not JSON"),
        ([row(), '{"problem_id": "a", "go'], "line 2 is not JSON"),
        (["[1]"], "line 1: a JSON object is wanted"),
        (["[" * 100_000], "line 1"),
        ([{"question": "x"}], "in no format known here"),
        ([{"problem_id": "a", "gold": "1", "tokens": 3}], "the field completion is missing"),
        ([{"problem_id": "a", "completion": "x", "tokens": 3}], "the field gold is missing"),
        ([{"gold": "1", "completion": "x", "tokens": 3}], "the field problem_id is missing"),
        ([{"problem_id": "a", "gold": "1", "completion": "x"}], "does not count tokens"),
        ([row(tokens="many")], 'tokens must be a whole number from 0, not "many"'),
        ([row(tokens=-1)], "tokens must be"),
        ([row(tokens=2.5)], "tokens must be"),
        ([row(tokens=10**30)], "tokens must be"),
        (['{"problem_id": "a", "gold": ' + "9" * 5000 + "}"], "cannot be read here"),
        ([row(gold=None)], "the gold must be a text or a number"),
        ([row(gold=" ")], "the gold must be"),
        ([row(problem=None)], "problem_id must be"),
        ([row() | {"completion": ["x"]}], "completion must be text"),
        ([row(sample=1), row(sample=1)], "line 2: sample 1 of problem a was in"),
        ([row(gold="1"), row(gold="2")], "problem a has the gold 2, but 1 in"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line_with_its_place(write, rows, says):
    with pytest.raises(UserError) as error:
        study(write(*rows))
    assert says in str(error.value) and "\n" not in str(error.value)
    assert "samples.jsonl" in str(error.value)


def test_other_encodings(tmp_path):
    path = tmp_path / "x.jsonl"
    text = json.dumps(row("é"), ensure_ascii=False) + "\n"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert study(path).curves[0].group.problems == ("é",)
    for encoding, says in (("utf-16", "UTF-16"), ("latin-1", "line 1 is not UTF-8")):
        path.write_bytes(text.encode(encoding))
        with pytest.raises(UserError, match=says):
            study(path)


@pytest.mark.parametrize(
    ("name", "content"), [("x.parquet", b"PAR1 nothing"), ("x.eval", b"PK nothing"), ("x.json", b"{}")]
)
def test_damaged_files_of_other_tools(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=name):
        study(path)


def test_unequal_numbers_of_samples_limit_k_and_are_said(write):
    path = write(row("a"), row("a", answer=2), row("a"), row("b"), row("b"))
    found = study(path)
    assert "maj@2" in points(found) and "maj@3" not in points(found)
    assert "problems have 2 to 3 samples; k goes up to 2" in " ".join(found.notes)
    with pytest.raises(UserError, match="k runs from 1 to 2"):
        study(path, ks=(3,))


def test_hostile_text_is_only_text(write, tmp_path):
    evil = "</script><script>alert(1)</script>\x1b[31m<b>red</b>\u202e\x07"
    completion = "__import__('os').system('touch owned') \\boxed{__import__('os')}" + "{" * 50_000
    path = write(
        row(evil, model=evil) | {"completion": completion},
        row(evil, model=evil + "\x1b[0m"),
        row(evil, model="=1+1"),
    )
    done = run(path, "--group", "model", "--plot", tmp_path / "c.html")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout and "\u202e" not in done.stdout and "\x07" not in done.stdout
    page = (tmp_path / "c.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page and "\x1b" not in page
    assert not Path("owned").exists()
    assert run(path, "--group", "model", "--plot", tmp_path / "c.csv").returncode == 0
    cells = [line["group"] for line in csv.DictReader((tmp_path / "c.csv").open(encoding="utf-8"))]
    assert "'=1+1" in cells and len(set(cells)) == 3
    bad = write(row(evil, gold="1"), row(evil, gold="2"), name="bad.jsonl")
    assert "\x1b" not in run(bad).stderr


# --- the command ---


def test_the_command_prints_a_table_or_json_and_writes_figures(tmp_path):
    page, data = tmp_path / "c.html", tmp_path / "c.json"
    done = run(REAL / "inspect.eval", "--plot", page, "--pass", "--tokenizer-name", "the mock's own")
    assert done.returncode == 0, done.stderr
    for words in ("one answer", "maj@3", "pass@3", "1.7/3 = 55.6% [", f"grader version {GRADER_VERSION}",
                  "tokens: the mock's own", "9 answers to 3 problems: 5 correct, 2 wrong, 1 no answer"):  # fmt: skip
        assert words in done.stdout
    html = page.read_text(encoding="utf-8")
    assert "Plotly.newPlot" in html and '<script src="http' not in html
    printed = json.loads(run(REAL / "inspect.eval", "--json", "--plot", data).stdout)
    assert printed == json.loads(data.read_text(encoding="utf-8"))
    assert printed["grader_version"] == GRADER_VERSION and printed["groups"][0]["answers"]["truncated"] == 1
    for point in printed["groups"][0]["curve"]:
        assert point["low"] <= point["accuracy"] <= point["high"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere.jsonl"], "there is no such file"),
        ([REAL / "inspect.eval", "--format", "json"], "choose from auto, longthought"),
        ([REAL / "inspect.eval", "--format", "longthought"], "inspect.eval"),
        ([REAL / "inspect.eval", "--group", "colour"], "the field colour is missing; it has model, task, id"),
        ([REAL / "inspect.eval", "--group", "messages"], "no single value"),
        ([REAL / "inspect.eval", "--gold", "metadata.x"], "the field metadata.x is missing"),
        ([REAL / "inspect.eval", "--ks", "1,x"], "whole numbers with commas"),
        ([REAL / "inspect.eval", "--ks", "0"], "k runs from 1"),
        ([REAL / "inspect.eval", "--caps", "0"], "truncation budget"),
        ([REAL / "inspect.eval", "--tokenizer", "gpt"], "neither words"),
        ([REAL / "inspect.eval", "--plot", "c.gif"], "must end in one of"),
        ([REAL / "inspect.eval", "--plot", "no/where/c.html"], "there is no folder"),
    ],
)
def test_a_mistake_of_the_command_is_one_line(arguments, says):
    done = run(*arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and says in done.stderr


def test_pictures_need_kaleido(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="need the package kaleido"):
        curves.check_plot(tmp_path / "c.png")


def test_large_files_are_read_as_a_stream_with_progress(write, monkeypatch):
    seen = []
    monkeypatch.setattr(logs, "_BAR_FROM_BYTES", 1)
    monkeypatch.setattr(logs, "report", lambda label, done, total: seen.append((done, total)))
    path = write(*(row(str(i)) for i in range(500)))
    answers = logs.read(path, "auto", logs.Wanted("", "", Counter()))
    next(answers)
    assert not seen
    assert sum(1 for _ in answers) == 499
    assert seen[-1] == (path.stat().st_size, path.stat().st_size)
