"""`canonical`: the optimal rule, and that nothing but acceptance depends on the solver."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from spectest import Problem, ProblemTooLarge, schemes
from spectest.declaration import declared_by
from spectest.optimum import solve
from spectest.problem import DRAFTING
from spectest.schemes import canonical
from spectest.schemes.canonical import CanonicalPlan
from tests.schemes import enumeration as exact
from tests.schemes.baselines_enumerated import drafted, outcome, single
from tests.schemes.enumeration import Instance, Law, instance, law
from tests.schemes.planned import ROUNDING, check_conditional, check_select, instances, random_instance
from tests.schemes.published import GOLDEN, PANELS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SOLVER = 1e-12  # HiGHS may miss the optimum by 1e-14 or so
CANONICAL = schemes.get("canonical")


def rule_of(plan: CanonicalPlan) -> dict[frozenset[int], dict[int, Fraction]]:
    """The plan's rule in fractions: set of drafts with target mass -> what is picked."""
    rule: dict[frozenset[int], dict[int, Fraction]] = {}
    for tokens, row in zip(plan.sets.members.tolist(), plan.rule.tolist(), strict=True):
        shares = {x: Fraction(share) for x, share in zip(tokens, row, strict=True) if x < plan.target.size}
        total = sum(shares.values())
        rule[frozenset(shares)] = {x: share / total for x, share in shares.items()}
    return rule


def given_drafts(case: Instance, plan: CanonicalPlan) -> Callable[[Sequence[int]], Law]:
    """The law of the output given the drafts, with the law of the pick added up over tuples."""
    rule = rule_of(plan)

    def pick(ids: Sequence[int]) -> dict[int, Fraction]:
        return rule[frozenset(x for x in ids if case.target[x])]

    picked: dict[int, Fraction] = defaultdict(Fraction)
    for ids, mass in drafted(case):
        for x, share in pick(ids).items():
            picked[x] += mass * share
    pick_law = tuple(picked[x] for x in range(len(case.target)))
    left = [max(p - r, Fraction(0)) for p, r in zip(case.target, pick_law, strict=True)]

    def given(ids: Sequence[int]) -> Law:
        if not pick(ids):
            return law(*left)
        laws = [[share * p for p in single(case.target, pick_law, x)] for x, share in pick(ids).items() if share]
        return tuple(map(sum, zip(*laws, strict=True)))

    return given


@pytest.mark.parametrize(("laws", "n", "replaced", "distinct"), GOLDEN)
def test_published_optima(laws: tuple[Law, Law], n: int, replaced: str, distinct: str) -> None:
    for drafting, fraction in (("with_replacement", replaced), ("without_replacement", distinct)):
        problem = instance(*laws, n, drafting).problem
        assert CANONICAL.acceptance(problem) == pytest.approx(float(Fraction(fraction)), rel=0, abs=SOLVER)


@pytest.mark.parametrize(("first", "x", "optimum"), PANELS)
def test_published_panels(first: Fraction, x: Fraction, optimum: Fraction) -> None:
    problem = instance(law(first, x, 1 - first - x), law(1, 1, 1), 2).problem
    assert CANONICAL.acceptance(problem) == pytest.approx(float(optimum), rel=0, abs=SOLVER)


@settings(max_examples=60)
@given(instances(tuple(DRAFTING)))
def test_against_enumeration(case: Instance) -> None:
    plan = CanonicalPlan.of(case.problem)
    given = given_drafts(case, plan)
    output, acceptance = outcome(case, lambda _, ids: given(ids))
    assert output == case.target, "any rule is lossless"
    found = plan.outcome()
    assert found.acceptance == pytest.approx(float(acceptance), rel=0, abs=SOLVER / 10)
    np.testing.assert_allclose(found.output_law, case.problem.target, rtol=0, atol=ROUNDING)
    assert found.acceptance == pytest.approx(solve(case.problem).value, rel=0, abs=SOLVER)


@pytest.mark.parametrize("drafting", DRAFTING)
def test_a_poor_rule_costs_acceptance_alone(drafting: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)

    def poor(*arguments: Any) -> np.ndarray:
        drawn = rng.random(arguments[-1].size) ** 4
        drawn[rng.random(drawn.size) < 0.3] = 0  # some sets are given nothing at all
        return drawn

    monkeypatch.setattr(canonical, "maximise", poor)
    for _ in range(10):
        case = random_instance(rng, drafting, 5, 2)
        plan = CanonicalPlan.of(case.problem)
        given = given_drafts(case, plan)
        output, acceptance = outcome(case, lambda _, ids: given(ids))  # noqa: B023 (called at once)
        assert output == case.target
        found = plan.outcome()
        np.testing.assert_allclose(found.output_law, case.problem.target, rtol=0, atol=ROUNDING)
        assert found.acceptance == pytest.approx(float(acceptance), rel=0, abs=ROUNDING)  # residual draws included
        assert found.acceptance <= solve(case.problem).value + SOLVER


def test_the_law_of_another_rule_is_not_lossless() -> None:
    """What the tests above hold on to: the law used is the law realised."""
    plan = CanonicalPlan.of(instance(*exact.P6, 2).problem)
    wrong = CanonicalPlan(plan.target, plan.sets, np.roll(plan.rule, 1, axis=0), plan.law)
    assert np.abs(wrong.outcome().output_law - plan.target).max() > 1e-3


@pytest.mark.parametrize("drafting", DRAFTING)
def test_select(drafting: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cases = [random_instance(rng, drafting, 6, 3) for _ in range(2)]
    zeros = law(0, 3, 0, 5, 2, 0)
    cases.append(cases[0]._replace(target=zeros))
    check_select(schemes.get("canonical", drafting=drafting), cases, seed)


@pytest.mark.parametrize("drafting", DRAFTING)
def test_select_given_the_drafts(drafting: str, seed: int) -> None:
    drafts = (exact.P6[1], exact.SECOND_DRAFTER if drafting == "independent" else exact.P6[1])
    case = Instance(exact.P6[0], drafts, drafting)
    given = given_drafts(case, CanonicalPlan.of(case.problem))
    check_conditional(schemes.get("canonical", drafting=drafting), case, given, seed)


def test_beyond_the_program_the_rule_is_a_flow_and_as_good(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    problem = Problem(rng.dirichlet(np.ones(60)), rng.dirichlet(np.ones(60)), 3)
    found = CanonicalPlan.of(problem).outcome()
    assert found.acceptance == pytest.approx(solve(problem).value, rel=0, abs=SOLVER)
    np.testing.assert_allclose(found.output_law, problem.target, rtol=0, atol=ROUNDING)
    small = instance(*exact.P6, 3).problem
    monkeypatch.setattr(canonical, "MAX_PAIRS", 1)
    assert CANONICAL.acceptance(small) == pytest.approx(solve(small).value, rel=0, abs=SOLVER)


def test_too_large_is_one_clear_message() -> None:
    laws = np.random.default_rng(0).dirichlet(np.ones(300), size=2)
    message = r"the joint law of the drafts has 2\.7e\+07 tuples, more than 2e\+06: use a smaller problem"
    with pytest.raises(ProblemTooLarge, match=message):
        CANONICAL.acceptance(Problem(laws[0], laws[1], 3))
    target, draft = torch.from_numpy(laws)
    ids = torch.zeros((4, 3), dtype=torch.int64)
    with pytest.raises(ProblemTooLarge, match=message):
        CANONICAL.select(target.expand(4, -1), draft.expand(4, 3, -1), ids, torch.Generator())


def test_few_tokens_of_a_wide_vocabulary_are_a_small_problem() -> None:
    rng = np.random.default_rng(0)
    vocab, few = 50_000, 6
    target, draft = np.zeros(vocab), rng.dirichlet(np.ones(vocab))
    target[-few:] = rng.dirichlet(np.ones(few))
    draft[-few:] += 0.1
    problem = Problem(target, draft / draft.sum(), 2)
    assert CANONICAL.acceptance(problem) == pytest.approx(solve(problem).value, rel=0, abs=SOLVER)


@pytest.mark.parametrize("drafting", DRAFTING)
def test_plain_functions_declare_their_law(drafting: str) -> None:
    function = getattr(canonical, "select" if drafting == "with_replacement" else drafting)
    declared = declared_by(function)
    assert (declared.drafting, declared.scheme, declared.n_drafts) == (drafting, "canonical", 2)
    assert declared.broadcast
    assert declared.lossless
