"""Target-only selection ("NSS"): draw from the target and never look at the drafts.

The floor for every other scheme: lossless by construction, and it accepts only by coincidence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spectest import drafting
from spectest.declaration import selector
from spectest.problem import DRAFTING
from spectest.schemes.base import Scheme

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from spectest.problem import Problem


@selector(broadcast=True, scheme="target_only")
def select(
    target_probs: torch.Tensor, draft_probs: torch.Tensor, draft_token_ids: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Draw each row from its target; see `Scheme.select` for the arguments."""
    from spectest.schemes.common.sampling import check_inputs, draw, is_shared, totals, uniforms  # noqa: PLC0415 (torch)

    check_inputs(target_probs, draft_probs, draft_token_ids, generator)
    law = (target_probs[0] if is_shared(target_probs) else target_probs).double()
    totals(law, name="target_probs")
    return draw(law, uniforms(len(target_probs), generator))


class TargetOnly(Scheme):
    """Target-only selection: the output is drawn from the target, whatever was drafted.

    Example:
        >>> from spectest import Problem
        >>> TargetOnly().acceptance(Problem([0.5, 0.5], [0.5, 0.5], n_drafts=2))
        0.75
    """

    name = "target_only"
    laws = tuple(DRAFTING)
    selectors = dict.fromkeys(laws, select)

    def acceptance(self, problem: Problem) -> float:
        """Return sum p(x) P(x is among the drafts)."""
        law = drafting.get(self._checked(problem).drafting)
        return float(problem.target @ law.inclusion(problem))

    def output_law(self, problem: Problem) -> NDArray[np.float64]:
        """Return the target, (V,): it is what the scheme draws from."""
        return self._checked(problem).target.copy()


SCHEME = TargetOnly
