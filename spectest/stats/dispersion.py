"""Do counts vary from batch to batch as independent draws would? Too widely or too narrowly, both show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import gammainc, gammaincc

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class DispersionResult:
    """The result of `dispersion_test`; `statistic` is the ratio of the observed to the expected dispersion."""

    statistic: float
    p_value: float
    alpha: float
    rejected: bool
    batches: int


def dispersion_test(counts: NDArray[np.int64], probs: NDArray[np.float64], *, alpha: float) -> DispersionResult:
    """Test, two-sided, that the rows of `counts` are independent multinomial draws of `probs`.

    The statistic is the sum over batches of Pearson's X² against the known law. Its mean and variance are exact
    (Haldane 1937: var X² = 2(k − 1) + (Σ 1/p − k² − 2k + 2)/B); its law is taken as the gamma of those two moments.

    Args:
        counts: (batches, V), every row summing to the same batch size B.
        probs: the law, (V,), positive.
        alpha: the level.

    Returns:
        The ratio of dispersions, its p-value and the decision. Fewer than two batches never reject.

    Raises:
        ValueError: shapes disagree, batch sizes differ or a probability is not positive.
    """
    if counts.ndim != 2 or probs.shape != counts.shape[1:]:  # noqa: PLR2004 (batches, tokens)
        msg = f"`counts` must have shape (batches, V) and `probs` (V,), got {counts.shape} and {probs.shape}"
        raise ValueError(msg)
    if not (probs > 0).all():
        msg = f"`probs` must be positive, got {probs.min()}; leave out tokens of probability zero"
        raise ValueError(msg)
    batches, cells = counts.shape
    sizes = counts.sum(axis=1)
    if batches < 2 or cells < 2:  # noqa: PLR2004 (nothing to compare)
        return DispersionResult(1.0, 1.0, alpha, rejected=False, batches=batches)
    size = int(sizes[0])
    if size < 1 or (sizes != size).any():
        msg = f"every row of `counts` must sum to one batch size, got {sorted(set(sizes.tolist()))[:5]}"
        raise ValueError(msg)
    expected = size * probs
    total = float((((counts - expected) ** 2) / expected).sum())
    mean = batches * (cells - 1)
    variance = batches * (2 * (cells - 1) + (float((1 / probs).sum()) - cells**2 - 2 * cells + 2) / size)
    shape, scale = mean**2 / variance, variance / mean
    p_value = min(1.0, 2 * min(float(gammainc(shape, total / scale)), float(gammaincc(shape, total / scale))))
    return DispersionResult(total / mean, p_value, alpha, p_value <= alpha, batches)
