"""Defects of the accept test: which drafts pass, and with what randomness."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from spectest.declaration import selector

from .core import correct, first_draft_in, inverse_cdf, normalised, toss, verify
from .laws import coin_reused, lenient, ratio, rejection
from .registry import bug

if TYPE_CHECKING:
    from torch import Generator, Tensor


@bug(
    "law",
    "B06",
    "vllm-ascend#13730, transformers#28508, lattice#243",
    output_law=rejection(lambda p, q: np.ones_like(q)),
)
def accepts_everything(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The accept uniform is always 0."""
    return ids[:, 0].clone()


@bug("law", output_law=rejection(lambda p, q: ratio(q, p)))
def ratio_swapped(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """min(1, q/p) in place of min(1, p/q)."""
    return verify(p, q, ids, toss(ids, generator), accepts=lambda coin, p, q: coin * p <= q)


@bug("law", citation="lucidrains/speculative-decoding, `lenience`", output_law=lenient(0.9))
def lenience(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Accepts with probability p / (0.9 q)."""
    return verify(p, q, ids, toss(ids, generator), accepts=lambda coin, p, q: coin * 0.9 * q < p)


@bug("law", mild="one part in fifty", output_law=lenient(0.98))
@selector(broadcast=True)
def lenience_of_a_fiftieth(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Accepts with probability p / (0.98 q)."""
    return verify(p, q, ids, toss(ids, generator), accepts=lambda coin, p, q: coin * 0.98 * q < p)


@bug("law", output_law=rejection(lambda p, q: ratio(0.9 * p, q)))
def strict(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Accepts with probability 0.9 p/q: a safety margin that the residual does not know."""
    return verify(p, q, ids, toss(ids, generator), accepts=lambda coin, p, q: coin * q < 0.9 * p)


@bug("law", "B03", "llama.cpp#5625, transformers#32867", output_law=rejection(lambda p, q: p))
def draft_taken_as_argmax(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Accepts with probability p (as for a one-hot draft) but keeps the dense residual."""
    return verify(p, q, ids, toss(ids, generator), accepts=lambda coin, p, q: coin < p)


@bug("law", "B47", "rtp-llm#1295", output_law=rejection(lambda p, q: p + (1 - p) * ratio(p, q)))
def two_chances(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Also accepts a draft equal to a sample of the target."""
    token, sample = correct(p, q, ids, generator), inverse_cdf(p, toss(ids, generator)[:, 0])
    return torch.where((ids == sample[:, None]).any(1), sample, token)


@bug("law", "B22", "feifeibear/LLMSpeculativeSampling, FastDeploy#5568")
def same_coin_for_every_draft(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """One uniform per position, tested against every draft."""
    coins = toss(ids, generator)
    coins[:, :-1] = coins[:, :1]
    return verify(p, q, ids, coins)


@bug("law", "B01", "flashinfer#424, sglang#7231, vllm-ascend#16370", output_law=coin_reused)
def first_coin_reused(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The uniform that failed the first test draws the residual."""
    coins = toss(ids, generator)
    coins[:, -1] = coins[:, 0]
    return verify(p, q, ids, coins)


@bug(
    "law",
    "B01",
    "flashinfer#424, sglang#7231, vllm-ascend#16370",
    needs="staged",
    mild="shows only where the last ratio lies strictly between 0 and 1",
)
def last_coin_reused(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The uniform that failed the last test draws the residual: where that ratio was 0, it is still uniform."""
    coins = toss(ids, generator)
    coins[:, -1] = coins[:, -2]
    return verify(p, q, ids, coins)


@bug("law", "B22", "TRT-LLM#17599, tpu-inference#1189")
def seeded_by_drafts(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Uniforms hashed from the drafted ids: equal drafts get equal coins in every row."""
    n = ids.shape[1]
    number = torch.arange(1, n + 2, device=ids.device)
    key = (ids * 7919 * number[:-1] ** 2).sum(1, keepdim=True).double() + 1
    return verify(p, q, ids, (key * 0.6180339887498949 * number).remainder(1))


@bug("law", needs="peaked")
def consensus_not_verified(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Where all drafts agree, they are believed."""
    agreed = (ids == ids[:, :1]).all(1)
    return first_draft_in(agreed, correct(p, q, ids, generator), ids)


@bug("support", "B48", "lattice#243", needs="one_hot")
def greedy_rows_not_verified(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """A one-hot target takes the "temperature 0" path, which commits the draft unverified."""
    return first_draft_in(p.max(-1).values == 1, correct(p, q, ids, generator), ids)


@bug("law", citation="SpecTr (arXiv 2310.15141) needs rho >= rho*")
def k_seq_rho_too_small(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """K-SEQ at rho = 1, below its root: more is accepted than the target holds."""
    overlap = torch.minimum(p, q[:, 0])
    beta = overlap.sum(-1, keepdim=True)
    left = (p - overlap * (1 - (1 - beta) ** ids.shape[1]) / beta.clamp_min(1e-300)).clamp_min(0)
    return verify(
        p,
        q,
        ids,
        toss(ids, generator),
        residual=lambda left, q, x: left,
        draw=lambda _, coin: inverse_cdf(normalised(left, p), coin),
    )


@bug("law", "B25", "EAGLE#47", output_law=rejection(lambda p, q: 1 - (1 - ratio(p, q)) ** 2))
def drafts_tested_twice(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Every draft has two coins, as a sibling listed twice has: the smaller one counts."""
    coins = toss(ids, generator)
    coins[:, :-1] = torch.minimum(coins, toss(ids, generator))[:, :-1]
    return verify(p, q, ids, coins)


@bug("law", "B48", "lattice#243", output_law=rejection(lambda p, q: np.where(p > 0, 1.0, 0.0)))
def any_possible_draft_accepted(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """A draft is accepted wherever the target is not 0: what greedy code makes of "is it allowed"."""
    return verify(p, q, ids, toss(ids, generator), accepts=lambda coin, p, q: p > 0)
