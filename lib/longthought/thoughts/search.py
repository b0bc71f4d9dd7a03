"""Tree search: explore a tree of steps, then tell its way to the answer together with some of its wrong turns.

The third of the report's ways to a long thought, called journey learning in its Part 1. A node is a step. Expanding a
node samples next steps from the policy, of which equal ones become one child; a child is worth the share of its
rollouts, thoughts continued to the end, that reach the gold answer. Which node to expand is up to a selector:

- `best-first`: the open node with the highest value, deeper before shallower, older before newer;
- `mcts`: down from the root, always to the child with the highest UCT (Kocsis and Szepesvári 2006),
  mean + exploration * sqrt(ln(visits of the parent) / visits of the child). Evaluating a child counts as one visit of
  it and of all its ancestors. Where several nodes of a tree are chosen before the first is valued, each choice counts
  for the next ones as a visit of worth 0 (a virtual visit), so that they spread.

A finished or exhausted branch is closed and never chosen again. A problem is searched until a step gives the gold
answer, or the budget of expansions or tokens ends. Then the way from the root to that step is told; at chosen places
the thought first goes into a sibling of low value for one or more steps, a reflection turns back, and the right step
follows from the same parent.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from longthought.engines import Engine, Sampling
from longthought.errors import UserError
from longthought.grading import grade
from longthought.problems import Problem
from longthought.thoughts.procedural import WORDS
from longthought.thoughts.prompts import Prompt
from longthought.thoughts.record import Call, Thought, Trace
from longthought.thoughts.steps import (
    MINIATURE,
    NATURAL,
    Form,
    Turn,
    answered,
    check_style,
    form_of,
    in_language,
    policy_wording,
    worded,
)

BEST_FIRST, MCTS = "best-first", "mcts"
SELECTORS = (BEST_FIRST, MCTS)

REFLECTION = Prompt(
    "A solver thinks aloud about a problem and has taken a wrong turn.\n\nProblem:\n{problem}\n\n"
    "Thought so far:\n{thought}\n\nThe wrong turn:\n{wrong}\n\nThe better step, which the solver finds next:\n{right}"
    "\n\nWrite what the solver says between the two, in the first person and in one or two sentences: notice what is "
    'wrong with the turn and decide to go back. Begin with "Wait". Do not write the better step and give no answer.',
    "一位解题者正在自言自语地思考，并且走错了一步。\n\n题目：\n{problem}\n\n目前的思考：\n{thought}\n\n"
    "走错的一步：\n{wrong}\n\n解题者接下来找到的更好的一步：\n{right}\n\n"
    "请用第一人称写出解题者在两步之间说的一两句话：发现走错的那一步有什么问题，并决定退回去。"
    "以“等等”开头。不要写出更好的那一步，也不要给出答案。",
)
# What is said where the writer wrote nothing that can stand in a thought.
FIXED_REFLECTIONS = {
    "en": "Wait, this does not lead to the answer. Let me go back to before this step.",
    "zh": "等等，这样得不到答案。我退回到这一步之前。",
}
_OPENINGS = {"en": "wait", "zh": "等等"}


@dataclass(frozen=True)
class SearchOptions:
    """How a tree is grown and told. Tokens are output tokens, values are shares between 0 and 1.

    style: `steps.NATURAL` for models that write language, `steps.MINIATURE` for the tiny students.
    selector: `BEST_FIRST` or `MCTS`; `exploration` is the constant of UCT.
    width: next steps that are sampled when a node is expanded. `rollouts` value each different one.
    expansions, tokens: the budget of one problem. `parallel` nodes of a tree are expanded together in one round.
    depth: the longest path, in steps.
    step_tokens, rollout_tokens: the longest step, which is dropped if it is longer, and the longest rollout.
    wrong_turns: places at which the thought goes wrong first, as far as the tree has them; a right thought with none
        is rejected unless 0 are wanted. `detour` is how many steps each goes wrong for.
    low: the highest value of a step that counts as wrong. The right step beside it must be worth more.
    """

    style: str = NATURAL
    selector: str = BEST_FIRST
    width: int = 4
    rollouts: int = 4
    expansions: int = 24
    tokens: int = 60_000
    parallel: int = 1
    exploration: float = math.sqrt(2)
    depth: int = 32
    step_tokens: int = 400
    rollout_tokens: int = 2000
    temperature: float = 0.8
    wrong_turns: int = 2
    detour: int = 1
    low: float = 0.0
    reflection_tokens: int = 120
    seed: int = 0

    def __post_init__(self) -> None:
        check_style(self.style)
        if self.selector not in SELECTORS:
            raise UserError(f"selector {self.selector!r}: choose from {', '.join(SELECTORS)}")
        counted = ("width", "rollouts", "expansions", "tokens", "parallel", "depth", "step_tokens", "rollout_tokens")
        for name in (*counted, "detour", "reflection_tokens"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} of a search is {getattr(self, name)}: at least 1 is wanted")
        if self.wrong_turns < 0 or not 0 <= self.low < 1 or self.exploration < 0:
            raise UserError("a search wants wrong_turns and exploration from 0, and low in [0, 1)")
        if self.temperature <= 0:
            raise UserError("a greedy policy samples the same step and the same rollout again: set temperature above 0")


def prompt_texts(options: SearchOptions) -> dict[str, Prompt]:
    """The prompts that these options ask, by role; in miniature no reflection has to be written."""
    written = {} if options.style == MINIATURE else {"writer": REFLECTION}
    return {"policy": policy_wording(options.style), **written}


@dataclass(eq=False)
class Node:
    """One step in a tree; the root, without a parent, stands for the problem.

    right of rollouts: the rollouts that reached the gold answer; a finished step has its own verdict for its only one.
    visits, total: evaluations in this subtree and the sum of their values. virtual: choices not yet valued.
    draws: samples that gave this step. closed: nothing below it is left to expand. end: the verdict on a finished one.
    """

    id: int
    step: str
    parent: Node | None = None
    children: list[Node] = field(default_factory=list)
    right: int = 0
    rollouts: int = 0
    visits: int = 0
    total: float = 0.0
    virtual: int = 0
    draws: int = 0
    expanded: bool = False
    closed: bool = False
    end: str = ""

    @property
    def value(self) -> float:
        """Share of right rollouts; 0 for a step that was never valued."""
        return self.right / self.rollouts if self.rollouts else 0.0

    def path(self) -> list[Node]:
        """From the first step to this one; empty for the root."""
        steps: list[Node] = []
        node = self
        while node.parent is not None:
            steps.append(node)
            node = node.parent
        return steps[::-1]


@dataclass
class _Tree:
    problem: Problem
    form: Form
    root: Node
    nodes: list[Node]
    calls: list[str] = field(default_factory=list)
    tokens: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    ended: str = ""

    def charge(self, call: Call) -> None:
        self.calls.append(call.id)
        self.tokens += call.output_tokens

    def add(self, parent: Node, step: str) -> Node:
        node = Node(len(self.nodes), step, parent)
        parent.children.append(node)
        self.nodes.append(node)
        return node

    def turns(self, node: Node) -> list[Turn]:
        return [Turn(n.step) for n in node.path()]


def search(
    problems: Sequence[Problem],
    policy: Engine,
    options: SearchOptions,
    trace: Trace,
    progress: Callable[[int, int], None] | None = None,
    writer: Engine | None = None,
) -> list[Thought]:
    """One thought per problem, in order, accepted where it ends in the gold answer after a wrong turn.

    All trees grow together: a round takes one request for the next steps of all chosen nodes and one for the rollouts
    of all new ones. `writer` writes the reflections of natural thoughts; without one the policy does. `details` holds
    the tree (see `tree_record`), what was spent on it, and the wrong turns that are told.
    """
    trees = [_planted(problem, options) for problem in problems]
    while live := [tree for tree in trees if not tree.ended]:
        if progress:
            progress(len(trees) - len(live), len(trees))
        chosen = [(tree, node) for tree in live for node in _choose(tree, options)]
        _expand(chosen, policy, options, trace, options.width)
        for tree in live:
            _close_book(tree, options)
    if progress:
        progress(len(trees), len(trees))
    return _told(trees, policy, writer or policy, options, trace)


def _planted(problem: Problem, options: SearchOptions) -> _Tree:
    root = Node(0, problem.text)
    return _Tree(problem, form_of(options.style, problem), root, [root])


def _close_book(tree: _Tree, options: SearchOptions) -> None:
    """End the search of a tree that has its answer, or nothing left to spend or to expand."""
    if any(node.end == "correct" for node in tree.nodes):
        tree.ended = "solved"
    elif tree.root.closed:
        tree.ended = "no right answer in the whole tree"
    elif tree.counts["expansions"] >= options.expansions:
        tree.ended = f"no right answer within {options.expansions} expansions"
    elif tree.tokens >= options.tokens:
        tree.ended = f"no right answer within {options.tokens} tokens"


# --- which nodes to expand ---


def _choose(tree: _Tree, options: SearchOptions) -> list[Node]:
    """Up to `parallel` different open nodes, within the budget of expansions."""
    most = min(options.parallel, options.expansions - tree.counts["expansions"])
    if options.selector == BEST_FIRST:
        candidates = [node for node in tree.nodes if not node.expanded and not node.closed]
        return sorted(candidates, key=lambda n: (-n.value, -len(n.path()), n.id))[:most]
    chosen: list[Node] = []
    for _ in range(most):
        node = tree.root
        while node.expanded:
            node = max((c for c in node.children if not c.closed), key=lambda c: (uct(c, options.exploration), -c.id))
        for passed in (tree.root, *node.path()):
            passed.virtual += 1
        if node not in chosen:
            chosen.append(node)
    for node in tree.nodes:
        node.virtual = 0
    return chosen


def uct(node: Node, exploration: float) -> float:
    """The upper confidence bound of a child, virtual visits included; infinite for a child without any visit."""
    visits = node.visits + node.virtual
    if node.parent is None or not visits:
        return math.inf
    return node.total / visits + exploration * math.sqrt(math.log(node.parent.visits + node.parent.virtual) / visits)


# --- growing ---


def _expand(
    chosen: Sequence[tuple[_Tree, Node]], policy: Engine, options: SearchOptions, trace: Trace, width: int
) -> None:
    """Sample next steps of each chosen node, make the different ones its children, and value them."""
    fresh: list[tuple[_Tree, Node]] = []
    # One request per way of ending a step: problems about x and about n in miniature, else all at once.
    for stops in dict.fromkeys(tree.form.stops for tree, _ in chosen):
        own = [(tree, node) for tree, node in chosen if tree.form.stops == stops]
        seed = options.seed + sum(tree.counts["expansions"] for tree, _ in own)
        sampling = Sampling(options.step_tokens, options.temperature, samples=width, seed=seed, stop=stops)
        prompts = [worded(policy_wording(options.style), tree.problem) for tree, _ in own]
        begun = [[tree.form.begun(tree.turns(node))] * width for tree, node in own]
        for (tree, node), row in zip(own, trace.ask(policy, "policy", prompts, sampling, begun), strict=True):
            tree.counts["expansions"] += 1
            fresh += [(tree, child) for child in _children(tree, node, row, options)]
    _value(fresh, policy, options, trace)
    for _, node in chosen:
        _close(node)
    for tree, node in fresh:
        worth = node.value
        for passed in (tree.root, *node.path()):
            passed.visits += 1
            passed.total += worth


def _children(tree: _Tree, node: Node, row: Sequence[Call], options: SearchOptions) -> list[Node]:
    node.expanded = True
    found: dict[str, Node] = {}
    for call in row:
        tree.charge(call)
        step = tree.form.step(call.completion)
        if not step or (call.finish != "stop" and not answered(step)):
            tree.counts["dropped"] += 1
            continue
        if step not in found:
            found[step] = tree.add(node, step)
        found[step].draws += 1
    for child in found.values():
        if answered(child.step):
            child.end = grade(tree.problem.gold, tree.form.text(tree.turns(child))).verdict
            child.right, child.rollouts, child.closed = int(child.end == "correct"), 1, True
        elif len(child.path()) >= options.depth:
            child.closed = True
    return list(found.values())


def _value(fresh: Sequence[tuple[_Tree, Node]], policy: Engine, options: SearchOptions, trace: Trace) -> None:
    """Roll every new unfinished node out to the end."""
    open_ones = [(tree, node) for tree, node in fresh if not node.end]
    if not open_ones:
        return
    seed = options.seed + 1_000_003
    sampling = Sampling(options.rollout_tokens, options.temperature, samples=options.rollouts, seed=seed)
    prompts = [worded(policy_wording(options.style), tree.problem) for tree, _ in open_ones]
    begun = [tree.form.continued(tree.turns(node)) for tree, node in open_ones]
    prefixes = [[text] * options.rollouts for text in begun]
    answers = trace.ask(policy, "rollout", prompts, sampling, prefixes)
    for (tree, node), text, row in zip(open_ones, begun, answers, strict=True):
        for call in row:
            tree.charge(call)
            node.rollouts += 1
            node.right += grade(tree.problem.gold, text + call.completion).correct


def _close(node: Node | None) -> None:
    """Close a node that has nothing left below it, and then its parents."""
    while node is not None and node.expanded and all(child.closed for child in node.children):
        node.closed = True
        node = node.parent


# --- telling ---


@dataclass
class _WrongTurn:
    """Where a told path goes wrong: `branch` are the wrong steps, `right` the step that stands instead of the first."""

    right: Node
    branch: list[Node]
    reflection: str = ""


def _told(
    trees: Sequence[_Tree], policy: Engine, writer: Engine, options: SearchOptions, trace: Trace
) -> list[Thought]:
    told = [_plan(tree, options) for tree in trees]
    for _ in range(options.detour - 1):
        # A wrong step that was never expanded goes on for one sampled step.
        ends = [(tree, turn) for tree, (_, turns) in zip(trees, told, strict=True) for turn in turns]
        going = [(tree, turn.branch[-1]) for tree, turn in ends if not turn.branch[-1].end]
        _expand([(tree, node) for tree, node in going if not node.expanded], policy, options, trace, 1)
        for _, turn in ends:
            unfinished = [child for child in turn.branch[-1].children if not child.end and child.value <= options.low]
            if unfinished:
                turn.branch.append(min(unfinished, key=lambda n: (n.value, n.id)))
    _reflect(trees, told, writer, options, trace)
    return [_thought(tree, leaf, turns, options) for tree, (leaf, turns) in zip(trees, told, strict=True)]


def _plan(tree: _Tree, options: SearchOptions) -> tuple[Node, list[_WrongTurn]]:
    """The leaf to end in and the wrong turns before it; for an unsolved problem the best leaf, and none."""
    right = [node for node in tree.nodes if node.end == "correct"]
    if not right:
        return max(tree.nodes, key=lambda n: (bool(n.end), n.value, len(n.path()), -n.id)), []
    places = {leaf.id: list(_places(tree, leaf, options)) for leaf in right}
    leaf = max(right, key=lambda n: (min(len(places[n.id]), options.wrong_turns), -len(n.path()), -n.id))
    rng = random.Random(f"wrong-turns-{options.seed}-{tree.problem.id}")
    found = places[leaf.id]
    chosen = sorted(rng.sample(range(len(found)), min(options.wrong_turns, len(found))))
    return leaf, [found[at] for at in chosen]


def _places(tree: _Tree, leaf: Node, options: SearchOptions) -> Iterator[_WrongTurn]:
    """Every step of the path with a wrong sibling: the one of the lowest value, drawn most often, is the turn."""
    for node in leaf.path():
        assert node.parent is not None
        wrong = [
            sibling
            for sibling in node.parent.children
            if sibling is not node
            and sibling.value <= options.low
            and sibling.value < node.value
            and sibling.end != "correct"
            and tree.form.differs(sibling.step, node.step)
        ]
        if wrong:
            yield _WrongTurn(node, [min(wrong, key=lambda n: (n.value, -n.draws, n.id))])


def _turns(leaf: Node, wrong_turns: Sequence[_WrongTurn]) -> list[Turn]:
    turns: list[Turn] = []
    at = {turn.right.id: turn for turn in wrong_turns}
    for node in leaf.path():
        if wrong := at.get(node.id):
            turns += [Turn(step.step) for step in wrong.branch[:-1]]
            turns.append(Turn(wrong.branch[-1].step, wrong.reflection))
        turns.append(Turn(node.step))
    return turns


def _reflect(
    trees: Sequence[_Tree],
    told: Sequence[tuple[Node, list[_WrongTurn]]],
    writer: Engine,
    options: SearchOptions,
    trace: Trace,
) -> None:
    """Give every wrong turn the words that turn back."""
    pairs = [(tree, turn) for tree, (_, turns) in zip(trees, told, strict=True) for turn in turns]
    if options.style == MINIATURE:
        for tree, turn in pairs:
            turn.reflection = WORDS[tree.problem.language]["wait"]
        return
    if not pairs:
        return
    prompts = []
    for tree, turn in pairs:
        before = turn.right.path()[:-1]
        prompts.append(
            worded(
                REFLECTION,
                tree.problem,
                thought=tree.form.text([Turn(node.step) for node in before]) or "-",
                wrong=tree.form.text([Turn(node.step) for node in turn.branch]),
                right=turn.right.step,
            )
        )
    sampling = Sampling(options.reflection_tokens, seed=options.seed)
    for (tree, turn), (call,) in zip(pairs, trace.ask(writer, "writer", prompts, sampling), strict=True):
        tree.charge(call)
        turn.reflection = " ".join(call.completion.split())
        opening = in_language(_OPENINGS, tree.problem)
        # A box would pass for an answer of the thought, and without its end a sentence turns nothing back.
        usable = turn.reflection.lower().startswith(opening) and call.finish == "stop"
        if not usable or "\\boxed" in turn.reflection:
            turn.reflection = in_language(FIXED_REFLECTIONS, tree.problem)
            tree.counts["fixed_reflections"] += 1


def _thought(tree: _Tree, leaf: Node, wrong_turns: Sequence[_WrongTurn], options: SearchOptions) -> Thought:
    text = tree.form.text(_turns(leaf, wrong_turns))
    judged = grade(tree.problem.gold, text)
    if leaf.end != "correct":
        reason = tree.ended
    elif options.wrong_turns and not wrong_turns:
        reason = "right, but the tree has no wrong turn beside its path"
    elif not judged.correct:
        reason = f"{judged.verdict}: {judged.reason}"
    else:
        reason = ""
    details = {
        "expansions": tree.counts["expansions"],
        "nodes": len(tree.nodes) - 1,
        "wrong_turns": len(wrong_turns),
        "dropped": tree.counts["dropped"],
        "fixed_reflections": tree.counts["fixed_reflections"],
        "output_tokens": tree.tokens,
        "tree": tree_record(tree.nodes, leaf, [n for turn in wrong_turns for n in turn.branch], options.selector),
    }
    return Thought(
        tree.problem,
        text,
        judged.extracted,
        judged.verdict,
        f"search, {options.selector}",
        tuple(tree.calls),
        not reason,
        reason or "the search found the gold answer",
        details,
    )


def tree_record(nodes: Sequence[Node], leaf: Node, wrong: Sequence[Node], selector: str) -> dict[str, Any]:
    """A tree as JSON: `selector` and `nodes`, each with id, parent (None for the root, whose text is the problem),
    text, right and rollouts (its value), visits, draws, end (a verdict, or ""), on_path and wrong_turn."""
    on_path = {0, *(node.id for node in leaf.path())}
    turned = {node.id for node in wrong}
    return {
        "selector": selector,
        "nodes": [
            {
                "id": n.id,
                "parent": None if n.parent is None else n.parent.id,
                "text": n.step,
                "right": n.right,
                "rollouts": n.rollouts,
                "visits": n.visits,
                "draws": n.draws,
                "end": n.end,
                "on_path": n.id in on_path,
                "wrong_turn": n.id in turned,
            }
            for n in nodes
        ],
    }
