"""Importance selection by truncated linear programs: the practical scheme of Khisti et al. (arXiv 2410.18234, app. I).

Of two drafts one is kept: tokens are ranked by p - q1 q2, the better rank wins, and among the first s tokens the better
one wins with a probability w(i, j) that a linear program chooses. The winner meets the next draft in the same way, its
own law in place of q1; the last winner is verified against its law by single-draft speculative sampling.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from spectest.errors import UsageError
from spectest.schemes.common.plain import plain
from spectest.schemes.common.planned import PlannedScheme
from spectest.schemes.importance.tournament import Tournament

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from spectest.problem import Problem

#: Tokens among which a linear program may choose: s (s - 1) / 2 variables.
MAX_S: Final = 300


class Importance(PlannedScheme):
    """Truncated importance selection, in the given order of the drafts.

    Lossless for every `s`, identical drafters or not: the winner is verified against the law it really has. With two
    drafts and s = V it attains the optimum; with a small s it may accept less than one draft alone would.

    Args:
        drafting: the law `select` expects its drafts from: with_replacement or independent.
        s: how many of the best-ranked tokens take part in the linear program, 1 to 300.

    Raises:
        UsageError: another drafting law or another `s`.

    Example:
        >>> from spectest import Problem
        >>> uniform = Problem([1 / 3] * 3, [1 / 3] * 3, n_drafts=2)
        >>> round(Importance(s=3).acceptance(uniform), 9)
        1.0
    """

    name = "importance"
    laws = ("with_replacement", "independent")
    options = ("s",)

    def __init__(self, *, drafting: str | None = None, s: int = 5) -> None:
        super().__init__(drafting=drafting)
        if isinstance(s, bool) or not isinstance(s, int) or not 1 <= s <= MAX_S:
            msg = f"`s` of importance must be an integer from 1 to {MAX_S}, got {s!r}"
            raise UsageError(msg)
        self.s = s

    def plan(self, problem: Problem) -> Tournament:
        """Return the matches of a problem: n - 1 sorts and linear programs, at any V."""
        return Tournament.of(self._checked(problem), self.s)

    def acceptance(self, problem: Problem) -> float:
        """Return P(output is among the drafts): two drafts at any V, more while V^2 n is at most 1e8."""
        return self.plan(problem).acceptance()

    def output_law(self, problem: Problem) -> NDArray[np.float64]:
        """Return the output's law (V,), from the law of the last winner; any V."""
        return self.plan(problem).output_law()


select = plain(Importance())
independent = plain(Importance(drafting="independent"))

SCHEME = Importance
