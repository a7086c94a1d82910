"""Upper bounds on the optimum where no exact route exists: good subsets, searched for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from spectest import drafting
from spectest.optimum.prefix import ratio_order
from spectest.optimum.result import Optimum, certified, cut_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from spectest.problem import Problem

_ROUNDS: Final = 32


def _best_prefix(problem: Problem, weights: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return the prefix of least p(H) - prod_k q_k(H), tokens ordered by p / (sum over k of weights[k] q_k)."""
    subset = np.zeros(problem.vocab_size, dtype=np.bool_)
    order = ratio_order(problem.target, weights @ problem.draft_rows)
    inside = np.minimum(np.cumsum(problem.draft_rows[:, order], axis=1), 1.0)
    gains = np.append(0.0, np.cumsum(problem.target[order]) - inside.prod(axis=0))
    subset[order[: int(gains.argmin())]] = True
    return subset


def _fixed_point(problem: Problem, weights: NDArray[np.float64]) -> Iterator[NDArray[np.bool_]]:
    """Yield the prefixes met on the way to a fixed point of weights[k] = prod over j != k of q_j(H).

    A minimiser H has p(x) <= sum_k weights[k] q_k(x) inside and >= outside: it is a prefix of its own order.
    """
    n = problem.n_drafts
    last: NDArray[np.bool_] | None = None
    for _ in range(_ROUNDS):
        subset = _best_prefix(problem, weights)
        yield subset
        if last is not None and np.array_equal(subset, last):
            return
        last = subset
        inside = problem.draft_rows[:, subset].sum(axis=1)
        weights = np.array([np.delete(inside, k).prod() for k in range(n)])
        if not weights.any():
            return


def search(problem: Problem) -> Optimum:
    """Return the least 1 + p(H) - Q(H) found: an upper bound on every lossless acceptance, seldom above the optimum.

    Starts: equal drafters, and each drafter alone. One more candidate makes the bound at least as good as
    sum_x min(p(x), P(x among the drafts)): with H = {p <= P(x among the drafts)} the union bound on 1 - Q(H) says so.

    Args:
        problem: any problem; the search is made for independent drafters.

    Raises:
        ProblemTooLarge: the law has no exact Q(H) at this size.
    """
    law = drafting.get(problem.drafting)
    starts = np.concatenate([np.ones((1, problem.n_drafts)), np.eye(problem.n_drafts)])
    candidates = [np.zeros(problem.vocab_size, dtype=np.bool_), problem.target <= law.inclusion(problem)]
    for weights in starts:
        candidates.extend(_fixed_point(problem, weights))
    values = [cut_value(problem, subset) for subset in candidates]
    best = int(np.argmin(values))
    return certified(values[best], candidates[best], "search", exact=False)
