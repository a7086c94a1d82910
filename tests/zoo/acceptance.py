"""Lossless, but accepting less than declared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from spectest.declaration import selector

from .core import correct, inverse_cdf, toss, verify
from .registry import bug

if TYPE_CHECKING:
    from torch import Generator, Tensor


@bug("acceptance")
@selector(scheme="recursive_rejection")
def naive_declared_recursive(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Looks at the first draft only."""
    return correct(p, q[:, :1], ids[:, :1], generator)


@bug("acceptance")
@selector(scheme="recursive_rejection")
def last_draft_ignored(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Off by one in the loop over drafts: lossless, and the last draft is paid for in vain."""
    return correct(p, q[:, :-1], ids[:, :-1], generator)


@bug("acceptance", citation="vLLM#40149")
@selector(scheme="recursive_rejection")
def draft_probs_dropped(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """q is not passed on, so that only exact matches with a target sample are accepted."""
    return inverse_cdf(p, toss(ids, generator)[:, 0])


@bug("acceptance", "B46", "lucidrains/speculative-decoding a536030")
@selector(scheme="recursive_rejection")
def stops_when_any_row_accepts(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Leaves the loop over drafts when any row has accepted, not all."""
    coins, rejected = toss(ids, generator), torch.full_like(ids[:, 0], -1)
    for k in range(1, ids.shape[1] + 1):
        tested = (p, q[:, :k], ids[:, :k], coins[:, [*range(k), -1]])
        if bool((verify(*tested, draw=lambda left, coin: rejected) >= 0).any()):
            break
    return verify(*tested)
