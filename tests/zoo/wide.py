"""Defects that large vocabularies show: blocks, passes, narrow integers, epsilons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from spectest.declaration import selector

from .core import correct, inverse_cdf, normalised, row_numbers, toss, verify
from .laws import at_least, recovered
from .registry import bug

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from .core import Draw
    from .registry import Law


def _without_partial_block(p: Law, q: Law) -> Law:
    limit = p.size - p.size % 1024 or p.size
    return recovered(lambda r: r * (np.arange(r.size) < limit))(p, q)


def _draw_below(limit: int) -> Draw:
    """Draw from the first `limit` tokens, from all of them where the rest would have no mass."""

    def draw(left: Tensor, coin: Tensor) -> Tensor:
        head = left.clone()
        head[:, limit:] = 0
        return inverse_cdf(normalised(head, left), coin)

    return draw


@bug("law", needs="wide")
def tail_block_lost(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The last V mod 16 tokens, a partial block of the kernel, are never drawn from the residual."""
    vocab = p.shape[-1]
    limit = vocab - vocab % 16 or vocab
    return verify(p, q, ids, toss(ids, generator), draw=_draw_below(limit))


@bug("law", needs="wide")
def one_block_of_64(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The residual scan stops after one block of 64 tokens: wrong for V > 64 only."""
    return verify(p, q, ids, toss(ids, generator), draw=_draw_below(64))


@bug("law", needs="wide")
def large_vocabulary_path(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Above 200 tokens another code path skips the residual and draws from p."""
    draw: Draw = (lambda left, coin: inverse_cdf(p, coin)) if p.shape[-1] > 200 else inverse_cdf
    return verify(p, q, ids, toss(ids, generator), draw=draw)


@bug("law", needs="wide")
def ids_wrap_at_256(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Ids pass through uint8."""
    return correct(p, q, ids, generator) % 256


@bug(
    "law",
    "B19",
    "vLLM#47383",
    mild="a partial block has little of the mass",
    options={"vocab": (32_000,)},
    output_law=_without_partial_block,
)
@selector(broadcast=True)
def last_block_of_1024_lost(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The last V mod 1024 tokens, a partial block of the kernel, are never recovered."""
    vocab = p.shape[-1]
    limit = vocab - vocab % 1024 or vocab
    return verify(p, q, ids, toss(ids, generator), draw=_draw_below(limit))


@bug("law", options={"vocab": (50_257,)}, output_law=recovered(lambda r: r * (np.arange(r.size) < 32_768)))
@selector(broadcast=True)
def one_pass_of_32768(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The residual scan makes one pass of 2^15 tokens."""
    return verify(p, q, ids, toss(ids, generator), draw=_draw_below(32_768))


@bug("law", options={"vocab": (70_001,)})
@selector(broadcast=True)
def ids_wrap_at_65536(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Ids pass through uint16."""
    return correct(p, q, ids, generator) % 65_536


@bug("law", options={"vocab": (32_000,)}, output_law=recovered(at_least(1e-5)))
@selector(broadcast=True)
def small_residuals_dropped(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """What is left of a token is 0 below 1e-5: an epsilon against 0/0."""
    draw: Draw = lambda left, coin: inverse_cdf(normalised(left * (left >= 1e-5), left), coin)  # noqa: E731 (one line)
    return verify(p, q, ids, toss(ids, generator), draw=draw)


@bug("law", "B33", "vLLM#46560, vLLM#48055", options={"vocab": (32_000,)})
@selector(broadcast=True)
def flat_index_in_16_bits(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The flat index row x V + token overflows, here at 2^16: a model of 2^31, which takes gigabytes to reach."""
    token = correct(p, q, ids, generator)
    flat = row_numbers(ids) * p.shape[-1] + token
    return torch.where(flat < 2**16, token, flat % 2**16 % p.shape[-1])


@bug("law", "B33", "vLLM#47383, sglang#35571", options={"vocab": (32_000,)})
@selector(broadcast=True)
def flat_index_in_float32(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The flat index row x V + token is held in float32: odd ones above 2^24 come out as their neighbours."""
    first = row_numbers(ids) * p.shape[-1]
    token = (first + correct(p, q, ids, generator)).float().long() - first
    return token.clamp(0, p.shape[-1] - 1)
