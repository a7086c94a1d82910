"""Schemes that plan each distinct problem once and let the plan select its rows."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Final, Protocol

from spectest.problem import DRAFTING
from spectest.schemes.base import Scheme

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from spectest.problem import Problem
    from spectest.schemes.common.enumerated import Outcome
    from spectest.schemes.common.planning import Plan

    class EnumeratedPlan(Plan, Protocol):
        """A plan that knows what it does."""

        def outcome(self) -> Outcome:
            """Return the acceptance and the law of the output."""
            ...


_DIMENSIONS: Final = 3  # of draft_probs (B, n, V)
#: Tuples of drafts that one call enumerates, over all its problems: a few seconds for each million.
_TUPLES_A_CALL: Final = 2_000_000


class PlannedScheme(Scheme):
    """A scheme whose plan costs more than a pass over the vocabulary."""

    @abstractmethod
    def plan(self, problem: Problem) -> Plan:
        """Return how the rows of a problem are selected."""

    def select(
        self,
        target_probs: torch.Tensor,
        draft_probs: torch.Tensor,
        draft_token_ids: torch.Tensor,
        generator: torch.Generator,
    ) -> torch.Tensor:
        """Select one token per row, (B,) int64, from drafts of the law `drafting`; see `Scheme.select`.

        Raises:
            ProblemTooLarge: a problem is too large to plan, or there are too many for one call.
        """
        from spectest.schemes.common.planning import select_by_problem  # noqa: PLC0415 (torch, only when selecting)

        inputs = (target_probs, draft_probs, draft_token_ids)
        most = self._problems_at_most(*draft_probs.shape[1:]) if draft_probs.ndim == _DIMENSIONS else None
        return select_by_problem(self.plan, self.drafting, inputs, generator, at_most=most)

    def _problems_at_most(self, n_drafts: int, vocab_size: int) -> int | None:
        """Return how many different problems a batch may hold, None for any number."""
        del n_drafts, vocab_size
        return None


class EnumeratedScheme(PlannedScheme):
    """A scheme that plans by the joint law of the drafts, at most two million tuples; any drafting law."""

    laws = tuple(DRAFTING)

    def _problems_at_most(self, n_drafts: int, vocab_size: int) -> int | None:
        tuples: int = vocab_size**n_drafts
        return max(1, _TUPLES_A_CALL // tuples)

    @abstractmethod
    def plan(self, problem: Problem) -> EnumeratedPlan:
        """Return how the rows of a problem are selected."""

    def acceptance(self, problem: Problem) -> float:
        """Return P(output is among the drafts), added up over all sets of drafts."""
        return self.plan(self._checked(problem)).outcome().acceptance

    def output_law(self, problem: Problem) -> NDArray[np.float64]:
        """Return the output's law (V,), added up over all sets of drafts."""
        return self.plan(self._checked(problem)).outcome().output_law
