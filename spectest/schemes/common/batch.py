"""The laws of a batch: one pair for all rows where the inputs are expanded views, else one per row. Imports torch."""

from __future__ import annotations

import torch

from spectest.schemes.common.sampling import is_shared, totals


def batch_laws(target_probs: torch.Tensor, draft_probs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return p and q in float64, renormalised: (V,) each where all rows are one problem, else (B, V) each.

    Args:
        target_probs: (B, V).
        draft_probs: the base law of the drafts, (B, V).

    Raises:
        UsageError: a sum is not positive and finite.
    """
    if is_shared(target_probs, draft_probs):
        target_probs, draft_probs = target_probs[0], draft_probs[0]
    target_totals, draft_totals = (
        totals(target_probs, name="target_probs"),
        totals(draft_probs, name="draft_probs"),
    )
    return target_probs.double() / target_totals.unsqueeze(-1), draft_probs.double() / draft_totals.unsqueeze(-1)


def at(table: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Return the entries of the tokens (B, m) in a table (V,) of all rows, or (B, V), one row each: (B, m)."""
    return table[tokens] if table.ndim == 1 else table.gather(1, tokens)


def restricted_laws(draft: torch.Tensor, without: torch.Tensor) -> torch.Tensor:
    """Return q restricted to the tokens other than `without`, over the sum of what is left, in the shape of `draft`.

    Where nothing is left of q the law is uniform over the other tokens, and where there are none either, 0.

    Args:
        draft: q, (V,) or (B, V).
        without: ids, (m,) or (B, m).
    """
    rest = draft.scatter(-1, without, 0.0)
    left = rest.sum(-1, keepdim=True)
    if not bool((left > 0).all()):
        others = torch.ones_like(rest).scatter_(-1, without, 0.0)
        rest = torch.where(left > 0, rest, others)
        left = rest.sum(-1, keepdim=True).clamp_(min=torch.finfo(rest.dtype).tiny)
    return rest.div_(left)
