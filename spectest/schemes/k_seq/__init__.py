"""K-SEQ (SpecTr, Sun et al., arXiv 2310.15141, algorithm 2): every draft faces the same, scaled-down test.

The drafts, i.i.d. from q, are tried in order; each is accepted with probability min(1, p / (rho q)). With
t = sum (q - p / rho)+ the probability that one is rejected and kappa = 1 + t + ... + t^(n-1), token x is accepted with
probability min(p / rho, q)(x) kappa in all, and where all are rejected the residual is p - min(p / rho, q) kappa. It is
nowhere negative exactly if kappa <= rho: for rho from rho* = kappa(rho*) in [1, n] upwards. At rho* the residual is
(p - rho* q)+ and the acceptance sum min(p, rho* q).
"""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from spectest.declaration import selector
from spectest.errors import InvalidProblem, UsageError
from spectest.schemes.base import Scheme

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from spectest.problem import Problem

#: How far kappa may exceed a rho that was asked for: a rho* computed elsewhere is welcome.
SLACK: Final = 1e-12
_CLOSEST: Final = 4 * np.finfo(np.float64).eps


def rho_star(target: NDArray[np.float64], draft: NDArray[np.float64], n: int) -> float:
    """Return the least rho of a lossless K-SEQ to rounding, in [1, n]; laws (V,), both summing to 1.

    It is the root of kappa(rho) = rho: beta (kappa - rho) = 1 - (1 - beta)^n - rho beta decreases in rho, and at 1 and
    n it has opposite signs. Where p and q are disjoint every rho will do, and the answer is n.

    Example:
        >>> round(rho_star(np.array([5 / 9, 4 / 9]), np.array([1 / 3, 2 / 3]), 2), 12)
        1.333333333333
    """
    from scipy.optimize import brentq  # noqa: PLC0415 (slow to import)

    def excess(rho: float) -> float:
        return _tries(float(np.maximum(draft - target / rho, 0.0).sum()), n) - rho

    if excess(1.0) <= 0:
        return 1.0
    if excess(float(n)) >= 0:
        return float(n)
    return float(brentq(excess, 1.0, float(n), xtol=_CLOSEST, rtol=_CLOSEST))


def _tries(rejects: float, n: int) -> float:
    """Return kappa = sum over k < n of t^k, the expected number of drafts tried."""
    return float(np.polyval(np.ones(n), rejects))


@selector(drafting="with_replacement", broadcast=True, scheme="k_seq")
def select(
    target_probs: torch.Tensor, draft_probs: torch.Tensor, draft_token_ids: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Select by K-SEQ at each row's own rho*; see `Scheme.select` for the arguments."""
    return _select(target_probs, draft_probs, draft_token_ids, generator, None)


def _select(
    target_probs: torch.Tensor,
    draft_probs: torch.Tensor,
    draft_token_ids: torch.Tensor,
    generator: torch.Generator,
    rho: float | None,
) -> torch.Tensor:
    from spectest.schemes.common.batch import batch_laws  # noqa: PLC0415 (torch, only when selecting)
    from spectest.schemes.common.sampling import check_inputs  # noqa: PLC0415
    from spectest.schemes.k_seq.plan import Plan, least_rho  # noqa: PLC0415

    check_inputs(target_probs, draft_probs, draft_token_ids, generator)
    target, draft = batch_laws(target_probs, draft_probs[:, 0])
    n = draft_token_ids.shape[1]
    if rho is None:
        return Plan(target, draft, n, least_rho(target, draft, n)).select(draft_token_ids, generator)
    plan = Plan(target, draft, n, target.new_full((*target.shape[:-1], 1), rho))
    if bool((plan.tries > rho * (1 + SLACK)).any()):
        msg = f"`rho` must be at least rho* of every row, got {rho}: K-SEQ is not lossless below; leave it out for rho*"
        raise UsageError(msg)
    return plan.select(draft_token_ids, generator)


class _Parts(NamedTuple):
    """What K-SEQ does with a problem."""

    accepted: NDArray[np.float64]  # P(x is accepted), (V,)
    missed: float  # P(all drafts are rejected)
    residual: NDArray[np.float64]  # the law of what is drawn then, (V,)
    rejected: NDArray[np.float64]  # the law of each draft then, (V,)


class KSeq(Scheme):
    """K-SEQ with rho* by default.

    Lossless at every rho >= rho*, and accepts at least recursive rejection's share at rho*.

    Args:
        drafting: `with_replacement`, the only law: all drafters must be the same.
        rho: the scale of the tests; rho* of each problem by default.

    Raises:
        UsageError: `rho` is not a finite number of at least 1.

    Example:
        >>> from spectest import Problem
        >>> problem = Problem([0.2, 0.3, 0.5], [0.5, 0.3, 0.2], n_drafts=2)
        >>> round(KSeq().acceptance(problem), 12), round(KSeq(rho=2).acceptance(problem), 12)
        (0.791355287257, 0.770950413223)
    """

    name = "k_seq"
    laws = ("with_replacement",)
    options = ("rho",)

    def __init__(self, *, drafting: str | None = None, rho: float | None = None) -> None:
        super().__init__(drafting=drafting)
        if rho is not None and (isinstance(rho, bool) or not isinstance(rho, Real) or not 1 <= rho < np.inf):
            msg = f"`rho` of k_seq must be a finite number of at least 1, or None for rho*, got {rho!r}"
            raise UsageError(msg)
        self.rho = None if rho is None else float(rho)

    def acceptance(self, problem: Problem) -> float:
        """Return P(accepted) + P(all rejected) P(the residual draw is among the drafts); any V and n.

        Raises:
            UsageError: drafts not drawn with replacement.
            InvalidProblem: `rho` is below rho* of the problem.
        """
        parts = self._parts(problem)
        with np.errstate(divide="ignore"):  # a draft rejected for certain
            among = -np.expm1(problem.n_drafts * np.log1p(-np.minimum(parts.rejected, 1.0)))
        return min(1.0, float(parts.accepted.sum() + parts.missed * (parts.residual @ among)))

    def output_law(self, problem: Problem) -> NDArray[np.float64]:
        """Return P(x is accepted) + P(all rejected) times the residual, (V,).

        Raises:
            UsageError: drafts not drawn with replacement.
            InvalidProblem: `rho` is below rho* of the problem.
        """
        parts = self._parts(problem)
        law: NDArray[np.float64] = parts.accepted + parts.missed * parts.residual
        return law

    def select(
        self,
        target_probs: torch.Tensor,
        draft_probs: torch.Tensor,
        draft_token_ids: torch.Tensor,
        generator: torch.Generator,
    ) -> torch.Tensor:
        """Select one token per row, (B,) int64; see `Scheme.select`.

        Raises:
            UsageError: besides, `rho` is below rho* of a row.
        """
        return _select(target_probs, draft_probs, draft_token_ids, generator, self.rho)

    def _parts(self, problem: Problem) -> _Parts:
        target, draft, n = self._checked(problem).target, problem.draft, problem.n_drafts
        rho = rho_star(target, draft, n) if self.rho is None else self.rho
        scaled = target / rho
        rejected = np.maximum(draft - scaled, 0.0)
        rejects = float(rejected.sum())
        tries = _tries(rejects, n)
        if tries > rho * (1 + SLACK):
            least = rho_star(target, draft, n)
            msg = f"`rho` of k_seq must be at least rho* = {least:.6g} of the problem to be lossless, got {rho:.6g}"
            raise InvalidProblem(msg)
        accepted = np.minimum(scaled, draft) * tries
        residual = np.maximum(target - accepted, 0.0)
        total = residual.sum()
        return _Parts(
            accepted,
            rejects**n,
            residual / total if total > 0 else target,
            rejected / rejects if rejects > 0 else rejected,
        )


SCHEME = KSeq
