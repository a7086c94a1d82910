"""An independent oracle: the optimal transport itself, as a linear program on sets of drafts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spectest.optimum.highs import maximise
from spectest.optimum.plan import TransportPlan, check_cells, plan_of, sets_of

if TYPE_CHECKING:
    from spectest.problem import Problem


def lp_plan(problem: Problem) -> TransportPlan:
    """Return an optimal transport plan, solved as the relaxed LP by HiGHS; small problems under any drafting law.

    Maximise sum S[s, y] over y in s, subject to sum_s S[s, y] <= p(y) and sum_y S[s, y] <= w(s). The relaxed form has
    the optimum of the equality form and, unlike it, is never called infeasible through rounding. It may break the
    constraints by 1e-14; `flow_plan` does not.

    Raises:
        ProblemTooLarge: the joint law is too large to enumerate, or the plan to hold.
        SpectestError: the solver gave up.
    """
    from scipy.sparse import csr_array  # noqa: PLC0415 (scipy is slow to import)

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
    moved = maximise(np.ones(rows.size), matrix, np.concatenate([problem.target, sets.mass]))
    return plan_of(problem, sets, rows, tokens, moved)


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
