"""Problems: gold answers by another route, the split that training cannot cross, and files that users bring."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longthought.errors import UserError
from longthought.problems import (
    DIFFICULTIES,
    FAMILIES,
    LANGUAGES,
    Problem,
    every_instance,
    generate,
    load_jsonl,
    require_train,
    split_of,
)


@pytest.mark.parametrize("family", FAMILIES)
def test_gold_answers_satisfy_the_statement_and_are_the_smallest(family):
    for problem in generate(None, "train", families=[family], difficulties=DIFFICULTIES)[:400]:
        n, gold = problem.numbers, int(problem.gold)
        if family == "congruence":
            residue = (n["b"] - n["c"]) * pow(n["a"], -1, n["m"]) % n["m"]
            assert gold == residue
        elif family == "remainders":
            crt = (n["r"] * n["q"] * pow(n["q"], -1, n["p"]) + n["s"] * n["p"] * pow(n["p"], -1, n["q"])) % (
                n["p"] * n["q"]
            )
            assert gold == crt
        else:
            assert n["g"] ** gold % n["m"] == n["b"]
            assert all(n["g"] ** e % n["m"] != n["b"] for e in range(1, gold))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_statement_names_every_number_of_its_problem(family):
    for problem in generate(40, "train", families=[family], difficulties=DIFFICULTIES):
        assert all(str(value) in problem.text.split() for value in problem.numbers.values())
        assert problem.language == ("zh" if "求" in problem.text else "en")


def test_splits_share_no_instance_in_any_language():
    train = generate(None, "train", families=FAMILIES, difficulties=DIFFICULTIES)
    held = generate(None, "held_out", families=FAMILIES, difficulties=DIFFICULTIES)
    instances = [{(p.family, tuple(sorted(p.numbers.items()))) for p in side} for side in (train, held)]
    assert not instances[0] & instances[1]
    assert len(instances[0]) == len(train) and len(instances[1]) == len(held)
    total = len({p.id.partition(":")[2] for p in every_instance(FAMILIES, DIFFICULTIES)})
    assert len(train) + len(held) == total
    assert 0.22 < len(held) / total < 0.28


def test_a_smaller_set_is_the_beginning_of_a_larger_one():
    assert (
        generate(50, "train", difficulties=["easy", "medium"])
        == generate(80, "train", difficulties=["easy", "medium"])[:50]
    )


def test_turns_balance_languages_and_difficulties():
    problems = generate(200, "held_out", difficulties=["easy", "medium"])
    for value in LANGUAGES:
        assert 70 <= sum(p.language == value for p in problems) <= 130
    assert 90 <= sum(p.difficulty == "easy" for p in problems) <= 110


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"count": 10, "split": "held_out", "families": ["congruense"]}, "congruense"),
        ({"count": 10, "split": "test"}, "test"),
        ({"count": 10**6, "split": "train"}, "hold only"),
        ({"count": 10, "split": "train", "languages": ["fr"]}, "fr"),
    ],
)
def test_impossible_wishes_are_refused_with_a_reason(arguments, word):
    with pytest.raises(UserError, match=word):
        generate(**arguments)


def test_training_refuses_held_out_and_benchmark_problems_even_when_relabelled():
    good = generate(5, "train")
    require_train(good)
    held = generate(1, "held_out")[0]
    relabelled = Problem(**{**held.__dict__, "split": "train"})
    benchmark = Problem("1", "1+1", "2")
    for bad in (held, relabelled, benchmark):
        with pytest.raises(ValueError, match="not for training"):
            require_train([*good, bad])


def test_the_split_is_fixed_for_good():
    # A change here would let old students see new test problems.
    assert split_of("congruence", {"a": 2, "c": 4, "b": 2, "m": 5}) == "train"
    assert [p.id for p in generate(3, "held_out")] == [p.id for p in generate(3, "held_out", seed=0)]


ROW = {"problem": "What is $1+1$?", "answer": "2"}


def write(path, *lines, encoding="utf-8"):
    path.write_bytes(
        "\n".join(x if isinstance(x, str) else json.dumps(x, ensure_ascii=False) for x in lines).encode(encoding)
    )
    return path


def test_a_good_file_is_read_whole(tmp_path):
    file = write(tmp_path / "p.jsonl", ROW, "", {"id": 7, "problem": "求 x\u2028?", "answer": 25, "solution": "s"})
    problems = load_jsonl(file)
    assert [(p.id, p.gold, p.split, p.solution) for p in problems] == [("1", "2", "eval", ""), ("7", "25", "eval", "s")]
    assert len(load_jsonl(file, limit=1)) == 1


@pytest.mark.parametrize(
    ("lines", "encoding", "said"),
    [
        ([], "utf-8", "holds no problems"),
        (["", "  "], "utf-8", "holds no problems"),
        ([ROW, {"problem": "x"}], "utf-8", "line 2: field 'answer' is missing"),
        ([ROW, '{"problem": "x", '], "utf-8", "line 2: not valid JSON"),
        ([ROW, '["x"]'], "utf-8", "line 2: a JSON object is wanted"),
        ([{"problem": " ", "answer": "1"}], "utf-8", "line 1: field 'problem' must be"),
        ([{"problem": "x", "answer": None}], "utf-8", "line 1: field 'answer' must be"),
        ([{**ROW, "id": "a"}, {**ROW, "id": "a"}], "utf-8", "line 2: id 'a' stands already in line 1"),
        ([{"problem": "求 x", "answer": "1"}], "utf-16", "not UTF-8"),
        ([{"problem": "求 x", "answer": "1"}], "gb18030", "not UTF-8"),
        (["[" * 100_000], "utf-8", "line 1: not valid JSON"),
    ],
)
def test_a_bad_file_gives_one_line_that_says_where(tmp_path, lines, encoding, said):
    file = write(tmp_path / "bad.jsonl", *lines, encoding=encoding)
    with pytest.raises(UserError) as caught:
        load_jsonl(file)
    assert said in str(caught.value) and str(file) in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(UserError, match="JSONL file"):
            load_jsonl(path)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_problems_or_one_clear_line(tmp_path_factory, content):
    file = tmp_path_factory.mktemp("fuzz") / "f.jsonl"
    file.write_bytes(content)
    try:
        assert load_jsonl(file)
    except UserError as error:
        assert "\n" not in str(error).replace(str(file), "")
