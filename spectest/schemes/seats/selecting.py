"""Seats: selecting with a plan, batched, on the device of the tensors. Imports torch."""

from __future__ import annotations

from typing import Protocol

import torch

from spectest.schemes.common.sampling import draw, is_shared, totals, uniforms
from spectest.schemes.common.winner import verify_winner
from spectest.schemes.seats.support import Support, condense


class Planned(Protocol):
    """What a plan must offer to be selected with."""

    @property
    def law(self) -> torch.Tensor:
        """R, the law of the winner: (V,), or (B, V)."""
        ...

    def winner(self, draft_token_ids: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Pick one of the drafts of each row, (B, n) -> (B,)."""
        ...


class Planner(Protocol):
    """Plans one problem, (V,) and (V,) or (n, V), or one in each row of a batch; laws in float64, summing to 1."""

    def __call__(self, target: torch.Tensor, draft: torch.Tensor, /) -> Planned:
        """Return the plan."""
        ...


def select(
    target_probs: torch.Tensor,
    laws: torch.Tensor,
    draft_token_ids: torch.Tensor,
    generator: torch.Generator,
    planner: Planner,
) -> torch.Tensor:
    """Plan once for rows that are one problem, else for each row; pick winners, and verify them against their law.

    Args:
        target_probs: p, (B, V).
        laws: q, (B, V), or (B, n, V) for n drafters.
        draft_token_ids: (B, n).
        generator: on the device of the tensors.
        planner: the seats of a drafting law.
    """
    draft_token_ids = draft_token_ids.contiguous()
    one = len(target_probs) == 1 or is_shared(target_probs, laws)
    target, draft = (target_probs[:1], laws[:1]) if one else (target_probs, laws)
    total = totals(target, name="target_probs")
    if not one:
        target = target / total.unsqueeze(-1)
        planned = planner(target, draft / totals(draft, name="draft_probs").unsqueeze(-1))
        return verify_winner(target, planned.law, planned.winner(draft_token_ids, generator), generator)
    support = condense(target[0], total, draft[0])
    totals(support.draft, name="draft_probs")
    planned = planner(support.target, support.draft)
    picked = planned.winner(_places(support, draft_token_ids), generator)
    verified = verify_winner(support.target, planned.law, picked, generator)
    return _tokens(support, target[0], verified, generator)


def _places(support: Support, draft_token_ids: torch.Tensor) -> torch.Tensor:
    """Return the places of tokens in a support; a token that cannot have been drafted counts as the rest."""
    last = len(support.ids)
    place = torch.searchsorted(support.ids, draft_token_ids).clamp_(max=last - 1)
    return torch.where(support.ids[place] == draft_token_ids, place, last)


def _tokens(support: Support, target: torch.Tensor, places: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return the tokens at places of a support; each time it is the rest, draw one from what p holds elsewhere."""
    last = len(support.ids)
    selected: torch.Tensor = support.ids[places.clamp(max=last - 1)]
    elsewhere = (places == last).nonzero().squeeze(1)
    if len(elsewhere):
        mass = target.double().index_fill(0, support.ids, 0)
        # Nothing elsewhere: the rest is rounding alone, and the target does as well as anything.
        mass = torch.where(mass.sum() > 0, mass, target.double())
        selected[elsewhere] = draw(mass, uniforms(len(elsewhere), generator))
    return selected
