"""n independent drafts from n different drafters: draft k is drawn from q_k."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.drafting.enumeration import product_law
from spectest.drafting.inverse_cdf import in_blocks
from spectest.drafting.quantiles import sequential_quantiles
from spectest.drafting.with_replacement import row_sampler

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spectest.drafting.base import DraftingLaw, JointLaw, Sampler
    from spectest.problem import Problem


class Independent:
    """Drafts x_k ~ q_k, independent: D(t) = prod_k q_k(x_k), Q(H) = prod_k q_k(H)."""

    name = "independent"

    def sampler(self, problem: Problem) -> Sampler:
        """Return a sampler of (size, n) ids, in float64 by inverse CDF, one lookup per drafter."""
        rows = [row_sampler(row) for row in problem.draft_rows]

        def sample(generator: np.random.Generator, size: int) -> NDArray[np.int64]:
            drafts = np.empty((size, len(rows)), dtype=np.int64)
            for k, row in enumerate(rows):
                drafts[:, k] = row(generator, size)
            return drafts

        return in_blocks(sample, len(rows))

    def joint_law(self, problem: Problem) -> JointLaw:
        """Return every ordered tuple of positive mass.

        Raises:
            ProblemTooLarge: there are more than `enumeration.MAX_TUPLES`.
        """
        return product_law(list(problem.draft_rows))

    def containment(self, problem: Problem, subsets: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return Q(H) = prod_k q_k(H) for each row of `subsets` (K, V); exact to rounding at any size."""
        inside: NDArray[np.float64] = np.minimum(subsets @ problem.draft_rows.T, 1.0)
        contained: NDArray[np.float64] = inside.prod(axis=1)
        return contained

    def inclusion(self, problem: Problem) -> NDArray[np.float64]:
        """Return P(x among the drafts) = 1 - prod_k (1 - q_k(x)), (V,), to full relative accuracy."""
        with np.errstate(divide="ignore"):  # q_k(x) = 1: log1p(-1) = -inf and the result is 1
            inclusion: NDArray[np.float64] = -np.expm1(np.log1p(-problem.draft_rows).sum(axis=0))
        return inclusion

    def marginals(self, problem: Problem) -> NDArray[np.float64]:
        """Return q_k for draft k, (n, V)."""
        return problem.draft_rows

    def quantiles(self, problem: Problem, ids: NDArray[np.int64], uniforms: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the randomised quantile of draft k under q_k, (size, n)."""
        return sequential_quantiles(problem.draft_rows, ids, uniforms)


LAW: Final[DraftingLaw] = Independent()
