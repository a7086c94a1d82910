"""Naive multi-draft sampling: the acceptance counts how often the residual draw meets a draft nobody looked at."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from spectest import Problem, ProblemTooLarge, drafting, schemes
from tests.schemes import enumeration as exact
from tests.schemes.baselines_enumerated import instances, naive_given, outcome
from tests.schemes.enumeration import Instance, instance, law

NAIVE = schemes.get("naive")


@given(instances(*NAIVE.laws, vocab=5, n=4))
def test_against_enumeration(case: Instance) -> None:
    output_law, acceptance = outcome(case, naive_given)
    assert output_law == case.target, "the scheme is lossless"
    assert NAIVE.acceptance(case.problem) == pytest.approx(float(acceptance), rel=0, abs=1e-14)
    np.testing.assert_allclose(NAIVE.output_law(case.problem), list(map(float, output_law)), rtol=0, atol=1e-14)


def test_published_value() -> None:
    assert NAIVE.acceptance(instance(*exact.P6, 2).problem) == pytest.approx(0.6108, abs=1e-14)


def test_one_draft_is_single_draft() -> None:
    problem = instance(*exact.P4, 1, "without_replacement").problem
    assert NAIVE.acceptance(problem) == schemes.get("single_draft").acceptance(problem)


@pytest.mark.parametrize("n", [2, 3, 5])
@pytest.mark.parametrize("token", [0, 7, 1999])
def test_the_integral_where_it_is_known(n: int, token: int) -> None:
    """A target of one token: any other first draft is rejected, and the acceptance is that token's inclusion."""
    draft = np.random.default_rng().dirichlet(np.full(2000, 0.1))
    draft[token] = max(draft[token], 1e-9)
    problem = Problem(np.eye(2000)[token], draft / draft.sum(), n, "without_replacement")
    inclusion = drafting.get("without_replacement").inclusion(problem)[token]
    assert NAIVE.acceptance(problem) == pytest.approx(inclusion, rel=1e-11)


def test_the_integral_against_every_tuple() -> None:
    rng = np.random.default_rng()
    target, draft = rng.dirichlet(np.full(13, 0.4)), rng.dirichlet(np.full(13, 0.4))
    problem = Problem(target, draft, 5, "without_replacement")
    tuples, mass = drafting.get("without_replacement").joint_law(problem)
    rejected, residual = np.maximum(draft - target, 0) / draft, np.maximum(target - draft, 0)
    met = mass @ (rejected[tuples[:, 0]] * residual[tuples[:, 1:]].sum(axis=1)) / residual.sum()
    assert NAIVE.acceptance(problem) == pytest.approx(np.minimum(target, draft).sum() + met, rel=0, abs=1e-13)


@pytest.mark.parametrize("tiny", [1e-9, 1e-15, 1e-100, 1e-300])
@pytest.mark.parametrize("n", [2, 3])
def test_one_token_that_holds_almost_all_draft_mass(n: int, tiny: float) -> None:
    """1 - q(x) is lost to rounding; the last of these masses is too light to integrate over, and enumerated."""
    case = instance(law(0.2, 0.3, 0.1, 0.4), law(1, tiny, 3 * tiny, 2 * tiny), n, "without_replacement")
    _, acceptance = outcome(case, naive_given)
    assert NAIVE.acceptance(case.problem) == pytest.approx(float(acceptance), rel=0, abs=1e-13)


def test_too_large_is_said_never_estimated() -> None:
    draft = np.full(200, 1e-300)
    draft[0] = 1
    with pytest.raises(ProblemTooLarge):
        NAIVE.acceptance(Problem(np.full(200, 1 / 200), draft, 4, "without_replacement"))


def test_the_first_drafter_alone_is_tested() -> None:
    target, first, second = (np.array(x, dtype=np.float64) for x in ([0.5, 0.5, 0], [1, 0, 0], [0, 0.25, 0.75]))
    problem = Problem(target, np.stack([first, second]), 2, "independent")
    assert NAIVE.acceptance(problem) == pytest.approx(0.5 + 0.5 * 0.25)
    problem = Problem(target, np.stack([second, first]), 2, "independent")
    assert NAIVE.acceptance(problem) == pytest.approx(0.25 + 0.75 * 0.5 / 0.75)
