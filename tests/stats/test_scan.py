"""Scans: exact level, the power they are for, and the triple of test, detectable deviation and samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from spectest.stats import (
    UnreachableDeviation,
    binomial_test,
    chi_squared_test,
    partitions,
    scan_detectable,
    scan_samples,
    scan_test,
)

HALVES = {"halves": np.array([0, 0, 1, 1])}


def problem(vocab_size: int) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    random = np.random.default_rng()
    p, q = random.dirichlet(np.full(vocab_size, 0.5), size=2)
    return p, q, partitions(p, q, max_cells=32)


def brute_force(counts: np.ndarray, p: np.ndarray, maps: dict[str, np.ndarray]) -> list[float]:
    """Every set's own binomial test, each set and its complement once."""
    found: dict[frozenset[int], float] = {}
    total, tokens = int(counts.sum()), set(range(p.size))
    for cells in maps.values():
        for cell in range(cells.max() + 1):
            for inside in (cells == cell, cells <= cell):
                members = frozenset(np.flatnonzero(inside).tolist())
                if len(members) == p.size or frozenset(tokens - members) in found:
                    continue
                mass = min(1.0, float(p[inside].sum()))
                found[members] = binomial_test(int(counts[inside].sum()), total, mass, alpha=0.5).p_value
    return list(found.values())


@pytest.mark.parametrize("vocab_size", [2, 3, 7, 90])
def test_it_is_the_smallest_of_the_binomial_tests(vocab_size: int) -> None:
    for _ in range(10):
        p, _, maps = problem(vocab_size)
        counts = np.random.default_rng().multinomial(500, np.roll(p, 1))
        counts[p == 0] = 0
        found = scan_test(counts, p, maps, alpha=1e-6)
        every = brute_force(counts, p, maps)
        # The same set may come from two maps: that costs a comparison, never the level.
        assert len(every) <= found.comparisons
        assert found.p_value == pytest.approx(min(1.0, min(every) * found.comparisons), rel=1e-6, abs=1e-280)


@pytest.mark.parametrize(("vocab_size", "samples"), [(6, 40), (300, 3_000)])
def test_its_level_holds(vocab_size: int, samples: int) -> None:
    """Few samples, many rare tokens: the tails are exact, so no expected count is too small."""
    random = np.random.default_rng()
    p, _, maps = problem(vocab_size)
    alpha, runs = 0.05, 2_000
    alarms = sum(scan_test(random.multinomial(samples, p), p, maps, alpha=alpha).rejected for _ in range(runs))
    assert alarms <= stats.binom.isf(1e-9, runs, alpha)


def test_its_detectable_deviation_is_found_and_tight() -> None:
    random = np.random.default_rng()
    p, maps = np.full(4, 0.25), HALVES
    samples = scan_samples(p, maps, delta=0.02, alpha=1e-6, beta=1e-2)
    assert scan_detectable(p, maps, samples=samples, alpha=1e-6, beta=1e-2) <= 0.02
    shifted = p + np.array([0.01, 0.01, -0.01, -0.01])
    runs = 2_000
    missed = sum(not scan_test(random.multinomial(samples, shifted), p, maps, alpha=1e-6).rejected for _ in range(runs))
    assert missed <= stats.binom.isf(1e-9, runs, 1e-2)
    half = sum(
        not scan_test(random.multinomial(samples // 2, shifted), p, maps, alpha=1e-6).rejected for _ in range(99)
    )
    assert half > 5  # within a factor of two of what is needed: a few in a thousand would be missed otherwise


def test_one_lost_cell_needs_fewer_samples_than_chi_squared() -> None:
    """What it is for: a block of ids lost, all other cells as they were."""
    p = np.full(32, 1 / 32)
    lost = np.where(np.arange(32) == 9, 0.7 / 32, (1 - 0.7 / 32) / 31)
    maps = {"blocks": np.arange(32)}
    counts = np.round(lost * 14_000).astype(int)  # its expectation
    scanned = scan_test(counts, p, maps, alpha=1e-6)
    assert scanned.p_value < chi_squared_test(counts, p, alpha=1e-6).p_value / 100
    assert str(scanned.worst) == "blocks cell 9"


def test_impossible_tokens_and_no_samples() -> None:
    p = np.array([0.5, 0.5, 0.0, 0.0])
    assert scan_test([5, 5, 0, 1], p, HALVES, alpha=1e-6).p_value == 0.0
    nothing = scan_test([0] * 4, p, HALVES, alpha=1e-6)
    assert (nothing.p_value, nothing.samples, nothing.rejected) == (1.0, 0, False)
    assert scan_test([3], [1.0], {}, alpha=1e-6).p_value == 1.0
    assert scan_detectable([1.0], {}, samples=10, alpha=1e-6, beta=1e-3) == 1.0


def test_a_tolerance_forgives_what_it_says() -> None:
    """On two halves a relative error of 0.02 is a mass of 0.01."""
    p = np.full(4, 0.25)
    within, beyond = [51_000, 51_000, 49_000, 49_000], [53_000, 53_000, 47_000, 47_000]
    assert scan_test(within, p, HALVES, alpha=1e-6).rejected
    assert not scan_test(within, p, HALVES, alpha=1e-6, tolerance=0.02).rejected
    assert scan_test(beyond, p, HALVES, alpha=1e-6, tolerance=0.02).rejected


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"counts": [1, 2]}, "counts"),
        ({"alpha": 0.0}, "alpha"),
        ({"probs": [0.5, 0.6, 0.0, 0.0]}, "sum"),
        ({"tolerance": "a"}, "tolerance"),
    ],
)
def test_refused_arguments(arguments: dict[str, Any], said: str) -> None:
    given = {"counts": [1, 1, 1, 1], "probs": [0.25] * 4, "maps": HALVES, "alpha": 1e-6} | arguments
    with pytest.raises(ValueError, match=said):
        scan_test(given.pop("counts"), given.pop("probs"), given.pop("maps"), **given)


def test_a_deviation_no_set_can_have() -> None:
    with pytest.raises(UnreachableDeviation, match="more than the mass"):
        scan_samples([0.5, 0.0, 0.5, 0.0], HALVES, delta=0.6, alpha=1e-6, beta=1e-3)
    with pytest.raises(UnreachableDeviation, match="0 sets"):
        scan_samples([1.0], {}, delta=0.6, alpha=1e-6, beta=1e-3)
