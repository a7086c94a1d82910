"""An independent oracle: the optimal transport itself, as a linear program on sets of drafts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from spectest import drafting
from spectest.errors import SpectestError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spectest.problem import Problem

#: Masses are handed over in units of 1e-4: HiGHS may break a constraint by 1e-10, in its own units.
_UNITS: Final = 1e4


@dataclass(frozen=True, eq=False)
class TransportPlan:
    """An optimal plan of the relaxed transport between target mass and sets of drafts.

    Args:
        value: the optimal acceptance, the sum of `shipped`.
        sets: the sets of drafted tokens, boolean (S, V).
        mass: P(the set of drafted tokens is sets[s]), (S,).
        shipped: P(the set is sets[s] and the output is y, a draft), (S, V); 0 off the sets.
    """

    value: float
    sets: NDArray[np.bool_]
    mass: NDArray[np.float64]
    shipped: NDArray[np.float64]


def draft_sets(problem: Problem) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return the distinct sets of drafted tokens (S, V) and their masses (S,).

    Only the set matters to the optimum: tuples with one set may share one conditional law.

    Raises:
        ProblemTooLarge: the joint law is too large to enumerate.
    """
    tuples, mass = drafting.get(problem.drafting).joint_law(problem)
    ordered = np.sort(tuples, axis=1)
    repeats = np.zeros_like(ordered, dtype=np.bool_)
    repeats[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    # Equal sets must get equal keys whatever was drawn twice: repeats move to the end as V.
    keys = np.sort(np.where(repeats, problem.vocab_size, ordered), axis=1)
    unique, which = np.unique(keys, axis=0, return_inverse=True)
    sets = np.zeros((len(unique), problem.vocab_size + 1), dtype=np.bool_)
    sets[np.arange(len(unique))[:, None], unique] = True
    masses = np.zeros(len(unique))
    np.add.at(masses, which.ravel(), mass)
    return sets[:, :-1], masses


def lp_plan(problem: Problem) -> TransportPlan:
    """Return an optimal transport plan, solved as the relaxed LP by HiGHS; small problems under any drafting law.

    Maximise sum S[s, y] over y in s, subject to sum_s S[s, y] <= p(y) and sum_y S[s, y] <= w(s). The relaxed form has
    the optimum of the equality form and, unlike it, is never called infeasible through rounding.

    Raises:
        ProblemTooLarge: the joint law is too large to enumerate.
        SpectestError: the solver gave up.
    """
    from scipy.optimize import linprog  # noqa: PLC0415 (scipy is slow to import)
    from scipy.sparse import csr_array  # noqa: PLC0415

    sets, mass = draft_sets(problem)
    shipped = np.zeros(sets.shape)
    rows, tokens = np.nonzero(sets & (problem.target > 0))
    if rows.size == 0:
        return TransportPlan(0.0, sets, mass, shipped)
    columns = np.arange(rows.size)
    matrix = csr_array(
        (np.ones(2 * rows.size), (np.concatenate([tokens, problem.vocab_size + rows]), np.tile(columns, 2))),
        shape=(problem.vocab_size + len(sets), rows.size),
    )
    found = linprog(  # type: ignore[call-overload]  # the stubs know no sparse matrices
        -np.ones(rows.size),
        A_ub=matrix,
        b_ub=_UNITS * np.concatenate([problem.target, mass]),
        method="highs-ds",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if found.status != 0 or found.x is None:
        msg = f"the transport LP could not be solved: {found.message}"
        raise SpectestError(msg)
    shipped[rows, tokens] = np.maximum(found.x, 0.0) / _UNITS
    return TransportPlan(float(shipped.sum()), sets, mass, shipped)


def lp_oracle(problem: Problem) -> float:
    """Return the optimal acceptance by linear programming, from nothing but the joint law; small problems only.

    Raises:
        ProblemTooLarge: the joint law is too large to enumerate.
        SpectestError: the solver gave up.

    Example:
        >>> from spectest.problem import Problem
        >>> round(lp_oracle(Problem([0.5, 0.5, 0.0], [0.0, 0.5, 0.5], n_drafts=2)), 12)
        0.5
    """
    return lp_plan(problem).value
