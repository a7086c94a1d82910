"""The correct core that every defect spoils: recursive rejection with parts to exchange.

p, q, x: target, draft, drafted token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Generator, Tensor

    Accept = Callable[[Tensor, Tensor, Tensor], Tensor]
    Residual = Callable[[Tensor, Tensor, Tensor], Tensor]
    Draw = Callable[[Tensor, Tensor], Tensor]


def row_numbers(ids: Tensor) -> Tensor:
    """Return 0, 1, ..., one for each row of the batch."""
    return torch.arange(ids.shape[0], device=ids.device)


def toss(ids: Tensor, generator: Generator | None) -> Tensor:
    """Return coins (B, n + 1): one per draft, the last for the final draw."""
    size = ids.shape[0], ids.shape[1] + 1
    return torch.rand(size, generator=generator, dtype=torch.float64, device=ids.device)


def ratio_test(coin: Tensor, p: Tensor, q: Tensor) -> Tensor:
    """Accept with probability min(1, p/q), never where p = 0."""
    return coin * q < p


def subtract(left: Tensor, q: Tensor, x: Tensor) -> Tensor:
    """Return (left - q)+, whatever was rejected."""
    return (left - q).clamp_min(0)


def inverse_cdf(law: Tensor, coin: Tensor) -> Tensor:
    """Draw a token a row, none of mass 0 at whatever coin; `law` (B, V), or (1, V) for all rows."""
    cdf = law.cumsum(-1).contiguous()
    total = cdf[:, -1]
    level = torch.minimum(coin * total, torch.nextafter(total, torch.zeros_like(total)))
    if len(cdf) == 1:
        return torch.searchsorted(cdf[0], level, right=True)
    return torch.searchsorted(cdf, level[:, None], right=True)[:, 0]


def normalised(law: Tensor, otherwise: Tensor) -> Tensor:
    """Divide by the sum; a row without mass becomes that of `otherwise`."""
    total = law.sum(-1, keepdim=True)
    return torch.where(total > 0, law / total.clamp_min(1e-300), otherwise)


def planned_once(p: Tensor, q: Tensor, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return (p, q, the row of each position in them): one row where expanded views hold the same one for all."""
    rows = row_numbers(ids)
    if p.stride(0) == 0 and q.stride(0) == 0:
        return p[:1], q[:1], torch.zeros_like(rows)
    return p, q, rows


def verify(
    p: Tensor,
    q: Tensor,
    ids: Tensor,
    coins: Tensor,
    *,
    accepts: Accept = ratio_test,
    residual: Residual = subtract,
    draw: Draw = inverse_cdf,
) -> Tensor:
    """Recursive rejection with replacement."""
    p, q, rows = planned_once(p, q, ids)
    left, token = p, torch.full_like(ids[:, 0], -1)
    for k in range(ids.shape[1]):
        x = ids[:, k]
        accepted = (token < 0) & accepts(coins[:, k], left[rows, x], q[rows, k, x])
        token = torch.where(accepted, x, token)
        left = normalised(residual(left, q[:, k], x), left)
    return torch.where(token < 0, draw(left, coins[:, -1]), token)


def correct(p: Tensor, q: Tensor, ids: Tensor, generator: Generator | None) -> Tensor:
    """Recursive rejection with nothing exchanged: lossless."""
    return verify(p, q, ids, toss(ids, generator))


def first_draft_in(rows: Tensor, token: Tensor, ids: Tensor) -> Tensor:
    """Return the token, but the unverified first draft in `rows`."""
    return torch.where(rows, ids[:, 0], token)
