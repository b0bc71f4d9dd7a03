"""What makes a transformers model answer fast on a CPU: nothing here changes which tokens are likely.

Three costs dominate there, and none of them is the network itself. The usual attention kernel is made for many query
positions and spends most of a step on the single one of a decoding step; the key-value cache is copied whole for
every token; and several samples of one prompt read that prompt again and again. `use_grouped_attention` mends the
first, `new_cache` the second and `read_prompts` the third, each through the library's own extension points.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import AttentionInterface, DynamicCache
from transformers.cache_utils import DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

GROUPED = "longthought_grouped"
# Tokens of room that a full buffer gains: a copy this often is cheap, and so is attending to this much that is masked.
ROOM = 64


def grouped_attention(
    module: Any, query: Any, key: Any, value: Any, attention_mask: Any, scaling: float | None = None, **options: Any
) -> tuple[Any, None]:
    """Attention for one query position as two matrix products per key head, and the usual kernel for more positions.

    Shapes: query (rows, heads, positions, width), key and value (rows, key heads, length, width); the result is
    (rows, positions, heads, width). The softmax is in float32, as in the library's own plain attention.
    """
    boolean = attention_mask is None or attention_mask.dtype == torch.bool
    if query.shape[2] > 1 or not boolean:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **options)
    rows, heads, _, width = query.shape
    groups = key.shape[1]
    scores = query.reshape(rows, groups, heads // groups, width) @ key.transpose(2, 3)
    scores = scores * (width**-0.5 if scaling is None else scaling)
    if attention_mask is not None:
        scores = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    weights = scores.softmax(-1, dtype=torch.float32).to(value.dtype)
    return (weights @ value).reshape(rows, 1, heads, width), None


def _mask(*args: Any, **options: Any) -> Any:
    """The library's mask, never left out: without one, the room at the end of a buffer would be attended to."""
    return sdpa_mask(*args, **(options | {"allow_is_causal_skip": False}))


def use_grouped_attention(model: Any) -> None:
    """Let `model` decode with `grouped_attention`, where it would use the kernel that this replaces."""
    if model.config._attn_implementation == "sdpa":
        AttentionInterface.register(GROUPED, grouped_attention)
        AttentionMaskInterface.register(GROUPED, _mask)
        model.set_attn_implementation(GROUPED)


class _RoomyLayer(DynamicLayer):
    """One layer's keys and values in a buffer with room at its end, so that a new token is written, not appended.

    Like the library's static layer it hands out the whole buffer (a part of one is copied by every matrix product)
    and lets the mask hide the room; unlike it, it grows, so nobody attends to a place long before it is used.
    """

    def __init__(self) -> None:
        super().__init__()
        self._length = 0

    def get_seq_length(self) -> int:
        return self._length

    def _capacity(self, new: int) -> int:
        needed = self._length + new
        held = self.keys.shape[-2] if self.is_initialized else 0
        return held if needed <= held else needed + ROOM

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._capacity(query_length), 0

    def update(self, key_states: Any, value_states: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        capacity = self._capacity(key_states.shape[-2])
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            # An empty buffer of the right rank; zeros, since a masked NaN would still spoil the sum.
            self.keys, self.values = key_states[:, :, :0], value_states[:, :, :0]
        if capacity > self.keys.shape[-2]:
            more = capacity - self.keys.shape[-2]
            self.keys = torch.nn.functional.pad(self.keys, (0, 0, 0, more))
            self.values = torch.nn.functional.pad(self.values, (0, 0, 0, more))
        end = self._length + key_states.shape[-2]
        self.keys[:, :, self._length : end] = key_states
        self.values[:, :, self._length : end] = value_states
        self._length = end
        return self.keys, self.values


def new_cache(model: Any) -> DynamicCache:
    """An empty cache for `model`, in which a decoding step moves no earlier token if its attention is the grouped one.

    Layers of another kind than the plain one (a sliding window, say) are left as the library makes them.
    """
    cache = DynamicCache(config=model.config)
    if model.config._attn_implementation == GROUPED:
        cache.layers = [_RoomyLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


def read_prompts(model: Any, cache: DynamicCache, ids: Any, mask: Any) -> None:
    """Fill the empty `cache` with all columns but the last of left-padded `ids` (rows, width): each distinct row is
    read once and copied to all its places. Does nothing where no row repeats."""
    distinct, place = torch.unique(ids, dim=0, return_inverse=True)
    if len(distinct) == len(ids) or ids.shape[1] < 2:
        return
    first = torch.stack([(place == i).nonzero()[0, 0] for i in range(len(distinct))])
    seen = mask[first, :-1]
    model(
        input_ids=ids[first, :-1],
        attention_mask=seen,
        position_ids=(seen.cumsum(-1) - 1).clamp(min=0),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    cache.batch_select_indices(place)
