"""Pearson's chi-squared test of a tally against a known law: the test, what it detects, the samples it needs.

Three things make it hold at levels such as 1e-9, where the textbook version does not:

* Cells are pooled to expected counts of `min_expected` = 100 or more (5 is wrong by orders of magnitude), by expected
  counts alone.
* Pearson's statistic is skewed where expected counts are near 100: with 3 to 8 cells its level at 1e-9 is up to five
  times what it should be. The likelihood-ratio statistic G with Bartlett's factor is within 1 % there, down to 1e-12
  (both by exact convolution of Poisson counts). The p-value is the larger of the two: both must reject. Both have
  non-centrality of at least 4·N·TV² (Cauchy-Schwarz, Pinsker), so the same power is certified.
* With two cells the p-value is the exact binomial one, whatever the expected counts. Where pooling would leave a
  single cell, the likeliest cell is held against all others that way: a nearly one-hot law is still tested.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from scipy import special

from spectest.stats.binomial import detectable_beyond, tail_p_value
from spectest.stats.noncentral import critical_value, noncentrality_for, survival
from spectest.stats.pooling import pool
from spectest.stats.validation import MOST_SAMPLES, UnreachableDeviation, fewest_samples, law, rate, real, tally, whole

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_BINARY: Final = 2
# Tolerated laws may exceed p by tolerance/sqrt(p) in a cell, relatively. Cells of at least 16·tolerance² keep that
# below 1/4, so that the widened null law stays close to what it must cover.
_TOLERANT_FLOOR: Final = 16.0
# Skewness of a count expected e times lets Pearson's statistic exceed its law by about this over sqrt(e), relatively,
# at levels down to 1e-9. (Without a tolerance G guards against it; a tolerated p' has no such simple guard.)
_SKEWNESS: Final = 2.0


@dataclass(frozen=True)
class ChiSquaredResult:
    """What a chi-squared test found.

    `cells` counts cells after pooling, those of positive probability; `dof` is one less. `impossible` counts
    observations on cells of probability zero: any of them is an exact rejection, with p-value 0.
    """

    statistic: float
    dof: int
    p_value: float
    alpha: float
    rejected: bool
    samples: int
    cells: int
    impossible: int

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON-ready dict."""
        return asdict(self)


class _Design(NamedTuple):
    """How a law is tested with a given number of samples."""

    cells: NDArray[np.int64]  # pooled cell of each cell, -1 where the probability is zero
    probs: NDArray[np.float64]  # of the pooled cells
    samples: int
    tolerance: float

    @property
    def band(self) -> tuple[float, float]:
        """Tolerated probabilities of the first of two cells: (p' - p)²/(p(1 - p)) <= tolerance²."""
        p = float(self.probs[0])
        reach = self.tolerance * math.sqrt(p * (1 - p))
        return max(0.0, p - reach), min(1.0, p + reach)

    @property
    def inflation(self) -> float:
        """Factor ρ by which tolerated laws p' may widen Pearson's statistic, 1 without a tolerance.

        Variances of standardised counts grow by p'/p <= 1 + tolerance/sqrt(p); the rest is skewness.
        """
        if self.tolerance == 0:
            return 1.0
        rarest = float(self.probs.min())
        return 1 + self.tolerance / math.sqrt(rarest) + _SKEWNESS / math.sqrt(self.samples * rarest)


def chi_squared_test(
    counts: ArrayLike, probs: ArrayLike, *, alpha: float, tolerance: float = 0.0, min_expected: float = 100.0
) -> ChiSquaredResult:
    """Reject with probability at most `alpha` when counts are a multinomial sample of `probs`.

    With a `tolerance`, reject with probability at most `alpha` for every law p' with
    χ²(p'‖p) = Σ (p' - p)²/p <= tolerance², over the pooled cells. An observation of probability zero always rejects.
    The level is exact with two cells; with more it rests on `min_expected` of 100 or more, where it was found to hold
    within a few per cent of `alpha` down to 1e-9, for the null law and for the worst tolerated ones.

    Args:
        counts: how often each cell was seen, (K,) integers. Without samples nothing can be rejected.
        probs: the law p under the null hypothesis, (K,), summing to 1.
        alpha: false-alarm rate of this test.
        tolerance: relative error forgiven, the root of χ²(p'‖p): 4e-3 for bfloat16, 0 for exact code.
        min_expected: least expected count of a pooled cell.

    Raises:
        ValueError: an argument is not as above; the message says which.

    Source: Pearson (1900); Bartlett's factor as in Williams, Biometrika 63 (1976).

    Example:
        >>> chi_squared_test([5100, 4900, 0], [0.5, 0.5, 0.0], alpha=1e-6).rejected
        False
        >>> chi_squared_test([5000, 4999, 1], [0.5, 0.5, 0.0], alpha=1e-6).impossible
        1
    """
    target = law(probs)
    seen = tally(counts, cells=target.size)
    level, slack, least = _test_arguments(alpha, tolerance, min_expected)
    samples = int(seen.sum())
    impossible = int(seen[target == 0].sum())
    design = _design(target, samples, slack, least)
    observed = _merge(seen.astype(np.float64), design.cells)
    expected = samples * design.probs
    statistic = float(((observed - expected) ** 2 / expected).sum()) if samples else 0.0
    if impossible:
        p_value = 0.0
    elif samples == 0 or design.probs.size == 1:
        p_value = 1.0
    elif design.probs.size == _BINARY:
        p_value = tail_p_value(int(observed[0]), samples, *design.band, "two-sided")
    else:
        p_value = _asymptotic_p_value(statistic, observed, expected, design)
    return ChiSquaredResult(
        statistic=statistic,
        dof=design.probs.size - 1,
        p_value=p_value,
        alpha=level,
        rejected=p_value <= level,
        samples=samples,
        cells=design.probs.size,
        impossible=impossible,
    )


def _asymptotic_p_value(
    statistic: float, observed: NDArray[np.float64], expected: NDArray[np.float64], design: _Design
) -> float:
    """Return the larger p-value of Pearson's statistic and of G with Bartlett's factor."""
    dof = expected.size - 1
    likelihood_ratio = 2 * float(special.kl_div(observed, expected).sum())  # x log(x/y) - x + y, cell by cell
    # E[G] = dof + (Σ1/p - 1)/(6N) + O(1/N²): dividing by this factor mends the whole tail, not only the mean.
    bartlett = 1 + float((1 / expected).sum() - 1 / expected.sum()) / (6 * dof)
    guard = float(special.chdtrc(dof, likelihood_ratio / bartlett))
    if design.tolerance == 0:
        return max(guard, float(special.chdtrc(dof, statistic)))
    # Held against ρ times a non-central chi-squared with N·tolerance²/ρ, which covers tolerated laws that put all
    # their deviation in one rare cell; the plain non-central law does not.
    rho = design.inflation
    noncentrality = design.samples * design.tolerance**2 / rho
    return max(guard, survival(statistic / rho, dof=dof, noncentrality=noncentrality))


def chi_squared_detectable(
    probs: ArrayLike,
    *,
    samples: int,
    alpha: float,
    beta: float,
    tolerance: float = 0.0,
    min_expected: float = 100.0,
) -> float:
    """Return a δ such that every p' with TV(p', p) >= δ is rejected with probability at least 1 - beta.

    It is the bound of the worst p' there is, however it hides: δ = hidden + sqrt(λ/(4N)), where λ is the
    non-centrality that is missed with probability `beta` only (χ²(p'‖p) >= 4·TV² by Cauchy-Schwarz) and `hidden`
    bounds the deviation within pooled cells: Σ over pooled cells of their mass less that of their rarest member.
    Emissions of probability zero need no term of their own: moving mass there is found sooner. Power rests on the
    non-central chi-squared law, which is asymptotic; with two cells it is exact.

    Args:
        probs: the law p, (K,).
        samples: N, how many samples will be drawn.
        alpha: false-alarm rate.
        beta: miss rate.
        tolerance: as in `chi_squared_test`.
        min_expected: as in `chi_squared_test`.

    Returns:
        δ in [0, 1]; 1.0 when nothing can be certified, 0.0 when no deviation exists (a single token).

    Raises:
        ValueError: an argument is not as above.

    Example:
        >>> round(chi_squared_detectable([1 / 16] * 16, samples=300_000, alpha=1e-9, beta=1e-3), 4)
        0.01
    """
    target = law(probs)
    trials = whole(samples, name="samples")
    level, slack, least = _test_arguments(alpha, tolerance, min_expected)
    return _detectable(target, trials, (level, rate(beta, name="beta")), slack, least)


def _detectable(
    target: NDArray[np.float64], samples: int, errors: tuple[float, float], tolerance: float, min_expected: float
) -> float:
    """Return what the validated arguments detect; (α, β) = `errors`."""
    if target.size == 1:
        return 0.0
    if samples == 0:
        return 1.0
    alpha, beta = errors
    # Mass z on impossible cells is missed with probability (1 - z)^N.
    impossible = -math.expm1(math.log(beta) / samples) if not target.all() else 0.0
    design = _design(target, samples, tolerance, min_expected)
    if design.probs.size == 1:
        return impossible
    if design.probs.size == _BINARY:
        visible = detectable_beyond(float(design.probs[0]), *design.band, samples, errors, "two-sided")
    else:
        dof, rho = design.probs.size - 1, design.inflation
        critical = rho * critical_value(alpha, dof=dof, noncentrality=samples * tolerance**2 / rho)
        visible = math.sqrt(noncentrality_for(critical, dof=dof, beta=beta) / (4 * samples))
    return min(1.0, _hidden(target, design.cells) + max(visible, impossible))


def _hidden(target: NDArray[np.float64], cells: NDArray[np.int64]) -> float:
    """Bound the total variation that moves no pooled count: within a pooled cell at most its mass less its rarest."""
    rarest = np.ones(int(cells.max()) + 1)
    np.minimum.at(rarest, cells[target > 0], target[target > 0])
    hidden = 1.0 - float(rarest.sum())
    return hidden if hidden > np.finfo(np.float64).eps * target.size else 0.0  # below it is rounding of the sum


def chi_squared_samples(
    probs: ArrayLike,
    *,
    delta: float,
    alpha: float,
    beta: float,
    tolerance: float = 0.0,
    min_expected: float = 100.0,
    at_least: int = 1,
) -> int:
    """Return how many samples find every p' with TV(p', p) >= delta with probability at least 1 - beta.

    `chi_squared_detectable` at the number returned is at most `delta`, and at one sample fewer it is larger, unless the
    number is `at_least`. What pooling hides falls in steps: now and then a slightly smaller number happens to do as
    well, and a slightly larger one does not.

    Args:
        probs: the law p, (K,).
        delta: total variation to be found.
        alpha: false-alarm rate.
        beta: miss rate.
        tolerance: as in `chi_squared_test`; deviations within it are never found.
        min_expected: as in `chi_squared_test`.
        at_least: where to begin, for example with what another test needs of the same samples.

    Raises:
        UnreachableDeviation: no number of samples up to 1e15 finds `delta`; the message says what they would find.
        ValueError: an argument is not as above.

    Example:
        >>> chi_squared_samples([1 / 16] * 16, delta=0.01, alpha=1e-9, beta=1e-3) // 1000
        299
    """
    target = law(probs)
    size, errors = rate(delta, name="delta"), (rate(alpha, name="alpha"), rate(beta, name="beta"))
    _, slack, least = _test_arguments(alpha, tolerance, min_expected)
    if slack and size <= (limit := chi_squared_tolerated(target, tolerance=slack, min_expected=least)):
        msg = (
            f"`delta` must exceed {limit:.6g}, the deviation that `tolerance` {slack:.6g} forgives at any number of "
            f"samples, got {delta!r}"
        )
        raise UnreachableDeviation(msg)
    begin = max(1, whole(at_least, name="at_least"))
    return fewest_samples(lambda samples: _detectable(target, samples, errors, slack, least), size, at_least=begin)


def chi_squared_tolerated(probs: ArrayLike, *, tolerance: float, min_expected: float = 100.0) -> float:
    """Return the deviation that a tolerance forgives at any number of samples.

    It is what `chi_squared_detectable` tends to: χ² = tolerance² allows TV = tolerance/2, and a test that is to forgive
    it pools light cells, within which more may hide.

    Args:
        probs: the law p, (K,).
        tolerance: as in `chi_squared_test`.
        min_expected: as in `chi_squared_test`.

    Raises:
        ValueError: an argument is not as above.

    Example:
        >>> chi_squared_tolerated([1 / 16] * 16, tolerance=0.01)
        0.005
    """
    target = law(probs)
    _, slack, least = _test_arguments(0.5, tolerance, min_expected)
    design = _design(target, MOST_SAMPLES, slack, least)
    if slack == 0 or design.probs.size == 1:
        return 0.0
    low, high = design.band
    visible = (high - low) / 2 if design.probs.size == _BINARY else slack / 2
    return visible + _hidden(target, design.cells)


def _design(target: NDArray[np.float64], samples: int, tolerance: float, min_expected: float) -> _Design:
    """Pool the cells of `target` for a test with that many samples."""
    least = max(min_expected / max(samples, 1), _TOLERANT_FLOOR * tolerance**2)
    cells = pool(target, min_expected=least * (1 - 1e-9))  # 100 expected are 100, however the division rounded
    if not cells.any() or int(cells.max()) == 0:
        likeliest = int(target.argmax())
        cells = np.where(target > 0, 1, -1)
        cells[likeliest] = 0
    return _Design(cells, _merge(target, cells), samples, tolerance)


def _merge(values: NDArray[np.float64], cells: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sum `values` into `cells`, leaving out those of cell -1."""
    return np.bincount(cells + 1, weights=values)[1:].astype(np.float64)


def _test_arguments(alpha: float, tolerance: float, min_expected: float) -> tuple[float, float, float]:
    """Validate what all three functions share."""
    level, slack, least = (
        rate(alpha, name="alpha"),
        real(tolerance, name="tolerance"),
        real(min_expected, name="min_expected"),
    )
    if not 0 <= slack < 1:
        msg = f"`tolerance` must be a relative error in [0, 1), got {tolerance!r}"
        raise ValueError(msg)
    if least <= 0:
        msg = f"`min_expected` must be positive, got {min_expected!r}; 100 suits levels down to 1e-9"
        raise ValueError(msg)
    return level, slack, least
