"""The binomial triple: exact in every regime."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats as scipy_stats

from spectest.stats import (
    UnreachableDeviation,
    binomial_detectable,
    binomial_interval,
    binomial_samples,
    binomial_test,
)

ALTERNATIVES = ["greater", "less", "two-sided"]
RATES = {"alpha": 1e-6, "beta": 1e-3}


class TestTest:
    @pytest.mark.parametrize(
        ("successes", "trials", "p"),
        [(0, 10, 0.3), (10, 10, 0.3), (3, 10, 0.3), (700, 1000, 0.6), (5, 10**6, 1e-6), (600_300_000, 10**9, 0.6)],
    )
    def test_against_scipy(self, successes: int, trials: int, p: float) -> None:
        for alternative in ("greater", "less"):
            ours = binomial_test(successes, trials, p, alpha=1e-6, alternative=alternative).p_value
            theirs = scipy_stats.binomtest(successes, trials, p, alternative=alternative).pvalue
            assert ours == pytest.approx(theirs, rel=1e-7)

    def test_two_sided_is_twice_the_smaller_tail(self) -> None:
        ours = binomial_test(30, 100, 0.2, alpha=1e-6).p_value
        assert ours == pytest.approx(2 * scipy_stats.binom.sf(29, 100, 0.2), rel=1e-10)
        assert binomial_test(20, 100, 0.2, alpha=1e-6).p_value == 1.0

    def test_deep_tail(self) -> None:
        ours = binomial_test(900, 1000, 0.5, alpha=1e-6, alternative="greater").p_value
        assert np.log(ours) == pytest.approx(scipy_stats.binom.logsf(899, 1000, 0.5), rel=1e-9)
        assert binomial_test(1000, 1000, 0.5, alpha=1e-6, alternative="greater").p_value == pytest.approx(0.5**1000)

    @pytest.mark.parametrize("trials", [1, 10**9])
    def test_certain_events_are_exact(self, trials: int) -> None:
        assert binomial_test(0, trials, 0.0, alpha=0.5).p_value == 1.0
        assert binomial_test(1, trials, 0.0, alpha=1e-300).p_value == 0.0
        assert binomial_test(trials, trials, 1.0, alpha=0.5).p_value == 1.0
        assert binomial_test(trials - 1, trials, 1.0, alpha=1e-300).rejected

    def test_no_trials(self) -> None:
        result = binomial_test(0, 0, 0.0, alpha=0.5)
        assert (result.p_value, result.rejected, result.estimate) == (1.0, False, None)
        assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["trials"] == 0

    @pytest.mark.parametrize("alternative", ALTERNATIVES)
    @pytest.mark.parametrize("p", [0.0, 1e-3, 0.4, 1.0])
    def test_level_by_enumeration(self, p: float, alternative: str) -> None:
        trials = 200
        mass = scipy_stats.binom.pmf(np.arange(trials + 1), trials, p)
        p_values = np.array(
            [binomial_test(k, trials, p, alpha=0.1, alternative=alternative).p_value for k in range(trials + 1)]
        )
        for level in (0.2, 0.01, 1e-5):
            assert mass[p_values <= level].sum() <= level * (1 + 1e-9)


class TestDesign:
    @pytest.mark.parametrize("alternative", ALTERNATIVES)
    @pytest.mark.parametrize("p", [0.0, 0.002, 0.4, 0.95, 1.0])
    @pytest.mark.parametrize("samples", [40, 3000])
    def test_detectable_by_enumeration(self, p: float, samples: int, alternative: str) -> None:
        """The power at the deviation is exactly 1 - β on the binding side, and no less on the other."""
        delta = binomial_detectable(p, samples=samples, alternative=alternative, **RATES)
        outcomes = range(samples + 1)
        rejected = np.array(
            [binomial_test(k, samples, p, alpha=1e-6, alternative=alternative).rejected for k in outcomes]
        )
        powers = [
            scipy_stats.binom.pmf(outcomes, samples, truth)[rejected].sum()
            for sign, side in ((1, "greater"), (-1, "less"))
            if 0 <= (truth := p + sign * delta) <= 1 and alternative in (side, "two-sided")
        ]
        room = {"greater": 1 - p, "less": p, "two-sided": max(p, 1 - p)}[alternative]
        if room == 0:
            assert delta == 0
        elif delta == 1.0:
            assert powers == [] or min(powers) < 0.999 or room == 1
        else:
            assert delta == pytest.approx(min(p, 1 - p)) or min(powers) == pytest.approx(0.999, abs=1e-9)

    @pytest.mark.parametrize("alternative", ALTERNATIVES)
    def test_samples_inverts_detectable(self, alternative: str) -> None:
        for p in (0.0, 0.01, 0.5, 0.8, 1.0):
            room = {"greater": 1 - p, "less": p, "two-sided": max(p, 1 - p)}[alternative]
            if room < 0.05:
                continue
            found = binomial_samples(p, delta=0.05, alternative=alternative, **RATES)
            assert binomial_detectable(p, samples=found, alternative=alternative, **RATES) <= 0.05
            assert binomial_detectable(p, samples=found - 1, alternative=alternative, **RATES) > 0.05

    def test_published_figure(self) -> None:
        """A shortfall of 1e-2 at .6 needs 2.0e5 samples, of 1e-3 2.0e7 (α = 1e-9, β = 1e-3)."""
        for delta, samples in ((1e-2, 2.0e5), (1e-3, 2.0e7)):
            found = binomial_samples(0.6, delta=delta, alpha=1e-9, beta=1e-3, alternative="less")
            assert found == pytest.approx(samples, rel=0.02)

    def test_impossible_is_cheap(self) -> None:
        found = binomial_samples(0.0, delta=0.01, alpha=1e-9, beta=1e-3, alternative="greater")
        assert found == int(np.ceil(np.log(1e-3) / np.log(0.99)))

    def test_unreachable(self) -> None:
        with pytest.raises(UnreachableDeviation, match=r"`delta` must be at most 0\.1, the largest"):
            binomial_samples(0.9, delta=0.2, alternative="greater", **RATES)
        with pytest.raises(UnreachableDeviation, match="out of reach"):
            binomial_samples(0.5, delta=1e-9, **RATES)

    def test_nothing_certified(self) -> None:
        assert binomial_detectable(0.5, samples=0, **RATES) == 1.0
        assert binomial_detectable(0.5, samples=3, alternative="less", **RATES) == 1.0


class TestInterval:
    @pytest.mark.parametrize(("successes", "trials"), [(0, 50), (50, 50), (20, 50), (0, 0), (3, 10**9)])
    def test_against_scipy(self, successes: int, trials: int) -> None:
        ours = binomial_interval(successes, trials, confidence=0.999)
        if trials == 0:
            assert ours == (0.0, 1.0)
            return
        theirs = scipy_stats.binomtest(successes, trials, 0.5).proportion_ci(0.999, method="exact")
        assert ours == pytest.approx((theirs.low, theirs.high), rel=1e-7)

    def test_coverage_by_enumeration(self) -> None:
        intervals = [binomial_interval(k, 60, confidence=0.99) for k in range(61)]
        for p in np.linspace(0.01, 0.99, 41):
            covered = [low <= p <= high for low, high in intervals]
            assert scipy_stats.binom.pmf(np.arange(61), 60, p)[covered].sum() >= 0.99


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: binomial_test(5, 4, 0.5, alpha=0.1), "`successes` must not exceed `trials`, got 5 of 4"),
        (lambda: binomial_test(1.0, 4, 0.5, alpha=0.1), "`successes` must be an integer of at least 0, got 1.0"),
        (lambda: binomial_test(True, 4, 0.5, alpha=0.1), "`successes` must be an integer"),  # noqa: FBT003
        (lambda: binomial_test(1, -4, 0.5, alpha=0.1), "`trials` must be an integer of at least 0, got -4"),
        (lambda: binomial_test(1, 4, 1.5, alpha=0.1), r"`probability` must lie in \[0, 1\], got 1.5"),
        (lambda: binomial_test(1, 4, True, alpha=0.1), "`probability` must be a number"),  # noqa: FBT003
        (lambda: binomial_test(1, 4, 0.5, alpha=1.0), "`alpha` must lie strictly between 0 and 1"),
        (lambda: binomial_test(1, 4, 0.5, alpha=0.1, alternative="up"), "`alternative` must be one of greater, less"),
        (lambda: binomial_interval(5, 4, confidence=0.9), "`successes` must not exceed"),
        (lambda: binomial_interval(1, 4, confidence=95), "`confidence` must lie strictly between 0 and 1, got 95"),
    ],
)
def test_input_validation(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
