"""The likeliest n - 1 tokens, in that order, then one drawn from q restricted to the rest (Hu et al., 2502.18779)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.drafting.base import JointLaw
from spectest.drafting.enumeration import check_tuples
from spectest.drafting.inverse_cdf import in_blocks
from spectest.drafting.quantiles import sequential_quantiles
from spectest.drafting.with_replacement import row_sampler

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spectest.drafting.base import DraftingLaw, Sampler
    from spectest.problem import Problem


def top_tokens(draft: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Return the ids of the `count` likeliest tokens, the likeliest first, ties by id; V is never sorted.

    Example:
        >>> top_tokens(np.array([0.1, 0.2, 0.4, 0.2, 0.1]), 2).tolist()
        [2, 1]
    """
    if count == 0:
        return np.zeros(0, dtype=np.intp)
    least = np.partition(draft, draft.size - count)[draft.size - count]
    above, tied = np.flatnonzero(draft > least), np.flatnonzero(draft == least)
    chosen = np.append(above, tied[: count - above.size])
    return chosen.take(np.argsort(-draft[chosen], kind="stable"))


def restricted(draft: NDArray[np.float64], without: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return q restricted to the tokens other than `without`, over the sum of what is left, (V,).

    What is left must have mass: a problem of distinct drafts has no more of them than q has tokens.
    """
    rest = draft.copy()
    rest[without] = 0.0
    rest /= rest.sum()
    return rest


class Greedy:
    """Drafts x_1..x_{n-1} = the set A of the likeliest tokens, x_n drawn from q(x) / q(V - A) outside A.

    Q(H) = q(H - A) / q(V - A) if H contains A, else 0.
    """

    name = "greedy"

    def sampler(self, problem: Problem) -> Sampler:
        """Return a sampler of (size, n) ids, the likeliest first, in float64 by inverse CDF."""
        top = top_tokens(problem.draft, problem.n_drafts - 1)
        last = row_sampler(restricted(problem.draft, top))

        def sample(generator: np.random.Generator, size: int) -> NDArray[np.int64]:
            drafts = np.empty((size, top.size + 1), dtype=np.int64)
            drafts[:, :-1] = top
            drafts[:, -1] = last(generator, size)
            return drafts

        return in_blocks(sample, problem.n_drafts)

    def joint_law(self, problem: Problem) -> JointLaw:
        """Return every ordered tuple of positive mass: they differ in the last token alone.

        Raises:
            ProblemTooLarge: there are more than `enumeration.MAX_TUPLES`.
        """
        top = top_tokens(problem.draft, problem.n_drafts - 1)
        law = restricted(problem.draft, top)
        tokens = np.flatnonzero(law)
        check_tuples(tokens.size)
        tuples = np.empty((tokens.size, problem.n_drafts), dtype=np.int64)
        tuples[:, :-1], tuples[:, -1] = top, tokens
        return JointLaw(tuples, law[tokens])

    def containment(self, problem: Problem, subsets: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return Q(H) for each row of `subsets` (K, V); exact to rounding at any size."""
        top = top_tokens(problem.draft, problem.n_drafts - 1)
        inside: NDArray[np.float64] = np.minimum(subsets @ restricted(problem.draft, top), 1.0)
        contained: NDArray[np.float64] = np.where(subsets[:, top].all(axis=1), inside, 0.0)
        return contained

    def inclusion(self, problem: Problem) -> NDArray[np.float64]:
        """Return P(x among the drafts): 1 on A, q(x) / q(V - A) elsewhere, (V,)."""
        top = top_tokens(problem.draft, problem.n_drafts - 1)
        inclusion = restricted(problem.draft, top)
        inclusion[top] = 1.0
        return inclusion

    def marginals(self, problem: Problem) -> NDArray[np.float64]:
        """Return one token of A for each draft but the last, whose law is q restricted to the rest, (n, V)."""
        top = top_tokens(problem.draft, problem.n_drafts - 1)
        marginals = np.zeros((problem.n_drafts, problem.vocab_size))
        marginals[np.arange(top.size), top] = 1.0
        marginals[-1] = restricted(problem.draft, top)
        return marginals

    def quantiles(self, problem: Problem, ids: NDArray[np.int64], uniforms: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the uniform itself where the draft is given, and the last one's quantile in what A leaves."""
        quantiles = sequential_quantiles(problem.draft_rows, ids, uniforms, distinct=True)
        quantiles[:, :-1] = uniforms[:, :-1]
        return quantiles


GREEDY: Final = Greedy()
LAW: Final[DraftingLaw] = GREEDY
