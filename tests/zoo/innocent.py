"""More correct selectors: what users report as bugs and is none, and one that is noisy."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch

from spectest.declaration import selector

from .core import correct, inverse_cdf, normalised, row_numbers, toss
from .registry import control

if TYPE_CHECKING:
    from torch import Generator, Tensor


@control(reported="mlx-swift-lm#459, mlxcel#902, z-lab/dflash#74, lucebox#374, pegainfer#512, llama.cpp")
@selector(scheme="target_only", broadcast=True)
def sampled_verify(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The target's own sample, which a draft matches or does not: the "exact match" of several servers."""
    target = p[:1] if p.stride(0) == 0 else p
    return inverse_cdf(target, toss(ids, generator)[:, 0])


@control(reported="EAGLE#20, EAGLE#110, EAGLE#171, sglang#9877, sglang#10308")
@selector(scheme="target_only")
def deterministic_children(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Drafts as if deterministic: each is accepted with the target's mass of it, and taken out where it is not.

    Lossless for given drafts, so whatever their law.
    """
    rows, coins = row_numbers(ids), toss(ids, generator)
    token, left = torch.full_like(ids[:, 0], -1), p
    for k, x in enumerate(ids.unbind(1)):
        token = torch.where((token < 0) & (coins[:, k] < left[rows, x]), x, token)
        left = normalised(left.scatter(1, x[:, None], 0.0), left)
    return torch.where(token < 0, inverse_cdf(left, coins[:, -1]), token)


@control(reported="EAGLE#183, EAGLE#221, EAGLE#283, EAGLE#329")
@selector(drafting="greedy")
def top_k_children(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The likeliest tokens of q as deterministic drafts, verified with q = 1."""
    return deterministic_children(p, q, ids, generator)


@control()
def prints(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Writes to stdout and to file descriptor 1, where a caller may have a protocol of its own."""
    print('{"verdict": "pass"}', flush=True)
    os.write(1, b"\x80\x04N. noise\n")
    return correct(p, q, ids, generator)
