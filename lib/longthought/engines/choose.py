"""One text names an engine: `smollm2-135m`, a folder or `name@commit` (transformers), `vllm:` and such a name, or
`openai:` and the name that a server gives its model."""

from __future__ import annotations

from longthought.engines.local import TransformersEngine
from longthought.engines.options import EngineOptions
from longthought.engines.protocol import Engine
from longthought.errors import UserError

KINDS = ("vllm", "openai")


def split_spec(spec: str) -> tuple[str, str]:
    """The kind of engine ("transformers", "vllm" or "openai") and the model's name.

    Raises UserError for an empty name. A folder may hold a colon, so only known kinds are split off.
    """
    kind, colon, model = spec.partition(":")
    if not colon or kind not in KINDS:
        kind, model = "transformers", spec
    if not model.strip():
        raise UserError(
            f"engine {spec!r} names no model: write smollm2-135m, a folder, name@commit, vllm: and one of these, "
            "or openai: and the name that the server knows"
        )
    return kind, model


def open_engine(spec: str, options: EngineOptions | None = None) -> Engine:
    """The engine that `spec` names, ready to answer. Raises UserError when it cannot be had."""
    options = options or EngineOptions()
    kind, model = split_spec(spec)
    if kind == "openai":
        from longthought.engines.served import ServedEngine

        return ServedEngine(model, options)
    if kind == "vllm":
        from longthought.engines.in_process import VLLMEngine

        return VLLMEngine(model, options)
    if options.dtype == "auto":
        raise UserError(f"{model}: dtype auto is for vllm: engines only; choose float32, bfloat16 or float16")
    from longthought.models import load

    weights, tokenizer = load(model, dtype=options.dtype, device=options.device)
    return TransformersEngine(weights, tokenizer, name=model, batch_size=options.batch_size)
