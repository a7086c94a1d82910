"""The power of each test against one given alternative, beside that of a test that knew it.

`..._detectable` and `..._samples` are for the worst deviation of a size. Here the deviation is known, as in a study of
which test sees which bug first.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import special

from spectest.stats.noncentral import critical_value, noncentrality_for
from spectest.stats.pooling import pool
from spectest.stats.scan import token_sets
from spectest.stats.validation import law, rate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

_MIN_EXPECTED: Final = 100.0
_PRECISION: Final = 1.002
_HOPELESS: Final = 1e6  # times what a test without pooling needs


def oracle_samples(null: ArrayLike, alternative: ArrayLike, *, alpha: float) -> float:
    """Return log(1/α)/KL(p'‖p): about what a likelihood-ratio test needs that knows p'. No test needs much less.

    Args:
        null: the law p under the null hypothesis, (V,).
        alternative: the law p' that is sampled, (V,).
        alpha: false-alarm rate.

    Returns:
        Samples; inf where the laws are equal. Mass on what p excludes counts with the chance to see it once.

    Raises:
        ValueError: an argument is not as above.

    Example:
        >>> round(oracle_samples([0.5, 0.5], [0.6, 0.4], alpha=1e-9))
        1029
    """
    p, changed = law(null, name="null"), law(alternative, name="alternative")
    level = rate(alpha, name="alpha")
    impossible = float(changed[p == 0].sum())
    seen = changed > 0
    possible = seen & (p > 0)
    divergence = float((changed[possible] * np.log(changed[possible] / p[possible])).sum())
    wanted = [math.log(1 / level) / divergence] if divergence > 0 else []
    wanted += [1 / impossible] if impossible > 0 else []
    return min(wanted, default=math.inf)


def chi_squared_power(null: ArrayLike, alternative: ArrayLike, *, alpha: float, beta: float) -> float:
    """Return the samples at which `chi_squared_test` finds this alternative with probability 1 - beta.

    By the non-central chi-squared law, with cells pooled as the test pools them.

    Args:
        null: the law p under the null hypothesis, (K,).
        alternative: the law p' that is sampled, (K,).
        alpha: false-alarm rate.
        beta: miss rate.

    Returns:
        Samples; inf where this test sees no difference.

    Raises:
        ValueError: an argument is not as above.

    Example:
        >>> round(chi_squared_power([0.5, 0.5], [0.6, 0.4], alpha=1e-9, beta=1e-3), -1)
        2120.0
    """
    p, changed = law(null, name="null"), law(alternative, name="alternative")
    level, miss = rate(alpha, name="alpha"), rate(beta, name="beta")

    def enough(samples: float) -> bool:
        cells = pool(p, min_expected=min(1.0, _MIN_EXPECTED / samples))
        return _by_pooled(p, changed, cells, level, miss) <= samples

    most = _by_pooled(p, changed, np.arange(p.size), level, miss)
    samples = _MIN_EXPECTED
    while not enough(samples):
        if samples > _HOPELESS * most or math.isinf(most):
            return math.inf
        samples *= 2
    low, high = samples / 2, samples
    while high > low * _PRECISION:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _by_pooled(
    p: NDArray[np.float64], changed: NDArray[np.float64], cells: NDArray[np.int64], alpha: float, beta: float
) -> float:
    kept = (cells >= 0) & (p > 0)
    null = np.bincount(cells[kept], weights=p[kept])
    other = np.bincount(cells[kept], weights=changed[kept])
    if null.size < 2:  # noqa: PLR2004 (one cell deviates from nothing)
        return math.inf
    per_sample = float(((other - null) ** 2 / null).sum())
    dof = null.size - 1
    lam = noncentrality_for(critical_value(alpha, dof=dof), dof=dof, beta=beta)
    return lam / per_sample if per_sample > np.finfo(np.float64).eps ** 2 else math.inf


def scan_power(
    null: ArrayLike,
    alternative: ArrayLike,
    maps: Mapping[str, NDArray[np.int64]],
    *,
    alpha: float,
    beta: float,
) -> float:
    """Return the samples at which `scan_test` finds this alternative with probability 1 - beta, by its best set.

    By normal tails; where a set has lost everything by the chance to see none of it.

    Args:
        null: the law p under the null hypothesis, (V,).
        alternative: the law p' that is sampled, (V,).
        maps: as in `scan_test`.
        alpha: false-alarm rate.
        beta: miss rate.

    Returns:
        Samples; inf where no set's mass differs.

    Raises:
        ValueError: an argument is not as above.
    """
    p, changed = law(null, name="null"), law(alternative, name="alternative")
    level, miss = rate(alpha, name="alpha"), rate(beta, name="beta")
    masses, others = np.clip(token_sets(p, maps).sums, 0, 1), np.clip(token_sets(changed, maps).sums, 0, 1)
    if not masses.size:
        return math.inf
    high = -float(special.ndtri(level / masses.size / 2))
    off = np.abs(others - masses)
    spread = high * np.sqrt(masses * (1 - masses)) - float(special.ndtri(miss)) * np.sqrt(others * (1 - others))
    visible = off > np.finfo(np.float64).eps * 8
    needed = np.divide(spread, off, out=np.full(off.size, np.inf), where=visible) ** 2
    # A set that has lost everything is found once to see none of it is too unlikely: (1 - m)^N <= α.
    lost = (others == 0) & (masses > 0) & (masses < 1)
    silent = np.divide(math.log(2 * masses.size / level), -np.log1p(-np.where(lost, masses, 0.5)))
    return float(np.where(lost, silent, needed).min())
