"""K-SEQ: published fractions, the root rho*, and what happens above and below it."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spectest import InvalidProblem, Problem, UsageError, schemes
from spectest.schemes.k_seq import KSeq, rho_star
from spectest.schemes.k_seq.plan import least_rho
from tests.schemes import enumeration as exact
from tests.schemes.baselines_enumerated import instances, k_seq_given, outcome
from tests.schemes.enumeration import Instance, instance, law
from tests.schemes.sampled import ALPHA, draw_drafts, law_p_value, random_law

K_SEQ = KSeq()
CLOSE = 1e-14

#: Draft uniform(3), n = 2, target (first, x, 1 - first - x): the K-SEQ columns of Khisti et al.'s figure.
PANELS = [
    (Fraction(1, 3), "0 1/18 1/9 1/6 2/9 1/3 5/9 2/3", ".81142 .85092 .88889 .92476 .95756 1 .88889 .81142"),
    (
        Fraction(1, 6),
        "0 1/6 5/18 1/3 7/18 5/9 13/18 5/6",
        ".68661 .81142 .88889 .92476 .95756 .88889 .77072 .68661",
    ),
]


@pytest.mark.parametrize(
    ("laws", "n", "rho", "acceptance", "digits"),
    [
        (exact.P5, 2, 4 / 3, 8 / 9, CLOSE),
        (exact.P6, 2, 3 / 2, 3 / 4, CLOSE),
        (exact.P6, 3, 2.0073574, 0.7601471, 5e-8),
    ],
)
def test_published_values(laws: Any, n: int, rho: float, acceptance: float, digits: float) -> None:
    problem = instance(laws[0], laws[1], n).problem
    assert rho_star(problem.target, problem.draft, n) == pytest.approx(rho, rel=0, abs=digits)
    assert K_SEQ.acceptance(problem) == pytest.approx(acceptance, rel=0, abs=digits)


@pytest.mark.parametrize(("first", "xs", "published"), PANELS)
def test_published_panels(first: Fraction, xs: str, published: str) -> None:
    for x, value in zip(map(Fraction, xs.split()), map(float, published.split()), strict=True):
        problem = instance(law(first, x, 1 - first - x), law(1, 1, 1), 2).problem
        assert K_SEQ.acceptance(problem) == pytest.approx(value, rel=0, abs=5e-6)


@pytest.mark.parametrize(
    ("case", "acceptance"),
    [
        (instance(law(1, 1, 0), law(0, 1, 1), 2), 0.5),
        (instance(law(1, 0, 0), law(2, 3, 5), 3), 0.488),
        (instance(law(2, 3, 5), law(1, 0, 0), 3), 0.2),
        (instance(law(1), law(1), 3), 1.0),
        (instance(law(1, 0), law(0, 1), 2), 0.0),
    ],
)
def test_degenerate_problems(case: Instance, acceptance: float) -> None:
    assert K_SEQ.acceptance(case.problem) == pytest.approx(acceptance, abs=CLOSE)
    np.testing.assert_allclose(K_SEQ.output_law(case.problem), case.problem.target, rtol=0, atol=CLOSE)


def test_equal_laws_have_rho_one() -> None:
    assert rho_star(np.array([0.2, 0.3, 0.5]), np.array([0.2, 0.3, 0.5]), 4) == 1
    assert K_SEQ.acceptance(Problem([0.2, 0.3, 0.5], [0.2, 0.3, 0.5], 4)) == pytest.approx(1, abs=CLOSE)


def excess(case: Instance, rho: Fraction) -> Fraction:
    """1 - (1 - beta)^n - rho beta: positive below rho*."""
    beta = sum(min(p / rho, q) for p, q in zip(case.target, case.drafts[0], strict=True))
    return 1 - (1 - beta) ** len(case.drafts) - rho * beta


@given(instances("with_replacement", n=4))
def test_rho_star_is_the_root(case: Instance) -> None:
    problem, n = case.problem, len(case.drafts)
    rho = Fraction(rho_star(problem.target, problem.draft, n))
    assert 1 <= rho <= n
    assert excess(case, rho * (1 + Fraction(1, 10**13))) <= Fraction(1, 10**14)
    below = rho * (1 - Fraction(1, 10**13))
    assert below < 1 or excess(case, below) >= -Fraction(1, 10**14)
    # The same root for tensors, rounded up, by another method.
    target, draft = torch.tensor(problem.target), torch.tensor(problem.draft)
    above = Fraction(float(least_rho(target, draft, n)))
    assert 1 <= above <= n
    assert abs(excess(case, above)) <= Fraction(1, 10**14)


@given(instances("with_replacement", n=4))
def test_rho_star_against_enumeration(case: Instance) -> None:
    problem = case.problem
    rho = Fraction(rho_star(problem.target, problem.draft, problem.n_drafts))
    output_law, acceptance = outcome(case, k_seq_given(rho))
    assert K_SEQ.acceptance(problem) == pytest.approx(float(acceptance), rel=0, abs=CLOSE)
    assert K_SEQ.acceptance(problem) >= float(exact.rejection(case)[1]) - CLOSE, "never below recursive rejection"
    np.testing.assert_allclose(list(map(float, output_law)), problem.target, rtol=0, atol=CLOSE)
    np.testing.assert_allclose(K_SEQ.output_law(problem), problem.target, rtol=0, atol=CLOSE)


@given(instances("with_replacement"), st.fractions(0, 1, max_denominator=20))
def test_any_rho_from_rho_star_to_n_against_enumeration(case: Instance, part: Fraction) -> None:
    problem, n = case.problem, len(case.drafts)
    least = rho_star(problem.target, problem.draft, n)
    rho = Fraction(least + (n - least) * float(part))
    output_law, acceptance = outcome(case, k_seq_given(rho))
    scheme = schemes.get("k_seq", rho=float(rho))
    assert scheme.acceptance(problem) == pytest.approx(float(acceptance), rel=0, abs=CLOSE)
    np.testing.assert_allclose(scheme.output_law(problem), list(map(float, output_law)), rtol=0, atol=CLOSE)
    np.testing.assert_allclose(list(map(float, output_law)), problem.target, rtol=0, atol=1e-12)


def test_below_rho_star_it_is_not_lossless_and_refused() -> None:
    case = instance(*exact.P6, 2)  # rho* = 3/2
    for rho in (Fraction(1), Fraction(149, 100)):
        output_law, _ = outcome(case, k_seq_given(rho))
        assert max(abs(a - b) for a, b in zip(output_law, case.target, strict=True)) > Fraction(1, 1000)
        scheme = schemes.get("k_seq", rho=float(rho))
        with pytest.raises(InvalidProblem, match=re.escape("at least rho* = 1.5 of the problem")):
            scheme.acceptance(case.problem)
        with pytest.raises(InvalidProblem, match=re.escape("rho*")):
            scheme.output_law(case.problem)
        target, draft = torch.tensor(case.problem.target), torch.tensor(case.problem.draft_rows.copy())
        ids = torch.zeros((3, 2), dtype=torch.int64)
        with pytest.raises(UsageError, match=re.escape("`rho` must be at least rho* of every row, got")):
            scheme.select(target.expand(3, -1), draft.expand(3, -1, -1), ids, torch.Generator())


@pytest.mark.parametrize("rho", [0.5, 0, float("nan"), float("inf"), "2", True])
def test_a_rho_that_cannot_be(rho: Any) -> None:
    with pytest.raises(UsageError, match="`rho` of k_seq must be a finite number of at least 1"):
        schemes.get("k_seq", rho=rho)


@pytest.mark.parametrize("expanded", [False, True])
def test_select_at_a_rho_of_ones_own(expanded: bool) -> None:  # noqa: FBT001 (a parameter of the test)
    rng, size = np.random.default_rng(), 40_000
    problem = instance(*exact.P6, 3).problem
    target, draft = torch.tensor(problem.target), torch.tensor(problem.draft_rows.copy())
    tensors = target.expand(size, -1), draft.expand(size, -1, -1)
    ids = draw_drafts(rng, problem.draft_rows, size, distinct=False)
    seed = int(rng.integers(2**40))
    for rho in (2.5, 3, 10):
        scheme = schemes.get("k_seq", rho=rho)
        p, q = tensors if expanded else (tensors[0].contiguous(), tensors[1].contiguous())
        tokens = scheme.select(p, q, ids, torch.Generator().manual_seed(seed))
        assert law_p_value(tokens, problem.target) > ALPHA


def test_rows_of_a_batch_have_a_rho_each() -> None:
    """Newton's method with its bracket, on laws from nearly equal to nearly disjoint."""
    rng = np.random.default_rng()
    for vocab, n in ((1, 3), (2, 2), (5, 4), (100, 8), (1000, 64)):
        target, draft = random_law(rng, 40, vocab), random_law(rng, 40, vocab)
        draft[:10] = target[:10]
        draft[10:20] = target[10:20] * np.exp(1e-7 * rng.standard_normal((10, vocab)))
        draft[20:30] **= 12
        draft /= draft.sum(axis=1, keepdims=True)
        found = least_rho(torch.tensor(target), torch.tensor(draft), n)[:, 0].numpy()
        for p, q, rho in zip(target, draft, found, strict=True):
            least = rho_star(p, q, n)
            assert np.minimum(p, rho * q).sum() == pytest.approx(np.minimum(p, least * q).sum(), rel=0, abs=1e-13)


def test_any_vocabulary() -> None:
    weights = 1 / np.arange(1.0, 128_001)
    problem = Problem(weights / weights.sum(), weights[::-1] ** 0.5 / (weights**0.5).sum(), 8)
    np.testing.assert_allclose(K_SEQ.output_law(problem), problem.target, rtol=0, atol=CLOSE)
    assert schemes.get("recursive_rejection").acceptance(problem) <= K_SEQ.acceptance(problem) < 1
