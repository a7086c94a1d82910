"""Partitions: what every map must satisfy, what each is for, and that they buy the power they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectest.stats import chi_squared_samples, merge, partitions
from spectest.stats.noncentral import critical_value, noncentrality_for

RNG = np.random.default_rng()


def language_like(vocab_size: int) -> tuple[np.ndarray, np.ndarray]:
    p = np.exp(3 * RNG.normal(size=vocab_size))
    q = p * np.exp(RNG.normal(size=vocab_size))
    return p / p.sum(), q / q.sum()


def samples_needed(bug: np.ndarray, p: np.ndarray, cells: np.ndarray) -> float:
    """N at which the partition finds this very bug (α = 1e-9, β = 1e-3), by the non-central chi-squared law."""
    law, truth = merge(p, cells), merge(bug, cells)
    law, truth = law[law > 0], truth[law > 0]
    critical = critical_value(1e-9, dof=law.size - 1)
    return noncentrality_for(critical, dof=law.size - 1, beta=1e-3) / float(((truth - law) ** 2 / law).sum())


@given(st.integers(1, 300), st.integers(4, 80), st.integers(0, 2**32 - 1), st.booleans())
def test_every_map(vocab_size: int, max_cells: int, seed: int, rows: bool) -> None:  # noqa: FBT001
    random = np.random.default_rng(seed)
    p = random.dirichlet(np.full(vocab_size, 0.2)) * (random.random(vocab_size) < 0.8) + 1e-300
    q = random.dirichlet(np.full(vocab_size, 0.2), size=3 if rows else None)
    p /= p.sum()
    maps = partitions(p, q, max_cells=max_cells)
    again = partitions(p, q, max_cells=max_cells)
    assert list(maps) == list(again)
    shapes = set()
    for name, cells in maps.items():
        assert cells.dtype == np.int64
        assert cells.shape == (vocab_size,)
        assert set(cells.tolist()) == set(range(cells.max() + 1)), name
        assert 2 <= cells.max() + 1 <= max_cells, name
        assert (cells == again[name]).all()
        shapes.add(frozenset(frozenset(np.flatnonzero(cells == c).tolist()) for c in set(cells.tolist())))
    assert len(shapes) == len(maps)
    assert ("full" in maps) == (1 < vocab_size <= max_cells)


@pytest.mark.parametrize("vocab_size", [32_000, 50_257, 128_256])
def test_blocks_cut_where_kernels_cut(vocab_size: int) -> None:
    p = np.full(vocab_size, 1 / vocab_size)
    cells = partitions(p, p)["ids"]
    cuts = set((np.flatnonzero(np.diff(cells)) + 1).tolist())
    for size in (32, 1024):
        partial = vocab_size - vocab_size % size
        assert partial == vocab_size or partial in cuts
    assert all(cut % 16 == 0 for cut in cuts)
    assert (np.diff(cells) >= 0).all()
    assert "ratio" not in partitions(p, p)  # p = q: nothing to cut


def test_rank() -> None:
    p = np.arange(200, 0, -1) / np.arange(200, 0, -1).sum()
    sizes = np.bincount(partitions(p, p)["rank"])
    assert sizes.tolist() == [1] * 16 + [16, 32, 64, 72]


def test_ratio_bins_hold_equal_mass() -> None:
    p, q = language_like(32_000)
    mass = merge(p, partitions(p, q)["ratio"])
    assert mass.size <= 16
    assert np.median(mass) == pytest.approx(1 / 16, abs=0.04)


def test_residual_parts_the_signs() -> None:
    p, q = language_like(1000)
    cells = partitions(p, q)["residual"]
    for cell in range(cells.max() + 1):
        assert len(set(np.sign((p - q)[cells == cell]).tolist())) == 1


def test_power_against_the_full_table() -> None:
    """Structural bugs at V = 32,000: the best partition needs several times fewer samples than the full table."""
    p, q = language_like(32_000)
    accepted, residual = np.minimum(p, q), np.maximum(p - q, 0)
    rejected = 1 - accepted.sum()
    lenient = np.minimum(q, p / 0.98)
    lenient_residual = np.maximum(p - 0.98 * q, 0)
    dropped = np.where(residual < 1e-5, 0, residual)
    bugs = {
        "lenient": lenient + (1 - lenient.sum()) * lenient_residual / lenient_residual.sum(),
        "recovered from p": accepted + rejected * p,
        "small residual dropped": accepted + rejected * dropped / dropped.sum(),
    }
    maps = partitions(p, q)
    for name, bug in bugs.items():
        full = samples_needed(bug, p, np.arange(p.size))
        best = min(samples_needed(bug, p, cells) for cells in maps.values())
        assert best < full / 2, name


def test_lanes_find_a_lane() -> None:
    p = np.full(4096, 1 / 4096)
    bug = p * np.where(np.arange(4096) % 16 == 5, 0.8, 1.0)
    bug /= bug.sum()
    maps = partitions(p, p)
    needed = {name: samples_needed(bug, p, cells) for name, cells in maps.items() if name != "ids"}
    assert min(needed, key=needed.__getitem__) == "lanes"


def test_design_at_large_vocabularies() -> None:
    p, q = language_like(128_256)
    for cells in partitions(p, q).values():
        assert chi_squared_samples(merge(p, cells), delta=0.02, alpha=1e-9, beta=1e-3) < 10**6


def test_merge() -> None:
    assert merge([2**60, 1, 5], [0, 0, -1]).tolist() == [2**60 + 1]  # exact where floats are not
    assert merge([0.25, 0.75], [1, 1]).tolist() == [0.0, 1.0]
    assert merge([1.5, 2.5], [-1, -1]).tolist() == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: partitions([0.5, 0.5], [1.0]),
            r"`draft` must have shape \(2,\) or \(n, 2\) like `target`, got \(1,\)",
        ),
        (lambda: partitions([0.5, 0.6], [0.5, 0.5]), "`target` must sum to 1, got 1.1"),
        (lambda: partitions([0.5, 0.5], [0.5, 0.6]), "`draft` must sum to 1, got 1.1"),
        (lambda: partitions([0.5, 0.5], [[[0.5, 0.5]]]), "`draft` must have shape"),
        (lambda: partitions([1.0], [1.0], max_cells=3), "`max_cells` must be an integer of at least 4, got 3"),
        (lambda: merge([1, 2], [0]), "`values` must be"),
        (lambda: merge([1], [-2]), "`cells` must be integers of at least -1"),
    ],
)
def test_input_validation(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
