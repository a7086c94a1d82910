"""Acceptance and output law of any scheme on a small problem, from its law given the drafts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import numpy as np

from spectest import drafting

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spectest.problem import Problem

_CHUNK: Final = 2_000_000  # probabilities held at once


class Conditional(Protocol):
    """A scheme's law given the drafts."""

    def __call__(self, tuples: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the law of the output given each ordered tuple of drafts, (T, n) -> (T, V)."""
        ...


class Outcome(NamedTuple):
    """What a scheme does with a problem."""

    acceptance: float  # P(output is among the drafts)
    output_law: NDArray[np.float64]  # (V,)


def enumerate_outcome(problem: Problem, conditional: Conditional) -> Outcome:
    """Return the outcome, exactly, by adding up over every ordered tuple of drafts.

    Raises:
        ProblemTooLarge: there are too many tuples to enumerate.
    """
    tuples, mass = drafting.get(problem.drafting).joint_law(problem)
    acceptance, law = 0.0, np.zeros(problem.vocab_size)
    step = max(1, _CHUNK // problem.vocab_size)
    for first in range(0, len(tuples), step):
        part, weight = tuples[first : first + step], mass[first : first + step]
        given = conditional(part)
        law += weight @ given
        drafted = np.zeros(given.shape, dtype=np.bool_)
        np.put_along_axis(drafted, part, values=True, axis=1)
        acceptance += float(weight @ np.where(drafted, given, 0.0).sum(axis=1))
    return Outcome(min(acceptance, 1.0), law)


def verified(target: NDArray[np.float64], law: NDArray[np.float64], picked: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the law of the output, (T, V), once the winner is verified against its law; see `schemes.common.winner`.

    Args:
        target: p, (V,).
        law: r, the law of the winner, (V,).
        picked: the law of the winner given each tuple, (T, V).
    """
    accepts = np.divide(target, law, out=np.ones_like(target), where=law > target)
    residual = np.maximum(target - law, 0.0)
    total = residual.sum()
    residual = residual / total if total > 0 else target
    rejected = (picked * (1.0 - accepts)).sum(axis=1, keepdims=True)
    verified_law: NDArray[np.float64] = picked * accepts + rejected * residual
    return verified_law
