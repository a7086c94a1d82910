"""Least p(H) - Q(H) along the order of p/q ascending, without looking at every prefix.

Let c be the mass q of a prefix H and P = p(H). In that order P is a convex function of c: between two prefixes it lies
above its tangents there, whose slopes are the p/q of the first and the last token between. Along any order Q is convex
in c as well: it lies below its chord (with replacement Q = c^n itself is at hand). Hence a lower bound on all that lies
between two prefixes, and a search that refines only where the bound is below the best value found.

Why Q is convex without replacement (Hu et al., arXiv 2502.18779, "q-convex"; own proof). In the exponential race of
`spectest.drafting.race` let b be the time by which n-1 tokens of A have arrived, a the time for n of them, O the first
arrival that is neither in A nor i nor j. Given these, with m = min(a, O),

    (Q(A+i) - Q(A)) / q_i     =  [b < O] ∫_0^m exp(-q_i s - q_j max(b, s)) ds,
    (Q(A+i+j) - Q(A+i)) / q_j >= [b < O] ∫_0^m exp(-q_i s [s > b] - q_j s) ds,

and the second integrand is the larger at every s: per unit of q, a token added later adds no less.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_CLOSE_ENOUGH: Final = 2.0**-46
_BLOCKS: Final = 64  # prefixes looked at in one round
_STEEPEST: Final = 1e300  # a lower bound on p/q need not be infinite


def crossing(
    mass: NDArray[np.float64], gain: NDArray[np.float64], first: NDArray[np.float64], last: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how much mass after its start the tangents of a block cross, (K,), in [0, its mass].

    Args:
        mass: mass q of each block, (K,).
        gain: its p, (K,).
        first: a lower bound on p/q in it, (K,).
        last: an upper bound, (K,); where it is infinite the tangents cross at the end.
    """
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        at = np.nan_to_num((last * mass - gain) / (last - first), nan=np.inf)
    return np.minimum(np.maximum(at, 0.0), mass)


def least_prefix(
    target: NDArray[np.float64],
    draft: NDArray[np.float64],
    misses: Callable[[NDArray[np.intp]], NDArray[np.float64]],
) -> int:
    """Return the m of the least p(H) + 1 - Q(H) over prefixes H of m tokens, to 2^-46; some hundred are looked at.

    Args:
        target: p of the tokens in ascending order of p/q, (M,).
        draft: their q, positive, (M,).
        misses: 1 - Q(H) of prefixes of given lengths, ascending (K,) -> (K,); Q convex in c.
    """
    with np.errstate(over="ignore"):  # p/q = inf where q is subnormal: such tokens weigh nothing in Q
        ratios = target / draft
    gains = np.append(0.0, np.cumsum(target))
    # Blocks are cut into equal parts of this: what is light in both laws is not looked at.
    measure = gains + np.append(0.0, np.cumsum(draft))
    lengths = np.unique(np.append(_cut(measure, np.array([0]), np.array([ratios.size]), _BLOCKS), [0, ratios.size]))
    found = misses(lengths)
    while True:
        values = gains[lengths] + found
        starts, ends = lengths[:-1], lengths[1:]
        # Sums over each block: without replacement 1e-14 of q may decide Q, and a difference of sums near 1 loses it.
        mass, gain = np.add.reduceat(draft, starts), np.add.reduceat(target, starts)
        first = np.minimum(ratios[starts], _STEEPEST)
        at = crossing(mass, gain, first, ratios[ends - 1])
        share = np.divide(at, mass, out=np.ones_like(at), where=mass > 0)
        bounds = values[:-1] + first * at + share * np.diff(found)
        open_ = np.flatnonzero((bounds < values.min() - _CLOSE_ENOUGH) & (ends - starts > 1))
        if open_.size == 0:
            return int(lengths[values.argmin()])
        new = np.setdiff1d(_cut(measure, starts[open_], ends[open_], max(2, _BLOCKS // open_.size)), lengths)
        lengths, found = np.append(lengths, new), np.append(found, misses(new))
        order = np.argsort(lengths)
        lengths, found = lengths[order], found[order]


def _cut(
    measure: NDArray[np.float64], starts: NDArray[np.intp], ends: NDArray[np.intp], parts: int
) -> NDArray[np.intp]:
    """Return lengths inside the blocks that cut each into equal parts of `measure`, and into halves by number."""
    total = measure[ends] - measure[starts]
    levels = measure[starts] + np.multiply.outer(np.arange(1, parts) / parts, total)
    cuts = np.clip(np.searchsorted(measure, levels), starts + 1, np.maximum(ends - 1, starts + 1))
    return np.append(cuts.ravel(), (starts + ends) // 2)
