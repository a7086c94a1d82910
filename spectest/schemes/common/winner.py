"""The last step of every scheme that first picks one of its drafts: single-draft speculative sampling of the winner.

Canonical decomposition (Khisti et al., arXiv 2410.18234, theorem 1): pick a draft, let r be the law of what is picked;
accept it with probability min(1, p / r), else draw from norm (p - r)+. Lossless whenever r is the law the winner really
has. Imports torch.
"""

from __future__ import annotations

import torch

from spectest.schemes.common.sampling import draw, uniforms


def verify_winner(
    target: torch.Tensor, law: torch.Tensor, winner: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Return the tokens, (B,) int64: each winner accepted against its law, or a draw from the residual.

    Args:
        target: p in float64, (B, V), or (V,) for all rows; sums to 1.
        law: r, the law of the winner, likewise.
        winner: the drafts picked, (B,) int64.
        generator: one uniform per row, then one per rejected row.
    """
    shared = target.ndim == 1
    token = winner.unsqueeze(1)
    p, r = (table[winner] if shared else table.gather(1, token).squeeze(1) for table in (target, law))
    # u r < p and not u < p / r: a token of p = 0 is never accepted, and nothing is divided by 0.
    rejected = (uniforms(len(winner), generator) * r < p).logical_not_().nonzero().squeeze(1)
    selected = winner.clone(memory_format=torch.contiguous_format)
    if len(rejected):
        mass = target if shared else target.index_select(0, rejected)
        residual = (mass - (law if shared else law.index_select(0, rejected))).clamp_(min=0)
        # A rejection where p >= r everywhere is rounding alone: the target does as well as anything.
        residual = torch.where(residual.sum(-1, keepdim=True) > 0, residual, mass)
        selected[rejected] = draw(residual, uniforms(len(rejected), generator))
    return selected
