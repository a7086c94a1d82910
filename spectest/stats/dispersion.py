"""Do counts vary from batch to batch as independent draws would? Too widely or too narrowly, both show."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import gammainc, gammaincc, gammainccinv, gammaincinv

from spectest.stats.validation import fewest_samples, law, rate, real, whole

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class DispersionResult:
    """What a dispersion test found; `statistic` is the ratio of the observed to the expected dispersion."""

    statistic: float
    p_value: float
    alpha: float
    rejected: bool
    batches: int

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON-ready dict."""
        return asdict(self)


def dispersion_test(counts: ArrayLike, *, alpha: float) -> DispersionResult:
    """Reject, two-sided, with probability at most `alpha` when batches are multinomial draws of one law, whichever.

    The statistic is the sum over batches of Pearson's X² against the law of all batches together. Its mean and variance
    are those of independent draws (var X² = 2(k − 1) + (Σ 1/p − k² − 2k + 2)/B, one batch's worth of the mean going
    to the estimated law); its law is taken as the gamma of those two moments, whose skewness is right to order 1/B.

    Args:
        counts: (batches, V) integers, every row summing to the same batch size B. Tokens never seen are left out.
        alpha: false-alarm rate of this test.

    Returns:
        The ratio of dispersions, its p-value and the decision. Fewer than two batches, or one token, never reject.

    Raises:
        ValueError: an argument is not as above.

    Source: Haldane, Biometrika 29 (1937).
    """
    level = rate(alpha, name="alpha")
    seen = np.asarray(counts)
    if seen.ndim != 2 or seen.dtype.kind not in "iu":  # noqa: PLR2004 (batches, tokens)
        msg = f"`counts` must be (batches, V) integers, got {seen.dtype} of shape {seen.shape}"
        raise ValueError(msg)
    sizes = seen.sum(axis=1)
    if sizes.size and (sizes != sizes[0]).any():
        msg = f"every row of `counts` must sum to one batch size, got {sorted(set(sizes.tolist()))[:5]}"
        raise ValueError(msg)
    seen = seen[:, seen.sum(axis=0) > 0]
    batches, cells = seen.shape
    if batches < 2 or cells < 2:  # noqa: PLR2004 (nothing to compare)
        return DispersionResult(1.0, 1.0, level, rejected=False, batches=batches)
    size = int(sizes[0])
    pooled = seen.sum(axis=0) / seen.sum()
    total = float(((seen - size * pooled) ** 2 / (size * pooled)).sum())
    shape, scale = _gamma(pooled, size, batches)
    p_value = min(1.0, 2 * min(float(gammainc(shape, total / scale)), float(gammaincc(shape, total / scale))))
    return DispersionResult(total / (shape * scale), p_value, level, p_value <= level, batches)


def dispersion_detectable(probs: ArrayLike, *, size: int, batches: int, alpha: float, beta: float) -> float:
    """Return the smallest ratio of dispersions above 1 that `dispersion_test` finds with probability 1 - beta.

    Where rows of a batch come in groups of m that are always equal, the ratio is m.

    Args:
        probs: the law of a row, (V,).
        size: rows of a batch, B.
        batches: how many, at least 2.
        alpha: false-alarm rate.
        beta: miss rate.

    Raises:
        ValueError: an argument is not as above.

    Example:
        >>> round(dispersion_detectable([0.5, 0.5], size=64, batches=400, alpha=1e-6, beta=1e-3), 3)
        1.734
    """
    level, missed = rate(alpha, name="alpha"), rate(beta, name="beta")
    target = law(probs)
    rows, many = whole(size, name="size", least=2), whole(batches, name="batches", least=2)
    target = target[target > 0]
    if target.size == 1:
        return math.inf
    shape, _ = _gamma(target, rows, many)
    return float(gammainccinv(shape, level / 2) / gammaincinv(shape, missed))


def dispersion_samples(probs: ArrayLike, *, size: int, ratio: float, alpha: float, beta: float) -> int:
    """Return how many batches `dispersion_test` needs to find a `ratio` of dispersions with probability 1 - beta.

    Args:
        probs: the law of a row, (V,).
        size: rows of a batch, B.
        ratio: above 1.
        alpha: false-alarm rate.
        beta: miss rate.

    Raises:
        UnreachableDeviation: more than 1e15 batches would be needed.
        ValueError: an argument is not as above.
    """
    found = real(ratio, name="ratio")
    if found <= 1:
        msg = f"`ratio` must be above 1, got {ratio!r}"
        raise ValueError(msg)
    return fewest_samples(
        lambda batches: dispersion_detectable(probs, size=size, batches=batches, alpha=alpha, beta=beta),
        found,
        at_least=2,
    )


def _gamma(target: NDArray[np.float64], size: int, batches: int) -> tuple[float, float]:
    """Return shape and scale of the gamma law of the statistic: its mean is (batches - 1)(k - 1)."""
    cells = target.size
    mean = (batches - 1) * (cells - 1)
    variance = (batches - 1) * (2 * (cells - 1) + (float((1 / target).sum()) - cells**2 - 2 * cells + 2) / size)
    return mean**2 / variance, variance / mean
