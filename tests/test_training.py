"""Training, answering and artifacts on really trained, very small students."""

import json
import os
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from longthought import artifacts
from longthought.engines import Sampling, TransformersEngine, batches_by_length
from longthought.errors import UserError
from longthought.evaluation import samples as samples_module
from longthought.evaluation.forcing import Forcing, final_part
from longthought.evaluation.samples import Samples, read
from longthought.experiments import (
    Settings,
    base_examples,
    graded,
    main_line,
    plain_examples,
    thought_examples,
    thought_forcing,
)
from longthought.models import SMOLLM2, Architecture, load, new_student
from longthought.problems import generate
from longthought.thoughts.procedural import Teacher, vocabulary
from longthought.training import Example, Stage, Start, _row

SHAPE = Architecture(hidden=32, layers=1, heads=2, positions=256)
WORDS = tuple(vocabulary(["congruence"], ["easy"]))
TRAIN = generate(60, "train", difficulties=["easy"])
HELD = tuple(generate(12, "held_out", difficulties=["easy"]))


@pytest.fixture(scope="module", autouse=True)
def own_artifacts(tmp_path_factory):
    before = os.environ.get("LONGTHOUGHT_ARTIFACTS")
    os.environ["LONGTHOUGHT_ARTIFACTS"] = str(tmp_path_factory.mktemp("artifacts"))
    yield
    artifacts.close_workers()
    os.environ.pop("LONGTHOUGHT_ARTIFACTS")
    if before:
        os.environ["LONGTHOUGHT_ARTIFACTS"] = before


def stage(label="tiny", steps=30, examples=None, start=None, **more):
    examples = plain_examples(TRAIN) if examples is None else examples
    start = start or Start(SHAPE, WORDS, seed=1)
    options = {"batch_size": 8, "learning_rate": 5e-3, "seed": 1, "max_length": 256} | more
    return Stage(label=label, start=start, examples=examples, steps=steps, **options)


@pytest.fixture(scope="module")
def trained():
    base = stage("base", examples=base_examples(TRAIN, 200, 0), completion_only=False)
    student = stage("student", steps=80, start=base, monitor=HELD[:4], monitor_tokens=20)
    artifacts.build([student], workers=1)
    return student


def test_training_lowers_the_loss_and_writes_what_it_did(trained):
    log = trained.log()
    assert log["loss"][0]["loss"] > 1.2 * log["loss"][-1]["loss"]
    assert log["tokens"] > 80 * 8 * 10 and log["steps"] == 80
    assert [m["step"] for m in log["monitor"]] == [0, 20, 40, 60, 80]
    assert all(m["n"] == 4 and m["tokens"] > 0 for m in log["monitor"])


def test_a_student_reads_its_words_back_whole(trained):
    # The automatic tokenizer class once split words into letters when a student was loaded again.
    _, tokenizer = load(str(artifacts.path_of(trained)))
    for problem in TRAIN[:10]:
        text = plain_examples([problem])[0].completion
        ids = tokenizer(text)["input_ids"]
        assert len(ids) == len(text.split()) and tokenizer.unk_token_id not in ids
        assert tokenizer.decode(ids) == text


def test_loss_covers_exactly_the_completion_and_its_end():
    import datasets
    from trl import SFTConfig, SFTTrainer

    model, tokenizer = new_student(SHAPE, WORDS, seed=0)
    example = plain_examples(TRAIN)[0]
    arguments = SFTConfig(
        output_dir=os.environ["LONGTHOUGHT_ARTIFACTS"],
        completion_only_loss=True,
        use_cpu=True,
        report_to="none",
        bf16=False,
    )
    rows = datasets.Dataset.from_list([_row(example, True, chat=False)])
    trainer = SFTTrainer(model=model, args=arguments, train_dataset=rows, processing_class=tokenizer)
    batch = next(iter(trainer.get_train_dataloader()))
    learnt = [token for token in batch["labels"][0].tolist() if token != -100]
    wanted = tokenizer(example.completion)["input_ids"] + [tokenizer.eos_token_id]
    assert learnt == wanted
    assert batch["input_ids"][0].tolist() == tokenizer(example.prompt)["input_ids"] + wanted


def test_no_stage_can_hold_a_held_out_problem():
    leak = HELD[0]
    with pytest.raises(ValueError, match="not for training"):
        stage(examples=(Example(leak.text, "x", leak),))
    with pytest.raises(ValueError, match="not for training"):
        base_examples([*TRAIN, leak], 10, 0)


def test_a_stage_needs_examples_and_steps():
    for broken in ({"examples": ()}, {"steps": 0}):
        with pytest.raises(UserError, match="at least one"):
            stage(**broken)


def test_the_key_follows_data_parameters_and_parents(trained):
    same = stage("another label", steps=80, start=trained.start, monitor=HELD[:4], monitor_tokens=20)
    assert same.key == trained.key
    others = [
        replace(trained, steps=81),
        replace(trained, seed=2),
        replace(trained, learning_rate=1e-3),
        replace(trained, examples=trained.examples[:-1]),
        replace(trained, start=replace(trained.start, seed=9)),
        replace(trained, start=Start(SHAPE, WORDS, seed=2)),
    ]
    assert len({trained.key, *(s.key for s in others)}) == 7


def test_code_that_made_an_artifact_is_part_of_its_key(tmp_path):
    def key(**sources):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        for name, source in sources.items():
            (folder / f"{name}.py").write_text(source)
        return artifacts.code_hash("longthought.maker", folder)

    maker = "from longthought.helper import f\nx = f()\n"
    helper = 'def f():\n    """Says one."""\n    return 1\n'
    known = key(maker=maker, helper=helper, other="y = 1\n")
    assert known == key(maker="# why\n" + maker, helper=helper.replace("Says one", "Gives 1"), other="y = 2\n")
    assert known != key(maker=maker, helper=helper.replace("return 1", "return 2"), other="y = 1\n")
    assert known != key(maker=maker.replace("f()", "f() + 1"), helper=helper, other="y = 1\n")


def test_making_again_costs_nothing_and_failure_leaves_nothing(trained, monkeypatch):
    before = (artifacts.path_of(trained) / "log.json").stat().st_mtime_ns
    artifacts.build([trained], workers=1)
    assert (artifacts.path_of(trained) / "log.json").stat().st_mtime_ns == before
    broken = stage("broken", seed=77)

    def half(self, folder):
        (folder / "model.safetensors").write_text("half")
        raise RuntimeError("stopped in the middle")

    monkeypatch.setattr(Stage, "make", half)
    with pytest.raises(RuntimeError, match="in the middle"):
        artifacts.make(broken)
    assert not artifacts.path_of(broken).exists()
    assert not list(artifacts.root().glob("*/.*"))


class _Dies:
    label, kind, key, needs = "a greedy student", "students", "dead" * 16, ()

    def make(self, folder):
        os.kill(os.getpid(), 9)


def test_a_worker_that_is_killed_is_named_and_nothing_remains():
    with pytest.raises(RuntimeError, match="died while making a greedy student, probably out of memory"):
        artifacts.build([_Dies()], workers=1)
    assert not artifacts.path_of(_Dies()).exists()


def test_same_seed_same_answers_and_counts_are_exact(trained):
    model, tokenizer = load(str(artifacts.path_of(trained)))
    engine = TransformersEngine(model, tokenizer, name="tiny", batch_size=5)
    prompts = [p.text for p in HELD]
    hot = Sampling(max_tokens=25, temperature=1.0, samples=3, seed=4)
    first, second = engine.generate(prompts, hot), engine.generate(prompts, hot)
    assert first == second
    assert first != engine.generate(prompts, replace(hot, seed=5))
    assert [len(row) for row in first] == [3] * len(prompts)
    for completion in (c for row in first for c in row):
        # Special words may be drawn and are not shown, so the text can only be shorter than the count.
        assert len(completion.text.split()) <= completion.tokens - (completion.finish == "stop")
        assert completion.finish in ("stop", "length")
        assert completion.finish == "stop" or completion.tokens == 25
    greedy = [c for row in engine.generate(prompts, Sampling(max_tokens=25)) for c in row]
    assert all(c.tokens == len(c.text.split()) + (c.finish == "stop") for c in greedy)


def _plainly(model, tokenizer, prompt, limit):
    """The library's own greedy answer to one prompt: (text, tokens)."""
    ids = torch.tensor([tokenizer(prompt)["input_ids"]])
    output = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=limit, do_sample=False, top_k=None)
    new = output[0, ids.shape[1] :].tolist()
    return tokenizer.decode(new, skip_special_tokens=True), len(new)


def test_a_batch_answers_as_the_library_answers_each_prompt_alone(trained):
    """Prompts of one and of many lengths, alone and repeated, beyond a stride and beyond the room of a cache."""
    folder = str(artifacts.path_of(trained))
    untrained = Architecture(hidden=32, layers=2, heads=4, positions=256)
    longest = 0
    for make in (lambda: load(folder), lambda: new_student(untrained, WORDS, seed=3)):
        (plain, tokenizer), (model, _) = make(), make()
        tokenizer.padding_side = "left"
        long, short = HELD[0].text, " ".join(HELD[0].text.split()[:3])
        for prompts in ([p.text for p in HELD], [long], [long] * 3, [short, long, long, short, "find"]):
            expected = {prompt: _plainly(plain.eval(), tokenizer, prompt, 150) for prompt in set(prompts)}
            longest = max(longest, *(tokens for _, tokens in expected.values()))
            for batch_size in (1, 3, 12):
                engine = TransformersEngine(model, tokenizer, name="t", batch_size=batch_size)
                answers = engine.generate(prompts, Sampling(max_tokens=150))
                assert [(a[0].text, a[0].tokens) for a in answers] == [expected[prompt] for prompt in prompts]
    assert longest == 150


def test_an_answer_that_has_begun_is_gone_on_with(trained):
    model, tokenizer = load(str(artifacts.path_of(trained)))
    engine = TransformersEngine(model, tokenizer, name="t", batch_size=4)
    prompts = [p.text for p in HELD]
    whole = [row[0] for row in engine.generate(prompts, Sampling(max_tokens=25))]
    words = [c.text.split() for c in whole]
    begun = [" ".join(w[: len(w) // 2]) for w in words]
    rest = [row[0] for row in engine.generate(prompts, Sampling(max_tokens=25), prefixes=[[b] for b in begun])]
    for one, start, more, split in zip(whole, begun, rest, words, strict=True):
        assert (start + more.text).split() == split[:25] or one.finish == "length"
        assert more.tokens == one.tokens - len(split) // 2 or one.finish == "length"
    with pytest.raises(ValueError, match="prefixes for"):
        engine.generate(prompts, Sampling(max_tokens=5), prefixes=[["a"]])


def test_samples_follow_the_model_s_own_distribution(trained):
    model, tokenizer = load(str(artifacts.path_of(trained)))
    prompts = [HELD[0].text, HELD[0].text + " " + HELD[1].text]
    engine = TransformersEngine(model, tokenizer, name="t", batch_size=4000)
    draws = engine.generate(prompts, Sampling(max_tokens=1, temperature=0.7, samples=4000))
    for prompt, row in zip(prompts, draws, strict=True):
        with torch.inference_mode():
            logits = model(torch.tensor([tokenizer(prompt)["input_ids"]])).logits[0, -1]
        p = (logits / 0.7).softmax(-1)
        words = [tokenizer.decode([i], skip_special_tokens=True) for i in range(len(p))]
        for i in p.topk(3).indices.tolist():
            if words[i]:
                seen = sum(c.text == words[i] for c in row) / len(row)
                assert abs(seen - float(p[i])) < 4 * (float(p[i] * (1 - p[i])) / len(row)) ** 0.5 + 1e-3


def test_batches_hold_every_prompt_once_longest_first():
    batches = batches_by_length([3, 9, 1, 9, 4], 2)
    assert batches == [[1, 3], [4, 0], [2]]


def test_positions_and_impossible_sampling_are_refused(trained):
    model, tokenizer = load(str(artifacts.path_of(trained)))
    with pytest.raises(UserError, match="256 positions"):
        TransformersEngine(model, tokenizer, name="t").generate(["find"], Sampling(max_tokens=256))
    for bad in ({"max_tokens": 0}, {"max_tokens": 5, "samples": 2}, {"max_tokens": 5, "top_p": 0}):
        with pytest.raises(UserError):
            Sampling(**bad)


def test_samples_are_kept_raw_and_graded_when_read(trained):
    samples = Samples("student", trained, HELD, Sampling(max_tokens=25, temperature=1.0, samples=4))
    artifacts.build([samples], workers=1)
    rows = [json.loads(line) for line in (artifacts.path_of(samples) / "samples.jsonl").read_text().splitlines()]
    assert len(rows) == 48 and not any("verdict" in row for row in rows)
    result = read(samples)
    assert result.correct.shape == (12, 4)
    assert (result.votes[result.truncated] == -1).all() and not result.correct[result.truncated].any()
    assert (result.correct == (result.votes == result.gold_vote[:, None])).all()
    assert np.array_equal(result.tokens.ravel(), [row["tokens"] for row in rows])


def test_answers_drawn_in_parts_join_to_what_one_draw_would_hold(trained, monkeypatch):
    monkeypatch.setattr(samples_module, "SHARD_ANSWERS", 10)
    whole = Samples("student", trained, HELD, Sampling(max_tokens=25, temperature=1.0, samples=2))
    parts = samples_module.shards(whole)
    assert [len(p.problems) for p in parts] == [5, 5, 2]
    together = graded({"student": whole}, workers=1)["student"]
    assert together.problems == HELD and together.correct.shape == (12, 2)
    assert together.completions[5:10] == read(parts[1]).completions


def test_forcing_is_part_of_the_key_and_no_forcing_leaves_it_alone(trained):
    plain = Samples("student", trained, HELD, Sampling(max_tokens=40))
    own = {"sampling": asdict(plain.sampling), "dtype": "float32", "device": "cpu", "batch": 96}
    asked = [[p.id, p.gold, p.text] for p in HELD]
    content = {"student": trained.key, "own": own, "asked": asked}
    assert plain.key == artifacts.artifact_key("longthought.engines", content)
    words = thought_forcing()
    forced = [replace(words, cap=12), replace(words, cap=13), replace(words, times=1), replace(words, times=2)]
    forced += [replace(words, cap=12, times=1), replace(words, cap=12, allowance=5), Forcing(cap=12)]
    assert len({plain.key, *(replace(plain, forcing=f).key for f in forced)}) == 1 + len(forced)
    with pytest.raises(UserError, match="a cap of 41"):
        replace(plain, forcing=replace(words, cap=41))


def test_a_trained_student_is_forced_through_its_samples(trained):
    plain = Samples("student", trained, HELD, Sampling(max_tokens=40))
    words = thought_forcing()
    wanted = {"free": plain, "capped": replace(plain, forcing=replace(words, cap=9))}
    wanted["waited"] = replace(plain, forcing=replace(words, times=2))
    found = graded(wanted, workers=1)
    free, capped, waited = found["free"], found["capped"], found["waited"]
    for name, own in found.items():
        marks = own.tokens[:, 0] - [len(row[0].split()) for row in own.completions]
        # A word is a token, and so is the end mark of an answer that ended; a forced one may only have closed its box.
        assert (marks == ~own.truncated[:, 0]).all() or name == "capped"
        assert ((marks == 0) | (marks == 1) & ~own.truncated[:, 0]).all()
        assert all(row[0].endswith("}") for row in np.array(own.completions)[(marks == 0) & ~own.truncated[:, 0]])
    long = free.tokens[:, 0] > 9
    assert long.any() and capped.tokens.max() <= 9 + 2 + words.allowance
    for i, problem in enumerate(HELD):
        closing, continuation = words.words(problem.language)
        thought, answer = free.completions[i][0], capped.completions[i][0]
        if long[i]:
            assert answer.split()[:9] == thought.split()[:9] and closing.split()[-1] in answer
        else:
            assert answer == thought
        kept = thought[: final_part(thought, closing)].split()
        if not free.truncated[i, 0] and len(kept) < 38:
            assert waited.completions[i][0].split()[: len(kept) + 1] == [*kept, continuation.strip()]
    assert waited.tokens.max() <= 40


def test_rejection_keeps_only_right_thoughts():
    teacher = Teacher(accuracy=0.5)
    kept, all_thoughts = (thought_examples(TRAIN, teacher, 0, reject_wrong=r) for r in (True, False))
    assert len(all_thoughts) == len(TRAIN) and 15 < len(kept) < 45
    assert set(kept) < set(all_thoughts)


def test_the_control_sees_as_many_tokens_as_the_distilled_student():
    numbers = {"test_problems": 20, "hidden": 32, "layers": 1, "heads": 2, "seeds": 1, "documents": 100}
    numbers |= {"base_steps": 5, "phase1_steps": 5, "phase2_steps": 40, "thoughts": 60, "batch_size": 8}
    words = {"families": ["congruence"], "languages": ["en", "zh"], "difficulties": ["easy"], "student": "tiny"}
    rates = {"base_lr": 5e-3, "phase1_lr": 2e-3, "phase2_lr": 4e-3, "slip": 0.05, "reflection": 0.5}
    rest = {"max_length": 256, "max_tokens": 60, "device": "cpu", "dtype": "float32", "workers": 1}
    line = main_line(Settings.of(numbers | words | rates | rest), seed=0)
    artifacts.build([line.control, line.distilled], workers=1)
    control, distilled = line.control.log(), line.distilled.log()
    assert control["steps"] > 2 * distilled["steps"]
    assert abs(control["tokens"] / distilled["tokens"] - 1) < 0.1


@pytest.mark.parametrize(
    ("name", "said"),
    [("nobody", "neither"), ("org/model@main", "full commit"), ("org/model@" + "a" * 40, "could not be loaded")],
)
def test_a_model_name_that_cannot_be_loaded_says_why(name, said, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match=said):
        load(name)


def test_the_packaged_pretrained_model_answers():
    model, tokenizer = load(SMOLLM2)
    ids = torch.tensor([TransformersEngine(model, tokenizer, name=SMOLLM2)._encode("Say hello.")])
    plain, _ = load(SMOLLM2)
    expected = plain.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=24, do_sample=False)
    engine = TransformersEngine(model, tokenizer, name=SMOLLM2)
    questions = ["What is the capital of France? Answer briefly.", "Say hello."]
    answers = engine.generate(questions * 3, Sampling(max_tokens=24))
    assert answers[:2] == answers[2:4] == answers[4:]
    assert answers[1][0].text == tokenizer.decode(expected[0, ids.shape[1] :], skip_special_tokens=True)
    assert "Paris" in answers[0][0].text
    assert all(a[0].tokens == 24 for a in answers if a[0].finish == "length")
