"""Intervals for total variation cover, and the worst cells are the planted ones."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spectest.stats import binomial_test, total_variation_interval, worst_cells

RNG = np.random.default_rng()


@pytest.mark.parametrize("shift", [0.0, 0.02, 0.3])
@pytest.mark.parametrize("samples", [10, 2000])
def test_coverage(shift: float, samples: int) -> None:
    p = np.r_[0.5, 0.3, 0.2, np.zeros(2)]
    truth = p + shift * np.array([-1.0, 0.0, 0.0, 0.5, 0.5])
    missed = 0
    for counts in RNG.multinomial(samples, truth, size=1000):
        estimate, low, high = total_variation_interval(counts, p, confidence=0.9)
        assert 0 <= low <= estimate <= high <= 1
        missed += not low <= shift + 1e-12
        missed += not high >= shift - 1e-12
    assert not binomial_test(missed, 1000, 0.1, alpha=1e-9, alternative="greater").rejected


def test_coverage_of_many_cells() -> None:
    """With half as many cells as samples the estimate is far from the truth, 0, and the interval must know."""
    p = np.full(200, 1 / 200)
    for counts in RNG.multinomial(400, p, size=50):
        estimate, low, _ = total_variation_interval(counts, p, confidence=0.9)
        assert estimate > 0.15
        assert low == 0.0


def test_coverage_where_the_estimate_has_no_bias() -> None:
    """Here the estimate is a binomial fraction: the interval must leave room for all of its spread."""
    intervals = [
        total_variation_interval([1000 - moved, moved], [1.0, 0.0], confidence=0.9)
        for moved in RNG.binomial(1000, 0.3, size=1000).tolist()
    ]
    missed = sum(found.high < 0.3 for found in intervals)
    assert not binomial_test(missed, 1000, 0.05, alpha=1e-9, alternative="greater").rejected


def test_width_is_of_the_right_order() -> None:
    p = np.full(16, 1 / 16)
    estimate, low, high = total_variation_interval(RNG.multinomial(10**6, p), p, confidence=0.999)
    assert low == 0.0
    assert estimate < high < 0.01


def test_disjoint() -> None:
    found = total_variation_interval([0, 10**6], [1.0, 0.0], confidence=0.99)
    assert found.estimate == found.high == 1.0
    assert found.low > 0.99


def test_worst_cells_find_what_was_planted() -> None:
    p = np.full(10, 0.1)
    counts = np.full(10, 1000)
    counts[[3, 7]] += [300, -200]
    first, second = worst_cells(counts, p, limit=2)
    assert (first.index, second.index) == (3, 7)
    expected = counts.sum() * 0.1
    assert first.z == pytest.approx((1300 - expected) / np.sqrt(expected * 0.9))
    assert second.z < 0


def test_worst_cells_order() -> None:
    """Impossible emissions first; a lucky draw of a cell expected a thousandth of a time is no lead."""
    p = np.array([0.5, 0.499999, 1e-6, 0.0, 0.0])
    counts = np.array([600, 395, 1, 1, 3])
    assert [cell.index for cell in worst_cells(counts, p, limit=5)] == [4, 3, 1, 0, 2]
    assert (
        json.loads(json.dumps([c.to_dict() for c in worst_cells(counts, p, limit=1)], allow_nan=False))[0]["z"] is None
    )


def test_worst_cells_edges() -> None:
    assert worst_cells([5], [1.0], limit=3)[0].z == 0.0
    assert worst_cells([5, 0], [1.0, 0.0], limit=3)[-1].index == 0
    assert worst_cells([5], [1.0], limit=0) == []
    assert worst_cells([0, 0], [0.5, 0.5], limit=1)[0].z == 0.0


def test_input_validation() -> None:
    with pytest.raises(ValueError, match="`counts` must hold at least one sample"):
        total_variation_interval([0, 0], [0.5, 0.5], confidence=0.9)
    with pytest.raises(ValueError, match="`confidence` must lie strictly between 0 and 1, got 99"):
        total_variation_interval([1, 0], [0.5, 0.5], confidence=99)
    with pytest.raises(ValueError, match="`limit` must be an integer of at least 0, got -1"):
        worst_cells([1, 0], [0.5, 0.5], limit=-1)
