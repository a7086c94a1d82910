"""Recursive rejection sampling: try the drafts in order, each against what the earlier rejections left of the target.

With replacement this is SpecInfer's multi-step speculative sampling (Miao et al., 2305.09781), without replacement it
is RSD (Jeon et al., 2402.14160) and Sequoia (Chen et al., 2402.12374): after a rejection p <- norm (p - q)+, and
without replacement the tried token leaves q, which is renormalised. Independent drafters are tried in the given order,
each with its own q; the acceptance depends on that order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from spectest.declaration import selector
from spectest.schemes.base import Scheme
from spectest.schemes.recursive_rejection import exact as rejection_exact

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from spectest.problem import Problem


@selector(drafting="with_replacement", broadcast=True, scheme="recursive_rejection")
def with_replacement(
    target_probs: torch.Tensor, draft_probs: torch.Tensor, draft_token_ids: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Select by recursive rejection from i.i.d. drafts; see `Scheme.select` for the arguments."""
    # The n rows are equal by contract: one of them saves n - 1 passes over the vocabulary.
    return _independently(target_probs, draft_probs, draft_token_ids, generator, n_laws=1)


@selector(drafting="independent", broadcast=True, scheme="recursive_rejection")
def independent(
    target_probs: torch.Tensor, draft_probs: torch.Tensor, draft_token_ids: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Select by recursive rejection from independent drafts, each of its own law; see `Scheme.select`."""
    return _independently(target_probs, draft_probs, draft_token_ids, generator, n_laws=None)


@selector(drafting="without_replacement", broadcast=True, scheme="recursive_rejection")
def without_replacement(
    target_probs: torch.Tensor, draft_probs: torch.Tensor, draft_token_ids: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Select by recursive rejection from distinct drafts; see `Scheme.select` for the arguments."""
    from spectest.schemes.common.sampling import check_inputs, is_shared  # noqa: PLC0415
    from spectest.schemes.recursive_rejection import distinct  # noqa: PLC0415 (torch, only when selecting)
    from spectest.schemes.recursive_rejection.plans import Plan, recursive_rejection  # noqa: PLC0415

    check_inputs(target_probs, draft_probs, draft_token_ids, generator)
    base, n = draft_probs[:, 0], draft_token_ids.shape[1]
    plan: Plan
    if is_shared(target_probs, base) and int((base[0] > 0).sum()) >= n:
        plan = distinct.SharedDistinctPlan(target_probs[0], base[0], n)
    else:
        plan = distinct.DenseDistinctPlan(target_probs, base)
    return recursive_rejection(plan, draft_token_ids, generator)


def _independently(
    target_probs: torch.Tensor,
    draft_probs: torch.Tensor,
    draft_token_ids: torch.Tensor,
    generator: torch.Generator,
    *,
    n_laws: int | None,
) -> torch.Tensor:
    """Select from drafts drawn independently of each other, reading the first `n_laws` draft laws."""
    from spectest.schemes.common.sampling import check_inputs, is_shared  # noqa: PLC0415
    from spectest.schemes.recursive_rejection.plans import DensePlan, SharedPlan, recursive_rejection  # noqa: PLC0415 (torch)

    check_inputs(target_probs, draft_probs, draft_token_ids, generator)
    laws = draft_probs[:, :n_laws]
    shared = is_shared(target_probs, laws)
    plan = SharedPlan(target_probs[0], laws[0]) if shared else DensePlan(target_probs, laws)
    return recursive_rejection(plan, draft_token_ids, generator)


#: `module:select` is the selector of a scheme's first law.
select = with_replacement


class RecursiveRejection(Scheme):
    """Recursive rejection sampling, in the given order of the drafts.

    Lossless for each of its drafting laws. The residual vanishes on every rejected draft, so that acceptance, by
    membership, is the probability that a test accepts.

    Example:
        >>> from spectest import Problem
        >>> problem = Problem([5 / 9, 4 / 9], [1 / 3, 2 / 3], n_drafts=2, drafting="without_replacement")
        >>> round(RecursiveRejection().acceptance(problem), 12)
        1.0
    """

    name = "recursive_rejection"
    selectors: ClassVar = {
        "with_replacement": with_replacement,
        "without_replacement": without_replacement,
        "independent": independent,
    }
    laws = tuple(selectors)

    def acceptance(self, problem: Problem) -> float:
        """Return P(output is among the drafts): any V, but without replacement at most 4e6 rejected prefixes."""
        if self._checked(problem).drafting == "without_replacement":
            return rejection_exact.acceptance_distinct(problem.target, problem.draft, problem.n_drafts)
        return rejection_exact.acceptance_independent(problem.target, problem.draft_rows)

    def output_law(self, problem: Problem) -> NDArray[np.float64]:
        """Return the output's law (V,): any V, but without replacement at most 3e7 probabilities of residuals."""
        if self._checked(problem).drafting == "without_replacement":
            return rejection_exact.output_law_distinct(problem.target, problem.draft, problem.n_drafts)
        return rejection_exact.output_law_independent(problem.target, problem.draft_rows)


SCHEME = RecursiveRejection
