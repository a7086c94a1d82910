"""Which route to the optimum a problem takes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.drafting.enumeration import MAX_TUPLES
from spectest.errors import ProblemTooLarge
from spectest.optimum import closed, prefix
from spectest.optimum.flow import flow_optimum, flow_plan
from spectest.optimum.independent import independent
from spectest.optimum.plan import sets_of
from spectest.optimum.search import search
from spectest.optimum.subsets import MAX_TOKENS, drafted_tokens, enumerate_subsets
from spectest.problem import Problem

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from spectest.optimum.plan import TransportPlan
    from spectest.optimum.result import Optimum


#: Passes of the search for different drafters, where a maximum flow could take its place.
_PATIENCE: Final = 400


def _drafts_are_iid(problem: Problem) -> bool:
    """Whether the drafts are i.i.d. under another name: one draft, or drafters that are all the same."""
    if problem.drafting == "independent":
        return bool((problem.draft == problem.draft[0]).all())
    return problem.drafting == "with_replacement" or (
        problem.drafting == "without_replacement" and problem.n_drafts == 1
    )


def solve(problem: Problem, *, primal: bool = False) -> Optimum:
    """Return the exact optimum of `problem`, never an estimate.

    Args:
        problem: with replacement, greedy and hub at any V; without replacement at any V (n >= 3 integrates, about
            1e-13); different drafters at any V, certified to 1e-13 (to rounding where 14 tokens or fewer are drafted).
        primal: also find a transport plan that attains it, `Optimum.plan`, by maximum flow on the enumerated drafts.

    Raises:
        ProblemTooLarge: no exact route exists at this size, `bound` still answers; or no plan can be written out.

    Example:
        >>> optimum = solve(Problem([0.5, 0.5, 0.0], [0.0, 0.5, 0.5], n_drafts=2))
        >>> optimum.value, optimum.to_dict()["subset"], optimum.method
        (0.5, [1, 2], 'prefix')
    """
    if primal:
        return replace(solve(problem), plan=_plan(problem))
    if _drafts_are_iid(problem):
        return prefix.with_replacement(problem.target, problem.draft_rows[0], problem.n_drafts)
    if problem.drafting in {"greedy", "hub"}:  # they differ in the order of the drafts alone
        return closed.greedy(problem)
    if problem.drafting == "without_replacement" and drafted_tokens(problem).size > MAX_TOKENS:
        return prefix.without_replacement(problem)
    if problem.drafting == "independent" and drafted_tokens(problem).size > MAX_TOKENS:
        return _different_drafters(problem)
    return enumerate_subsets(problem)


def _different_drafters(problem: Problem) -> Optimum:
    """Search, which nearly always takes some 20 to 80 passes, and where it does not, solve the flow if it is small.

    The search stalls where p is nearly one drafter's law, up to ties: there many sets are nearly best.
    """
    tuples = math.prod(int(np.count_nonzero(row)) for row in problem.draft_rows)
    if tuples > MAX_TUPLES:
        return independent(problem)
    try:
        return independent(problem, _PATIENCE)
    except ProblemTooLarge:
        return flow_optimum(problem.target, sets_of(problem))


def _plan(problem: Problem) -> TransportPlan:
    try:
        return flow_plan(problem)
    except ProblemTooLarge as error:
        msg = (
            f"no transport plan can be written out ({error}); for i.i.d. drafts the scheme `seats` attains the optimum"
        )
        raise ProblemTooLarge(msg) from error


def bound(problem: Problem) -> Optimum:
    """Return the optimum where it is known exactly, else the best upper bound found, marked `exact=False`.

    Any subset H bounds every lossless acceptance by 1 + p(H) - Q(H): the bound holds whatever the search found.

    Raises:
        ProblemTooLarge: not even Q(H) is known at this size.
    """
    try:
        return solve(problem)
    except ProblemTooLarge:
        return search(problem)


def optimal_acceptance(
    target: ArrayLike, draft: ArrayLike, n_drafts: int, drafting: str = "with_replacement", *, primal: bool = False
) -> Optimum:
    """Return the largest acceptance any lossless selector can have, exactly, with the subset that certifies it.

    Args:
        target: target probabilities p, shape (V,).
        draft: draft probabilities q, shape (V,), or (n, V) for `independent`.
        n_drafts: how many drafts are drawn.
        drafting: how they are drawn, a name in `spectest.problem.DRAFTING`.
        primal: also find a transport plan that attains it, `.plan`; small problems only.

    Returns:
        An `Optimum`: `.value` = 1 + p(H) - Q(H) with H = `.subset` (Hu et al., arXiv 2502.18779).

    Raises:
        InvalidProblem: the arguments are not a problem.
        ProblemTooLarge: no exact route exists at this size, or no plan can be written out.

    Example:
        >>> round(optimal_acceptance([5 / 9, 4 / 9], [1 / 3, 2 / 3], n_drafts=1).value, 12)
        0.777777777778
        >>> optimal_acceptance([5 / 9, 4 / 9], [1 / 3, 2 / 3], n_drafts=2).value
        1.0
    """
    return solve(Problem(target, draft, n_drafts, drafting), primal=primal)
