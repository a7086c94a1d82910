"""The optimum of any joint law of the drafts that can be written out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spectest.drafting import JointLaw
from spectest.drafting.enumeration import check_tuples
from spectest.errors import InvalidProblem
from spectest.optimum.flow import flow_optimum
from spectest.optimum.sets import draft_sets
from spectest.problem import as_law

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from spectest.optimum.result import Optimum


def explicit(target: ArrayLike, tuples: ArrayLike, mass: ArrayLike) -> Optimum:
    """Return the optimal acceptance where the drafts are the tuples given, whatever law gave them their masses.

    Dependent, deterministic, repeated and non-identical drafts alike: α* = min over H of 1 + p(H) - Q(H) holds for any
    joint law (max-flow min-cut; Hu et al., arXiv 2502.18779), and is found by maximum flow on the sets of drafts.

    Args:
        target: target probabilities p, (V,).
        tuples: drafted ids in order, integers (T, n); a tuple may be given more than once.
        mass: the probability of each tuple, (T,), summing to 1.

    Returns:
        An `Optimum`: `.value` = 1 + p(H) - Q(H) with H = `.subset` and Q(H) the mass of the tuples inside H.

    Raises:
        InvalidProblem: an argument is not as above.
        ProblemTooLarge: there are more than two million tuples.

    Example:
        Two drafts that always disagree.

        >>> optimum = explicit([0.5, 0.3, 0.2], [[0, 1], [1, 0], [2, 0]], [0.5, 0.25, 0.25])
        >>> optimum.value, optimum.method
        (1.0, 'flow')
        >>> explicit([0.5, 0.3, 0.2], [[0, 0], [1, 0]], [0.5, 0.5]).to_dict()["subset"]
        [0, 1]
    """
    law = as_law(target, name="target")
    if law.ndim != 1:
        msg = f"`target` must have shape (V,), got {law.shape}"
        raise InvalidProblem(msg)
    return flow_optimum(law, draft_sets(_joint_law(tuples, mass, law.size), law.size))


def _joint_law(tuples: ArrayLike, mass: ArrayLike, vocab_size: int) -> JointLaw:
    ids = np.asarray(tuples)
    if ids.ndim != 2 or ids.dtype.kind not in "iu" or 0 in ids.shape:  # noqa: PLR2004 (a table)
        msg = f"`tuples` must be integers of shape (T, n), T and n at least 1, got {ids.dtype} {ids.shape}"
        raise InvalidProblem(msg)
    check_tuples(len(ids))
    outside = (ids < 0) | (ids >= vocab_size)
    if outside.any():
        msg = f"`tuples` must hold ids from 0 to {vocab_size - 1}, got {ids[outside][0]}"
        raise InvalidProblem(msg)
    masses = as_law(mass, name="mass")
    if masses.shape != (len(ids),):
        msg = f"`mass` must have shape (T,) = ({len(ids)},), one for each of the tuples, got {masses.shape}"
        raise InvalidProblem(msg)
    return JointLaw(ids[masses > 0].astype(np.int64), masses[masses > 0])
