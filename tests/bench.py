"""Speed as ratios within one run: this project's training and sampling beside a plain TRL / transformers loop.

Absolute numbers depend on the machine; the ratios say what the library costs or gains. Run with `make bench`.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import datasets
import numpy as np
import torch
import transformers
from rich.console import Console
from rich.table import Table
from trl import SFTConfig, SFTTrainer

import bench_contamination
import bench_curation
import bench_grading
import vllm_server
from longthought import artifacts
from longthought.engines import Engine, Sampling, TransformersEngine
from longthought.engines.choose import open_engine
from longthought.engines.in_process import Unpacked
from longthought.engines.options import EngineOptions
from longthought.evaluation.scaling import maj_curves
from longthought.experiments import plain_examples, thought_examples
from longthought.models import SMOLLM2, Architecture, load, new_student
from longthought.problems import generate
from longthought.thoughts.procedural import Teacher, vocabulary
from longthought.training import Example, Stage, Start

STEPS, BATCH = 150, 16
DIFFICULTIES = ("easy", "medium")


def timed(work: Callable[[], int]) -> float:
    """Units per second of a piece of work that returns how many units it did."""
    started = time.perf_counter()
    units = work()
    return units / (time.perf_counter() - started)


def plain_trl(examples: tuple[Example, ...]) -> Callable[[], int]:
    """The same training as a user would write it with TRL alone, random batches."""
    model, tokenizer = new_student(Architecture(), vocabulary(["congruence"], DIFFICULTIES), seed=0)
    rows = datasets.Dataset.from_list([{"prompt": e.prompt + " ", "completion": e.completion} for e in examples])
    with tempfile.TemporaryDirectory() as folder:
        options = {"max_steps": STEPS, "per_device_train_batch_size": BATCH, "learning_rate": 4e-3, "use_cpu": True}
        quiet = {"report_to": "none", "save_strategy": "no", "disable_tqdm": True, "logging_steps": STEPS}
        config = SFTConfig(output_dir=folder, bf16=False, gradient_checkpointing=False, **options, **quiet)
        trainer = SFTTrainer(model=model, args=config, train_dataset=rows, processing_class=tokenizer)
        trainer.remove_callback(transformers.trainer_callback.PrinterCallback)
    return lambda: int(trainer.train() and trainer.state.num_input_tokens_seen) or STEPS


def training(console_rows: list[tuple[str, str, str, str]]) -> None:
    """Steps per second, one student alone, and two side by side."""
    problems = generate(1000, "train", difficulties=DIFFICULTIES)
    examples = thought_examples(problems, Teacher(slip=0.04), 0)
    start = Start(Architecture(), tuple(vocabulary(["congruence"], DIFFICULTIES)))

    def stage(seed: int) -> Stage:
        return Stage(f"bench {seed}", start, examples, STEPS, BATCH, 4e-3, seed)

    torch.set_num_threads(os.cpu_count() or 1)
    work = plain_trl(examples)
    plain = timed(lambda: work() and STEPS)
    artifacts.build([stage(1)], workers=1)  # starts the worker, which would otherwise be timed
    alone = timed(lambda: len(artifacts.build([stage(2)], workers=1)) * STEPS)
    artifacts.build([stage(3), stage(4)], workers=2)
    pair = timed(lambda: len(artifacts.build([stage(5), stage(6)], workers=2)) * STEPS)
    tokens = stage(5).log()["tokens"] / STEPS
    for name, speed in (("plain TRL loop", plain), ("one student", alone), ("two side by side", pair)):
        ratio = f"{speed / plain:.2f}"
        console_rows.append(("training, steps/s", name, f"{speed:.1f} ({speed * tokens:.0f} tokens/s)", ratio))


def sampling(console_rows: list[tuple[str, str, str, str]]) -> None:
    """Output tokens per second on the same prompts: one prompt at a time, then in batches by length."""
    tiny = Stage(
        "bench answers",
        Start(Architecture(), tuple(vocabulary(["congruence"], DIFFICULTIES))),
        plain_examples(generate(200, "train", difficulties=DIFFICULTIES)),
        60, BATCH, 4e-3, 1,
    )  # fmt: skip
    artifacts.build([tiny], workers=1)
    prompts = [p.text for p in generate(64, "held_out", difficulties=DIFFICULTIES)]
    for name, source, dtype, asked, limit in (
        ("tiny student", str(artifacts.path_of(tiny)), "float32", prompts, 60),
        ("SmolLM2-135M", SMOLLM2, "bfloat16", [f"Explain: {p}" for p in prompts[:16]], 32),
    ):
        model, tokenizer = load(source, dtype=dtype)
        engine = TransformersEngine(model, tokenizer, name=name, batch_size=64)

        def naive(
            model: object = model, tokenizer: object = tokenizer, asked: list[str] = asked, limit: int = limit
        ) -> int:
            made = 0
            for prompt in asked:
                encoded = tokenizer(prompt, return_tensors="pt")  # type: ignore[operator]
                with torch.inference_mode():
                    out = model.generate(  # type: ignore[attr-defined]
                        input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"],
                        max_new_tokens=limit, do_sample=False, pad_token_id=tokenizer.pad_token_id,  # type: ignore[attr-defined]
                    )  # fmt: skip
                made += out.shape[1] - encoded["input_ids"].shape[1]
            return made

        def ours(engine: TransformersEngine = engine, asked: list[str] = asked, limit: int = limit) -> int:
            return sum(c.tokens for row in engine.generate(asked, Sampling(max_tokens=limit)) for c in row)

        ours()
        slow, fast = timed(naive), timed(ours)
        console_rows.append((f"{name}, tokens/s", "plain transformers loop", f"{slow:.0f}", "1.00"))
        console_rows.append((f"{name}, tokens/s", "transformers engine", f"{fast:.0f}", f"{fast / slow:.2f}"))


def engines(console_rows: list[tuple[str, str, str, str]]) -> None:
    """Every engine on the same chat prompts, greedy, beside what a user would write: one prompt at a time with
    transformers, and vLLM's own `LLM.chat`, on the same model in memory. Each is warmed up before it is timed."""
    what = "same prompts, tokens/s"
    asked = [f"Explain in a few words: {p.text}" for p in generate(16, "held_out", difficulties=DIFFICULTIES)]
    wanted = Sampling(max_tokens=24)

    def count(engine: Engine) -> int:
        return sum(c.tokens for row in engine.generate(asked, wanted) for c in row)

    model, tokenizer = load(SMOLLM2, dtype="bfloat16")

    def naive() -> int:
        made = 0
        for prompt in asked:
            encoded = tokenizer.apply_chat_template(
                [{"role": "user", "content": prompt}],
                add_generation_prompt=True, return_tensors="pt", return_dict=True,
            )  # fmt: skip
            with torch.inference_mode():
                out = model.generate(**encoded, max_new_tokens=24, do_sample=False)
            made += out.shape[1] - encoded["input_ids"].shape[1]
        return made

    slow = timed(naive)
    console_rows.append((what, "plain transformers loop", f"{slow:.0f}", "1.00"))
    ours = TransformersEngine(model, tokenizer, name=SMOLLM2, batch_size=32)
    count(ours)
    fast = timed(lambda: count(ours))
    console_rows.append((what, "transformers engine", f"{fast:.0f}", f"{fast / slow:.2f}"))
    _vllm_engines(console_rows, what, asked, count)


def _vllm_engines(
    console_rows: list[tuple[str, str, str, str]], what: str, asked: list[str], count: Callable[[Any], int]
) -> None:
    if not vllm_server.installed():
        console_rows.append((what, "vllm and served engines", "", vllm_server.NEEDS_VLLM))
        return
    engine: Any = open_engine(f"vllm:{SMOLLM2}", EngineOptions(dtype="bfloat16", max_model_len=1024))
    from vllm import SamplingParams

    chats = [[{"role": "user", "content": prompt}] for prompt in asked]
    greedy = SamplingParams(max_tokens=24, temperature=0)

    def raw() -> int:
        return sum(len(o.outputs[0].token_ids) for o in engine._llm.chat(chats, greedy, use_tqdm=False))

    raw()
    count(engine)
    # In turns, so that a busy moment of the machine strikes both.
    pairs = [(timed(raw), timed(lambda: count(engine))) for _ in range(5)]
    plain, wrapped = (float(np.median(column)) for column in zip(*pairs, strict=True))
    engine.close()
    console_rows.append((what, "raw vLLM (LLM.chat)", f"{plain:.0f}", "1.00"))
    console_rows.append((what, "vllm engine", f"{wrapped:.0f}", f"{wrapped / plain:.2f}"))
    with tempfile.TemporaryDirectory() as folder:
        log, unpacked = Path(folder) / "vllm.log", Path(artifacts.make(Unpacked(SMOLLM2)))
        with vllm_server.running(unpacked, SMOLLM2, log, dtype="bfloat16") as url:
            # A folder for each run: answers that are kept would cost nothing.
            served = [
                open_engine(f"openai:{SMOLLM2}", EngineOptions(base_url=url, concurrency=32, cache=Path(folder) / name))
                for name in ("warm", "timed")
            ]
            count(served[0])
            over_http = timed(lambda: count(served[1]))
    console_rows.append((what, "openai engine, vLLM's server", f"{over_http:.0f}", f"{over_http / plain:.2f}"))


def votes(console_rows: list[tuple[str, str, str, str]]) -> None:
    """maj@k for 500 problems of 64 samples, every k, exact; no two problems have the same counts of answers."""
    generator = np.random.default_rng(0)
    answers = []
    counts: set[tuple[int, ...]] = set()
    while len(answers) < 500:
        # Few to many different answers, as easy and hard problems have.
        row = generator.choice(40, p=generator.dirichlet(np.full(40, 0.3)), size=64)
        pattern = (int((row == 0).sum()), *sorted(np.bincount(row)))
        if row.min() == 0 and pattern not in counts:
            counts.add(pattern)
            answers.append(row.tolist())
    started = time.perf_counter()
    maj_curves(answers, [0] * len(answers), range(1, 65))
    console_rows.append(("maj@1..64", "500 problems x 64 samples", f"{time.perf_counter() - started:.2f} s", ""))


def main() -> None:
    """Measure and print."""
    rows: list[tuple[str, str, str, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LONGTHOUGHT_ARTIFACTS"] = str(Path(folder) / "artifacts")
        training(rows)
        sampling(rows)
        engines(rows)
        votes(rows)
        artifacts.close_workers()
    table = Table("what", "how", "speed", "ratio", title=f"{os.cpu_count()} cores, torch {torch.__version__}")
    for row in rows:
        table.add_row(*row)
    Console(width=110).print(table)
    bench_grading.report(os.environ.get("MATH500", ""))
    bench_curation.main(int(os.environ.get("ROWS") or 100_000))
    bench_contamination.main()


if __name__ == "__main__":
    main()
