"""Drafts as quantiles of their own laws: where a draft lies among the tokens it could have been."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def sequential_quantiles(
    rows: NDArray[np.float64], ids: NDArray[np.int64], uniforms: NDArray[np.float64], *, distinct: bool = False
) -> NDArray[np.float64]:
    """Return (mass of the tokens below x_k + u_k · mass of x_k) / mass of all tokens x_k could have been, (size, n).

    Tokens stand in the order of their mass, the lightest first. With `distinct`, those of the earlier drafts are taken
    out: what is left is summed stretch by stretch between them, never 1 − (mass taken). Where nothing is left, as after
    drafts that the law cannot draw, the quantile is 0.

    Args:
        rows: the law of each draft before anything is taken out, (n, V).
        ids: drafts, (size, n).
        uniforms: (size, n), which part of the drafted token's own mass counts.
        distinct: whether no token is drafted twice.

    Example:
        >>> rows = np.array([[0.5, 0.3, 0.2]] * 2)
        >>> sequential_quantiles(rows, np.array([[0, 1]]), np.full((1, 2), 0.5), distinct=True).tolist()
        [[0.75, 0.7]]
    """
    quantiles = np.empty(ids.shape)
    for k, row in enumerate(rows):
        order = np.argsort(row, kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(row.size)
        edges = np.concatenate([[0.0], np.cumsum(row[order])])
        at = place[ids[:, k]]
        taken = np.sort(place[ids[:, :k]], axis=1) if distinct else np.empty((len(ids), 0), dtype=np.intp)
        low = np.concatenate([np.zeros((len(ids), 1), dtype=np.intp), taken + 1], axis=1)
        high = np.concatenate([taken, np.full((len(ids), 1), row.size)], axis=1)
        left = (edges[high] - edges[low]).sum(axis=1)
        below = (edges[np.minimum(high, at[:, None])] - edges[np.minimum(low, at[:, None])]).sum(axis=1)
        reached = below + uniforms[:, k] * row[ids[:, k]]
        quantiles[:, k] = np.divide(reached, left, out=np.zeros(len(ids)), where=left > 0)
    return quantiles
