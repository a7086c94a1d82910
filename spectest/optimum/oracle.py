"""An independent oracle: the optimal transport itself, as a linear program on sets of drafts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.errors import SpectestError
from spectest.optimum.plan import TransportPlan, check_cells, plan_of, sets_of

if TYPE_CHECKING:
    from spectest.problem import Problem

#: Masses are handed over in units of 1e-4: HiGHS may break a constraint by 1e-10, in its own units.
_UNITS: Final = 1e4


def lp_plan(problem: Problem) -> TransportPlan:
    """Return an optimal transport plan, solved as the relaxed LP by HiGHS; small problems under any drafting law.

    Maximise sum S[s, y] over y in s, subject to sum_s S[s, y] <= p(y) and sum_y S[s, y] <= w(s). The relaxed form has
    the optimum of the equality form and, unlike it, is never called infeasible through rounding. It may break the
    constraints by 1e-14; `flow_plan` does not.

    Raises:
        ProblemTooLarge: the joint law is too large to enumerate, or the plan to hold.
        SpectestError: the solver gave up.
    """
    from scipy.optimize import linprog  # noqa: PLC0415 (scipy is slow to import)
    from scipy.sparse import csr_array  # noqa: PLC0415

    sets = sets_of(problem)
    check_cells(sets, problem.vocab_size)
    rows, tokens = sets.arcs(problem.target)
    if rows.size == 0:
        return plan_of(problem, sets, rows, tokens, np.zeros(0))
    columns = np.arange(rows.size)
    matrix = csr_array(
        (np.ones(2 * rows.size), (np.concatenate([tokens, problem.vocab_size + rows]), np.tile(columns, 2))),
        shape=(problem.vocab_size + len(sets.mass), rows.size),
    )
    found = linprog(  # type: ignore[call-overload]  # the stubs know no sparse matrices
        -np.ones(rows.size),
        A_ub=matrix,
        b_ub=_UNITS * np.concatenate([problem.target, sets.mass]),
        method="highs-ds",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if found.status != 0 or found.x is None:
        msg = f"the transport LP could not be solved: {found.message}"
        raise SpectestError(msg)
    return plan_of(problem, sets, rows, tokens, np.maximum(found.x, 0.0) / _UNITS)


def lp_oracle(problem: Problem) -> float:
    """Return the optimal acceptance by linear programming, from nothing but the joint law; small problems only.

    Raises:
        ProblemTooLarge: the joint law is too large to enumerate, or the plan to hold.
        SpectestError: the solver gave up.

    Example:
        >>> from spectest.problem import Problem
        >>> round(lp_oracle(Problem([0.5, 0.5, 0.0], [0.0, 0.5, 0.5], n_drafts=2)), 12)
        0.5
    """
    return lp_plan(problem).value
