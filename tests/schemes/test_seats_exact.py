"""Seats against fractions, against enumeration, and against the optimum found by looking at every subset."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from spectest import InvalidProblem, Problem, ProblemTooLarge, drafting, optimal_acceptance, schemes
from spectest.optimum import solve
from tests.schemes import enumeration as exact
from tests.schemes.enumeration import Law, instance, law
from tests.schemes.sampled import random_law
from tests.schemes.seats_enumerated import Enumerated
from tests.schemes.seats_fractions import Seats, optimum

SEATS: Any = schemes.get("seats")
CLOSE = 1e-14
WEIGHTS = np.array([0, 0, 1, 1, 1, 2, 3, 5, 10, 100, 10**6, 10**16])


@pytest.fixture
def rng() -> np.random.Generator:
    """Fresh every time, shown by pytest where a test fails: any seed must pass."""
    seed = int(np.random.SeedSequence().generate_state(1)[0])
    print(f"seed = {seed}")
    return np.random.default_rng(seed)


def small_law(rng: np.random.Generator, vocab: int) -> Law:
    """Ties, zeros, one-hot laws and masses of very different sizes."""
    weights = rng.choice(WEIGHTS, size=vocab)
    weights[rng.integers(vocab)] += not weights.any()
    return law(*weights.tolist())


def check_against_fractions(target: Law, draft: Law, n: int, *, last: bool) -> None:
    """In fractions everything is equal; in float64 the library is as close as rounding allows."""
    kernel, best = Seats(target, draft, n, last=last), optimum(target, draft, n)
    enumerated = kernel.outcome()
    assert enumerated.winner == tuple(kernel.law), "the winner's law is the one wanted"
    assert enumerated.output == target, "lossless"
    assert enumerated.acceptance == sum(map(min, target, kernel.law)) == best, "optimal, by membership"
    problem = instance(target, draft, n).problem
    assert SEATS.acceptance(problem) == pytest.approx(float(best), rel=0, abs=CLOSE)
    np.testing.assert_allclose(SEATS.output_law(problem), problem.target, rtol=0, atol=CLOSE)
    wanted = [float(mass) for mass in kernel.law]
    np.testing.assert_allclose(SEATS.plan(problem).law, wanted, rtol=0, atol=CLOSE)


def check_many(rng: np.random.Generator, size: int, vocab: int, n: int) -> None:
    for _ in range(size):
        tokens = int(rng.integers(1, vocab + 1))
        target, draft = small_law(rng, tokens), small_law(rng, tokens)
        if rng.random() < 0.1:
            target = draft
        check_against_fractions(target, draft, int(rng.integers(1, n + 1)), last=rng.random() < 0.5)


def test_against_fractions(rng: np.random.Generator) -> None:
    check_many(rng, 700, vocab=4, n=3)


@pytest.mark.slow
def test_against_fractions_of_more_and_larger_problems(rng: np.random.Generator) -> None:
    check_many(rng, 10_000, vocab=4, n=3)
    check_many(rng, 1_000, vocab=5, n=4)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("pair", [exact.P1, exact.P2, exact.P3, exact.P4, exact.P5, exact.P6, exact.P7])
def test_published_problems(pair: tuple[Law, Law], n: int) -> None:
    check_against_fractions(*pair, n, last=False)


@pytest.mark.parametrize(
    ("pair", "n", "acceptance"),
    [
        (exact.P1, 2, "988871/1000000"),
        (exact.P3, 2, "899031/1000000"),
        (exact.P4, 3, "610176679/1000000000"),
        (exact.P6, 3, "97351/125000"),
        (exact.P7, 2, "17/18"),
    ],
)
def test_published_optima(pair: tuple[Law, Law], n: int, acceptance: str) -> None:
    assert SEATS.acceptance(instance(*pair, n).problem) == pytest.approx(float(Fraction(acceptance)), abs=CLOSE)


def test_extreme_masses_against_fractions() -> None:
    for tiny in (1e-9, 1e-20, 1e-150, 1e-300):
        spread = law(1, tiny, 3 * tiny, 1e-3)
        for n in (1, 2, 3):
            check_against_fractions(law(1, 5, 3, 2), spread, n, last=False)
            check_against_fractions(spread, law(1, 5, 3, 2), n, last=True)
            check_against_fractions(spread, law(tiny, 1, 1e-3, 2 * tiny), n, last=False)


def problem_of(rng: np.random.Generator, drafting_law: str, vocab: int, n: int) -> Problem:
    draft = random_law(rng, n, vocab) if drafting_law == "independent" else random_law(rng, vocab)
    if drafting_law == "without_replacement":
        n = min(n, int((draft > 0).sum()))
    return Problem(random_law(rng, vocab), draft, n, drafting_law)


@pytest.mark.parametrize(("drafting_law", "n"), [("independent", 2), ("independent", 3), ("without_replacement", 2)])
def test_chain_against_enumeration(rng: np.random.Generator, drafting_law: str, n: int) -> None:
    """Drafters that have nothing to do with each other: gaps, clipped swaps and coincidences of the residual."""
    coincided = 0
    for _ in range(80 if n > 2 else 40):
        problem = problem_of(rng, drafting_law, int(rng.integers(2, 6)), n)
        if problem.n_drafts < n:
            continue
        kernel = Enumerated(problem)
        winner, output, acceptance = kernel.outcome(*drafting.get(drafting_law).joint_law(problem))
        np.testing.assert_allclose(winner, kernel.law, rtol=0, atol=1e-13)
        np.testing.assert_allclose(output, problem.target, rtol=0, atol=1e-13)
        np.testing.assert_allclose(SEATS.output_law(problem), problem.target, rtol=0, atol=1e-13)
        assert SEATS.acceptance(problem) == pytest.approx(acceptance, rel=0, abs=1e-13)
        planned = SEATS.plan(problem)
        assert planned.guaranteed == pytest.approx(np.minimum(problem.target, winner).sum(), abs=1e-13)
        assert planned.guaranteed <= acceptance + 1e-13 <= solve(problem).value + 2e-13
        assert planned.gap == pytest.approx(solve(problem).value - planned.guaranteed, abs=1e-12)
        coincided += acceptance > planned.guaranteed + 1e-6
    assert coincided or n == 2, "one problem in four has them where three drafters differ: else nothing was tested"


def test_equal_drafters_are_iid(rng: np.random.Generator) -> None:
    for _ in range(40):
        problem = problem_of(rng, "with_replacement", int(rng.integers(1, 9)), int(rng.integers(1, 6)))
        equal = Problem(problem.target, problem.draft_rows, problem.n_drafts, "independent")
        np.testing.assert_allclose(SEATS.plan(equal).law, SEATS.plan(problem).law, rtol=0, atol=1e-13)
        assert SEATS.acceptance(equal) == pytest.approx(solve(problem).value, abs=1e-13)


def softmax(logits: np.ndarray) -> np.ndarray:
    scaled = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(scaled / scaled.sum(axis=-1, keepdims=True))


def test_temperatures_of_one_model_reach_the_optimum(rng: np.random.Generator) -> None:
    """99.98 % of them do; the rest is what `gap` reports."""
    gaps = []
    for _ in range(150):
        vocab, n = int(rng.integers(3, 8)), int(rng.integers(2, 5))
        logits = rng.normal(size=vocab) * 2
        drafter = logits + rng.normal(size=vocab) * 0.7
        drafts = softmax(drafter / np.exp(rng.normal(size=(n, 1)) * 0.4))
        gaps.append(SEATS.plan(Problem(softmax(logits), drafts, n, "independent")).gap)
    assert np.mean(np.array(gaps) < 1e-12) > 0.95


def test_the_order_of_the_chain_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A problem on which drafters that weigh the same miss the best set of tokens, and .05 of acceptance."""
    drafts = [law(0, 4, 0, 3, 0, 4), law(8, 5, 1, 0, 5, 6)]
    problem = exact.Instance(law(10, 1, 6, 5, 4, 2), tuple(drafts), "independent").problem
    assert SEATS.plan(problem).gap < 1e-12
    monkeypatch.setattr("spectest.schemes.seats.chain._ROUNDS", 0)
    assert SEATS.plan(problem).gap > 0.05


def test_large_chains_that_reach_the_bound_need_no_count_of_coincidences(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spectest.schemes.seats.exact.MAX_COINCIDENCES", 0)
    target, draft = (softmax(3 * rng.normal(size=20_000)) for _ in range(2))
    for problem in (
        Problem(target, draft, 2, "without_replacement"),
        Problem(target, np.stack((draft, draft)), 2, "independent"),
    ):
        assert SEATS.acceptance(problem) == pytest.approx(SEATS.plan(problem).optimum.value, abs=1e-12)


def test_two_distinct_drafts_reach_the_optimum(rng: np.random.Generator) -> None:
    """99.96 % of random problems do, and no problem is known where all kernels of this kind fail."""
    gaps = []
    for _ in range(150):
        problem = problem_of(rng, "without_replacement", int(rng.integers(2, 8)), 2)
        planned = SEATS.plan(problem)
        gaps.append(planned.gap)
        assert SEATS.acceptance(problem) >= planned.guaranteed - 1e-15
    assert np.mean(np.array(gaps) < 1e-12) > 0.95


@pytest.mark.parametrize("tiny", [1e-6, 1e-12, 1e-15, 1e-100, 1e-290])
def test_two_distinct_drafts_where_one_token_has_almost_all_mass(tiny: float) -> None:
    problem = Problem([0.2, 0.3, 0.1, 0.4], [1 - 6 * tiny, tiny, 3 * tiny, 2 * tiny], 2, "without_replacement")
    best = optimal_acceptance(problem.target, problem.draft, 2, "without_replacement").value
    assert SEATS.acceptance(problem) == pytest.approx(best, abs=1e-12)
    assert SEATS.plan(problem).law.sum() == pytest.approx(1, abs=1e-12)


def test_one_draft_is_a_single_draft(rng: np.random.Generator) -> None:
    for drafting_law in SEATS.laws:
        problem = problem_of(rng, drafting_law, 6, 1)
        single = np.minimum(problem.target, problem.draft_rows[0]).sum()
        assert SEATS.acceptance(problem) == pytest.approx(single, abs=1e-14)
        np.testing.assert_allclose(SEATS.plan(problem).law, problem.draft_rows[0], rtol=0, atol=1e-15)


def test_plan_says_what_it_is_worth() -> None:
    planned = SEATS.plan(Problem([0.1, 0.2, 0.7], [0.6, 0.3, 0.1], 2))
    assert planned.to_dict() == {
        "guaranteed": pytest.approx(0.49),
        "gap": pytest.approx(0, abs=1e-15),
        "optimum": planned.optimum.to_dict(),
    }


def test_what_it_is_not_for_is_refused() -> None:
    law_of_drafts = np.full(4, 0.25)
    for method in (SEATS.acceptance, SEATS.output_law, SEATS.plan):
        with pytest.raises(InvalidProblem, match="`n_drafts` must be at most 2 for seats without replacement, got 3"):
            method(Problem(law_of_drafts, law_of_drafts, 3, "without_replacement"))
    with pytest.raises(ProblemTooLarge, match="all tokens but one are drafted with less than 1e-300"):
        SEATS.acceptance(Problem([0.5, 0.5], [1, 1e-305], 2, "without_replacement"))


def test_too_many_coincidences_are_said_never_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    for _ in range(100):
        drafts = generator.dirichlet(np.full(6, 0.3), size=3)
        problem = Problem(generator.dirichlet(np.ones(6)), drafts, 3, "independent")
        if SEATS.acceptance(problem) > SEATS.plan(problem).guaranteed + 1e-6:
            break
    monkeypatch.setattr("spectest.schemes.seats.exact.MAX_COINCIDENCES", 1)
    with pytest.raises(ProblemTooLarge, match=r"coincidences of the residual .* more than 1; `Seats\(\)\.plan"):
        SEATS.acceptance(problem)
