"""Are two events independent? Exact at every sample size, whatever the probabilities of the two."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import gammaln, logsumexp, ndtri

from spectest.stats.validation import fewest_samples, rate, whole

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class AssociationResult:
    """What an association test found; `statistic` is the correlation φ of the two events, in [-1, 1]."""

    statistic: float
    p_value: float
    alpha: float
    rejected: bool
    samples: int

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON-ready dict."""
        return asdict(self)


def association_test(left: ArrayLike, right: ArrayLike, *, alpha: float) -> AssociationResult:
    """Reject, two-sided, with probability at most `alpha` when the pairs are i.i.d. with independent coordinates.

    Given how often either event happened, the number of times both did is hypergeometric, whatever their probabilities:
    the test is exact. The p-value doubles the smaller tail. An event that always happens, or never, never rejects.

    Args:
        left: whether the first event happened, (N,) booleans.
        right: whether the second did, (N,) booleans.
        alpha: false-alarm rate of this test.

    Raises:
        ValueError: an argument is not as above.

    Source: Fisher, Journal of the Royal Statistical Society 98 (1935).

    Example:
        >>> coins = [True, False] * 20
        >>> association_test(coins, coins, alpha=1e-6).rejected
        True
        >>> association_test(coins, coins[:20] + [not coin for coin in coins[20:]], alpha=1e-6).p_value
        1.0
    """
    level = rate(alpha, name="alpha")
    first, second = _events(left, "left"), _events(right, "right")
    if first.shape != second.shape:
        msg = f"`left` and `right` must have one length, got {first.size} and {second.size}"
        raise ValueError(msg)
    total, ones, others = first.size, int(first.sum()), int(second.sum())
    both = int((first & second).sum())
    spread = ones * (total - ones) * others * (total - others)
    if spread == 0:
        return AssociationResult(0.0, 1.0, level, rejected=False, samples=total)
    phi = (both * total - ones * others) / float(spread) ** 0.5
    support = np.arange(max(0, ones + others - total), min(ones, others) + 1)
    # log C(ones, k) + log C(total - ones, others - k); the normaliser is their sum, so that the tails add up to 1.
    logs = -(
        gammaln(support + 1)
        + gammaln(ones - support + 1)
        + gammaln(others - support + 1)
        + gammaln(total - ones - others + support + 1)
    )
    logs -= logsumexp(logs)
    upper, lower = (float(np.exp(logsumexp(logs[tail]))) for tail in (support >= both, support <= both))
    p_value = min(1.0, 2 * min(upper, lower))
    return AssociationResult(phi, p_value, level, p_value <= level, total)


def association_detectable(left: float, right: float, *, samples: int, alpha: float, beta: float) -> float:
    """Return the smallest correlation φ, of either sign, that `association_test` finds with probability 1 - beta.

    By the normal law of the number of times both happen, more widely spread where rare events attract each other; the
    exact test may ask for one time more. 1.0 where less cannot be certified.

    Args:
        left: probability of the first event, in (0, 1).
        right: probability of the second event, in (0, 1).
        samples: pairs.
        alpha: false-alarm rate.
        beta: miss rate.

    Raises:
        ValueError: an argument is not as above.

    Example:
        >>> round(association_detectable(0.5, 0.5, samples=10_000, alpha=1e-6, beta=1e-3), 4)
        0.0802
    """
    first, second = rate(left, name="left"), rate(right, name="right")
    pairs = whole(samples, name="samples", least=1)
    spread = math.sqrt(first * (1 - first) * second * (1 - second))
    critical = -float(ndtri(rate(alpha, name="alpha") / 2)) / math.sqrt(pairs) + 1 / (pairs * spread)
    missed = max(0.0, -float(ndtri(rate(beta, name="beta")))) / math.sqrt(pairs)
    # The variance of the correlation found is at most (1 + κ φ)/N: φ = critical + missed √(1 + κ φ).
    kappa = abs((1 - 2 * first) * (1 - 2 * second)) / spread
    half = critical + missed**2 * kappa / 2
    return min(1.0, half + math.sqrt(half**2 - critical**2 + missed**2))


def association_samples(left: float, right: float, *, delta: float, alpha: float, beta: float) -> int:
    """Return how many pairs `association_test` needs to find a correlation of `delta` with probability 1 - beta.

    Args:
        left: as in `association_detectable`.
        right: as in `association_detectable`.
        delta: the correlation |φ| to be found.
        alpha: false-alarm rate.
        beta: miss rate.

    Raises:
        UnreachableDeviation: more than 1e15 pairs would be needed.
        ValueError: an argument is not as above.
    """
    size = rate(delta, name="delta")
    return fewest_samples(
        lambda pairs: association_detectable(left, right, samples=pairs, alpha=alpha, beta=beta), size
    )


def _events(values: ArrayLike, name: str) -> NDArray[np.bool_]:
    events = np.asarray(values)
    if events.ndim != 1 or events.dtype != np.bool_:
        msg = f"`{name}` must be booleans of shape (N,), got {events.dtype} of shape {events.shape}"
        raise ValueError(msg)
    return events
