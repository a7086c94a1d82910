"""Are two sequences of tokens independent? The law of each is left open, so that a wrong law alone never rejects."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from spectest.stats.noncentral import critical_value, noncentrality_for
from spectest.stats.validation import fewest_samples, rate, whole

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True)
class IndependenceResult:
    """What an independence test found; `cells` counts rows times columns that were seen at all."""

    statistic: float
    dof: int
    p_value: float
    alpha: float
    rejected: bool
    samples: int
    cells: int

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON-ready dict."""
        return asdict(self)


def independence_test(table: ArrayLike, *, alpha: float) -> IndependenceResult:
    """Reject with probability at most `alpha` when the table's pairs have independent coordinates, whatever their laws.

    Pearson's statistic and the likelihood ratio with Bartlett's factor must both reject: the first alone is too hasty
    deep in the tail. The level holds where expected counts are some hundred; tables with fewer belong merged first.

    Args:
        table: how often each pair was seen, (R, C) integers. Empty rows and columns are left out.
        alpha: false-alarm rate of this test.

    Raises:
        ValueError: an argument is not as above.

    Source: Pearson (1904); Bartlett's factor as in Williams, Biometrika 63 (1976), eq. 8.

    Example:
        >>> independence_test([[500, 500], [510, 490]], alpha=1e-6).rejected
        False
        >>> independence_test([[600, 400], [400, 600]], alpha=1e-6).rejected
        True
    """
    level = rate(alpha, name="alpha")
    seen = np.asarray(table)
    if seen.ndim != 2 or seen.dtype.kind not in "iu" or (seen.size and int(seen.min()) < 0):  # noqa: PLR2004 (a table)
        msg = f"`table` must be a table (R, C) of counts, got {seen.dtype} of shape {seen.shape}"
        raise ValueError(msg)
    seen = seen[seen.sum(axis=1) > 0][:, seen.sum(axis=0) > 0]
    samples = int(seen.sum())
    dof = max(0, seen.shape[0] - 1) * max(0, seen.shape[1] - 1)
    if dof == 0:
        return IndependenceResult(0.0, 0, 1.0, level, rejected=False, samples=samples, cells=int(seen.size))
    left, right = seen.sum(axis=1) / samples, seen.sum(axis=0) / samples
    expected = samples * np.outer(left, right)
    statistic = float(((seen - expected) ** 2 / expected).sum())
    ratio = 2 * float(special.xlogy(seen, seen / expected).sum())
    bartlett = 1 + float(((1 / left).sum() - 1) * ((1 / right).sum() - 1)) / (6 * samples * dof)
    p_value = max(float(special.chdtrc(dof, statistic)), float(special.chdtrc(dof, ratio / bartlett)))
    return IndependenceResult(statistic, dof, p_value, level, p_value <= level, samples, int(seen.size))


def independence_detectable(cells: tuple[int, int], *, samples: int, alpha: float, beta: float) -> float:
    """Return the smallest dependence that `independence_test` finds with probability 1 - beta, whatever its shape.

    Dependence is the root of the mean square contingency, φ = √Σ (p_ij − p_i p_j)² / (p_i p_j), between 0 and
    √(min(R, C) − 1); total variation from the product law is at most φ/2. By the non-central chi-squared law, as good
    as the level of the test: where expected counts are some hundred.

    Args:
        cells: (R, C), how many values either side takes, at least 2.
        samples: pairs.
        alpha: false-alarm rate.
        beta: miss rate.

    Raises:
        ValueError: an argument is not as above.

    Example:
        >>> round(independence_detectable((4, 4), samples=20_000, alpha=1e-6, beta=1e-3), 4)
        0.0656
    """
    rows, columns = (whole(size, name="cells", least=2) for size in cells)
    dof = (rows - 1) * (columns - 1)
    shift = noncentrality_for(critical_value(rate(alpha, name="alpha"), dof=dof), dof=dof, beta=rate(beta, name="beta"))
    return math.sqrt(min(shift / whole(samples, name="samples", least=1), min(rows, columns) - 1))


def independence_samples(cells: tuple[int, int], *, delta: float, alpha: float, beta: float) -> int:
    """Return how many pairs `independence_test` needs to find a dependence φ of `delta` with probability 1 - beta.

    Args:
        cells: as in `independence_detectable`.
        delta: the φ to be found.
        alpha: false-alarm rate.
        beta: miss rate.

    Raises:
        UnreachableDeviation: more than 1e15 pairs would be needed.
        ValueError: an argument is not as above.
    """
    size = rate(delta, name="delta")
    return fewest_samples(lambda pairs: independence_detectable(cells, samples=pairs, alpha=alpha, beta=beta), size)
