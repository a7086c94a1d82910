"""Different drafters: the exact optimum at any vocabulary and any number of drafters, by a search over one number.

α* - 1 is the least f = p(H) - Π_k x_k over sets H, x_k = q_k(H). Sets may be taken fractionally: f is concave in the
share of a single token, so rounding tokens one by one never raises it. The geometric mean γ(x) = (Π x_k)^(1/n) is
concave, and u^n lies above its tangents: for every level τ >= 0

    -Π_k x_k = -γ^n <= -n τ γ + (n-1) τ^(n/(n-1)),    with equality at τ = γ^(n-1), so that
    α* - 1 = min over τ of Φ(τ) + (n-1) τ^(n/(n-1)),  Φ(τ) = min over fractional H of p(H) - n τ γ(x).

The right-hand side is convex in H: τ alone stands for the direction in which f is not. By the inequality of the means,
n τ γ(x) is the least a·x over weights a of geometric mean τ, and

    Φ(τ) = max over a > 0 with Π a_k = τ^n of  -Σ_i (Σ_k a_k q_k(i) - p(i))^+.

Every a gives a lower bound, in one pass over the tokens. Φ is a minimum of functions linear in τ, hence concave:
between two levels it lies above its chord. So a few levels bound f from below everywhere, and new ones go where the
bound is least, until it meets the best set found. It is exact at a_k = Π_{j≠k} q_j(H*), tight to second order about it.

Some thirty to seventy passes do, unless f is nearly constant while γ is not: where p is nearly q_k on tokens that the
other drafters hardly draft. Then a token is decided both ways; with it fixed most such tokens are decided too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.optimum.centering import centre
from spectest.optimum.cuts import MOST_CUTS, MOST_WORK, Budget, Cuts, core_of, inside_of, most_open, others
from spectest.optimum.result import Optimum, certified

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spectest.optimum.cuts import Core
    from spectest.problem import Problem

_GAP: Final = 1e-13  # certified
_PATIENCE: Final = 200  # cuts before a token is decided both ways
_STALLED: Final = 8  # cuts at one level without progress
_FINEST: Final = 1e-15
_END: Final = 1e-6  # of an interval: what is closer to one of its ends is at the end
_MARGIN: Final = 0.05  # of an interval, left at both ends of it


class _Search:
    """Levels, a lower bound on Φ at each, and the best set.

    Args:
        core: what is to be decided.
        best: the least f known from elsewhere.
        budget: what may be spent.
    """

    def __init__(self, core: Core, best: float, budget: Budget) -> None:
        self.cuts = Cuts(core, budget)
        self.n = len(core.rows)
        self.best = best
        self.members: NDArray[np.bool_] | None = None  # of a better set
        self.bound = -np.inf  # no set is below it
        self.levels: list[float] = []
        self.floors: list[float] = []  # lower bounds on Φ
        self.logarithms: list[NDArray[np.float64]] = []  # θ: a = level · exp(θ) gives the floor

    def run(self) -> None:
        """Bring `bound` and `best` together to `_GAP`, if patience allows.

        Raises:
            ProblemTooLarge: the budget is spent.
        """
        ends = [which(self.cuts.core.ids.size, dtype=np.bool_) for which in (np.zeros, np.ones)]
        least, most = (self.cuts.measure(members)[1] for members in ends)
        for members in ends:
            self._improve(members)
        if (least == most).all():  # what is undecided weighs less than rounding
            self.bound = self.best
            return
        # Π x_j <= x_k Π_{j≠k} max x_j: one drafter alone. Where p = q_k this is all there is, and f nearly constant.
        everywhere = max(self.cuts.least(row)[0] for row in np.diag(others(most)))
        for inside in (least, most):
            self._refine(self._level(inside), self._tangent(inside))
        while self.cuts.made < _PATIENCE:
            self._touch()
            levels, floors = np.array(self.levels), np.array(self.floors)
            slopes = np.diff(floors) / np.diff(levels)
            where = np.clip(np.clip(-slopes / self.n, 0.0, 1.0) ** (self.n - 1), levels[:-1], levels[1:])
            bounds = floors[:-1] + slopes * (where - levels[:-1]) + self._lift(where)
            i = int(bounds.argmin())
            self.bound = max(float(bounds[i]), everywhere)
            if self.bound >= self.best - _GAP or not self._divide(i, float(where[i])):
                return

    def _level(self, inside: NDArray[np.float64]) -> float:
        return float(np.exp(np.log(inside).mean() * (self.n - 1))) if inside.all() else 0.0

    def _tangent(self, inside: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return θ of a_k = Π_{j≠k} x_j."""
        theta: NDArray[np.float64] = np.log(inside).mean() - np.log(inside) if inside.all() else np.zeros(self.n)
        return theta

    def _lift(self, levels: NDArray[np.float64]) -> NDArray[np.float64]:
        lifted: NDArray[np.float64] = (self.n - 1) * levels ** (self.n / (self.n - 1))
        return lifted

    def _improve(self, members: NDArray[np.bool_]) -> None:
        """Keep this set if it is the best, and what {p < Σ a_k q_k}, a_k = Π_{j≠k} q_j(H), makes of it."""
        while True:
            gain, inside = self.cuts.measure(members)
            value = gain - float(inside.prod())
            if value >= self.best:
                return
            self.best, self.members = value, members
            members = self.cuts.least(others(inside))[1]

    def _touch(self) -> None:
        """Refine the level of the best set, where the bound is tight if the set is right."""
        while self.members is not None:
            inside = self.cuts.measure(self.members)[1]
            level = self._level(inside)
            if not self.levels[0] < level < self.levels[-1] or level in self.levels:
                return
            self._refine(level, self._tangent(inside))

    def _divide(self, i: int, where: float) -> bool:
        """Refine what makes the bound between levels i and i + 1 low: one of the two, or a level between them.

        Returns:
            False where rounding is in the way: nothing lies between them.
        """
        low, high = self.levels[i], self.levels[i + 1]
        width = high - low
        end = i if where - low <= high - where else i + 1
        if abs(where - self.levels[end]) <= _END * width:
            before = self.floors[end]
            self._refine(self.levels[end], self.logarithms[end], _GAP / 8)
            if self.floors[end] > before:
                return True
        level = min(max(where, low + _MARGIN * width), high - _MARGIN * width)
        if not low < level < high:
            return False
        share = (level - low) / width
        self._refine(level, (1 - share) * self.logarithms[i] + share * self.logarithms[i + 1])
        return True

    def _refine(self, level: float, theta: NDArray[np.float64], precision: float = 0.0) -> None:
        """Keep the best of this and earlier lower bounds on Φ(level); arguments as `_maximise`."""
        floor, kept = (self.cuts.core.gain, theta) if level == 0.0 else self._maximise(level, theta, precision)
        at = int(np.searchsorted(self.levels, level))
        if level not in self.levels:
            self.levels.insert(at, level)
            self.floors.insert(at, floor)
            self.logarithms.insert(at, kept)
        elif floor > self.floors[at]:
            self.floors[at], self.logarithms[at] = floor, kept

    def _maximise(
        self, level: float, theta: NDArray[np.float64], precision: float
    ) -> tuple[float, NDArray[np.float64]]:
        """Return a lower bound on Φ(level) and its θ: cutting planes, cut at their analytic centre.

        Args:
            level: τ > 0.
            theta: θ to start from, (n,).
            precision: how close to Φ; 0: to a tenth of what the bound is above the best set, no more is needed.
        """
        cuts, lift = self.cuts, float(self._lift(np.array(level)))
        floor, roof, kept, gap, stalled = -np.inf, np.inf, theta, 0.1, 0
        mixture, mixed = None, np.inf
        while stalled < _STALLED:
            value = cuts.least(level * np.exp(theta))[0]
            if value > floor:
                floor, kept = value, theta
            near = np.argsort(cuts.gains - cuts.inside @ (level * np.exp(kept)))[: 6 * self.n + 10]
            chosen = np.union1d(near, [0, 1])  # the largest set keeps a bounded
            gains, inside = cuts.gains[chosen], cuts.inside[chosen]
            theta, shares = centre(gains, inside, level, kept, max(0.1 * gap, _FINEST) / chosen.size)
            gain, middle = float(shares @ gains), shares @ inside
            top = gain - self.n * level * float(np.prod(middle ** (1 / self.n)))
            if top < roof:
                roof, mixture, mixed = top, (chosen, shares), gain - float(middle.prod())
            before, gap = gap, roof - floor
            stalled = stalled + 1 if gap > 0.9 * before else 0
            if gap <= (precision or max(_GAP / 8, 0.1 * (floor + lift - self.best))):
                break
        if mixture is not None and mixed < self.best:
            self._improve(cuts.rounded(*mixture))
        return floor, kept


def independent(problem: Problem, passes: int = MOST_CUTS) -> Optimum:
    """Return the optimum for n independent drafts from different drafters, certified to 1e-13, at any V.

    Args:
        problem: an `independent` problem of n >= 2 drafts.
        passes: over the tokens, that may be made.

    Raises:
        ProblemTooLarge: so many passes, or 4e9 numbers read, do not certify it.

    Example:
        >>> from spectest.problem import Problem
        >>> found = independent(Problem([0.75, 0.25], [[0.5, 0.5], [0.25, 0.75]], 2, "independent"))
        >>> found.value, found.subset.tolist(), found.method
        (0.875, [False, True], 'branch and bound')
    """
    budget = Budget(passes, MOST_WORK)
    nothing = np.zeros(problem.vocab_size, dtype=np.bool_)
    best, subset = 0.0, nothing
    open_ = [(-np.inf, nothing, ~nothing)]  # bound, tokens in H, tokens it may have
    while open_:
        bound, always, left = open_.pop()
        if bound >= best - _GAP:
            continue
        core = core_of(problem, always, left)
        search = _Search(core, best, budget)
        search.run()
        if search.members is not None:
            best, subset = search.best, core.always.copy()
            subset[core.ids[search.members]] = True
        if search.bound < best - _GAP:
            token = np.arange(problem.vocab_size) == most_open(core)
            left = np.isin(np.arange(problem.vocab_size), core.ids) & ~token
            open_ += [(search.bound, core.always, left), (search.bound, core.always | token, left)]
    value = problem.target[subset].sum() + (1.0 - np.minimum(inside_of(problem.draft, subset), 1.0).prod())
    return certified(float(value), subset, "branch and bound")
