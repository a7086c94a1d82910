"""Recursive rejection without replacement: a rejected token leaves the draft law as well. Imports torch."""

from __future__ import annotations

import torch

from spectest.schemes.common.sampling import totals
from spectest.schemes.recursive_rejection.plans import DensePlan


class DenseDistinctPlan(DensePlan):
    """Every row its own problem: R and D are both kept per row.

    Where no draft mass is left, the draft law is uniform over the tokens not tried yet.

    Args:
        target: (B, V).
        draft: the base law, (B, V).
    """

    def __init__(self, target: torch.Tensor, draft: torch.Tensor) -> None:
        super().__init__(target, draft.unsqueeze(1))
        self.tried = self.rows.new_empty((len(target), 0))

    def reject(self, tokens: torch.Tensor, keep: torch.Tensor) -> None:
        """Take the round off the residuals and the tried tokens off the draft laws."""
        super().reject(tokens, keep)
        tokens = tokens.index_select(0, keep).unsqueeze(1)
        self.tried = torch.cat([self.tried.index_select(0, keep), tokens], dim=1)
        self.draft.scatter_(1, tokens, 0)
        # The sum of what is left: one minus the tried mass loses everything when one token holds almost all of it.
        self.draft_total = self.draft.sum(-1)
        empty = (self.draft_total <= 0).nonzero().squeeze(1)
        if len(empty):
            untried = torch.ones_like(self.draft[empty]).scatter_(1, self.tried[empty], 0)
            self.draft[empty] = untried
            # All tokens tried: a draft law of no mass takes nothing.
            self.draft_total[empty] = untried.sum(-1).clamp_(min=1)


class SharedDistinctPlan:
    """One problem for all rows, whose draft law has at least n tokens of positive probability.

    A rejected token has residual 0 from then on, so that every residual is R = (p - c q)+ with one number c per row:
    c <- c + S / W. Sorted by p / q, S(c) is a difference of prefix sums, and so is the CDF: no row ever holds a law.

    Args:
        target: (V,).
        draft: the base law, (V,).
        n_drafts: how many rounds there will be.
    """

    def __init__(self, target: torch.Tensor, draft: torch.Tensor, n_drafts: int) -> None:
        target, draft = target.double(), draft.double()
        self.target, self.draft = (
            target / totals(target, name="target_probs"),
            draft / totals(draft, name="draft_probs"),
        )
        ratio = torch.where(self.target > 0, self.target / self.draft, 0.0)
        # Ascending -p/q is descending p/q, as searchsorted wants it.
        self.breaks, self.order = (-ratio).sort(stable=True)
        self.target_below = torch.nn.functional.pad(self.target[self.order].cumsum(0), (1, 0))
        self.draft_below = torch.nn.functional.pad(self.draft[self.order].cumsum(0), (1, 0))
        # W without cancellation: the n largest draft probabilities one by one, the others as one sum. While a tried
        # token of the others is subtracted from that sum, one of the n larger ones is untried and bounds the error.
        largest = self.draft.topk(n_drafts).indices
        self.slot = torch.full_like(self.order, n_drafts).scatter_(
            0, largest, torch.arange(n_drafts, device=draft.device)
        )
        self.left = torch.zeros(n_drafts + 1, dtype=draft.dtype, device=draft.device).scatter_add_(
            0, self.slot, self.draft
        )
        self.first = True
        self.offset = torch.zeros(1, dtype=draft.dtype, device=draft.device)  # c
        self.total = torch.ones_like(self.offset)  # S
        self.draft_total = torch.ones_like(self.offset)  # W

    def _prefix(self, offset: torch.Tensor) -> torch.Tensor:
        """How many tokens have p / q > c, that is a positive residual, (m,)."""
        return torch.searchsorted(self.breaks, -offset)

    def _mass(self, offset: torch.Tensor, prefix: torch.Tensor) -> torch.Tensor:
        """Residual mass of the first `prefix` tokens in order of p / q, (m,)."""
        return self.target_below[prefix] - offset * self.draft_below[prefix]

    def accepts(self, k: int, tokens: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
        """Compare u S D(x) / W with R(x); a token tried before has R(x) = 0."""
        del k
        draft = self.draft[tokens]
        residual = self.target[tokens] - self.offset * draft
        return uniform * (self.total / self.draft_total) * draft < residual

    def reject(self, tokens: torch.Tensor, keep: torch.Tensor) -> None:
        """Move c on, and take the tried tokens off W."""
        tokens = tokens.index_select(0, keep)
        if self.first:
            self.left = self.left.repeat(len(keep), 1)
            self.offset = (self.offset + self.total / self.draft_total).expand(len(keep))
            self.first = False
        else:
            self.left = self.left.index_select(0, keep)
            self.offset = (self.offset + self.total / self.draft_total).index_select(0, keep)
        self.left.scatter_add_(1, self.slot[tokens].unsqueeze(1), -self.draft[tokens].unsqueeze(1))
        self.draft_total = self.left.sum(-1)
        self.total = self._mass(self.offset, self._prefix(self.offset)).clamp_(min=0)

    def residual_draw(self, uniform: torch.Tensor) -> torch.Tensor:
        """Draw by bisection on the CDF over tokens of positive residual."""
        last = self._prefix(self.offset)
        offset = torch.where(last > 0, self.offset, 0.0)
        last = torch.where(last > 0, last, self._prefix(torch.zeros_like(offset)))
        goal = uniform * self._mass(offset, last)
        first = torch.ones_like(last)
        for _ in range(len(self.order).bit_length()):
            middle = (first + last) // 2
            beyond = self._mass(offset, middle) > goal
            last = torch.where(beyond, middle, last)
            first = torch.where(beyond, first, torch.minimum(middle + 1, last))
        return self.order[first - 1]
