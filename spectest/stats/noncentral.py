"""The non-central chi-squared law, from its Poisson mixture: accurate far out in the upper tail."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

import numpy as np
from scipy import special

_STEPS: Final = 100
_PRECISION: Final = 1e-12
# The mixture's terms are log-concave with a spread of at most the root of the mode: 9 spreads leave out 1e-18.
_SPREADS: Final = 9.0
_MOST_TERMS: Final = 4000


def _mixture(x: float, dof: float, noncentrality: float) -> tuple[float, float]:
    """Return (survival, density) at x: sums of Poisson(λ/2) weights times central chi-squared terms, all positive."""
    mean = noncentrality / 2
    # The largest term solves mean·(x/2) = j(j + dof/2) in the upper tail, and sits at the Poisson mean below it.
    mode = max(mean, (math.sqrt(dof * dof / 4 + 2 * mean * x) - dof / 2) / 2)
    reach = _SPREADS * math.sqrt(mode) + 50
    # Where there are very many terms they are smooth: every stride-th, times the stride, gives the same sum.
    stride = max(1, int(2 * reach / _MOST_TERMS))
    j = np.arange(math.floor(max(0.0, mode - reach)), math.ceil(mode + reach) + 1, stride, dtype=np.float64)
    log_weight = special.xlogy(j, mean) - mean - special.gammaln(j + 1) + math.log(stride)
    shape = dof / 2 + j
    log_density = special.xlogy(shape - 1, x / 2) - x / 2 - special.gammaln(shape) - math.log(2)
    survival = float((np.exp(log_weight) * special.chdtrc(dof + 2 * j, x)).sum())
    return min(survival, 1.0), float(np.exp(log_weight + log_density).sum())


def survival(x: float, *, dof: float, noncentrality: float) -> float:
    """Return P(X >= x) for X non-central chi-squared, accurate relative to itself down to 1e-300.

    Example:
        >>> f"{survival(100.0, dof=15, noncentrality=20.0):.6g}"
        '3.22161e-06'
    """
    if x <= 0:
        return 1.0
    return _mixture(x, dof, noncentrality)[0]


@lru_cache(maxsize=4096)
def critical_value(alpha: float, *, dof: float, noncentrality: float = 0.0) -> float:
    """Return the x with P(X >= x) = alpha."""
    if noncentrality == 0:
        return float(special.chdtri(dof, alpha))
    x = dof + noncentrality + max(0.0, -float(special.ndtri(alpha))) * math.sqrt(2 * (dof + 2 * noncentrality))
    for _ in range(_STEPS):
        tail, density = _mixture(x, dof, noncentrality)
        # log P(X >= x) is concave in x, so Newton's method lands at or right of the root and never leaves it.
        step = math.log(tail / alpha) * tail / density
        x = max(x + step, x / 2)
        if abs(step) <= _PRECISION * x:
            break
    return x


@lru_cache(maxsize=4096)
def noncentrality_for(critical: float, *, dof: float, beta: float) -> float:
    """Return the smallest non-centrality λ with P(X < critical) <= beta: what a test needs to miss rarely enough."""
    if float(special.chndtr(critical, dof, 0.0)) <= beta:
        return 0.0
    z = max(0.0, -float(special.ndtri(beta)))
    value = max(critical - dof, 1.0) + z * math.sqrt(2 * (dof + 2 * critical))
    for _ in range(_STEPS):
        miss = float(special.chndtr(critical, dof, value))
        # dF_k/dλ = (F_{k+2} - F_k) / 2; log F is concave in λ, so Newton's method cannot cycle.
        slope = (float(special.chndtr(critical, dof + 2, value)) - miss) / 2
        step = math.log(beta / miss) * miss / slope
        value = max(value + step, value / 2)
        if abs(step) <= _PRECISION * value:
            break
    return value
