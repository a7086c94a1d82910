"""How large an enumeration may grow, and products of independent rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.drafting.base import JointLaw
from spectest.errors import ProblemTooLarge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MAX_TUPLES: Final = 2_000_000


def check_tuples(count: int) -> None:
    """Refuse to enumerate more than `MAX_TUPLES` ordered tuples.

    Raises:
        ProblemTooLarge: there are more.
    """
    if count > MAX_TUPLES:
        msg = f"the joint law of the drafts has {count:.3g} tuples, more than {MAX_TUPLES:.3g}: use a smaller problem"
        raise ProblemTooLarge(msg)


def product_law(rows: Sequence[NDArray[np.float64]]) -> JointLaw:
    """Return the joint law of independent drafts, one (V,) row each; tuples whose mass underflows to 0 are left out.

    Raises:
        ProblemTooLarge: there are more than `MAX_TUPLES` tuples of positive mass.
    """
    supports = [np.flatnonzero(row) for row in rows]
    count = 1
    for support in supports:
        count *= support.size  # python integers: no overflow at any V and n
    check_tuples(count)
    tuples = np.stack([axis.ravel() for axis in np.meshgrid(*supports, indexing="ij")], axis=1)
    mass = np.ones(len(tuples))
    for k, row in enumerate(rows):
        mass *= row[tuples[:, k]]
    positive = mass > 0
    return JointLaw(tuples[positive].astype(np.int64, copy=False), mass[positive])
