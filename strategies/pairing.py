"""Pairs (target, draft) by how the two laws relate."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from hypothesis import strategies as st

from spectest.strategies.arguments import Scalars, Sizes, check_family, scalar_range, size_range
from spectest.strategies.building import (
    SMALL_VOCAB,
    Law,
    dyadic_law,
    from_log_weights,
    geometric_grid,
    integers_of,
    token_order,
    units,
)
from spectest.strategies.smooth import draw_logits, dyadic

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.strategies import DrawFn, SearchStrategy

Pair: TypeAlias = tuple[Law, Law]


def unrelated(laws: Callable[..., SearchStrategy[Law]] = dyadic, *, vocab: Sizes = (1, 8)) -> SearchStrategy[Pair]:
    """Return a target and a draft drawn separately from one family, over the same tokens.

    Args:
        laws: a family: a function of `vocab` that returns a strategy, such as `zipf`.
        vocab: the number of tokens, or a (low, high) pair.

    Raises:
        UsageError: an argument is not as above.

    Example:
        >>> from hypothesis import find
        >>> target, draft = find(unrelated(), lambda pair: abs(pair[0] - pair[1]).max() > 0.1)
        >>> target.tolist(), draft.tolist()
        ([1.0, 0.0], [0.5, 0.5])
    """
    check_family(laws, name="laws")
    return _unrelated(laws, *size_range(vocab, name="vocab"))


@st.composite
def _unrelated(draw: DrawFn, laws: Callable[..., SearchStrategy[Law]], low: int, high: int) -> Pair:
    family = laws(vocab=draw(st.integers(low, high)))
    return draw(family), draw(family)


def equal(laws: Callable[..., SearchStrategy[Law]] = dyadic, *, vocab: Sizes = (1, 8)) -> SearchStrategy[Pair]:
    """Return a target and a draft that are the same law: everything must be accepted.

    Args:
        laws: a family: a function of `vocab` that returns a strategy, such as `zipf`.
        vocab: the number of tokens, or a (low, high) pair.

    Raises:
        UsageError: an argument is not as above.
    """
    check_family(laws, name="laws")
    return laws(vocab=size_range(vocab, name="vocab")).map(lambda law: (law, law.copy()))


def disjoint_supports(*, vocab: Sizes = (2, 8)) -> SearchStrategy[Pair]:
    """Return a target and a draft with no token in common: nothing can be accepted.

    Args:
        vocab: the number of tokens, at least 2, or a (low, high) pair.

    Raises:
        UsageError: `vocab` is not as above.
    """
    return _disjoint_supports(*size_range(vocab, name="vocab", minimum=2))


@st.composite
def _disjoint_supports(draw: DrawFn, low: int, high: int) -> Pair:
    size = draw(st.integers(low, high))
    split = draw(st.integers(1, size - 1))
    target, draft = np.zeros(size), np.zeros(size)
    target[:split] = dyadic_law(draw, split)
    draft[split:] = dyadic_law(draw, size - split)
    order = token_order(draw, size)
    return target[order], draft[order]


def nested_supports(*, vocab: Sizes = (2, 8)) -> SearchStrategy[Pair]:
    """Return a target and a draft, the support of one strictly inside that of the other, either way round.

    Args:
        vocab: the number of tokens, at least 2, or a (low, high) pair.

    Raises:
        UsageError: `vocab` is not as above.
    """
    return _nested_supports(*size_range(vocab, name="vocab", minimum=2))


@st.composite
def _nested_supports(draw: DrawFn, low: int, high: int) -> Pair:
    size = draw(st.integers(low, high))
    outer_support = draw(st.integers(2, size))
    inner_support = draw(st.integers(1, outer_support - 1))
    outer, inner = np.zeros(size), np.zeros(size)
    outer[:outer_support] = dyadic_law(draw, outer_support, full_support=True)
    inner[:inner_support] = dyadic_law(draw, inner_support, full_support=True)
    order = token_order(draw, size)
    return _either_way(draw, outer[order], inner[order])


def tail_drafts(*, vocab: Sizes = (2, 8)) -> SearchStrategy[Pair]:
    """Return a draft with at least half its mass on tokens whose target mass is positive but tiny.

    Those tokens hold between 2^-50 and 2^-10 of the target together: nearly every draft of them must be refused, and
    the residual carries nearly all of the target.

    Args:
        vocab: the number of tokens, at least 2, or a (low, high) pair.

    Raises:
        UsageError: `vocab` is not as above.
    """
    return _tail_drafts(*size_range(vocab, name="vocab", minimum=2))


@st.composite
def _tail_drafts(draw: DrawFn, low: int, high: int) -> Pair:
    size = draw(st.integers(low, high))
    head = draw(st.integers(1, size - 1))
    target_tail = 2.0 ** -draw(st.integers(10, 50))
    draft_tail = draw(st.sampled_from([1.0, 0.75, 0.5]))
    target, draft = np.empty(size), np.empty(size)
    target[:head] = (1 - target_tail) * dyadic_law(draw, head)
    target[head:] = target_tail * dyadic_law(draw, size - head, full_support=True)
    draft[:head] = (1 - draft_tail) * dyadic_law(draw, head)
    draft[head:] = draft_tail * dyadic_law(draw, size - head)
    order = token_order(draw, size)
    return target[order], draft[order]


def tempered_pairs(*, vocab: Sizes = (1, 8), temperature: Scalars = (0.25, 4.0)) -> SearchStrategy[Pair]:
    """Return softmaxes of the same logits at two temperatures: equal supports and ranks, unequal masses.

    Args:
        vocab: the number of tokens, or a (low, high) pair.
        temperature: positive, or a (low, high) pair; drawn once for each law.

    Raises:
        UsageError: an argument is not as above.
    """
    low, high = size_range(vocab, name="vocab")
    return _tempered_pairs(low, high, *scalar_range(temperature, name="temperature", above=0.0))


@st.composite
def _tempered_pairs(draw: DrawFn, low: int, high: int, coldest: float, hottest: float) -> Pair:
    logits = draw_logits(draw, draw(st.integers(low, high)))
    temperatures = geometric_grid(coldest, hottest)
    return from_log_weights(logits / draw(temperatures)), from_log_weights(logits / draw(temperatures))


def bfloat16_twins(*, vocab: Sizes = (2, 8)) -> SearchStrategy[Pair]:
    """Return two laws that differ in float64 and are the same after rounding to bfloat16.

    A selector that is handed bfloat16 must treat them as equal, one that is handed float64 must not.

    Args:
        vocab: the number of tokens, at least 2, or a (low, high) pair.

    Raises:
        UsageError: `vocab` is not as above.
    """
    return _bfloat16_twins(*size_range(vocab, name="vocab", minimum=2))


@st.composite
def _bfloat16_twins(draw: DrawFn, low: int, high: int) -> Pair:
    size = draw(st.integers(low, high))
    # Numerators below 2^8 fit bfloat16's 8 significant bits: `law` itself is exact there.
    total = draw(st.sampled_from([2, 4, 16, 256]))
    counts = units(draw, size, total - 2)
    first = draw(st.integers(0, size - 2))
    counts[[first, draw(st.integers(first + 1, size - 1))]] += 1  # two tokens at least, to move mass between
    law = counts / total
    # Neighbours in bfloat16 are 2^-8 apart or more, relatively: a move of at most 2^-10 rounds back.
    support = np.flatnonzero(counts)[:SMALL_VOCAB]
    giving, taking = support[: support.size // 2], support[support.size // 2 :][: support.size // 2]
    signs = 2 * integers_of(draw, 0, 1, giving.size) - 1
    moved = signs * np.minimum(law[giving], law[taking]) * 2.0 ** -draw(st.integers(10, 40))
    twin = law.copy()
    twin[giving] -= moved
    twin[taking] += moved
    return _either_way(draw, law, twin)


def _either_way(draw: DrawFn, one: Law, other: Law) -> Pair:
    return (one, other) if draw(st.booleans()) else (other, one)
