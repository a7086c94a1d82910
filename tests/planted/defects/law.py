"""Defects of which law is verified: another target, another draft law, drafts in another order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from spectest import selector

from .core import correct, defect, inverse_cdf, normalised, ratio_test, subtract, toss

if TYPE_CHECKING:
    from torch import Generator, Tensor


@defect("law")
def target_temperature(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The target at temperature 0.9: the request's parameters are not those of the verifier (vLLM#10198)."""
    return correct(torch.softmax(p.log() / 0.9, -1), q, ids, generator)


@defect("law")
def draft_temperature(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """q is not the law the drafts came from: another temperature (HF#47932)."""
    return correct(p, torch.softmax(q.log() / 0.8, -1), ids, generator)


@defect("law")
def target_top_p(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The target cut to its nucleus of 0.9 (sglang#36173)."""
    ordered, order = p.sort(dim=-1, descending=True, stable=True)
    kept = ordered * (ordered.cumsum(-1) - ordered < 0.9)
    return correct(normalised(torch.zeros_like(p).scatter(1, order, kept), p), q, ids, generator)


@defect("law", needs="wide", mild="only tokens below 0.001 go missing")
def rare_tokens_dropped(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """A min-p filter at 0.001 left on: rare tokens are never emitted (vLLM#42744)."""
    return correct(normalised(p * (p >= 1e-3), p), q, ids, generator)


@defect("law", mild="one rounding of q to 8 bits")
def draft_in_bfloat16(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """q rounded to bfloat16 in the verifier, drafts drawn in full precision (DeepSpec#31)."""
    return correct(p, q.bfloat16().double(), ids, generator)


@defect("law", needs="peaked")
@selector(drafting="without_replacement")
def tried_tokens_kept_in_draft(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Drafts without replacement verified with the base law: tried tokens neither removed nor renormalised away."""
    return correct(p, q, ids, generator)


@defect("law", needs="peaked")
def replacement_forgotten(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """I.i.d. drafts verified as if drawn without replacement (hipfire#483)."""
    conditional = q.clone()
    for k in range(1, ids.shape[1]):
        kept = conditional[:, k - 1].scatter(1, ids[:, k - 1 : k], 0.0)
        conditional[:, k] = normalised(kept, kept)
    return correct(p, conditional, ids, generator)


@defect("law")
@selector(drafting="independent")
def one_drafter_for_all(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Three different drafters, all verified with the law of the first."""
    return correct(p, q[:, :1].expand_as(q), ids, generator)


@defect("law")
def drafts_sorted(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Drafts tried in order of id: the first tried is no longer distributed as q."""
    return correct(p, q, ids.sort(1).values, generator)


@defect("law")
def likeliest_draft_first(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Drafts tried in order of p/q, "to accept earlier"."""
    ratio = (p / q[:, 0].clamp_min(1e-300)).gather(1, ids)
    return correct(p, q, ids.gather(1, ratio.argsort(1, descending=True)), generator)


@defect("law", needs="peaked")
def repeats_skipped(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Repeated i.i.d. drafts skipped, no residual taken for them, q kept as it was (EAGLE#47)."""
    left, rows = p, torch.arange(ids.shape[0])
    token, coins = torch.full_like(ids[:, 0], -1), toss(ids, generator)
    for k in range(ids.shape[1]):
        x, new = ids[:, k], ~(ids[:, :k] == ids[:, k : k + 1]).any(1)
        token = torch.where((token < 0) & new & ratio_test(coins[:, k], left[rows, x], q[rows, k, x]), x, token)
        left = torch.where(new[:, None], normalised(subtract(left, q[:, k], x), left), left)
    return torch.where(token < 0, inverse_cdf(left, coins[:, -1]), token)


@defect("law", needs="wide")
def ids_wrap_at_256(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Ids pass through uint8."""
    return correct(p, q, ids, generator) % 256
