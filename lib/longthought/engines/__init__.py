"""Who answers: one small protocol, and an engine for each back end.

An engine takes prompts and a `Sampling` and gives back completions with their exact number of output tokens and the
reason why each ended. `local` runs a transformers model in this process, `in_process` runs vLLM, `served` asks a
server with the OpenAI protocol, and `choose.open_engine` opens the one that a text names.

Only the protocol and the local engine are imported here: the keys of trained students hash whatever this package
imports, and an edit to the client of a server must not make them stale.
"""

from longthought.engines.local import TransformersEngine, batches_by_length
from longthought.engines.protocol import Completion, Engine, Sampling

__all__ = ["Completion", "Engine", "Sampling", "TransformersEngine", "batches_by_length"]
