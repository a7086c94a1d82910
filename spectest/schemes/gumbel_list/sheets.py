"""Gumbel list sampling, batched: the first arrival of every sheet by one search, and the first of those. Imports torch.

In a sheet with draft clock M, arrivals up to s number s R(c) on average, R(c) = sum (p - c q)+ and c = M / s. The first
one comes where this equals h ~ Exp(1), that is where R(c) / c = h / M: a decreasing function of c that is tabulated at
the values of p / q. With P and Q the masses of the tokens of larger p / q, s = (h + M Q) / P, and the token is drawn
from p restricted to those.
"""

from __future__ import annotations

import torch

from spectest.schemes.common.sampling import totals, uniforms


class Sheets:
    """Tables of R problems with L drafters each: R = 1 serves all rows, L = 1 all drafts.

    Args:
        target: (R, V).
        drafts: (R, L, V).
    """

    def __init__(self, target: torch.Tensor, drafts: torch.Tensor) -> None:
        self.draft = drafts.double() / totals(drafts, name="draft_probs").unsqueeze(-1)
        target = target.double() / totals(target, name="target_probs").unsqueeze(-1)
        self.target = target.unsqueeze(1).expand_as(self.draft)
        ratio = torch.where(self.target > 0, self.target / self.draft, 0.0)
        ratio, self.order = ratio.sort(dim=-1, descending=True, stable=True)
        masses = self.target.gather(-1, self.order)
        self.upto, self.draft_upto = masses.cumsum(-1), self.draft.gather(-1, self.order).cumsum(-1)
        above, draft_above = (
            torch.nn.functional.pad(table[..., :-1], (1, 0)) for table in (self.upto, self.draft_upto)
        )
        # R(c) / c at c = p / q, ascending; rounding must not make a search stop early.
        self.arrivals = (above / ratio - draft_above).clamp_(min=0).cummax(-1).values

    def select(self, draft_token_ids: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return the first arrival over all sheets, (B, n) -> (B,)."""
        tokens = self._by_sheet(draft_token_ids)
        draft_clock, level = self._exponential(tokens, generator), self._exponential(tokens, generator)
        # Finite, so that tokens of p = 0, which come last with inf, are never counted.
        ahead = (level / draft_clock).nan_to_num_(nan=0.0)
        count = torch.searchsorted(self.arrivals, ahead, right=True).clamp_(min=1)
        mass, draft_mass = (table.gather(-1, count - 1) for table in (self.upto, self.draft_upto))
        others = (level + draft_clock * draft_mass) / mass
        target, draft = (table.gather(-1, tokens) for table in (self.target, self.draft))
        own = torch.where(target > 0, draft_clock * draft / target, torch.inf)

        goal = self._uniform(tokens, generator) * mass
        place = torch.searchsorted(self.upto, goal, right=True)
        found = self.order.gather(-1, torch.minimum(place, count - 1))
        arrival, token = torch.minimum(own, others), torch.where(own < others, tokens, found)
        first = self._by_row(arrival, draft_token_ids).argmin(1, keepdim=True)
        return self._by_row(token, draft_token_ids).gather(1, first).squeeze(1)

    def _by_sheet(self, rows: torch.Tensor) -> torch.Tensor:
        """Lay (B, n) out as the tables are, (R, L, ·)."""
        problems, drafters = self.draft.shape[:2]
        if problems == 1:
            return rows.T.reshape(1, drafters, rows.numel() // drafters)
        return rows.reshape(problems, drafters, rows.shape[1] // drafters)

    def _by_row(self, sheets: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """Undo `_by_sheet`."""
        return sheets.reshape(like.shape[1], like.shape[0]).T if len(self.draft) == 1 else sheets.reshape(like.shape)

    @staticmethod
    def _uniform(like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return uniforms(like.numel(), generator).view(like.shape)

    def _exponential(self, like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return self._uniform(like, generator).neg_().log1p_().neg_()
