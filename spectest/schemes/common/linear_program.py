"""The linear programs of importance selection: maximise the sum of min(p, what a rule gives each token)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from spectest.optimum import highs

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Entries(NamedTuple):
    """A sparse matrix in coordinates."""

    values: NDArray[np.float64]
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]


def maximise(
    target: NDArray[np.float64],
    matrix: Entries,
    limits: NDArray[np.float64],
    most: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return v >= 0, (E,), that maximises the sum of z over z(y) <= p(y), z + A v <= limits on the first V rows.

    The other rows say A v <= limits. Always feasible, v = z = 0 where the limits allow it, and solved by HiGHS.

    Args:
        target: p, (V,).
        matrix: A, (R, E), in coordinates: its entries, their rows and their columns.
        limits: (R,), R >= V.
        most: upper bounds of v, (E,).

    Raises:
        SpectestError: the solver gave up.

    Example:
        Half of what token 0 has may be given to token 1, which has nothing.

        >>> a = Entries(np.array([1.0, -1.0]), rows=np.array([0, 1]), columns=np.array([0, 0]))
        >>> maximise(np.array([0.3, 0.7]), a, limits=np.array([1.0, 0.0]), most=np.array([0.5])).round(9).tolist()
        [0.5]
    """
    from scipy.sparse import csr_array  # noqa: PLC0415 (scipy is slow to import)

    vocab, pairs = target.size, most.size
    tokens = np.arange(vocab)
    where = (np.append(matrix.rows, tokens), np.append(matrix.columns, pairs + tokens))
    upper = np.concatenate([most, target])
    moved = csr_array((np.append(matrix.values, np.ones(vocab)), where), shape=(limits.size, upper.size))
    return highs.maximise(np.repeat([0.0, 1.0], [pairs, vocab]), moved, limits, upper)[:pairs]
