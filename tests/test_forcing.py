"""Budget forcing with a scripted engine whose every token is a word, so that counts can be checked by eye."""

from __future__ import annotations

import random

import numpy as np
import pytest

from longthought.engines import Completion, Sampling, TransformersEngine
from longthought.errors import UserError
from longthought.evaluation.forcing import Forcing, final_part, force
from longthought.evaluation.samples import Graded, cut_at, cut_to_cost
from longthought.evaluation.scaling import truncation_curve
from longthought.experiments import BOX_TOKENS, Forced, forced_curves, thought_forcing
from longthought.lint import check_result, check_table
from longthought.models import Architecture, new_student
from longthought.problems import Problem, generate
from longthought.tables import comparison_table, forced_against_cuts, forced_findings, forced_table
from longthought.thoughts.procedural import Teacher, long_thought, vocabulary

CLOSING = " so \\boxed{"


def count(text):
    return len(text.split())


class Scripted:
    """Says what `script` says after an answer so far; the first key (longest first) that ends it decides."""

    def __init__(self, script):
        self.script = script
        self.calls = []

    def _says(self, prompt, begun):
        for key in sorted(self.script, key=len, reverse=True):
            asked, _, so_far = key.partition("|")
            if asked == prompt and begun.endswith(so_far):
                return self.script[key]
        raise AssertionError((prompt, begun))

    def generate(self, prompts, sampling, progress=None, prefixes=None):
        prefixes = prefixes or [[""] * sampling.samples for _ in prompts]
        self.calls.append((list(prompts), prefixes, sampling))
        rows = []
        for prompt, begun in zip(prompts, prefixes, strict=True):
            assert len(begun) == sampling.samples
            row = []
            for text in begun:
                words = self._says(prompt, text).split()
                kept = words[: sampling.max_tokens]
                # The end mark is a token too, and must fit.
                stop = len(words) < sampling.max_tokens
                lead = " " if text else ""
                row.append(Completion(lead + " ".join(kept), len(kept) + stop, "stop" if stop else "length"))
            rows.append(row)
        return rows


def forced(script, prompts=("p",), max_tokens=100, samples=1, **options):
    engine = Scripted(script)
    settings = {"cap": None, "closing": CLOSING, "continuation": None, "times": 0, "count": count} | options
    sampling = Sampling(max_tokens, temperature=1.0, samples=samples)
    return engine, force(engine, list(prompts), sampling, **settings)


def test_without_forcing_answers_are_left_alone():
    engine, ((answer,),) = forced({"p|": "think so \\boxed{ 4 } ."})
    assert answer == Completion("think so \\boxed{ 4 } .", 7, "stop") and len(engine.calls) == 1


def test_a_thought_at_its_cap_is_closed_and_every_token_counted():
    script = {"p|": "one two three four five six so \\boxed{ 4 } .", "p|so \\boxed{": "9 } ."}
    engine, ((answer,),) = forced(script, cap=3, allowance=5)
    # Three kept, two put in, three written and the end mark.
    assert answer == Completion("one two three so \\boxed{ 9 } .", 9, "stop")
    assert [s.max_tokens for _, _, s in engine.calls] == [3, 5]
    assert count(answer.text) + 1 == answer.tokens


def test_an_allowance_that_does_not_suffice_is_a_truncated_answer():
    _, ((answer,),) = forced({"p|": "one two three four", "p|so \\boxed{": "9 and so on } ."}, cap=2, allowance=2)
    assert answer == Completion("one two so \\boxed{ 9 and", 6, "length")


def test_an_answer_under_the_cap_is_left_alone():
    engine, ((answer,),) = forced({"p|": "short so \\boxed{ 1 } ."}, cap=8)
    assert answer == Completion("short so \\boxed{ 1 } .", 7, "stop") and len(engine.calls) == 1


def test_a_final_answer_that_has_begun_at_the_cap_is_finished_without_new_words():
    engine, ((answer,),) = forced({"p|": "a b c so \\boxed{ 2 } .", "p|c so \\boxed{": "2 } ."}, cap=5)
    assert answer == Completion("a b c so \\boxed{ 2 } .", 9, "stop") and len(engine.calls) == 2


def test_an_answer_that_ends_goes_on_without_its_final_part():
    script = {"p|": "x so \\boxed{ 4 } .", "p|x wait": "y so \\boxed{ 5 } .", "p|y wait": "z so \\boxed{ 6 } ."}
    for times, text in ((1, "x wait y so \\boxed{ 5 } ."), (2, "x wait y wait z so \\boxed{ 6 } .")):
        engine, ((answer,),) = forced(script, continuation=" wait", times=times)
        assert answer == Completion(text, count(text) + 1, "stop")
        assert len(engine.calls) == 1 + times


def test_an_answer_that_ends_before_any_box_goes_on_from_its_end():
    _, ((answer,),) = forced({"p|": "x y", "p|x y wait": "so \\boxed{ 1 }"}, continuation=" wait", times=1)
    assert answer.text == "x y wait so \\boxed{ 1 }"


def test_going_on_stays_within_the_limit():
    script = {"p|": "a b c so \\boxed{ 4 } .", "p|a b c wait": "d e f g h"}
    _, ((answer,),) = forced(script, max_tokens=10, continuation=" wait", times=1)
    assert answer.tokens == 10 and answer.finish == "stop"
    _, ((cut,),) = forced(script, max_tokens=9, continuation=" wait", times=1)
    assert cut == Completion("a b c wait d e f g h", 9, "length")
    engine, ((left,),) = forced({"p|": "a b c"}, max_tokens=4, continuation=" wait", times=1)
    assert left == Completion("a b c", 4, "stop") and len(engine.calls) == 1


def test_cap_and_continuation_together():
    script = {"p|": "a so \\boxed{ 1 } .", "p|a wait": "b c d e f g h", "p|so \\boxed{": "2 } ."}
    _, ((answer,),) = forced(script, cap=8, continuation=" wait", times=3, allowance=4)
    assert answer == Completion("a wait b c d e f g so \\boxed{ 2 } .", 14, "stop")


def test_closing_words_that_the_cut_left_standing_are_not_said_twice():
    script = {"p|": "a b so \\boxed{ 7 } .", "p|b so \\boxed{": "7 } ."}
    _, ((answer,),) = forced(script, cap=3)
    assert answer == Completion("a b so \\boxed{ 7 } .", 8, "stop")


def test_a_forced_answer_is_complete_when_its_box_is_closed():
    script = {"p|": "a b c d", "p|so \\boxed{": "\\frac{1} {2} } . wait a b c"}
    _, ((answer,),) = forced(script, cap=2, allowance=6)
    assert answer == Completion("a b so \\boxed{ \\frac{1} {2} }", 7, "stop")
    _, ((cut,),) = forced(script, cap=2, allowance=2)
    assert cut == Completion("a b so \\boxed{ \\frac{1} {2}", 6, "length")


def test_an_answer_that_thinks_on_after_a_box_is_asked_again():
    script = {"p|": "a so \\boxed{ 1 } . wait b c d", "p|wait so \\boxed{": "2 } ."}
    _, ((answer,),) = forced(script, cap=7)
    assert answer.text == "a so \\boxed{ 1 } . wait so \\boxed{ 2 } ." and answer.tokens == 13
    _, ((answer,),) = forced(script | {"p|1 } .": "wait b c d"}, cap=6, allowance=2)
    assert answer == Completion("a so \\boxed{ 1 }", 5, "stop")


def test_rooms_of_many_sizes_are_used_up_exactly_and_in_few_calls():
    prompts = [f"p{i}" for i in range(30)]
    script = {f"p{i}|": "a " * i + "so \\boxed{ 1 } ." for i in range(30)}
    script |= {f"p{i}|{last}": "d " * 200 for i in range(30) for last in ("wait", "d")}
    engine, rows = forced(script, prompts, max_tokens=60, continuation=" wait", times=1)
    assert [(row[0].tokens, row[0].finish) for row in rows] == [(60, "length")] * 30
    assert [row[0].text for row in rows] == [("a " * i + "wait" + " d" * (59 - i)) for i in range(30)]
    assert len(engine.calls) <= 1 + 6


def test_samples_of_one_prompt_are_forced_each_on_its_own():
    engine, rows = forced({"p|": "a b c d", "q|": "a", "p|so \\boxed{": "1 } ."}, ("p", "q"), samples=3, cap=2)
    assert [[c.finish for c in row] for row in rows] == [["stop"] * 3, ["stop"] * 3]
    prompts, prefixes, sampling = engine.calls[1]
    assert prompts == ["p"] * 3 and sampling.samples == 1 and all(len(p) == 1 for p in prefixes)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("<think> a </think> so \\boxed{1}", "<think> a "),
        ("a so \\boxed{1} wait so \\boxed{2}", "a so \\boxed{1} wait "),
        ("a \\boxed{1}", "a "),
        ("no box", "no box"),
    ],
)
def test_where_a_final_answer_begins(text, kept):
    assert text[: final_part(text, CLOSING)] == kept


@pytest.mark.parametrize("options", [{"cap": 0}, {"cap": 101}, {"times": 1}, {"times": -1}, {"cap": 5, "allowance": 0}])
def test_impossible_budgets_are_refused(options):
    with pytest.raises(UserError):
        forced({"p|": "a"}, **options)


def test_words_are_said_in_the_language_of_the_problem_and_as_the_teacher_spaces_them():
    forcing = thought_forcing()
    known = vocabulary(["congruence"], ["easy"])
    for problem in generate(6, "train", difficulties=["easy"]):
        closing, continuation = forcing.words(problem.language)
        assert {*closing.split(), *continuation.split()} <= set(known)
        thought = long_thought(problem, Teacher(slip=0.3), random.Random(1))
        assert final_part(thought, closing) == thought.rindex(closing) + 1
        rest = thought.rpartition(closing)[2].split()
        assert rest[:2] == [problem.gold, "}"] and len(rest) + 1 <= BOX_TOKENS
    assert Forcing(closing="x", continuation="y").words("zh") == ("x", "y")


def outcome(correct, tokens, truncated=None):
    """Graded answers, one per problem, as the tables want them."""
    correct, tokens = np.array(correct, bool)[:, None], np.array(tokens)[:, None]
    cut = np.zeros_like(correct) if truncated is None else np.array(truncated, bool)[:, None]
    votes, gold = np.where(cut, -1, 0), np.where(correct[:, 0], 0, -2)
    problems = tuple(Problem(str(i), "x", "1") for i in range(len(correct)))
    return Graded("s", problems, [["x"]] * len(correct), correct, votes, gold, tokens, cut, np.zeros_like(correct))


def test_cutting_is_what_the_truncation_curve_says():
    free = outcome([True] * 6 + [False] * 4, [10, 20, 30, 40, 50, 60, 10, 20, 30, 40], [False] * 9 + [True])
    for cap in (5, 20, 35, 60):
        cut, (point,) = cut_at(free, cap), truncation_curve(free, [cap])
        assert cut.correct[:, 0].tolist() == point.per_problem.astype(bool).tolist()
        assert cut.mean_tokens == point.tokens and int(cut.truncated.sum()) == point.truncated
        assert cut.no_answer[cut.truncated].all() and (cut.gold_vote == np.where(cut.correct[:, 0], 0, -2)).all()
    cap, cut = cut_to_cost(free, 25.0)
    assert cut.mean_tokens >= 25.0 > cut_at(free, cap - 1).mean_tokens
    assert cut_to_cost(free, 1000.0)[0] == 60 and (cut_to_cost(free, 1000.0)[1].correct == free.correct).all()


def test_findings_on_forced_budgets_follow_from_the_tests():
    n = 100
    free = outcome([True] * n, [30] * 50 + [60] * 50)
    closed = {20: outcome([True] * 90 + [False] * 10, [24] * n)}
    waited = {1: outcome([True] * 40 + [False] * 60, [80] * n), 2: outcome([True] * 99 + [False], [90] * n)}
    forced_ = Forced("distilled, seed 0", free, closed, waited)
    found = forced_findings(forced_)
    assert "Better in 1, worse in 0, not distinguishable in 0 of 1 tests" in found["forced_cap_finding"]
    assert "Better in 0, worse in 1, not distinguishable in 1 of 2 tests" in found["forced_wait_finding"]
    assert "minus cut at 24 (24.0 tokens)" in found["forced_cap_finding"]
    table = forced_table(forced_)
    assert table["answers"].tolist() == ["as it ends", "cut at 20", "answer forced at 20", "wait once", "wait twice"]
    assert table["against as it ends"].tolist() == ["", "different", "different", "different", "not distinguishable"]
    for frame in (table, comparison_table(forced_against_cuts(forced_)), forced_table(None)):
        check_table(frame, "forced")
    for name, text in (found | forced_findings(None)).items():
        check_result(name, text)
    assert set(forced_curves(forced_, [16, 20])) == {"cut off", "answer forced", "made to go on"}
    assert "left out of this run" in forced_findings(None)["forced_cap_finding"]


def test_a_real_student_is_capped_and_goes_on():
    model, tokenizer = new_student(Architecture(), vocabulary(["congruence"], ["easy"]), seed=0)
    engine = TransformersEngine(model, tokenizer, name="untrained", batch_size=8)
    prompts = [p.text for p in generate(4, "held_out", difficulties=["easy"])]

    def words(text):
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    sampling = Sampling(40, temperature=1.0, samples=3)
    settings = {"cap": 12, "closing": CLOSING, "continuation": " wait", "times": 1, "count": words, "allowance": 6}
    rows = force(engine, prompts, sampling, **settings)
    assert rows == force(engine, prompts, sampling, **settings)
    for row in rows:
        assert len(row) == 3
        for answer in row:
            # Special words may be drawn and are not shown, so the text can only be shorter than the count.
            assert words(answer.text) <= answer.tokens - (answer.finish == "stop")
            assert answer.tokens <= 12 + words(CLOSING) + 6
            assert answer.finish == "stop" or "\\boxed{" in answer.text
