"""What a problem becomes in the selector's precision: against torch's own casts, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spectest import Problem
from spectest.engine import prepare
from spectest.engine.precision import round_to

DTYPES: Any = ("bfloat16", "float16", "float32", "float64")


def torch_cast(values: np.ndarray[Any, Any], dtype: str) -> np.ndarray[Any, Any]:
    """Return what torch makes of them, in float64."""
    return torch.from_numpy(values.copy()).to(getattr(torch, dtype)).double().numpy()


def every_bit_pattern() -> np.ndarray[Any, Any]:
    """Return float32 numbers in [0, 2]: around every value of bfloat16, so with ties, and of every exponent."""
    upper = np.arange(0x0000, 0x4001, dtype=np.uint32)  # all bfloat16 from 0 to 2
    lower = np.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF], dtype=np.uint32)  # ties are 0x8000
    return ((upper[:, None] << 16) | lower).ravel().view(np.float32)[:-5].astype(np.float64)


def half_grid() -> np.ndarray[Any, Any]:
    """Return every float16 in [0, 1], the middles between them, and their neighbours."""
    grid = np.arange(0x0000, 0x3C01, dtype=np.uint16).view(np.float16).astype(np.float64)
    middles = (grid[:-1] + grid[1:]) / 2
    near = [np.nextafter(middles.astype(np.float32), np.float32(way)).astype(np.float64) for way in (0, 1)]
    return np.concatenate([grid, middles, *near])


@pytest.mark.parametrize("dtype", DTYPES)
def test_against_torch_bit_for_bit(dtype: Any) -> None:
    values = np.concatenate([every_bit_pattern(), half_grid()])
    ours = round_to(values, dtype)
    assert ours.dtype == np.float64
    assert np.array_equal(ours.view(np.uint64), torch_cast(values, dtype).view(np.uint64))


@pytest.mark.parametrize("dtype", DTYPES)
def test_rounding_is_nearest_and_ties_go_to_even(dtype: Any) -> None:
    bits = {"bfloat16": 8, "float16": 11, "float32": 24, "float64": 53}[dtype]
    step = 2.0 ** (1 - bits)  # between representable numbers from 1 to 2
    for k in range(1, 6, 2):
        if dtype != "float64":
            below = k // 2
            assert round_to(np.array([1 + k * step / 2]), dtype)[0] == 1 + (below + below % 2) * step
        assert round_to(np.array([1 + k * step]), dtype)[0] == 1 + k * step


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_values_shown_are_representable_and_near(values: list[float]) -> None:
    raw = np.array(values)
    for dtype, bits, least in (("bfloat16", 8, 2.0**-133), ("float16", 11, 2.0**-24), ("float32", 24, 2.0**-149)):
        ours = round_to(raw, dtype)  # type: ignore[arg-type]
        assert np.array_equal(torch_cast(ours, dtype), ours)
        assert (np.abs(ours - raw) <= np.maximum(raw * 2.0**-bits * (1 + 1e-6), least)).all()
    assert np.array_equal(round_to(raw, "float64"), raw)


def test_tiny_masses_vanish_where_they_cannot_be_held() -> None:
    tiny = np.array([1e-300, 1e-46, 1e-45, 1e-38, 1e-30, 1e-8])
    assert (round_to(tiny, "float64") == tiny).all()
    assert (round_to(tiny, "float32") > 0).tolist() == [False, False, True, True, True, True]
    assert (round_to(tiny, "bfloat16") > 0).tolist() == [False, False, False, True, True, True]
    assert not round_to(tiny, "float16").any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("drafting", ["with_replacement", "without_replacement", "independent"])
def test_prepared_laws(dtype: Any, drafting: str) -> None:
    generator = np.random.default_rng()
    target = generator.dirichlet(np.ones(40))
    draft = generator.dirichlet(np.ones(40), size=3 if drafting == "independent" else None)
    found = prepare(Problem(target, draft, 3, drafting, name="some"), dtype)
    law = found.problem
    assert (law.name, law.drafting, law.n_drafts) == ("some", drafting, 3)
    assert found.target.shape == (40,)
    assert found.draft.shape == (3, 40)
    shown = (found.target, found.draft)
    for values, tested in zip(shown, (law.target, law.draft_rows), strict=True):
        assert np.array_equal(torch_cast(np.ascontiguousarray(values), dtype), values)
        assert np.allclose(tested.sum(-1), 1, rtol=0, atol=1e-14)
        assert np.allclose(values / values.sum(-1, keepdims=True), tested, rtol=1e-14, atol=0)
        assert ((values > 0) == (tested > 0)).all()
    if dtype == "float64":
        assert law.target is found.target
    elif dtype != "float32":
        assert not np.array_equal(law.target, target)


def test_fewer_distinct_drafts_where_rounding_empties_the_support() -> None:
    draft = [0.5, 0.5 - 2e-12, 1e-12, 1e-12]
    problem = Problem([0.25] * 4, draft, 3, "without_replacement")
    assert [prepare(problem, dtype).problem.n_drafts for dtype in DTYPES] == [3, 2, 3, 3]
    assert prepare(problem, "float16").draft.shape == (2, 4)
    assert prepare(Problem([0.25] * 4, draft, 3), "float16").problem.n_drafts == 3
    pair = Problem([0.25] * 4, [1 - 2e-12, 1e-12, 1e-12, 0.0], 2, "hub")
    assert [prepare(pair, dtype).problem.n_drafts for dtype in DTYPES] == [2, 1, 2, 2]
