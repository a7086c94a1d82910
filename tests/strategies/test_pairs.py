"""Families of (target, draft): valid at every size, and each with the relation it is named for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import find, given
from hypothesis import strategies as st

from spectest.problem import Problem
from spectest.strategies import (
    PAIRS,
    bfloat16_twins,
    disjoint_supports,
    equal,
    nested_supports,
    pairs,
    tail_drafts,
    tempered_pairs,
    unrelated,
    zipf,
)

if TYPE_CHECKING:
    from spectest.strategies import Law, Pair

SIZES = [1, 2, 3, 8, 64, 65, 300]
TWO_OR_MORE = st.sampled_from(SIZES[1:])


def to_bfloat16(values: Law) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    """Round to nearest even by hand, through float32 as torch does: the upper 16 bits."""
    bits = values.astype(np.float32).view(np.uint32)
    return (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)


def through_problem(pair: Pair) -> Pair:
    """What a selector's caller sees: the laws after validation and renormalisation."""
    problem = Problem(*pair)
    return problem.target, problem.draft


def test_the_rounding_used_here() -> None:
    known = {1.0: 0x3F80, 1 + 2**-8: 0x3F80, 1 + 3 * 2**-8: 0x3F82, 1 + 2**-8 + 2**-20: 0x3F81, 0.5: 0x3F00}
    assert to_bfloat16(np.array(list(known))).tolist() == list(known.values())


@pytest.mark.parametrize("name", PAIRS)
@given(data=st.data(), size=st.sampled_from(SIZES))
def test_every_family_is_two_laws_of_the_size_asked_for(name: str, data: st.DataObject, size: int) -> None:
    family = PAIRS[name]
    size = max(size, family.fewest_tokens)
    for law in data.draw(family.strategy(size)):
        assert law.dtype == np.float64
        assert law.shape == (size,)
        assert (law >= 0).all()
        assert abs(law.sum() - 1) < 1e-14


@given(data=st.data(), low=st.integers(1, 4), more=st.integers(0, 4))
def test_pairs_keep_the_range_of_sizes(data: st.DataObject, low: int, more: int) -> None:
    target, draft = data.draw(pairs(vocab=(low, low + more)))
    assert target.shape == draft.shape
    assert low <= target.size <= low + more


@given(data=st.data(), size=TWO_OR_MORE)
def test_disjoint_supports_are_disjoint(data: st.DataObject, size: int) -> None:
    target, draft = through_problem(data.draw(disjoint_supports(vocab=size)))
    assert not ((target > 0) & (draft > 0)).any()


@given(data=st.data(), size=TWO_OR_MORE)
def test_nested_supports_are_strictly_nested(data: st.DataObject, size: int) -> None:
    target, draft = through_problem(data.draw(nested_supports(vocab=size)))
    inner, outer = sorted([target > 0, draft > 0], key=np.count_nonzero)
    assert np.count_nonzero(inner) < np.count_nonzero(outer)
    assert (outer | ~inner).all()


@pytest.mark.parametrize("wider", [0, 1])
def test_nested_supports_come_either_way_round(wider: int) -> None:
    pair = find(nested_supports(), lambda pair: bool((pair[wider] > 0).sum() > (pair[1 - wider] > 0).sum()))
    assert pair[wider].min() > 0


@given(data=st.data(), size=TWO_OR_MORE)
def test_tail_drafts_lie_where_the_target_is_tiny(data: st.DataObject, size: int) -> None:
    target, draft = through_problem(data.draw(tail_drafts(vocab=size)))
    tail = (target > 0) & (target <= 2**-10)
    assert draft[tail].sum() >= 0.5 - 1e-14
    assert np.minimum(target, draft).sum() <= 0.5 + 2**-10 + 1e-14


@given(data=st.data(), size=TWO_OR_MORE)
def test_bfloat16_twins_differ_in_float64_alone(data: st.DataObject, size: int) -> None:
    target, draft = through_problem(data.draw(bfloat16_twins(vocab=size)))
    assert (target != draft).any()
    assert (to_bfloat16(target) == to_bfloat16(draft)).all()
    assert ((target > 0) == (draft > 0)).all()
    assert target.sum() == draft.sum() == 1


@given(data=st.data(), size=st.sampled_from(SIZES))
def test_equal_is_equal_and_not_the_same_array(data: st.DataObject, size: int) -> None:
    target, draft = data.draw(equal(vocab=size))
    assert (target == draft).all()
    assert not np.shares_memory(target, draft)


@given(tempered_pairs(vocab=(1, 8), temperature=(0.5, 2.0)))
def test_tempered_pairs_are_powers_of_one_another(pair: Pair) -> None:
    logs = np.log(pair[0] / pair[0].max()), np.log(pair[1] / pair[1].max())
    top = int(np.argmin(logs[0]))
    np.testing.assert_allclose(logs[0] * logs[1][top], logs[1] * logs[0][top], rtol=1e-9, atol=1e-9)
    assert np.abs(logs[0]).max() <= 16 / 0.5 + 1e-9


@given(unrelated(zipf, vocab=(3, 5)))
def test_unrelated_takes_a_family(pair: Pair) -> None:
    assert pair[0].shape == pair[1].shape
    assert min(pair[0].min(), pair[1].min()) > 0


def test_unrelated_laws_do_differ() -> None:
    target, draft = find(unrelated(zipf), lambda pair: bool(np.abs(pair[0] - pair[1]).sum() > 0.5))
    assert np.abs(target - draft).sum() > 0.5
