"""K-SEQ, batched: rho* of every row at once, the tests and the residual. Imports torch."""

from __future__ import annotations

from typing import Final

import torch

from spectest.schemes.common.batch import at
from spectest.schemes.common.sampling import draw, uniforms

_EPS: Final = torch.finfo(torch.float64).eps
_ROUNDS: Final = 100  # of which some ten are needed; bisection alone takes 53


def _tries(rejects: torch.Tensor, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return kappa = sum over k < n of t^k and its derivative in t, by Horner's rule."""
    value, slope = torch.ones_like(rejects), torch.zeros_like(rejects)
    for _ in range(n - 1):
        slope = slope * rejects + value
        value = value * rejects + 1
    return value, slope


def least_rho(target: torch.Tensor, draft: torch.Tensor, n: int) -> torch.Tensor:
    """Return rho* rounded up by a few units in the last place, (1,) or (B, 1): the root of kappa(rho) = rho in [1, n].

    Newton's method, safeguarded by bisection of a bracket that only ever shrinks; t(rho) = sum (q - p / rho)+ is
    smooth between the values of p / q.

    Args:
        target: p, (V,) for all rows or (B, V); sums to 1.
        draft: q, likewise.
        n: the number of drafts.
    """
    low = target.new_ones((*target.shape[:-1], 1))
    high = torch.full_like(low, n)
    rho, found = low, torch.zeros_like(low, dtype=torch.bool)
    for _ in range(_ROUNDS):
        scaled = target / rho
        rejected = (draft - scaled).clamp_(min=0)
        tries, slope = _tries(rejected.sum(-1, keepdim=True), n)
        excess = tries - rho
        low, high = torch.where(excess > 0, rho, low), torch.where(excess > 0, high, rho)
        gain = scaled.masked_fill_(rejected <= 0, 0.0).sum(-1, keepdim=True) / rho  # dt / d rho
        step = -excess / (slope * gain - 1)
        # |beta excess| bounds what the acceptance is off by: no need to go on where its sign is rounding.
        found |= (excess.abs() <= 4 * _EPS * rho) | (step.abs() <= 2 * _EPS * rho) | (high - low <= 2 * _EPS * rho)
        if bool(found.all()):
            break
        following = torch.where(rho < high, torch.minimum(rho + step, high), rho + step)
        inside = (following > low) & (following <= high)
        rho = torch.where(found, rho, torch.where(inside, following, (low + high) / 2))
    return (torch.where(found, rho, high) * (1 + 8 * _EPS)).clamp_(min=1, max=n)


class Plan:
    """The tests of n drafts and the residual, one problem for all rows or one per row.

    Args:
        target: p, (V,) or (B, V); sums to 1.
        draft: q, likewise.
        n: the number of drafts.
        rho: (1,) or (B, 1), at least rho*.
    """

    def __init__(self, target: torch.Tensor, draft: torch.Tensor, n: int, rho: torch.Tensor) -> None:
        self.target, self.draft, self.rho = target, draft, rho
        self.tries = _tries((draft - target / rho).clamp_(min=0).sum(-1, keepdim=True), n)[0]

    def select(self, draft_token_ids: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return the first draft accepted, or a draw from the residual: (B, n) -> (B,)."""
        coins = uniforms(draft_token_ids.numel(), generator).view(draft_token_ids.shape)
        # u rho q < p and not u < p / (rho q): a token of p = 0 is never accepted, and nothing is divided by 0.
        accepted = coins * self.rho * at(self.draft, draft_token_ids) < at(self.target, draft_token_ids)
        first = accepted.to(torch.int8).argmax(1, keepdim=True)
        selected = draft_token_ids.gather(1, first).squeeze(1)
        rejected = accepted.any(1).logical_not_().nonzero().squeeze(1)
        if len(rejected):
            selected[rejected] = draw(self._residual(rejected), uniforms(len(rejected), generator))
        return selected

    def _residual(self, rows: torch.Tensor) -> torch.Tensor:
        """Return p - min(p / rho, q) kappa, (V,) or one for each of `rows`; the target where rounding left nothing."""
        target, draft, rho, tries = self.target, self.draft, self.rho, self.tries
        if target.ndim > 1:
            target, draft, rho, tries = (table.index_select(0, rows) for table in (target, draft, rho, tries))
        # kappa <= rho: at rho* exactly so, and the residual is then 0 on every draft that can have been rejected.
        residual = target - torch.minimum(target / rho, draft) * tries.minimum(rho)
        residual.clamp_(min=0)
        return torch.where(residual.sum(-1, keepdim=True) > 0, residual, target)
