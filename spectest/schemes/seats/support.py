"""Seats: one problem on the tokens that can be drafted; one more token, the last, stands for all the others."""

from __future__ import annotations

from typing import NamedTuple

from spectest.schemes.common.arrays import Array, library


class Support(NamedTuple):
    """A problem on the M tokens that can be drafted and the rest: nothing here has the size of the vocabulary."""

    ids: Array  # (M,): those tokens, ascending
    target: Array  # (M + 1,): p; last, what p holds elsewhere
    draft: Array  # (M + 1,), or (n, M + 1) for n drafters: q; last, 0


def condense(target: Array, total: Array, draft: Array) -> Support:
    """Return the problem on the tokens that can be drafted, in float64 and renormalised.

    Args:
        target: p, (V,), any float dtype; numpy or torch.
        total: the sum of p in float64, (1,).
        draft: q, (V,), or (n, V) for n drafters, any float dtype.
    """
    xp = library(draft)
    ids = xp.argwhere(draft if draft.ndim == 1 else (draft > 0).any(0))[:, 0]
    p, q = target[ids] / total, draft[..., ids]
    q = q / q.sum(-1, dtype=xp.float64)[..., None]
    rest = (1 - p.sum()).clip(min=0).reshape(1)
    return Support(ids, xp.concatenate((p, rest)), xp.concatenate((q, 0 * q[..., :1]), -1))
