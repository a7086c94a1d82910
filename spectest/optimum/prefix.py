"""Optima found among the V + 1 prefixes of the tokens in ascending order of p/q (Hu et al., arXiv 2502.18779).

Some minimiser of p(H) - Q(H) is such a prefix. With replacement: Q(H) = q(H)^n is convex in q(H), so the minimiser also
minimises the linear p(H) - λ q(H), λ = n q(H)^(n-1). Without replacement: Hu et al., "q-convex" functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spectest.drafting.without_replacement import WITHOUT_REPLACEMENT
from spectest.optimum.result import Optimum, certified, cut_value

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spectest.problem import Problem


def ratio_order(target: NDArray[np.float64], draft: NDArray[np.float64], largest: float = np.inf) -> NDArray[np.intp]:
    """Return the ids of positive draft mass by p/q ascending, ties by id; those with p > largest * q are left out."""
    ids = np.flatnonzero((draft > 0) & (target <= largest * draft)) if largest < np.inf else np.flatnonzero(draft)
    with np.errstate(over="ignore"):  # p/q = inf where q is subnormal: such tokens weigh nothing in Q
        ratio = target[ids] / draft[ids]
    return ids.take(np.argsort(ratio, kind="stable"))


def power_miss(contained: NDArray[np.float64], outside: NDArray[np.float64], n_drafts: int) -> NDArray[np.float64]:
    """Return 1 - c^n from c and 1 - c, both known to full relative accuracy."""
    logarithm = np.log(contained, out=np.full_like(contained, -np.inf), where=contained > 0)
    np.log1p(-outside, out=logarithm, where=outside < contained)
    miss: NDArray[np.float64] = -np.expm1(n_drafts * logarithm)
    return miss


def with_replacement(target: NDArray[np.float64], draft: NDArray[np.float64], n_drafts: int) -> Optimum:
    """Return the exact optimum for n i.i.d. drafts, at any V in the time of one sort.

    At the minimiser p(x) <= λ q(x) <= n q(x) for every x of H, so only tokens with p <= n q are sorted. Sums over the
    tail are summed from the tail, so that 1 - q(H)^n keeps its accuracy where q(H) is nearly 1.
    """
    order = ratio_order(target, draft, float(n_drafts))
    masses = draft[order]
    excluded = np.ones(draft.size, dtype=np.bool_)
    excluded[order] = False
    inside = np.append(0.0, np.cumsum(masses))
    outside = np.append(np.cumsum(masses[::-1])[::-1], 0.0) + draft[excluded].sum()
    values = np.append(0.0, np.cumsum(target[order])) + power_miss(inside, outside, n_drafts)
    subset = np.zeros(draft.size, dtype=np.bool_)
    subset[order[: int(values.argmin())]] = True
    # The chosen subset again, by pairwise sums: running sums over a large vocabulary drift by V roundings.
    contained, rest = draft[subset].sum(keepdims=True), draft[~subset].sum(keepdims=True)
    value = target[subset].sum() + power_miss(contained, rest, n_drafts)[0]
    return certified(float(value), subset, "prefix")


def without_replacement(problem: Problem) -> Optimum:
    """Return the exact optimum for n drafts without replacement, at any V; n >= 3 costs V race integrals in one pass.

    Raises:
        ProblemTooLarge: n >= 3 and fewer than n tokens with q above 1e-290.
    """
    order = ratio_order(problem.target, problem.draft)
    contained = WITHOUT_REPLACEMENT.prefix_containment(problem, order)
    values = np.append(0.0, np.cumsum(problem.target[order])) + (1.0 - contained)
    subset = np.zeros(problem.vocab_size, dtype=np.bool_)
    subset[order[: int(values.argmin())]] = True
    return certified(cut_value(problem, subset), subset, "prefix")
