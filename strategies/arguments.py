"""Validation of what strategies are called with: sizes, scalars, and strategies themselves."""

from __future__ import annotations

import math
from collections.abc import Iterable

from hypothesis.strategies import SearchStrategy

from spectest.errors import UsageError
from spectest.problem import drafting_rule

#: An int, or a (low, high) pair of ints, both included.
Sizes = int | tuple[int, int]
#: A number, or a (low, high) pair of numbers, both included.
Scalars = float | tuple[float, float]


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_finite(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def size_range(value: Sizes, *, name: str, minimum: int = 1) -> tuple[int, int]:
    """Return `value` as (low, high).

    Raises:
        UsageError: not an int of at least `minimum`, nor an ordered pair of such.
    """
    low, high = value if isinstance(value, tuple) and len(value) == 2 else (value, value)  # noqa: PLR2004 (a pair)
    if not (_is_int(low) and _is_int(high)):
        msg = f"`{name}` must be an int or a (low, high) pair of ints, got {name}={value!r}"
        raise UsageError(msg)
    if low < minimum:
        msg = f"`{name}` must be at least {minimum} here, got {name}={value!r}; raise it"
        raise UsageError(msg)
    if low > high:
        msg = f"`{name}` must be a pair (low, high) with low <= high, got {name}={value!r}; swap them"
        raise UsageError(msg)
    return low, high


def scalar_range(
    value: Scalars, *, name: str, above: float = -math.inf, at_most: float = math.inf
) -> tuple[float, float]:
    """Return `value` as (low, high).

    Raises:
        UsageError: not a finite number in (`above`, `at_most`], nor an ordered pair of such.
    """
    low, high = value if isinstance(value, tuple) and len(value) == 2 else (value, value)  # noqa: PLR2004 (a pair)
    if not (_is_finite(low) and _is_finite(high)):
        msg = f"`{name}` must be a finite number or a (low, high) pair of them, got {name}={value!r}"
        raise UsageError(msg)
    if low > high:
        msg = f"`{name}` must be a pair (low, high) with low <= high, got {name}={value!r}; swap them"
        raise UsageError(msg)
    if low <= above or high > at_most:
        bounds = [f"greater than {above:g}"] * (above > -math.inf) + [f"at most {at_most:g}"] * (at_most < math.inf)
        msg = f"`{name}` must be {' and '.join(bounds)}, got {name}={value!r}"
        raise UsageError(msg)
    return float(low), float(high)


def check_strategy(value: object, *, name: str) -> None:
    """Check that `value` is a strategy.

    Raises:
        UsageError: it is not; a function that makes one is the usual slip.
    """
    if not isinstance(value, SearchStrategy):
        hint = "; call it to get the strategy" if callable(value) else ""
        msg = f"`{name}` must be a Hypothesis strategy, got {name}={value!r}{hint}"
        raise UsageError(msg)


def check_family(value: object, *, name: str) -> None:
    """Check that `value` is a family: a function of `vocab` that returns a strategy.

    Raises:
        UsageError: it is not callable; a strategy already made is the usual slip.
    """
    if isinstance(value, SearchStrategy) or not callable(value):
        msg = f"`{name}` must be a function of `vocab` that returns a strategy, such as dyadic, got {name}={value!r}"
        raise UsageError(msg)


def check_flag(value: object, *, name: str) -> None:
    """Check that `value` is True or False.

    Raises:
        UsageError: it is neither; 0 and 1 are not accepted for them.
    """
    if not isinstance(value, bool):
        msg = f"`{name}` must be True or False, got {name}={value!r}"
        raise UsageError(msg)


def check_drafting(value: object) -> tuple[str, ...]:
    """Return the drafting laws that `value`, a name or several, asks for.

    Raises:
        UsageError: it names none.
        InvalidProblem: no drafting law has a name it holds.
    """
    names = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Iterable) else ()
    if not names:
        msg = f"`drafting` must be the name of a drafting law, or several, got drafting={value!r}"
        raise UsageError(msg)
    for name in names:
        drafting_rule(name)
    return names
