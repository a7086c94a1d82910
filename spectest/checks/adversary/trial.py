"""A trial: one problem, or several that share a batch. What the adversary puts to a selector."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from spectest.engine import prepare
from spectest.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from spectest.declaration import Dtype

_DIGEST_BYTES: Final = 8
_DENOMINATORS: Final = 100  # fractions up to here are written as fractions
_NEARLY: Final = 1e-5  # closer to one of them than this, a number is written as what it differs by
_WRITTEN_OUT: Final = 24  # tokens of a law that a person reads
_HEAVIEST: Final = 6  # tokens shown of a longer one


@dataclass(frozen=True, eq=False)
class Trial:
    """Problems of one (n, V) and one drafting law; more than one stand in the rows of the same batch, in any order.

    Args:
        problems: at least one.
    """

    problems: tuple[Problem, ...]

    @property
    def digest(self) -> str:
        """Letters and digits that two trials share only if they are the same."""
        found = hashlib.blake2b(digest_size=_DIGEST_BYTES)
        for problem in self.problems:
            found.update(f"{problem.drafting}:{problem.n_drafts}:{problem.vocab_size};".encode())
            found.update(problem.target.tobytes() + problem.draft.tobytes())
        return found.hexdigest()

    @property
    def vocab_size(self) -> int:
        """V, the same for all problems."""
        return self.problems[0].vocab_size

    @property
    def n_drafts(self) -> int:
        """How many drafts, the same for all problems."""
        return self.problems[0].n_drafts

    @property
    def drafting(self) -> str:
        """The drafting law, the same for all problems."""
        return self.problems[0].drafting

    @property
    def complexity(self) -> tuple[int, int, int, int]:
        """How hard it is to read: problems, tokens, drafts, characters."""
        written = sum(len(_law(law)) for problem in self.problems for law in (problem.target, *_drafters(problem)))
        return len(self.problems), self.vocab_size, self.n_drafts, written

    def written(self) -> list[str]:
        """Return a line per problem for a reader: laws as fractions where they are, else as decimals."""
        count = len(self.problems)
        lines = []
        for index, problem in enumerate(self.problems):
            rows = _drafters(problem)
            where = f"problem {index + 1} of {count} in one batch: " if count > 1 else ""
            drafts = [f"q{row + 1 if len(rows) > 1 else ''} = {_law(law)}" for row, law in enumerate(rows)]
            laws = ", ".join([f"p = {_law(problem.target)}", *drafts])
            lines.append(f"{where}{laws}, n = {problem.n_drafts}, {problem.drafting}")
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict; laws survive it bit for bit."""
        problems = [
            {
                "target": problem.target.tolist(),
                "draft": problem.draft.tolist(),
                "n_drafts": problem.n_drafts,
                "drafting": problem.drafting,
            }
            for problem in self.problems
        ]
        return {"problems": problems}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Trial:
        """Return the trial a dict describes.

        Raises:
            KeyError, TypeError, ValueError, InvalidProblem: it describes none.
        """
        problems = tuple(
            Problem(item["target"], item["draft"], item["n_drafts"], item["drafting"]) for item in stored["problems"]
        )
        if len({(item.n_drafts, item.vocab_size, item.drafting) for item in problems}) != 1:
            msg = "`problems` must be at least one, all of one number of drafts, vocabulary and drafting law"
            raise ValueError(msg)
        return cls(problems)


def trial_of(problems: Sequence[Problem], dtype: Dtype) -> Trial:
    """Return the trial of those problems that have as many drafts as the first, once they are in the selector's dtype.

    Where a drafting law needs distinct tokens, rounding may leave a problem fewer drafts than it had.
    """
    drafts = [prepare(problem, dtype).problem.n_drafts for problem in problems]
    return Trial(tuple(problem for problem, n in zip(problems, drafts, strict=True) if n == drafts[0]))


def _drafters(problem: Problem) -> list[NDArray[np.float64]]:
    return list(np.atleast_2d(problem.draft))


def _law(law: NDArray[np.float64]) -> str:
    """Return a law in full, or its heaviest tokens where there are too many."""
    if law.size <= _WRITTEN_OUT:
        return f"({', '.join(_number(float(value)) for value in law)})"
    heaviest = np.argsort(-law, kind="stable")[:_HEAVIEST]
    shown = ", ".join(f"{_number(float(law[token]))} at {token}" for token in heaviest if law[token] > 0)
    others = max(0, int((law > 0).sum()) - _HEAVIEST)
    return f"({shown}{f', {others} more' if others else ''} of {law.size} tokens)"


def _number(value: float) -> str:
    fraction = Fraction(value).limit_denominator(_DENOMINATORS)
    apart = value - fraction.numerator / fraction.denominator
    if apart == 0:
        return str(fraction)
    if abs(apart) < _NEARLY and fraction > 0:
        return f"{fraction} {'+' if apart > 0 else '-'} {abs(apart):.2g}"
    return f"{value:.6g}"
