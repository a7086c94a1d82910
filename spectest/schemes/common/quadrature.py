"""Integrals over a clock: products of n factors made of exponentials, on a half-line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FIRST: Final = 1e-17
_GRID: Final = 1024


def half_line(n: int, last: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return nodes and weights (T,) of ∫ f(t) dt over t > 0: the trapezoid rule in log t.

    For f a sum of products of n factors such as exp(-a t), 1 - exp(-a t) and their averages, each at most 1 and f at
    most of order 1: what lies before the first node weighs 1e-17. In log t such an f is analytic for |Im| < π/2, and
    at |Im| = 1.3 a factor is at most 1 + 1 / cos 1.3 = 4.8: step h errs by some 4.8^n exp(-2π·1.3/h), here 1e-19.

    Args:
        n: how many factors.
        last: where the integral may stop.

    Example:
        >>> t, weights = half_line(2, 45.0)
        >>> round(float(np.exp(-2 * t) @ weights), 14)
        0.5
    """
    # Multiples of 2^-10 have no rounding: every node is off by the same nothing, and the rule is evenly spaced.
    step = max(np.floor(_GRID * 8.1 / (45.0 + 1.6 * n)), 1.0) / _GRID
    indices = np.arange(np.floor(np.log(_FIRST) / step), np.ceil(np.log(last) / step) + 1)
    nodes: NDArray[np.float64] = np.exp(step * indices)
    return nodes, step * nodes
