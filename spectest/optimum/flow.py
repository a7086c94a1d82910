"""The optimal transport as a maximum flow: target mass -> its tokens -> sets of drafts that hold them -> draft mass.

scipy's flows have 32-bit capacities. Masses are integers in units of 2^-62, and the flow is built from the top bits
down: a maximum flow of the capacities in coarse units, then of what is left in finer ones, until the unit is 1. The
result is an exact maximum flow of the integer masses: optimal to (V + number of sets) 2^-62 and rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from spectest.optimum.plan import TransportPlan, check_cells, plan_of, sets_of
from spectest.optimum.result import Optimum, certified

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spectest.optimum.sets import DraftSets
    from spectest.problem import Problem

_UNITS: Final = 62  # sums of a law stay below 2^63
_ROUND: Final = 30  # bits of a capacity in one round: capacity and counter-flow together stay below 2^31


class SetFlow(NamedTuple):
    """A maximum flow between target mass and sets of drafts, and a minimum cut."""

    rows: NDArray[np.intp]  # (E,) the arcs: set ...
    tokens: NDArray[np.int64]  # (E,) ... and token of it
    carried: NDArray[np.float64]  # (E,) target mass of the token shipped to the set
    subset: NDArray[np.bool_]  # (V,) H: tokens whose target mass is cut


def set_flow(target: NDArray[np.float64], sets: DraftSets) -> SetFlow:
    """Return a maximum flow from the tokens' target mass (V,) to the sets that hold them."""
    rows, tokens = sets.arcs(target)
    supply, demand = _units(target), _units(sets.mass)
    carried = np.zeros(rows.size, dtype=np.int64)
    finite = supply.size + demand.size + rows.size  # arcs that a cut may hold
    room = min(int(supply.sum()), int(demand.sum()))  # no more than this can be added
    while room > 0 and rows.size:
        shift = max(0, room.bit_length() - _ROUND)
        coarse = [np.minimum(masses, room) >> shift for masses in (supply, demand, carried)]
        added = _round(*coarse, most=room >> shift, rows=rows, tokens=tokens)
        added <<= shift
        carried += added
        np.subtract.at(supply, tokens, added)
        np.subtract.at(demand, rows, added)
        if shift == 0:
            break
        # Along the coarse minimum cut every arc has less than one coarse unit left.
        room = min(int(supply.sum()), int(demand.sum()), finite << shift)
    reached = _reached(supply > 0, carried > 0, rows, tokens, demand.size)
    return SetFlow(rows, tokens, np.ldexp(carried.astype(np.float64), -_UNITS), ~reached)


def _units(masses: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.ldexp(masses, _UNITS).astype(np.int64)  # rounded down: no plan ships more than there is


def _round(
    supply: NDArray[np.int64],
    demand: NDArray[np.int64],
    carried: NDArray[np.int64],
    *,
    most: int,
    rows: NDArray[np.intp],
    tokens: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Return what a maximum flow of these capacities adds to every arc: (E,), negative where it sends mass back."""
    from scipy.sparse import csr_array  # noqa: PLC0415 (scipy is slow to import)
    from scipy.sparse.csgraph import maximum_flow  # noqa: PLC0415

    first, source = supply.size, supply.size + demand.size
    sink = source + 1
    starts = np.concatenate([np.full(first, source), tokens, first + rows, np.arange(first, source)])
    ends = np.concatenate([np.arange(first), first + rows, tokens, np.full(demand.size, sink)])
    capacities = np.concatenate([supply, np.full(rows.size, most), carried, demand]).astype(np.int32)
    graph = csr_array((capacities, (starts, ends)), shape=(sink + 1, sink + 1))
    flow = maximum_flow(graph, source, sink).flow
    return np.asarray(flow[tokens, first + rows], dtype=np.int64).ravel()


def _reached(
    reached: NDArray[np.bool_],
    carrying: NDArray[np.bool_],
    rows: NDArray[np.intp],
    tokens: NDArray[np.int64],
    sets: int,
) -> NDArray[np.bool_]:
    """Return the tokens that target mass can still reach: from those it is left on, by rerouting what is shipped."""
    while True:
        touched = np.zeros(sets, dtype=np.bool_)
        touched[rows[reached[tokens]]] = True
        grown = reached.copy()
        grown[tokens[carrying & touched[rows]]] = True
        if np.array_equal(grown, reached):
            return reached
        reached = grown


def flow_optimum(target: NDArray[np.float64], sets: DraftSets) -> Optimum:
    """Return the optimum for a target law (V,) and any law of the sets of drafts, exact to about 1e-15.

    The value is that of the minimum cut, p(H) + P(the drafts are not inside H), summed from the masses themselves.
    """
    subset = set_flow(target, sets).subset
    inside = np.append(subset, True)[sets.members].all(axis=1)
    return certified(float(target[subset].sum() + sets.mass[~inside].sum()), subset, "flow")


def flow_plan(problem: Problem) -> TransportPlan:
    """Return an optimal transport plan by maximum flow, exact to about 1e-16; small problems under any drafting law.

    `plan.conditional_law()` completes it to a selector that attains the optimum.

    Raises:
        ProblemTooLarge: the joint law is too large to enumerate, or the plan to hold.

    Example:
        >>> from spectest.problem import Problem
        >>> flow_plan(Problem([0.5, 0.5, 0.0], [0.0, 0.5, 0.5], n_drafts=2)).value
        0.5
    """
    sets = sets_of(problem)
    check_cells(sets, problem.vocab_size)
    flow = set_flow(problem.target, sets)
    return plan_of(problem, sets, flow.rows, flow.tokens, flow.carried)
