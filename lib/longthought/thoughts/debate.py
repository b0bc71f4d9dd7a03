"""Debate: a policy reasons on, a critic says go on or go back, and what both said becomes one thought.

The second of the report's ways to a long thought (its Figure 2). The policy writes one step; the critic sees the
problem, the thought so far and the new step, and answers in a fixed form. Sent back, the policy tries the step
again, but the step stays in the thought, followed by words that turn back: a debate is kept with its detours. It ends
with an answer in a box or with its budget, and the thought is then graded against the gold answer.

A critic's answer that is not in the fixed form is counted as unparsed and lets the step stand: only a critic that
says so can send the policy back.

In miniature the critic checks as the rule-based teacher does, by working the line out again: it goes on from the lines
that stand, and the policy's line stands if it is the one that the critic expects. (Tiny critics that read a finished
line and say "so" or "wait" were tried and learnt little: see `miniature`.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from longthought.engines import Engine, Sampling
from longthought.errors import UserError
from longthought.grading import grade
from longthought.problems import Problem
from longthought.thoughts.procedural import WORDS
from longthought.thoughts.prompts import Prompt
from longthought.thoughts.record import Call, Thought, Trace
from longthought.thoughts.steps import (
    BARE,
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

CRITIC = Prompt(
    "You check a solver's reasoning, one step at a time.\n\nProblem:\n{problem}\n\nThought so far:\n{thought}\n\n"
    "New step:\n{step}\n\nCheck only the new step. If it is correct and useful, answer with the two words GO ON. If it "
    "is wrong or leads nowhere, answer with the two words GO BACK on the first line, and on the second line say in "
    "one short sentence why.",
    "你逐步检查一位解题者的推理。\n\n题目：\n{problem}\n\n目前的思考：\n{thought}\n\n新的一步：\n{step}\n\n"
    "只检查新的一步。如果这一步正确而且有用，只回答“继续”。如果这一步有错或者走不通，第一行回答“退回”，"
    "第二行用一句简短的话说明原因。",
)
VERDICTS = {"en": ("GO ON", "GO BACK"), "zh": ("继续", "退回")}
REFLECTIONS = {
    "en": "Wait. {reason} Let me go back and try that step again.",
    "zh": "等等。{reason}我退回去，重新做这一步。",
}
_UNREASONED = {"en": "That does not look right.", "zh": "这一步好像不对。"}
_LONGEST_REASON = 300


@dataclass(frozen=True)
class DebateOptions:
    """How a debate is held. Tokens are output tokens.

    style: `steps.NATURAL` for models that write language, `steps.MINIATURE` for the tiny students.
    turns: steps that the policy may write for one problem, those taken back included.
    backs: times in a row that the critic may send the policy back; after that the step stands, counted as overruled.
    tokens: for policy and critic together on one problem; looked at between turns.
    step_tokens, critic_tokens: the longest step and the longest answer of the critic. A longer step is dropped.
    temperature: of the policy. The critic answers greedily.
    """

    style: str = NATURAL
    turns: int = 48
    backs: int = 2
    tokens: int = 8000
    step_tokens: int = 400
    critic_tokens: int = 120
    temperature: float = 0.8
    seed: int = 0

    def __post_init__(self) -> None:
        check_style(self.style)
        if min(self.turns, self.tokens, self.step_tokens, self.critic_tokens) < 1 or self.backs < 0:
            raise UserError(f"a debate cannot be held with {self}: turns and tokens from 1, backs from 0")
        if self.temperature <= 0 and self.backs:
            raise UserError("a greedy policy that is sent back repeats itself: set the temperature above 0")


def prompt_texts(options: DebateOptions) -> dict[str, Prompt]:
    """The prompts that these options ask, by role."""
    critic = BARE if options.style == MINIATURE else CRITIC
    return {"policy": policy_wording(options.style), "critic": critic}


@dataclass
class _Debate:
    """One problem's debate under way."""

    problem: Problem
    form: Form
    turns: list[Turn] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    backs: int = 0  # in a row
    ended: str = ""

    def seen(self) -> list[Turn]:
        """The thought as the policy sees it. Tiny students go on badly after a line that was taken back, so they see
        only the lines that stand."""
        return self.turns if self.form.lexicon is None else [turn for turn in self.turns if not turn.reflection]

    def charge(self, call: Call) -> None:
        self.calls.append(call.id)
        self.tokens += call.output_tokens


def debate(
    problems: Sequence[Problem],
    policy: Engine,
    critic: Engine,
    options: DebateOptions,
    trace: Trace,
    progress: Callable[[int, int], None] | None = None,
) -> list[Thought]:
    """One thought per problem, in order, accepted where its answer equals the gold answer.

    All problems advance together, one request to the policy and one to the critic per round. `details` counts the
    turns, the backs, the critic's answers that were unparsed, the steps that stood though the critic had objected
    once too often (overruled), and the steps that were empty or too long (dropped).
    """
    debates = [_Debate(problem, form_of(options.style, problem)) for problem in problems]
    for number in range(options.turns):
        live = [d for d in debates if not d.ended]
        if progress:
            progress(len(debates) - len(live), len(debates))
        if not live:
            break
        _round(live, policy, critic, options, trace, options.seed + number)
    if progress:
        progress(len(debates), len(debates))
    return [_thought(d, options) for d in debates]


def _round(
    live: Sequence[_Debate], policy: Engine, critic: Engine, options: DebateOptions, trace: Trace, seed: int
) -> None:
    """One step of the policy in every debate, and the critic's word on it."""
    judged: list[tuple[_Debate, str]] = []
    # One request per way of ending a step: problems about x and about n in miniature, else all at once.
    for stops in dict.fromkeys(d.form.stops for d in live):
        own = [d for d in live if d.form.stops == stops]
        sampling = Sampling(options.step_tokens, options.temperature, seed=seed, stop=stops)
        prompts = [worded(policy_wording(options.style), d.problem) for d in own]
        begun = [[d.form.begun(d.seen())] for d in own]
        for d, (call,) in zip(own, trace.ask(policy, "policy", prompts, sampling, begun), strict=True):
            d.charge(call)
            d.counts["turns"] += 1
            step = d.form.step(call.completion)
            if step and (call.finish == "stop" or answered(step)):
                judged.append((d, step))
            else:
                d.counts["dropped"] += 1
    for d, step, call in _criticised(judged, critic, options, trace, seed):
        d.charge(call)
        _decide(d, step, call.completion, options)
    for d in live:
        if not d.ended and d.tokens >= options.tokens:
            d.ended = f"no answer within {options.tokens} tokens"


def _criticised(
    judged: Sequence[tuple[_Debate, str]], critic: Engine, options: DebateOptions, trace: Trace, seed: int
) -> Iterator[tuple[_Debate, str, Call]]:
    """The critic's call on each new step."""
    if options.style == NATURAL and judged:
        prompts = [worded(CRITIC, d.problem, thought=d.form.text(d.turns) or "-", step=step) for d, step in judged]
        answers = trace.ask(critic, "critic", prompts, Sampling(options.critic_tokens, seed=seed))
        yield from ((d, step, call) for (d, step), (call,) in zip(judged, answers, strict=True))
    elif options.style == MINIATURE:
        for stops in dict.fromkeys(d.form.stops for d, _ in judged):
            own = [(d, step) for d, step in judged if d.form.stops == stops]
            sampling = Sampling(options.critic_tokens, seed=seed, stop=stops)
            begun = [[d.form.begun(d.seen())] for d, _ in own]
            answers = trace.ask(critic, "critic", [worded(BARE, d.problem) for d, _ in own], sampling, begun)
            yield from ((d, step, call) for (d, step), (call,) in zip(own, answers, strict=True))


def parse_critic(problem: Problem, answer: str) -> tuple[bool | None, str]:
    """Whether a critic that writes language lets the policy go on, and its reason; None for no known form."""
    on, back = VERDICTS.get(problem.language, VERDICTS["en"])
    first, _, rest = answer.strip().partition("\n")
    verdict = first.strip().rstrip(".。!！").upper()
    reason = next((line.strip() for line in rest.split("\n") if line.strip()), "")
    return {on: True, back: False}.get(verdict), reason[:_LONGEST_REASON]


def agrees(form: Form, expected: str, step: str) -> bool | None:
    """Whether a miniature step is the line that the critic expects; None where the critic wrote no whole line.

    A last line may box its answer at once or wait for a check: that is no disagreement.
    """
    assert form.lexicon is not None
    (line, end), (own, own_end) = (_ending(form.lexicon, text) for text in (step, expected))
    if own[-2:-1] != [form.lexicon["off"]] or not own[-1].isdigit():
        return None
    boxes = {" ".join(words) for words in (end, own_end) if words != [form.lexicon["check"]]}
    return line == own and bool(end) == bool(own_end) and len(boxes) < 2


def _ending(lexicon: Mapping[str, str], step: str) -> tuple[list[str], list[str]]:
    """The words of a line, and those that end the search after it."""
    words = step.split()
    at = next((i for i, word in enumerate(words) if word in (lexicon["so"], lexicon["check"])), len(words))
    return words[:at], words[at:]


def _decide(d: _Debate, step: str, answer: str, options: DebateOptions) -> None:
    if options.style == MINIATURE:
        go_on, reason = agrees(d.form, d.form.step(answer), step), ""
    else:
        go_on, reason = parse_critic(d.problem, answer)
    if go_on is None:
        d.counts["unparsed"] += 1
    if go_on is False and d.backs < options.backs:
        d.backs += 1
        d.counts["backs"] += 1
        d.turns.append(Turn(step, _reflection(options.style, d.problem, reason)))
        return
    if go_on is False:
        d.counts["overruled"] += 1
    d.backs = 0
    d.turns.append(Turn(step))
    if answered(step):
        d.ended = "answered"


def _reflection(style: str, problem: Problem, reason: str) -> str:
    if style == MINIATURE:
        return WORDS[problem.language]["wait"]
    # A box in the reason would pass for an answer of the thought.
    said = reason if reason and not answered(reason) else in_language(_UNREASONED, problem)
    return in_language(REFLECTIONS, problem).replace("{reason}", said)


def _thought(d: _Debate, options: DebateOptions) -> Thought:
    text = d.form.text(d.turns)
    judged = grade(d.problem.gold, text)
    ended = d.ended or f"no answer within {options.turns} turns"
    accepted = ended == "answered" and judged.correct
    if accepted:
        reason = "the debate ended in the gold answer"
    else:
        reason = f"{judged.verdict}: {judged.reason}" if ended == "answered" else ended
    counts = {name: d.counts[name] for name in ("turns", "backs", "unparsed", "overruled", "dropped")}
    details = {**counts, "output_tokens": d.tokens}
    return Thought(
        d.problem, text, judged.extracted, judged.verdict, "debate", tuple(d.calls), accepted, reason, details
    )
