"""The law of each draft by itself, and drafts as quantiles of their own laws."""

from __future__ import annotations

import numpy as np
import pytest

from spectest import drafting
from spectest.drafting.without_replacement import WITHOUT_REPLACEMENT
from spectest.problem import Problem

LAWS = ["with_replacement", "without_replacement", "independent", "greedy", "hub"]
LIGHT = [0.999, 9.99e-4, 1e-6, 1e-17, 0.0]


def problem(law: str, vocab_size: int, seed: int = 0) -> Problem:
    """Return a problem of three drafts (hub: two) with a token of mass 0."""
    rng = np.random.default_rng(seed)
    n = 2 if law == "hub" else 3
    rows = rng.dirichlet(np.ones(vocab_size), size=n)
    rows[:, vocab_size // 2] = 0
    rows /= rows.sum(axis=1, keepdims=True)
    return Problem(np.full(vocab_size, 1 / vocab_size), rows if law == "independent" else rows[0], n, law)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("vocab_size", [6, 25])
def test_marginals_are_those_of_the_joint_law(law: str, vocab_size: int) -> None:
    """Above 14 tokens without replacement the two come by different routes."""
    case = problem(law, vocab_size)
    tuples, mass = drafting.get(law).joint_law(case)
    expected = [np.bincount(column, weights=mass, minlength=vocab_size) for column in tuples.T]
    np.testing.assert_allclose(drafting.get(law).marginals(case), expected, rtol=1e-9, atol=1e-13)


def test_a_token_that_can_be_drawn_never_has_marginal_0() -> None:
    light = Problem([0.2] * 5, LIGHT, 3, "without_replacement")
    tuples, mass = WITHOUT_REPLACEMENT.joint_law(light)
    marginals = WITHOUT_REPLACEMENT.marginals(light)
    assert (marginals[:, :4] > 0).all()
    assert (marginals[:, 4] == 0).all()
    for column, marginal in zip(tuples.T, marginals, strict=True):
        np.testing.assert_allclose(marginal, np.bincount(column, weights=mass, minlength=5), rtol=1e-6, atol=1e-15)


@pytest.mark.parametrize("law", LAWS)
def test_quantiles_map_every_tuple_to_a_box_of_its_own_mass(law: str) -> None:
    """Boxes of the masses' volumes that cover the unit cube without overlap are a uniform law on it."""
    case = problem(law, 5)
    tuples, mass = drafting.get(law).joint_law(case)
    ends = [drafting.get(law).quantiles(case, tuples, np.full(tuples.shape, u)) for u in (0.0, 1.0)]
    np.testing.assert_allclose(np.prod(ends[1] - ends[0], axis=1), mass, rtol=1e-10)
    points = np.random.default_rng(1).random((2000, 1, tuples.shape[1]))
    inside = ((ends[0] < points) & (points < ends[1])).all(axis=2)
    assert (inside.sum(axis=1) == 1).all()


def test_quantiles_are_accurate_where_hardly_anything_is_left() -> None:
    light = Problem([0.2] * 5, LIGHT, 3, "without_replacement")
    drafts = np.array([[0, 1, 3], [0, 1, 2]])
    below, above = (WITHOUT_REPLACEMENT.quantiles(light, drafts, np.full((2, 3), u)) for u in (0.0, 1.0))
    np.testing.assert_allclose(above[:, 2] - below[:, 2], [1e-11 / (1 + 1e-11), 1 / (1 + 1e-11)], rtol=1e-12)


def test_drafts_that_the_law_cannot_draw_have_finite_quantiles() -> None:
    two = Problem([0.5, 0.5, 0.0], [0.5, 0.5, 0.0], 2, "without_replacement")
    found = WITHOUT_REPLACEMENT.quantiles(two, np.array([[0, 0], [2, 2], [1, 0]]), np.full((3, 2), 0.5))
    assert np.isfinite(found).all()
