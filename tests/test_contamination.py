"""Decontamination: each stage on texts made for it, planted copies, edits of TeX as properties, real benchmarks."""

import errno
import json
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longthought import lint
from longthought.curation import cleaning, contamination, planted, similarity
from longthought.curation.contamination import Benchmarks, Item, Limits, read_benchmark
from longthought.errors import UserError
from longthought.problems import DIFFICULTIES, generate

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
ROWS = planted.translated_problems()
ENGLISH = [Item(row["id"], row["en"]) for row in ROWS]
OWN = Benchmarks({"own": ENGLISH})
TRAINS = (
    "Two trains leave Hamburg and Munich at the same time and travel towards each other. The first covers $120$ km in "
    "an hour, the second $90$ km. The cities are $630$ km apart. After how many hours do the trains meet?"
)
POLYGON = "Compute $\\sin 60^\\circ$."
INTEGRAL = "Evaluate the integral $\\int_0^{17} (3x^2 + 5) \\, dx$ and give the exact value."
SMALL = Benchmarks({"small": [Item("trains", TRAINS), Item("sine", POLYGON), Item("integral", INTEGRAL)]})


def real(name):
    file = DATA / name
    if not file.exists():
        pytest.skip(f"{file} is absent: it is not shipped")
    return read_benchmark(str(file))[1]


def stage_of(text, benchmarks=SMALL):
    found = benchmarks.check(text)
    return (found[0].stage, found[0].id) if found else None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TRAINS, ("exact", "trains")),
        (TRAINS.upper(), ("exact", "trains")),
        ("Problem 7. " + POLYGON, ("exact", "sine")),
        ("compute \\(\\sin{60}^{\\circ}\\)", ("exact", "sine")),
        ("evaluate the integral $$\\int _ {0} ^ {17}({3x^2}+5)d x$$ and give the exact value", ("exact", "integral")),
        ("Here is a nice one for the lesson of today, do it by heart: " + TRAINS * 2, ("n-gram", "trains")),
        ("Please: " + POLYGON + " Explain.", ("n-gram", "sine")),
        (TRAINS[: len(TRAINS) * 2 // 3], ("n-gram", "trains")),
        (
            "Two lorries leave Hamburg and Munich simultaneously and drive towards each other. In an hour the first "
            "one makes $120$ km and the second one $90$ km. The towns are $630$ km apart. When will the lorries meet?",
            ("fuzzy", "trains"),
        ),
        ("计算定积分 $\\int_0^{17} (3x^2 + 5) dx$ 的值。", ("multilingual", "integral")),
        ("求积分\\(\\int_{0}^{17} \\left(5 + 3x^{2}\\right) \\, dx\\)", ("multilingual", "integral")),
        (TRAINS.replace("120", "150").replace("630", "480"), ("template", "trains")),
        ("Compute $\\sin 30^\\circ$.", None),
        ("Compute $\\sin 60^\\circ + \\cos 30^\\circ$.", None),
        ("Two trains leave Hamburg at the same time. Which of them is the faster one?", None),
        ("计算定积分 $\\int_0^{19} (3x^2 + 7) dx$ 的值。", None),
        ("", None),
        ("...", None),
    ],
)
def test_each_stage_finds_its_kind_of_copy(text, expected):
    assert stage_of(text) == expected


def test_a_finding_says_where_and_what():
    (finding,) = Benchmarks({"a": [Item("x", TRAINS)], "b": [Item("y", "other words here")]}).check_many(
        ["An innocent text.", TRAINS], first_row=10
    )[1]
    assert (finding.row, finding.benchmark, finding.id, finding.stage, finding.score) == (11, "a", "x", "exact", 1.0)
    assert finding.text.startswith("Two trains") and len(finding.text) <= 160


def test_a_problem_of_two_benchmarks_is_reported_for_both():
    both = Benchmarks({"a": [Item("x", TRAINS)], "b": [Item("y", TRAINS.lower())]})
    assert [(f.benchmark, f.id) for f in both.check(TRAINS + " Why?")] == [("a", "x"), ("b", "y")]


def test_of_two_problems_the_nearer_one_is_named():
    other = TRAINS.replace("120", "150").replace("630", "480")
    text = TRAINS.replace("Two trains", "Two fast trains").replace("cities", "towns")
    for items in ([Item("same", TRAINS), Item("other", other)], [Item("other", other), Item("same", TRAINS)]):
        assert stage_of(text, Benchmarks({"b": items})) == ("n-gram", "same")


def test_what_several_benchmark_problems_share_accuses_nobody():
    opening = (
        "Let $ABC$ be an acute triangle with circumcentre $O$ and orthocentre $H$, and let $M$ be the midpoint of $BC$."
    )
    family = [opening + end for end in (" Prove that $AH = 2OM$.", " Find the locus of $H$ as $A$ moves.")]
    texts = [opening + " Show that the reflection of $H$ in $M$ lies on a known circle, and name its antipode."]
    assert Benchmarks({"family": [Item(str(i), t) for i, t in enumerate(family)]}).check_many(texts) == [[]]
    alone = Benchmarks({"family": [Item("0", opening)]}).check_many(texts)
    assert alone[0] and alone[0][0].stage == "n-gram"


# --- the indices against the plain definition ---


def naive_coverage(problems, text, size):
    """The share of a problem's own runs, of four at least where it has four at all, that the text holds."""
    runs = [{tuple(t[i : i + size]) for i in range(len(t) - size + 1)} for t in map(similarity.tokens, problems)]
    counts = Counter(run for own in runs for run in own)
    tokens = similarity.tokens(text)
    held = {tuple(tokens[i : i + size]) for i in range(len(tokens) - size + 1)}
    own = [{run for run in one if counts[run] == 1} for one in runs]
    least = [min(4, len(one)) for one in runs]
    return [len(one & held) / max(len(one), few, 1) for one, few in zip(own, least, strict=True)]


@settings(max_examples=50, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_inverted_index_computes_the_coverage_by_definition(rng):
    words = ["ab", "ba", "ca", "ac", "da", "ad", "1", "2"]
    problems = list({" ".join(rng.choices(words, k=rng.randrange(1, 30))) for _ in range(6)})
    texts = [" ".join(rng.choices(words, k=rng.randrange(1, 60))) for _ in range(4)] + problems[:2]
    index = Benchmarks({"b": [Item(str(i), p) for i, p in enumerate(problems)]}, limits=Limits(ngram=3))
    got = index._ngrams(similarity.ngrams(similarity.hashed(texts), 3)).toarray()
    expected = [naive_coverage(problems, text, 3) for text in texts]
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_blocks_say_the_same_as_one_by_one(monkeypatch):
    copies = [copy.text for copy in planted.plant(ENGLISH[:12])] + [row["zh"] for row in ROWS]
    expected = [[f.__dict__ | {"row": 0} for f in OWN.check(text)] for text in copies]
    monkeypatch.setattr(contamination, "_BLOCK", 16)
    found = OWN.check_many(copies)
    assert [[f.__dict__ | {"row": 0} for f in own] for own in found] == expected
    assert [f.row for own in found for f in own] == [i for i, own in enumerate(found) for _ in own]


# --- edits of TeX, as a property ---

EDITS = st.lists(st.sampled_from(sorted(planted.LATEX_EDITS)), min_size=1, max_size=12)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(ENGLISH), EDITS)
def test_a_copy_with_edited_tex_is_always_found(item, edits):
    text = item.text
    for name in edits:
        text = planted.LATEX_EDITS[name](text)
    assert OWN.check(text)[0].id == item.id


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(ROWS), st.randoms(use_true_random=False))
def test_white_space_and_case_anywhere_between_words_change_nothing(row, rng):
    text = "".join(rng.choice([" ", "  ", "\n", "\t", "\u3000"]) if c == " " else c for c in row["en"])
    # Case inside formulas tells variables apart, but a command in capitals would be another command.
    text = "".join(rng.choice([part, part.upper()]) if "\\" not in part else part for part in text.split("$"))
    assert OWN.check(text)[0].id == row["id"]


@pytest.mark.parametrize("name", sorted(planted.LATEX_EDITS))
def test_every_edit_changes_some_problem_and_none_hides_it(name):
    samples = [
        *ENGLISH,
        Item("x", "Is $a \\leqslant b$ or $a \\leq b$, or $x_{1} \\dfrac{1}{2} [ \\left( 2 \\right)$? \\[y\\] $$z$$"),
    ]
    samples.append(Item("y", "Add $\\frac{1}{2} + 2+\\ldots+ 9$, $3\\times 4$."))
    edited = [(i, planted.LATEX_EDITS[name](i.text)) for i in samples]
    changed = [(i, text) for i, text in edited if text != i.text]
    assert changed
    found = Benchmarks({"b": samples}).check_many([text for _, text in changed])
    assert [own and own[0].id for own in found] == [item.id for item, _ in changed]


# --- planted copies ---


def test_recall_on_the_projects_own_problems():
    study = planted.own_study()
    assert study.recall("verbatim").value == 1 and study.recall("LaTeX-edited").value == 1
    assert study.recall("renumbered").value > 0.95 and set(study.found["renumbered"]) <= {"template", "fuzzy", "n-gram"}
    assert study.recall("reworded").value > 0.9 and study.recall("reworded").n >= 15
    assert study.recall("translated").value > 0.7 and study.found["translated"]["multilingual"] > 10
    assert not study.false and study.innocents > 200
    assert sum(study.planted.values()) == len(study.missed) + sum(sum(f.values()) for f in study.found.values())


def test_a_blind_detector_has_no_recall(monkeypatch):
    monkeypatch.setattr(Benchmarks, "_check_block", lambda self, texts, first_row: [[] for _ in texts])
    study = planted.own_study()
    assert study.recall("verbatim").k == 0 and len(study.missed) == sum(study.planted.values())


def test_copies_differ_from_their_problem_as_their_kind_says():
    copies = planted.plant(ENGLISH, {row["id"]: row["zh"] for row in ROWS})
    by_id = {item.id: item.text for item in ENGLISH}
    masked = {kind: 0 for kind in planted.KINDS}
    for copy in copies:
        one, two = similarity.tokens(by_id[copy.id]), similarity.tokens(copy.text)
        numbers = [[t for t in side if t[0].isdigit()] for side in (one, two)]
        masked[copy.kind] += 1
        if copy.kind == "renumbered":
            assert numbers[0] != numbers[1]
            assert [t for t in one if not t[0].isdigit()] == [t for t in two if not t[0].isdigit()]
        elif copy.kind in ("LaTeX-edited", "reworded"):
            assert sorted(numbers[0]) == sorted(numbers[1]), copy
        assert (copy.text == by_id[copy.id]) == (copy.kind == "verbatim")
    assert masked["verbatim"] == masked["translated"] == len(ROWS) and masked["reworded"] > 30


def test_the_table_and_the_figure_pass_the_gate_of_published_numbers():
    study = planted.own_study()
    table = planted.recall_table(study)
    lint.check_table(table, "recall")
    assert list(table["copies"]) == [*planted.KINDS, "none (false alarms)"]
    assert table.loc[0, "found"] == "33/33 = 100.0% [89.6, 100.0]" and table.loc[0, "by stage"] == "33 exact"
    figure, data = planted.recall_figure(study)
    lint.check_table(data, "recall")
    assert len(data) == len(planted.KINDS) + 1 and figure.data


def test_the_translated_problems_are_translations():
    assert len(ROWS) >= 60 and len({row["id"] for row in ROWS}) == len({row["en"] for row in ROWS}) == len(ROWS)
    for row in ROWS:
        formulas = [Counter(planted._FORMULA.findall(row[language])) for language in ("en", "zh")]
        # Lists of names and split relations differ; what holds a digit does not.
        digits = [
            Counter(d for f, n in one.items() for d in similarity.tokens(f) * n if d[0].isdigit()) for one in formulas
        ]
        assert digits[0] == digits[1], row["id"]
        assert any("\u4e00" <= c <= "\u9fff" for c in row["zh"]) and row["en"].isascii() and row["answer"]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (
            "four-digit numbers have digits that sum to $31$",
            sum(sum(map(int, str(n))) == 31 for n in range(1000, 10000)),
        ),
        ("last two digits of $17^{102}$", 17**102 % 100),
        ("lattice points strictly inside", sum(x * x + y * y < 50 for x in range(-9, 10) for y in range(-9, 10))),
        ("x + 2y + 3z = 30", sum(x + 2 * y + 3 * z == 30 for x in range(31) for y in range(16) for z in range(11))),
        ("hens and rabbits", next(r for r in range(44) if 4 * r + 2 * (43 - r) == 122)),
    ],
)
def test_answers_of_the_translated_problems(text, answer):
    assert [row["answer"] for row in ROWS if text in row["en"]] == [str(answer)]


# --- real benchmarks ---


def test_math500_as_training_data_is_found_whole():
    items = real("math500.jsonl")
    found = Benchmarks({"math500": items}).check_many([item.text for item in items])
    assert [own[0].id for own in found] == [item.id for item in items]


@pytest.mark.parametrize("seed", range(3))
def test_recall_is_complete_on_edited_copies_of_math500(seed):
    items = real("math500.jsonl")
    copies = [copy for copy in planted.plant(items, seed=seed) if copy.kind in ("verbatim", "LaTeX-edited")]
    study = planted.measure(items, copies, [item.text for item in real("aime2024.jsonl")])
    assert study.missed == () and study.false == () and sum(study.planted.values()) > 990


def test_the_canary_of_math500_is_found_however_it_is_typed():
    items = real("math500.jsonl")
    canary, index = items[80], Benchmarks({"math500": items})
    assert "\\log(kx)=2\\log(x+2)" in canary.text
    forms = [edit(canary.text) for edit in planted.LATEX_EDITS.values()]
    forms += [planted.edit_latex(canary.text, random.Random(seed)) for seed in range(50)]
    forms.append(
        "Find the number of integer values of k in the closed interval [-500, 500] for which the equation "
        "log(kx) = 2 log(x+2) has exactly one real solution."
    )
    forms.append("求闭区间 $[-500,500]$ 内使方程 $\\log(kx)=2\\log(x+2)$ 恰有一个实数解的整数 $k$ 的个数。")
    assert all(own and own[0].id == canary.id for own in index.check_many(forms))


# --- texts that mean harm ---


@pytest.mark.parametrize(
    "hostile",
    ["a" * 10**6, "{" * 10**6, "$" * 10**6, "\\(" * 500_000, "\\text{" * 100_000, "7 " * 500_000, "求" * 10**6, "\x00"],
    ids=["letters", "braces", "dollars", "openings", "texts", "numbers", "characters", "nul"],
)
def test_a_hostile_text_is_innocent_and_takes_no_time_out(hostile):
    assert SMALL.check(hostile) == []


def test_a_copy_inside_a_very_long_text_is_found():
    assert stage_of("lorem ipsum " * 40_000 + TRAINS + " dolor sit" * 40_000) == ("n-gram", "trains")


# --- embeddings ---


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory):
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("model")
    words = sorted({w for item in ENGLISH for w in item.text.replace("$", " ").split()})
    tokenizer = Tokenizer(WordLevel({w: i for i, w in enumerate(["[PAD]", "[UNK]", *words])}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words) + 2, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    BertModel(config).save_pretrained(folder)
    return str(folder)


def test_embeddings_are_unit_means_that_padding_does_not_change(tiny_model):
    embed = contamination.embedder(tiny_model)
    texts = ["Find the sum", "Find the number of integers with the sum and the product of all of them", "sum"]
    together = embed(texts)
    assert together.shape == (3, 32)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    for text, vector in zip(texts, together, strict=True):
        np.testing.assert_allclose(embed([text])[0], vector, atol=1e-5)


def test_an_embedding_finds_what_the_other_stages_leave(tiny_model):
    embed = contamination.embedder(tiny_model)
    problem, text = "How many guests shake hands at the party", "many guests find How the hands"
    cosine = float((embed([problem]) @ embed([text]).T)[0, 0])
    items = {"b": [Item("0", problem), Item("1", "Find the last two digits of an integer")]}
    assert Benchmarks(items).check(text) == []
    assert Benchmarks(items, limits=Limits(cosine=cosine + 0.01), embed=embed).check(text) == []
    index = Benchmarks(items, limits=Limits(cosine=cosine - 0.01), embed=embed)
    (finding,) = index.check_many(["nothing of the kind", text])[1]
    assert (finding.stage, finding.id, finding.score) == ("embedding", "0", pytest.approx(cosine, abs=1e-3))
    assert index.check(problem)[0].stage == "exact"


@pytest.mark.parametrize("name", ["nowhere", "some/model@main"])
def test_a_model_that_is_not_pinned_is_refused(name):
    with pytest.raises(UserError, match="40 hex digits"):
        contamination.embedder(name)


# --- reading benchmarks ---


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_a_benchmark_comes_from_jsonl_json_or_parquet(tmp_path):
    rows = [{"id": "a", "problem": TRAINS}, {"id": "b", "problem": POLYGON}]
    write_rows(tmp_path / "one.jsonl", rows)
    (tmp_path / "two.json").write_text(json.dumps(rows))
    pd.DataFrame(rows).rename(columns={"problem": "question"}).to_parquet(tmp_path / "three.parquet")
    for name in ("one.jsonl", "two.json", "three.parquet"):
        short, items = read_benchmark(str(tmp_path / name))
        assert short == name.split(".")[0] and items == [Item("a", TRAINS), Item("b", POLYGON)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no problems"),
        ('{"text": "x"}\n', "line 1: no text in a field problem or question; present are text"),
        ('{"problem": "x"}\n{"problem": \n', "line 2: not valid JSON"),
        ('{"problem": ["x"]}\n', "line 1: no text"),
    ],
)
def test_a_benchmark_that_is_not_whole_is_refused(tmp_path, content, message):
    file = tmp_path / "b.jsonl"
    file.write_text(content)
    with pytest.raises(UserError, match=message):
        read_benchmark(str(file))


def test_a_benchmark_without_any_token_is_refused():
    with pytest.raises(UserError, match="problem 7 holds no word"):
        Benchmarks({"b": [Item("7", "。？")]})


def test_a_benchmark_of_a_hub_is_pinned_and_read_from_all_splits(monkeypatch):
    import datasets

    commit = "0" * 39 + "a"
    asked = []

    def fetch(name, revision):
        asked.append((name, revision))
        rows = datasets.Dataset.from_list([{"Problem": TRAINS, "ID": "I-1"}])
        return {"train": rows, "test": datasets.Dataset.from_list([{"question": POLYGON}])}

    monkeypatch.setattr(datasets, "load_dataset", fetch)
    name, items = read_benchmark(f"some/set@{commit}")
    assert asked == [("some/set", commit)] and name == "some/set"
    assert items == [Item("I-1", TRAINS), Item("test/1", POLYGON)]
    with pytest.raises(UserError, match="full commit"):
        read_benchmark("some/set@main")

    def unreachable(name, revision):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(UserError, match="no route to host"):
        read_benchmark(f"some/set@{commit}")


# --- files ---

TRAINING = [
    {"problem": "How many sheep are in the field?", "n": 1},
    {"problem": TRAINS, "n": 2},
    {"problem": TRAINS.replace("120", "150"), "n": 3},
    {"problem": None, "n": 4},
    {"other": "x", "n": 5},
    {"problem": "求 $\\int_0^{17} (3x^2 + 5) dx$", "n": 6},
]


def lines(file):
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_every_row_stands_in_one_file_with_its_reason(tmp_path):
    source = write_rows(tmp_path / "train.jsonl", TRAINING)
    with open(source, "a", encoding="utf-8") as more:
        more.write("{broken\n")
    summary = cleaning.decontaminate([source], tmp_path / "out", SMALL)
    out = tmp_path / "out"
    assert [row["n"] for row in lines(out / "clean.jsonl")] == [1, 3]
    removed = lines(out / "removed.jsonl")
    assert [(r["line"], r["stage"], r["benchmarks"], r["row"]["n"]) for r in removed] == [
        (2, "exact", {"small": "trains"}, 2),
        (6, "multilingual", {"small": "integral"}, 6),
    ]
    assert [(r["line"], r["stage"]) for r in lines(out / "templates.jsonl")] == [(3, "template")]
    assert [r["line"] for r in lines(out / "broken.jsonl")] == [4, 5, 7]
    assert summary == json.loads((out / "summary.json").read_text())
    assert summary["rows"] == {"read": 7, "clean": 2, "removed": 2, "templates": 1, "broken": 3}
    assert summary["benchmarks"]["small"]["problems found"] == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "train.jsonl"]


def test_templates_go_on_demand(tmp_path):
    source = write_rows(tmp_path / "train.jsonl", TRAINING[:3])
    summary = cleaning.decontaminate([source], tmp_path / "out", SMALL, remove_templates=True)
    assert [r["row"]["n"] for r in lines(tmp_path / "out" / "removed.jsonl")] == [2, 3]
    assert summary["rows"]["templates"] == 0 and "template" in summary["removes"]


def test_problems_of_one_procedural_family_are_templates_of_each_other():
    held = generate(20, "held_out", families=["remainders"], difficulties=DIFFICULTIES, languages=["en"])
    train = generate(50, "train", families=["remainders"], difficulties=DIFFICULTIES, languages=["en"])
    index = Benchmarks({"held_out": [Item(p.id, p.text) for p in held]})
    numbers = {p.id: sorted(p.numbers.values()) for p in held}
    for problem, own in zip(train, index.check_many([p.text for p in train]), strict=True):
        # The same numbers in other places are taken for a rewording, since "12 and 18" may stand for "18 and 12".
        assert own[0].stage == ("fuzzy" if numbers[own[0].id] == sorted(problem.numbers.values()) else "template")


def test_a_failure_leaves_nothing(tmp_path, monkeypatch):
    source = write_rows(tmp_path / "train.jsonl", TRAINING)
    empty = write_rows(tmp_path / "none.jsonl", [{"other": 1}])
    with pytest.raises(UserError, match="no row has a text in a field 'problem'"):
        cleaning.decontaminate([source, empty], tmp_path / "out", SMALL)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "mine.txt").write_text("x")
    with pytest.raises(UserError, match="exists already"):
        cleaning.decontaminate([source], tmp_path / "used", SMALL)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["none.jsonl", "train.jsonl", "used"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("binary.jsonl", bytes(range(128, 256)) * 99, "binary.jsonl, line 1: not UTF-8"),
        ("wide.jsonl", json.dumps({"problem": TRAINS}).encode("utf-16"), "wide.jsonl, line 1: not UTF-8"),
        ("plain.jsonl.gz", json.dumps({"problem": TRAINS}).encode(), "Not a gzipped file"),
        ("mac.jsonl", (json.dumps({"problem": TRAINS}) + "\r").encode() * 3, "line 1: .*end in CR alone"),
        ("empty.jsonl", b"", "empty.jsonl: no rows"),
    ],
)
def test_a_source_without_a_usable_row_is_said_with_the_first_reason(tmp_path, name, content, message):
    good = write_rows(tmp_path / "good.jsonl", TRAINING)
    (tmp_path / name).write_bytes(content)
    for sources in ([str(tmp_path / name)], [good, str(tmp_path / name)]):
        with pytest.raises(UserError, match=message):
            cleaning.decontaminate(sources, tmp_path / "out", SMALL)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["good.jsonl", name])


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    source = write_rows(tmp_path / "train.jsonl", TRAINING)
    for out in (Path("/proc/zz"), tmp_path / "train.jsonl" / "out", tmp_path / "train.jsonl" / "deep" / "out"):
        with pytest.raises(UserError, match=f"{out}: cannot be written"):
            cleaning.decontaminate([source], out, SMALL)
    assert [p.name for p in tmp_path.iterdir()] == ["train.jsonl"]


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path, monkeypatch):
    source = write_rows(tmp_path / "train.jsonl", TRAINING)

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(cleaning, "_write", full)
    with pytest.raises(UserError, match=r"out: cannot be written \(No space left"):
        cleaning.decontaminate([source], tmp_path / "out", SMALL)
    assert [p.name for p in tmp_path.iterdir()] == ["train.jsonl"]


def test_a_link_as_the_folder_leads_to_the_one_that_is_written(tmp_path):
    source = write_rows(tmp_path / "train.jsonl", TRAINING)
    (tmp_path / "empty").mkdir()
    for target in ("empty", "dangling"):
        link = tmp_path / f"to-{target}"
        link.symlink_to(tmp_path / target)
        cleaning.decontaminate([source], link, SMALL)
        assert link.is_symlink() and len(lines(tmp_path / target / "clean.jsonl")) == 2


def test_what_a_killed_run_left_is_cleared(tmp_path):
    source = write_rows(tmp_path / "train.jsonl", TRAINING)
    (tmp_path / ".out.partial").mkdir()
    (tmp_path / ".out.partial" / "half.jsonl").write_text("half a ro")
    cleaning.decontaminate([source], tmp_path / "out", SMALL)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "train.jsonl"]
    assert not (tmp_path / "out" / "half.jsonl").exists()


def command(*arguments, cwd):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "longthought.cli", "decontaminate", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment,
    )


def test_the_command_prints_what_it_removed(tmp_path):
    rows = [{"question": row["problem"]} for row in TRAINING[:3]]
    pd.DataFrame(rows).to_parquet(tmp_path / "train.parquet")
    write_rows(tmp_path / "bench.jsonl", [{"id": "t", "problem": TRAINS}])
    arguments = ["train.parquet", "out", "--against", "bench.jsonl", "--field", "problem=question"]
    done = command(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "removed 1/3 = 33.3% [6.1, 79.2] rows; 2 stay in out/clean.jsonl" in done.stdout
    assert "bench" in done.stdout and "1 renumbered copies stay" in done.stdout
    assert [row["question"] for row in lines(tmp_path / "out" / "clean.jsonl")] == [r["question"] for r in rows[::2]]
    again = command(*arguments, cwd=tmp_path)
    assert again.returncode == 2 and again.stderr.startswith("error: out: exists already")


def test_names_of_benchmarks_are_no_markup(tmp_path):
    write_rows(tmp_path / "train.jsonl", TRAINING)
    names = ["red].jsonl", "q[/red].jsonl", "[bold]x.jsonl"]
    (tmp_path / "q[").mkdir()
    for name in names:
        write_rows(tmp_path / name, [{"problem": TRAINS}])
    done = command("train.jsonl", "out", *(part for name in names for part in ("--against", name)), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    against = json.loads((tmp_path / "out" / "summary.json").read_text())["benchmarks"]
    assert len(against) == 3 and all(name in done.stdout for name in against)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["out", "--against", "b.jsonl"], "TRAIN... OUT"),
        (["t.jsonl", "out", "--against", "b.jsonl"], "b.jsonl: no such file"),
        (["t.jsonl", "out", "--against", "t.jsonl", "--field", "x=y"], "--field x=y: write problem=NAME"),
        (["none.jsonl", "out", "--against", "t.jsonl"], "none.jsonl: no such file"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, arguments, message):
    write_rows(tmp_path / "t.jsonl", [{"problem": TRAINS}])
    done = command(*arguments, cwd=tmp_path)
    assert done.returncode == 2 and message in done.stderr and len(done.stderr.splitlines()) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["t.jsonl"]
