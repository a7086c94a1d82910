"""Samples needed against a known deviation: against simulation, and against a test that knows it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spectest.stats import (
    chi_squared_power,
    chi_squared_samples,
    chi_squared_test,
    oracle_samples,
    scan_power,
    scan_test,
)

ALPHA, BETA = 1e-6, 0.1
BLOCKS = {"blocks": np.repeat(np.arange(8), 5)}


def deviation() -> tuple[np.ndarray, np.ndarray]:
    """A law of forty tokens and one that has lost half of a block."""
    p = np.random.default_rng().dirichlet(np.full(40, 3.0))
    changed = np.where(BLOCKS["blocks"] == 3, p / 2, p)
    return p, changed / changed.sum()


def power(found: object, samples: float, changed: np.ndarray, runs: int = 400) -> float:
    """Return how often a test rejects."""
    random = np.random.default_rng()
    return float(np.mean([found(random.multinomial(round(samples), changed)) for _ in range(runs)]))  # type: ignore[operator]


def test_chi_squared_by_simulation() -> None:
    p, changed = deviation()
    samples = chi_squared_power(p, changed, alpha=ALPHA, beta=BETA)
    assert power(lambda counts: chi_squared_test(counts, p, alpha=ALPHA).rejected, samples, changed) > 0.8
    assert power(lambda counts: chi_squared_test(counts, p, alpha=ALPHA).rejected, samples / 2, changed) < 0.7


def test_scan_by_simulation() -> None:
    p, changed = deviation()
    samples = scan_power(p, changed, BLOCKS, alpha=ALPHA, beta=BETA)
    assert power(lambda counts: scan_test(counts, p, BLOCKS, alpha=ALPHA).rejected, samples, changed) > 0.8
    assert power(lambda counts: scan_test(counts, p, BLOCKS, alpha=ALPHA).rejected, samples / 2, changed) < 0.7


def test_a_lost_cell_needs_enough_samples_to_be_missed() -> None:
    """(1 - m)^N has to fall to its part of α, whatever normal tails say."""
    p = np.array([0.989, 0.001, 0.01])
    lost = np.array([0.99, 0.0, 0.01])
    samples = scan_power(p, lost, {"all": np.arange(3)}, alpha=ALPHA, beta=BETA)
    counts = np.round(lost * samples * 1.01).astype(int)
    assert scan_test(counts, p, {"all": np.arange(3)}, alpha=ALPHA).rejected
    assert not scan_test(np.round(lost * samples * 0.8).astype(int), p, {"all": np.arange(3)}, alpha=ALPHA).rejected


def test_the_oracle_is_about_what_a_likelihood_ratio_test_needs() -> None:
    """At log(1/α)/KL the likelihood ratio reaches 1/α in half of the runs."""
    p, changed = deviation()
    samples = oracle_samples(p, changed, alpha=ALPHA)
    weight = np.log(changed / p)
    assert power(lambda counts: counts @ weight >= math.log(1 / ALPHA), samples, changed) == pytest.approx(
        0.5, abs=0.15
    )


def test_no_test_beats_the_oracle() -> None:
    random = np.random.default_rng()
    for _ in range(20):
        p, changed = random.dirichlet(np.ones(40), size=2)
        oracle = oracle_samples(p, changed, alpha=1e-9)
        assert chi_squared_power(p, changed, alpha=1e-9, beta=1e-3) > oracle
        assert scan_power(p, changed, BLOCKS, alpha=1e-9, beta=1e-3) > oracle


def test_it_agrees_with_the_design_for_the_hardest_deviation() -> None:
    p = np.full(16, 1 / 16)
    changed = p * (1 + 0.02 * (-1.0) ** np.arange(16))
    errors = {"alpha": 1e-9, "beta": 1e-3}
    assert chi_squared_power(p, changed, **errors) == pytest.approx(
        chi_squared_samples(p, delta=0.01, **errors), rel=0.01
    )


def test_cells_that_are_pooled_by_simulation() -> None:
    """Rare cells are seen together until each is expected a hundred times."""
    p = np.append(np.full(10, 0.0999), np.full(10, 0.0001))
    changed = np.where(p < 0.001, p * (1 + 0.9 * (-1.0) ** np.arange(20)), p)
    samples = chi_squared_power(p, changed, alpha=ALPHA, beta=BETA)
    assert power(lambda counts: chi_squared_test(counts, p, alpha=ALPHA).rejected, samples, changed) > 0.75


def test_nothing_to_see() -> None:
    p = [0.5, 0.25, 0.25]
    assert oracle_samples(p, p, alpha=1e-6) == math.inf
    assert chi_squared_power(p, p, alpha=1e-6, beta=1e-3) == math.inf
    assert scan_power(p, p, {"all": np.arange(3)}, alpha=1e-6, beta=1e-3) == math.inf
    assert scan_power([1.0], [1.0], {}, alpha=1e-6, beta=1e-3) == math.inf
    assert oracle_samples([0.5, 0.5, 0.0], [0.5, 0.25, 0.25], alpha=1e-6) <= 4


def test_refused_arguments() -> None:
    with pytest.raises(ValueError, match="alternative"):
        oracle_samples([0.5, 0.5], [0.5, 0.6], alpha=1e-6)
    with pytest.raises(ValueError, match="beta"):
        chi_squared_power([0.5, 0.5], [0.4, 0.6], alpha=1e-6, beta=1.0)
    with pytest.raises(ValueError, match="alpha"):
        scan_power([0.5, 0.5], [0.4, 0.6], {}, alpha=0.0, beta=0.5)
