"""Pooling: every group is large enough, none is larger than it has to be, the order does not matter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectest.stats import merge, pool

COUNTS = st.lists(st.one_of(st.just(0.0), st.floats(1e-9, 1e4)), min_size=1, max_size=40)


@given(COUNTS, st.floats(0.1, 1e4))
def test_groups_are_large_enough(expected: list[float], least: float) -> None:
    values = np.array(expected)
    cells = pool(values, min_expected=least)
    assert ((cells == -1) == (values == 0)).all()
    sums = merge(values, cells)
    assert sums.sum() == pytest.approx(values.sum())
    if values.sum() >= least * (1 + 1e-9):
        assert sums.min() >= least * (1 - 1e-9)
    elif values.sum() < least * (1 - 1e-9):
        assert sums.size <= 1


@given(COUNTS, st.floats(0.1, 1e4))
def test_large_cells_stay_alone_but_for_a_leftover(expected: list[float], least: float) -> None:
    values = np.array(expected)
    cells = pool(values, min_expected=least)
    alone = [i for i in np.flatnonzero(values >= least) if (cells == cells[i]).sum() > 1]
    assert len(alone) <= 1


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=30, unique=True), st.integers(1, 10**6), st.randoms())
def test_order_does_not_matter(expected: list[int], least: int, random: object) -> None:
    order = list(range(len(expected)))
    random.shuffle(order)
    straight = pool(expected, min_expected=least)
    shuffled = pool([expected[i] for i in order], min_expected=least)
    groups = {frozenset(np.flatnonzero(straight == g).tolist()) for g in set(straight.tolist())}
    again = {frozenset(order[i] for i in np.flatnonzero(shuffled == g)) for g in set(shuffled.tolist())}
    assert groups == again


def test_identity_where_nothing_is_rare() -> None:
    assert pool([100.0, 500.0, 100.0], min_expected=100.0).tolist() == [0, 1, 2]


def test_examples() -> None:
    assert pool([30.0, 30.0, 30.0, 30.0, 30.0, 30.0, 30.0], min_expected=60.0).tolist() == [0, 0, 1, 1, 2, 2, 2]
    assert pool([1000.0, 3.0, 200.0], min_expected=100.0).tolist() == [0, 1, 1]
    assert pool([1.0, 2.0], min_expected=100.0).tolist() == [0, 0]
    assert pool([0.0], min_expected=100.0).tolist() == [-1]


@pytest.mark.parametrize(
    ("expected", "least", "message"),
    [
        ([[1.0]], 1.0, "`expected` must be finite"),
        ([-1.0], 1.0, "`expected` must be finite, not negative"),
        ([1.0], 0.0, "`min_expected` must be positive, got 0.0"),
    ],
)
def test_input_validation(expected: list[float], least: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pool(expected, min_expected=least)
