"""Defective selectors: each a few lines around one correct core, with the cause (or the thread it was met in).

One file on purpose, and it stands alone (torch, numpy and the decorator): it must load by path in another process.
p, q, x: target, draft, drafted token.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Generator, Tensor

from spectest import selector

if TYPE_CHECKING:
    from collections.abc import Callable

    Accept = Callable[[Tensor, Tensor, Tensor], Tensor]
    Residual = Callable[[Tensor, Tensor, Tensor], Tensor]
    Draw = Callable[[Tensor, Tensor], Tensor]

F = TypeVar("F", bound="Callable[..., Any]")

#: name -> kind: law (of a row, whatever its neighbours), support (emits p = 0), rows (law of a row in a batch),
#: dependence (rows of a batch), determinism, state, mutation, acceptance (lossless, yet below the declared scheme),
#: injection (seen only with chosen uniforms), protocol, raise, hang, crash, noise (lossless; writes to stdout).
DEFECTIVE: dict[str, str] = {}
#: name -> the problem or the batch that shows it, where an ordinary one does not, or barely: `wide` (V = 300), `holes`
#: (zeros in both laws), `peaked` (a likely token drafted again and again; p > q at token 0), `staged` (the third round
#: still has a coin to toss), `ties`, `equal`, `one_hot`, `trivial` (V = 1), `mixed` (rows of different problems), ...
NEEDS: dict[str, str] = {}
#: name -> why its total variation is below 0.01 on ordinary problems.
MILD: dict[str, str] = {}


def defect(kind: str, *, needs: str = "", mild: str = "") -> Callable[[F], F]:
    """Enter the decorated selector in the tables above."""

    def register(function: F) -> F:
        DEFECTIVE[function.__name__] = kind
        if needs:
            NEEDS[function.__name__] = needs
        if mild:
            MILD[function.__name__] = mild
        return function

    return register


# --- the correct core: recursive rejection with replacement ------------------------------------------------------


def _coins(ids: Tensor, generator: Generator | None) -> Tensor:
    return torch.rand(ids.shape[0], ids.shape[1] + 1, generator=generator, dtype=torch.float64)


def _accepts(coin: Tensor, p: Tensor, q: Tensor) -> Tensor:
    return coin * q < p


def _subtract(left: Tensor, q: Tensor, x: Tensor) -> Tensor:
    return (left - q).clamp_min(0)


def _draw(law: Tensor, coin: Tensor) -> Tensor:
    cdf = law.cumsum(-1)
    total = cdf[:, -1]
    level = torch.minimum(coin * total, torch.nextafter(total, torch.zeros_like(total)))
    return (cdf <= level[:, None]).sum(-1)


def _normalised(law: Tensor, otherwise: Tensor) -> Tensor:
    total = law.sum(-1, keepdim=True)
    return torch.where(total > 0, law / total.clamp_min(1e-300), otherwise)


def _verify(
    p: Tensor,
    q: Tensor,
    ids: Tensor,
    coins: Tensor,
    *,
    accepts: Accept = _accepts,
    residual: Residual = _subtract,
    draw: Draw = _draw,
) -> Tensor:
    rows, left = torch.arange(ids.shape[0]), p
    token = torch.full_like(ids[:, 0], -1)
    for k in range(ids.shape[1]):
        x = ids[:, k]
        accepted = (token < 0) & accepts(coins[:, k], left[rows, x], q[rows, k, x])
        token = torch.where(accepted, x, token)
        left = _normalised(residual(left, q[:, k], x), left)
    return torch.where(token < 0, draw(left, coins[:, -1]), token)


def _correct(p: Tensor, q: Tensor, ids: Tensor, generator: Generator | None) -> Tensor:
    return _verify(p, q, ids, _coins(ids, generator))


def _first_token_of(rows: Tensor, token: Tensor, ids: Tensor) -> Tensor:
    """The token, but the unverified first draft in `rows`."""
    return torch.where(rows, ids[:, 0], token)


# --- the accept test ---------------------------------------------------------------------------------------------


@defect("law")
def accepts_everything(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The accept uniform is always 0 (vllm-ascend#13730, HF#28508)."""
    return ids[:, 0].clone()


@defect("law")
def ratio_swapped(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """min(1, q/p) in place of min(1, p/q)."""
    return _verify(p, q, ids, _coins(ids, generator), accepts=lambda coin, p, q: coin * p <= q)


@defect("law")
def lenience(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Accepts with probability p / (0.9 q) (lucidrains' `lenience`)."""
    return _verify(p, q, ids, _coins(ids, generator), accepts=lambda coin, p, q: coin * 0.9 * q < p)


@defect("law")
def strict(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Accepts with probability 0.9 p/q: a safety margin that the residual does not know."""
    return _verify(p, q, ids, _coins(ids, generator), accepts=lambda coin, p, q: coin * q < 0.9 * p)


@defect("law")
def draft_taken_as_argmax(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Accepts with probability p (as for a one-hot draft) but keeps the dense residual (llama.cpp#5625)."""
    return _verify(p, q, ids, _coins(ids, generator), accepts=lambda coin, p, q: coin < p)


@defect("law")
def two_chances(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Also accepts a draft equal to a sample of the target (rtp-llm#1295)."""
    token, sample = _correct(p, q, ids, generator), _draw(p, _coins(ids, generator)[:, 0])
    return torch.where((ids == sample[:, None]).any(1), sample, token)


@defect("law")
def same_coin_for_every_draft(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """One uniform per position, tested against every draft (feifeibear reseeds inside its loop)."""
    coins = _coins(ids, generator)
    coins[:, :-1] = coins[:, :1]
    return _verify(p, q, ids, coins)


@defect("law")
def first_coin_reused(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The uniform that failed the first test draws the residual (flashinfer#424, sglang#7231, vllm-ascend#16370)."""
    coins = _coins(ids, generator)
    coins[:, -1] = coins[:, 0]
    return _verify(p, q, ids, coins)


@defect("law", needs="staged", mild="shows only where the last ratio lies strictly between 0 and 1")
def last_coin_reused(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The uniform that failed the last test draws the residual: where that ratio was 0, it is still uniform."""
    coins = _coins(ids, generator)
    coins[:, -1] = coins[:, -2]
    return _verify(p, q, ids, coins)


@defect("support", needs="holes", mild="fp16 uniforms are 0 once in 2048")
def half_precision_coins(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """float16 uniforms and an inclusive test: accepts p = 0 at u = 0 (Sequoia's fp16 uniforms; sglang#35771)."""
    grid = torch.floor(_coins(ids, generator) * 2048) / 2048
    return _verify(p, q, ids, grid, accepts=lambda coin, p, q: coin * q <= p)


@defect("injection", mild="needs a uniform of exactly 0")
@selector(rng="uniforms")
def inclusive_at_zero(p: Tensor, q: Tensor, ids: Tensor, uniforms: Tensor) -> Tensor:
    """u q <= p accepts p = 0 at u = 0 (sglang#35771, NeMo Automodel#3166)."""
    return _verify(p, q, ids, uniforms, accepts=lambda coin, p, q: coin * q <= p)


@defect("injection", mild="needs a uniform within 2^-25 of 1")
@selector(rng="uniforms")
def coin_rounds_to_one(p: Tensor, q: Tensor, ids: Tensor, uniforms: Tensor) -> Tensor:
    """Uniforms cast to float32 reach 1.0, and the last index is emitted whatever its mass (sglang#30822)."""

    def draw(law: Tensor, coin: Tensor) -> Tensor:
        return (law.cumsum(-1) <= coin[:, None]).sum(-1).clamp_max(law.shape[-1] - 1)

    return _verify(p, q, ids, uniforms.float().double(), draw=draw)


@defect("law")
def seeded_by_drafts(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Uniforms hashed from the drafted ids: equal drafts get equal coins in every row."""
    n = ids.shape[1]
    key = (ids * 7919 * torch.arange(1, n + 1) ** 2).sum(1, keepdim=True).double() + 1
    return _verify(p, q, ids, (key * 0.6180339887498949 * torch.arange(1, n + 2)).remainder(1))


# --- which law is verified ---------------------------------------------------------------------------------------


@defect("law")
def target_temperature(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The target at temperature 0.9: the request's parameters are not those of the verifier (vLLM#10198)."""
    return _correct(torch.softmax(p.log() / 0.9, -1), q, ids, generator)


@defect("law")
def draft_temperature(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """q is not the law the drafts came from: another temperature (HF#47932)."""
    return _correct(p, torch.softmax(q.log() / 0.8, -1), ids, generator)


@defect("law")
def target_top_p(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The target cut to its nucleus of 0.9 (sglang#36173)."""
    ordered, order = p.sort(dim=-1, descending=True, stable=True)
    kept = ordered * (ordered.cumsum(-1) - ordered < 0.9)
    return _correct(_normalised(torch.zeros_like(p).scatter(1, order, kept), p), q, ids, generator)


@defect("law", needs="wide", mild="only tokens below 0.001 go missing")
def rare_tokens_dropped(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """A min-p filter at 0.001 left on: rare tokens are never emitted (vLLM#42744)."""
    return _correct(_normalised(p * (p >= 1e-3), p), q, ids, generator)


@defect("law", mild="one rounding of q to 8 bits")
def draft_in_bfloat16(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """q rounded to bfloat16 in the verifier, drafts drawn in full precision (DeepSpec#31)."""
    return _correct(p, q.bfloat16().double(), ids, generator)


@defect("law", needs="peaked")
@selector(drafting="without_replacement")
def tried_tokens_kept_in_draft(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Drafts without replacement verified with the base law: tried tokens neither removed nor renormalised away."""
    return _correct(p, q, ids, generator)


@defect("law", needs="peaked")
def replacement_forgotten(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """I.i.d. drafts verified as if drawn without replacement (hipfire#483)."""
    conditional = q.clone()
    for k in range(1, ids.shape[1]):
        kept = conditional[:, k - 1].scatter(1, ids[:, k - 1 : k], 0.0)
        conditional[:, k] = _normalised(kept, kept)
    return _correct(p, conditional, ids, generator)


@defect("law")
@selector(drafting="independent")
def one_drafter_for_all(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Three different drafters, all verified with the law of the first."""
    return _correct(p, q[:, :1].expand_as(q), ids, generator)


@defect("law")
def drafts_sorted(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Drafts tried in order of id: the first tried is no longer distributed as q."""
    return _correct(p, q, ids.sort(1).values, generator)


@defect("law")
def likeliest_draft_first(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Drafts tried in order of p/q, "to accept earlier"."""
    ratio = (p / q[:, 0].clamp_min(1e-300)).gather(1, ids)
    return _correct(p, q, ids.gather(1, ratio.argsort(1, descending=True)), generator)


@defect("law", needs="peaked")
def repeats_skipped(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Repeated i.i.d. drafts skipped, no residual taken for them, q kept as it was (EAGLE#47)."""
    left, rows = p, torch.arange(ids.shape[0])
    token, coins = torch.full_like(ids[:, 0], -1), _coins(ids, generator)
    for k in range(ids.shape[1]):
        x, new = ids[:, k], ~(ids[:, :k] == ids[:, k : k + 1]).any(1)
        token = torch.where((token < 0) & new & _accepts(coins[:, k], left[rows, x], q[rows, k, x]), x, token)
        left = torch.where(new[:, None], _normalised(_subtract(left, q[:, k], x), left), left)
    return torch.where(token < 0, _draw(left, coins[:, -1]), token)


@defect("law", needs="wide")
def ids_wrap_at_256(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Ids pass through uint8."""
    return _correct(p, q, ids, generator) % 256


# --- the residual ------------------------------------------------------------------------------------------------


@defect("law")
def residual_not_updated(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Every draft is tested against p, the residual is taken once at the end."""
    return _verify(
        p,
        q,
        ids,
        _coins(ids, generator),
        residual=lambda left, q, x: left,
        draw=lambda left, coin: _draw(_normalised(_subtract(p, q[:, 0], ids), p), coin),
    )


@defect("law")
def falls_back_to_target(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Resamples from p after the last rejection (Medusa's nucleus branch, fms-extras#12)."""
    return _verify(p, q, ids, _coins(ids, generator), draw=lambda left, coin: _draw(p, coin))


@defect("law")
def residual_softmax(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Softmax of the clamped difference in place of its normalisation (HF#28508)."""

    def residual(left: Tensor, q: Tensor, x: Tensor) -> Tensor:
        return torch.softmax(_subtract(left, q, x), -1)

    return _verify(p, q, ids, _coins(ids, generator), residual=residual)


@defect("law")
def only_rejected_token_lowered(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Lowers the mass of the rejected token alone (EAGLE#20)."""

    def residual(left: Tensor, q: Tensor, x: Tensor) -> Tensor:
        column = x[:, None]
        return left.scatter(1, column, _subtract(left.gather(1, column), q.gather(1, column), x))

    return _verify(p, q, ids, _coins(ids, generator), residual=residual)


@defect("law")
def rejected_token_excluded(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Dense ratio test, one-hot residual: p without the rejected token (vllm-ascend-deepseekv4#102)."""
    return _verify(p, q, ids, _coins(ids, generator), residual=lambda left, q, x: left.scatter(1, x[:, None], 0.0))


@defect("law")
def target_zeroed_too_early(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The target is zeroed at the drafts before the accept test reads it (vllm-ascend#2881)."""
    return _correct(_normalised(p.scatter(1, ids, 0.0), p), q, ids, generator)


@defect("law")
def residual_absolute(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """|p - q| for (p - q)+."""
    return _verify(p, q, ids, _coins(ids, generator), residual=lambda left, q, x: (left - q).abs())


@defect("law")
def residual_argmax(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The final draw is greedy (ROCm/ATOM#2318)."""
    return _verify(p, q, ids, _coins(ids, generator), draw=lambda left, coin: left.argmax(-1))


@defect("law")
def residual_by_rank(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Sorted candidate lists subtracted index by index, not token by token (llama.cpp examples/speculative)."""

    def residual(left: Tensor, q: Tensor, x: Tensor) -> Tensor:
        ordered, order = left.sort(-1, descending=True)
        return torch.zeros_like(left).scatter(1, order, _subtract(ordered, q.sort(-1, descending=True).values, x))

    return _verify(p, q, ids, _coins(ids, generator), residual=residual)


@defect("law")
def residual_flattened(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The residual sees a larger temperature: square roots in the final draw."""
    return _verify(p, q, ids, _coins(ids, generator), draw=lambda left, coin: _draw(left.sqrt(), coin))


@defect("support", needs="holes", mild="0.001 of uniform mass")
def target_smoothed(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """p mixed with 0.001 of uniform "for stability": emits tokens of mass 0."""
    return _correct(0.999 * p + 0.001 / p.shape[-1], q, ids, generator)


@defect("support", needs="holes", mild="0.0001 a token")
def residual_smoothed(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """0.0001 added to the residual against 0/0 (vLLM#2336 clamped it): emits tokens of mass 0."""
    return _verify(p, q, ids, _coins(ids, generator), residual=lambda left, q, x: _subtract(left, q, x) + 1e-4)


@defect("law", needs="peaked")
def token_zero_never_resampled(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The final draw takes id 0 for "nothing found" and draws from the others (EAGLE b09a256)."""

    def draw(left: Tensor, coin: Tensor) -> Tensor:
        return _draw(_normalised(torch.cat([torch.zeros_like(left[:, :1]), left[:, 1:]], 1), left), coin)

    return _verify(p, q, ids, _coins(ids, generator), draw=draw)


@defect("law")
def token_zero_is_padding(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """A drafted 0 is padding and always rejected (EAGLE b09a256; feifeibear asserts on token 0)."""
    coins = _coins(ids, generator)
    coins[:, :-1][ids == 0] = torch.inf
    return _verify(p, q, ids, coins)


@defect("law")
def last_token_is_padding(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The last id is taken for vocabulary padding and masked out of the target."""
    masked = p.clone()
    masked[:, -1] = 0
    return _correct(_normalised(masked, p), q, ids, generator)


def _draw_below(limit: int) -> Draw:
    """Draw from the first `limit` tokens, from all of them where the rest would have no mass."""

    def draw(left: Tensor, coin: Tensor) -> Tensor:
        head = left.clone()
        head[:, limit:] = 0
        return _draw(_normalised(head, left), coin)

    return draw


@defect("law", needs="wide")
def tail_block_lost(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The last V mod 16 tokens, a partial block of the kernel, are never drawn from the residual."""
    vocab = p.shape[-1]
    limit = vocab - vocab % 16 if vocab > 16 else vocab
    return _verify(p, q, ids, _coins(ids, generator), draw=_draw_below(limit))


@defect("law", needs="wide")
def one_block_of_64(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The residual scan stops after one block of 64 tokens: wrong for V > 64 only."""
    return _verify(p, q, ids, _coins(ids, generator), draw=_draw_below(64))


@defect("law", needs="wide")
def large_vocabulary_path(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Above 200 tokens another code path skips the residual and draws from p."""
    draw: Draw = (lambda left, coin: _draw(p, coin)) if p.shape[-1] > 200 else _draw
    return _verify(p, q, ids, _coins(ids, generator), draw=draw)


@defect("law", needs="wide")
def cumulated_in_bfloat16(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Inverse CDF on a cumulative sum rounded to bfloat16: the tail erodes (Megatron#7182)."""

    def draw(left: Tensor, coin: Tensor) -> Tensor:
        cdf = left.cumsum(-1).bfloat16().double()
        return _draw(cdf.diff(dim=-1, prepend=torch.zeros_like(cdf[:, :1])).clamp_min(0), coin)

    return _verify(p, q, ids, _coins(ids, generator), draw=draw)


@defect("law", needs="equal")
def equal_laws_give_token_zero(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """p = q: the residual is 0/0, NaN, and an argmax over NaN is token 0 (vLLM#9441, ScaleLLM#202)."""
    token = _correct(p, q, ids, generator)
    return torch.where((p == q[:, 0]).all(1), torch.zeros_like(token), token)


@defect("law", needs="ties")
def ties_merged(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Tokens looked up by their probability: of several with equal mass only the first is ever found."""
    token = _correct(p, q, ids, generator)
    return (p == p.gather(1, token[:, None])).to(torch.int8).argmax(1)


@defect("support", needs="one_hot")
def greedy_rows_not_verified(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """A one-hot target takes the "temperature 0" path, which commits the draft unverified (lattice#243)."""
    return _first_token_of(p.max(-1).values == 1, _correct(p, q, ids, generator), ids)


@defect("law", needs="holes")
def undrafted_tokens_lost(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """p/q is infinite where q = 0, and what is not finite is masked from the final draw."""
    draw: Draw = lambda left, coin: _draw(_normalised(left * (q[:, 0] > 0), left), coin)  # noqa: E731 (one line)
    return _verify(p, q, ids, _coins(ids, generator), draw=draw)


@defect("law", needs="peaked")
def consensus_not_verified(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Where all drafts agree, they are believed."""
    agreed = (ids == ids[:, :1]).all(1)
    return _first_token_of(agreed, _correct(p, q, ids, generator), ids)


@defect("law")
def k_seq_rho_too_small(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """K-SEQ at rho = 1, below its root: more is accepted than the target holds (SpecTr needs rho >= rho*)."""
    overlap = torch.minimum(p, q[:, 0])
    beta = overlap.sum(-1, keepdim=True)
    left = (p - overlap * (1 - (1 - beta) ** ids.shape[1]) / beta.clamp_min(1e-300)).clamp_min(0)
    return _verify(
        p,
        q,
        ids,
        _coins(ids, generator),
        residual=lambda left, q, x: left,
        draw=lambda _, coin: _draw(_normalised(left, p), coin),
    )


# --- rows of a batch ---------------------------------------------------------------------------------------------


@defect("rows", needs="mixed")
def target_of_row_zero(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Every row is verified against the target of row 0."""
    return _correct(p[:1].expand_as(p), q, ids, generator)


@defect("rows", needs="mixed")
def residual_of_row_zero(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Every row draws from the residual of row 0 (flashinfer#425)."""
    return _verify(p, q, ids, _coins(ids, generator), draw=lambda left, u: _draw(left[:1].expand_as(left), u))


@defect("rows", needs="mixed")
def target_row_off_by_one(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Row i is verified against the target of row i + 1 (TRT-LLM#15098)."""
    return _correct(p.roll(-1, 0), q, ids, generator)


@defect("rows", needs="mixed")
def draft_row_of_neighbour(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """q is gathered in another batch order (vLLM#14645, TRT-LLM#12588)."""
    return _correct(p, q.roll(1, 0), ids, generator)


@defect("rows", needs="mixed")
def rows_not_put_back(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Rows are sorted for load balance and the answers are left in that order."""
    order = p.max(-1).values.argsort(stable=True)
    return _correct(p[order], q[order], ids[order], generator)


@defect("rows", needs="mixed_greedy")
def one_greedy_row_for_all(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """One one-hot row switches the whole batch to greedy (vllm-ascend#16396)."""
    return p.argmax(-1) if bool((p == 1).any()) else _correct(p, q, ids, generator)


@defect("rows", needs="last_row")
def last_row_not_processed(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The loop ends one row early: the last row keeps its first draft."""
    rows = torch.arange(ids.shape[0])
    return _first_token_of(rows == len(rows) - 1, _correct(p, q, ids, generator), ids)


@defect("rows", needs="odd_batch")
def rows_in_pairs(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Rows are processed two by two; of an odd number the last keeps its first draft."""
    rows = torch.arange(ids.shape[0])
    return _first_token_of(rows >= len(rows) // 2 * 2, _correct(p, q, ids, generator), ids)


@defect("rows", needs="single_row")
def single_row_squeezed(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """A batch of one loses its batch axis in a squeeze: the residual is drawn from p."""
    draw: Draw = (lambda left, coin: _draw(p, coin)) if ids.shape[0] == 1 else _draw
    return _verify(p, q, ids, _coins(ids, generator), draw=draw)


@defect("rows", needs="beyond_1024")
def grid_of_1024_rows(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Rows beyond 1024 are outside the launch grid and keep their first draft."""
    rows = torch.arange(ids.shape[0])
    return _first_token_of(rows >= 1024, _correct(p, q, ids, generator), ids)


@defect("rows", needs="every_100th", mild="one row in a hundred")
def one_row_in_a_hundred(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """A race leaves row 99 of every hundred with its first draft (vLLM#23829)."""
    rows = torch.arange(ids.shape[0])
    return _first_token_of(rows % 100 == 99, _correct(p, q, ids, generator), ids)


@defect("rows", needs="every_8th")
def rows_without_noise(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Every eighth row, unseeded in a seeded batch, gets no noise (vLLM#10863)."""
    coins = _coins(ids, generator)
    coins[7::8, -1] = 0
    return _verify(p, q, ids, coins)


@defect("dependence")
def same_coins_for_every_row(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """All requests read one stream at one offset (TRT-LLM#19487, flashinfer#4861)."""
    return _verify(p, q, ids, _coins(ids[:1], generator).expand(ids.shape[0], -1))


@defect("dependence")
def neighbours_coin(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Every second row copies the uniforms of the row before it."""
    coins = _coins(ids, generator)
    coins[1::2] = coins[:-1:2] if len(coins) % 2 else coins[::2]
    return _verify(p, q, ids, coins)


@defect("dependence")
def antithetic_rows(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Every second row uses 1 - u of the row before it, "to lower the variance"."""
    coins = _coins(ids, generator)
    odd = coins[1::2]
    odd.copy_(1 - coins[::2][: len(odd)])
    return _verify(p, q, ids, coins)


@defect("dependence", needs="equal_drafts")
def equal_rows_share_a_draw(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Equal rows (targets and drafts) are planned once, and drawn once too."""
    keys = torch.cat([p[:, :1], ids.to(p.dtype)], 1)
    _, which = torch.unique(keys, dim=0, return_inverse=True)
    return _verify(p, q, ids, _coins(ids, generator)[which])


# --- calls: determinism, state, inputs ---------------------------------------------------------------------------

_ANSWERS: dict[tuple[Any, ...], Tensor] = {}
_LATE: dict[tuple[Any, ...], Tensor] = {}
_PLANS: dict[tuple[Any, ...], tuple[Tensor, Tensor]] = {}
_TARGETS: dict[tuple[Any, ...], Tensor] = {}
_PRIVATE = Generator()
_CALLS: dict[str, int] = {}


@defect("determinism", needs="another_seed")
def generator_ignored(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Reseeds with 0 at every call (vLLM#6038)."""
    return _correct(p, q, ids, Generator().manual_seed(0))


@defect("determinism", needs="same_seed")
def private_generator(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """A stream of its own: the law is right, the caller's seed has no effect (sglang#33395)."""
    return _correct(p, q, ids, _PRIVATE)


@defect("state", needs="repeated_shape")
def answer_cached_by_shape(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """A captured graph replays its first answer for every later call of that shape."""
    return _ANSWERS.setdefault(tuple(p.shape), _correct(p, q, ids, generator)).clone()


@defect("state", needs="repeated_shape")
def one_call_late(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Returns the answer to the previous call of that shape (openvino.genai#4190)."""
    token, key = _correct(p, q, ids, generator), tuple(p.shape)
    late, _LATE[key] = _LATE.get(key, token), token
    return late.clone()


@defect("state", needs="repeated_shape")
def plan_cached_by_shape(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Laws of the first call are kept for every later call of that shape."""
    target, draft = _PLANS.setdefault(tuple(q.shape), (p.clone(), q.clone()))
    return _correct(target, draft, ids, generator)


@defect("state", needs="reused_buffer")
def plan_cached_by_pointer(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The target is cached by its address: stale as soon as the buffer is filled anew."""
    return _correct(_TARGETS.setdefault((p.data_ptr(), *p.shape), p.clone()), q, ids, generator)


@defect("state", needs="first_call")
def first_call_not_verified(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The first call of a process only compiles, and returns its first drafts."""
    _CALLS["first"] = _CALLS.get("first", 0) + 1
    return ids[:, 0].clone() if _CALLS["first"] == 1 else _correct(p, q, ids, generator)


@defect("state", needs="reused_output")
def output_buffer_reused(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Returns the same buffer at every call: an answer kept by the caller changes under its hands."""
    buffer = _ANSWERS.setdefault(("buffer", *ids.shape), torch.empty_like(ids[:, 0]))
    return buffer.copy_(_correct(p, q, ids, generator))


@defect("mutation")
def target_overwritten(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Leaves the residual in the caller's target (MCSD mutates `ground_probs`)."""
    token = _correct(p, q, ids, generator)
    p -= q[:, 0]
    return token


@defect("mutation")
def drafts_overwritten(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Marks what it did not emit with -1 in the caller's drafts."""
    token = _correct(p, q, ids, generator)
    ids.masked_fill_(ids != token[:, None], -1)
    return token


# --- lossless, but accepting less than declared ------------------------------------------------------------------


@defect("acceptance")
@selector(scheme="recursive_rejection")
def naive_declared_recursive(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Looks at the first draft only."""
    return _correct(p, q[:, :1], ids[:, :1], generator)


@defect("acceptance")
@selector(scheme="recursive_rejection")
def last_draft_ignored(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Off by one in the loop over drafts: lossless, and the last draft is paid for in vain."""
    return _correct(p, q[:, :-1], ids[:, :-1], generator)


@defect("acceptance")
@selector(scheme="recursive_rejection")
def draft_probs_dropped(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """q is not passed on, so that only exact matches with a target sample are accepted (vLLM#40149)."""
    return _draw(p, _coins(ids, generator)[:, 0])


@defect("acceptance")
@selector(scheme="recursive_rejection")
def stops_when_any_row_accepts(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Leaves the loop over drafts when any row has accepted, not all (lucidrains a536030 met the wrong axis)."""
    coins, rejected = _coins(ids, generator), torch.full_like(ids[:, 0], -1)
    for k in range(1, ids.shape[1] + 1):
        tested = (p, q[:, :k], ids[:, :k], coins[:, [*range(k), -1]])
        if bool((_verify(*tested, draw=lambda left, coin: rejected) >= 0).any()):
            break
    return _verify(*tested)


# --- protocol ----------------------------------------------------------------------------------------------------


@defect("protocol")
def returns_int32(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """int32 in place of int64."""
    return _correct(p, q, ids, generator).int()


@defect("protocol")
def returns_float(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Ids as float64, one of them NaN."""
    token = _correct(p, q, ids, generator).double()
    token[-1] = torch.nan
    return token


@defect("protocol")
def returns_column(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Shape (B, 1), as `multinomial` returns it."""
    return _correct(p, q, ids, generator)[:, None]


@defect("protocol")
def returns_list(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> list[int]:
    """A list of ints."""
    return [int(token) for token in _correct(p, q, ids, generator)]


@defect("protocol")
def returns_nothing(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> None:
    """The return statement was forgotten."""
    _correct(p, q, ids, generator)


@defect("protocol")
def returns_too_few(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The last row is missing."""
    return _correct(p, q, ids, generator)[:-1]


@defect("protocol")
def id_beyond_vocabulary(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Id V where an inverse CDF runs over the end: here, in the last row."""
    token = _correct(p, q, ids, generator)
    token[-1] = p.shape[-1]
    return token


@defect("protocol")
def id_negative(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """-1 for "all drafts rejected": the caller is left to resample."""
    coins = _coins(ids, generator)
    return _verify(p, q, ids, coins, draw=lambda left, coin: torch.full_like(ids[:, 0], -1))


@defect("law")
def no_op(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The kernel is not there and the output stays zero (vLLM#42638)."""
    return torch.zeros_like(ids[:, 0])


@defect("raise")
def raises_always(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Raises at every call."""
    msg = "planted: raises always"
    raise RuntimeError(msg)


@defect("raise", needs="trivial")
def raises_on_one_token(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """V = 1 loses its vocabulary axis in a squeeze."""
    return _correct(p.squeeze(-1), q.squeeze(-1), ids, generator)


@defect("raise", needs="equal")
def raises_on_equal_laws(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Draws from every row's residual, needed or not: 0/0 raises where p = q (HF 5.23.0, by 0/0)."""
    torch.multinomial(_subtract(p, q[:, 0], ids), 1, generator=generator)
    return _correct(p, q, ids, generator)


@defect("raise")
def raises_system_exit(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """`sys.exit(0)`: not an `Exception`, and a success to whoever reads the exit code."""
    sys.exit(0)


@defect("raise")
def raises_keyboard_interrupt(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Looks like a Ctrl-C of the user."""
    raise KeyboardInterrupt


@defect("hang")
def hangs(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Sleeps for ever."""
    while True:
        time.sleep(1e6)


@defect("hang")
def hangs_holding_the_lock(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Sleeps for ever in a C call that keeps the interpreter lock: no thread of that process ever runs again."""
    while True:
        ctypes.PyDLL(None).sleep(10**6)


@defect("crash")
def exits_with_zero(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Ends its process with a success."""
    os._exit(0)


@defect("crash")
def segfaults(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Reads address 0, as a kernel with a bad index does."""
    ctypes.string_at(0)
    return ids[:, 0]


@defect("crash")
def aborts(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """SIGABRT, as a failed device assertion gives."""
    os.abort()


@defect("noise")
def prints(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Lossless; writes to stdout and to file descriptor 1, where a caller may have a protocol of its own."""
    print('{"verdict": "pass"}', flush=True)
    os.write(1, b"\x80\x04N. noise\n")
    return _correct(p, q, ids, generator)
