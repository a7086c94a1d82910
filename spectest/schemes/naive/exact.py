"""How often the residual draw meets another draft, where the drafts are drawn without replacement.

Given that x was drafted first, the other drafts are n - 1 drafts without replacement of what is left: an exponential
race of rates q among the tokens other than x (see `spectest.drafting.race`). Token y is among them if fewer than n - 1
tokens other than x and y arrive before it. Rejected tokens have q > p and residual ones p > q, so that the sum over x
and the sum over y run over different tokens, and the count of arrivals factorises:

    sum_xy (q - p)+(x) R(y) ∫ q_y exp(-q_y t) P(fewer than n - 1 of V - {x, y} have arrived by t) dt
        = ∫ [coefficients below u^(n-1)] A_t(u) B_t(u) dt,

A_t = sum over x of (q - p)+(x) prod over z != x with q_z >= p_z of g_z(u), and B_t likewise of R(y) q_y exp(-q_y t)
over the tokens with p > q; g_z(u) = exp(-q_z t) + (1 - exp(-q_z t)) u. Positive terms only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from spectest import drafting
from spectest.schemes.common.quadrature import half_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spectest.problem import Problem

_PAIR: Final = 2
_LAST: Final = 45.0  # exp(-45) = 3e-20
_LIGHTEST: Final = 1e-290  # t stays far from overflow
_BLOCK: Final = 300_000  # numbers per temporary, which stay in cache


def coincidence_distinct(problem: Problem) -> float:
    """Return P(the first draft is rejected and the residual draw is among the others), without replacement.

    Closed form for n = 2; for more an integral, or every tuple of drafts where hardly n tokens have mass to speak of.

    Raises:
        ProblemTooLarge: fewer than n draft probabilities exceed 1e-290, and there are too many tuples to enumerate.
    """
    target, draft, n = problem.target, problem.draft, problem.n_drafts
    rejected, residual = np.maximum(draft - target, 0.0), np.maximum(target - draft, 0.0)
    total = residual.sum()
    if n == 1 or total <= 0:
        return 0.0
    residual /= total
    if n == _PAIR:
        return float((residual @ draft) * (rejected / _others(draft)).sum())
    anchor = float(np.partition(draft, -n)[-n])
    if anchor < _LIGHTEST:
        tuples, mass = drafting.get(problem.drafting).joint_law(problem)
        first = tuples[:, 0]
        return float((mass * rejected[first] / draft[first]) @ residual[tuples[:, 1:]].sum(axis=1))
    # By t = 45 / (n-th largest mass) either n - 1 tokens other than x and y have arrived, or y has.
    times, weights = half_line(n, _LAST / anchor)
    over, under = (np.flatnonzero((draft > 0) & side) for side in (target <= draft, target > draft))
    found = 0.0
    blocks = max(1, times.size * n * max(over.size, under.size) // _BLOCK)
    for t, weight in zip(np.array_split(times, blocks), np.array_split(weights, blocks), strict=True):
        rejections = _left_out(draft[over], t, np.broadcast_to(rejected[over, None], (over.size, t.size)), n - 1)
        arrival = residual[under] * draft[under]
        arrivals = _left_out(draft[under], t, arrival[:, None] * np.exp(-np.multiply.outer(draft[under], t)), n - 1)
        found += float(_product(rejections, arrivals).sum(axis=0) @ weight)
    return found


def _others(draft: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mass of the other tokens, (V,): that of the heaviest one is summed, never 1 - q."""
    others = 1.0 - draft
    heaviest = int(draft.argmax())
    others[heaviest] = np.delete(draft, heaviest).sum()
    return others


def _product(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Multiply polynomials in u held as (degree, ...) coefficients, dropping the powers that are not held."""
    product: NDArray[np.float64] = a[0] * b
    for k in range(1, len(a)):
        product[k:] += a[k] * b[: len(b) - k]
    return product


def _left_out(
    rates: NDArray[np.float64], times: NDArray[np.float64], weights: NDArray[np.float64], size: int
) -> NDArray[np.float64]:
    """Return sum_x w_x prod over z != x of g_z(u) up to u^(size-1), (size, T), pairing tokens up in a tree.

    Args:
        rates: q of M >= 0 tokens, (M,).
        times: t, (T,).
        weights: w, (M, T).
        size: how many coefficients to keep.
    """
    if not rates.size:
        return np.zeros((size, times.size))
    exponent = -np.multiply.outer(rates, times)
    whole = np.zeros((size, *exponent.shape))
    whole[0] = np.exp(exponent)
    if size > 1:
        whole[1] = -np.expm1(exponent)
    partial = np.zeros_like(whole)
    partial[0] = weights
    while whole.shape[1] > 1:
        paired = whole.shape[1] // 2 * 2
        left, right = whole[:, :paired:2], whole[:, 1:paired:2]
        joined = _product(partial[:, :paired:2], right) + _product(left, partial[:, 1:paired:2])
        partial = np.concatenate([joined, partial[:, paired:]], axis=1)
        whole = np.concatenate([_product(left, right), whole[:, paired:]], axis=1)
    return partial[:, 0]
