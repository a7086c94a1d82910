"""Defects of arithmetic: roundings, floors, uniforms at the ends of their interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from spectest.declaration import selector

from .core import correct, inverse_cdf, normalised, planned_once, toss, verify
from .laws import in_bfloat16, in_float16, recovered, rejection
from .registry import Escape, bug

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Generator, Tensor

    from .core import Draw
    from .registry import Law


def _half_ratio(p: Law, q: Law) -> Law:
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = in_float16(np.log(p)) - in_float16(np.log(q))
    return np.where(p > 0, np.minimum(1.0, np.exp(difference)), 0.0)


def _in_steps(law: Law) -> Law:
    rounded = np.round(law * 2048)
    return rounded / rounded.sum() if rounded.sum() else law


@bug(
    "support",
    "B16",
    "sglang#35771, Sequoia's fp16 uniforms",
    kind="precision",
    needs="holes",
    mild="fp16 uniforms are 0 once in 2048",
)
def half_precision_coins(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """float16 uniforms and an inclusive test: accepts p = 0 at u = 0."""
    grid = torch.floor(toss(ids, generator) * 2048) / 2048
    return verify(p, q, ids, grid, accepts=lambda coin, p, q: coin * q <= p)


@bug("uniforms", "B16", "sglang#35771, NeMo Automodel#3166", mild="needs a uniform of exactly 0")
@selector(rng="uniforms")
def inclusive_at_zero(p: Tensor, q: Tensor, ids: Tensor, uniforms: Tensor) -> Tensor:
    """u q <= p accepts p = 0 at u = 0."""
    return verify(p, q, ids, uniforms, accepts=lambda coin, p, q: coin * q <= p)


@bug("uniforms", "B17", "sglang#30822", mild="needs a uniform within 2^-25 of 1")
@selector(rng="uniforms")
def coin_rounds_to_one(p: Tensor, q: Tensor, ids: Tensor, uniforms: Tensor) -> Tensor:
    """Uniforms cast to float32 reach 1.0, and the last index is emitted whatever its mass."""

    def draw(law: Tensor, coin: Tensor) -> Tensor:
        return (law.cumsum(-1) <= coin[:, None]).sum(-1).clamp_max(law.shape[-1] - 1)

    return verify(p, q, ids, uniforms.float().double(), draw=draw)


@bug(
    "law",
    "B32",
    "DeepSpec#31",
    kind="precision",
    mild="one rounding of q to 8 bits",
    output_law=rejection(draft=in_bfloat16),
    escape=Escape("a total variation of 6e-4", 3e7, until="deep"),
)
@selector(broadcast=True)
def draft_in_bfloat16(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """q rounded to bfloat16 in the verifier, drafts drawn in full precision."""
    rounded = planned_once(p, q, ids)[1].bfloat16().double()
    return correct(p, rounded.expand_as(q), ids, generator)


@bug("law", "B19", "Megatron-LM#7182", kind="precision", needs="wide")
def cumulated_in_bfloat16(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Inverse CDF on a cumulative sum rounded to bfloat16: the tail erodes."""

    def draw(left: Tensor, coin: Tensor) -> Tensor:
        cdf = left.cumsum(-1).bfloat16().double()
        return inverse_cdf(cdf.diff(dim=-1, prepend=torch.zeros_like(cdf[:, :1])).clamp_min(0), coin)

    return verify(p, q, ids, toss(ids, generator), draw=draw)


@bug(
    "law",
    kind="precision",
    mild="one rounding of p to 8 bits",
    output_law=rejection(target=in_bfloat16),
    escape=Escape("a total variation of 6e-4, on some problems more", 4e6, until="deep"),
)
@selector(broadcast=True)
def target_in_bfloat16(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """p rounded to bfloat16, shown to the verifier in full precision."""
    rounded = planned_once(p, q, ids)[0].bfloat16().double()
    return correct(rounded.expand_as(p), q, ids, generator)


@bug(
    "law",
    kind="precision",
    needs="huge",
    mild="one rounding of the residual to 11 bits",
    output_law=recovered(in_float16),
    escape=Escape("a total variation of 2e-5", 2e10),
)
@selector(broadcast=True)
def residual_in_float16(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The residual held in float16: 11 bits, and nothing below 6e-8."""
    draw: Draw = lambda left, coin: inverse_cdf(left.half().double(), coin)  # noqa: E731 (one line)
    return verify(p, q, ids, toss(ids, generator), draw=draw)


@bug("law", kind="precision", options={"vocab": (32_000,)}, mild="steps of 1/2048", output_law=recovered(_in_steps))
@selector(broadcast=True)
def residual_quantised(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The residual in 11 bits of fixed point."""

    def draw(left: Tensor, coin: Tensor) -> Tensor:
        return inverse_cdf(normalised((left * 2048).round() / 2048, left), coin)

    return verify(p, q, ids, toss(ids, generator), draw=draw)


@bug(
    "law",
    kind="precision",
    needs="huge",
    mild="one rounding of a logarithm",
    output_law=rejection(_half_ratio),
    escape=Escape("a total variation of 2e-4", 3e8),
)
def ratio_of_half_logarithms(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The ratio is tested as a difference of float16 logarithms."""

    def accepts(coin: Tensor, p: Tensor, q: Tensor) -> Tensor:
        return coin.log() < (p.log().half() - q.log().half()).double()

    return verify(p, q, ids, toss(ids, generator), accepts=accepts)


def _race(clocks_of: Callable[[Tensor], Tensor], left: Tensor, generator: Generator) -> Tensor:
    """Return the winner of an exponential race, its clocks made of uniforms in [0, 1)."""
    uniforms = torch.rand(left.shape, generator=generator, dtype=torch.float64, device=left.device)
    return (left / clocks_of(uniforms)).argmax(-1)


@bug("law", "B19", "vLLM#43150, vLLM#46665", kind="precision", needs="wide")
@selector(n_drafts=1)
def noise_in_bfloat16(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Clocks of the final race -log(1 - u) with u in steps of 1/256: a token lighter than that hardly ever wins."""

    def clocks(u: Tensor) -> Tensor:
        return -torch.log1p(-torch.floor(u * 256).clamp_min(1) / 256)

    return verify(p, q, ids, toss(ids, generator), draw=lambda left, coin: _race(clocks, left, generator))


@bug(
    "law",
    "B18",
    "vLLM#46665, vLLM#43150, vLLM#37798",
    kind="precision",
    mild="only tokens below 6e-8 are lost",
    escape=Escape("needs tokens below 6e-8, of which small tails have none", 5e3, until="standard"),
)
def noise_in_single_precision(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Clocks of the final race -log(1 - u) with u in steps of 2^-24: a lighter token hardly ever wins."""

    def clocks(u: Tensor) -> Tensor:
        return -torch.log1p(-torch.floor(u * 2**24).clamp_min(1) / 2**24)

    return verify(p, q, ids, toss(ids, generator), draw=lambda left, coin: _race(clocks, left, generator))


@bug(
    "support",
    "B38",
    "GDzhu01/vllm-ascend-deepseekv4#102, flashinfer#2455",
    kind="precision",
    needs="holes",
    mild="one clock in 4096 is 0",
)
def zero_noise_wins(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """A clock of exactly 0 makes infinity, or NaN of a token of mass 0, and both win the race."""

    def clocks(u: Tensor) -> Tensor:
        return -torch.log1p(-torch.floor(u * 4096) / 4096)

    return verify(p, q, ids, toss(ids, generator), draw=lambda left, coin: _race(clocks, left, generator))
