"""Exact binomial tests: the test, the smallest deviation it detects, the samples it needs, and an interval."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, get_args

from scipy import special

from spectest.stats.validation import UnreachableDeviation, fewest_samples, rate, real, whole

if TYPE_CHECKING:
    from collections.abc import Callable

Alternative = Literal["greater", "less", "two-sided"]
_ALTERNATIVES: Final = get_args(Alternative)


@dataclass(frozen=True)
class BinomialResult:
    """What a binomial test found; `estimate` is successes / trials, None without trials."""

    successes: int
    trials: int
    probability: float
    estimate: float | None
    alternative: str
    p_value: float
    alpha: float
    rejected: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON-ready dict."""
        return asdict(self)


class Interval(NamedTuple):
    """A confidence interval of a probability."""

    low: float
    high: float


def upper_tail(successes: int, trials: int, probability: float) -> float:
    """Return P(X >= successes) for X binomial, exact to rounding wherever it is not below 1e-300."""
    if successes <= 0:
        return 1.0
    if successes > trials:
        return 0.0
    # I_p(k, n - k + 1); the incomplete beta function stays accurate at n = 1e9, where bdtrc does not.
    return float(special.betainc(successes, trials - successes + 1, probability))


def lower_tail(successes: int, trials: int, probability: float) -> float:
    """Return P(X <= successes) for X binomial, exact to rounding wherever it is not below 1e-300."""
    if successes < 0:
        return 0.0
    if successes >= trials:
        return 1.0
    return float(special.betaincc(successes + 1, trials - successes, probability))


def binomial_test(
    successes: int, trials: int, probability: float, *, alpha: float, alternative: Alternative = "two-sided"
) -> BinomialResult:
    """Reject with probability at most `alpha` when successes are Binomial(trials, probability), exactly.

    The two-sided p-value doubles the smaller tail, so that it agrees with `binomial_interval`.

    Args:
        successes: how often it happened.
        trials: of how many independent trials; with none nothing can be rejected.
        probability: of a success under the null hypothesis, in [0, 1]; 0 and 1 are exact.
        alpha: false-alarm rate of this test.
        alternative: "greater" looks for more successes, "less" for fewer, "two-sided" for both.

    Raises:
        ValueError: an argument is not as above, or there are more successes than trials.

    Source: Clopper & Pearson, Biometrika 26 (1934).

    Example:
        >>> binomial_test(70, 100, 0.5, alpha=1e-3, alternative="greater").rejected
        True
        >>> binomial_test(1, 10**9, 0.0, alpha=1e-9).p_value
        0.0
    """
    hits, total = whole(successes, name="successes"), whole(trials, name="trials")
    if hits > total:
        msg = f"`successes` must not exceed `trials`, got {hits} of {total}"
        raise ValueError(msg)
    null, level = _probability(probability), rate(alpha, name="alpha")
    p_value = tail_p_value(hits, total, null, null, _alternative(alternative))
    return BinomialResult(
        successes=hits,
        trials=total,
        probability=null,
        estimate=hits / total if total else None,
        alternative=alternative,
        p_value=p_value,
        alpha=level,
        rejected=p_value <= level,
    )


def tail_p_value(successes: int, trials: int, low: float, high: float, alternative: str) -> float:
    """Return the p-value of the composite null hypothesis low <= probability <= high."""
    greater = upper_tail(successes, trials, high)
    less = lower_tail(successes, trials, low)
    return {"greater": greater, "less": less, "two-sided": min(1.0, 2 * min(greater, less))}[alternative]


def binomial_detectable(
    probability: float, *, samples: int, alpha: float, beta: float, alternative: Alternative = "two-sided"
) -> float:
    """Return the smallest |p' - probability| that `binomial_test` finds with probability 1 - beta, exactly.

    Every deviation in the direction of `alternative` that is larger is found too. A direction in which even the
    largest deviation is missed counts with that deviation; where there is no direction left, 1.0 says that nothing
    can be certified. 0.0 says that no deviation exists (`less` than 0).

    Args:
        probability: of a success under the null hypothesis, in [0, 1].
        samples: number of trials.
        alpha: false-alarm rate.
        beta: miss rate.
        alternative: as in `binomial_test`.

    Raises:
        ValueError: an argument is not as above.

    Example:
        >>> round(binomial_detectable(0.6, samples=200_000, alpha=1e-9, beta=1e-3, alternative="less"), 4)
        0.01
    """
    null = _probability(probability)
    trials = whole(samples, name="samples")
    errors = rate(alpha, name="alpha"), rate(beta, name="beta")
    return detectable_beyond(null, null, null, trials, errors, _alternative(alternative))


def detectable_beyond(  # noqa: PLR0917 (private to the package)
    probability: float, low: float, high: float, trials: int, errors: tuple[float, float], alternative: str
) -> float:
    """Return what the test of low <= p' <= high detects, as a deviation from `probability`; (α, β) = `errors`."""
    alpha, beta = errors
    level = alpha / 2 if alternative == "two-sided" else alpha
    sides = []  # (largest deviation that exists, detectable deviation or None)
    if alternative != "less":
        found = _smallest_found(high, trials, level, beta)
        sides.append((1 - probability, None if found is None else found - probability))
    if alternative != "greater":
        found = _smallest_found(1 - low, trials, level, beta)
        sides.append((probability, None if found is None else found - (1 - probability)))
    if all(found is None and largest > 0 for largest, found in sides):
        return 1.0
    return max(0.0, *(largest if found is None else min(found, largest) for largest, found in sides))


def _smallest_found(probability: float, trials: int, level: float, beta: float) -> float | None:
    """Return the smallest p' at which "too many successes" is found with probability 1 - beta, None if there is none.

    `probability` is the null's; the critical count c is the smallest with P(X >= c) <= level, and p' solves
    P'(X >= c) = I_p'(c, n - c + 1) = 1 - beta.
    """
    if probability >= 1:  # nothing is larger; the largest deviation, 0, needs no finding
        return None
    low, high = 0, trials + 1  # P(X >= 0) = 1 > level >= P(X >= n + 1) = 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if upper_tail(middle, trials, probability) <= level else (middle, high)
    if high > trials:
        return None
    return float(special.betainccinv(high, trials - high + 1, beta))


def binomial_samples(
    probability: float, *, delta: float, alpha: float, beta: float, alternative: Alternative = "two-sided"
) -> int:
    """Return how many trials `binomial_test` needs to find a deviation of `delta` with probability 1 - beta.

    `binomial_detectable` at the number returned is at most `delta`, and at one trial fewer it is larger. (Counts are
    whole, so power moves in small steps: now and then a slightly smaller number happens to do as well.)

    Args:
        probability: of a success under the null hypothesis, in [0, 1].
        delta: deviation |p' - probability| to be found.
        alpha: false-alarm rate.
        beta: miss rate.
        alternative: as in `binomial_test`.

    Raises:
        UnreachableDeviation: no such deviation exists, or more than 1e15 trials would be needed.
        ValueError: an argument is not as above.

    Example:
        >>> binomial_samples(0.6, delta=0.01, alpha=1e-9, beta=1e-3, alternative="less") // 1000
        199
    """
    null = _probability(probability)
    size, errors = rate(delta, name="delta"), (rate(alpha, name="alpha"), rate(beta, name="beta"))
    side = _alternative(alternative)
    room = {"greater": 1 - null, "less": null, "two-sided": max(null, 1 - null)}[side]
    if size > room:
        msg = f"`delta` must be at most {room:.6g}, the largest deviation from {null:.6g} ({side}), got {delta!r}"
        raise UnreachableDeviation(msg)
    detectable: Callable[[int], float] = lambda trials: detectable_beyond(null, null, null, trials, errors, side)  # noqa: E731
    return fewest_samples(detectable, size)


def binomial_interval(successes: int, trials: int, *, confidence: float) -> Interval:
    """Return a (low, high) that contains the true probability with at least the given `confidence`.

    Args:
        successes: how often it happened.
        trials: of how many independent trials; none gives (0, 1).
        confidence: coverage, two-sided, in (0, 1).

    Raises:
        ValueError: an argument is not as above, or there are more successes than trials.

    Source: Clopper & Pearson, Biometrika 26 (1934).

    Example:
        >>> low, high = binomial_interval(0, 1000, confidence=0.999)
        >>> low, round(high, 5)
        (0.0, 0.00757)
    """
    hits, total = whole(successes, name="successes"), whole(trials, name="trials")
    if hits > total:
        msg = f"`successes` must not exceed `trials`, got {hits} of {total}"
        raise ValueError(msg)
    tail = (1 - rate(confidence, name="confidence")) / 2
    low = float(special.betaincinv(hits, total - hits + 1, tail)) if hits else 0.0
    high = float(special.betainccinv(hits + 1, total - hits, tail)) if hits < total else 1.0
    return Interval(low, high)


def _probability(value: object) -> float:
    """Validate the null probability."""
    number = real(value, name="probability")
    if not 0 <= number <= 1:
        msg = f"`probability` must lie in [0, 1], got {value!r}"
        raise ValueError(msg)
    return number


def _alternative(value: object) -> str:
    """Validate the alternative."""
    if not isinstance(value, str) or value not in _ALTERNATIVES:
        msg = f"`alternative` must be one of {', '.join(_ALTERNATIVES)}, got {value!r}"
        raise ValueError(msg)
    return value
