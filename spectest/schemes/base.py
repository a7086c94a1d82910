"""What a reference scheme provides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from spectest.errors import InvalidProblem, UsageError
from spectest.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    import torch
    from numpy.typing import NDArray


class Scheme(ABC):
    """One published way of choosing a token from n drafts.

    `acceptance` and `output_law` follow the drafting law of the problem they are given; `select` follows `drafting`.

    Args:
        drafting: the law `select` expects its drafts from; the scheme's first one by default.

    Raises:
        UsageError: the scheme has no such drafting law; the message names those it has.
    """

    name: ClassVar[str]
    laws: ClassVar[tuple[str, ...]]
    #: law -> the plain function that selects from its drafts; a scheme that has none overrides `select`.
    selectors: ClassVar[Mapping[str, Callable[..., torch.Tensor]]] = {}
    options: ClassVar[tuple[str, ...]] = ()  # keyword arguments of __init__ besides `drafting`
    #: law -> the most drafts the scheme can have from it, where there is such a limit.
    most_drafts: ClassVar[Mapping[str, int]] = {}

    def __init__(self, *, drafting: str | None = None) -> None:
        self.drafting = self._law(self.laws[0] if drafting is None else drafting)

    @abstractmethod
    def acceptance(self, problem: Problem) -> float:
        """Return P(output is among the drafts), exactly.

        Raises:
            UsageError: the scheme does not have the problem's drafting law.
            InvalidProblem: the scheme does not have the problem's number of drafts.
            ProblemTooLarge: no exact route exists at this size.
        """

    @abstractmethod
    def output_law(self, problem: Problem) -> NDArray[np.float64]:
        """Return the exact law of the output, shape (V,), by propagating the scheme's own arithmetic.

        Raises:
            UsageError: the scheme does not have the problem's drafting law.
            InvalidProblem: the scheme does not have the problem's number of drafts.
            ProblemTooLarge: no exact route exists at this size.
        """

    def select(
        self,
        target_probs: torch.Tensor,
        draft_probs: torch.Tensor,
        draft_token_ids: torch.Tensor,
        generator: torch.Generator,
    ) -> torch.Tensor:
        """Return one token per row; rows are independent and the inputs are left as they are.

        Args:
            target_probs: (B, V), any float dtype; rows are renormalised in float64.
            draft_probs: (B, n, V), likewise; n equal rows where the drafters are identical.
            draft_token_ids: (B, n) int64, in drawn order.
            generator: the only source of randomness, on the device of the tensors.

        Returns:
            Token ids, (B,) int64; never a token of target probability 0.

        Raises:
            UsageError: shapes, dtypes, devices, ids or row sums that cannot be right.
        """
        return self.selectors[self.drafting](target_probs, draft_probs, draft_token_ids, generator)

    def _law(self, drafting: str) -> str:
        if drafting not in self.laws:
            msg = f"`drafting` of {self.name} must be one of {', '.join(self.laws)}, got {drafting!r}"
            raise UsageError(msg)
        return drafting

    def check_drafts(self, drafting: str, n_drafts: int) -> None:
        """Refuse a number of drafts that the scheme cannot have.

        Raises:
            InvalidProblem: it is more than `most_drafts`.
        """
        most = self.most_drafts.get(drafting, n_drafts)
        if n_drafts > most:
            of_this_law = "" if len(self.most_drafts) == len(self.laws) else f" {drafting.replace('_', ' ')}"
            msg = (
                f"`n_drafts` must be {'1' if most == 1 else f'at most {most}'} for {self.name}{of_this_law}, "
                f"got {n_drafts}; try recursive_rejection"
            )
            raise InvalidProblem(msg)

    def _checked(self, problem: Problem) -> Problem:
        """Return `problem` if the scheme has its drafting law, and so many drafts of it."""
        if not isinstance(problem, Problem):
            msg = f"`problem` must be a spectest.Problem, got {type(problem).__name__}"
            raise UsageError(msg)
        self._law(problem.drafting)
        self.check_drafts(problem.drafting, problem.n_drafts)
        return problem
