"""Are two events independent? Exact at every sample size, whatever the probabilities of the two."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import gammaln, logsumexp

from spectest.stats.validation import rate

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


def _events(values: ArrayLike, name: str) -> NDArray[np.bool_]:
    events = np.asarray(values)
    if events.ndim != 1 or events.dtype != np.bool_:
        msg = f"`{name}` must be booleans of shape (N,), got {events.dtype} of shape {events.shape}"
        raise ValueError(msg)
    return events
