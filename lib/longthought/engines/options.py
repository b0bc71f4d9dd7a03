"""The options of all engines in one record; each engine reads its own, and what cannot be is refused at once."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from longthought.errors import UserError

KEY_VARIABLE = "OPENAI_API_KEY"
CONTINUATIONS = ("native", "turn")
DTYPES = ("float32", "bfloat16", "float16", "auto")


@dataclass(frozen=True)
class EngineOptions:
    """How engines run. None of it holds a key: `key_variable` is the name of the environment variable that does.

    `transformers` and `vllm`: `device` ("cpu", "cuda" or "cuda:0"), `dtype` ("auto", vllm only, is the model's own);
    `batch_size` rows at once (transformers); `tensor_parallel`,
    `pipeline_parallel` and `data_parallel` GPUs, `max_model_len` tokens of prompt and answer, and `memory`, the share
    of a GPU's memory (vllm).

    `openai`: `base_url` (else OPENAI_BASE_URL, else OpenAI's own), at most `concurrency` requests at a time, `timeout`
    seconds for each, `retries` after the first try, and `extra_body`, fields that go into every request, such as
    {"reasoning_effort": "high"}. `continuation` says how the server is made to go on with an answer that has begun:
    "native" by the fields `continue_final_message` and `add_generation_prompt`, as vLLM has them; "turn" by asking in a
    further turn, which works anywhere and is only a request. `price_in` and `price_out` are US dollars per million
    tokens, `max_cost` US dollars for everything that the ledger holds. Answers and ledger lie in `cache`, by default
    the folder `paid` beside the artifacts, on a local disk.
    """

    device: str = "cpu"
    dtype: str = "float32"
    batch_size: int = 96
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    data_parallel: int = 1
    max_model_len: int | None = None
    memory: float = 0.9
    base_url: str = ""
    key_variable: str = KEY_VARIABLE
    concurrency: int = 16
    timeout: float = 600.0
    retries: int = 6
    continuation: str = "native"
    extra_body: Mapping[str, Any] = field(default_factory=dict, hash=False)
    price_in: float | None = None
    price_out: float | None = None
    max_cost: float | None = None
    cache: Path | None = None

    def __post_init__(self) -> None:
        for name in ("batch_size", "tensor_parallel", "pipeline_parallel", "data_parallel", "concurrency"):
            if getattr(self, name) < 1:
                raise UserError(f"engine option {name} is {getattr(self, name)}: it must be at least 1")
        for name in ("timeout", "memory", "price_in", "price_out", "max_cost"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise UserError(f"engine option {name} is {value}: a finite number is wanted")
        if not re.fullmatch(r"cpu|cuda(:[0-9]+)?", self.device):
            raise UserError(f"engine option device is {self.device!r}: choose cpu, cuda, or cuda:0 for the first GPU")
        if self.dtype not in DTYPES:
            raise UserError(f"engine option dtype is {self.dtype!r}: choose {', '.join(DTYPES)}")
        check_base_url(self.base_url)
        if self.timeout <= 0 or self.retries < 0 or not 0 < self.memory <= 1:
            raise UserError(
                f"engine options timeout {self.timeout}, retries {self.retries}, memory {self.memory}: "
                "a time-out is above 0 seconds, retries from 0, memory a share in (0, 1]"
            )
        if self.continuation not in CONTINUATIONS:
            raise UserError(f"engine option continuation is {self.continuation!r}: choose {' or '.join(CONTINUATIONS)}")
        prices = (self.price_in, self.price_out)
        if (self.price_in is None) != (self.price_out is None) or any(p is not None and p < 0 for p in prices):
            raise UserError(
                "engine options price_in and price_out go together, in US dollars per million tokens, from 0"
            )
        if self.max_cost is not None and (self.price_in is None or self.max_cost < 0):
            raise UserError(
                f"engine option max_cost is {self.max_cost}: a cap from 0 on needs price_in and price_out beside it, "
                "in US dollars per million tokens, or nothing could be held to it"
            )


def check_base_url(url: str) -> None:
    """UserError for a URL that cannot be one, or that holds a name or a password, which would be kept with results."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 (reading it is the check)
    except ValueError as error:
        raise UserError(f"the base URL is no URL ({error}): it looks like http://localhost:8000/v1") from None
    if "@" in parts.netloc:
        raise UserError(
            "the base URL holds a name or a password, and it is kept with the results: take out what stands before "
            "the @ and set the key in the environment"
        )
