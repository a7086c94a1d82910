"""Flows from sets of drafts to tokens in softmax form: the convex objectives of Global Resolution, one term per set.

Thomas and Pal (arXiv 2511.15898, theorems 6.4 and 6.5) sum over tuples of drafts; tuples that show the same active
tokens share a term, so that C(m, 1) + ... + C(m, n) terms serve m active tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb, factorial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Group(NamedTuple):
    """All sets of one size of active tokens."""

    members: NDArray[np.intp]  # (K, size), positions among the active tokens, ascending
    mass: NDArray[np.float64]  # (K,), P(these are the active tokens drafted, the others from the base)


def count_terms(active: int, n_drafts: int) -> int:
    """Return how many sets of 1 to n of the active tokens there are."""
    return sum(comb(active, size) for size in range(1, n_drafts + 1))


def set_groups(active: NDArray[np.float64], base: float, n_drafts: int) -> tuple[Group, ...]:
    """Return the sets of active tokens that n i.i.d. drafts can show, and their masses, by positive terms only.

    The mass of a set u is n! [z^n] e^(base z) times the product over u of (e^(q_i z) - 1): every draft in u or the
    base, every token of u at least once.

    Args:
        active: q of the active tokens, (m,).
        base: q of the tokens that may be drafted beside them.
        n_drafts: n.

    Example:
        >>> [group.mass.round(4).tolist() for group in set_groups(np.array([0.5, 0.3]), 0.2, 2)]
        [[0.45, 0.21], [0.3]]
    """
    powers = np.arange(n_drafts + 1)
    factorials = np.array([factorial(k) for k in powers], dtype=np.float64)
    members = np.zeros((1, 0), dtype=np.intp)
    series = (base**powers / factorials)[None]
    groups = []
    for _ in range(min(n_drafts, active.size)):
        last = members[:, -1] if members.size else np.full(1, -1)
        counts = active.size - 1 - last
        rows = np.repeat(np.arange(len(members)), counts)
        added = np.arange(rows.size) - np.repeat(np.cumsum(counts) - counts, counts) + last[rows] + 1
        factor = active[added, None] ** powers / factorials
        longer = np.zeros((rows.size, n_drafts + 1))
        for k in range(1, n_drafts + 1):  # times e^(q z) - 1: its coefficients from z^1 on
            longer[:, k:] += series[rows, : n_drafts + 1 - k] * factor[:, k, None]
        members, series = np.column_stack([members[rows], added]), longer
        groups.append(Group(members, factorials[-1] * series[:, -1]))
    return tuple(groups)


@dataclass(frozen=True, eq=False)
class SoftmaxFlow:
    """Every set ships its mass to its tokens in proportion to e^α; with `optional`, 1 stands for shipping nothing.

    The masses shipped to the tokens are `wanted` where the objective sum over sets of D log (sum e^α) - wanted · α is
    least: its gradient is what is shipped beyond that.

    Args:
        wanted: what each active token is to get, (m,), positive.
        groups: the sets.
        optional: whether a set may ship less than its mass.
    """

    wanted: NDArray[np.float64]
    groups: tuple[Group, ...]
    optional: bool

    def __call__(self, alpha: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return the objective and its gradient, (m,)."""
        value, gradient = -float(self.wanted @ alpha), -self.wanted
        for members, mass in self.groups:
            top, weights, total = self._weights(alpha[members])
            value += float(mass @ (top + np.log(total)))
            gradient = gradient + self._add(members, weights * (mass / total)[:, None])
        return value, gradient

    def outcome(self, alpha: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the mass shipped to each token, and the mass not shipped of the sets that hold it, (m,) both."""
        to, missed = np.zeros_like(self.wanted), np.zeros_like(self.wanted)
        for members, mass in self.groups:
            top, weights, total = self._weights(alpha[members])
            to += self._add(members, weights * (mass / total)[:, None])
            if self.optional:
                left = mass * np.exp(-top) / total
                missed += self._add(members, np.broadcast_to(left[:, None], members.shape))
        return to, missed

    def _weights(
        self, logits: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return the largest logit of each set, e^(α - largest), and their sum with that of shipping nothing."""
        top = logits.max(axis=1)
        if self.optional:
            top = np.maximum(top, 0.0)
        weights = np.exp(logits - top[:, None])
        total = weights.sum(axis=1)
        return top, weights, total + np.exp(-top) if self.optional else total

    def _add(self, members: NDArray[np.intp], shares: NDArray[np.float64]) -> NDArray[np.float64]:
        added = np.bincount(members.ravel(), weights=shares.ravel(), minlength=self.wanted.size)
        return added.astype(np.float64, copy=False)


class Descent(NamedTuple):
    """Where a minimisation ended."""

    alpha: NDArray[np.float64]  # (m,)
    iterations: int
    converged: bool


def minimise(flow: SoftmaxFlow, start: NDArray[np.float64], tolerance: float, max_iterations: int) -> Descent:
    """Minimise by L-BFGS-B until the gradient's L1 norm, what is shipped wrongly in all, is at most `tolerance`."""
    from scipy.optimize import minimize  # noqa: PLC0415 (scipy is slow to import)

    norm = [np.inf]

    def objective(alpha: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        value, gradient = flow(alpha)
        norm[0] = float(np.abs(gradient).sum())
        return value, gradient

    def stop(intermediate_result: object) -> None:  # scipy looks at the argument's name
        del intermediate_result
        if norm[0] <= tolerance:  # of the last point evaluated, which is the one accepted
            raise StopIteration

    objective(start)
    if norm[0] <= tolerance:
        return Descent(start, 0, converged=True)
    options = {"maxiter": max_iterations, "maxfun": 20 * max_iterations, "ftol": 0.0, "gtol": 0.0, "maxcor": 20}
    found = minimize(  # type: ignore[call-overload]  # of the callback, the stubs want another type
        objective, start, jac=True, method="L-BFGS-B", callback=stop, options=options
    )
    objective(found.x)
    return Descent(found.x, int(found.nit), converged=norm[0] <= tolerance)
