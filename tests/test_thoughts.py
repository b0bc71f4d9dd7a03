"""The rule-based teacher: each of its dials does what it says, and no text leaves the students' vocabulary."""

import random
import re

import pytest

from longthought.errors import UserError
from longthought.grading import grade
from longthought.problems import DIFFICULTIES, FAMILIES, Problem, generate
from longthought.thoughts.procedural import WORDS, Teacher, documents, long_thought, vocabulary, worked_solution

PROBLEMS = generate(600, "train", families=FAMILIES, difficulties=DIFFICULTIES)


def thoughts(teacher, problems=PROBLEMS, seed=0):
    rng = random.Random(seed)
    return [(p, long_thought(p, teacher, rng)) for p in problems]


def right(pairs):
    return sum(grade(p.gold, text).correct for p, text in pairs) / len(pairs)


def test_a_perfect_teacher_is_always_right_and_always_answers():
    assert right(thoughts(Teacher())) == 1.0


@pytest.mark.parametrize("accuracy", [0.0, 0.4, 0.8])
def test_random_errors_hit_the_wanted_accuracy(accuracy):
    pairs = thoughts(Teacher(accuracy=accuracy))
    assert abs(right(pairs) - accuracy) < 0.06
    assert all(grade(p.gold, text).verdict in ("correct", "wrong") for p, text in pairs)


def test_systematic_errors_fall_on_the_same_problems_every_time():
    teacher = Teacher(accuracy=0.6, errors="systematic")
    verdicts = [[grade(p.gold, t).correct for p, t in thoughts(teacher, seed=s)] for s in (0, 1)]
    assert verdicts[0] == verdicts[1]
    assert 0.55 < sum(verdicts[0]) / len(verdicts[0]) < 0.85


def test_slips_are_written_noticed_and_do_not_change_the_answer():
    pairs = thoughts(Teacher(slip=0.5))
    waits = sum(WORDS[p.language]["wait"] in text.split() for p, text in pairs)
    assert waits > 0.7 * len(pairs) and right(pairs) == 1.0
    assert not any(WORDS[p.language]["wait"] in text.split() for p, text in thoughts(Teacher(slip=0.0)))


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_reflection_is_the_share_of_thoughts_that_check(share):
    pairs = thoughts(Teacher(reflection=share))
    checked = sum(WORDS[p.language]["check"] in text.split() for p, text in pairs) / len(pairs)
    assert abs(checked - share) < 0.07


def test_every_line_of_a_clean_thought_is_true_arithmetic():
    for problem, text in thoughts(Teacher(slip=0.0)):
        modulus = problem.numbers.get("q") or problem.numbers["m"]
        for left, sign, step, total in re.findall(r"(\d+) ([+*]) (\d+) = (\d+)", text):
            value = int(left) + int(step) if sign == "+" else int(left) * int(step)
            assert value == int(total)
        for total, reduced in re.findall(r"= (\d+) = (\d+)", text):
            assert int(total) % modulus == int(reduced)
        for value, target, gap in re.findall(r"(\d+) (?:vs|对比) (\d+) (?:off|差) (\d+)", text):
            assert abs(int(value) - int(target)) == int(gap)


def test_worked_solutions_are_right_and_search_nothing():
    for problem in PROBLEMS:
        text = worked_solution(problem)
        assert grade(problem.gold, text).correct
        assert WORDS[problem.language]["off"] not in text.split()


def test_the_same_seed_writes_the_same_thoughts():
    assert thoughts(Teacher(accuracy=0.5, slip=0.2)) == thoughts(Teacher(accuracy=0.5, slip=0.2))


def test_no_text_leaves_the_vocabulary():
    words = set(vocabulary(FAMILIES, DIFFICULTIES))
    texts = [p.text for p in generate(300, "held_out", families=FAMILIES, difficulties=DIFFICULTIES)]
    for teacher in (Teacher(slip=0.5), Teacher(accuracy=0.0), Teacher(accuracy=0.0, errors="systematic")):
        texts += [text for _, text in thoughts(teacher)]
    texts += [worked_solution(p) for p in PROBLEMS]
    texts += [" ".join(pair) for pair in documents(PROBLEMS, 2000, 0)]
    assert {word for text in texts for word in text.split()} <= words


def test_documents_never_hold_a_search():
    # The base knows the parts of a thought; were a whole search among them, phase 2 would teach nothing new.
    for prompt, completion in documents(PROBLEMS, 3000, 1):
        if prompt:
            assert re.fullmatch(r"\\boxed\{ \d+ \}", completion)
        else:
            assert not (("vs" in completion or "对比" in completion) and ("x=" in completion or "n=" in completion))


@pytest.mark.parametrize("bad", [{"accuracy": 1.2}, {"slip": -0.1}, {"reflection": 2}, {"errors": "sometimes"}])
def test_impossible_teachers_are_refused(bad):
    with pytest.raises(UserError, match="teacher"):
        Teacher(**bad)


def test_the_teacher_does_not_pretend_to_solve_a_users_problem():
    with pytest.raises(UserError, match="procedural"):
        long_thought(Problem("1", "1+1", "2"), Teacher(), random.Random(0))
