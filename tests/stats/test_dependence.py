"""Independence and dispersion: level by simulation, power on planted dependence, indifference to a wrong law."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats

from spectest.stats import (
    association_detectable,
    association_samples,
    association_test,
    binomial_test,
    dispersion_detectable,
    dispersion_samples,
    dispersion_test,
    independence_detectable,
    independence_samples,
    independence_test,
)

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


# --- what they find, and how many samples it takes ------------------------------------------------------------------

ALPHA, BETA, RUNS = 1e-4, 0.05, 400


def _missed(missed: list[bool]) -> str:
    share = binomial_test(sum(missed), len(missed), BETA, alpha=1e-9, alternative="greater")
    return "too often" if share.rejected else "as promised"


@pytest.mark.parametrize("marginals", [(0.5, 0.5), (0.2, 0.7), (0.05, 0.1)])
@pytest.mark.parametrize("sign", [1, -1])
def test_association_is_found_as_promised(marginals: tuple[float, float], sign: int) -> None:
    left, right = marginals
    most = min(left, right) - left * right if sign > 0 else min(left * right, (1 - left) * (1 - right))
    spread = (left * (1 - left) * right * (1 - right)) ** 0.5
    phi = 0.4 * most / spread
    need = association_samples(left, right, delta=phi, alpha=ALPHA, beta=BETA)
    assert association_detectable(left, right, samples=need, alpha=ALPHA, beta=BETA) <= phi
    assert association_detectable(left, right, samples=need - 1, alpha=ALPHA, beta=BETA) > phi
    both = left * right + sign * phi * spread
    joint = np.array([both, left - both, right - both, 1 - left - right + both])

    def missed(samples: int) -> str:
        pairs = _rng().choice(4, size=(RUNS // 2, samples), p=joint)
        return _missed([not association_test(p < 2, p % 2 == 0, alpha=ALPHA).rejected for p in pairs])

    assert missed(need) == "as promised"
    assert missed(need // 2) == "too often"


@pytest.mark.parametrize("cells", [(2, 2), (4, 4), (3, 6)])
def test_dependence_is_found_as_promised(cells: tuple[int, int]) -> None:
    generator, phi = _rng(), 0.05
    left, right = (generator.dirichlet(np.full(size, 20.0)) for size in cells)
    product = np.outer(left, right)
    wrong = generator.standard_normal(cells)
    wrong -= wrong.mean(axis=1, keepdims=True)
    wrong -= wrong.mean(axis=0)  # the laws of both sides stay as they are
    joint = product + phi * wrong / np.sqrt((wrong**2 / product).sum())
    need = independence_samples(cells, delta=phi, alpha=ALPHA, beta=BETA)
    assert independence_detectable(cells, samples=need, alpha=ALPHA, beta=BETA) <= phi
    assert independence_detectable(cells, samples=need - 1, alpha=ALPHA, beta=BETA) > phi

    def missed(samples: int) -> str:
        tables = generator.multinomial(samples, joint.ravel(), size=RUNS).reshape(RUNS, *cells)
        return _missed([not independence_test(table, alpha=ALPHA).rejected for table in tables])

    assert missed(need) == "as promised"
    assert missed(need // 2) == "too often"


@pytest.mark.parametrize("size", [16, 64])
def test_dispersion_is_found_as_promised(size: int) -> None:
    """Rows that come in pairs of equal ones: twice the dispersion."""
    need = dispersion_samples(LAW, size=size, ratio=2, alpha=ALPHA, beta=BETA)
    assert dispersion_detectable(LAW, size=size, batches=need, alpha=ALPHA, beta=BETA) <= 2
    assert dispersion_detectable(LAW, size=size, batches=need - 1, alpha=ALPHA, beta=BETA) > 2

    def missed(batches: int) -> str:
        counts = 2 * _rng().multinomial(size // 2, LAW, size=(RUNS, batches))
        return _missed([not dispersion_test(each, alpha=ALPHA).rejected for each in counts])

    assert missed(need) == "as promised"
    assert missed(need // 2) == "too often"


def test_designs_of_dependence_refuse_what_makes_no_sense() -> None:
    errors = {"alpha": ALPHA, "beta": BETA}
    with pytest.raises(ValueError, match="cells"):
        independence_detectable((1, 4), samples=10, **errors)
    with pytest.raises(ValueError, match="left"):
        association_detectable(0.0, 0.5, samples=10, **errors)
    with pytest.raises(ValueError, match="above 1"):
        dispersion_samples(LAW, size=16, ratio=1, **errors)
    assert dispersion_detectable([1.0], size=16, batches=10, **errors) == np.inf
