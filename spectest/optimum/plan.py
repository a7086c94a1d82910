"""Transport plans between target mass and sets of drafts: what attains an optimum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from spectest import drafting
from spectest.errors import ProblemTooLarge
from spectest.optimum.sets import DraftSets, draft_sets

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spectest.problem import Problem

_MAX_CELLS: Final = 20_000_000


@dataclass(frozen=True, eq=False)
class TransportPlan:
    """A plan of the relaxed transport: how much of each set of drafts is output as each of its tokens.

    Args:
        target: the target law p, (V,).
        sets: the sets of drafted tokens, boolean (S, V), all different.
        mass: w(s) = P(the set of drafted tokens is sets[s]), (S,), positive.
        shipped: P(the set is sets[s] and the output is y, a draft), (S, V); 0 off the sets and where p is 0. Columns
            sum to at most p, rows to at most w.
    """

    target: NDArray[np.float64]
    sets: NDArray[np.bool_]
    mass: NDArray[np.float64]
    shipped: NDArray[np.float64]

    @property
    def value(self) -> float:
        """The acceptance the plan attains, the sum of `shipped`."""
        return float(self.shipped.sum())

    def conditional_law(self) -> NDArray[np.float64]:
        """Return π(y | set), (S, V): a lossless selector that accepts as much as the plan ships.

        π(y | s) = (S[s, y] + p_res(y) D_res(s) / sum of p_res) / w(s), with p_res(y) = p(y) - sum_s S[s, y] the target
        mass and D_res(s) = w(s) - sum_y S[s, y] the draft mass left over (2511.15898): whatever is not accepted is
        drawn from the target's residual, one law for all sets.

        Returns:
            Rows that sum to 1; sum_s w(s) π(y | s) = p(y) to about 1e-15. Tokens with p = 0 have probability 0. Drafts
            whose set is sets[s] are answered by row s, whatever their order and repeats.

        Example:
            >>> from spectest import Problem
            >>> from spectest.optimum import flow_plan
            >>> plan = flow_plan(Problem([0.75, 0.25], [0.25, 0.75], n_drafts=2))
            >>> plan.sets.astype(int).tolist()
            [[1, 1], [1, 0], [0, 1]]
            >>> plan.conditional_law().round(3).tolist()
            [[1.0, 0.0], [1.0, 0.0], [0.556, 0.444]]
        """
        left = np.maximum(self.target - self.shipped.sum(axis=0), 0.0)
        # Everything is shipped up to rounding: what rounding left over may go by p as well.
        share = left / left.sum() if left.any() else self.target
        # Relative to each set's mass, however small, so that no row underflows.
        law = self.shipped / self.mass[:, None]
        law += np.maximum(1.0 - law.sum(axis=1, keepdims=True), 0.0) * share
        law /= law.sum(axis=1, keepdims=True)
        return law


def sets_of(problem: Problem) -> DraftSets:
    """Return the distinct sets of drafts of a problem.

    Raises:
        ProblemTooLarge: the joint law is too large to enumerate.
    """
    return draft_sets(drafting.get(problem.drafting).joint_law(problem), problem.vocab_size)


def plan_of(
    problem: Problem, sets: DraftSets, rows: NDArray[np.intp], tokens: NDArray[np.int64], carried: NDArray[np.float64]
) -> TransportPlan:
    """Return the plan that ships `carried` over the arcs (rows, tokens), as dense arrays.

    Raises:
        ProblemTooLarge: S x V is more than 2e7.
    """
    check_cells(sets, problem.vocab_size)
    members = np.zeros((len(sets.mass), problem.vocab_size + 1), dtype=np.bool_)
    np.put_along_axis(members, sets.members, values=True, axis=1)
    shipped = np.zeros((len(sets.mass), problem.vocab_size))
    shipped[rows, tokens] = carried
    return TransportPlan(problem.target, members[:, :-1], sets.mass, shipped)


def check_cells(sets: DraftSets, vocab_size: int) -> None:
    """Refuse plans of more than 2e7 numbers.

    Raises:
        ProblemTooLarge: there are more.
    """
    cells = len(sets.mass) * vocab_size
    if cells > _MAX_CELLS:
        msg = (
            f"a plan of {len(sets.mass)} sets of drafts by {vocab_size} tokens holds {cells:.3g} numbers, "
            f"more than {_MAX_CELLS:.3g}: use a smaller problem"
        )
        raise ProblemTooLarge(msg)
