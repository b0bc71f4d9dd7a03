"""Tree search: the right nodes are expanded, budgets hold, and what is told is a good thought with its wrong turns."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longthought.errors import UserError
from longthought.grading import grade
from longthought.problems import DIFFICULTIES, FAMILIES, Problem, generate
from longthought.thoughts import miniature
from longthought.thoughts.procedural import vocabulary
from longthought.thoughts.record import Thought, Trace, read, spent, write
from longthought.thoughts.search import BEST_FIRST, MCTS, Node, SearchOptions, prompt_texts, search, uct
from longthought.thoughts.steps import MINIATURE, NATURAL, form_of
from scripted import Scripted
from test_debate import replayed

PUZZLE = Problem("puzzle", "Which way leads out?", "7")
PROBLEMS = generate(40, "train", families=FAMILIES, difficulties=DIFFICULTIES)
TINY = SearchOptions(
    style=MINIATURE, width=3, rollouts=2, expansions=80, tokens=10**6, depth=50, step_tokens=40, rollout_tokens=900
)


class World:
    """A known tree: a node is the text of its path, such as "ab"; its branches are the letters in order.

    A path that is in `ends` finishes with that answer. Of the rollouts from a path, the first so many are right as
    its `worth` says (2 of 4 by default).
    """

    def __init__(self, ends: dict[str, str], worth: dict[str, int] | None = None, letters: str = "abc") -> None:
        self.ends, self.worth, self.letters = ends, worth or {}, letters
        self.expanded: list[str] = []
        self.engine = Scripted(self._answer)

    def _answer(self, prompt: str, prefix: str, sample: int) -> str:
        at = "".join(prefix.split())
        if not self.engine.requests[-1].stop:
            return f"\\boxed{{{7 if sample < self.worth.get(at, 2) else 1}}}"
        if sample == 0:
            self.expanded.append(at)
        letter = self.letters[sample % len(self.letters)]
        end = self.ends.get(at + letter)
        return letter + (f" \\boxed{{{end}}}" if end else "") + "\n\nmore"


def explored(world: World, **options: Any) -> Thought:
    settings = {"width": 3, "rollouts": 4, "step_tokens": 5, "rollout_tokens": 5, "wrong_turns": 0} | options
    return search([PUZZLE], world.engine, SearchOptions(**settings), Trace())[0]


# --- which nodes are expanded ---


def test_best_first_goes_where_the_rollouts_are_right() -> None:
    world = World({"bca": "7"}, {"a": 1, "b": 3, "c": 2, "ba": 0, "bb": 2, "bc": 4})
    thought = explored(world)
    assert world.expanded == ["", "b", "bc"]
    assert thought.accepted and thought.text == "b\n\nc\n\na \\boxed{7}"


def test_best_first_turns_to_the_next_best_branch_when_one_disappoints() -> None:
    world = World({"cba": "7"}, {"a": 1, "b": 3, "c": 2, **{"b" + x: 0 for x in "abc"}, "ca": 0, "cb": 1, "cc": 0})
    explored(world)
    # b is worth most but its branches nothing; c is next; a and cb are worth the same, and the deeper one is first.
    assert world.expanded == ["", "b", "c", "cb"]


@given(st.dictionaries(st.text("ab", min_size=1, max_size=4), st.integers(0, 4)), st.integers(1, 14))
@settings(max_examples=60, deadline=None)
def test_best_first_expands_what_a_plain_search_over_the_known_tree_would(worth: dict[str, int], budget: int) -> None:
    world = World({}, worth, letters="ab")
    explored(world, width=2, expansions=budget, depth=5)
    frontier, order = [""], []
    made = [""]
    while frontier and len(order) < budget:
        best = max(frontier, key=lambda path: (worth.get(path, 2) if path else 0, len(path), -made.index(path)))
        frontier.remove(best)
        order.append(best)
        fresh = [best + letter for letter in "ab"]
        made += fresh
        frontier += [path for path in fresh if len(path) < 5]
    assert world.expanded == order


def plain_mcts(worth: dict[str, int], budget: int, depth: int, c: float) -> tuple[list[str], dict[str, int]]:
    """UCT over the known binary tree, written out on dictionaries of visits and sums."""
    visits, total, order, expanded = {"": 0}, {"": 0.0}, [], set()

    def full(path: str) -> bool:
        return len(path) >= depth or (path in expanded and all(full(path + x) for x in "ab"))

    while len(order) < budget and not full(""):
        at = ""
        while at in expanded:
            open_ones = [at + x for x in "ab" if not full(at + x)]
            scores = {p: total[p] / visits[p] + c * math.sqrt(math.log(visits[at]) / visits[p]) for p in open_ones}
            at = max(open_ones, key=lambda p: scores[p])
        order.append(at)
        expanded.add(at)
        for x in "ab":
            path = at + x
            visits[path], total[path] = 0, 0.0
            for n in range(len(path) + 1):
                visits[path[:n]] += 1
                total[path[:n]] += worth.get(path, 2) / 4
    return order, visits


@given(
    st.dictionaries(st.text("ab", min_size=1, max_size=4), st.integers(0, 4)),
    st.integers(1, 20),
    st.sampled_from([0.0, 0.3, math.sqrt(2)]),
)
@settings(max_examples=60, deadline=None)
def test_mcts_expands_and_counts_as_uct_written_out(worth: dict[str, int], budget: int, c: float) -> None:
    world = World({}, worth, letters="ab")
    thought = explored(world, selector=MCTS, width=2, expansions=budget, depth=5, exploration=c)
    order, visits = plain_mcts(worth, budget, 5, c)
    assert world.expanded == order
    nodes = {n["id"]: n for n in thought.details["tree"]["nodes"]}

    def path(n: dict[str, Any]) -> str:
        return "" if n["parent"] is None else path(nodes[n["parent"]]) + n["text"]

    assert {path(n): n["visits"] for n in nodes.values()} == visits


def test_uct_is_the_published_bound_and_prefers_what_nobody_has_seen() -> None:
    root = Node(0, "", visits=10)
    seen = Node(1, "", root, visits=4, total=3.0)
    assert uct(seen, 1.5) == pytest.approx(0.75 + 1.5 * math.sqrt(math.log(10) / 4))
    assert uct(Node(2, "", root), 1.5) == math.inf
    seen.virtual, root.virtual = 1, 1
    assert uct(seen, 0.0) == pytest.approx(3 / 5)
    assert uct(seen, 1.0) == pytest.approx(3 / 5 + math.sqrt(math.log(11) / 5))


def test_virtual_visits_spread_the_nodes_of_one_round() -> None:
    world = World({}, {"a": 3, "b": 3, "c": 3})
    explored(world, selector=MCTS, expansions=4, parallel=3)
    # Without them all three choices of the second round would fall on the first of three equals.
    assert world.expanded[0] == "" and set(world.expanded[1:4]) == {"a", "b", "c"}
    assert len(world.engine.requests) == 2 * 2


# --- budgets ---


@pytest.mark.parametrize("selector", [BEST_FIRST, MCTS])
@pytest.mark.parametrize("parallel", [1, 3])
def test_the_budget_of_expansions_is_never_passed(selector: str, parallel: int) -> None:
    world = World({})
    thought = explored(world, selector=selector, expansions=11, parallel=parallel)
    assert len(world.expanded) == 11 == thought.details["expansions"]
    assert not thought.accepted and thought.reason == "no right answer within 11 expansions"


def test_the_budget_of_tokens_ends_a_search_after_its_round() -> None:
    trace = Trace()
    world = World({})
    (thought,) = search([PUZZLE], world.engine, SearchOptions(width=3, rollouts=4, tokens=20), trace)
    # A round takes three steps and twelve rollouts of a word each.
    assert spent(trace.calls.values()).output_tokens == 30 == thought.details["output_tokens"]
    assert thought.reason == "no right answer within 20 tokens"


def test_a_tree_that_ends_is_searched_once() -> None:
    ends = {first + second: "1" for first in "abc" for second in "abc"}
    world = World(ends)
    thought = explored(world, selector=MCTS, expansions=1000)
    assert sorted(world.expanded) == ["", "a", "b", "c"]
    assert thought.reason == "no right answer in the whole tree" and thought.verdict == "wrong"


def test_no_path_is_longer_than_the_depth() -> None:
    world = World({})
    thought = explored(world, depth=2, expansions=1000)
    assert sorted(world.expanded) == ["", "a", "b", "c"] and thought.details["nodes"] == 12


@given(st.sampled_from([NATURAL, MINIATURE]), st.sampled_from([BEST_FIRST, MCTS]), st.integers(1, 3), st.data())
@settings(max_examples=60, deadline=None)
def test_a_hostile_policy_cannot_keep_a_search_going(style: str, selector: str, parallel: int, data: Any) -> None:
    texts = st.sampled_from(
        ["", " ", "\n\n", "x=", " x= x=", "word " * 50, "\\boxed{", "\\boxed{ 1 }", "wait", ". wait", "{right}", "</s>"]
    )
    policy = Scripted(lambda *_: data.draw(texts))
    options = SearchOptions(
        style=style, selector=selector, width=2, rollouts=2, expansions=5, parallel=parallel, step_tokens=20, detour=2
    )
    trace = Trace()
    thoughts = search(PROBLEMS[:2], policy, options, trace)
    assert all(t.details["expansions"] <= 5 + 2 for t in thoughts)
    assert {call for t in thoughts for call in t.calls} == set(trace.calls)


# --- growing ---


def test_equal_steps_become_one_child_and_only_new_ones_are_rolled_out() -> None:
    trace = Trace()
    engine = World({"a": "7"}, letters="aab").engine
    (thought,) = search([PUZZLE], engine, SearchOptions(width=3, rollouts=4, wrong_turns=0), trace)
    children = thought.details["tree"]["nodes"][1:]
    assert [(n["text"], n["draws"]) for n in children] == [("a \\boxed{7}", 2), ("b", 1)]
    assert sum(c.role == "rollout" for c in trace.calls.values()) == 4
    assert (children[1]["right"], children[1]["rollouts"]) == (2, 4)
    assert (children[0]["right"], children[0]["rollouts"], children[0]["end"]) == (1, 1, "correct")


def test_every_call_belongs_to_its_problem_and_is_kept() -> None:
    trace = Trace()
    problems = [PUZZLE, replace(PUZZLE, id="other", text="And this?")]
    seen: list[tuple[int, int]] = []
    thoughts = search(
        problems, World({"aa": "7"}).engine, SearchOptions(width=2), trace, lambda *told: seen.append(told)
    )
    owned = [call for thought in thoughts for call in thought.calls]
    assert len(owned) == len(set(owned)) == len(trace.calls)
    assert all(trace.calls[call].prompt.startswith(t.problem.text) for t in thoughts for call in t.calls)
    assert seen[-1] == (2, 2)


def test_a_thought_with_its_tree_survives_its_file(tmp_path: Any) -> None:
    trace = Trace()
    thoughts = search([PUZZLE], World({"aa": "7"}).engine, SearchOptions(width=2), trace)
    write(tmp_path, thoughts, trace.calls)
    assert read(tmp_path)[0][0].details == thoughts[0].details


# --- telling ---


def test_a_wrong_turn_is_told_with_a_written_reflection_and_the_right_step_from_the_same_parent() -> None:
    world = World({"bca": "7"}, {"a": 0, "b": 3, "c": 2, "ba": 1, "bb": 0, "bc": 4})
    asked: list[str] = []

    def write_one(prompt: str, prefix: str, sample: int) -> str:
        asked.append(prompt)
        return "Wait, that way is\n shut."

    trace = Trace()
    options = SearchOptions(width=3, rollouts=4, wrong_turns=2)
    (thought,) = search([PUZZLE], world.engine, options, trace, writer=Scripted(write_one, name="writer"))
    assert thought.text.split("\n\n") == [
        "a", "Wait, that way is shut.", "b", "b", "Wait, that way is shut.", "c", "a \\boxed{7}",
    ]  # fmt: skip
    assert thought.accepted and thought.details["wrong_turns"] == 2
    assert "The wrong turn:\na\n\n" in asked[0] and "finds next:\nb\n\n" in asked[0]
    marked = [n["text"] for n in thought.details["tree"]["nodes"] if n["wrong_turn"]]
    assert marked == ["a", "b"]
    assert [trace.calls[c].engine for c in thought.calls].count("writer") == 2


@pytest.mark.parametrize("said", ["", "It is \\boxed{7}, wait.", "Wait, so \\boxed{7}.", "Let us see.", "Wait " * 200])
def test_a_reflection_that_cannot_stand_is_replaced_and_counted(said: str) -> None:
    world = World({"ba": "7"}, {"a": 0, "b": 3, "c": 2})
    (thought,) = search(
        [PUZZLE], world.engine, SearchOptions(width=3, rollouts=4), Trace(), writer=Scripted(lambda *_: said)
    )
    assert thought.accepted and thought.details["fixed_reflections"] == 1
    assert "this does not lead to the answer" in thought.text and thought.text.count("boxed") == 1


def test_only_steps_of_low_value_beside_a_better_one_are_wrong_turns() -> None:
    world = World({"ba": "7"}, {"a": 1, "b": 3, "c": 2})
    assert explored(world, wrong_turns=2).reason == "right, but the tree has no wrong turn beside its path"
    world = World({"ba": "7"}, {"a": 1, "b": 3, "c": 2})
    told = explored(world, wrong_turns=2, low=0.25)
    assert told.accepted and told.text.startswith("a\n\nWait")


def test_a_detour_goes_wrong_for_several_steps() -> None:
    world = World({"ba": "7"}, {"a": 0, "b": 3, "c": 2, "aa": 0, "aaa": 0})
    thought = explored(world, wrong_turns=1, detour=3)
    parts = thought.text.split("\n\n")
    assert parts[:3] == ["a", "a", "a"] and parts[3].startswith("Wait") and parts[4:] == ["b", "a \\boxed{7}"]
    assert sum(n["wrong_turn"] for n in thought.details["tree"]["nodes"]) == 3


def erring(problem: Problem, share: float, seed: int) -> Scripted:
    """A miniature policy that slips in a share of its lines and goes on from its slip as if it were right."""
    rng = random.Random(seed)
    right, form = miniature.right_steps(problem), form_of(MINIATURE, problem)

    def script(prompt: str, prefix: str, sample: int) -> str:
        own = prefix.endswith(form.opening)
        lines = form.cut(prefix)[:-1] if own else form.cut(prefix)
        added = []
        lost = any(line not in right for line in lines)
        for at in range(len(lines), len(right)):
            slip = lost or rng.random() < share
            lost = lost or slip
            line = miniature._spoilt(problem, right, at, rng)[0] if slip else right[at]
            added.append(line)
            if "\\boxed{" in line:
                break
        text = " ".join(added)
        return " " + text.split(" ", 1)[1] if own and text else " " + text

    return Scripted(script)


@pytest.mark.parametrize("selector", [BEST_FIRST, MCTS])
def test_miniature_thoughts_are_true_line_by_line_and_turn_back_where_they_are_wrong(selector: str) -> None:
    told, words = 0, set(vocabulary(FAMILIES, DIFFICULTIES))
    for number, problem in enumerate(PROBLEMS):
        options = replace(TINY, selector=selector, seed=number)
        (thought,) = search([problem], erring(problem, 0.3, number), options, Trace())
        if not thought.accepted:
            continue
        wrong = replayed(problem, thought.text)
        right = miniature.right_steps(problem)
        assert 1 <= len(wrong) == thought.details["wrong_turns"] <= TINY.wrong_turns
        assert all(not any(step.startswith(line) for step in right) for line in wrong)
        assert set(thought.text.split()) <= words
        assert grade(problem.gold, thought.text).correct and thought.text.count("\\boxed{") == 1
        told += len(wrong)
    assert told > 25


def test_the_same_search_twice_tells_the_same() -> None:
    options = replace(TINY, expansions=20)
    first, second = (search([PROBLEMS[3]], erring(PROBLEMS[3], 0.3, 1), options, Trace())[0] for _ in range(2))
    assert first.text == second.text and first.details == second.details


def test_every_prompt_is_named_for_the_data_card() -> None:
    assert set(prompt_texts(SearchOptions())) == {"policy", "writer"} and set(prompt_texts(TINY)) == {"policy"}


@pytest.mark.parametrize(
    "bad",
    [{"width": 0}, {"expansions": 0}, {"selector": "greedy"}, {"style": "odd"}, {"low": 1.0}, {"temperature": 0.0},
     {"wrong_turns": -1}, {"detour": 0}, {"tokens": 0}],
)  # fmt: skip
def test_impossible_searches_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        SearchOptions(**bad)
