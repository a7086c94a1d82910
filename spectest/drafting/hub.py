"""Pairs around the likeliest token, the hub: SpecHub's drafts (Sun et al., arXiv 2411.05289), n = 2 only.

With a = argmax q, the pair is (i, a) with probability q_i and (a, i) with q_a q_i / q(V - a), for i != a. Either way
i ~ q_i / q(V - a), and the hub comes first with probability q_a, independently of i: hub pairs are greedy pairs in
random order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.drafting.base import JointLaw
from spectest.drafting.enumeration import check_tuples
from spectest.drafting.greedy import GREEDY, restricted, top_tokens
from spectest.drafting.inverse_cdf import in_blocks
from spectest.drafting.quantiles import sequential_quantiles
from spectest.drafting.with_replacement import row_sampler

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spectest.drafting.base import DraftingLaw, Sampler
    from spectest.problem import Problem


class Hub:
    """D(i, a) = q_i, D(a, i) = q_a q_i / q(V - a); where q is one token, that token alone.

    Q(H) and P(x among the drafts) do not see the order: they are those of `greedy` drafts.
    """

    name = "hub"

    def sampler(self, problem: Problem) -> Sampler:
        """Return a sampler of (size, 2) ids, in drawn order, in float64 by inverse CDF."""
        if problem.n_drafts == 1:
            return GREEDY.sampler(problem)
        top = top_tokens(problem.draft, 1)
        hub, other = top[0], row_sampler(restricted(problem.draft, top))

        def sample(generator: np.random.Generator, size: int) -> NDArray[np.int64]:
            drafts = np.empty((size, 2), dtype=np.int64)
            others = other(generator, size)
            first = generator.random(size) < problem.draft[hub]
            drafts[:, 0] = np.where(first, hub, others)
            drafts[:, 1] = np.where(first, others, hub)
            return drafts

        return in_blocks(sample, 2)

    def joint_law(self, problem: Problem) -> JointLaw:
        """Return every ordered pair of positive mass.

        Raises:
            ProblemTooLarge: there are more than `enumeration.MAX_TUPLES`.
        """
        pairs, mass = GREEDY.joint_law(problem)
        if problem.n_drafts == 1:
            return JointLaw(pairs, mass)
        check_tuples(2 * len(pairs))
        hub, others = pairs[0, 0], pairs[:, 1]
        tuples = np.concatenate([pairs[:, ::-1], pairs])
        masses = np.concatenate([problem.draft[others], problem.draft[hub] * mass])
        positive = masses > 0
        return JointLaw(tuples[positive], masses[positive])

    def containment(self, problem: Problem, subsets: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return Q(H) = q(H - a) / q(V - a) if H contains a, else 0; exact to rounding at any size."""
        return GREEDY.containment(problem, subsets)

    def inclusion(self, problem: Problem) -> NDArray[np.float64]:
        """Return P(x among the drafts): 1 for the hub, q(x) / q(V - a) elsewhere, (V,)."""
        return GREEDY.inclusion(problem)

    def marginals(self, problem: Problem) -> NDArray[np.float64]:
        """Return q for the first draft; for the second 1 - q_a on the hub and q_a q(x) / q(V - a) elsewhere, (2, V)."""
        first = problem.draft
        if problem.n_drafts == 1:
            return problem.draft_rows
        top = top_tokens(first, 1)
        second = first[top] * restricted(first, top)
        second[top] = np.delete(first, top).sum()
        return np.stack([first, second])

    def quantiles(self, problem: Problem, ids: NDArray[np.int64], uniforms: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the first's quantile under q; after the hub the second's in the rest, else the uniform itself."""
        quantiles = sequential_quantiles(problem.draft_rows, ids, uniforms, distinct=True)
        given = ids[:, 0] != top_tokens(problem.draft, 1)[0]
        quantiles[given, 1:] = uniforms[given, 1:]
        return quantiles


LAW: Final[DraftingLaw] = Hub()
