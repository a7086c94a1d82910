"""Are two sequences of tokens independent? The law of each is left open, so that a wrong law alone never rejects."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from spectest.stats.validation import rate

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
