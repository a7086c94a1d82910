"""Defects of the residual: what is left of the target after a rejection, and how it is drawn from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from .core import correct, inverse_cdf, normalised, subtract, toss, verify
from .laws import all_on, excluding_rejected, positive, recovered, rejection
from .registry import bug

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from .core import Draw


@bug("law")
def residual_not_updated(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Every draft is tested against p, the residual is taken once at the end."""
    return verify(
        p,
        q,
        ids,
        toss(ids, generator),
        residual=lambda left, q, x: left,
        draw=lambda left, coin: inverse_cdf(normalised(subtract(p, q[:, 0], ids), p), coin),
    )


@bug("law", "B08", "Medusa's nucleus branch, fms-extras#12", output_law=rejection(residual=lambda p, q: p))
def falls_back_to_target(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Resamples from p after the last rejection."""
    return verify(p, q, ids, toss(ids, generator), draw=lambda left, coin: inverse_cdf(p, coin))


@bug("law", "B05", "transformers#28508", output_law=rejection(residual=lambda p, q: np.exp(positive(p, q))))
def residual_softmax(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Softmax of the clamped difference in place of its normalisation."""

    def residual(left: Tensor, q: Tensor, x: Tensor) -> Tensor:
        return torch.softmax(subtract(left, q, x), -1)

    return verify(p, q, ids, toss(ids, generator), residual=residual)


@bug("law", "B07", "EAGLE#20", output_law=excluding_rejected)
def only_rejected_token_lowered(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Lowers the mass of the rejected token alone."""

    def residual(left: Tensor, q: Tensor, x: Tensor) -> Tensor:
        column = x[:, None]
        return left.scatter(1, column, subtract(left.gather(1, column), q.gather(1, column), x))

    return verify(p, q, ids, toss(ids, generator), residual=residual)


@bug("law", "B09", "GDzhu01/vllm-ascend-deepseekv4#102", output_law=excluding_rejected)
def rejected_token_excluded(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Dense ratio test, one-hot residual: p without the rejected token."""
    return verify(p, q, ids, toss(ids, generator), residual=lambda left, q, x: left.scatter(1, x[:, None], 0.0))


@bug("law", output_law=rejection(residual=lambda p, q: np.abs(p - q)))
def residual_absolute(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """|p - q| for (p - q)+."""
    return verify(p, q, ids, toss(ids, generator), residual=lambda left, q, x: (left - q).abs())


@bug("law", "B14", "ROCm/ATOM#2318", output_law=recovered(lambda r: all_on(int(r.argmax()), r)))
def residual_argmax(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The final draw is greedy."""
    return verify(p, q, ids, toss(ids, generator), draw=lambda left, coin: left.argmax(-1))


@bug("law", "B28", "llama.cpp, examples/speculative")
def residual_by_rank(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Sorted candidate lists subtracted index by index, not token by token."""

    def residual(left: Tensor, q: Tensor, x: Tensor) -> Tensor:
        ordered, order = left.sort(-1, descending=True)
        return torch.zeros_like(left).scatter(1, order, subtract(ordered, q.sort(-1, descending=True).values, x))

    return verify(p, q, ids, toss(ids, generator), residual=residual)


@bug("law", output_law=recovered(np.sqrt))
def residual_flattened(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The residual sees a larger temperature: square roots in the final draw."""
    return verify(p, q, ids, toss(ids, generator), draw=lambda left, coin: inverse_cdf(left.sqrt(), coin))


@bug(
    "support",
    "B43",
    "vLLM#2336",
    needs="holes",
    mild="0.0001 a token",
    output_law=rejection(residual=lambda p, q: positive(p, q) + 1e-4),
)
def residual_smoothed(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """0.0001 added to the residual against 0/0: emits tokens of mass 0."""
    return verify(p, q, ids, toss(ids, generator), residual=lambda left, q, x: subtract(left, q, x) + 1e-4)


@bug("law", "B26", "EAGLE b09a256", needs="peaked")
def token_zero_never_resampled(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The final draw takes id 0 for "nothing found" and draws from the others (EAGLE b09a256)."""

    def draw(left: Tensor, coin: Tensor) -> Tensor:
        return inverse_cdf(normalised(torch.cat([torch.zeros_like(left[:, :1]), left[:, 1:]], 1), left), coin)

    return verify(p, q, ids, toss(ids, generator), draw=draw)


@bug("law", "B26", "EAGLE b09a256, feifeibear/LLMSpeculativeSampling")
def token_zero_is_padding(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """A drafted 0 is padding and always rejected."""
    coins = toss(ids, generator)
    coins[:, :-1][ids == 0] = torch.inf
    return verify(p, q, ids, coins)


@bug("law", "B43", "ScaleLLM#202, vLLM#21876", needs="equal")
def equal_laws_give_token_zero(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """p = q: the residual is 0/0, NaN, and an argmax over NaN is token 0."""
    token = correct(p, q, ids, generator)
    return torch.where((p == q[:, 0]).all(1), torch.zeros_like(token), token)


@bug("law", "B38", "GDzhu01/vllm-ascend-deepseekv4#102", needs="holes")
def undrafted_tokens_lost(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """p/q is infinite where q = 0, and what is not finite is masked from the final draw."""
    draw: Draw = lambda left, coin: inverse_cdf(normalised(left * (q[:, 0] > 0), left), coin)  # noqa: E731 (one line)
    return verify(p, q, ids, toss(ids, generator), draw=draw)


@bug("law", "B12", "EAGLE 61020ed", needs="peaked")
def residual_one_round_stale(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The final draw reads the residual from before the last rejection."""
    coins = toss(ids, generator)
    left = p
    for k in range(ids.shape[1] - 1):
        left = normalised(subtract(left, q[:, k], ids), left)
    return verify(p, q, ids, coins, draw=lambda _, coin: inverse_cdf(left, coin))


@bug("law", "B29", "llama.cpp, examples/speculative", needs="holes")
def absent_token_keeps_last_value(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """A token that the draft's list lacks is given the probability of the token before it."""
    number = torch.arange(p.shape[-1], device=p.device).expand_as(p)
    last = torch.where(q[:, 0] > 0, number, 0).cummax(-1).values
    filled = q[:, 0].gather(1, last)
    return verify(p, q, ids, toss(ids, generator), residual=lambda left, q, x: subtract(left, filled, x))


@bug("law", "B09", "vllm-ascend#2881", needs="one_hot_draft")
def one_hot_draft_not_excluded(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """A deterministic draft that was rejected can be drawn again."""

    def residual(left: Tensor, q: Tensor, x: Tensor) -> Tensor:
        return torch.where(q.max(-1, keepdim=True).values == 1, left, subtract(left, q, x))

    return verify(p, q, ids, toss(ids, generator), residual=residual)


@bug("law", needs="wide", output_law=recovered(lambda r: r * (np.arange(r.size) % 8 != 7)))
def lane_lost(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Every eighth token is never recovered: one lane of the vector unit is masked."""
    lane = torch.arange(p.shape[-1], device=p.device) % 8 != 7
    return verify(
        p, q, ids, toss(ids, generator), draw=lambda left, coin: inverse_cdf(normalised(left * lane, left), coin)
    )
