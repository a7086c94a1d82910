"""Seats: the exact optimum for i.i.d. drafts, at any vocabulary; the same rule for other drafting laws.

Every draft draws a seat, and the highest seat wins; the winner is then verified against its law by single-draft
speculative sampling. The seats are made so that the winner's law r is the best one there is: P(acceptance) =
sum min(p, r) = α*, the optimum, for n drafts from one law. For different drafters, and for two drafts without
replacement, it is lossless too, and reports how far from the optimum it is. Proofs: docs/seats.md.

What laws r can be reached is classical: Border 1991 and 2007 (reduced-form auctions), Hart and Reny 2015. Verifying a
picked draft is the canonical decomposition of Khisti et al., 2410.18234. The seats are this project's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from spectest import optimum
from spectest.declaration import selector
from spectest.errors import ProblemTooLarge, UsageError
from spectest.schemes.base import Scheme
from spectest.schemes.common.enumerated import verified
from spectest.schemes.seats import chain as seats_chain
from spectest.schemes.seats import distinct as seats_distinct
from spectest.schemes.seats import exact as seats_exact
from spectest.schemes.seats import plan as seats_plan
from spectest.schemes.seats.support import Support, condense

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from spectest.optimum import Optimum
    from spectest.problem import Problem

_PAIR: Final = 2
_ROUNDING: Final = 5e-13


@selector(drafting="with_replacement", broadcast=True, scheme="seats")
def with_replacement(
    target_probs: torch.Tensor, draft_probs: torch.Tensor, draft_token_ids: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Select from i.i.d. drafts, with the optimal acceptance; see `Scheme.select` for the arguments."""
    from spectest.schemes.common.sampling import check_inputs  # noqa: PLC0415 (torch, only when selecting)
    from spectest.schemes.seats.selecting import select  # noqa: PLC0415
    from spectest.schemes.seats.winner import plan_iid  # noqa: PLC0415

    check_inputs(target_probs, draft_probs, draft_token_ids, generator)
    planner = partial(plan_iid, n_drafts=draft_token_ids.shape[1])
    return select(target_probs, draft_probs[:, 0], draft_token_ids, generator, planner)


@selector(drafting="independent", broadcast=True, scheme="seats")
def independent(
    target_probs: torch.Tensor, draft_probs: torch.Tensor, draft_token_ids: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Select from independent drafts, each of its own law; see `Scheme.select` for the arguments."""
    from spectest.schemes.common.sampling import check_inputs  # noqa: PLC0415 (torch, only when selecting)
    from spectest.schemes.seats.selecting import select  # noqa: PLC0415
    from spectest.schemes.seats.winner import plan_independent  # noqa: PLC0415

    check_inputs(target_probs, draft_probs, draft_token_ids, generator)
    return select(target_probs, draft_probs, draft_token_ids, generator, plan_independent)


@selector(drafting="without_replacement", n_drafts=2, broadcast=True, scheme="seats")
def without_replacement(
    target_probs: torch.Tensor, draft_probs: torch.Tensor, draft_token_ids: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Select from two distinct drafts, or from one; see `Scheme.select` for the arguments."""
    from spectest.schemes.common.sampling import check_inputs  # noqa: PLC0415 (torch, only when selecting)
    from spectest.schemes.seats.selecting import select  # noqa: PLC0415
    from spectest.schemes.seats.winner import plan_distinct, plan_iid  # noqa: PLC0415

    check_inputs(target_probs, draft_probs, draft_token_ids, generator)
    n = draft_token_ids.shape[1]
    if n > _PAIR:
        msg = f"`draft_token_ids` must hold at most two drafts per row for seats without replacement, got {n}"
        raise UsageError(msg)
    planner = plan_distinct if n == _PAIR else partial(plan_iid, n_drafts=1)
    return select(target_probs, draft_probs[:, 0], draft_token_ids, generator, planner)


#: `module:select` is the selector of a scheme's first law.
select = with_replacement


@dataclass(frozen=True, eq=False)
class WinnerLaw:
    """The law of the winner, and what it is worth.

    Args:
        law: R, P(the draft of the highest seat is x), (V,).
        guaranteed: sum min(p, R), the probability that the winner is accepted: at most the acceptance.
        optimum: the optimum of the problem, or the best upper bound found where it is not known exactly.
    """

    law: NDArray[np.float64]
    guaranteed: float
    optimum: Optimum

    @property
    def gap(self) -> float:
        """How far `guaranteed` is from the optimum, at most."""
        return max(0.0, self.optimum.value - self.guaranteed)

    def to_dict(self) -> dict[str, Any]:
        """Return what it is worth as a JSON-ready dict."""
        return {"guaranteed": self.guaranteed, "gap": self.gap, "optimum": self.optimum.to_dict()}


class Seats(Scheme):
    """Seats: every draft draws a seat, the highest seat wins, and the winner is verified against its law.

    Lossless for each of its drafting laws; of optimal acceptance for i.i.d. drafts.

    Example:
        >>> from spectest import Problem, optimal_acceptance
        >>> p, q = [0.1, 0.2, 0.7], [0.6, 0.3, 0.1]
        >>> round(Seats().acceptance(Problem(p, q, n_drafts=2)), 12), round(optimal_acceptance(p, q, 2).value, 12)
        (0.49, 0.49)
        >>> Seats().plan(Problem(p, q, n_drafts=2)).law.round(3).tolist()
        [0.54, 0.27, 0.19]
    """

    name = "seats"
    selectors: ClassVar = {
        "with_replacement": with_replacement,
        "independent": independent,
        "without_replacement": without_replacement,
    }
    laws = tuple(selectors)
    most_drafts: ClassVar[dict[str, int]] = {"without_replacement": _PAIR}

    def acceptance(self, problem: Problem) -> float:
        """Return P(output is among the drafts): any V where the optimum is attained, elsewhere V in the thousands.

        With replacement it is sum min(p, R): swaps stay on either side of the cut of p/q that decides the optimum, and
        only winners below it are rejected, when all drafts are below, while the residual is above. Rounding is all that
        crosses it.
        """
        support, planned = self._planned(problem)
        accepted = float(np.minimum(support.target, planned.law).sum())
        # Where the winner alone comes as close to the bound as this, there is nothing left for coincidences to add.
        if isinstance(planned, seats_chain.Chain) and 1 - planned.loss.item() - accepted > _ROUNDING:
            accepted += seats_exact.coincidences(planned, support.target)
        return min(accepted, 1.0)

    def output_law(self, problem: Problem) -> NDArray[np.float64]:
        """Return the output's law, (V,): what the kernel makes the winner's law, verified against R."""
        support, planned = self._planned(problem)
        law = planned.law
        picked = law
        if isinstance(planned, seats_plan.Seats):
            picked = seats_exact.iid_winner_law(planned, support.draft)
        output = verified(support.target, law, picked[None])[0]
        elsewhere = problem.target.copy()
        elsewhere[support.ids] = 0
        total = elsewhere.sum()
        full: NDArray[np.float64] = output[-1] * (elsewhere / total if total > 0 else problem.target)
        full[support.ids] += output[:-1]
        return full

    def plan(self, problem: Problem) -> WinnerLaw:
        """Return the winner's law on any problem of these drafting laws, and how far from the optimum it is at most.

        Example:
            >>> from spectest import Problem
            >>> drafters = [[0.6, 0.3, 0.1], [0.2, 0.5, 0.3]]
            >>> planned = Seats().plan(Problem([0.1, 0.2, 0.7], drafters, 2, "independent"))
            >>> round(planned.guaranteed, 12), planned.gap < 1e-12
            (0.67, True)
        """
        support, planned = self._planned(problem)
        law = np.zeros(problem.vocab_size)
        law[support.ids] = planned.law[:-1]
        guaranteed = float(np.minimum(problem.target, law).sum())
        return WinnerLaw(law, guaranteed, optimum.bound(problem))

    def _planned(self, problem: Problem) -> tuple[Support, seats_plan.Seats | seats_chain.Chain]:
        """Return the problem on the tokens that can be drafted, and its seats."""
        law, n = self._checked(problem).drafting, problem.n_drafts
        support = condense(problem.target, problem.target.sum(keepdims=True), problem.draft)
        if law == "independent":
            return support, seats_chain.independent(support.target, support.draft)
        if law != "without_replacement" or n == 1:
            return support, seats_plan.plan(support.target, support.draft, n)
        chain = seats_distinct.two_distinct(support.target, support.draft)
        if seats_distinct.is_alone(chain).any():
            msg = "seats without replacement: no exact route where all tokens but one are drafted with less than 1e-300"
            raise ProblemTooLarge(msg)
        return support, chain


SCHEME = Seats
