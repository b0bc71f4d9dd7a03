"""SFT in stages: base, phase 1 (format alignment), phase 2 (distilled long thoughts), each on TRL's SFTTrainer.

A `Stage` is data: where it starts from, its examples, its steps and rates. It is an artifact, so a stage that was
trained once is never trained again. Phases compute the loss on the completion only (report section 3); the base is a
language model and learns every token. Examples carry the problem that they come from, and a stage refuses any
problem outside the training split.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from longthought.artifacts import Artifact, artifact_key, digest, path_of
from longthought.engines import Sampling, TransformersEngine
from longthought.errors import UserError
from longthought.grading import grade
from longthought.models import STUDENT_MARK, Architecture, load, new_student
from longthought.problems import Problem, require_train
from longthought.progress import report

LOG_EVERY = 20
MONITORS = 4


@dataclass(frozen=True)
class Example:
    """One training text. `problem` is None only for texts that are about no problem (arithmetic facts)."""

    prompt: str
    completion: str
    problem: Problem | None = None


@dataclass(frozen=True)
class Start:
    """Where a chain of stages begins: an untrained `shape` with its vocabulary, or a `pretrained` model's name."""

    shape: Architecture = field(default_factory=Architecture)
    vocabulary: tuple[str, ...] = ()
    pretrained: str = ""
    seed: int = 0


@dataclass(frozen=True)
class Stage:
    """One stage of SFT, and, once made, the trained student (see `artifacts`).

    `monitor` holds problems on which accuracy is measured while training, greedily; it never influences training.
    `learning_rate` is the peak of a cosine with 5% warm-up; `max_length` is in tokens. Weights are trained in
    float32; on a GPU, `dtype` bfloat16 computes in mixed precision.
    """

    label: str
    start: Start | Stage
    examples: tuple[Example, ...]
    steps: int
    batch_size: int
    learning_rate: float
    seed: int
    completion_only: bool = True
    max_length: int = 512
    dtype: str = "float32"
    device: str = "cpu"
    monitor: tuple[Problem, ...] = ()
    monitor_tokens: int = 0

    kind = "students"

    def __post_init__(self) -> None:
        if not self.examples or self.steps < 1:
            raise UserError(f"{self.label}: a stage needs at least one example and one step")
        require_train(e.problem for e in self.examples if e.problem is not None)

    @cached_property
    def key(self) -> str:
        """Hash of the chain up to here: data, parameters, code, library versions."""
        before = self.start.key if isinstance(self.start, Stage) else asdict(self.start)
        names = ("steps", "batch_size", "learning_rate", "seed", "completion_only", "max_length", "dtype", "device")
        own = {name: getattr(self, name) for name in (*names, "monitor_tokens")}
        data = digest([[e.prompt, e.completion] for e in self.examples])
        return artifact_key(
            "longthought.training",
            {"before": before, "own": own, "data": data, "monitor": [p.id for p in self.monitor]},
        )

    @property
    def needs(self) -> Sequence[Artifact]:
        """The stage before this one."""
        return [self.start] if isinstance(self.start, Stage) else []

    def make(self, folder: Path) -> None:
        """Train, and write the model, its tokenizer and `log.json` into the folder."""
        _train(self, folder)

    def log(self) -> dict[str, Any]:
        """What training wrote down: losses, monitored accuracies, tokens, seconds. The stage must have been made."""
        return dict(json.loads((path_of(self) / STUDENT_MARK).read_text()))


def _train(stage: Stage, folder: Path) -> None:
    import datasets
    import transformers
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    if isinstance(stage.start, Stage):
        model, tokenizer = load(str(path_of(stage.start)), device=stage.device)
    elif stage.start.pretrained:
        model, tokenizer = load(stage.start.pretrained, device=stage.device)
    else:
        model, tokenizer = new_student(stage.start.shape, stage.start.vocabulary, stage.start.seed)
    chat = bool(getattr(tokenizer, "chat_template", None))
    rows = [_row(e, stage.completion_only, chat=chat) for e in stage.examples]
    cuda = stage.device == "cuda"
    config = SFTConfig(
        output_dir=str(folder),
        max_steps=stage.steps,
        per_device_train_batch_size=stage.batch_size,
        learning_rate=stage.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=max(1, round(0.05 * stage.steps)),
        adam_beta2=0.95,
        weight_decay=0.01,
        max_grad_norm=1.0,
        max_length=stage.max_length,
        completion_only_loss=stage.completion_only,
        train_sampling_strategy="group_by_length" if stage.completion_only else "random",
        use_cpu=not cuda,
        bf16=cuda and stage.dtype == "bfloat16",
        gradient_checkpointing=cuda and chat,
        seed=stage.seed,
        data_seed=stage.seed,
        logging_steps=LOG_EVERY,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )

    monitored: list[dict[str, Any]] = []

    class Watch(TrainerCallback):
        """Reports progress and measures accuracy a few times on the way."""

        def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            report(stage.label, state.global_step, stage.steps)

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if stage.monitor and state.global_step % max(1, stage.steps // MONITORS) == 0:
                monitored.append(_monitor(stage, model, tokenizer, state.global_step))

    trainer = SFTTrainer(
        model=model,
        args=config,
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=tokenizer,
        callbacks=[Watch()],
    )
    # The library's own printer would fill the terminal with one dictionary per logging step.
    trainer.remove_callback(transformers.trainer_callback.PrinterCallback)
    if stage.monitor:
        monitored.append(_monitor(stage, model, tokenizer, 0))
    result = trainer.train()
    history = [h for h in trainer.state.log_history if "loss" in h]
    trainer.model.eval()
    trainer.model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    log = {
        "label": stage.label,
        "examples": len(rows),
        "steps": stage.steps,
        "tokens": int(history[-1].get("num_tokens", 0)) if history else 0,
        "seconds": result.metrics["train_runtime"],
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
        "loss": [{"step": h["step"], "loss": float(h["loss"])} for h in history],
        "monitor": monitored,
    }
    (folder / STUDENT_MARK).write_text(json.dumps(log))


def _row(example: Example, completion_only: bool, *, chat: bool) -> dict[str, Any]:
    if chat:
        user = [{"role": "user", "content": example.prompt}]
        return {"prompt": user, "completion": [{"role": "assistant", "content": example.completion}]}
    if completion_only:
        return {"prompt": example.prompt + " ", "completion": example.completion}
    return {"text": f"{example.prompt} {example.completion}".strip()}


def _monitor(stage: Stage, model: Any, tokenizer: Any, step: int) -> dict[str, Any]:
    was_training = model.training
    engine = TransformersEngine(model, tokenizer, name=stage.label)
    answers = engine.generate([p.text for p in stage.monitor], Sampling(max_tokens=stage.monitor_tokens))
    model.train(was_training)
    outcomes = [grade(p.gold, a[0].text).correct for p, a in zip(stage.monitor, answers, strict=True)]
    return {"step": step, "k": sum(outcomes), "n": len(outcomes), "tokens": sum(a[0].tokens for a in answers)}
