"""How far a tally is from a law, and where: for reports, beside the tests that decide."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from spectest.stats.validation import law, rate, tally, whole

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class TotalVariation(NamedTuple):
    """Estimate and confidence interval of a total-variation distance."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class CellDeviation:
    """One cell of a tally beside its expectation; `z` is in standard deviations, infinite where none is allowed."""

    index: int
    expected: float
    observed: int
    z: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON-ready dict; an infinite `z` becomes None, for JSON has no infinity."""
        return asdict(self) | {"z": self.z if math.isfinite(self.z) else None}


def total_variation_interval(counts: ArrayLike, probs: ArrayLike, *, confidence: float) -> TotalVariation:
    """Return (estimate, low, high); the true TV(p', p) lies in [low, high] with at least the given `confidence`.

    The estimate is the plug-in TV^ = 1/2 Σ|counts/N - p|, which is biased upwards: on correct code it is about
    sqrt(K/(2πN)), not zero. One draw moves TV^ by at most 1/N, so by McDiarmid's inequality it is within
    t = sqrt(log(2/(1 - confidence))/(2N)) of its mean, on each side with half of the error. And
    TV <= E TV^ (Jensen) <= TV + 1/2 sqrt((K - 1)/N) (Cauchy-Schwarz), which gives the interval
    [TV^ - 1/2 sqrt((K - 1)/N) - t, TV^ + t], cut to [0, 1]. It holds at every N, without any approximation.

    Args:
        counts: how often each cell was seen, (K,) integers, at least one in all.
        probs: the law p they are held against, (K,).
        confidence: coverage in (0, 1).

    Raises:
        ValueError: an argument is not as above.

    Source: McDiarmid, On the method of bounded differences (1989).

    Example:
        >>> found = total_variation_interval([600_000, 400_000], [0.5, 0.5], confidence=0.999)
        >>> round(found.estimate, 3), found.low > 0.097, found.high < 0.103
        (0.1, True, True)
    """
    target = law(probs)
    seen = tally(counts, cells=target.size)
    error = 1 - rate(confidence, name="confidence")
    samples = int(seen.sum())
    if samples == 0:
        msg = "`counts` must hold at least one sample, got none"
        raise ValueError(msg)
    estimate = float(np.abs(seen / samples - target).sum() / 2)
    spread = math.sqrt(math.log(2 / error) / (2 * samples))
    bias = math.sqrt((target.size - 1) / samples) / 2
    return TotalVariation(estimate, max(0.0, estimate - bias - spread), min(1.0, estimate + spread))


def worst_cells(counts: ArrayLike, probs: ArrayLike, *, limit: int) -> list[CellDeviation]:
    """Return the cells that deviate most, at most `limit` of them, worst first.

    Emissions of probability zero come first. The rest are ordered by (observed - expected)² / max(expected, 1), their
    share of Pearson's statistic, held down where less than one was expected: a single lucky draw is no lead.

    Args:
        counts: how often each cell was seen, (K,) integers.
        probs: the law p they are held against, (K,).
        limit: how many cells to return at most.

    Raises:
        ValueError: an argument is not as above.

    Example:
        >>> worst_cells([30, 68, 2], [0.5, 0.5, 0.0], limit=1)
        [CellDeviation(index=2, expected=0.0, observed=2, z=inf)]
    """
    target = law(probs)
    seen = tally(counts, cells=target.size)
    most = whole(limit, name="limit")
    samples = int(seen.sum())
    expected = samples * target
    excess = seen - expected
    impossible = (target == 0) & (seen > 0)
    contribution = np.where(impossible, np.inf, excess**2 / np.maximum(expected, 1.0))
    # Among impossible cells the most frequent first; then by index, so that the order never depends on the sort.
    order = np.lexsort((np.arange(target.size), -seen, -contribution))
    chosen = [int(i) for i in order[:most] if target[i] > 0 or seen[i] > 0]
    return [
        CellDeviation(i, float(expected[i]), int(seen[i]), _z(float(excess[i]), float(expected[i] * (1 - target[i]))))
        for i in chosen
    ]


def _z(excess: float, variance: float) -> float:
    """Return excess in standard deviations; infinite where there should be no spread at all."""
    if variance > 0:
        return excess / math.sqrt(variance)
    return math.copysign(math.inf, excess) if excess else 0.0
