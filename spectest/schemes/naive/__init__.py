"""Naive multi-draft sampling ("NaiveTree" of Thomas et al., 2602.16994): the first of n drafts alone is tested.

Accept x_1 with probability min(1, p(x_1) / q(x_1)), else draw from norm (p - q)+, q the law of the first drafter. The
other drafts are never looked at: they only count where the residual draw happens to be one of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spectest.declaration import selector
from spectest.schemes.base import Scheme
from spectest.schemes.naive.exact import coincidence_distinct
from spectest.schemes.recursive_rejection.exact import output_law_independent

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from spectest.problem import Problem


@selector(broadcast=True, scheme="naive")
def select(
    target_probs: torch.Tensor, draft_probs: torch.Tensor, draft_token_ids: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Verify the first draft against its law, which is q_1 under each of the laws; see `Scheme.select`."""
    from spectest.schemes.common.batch import batch_laws  # noqa: PLC0415 (torch, only when selecting)
    from spectest.schemes.common.sampling import check_inputs  # noqa: PLC0415
    from spectest.schemes.common.winner import verify_winner  # noqa: PLC0415

    check_inputs(target_probs, draft_probs, draft_token_ids, generator)
    target, draft = batch_laws(target_probs, draft_probs[:, 0])
    return verify_winner(target, draft, draft_token_ids[:, 0], generator)


class Naive(Scheme):
    """Single-draft speculative sampling of the first draft, whatever the others are.

    Lossless for each of its drafting laws: the first draft has law q_1 under all of them.

    Example:
        >>> from spectest import Problem
        >>> round(Naive().acceptance(Problem([5 / 9, 4 / 9], [1 / 3, 2 / 3], n_drafts=2)), 12)  # 7/9 + 2/9 · 1/3
        0.851851851852
    """

    name = "naive"
    laws = ("with_replacement", "without_replacement", "independent")
    selectors = dict.fromkeys(laws, select)

    def acceptance(self, problem: Problem) -> float:
        """Return sum min(p, q_1) + sum (p - q_1)+(y) P(y is among the other drafts), given that the first is rejected.

        Any V; without replacement, n >= 3 is an integral over an exponential race, good to about 1e-14.
        """
        rows = self._checked(problem).draft_rows
        kept = float(np.minimum(problem.target, rows[0]).sum())
        residual = np.maximum(problem.target - rows[0], 0.0)
        if problem.drafting == "without_replacement":
            return min(1.0, kept + coincidence_distinct(problem))
        # The residual vanishes on a rejected draft, and the others are independent of it.
        with np.errstate(divide="ignore"):  # q(y) = 1: y is among the others for certain
            among = -np.expm1(np.log1p(-rows[1:]).sum(axis=0))
        return min(1.0, kept + float(residual @ among))

    def output_law(self, problem: Problem) -> NDArray[np.float64]:
        """Return min(p, q_1) + (1 - sum min(p, q_1)) norm (p - q_1)+, (V,)."""
        return output_law_independent(problem.target, self._checked(problem).draft_rows[:1])


SCHEME = Naive
