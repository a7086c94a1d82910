"""Which of very many pairs of draws look dependent? Suspects for a test on other data: nothing here rejects.

A search over thousands of lags or millions of pairs costs no α if what it names is tested on a sample of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from spectest.stats.validation import whole

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCK: Final = 512  # rows compared with all others at once: (512, B) correlations fit in cache


class LagSuspect(NamedTuple):
    """Event `event` at t and at t + `lag` look dependent."""

    lag: int
    event: int


def suspicious_lags(events: NDArray[np.bool_], *, longest: int, count: int) -> list[LagSuspect]:
    """Return the lags at which a sequence looks most dependent on itself, the largest autocorrelation first.

    Args:
        events: whether each of E events happened at each time, (E, T).
        longest: longest lag considered.
        count: how many to return at most; an event that never changes has none.

    Raises:
        ValueError: an argument is not as above.

    Example:
        >>> coins = np.random.default_rng(0).random((1, 300)) < 0.5
        >>> suspicious_lags(np.tile(coins, 3), longest=400, count=1)
        [LagSuspect(lag=300, event=0)]
    """
    found, times = _events(events), events.shape[1]
    longest = min(whole(longest, name="longest", least=1), times - 1)
    count = whole(count, name="count", least=1)
    if longest < 1:
        return []
    width = 1 << (times + longest).bit_length()  # zeros behind the sequence: no lag wraps around
    spectrum = np.fft.rfft(found, n=width, axis=1)
    sums = np.fft.irfft(np.abs(spectrum) ** 2, n=width, axis=1)[:, 1 : longest + 1]
    # A sum of T - k products of standardised values has variance T - k.
    scores = np.abs(sums) / np.sqrt(times - np.arange(1, longest + 1))
    best = np.argsort(-scores, axis=None, kind="stable")[:count]
    where = np.stack(np.unravel_index(best, scores.shape), axis=1)
    return [LagSuspect(int(lag) + 1, int(event)) for event, lag in where if scores[event, lag] > 0]


def suspicious_pairs(events: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return disjoint pairs of columns, (pairs, 2), those first that agree most over the rows, all events together.

    Every column is offered to the one it agrees with most; of two offers that clash the better one stands. Two columns
    fed by one stream find each other unless they agree with others by chance as well.

    Args:
        events: whether each of E events happened, (E, T, B): T times in each of B columns.

    Raises:
        ValueError: an argument is not as above.
    """
    if events.ndim != 3:  # noqa: PLR2004 (events, times, columns)
        msg = f"`events` must have shape (E, T, B), got {events.shape}"
        raise ValueError(msg)
    kinds, times, columns = events.shape
    found = _events(events.reshape(kinds, -1)).reshape(kinds * times, columns).astype(np.float32)
    partner, score = np.zeros(columns, dtype=np.int64), np.full(columns, -np.inf)
    for start in range(0, columns, _BLOCK):
        block = found[:, start : start + _BLOCK].T @ found
        own = np.arange(block.shape[0])
        block[own, start + own] = -np.inf
        partner[start + own] = block.argmax(axis=1)
        score[start + own] = block.max(axis=1)
    pairs, taken = [], np.zeros(columns, dtype=np.bool_)
    for column in np.argsort(-score, kind="stable"):
        other = partner[column]
        if not (taken[column] or taken[other]) and np.isfinite(score[column]):
            pairs.append((min(column, other), max(column, other)))
            taken[column] = taken[other] = True
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _events(events: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return (E, T) standardised values, zero where an event never changes."""
    if events.ndim != 2 or events.dtype != np.bool_ or not events.size:  # noqa: PLR2004 (events, times)
        msg = f"`events` must be booleans of shape (E, T), got {events.dtype} of shape {events.shape}"
        raise ValueError(msg)
    rates = events.mean(axis=1, keepdims=True)
    spread = np.sqrt(rates * (1 - rates))
    standardised: NDArray[np.float64] = np.where(spread > 0, (events - rates) / np.where(spread > 0, spread, 1), 0.0)
    return standardised
