"""Data cards: what they count is what is there, and nothing that they quote becomes markup."""

import hashlib
import json
import random
import re
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.myst_role import myst_role_plugin

from longthought.curation.cards import (
    DataCard,
    Origin,
    Screened,
    card_of,
    card_of_curation,
    card_of_examples,
    fenced,
    inline,
    origin_of_file,
    origin_of_problems,
)
from longthought.errors import UserError
from longthought.experiments import thought_examples
from longthought.grading import GRADER_VERSION, grade
from longthought.lint import check_table
from longthought.problems import generate
from longthought.statistics import Rate, wilson
from longthought.thoughts.procedural import Teacher, long_thought
from longthought.thoughts.record import Call, Thought
from longthought.thoughts.reflection import words

PROBLEMS = generate(40, "train", languages=("en", "zh"))


def made(samples=3, seed=0):
    """Candidates of a teacher that is right in two thirds, each from one call."""
    rng, thoughts, calls = random.Random(seed), [], {}
    for problem in PROBLEMS:
        for _ in range(samples):
            text = long_thought(problem, Teacher(accuracy=0.66, reflection=0.5), rng)
            call = Call(
                f"c{len(calls)}", "teacher", "e", problem.text, "", text, 10, len(text.split()), "stop", 0.5, 0.01
            )
            calls[call.id] = call
            g = grade(problem.gold, text)
            reason = "correct" if g.correct else f"graded {g.verdict}: {g.reason} {len(calls)}"
            thoughts.append(Thought(problem, text, g.extracted, g.verdict, "distil", (call.id,), g.correct, reason))
    return thoughts, calls


def test_a_card_counts_what_is_there():
    thoughts, calls = made()
    card = card_of("mini", thoughts, calls, [origin_of_problems(PROBLEMS, "CC-BY-4.0")], prompts={"plain": "Think."})
    kept = [t for t in thoughts if t.accepted]
    assert card.size == len(kept) and card.counts["method"] == {"distil": len(kept)}
    assert card.counts["language"] == dict(sorted(Counter(t.problem.language for t in kept).items()))
    assert sum(card.counts["reflection"].values()) == len(kept)
    assert card.lengths["thoughts"]["largest"] == max(words(t.text) for t in kept)
    assert sorted(words(t.text) for t in kept)[0] == card.lengths["thoughts"]["smallest"]
    assert (card.accepted.k, card.accepted.n) == (len(kept), len(thoughts))
    # The particulars of a reason do not make reasons of their own.
    assert {why: (r.k, r.n) for why, r in card.rejected.items()} == {
        "graded wrong": (len(thoughts) - len(kept), len(thoughts))
    }
    assert card.cost.calls == len(calls) and card.cost.cost == pytest.approx(0.01 * len(calls))
    assert card.grader == GRADER_VERSION and card.origins[0].rows == len(PROBLEMS)


def test_one_candidate_a_problem_gives_wilsons_interval_and_more_a_wider_one():
    thoughts, calls = made(samples=1)
    card = card_of("one", thoughts, calls)
    plain = wilson(card.accepted.k, card.accepted.n)
    assert card.accepted.low == pytest.approx(plain.low, abs=0.01)
    copies = [t for t in thoughts for _ in range(4)]  # four times the same is not more knowledge
    again = card_of("four", copies, calls).accepted
    assert again.n == 4 * plain.n and again.high - again.low == pytest.approx(plain.high - plain.low, abs=0.02)


def test_the_digest_names_the_texts_and_nothing_else():
    thoughts, calls = made()
    card = card_of("a", thoughts, calls)
    assert card.digest == card_of("b", thoughts, {}).digest
    at = next(i for i, t in enumerate(thoughts) if t.accepted)
    changed = [*thoughts[:at], replace(thoughts[at], text=thoughts[at].text + " ."), *thoughts[at + 1 :]]
    assert card.digest != card_of("a", changed, calls).digest


def test_a_card_without_any_accepted_thought_is_a_card():
    thoughts, calls = made()
    card = card_of("none", [replace(t, accepted=False, reason="r") for t in thoughts], calls)
    assert card.size == 0 and card.accepted.k == 0 and card.rejected["r"].k == len(thoughts)
    assert "0/120 = 0.0%" in card.markdown()
    with pytest.raises(UserError, match="no thoughts"):
        card_of("empty", [], {})


def test_a_training_set_has_a_card():
    examples = thought_examples(PROBLEMS, Teacher(), 0)
    card = card_of_examples("phase 2", examples, [Origin("rule-based teacher", "Apache-2.0")])
    assert card.size == len(examples) and sum(card.counts["language"].values()) == len(examples)
    assert card.accepted is None and card.cost is None and "not run" in card.markdown()
    assert card_of_examples("x", [replace(examples[0], problem=None)]).counts["split"] == {"no problem": 1}
    with pytest.raises(UserError, match="no training texts"):
        card_of_examples("x", [])


def test_curation_and_decontamination_have_a_card_from_their_own_summaries(tmp_path):
    from longthought.curation.cleaning import decontaminate
    from longthought.curation.contamination import Benchmarks, Item
    from longthought.curation.curate import curate_files
    from longthought.curation.rules import Rules

    data = tmp_path / "data.jsonl"
    rows = [{"source": "olympiads", "problem": f"Find the number {n} plus {n * n} times seven.",
             "solution": f"It is \\boxed{{{n + 7 * n * n}}}."} for n in range(3, 9)]  # fmt: skip
    rows.append({"source": "olympiads", "problem": "Prove that seven is odd and prime.", "solution": "It is."})
    data.write_text("".join(json.dumps(row) + "\n" for row in rows) + "no row\n", encoding="utf-8")
    summary, _ = curate_files([str(data)], tmp_path / "out", Rules.read(None), workers=1)
    clean = decontaminate(
        [str(data)], tmp_path / "clean", Benchmarks({"aime": [Item("1", rows[0]["problem"]), Item("2", "What is 1?")]})
    )
    card = card_of_curation("numina", summary, {"data.jsonl": "Apache-2.0"}, decontamination=clean)
    from_file = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert card == card_of_curation("numina", from_file, {"data.jsonl": "Apache-2.0"}, decontamination=clean)
    assert card.size == summary.kept and card.rules["broken rows"] == 1
    assert sum(card.rules.values()) + card.size == summary.read == len(rows) + 1
    (origin,) = card.origins
    assert origin.name == "data.jsonl" and origin.licence == "Apache-2.0"
    assert origin.version == "sha256 " + hashlib.sha256(data.read_bytes()).hexdigest()
    assert origin == origin_of_file(data, "Apache-2.0")
    assert str(tmp_path) not in card.markdown()
    (screen,) = card.screened
    assert (screen.benchmark, screen.problems, screen.found) == ("aime", 2, 1) and sum(screen.rows.values()) >= 1
    with pytest.raises(UserError, match="not a summary"):
        card_of_curation("x", {"rows": 3})
    with pytest.raises(UserError, match="not a summary"):
        card_of_examples("x", thought_examples(PROBLEMS[:2], Teacher(), 0), decontamination={})


def test_a_card_can_be_shown_and_holds_every_part():
    thoughts, calls = made()
    card = card_of("mini", thoughts, calls, prompts={"plain": "Think 100%."})
    frame = card.rows()
    check_table(frame, "the card")
    assert list(frame.columns) == ["part", "item (verbatim)", "value"] and frame["value"].str.len().all()
    markdown = card.markdown()
    for value in frame["value"]:
        assert value in re.sub(r"\\(.)", r"\1", markdown)


def test_a_card_is_written_whole_or_not_at_all(tmp_path):
    card = card_of_examples("x", thought_examples(PROBLEMS[:2], Teacher(), 0))
    card.write(tmp_path / "card.md")
    assert (tmp_path / "card.md").read_text(encoding="utf-8") == card.markdown()
    with pytest.raises(UserError, match="cannot be written"):
        card.write(tmp_path / "none" / "card.md")
    assert [f.name for f in tmp_path.iterdir()] == ["card.md"]


# --- hostile text ---

PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
PARSER = PARSER.use(dollarmath_plugin).use(myst_role_plugin)
BAD = (
    "<script>alert(1)</script>", "| a | b |\n| --- | --- |", "```\n# out\n", "~~~", "````", "[x](javascript:alert(1))",
    "![](http://x)", "$x$", "$$y$$", "{math}`x`", "# h", "- item", "1. one", "+ plus", "<http://a.b>", "www.a.b",
    "a\\|b",    "&lt;b&gt;", "`code`", "**bold**", "_em_", "---", "===", "\\", "% comment", "(label)=", ":::{note}",
    "\r```\r", "[^1]: x",
)  # fmt: skip
HOSTILE = st.lists(st.one_of(st.sampled_from(BAD), st.text(max_size=12)), max_size=5).map("\n".join)
ALLOWED = {
    "heading_open", "heading_close", "paragraph_open", "paragraph_close", "inline", "fence", "bullet_list_open",
    "bullet_list_close", "list_item_open", "list_item_close", "table_open", "table_close", "thead_open", "thead_close",
    "tbody_open", "tbody_close", "tr_open", "tr_close", "th_open", "th_close", "td_open", "td_close",
}  # fmt: skip


def shown(token):
    assert {child.type for child in token.children} <= {"text", "text_special"}, token.content
    return "".join(child.content for child in token.children)


@settings(max_examples=200, deadline=None)
@given(HOSTILE.filter(str.strip), HOSTILE, HOSTILE, st.lists(HOSTILE.filter(str.strip), min_size=1, max_size=3))
def test_nothing_that_a_card_quotes_becomes_markup(name, licence, reason, prompts):
    card = DataCard(
        name=name, about="About.", size=3, digest="d", origins=(Origin(name, licence, licence),),
        counts={"language": {name: 3}}, prompts={f"{i} {p}": p for i, p in enumerate(prompts)},
        rejected={reason: Rate(1, 3, 0.1, 0.9)}, screened=(Screened(name, 3, 1, {reason: 2}),), limits=("l" + reason,),
    )  # fmt: skip
    tokens = PARSER.parse(card.markdown())
    assert {t.type for t in tokens} <= ALLOWED
    fences = [t for t in tokens if t.type == "fence"]
    lines = [re.sub("\r\n?", "\n", p).replace("\0", "\ufffd") for p in prompts]
    assert [t.content for t in fences] == [p + "\n" for p in lines]
    headings = [shown(tokens[i + 1]) for i, t in enumerate(tokens) if t.type == "heading_open"]
    assert headings[1:] == ["Data", "Sources", "Count by language", "Candidates rejected", "Decontamination", "Prompts",
                            "Known limits"]  # fmt: skip
    cells = [shown(tokens[i + 1]) for i, t in enumerate(tokens) if t.type == "td_open"]
    assert len(cells) == 2 * (2 + 1 + 1 + 1 + 1)
    flat = " ".join(name.split()).replace("\0", "\ufffd")
    assert headings[0] == f"Data card: {flat}".strip() and cells.count(flat) >= 2
    check_table(card.rows().drop(columns="value"), "the card")


def test_the_fence_is_longer_than_any_in_the_text():
    assert fenced("a ```` b").startswith("`````text\n") and fenced("x").startswith("```text\n")
    assert inline("1. a\nb|c") == "1\\. a b\\|c" and inline("- x") == "\\- x"
