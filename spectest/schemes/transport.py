"""Optimal transport, exactly: a maximum flow between target mass and sets of drafts, completed to a coupling.

With S(s, y) the mass shipped, p_res(y) = p(y) - sum over s of S(s, y) and D_res(s) = w(s) - sum over y of S(s, y), the
law of the output given the drafts is (S(s, y) + p_res(y) D_res(s) / sum p_res) / w(s): a draft is kept with probability
S(s, y) / w(s), and what is not kept is drawn from p_res (Thomas and Pal, arXiv 2511.15898, after the transport problem
of SpecTr, arXiv 2310.15141).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from spectest.optimum.flow import set_flow
from spectest.schemes.common.plain import plain
from spectest.schemes.common.planned import EnumeratedScheme
from spectest.schemes.common.set_tables import SetTable, outcome, target_sets

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from spectest.optimum.sets import DraftSets
    from spectest.problem import Problem
    from spectest.schemes.common.enumerated import Outcome


@dataclass(frozen=True, eq=False)
class CoupledPlan:
    """An optimal coupling of the target with the sets of drafts.

    Args:
        sets: the sets of drafted tokens with target mass, S of them.
        kept: P(token is kept | set) on `sets.members`, (S, n); rows sum to at most 1.
        residual: the law of what is drawn where nothing is kept, (V,).
    """

    sets: DraftSets
    kept: NDArray[np.float64]
    residual: NDArray[np.float64]

    @classmethod
    def of(cls, problem: Problem) -> CoupledPlan:
        """Plan a problem: one maximum flow. It ships neither more than p nor more than w, not even by rounding.

        Raises:
            ProblemTooLarge: the drafts' joint law is too large to enumerate.
        """
        sets = target_sets(problem)
        flow = set_flow(problem.target, sets)
        shipped = np.zeros(sets.members.shape)
        shipped[sets.members < problem.vocab_size] = flow.carried  # its arcs, set by set
        total = np.bincount(flow.tokens, weights=flow.carried, minlength=problem.vocab_size)
        left = np.maximum(problem.target - total, 0.0)
        # Where everything is shipped, only rounding draws from the residual: the target does as well as anything.
        residual = left / left.sum() if left.any() else problem.target
        return cls(sets, shipped / sets.mass[:, None], residual)

    @cached_property
    def table(self) -> SetTable:
        """How drafts find the row of their set."""
        return SetTable.of(self.sets, self.kept, self.residual.size)

    def outcome(self) -> Outcome:
        """Return the acceptance and the law of the output."""
        missed = self.sets.mass * np.maximum(1.0 - self.kept.sum(axis=1), 0.0)
        return outcome(self.sets, self.sets.mass[:, None] * self.kept, missed, self.residual)

    def select(self, draft_token_ids: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return one token per row, (B, n) -> (B,); see `common.planning.Plan`."""
        import torch  # noqa: PLC0415 (only when selecting)

        from spectest.schemes.common.sampling import draw, uniforms  # noqa: PLC0415 (torch)

        vocab_size = self.residual.size
        selected = self.table.pick(draft_token_ids, uniforms(len(draft_token_ids), generator))
        missed = (selected == vocab_size).nonzero().squeeze(1)
        residual = torch.tensor(self.residual, device=selected.device)
        selected[missed] = draw(residual, uniforms(len(missed), generator))
        return selected


class Transport(EnumeratedScheme):
    """Optimal transport between target and drafts: lossless and optimal for every drafting law; small problems.

    Acceptance is the optimum to about 1e-13. The drafts' joint law is enumerated: at most two million tuples.

    Example:
        >>> from spectest import Problem
        >>> round(Transport().acceptance(Problem([1 / 3, 1 / 18, 11 / 18], [1 / 3] * 3, n_drafts=2)), 12)
        0.944444444444
    """

    name = "transport"

    def plan(self, problem: Problem) -> CoupledPlan:
        """Return the plan of a problem, at most two million tuples of drafts."""
        return CoupledPlan.of(problem)


# Two drafts, so that the sizes spectest verifies by default are within reach.
select = plain(Transport(), n_drafts=2)
without_replacement = plain(Transport(drafting="without_replacement"), n_drafts=2)
independent = plain(Transport(drafting="independent"), n_drafts=2)
greedy = plain(Transport(drafting="greedy"), n_drafts=2)
hub = plain(Transport(drafting="hub"), n_drafts=2)

SCHEME = Transport
