"""SpecHub (Sun et al., arXiv 2411.05289): two drafts, one of them always the hub a = argmax q.

The pair is (i, a) with probability q_i or (a, i) with probability w_i = q_a q_i / q(V - a), i != a. In turn, target
mass is placed on i in (i, a), on i in (a, i), on a in (a, i) and on a in (i, a); what could not be placed is the
residual. It vanishes on every draft of a rejected pair, and the acceptance is the optimum of hub drafts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.declaration import selector
from spectest.drafting.greedy import restricted, top_tokens
from spectest.errors import UsageError
from spectest.schemes.base import Scheme

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from spectest.problem import Problem

_PAIR: Final = 2


@selector(drafting="hub", n_drafts=_PAIR, broadcast=True, scheme="spechub")
def select(
    target_probs: torch.Tensor, draft_probs: torch.Tensor, draft_token_ids: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Select from a hub pair, or from the one token that a one-hot q drafts; see `Scheme.select` for the arguments."""
    from spectest.schemes.common.batch import batch_laws  # noqa: PLC0415 (torch, only when selecting)
    from spectest.schemes.common.sampling import check_inputs  # noqa: PLC0415
    from spectest.schemes.common.winner import verify_winner  # noqa: PLC0415

    check_inputs(target_probs, draft_probs, draft_token_ids, generator)
    n = draft_token_ids.shape[1]
    if n > _PAIR:
        msg = f"`draft_token_ids` must hold two drafts per row for spechub, got {n}"
        raise UsageError(msg)
    target, draft = batch_laws(target_probs, draft_probs[:, 0])
    if n == 1:
        return verify_winner(target, draft, draft_token_ids[:, 0], generator)
    return _verify_pair(target, draft, draft_token_ids, generator)


def _verify_pair(
    target: torch.Tensor, draft: torch.Tensor, draft_token_ids: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Select from pairs (B, 2) drawn around the hub of q; p and q (V,) for all rows, or (B, V), sum to 1."""
    import torch  # noqa: PLC0415 (only when selecting)

    from spectest.schemes.common.batch import at, restricted_laws  # noqa: PLC0415
    from spectest.schemes.common.sampling import draw, uniforms  # noqa: PLC0415

    low, high = draft_token_ids.aminmax(dim=1, keepdim=True)
    # One of the two is the largest of q, the lowest id among equals.
    hub_is_low = at(draft, low) >= at(draft, high)
    hub, other = torch.where(hub_is_low, low, high), torch.where(hub_is_low, high, low)
    hub_first = draft_token_ids[:, :1] == hub
    # Where all rows share q they share the hub: `a` indexes the tables, (1,) or (B, 1).
    a = hub[0] if draft.ndim == 1 else hub
    # Draft mass of (i, a) and of (a, i), and target mass left for i before, between and after the two.
    last, first = draft.scatter(-1, a, 0.0), draft.gather(-1, a) * restricted_laws(draft, a)
    before = target.scatter(-1, a, 0.0)
    between = (before - last).clamp_(min=0)
    after = (between - first).clamp_(min=0)
    first_left = (first - between).clamp_(min=0).sum(-1, keepdim=True)
    last_left = (last - before).clamp_(min=0).sum(-1, keepdim=True)
    hub_mass = target.gather(-1, a)
    hub_between = (hub_mass - first_left).clamp_(min=0)
    residual = after.scatter(-1, a, (hub_between - last_left).clamp_(min=0))
    residual = torch.where(residual.sum(-1, keepdim=True) > 0, residual, target)

    # u · draft mass < target mass, and not u < ratio: a token of p = 0 is never taken, and nothing is divided by 0.
    coins = uniforms(2 * len(hub), generator).view(2, -1, 1)
    drawn = torch.where(hub_first, at(first, other), at(last, other))
    takes_other = coins[0] * drawn < torch.where(hub_first, at(between, other), at(before, other))
    left = torch.where(hub_first, first_left, last_left)
    takes_hub = coins[1] * left < torch.where(hub_first, hub_mass, hub_between)
    selected = torch.where(takes_other, other, hub).squeeze(1)
    rejected = (takes_other | takes_hub).logical_not_().squeeze(1).nonzero().squeeze(1)
    if len(rejected):
        mass = residual if residual.ndim == 1 else residual.index_select(0, rejected)
        selected[rejected] = draw(mass, uniforms(len(rejected), generator))
    return selected


class SpecHub(Scheme):
    """SpecHub's verification of a hub pair; where q is a single token, the pair is that token alone.

    Lossless, and no lossless selector accepts more from hub drafts.

    Example:
        >>> from spectest import Problem
        >>> round(SpecHub().acceptance(Problem([0.2, 0.3, 0.5], [0.5, 0.4, 0.1], 2, "hub")), 12)
        0.7
    """

    name = "spechub"
    laws = ("hub",)
    selectors = dict.fromkeys(laws, select)

    def acceptance(self, problem: Problem) -> float:
        """Return the mass placed on drafts, step by step: p_a + sum over i != a of min(p_i, q_i / q(V - a))."""
        return min(1.0, float(self._placed(problem)[0].sum()))

    def output_law(self, problem: Problem) -> NDArray[np.float64]:
        """Return the mass placed on drafts, plus the residual's share of the pairs left over, (V,)."""
        placed, residual, rejected = self._placed(problem)
        total = residual.sum()
        return placed + rejected * (residual / total if total > 0 else problem.target)

    def _placed(self, problem: Problem) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
        """Return target mass placed (V,), target mass left (V,), and the mass of the pairs left over."""
        target, draft = self._checked(problem).target, problem.draft
        if problem.n_drafts == 1:
            placed = np.minimum(target, draft)
            return placed, target - placed, float((draft - placed).sum())
        hub = top_tokens(draft, 1)
        last, before = draft.copy(), target.copy()
        last[hub] = before[hub] = 0.0
        first = draft[hub] * restricted(draft, hub)
        on_last = np.minimum(before, last)
        on_first = np.minimum(before - on_last, first)
        first_left, last_left = (first - on_first).sum(), (last - on_last).sum()
        hub_on_first = np.minimum(target[hub], first_left)
        hub_on_last = np.minimum(target[hub] - hub_on_first, last_left)
        placed = on_last + on_first
        placed[hub] = hub_on_first + hub_on_last
        rejected = (first_left - hub_on_first) + (last_left - hub_on_last)
        return placed, np.maximum(target - placed, 0.0), rejected.item()


SCHEME = SpecHub
