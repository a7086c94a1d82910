"""`transport`: an optimal coupling for every drafting law."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings

from spectest import Problem, ProblemTooLarge, schemes
from spectest.declaration import declared_by
from spectest.optimum import solve
from spectest.problem import DRAFTING
from spectest.schemes import transport
from spectest.schemes.common import set_tables
from spectest.schemes.common.set_tables import SetTable, target_sets
from spectest.schemes.transport import CoupledPlan
from tests.schemes import enumeration as exact
from tests.schemes.baselines_enumerated import outcome
from tests.schemes.enumeration import Instance, Law, instance, law
from tests.schemes.planned import ROUNDING, check_conditional, check_select, instances, random_instance
from tests.schemes.published import GOLDEN, PANELS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TRANSPORT = schemes.get("transport")
FLOW = 1e-13  # masses in units of 2^-62, rounded down set by set


def given_drafts(case: Instance, plan: CoupledPlan) -> Callable[[Sequence[int]], Law]:
    """The law of the output given the drafts, from the plan's own numbers."""
    vocab = len(case.target)
    rows = {
        frozenset(members) - {vocab}: dict(zip(members, map(Fraction, kept), strict=True))
        for members, kept in zip(plan.sets.members.tolist(), plan.kept.tolist(), strict=True)
    }
    residual = [Fraction(mass) for mass in plan.residual.tolist()]

    def given(ids: Sequence[int]) -> Law:
        kept = rows[frozenset(x for x in ids if case.target[x])]
        missed = 1 - sum(kept.values())
        return tuple(kept.get(y, Fraction(0)) + missed * residual[y] for y in range(vocab))

    return given


@pytest.mark.parametrize(("laws", "n", "replaced", "distinct"), GOLDEN)
def test_published_optima(laws: tuple[Law, Law], n: int, replaced: str, distinct: str) -> None:
    for drafting, fraction in (("with_replacement", replaced), ("without_replacement", distinct)):
        problem = instance(*laws, n, drafting).problem
        assert TRANSPORT.acceptance(problem) == pytest.approx(float(Fraction(fraction)), rel=0, abs=FLOW)


@pytest.mark.parametrize(("first", "x", "optimum"), PANELS)
def test_published_panels(first: Fraction, x: Fraction, optimum: Fraction) -> None:
    problem = instance(law(first, x, 1 - first - x), law(1, 1, 1), 2).problem
    assert TRANSPORT.acceptance(problem) == pytest.approx(float(optimum), rel=0, abs=FLOW)


@settings(max_examples=100)
@given(instances(tuple(DRAFTING)))
def test_against_enumeration(case: Instance) -> None:
    plan = CoupledPlan.of(case.problem)
    given = given_drafts(case, plan)
    output, acceptance = outcome(case, lambda _, ids: given(ids))
    found = plan.outcome()
    np.testing.assert_allclose(np.array(output, dtype=np.float64), case.problem.target, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(found.output_law, case.problem.target, rtol=0, atol=ROUNDING)
    assert found.acceptance == pytest.approx(float(acceptance), rel=0, abs=ROUNDING)
    assert found.acceptance == pytest.approx(solve(case.problem).value, rel=0, abs=FLOW)
    kept = plan.kept.sum(axis=1)
    assert kept.max() <= 1 + ROUNDING
    assert plan.kept.min() >= 0


@pytest.mark.parametrize("drafting", DRAFTING)
def test_select(drafting: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cases = [random_instance(rng, drafting, 6, 3) for _ in range(2)]
    cases.append(cases[0]._replace(target=law(0, 3, 0, 5, 2, 0)))
    check_select(schemes.get("transport", drafting=drafting), cases, seed)


@pytest.mark.parametrize("drafting", DRAFTING)
def test_select_given_the_drafts(drafting: str, seed: int) -> None:
    drafts = (exact.P6[1], exact.SECOND_DRAFTER if drafting == "independent" else exact.P6[1])
    case = Instance(exact.P6[0], drafts, drafting)
    given = given_drafts(case, CoupledPlan.of(case.problem))
    check_conditional(schemes.get("transport", drafting=drafting), case, given, seed)


def test_a_row_of_another_set_is_seen(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: what is kept is read one row off."""
    case = instance(*exact.P6, 2)
    given = given_drafts(case, CoupledPlan.of(case.problem))
    honest = SetTable.of
    monkeypatch.setattr(SetTable, "of", lambda sets, picked, vocab: honest(sets, np.roll(picked, 1, axis=0), vocab))
    with pytest.raises(AssertionError):
        check_conditional(schemes.get("transport"), case, given, seed)


def test_sets_that_share_a_code_are_given_other_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = set_tables._keys
    monkeypatch.setattr(set_tables, "_keys", lambda vocab, salt: keys(vocab, salt) if salt > 1 else np.ones(vocab, int))
    sets = target_sets(instance(*exact.P6, 2).problem)
    table = SetTable.of(sets, np.zeros(sets.members.shape), 5)
    assert len(np.unique(table.codes)) == len(sets.mass)
    np.testing.assert_array_equal(table.keys, keys(5, 2))


def test_a_large_problem_is_optimal_and_a_larger_one_is_refused() -> None:
    rng = np.random.default_rng(0)
    problem = Problem(rng.dirichlet(np.ones(40)), rng.dirichlet(np.ones(40)), 3)
    assert TRANSPORT.acceptance(problem) == pytest.approx(solve(problem).value, rel=0, abs=FLOW)
    with pytest.raises(ProblemTooLarge, match="tuples, more than 2e"):
        TRANSPORT.acceptance(Problem(np.full(300, 1 / 300), np.full(300, 1 / 300), 3))


def test_few_tokens_of_a_wide_vocabulary_are_a_small_problem() -> None:
    rng = np.random.default_rng(0)
    vocab, few = 50_000, 6
    target, drafts = np.zeros(vocab), rng.dirichlet(np.ones(vocab), size=2)
    target[-few:] = rng.dirichlet(np.ones(few))
    drafts[:, -few:] += 0.1
    problem = Problem(target, drafts / drafts.sum(axis=1, keepdims=True), 2, "independent")
    inside = Problem(
        np.append(target[-few:], 0.0),
        np.column_stack([problem.draft[:, -few:], problem.draft[:, :-few].sum(axis=1)]),
        2,
        "independent",
    )
    assert TRANSPORT.acceptance(problem) == pytest.approx(solve(inside).value, rel=0, abs=FLOW)


@pytest.mark.parametrize("drafting", DRAFTING)
def test_plain_functions_declare_their_law(drafting: str) -> None:
    function = getattr(transport, "select" if drafting == "with_replacement" else drafting)
    declared = declared_by(function)
    assert (declared.drafting, declared.scheme, declared.n_drafts) == (drafting, "transport", 2)
    assert declared.broadcast
    assert declared.lossless
