"""Greedy and hub drafts: the closed form, its subset, published figures, and where arithmetic could go wrong."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given

from spectest import Problem, drafting, strategies
from spectest.optimum import cut_value, lp_oracle, optimal_acceptance, solve
from spectest.optimum.subsets import enumerate_subsets
from spectest.problem import DRAFTING
from tests.optimum.independent import simplex

LAWS = ("greedy", "hub")
P6 = ([0.03, 0.41, 0.03, 0.28, 0.25], [0.43, 0.30, 0.07, 0.02, 0.18])


def exact(target: np.ndarray, draft: np.ndarray, n: int) -> Fraction:
    """The least 1 + p(H) - Q(H) over all subsets, in rationals, Q(H) summed over the last draft."""
    p, q = ([Fraction(float(x)) for x in law] for law in (target, draft))
    p, q = [x / sum(p) for x in p], [x / sum(q) for x in q]
    order = sorted(range(len(q)), key=lambda x: (-q[x], x))
    top, rest = set(order[: n - 1]), order[n - 1 :]
    left = sum(q[x] for x in rest)
    best = Fraction(1)
    for size in range(len(p) + 1):
        for h in combinations(range(len(p)), size):
            inside = sum((q[x] for x in rest if x in h), Fraction(0)) / left if top <= set(h) else 0
            best = min(best, 1 + sum((p[x] for x in h), Fraction(0)) - inside)
    return best


@pytest.mark.parametrize("law", LAWS)
def test_against_rationals_and_every_subset(law: str) -> None:
    rng = np.random.default_rng()
    for _ in range(120):
        vocab = int(rng.integers(1, 7))
        target, draft = simplex(rng, vocab), simplex(rng, vocab)
        problem = Problem(target, draft, DRAFTING[law].drafts(int(rng.integers(1, 5)), int((draft > 0).sum())), law)
        found = solve(problem)
        assert (found.method, found.exact) == ("closed form", True)
        assert found.value == pytest.approx(float(exact(target, draft, problem.n_drafts)), abs=5e-15), problem
        assert found.value == pytest.approx(cut_value(problem, found.subset), abs=5e-15), problem
        assert found.value == pytest.approx(enumerate_subsets(problem).value, abs=5e-15), problem


@given(strategies.problems(vocab=(1, 7), n_drafts=(1, 4), drafting=LAWS))
def test_against_linear_program(problem: Problem) -> None:
    found = solve(problem)
    assert found.value == pytest.approx(lp_oracle(problem), abs=1e-12)
    assert found.value == pytest.approx(cut_value(problem, found.subset), abs=5e-15)


def test_pairs_around_a_hub_are_worth_two_greedy_drafts() -> None:
    rng = np.random.default_rng()
    for vocab in (2, 5, 300):
        target, draft = rng.dirichlet(np.full(vocab, 0.5), size=2)
        greedy, hub = (optimal_acceptance(target, draft, 2, law) for law in LAWS)
        assert greedy.value == hub.value
        assert np.array_equal(greedy.subset, hub.subset)


def test_published_values() -> None:
    for law in LAWS:
        assert optimal_acceptance(*P6, 2, law).value == pytest.approx(0.7550877, abs=5e-8)
    assert optimal_acceptance(*P6, 3, "greedy").value == pytest.approx(0.7940741, abs=5e-8)


def test_ties_go_by_id() -> None:
    """Which of two equally likely tokens is always drafted decides the optimum."""
    draft = [0.2, 0.4, 0.4]
    for target, expected in (([0.0, 1.0, 0.0], 1.0), ([0.0, 0.0, 1.0], 2 / 3)):
        assert optimal_acceptance(target, draft, 2, "greedy").value == pytest.approx(expected, abs=5e-15)


def test_what_is_left_is_summed_not_subtracted() -> None:
    """1 - q(A) would be 0 or noise: the last draft is one of two tokens of mass 1e-38, evenly."""
    draft = [1.0, 1e-38, 1e-38]
    for law in LAWS:
        found = optimal_acceptance([0.1, 0.6, 0.3], draft, 2, law)
        assert found.value == pytest.approx(0.1 + 0.5 + 0.3, abs=5e-15)
        assert found.to_dict()["subset"] == [0, 2]


def test_greedy_is_neither_above_nor_below_the_other_laws() -> None:
    """Traps: "greedy is at least the optimum with replacement", and "without replacement is at least greedy"."""
    rng = np.random.default_rng()
    below, above = 0, 0
    for _ in range(300):
        target, draft = rng.dirichlet(np.full(4, 0.7), size=2)
        greedy = optimal_acceptance(target, draft, 2, "greedy").value
        below += greedy < optimal_acceptance(target, draft, 2).value - 1e-9
        above += greedy > optimal_acceptance(target, draft, 2, "without_replacement").value + 1e-9
    assert below > 0
    assert above > 0


def test_full_vocabulary() -> None:
    rng = np.random.default_rng()
    vocab = 128_256
    logits = 2 * rng.normal(size=vocab)
    target, draft = (np.exp(x) / np.exp(x).sum() for x in (logits, logits + 2 * rng.normal(size=vocab)))
    for n_drafts, law in ((2, "hub"), (4, "greedy"), (9, "greedy")):
        problem = Problem(target, draft, n_drafts, law)
        found = solve(problem)
        assert found.value == pytest.approx(cut_value(problem, found.subset), abs=1e-13)
        top = np.argsort(-draft, kind="stable")[: n_drafts - 1]
        assert found.subset[top].all()
        assert found.value <= np.minimum(problem.target, drafting.get(law).inclusion(problem)).sum() + 1e-13
