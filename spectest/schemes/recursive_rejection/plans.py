"""Recursive rejection, batched: the rounds, and what drafts drawn independently keep between them. Imports torch.

Nothing is renormalised in place. With residual R of sum S (round 0: the target) and draft law D of sum W, a token x is
accepted iff u S D(x) / W < R(x), and a rejection leaves R <- (R - S D / W)+, whatever the scale of R and D. A token of
R(x) = 0 is never accepted, and R stays 0 where the target is 0. Probabilities are only ever computed with in float64.
"""

from __future__ import annotations

from typing import Protocol

import torch

from spectest.schemes.common.sampling import draw, totals, uniforms


class Plan(Protocol):
    """State of the rows still rejected, m of them; `tokens`, `uniform` and `keep` have one entry for each."""

    def accepts(self, k: int, tokens: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
        """Whether round k accepts, (m,) bool."""
        ...

    def reject(self, tokens: torch.Tensor, keep: torch.Tensor) -> None:
        """Go on with the rows at the indices `keep`, taking the round just lost off their residuals."""
        ...

    def residual_draw(self, uniform: torch.Tensor) -> torch.Tensor:
        """Draw a token from each residual, from the target where rounding left it empty, (m,) int64.

        Such a residual is reached with probability 0, up to rounding: the target does as well as anything.
        """
        ...


def recursive_rejection(plan: Plan, draft_token_ids: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Try the drafts in order, then draw from what is left of the target; (B, n) ids -> (B,) tokens."""
    selected = draft_token_ids[:, 0].clone(memory_format=torch.contiguous_format)
    rows = torch.arange(len(selected), device=selected.device)
    for k in range(draft_token_ids.shape[1]):
        tokens = draft_token_ids[:, k].index_select(0, rows)
        if k:
            selected[rows] = tokens  # rows rejected here are written again, by a later round or by the final draw
        keep = plan.accepts(k, tokens, uniforms(len(rows), generator)).logical_not_().nonzero().squeeze(1)
        if not len(keep):
            return selected
        rows = rows.index_select(0, keep)
        plan.reject(tokens, keep)
    selected[rows] = plan.residual_draw(uniforms(len(rows), generator))
    return selected


def at(table: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Return table[i, tokens[i]] in float64, (m, V) and (m,) -> (m,)."""
    return table.gather(1, tokens.unsqueeze(1)).squeeze(1).double()


class SharedPlan:
    """One problem for all rows: the residuals do not depend on the drafts, so each round is one table of ratios.

    Args:
        target: (V,).
        drafts: (r, V); round k reads row min(k, r - 1), so one row serves identical drafters.
    """

    def __init__(self, target: torch.Tensor, drafts: torch.Tensor) -> None:
        self.target = self.residual = target.double()
        self.total = totals(self.target, name="target_probs")
        self.drafts = drafts.double()
        self.draft_totals = totals(self.drafts, name="draft_probs")

    def accepts(self, k: int, tokens: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
        """Gather R(x) W / (S D(x)) and compare; the residual moves on for all rows at once."""
        row = min(k, len(self.drafts) - 1)
        taken = self.drafts[row] * (self.total / self.draft_totals[row])
        # 0 / 0 is NaN, which accepts nothing, and R / 0 is inf, which always accepts.
        ratio = self.residual / taken
        self.residual = (self.residual - taken).clamp_(min=0)
        self.total = self.residual.sum()
        return uniform < ratio.index_select(0, tokens)

    def reject(self, tokens: torch.Tensor, keep: torch.Tensor) -> None:
        """Nothing to do: no state depends on the row."""

    def residual_draw(self, uniform: torch.Tensor) -> torch.Tensor:
        """Draw from the one residual left."""
        return draw(torch.where(self.total > 0, self.residual, self.target), uniform)


class DensePlan:
    """Every row its own problem; only rejected rows are copied.

    Args:
        target: (B, V).
        drafts: (B, r, V); round k reads row min(k, r - 1), so one row serves identical drafters.
    """

    def __init__(self, target: torch.Tensor, drafts: torch.Tensor) -> None:
        self.target, self.drafts = target, drafts
        self.rows = torch.arange(len(target), device=target.device)
        self.residual, self.total = target, totals(target, name="target_probs")
        self.draft = drafts[:, 0]
        self.draft_total = totals(self.draft, name="draft_probs")
        self.scale = self.total / self.draft_total

    def accepts(self, k: int, tokens: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
        """Compare u S D(x) / W with R(x), reading one probability of each per row."""
        if 0 < k < self.drafts.shape[1]:
            self.draft = self.drafts[:, k].index_select(0, self.rows)
            self.draft_total = totals(self.draft, name="draft_probs")
        self.scale = self.total / self.draft_total
        return uniform * self.scale * at(self.draft, tokens) < at(self.residual, tokens)

    def reject(self, tokens: torch.Tensor, keep: torch.Tensor) -> None:
        """Copy the rejected rows, in float64, and take the round off their residuals."""
        del tokens  # the residual is 0 there already
        self.rows = self.rows.index_select(0, keep)
        self.draft = self.draft.index_select(0, keep).double()
        self.draft_total = self.draft_total.index_select(0, keep)
        self.residual = self.residual.index_select(0, keep).double()
        scale = self.scale.index_select(0, keep)
        self.residual.addcmul_(self.draft, scale.unsqueeze(1), value=-1).clamp_(min=0)
        self.total = self.residual.sum(-1)

    def residual_draw(self, uniform: torch.Tensor) -> torch.Tensor:
        """Draw from each row's residual."""
        empty = (self.total <= 0).nonzero().squeeze(1)
        if len(empty):
            self.residual[empty] = self.target[self.rows[empty]].double()
        return draw(self.residual, uniform)
