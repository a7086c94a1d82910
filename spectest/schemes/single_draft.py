"""Single-draft speculative sampling (Leviathan et al., 2211.17192; Chen et al., 2302.01318).

Accept the draft x with probability min(1, p(x) / q(x)); otherwise draw from norm (p - q)+. It is recursive rejection
with one round, and optimal: no lossless selector accepts more than 1 - TV(p, q).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spectest.declaration import selector
from spectest.errors import UsageError
from spectest.schemes import recursive_rejection
from spectest.schemes.base import Scheme
from spectest.schemes.recursive_rejection.exact import output_law_independent

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from spectest.problem import Problem


@selector(n_drafts=1, broadcast=True, scheme="single_draft")
def select(
    target_probs: torch.Tensor, draft_probs: torch.Tensor, draft_token_ids: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Select by single-draft speculative sampling; see `Scheme.select` for the arguments, with n = 1."""
    if draft_token_ids.ndim == 2 and draft_token_ids.shape[1] != 1:  # noqa: PLR2004 (a matrix of ids)
        msg = f"`draft_token_ids` must hold one draft per row for single_draft, got {draft_token_ids.shape[1]}"
        raise UsageError(msg)
    return recursive_rejection.with_replacement(target_probs, draft_probs, draft_token_ids, generator)


class SingleDraft(Scheme):
    """Single-draft speculative sampling: one draft, whose law is q under every drafting law.

    Example:
        >>> from spectest import Problem
        >>> SingleDraft().acceptance(Problem([0.5, 0.5], [0.25, 0.75]))
        0.75
    """

    name = "single_draft"
    laws = ("with_replacement", "without_replacement", "independent")
    selectors = dict.fromkeys(laws, select)
    most_drafts = dict.fromkeys(laws, 1)

    def _draft(self, problem: Problem) -> NDArray[np.float64]:
        draft: NDArray[np.float64] = self._checked(problem).draft_rows[0]
        return draft

    def acceptance(self, problem: Problem) -> float:
        """Return sum min(p, q) = 1 - TV(p, q)."""
        return float(np.minimum(problem.target, self._draft(problem)).sum())

    def output_law(self, problem: Problem) -> NDArray[np.float64]:
        """Return min(p, q) + (1 - sum min(p, q)) norm (p - q)+, (V,)."""
        return output_law_independent(problem.target, self._draft(problem)[None])


SCHEME = SingleDraft
