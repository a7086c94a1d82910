"""Optima found among the V + 1 prefixes of the tokens in ascending order of p/q (Hu et al., arXiv 2502.18779).

Some minimiser of p(H) - Q(H) is such a prefix. With replacement: Q(H) = q(H)^n is convex in q(H), so the minimiser
also minimises the linear p(H) - λ q(H), λ = n q(H)^(n-1). Without replacement: Hu et al., "q-convex" functions; a proof
is in `spectest.optimum.pruning`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.drafting.without_replacement import WITHOUT_REPLACEMENT
from spectest.optimum.pruning import crossing, least_prefix
from spectest.optimum.result import Optimum, certified, cut_value

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spectest.problem import Problem

_OCTAVES: Final = 16
_SHIFT: Final = 16  # of the bits of a float32: sign, exponent and 7 bits of the mantissa are left, 128 bins per octave
_SLACK: Final = 2.0**-22  # twice the rounding of a float32
_FEW: Final = 2048  # tokens that are sorted at once
_ROUNDING: Final = 2.0**-50


def ratio_order(target: NDArray[np.float64], draft: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the ids of positive draft mass by p/q ascending, ties by id."""
    ids = np.flatnonzero(draft)
    with np.errstate(over="ignore"):  # p/q = inf where q is subnormal: such tokens weigh nothing in Q
        ratio = target[ids] / draft[ids]
    return ids.take(np.argsort(ratio, kind="stable"))


def power_miss(contained: NDArray[np.float64], outside: NDArray[np.float64], n_drafts: int) -> NDArray[np.float64]:
    """Return 1 - c^n from c and 1 - c, both known to full relative accuracy."""
    logarithm = np.log(contained, out=np.full_like(contained, -np.inf), where=contained > 0)
    np.log1p(-outside, out=logarithm, where=outside < contained)
    miss: NDArray[np.float64] = -np.expm1(n_drafts * logarithm)
    return miss


def _bins(scaled: NDArray[np.float64]) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return the bin of each p/(n q), (V,), and the edges of the bins but the last, which holds p > n q and q = 0.

    Bins are equal stretches of the bits of a float32, 128 to an octave from 2^-16 up, all below in the first.
    """
    if scaled.size <= _FEW:
        return (~(scaled <= 1.0)).astype(np.int32), np.array([0.0, 1.0])
    lowest, highest = np.array([2.0**-_OCTAVES, 2.0], dtype=np.float32).view(np.int32) >> _SHIFT
    keys = np.fmin(scaled, 2.0).astype(np.float32).view(np.int32) >> _SHIFT  # fmin: 0/0 belongs to the last bin
    np.maximum(keys, lowest - 1, out=keys)
    keys -= lowest - 1
    edges = (np.arange(lowest, highest + 1, dtype=np.int32) << _SHIFT).view(np.float32)
    return keys, np.append(0.0, edges)


def with_replacement(target: NDArray[np.float64], draft: NDArray[np.float64], n_drafts: int) -> Optimum:
    """Return the exact optimum for n i.i.d. drafts, at any V in less than the time of a sort.

    At the minimiser p(x) <= λ q(x) <= n q(x) for every x of H. Tokens are counted into bins of p/q, and only bins that
    may hold the end of the best prefix are sorted.
    """
    if n_drafts == 1:
        return _certified_power(target, draft, 1, target < draft)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        scaled = target / (n_drafts * draft)
    keys, edges = _bins(scaled)
    gain, mass = (
        np.asarray(np.bincount(keys, weights=law, minlength=edges.size), dtype=np.float64) for law in (target, draft)
    )
    gains, masses = np.append(0.0, np.cumsum(gain[:-1])), np.append(0.0, np.cumsum(mass[:-1]))
    outside = np.cumsum(mass[::-1])[::-1]  # summed from the tail: 1 - c^n keeps its accuracy where c is nearly 1
    values = gains + power_miss(masses, outside, n_drafts)
    first, last = n_drafts * (1.0 - _SLACK) * edges[:-1], n_drafts * (1.0 + _SLACK) * edges[1:]
    at = crossing(mass[:-1], gain[:-1], first, last)
    bounds = gains[:-1] + first * at + power_miss(masses[:-1] + at, outside[1:] + (mass[:-1] - at), n_drafts)
    promising = np.append(bounds < values.min() - _ROUNDING, [False])
    order = np.flatnonzero(promising[keys])
    order = order[np.argsort(scaled[order], kind="stable")]
    cut, end = _within(keys[order], target[order], draft[order], (gains, masses, outside), n_drafts)
    subset = keys < values.argmin()
    if cut < values.min():
        subset = keys < keys[order[end]]
        subset[order[: end + 1]] = True
    return _certified_power(target, draft, n_drafts, subset)


def _within(
    bins: NDArray[np.int32],
    target: NDArray[np.float64],
    draft: NDArray[np.float64],
    edges: tuple[NDArray[np.float64], ...],
    n_drafts: int,
) -> tuple[float, int]:
    """Return the least value of a prefix that ends within a bin, and its last token.

    Args:
        bins: the bin of each token, ascending, (K,).
        target: p of the tokens, in the order of p/q, (K,).
        draft: their q, (K,).
        edges: P, c and 1 - c at the start of every bin, (number of bins,) each.
        n_drafts: n.
    """
    if bins.size == 0:
        return np.inf, -1
    starts = np.searchsorted(bins, bins)
    ends = np.searchsorted(bins, bins, side="right")
    gained, passed = np.append(0.0, np.cumsum(target)), np.append(0.0, np.cumsum(draft))
    gains = edges[0][bins] + (gained[1:] - gained[starts])
    masses = edges[1][bins] + (passed[1:] - passed[starts])
    outside = edges[2][bins + 1] + (passed[ends] - passed[1:])
    values = gains + power_miss(masses, outside, n_drafts)
    best = int(values.argmin())
    return float(values[best]), best


def _certified_power(
    target: NDArray[np.float64], draft: NDArray[np.float64], n_drafts: int, subset: NDArray[np.bool_]
) -> Optimum:
    """Return 1 + p(H) - q(H)^n by pairwise sums: running sums over a large vocabulary drift by V roundings."""
    contained, rest = draft[subset].sum(keepdims=True), draft[~subset].sum(keepdims=True)
    value = target[subset].sum() + power_miss(contained, rest, n_drafts)[0]
    return certified(float(value), subset, "prefix")


def without_replacement(problem: Problem) -> Optimum:
    """Return the exact optimum for n drafts without replacement, at any V; n >= 3 integrates some hundred prefixes.

    Raises:
        ProblemTooLarge: n >= 3 and fewer than n tokens with q above 1e-290.
    """
    order = ratio_order(problem.target, problem.draft)
    misses = WITHOUT_REPLACEMENT.prefix_misses(problem, order)
    end = least_prefix(problem.target[order], problem.draft[order], misses)
    subset = np.zeros(problem.vocab_size, dtype=np.bool_)
    subset[order[:end]] = True
    return certified(cut_value(problem, subset), subset, "prefix")
