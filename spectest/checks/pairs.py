"""Pairs of tokens of different rows and calls: which, their joint counts, and the dependence a number of them shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from spectest.checks.decision import FIRST_STAGE
from spectest.stats import IndependenceResult, independence_detectable, independence_test

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from spectest.checks.base import Context

    Tokens = NDArray[np.int64]


def neighbours(left: Tokens, right: Tokens) -> tuple[Tokens, Tokens]:
    """Pair every even row of `left` (calls, rows) with the row after it of `right`."""
    return left[:, 0::2], right[:, 1::2]


def halves(left: Tokens, right: Tokens) -> tuple[Tokens, Tokens]:
    """Pair the first half of the rows of `left` with the second half of those of `right`."""
    half = left.shape[1] // 2
    return left[:, :half], right[:, half:]


def two_apart(left: Tokens, right: Tokens) -> tuple[Tokens, Tokens]:
    """Pair the first two of every four rows of `left` with the other two of `right`."""
    first, second = (tokens.reshape(tokens.shape[0], -1, 4) for tokens in (left, right))
    return first[:, :, :2], second[:, :, 2:]


def mirrored(left: Tokens, right: Tokens) -> tuple[Tokens, Tokens]:
    """Pair the first row of `left` with the last one of `right`, and so on to the middle."""
    half = left.shape[1] // 2
    return left[:, :half], right[:, : half - 1 : -1]


def successive(left: Tokens, right: Tokens) -> tuple[Tokens, Tokens]:
    """Pair every even call of `left` with the call after it of `right`, row by row."""
    pairs = left.shape[0] // 2
    return left[0 : 2 * pairs : 2], right[1 : 2 * pairs : 2]


class Pairing(NamedTuple):
    """Two streams of tokens, by name, and which entry of one is held against which of the other; none occurs twice."""

    left: str
    right: str
    of: Callable[[Tokens, Tokens], tuple[Tokens, Tokens]]

    def test(self, streams: Mapping[str, Tokens], vocab_size: int, level: float) -> IndependenceResult:
        """Test streams (calls, rows) of an even number of rows for independence, at `level`."""
        left, right = self.of(streams[self.left], streams[self.right])
        return independence_test(pair_counts(left, right, vocab_size), alpha=level)


def pair_counts(left: NDArray[np.int64], right: NDArray[np.int64], vocab_size: int) -> NDArray[np.int64]:
    """Return how often each ordered pair of tokens occurs, (V, V), for two arrays of one shape."""
    cells = left.ravel() * vocab_size + right.ravel()
    counts: NDArray[np.int64] = np.bincount(cells, minlength=vocab_size**2)
    return counts.reshape(vocab_size, vocab_size)


def pairs_detectable(law: NDArray[np.float64], pairs: int, context: Context) -> float:
    """Return the total variation from the product law that `pairs` pairs of tokens of one `law` show."""
    values = int((law > 0).sum())
    errors = {"alpha": FIRST_STAGE, "beta": context.settings.beta / 2}
    return independence_detectable((values, values), samples=max(1, pairs), **errors) / 2
