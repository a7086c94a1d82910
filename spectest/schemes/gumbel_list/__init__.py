"""Gumbel list sampling ("GLS", arXiv 2506.05632): target and drafts are races on the same exponentials.

A sheet of noise E_i ~ Exp(1) for each draft k gives x_k = argmin_i E_i^(k) / q_i^(k), and the output is
argmin_i min_k E_i^(k) / p_i. Drafts have their laws, the output has law p, and the verifier needs no test. As a
selector the scheme is given the drafts, and its noise is drawn again given them: with M_k = min_i E_i / q_i ~ Exp(1),
E_x = q_x M_k for x = x_k and E_i = q_i M_k + Exp(1) for every other token.

So sheet k is a race of its own, run on the clock of p: its draft arrives at time s = M_k q_x / p_x, the other tokens
i at rate p_i from time M_k q_i / p_i on; the first arrival over all sheets is the output. No token needs noise of its
own: all of a sheet's arrivals up to s number sum (p_i s - q_i M_k)+ on average, which prefix sums in order of p / q
invert (`spectest.schemes.gumbel_list.sheets`). Letting the draft's own rate count as well changes nothing: it starts
when the draft arrives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from spectest.declaration import selector
from spectest.schemes.base import Scheme
from spectest.schemes.gumbel_list import exact as gumbel_exact

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from spectest.problem import Problem


@selector(drafting="with_replacement", broadcast=True, scheme="gumbel_list")
def with_replacement(
    target_probs: torch.Tensor, draft_probs: torch.Tensor, draft_token_ids: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Select the first arrival over the sheets of n i.i.d. drafts; see `Scheme.select` for the arguments."""
    # The n rows are equal by contract: one of them is sorted for all.
    return _select(target_probs, draft_probs, draft_token_ids, generator, n_laws=1)


@selector(drafting="independent", broadcast=True, scheme="gumbel_list")
def independent(
    target_probs: torch.Tensor, draft_probs: torch.Tensor, draft_token_ids: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Select the first arrival over the sheets of n different drafters; see `Scheme.select` for the arguments."""
    return _select(target_probs, draft_probs, draft_token_ids, generator, n_laws=None)


def _select(
    target_probs: torch.Tensor,
    draft_probs: torch.Tensor,
    draft_token_ids: torch.Tensor,
    generator: torch.Generator,
    *,
    n_laws: int | None,
) -> torch.Tensor:
    from spectest.schemes.common.sampling import check_inputs, is_shared  # noqa: PLC0415
    from spectest.schemes.gumbel_list.sheets import Sheets  # noqa: PLC0415 (torch, only when selecting)

    check_inputs(target_probs, draft_probs, draft_token_ids, generator)
    laws = draft_probs[:, :n_laws]
    if is_shared(target_probs, laws):
        target_probs, laws = target_probs[:1], laws[:1]
    return Sheets(target_probs, laws).select(draft_token_ids, generator)


#: `module:select` is the selector of a scheme's first law.
select = with_replacement


class GumbelList(Scheme):
    """The first arrival over n coupled races.

    Lossless for drafts that are independent of each other. For one draft it accepts sum_j 1 / sum_i max(p_i / p_j,
    q_i / q_j), at least (1 - TV) / (1 + TV).

    Example:
        >>> from spectest import Problem
        >>> round(GumbelList().acceptance(Problem([0.2, 0.3, 0.5], [0.5, 0.3, 0.2])), 12)  # 1/5 + 1/(13/3) + 1/5
        0.630769230769
    """

    name = "gumbel_list"
    selectors: ClassVar = {"with_replacement": with_replacement, "independent": independent}
    laws = tuple(selectors)

    def acceptance(self, problem: Problem) -> float:
        """Return P(the first arrival is the draft of a sheet): an integral over the clock, to 1e-14; any V and n."""
        return min(1.0, float(gumbel_exact.integrate(self._checked(problem)).among.sum()))

    def output_law(self, problem: Problem) -> NDArray[np.float64]:
        """Return the law of the first arrival, (V,): that among the drafts plus that beside them, both integrated."""
        parts = gumbel_exact.integrate(self._checked(problem))
        return parts.among + parts.beside


SCHEME = GumbelList
