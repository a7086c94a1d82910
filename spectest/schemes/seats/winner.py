"""Seats: every draft draws a seat, and the highest seat wins; batched, on the device of the tensors. Imports torch."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch

from spectest.schemes.common.sampling import uniforms
from spectest.schemes.seats.chain import Chain, independent
from spectest.schemes.seats.distinct import is_alone, two_distinct
from spectest.schemes.seats.plan import Seats, from_zero, plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from spectest.schemes.common.arrays import Array


class IidSeats:
    """The seats of n i.i.d. drafts: a `Planned`."""

    def __init__(self, seats: Seats) -> None:
        self.seats = seats
        self.law: torch.Tensor = seats.law

    def winner(self, draft_token_ids: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return the draft of highest seat in each row, among equal seats the first; (B, n) -> (B,)."""
        seat = self._draw(_look_up(self.seats.rank, draft_token_ids), generator)
        n = seat.shape[1]
        # Seat and order in one number: of equal maxima, argmax may return any.
        key = seat * n + torch.arange(n - 1, -1, -1, device=seat.device)
        first = n - 1 - key.amax(1, keepdim=True) % n
        return draft_token_ids.gather(1, first).squeeze(1)

    def _draw(self, own: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Draw the seat of each draft, given its own: (B, n) -> (B, n).

        An up token i of mass d_i = q_i (s_i - g_i) faces the down token j with probability x_ij / d_i, and then swaps
        with probability (s_i - g_i) / (g_j - g_i): the measure q_i P(i -> j) = x_ij / (g_j - g_i) is the same from the
        side of j. These are probabilities, rounding or not: wherever i < j, g_i < s_i <= s_j < g_j.
        """
        _, weight, pulls, ups, downs, _ = self.seats
        place, chance = uniforms(2 * own.numel(), generator).view(2, *own.shape)
        pull = _look_up(pulls, own)
        up = pull > 0
        begin, end = (torch.where(up, _look_up(ups, own + k), _look_up(downs, own + k)) for k in (0, 1))
        point = begin + place * (end - begin)
        # Running sums start with a 0: what is found is 1 beyond the seat.
        above, below = (torch.searchsorted(sums, point, right=True).sub_(1) for sums in (downs, ups))
        facing, last = torch.where(up, above, below), weight.shape[-1] - 1
        # What faces nothing or the wrong side was left unpaired by rounding: it keeps its own seat, and R knows.
        paired = torch.where(up, (own < facing) & (facing <= last), facing < own)
        partner = facing.clamp_(max=last)
        gap = (_look_up(weight, partner) - _look_up(weight, own)).abs_()
        return torch.where(paired & (chance * gap < pull.abs_()), partner, own)


class ChainSeats:
    """The seats of drafters that differ: a `Planned`."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.law: torch.Tensor = chain.law

    def winner(self, draft_token_ids: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return the draft of highest seat in each row, among equal seats one at random; (B, n) -> (B,)."""
        seat = self._draw(_look_up(self.chain.rank, draft_token_ids), generator)
        level = uniforms(seat.numel(), generator).view(seat.shape)
        best = torch.where(seat == seat.amax(1, keepdim=True), level, -1.0).argmax(1, keepdim=True)
        return draft_token_ids.gather(1, best).squeeze(1)

    def _draw(self, own: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Draw the seat of each draft, given its own: (B, n) -> (B, n).

        The pairs a token is in stand side by side: U q_k below the sum of their measures falls on one of them.
        """
        chain, shared = self.chain, self.chain.rank.ndim == 1
        # Drafter by drafter, as the tables are: (n, B) for one problem, (B, n, 1) for one in each row.
        place = uniforms(own.numel(), generator).view(own.shape)
        seat, place = (x.T.contiguous() if shared else x.unsqueeze(-1) for x in (own, place))

        def at(table: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
            """Return table[..., index] for each drafter, from a table of his own or of all."""
            each = table if table.ndim == chain.drafts.ndim else table.unsqueeze(-2).expand(*seat.shape[:-1], -1)
            return each.gather(-1, index)

        sums = from_zero(chain.measure.cumsum(-1))
        first, last = at(chain.first, seat), at(chain.last, seat)
        point = at(sums, first) + place * at(chain.drafts, seat)
        swaps = point < at(sums, last)
        pair = torch.searchsorted(sums, point, right=True).sub_(1)
        pair = torch.minimum(torch.maximum(pair, first), last - 1).clamp_(min=0)
        partner = torch.where(at(chain.up, seat), at(chain.downs, pair), at(chain.ups, pair))
        seat = torch.where(swaps, partner, seat)
        return seat.T if shared else seat.squeeze(-1)


class DistinctSeats(ChainSeats):
    """The seats of two drafts without replacement: a `Planned`."""

    def winner(self, draft_token_ids: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return the draft of highest seat in each row, (B, 2) -> (B,); the first where q has but one token."""
        highest = super().winner(draft_token_ids, generator)
        return torch.where(is_alone(self.chain).squeeze(-1), draft_token_ids[:, 0], highest)


def plan_iid(target: torch.Tensor, draft: torch.Tensor, n_drafts: int) -> IidSeats:
    """Plan for n i.i.d. drafts; see `seats.plan.plan`."""
    return IidSeats(Seats(*_planned(partial(plan, n_drafts=n_drafts), target, draft)))


def plan_independent(target: torch.Tensor, drafts: torch.Tensor) -> ChainSeats:
    """Plan for n drafters; see `seats.chain.independent`."""
    return ChainSeats(Chain(*_planned(independent, target, drafts)))


def plan_distinct(target: torch.Tensor, draft: torch.Tensor) -> DistinctSeats:
    """Plan for two drafts without replacement; see `seats.distinct.two_distinct`."""
    return DistinctSeats(Chain(*_planned(two_distinct, target, draft)))


def _planned(
    planner: Callable[[Array, Array], Seats | Chain], target: torch.Tensor, draft: torch.Tensor
) -> Iterable[torch.Tensor]:
    """Return the tables of a plan, on the device of the laws.

    For one problem on a CPU numpy makes them: its operations take half the time of torch's, its sort less than that.
    """
    if target.ndim > 1 or target.device.type != "cpu":
        return planner(target, draft)
    return map(torch.from_numpy, planner(target.detach().numpy(), draft.detach().numpy()))


def _look_up(table: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Return table[..., index]: one table for all rows, or one in each."""
    return table[index] if table.ndim == 1 else table.gather(-1, index)
