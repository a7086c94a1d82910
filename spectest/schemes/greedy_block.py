"""One step of greedy block verification ("GBV", arXiv 2602.16961, at block length 1): keep the draft of largest p / q.

Tokens are ordered by p / q, ties by id: a strict order, so that the largest of n i.i.d. drafts has the law
r(x) = F(x)^n - F(x-)^n, F(x) the q-mass up to x and F(x-) that below it. The draft kept is verified against r.

Any strict order is lossless, but the acceptance jumps where two tokens change places. Ratios closer than rounding can
tell apart are therefore ties, so that the order does not hang on the last bit of p or q.
"""

from __future__ import annotations

from math import comb
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from spectest.declaration import selector
from spectest.schemes.base import Scheme
from spectest.schemes.recursive_rejection.exact import output_law_independent

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from spectest.problem import Problem

#: Ratios p / q no further apart than this, relatively, are the same.
TIE: Final = 2.0**-40


@selector(drafting="with_replacement", broadcast=True, scheme="greedy_block")
def select(
    target_probs: torch.Tensor, draft_probs: torch.Tensor, draft_token_ids: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Verify the draft of largest p / q against its law; see `Scheme.select` for the arguments."""
    from spectest.schemes.common.batch import at, batch_laws  # noqa: PLC0415 (torch, only when selecting)
    from spectest.schemes.common.sampling import check_inputs  # noqa: PLC0415
    from spectest.schemes.common.winner import verify_winner  # noqa: PLC0415

    check_inputs(target_probs, draft_probs, draft_token_ids, generator)
    target, draft = batch_laws(target_probs, draft_probs[:, 0])
    law, rank = _law_and_rank(target, draft, draft_token_ids.shape[1])
    highest = at(rank, draft_token_ids).argmax(1, keepdim=True)
    return verify_winner(target, law, draft_token_ids.gather(1, highest).squeeze(1), generator)


def _law_and_rank(target: torch.Tensor, draft: torch.Tensor, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return r and each token's place in the order, in the shape of p and q: (V,) for all rows, or (B, V)."""
    import torch  # noqa: PLC0415 (only when selecting)

    ratio, order = torch.where(target > 0, target / draft, 0.0).sort(dim=-1, stable=True)
    # A tie joins the token before it; sorting the groups, stably, leaves each in order of id.
    apart = torch.nn.functional.pad(ratio[..., 1:] > ratio[..., :-1] * (1 + TIE), (1, 0))
    order = torch.empty_like(order).scatter_(-1, order, apart.cumsum(-1)).argsort(dim=-1, stable=True)
    masses = draft.gather(-1, order)
    upto = masses.cumsum(-1)
    below = torch.nn.functional.pad(upto[..., :-1], (1, 0))
    # r = q sum_k F^k F-^(n-1-k), by Horner's rule: positive terms only.
    factor, power = torch.ones_like(masses), torch.ones_like(masses)
    for _ in range(n - 1):
        power *= below
        factor = factor * upto + power
    law = torch.empty_like(masses).scatter_(-1, order, masses * factor)
    places = torch.arange(order.shape[-1], device=order.device).expand_as(order)
    return law, torch.empty_like(order).scatter_(-1, order, places)


class _Ordered(NamedTuple):
    """A problem's tokens in ascending order of p / q, ties by id; (V,) each."""

    order: NDArray[np.intp]
    target: NDArray[np.float64]
    draft: NDArray[np.float64]
    below: NDArray[np.float64]  # F(x-)
    upto: NDArray[np.float64]  # F(x)


class GreedyBlock(Scheme):
    """Keep the draft of largest p / q and verify it against the law of the largest of n.

    Lossless; for n >= 2 sometimes worse than single-draft sampling, which does not look for p / q.

    Example:
        >>> from spectest import Problem
        >>> round(GreedyBlock().acceptance(Problem([0.5, 0.5], [0.25, 0.75], n_drafts=2)), 12)  # r = (7/16, 9/16)
        0.9375
    """

    name = "greedy_block"
    laws = ("with_replacement",)
    selectors = dict.fromkeys(laws, select)

    def acceptance(self, problem: Problem) -> float:
        """Return sum min(p, r) plus the residual draws that meet a draft below the one rejected; any V and n."""
        tokens, n = _ordered(self._checked(problem)), problem.n_drafts
        law = tokens.draft * _power_sums(tokens.upto, tokens.below, n)
        kept = float(np.minimum(tokens.target, law).sum())
        residual = np.maximum(tokens.target - law, 0.0)
        total = residual.sum()
        if total <= 0:
            return min(1.0, kept)
        return min(1.0, kept + float((residual / total) @ _met(tokens, law, n)))

    def output_law(self, problem: Problem) -> NDArray[np.float64]:
        """Return min(p, r) + (1 - sum min(p, r)) norm (p - r)+, (V,), r the law of the draft kept."""
        tokens = _ordered(self._checked(problem))
        law = np.empty_like(tokens.draft)
        law[tokens.order] = tokens.draft * _power_sums(tokens.upto, tokens.below, problem.n_drafts)
        return output_law_independent(problem.target, law[None])


def _ordered(problem: Problem) -> _Ordered:
    target, draft = problem.target, problem.draft
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = np.where(target > 0, target / draft, 0.0)
    order, groups = np.argsort(ratio, kind="stable"), np.zeros(ratio.size, dtype=np.intp)
    groups[order[1:]] = np.cumsum(ratio[order[1:]] > ratio[order[:-1]] * (1 + TIE))
    order = np.argsort(groups, kind="stable")
    upto = np.cumsum(draft[order])
    return _Ordered(order, target[order], draft[order], np.append(0.0, upto[:-1]), upto)


def _power_sums(upto: NDArray[np.float64], below: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return h_n = sum over k < n of F^k F-^(n-1-k), so that F^n - F-^n = (F - F-) h_n: positive terms only."""
    total, power = np.ones_like(upto), np.ones_like(upto)
    for _ in range(n - 1):
        power = power * below
        total = total * upto + power
    return total


def _met(tokens: _Ordered, law: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return P(the draft kept is rejected and y is among the drafts) for each token of positive residual, (V,).

    With z kept, y is among the drafts only below z, and jointly they have probability
    (F_z^n - F_z-^n) - ((F_z - q_y)^n - (F_z- - q_y)^n), weighted here by z's rejections a_z. Expanded in powers of
    q_y it is a suffix sum over z for each power; the expansion alternates, but with q_y <= 1/n its terms add up to
    less than e. There are at most n heavier tokens y, each done directly.
    """
    rejects = np.divide(law - tokens.target, law, out=np.zeros_like(law), where=law > tokens.target)
    weights = rejects * tokens.draft
    met = np.zeros_like(law)
    total, power = np.ones_like(law), np.ones_like(law)  # h_l and F-^(l-1), l = 1
    for size in range(1, n):
        above = np.append(np.cumsum((weights * total)[::-1])[-2::-1], 0.0)  # over z > y: a_z (F_z^l - F_z-^l)
        met -= comb(n, size) * (-tokens.draft) ** (n - size) * above
        power = power * tokens.below
        total = total * tokens.upto + power
    for y in np.flatnonzero(tokens.draft * n > 1):
        mass, later = tokens.draft[y], slice(y + 1, None)
        absent = _power_sums(tokens.upto[later] - mass, tokens.below[later] - mass, n)
        met[y] = (weights[later] * (total[later] - absent)).sum()
    return met


SCHEME = GreedyBlock
