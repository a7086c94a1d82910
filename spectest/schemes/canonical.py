"""The canonical decomposition, exactly: an optimal importance-selection rule, then single-draft verification.

Khisti et al. (arXiv 2410.18234, theorem 1): the largest acceptance is that of picking one of the drafts by a rule
beta(y | set of drafts), whose pick has the law r(y) = sum over sets of w(s) beta(y | s), and verifying it against r; it
is the maximum over beta of sum min(p, r), a linear program.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.optimum.flow import set_flow
from spectest.schemes.common.linear_program import Entries, maximise
from spectest.schemes.common.plain import plain
from spectest.schemes.common.planned import EnumeratedScheme
from spectest.schemes.common.set_tables import SetTable, outcome, target_sets

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from spectest.optimum.sets import DraftSets
    from spectest.problem import Problem
    from spectest.schemes.common.enumerated import Outcome

#: Pairs (set of drafts, token in it) up to which the program is solved as such, in about half a second at most.
MAX_PAIRS: Final = 5_000


def importance_rule(target: NDArray[np.float64], sets: DraftSets) -> NDArray[np.float64]:
    """Return an optimal beta(y | set) on `sets.members`, (S, n); rows of sets with tokens sum to 1 up to rounding.

    Maximise sum z subject to z(y) <= p(y), z(y) <= sum_s b(s, y), sum_y b(s, y) <= w(s). The relaxed form is never
    called infeasible through rounding; dividing each b by its sum over the set makes it a rule, whatever the solver's
    tolerance, and only raises r. With b(s, y) <= p(y) summed over s in place of z it is the transport between target
    and sets, with the same optimum (theorem 1): beyond `MAX_PAIRS` b is a maximum flow.

    Raises:
        SpectestError: the solver gave up.
    """
    member = sets.members < target.size
    rows, columns = np.nonzero(member)
    picked = np.zeros(member.shape)
    if rows.size > MAX_PAIRS:
        picked[rows, columns] = set_flow(target, sets).carried
    else:
        pairs, tokens = np.arange(rows.size), sets.members[rows, columns]
        values = np.repeat([-1.0, 1.0], rows.size)
        matrix = Entries(values, np.append(tokens, target.size + rows), np.tile(pairs, 2))
        limits = np.append(np.zeros(target.size), sets.mass)
        picked[rows, columns] = maximise(target, matrix, limits, sets.mass[rows])
    chosen = np.where(picked.any(axis=1, keepdims=True), picked, member)  # what is given nothing may go to any token
    total = chosen.sum(axis=1, keepdims=True)
    rule: NDArray[np.float64] = np.divide(chosen, total, out=np.zeros(member.shape), where=total > 0)
    return rule


@dataclass(frozen=True, eq=False)
class CanonicalPlan:
    """A rule for every set of drafts, and the law its pick really has: lossless, whatever the rule.

    Args:
        target: p, (V,).
        sets: the sets of drafted tokens with target mass, S of them.
        rule: beta on `sets.members`, (S, n).
        law: r, (V,); where the drafts have no token of target mass, the first of them is picked, to be rejected.
    """

    target: NDArray[np.float64]
    sets: DraftSets
    rule: NDArray[np.float64]
    law: NDArray[np.float64]

    @classmethod
    def of(cls, problem: Problem) -> CanonicalPlan:
        """Plan a problem: solve for the rule and add up the law of its pick.

        Raises:
            ProblemTooLarge: the drafts' joint law is too large to enumerate.
        """
        sets = target_sets(problem)
        rule = importance_rule(problem.target, sets)
        picked = (sets.mass[:, None] * rule).ravel()
        law = np.bincount(sets.members.ravel(), weights=picked, minlength=problem.vocab_size + 1)
        return cls(problem.target, sets, rule, law[:-1].astype(np.float64, copy=False))

    @cached_property
    def table(self) -> SetTable:
        """How drafts find the row of their set."""
        return SetTable.of(self.sets, self.rule, self.target.size)

    def outcome(self) -> Outcome:
        """Return the acceptance and the law of the output."""
        accepts = np.divide(self.target, self.law, out=np.ones_like(self.law), where=self.law > self.target)
        residual = np.maximum(self.target - self.law, 0.0)
        residual = residual / residual.sum() if residual.any() else self.target
        accepts = np.append(accepts, 0.0)[self.sets.members]
        picked = self.sets.mass[:, None] * self.rule
        missed = np.where(self.rule.any(axis=1), (picked * (1.0 - accepts)).sum(axis=1), self.sets.mass)
        return outcome(self.sets, picked * accepts, missed, residual)

    def select(self, draft_token_ids: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return one token per row, (B, n) -> (B,); see `common.planning.Plan`."""
        import torch  # noqa: PLC0415 (only when selecting)

        from spectest.schemes.common.sampling import uniforms  # noqa: PLC0415 (torch)
        from spectest.schemes.common.winner import verify_winner  # noqa: PLC0415 (torch)

        picked = self.table.pick(draft_token_ids, uniforms(len(draft_token_ids), generator))
        # Nothing is picked where no draft has target mass: the first is rejected, r or not, as u r < p never holds.
        winner = torch.where(picked < self.target.size, picked, draft_token_ids[:, 0])
        target, law = (torch.tensor(table, device=winner.device) for table in (self.target, self.law))
        return verify_winner(target, law, winner, generator)


class Canonical(EnumeratedScheme):
    """The canonical decomposition with an optimal rule: lossless, and it attains the optimum of every drafting law.

    Its acceptance is the optimum to 1e-12, the tolerance of the linear program; what is returned is exact for the rule
    that was found. The drafts' joint law is enumerated: at most two million tuples.

    Example:
        >>> from spectest import Problem
        >>> round(Canonical().acceptance(Problem([1 / 3, 1 / 18, 11 / 18], [1 / 3] * 3, n_drafts=2)), 12)
        0.944444444444
    """

    name = "canonical"

    def plan(self, problem: Problem) -> CanonicalPlan:
        """Return the plan of a problem, at most two million tuples of drafts."""
        return CanonicalPlan.of(problem)


# Two drafts, so that the sizes spectest verifies by default are within reach.
select = plain(Canonical(), n_drafts=2)
without_replacement = plain(Canonical(drafting="without_replacement"), n_drafts=2)
independent = plain(Canonical(drafting="independent"), n_drafts=2)
greedy = plain(Canonical(drafting="greedy"), n_drafts=2)
hub = plain(Canonical(drafting="hub"), n_drafts=2)

SCHEME = Canonical
