"""Joint counts of pairs of emitted tokens: what independence is tested on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def pair_counts(left: NDArray[np.int64], right: NDArray[np.int64], vocab_size: int) -> NDArray[np.int64]:
    """Return how often each ordered pair of tokens occurs, (V, V), for two arrays of one shape."""
    cells = left.ravel() * vocab_size + right.ravel()
    counts: NDArray[np.int64] = np.bincount(cells, minlength=vocab_size**2)
    return counts.reshape(vocab_size, vocab_size)
