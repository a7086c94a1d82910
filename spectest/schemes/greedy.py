"""The optimal selector of greedy drafts (Hu et al., 2502.18779): the likeliest n - 1 tokens, then one drawn.

The drawn draft has law r = q restricted to the tokens outside A, the likeliest n - 1. It is verified against r, and
the residual (p - r)+ holds all of p on A, which is drafted for certain: that acceptance is the optimum of the law.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spectest.declaration import selector
from spectest.drafting.greedy import restricted, top_tokens
from spectest.schemes.base import Scheme
from spectest.schemes.recursive_rejection.exact import output_law_independent

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from spectest.problem import Problem


@selector(drafting="greedy", broadcast=True, scheme="greedy")
def select(
    target_probs: torch.Tensor, draft_probs: torch.Tensor, draft_token_ids: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Verify the last draft against q off the others; see `Scheme.select` for the arguments."""
    from spectest.schemes.common.batch import batch_laws, restricted_laws  # noqa: PLC0415 (torch, only when selecting)
    from spectest.schemes.common.sampling import check_inputs  # noqa: PLC0415
    from spectest.schemes.common.winner import verify_winner  # noqa: PLC0415

    check_inputs(target_probs, draft_probs, draft_token_ids, generator)
    target, draft = batch_laws(target_probs, draft_probs[:, 0])
    # A follows from q: where all rows share q they share A, and the first row's drafts name it, ties included.
    top = draft_token_ids[0, :-1] if draft.ndim == 1 else draft_token_ids[:, :-1]
    return verify_winner(target, restricted_laws(draft, top), draft_token_ids[:, -1], generator)


class Greedy(Scheme):
    """Single-draft speculative sampling of the one draft that is drawn.

    Lossless, and no lossless selector accepts more from greedy drafts.

    Example:
        >>> from spectest import Problem
        >>> round(Greedy().acceptance(Problem([0.2, 0.3, 0.5], [0.5, 0.4, 0.1], 2, "greedy")), 12)  # .2 + .3 + .1/.5
        0.7
    """

    name = "greedy"
    laws = ("greedy",)
    selectors = dict.fromkeys(laws, select)

    def _laws(self, problem: Problem) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Return A, and the law of the last draft."""
        top = top_tokens(self._checked(problem).draft, problem.n_drafts - 1)
        return top, restricted(problem.draft, top)

    def acceptance(self, problem: Problem) -> float:
        """Return p(A) + sum over x outside A of min(p(x), q(x) / q(V - A))."""
        top, last = self._laws(problem)
        kept = np.minimum(problem.target, last)
        kept[top] = problem.target[top]
        return min(1.0, float(kept.sum()))

    def output_law(self, problem: Problem) -> NDArray[np.float64]:
        """Return min(p, r) + (1 - sum min(p, r)) norm (p - r)+, (V,), r the law of the last draft."""
        return output_law_independent(problem.target, self._laws(problem)[1][None])


SCHEME = Greedy
