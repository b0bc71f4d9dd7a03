"""Estimates: what a run would need in memory and compute, before anything is started, and what cannot fit at all.

Rules of thumb, each with its source; they are meant to be right within a factor of about two.

- Weights, gradients and AdamW: 16 bytes per parameter in mixed precision, 2 + 2 + 12 (Rajbhandari et al. 2020, ZeRO);
  plain float32 takes 16 as well, 4 + 4 + 8.
- Activations: about 34 bytes per token, layer and unit of width in 16 bits, without the attention scores, which fused
  attention never stores (Korthikanti et al. 2022, section 4); with checkpointing, 2 bytes for each layer's input and
  34 for the one layer that is being recomputed. The loss holds its logits twice, in float32, for as many
  tokens as are scored at a time.
- Compute: 6 N FLOPs per token trained and 2 N per token sampled (Kaplan et al. 2020; Hoffmann et al. 2022, appendix F),
  8 N where checkpointing repeats the forward pass; the attention term, which grows with length, is left out.
- KV cache: 2 x layers x KV heads x head width x bytes per number, for each token of each answer in flight.
- Hours: FLOPs over cards x peak x utilisation; the utilisation is the profile's assumption and is printed with it.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from longthought.errors import UserError
from longthought.runs.parameters import Value, unknown

MODELS = Path(__file__).parent.parent / "data" / "models.yaml"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_GIB = 2.0**30
_ACTIVATION_BYTES = 34
_METHODS = 5  # ways of making thoughts that are compared, each with a student
_PER_EXPANSION = 10


@dataclass(frozen=True)
class Machine:
    """What a profile says of the machine it was written for; the parameters of a notebook say the rest.

    `gpus` 0 means a CPU, whose memory is then this machine's own unless `memory_gb` says otherwise. `peak_tflops` is
    per card, or per core on a CPU. The utilisations are shares of it that training and sampling reach. `positions` and
    `rope_theta` say how far a pretrained model's context is extended. `example_tokens` and `answer_tokens` are
    typical lengths; without them the estimate takes the longest that the parameters allow. `micro_batch` 0 means the
    whole batch at once.
    """

    gpus: int = 0
    gpu_memory_gb: float = 80.0
    memory_gb: float = 0.0
    peak_tflops: float = 0.1
    training_utilisation: float = 0.2
    sampling_utilisation: float = 0.05
    optimizer_bytes: int = 16
    checkpointing: bool = False
    micro_batch: int = 0
    loss_tokens: int = 0
    sequence_parallel: int = 1
    tensor_parallel: int = 1
    concurrent_answers: int = 256
    positions: int = 0
    rope_theta: float = 0.0
    example_tokens: int = 0
    answer_tokens: int = 0


@dataclass(frozen=True)
class Architecture:
    """The shape of a decoder; `parameters` follows from it."""

    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    intermediate: int
    vocabulary: int
    positions: int
    tied: bool
    family: str = "qwen2"

    @property
    def parameters(self) -> int:
        """How many weights: attention (with biases on q, k, v in qwen2), a gated MLP, two norms a layer, embeddings."""
        keys = self.kv_heads * self.hidden // self.heads
        attention = 2 * self.hidden**2 + 2 * self.hidden * keys
        biases = self.hidden + 2 * keys if self.family == "qwen2" else 0
        layer = attention + biases + 3 * self.hidden * self.intermediate + 2 * self.hidden
        return self.layers * layer + self.vocabulary * self.hidden * (1 if self.tied else 2) + self.hidden

    def cache_bytes(self, width: int) -> int:
        """Bytes of KV cache per token, at `width` bytes per number."""
        return 2 * self.layers * self.kv_heads * (self.hidden // self.heads) * width


@dataclass(frozen=True)
class Estimate:
    """What a run needs: memory in GiB per card (or on the host), FLOPs and hours; `lines` is all of it in words."""

    lines: tuple[tuple[str, str], ...] = ()
    training_gib: float = 0.0
    sampling_gib: float = 0.0
    training_flops: float = 0.0
    sampling_flops: float = 0.0
    hours: float = 0.0
    warnings: tuple[str, ...] = field(default=())


@cache
def known_models() -> dict[str, dict[str, Any]]:
    """The architecture facts in data/models.yaml."""
    import yaml

    return dict(yaml.safe_load(MODELS.read_text(encoding="utf-8")))


def read_machine(content: Mapping[str, Any], where: str) -> Machine:
    """The `machine` section of a profile. UserError for a key it does not have or a value of another type."""
    fields = {item.name: type(item.default) for item in dataclasses.fields(Machine)}
    values: dict[str, Any] = {}
    for key, value in content.items():
        if key not in fields:
            raise unknown(str(key), fields, "key", f"{where}, machine")
        wanted: Any = fields[key]
        try:
            fits = isinstance(value, bool) == (wanted is bool) and not isinstance(value, list | dict)
            values[key] = wanted(value)
            fits = fits and (wanted is bool or (values[key] >= 0 and values[key] == float(value)))
        except (TypeError, ValueError):
            fits = False
        if not fits:
            raise UserError(f"{where}, machine: {key} wants {wanted.__name__}, not {value!r}")
    return Machine(**values)


def architecture(name: str, values: Mapping[str, Value]) -> Architecture | None:
    """The shape of the model a parameter names; None for a folder or a model that data/models.yaml does not list."""
    facts = dict(known_models().get(name.split("@")[0], {}))
    if not facts:
        return None
    facts.pop("revision", None)
    if name == "tiny":
        hidden, heads = _number(values, "hidden", 64), _number(values, "heads", 4)
        facts["intermediate"] = facts.pop("intermediate_factor") * hidden
        facts |= {"hidden": hidden, "heads": heads, "kv_heads": heads, "layers": _number(values, "layers", 2)}
        facts["positions"] = _number(values, "max_length", 512)
    return Architecture(name=name.split("@")[0], **facts)


def unpinned(values: Mapping[str, Value]) -> list[str]:
    """One line for each parameter that names a hub model without a full commit."""
    found = []
    for key in ("student", "model", "teacher", "judge"):
        value = values.get(key)
        if isinstance(value, str) and "@" in value and not _COMMIT.fullmatch(value.rpartition("@")[2]):
            name = value.rpartition("@")[0]
            found.append(f"{key}={value}: a run needs a pinned commit, {name}@ and its 40 hex digits")
    return found


def estimate(notebook: str, values: Mapping[str, Value], machine: Machine) -> Estimate:
    """What `notebook` would need with these parameters on `machine`. UserError when it cannot fit at all."""
    name = str(values.get("student", ""))
    if values.get("problems") and "model" in values:
        name = str(values["model"])  # with a file of problems, the notebook measures this model and trains none
    if not name:
        return Estimate()
    shape = architecture(name, values)
    if shape is None:
        return Estimate(lines=(("model", f"{name}: not in models.yaml, so neither memory nor compute is estimated"),))
    check_shape(notebook, values, shape, machine)
    return _add_up(notebook, values, shape, machine, trains=name == values.get("student"))


def check_shape(notebook: str, values: Mapping[str, Value], shape: Architecture, machine: Machine) -> None:
    """UserError when heads do not divide the width, or a sequence is longer than the model has positions."""
    if shape.name == "tiny" and (shape.hidden % shape.heads or shape.hidden // shape.heads % 2):
        raise UserError(
            f"{notebook}: hidden={shape.hidden} does not split into heads={shape.heads} of even width; "
            f"make hidden a multiple of {2 * shape.heads}"
        )
    extended = 0 if shape.name == "tiny" else _number(values, "positions", machine.positions)
    positions = max(shape.positions, extended)
    for key in ("max_length", "max_tokens"):
        wanted = _number(values, key, 0)
        if wanted > positions:
            mend = f"lower {key}, or raise max_length" if shape.name == "tiny" else f"lower {key}, or extend its RoPE"
            raise UserError(
                f"{notebook}: {key}={wanted} is longer than the {positions} positions of {shape.name}; {mend}"
            )


def _add_up(
    notebook: str, values: Mapping[str, Value], shape: Architecture, machine: Machine, *, trains: bool
) -> Estimate:
    on_gpu = values.get("device", "cpu") == "cuda"
    gpus = max(1, machine.gpus) if on_gpu else 1
    workers = 1 if on_gpu else _number(values, "workers", 1)
    width = 2 if values.get("dtype") == "bfloat16" else 4
    count = shape.parameters
    lines = [("model", f"{shape.name}, {_amount(count)} parameters, {shape.layers} layers of width {shape.hidden}")]

    length = _number(values, "max_length", 512)
    micro = min(machine.micro_batch or _number(values, "batch_size", 16), _number(values, "batch_size", 16))
    state = count * machine.optimizer_bytes / gpus
    depth = shape.layers * 2 + _ACTIVATION_BYTES if machine.checkpointing else shape.layers * _ACTIVATION_BYTES
    tokens = micro * length / machine.sequence_parallel
    logits = min(tokens, machine.loss_tokens or tokens) * shape.vocabulary * 8
    activations = tokens * shape.hidden * depth * width / 2 + logits
    training_gib = workers * (state + activations) / _GIB if trains else 0.0
    if trains:
        lines.append(
            (
                "training memory",
                f"{_gib(state)} weights, gradients and AdamW at {machine.optimizer_bytes} bytes each"
                f" + {_gib(activations)} activations for {micro} x {length} tokens"
                + (f", by {workers} workers" if workers > 1 else "")
                + (f", on each of {gpus} cards" if gpus > 1 else ""),
            )
        )

    answer = _number(values, "max_tokens", 256)
    answers = _answers(values, trains=trains)
    flying = max(1, min(answers, machine.concurrent_answers))
    weights = count * width / (machine.tensor_parallel if on_gpu else 1)
    cached = flying * answer * shape.cache_bytes(width) / gpus
    sampling_gib = workers * (weights + cached) / _GIB
    lines.append(
        (
            "sampling memory",
            f"{_gib(weights)} weights + {_gib(cached)} KV cache for {flying} answers of {answer} tokens",
        )
    )

    seen = _trained_tokens(values, min(machine.example_tokens or length, length)) if trains else 0
    training_flops = float(seen) * count * (8 if machine.checkpointing else 6)
    drawn = answers * min(machine.answer_tokens or answer, answer)
    sampling_flops = float(drawn) * count * 2
    # A student of a few thousand weights cannot fill a card or the cores: one core per worker is what it uses.
    units = gpus if on_gpu else min(workers, os.cpu_count() or 1)
    peak = units * machine.peak_tflops * 1e12
    hours = training_flops / (peak * machine.training_utilisation) + sampling_flops / (
        peak * machine.sampling_utilisation
    )
    hours /= 3600
    if trains:
        lines.append(("training", f"{_amount(seen)} tokens, {_amount(training_flops)} FLOPs"))
    lines.append(
        ("sampling", f"{_amount(drawn)} tokens in {_amount(answers)} answers, {_amount(sampling_flops)} FLOPs")
    )
    lines.append(
        (
            "time",
            f"{_duration(hours)} on {units} {'card' if on_gpu else 'core'}{'s' if units > 1 else ''} of"
            f" {machine.peak_tflops:g} TFLOP/s, {machine.training_utilisation:.0%} used in training,"
            f" {machine.sampling_utilisation:.0%} in sampling",
        )
    )
    if machine.positions and shape.name != "tiny" and machine.positions > shape.positions:
        base = f", RoPE base {machine.rope_theta:g}" if machine.rope_theta else ""
        lines.append(("context", f"{shape.positions} positions, extended to {machine.positions}{base}"))

    limit = machine.gpu_memory_gb if on_gpu else machine.memory_gb or _host_memory_gb()
    for what, needed in (("training", training_gib), ("sampling", sampling_gib)):
        if needed > limit:
            place = f"a card of {limit:g} GB" if on_gpu else f"{limit:.0f} GB of memory"
            mend = "batch_size, max_length or the model" if what == "training" else "max_tokens or the model"
            raise UserError(
                f"{notebook}: {what} {shape.name} needs about {needed:.0f} GiB, more than {place}; reduce {mend}"
            )
    return Estimate(
        tuple(lines), training_gib, sampling_gib, training_flops, sampling_flops, hours, tuple(unpinned(values))
    )


def _trained_tokens(values: Mapping[str, Value], length: int) -> int:
    """Tokens trained on: base, phase 1 and phase 2 per seed; with ablations phase 2 for each, and a control."""
    seeds, phase2 = _number(values, "seeds", 1), _number(values, "phase2_steps", 0)
    compares = "sizes" in values
    steps = seeds * (_number(values, "base_steps", 0) + _number(values, "phase1_steps", 0) + (1 + compares) * phase2)
    ablations = 0
    for key in ("sizes", "reflections", "teacher_accuracies", "systematic_accuracies"):
        ablations += len(_items(values, key))
    steps += ablations * _number(values, "ablation_seeds", 1) * phase2
    steps += _METHODS * _number(values, "method_steps", 0)
    return steps * _number(values, "batch_size", 16) * length


def _answers(values: Mapping[str, Value], *, trains: bool) -> int:
    """Answers drawn: one per problem for each trained student and stage, and `samples` for the seeds that vote."""
    if not trains:
        return max(1, _number(values, "limit", 0) or 500) * _number(values, "samples", 1)
    problems = _number(values, "test_problems", 0)
    ablations = sum(
        len(_items(values, key)) for key in ("sizes", "reflections", "teacher_accuracies", "systematic_accuracies")
    )
    greedy = 4 * _number(values, "seeds", 1) + ablations * _number(values, "ablation_seeds", 1)
    # A tree search samples a few next steps per expansion and plays each to the end a few times.
    searched = _number(values, "method_problems", 0) * (
        _METHODS + 2 * _number(values, "expansions", 0) * _PER_EXPANSION
    )
    return problems * (greedy + _number(values, "samples", 0) * _number(values, "sampled_seeds", 1)) + searched


def _number(values: Mapping[str, Value], key: str, default: int) -> int:
    value = values.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def _items(values: Mapping[str, Value], key: str) -> list[Any]:
    value = values.get(key)
    return value if isinstance(value, list) else []


def _host_memory_gb() -> float:
    import psutil

    return float(psutil.virtual_memory().total) / _GIB


def _gib(count: float) -> str:
    return f"{count / _GIB:.1f} GiB" if count >= 0.1 * _GIB else f"{count / 2**20:.1f} MiB"


def _amount(count: float) -> str:
    for size, name in (
        (1e21, "e21"),
        (1e18, "e18"),
        (1e15, "e15"),
        (1e12, " trillion"),
        (1e9, " billion"),
        (1e6, " million"),
    ):
        if count >= size:
            return f"{count / size:.3g}{name}"
    return f"{count:.0f}"


def _duration(hours: float) -> str:
    if hours >= 48:
        return f"about {hours / 24:.0f} days"
    if hours >= 1:
        return f"about {hours:.1f} hours"
    return f"about {max(1, round(hours * 60))} min" if hours * 60 >= 1 else "under a minute"
