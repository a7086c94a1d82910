"""The error budget: one α for the whole run, divided by fixed weights before anything is drawn."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from spectest.stats.validation import rate, real

if TYPE_CHECKING:
    from collections.abc import Mapping

# Each share gives up this fraction, so that rounding cannot push the sum over α however it is added up.
_HEADROOM: Final = 2.0**-40


def split_alpha(alpha: float, weights: Mapping[str, float]) -> dict[str, float]:
    """Divide `alpha` in proportion to `weights`; the shares sum to at most `alpha`.

    By the union bound, tests held to their shares raise a false alarm with probability at most `alpha` together,
    however they depend on each other. The shares depend on the weights only, not on the order of the keys, so
    workers that plan the same run agree without talking to each other.

    Args:
        alpha: false-alarm rate of the whole run.
        weights: positive weight of each test, by name.

    Returns:
        Share of each test, in the order of `weights`.

    Raises:
        ValueError: no weights, or one that is not positive and finite.

    Example:
        >>> shares = split_alpha(1e-6, {"law": 3.0, "rows": 1.0})
        >>> round(shares["law"] / shares["rows"], 9), sum(shares.values()) <= 1e-6
        (3.0, True)
    """
    level = rate(alpha, name="alpha")
    if not weights:
        msg = "`weights` must name at least one test, got none"
        raise ValueError(msg)
    numbers = {name: real(weight, name=f"weights[{name!r}]") for name, weight in weights.items()}
    for name, weight in numbers.items():
        if weight <= 0:
            msg = f"`weights` must be positive, got {weight!r} for {name!r}; leave out what is not tested"
            raise ValueError(msg)
    largest = max(numbers.values())
    total = math.fsum(weight / largest for weight in numbers.values())  # correctly rounded: the same in any order
    return {name: level * (weight / largest / total) * (1 - _HEADROOM) for name, weight in numbers.items()}


def stages(alpha: float, *, first: float = 1e-3) -> tuple[float, ...]:
    """Return the levels of successive tests on fresh draws that together have level `alpha`.

    Reject only if every stage rejects. The draws are independent, so the levels multiply: their product is at most
    `alpha`. Miss rates add. Almost all correct code stops after the first, cheap stage.

    Args:
        alpha: false-alarm rate of the whole.
        first: level of the first stage; a single stage is enough where `alpha` is not below it.

    Raises:
        ValueError: an argument is not in (0, 1).

    Example:
        >>> stages(0.01)
        (0.01,)
        >>> [round(level, 9) for level in stages(1e-9)]
        [0.001, 1e-06]
    """
    level, opening = rate(alpha, name="alpha"), rate(first, name="first")
    if level >= opening:
        return (level,)
    second = level / opening
    while Fraction(opening) * Fraction(second) > Fraction(level):  # division may have rounded up
        second = math.nextafter(second, 0.0)
    return (opening, second)
