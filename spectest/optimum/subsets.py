"""The optimum by looking at every subset: exact for any drafting law, small supports only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from spectest import drafting
from spectest.errors import ProblemTooLarge
from spectest.optimum.result import Optimum, certified, cut_value
from spectest.problem import Problem

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_TOKENS: Final = 14


def drafted_tokens(problem: Problem) -> NDArray[np.intp]:
    """Return the ids some drafter may draw; adding any other token to H only adds its p."""
    return np.flatnonzero((problem.draft_rows > 0).any(axis=0))


def _condensed(problem: Problem, tokens: NDArray[np.intp]) -> Problem:
    """Return the problem on `tokens` and one more that is never drafted and holds the rest of the target."""
    rest = np.ones(problem.vocab_size, dtype=np.bool_)
    rest[tokens] = False
    target = np.append(problem.target[tokens], problem.target[rest].sum())
    draft = np.concatenate([problem.draft[..., tokens], np.zeros((*problem.draft.shape[:-1], 1))], axis=-1)
    return Problem(target, draft, problem.n_drafts, problem.drafting)


def enumerate_subsets(problem: Problem) -> Optimum:
    """Return the exact optimum under any drafting law, as the least 1 + p(H) - Q(H) over all subsets H.

    Raises:
        ProblemTooLarge: more than 14 tokens can be drafted.
    """
    tokens = drafted_tokens(problem)
    if tokens.size > MAX_TOKENS:
        msg = (
            f"no exact optimum for {problem.drafting} with {tokens.size} tokens in the drafts' support: "
            f"all subsets are enumerated up to {MAX_TOKENS}; `spectest.optimum.bound` gives an upper bound"
        )
        raise ProblemTooLarge(msg)
    small = _condensed(problem, tokens)
    masks = np.arange(1 << tokens.size)[:, None] >> np.arange(tokens.size + 1) & 1 > 0
    values = masks @ small.target + (1.0 - drafting.get(small.drafting).containment(small, masks))
    subset = np.zeros(problem.vocab_size, dtype=np.bool_)
    subset[tokens[masks[values.argmin(), :-1]]] = True
    return certified(cut_value(problem, subset), subset, "subsets")
