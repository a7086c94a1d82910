"""The chi-squared triple: level, power, agreement with scipy.stats, exactness of forbidden cells."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy import special
from scipy import stats as scipy_stats

from spectest.stats import (
    UnreachableDeviation,
    binomial_interval,
    binomial_test,
    chi_squared_detectable,
    chi_squared_samples,
    chi_squared_test,
    stages,
)
from spectest.stats.noncentral import critical_value, noncentrality_for, survival

RNG = np.random.default_rng()  # any seed must do: every assertion below has odds of 1e-7 or less
LAWS = {
    "uniform": np.full(16, 1 / 16),
    "zipf": (1 / np.arange(1, 33)) / (1 / np.arange(1, 33)).sum(),
    "peaked": np.array([0.97, 0.01, 0.01, 0.005, 0.005]),
    "two": np.array([0.7, 0.3]),
    "zeros": np.array([0.5, 0.0, 0.25, 0.25, 0.0]),
}


def plugged(p: np.ndarray) -> np.ndarray:
    """Move total variation as evenly as can be: half the mass up, half down, by the same factor."""
    sign = np.where(np.arange(p.size) % 2 == 0, 1.0, -1.0)
    shift = p * sign
    up, down = shift[shift > 0].sum(), -shift[shift < 0].sum()
    return np.where(shift > 0, shift / up, shift / down)


def frequency_is_at_most(hits: int, trials: int, limit: float) -> bool:
    """Whether hits of trials are compatible with a probability of at most `limit`, at odds of 1e-8."""
    return not binomial_test(hits, trials, limit, alpha=1e-8, alternative="greater").rejected


class TestAgainstScipy:
    def test_statistic(self) -> None:
        counts = RNG.multinomial(50_000, LAWS["uniform"])
        theirs = scipy_stats.chisquare(counts)
        ours = chi_squared_test(counts, LAWS["uniform"], alpha=1e-6)
        assert ours.statistic == pytest.approx(theirs.statistic, rel=1e-10)
        assert ours.p_value >= theirs.pvalue * (1 - 1e-9)
        guard = scipy_stats.power_divergence(counts, lambda_="log-likelihood")
        bartlett = 1 + (16 * 16 - 1) / (6 * 50_000 * 15)
        expected = max(theirs.pvalue, scipy_stats.chi2.sf(guard.statistic / bartlett, 15))
        assert ours.p_value == pytest.approx(expected, rel=1e-7)
        assert (ours.dof, ours.cells, ours.samples, ours.impossible) == (15, 16, 50_000, 0)

    @pytest.mark.parametrize("excess", [100, 300, 500])
    def test_deep_tail(self, excess: int) -> None:
        counts = np.full(16, 10_000) + excess * np.where(np.arange(16) % 2 == 0, 1, -1)
        ours = chi_squared_test(counts, LAWS["uniform"], alpha=1e-6)
        theirs = scipy_stats.chisquare(counts)
        assert np.log(ours.p_value) == pytest.approx(scipy_stats.chi2.logsf(theirs.statistic, 15), rel=2e-3)

    @pytest.mark.parametrize("dof", [2, 15, 63, 999])
    @pytest.mark.parametrize("noncentrality", [0.01, 1.0, 50.0, 1e4])
    def test_noncentral(self, dof: int, noncentrality: float) -> None:
        mean, spread = dof + noncentrality, np.sqrt(2 * (dof + 2 * noncentrality))
        for x in mean + spread * np.array([-1.0, 0.0, 4.0, 8.0, 30.0]):
            theirs = scipy_stats.ncx2.sf(x, dof, noncentrality)
            if x > 0 and theirs > 1e-290:
                assert survival(float(x), dof=dof, noncentrality=noncentrality) == pytest.approx(theirs, rel=1e-8)
        for alpha in (1e-3, 1e-9, 1e-15):
            critical = critical_value(alpha, dof=dof, noncentrality=noncentrality)
            assert scipy_stats.ncx2.sf(critical, dof, noncentrality) == pytest.approx(alpha, rel=1e-6)
            for beta in (0.1, 1e-3, 1e-9):
                found = noncentrality_for(critical, dof=dof, beta=beta)
                assert scipy_stats.ncx2.cdf(critical, dof, found) == pytest.approx(beta, rel=1e-6)

    def test_two_cells_are_binomial(self) -> None:
        theirs = 2 * scipy_stats.binom.sf(729, 1000, 0.7)
        assert chi_squared_test([730, 270], [0.7, 0.3], alpha=1e-3).p_value == pytest.approx(theirs, rel=1e-9)


class TestLevel:
    @pytest.mark.parametrize("name", LAWS)
    @pytest.mark.parametrize("tolerance", [0.0, 4e-3])
    def test_null_simulation(self, name: str, tolerance: float) -> None:
        p = LAWS[name]
        trials = 4000
        tallies = RNG.multinomial(20_000, p, size=trials)
        p_values = np.array([chi_squared_test(c, p, alpha=1e-3, tolerance=tolerance).p_value for c in tallies])
        for level in (0.3, 0.1, 0.01, 1e-3):
            assert frequency_is_at_most(int((p_values <= level).sum()), trials, level * 1.03), level
        if tolerance == 0:  # close to uniform from below too: the test is not merely timid
            low = binomial_interval(int((p_values <= 0.3).sum()), trials, confidence=1 - 1e-8)
            assert low.high > 0.2

    @pytest.mark.parametrize(
        ("samples", "p"),
        [(300, (1 / 3, 1 / 3, 1 / 3)), (1000, (0.1, 0.1, 0.8)), (10_000, (0.01, 0.01, 0.98)), (1000, (0.1, 0.4, 0.5))],
    )
    def test_exact_enumeration(self, samples: int, p: tuple[float, ...]) -> None:
        """Three cells at the least expected counts allowed, where Pearson alone is up to 7.9 times its level."""
        outcomes, mass = most_outcomes(samples, p)
        p_values = np.array([chi_squared_test(c, p, alpha=1e-3).p_value for c in outcomes])
        for level in (1e-2, 1e-3, 1e-5, 1e-6):
            assert mass[p_values <= level].sum() <= level, level
        expected = samples * np.array(p)
        pearson = special.chdtrc(2, ((outcomes - expected) ** 2 / expected).sum(axis=1))
        if samples == 10_000:  # the enumeration does see the defect that the guard is there for
            assert mass[pearson <= 1e-6].sum() > 2e-6

    @pytest.mark.parametrize("samples", [5, 60, 1000])
    @pytest.mark.parametrize("tolerance", [0.0, 0.01])
    def test_exact_two_cells(self, samples: int, tolerance: float) -> None:
        for p in (0.001, 0.3, 0.5):
            outcomes = np.stack([np.arange(samples + 1), samples - np.arange(samples + 1)], axis=1)
            p_values = np.array(
                [chi_squared_test(c, [p, 1 - p], alpha=1e-3, tolerance=tolerance).p_value for c in outcomes]
            )
            for truth in (p - tolerance * np.sqrt(p * (1 - p)), p + tolerance * np.sqrt(p * (1 - p))):
                mass = scipy_stats.binom.pmf(outcomes[:, 0], samples, max(0.0, truth))
                for level in (0.05, 1e-3, 1e-6):
                    assert mass[p_values <= level].sum() <= level * (1 + 1e-9)

    def test_rare_cell_trap(self) -> None:
        """One cell expected once beside 15 common ones makes the unpooled test raise 1e-6, not 1e-9, alarms."""
        p = np.r_[np.full(15, (1 - 1e-4) / 15), 1e-4]
        samples = 10_000
        counts = np.rint(samples * p).astype(np.int64)
        counts[15], counts[0] = 11, counts[0] - 10  # P(X >= 11) is 1e-8: common beside 1e-9
        assert scipy_stats.chisquare(counts, p * counts.sum()).pvalue < 1e-12
        result = chi_squared_test(counts, p, alpha=1e-9)
        assert not result.rejected
        assert result.cells == 15

    @pytest.mark.parametrize("concentrated", [True, False])
    def test_tolerated_laws(self, concentrated: bool) -> None:  # noqa: FBT001
        """Laws at the very edge of the tolerance: evenly spread, or all in one of the rarest cells."""
        p = np.r_[np.full(4, 0.02), 0.92]
        tolerance, samples, trials = 0.03, 20_000, 3000
        direction = np.array([1.0, 0.0, 0.0, 0.0, -1.0]) if concentrated else plugged(p)
        truth = p + direction * tolerance / np.sqrt((direction**2 / p).sum())
        assert ((truth - p) ** 2 / p).sum() == pytest.approx(tolerance**2)
        alarms = [
            chi_squared_test(c, p, alpha=1e-2, tolerance=tolerance).rejected
            for c in RNG.multinomial(samples, truth, size=trials)
        ]
        assert frequency_is_at_most(sum(alarms), trials, 1e-2)

    def test_tolerated_law_by_enumeration(self) -> None:
        """All that is tolerated put into one rare cell: the plain non-central law is three times too small here."""
        p, tolerance, samples = np.array([0.01, 0.01, 0.98]), 0.025, 10_000
        direction = np.array([1.0, 0.0, -1.0])
        truth = p + direction * tolerance / np.sqrt((direction**2 / p).sum())
        outcomes, mass = most_outcomes(samples, tuple(truth))
        tests = [chi_squared_test(c, p, alpha=1e-3, tolerance=tolerance) for c in outcomes]
        p_values = np.array([test.p_value for test in tests])
        for level in (1e-2, 1e-3, 1e-5, 1e-6):
            assert mass[p_values <= level].sum() <= level * 1.02, level
        plain = scipy_stats.ncx2.sf([test.statistic for test in tests], 2, samples * tolerance**2)
        assert mass[plain <= 1e-6].sum() > 2e-6

    def test_tolerance_pools_more(self) -> None:
        """Cells of less than 16·tolerance² would let tolerated laws be much wider than the null."""
        p = np.r_[np.full(4, 0.01), np.full(6, 0.16)]
        counts = np.rint(10**6 * p).astype(np.int64)
        assert chi_squared_test(counts, p, alpha=1e-6, tolerance=0.02).cells == 10
        assert chi_squared_test(counts, p, alpha=1e-6, tolerance=0.03).cells == 8

    def test_tolerance_is_needed(self) -> None:
        p, samples = LAWS["uniform"], 2_000_000
        truth = p + plugged(p) * 0.01 / 2  # χ² = 0.01²
        counts = np.rint(samples * truth).astype(np.int64)
        assert chi_squared_test(counts, p, alpha=1e-9).rejected
        assert not chi_squared_test(counts, p, alpha=1e-9, tolerance=0.01).rejected

    def test_staged_decision_raises_no_alarm(self) -> None:
        """10^4 exact tallies against a total level of 1e-9: an alarm has odds of 1e-5."""
        first, second = stages(1e-9)
        p = LAWS["zipf"]
        alarms = retried = 0
        for counts in RNG.multinomial(30_000, p, size=10_000):
            if chi_squared_test(counts, p, alpha=first).rejected:
                retried += 1
                alarms += chi_squared_test(RNG.multinomial(30_000, p), p, alpha=second).rejected
        assert alarms == 0
        assert frequency_is_at_most(retried, 10_000, first)


class TestPower:
    def test_table(self) -> None:
        """N at α = 1e-9, β = 1e-3 (uniform), from an independent calculation with scipy.stats."""
        for cells, delta in ((16, 0.01), (64, 0.01), (256, 0.005), (1000, 0.001)):
            critical = scipy_stats.chi2.isf(1e-9, cells - 1)
            low, high = 0.0, 1e5
            for _ in range(100):
                middle = (low + high) / 2
                low, high = (
                    (low, middle) if scipy_stats.ncx2.cdf(critical, cells - 1, middle) < 1e-3 else (middle, high)
                )
            p = np.full(cells, 1 / cells)
            found = chi_squared_samples(p, delta=delta, alpha=1e-9, beta=1e-3)
            assert found == pytest.approx(high / (4 * delta**2), rel=1e-4)

    def test_more_samples_than_needed_may_not_do(self) -> None:
        """With a few more, rare cells are pooled otherwise; `at_least` goes on to a number that finds δ again."""
        p = np.array([9, 69, 74, 76, 86, 107, 219, 424, 477, 485, 521, 771, 863, 958, 1109, 1864, 1888]) / 10_000
        errors: dict[str, Any] = {"alpha": 1e-3, "beta": 5e-4}
        numbers = range(6_000, 7_000, 10)
        found = [chi_squared_detectable(p, samples=n, **errors) for n in numbers]
        (rise,) = np.flatnonzero(np.diff(found) > 0)
        delta, worse = found[rise], numbers[rise + 1]
        again = chi_squared_samples(p, delta=delta, at_least=worse, **errors)
        assert again > worse
        assert chi_squared_detectable(p, samples=again, **errors) <= delta
        assert chi_squared_samples(p, delta=delta, at_least=10 * again, **errors) == 10 * again

    @pytest.mark.parametrize("name", LAWS)
    @pytest.mark.parametrize("tolerance", [0.0, 0.01])
    def test_design_is_sound_and_tight(self, name: str, tolerance: float) -> None:
        """At the N asked for, the evenly spread deviation is missed at most at β; at half of it, far more often."""
        p, delta, beta, trials = LAWS[name], 0.03, 0.05, 1000
        samples = chi_squared_samples(p, delta=delta, alpha=1e-6, beta=beta, tolerance=tolerance)
        assert chi_squared_detectable(p, samples=samples, alpha=1e-6, beta=beta, tolerance=tolerance) <= delta
        support = p > 0
        truth = p.copy()
        truth[support] += delta * plugged(p[support])
        if truth.min() < 0:  # too large a move for the rare half: from the common cells to the rare ones instead
            truth = p.copy()
            truth[int(p.argmax())] -= delta
            rare = support & (np.arange(p.size) != p.argmax())
            truth[rare] += delta * p[rare] / p[rare].sum()
        assert np.abs(truth - p).sum() / 2 == pytest.approx(delta)
        missed = sum(
            not chi_squared_test(c, p, alpha=1e-6, tolerance=tolerance).rejected
            for c in RNG.multinomial(samples, truth, size=trials)
        )
        assert frequency_is_at_most(missed, trials, beta * 1.05)

    def test_design_is_tight(self) -> None:
        p, delta, beta, trials = LAWS["uniform"], 0.03, 0.05, 1000
        truth = p + delta * plugged(p)
        for tolerance in (0.0, 0.01):
            samples = chi_squared_samples(p, delta=delta, alpha=1e-6, beta=beta, tolerance=tolerance)
            missed = sum(
                not chi_squared_test(c, p, alpha=1e-6, tolerance=tolerance).rejected
                for c in RNG.multinomial(samples // 2, truth, size=trials)
            )
            assert binomial_test(missed, trials, 0.3, alpha=1e-8, alternative="greater").rejected, tolerance

    @pytest.mark.parametrize("name", ["uniform", "zipf", "peaked", "two", "zeros"])
    @pytest.mark.parametrize("tolerance", [0.0, 4e-3])
    def test_detectable_and_samples_are_inverse(self, name: str, tolerance: float) -> None:
        rates = {"alpha": 1e-9, "beta": 1e-3, "tolerance": tolerance}
        for delta in (0.2, 0.05, 0.02):
            samples = chi_squared_samples(LAWS[name], delta=delta, **rates)
            assert chi_squared_detectable(LAWS[name], samples=samples, **rates) <= delta
            assert chi_squared_detectable(LAWS[name], samples=samples - 1, **rates) > delta

    def test_hidden_deviation_is_counted(self) -> None:
        """Deviation inside pooled cells shifts no pooled count; what is certified must exceed it."""
        p = np.r_[np.full(10, 0.09), np.full(100, 0.001)]
        samples = 21_000  # rare cells are expected 21 times: pooled by fives
        truth = p.copy()
        truth[10:] *= np.tile([2.0, 0.0, 2.0, 0.0, 1.0], 20)
        hidden = np.abs(truth - p).sum() / 2
        assert hidden == pytest.approx(0.04)
        for counts in RNG.multinomial(samples, truth, size=20):
            result = chi_squared_test(counts, p, alpha=1e-9)
            assert (result.cells, result.rejected) == (30, False)
        assert chi_squared_detectable(p, samples=samples, alpha=1e-6, beta=1e-3) > hidden + 0.02

    def test_nearly_one_hot(self) -> None:
        """Pooling to 100 would leave one cell; the likeliest cell is tested against the rest instead."""
        p = np.r_[1 - 1e-5, np.full(9, 1e-5 / 9)]
        counts = np.r_[950, np.full(9, 6)]
        counts[0] += 1000 - counts.sum()
        assert chi_squared_test(counts, p, alpha=1e-9).rejected
        assert chi_squared_detectable(p, samples=1000, alpha=1e-9, beta=1e-3) < 0.05

    def test_planted_lenience(self) -> None:
        """A lenient acceptance rule on a known pair: law min(q, p/l) + rest to the residual."""
        p, q = np.array([0.03, 0.41, 0.03, 0.28, 0.25]), np.array([0.43, 0.30, 0.07, 0.02, 0.18])
        accepted = np.minimum(q, p / 0.9)
        residual = np.maximum(p - 0.9 * q, 0)
        bug = accepted + (1 - accepted.sum()) * residual / residual.sum()
        assert np.abs(bug - p).sum() / 2 == pytest.approx(0.0283, abs=1e-4)
        # χ² = 4.3e-3: at twice the 17,381 samples of the published design it is missed less than once in 1e9.
        assert chi_squared_test(RNG.multinomial(60_000, bug), p, alpha=1e-6).rejected


class TestEdges:
    def test_forbidden_cell_is_exact(self) -> None:
        result = chi_squared_test([10**9, 1], [1.0, 0.0], alpha=1e-300)
        assert (result.rejected, result.p_value, result.impossible, result.cells) == (True, 0.0, 1, 1)
        assert chi_squared_detectable([1.0, 0.0], samples=1000, alpha=1e-9, beta=1e-3) == pytest.approx(
            1 - 1e-3 ** (1 / 1000)
        )

    @pytest.mark.parametrize(("counts", "p"), [([0, 0, 0], [0.5, 0.5, 0.0]), ([7], [1.0]), ([9, 0], [1.0, 0.0])])
    def test_nothing_to_test(self, counts: list[int], p: list[float]) -> None:
        result = chi_squared_test(counts, p, alpha=0.5)
        assert (result.rejected, result.p_value, result.statistic) == (False, 1.0, 0.0)

    def test_nothing_certified(self) -> None:
        assert chi_squared_detectable([0.5, 0.5], samples=0, alpha=1e-9, beta=1e-3) == 1.0
        assert chi_squared_detectable([0.5, 0.5], samples=3, alpha=1e-9, beta=1e-3) == 1.0
        assert chi_squared_detectable([1.0], samples=0, alpha=1e-9, beta=1e-3) == 0.0

    def test_unreachable(self) -> None:
        with pytest.raises(UnreachableDeviation, match=r"`delta` must exceed 0\.005, the deviation that `tolerance`"):
            chi_squared_samples(LAWS["uniform"], delta=5e-3, alpha=1e-9, beta=1e-3, tolerance=0.01)
        with pytest.raises(UnreachableDeviation, match="`delta` 1e-09 is out of reach"):
            chi_squared_samples(LAWS["uniform"], delta=1e-9, alpha=1e-9, beta=1e-3)
        barely = chi_squared_samples(LAWS["uniform"], delta=5.01e-3, alpha=1e-9, beta=1e-3, tolerance=0.01)
        assert barely > 1e9

    def test_to_dict_is_json(self) -> None:
        result = chi_squared_test([5, 5, 1], [0.5, 0.5, 0.0], alpha=1e-6)
        assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["impossible"] == 1

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"counts": [1, 2]}, "`counts` must have the shape"),
            ({"counts": [1.0, 2.0, 3.0]}, "`counts` must be integers"),
            ({"counts": [1, -2, 3]}, "`counts` must not be negative, got -2 at index 1"),
            ({"probs": [0.5, 0.5, 0.5]}, "`probs` must sum to 1, got 1.5"),
            ({"probs": [1.5, -0.5, 0.0]}, "`probs` must be finite and not negative"),
            ({"probs": [np.nan, 0.5, 0.5]}, "`probs` must be finite"),
            ({"probs": [[1.0]]}, "`probs` must have shape"),
            ({"alpha": 0.0}, "`alpha` must lie strictly between 0 and 1, got 0.0"),
            ({"alpha": "x"}, "`alpha` must be a number, got 'x'"),
            ({"tolerance": -0.1}, r"`tolerance` must be a relative error in \[0, 1\), got -0.1"),
            ({"min_expected": 0}, "`min_expected` must be positive, got 0"),
            ({"min_expected": float("inf")}, "`min_expected` must be finite"),
        ],
    )
    def test_input_validation(self, change: dict[str, object], message: str) -> None:
        arguments = {"counts": [1, 2, 3], "probs": [0.5, 0.25, 0.25], "alpha": 1e-6} | change
        with pytest.raises(ValueError, match=message):
            chi_squared_test(arguments.pop("counts"), arguments.pop("probs"), **arguments)

    def test_design_validation(self) -> None:
        with pytest.raises(ValueError, match="`samples` must be an integer of at least 0, got -1"):
            chi_squared_detectable([1.0], samples=-1, alpha=0.1, beta=0.1)
        with pytest.raises(ValueError, match=r"`delta` must lie strictly between 0 and 1, got 1\.5"):
            chi_squared_samples([1.0], delta=1.5, alpha=0.1, beta=0.1)


def most_outcomes(samples: int, p: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return outcomes of a three-cell multinomial that hold all but 1e-9 of the mass, and their probabilities."""
    ranges = [np.arange(*scipy_stats.binom.ppf([1e-10, 1 - 1e-10], samples, each).astype(int)) for each in p[:2]]
    first, second = (axis.ravel() for axis in np.meshgrid(*ranges, indexing="ij"))
    outcomes = np.stack([first, second, samples - first - second], axis=1)
    outcomes = outcomes[outcomes[:, 2] >= 0]
    log_mass = special.gammaln(samples + 1) + (special.xlogy(outcomes, p) - special.gammaln(outcomes + 1)).sum(axis=1)
    return outcomes, np.exp(log_mass)
