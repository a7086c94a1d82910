"""n i.i.d. drafts: every draft is drawn from the same law q."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.drafting.enumeration import product_law
from spectest.drafting.inverse_cdf import InverseCdf, in_blocks
from spectest.drafting.quantiles import sequential_quantiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spectest.drafting.base import DraftingLaw, JointLaw, Sampler
    from spectest.problem import Problem


def row_sampler(draft: NDArray[np.float64]) -> Sampler:
    """Return a sampler of i.i.d. tokens: (generator, size) -> (size,); tokens of mass 0 are never drawn."""
    support = np.flatnonzero(draft)
    lookup = InverseCdf(draft[support])
    total = lookup.edges[-1]

    def sample(generator: np.random.Generator, size: int) -> NDArray[np.int64]:
        return support.take(lookup(generator.random(size) * total)).astype(np.int64, copy=False)

    return sample


class WithReplacement:
    """Drafts x_1..x_n, i.i.d. from q: D(t) = prod_k q(x_k), Q(H) = q(H)^n."""

    name = "with_replacement"

    def sampler(self, problem: Problem) -> Sampler:
        """Return a sampler of (size, n) ids, in float64 by inverse CDF."""
        row, n = row_sampler(problem.draft), problem.n_drafts

        def sample(generator: np.random.Generator, size: int) -> NDArray[np.int64]:
            return row(generator, size * n).reshape(size, n)

        return in_blocks(sample, n)

    def joint_law(self, problem: Problem) -> JointLaw:
        """Return every ordered tuple of positive mass.

        Raises:
            ProblemTooLarge: there are more than `enumeration.MAX_TUPLES`.
        """
        return product_law(list(problem.draft_rows))

    def containment(self, problem: Problem, subsets: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return Q(H) = q(H)^n for each row of `subsets` (K, V); exact to rounding at any size."""
        inside: NDArray[np.float64] = np.minimum(subsets @ problem.draft, 1.0)
        contained: NDArray[np.float64] = inside**problem.n_drafts
        return contained

    def inclusion(self, problem: Problem) -> NDArray[np.float64]:
        """Return P(x among the drafts) = 1 - (1 - q(x))^n, (V,), to full relative accuracy."""
        with np.errstate(divide="ignore"):  # q(x) = 1: log1p(-1) = -inf and the result is 1
            inclusion: NDArray[np.float64] = -np.expm1(problem.n_drafts * np.log1p(-problem.draft))
        return inclusion

    def marginals(self, problem: Problem) -> NDArray[np.float64]:
        """Return q for every draft, (n, V)."""
        return problem.draft_rows

    def quantiles(self, problem: Problem, ids: NDArray[np.int64], uniforms: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the randomised quantile of each draft under q, (size, n)."""
        return sequential_quantiles(problem.draft_rows, ids, uniforms)


LAW: Final[DraftingLaw] = WithReplacement()
