"""Statements that look true and are not, and plain identities that catch a wrong definition of acceptance."""

from __future__ import annotations

import numpy as np
import pytest

from spectest import Problem, schemes
from spectest.optimum import solve
from tests.schemes import enumeration as exact
from tests.schemes.enumeration import Instance

REJECTION = schemes.get("recursive_rejection")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng()


def laws(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.dirichlet(np.full(shape[-1], 0.7), size=shape[:-1] or None)


def test_single_draft_is_one_minus_total_variation_and_optimal(rng: np.random.Generator) -> None:
    for vocab in (1, 2, 5, 64):
        target, draft = laws(rng, vocab), laws(rng, vocab)
        distance = np.abs(target - draft).sum() / 2
        for law, shape in (("with_replacement", draft), ("without_replacement", draft), ("independent", draft[None])):
            problem = Problem(target, shape, 1, law)
            assert schemes.get("single_draft").acceptance(problem) == pytest.approx(1 - distance, abs=1e-13)
            assert REJECTION.acceptance(problem) == pytest.approx(1 - distance, abs=1e-13)
            assert solve(problem).value == pytest.approx(1 - distance, abs=1e-12)


def test_order_of_different_drafters_matters() -> None:
    drafts = (exact.P6[1], exact.SECOND_DRAFTER)
    forward = Instance(exact.P6[0], drafts, "independent")
    backward = Instance(exact.P6[0], drafts[::-1], "independent")
    difference = float(exact.rejection(forward)[1] - exact.rejection(backward)[1])
    assert abs(difference) > 1e-3
    measured = REJECTION.acceptance(forward.problem) - REJECTION.acceptance(backward.problem)
    assert measured == pytest.approx(difference, abs=1e-13)
    assert solve(forward.problem).value == pytest.approx(solve(backward.problem).value, abs=1e-13)


def test_order_of_equal_drafters_does_not(rng: np.random.Generator) -> None:
    target, draft = laws(rng, 6), laws(rng, 6)
    independent = Problem(target, np.tile(draft, (3, 1)), 3, "independent")
    assert REJECTION.acceptance(independent) == pytest.approx(
        REJECTION.acceptance(Problem(target, draft, 3)), abs=1e-14
    )


def test_a_second_drafter_can_be_worse_than_the_better_one_alone() -> None:
    """For the optimum more drafters never hurt; recursive rejection spends its first round on a bad one."""
    target, bad = np.array([0.5, 0.5]), np.array([0.0, 1.0])
    problem = Problem(target, np.stack([bad, target]), 2, "independent")
    alone = schemes.get("single_draft").acceptance(Problem(target, target))
    assert alone == 1
    assert REJECTION.acceptance(problem) < alone - 0.2
    assert solve(problem).value == pytest.approx(1, abs=1e-13)


def test_acceptance_is_not_that_of_independent_tries(rng: np.random.Generator) -> None:
    """1 - (1 - a)^n is not a lower bound: rejections teach that the draft law is bad."""
    case = exact.instance(*exact.P6, 3).problem
    single = schemes.get("single_draft").acceptance(Problem(case.target, case.draft))
    assert REJECTION.acceptance(case) < 1 - (1 - single) ** 3 - 0.05


def test_no_scheme_beats_the_optimum(rng: np.random.Generator) -> None:
    for _ in range(50):
        vocab, n = int(rng.integers(2, 7)), int(rng.integers(1, 4))
        for law in REJECTION.laws:
            draft = laws(rng, n, vocab) if law == "independent" else laws(rng, vocab)
            problem = Problem(laws(rng, vocab), draft, min(n, vocab) if law == "without_replacement" else n, law)
            optimum = solve(problem).value
            for name in ("recursive_rejection", "target_only"):
                assert schemes.get(name).acceptance(problem) <= optimum + 1e-11


def test_without_replacement_covers_the_draft_support(rng: np.random.Generator) -> None:
    target, draft = laws(rng, 5), laws(rng, 5)
    draft[1] = 0
    draft /= draft.sum()
    problem = Problem(target, draft, 4, "without_replacement")
    assert REJECTION.acceptance(problem) == pytest.approx(1 - target[1], abs=1e-12)
