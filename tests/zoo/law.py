"""Defects of which law is verified: another target, another draft law, drafts in another order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from spectest.declaration import selector

from .core import correct, inverse_cdf, normalised, ratio_test, row_numbers, subtract, toss
from .laws import all_on, at_least, favoured, likeliest, nucleus, rejection, tempered
from .laws import normalised as unit
from .registry import bug

if TYPE_CHECKING:
    from torch import Generator, Tensor


@bug("law", "B14", "vLLM#10198, mlc-llm#2940", output_law=rejection(target=tempered(0.9)))
def target_temperature(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The target at temperature 0.9: the request's parameters are not those of the verifier."""
    return correct(torch.softmax(p.log() / 0.9, -1), q, ids, generator)


@bug("law", "B04", "transformers#47932", output_law=rejection(draft=tempered(0.8)))
def draft_temperature(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """q is not the law the drafts came from: another temperature."""
    return correct(p, torch.softmax(q.log() / 0.8, -1), ids, generator)


@bug("law", "B24", "sglang#36173", output_law=rejection(target=nucleus(0.9)))
def target_top_p(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The target cut to its nucleus of 0.9."""
    ordered, order = p.sort(dim=-1, descending=True, stable=True)
    kept = ordered * (ordered.cumsum(-1) - ordered < 0.9)
    return correct(normalised(torch.zeros_like(p).scatter(1, order, kept), p), q, ids, generator)


@bug(
    "law",
    "B35",
    "vLLM#42744, vLLM#38467",
    needs="wide",
    mild="only tokens below 0.001 go missing",
    output_law=rejection(target=lambda p: unit(at_least(1e-3)(p), p)),
)
def rare_tokens_dropped(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """A min-p filter at 0.001 left on: rare tokens are never emitted."""
    return correct(normalised(p * (p >= 1e-3), p), q, ids, generator)


@bug(
    "support",
    needs="holes",
    mild="0.001 of uniform mass",
    output_law=rejection(target=lambda p: 0.999 * p + 0.001 / p.size),
)
def target_smoothed(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """p mixed with 0.001 of uniform "for stability": emits tokens of mass 0."""
    return correct(0.999 * p + 0.001 / p.shape[-1], q, ids, generator)


@bug("law", "B10", "vllm-ascend#2881")
def target_zeroed_too_early(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The target is zeroed at the drafts before the accept test reads it."""
    return correct(normalised(p.scatter(1, ids, 0.0), p), q, ids, generator)


@bug("law")
def last_token_is_padding(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The last id is taken for vocabulary padding and masked out of the target."""
    masked = p.clone()
    masked[:, -1] = 0
    return correct(normalised(masked, p), q, ids, generator)


@bug("law", needs="ties")
def ties_merged(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Tokens looked up by their probability: of several with equal mass only the first is ever found."""
    token = correct(p, q, ids, generator)
    return (p == p.gather(1, token[:, None])).to(torch.int8).argmax(1)


@bug("law", "B27", "hipfire#483", needs="peaked")
@selector(drafting="without_replacement")
def tried_tokens_kept_in_draft(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Drafts without replacement verified with the base law: tried tokens neither removed nor renormalised away."""
    return correct(p, q, ids, generator)


@bug("law", "B27", "hipfire#483", needs="peaked")
def replacement_forgotten(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """I.i.d. drafts verified as if drawn without replacement."""
    conditional = q.clone()
    for k in range(1, ids.shape[1]):
        kept = conditional[:, k - 1].scatter(1, ids[:, k - 1 : k], 0.0)
        conditional[:, k] = normalised(kept, kept)
    return correct(p, conditional, ids, generator)


@bug("law")
@selector(drafting="independent")
def one_drafter_for_all(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Three different drafters, all verified with the law of the first."""
    return correct(p, q[:, :1].expand_as(q), ids, generator)


@bug("law")
def drafts_sorted(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Drafts tried in order of id: the first tried is no longer distributed as q."""
    return correct(p, q, ids.sort(1).values, generator)


@bug("law")
def likeliest_draft_first(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Drafts tried in order of p/q, "to accept earlier"."""
    ratio = (p / q[:, 0].clamp_min(1e-300)).gather(1, ids)
    return correct(p, q, ids.gather(1, ratio.argsort(1, descending=True)), generator)


@bug("law", "B25", "EAGLE#47", needs="peaked")
def repeats_skipped(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Repeated i.i.d. drafts skipped, no residual taken for them, q kept as it was."""
    left, rows = p, row_numbers(ids)
    token, coins = torch.full_like(ids[:, 0], -1), toss(ids, generator)
    for k in range(ids.shape[1]):
        x, new = ids[:, k], ~(ids[:, :k] == ids[:, k : k + 1]).any(1)
        token = torch.where((token < 0) & new & ratio_test(coins[:, k], left[rows, x], q[rows, k, x]), x, token)
        left = torch.where(new[:, None], normalised(subtract(left, q[:, k], x), left), left)
    return torch.where(token < 0, inverse_cdf(left, coins[:, -1]), token)


@bug("law", "B14", "ROCm/ATOM#2318, sglang#39253", output_law=lambda p, q: all_on(int(p.argmax()), p))
def target_greedy(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Verified greedily whatever the temperature."""
    return p.argmax(-1)


@bug("law", "B49", "vllm-ascend#6685", output_law=rejection(target=lambda p: np.exp(p) / np.exp(p).sum()))
def probabilities_taken_for_logits(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """A softmax too many: the interface handed over logits once."""
    return correct(torch.softmax(p, -1), q, ids, generator)


@bug("law", "B24", "q27#16, sglang#36173", needs="wide", output_law=rejection(target=likeliest(50)))
def target_top_k(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The target cut to a candidate list of 50 that counts as the whole vocabulary."""
    kept = p.topk(min(50, p.shape[-1]), dim=-1)
    return correct(normalised(torch.zeros_like(p).scatter(1, kept.indices, kept.values), p), q, ids, generator)


@bug("law", "B35", "vLLM#42744, sglang#22049", mild="a hundredth", output_law=rejection(target=favoured))
def penalty_missing(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """A penalty on the likeliest token is left out: it has a hundredth of everything too much."""
    favoured_law = 0.99 * p
    column = p.argmax(-1, keepdim=True)
    return correct(favoured_law.scatter_add(1, column, torch.full_like(p[:, :1], 0.01)), q, ids, generator)


@bug("law", "B27", "hipfire#483", needs="peaked")
@selector(drafting="greedy")
def top_k_drafts_as_samples(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The likeliest tokens of q, deterministic drafts, are tested as if they had been drawn from it."""
    return correct(p, q, ids, generator)


@bug("law", mild="two parts in a hundred of the temperature", output_law=rejection(target=tempered(0.98)))
def target_slightly_cooler(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The target at temperature 0.98."""
    return correct(torch.softmax(p.log() / 0.98, -1), q, ids, generator)


@bug(
    "law",
    "B04",
    "transformers#47932",
    mild="five parts in a hundred of the temperature",
    output_law=rejection(draft=tempered(1 / 1.05)),
)
def draft_slightly_hotter(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The drafts came from temperature 1.05 of the q that is verified with."""
    return correct(p, torch.softmax(q.log() * 1.05, -1), ids, generator)
