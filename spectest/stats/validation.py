"""Input validation and the search for the fewest samples, shared by the rooms of this package."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

#: Beyond this many samples nobody samples, and float64 no longer counts one by one.
MOST_SAMPLES: Final = 10**15
_SUM_TOLERANCE: Final = 1e-6


class UnreachableDeviation(ValueError):
    """No number of samples finds a deviation that small."""


def whole(value: object, *, name: str, least: int = 0) -> int:
    """Return `value` as an int of at least `least`."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or value < least:
        msg = f"`{name}` must be an integer of at least {least}, got {value!r}"
        raise ValueError(msg)
    return int(value)


def real(value: object, *, name: str) -> float:
    """Return `value` as a finite float."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        msg = f"`{name}` must be a number, got {value!r}"
        raise ValueError(msg)  # noqa: TRY004 (one kind of error for every bad argument)
    if not math.isfinite(value):
        msg = f"`{name}` must be finite, got {value!r}"
        raise ValueError(msg)
    return float(value)


def rate(value: object, *, name: str) -> float:
    """Return `value` as an error rate, a level or a deviation: a float strictly between 0 and 1."""
    number = real(value, name=name)
    if not 0 < number < 1:
        msg = f"`{name}` must lie strictly between 0 and 1, got {value!r}"
        raise ValueError(msg)
    return number


def law(values: ArrayLike, *, name: str = "probs") -> NDArray[np.float64]:
    """Return `values` as a (K,) float64 probability law, renormalised."""
    probs = np.asarray(values, dtype=np.float64)
    if probs.ndim != 1 or probs.size == 0:
        msg = f"`{name}` must have shape (K,) with K >= 1, got shape {probs.shape}"
        raise ValueError(msg)
    total = float(probs.sum())
    if not math.isfinite(total) or float(probs.min()) < 0:
        msg = f"`{name}` must be finite and not negative, got a smallest entry of {probs.min()} and a sum of {total}"
        raise ValueError(msg)
    if abs(total - 1) > _SUM_TOLERANCE:
        msg = f"`{name}` must sum to 1, got {total:.9g}; divide it by its sum first"
        raise ValueError(msg)
    return probs / total


def tally(values: ArrayLike, *, cells: int) -> NDArray[np.int64]:
    """Return `values` as (K,) int64 counts, K being the number of `cells` of the law they are held against."""
    raw: NDArray[Any] = np.asarray(values)
    if raw.shape != (cells,):
        msg = f"`counts` must have the shape of `probs`, ({cells},), got {raw.shape}"
        raise ValueError(msg)
    if raw.dtype.kind not in "iu":
        msg = f"`counts` must be integers, got dtype {raw.dtype}; convert with `.astype(np.int64)`"
        raise ValueError(msg)
    if int(raw.min()) < 0:
        msg = f"`counts` must not be negative, got {raw.min()} at index {int(raw.argmin())}"
        raise ValueError(msg)
    return raw.astype(np.int64)


def fewest_samples(detectable: Callable[[int], float], delta: float, *, at_least: int = 1) -> int:
    """Return `at_least` if that will do, or else an N with detectable(N) <= delta < detectable(N - 1), by bisection.

    Raises:
        UnreachableDeviation: even `MOST_SAMPLES` samples do not reach `delta`.
    """
    high = at_least
    while detectable(high) > delta:
        if high >= MOST_SAMPLES:
            msg = (
                f"`delta` {delta:.6g} is out of reach: even {MOST_SAMPLES:.0e} samples detect only "
                f"{detectable(high):.6g}; ask for a larger `delta` or fewer, larger cells"
            )
            raise UnreachableDeviation(msg)
        high = min(2 * high, MOST_SAMPLES)
    low = max(high // 2, at_least - 1)
    while high - low > 1:
        middle = (low + high) // 2
        if detectable(middle) > delta:
            low = middle
        else:
            high = middle
    return high
