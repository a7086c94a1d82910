"""One step of greedy block verification: the order of p / q is strict, and rejected winners leave drafts below them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given

from spectest import Problem, schemes
from spectest.optimum import solve
from spectest.schemes.greedy_block import _law_and_rank, _ordered
from tests.schemes import enumeration as exact
from tests.schemes.baselines_enumerated import greedy_block_given, instances, outcome
from tests.schemes.enumeration import Instance, instance, law

BLOCK = schemes.get("greedy_block")
CLOSE = 1e-14


@given(instances("with_replacement"))
def test_against_enumeration(case: Instance) -> None:
    output_law, acceptance = outcome(case, greedy_block_given)
    assert output_law == case.target, "the scheme is lossless"
    assert BLOCK.acceptance(case.problem) == pytest.approx(float(acceptance), rel=0, abs=CLOSE)
    np.testing.assert_allclose(BLOCK.output_law(case.problem), list(map(float, output_law)), rtol=0, atol=CLOSE)


def test_published_values() -> None:
    """By accept events .7396, by membership more: residual draws meet the draft that was not kept."""
    problem = instance(*exact.P6, 2).problem
    assert BLOCK.acceptance(problem) == pytest.approx(0.74142, abs=5e-6)
    ratio = problem.target / problem.draft
    upto = np.array([problem.draft[ratio <= r].sum() for r in ratio])
    law_of_kept = upto**2 - (upto - problem.draft) ** 2
    assert np.minimum(problem.target, law_of_kept).sum() == pytest.approx(0.7396, abs=1e-12)


def directly(case: Instance) -> Fraction:
    """The acceptance by every pair (kept, met), in fractions: no tuple is enumerated, so that n may be large."""
    n, draft = len(case.drafts), case.drafts[0]
    order = sorted((x for x in range(len(draft)) if draft[x]), key=lambda x: (case.target[x] / draft[x], x))
    upto = {x: sum((draft[y] for y in order[: k + 1]), start=Fraction(0)) for k, x in enumerate(order)}
    kept = {x: upto[x] ** n - (upto[x] - draft[x]) ** n for x in order}
    residual = {y: max(mass - kept.get(y, 0), Fraction(0)) for y, mass in enumerate(case.target)}
    total = sum(residual.values())
    acceptance = sum((min(case.target[x], kept[x]) for x in order), start=Fraction(0))
    for k, y in enumerate(order):
        for z in order[k + 1 :]:
            both = kept[z] - ((upto[z] - draft[y]) ** n - (upto[z] - draft[z] - draft[y]) ** n)
            if total and kept[z] > case.target[z]:
                acceptance += residual[y] / total * both * (1 - case.target[z] / kept[z])
    return acceptance


@pytest.mark.parametrize("n", [2, 3, 8, 16, 64])
def test_many_drafts(n: int) -> None:
    """Light and heavy tokens: the expansion in powers of q alternates, and may only be used for the light ones."""
    rng = np.random.default_rng()
    for concentration in (0.1, 0.5, 5.0):
        for vocab in (2, 5, 12):
            target, draft = (law(*rng.dirichlet(np.full(vocab, concentration))) for _ in range(2))
            case = instance(target, draft, n)
            assert BLOCK.acceptance(case.problem) == pytest.approx(float(directly(case)), rel=0, abs=1e-13)


def test_ties_are_broken_by_id() -> None:
    """Where p = q every ratio is 1, and the draft of largest id is kept."""
    case = instance(law(1, 1, 1, 1), law(1, 1, 1, 1), 2)
    assert directly(case) == outcome(case, greedy_block_given)[1]
    assert BLOCK.acceptance(case.problem) == pytest.approx(float(directly(case)), abs=CLOSE)
    assert BLOCK.acceptance(case.problem) < 1


def test_it_can_be_worse_than_one_draft_and_never_beats_the_optimum() -> None:
    problem = Problem([0.5, 0.5], [0.5, 0.5], 2)
    assert BLOCK.acceptance(problem) < schemes.get("single_draft").acceptance(Problem([0.5, 0.5], [0.5, 0.5]))
    rng = np.random.default_rng()
    for _ in range(100):
        problem = Problem(rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(6)), int(rng.integers(1, 5)))
        assert BLOCK.acceptance(problem) <= solve(problem).value + 1e-12


def test_any_vocabulary() -> None:
    weights = 1 / np.arange(1.0, 128_001)
    problem = Problem(weights / weights.sum(), np.random.default_rng().permutation(weights) / weights.sum(), 8)
    np.testing.assert_allclose(BLOCK.output_law(problem), problem.target, rtol=0, atol=1e-13)
    assert BLOCK.acceptance(problem) <= solve(problem).value


def test_selecting_breaks_the_same_ties_as_the_acceptance() -> None:
    """Ratios that are equal in fractions differ in their last bits, and not the same way in both."""
    rng = np.random.default_rng()
    target, draft = rng.integers(0, 7, (500, 12)).astype(np.float64), rng.integers(1, 7, (500, 12)).astype(np.float64)
    target[:, 0] += 1
    exactly = np.lexsort((np.broadcast_to(np.arange(12), target.shape), target * (60 / draft)))
    target /= target.sum(axis=1, keepdims=True)
    draft /= draft.sum(axis=1, keepdims=True)
    _, rank = _law_and_rank(torch.tensor(target), torch.tensor(draft), 2)
    for p, q, place, order in zip(target, draft, rank, exactly, strict=True):
        assert place.argsort().tolist() == _ordered(Problem(p, q)).order.tolist() == order.tolist()
