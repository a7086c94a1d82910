"""Families of laws: valid at every size, and each with the feature it is named for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import find, given
from hypothesis import strategies as st
from scipy.stats import gamma

from spectest.problem import Problem
from spectest.strategies import (
    SIMPLEXES,
    dirichlet,
    dyadic,
    near_ties,
    one_hot,
    simplexes,
    tempered_logits,
    top_k,
    top_p,
    zipf,
)
from spectest.strategies.smooth import _gamma_quantiles
from spectest.strategies.unions import rounded

if TYPE_CHECKING:
    from spectest.strategies import Law

#: Both sides of the size up to which Hypothesis draws token by token, and the smallest.
SIZES = [1, 2, 3, 8, 64, 65, 300]


def check_law(law: Law, size: int) -> None:
    assert law.dtype == np.float64
    assert law.shape == (size,)
    assert (law >= 0).all()
    assert abs(law.sum() - 1) < 1e-14


@pytest.mark.parametrize("name", SIMPLEXES)
@given(data=st.data(), size=st.sampled_from(SIZES))
def test_every_family_is_a_law_of_the_size_asked_for(name: str, data: st.DataObject, size: int) -> None:
    family = SIMPLEXES[name]
    size = max(size, family.fewest_tokens)
    check_law(data.draw(family.strategy(size)), size)


@given(data=st.data(), size=st.sampled_from(SIZES))
def test_simplexes_are_laws_of_the_size_asked_for(data: st.DataObject, size: int) -> None:
    check_law(data.draw(simplexes(vocab=size)), size)


@given(simplexes(vocab=(2, 5)))
def test_a_range_of_sizes_is_kept(law: Law) -> None:
    assert 2 <= law.size <= 5


@pytest.mark.parametrize("size", [1, 2, 5])
def test_every_size_of_a_range_is_reached(size: int) -> None:
    assert find(simplexes(vocab=(1, 5)), lambda law: bool(law.size == size)).size == size


@given(data=st.data(), size=st.sampled_from(SIZES))
def test_dyadic_is_exact_and_full_where_asked(data: st.DataObject, size: int) -> None:
    law = data.draw(dyadic(vocab=size))
    assert (law * 2**20 == np.floor(law * 2**20)).all()
    assert law.sum() == 1
    full = data.draw(dyadic(vocab=size, full_support=True))
    assert (full > 0).all()
    assert full.sum() == 1


@given(data=st.data(), size=st.sampled_from(SIZES))
def test_one_hot(data: st.DataObject, size: int) -> None:
    law = data.draw(one_hot(vocab=size))
    assert law.max() == 1
    assert np.count_nonzero(law) == 1


@given(data=st.data(), size=st.sampled_from(SIZES), exponent=st.sampled_from([0.0, 0.5, 1.0, 3.0]))
def test_zipf_falls_off_by_rank(data: st.DataObject, size: int, exponent: float) -> None:
    law = np.sort(data.draw(zipf(vocab=size, exponent=exponent)))[::-1]
    np.testing.assert_allclose(law / law[0], np.arange(1, size + 1) ** -exponent, rtol=1e-12)


@given(data=st.data(), size=st.sampled_from([1, 2, 8, 64]), temperature=st.sampled_from([0.25, 1.0, 3.0]))
def test_tempered_logits_are_half_integers_once_the_temperature_is_taken_out(
    data: st.DataObject, size: int, temperature: float
) -> None:
    law = data.draw(tempered_logits(vocab=size, temperature=temperature))
    logits = temperature * np.log(law / law.max())
    assert np.abs(2 * logits - np.rint(2 * logits)).max() < 1e-9
    assert logits.min() >= -16 - 1e-9


@given(dirichlet(vocab=(2, 64), concentration=50.0))
def test_dirichlet_is_flat_at_large_concentration(law: Law) -> None:
    assert law.max() / law.min() < 3


def test_dirichlet_is_spiky_at_small_concentration() -> None:
    law = find(dirichlet(vocab=8, concentration=0.05), lambda law: bool(0.99 < law.max() < 1))
    assert (law > 0).all()


@given(st.floats(1.0, 100.0), st.integers(32, 255))
def test_gamma_quantiles_against_scipy(shape: float, level: int) -> None:
    levels = np.array([level / 256])
    np.testing.assert_allclose(_gamma_quantiles(shape, levels), gamma(shape).ppf(levels), rtol=0.05)


@given(dirichlet(vocab=5000, concentration=1.0))
def test_large_dirichlet_has_the_second_moment_of_a_dirichlet(law: Law) -> None:
    # E sum p^2 = (a + 1) / (V a + 1); its standard deviation is 3 % of that here.
    assert (law**2).sum() == pytest.approx(2 / 5001, rel=0.5)


@given(data=st.data(), size=st.sampled_from(SIZES[1:]))
def test_near_ties_survive_the_problem_that_holds_them(data: st.DataObject, size: int) -> None:
    law = Problem(data.draw(near_ties(vocab=size)), np.full(size, 1 / size)).target
    ordered = np.sort(law)
    gaps = np.diff(ordered) / ordered[1:]
    assert ((gaps > 0) & (gaps < 2**-7)).any()
    assert np.log2(gaps[gaps > 0].min()) > -51


@given(data=st.data(), base=simplexes(vocab=(1, 12)), k=st.integers(1, 12))
def test_top_k_keeps_the_k_most_likely(data: st.DataObject, base: Law, k: int) -> None:
    law = data.draw(top_k(st.just(base), k))
    check_law(law, base.size)
    kept = law > 0
    assert kept.sum() == min(k, np.count_nonzero(base))
    assert base[kept].min() >= base[~kept].max(initial=0.0)
    np.testing.assert_allclose(law[kept], base[kept] / base[kept].sum(), rtol=1e-13)


@given(data=st.data(), base=simplexes(vocab=(1, 12)), mass=st.sampled_from([0.01, 0.25, 0.5, 0.9, 1.0]))
def test_top_p_keeps_the_fewest_that_hold_the_mass(data: st.DataObject, base: Law, mass: float) -> None:
    law = data.draw(top_p(st.just(base), mass))
    check_law(law, base.size)
    kept = law > 0
    assert base[kept].sum() >= mass - 1e-14
    assert base[kept].sum() - base[kept].min() < mass + 1e-14
    assert base[kept].min() >= base[~kept].max(initial=0.0)


@given(top_k(top_p(simplexes(vocab=9), (0.5, 1.0)), (2, 3)))
def test_truncations_compose(law: Law) -> None:
    check_law(law, 9)
    assert 1 <= np.count_nonzero(law) <= 3


def test_truncations_of_any_size_are_reached() -> None:
    for kept in (1, 4):
        assert np.count_nonzero(find(top_k(dyadic(vocab=4, full_support=True)), support_of(kept))) == kept
        assert np.count_nonzero(find(top_p(dyadic(vocab=4, full_support=True)), support_of(kept))) == kept


def support_of(kept: int) -> Any:
    return lambda law: np.count_nonzero(law) == kept


@given(simplexes(vocab=(1, 12)), st.sampled_from([2, 8, 64]))
def test_rounded_is_a_law_within_one_unit_and_adds_no_token(law: Law, denominator: int) -> None:
    fractions = rounded(law, denominator)
    check_law(fractions, law.size)
    assert (fractions * denominator == np.rint(fractions * denominator)).all()
    assert np.abs(fractions - law).max() < 1 / denominator + 1e-12
    assert (fractions[law == 0] == 0).all()
