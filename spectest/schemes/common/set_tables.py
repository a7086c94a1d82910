"""Selectors that see only the set of drafts: a row of probabilities for every set, and how drafts find their row."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Final

import numpy as np

from spectest import drafting
from spectest.drafting import JointLaw
from spectest.drafting.enumeration import product_law
from spectest.optimum.sets import DraftSets, draft_sets
from spectest.schemes.common.enumerated import Outcome

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from spectest.problem import Problem

#: Laws of which tokens can be merged: the drafts are then drawn from the merged laws in the same way.
_MERGEABLE: Final = frozenset({"with_replacement", "independent"})


def target_sets(problem: Problem) -> DraftSets:
    """Return the sets of drafted tokens that have target mass; tokens that can never come out are as good as none.

    Independent drafts are enumerated with all tokens of target probability 0 as one: a target of few tokens is a small
    problem in any vocabulary.

    Raises:
        ProblemTooLarge: the joint law is too large to enumerate.

    Example:
        >>> from spectest import Problem
        >>> sets = target_sets(Problem([0.5, 0.5, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25], n_drafts=2))
        >>> list(zip(sets.members.tolist(), sets.mass.tolist()))
        [([0, 1], 0.125), ([0, 4], 0.3125), ([1, 4], 0.3125), ([4, 4], 0.25)]
    """
    none, possible = problem.vocab_size, problem.target > 0
    if problem.drafting in _MERGEABLE:
        rows = problem.draft_rows
        tuples, mass = product_law(list(np.column_stack([rows[:, possible], rows[:, ~possible].sum(axis=1)])))
        names = np.append(np.flatnonzero(possible), none)
    else:
        tuples, mass = drafting.get(problem.drafting).joint_law(problem)
        names = np.where(possible, np.arange(none), none)
    return draft_sets(JointLaw(names[tuples], mass), none)


@dataclass(frozen=True, eq=False)
class SetTable:
    """P(token | set of drafts) for the tokens of each set; a row may leave some probability to no token.

    Args:
        members: the tokens of each set in ascending order, then V, (S, n).
        edges: cumulative probabilities of `members`, (S, n).
        codes: one number for each set, ascending, all different, (S,).
        keys: the code of a set is the sum of the keys of its tokens modulo 2^64, (V,); 0 for tokens of no set.
    """

    members: NDArray[np.int64]
    edges: NDArray[np.float64]
    codes: NDArray[np.int64]
    keys: NDArray[np.int64]

    @classmethod
    def of(cls, sets: DraftSets, picked: NDArray[np.float64], vocab_size: int) -> SetTable:
        """Return the table of the probabilities `picked` of `sets.members`, (S, n), 0 on padding."""
        for salt in count():
            keys = np.append(_keys(vocab_size, salt), 0)
            codes = keys[sets.members].sum(axis=1)
            order = np.argsort(codes)
            codes = codes[order]
            if (codes[1:] != codes[:-1]).all():  # two sets with one code: hardly ever
                break
        keys[np.setdiff1d(np.arange(vocab_size), sets.members)] = 0
        return cls(sets.members[order], np.cumsum(picked[order], axis=1), codes, keys[:-1])

    def pick(self, draft_token_ids: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
        """Return the token picked in each row, V for none, from ids (B, n) and uniforms (B,) -> (B,).

        Drafts that the drafting law cannot draw pick nothing.
        """
        import torch  # noqa: PLC0415 (only when selecting)

        none = self.keys.size
        members, edges, codes, keys = (
            torch.from_numpy(table).to(uniform.device) for table in (self.members, self.edges, self.codes, self.keys)
        )
        ordered = draft_token_ids.sort(dim=1).values
        key = keys[ordered]
        key[:, 1:].masked_fill_(ordered[:, 1:] == ordered[:, :-1], 0)
        code = key.sum(dim=1)
        row = torch.searchsorted(codes, code).clamp_(max=len(codes) - 1)
        slot = (uniform.unsqueeze(1) >= edges[row]).sum(dim=1, keepdim=True)
        tokens = torch.nn.functional.pad(members[row], (0, 1), value=none).gather(1, slot).squeeze(1)
        return tokens.masked_fill_(codes[row] != code, none)


def _keys(vocab_size: int, salt: int) -> NDArray[np.int64]:
    """Return random keys (Zobrist hashing): codes fit 64 bits at any n and V and do not see the order of the drafts."""
    low, high = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    return np.random.default_rng(salt).integers(low, high, size=vocab_size, dtype=np.int64)


def outcome(
    sets: DraftSets, kept: NDArray[np.float64], missed: NDArray[np.float64], residual: NDArray[np.float64]
) -> Outcome:
    """Return the outcome, exactly, of keeping a token of the set or else drawing from one residual law.

    Args:
        sets: the sets.
        kept: P(the drafts are this set, and this token of it is kept), (S, n), 0 on padding.
        missed: P(the drafts are this set, and none is kept), (S,).
        residual: what is drawn from then, (V,).
    """
    law = np.bincount(sets.members.ravel(), weights=kept.ravel(), minlength=residual.size + 1)[:-1]
    among = np.append(residual, 0.0)[sets.members].sum(axis=1)  # the residual may be a draft by coincidence
    return Outcome(min(float(kept.sum() + missed @ among), 1.0), law + missed.sum() * residual)
