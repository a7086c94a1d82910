"""`importance`: the truncated LP, its tournament, and the acceptance with everything that coincides."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spectest import Problem, ProblemTooLarge, UsageError, schemes, strategies
from spectest.declaration import declared_by
from spectest.optimum import solve
from spectest.schemes import importance
from spectest.schemes.importance import tournament
from spectest.schemes.importance.tournament import Tournament
from tests.schemes import enumeration as exact
from tests.schemes.baselines_enumerated import drafted, outcome, single
from tests.schemes.enumeration import Instance, Law, instance, law
from tests.schemes.planned import ROUNDING, check_conditional, check_select, instances, random_instance

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LAWS = ("with_replacement", "independent")
SOLVER = 1e-12
CLOSE = 1e-14


def kept_share(plan: Tournament) -> float:
    return float(np.minimum(plan.target, plan.law).sum())


def winners(plan: Tournament, ids: Sequence[int]) -> dict[int, Fraction]:
    """Who wins the tournament of these drafts, from the plan's ranks and probabilities."""
    winner = {ids[0]: Fraction(1)}
    for played, challenger in zip(plan.matches, ids[1:], strict=True):
        rank = {token: place for place, token in enumerate(played.order.tolist())}
        following = dict.fromkeys([*winner, challenger], Fraction(0))
        for token, share in winner.items():
            keep = Fraction(rank[token] <= rank[challenger])
            if token != challenger and max(rank[token], rank[challenger]) < len(played.keep):
                better, worse = sorted([rank[token], rank[challenger]])
                keep = Fraction(float(played.keep[better, worse]))
                keep = keep if rank[token] == better else 1 - keep
            following[token] += share * keep
            following[challenger] += share * (1 - keep)
        winner = following
    return winner


def given_drafts(case: Instance, plan: Tournament) -> tuple[Law, Callable[[Sequence[int]], Law]]:
    """The law of the last winner, by enumeration, and the law of the output given the drafts."""
    won = [Fraction(0)] * len(case.target)
    for ids, mass in drafted(case):
        for token, share in winners(plan, ids).items():
            won[token] += mass * share

    def given(ids: Sequence[int]) -> Law:
        laws = [
            [share * p for p in single(case.target, tuple(won), x)] for x, share in winners(plan, ids).items() if share
        ]
        return tuple(map(sum, zip(*laws, strict=True)))

    return tuple(won), given


@pytest.mark.parametrize(("s", "kept"), [(1, 0.71), (2, 0.722), (3, 0.7596), (5, 0.7596)])
def test_published_values(s: int, kept: float) -> None:
    plan = schemes.get("importance", s=s).plan(instance(*exact.P6, 2).problem)  # type: ignore[attr-defined]
    assert kept_share(plan) == pytest.approx(kept, rel=0, abs=SOLVER)
    assert plan.acceptance() >= kept - SOLVER


def test_a_short_list_may_accept_less_than_one_draft() -> None:
    """p = q = uniform(3): one draft would always be kept; of two, s = 1 keeps 7/9, and coincidences add to it."""
    case = instance(law(1, 1, 1), law(1, 1, 1), 2)
    plan = Tournament.of(case.problem, 1)
    assert kept_share(plan) == pytest.approx(7 / 9, rel=0, abs=CLOSE)
    _, acceptance = outcome(case, lambda _, ids: given_drafts(case, plan)[1](ids))
    assert plan.acceptance() == pytest.approx(float(acceptance), rel=0, abs=CLOSE)
    assert 7 / 9 < plan.acceptance() < 1


@settings(max_examples=100)
@given(instances(LAWS), st.integers(1, 5))
def test_against_enumeration(case: Instance, s: int) -> None:
    plan = schemes.get("importance", s=s).plan(case.problem)  # type: ignore[attr-defined]
    won, given = given_drafts(case, plan)
    np.testing.assert_allclose(plan.law, np.array(won, dtype=np.float64), rtol=0, atol=ROUNDING)
    output, acceptance = outcome(case, lambda _, ids: given(ids))
    assert output == case.target, "the scheme is lossless for every s"
    np.testing.assert_allclose(plan.output_law(), case.problem.target, rtol=0, atol=ROUNDING)
    assert plan.acceptance() == pytest.approx(float(acceptance), rel=0, abs=CLOSE)


def masses(plan: Tournament) -> tuple[np.ndarray, np.ndarray]:
    (only,) = plan.matches
    first, second = plan.drafts
    return only.order, first * second


@settings(max_examples=60)
@given(strategies.problems(vocab=(1, 6), n_drafts=2, drafting="with_replacement"), st.integers(1, 6))
def test_the_gap_of_a_truncation(problem: Problem, s: int) -> None:
    """Two drafts: s = V attains the optimum, and s loses at most the sum over the others of (p - q^2)+."""
    plan = Tournament.of(problem, s)
    order, coincident = masses(plan)
    others = order[s:]
    bound = np.maximum(problem.target - coincident, 0)[others].sum()
    assert solve(problem).value - kept_share(plan) <= bound + SOLVER
    assert plan.acceptance() <= solve(problem).value + SOLVER


@settings(max_examples=30)
@given(strategies.problems(vocab=(1, 6), n_drafts=2, drafting="independent"))
def test_two_drafters_attain_the_optimum_untruncated(problem: Problem) -> None:
    assert kept_share(Tournament.of(problem, 6)) == pytest.approx(solve(problem).value, rel=0, abs=SOLVER)


@settings(max_examples=40)
@given(strategies.problems(vocab=(2, 6), n_drafts=2, drafting=LAWS), st.integers(1, 6))
def test_the_ranking_and_the_pairs(problem: Problem, s: int) -> None:
    """Scores fall with the rank, ties by id; two of the first s are kept with probabilities that sum to 1."""
    (only,) = Tournament.of(problem, s).matches
    first, second = problem.draft_rows
    score = (problem.target - first * second)[only.order]
    assert (np.diff(score) <= 0).all()
    assert (np.diff(only.order)[np.diff(score) == 0] > 0).all()
    pairs = only.keep + only.keep.T
    np.testing.assert_allclose(pairs[~np.eye(len(pairs), dtype=bool)], 1, rtol=0, atol=1e-15)


@pytest.mark.parametrize("s", [1, 3, 12])
def test_prefix_sums_against_all_pairs(s: int, seed: int) -> None:
    """r in O(V) against the definition in O(V^2), and both routes to the acceptance of two drafts."""
    rng = np.random.default_rng(seed)
    problem = Problem(rng.dirichlet(np.full(40, 0.4)), rng.dirichlet(np.full(40, 0.4), size=2), 2, "independent")
    plan = Tournament.of(problem, s)
    (only,) = plan.matches
    keep = np.triu(np.ones((40, 40)), 1)
    keep[:s, :s] = only.keep
    a, b = problem.draft[:, only.order]
    law_by_rank = a * b + a * (keep @ b) + b * (keep @ a)
    np.testing.assert_allclose(plan.law[only.order], law_by_rank, rtol=0, atol=ROUNDING)
    rejects = np.maximum(1 - plan.target / plan.law, 0)
    assert plan._pair(rejects) == pytest.approx(plan._several(rejects), rel=0, abs=ROUNDING)


def test_any_vocabulary(seed: int) -> None:
    rng = np.random.default_rng(seed)
    target, draft = rng.dirichlet(np.full(128_256, 0.05), size=2)
    two = Problem(target, draft, 2)
    scheme = schemes.get("importance")
    np.testing.assert_allclose(scheme.output_law(two), target, rtol=0, atol=1e-14)
    kept = kept_share(scheme.plan(two))  # type: ignore[attr-defined]
    assert kept <= scheme.acceptance(two) <= solve(two).value + SOLVER
    with pytest.raises(ProblemTooLarge, match="use a smaller vocabulary"):
        scheme.acceptance(Problem(target, draft, 3))


@pytest.mark.parametrize("drafting", LAWS)
def test_select(drafting: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cases = [random_instance(rng, drafting, 7, 3) for _ in range(2)]
    cases.append(cases[0]._replace(target=law(0, 3, 0, 5, 2, 0, 0)))
    check_select(schemes.get("importance", drafting=drafting, s=3), cases, seed)


@pytest.mark.parametrize("drafting", LAWS)
def test_select_given_the_drafts(drafting: str, seed: int) -> None:
    drafts = (exact.P6[1], exact.SECOND_DRAFTER if drafting == "independent" else exact.P6[1], exact.P6[1])
    case = Instance(exact.P6[0], drafts, drafting)
    scheme: Any = schemes.get("importance", drafting=drafting, s=3)
    given = given_drafts(case, scheme.plan(case.problem))[1]
    check_conditional(scheme, case, given, seed)


def test_losers_are_seen(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: the law of the winner forgets the linear program's choices."""
    honest = tournament.Match.law
    monkeypatch.setattr(
        tournament.Match,
        "law",
        lambda self, a, b: honest(tournament.Match(self.order, np.triu(np.ones_like(self.keep), 1)), a, b),
    )
    case = instance(*exact.P6, 2)
    plan = Tournament.of(case.problem, 5)
    won, _ = given_drafts(case, plan)
    assert np.abs(plan.law - np.array(won, dtype=np.float64)).max() > 1e-3
    with pytest.raises(AssertionError):
        check_select(schemes.get("importance"), [case], seed)


@pytest.mark.parametrize("s", [0, 301, 2.0, True, None])
def test_options_are_validated(s: object) -> None:
    with pytest.raises(UsageError, match="`s` of importance must be an integer from 1 to 300, got"):
        schemes.get("importance", s=s)


def test_plain_functions_declare_their_law() -> None:
    for name, drafting in (("select", "with_replacement"), ("independent", "independent")):
        declared = declared_by(getattr(importance, name))
        assert (declared.drafting, declared.scheme, declared.n_drafts) == (drafting, "importance", 3)
        assert declared.broadcast
        assert declared.lossless


def test_wide_vocabularies_are_selected_from(seed: int) -> None:
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    laws = torch.from_numpy(rng.dirichlet(np.full(128_256, 0.05), size=2))
    ids = torch.from_numpy(np.searchsorted(np.cumsum(laws[1].numpy()), rng.random((500, 4)) * 0.999999))
    tokens = schemes.get("importance").select(laws[0].expand(500, -1), laws[1].expand(500, 4, -1), ids, generator)
    assert bool((laws[0][tokens] > 0).all())
