"""Defects of the accept test: which drafts pass, and with what randomness."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from spectest import selector

from .core import correct, defect, inverse_cdf, toss, verify

if TYPE_CHECKING:
    from torch import Generator, Tensor


@defect("law")
def accepts_everything(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The accept uniform is always 0 (vllm-ascend#13730, HF#28508)."""
    return ids[:, 0].clone()


@defect("law")
def ratio_swapped(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """min(1, q/p) in place of min(1, p/q)."""
    return verify(p, q, ids, toss(ids, generator), accepts=lambda coin, p, q: coin * p <= q)


@defect("law")
def lenience(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Accepts with probability p / (0.9 q) (lucidrains' `lenience`)."""
    return verify(p, q, ids, toss(ids, generator), accepts=lambda coin, p, q: coin * 0.9 * q < p)


@defect("law")
def strict(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Accepts with probability 0.9 p/q: a safety margin that the residual does not know."""
    return verify(p, q, ids, toss(ids, generator), accepts=lambda coin, p, q: coin * q < 0.9 * p)


@defect("law")
def draft_taken_as_argmax(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Accepts with probability p (as for a one-hot draft) but keeps the dense residual (llama.cpp#5625)."""
    return verify(p, q, ids, toss(ids, generator), accepts=lambda coin, p, q: coin < p)


@defect("law")
def two_chances(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Also accepts a draft equal to a sample of the target (rtp-llm#1295)."""
    token, sample = correct(p, q, ids, generator), inverse_cdf(p, toss(ids, generator)[:, 0])
    return torch.where((ids == sample[:, None]).any(1), sample, token)


@defect("law")
def same_coin_for_every_draft(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """One uniform per position, tested against every draft (feifeibear reseeds inside its loop)."""
    coins = toss(ids, generator)
    coins[:, :-1] = coins[:, :1]
    return verify(p, q, ids, coins)


@defect("law")
def first_coin_reused(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The uniform that failed the first test draws the residual (flashinfer#424, sglang#7231, vllm-ascend#16370)."""
    coins = toss(ids, generator)
    coins[:, -1] = coins[:, 0]
    return verify(p, q, ids, coins)


@defect("law", needs="staged", mild="shows only where the last ratio lies strictly between 0 and 1")
def last_coin_reused(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The uniform that failed the last test draws the residual: where that ratio was 0, it is still uniform."""
    coins = toss(ids, generator)
    coins[:, -1] = coins[:, -2]
    return verify(p, q, ids, coins)


@defect("support", needs="holes", mild="fp16 uniforms are 0 once in 2048")
def half_precision_coins(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """float16 uniforms and an inclusive test: accepts p = 0 at u = 0 (Sequoia's fp16 uniforms; sglang#35771)."""
    grid = torch.floor(toss(ids, generator) * 2048) / 2048
    return verify(p, q, ids, grid, accepts=lambda coin, p, q: coin * q <= p)


@defect("injection", mild="needs a uniform of exactly 0")
@selector(rng="uniforms")
def inclusive_at_zero(p: Tensor, q: Tensor, ids: Tensor, uniforms: Tensor) -> Tensor:
    """u q <= p accepts p = 0 at u = 0 (sglang#35771, NeMo Automodel#3166)."""
    return verify(p, q, ids, uniforms, accepts=lambda coin, p, q: coin * q <= p)


@defect("injection", mild="needs a uniform within 2^-25 of 1")
@selector(rng="uniforms")
def coin_rounds_to_one(p: Tensor, q: Tensor, ids: Tensor, uniforms: Tensor) -> Tensor:
    """Uniforms cast to float32 reach 1.0, and the last index is emitted whatever its mass (sglang#30822)."""

    def draw(law: Tensor, coin: Tensor) -> Tensor:
        return (law.cumsum(-1) <= coin[:, None]).sum(-1).clamp_max(law.shape[-1] - 1)

    return verify(p, q, ids, uniforms.float().double(), draw=draw)


@defect("law")
def seeded_by_drafts(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Uniforms hashed from the drafted ids: equal drafts get equal coins in every row."""
    n = ids.shape[1]
    key = (ids * 7919 * torch.arange(1, n + 1) ** 2).sum(1, keepdim=True).double() + 1
    return verify(p, q, ids, (key * 0.6180339887498949 * torch.arange(1, n + 2)).remainder(1))
