"""Pooling of rare cells, so that the chi-squared law holds far out in its tail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spectest.stats.validation import real

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def pool(expected: ArrayLike, *, min_expected: float) -> NDArray[np.int64]:
    """Group cells so that every group is expected at least `min_expected` times.

    Cells that reach it stay alone. The others are merged, rarest first, into groups that just reach it; what is left
    over joins the last such group, or the rarest cell that stayed alone. Where the total is below `min_expected`
    everything is one group. The grouping depends on `expected` alone, never on what was observed: anything else
    would void the test's level.

    Args:
        expected: expected count of each cell, shape (K,), not negative; any unit `min_expected` shares.
        min_expected: least expected count of a group, positive.

    Returns:
        Group of each cell, (K,) int64, numbered by first appearance; -1 where the expected count is zero, for such
        cells are not pooled but forbidden.

    Raises:
        ValueError: an argument is not as above.

    Example:
        >>> pool([500.0, 60.0, 0.0, 300.0, 70.0, 5.0], min_expected=100.0).tolist()
        [0, 1, -1, 2, 1, 1]
    """
    values = np.asarray(expected, dtype=np.float64)
    least = real(min_expected, name="min_expected")
    if values.ndim != 1 or not np.isfinite(values).all() or (values < 0).any():
        msg = f"`expected` must be finite, not negative and of shape (K,), got {values!r}"
        raise ValueError(msg)
    if least <= 0:
        msg = f"`min_expected` must be positive, got {min_expected!r}"
        raise ValueError(msg)
    order = np.argsort(values, kind="stable")
    order = order[values[order] > 0]
    ascending = values[order]
    groups = _groups_of_ascending(ascending, least)
    cells = np.full(values.size, -1, dtype=np.int64)
    cells[order] = groups
    return _by_first_appearance(cells)


def _groups_of_ascending(ascending: NDArray[np.float64], least: float) -> NDArray[np.int64]:
    """Return the group of each of the positive `ascending` values; groups are runs."""
    alone = int(np.searchsorted(ascending, least, side="left"))  # from here on a value is enough by itself
    running = np.concatenate([[0.0], np.cumsum(ascending[:alone])])
    starts = [0]
    while True:
        end = int(np.searchsorted(running, running[starts[-1]] + least, side="left"))
        if end > alone:  # what is left over is not enough
            break
        starts.append(end)
    if len(starts) > 1:  # what is left over, if anything, joins the last group that is enough
        starts.pop()
    elif alone < ascending.size:  # no such group: it joins the rarest cell that is enough alone
        alone += 1
    heads = np.zeros(ascending.size, dtype=np.int64)
    heads[[start for start in starts if start < ascending.size]] = 1
    heads[alone:] = 1
    return np.cumsum(heads) - 1


def _by_first_appearance(cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """Renumber groups 0, 1, ... in the order they first appear; -1 stays."""
    inside = cells >= 0
    names, first, inverse = np.unique(cells[inside], return_index=True, return_inverse=True)
    rank = np.empty(names.size, dtype=np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(names.size)
    renumbered = cells.copy()
    renumbered[inside] = rank[inverse]
    return renumbered
