"""Budget forcing with a scripted engine whose every token is a word, so that counts can be checked by eye."""

from __future__ import annotations

import inspect

import pytest

from longthought.engines import Completion, Sampling, TransformersEngine
from longthought.errors import UserError
from longthought.evaluation.forcing import final_part, force

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


@pytest.mark.skipif(
    "prefixes" not in inspect.signature(TransformersEngine.generate).parameters,
    reason="the engine cannot go on from an answer yet",
)
def test_a_real_student_is_capped_and_goes_on():
    from longthought.models import Architecture, new_student
    from longthought.problems import generate
    from longthought.thoughts import vocabulary

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
            assert answer.tokens == words(answer.text) + (answer.finish == "stop")
            assert answer.tokens <= 12 + words(CLOSING) + 6
            assert answer.finish == "stop" or "\\boxed{" in answer.text
