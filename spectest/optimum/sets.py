"""Sets of drafted tokens: all that an optimum sees of the drafts' joint law."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spectest.drafting import JointLaw


class DraftSets(NamedTuple):
    """The distinct sets of drafted tokens; tuples with one set may share one conditional law of the output."""

    members: NDArray[np.int64]  # (S, n), ids of each set in ascending order, then V where tokens repeated
    mass: NDArray[np.float64]  # (S,), positive: P(the drafts are this set)

    def arcs(self, target: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
        """Return every (set, token of it) with positive target mass, as an array of rows and one of tokens."""
        rows, columns = np.nonzero(np.append(target, 0.0)[self.members] > 0)
        return rows, self.members[rows, columns]


def draft_sets(law: JointLaw, vocab_size: int) -> DraftSets:
    """Return the distinct sets of the tuples of a joint law over V tokens, in lexicographic order.

    Example:
        >>> from spectest.drafting import JointLaw
        >>> draft_sets(JointLaw(np.array([[1, 0], [0, 1], [1, 1]]), np.array([0.25, 0.5, 0.25])), 2)
        DraftSets(members=array([[0, 1], [1, 2]]), mass=array([0.75, 0.25]))
    """
    members = np.sort(law.tuples, axis=1)
    # Equal sets must get equal rows whatever was drawn twice: repeats move to the end as V.
    members[:, 1:][members[:, 1:] == members[:, :-1]] = vocab_size
    members.sort(axis=1)
    order = np.lexsort(members.T[::-1])
    members = members[order]
    first = np.append(True, (members[1:] != members[:-1]).any(axis=1))
    return DraftSets(members[first], np.add.reduceat(law.mass[order], np.flatnonzero(first)))
