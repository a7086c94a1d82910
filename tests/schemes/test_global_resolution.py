"""`global_resolution`: its theorems on small problems, what truncation and tolerance cost, and failure as failure."""

from __future__ import annotations

from itertools import combinations, product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from spectest import Problem, UsageError, schemes
from spectest.declaration import declared_by
from spectest.optimum import lp_oracle, solve
from spectest.schemes import global_resolution
from spectest.schemes.global_resolution.resolution import Limits, Resolution, resolve, vertex
from spectest.schemes.global_resolution.softmax_flow import SoftmaxFlow, count_terms, minimise, set_groups
from tests.schemes import enumeration as exact
from tests.schemes.enumeration import instance, law
from tests.schemes.planned import check_conditional, check_select, random_instance
from tests.schemes.published import PANELS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

CLOSE = 1e-13
INSTANCES = 100
#: H* is {0, 1, 5}; at τ = 0.1 the outer system loses tokens 3 and 4, the inner one token 5.
TRUNCATED = instance(law(10, 10, 20, 30, 29, 1), law(50, 30, 11, 4, 1, 4), 2)


def problems(seed: int, count: int = INSTANCES) -> Iterator[Problem]:
    """Random problems of up to 6 tokens and 3 drafts, a third with zeros."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        laws = rng.dirichlet(np.full(rng.integers(1, 7), 0.7), size=2)
        laws[(rng.random(laws.shape) < 0.2) & (laws < laws.max(axis=1, keepdims=True)) & (rng.random() < 0.3)] = 0
        target, draft = laws / laws.sum(axis=1, keepdims=True)
        yield Problem(target, draft, int(rng.integers(1, 4)))


def given_drafts(problem: Problem, found: Resolution, ids: Sequence[int]) -> NDArray[np.float64]:
    """The law of the output given the drafts, from the logits, in plain loops."""
    drafts = sorted(set(ids))
    inside = all(found.subset[x] for x in drafts)
    system = found.systems[1 if inside else 0]
    weights = np.zeros(problem.vocab_size)
    if all(system.region[x] for x in drafts):
        for x in drafts:
            if found.subset[x] == inside:
                weights[x] = np.exp(found.logits[x])
    total = weights.sum() + (1.0 if inside or not weights.any() else 0.0)
    return weights / total + (1 - weights.sum() / total) * found.residual


def outcome(problem: Problem, found: Resolution) -> tuple[NDArray[np.float64], float]:
    """The law of the output and the acceptance, tuple by tuple."""
    output, acceptance = np.zeros(problem.vocab_size), 0.0
    for ids in product(range(problem.vocab_size), repeat=problem.n_drafts):
        mass = problem.draft[list(ids)].prod()
        if mass:
            law_given = given_drafts(problem, found, ids)
            output += mass * law_given
            acceptance += mass * law_given[list(set(ids))].sum()
    return output, acceptance


def test_sets_are_aggregated_exactly(seed: int) -> None:
    """Masses by generating function against tuples of drafts, the base standing for the other tokens."""
    for problem in problems(seed, 30):
        draft, n = problem.draft, problem.n_drafts
        active = np.arange(draft.size)[draft > 0][: max(1, draft.size - 2)]
        rest = [x for x in range(draft.size) if x not in active]
        groups = set_groups(draft[active], float(draft[rest].sum()), n)
        expected: dict[tuple[int, ...], float] = {}
        for ids in product(range(draft.size), repeat=n):
            key = tuple(sorted(set(ids) - set(rest)))
            expected[key] = expected.get(key, 0.0) + float(draft[list(ids)].prod())
        found = {
            tuple(active[list(members)].tolist()): mass
            for group in groups
            for members, mass in zip(group.members.tolist(), group.mass.tolist(), strict=True)
        }
        assert len(found) == count_terms(active.size, n)
        for key, mass in found.items():
            assert mass == pytest.approx(expected.get(key, 0.0), rel=1e-13, abs=1e-300)


def test_the_residual_vector_is_feasible(seed: int) -> None:
    """Theorem 6.2: its sum telescopes to the outer draft mass, and any outer tokens get what only they can be sent."""
    for problem in problems(seed):
        subset, q, n = solve(problem).subset, problem.draft, problem.n_drafts
        assert 1 + problem.target[subset].sum() - q[subset].sum() ** n == pytest.approx(lp_oracle(problem), abs=1e-12)
        outer = np.flatnonzero(~subset & (q > 0))
        outer = outer[np.random.default_rng(seed).permutation(outer.size)]
        wanted = vertex(problem, subset, outer)
        inside = q[subset].sum()
        assert wanted.sum() == pytest.approx(1 - inside**n, abs=CLOSE)
        for size in range(1, outer.size + 1):
            for chosen in map(list, combinations(range(outer.size), size)):
                only_theirs = (inside + q[outer[chosen]].sum()) ** n - inside**n
                assert wanted[chosen].sum() >= only_theirs - CLOSE


@pytest.mark.parametrize("optional", [False, True])
def test_gradients(optional: bool, seed: int) -> None:  # noqa: FBT001 (a parameter of the test)
    rng = np.random.default_rng(seed)
    for problem in problems(seed, 30):
        active = problem.draft[problem.draft > 0]
        flow = SoftmaxFlow(rng.dirichlet(np.ones(active.size)), set_groups(active, 0.0, problem.n_drafts), optional)
        alpha, step = rng.standard_normal(active.size), 1e-5
        numeric = [
            (flow(alpha + step * unit)[0] - flow(alpha - step * unit)[0]) / (2 * step) for unit in np.eye(active.size)
        ]
        np.testing.assert_allclose(flow(alpha)[1], numeric, rtol=0, atol=1e-9)
        shipped, missed = flow.outcome(alpha)
        np.testing.assert_allclose(shipped - flow.wanted, flow(alpha)[1], rtol=0, atol=CLOSE)
        assert bool(missed.any()) == optional


@pytest.mark.parametrize("optional", [False, True])
@pytest.mark.parametrize("size", [-800.0, 800.0])
def test_logits_far_out_stay_finite(size: float, optional: bool) -> None:  # noqa: FBT001 (a parameter of the test)
    """The minimum may lie at infinity: on the way there nothing overflows."""
    flow = SoftmaxFlow(np.array([0.5, 0.5]), set_groups(np.array([0.4, 0.6]), 0.0, 2), optional)
    for alpha in (np.full(2, size), np.array([size, 0.0])):
        value, gradient = flow(alpha)
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()
        assert all(np.isfinite(masses).all() for masses in flow.outcome(alpha))


def test_converged_it_is_optimal_and_lossless(seed: int) -> None:
    """A vertex may put the minimum at infinity: the descent may then stop short, and says so."""
    found = [(problem, resolve(problem, Limits(tau=1e-9, max_iterations=500))) for problem in problems(seed)]
    assert sum(resolution.success for _, resolution in found) >= 0.9 * INSTANCES
    for problem, resolution in found:
        if resolution.success:
            assert resolution.deviation / 2 <= 1e-8
            assert resolution.acceptance == pytest.approx(solve(problem).value, rel=0, abs=1e-8)


@pytest.mark.parametrize("tau", [0.2, 1e-2, 1e-3])
def test_what_comes_out_against_enumeration(tau: float, seed: int) -> None:
    for problem in problems(seed, 40):
        found = resolve(problem, Limits(tau=tau))
        output, acceptance = outcome(problem, found)
        np.testing.assert_allclose(found.output_law, output, rtol=0, atol=CLOSE)
        assert found.acceptance == pytest.approx(acceptance, rel=0, abs=CLOSE)
        assert found.deviation == pytest.approx(np.abs(output - problem.target).sum(), rel=0, abs=CLOSE)
        if found.success:  # lemma 6.6
            assert found.deviation <= 15 * tau
            assert abs(found.acceptance - solve(problem).value) <= 10 * tau
            assert max(found.truncation) <= tau


def test_truncation_is_reported() -> None:
    """The fewest tokens whose absence costs at most τ, and exactly what it costs."""
    problem = TRUNCATED.problem
    found = resolve(problem, Limits(tau=0.1))
    assert np.flatnonzero(found.subset).tolist() == [0, 1, 5]
    outer, inner = found.systems
    assert (outer.tokens.tolist(), inner.tokens.tolist()) == ([2], [0, 1])
    assert found.truncation == pytest.approx((1 - 0.95**2, 0.84**2 - 0.8**2))
    assert found.success
    assert found.to_dict()["truncation"] == list(found.truncation)
    output, acceptance = outcome(problem, found)
    np.testing.assert_allclose(found.output_law, output, rtol=0, atol=CLOSE)
    assert found.acceptance == pytest.approx(acceptance, rel=0, abs=CLOSE)


@pytest.mark.parametrize(("first", "x", "optimum"), PANELS)
def test_published_panels(first: Any, x: Any, optimum: Any) -> None:
    problem = instance(law(first, x, 1 - first - x), law(1, 1, 1), 2).problem
    scheme = schemes.get("global_resolution", tau=1e-6, max_iterations=1000)
    assert scheme.acceptance(problem) == pytest.approx(float(optimum), rel=0, abs=1e-5)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [({"max_tokens": 1}, "tokens"), ({"max_iterations": 1, "tau": 1e-6}, "iterations")],
)
def test_failure_is_failure_and_falls_back(limits: dict[str, Any], reason: str, seed: int) -> None:
    case = instance(*exact.P6, 2)
    scheme: Any = schemes.get("global_resolution", **limits)
    found = scheme.resolve(case.problem)
    assert (found.success, found.reason) == (False, reason)
    rejection = schemes.get("recursive_rejection")
    assert scheme.acceptance(case.problem) == rejection.acceptance(case.problem)
    np.testing.assert_array_equal(scheme.output_law(case.problem), rejection.output_law(case.problem))
    check_conditional(scheme, case, lambda ids: exact.rejection_given(case, ids), seed)
    check_select(scheme, [case], seed)


def test_minimisation_may_be_done_before_it_starts() -> None:
    flow = SoftmaxFlow(np.array([0.6, 0.4]), set_groups(np.array([0.6, 0.4]), 0.0, 1), optional=False)
    found = minimise(flow, np.zeros(2), 1e-12, 10)
    assert (found.iterations, found.converged) == (0, True)


def test_select(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cases = [random_instance(rng, "with_replacement", 6, 3) for _ in range(2)]
    cases.append(cases[0]._replace(target=law(0, 3, 0, 5, 2, 0)))
    check_select(schemes.get("global_resolution", tau=0.05), cases, seed)


@pytest.mark.parametrize(
    ("case", "tau"), [(instance(*exact.P6, 3), 1e-4), (instance(*exact.P6, 3), 0.1), (TRUNCATED, 0.1)]
)
def test_select_given_the_drafts(case: exact.Instance, tau: float, seed: int) -> None:
    """At τ = 0.1 tokens are truncated, of P6 in one system and in the other case in both: then nothing is kept."""
    scheme: Any = schemes.get("global_resolution", tau=tau)
    found = scheme.resolve(case.problem)
    assert found.success
    assert sum(truncated > 0 for truncated in found.truncation) == (2 if case == TRUNCATED else int(tau == 0.1))
    check_conditional(scheme, case, lambda ids: given_drafts(case.problem, found, ids), seed)


def test_a_lossy_resolution_comes_out_as_it_says(seed: int) -> None:
    """Stopped at a large τ the output is off the target, by what `deviation` says and `select` shows."""
    case = instance(law(1, 7, 6, 2), law(8, 5, 7, 8), 3)
    scheme: Any = schemes.get("global_resolution", tau=0.3)
    found = scheme.resolve(case.problem)
    assert found.success
    assert found.deviation > 0.2
    check_select(scheme, [case], seed)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tau": 0}, "`tau` of global_resolution must lie between 0 and 1, got 0"),
        ({"tau": True}, "`tau`"),
        ({"tau": "small"}, "`tau`"),
        ({"max_tokens": 0}, "`max_tokens` of global_resolution must be an integer of at least 1, got 0"),
        ({"max_iterations": 2.5}, "`max_iterations`"),
        ({"drafting": "independent"}, "`drafting` of global_resolution must be one of with_replacement"),
    ],
)
def test_options_are_validated(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        schemes.get("global_resolution", **options)


def test_the_plain_function_does_not_claim_to_be_lossless() -> None:
    declared = declared_by(global_resolution.select)
    assert (declared.drafting, declared.scheme, declared.lossless) == ("with_replacement", "global_resolution", False)
    assert declared.broadcast


def test_a_full_vocabulary_falls_back_at_once(seed: int) -> None:
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    laws = torch.from_numpy(rng.dirichlet(np.ones(50_000), size=2))
    ids = torch.from_numpy(rng.integers(0, 50_000, (50, 3)))
    scheme: Any = schemes.get("global_resolution")
    assert scheme.resolve(Problem(laws[0].numpy(), laws[1].numpy(), 3)).reason == "tokens"
    tokens = scheme.select(laws[0].expand(50, -1), laws[1].expand(50, 3, -1), ids, generator)
    assert bool((laws[0][tokens] > 0).all())
