"""Closed-form optima of drafts that differ in one token alone: `greedy`, and `hub` in either order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spectest.drafting.greedy import restricted, top_tokens
from spectest.optimum.result import Optimum, certified

if TYPE_CHECKING:
    from spectest.problem import Problem


def greedy(problem: Problem) -> Optimum:
    """Return p(A) + sum over x outside A of min(p(x), r(x)), r(x) = q(x) / q(V - A), at any V without sorting it.

    A holds the likeliest n - 1 tokens of q, which are always drafted, and r is the law of the last draft. Q(H) = r(H)
    for H ⊇ A, else 0: the least 1 + p(H) - Q(H) over H ⊇ A takes every token outside A with p < r, and is at most 1,
    what H = {} gives. With H = A ∪ {p < r} it is the sum above (Hu et al., arXiv 2502.18779, attain it by single-draft
    verification of the last draft against r).
    """
    top = top_tokens(problem.draft, problem.n_drafts - 1)
    law = restricted(problem.draft, top)
    kept = np.minimum(problem.target, law)
    kept[top] = problem.target[top]
    subset = problem.target < law
    subset[top] = True
    return certified(float(kept.sum()), subset, "closed form")
