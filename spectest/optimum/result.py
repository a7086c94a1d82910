"""What an optimum is: a value and the subset of tokens that certifies it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from spectest import drafting

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spectest.optimum.plan import TransportPlan
    from spectest.problem import Problem

_ROUNDING: Final = 2.0**-50


@dataclass(frozen=True, eq=False)
class Optimum:
    """The optimal acceptance α* of a problem, or an upper bound on it, with its certificate.

    `value` is 1 + p(H) - Q(H) with H the subset and Q(H) = P(all drafts in H): no lossless selector accepts more,
    whatever H is, and the best H is attained (Hu et al., arXiv 2502.18779; max-flow min-cut).

    Args:
        value: the acceptance, in [0, 1].
        subset: H, boolean (V,).
        method: how H was found.
        exact: True if `value` is α* up to rounding, False if it is only an upper bound.
        plan: where it was asked for, a transport plan that attains `value`: the certificate from below.
    """

    value: float
    subset: NDArray[np.bool_]
    method: str
    exact: bool = True
    plan: TransportPlan | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields but `plan` as a JSON-ready dict; the subset as the list of token ids in H."""
        return {
            "value": self.value,
            "method": self.method,
            "exact": self.exact,
            "subset": np.flatnonzero(self.subset).tolist(),
        }


def cut_value(problem: Problem, subset: NDArray[np.bool_]) -> float:
    """Return 1 + p(H) - Q(H), an upper bound on every lossless acceptance for any subset H, boolean (V,).

    Raises:
        ProblemTooLarge: Q(H) has no exact route at this size.

    Example:
        >>> from spectest.problem import Problem
        >>> problem = Problem([0.75, 0.25], [0.25, 0.75], n_drafts=2)
        >>> cut_value(problem, np.array([False, True]))
        0.6875
    """
    contained = float(drafting.get(problem.drafting).containment(problem, subset[None])[0])
    return float(np.clip(problem.target[subset].sum() + (1.0 - contained), 0.0, 1.0))


def certified(value: float, subset: NDArray[np.bool_], method: str, *, exact: bool = True) -> Optimum:
    """Return the optimum certified by `subset`; within rounding of 1 the empty subset certifies 1 exactly."""
    if value >= 1.0 - _ROUNDING:
        return Optimum(1.0, np.zeros_like(subset), method, exact)
    return Optimum(value, subset, method, exact)
