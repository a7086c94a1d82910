"""Pairs of emitted tokens: their joint counts, and the dependence a number of them shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spectest.checks.decision import FIRST_STAGE
from spectest.stats import chi_squared_detectable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spectest.checks.base import Context


def pair_counts(left: NDArray[np.int64], right: NDArray[np.int64], vocab_size: int) -> NDArray[np.int64]:
    """Return how often each ordered pair of tokens occurs, (V, V), for two arrays of one shape."""
    cells = left.ravel() * vocab_size + right.ravel()
    counts: NDArray[np.int64] = np.bincount(cells, minlength=vocab_size**2)
    return counts.reshape(vocab_size, vocab_size)


def pairs_detectable(law: NDArray[np.float64], pairs: int, context: Context) -> float:
    """Return the total variation from the product law that `pairs` pairs of tokens of one `law` show.

    It is that of a χ² test against the product law, which has more degrees of freedom than the independence test has.
    """
    cells = np.outer(law, law).ravel()
    return chi_squared_detectable(cells, samples=max(1, pairs), alpha=FIRST_STAGE, beta=context.settings.beta / 2)
