"""Independence and dispersion: level by simulation, power on planted dependence, indifference to a wrong law."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats

from spectest.stats import binomial_test, dispersion_test, independence_test

LAW = np.array([0.3, 0.25, 0.25, 0.2])
BATCHES, SIZE, PAIRS = 400, 64, 20_000
NULLS, LEVEL = 3_000, 0.01


def _rng() -> np.random.Generator:
    return np.random.default_rng()


def _batches(generator: np.random.Generator) -> np.ndarray:
    return generator.multinomial(SIZE, LAW, size=BATCHES)


def _holds(alarms: int) -> bool:
    return not binomial_test(alarms, NULLS, LEVEL, alpha=1e-9, alternative="greater").rejected


def test_independence_level_and_uniform_p_values() -> None:
    generator = _rng()
    tables = generator.multinomial(PAIRS, np.outer(LAW, LAW).ravel(), size=NULLS).reshape(NULLS, 4, 4)
    p_values = np.array([independence_test(table, alpha=LEVEL).p_value for table in tables])
    assert _holds(int((p_values <= LEVEL).sum()))
    assert scipy_stats.kstest(p_values, "uniform").pvalue > 1e-9


def test_independence_against_scipy() -> None:
    table = _rng().multinomial(PAIRS, np.outer(LAW, LAW[::-1]).ravel()).reshape(4, 4)
    known = scipy_stats.chi2_contingency(table, correction=False)
    found = independence_test(table, alpha=0.5)
    assert found.dof == known.dof
    assert found.statistic == pytest.approx(known.statistic)
    assert found.p_value >= known.pvalue * (1 - 1e-9)


@pytest.mark.parametrize("marginals", [LAW, np.array([0.7, 0.1, 0.1, 0.1])])
def test_dependence_is_found_whatever_the_law(marginals: np.ndarray) -> None:
    joint = 0.9 * np.outer(marginals, marginals) + 0.1 * np.diag(marginals)
    table = _rng().multinomial(PAIRS, joint.ravel()).reshape(4, 4)
    assert independence_test(table, alpha=1e-9).rejected


def test_a_law_alone_never_rejects() -> None:
    generator = _rng()
    left, right = generator.dirichlet(np.full(4, 5.0), size=2)
    table = generator.multinomial(PAIRS, np.outer(left, right).ravel()).reshape(4, 4)
    assert not independence_test(table, alpha=1e-9).rejected
    assert not dispersion_test(generator.multinomial(SIZE, left, size=BATCHES), alpha=1e-9).rejected


def test_unseen_tokens_and_single_ones_are_left_out() -> None:
    assert independence_test([[5, 0], [7, 0]], alpha=0.5).p_value == 1.0
    assert dispersion_test([[5, 0], [5, 0]], alpha=0.5).p_value == 1.0
    assert dispersion_test(np.zeros((1, 3), dtype=int), alpha=0.5).p_value == 1.0


def test_dispersion_level_on_both_sides() -> None:
    generator = _rng()
    results = [dispersion_test(_batches(generator), alpha=LEVEL) for _ in range(NULLS)]
    low = sum(r.rejected and r.statistic < 1 for r in results)
    high = sum(r.rejected and r.statistic > 1 for r in results)
    assert _holds(low + high)
    assert scipy_stats.kstest([r.p_value for r in results], "uniform").pvalue > 1e-9


def test_dispersion_deep_in_the_tail() -> None:
    """A hundred thousand simulated statistics: at 1e-3 the gamma's level is within a quarter of nominal."""
    generator = _rng()
    batches, replicas, level = 40, 100_000, 1e-3
    alarms = 0
    for _ in range(4):
        counts = generator.multinomial(SIZE, LAW, size=(replicas // 4, batches))
        law = counts.sum(axis=1, keepdims=True) / (SIZE * batches)
        totals = ((counts - SIZE * law) ** 2 / (SIZE * law)).sum(axis=(1, 2))
        mean = (batches - 1) * 3
        variance = (batches - 1) * (6 + (np.sum(1 / LAW) - 16 - 8 + 2) / SIZE)
        p_values = 2 * np.minimum(
            scipy_stats.gamma.cdf(totals, mean**2 / variance, scale=variance / mean),
            scipy_stats.gamma.sf(totals, mean**2 / variance, scale=variance / mean),
        )
        alarms += int((p_values <= level).sum())
    assert not binomial_test(alarms, replicas, 1.25 * level, alpha=1e-9, alternative="greater").rejected
    assert not binomial_test(alarms, replicas, 0.75 * level, alpha=1e-9, alternative="less").rejected


def test_shared_and_stratified_noise_are_found() -> None:
    generator = _rng()
    shared = 2 * generator.multinomial(SIZE // 2, LAW, size=BATCHES)  # every row copies its neighbour
    assert dispersion_test(shared, alpha=1e-9).rejected
    stratified = np.tile(np.round(SIZE * LAW).astype(int), (BATCHES, 1))
    stratified[:, 0] += SIZE - stratified.sum(axis=1)
    assert dispersion_test(stratified, alpha=1e-9).rejected


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="`table`"):
        independence_test([1, 2, 3], alpha=0.1)
    with pytest.raises(ValueError, match="`counts`"):
        dispersion_test([0.5, 0.5], alpha=0.1)
    with pytest.raises(ValueError, match="one batch size"):
        dispersion_test([[3, 3], [3, 4]], alpha=0.1)
    with pytest.raises(ValueError, match="`alpha`"):
        dispersion_test([[3, 3], [3, 3]], alpha=2)
