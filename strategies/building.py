"""The pieces every family is built from. All choices are Hypothesis's, and none is ever rejected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

Law = NDArray[np.float64]
#: Up to here every weight is a choice of Hypothesis's own, so that it shrinks token by token.
SMALL_VOCAB: Final = 64

_GRID: Final = 16  # steps a scalar parameter is drawn from: few, so that values are readable
_CELLS: Final = 32  # tokens that carry the units of a law too large to draw token by token
# Denominators 2, 4, 8, 16, 64, 1024 and 2^20: sums of such fractions are exact in float64, in any order.
_EXPONENTS: Final = (1, 2, 3, 4, 6, 10, 20)
_SEEDS: Final = st.integers(0, 2**32 - 1)


def linear_grid(low: float, high: float) -> SearchStrategy[float]:
    """Return numbers evenly spaced from `low` to `high`; shrinks to `low`."""
    return st.integers(0, _GRID).map(lambda step: low + (high - low) * (step / _GRID))


def geometric_grid(low: float, high: float) -> SearchStrategy[float]:
    """Return positive numbers evenly spaced in logarithm from `low` to `high`; shrinks to `low`."""
    return st.integers(0, _GRID).map(lambda step: low * (high / low) ** (step / _GRID))


def generator(draw: DrawFn) -> np.random.Generator:
    """Return a numpy generator on a seed that Hypothesis chose: for large vocabularies only, it does not shrink."""
    return np.random.default_rng(draw(_SEEDS))


def integers_of(draw: DrawFn, low: int, high: int, size: int) -> NDArray[np.int64]:
    """Return `size` integers from `low` to `high`."""
    return np.array(draw(st.lists(st.integers(low, high), min_size=size, max_size=size)), dtype=np.int64)


def units(draw: DrawFn, size: int, total: int) -> NDArray[np.int64]:
    """Return `size` non-negative integers summing to `total`; shrinks to all of it on the first.

    The gaps between sorted cut points: every composition of `total` can come out, zeros included.
    """
    if size > SMALL_VOCAB:
        where = integers_of(draw, 0, size - 1, _CELLS)
        spread = np.zeros(size, dtype=np.int64)
        np.add.at(spread, where, units(draw, _CELLS, total))
        return spread
    cuts = np.sort(integers_of(draw, 0, total, size - 1))
    return np.diff(cuts, prepend=0, append=total)[::-1]


def dyadic_law(draw: DrawFn, size: int, *, full_support: bool = False) -> Law:
    """Return a law of `size` tokens whose masses are fractions over one power of two.

    Args:
        draw: from `hypothesis.strategies.composite`.
        size: the number of tokens.
        full_support: give every token at least one unit.
    """
    floor = int(full_support)
    least = size * floor
    exponent = draw(st.sampled_from([k for k in _EXPONENTS if 2**k >= least] or [least.bit_length()]))
    counts = units(draw, size, 2**exponent - least) + floor
    return np.asarray(counts / 2**exponent, dtype=np.float64)


def token_order(draw: DrawFn, size: int) -> NDArray[np.int64]:
    """Return a permutation of the `size` token ids; shrinks to the identity where `size` is small."""
    if size > SMALL_VOCAB:
        return generator(draw).permutation(size)
    return np.array(draw(st.permutations(range(size))), dtype=np.int64)


def from_log_weights(log_weights: Law) -> Law:
    """Return the law proportional to exp(log_weights); its largest weight is 1, so the sum cannot vanish."""
    return normalised(np.exp(log_weights - log_weights.max()))


def normalised(weights: Law) -> Law:
    """Return `weights` over their sum."""
    return np.asarray(weights / weights.sum(), dtype=np.float64)
