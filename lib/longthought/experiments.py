"""The students of the book, as data: which stages they pass through and on what, for both notebooks alike.

Nothing is trained here. Each function returns `Stage` records, which `artifacts.build` makes when they are missing,
so that the scaling notebook finds the students of the distillation notebook.
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from longthought.artifacts import Artifact, build, digest
from longthought.assignments import filled
from longthought.engines import Sampling
from longthought.engines.options import EngineOptions
from longthought.errors import UserError
from longthought.evaluation.forcing import Forcing
from longthought.evaluation.samples import Graded, Samples, joined, read, shards
from longthought.evaluation.scaling import Point, one_answer, truncation_curve
from longthought.grading import grade
from longthought.models import Architecture
from longthought.problems import Problem, generate, load_jsonl, require_train
from longthought.statistics import Rate, wilson
from longthought.thoughts.procedural import WORDS, Teacher, documents, long_thought, vocabulary, worked_solution
from longthought.training import Example, Stage, Start

MONITORED = 40
PRETRAINED_BATCH = 64
BOXED_PROMPT = "{problem}\n\nReason step by step, and put your final answer within \\boxed{}."
# How an answer in natural words is closed and made to go on (Muennighoff et al. 2025).
NATURAL_FORCING = Forcing(closing="\n\nThe final answer is \\boxed{", continuation="\n\nWait")
BOX_TOKENS = 8  # room for a number, its closing brace, the stop and the end mark
STUDENTS = ("base", "phase 1", "control", "distilled")


@dataclass(frozen=True)
class Settings:
    """The parameters that both notebooks share; their meaning stands beside them in the notebooks."""

    families: tuple[str, ...]
    languages: tuple[str, ...]
    difficulties: tuple[str, ...]
    test_problems: int
    student: str
    hidden: int
    layers: int
    heads: int
    seeds: int
    documents: int
    base_steps: int
    phase1_steps: int
    phase2_steps: int
    thoughts: int
    slip: float
    reflection: float
    batch_size: int
    max_length: int
    base_lr: float
    phase1_lr: float
    phase2_lr: float
    max_tokens: int
    device: str
    dtype: str
    workers: int

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Settings:
        """The settings among a notebook's variables (`globals()`)."""
        chosen: dict[str, Any] = {f.name: parameters[f.name] for f in fields(cls)}
        frozen: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in chosen.items()}
        return cls(**frozen)

    @property
    def teacher(self) -> Teacher:
        """The main teacher: always right in the end, with slips that it notices."""
        return Teacher(slip=self.slip, reflection=self.reflection)

    def problems(self, split: str, count: int | None) -> list[Problem]:
        """Problems of one split; see `problems.generate`."""
        return generate(count, split, families=self.families, languages=self.languages, difficulties=self.difficulties)

    def test_set(self) -> tuple[Problem, ...]:
        """The held-out problems behind every accuracy, the same for all students."""
        return tuple(self.problems("held_out", self.test_problems))

    def curriculum(self) -> list[Problem]:
        """All training problems; the first `thoughts` of them are distilled."""
        problems = self.problems("train", None)
        if self.thoughts > len(problems):
            raise UserError(
                f"thoughts is {self.thoughts}, but only {len(problems)} training problems exist: "
                "lower it, or add a difficulty or a family"
            )
        return problems


def base_examples(problems: Sequence[Problem], count: int, seed: int) -> tuple[Example, ...]:
    """Short texts with the base's arithmetic facts and direct answers, about training problems only."""
    require_train(problems)
    return tuple(Example(prompt, completion) for prompt, completion in documents(problems, count, seed))


def plain_examples(problems: Sequence[Problem]) -> tuple[Example, ...]:
    """Phase 1 and the matched control: the plain worked solution, or the file's own `solution` where there is one."""
    return tuple(Example(p.text, p.solution or worked_solution(p), p) for p in problems)


def thought_examples(
    problems: Sequence[Problem], teacher: Teacher, seed: int, *, reject_wrong: bool = False
) -> tuple[Example, ...]:
    """Phase 2: one long thought of the teacher per problem; with `reject_wrong`, only those that grade as correct."""
    rng = random.Random(f"thoughts-{seed}")
    examples = [Example(p.text, long_thought(p, teacher, rng), p) for p in problems]
    return tuple(e for e in examples if not reject_wrong or (e.problem and grade(e.problem.gold, e.completion).correct))


def teacher_outcomes(examples: Sequence[Example]) -> list[bool]:
    """Whether each of the teacher's thoughts ends in the gold answer."""
    return [grade(e.problem.gold, e.completion).correct for e in examples if e.problem is not None]


def mean_words(examples: Sequence[Example]) -> float:
    """Mean length in words of prompt and completion with its end mark: tokens, for the word-level tokenizer."""
    return sum(len(e.prompt.split()) + len(e.completion.split()) + 1 for e in examples) / len(examples)


def _stage(
    s: Settings, label: str, start: Start | Stage, examples: Sequence[Example], steps: int, **more: Any
) -> Stage:
    return Stage(
        label=label,
        start=start,
        examples=tuple(examples),
        steps=steps,
        batch_size=s.batch_size,
        max_length=s.max_length,
        dtype=s.dtype,
        device=s.device,
        **more,
    )


def base_student(s: Settings, seed: int, curriculum: Sequence[Problem]) -> Stage | Start:
    """The base: a tiny student pretrained on arithmetic facts, or the pretrained model as it is."""
    if s.student != "tiny":
        return Start(pretrained=s.student, seed=seed)
    if s.base_steps < 1:
        raise UserError("base_steps is 0, but a tiny student knows nothing before its base training: set at least 1")
    shape = Architecture(s.hidden, s.layers, s.heads, positions=s.max_length)
    words = tuple(vocabulary(s.families, s.difficulties))
    examples = base_examples(curriculum, s.documents, seed)
    start = Start(shape, words, seed=seed)
    return _stage(
        s,
        f"base, seed {seed}",
        start,
        examples,
        s.base_steps,
        learning_rate=s.base_lr,
        seed=seed,
        completion_only=False,
    )


def phase1(s: Settings, start: Stage | Start, seed: int, curriculum: Sequence[Problem]) -> Stage:
    """Format alignment: plain worked solutions with a boxed answer."""
    return _stage(
        s,
        f"phase 1, seed {seed}",
        start,
        plain_examples(curriculum),
        s.phase1_steps,
        learning_rate=s.phase1_lr,
        seed=seed,
    )


def phase2(s: Settings, label: str, start: Stage | Start, seed: int, examples: Sequence[Example], **more: Any) -> Stage:
    """SFT on long thoughts, or on whatever replaces them in an ablation."""
    return _stage(
        s, f"{label}, seed {seed}", start, examples, s.phase2_steps, learning_rate=s.phase2_lr, seed=seed, **more
    )


def matched_control(
    s: Settings,
    start: Stage | Start,
    seed: int,
    curriculum: Sequence[Problem],
    thoughts: Sequence[Example],
    **more: Any,
) -> Stage:
    """Phase 2 with plain solutions instead of thoughts, for the same number of training tokens, hence more steps."""
    plain = plain_examples(curriculum)
    stage = phase2(s, "control", start, seed, plain, **more)
    return replace(stage, steps=max(1, round(s.phase2_steps * mean_words(thoughts) / mean_words(plain))))


@dataclass(frozen=True)
class Line:
    """One trained line of students: the same seed through all stages."""

    seed: int
    base: Stage | Start
    phase1: Stage
    control: Stage
    distilled: Stage

    def student(self, name: str) -> Stage | str:
        """The student of that name in `STUDENTS`, as `Samples` wants it."""
        found = getattr(self, name.replace(" ", ""))
        return found if isinstance(found, Stage) else str(found.pretrained)


def main_line(s: Settings, seed: int) -> Line:
    """Base, phase 1, matched control and distilled student of one seed, with accuracy watched while phase 2 trains."""
    curriculum = s.curriculum()
    watch = {"monitor": s.test_set()[:MONITORED], "monitor_tokens": s.max_tokens}
    base = base_student(s, seed, curriculum)
    aligned = phase1(s, base, seed, curriculum)
    thoughts = thought_examples(curriculum[: s.thoughts], s.teacher, seed)
    distilled = phase2(s, "distilled", aligned, seed, thoughts, **watch)
    control = matched_control(s, aligned, seed, curriculum, thoughts, **watch)
    return Line(seed, base, aligned, control, distilled)


@dataclass(frozen=True)
class Variant:
    """A student that differs from the distilled one in one thing. `value` is the changed value, for an axis."""

    group: str
    name: str
    value: float
    seed: int
    stage: Stage
    teacher: Teacher
    rejection: bool = False


def ablations(s: Settings, line: Line, sizes: Sequence[int], reflections: Sequence[float]) -> list[Variant]:
    """Phase 2 without phase 1, on fewer thoughts, and with another share of reflective thoughts."""
    curriculum, seed = s.curriculum(), line.seed
    thoughts = thought_examples(curriculum[: s.thoughts], s.teacher, seed)
    skipped = phase2(s, "without phase 1", line.base, seed, thoughts)
    variants = [Variant("phase 1", "without phase 1", 0, seed, skipped, s.teacher)]
    for size in sizes:
        if size > s.thoughts:
            raise UserError(f"sizes holds {size}, more than the {s.thoughts} thoughts of the distilled set")
        stage = phase2(s, f"{size} thoughts", line.phase1, seed, thoughts[:size])
        variants.append(Variant("size", f"{size} thoughts", size, seed, stage, s.teacher))
    for share in reflections:
        teacher = replace(s.teacher, reflection=share)
        name = f"{share:.0%} reflective"
        stage = phase2(s, name, line.phase1, seed, thought_examples(curriculum[: s.thoughts], teacher, seed))
        variants.append(Variant("reflection", name, share, seed, stage, teacher))
    return variants


def teacher_ceiling(s: Settings, line: Line, accuracies: Sequence[float], systematic: Sequence[float]) -> list[Variant]:
    """Students of less accurate teachers, each with all thoughts and with the wrong ones rejected."""
    curriculum = s.curriculum()[: s.thoughts]
    variants = []
    for errors, levels in (("random", accuracies), ("systematic", systematic)):
        for accuracy in levels:
            teacher = replace(s.teacher, accuracy=accuracy, errors=errors)
            for rejection in (False, True):
                examples = thought_examples(curriculum, teacher, line.seed, reject_wrong=rejection)
                if not examples:
                    raise UserError(f"a teacher with accuracy {accuracy} leaves nothing after rejection: raise it")
                name = f"{errors} errors, teacher {accuracy:.0%}" + (", wrong rejected" if rejection else "")
                stage = phase2(s, name, line.phase1, line.seed, examples)
                variants.append(Variant(errors, name, accuracy, line.seed, stage, teacher, rejection))
    return variants


def teacher_on(problems: Sequence[Problem], teacher: Teacher, seed: int) -> list[bool]:
    """Whether the teacher itself is right on each problem (drawn with another seed than its training thoughts)."""
    return teacher_outcomes(thought_examples(problems, teacher, 10_000 + seed))


def perfect_teacher(s: Settings, line: Line) -> Variant:
    """The distilled student of a line, as the point of the ceiling whose teacher is always right."""
    return Variant(
        "random", f"random errors, teacher 100%, seed {line.seed}", 1.0, line.seed, line.distilled, s.teacher
    )


def variant_answers(
    s: Settings, variants: Sequence[Variant], problems: Sequence[Problem], label: str
) -> dict[str, Graded]:
    """The greedy answers of students that were changed in one thing, graded, by the label of their last stage."""
    students: dict[str, Stage | str] = {v.stage.label: v.stage for v in variants}
    return graded(answers(s, students, problems, greedy(s)), used_workers(s), label)


def named_students(lines: Sequence[Line]) -> dict[str, Stage | str]:
    """Every student of the main comparison as "name, seed i"."""
    return {f"{name}, seed {line.seed}": line.student(name) for line in lines for name in STUDENTS}


def stages_of(line: Line) -> dict[str, Stage]:
    """The trained stages of a line by name (a pretrained base was not trained here)."""
    found = {name: line.student(name) for name in STUDENTS}
    return {name: stage for name, stage in found.items() if isinstance(stage, Stage)}


def monitored(lines: Sequence[Line]) -> dict[str, list[tuple[float, Rate]]]:
    """Accuracy while phase 2 trained, against training tokens, all seeds together."""
    series: dict[str, list[tuple[float, Rate]]] = {}
    for name in ("distilled", "control"):
        logs = [stages_of(line)[name].log() for line in lines]
        for i, mark in enumerate(logs[0]["monitor"]):
            marks = [log["monitor"][i] for log in logs]
            tokens = logs[0]["tokens"] * mark["step"] / logs[0]["steps"]
            pooled = wilson(sum(m["k"] for m in marks), sum(m["n"] for m in marks))
            # The same problems answered by several seeds are not more problems: keep the interval of one seed's n.
            one = wilson(round(pooled.value * marks[0]["n"]), marks[0]["n"])
            series.setdefault(name, []).append((tokens, Rate(pooled.k, pooled.n, one.low, one.high, len(lines))))
    return series


def teacher_texts(s: Settings) -> list[dict[str, str]]:
    """One training problem in each language with every kind of text that a teacher writes about it."""
    shown = []
    for language in s.languages:
        problem = max((p for p in s.curriculum()[:60] if p.language == language), key=lambda p: int(p.gold) % 7)
        plain = replace(s.teacher, reflection=0.0)
        kinds = {
            "phase 1, worked solution": None,
            "phase 2, a thought without reflection": plain,
            "phase 2, a reflective thought": replace(s.teacher, reflection=1.0),
            "with many slips": replace(s.teacher, slip=0.4, reflection=1.0),
            "wrong, by a random slip": replace(plain, accuracy=0.0),
            "wrong, by a misconception": replace(plain, accuracy=0.0, errors="systematic"),
        }
        entry = {"problem": problem.text, "gold": problem.gold}
        for name, teacher in kinds.items():
            rng = random.Random(f"shown-{name}")
            entry[name] = long_thought(problem, teacher, rng) if teacher else worked_solution(problem)
        shown.append(entry)
    return shown


def side_by_side(graded: Mapping[str, Graded], problems: Sequence[Problem], count: int) -> list[dict[str, str]]:
    """The first `count` problems, each with what every student of the first seed answered, and whether it was right."""
    shown = []
    for i, problem in enumerate(problems[:count]):
        entry = {"problem": problem.text, "gold": problem.gold}
        for name in STUDENTS:
            g = graded[f"{name}, seed 0"]
            mark = "right" if g.correct[i, 0] else "wrong"
            entry[f"{name}: {mark}, {g.tokens[i, 0]} tokens"] = g.completions[i][0]
        shown.append(entry)
    return shown


def some_answers(graded: Mapping[str, Graded], count: int) -> list[dict[str, str]]:
    """For the first `count` problems, the first sampled answer of each student."""
    shown = []
    first = next(iter(graded.values()))
    for i, problem in enumerate(first.problems[:count]):
        entry = {"problem": problem.text, "gold": problem.gold}
        for name, g in graded.items():
            mark = "right" if g.correct[i, 0] else "no answer" if g.no_answer[i, 0] else "wrong"
            entry[f"{name}: {mark}, {g.tokens[i, 0]} tokens"] = g.completions[i][0]
        shown.append(entry)
    return shown


def provenance(s: Settings, lines: Sequence[Line]) -> dict[str, Any]:
    """What the run stood on: hashes of the test set and of each training set, keys of the students."""
    test = [[p.id, p.text, p.gold] for p in s.test_set()]
    return {
        "seeds": [line.seed for line in lines],
        "test_problems": len(test),
        "test_sha256": digest(test),
        "training_sha256": {
            stage.label: digest([[e.prompt, e.completion] for e in stage.examples])
            for line in lines
            for stage in stages_of(line).values()
        },
        "students": {stage.label: stage.key for line in lines for stage in stages_of(line).values()},
        "teacher": asdict(s.teacher) | {"kind": "rule-based, stands in for o1"},
    }


@dataclass(frozen=True)
class Study:
    """What the scaling notebook measures: samples by student, and the trained lines behind them (none for a file)."""

    samples: dict[str, Samples]
    lines: tuple[Line, ...]
    provenance: dict[str, Any]


def scaling_study(
    s: Settings,
    problems: str,
    model: str,
    limit: int,
    samples: int,
    sampled_seeds: int,
    temperature: float,
    engine: Sequence[str] = (),
) -> Study:
    """The book's students on held-out problems; or, when `problems` names a file, a pretrained `model` on that file.

    `model` may name any engine (see `engines.choose`), and `engine` holds options of that engine as KEY=VALUE.
    """
    sampling = Sampling(max_tokens=s.max_tokens, temperature=temperature, samples=samples)
    if problems:
        asked = tuple(load_jsonl(problems, limit))
        options = filled(EngineOptions, "the engines", {}, "engine", engine)
        own = Samples(
            model, model, asked, sampling, BOXED_PROMPT, s.dtype, s.device, PRETRAINED_BATCH, None,
            options,
        )  # fmt: skip
        record = {
            "problems_file": problems.rpartition("/")[2],
            "problems_sha256": digest([[p.id, p.text, p.gold] for p in asked]),
        }
        return Study({model: own}, (), record | {"model": model, "test_problems": len(asked)})
    lines = tuple(main_line(s, seed) for seed in range(s.seeds))
    students: dict[str, Stage | str] = {}
    for line in lines[:sampled_seeds]:
        for name in STUDENTS:
            students[name if line is lines[0] else f"{name}, seed {line.seed}"] = line.student(name)
    return Study(answers(s, students, s.test_set(), sampling), lines, provenance(s, lines))


def powers_of_two(most: int) -> list[int]:
    """1, 2, 4, ... up to `most`, which is always included."""
    ks = [1]
    while ks[-1] * 2 <= most:
        ks.append(ks[-1] * 2)
    return ks if ks[-1] == most else [*ks, most]


def caps_within(caps: Sequence[int], graded: Graded) -> list[int]:
    """The truncation budgets that cut something, and the first that does not."""
    longest = int(graded.tokens.max())
    useful = [c for c in sorted(caps) if c < longest]
    return [*useful, longest]


def problems_of(graded: Mapping[str, Graded]) -> int:
    """Problems behind each point."""
    return len(next(iter(graded.values())).problems)


def greedy_points(s: Settings, study: Study) -> dict[str, list[Point]]:
    """One point per student and seed: its greedy answers (those of the distillation notebook, where it has run)."""
    if not study.lines:
        return {}
    own = graded(answers(s, named_students(study.lines), s.test_set(), greedy(s)), used_workers(s), "greedy answers")
    return {
        f"{name}, greedy": [
            replace(one_answer(own[f"{name}, seed {line.seed}"]), label=f"{name}, seed {line.seed}", budget="greedy")
            for line in study.lines
        ]
        for name in STUDENTS
    }


@dataclass(frozen=True)
class Forced:
    """One student's greedy answers: as they end, closed at each cap of tokens, and made to go on so many times."""

    student: str
    free: Graded
    closed: dict[int, Graded]
    waited: dict[int, Graded]


def times_word(times: int) -> str:
    """How often, in a word."""
    return {1: "once", 2: "twice"}.get(times, f"{times} times")


def thought_forcing() -> Forcing:
    """The words that close a long thought and that make it go on, in each language, spaced as the teacher writes."""
    spoken = {name: (f" {w['so']} \\boxed{{", f" {w['wait']}") for name, w in WORDS.items()}
    closing, continuation = spoken["en"]
    others = tuple((name, *words) for name, words in spoken.items() if name != "en")
    return Forcing(closing=closing, continuation=continuation, allowance=BOX_TOKENS, translations=others)


def forced_budgets(s: Settings, study: Study, caps: Sequence[int], waits: int, with_file: bool) -> Forced | None:
    """Greedy answers of the first distilled student under each forced budget; None where there is nothing to force.

    Caps from `max_tokens` on are left out, since they cap nothing. The model of a file is forced only `with_file`.
    """
    caps = sorted({cap for cap in caps if cap < s.max_tokens})
    if not (caps or waits) or not (study.lines or with_file):
        return None
    if study.lines:
        line = study.lines[0]
        label = f"distilled, seed {line.seed}"
        free, words = answers(s, {label: line.distilled}, s.test_set(), greedy(s))[label], thought_forcing()
    else:
        label, own = next(iter(study.samples.items()))
        free, words = replace(own, sampling=greedy(s)), NATURAL_FORCING
    closed = {cap: f"{label}, answer forced at {cap} tokens" for cap in caps}
    waited = {times: f"{label}, wait {times_word(times)}" for times in range(1, waits + 1)}
    wanted = {label: free}
    wanted |= {name: replace(free, label=name, forcing=replace(words, cap=cap)) for cap, name in closed.items()}
    wanted |= {name: replace(free, label=name, forcing=replace(words, times=n)) for n, name in waited.items()}
    found = graded(wanted, used_workers(s), "forced answers")
    return Forced(
        label,
        found[label],
        {cap: found[name] for cap, name in closed.items()},
        {times: found[name] for times, name in waited.items()},
    )


def forced_curves(forced: Forced, caps: Sequence[int]) -> dict[str, list[Point]]:
    """The truncation curve of the answers as they end, and a point for each forced budget."""

    curves = {
        "cut off": truncation_curve(forced.free, caps_within(list({*caps, *forced.closed}), forced.free)),
        "answer forced": [replace(one_answer(g), budget=f"forced at {cap}") for cap, g in forced.closed.items()],
        "made to go on": [replace(one_answer(g), budget=f"wait {times_word(n)}") for n, g in forced.waited.items()],
    }
    return {name: own for name, own in curves.items() if own}


def answers(
    s: Settings, students: Mapping[str, Stage | str], problems: Sequence[Problem], sampling: Sampling
) -> dict[str, Samples]:
    """The samples of each student on the problems, not yet drawn."""
    return {
        label: Samples(label, student, tuple(problems), sampling, dtype=s.dtype, device=s.device)
        for label, student in students.items()
    }


def graded(samples: Mapping[str, Samples], workers: int, label: str = "samples") -> dict[str, Graded]:
    """Train and sample whatever is missing, side by side, and grade.

    Large sets of answers are drawn in parts, so that several workers share one student's answers, and a run that was
    stopped goes on where it was.
    """
    parts = {name: shards(sample) for name, sample in samples.items()}
    artifacts: list[Artifact] = [part for own in parts.values() for part in own]
    build(artifacts, workers, label)
    return {name: joined([read(part) for part in own]) for name, own in parts.items()}


def greedy(s: Settings) -> Sampling:
    """One answer per problem, the most likely one."""
    return Sampling(max_tokens=s.max_tokens)


def used_workers(s: Settings) -> int:
    """Side-by-side workers: never more than asked for, nor than the machine has cores."""
    return max(1, min(s.workers, os.cpu_count() or 1))
