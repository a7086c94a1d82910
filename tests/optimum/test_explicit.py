"""Any joint law: maximum flow against every subset, ortools and a linear program; and the plans it gives."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from scipy.optimize import linprog

from spectest import drafting, strategies
from spectest.errors import InvalidProblem, ProblemTooLarge
from spectest.optimum import TransportPlan, cut_value, explicit, flow, flow_plan, lp_plan, optimal_acceptance, solve
from spectest.optimum.sets import draft_sets
from spectest.problem import DRAFTING, Problem
from tests.optimum.independent import max_flow, simplex

if TYPE_CHECKING:
    from spectest.drafting import JointLaw

EVERY_LAW = tuple(DRAFTING)


def joint_law(rng: np.random.Generator, vocab: int) -> tuple[np.ndarray, np.ndarray]:
    """Any law of n dependent drafts: some tuples, given more than once or of no mass, one alone, or all alike."""
    n, count = int(rng.integers(1, 5)), int(rng.choice([1, 2, 5, 20]))
    tuples = rng.integers(0, vocab, (count, n))
    if rng.random() < 0.1:
        tuples[:] = tuples[:, :1]
    return tuples, simplex(rng, count)


def values_of_every_subset(target: np.ndarray, tuples: np.ndarray, mass: np.ndarray) -> np.ndarray:
    subsets = (np.arange(1 << target.size)[:, None] >> np.arange(target.size) & 1).astype(bool)
    outside = ~subsets[:, tuples].all(axis=2)
    values: np.ndarray = subsets @ target + outside @ mass
    return values


def linear_program(target: np.ndarray, tuples: np.ndarray, mass: np.ndarray) -> float:
    """Over tuples, not sets: the relaxed transport as it is written down in the papers."""
    arcs = [(y, t) for t, row in enumerate(tuples.tolist()) for y in sorted(set(row))]
    matrix = np.zeros((target.size + len(tuples), len(arcs)))
    for arc, (y, t) in enumerate(arcs):
        matrix[y, arc] = matrix[target.size + t, arc] = 1.0
    found = linprog(
        -np.ones(len(arcs)),
        A_ub=matrix,
        b_ub=1e4 * np.concatenate([target, mass]),
        method="highs-ds",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    assert found.status == 0
    return float(-found.fun / 1e4)


def test_against_every_subset() -> None:
    rng = np.random.default_rng()
    for _ in range(1000):
        vocab = int(rng.integers(1, 8))
        target = simplex(rng, vocab)
        tuples, mass = joint_law(rng, vocab)
        found = explicit(target, tuples, mass)
        assert (found.method, found.exact) == ("flow", True)
        values = values_of_every_subset(target, tuples, mass)
        assert found.value == pytest.approx(values.min(), abs=1e-14), (target, tuples, mass)
        inside = mass[found.subset[tuples].all(axis=1)].sum()
        assert found.value == pytest.approx(1 + target[found.subset].sum() - inside, abs=1e-14)


def test_against_max_flow_and_linear_program() -> None:
    rng = np.random.default_rng()
    for k in range(400):
        vocab = int(rng.integers(1, 30))
        target = simplex(rng, vocab)
        tuples, mass = joint_law(rng, vocab)
        found = explicit(target, tuples, mass).value
        law: Any = (tuples, mass)
        assert found == pytest.approx(max_flow(target, draft_sets(_law(*law), vocab)), abs=1e-13)
        if k % 3 == 0:
            assert found == pytest.approx(linear_program(target, tuples, mass), abs=1e-12)


def _law(tuples: np.ndarray, mass: np.ndarray) -> JointLaw:
    from spectest.drafting import JointLaw

    return JointLaw(tuples[mass > 0], mass[mass > 0])


@pytest.mark.parametrize(("vocab", "n_drafts"), [(40, 3), (150, 2), (10, 5)])
def test_against_the_prefix_formula_on_thousands_of_sets(vocab: int, n_drafts: int) -> None:
    rng = np.random.default_rng()
    for concentration in (0.2, 2.0):
        target, draft = rng.dirichlet(np.full(vocab, concentration), size=2)
        problem = Problem(target, draft, n_drafts)
        law = drafting.get("with_replacement").joint_law(problem)
        assert explicit(target, *law).value == pytest.approx(solve(problem).value, abs=1e-14)


@pytest.mark.parametrize("bits", [2, 7, 20])
def test_few_bits_a_round_give_the_same_flow(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The flow is built in up to thirty rounds, which must send mass back that coarse ones placed badly."""
    rng = np.random.default_rng()
    monkeypatch.setattr(flow, "_ROUND", bits + 5)  # room shrinks by `bits` at least: a cut has less than 2^5 arcs
    for _ in range(60):
        vocab = int(rng.integers(2, 5))
        problem = Problem(simplex(rng, vocab), simplex(rng, vocab), 2)
        plan = flow_plan(problem)
        assert plan.value == pytest.approx(solve(problem).value, abs=1e-14)
        check_feasible(plan)


def test_deterministic_drafts() -> None:
    target = [0.5, 0.25, 0.125, 0.125]
    assert explicit(target, [[2, 0, 2]], [1.0]).value == 0.625
    assert explicit(target, [[2, 0, 2]], [1.0]).to_dict()["subset"] == [0, 2]
    everything = explicit(target, [[3, 1, 0, 2]], [1.0])
    assert (everything.value, everything.to_dict()["subset"]) == (1.0, [])


# --------------------------------------------------------------------------------------------------------------- plans


def check_feasible(plan: TransportPlan) -> None:
    """No mass from nowhere: in rationals, so that not even a rounding is given away."""
    assert not plan.shipped[~plan.sets].any()
    assert (plan.shipped >= 0).all()
    for masses, limits in ((plan.shipped.T, plan.target), (plan.shipped, plan.mass)):
        for row, limit in zip(masses, limits, strict=True):
            assert sum(map(Fraction, row.tolist()), Fraction(0)) <= Fraction(float(limit)) * (1 + Fraction(1, 2**51))


@given(strategies.problems(vocab=(1, 7), n_drafts=(1, 4), drafting=EVERY_LAW))
def test_plan_and_subset_certify_each_other(problem: Problem) -> None:
    """Weak duality from both sides: what the plan ships is at most 1 + p(H) - Q(H), and they meet."""
    found = solve(problem, primal=True)
    assert found.plan is not None
    check_feasible(found.plan)
    assert found.plan.value == pytest.approx(found.value, abs=1e-14)
    assert cut_value(problem, found.subset) == pytest.approx(found.value, abs=1e-14)
    assert "plan" not in found.to_dict()


@given(strategies.problems(vocab=(1, 7), n_drafts=(1, 4), drafting=EVERY_LAW))
def test_completed_plan_is_a_selector_that_attains_the_optimum(problem: Problem) -> None:
    plan = flow_plan(problem)
    law = plan.conditional_law()
    assert (law >= 0).all()
    np.testing.assert_allclose(law.sum(axis=1), 1, rtol=0, atol=1e-14)
    np.testing.assert_allclose(plan.mass @ law, problem.target, rtol=0, atol=1e-14)
    assert not law[:, problem.target == 0].any()
    accepted = plan.mass @ np.where(plan.sets, law, 0.0).sum(axis=1)
    assert accepted == pytest.approx(solve(problem).value, abs=1e-14)


@pytest.mark.parametrize("law", EVERY_LAW)
def test_plan_agrees_with_the_linear_program(law: str) -> None:
    rng = np.random.default_rng()
    for _ in range(20):
        rows = rng.dirichlet(np.ones(6), size=3)
        n = DRAFTING[law].drafts(3, 6)
        problem = Problem(rng.dirichlet(np.ones(6)), rows if law == "independent" else rows[0], n, law)
        ours, theirs = flow_plan(problem), lp_plan(problem)
        assert ours.value == pytest.approx(theirs.value, abs=1e-12)
        assert np.array_equal(ours.sets, theirs.sets)
        completed = theirs.conditional_law()
        np.testing.assert_allclose(theirs.mass @ completed, problem.target, rtol=0, atol=1e-12)


def test_sets_of_almost_no_mass_have_a_law() -> None:
    """Masses far below the unit of the flow, and one that underflows when it is multiplied by anything."""
    for tiny in (1e-38, 1e-300, 5e-324):
        plan = flow_plan(Problem([0.5, 0.25, 0.25], [1.0, tiny, tiny], 1))
        law = plan.conditional_law()
        np.testing.assert_allclose(law.sum(axis=1), 1, rtol=0, atol=1e-14)
        np.testing.assert_allclose(plan.mass @ law, [0.5, 0.25, 0.25], rtol=0, atol=1e-14)
        assert plan.value == 0.5


def test_primal_where_no_plan_can_be_written_out() -> None:
    uniform = np.full(3000, 1 / 3000)
    with pytest.raises(ProblemTooLarge, match="scheme `seats`"):
        optimal_acceptance(uniform, uniform, 2, primal=True)
    with pytest.raises(ProblemTooLarge, match="499500 sets of drafts by 1000 tokens"):
        optimal_acceptance(uniform[:1000] * 3, uniform[:1000] * 3, 2, "without_replacement", primal=True)
    assert solve(Problem([1.0], [1.0], 2)).plan is None


# ----------------------------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([0.5], [[0]], [1.0]), "`target` must sum to 1"),
        (([[0.5, 0.5]], [[0]], [1.0]), "`target` must have shape"),
        (([0.5, 0.5], [0, 1], [1.0]), "`tuples` must be integers of shape"),
        (([0.5, 0.5], [[0.0, 1.0]], [1.0]), "`tuples` must be integers of shape"),
        (([0.5, 0.5], np.zeros((1, 0), dtype=int), [1.0]), "`tuples` must be integers of shape"),
        (([0.5, 0.5], [[0, 2]], [1.0]), "`tuples` must hold ids from 0 to 1, got 2"),
        (([0.5, 0.5], [[0, -1]], [1.0]), "`tuples` must hold ids from 0 to 1, got -1"),
        (([0.5, 0.5], [[0, 1]], [0.5]), "`mass` must sum to 1"),
        (([0.5, 0.5], [[0, 1]], [0.5, 0.5]), "`mass` must have shape"),
    ],
)
def test_refused_arguments(arguments: tuple[Any, Any, Any], said: str) -> None:
    with pytest.raises(InvalidProblem, match=said):
        explicit(*arguments)


def test_too_many_tuples() -> None:
    with pytest.raises(ProblemTooLarge, match="tuples"):
        explicit([1.0], np.zeros((2_000_001, 1), dtype=int), np.ones(1))
