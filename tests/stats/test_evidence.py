"""Evidence that may be read at any time: its level under every rule of reading, and what it costs against a test."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import special, stats

from spectest.stats import chi_squared_samples, evidence, partitions
from spectest.stats.evidence import MOST_CELLS

FOUR = {"four": np.arange(4)}


def test_its_expectation_is_one_at_any_number_of_samples() -> None:
    """Exactly, over all tallies of a few samples: that is what makes it evidence."""
    p = np.array([0.5, 0.3, 0.15, 0.05])
    maps = FOUR | {"halves": np.array([0, 1, 0, 1]), "three": np.array([0, 1, 1, 2])}
    for samples in (1, 2, 7):
        total = 0.0
        for counts in itertools.product(range(samples + 1), repeat=4):
            if sum(counts) == samples:
                chance = stats.multinomial.pmf(counts, samples, p)
                total += float(chance) * math.exp(evidence(counts, p, maps))
        assert total == pytest.approx(1.0, abs=1e-7)


def test_it_is_a_martingale() -> None:
    """From any tally, the mean over the next token is what it is now."""
    random = np.random.default_rng()
    p, q = random.dirichlet(np.ones(9), size=2)
    maps = partitions(p, q)
    for samples in (0, 5, 400):
        counts = random.multinomial(samples, q)
        after = [evidence(counts + np.eye(9, dtype=int)[token], p, maps) + math.log(p[token]) for token in range(9)]
        assert special.logsumexp(after) == pytest.approx(evidence(counts, p, maps), abs=1e-7)


@pytest.mark.long
def test_reading_it_all_the_time_does_not_break_its_level() -> None:
    random = np.random.default_rng()
    p, q = random.dirichlet(np.ones(12), size=2)
    maps, alpha, runs = partitions(p, q), 0.1, 120
    alarms = 0
    for _ in range(runs):
        counts = np.zeros(12, dtype=np.int64)
        for _ in range(25):
            counts += random.multinomial(random.integers(1, 40), p)
            if evidence(counts, p, maps) >= math.log(1 / alpha):
                alarms += 1
                break
    assert alarms <= stats.binom.isf(1e-9, runs, alpha)


@pytest.mark.parametrize("cells", [2, 16, 64])
@pytest.mark.parametrize("delta", [0.1, 0.01])
def test_it_needs_little_more_than_a_test_of_fixed_size(cells: int, delta: float) -> None:
    """Within a factor of two of χ² for the deviation that is hardest to see."""
    alpha = 1e-10
    p = np.full(cells, 1 / cells)
    shifted = p * (1 + 2 * delta * (-1.0) ** np.arange(cells))
    fixed = chi_squared_samples(p, delta=delta, alpha=alpha, beta=1e-3)
    counts = np.random.default_rng().multinomial(2 * fixed, shifted)
    assert evidence(counts, p, {"all": np.arange(cells)}) > math.log(1 / alpha)


def test_what_it_does_not_bet_on() -> None:
    wide = np.arange(MOST_CELLS + 1)
    p = np.full(wide.size, 1 / wide.size)
    counts = np.zeros(wide.size, dtype=np.int64)
    counts[0] = 1000
    assert evidence(counts, p, {"wide": wide}) == 0.0
    assert evidence([7], [1.0], {}) == 0.0
    assert evidence(counts, p, {"wide": wide, "halves": wide % 2}) > math.log(1e12)


def test_an_impossible_token_is_all_the_evidence_there_is() -> None:
    p = np.array([0.5, 0.5, 0.0, 0.0])
    assert evidence([1, 0, 0, 1], p, FOUR) == math.inf
    assert evidence([100, 100, 0, 0], p, FOUR) < math.log(2)


def test_tiny_masses() -> None:
    """Cells of 1e-300 and cuts that round to certainty bet, but never on rounding errors."""
    p = np.array([0.6, 0.4 - 1e-17, 1e-30, 1e-300])
    assert evidence([6_000_000, 4_000_000, 0, 0], p, FOUR) < 0.5
    assert evidence([6_000_000, 4_000_000, 3, 0], p, FOUR) > math.log(1e10)  # the first is all but expected of it
