"""Do counts vary from batch to batch as independent draws would? Too widely or too narrowly, both show."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import gammainc, gammaincc

from spectest.stats.validation import rate

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


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
    law = seen.sum(axis=0) / seen.sum()
    total = float(((seen - size * law) ** 2 / (size * law)).sum())
    mean = (batches - 1) * (cells - 1)
    variance = (batches - 1) * (2 * (cells - 1) + (float((1 / law).sum()) - cells**2 - 2 * cells + 2) / size)
    shape, scale = mean**2 / variance, variance / mean
    p_value = min(1.0, 2 * min(float(gammainc(shape, total / scale)), float(gammaincc(shape, total / scale))))
    return DispersionResult(total / mean, p_value, level, p_value <= level, batches)
