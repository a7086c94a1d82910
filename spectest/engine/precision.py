"""What a problem becomes in the selector's own precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spectest.problem import Problem, drafting_rule

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spectest.declaration import Dtype

_BF16_SHIFT = 16  # bfloat16 keeps the upper 16 bits of a float32


def round_to(values: NDArray[np.float64], dtype: Dtype) -> NDArray[np.float64]:
    """Round to nearest-even in `dtype`; the result is float64 holding values that `dtype` represents exactly."""
    if dtype == "float64":
        return values
    if dtype != "bfloat16":
        return values.astype(dtype).astype(np.float64)
    bits = values.astype(np.float32).view(np.uint32).astype(np.uint64)
    half_even = ((bits >> _BF16_SHIFT) & 1) + 0x7FFF
    rounded = ((bits + half_even) >> _BF16_SHIFT << _BF16_SHIFT).astype(np.uint32)
    return rounded.view(np.float32).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A problem as one selector meets it.

    `target` (V,) and `draft` (n, V) hold what the selector is shown, values its dtype represents exactly; `problem`
    holds the same laws renormalised in float64: drafts are drawn from them and output is tested against them.
    """

    problem: Problem
    target: NDArray[np.float64]
    draft: NDArray[np.float64]


def prepare(problem: Problem, dtype: Dtype) -> Prepared:
    """Cast a problem to `dtype`.

    Where the drafting law needs distinct tokens and rounding emptied part of q's support, fewer drafts are drawn.
    """
    target, draft = round_to(problem.target, dtype), round_to(problem.draft, dtype)
    n = drafting_rule(problem.drafting).drafts(problem.n_drafts, int((draft > 0).sum()))
    effective = problem
    if dtype != "float64" or n != problem.n_drafts:
        effective = Problem(
            target / target.sum(),
            draft / draft.sum(axis=-1, keepdims=True),
            n,
            problem.drafting,
            name=problem.name,
        )
    return Prepared(effective, target, np.broadcast_to(draft, (n, target.size)))
