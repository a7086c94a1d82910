"""Defects of the residual: what is left of the target after a rejection, and how it is drawn from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from .core import correct, defect, first_draft_in, inverse_cdf, normalised, subtract, toss, verify

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from .core import Draw


@defect("law")
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


@defect("law")
def falls_back_to_target(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Resamples from p after the last rejection (Medusa's nucleus branch, fms-extras#12)."""
    return verify(p, q, ids, toss(ids, generator), draw=lambda left, coin: inverse_cdf(p, coin))


@defect("law")
def residual_softmax(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Softmax of the clamped difference in place of its normalisation (HF#28508)."""

    def residual(left: Tensor, q: Tensor, x: Tensor) -> Tensor:
        return torch.softmax(subtract(left, q, x), -1)

    return verify(p, q, ids, toss(ids, generator), residual=residual)


@defect("law")
def only_rejected_token_lowered(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Lowers the mass of the rejected token alone (EAGLE#20)."""

    def residual(left: Tensor, q: Tensor, x: Tensor) -> Tensor:
        column = x[:, None]
        return left.scatter(1, column, subtract(left.gather(1, column), q.gather(1, column), x))

    return verify(p, q, ids, toss(ids, generator), residual=residual)


@defect("law")
def rejected_token_excluded(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Dense ratio test, one-hot residual: p without the rejected token (vllm-ascend-deepseekv4#102)."""
    return verify(p, q, ids, toss(ids, generator), residual=lambda left, q, x: left.scatter(1, x[:, None], 0.0))


@defect("law")
def target_zeroed_too_early(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The target is zeroed at the drafts before the accept test reads it (vllm-ascend#2881)."""
    return correct(normalised(p.scatter(1, ids, 0.0), p), q, ids, generator)


@defect("law")
def residual_absolute(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """|p - q| for (p - q)+."""
    return verify(p, q, ids, toss(ids, generator), residual=lambda left, q, x: (left - q).abs())


@defect("law")
def residual_argmax(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The final draw is greedy (ROCm/ATOM#2318)."""
    return verify(p, q, ids, toss(ids, generator), draw=lambda left, coin: left.argmax(-1))


@defect("law")
def residual_by_rank(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Sorted candidate lists subtracted index by index, not token by token (llama.cpp examples/speculative)."""

    def residual(left: Tensor, q: Tensor, x: Tensor) -> Tensor:
        ordered, order = left.sort(-1, descending=True)
        return torch.zeros_like(left).scatter(1, order, subtract(ordered, q.sort(-1, descending=True).values, x))

    return verify(p, q, ids, toss(ids, generator), residual=residual)


@defect("law")
def residual_flattened(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The residual sees a larger temperature: square roots in the final draw."""
    return verify(p, q, ids, toss(ids, generator), draw=lambda left, coin: inverse_cdf(left.sqrt(), coin))


@defect("support", needs="holes", mild="0.001 of uniform mass")
def target_smoothed(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """p mixed with 0.001 of uniform "for stability": emits tokens of mass 0."""
    return correct(0.999 * p + 0.001 / p.shape[-1], q, ids, generator)


@defect("support", needs="holes", mild="0.0001 a token")
def residual_smoothed(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """0.0001 added to the residual against 0/0 (vLLM#2336 clamped it): emits tokens of mass 0."""
    return verify(p, q, ids, toss(ids, generator), residual=lambda left, q, x: subtract(left, q, x) + 1e-4)


@defect("law", needs="peaked")
def token_zero_never_resampled(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The final draw takes id 0 for "nothing found" and draws from the others (EAGLE b09a256)."""

    def draw(left: Tensor, coin: Tensor) -> Tensor:
        return inverse_cdf(normalised(torch.cat([torch.zeros_like(left[:, :1]), left[:, 1:]], 1), left), coin)

    return verify(p, q, ids, toss(ids, generator), draw=draw)


@defect("law")
def token_zero_is_padding(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """A drafted 0 is padding and always rejected (EAGLE b09a256; feifeibear asserts on token 0)."""
    coins = toss(ids, generator)
    coins[:, :-1][ids == 0] = torch.inf
    return verify(p, q, ids, coins)


@defect("law")
def last_token_is_padding(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The last id is taken for vocabulary padding and masked out of the target."""
    masked = p.clone()
    masked[:, -1] = 0
    return correct(normalised(masked, p), q, ids, generator)


def _draw_below(limit: int) -> Draw:
    """Draw from the first `limit` tokens, from all of them where the rest would have no mass."""

    def draw(left: Tensor, coin: Tensor) -> Tensor:
        head = left.clone()
        head[:, limit:] = 0
        return inverse_cdf(normalised(head, left), coin)

    return draw


@defect("law", needs="wide")
def tail_block_lost(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The last V mod 16 tokens, a partial block of the kernel, are never drawn from the residual."""
    vocab = p.shape[-1]
    limit = vocab - vocab % 16 if vocab > 16 else vocab
    return verify(p, q, ids, toss(ids, generator), draw=_draw_below(limit))


@defect("law", needs="wide")
def one_block_of_64(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The residual scan stops after one block of 64 tokens: wrong for V > 64 only."""
    return verify(p, q, ids, toss(ids, generator), draw=_draw_below(64))


@defect("law", needs="wide")
def large_vocabulary_path(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Above 200 tokens another code path skips the residual and draws from p."""
    draw: Draw = (lambda left, coin: inverse_cdf(p, coin)) if p.shape[-1] > 200 else inverse_cdf
    return verify(p, q, ids, toss(ids, generator), draw=draw)


@defect("law", needs="wide")
def cumulated_in_bfloat16(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Inverse CDF on a cumulative sum rounded to bfloat16: the tail erodes (Megatron#7182)."""

    def draw(left: Tensor, coin: Tensor) -> Tensor:
        cdf = left.cumsum(-1).bfloat16().double()
        return inverse_cdf(cdf.diff(dim=-1, prepend=torch.zeros_like(cdf[:, :1])).clamp_min(0), coin)

    return verify(p, q, ids, toss(ids, generator), draw=draw)


@defect("law", needs="equal")
def equal_laws_give_token_zero(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """p = q: the residual is 0/0, NaN, and an argmax over NaN is token 0 (vLLM#9441, ScaleLLM#202)."""
    token = correct(p, q, ids, generator)
    return torch.where((p == q[:, 0]).all(1), torch.zeros_like(token), token)


@defect("law", needs="ties")
def ties_merged(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Tokens looked up by their probability: of several with equal mass only the first is ever found."""
    token = correct(p, q, ids, generator)
    return (p == p.gather(1, token[:, None])).to(torch.int8).argmax(1)


@defect("support", needs="one_hot")
def greedy_rows_not_verified(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """A one-hot target takes the "temperature 0" path, which commits the draft unverified (lattice#243)."""
    return first_draft_in(p.max(-1).values == 1, correct(p, q, ids, generator), ids)


@defect("law", needs="holes")
def undrafted_tokens_lost(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """p/q is infinite where q = 0, and what is not finite is masked from the final draw."""
    draw: Draw = lambda left, coin: inverse_cdf(normalised(left * (q[:, 0] > 0), left), coin)  # noqa: E731 (one line)
    return verify(p, q, ids, toss(ids, generator), draw=draw)


@defect("law", needs="peaked")
def consensus_not_verified(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Where all drafts agree, they are believed."""
    agreed = (ids == ids[:, :1]).all(1)
    return first_draft_in(agreed, correct(p, q, ids, generator), ids)


@defect("law")
def k_seq_rho_too_small(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """K-SEQ at rho = 1, below its root: more is accepted than the target holds (SpecTr needs rho >= rho*)."""
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
