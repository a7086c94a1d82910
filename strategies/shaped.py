"""Laws by a feature they are sure to have: one-hot, near-ties, top-k, top-p."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import strategies as st

from spectest.strategies.arguments import Scalars, Sizes, check_strategy, scalar_range, size_range
from spectest.strategies.building import (
    SMALL_VOCAB,
    Law,
    integers_of,
    linear_grid,
    normalised,
    token_order,
)

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy


def one_hot(*, vocab: Sizes = (1, 8)) -> SearchStrategy[Law]:
    """Return laws with all mass on one token; shrinks to the first.

    Args:
        vocab: the number of tokens, or a (low, high) pair.

    Raises:
        UsageError: `vocab` is not as above.
    """
    return _one_hot(*size_range(vocab, name="vocab"))


@st.composite
def _one_hot(draw: DrawFn, low: int, high: int) -> Law:
    law = np.zeros(draw(st.integers(low, high)))
    law[draw(st.integers(0, law.size - 1))] = 1.0
    return law


def near_ties(*, vocab: Sizes = (2, 8)) -> SearchStrategy[Law]:
    """Return laws in which two tokens or more differ by a relative gap between 2^-50 and 2^-8, never by nothing.

    They separate code that sorts, compares or truncates in a low precision from code that does not.

    Args:
        vocab: the number of tokens, at least 2, or a (low, high) pair.

    Raises:
        UsageError: `vocab` is not as above.
    """
    return _near_ties(*size_range(vocab, name="vocab", minimum=2))


@st.composite
def _near_ties(draw: DrawFn, low: int, high: int) -> Law:
    size = draw(st.integers(low, high))
    # 2^-50 is four units in the last place: normalising, here and in Problem, cannot close the gap.
    gap = 2.0 ** -draw(st.integers(8, 50))
    drawn = min(size, SMALL_VOCAB)  # larger vocabularies repeat the pattern
    levels, nudges = integers_of(draw, 1, 4, drawn), integers_of(draw, -2, 2, drawn)
    levels[1], nudges[:2] = levels[0], (0, 1)  # the tie that is sure to be there
    weights = np.resize(levels * (1 + nudges * gap), size)
    return normalised(weights)[token_order(draw, size)]


def top_k(laws: SearchStrategy[Law], k: Sizes | None = None) -> SearchStrategy[Law]:
    """Return `laws` truncated to their k most likely tokens (ties by id) and renormalised.

    The support is exactly k, or what the law had where that was less.

    Args:
        laws: any strategy of laws, shape (V,).
        k: how many tokens stay, a (low, high) pair, or None for any number.

    Raises:
        UsageError: an argument is not as above.
    """
    check_strategy(laws, name="laws")
    return _top_k(laws, None if k is None else size_range(k, name="k"))


@st.composite
def _top_k(draw: DrawFn, laws: SearchStrategy[Law], k: tuple[int, int] | None) -> Law:
    law = draw(laws)
    low, high = (1, law.size) if k is None else k
    kept = draw(st.integers(min(low, law.size), min(high, law.size)))
    return _truncated(law, np.argsort(-law, kind="stable")[:kept])


def top_p(laws: SearchStrategy[Law], mass: Scalars = (0.125, 1.0)) -> SearchStrategy[Law]:
    """Return `laws` truncated to the fewest most likely tokens that hold at least `mass`, and renormalised.

    Args:
        laws: any strategy of laws, shape (V,).
        mass: the mass that stays, in (0, 1], or a (low, high) pair.

    Raises:
        UsageError: an argument is not as above.
    """
    check_strategy(laws, name="laws")
    return _top_p(laws, *scalar_range(mass, name="mass", above=0.0, at_most=1.0))


@st.composite
def _top_p(draw: DrawFn, laws: SearchStrategy[Law], low: float, high: float) -> Law:
    law = draw(laws)
    order = np.argsort(-law, kind="stable")
    # A law may sum to a hair below 1: at mass 1 the slice then simply keeps every token.
    kept = int(np.searchsorted(np.cumsum(law[order]), draw(linear_grid(low, high)))) + 1
    return _truncated(law, order[:kept])


def _truncated(law: Law, kept: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Law:
    truncated = np.zeros_like(law)
    truncated[kept] = law[kept]
    return normalised(truncated)
