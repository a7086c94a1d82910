"""Different drafters: which tokens are left to decide, and sets found by weighing the drafters against the target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.errors import ProblemTooLarge

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spectest.problem import Problem

MOST_CUTS: Final = 10_000
MOST_WORK: Final = 4e9
_ROUNDS: Final = 100
_TRACE: Final = 1e-12  # of a token in a mixture of sets
_ROUNDED: Final = 2000  # tokens, one after the other


def inside_of(rows: NDArray[np.float64], members: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return q_k(H), (n,), from rows (n, M) and members (M,): pairwise sums, made along contiguous rows alone."""
    inside: NDArray[np.float64] = (rows * members).sum(axis=1)
    return inside


def others(inside: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Π_{j≠k} x_j for each k, (n,) -> (n,)."""
    return np.array([np.delete(inside, k).prod() for k in range(inside.size)])


@dataclass
class Budget:
    """Passes over tokens that may still be made, and numbers that may still be read."""

    cuts: int
    work: float

    def spend(self, numbers: int) -> None:
        """Take one pass that reads so many numbers.

        Raises:
            ProblemTooLarge: the budget is spent.
        """
        self.cuts -= 1
        self.work -= numbers
        if self.cuts < 0 or self.work < 0:
            msg = (
                f"the optimum could not be certified within {MOST_CUTS} passes over the tokens and {MOST_WORK:g} "
                "numbers read: p is too nearly one of the drafters' laws; `spectest.optimum.bound` gives an upper bound"
            )
            raise ProblemTooLarge(msg)


@dataclass(frozen=True)
class Core:
    """What is left to decide: H is `always` and some of `ids`.

    Args:
        always: tokens that some best H holds, boolean (V,).
        ids: the undecided tokens, (M,).
        gain: p of `always`.
        inside: q_k of `always`, (n,).
        target: p of the undecided, (M,).
        rows: q_k of the undecided, (n, M), C-contiguous.
    """

    always: NDArray[np.bool_]
    ids: NDArray[np.intp]
    gain: float
    inside: NDArray[np.float64]
    target: NDArray[np.float64]
    rows: NDArray[np.float64]


def _added(below: NDArray[np.float64], rows: NDArray[np.float64], above: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Π above_k - Π below_k for above = below + rows, (n, M) -> (M,): positive terms only."""
    total = np.zeros(rows.shape[1])
    for k in range(len(rows)):
        total += below[:k].prod(axis=0) * rows[k] * above[k + 1 :].prod(axis=0)
    return total


def core_of(problem: Problem, always: NDArray[np.bool_], left: NDArray[np.bool_]) -> Core:
    """Settle the tokens that some best H holds, or does without, for sure.

    What a token adds to Π q_k(H) grows with H: if it adds p or less even to the largest H left, it stays out; if it
    adds p or more even to the least, it is in. This also settles ties along which p(H) - Π q_k(H) would be constant.

    Args:
        problem: an `independent` problem.
        always: tokens that H shall have, boolean (V,).
        left: tokens that it may have as well, boolean (V,).
    """
    always, left = always.copy(), left.copy()
    for _ in range(_ROUNDS):
        ids = np.flatnonzero(left)
        target, rows = problem.target[ids], problem.draft.take(ids, axis=1)
        least = np.broadcast_to(inside_of(problem.draft, always)[:, None], rows.shape)
        most = least + rows.sum(axis=1, keepdims=True)
        out = target >= _added(np.maximum(most - rows, 0.0), rows, most)
        within = ~out & (target <= _added(least, rows, least + rows))
        if not (out | within).any():
            break
        left[ids[out | within]] = False
        always[ids[within]] = True
    ids = np.flatnonzero(left)
    gain, inside = float(problem.target[always].sum()), inside_of(problem.draft, always)
    return Core(always, ids, gain, inside, problem.target[ids], problem.draft.take(ids, axis=1))


def most_open(core: Core) -> int:
    """Return the undecided token that may add the most, or the least, to Π q_k(H): where it goes decides the most."""
    low = np.broadcast_to(core.inside[:, None], core.rows.shape)
    high = low + core.rows.sum(axis=1, keepdims=True)
    spread = _added(np.maximum(high - core.rows, 0.0), core.rows, high) - _added(low, core.rows, low + core.rows)
    return int(core.ids[spread.argmax()])


class Cuts:
    """Sets H found so far. For every a, p(H) - a·x with x_k = q_k(H) is above its minimum over sets.

    Args:
        core: what is to be decided; the least and the largest H are the first two sets.
        budget: what may be spent, shared by every search of one problem.
    """

    def __init__(self, core: Core, budget: Budget) -> None:
        self.core, self.budget = core, budget
        self.masks: list[NDArray[np.uint8]] = []
        #: p(H), (m,), and q_k(H), (m, n).
        self.gains, self.inside = np.empty(0), np.empty((0, len(core.rows)))
        self.made = 0
        self._add(np.zeros(core.ids.size, dtype=np.bool_))
        self._add(np.ones(core.ids.size, dtype=np.bool_))

    def _add(self, members: NDArray[np.bool_]) -> None:
        gain, inside = self.measure(members)
        if not ((self.gains == gain) & (self.inside == inside).all(axis=1)).any():
            self.masks.append(np.packbits(members))
            self.gains = np.append(self.gains, gain)
            self.inside = np.concatenate([self.inside, inside[None]])

    def measure(self, members: NDArray[np.bool_]) -> tuple[float, NDArray[np.float64]]:
        """Return p(H) and q_k(H), (n,), where H has the undecided `members`, boolean (M,)."""
        core = self.core
        inside = np.minimum(core.inside + inside_of(core.rows, members), 1.0)
        return core.gain + float(core.target[members].sum()), inside

    def least(self, weights: NDArray[np.float64]) -> tuple[float, NDArray[np.bool_]]:
        """Return the least p(H) - a·x for weights a, (n,), and the members of a set that attains it, which is kept.

        Raises:
            ProblemTooLarge: the budget is spent.
        """
        core = self.core
        self.made += 1
        self.budget.spend(core.rows.size)
        worth = weights @ core.rows - core.target
        members = worth > 0
        self._add(members)
        return float(core.gain - weights @ core.inside - worth[members].sum()), members

    def rounded(self, chosen: NDArray[np.intp], shares: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return members of a set no worse than a mixture of sets: p - Π x_k is concave in the share of a token.

        Where thousands of tokens are shared, each goes where most of it is, which promises nothing.

        Args:
            chosen: which sets, (m,).
            shares: their weights, of sum 1, (m,).
        """
        core = self.core
        share = np.zeros(core.ids.size)
        for j, weight in zip(chosen, shares, strict=True):
            share += weight * np.unpackbits(self.masks[j], count=core.ids.size)
        inside, members = core.inside + core.rows @ share, share > 0.5  # noqa: PLR2004 (one half)
        shared = np.flatnonzero((share > _TRACE) & (share < 1 - _TRACE))
        for i in shared if shared.size <= _ROUNDED else ():
            without = inside - share[i] * core.rows[:, i]
            members[i] = core.target[i] + without.prod() < (without + core.rows[:, i]).prod()
            inside = without + members[i] * core.rows[:, i]
        return members
