"""Laws by the shape of their weights: fractions, Dirichlet, Zipf, temperature-scaled logits."""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import strategies as st

from spectest.strategies.arguments import Scalars, Sizes, check_flag, scalar_range, size_range
from spectest.strategies.building import (
    SMALL_VOCAB,
    Law,
    dyadic_law,
    from_log_weights,
    generator,
    geometric_grid,
    integers_of,
    linear_grid,
    token_order,
)

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

_LOGITS = 16  # drawn logits lie in [-8, 8], in halves
_QUANTILES = 256  # uniforms drawn as multiples of 1/256


def dyadic(*, vocab: Sizes = (1, 8), full_support: bool = False) -> SearchStrategy[Law]:
    """Return laws of fractions over a power of two, such as (3/4, 1/4, 0), exact in float64.

    Shrinks to one-hot, or to the fewest halves and quarters that still fail. Above 64 tokens at most 32 tokens
    share the mass (beyond one unit each for `full_support`).

    Args:
        vocab: the number of tokens, or a (low, high) pair.
        full_support: leave no token at zero.

    Raises:
        UsageError: an argument is not as above.

    Example:
        >>> from hypothesis import find
        >>> find(dyadic(vocab=(1, 8)), lambda law: 0 < law[-1] < law[0]).tolist()
        [0.75, 0.25]
    """
    low, high = size_range(vocab, name="vocab")
    check_flag(full_support, name="full_support")
    return _dyadic(low, high, full_support)


@st.composite
def _dyadic(draw: DrawFn, low: int, high: int, full_support: bool) -> Law:  # noqa: FBT001 (private)
    return dyadic_law(draw, draw(st.integers(low, high)), full_support=full_support)


def dirichlet(*, vocab: Sizes = (1, 8), concentration: Scalars = (0.05, 50.0)) -> SearchStrategy[Law]:
    """Return laws shaped like draws of a symmetric Dirichlet: spiky below concentration 1, flat above.

    Up to 64 tokens the weights are Hypothesis's choices and shrink to the uniform law; above, one seed is.
    As with everything Hypothesis draws, the shapes are promised and the frequencies are not.

    Args:
        vocab: the number of tokens, or a (low, high) pair.
        concentration: the Dirichlet parameter of every token, positive, or a (low, high) pair.

    Raises:
        UsageError: an argument is not as above.
    """
    low, high = size_range(vocab, name="vocab")
    return _dirichlet(low, high, *scalar_range(concentration, name="concentration", above=0.0))


@st.composite
def _dirichlet(draw: DrawFn, low: int, high: int, least: float, most: float) -> Law:
    size = draw(st.integers(low, high))
    concentration = draw(geometric_grid(least, most))
    # Gamma(a) = Gamma(a + 1) U^(1/a), kept in logarithms: at small a the weights themselves underflow.
    shape = concentration + 1
    if size > SMALL_VOCAB:
        random = generator(draw)
        gammas, uniforms = random.standard_gamma(shape, size), 1 - random.random(size)
    else:
        gammas = _gamma_quantiles(shape, 0.5 + integers_of(draw, -127, 127, size) / _QUANTILES)
        uniforms = 1 - integers_of(draw, 0, _QUANTILES - 1, size) / _QUANTILES
    return from_log_weights(np.log(gammas) + np.log(uniforms) / concentration)


def _gamma_quantiles(shape: float, levels: Law) -> Law:
    """Return Gamma(`shape`) quantiles by Wilson and Hilferty's cube; positive for shape >= 1, levels >= 1/256."""
    normal = np.array([NormalDist().inv_cdf(level) for level in levels])
    return np.asarray(shape * (1 - 1 / (9 * shape) + normal / (3 * np.sqrt(shape))) ** 3, dtype=np.float64)


def zipf(*, vocab: Sizes = (1, 8), exponent: Scalars = (0.0, 4.0)) -> SearchStrategy[Law]:
    """Return laws with mass proportional to rank^-exponent, over the tokens in any order.

    Shrinks to the smallest exponent (uniform at 0) and to ranks in token order.

    Args:
        vocab: the number of tokens, or a (low, high) pair.
        exponent: how fast the mass falls off, or a (low, high) pair.

    Raises:
        UsageError: an argument is not as above.

    Example:
        >>> from hypothesis import find
        >>> (3 * find(zipf(vocab=2, exponent=1), lambda law: True)).tolist()
        [2.0, 1.0]
    """
    low, high = size_range(vocab, name="vocab")
    return _zipf(low, high, *scalar_range(exponent, name="exponent"))


@st.composite
def _zipf(draw: DrawFn, low: int, high: int, least: float, most: float) -> Law:
    size = draw(st.integers(low, high))
    exponent = draw(linear_grid(least, most))
    law = from_log_weights(-exponent * np.log(np.arange(1, size + 1)))
    return law[token_order(draw, size)]


def tempered_logits(*, vocab: Sizes = (1, 8), temperature: Scalars = (0.25, 4.0)) -> SearchStrategy[Law]:
    """Return softmax(logits / temperature): logits in [-8, 8] up to 64 tokens, Gaussian of scale 3 above.

    Args:
        vocab: the number of tokens, or a (low, high) pair.
        temperature: positive, or a (low, high) pair.

    Raises:
        UsageError: an argument is not as above.
    """
    low, high = size_range(vocab, name="vocab")
    return _tempered_logits(low, high, *scalar_range(temperature, name="temperature", above=0.0))


@st.composite
def _tempered_logits(draw: DrawFn, low: int, high: int, coldest: float, hottest: float) -> Law:
    logits = draw_logits(draw, draw(st.integers(low, high)))
    return from_log_weights(logits / draw(geometric_grid(coldest, hottest)))


def draw_logits(draw: DrawFn, size: int) -> Law:
    """Return `size` logits: halves in [-8, 8], or Gaussian of scale 3 above 64 tokens."""
    if size > SMALL_VOCAB:
        return 3 * generator(draw).standard_normal(size)
    return integers_of(draw, -_LOGITS, _LOGITS, size) / 2
