"""Gumbel list sampling: rational integrals over small vocabularies, published bounds, and the coupling itself."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from scipy import stats

from spectest import Problem, schemes
from spectest.optimum import bound
from tests.schemes import enumeration as exact
from tests.schemes.baselines_enumerated import gumbel_joint, instances
from tests.schemes.enumeration import Instance, instance, law, tuples
from tests.schemes.sampled import ALPHA, random_law

GUMBEL = schemes.get("gumbel_list")
CLOSE = 1e-14


def check(case: Instance) -> None:
    joint = gumbel_joint(case)
    for ids, mass in tuples(case):
        assert sum(joint[ids, y] for y in range(len(case.target))) == mass, "the drafts have their law"
    for y, mass in enumerate(case.target):
        assert sum(joint[ids, y] for ids, _ in tuples(case)) == mass, "the output has the target's"
    acceptance = sum((mass for (ids, y), mass in joint.items() if y in ids), start=Fraction(0))
    assert GUMBEL.acceptance(case.problem) == pytest.approx(float(acceptance), rel=0, abs=CLOSE)
    np.testing.assert_allclose(GUMBEL.output_law(case.problem), case.problem.target, rtol=0, atol=CLOSE)


@settings(max_examples=40)
@given(instances(*GUMBEL.laws, vocab=3, n=2))
def test_against_enumeration(case: Instance) -> None:
    check(case)


@pytest.mark.parametrize(
    "case",
    [
        instance(*exact.P6, 2),
        instance(law(3, 1, 4, 0), law(2, 0, 5, 1), 3),
        Instance(exact.P6[0], (exact.P6[1], exact.SECOND_DRAFTER), "independent"),
        Instance(law(3, 1, 4), (law(2, 5, 1), law(1, 0, 1), law(1, 1, 1)), "independent"),
    ],
    ids=str,
)
def test_more_drafts_against_enumeration(case: Instance) -> None:
    check(case)


def closed_form(target: np.ndarray, draft: np.ndarray) -> float:
    """The published acceptance of one draft."""
    both = (target > 0) & (draft > 0)
    with np.errstate(over="ignore"):  # 1 / inf = 0: that token is never met
        terms = [1 / np.maximum(target / p, draft / q).sum() for p, q in zip(target[both], draft[both], strict=True)]
    return float(sum(terms))


def test_one_draft_has_the_published_closed_form() -> None:
    rng = np.random.default_rng()
    for vocab in (1, 2, 10, 300):
        target, draft = random_law(rng, vocab), random_law(rng, vocab)
        acceptance = GUMBEL.acceptance(Problem(target, draft))
        assert acceptance == pytest.approx(closed_form(target, draft), rel=0, abs=CLOSE)
        distance = np.abs(target - draft).sum() / 2
        assert (1 - distance) / (1 + distance) - CLOSE <= acceptance <= 1 - distance + CLOSE


def lemma(target: np.ndarray, draft: np.ndarray, n: int) -> float:
    """The list matching lemma's lower bound on the acceptance."""
    both = (target > 0) & (draft > 0)
    return float(
        sum(
            n / (np.maximum(target / p, draft / q).sum() + (n - 1) / p)
            for p, q in zip(target[both], draft[both], strict=True)
        )
    )


@pytest.mark.parametrize(("n", "published", "bounded"), [(2, 0.6227, 0.59708), (3, 0.6958, 0.65648)])
def test_published_values(n: int, published: float, bounded: float) -> None:
    """The published acceptances are simulated, to about 1e-3; the lemma's bounds are exact."""
    problem = instance(*exact.P6, n).problem
    assert GUMBEL.acceptance(problem) == pytest.approx(published, abs=1e-3)
    assert lemma(problem.target, problem.draft, n) == pytest.approx(bounded, abs=5e-6)


def test_bounds() -> None:
    rng = np.random.default_rng()
    for _ in range(30):
        n, vocab = int(rng.integers(1, 6)), int(rng.integers(1, 8))
        target, draft = random_law(rng, vocab), random_law(rng, n, vocab)
        for problem in (Problem(target, draft[0], n), Problem(target, draft, n, "independent")):
            acceptance = GUMBEL.acceptance(problem)
            assert acceptance <= bound(problem).value + 1e-12
            if problem.drafting == "with_replacement":
                assert acceptance >= lemma(target, draft[0], n) - 1e-12


def test_equal_laws_and_equal_drafters() -> None:
    target, draft = exact.P4
    problem = instance(target, target, 1).problem
    assert GUMBEL.acceptance(problem) == pytest.approx(1, abs=CLOSE)
    replaced, independent = instance(target, draft, 4).problem, Instance(target, (draft,) * 4, "independent").problem
    assert GUMBEL.acceptance(replaced) == pytest.approx(GUMBEL.acceptance(independent), rel=0, abs=CLOSE)


def test_drafters_may_come_in_any_order() -> None:
    drafts = np.random.default_rng().dirichlet(np.full(8, 0.5), size=3)
    target = drafts.mean(axis=0)
    values = [GUMBEL.acceptance(Problem(target, drafts[order], 3, "independent")) for order in ([0, 1, 2], [2, 0, 1])]
    assert values[0] == pytest.approx(values[1], rel=0, abs=CLOSE)


@pytest.mark.parametrize("law_name", GUMBEL.laws)
def test_against_the_coupling_simulated(law_name: str) -> None:
    """Sheets of exponentials, drafts and output read off them: nothing is drawn again given the drafts."""
    rng = np.random.default_rng()
    size, n, vocab = 100_000, 4, 12
    target = rng.dirichlet(np.full(vocab, 0.7))
    drafts = rng.dirichlet(np.full(vocab, 0.7), size=n)
    if law_name == "with_replacement":
        drafts[1:] = drafts[0]
    noise = rng.exponential(size=(size, n, vocab))
    drafted, output = (noise / drafts).argmin(axis=2), (noise.min(axis=1) / target).argmin(axis=1)
    accepted = int((drafted == output[:, None]).any(axis=1).sum())
    problem = Problem(target, drafts if law_name == "independent" else drafts[0], n, law_name)
    assert stats.binomtest(accepted, size, GUMBEL.acceptance(problem)).pvalue > ALPHA


@pytest.mark.parametrize("tiny", [1e-15, 1e-100, 1e-300, 5e-324])
def test_masses_of_any_size(tiny: float) -> None:
    target, draft = np.array([0.2, 0.3, 0.1, 0.4]), np.array([1, tiny, 3 * tiny, 0])
    assert GUMBEL.acceptance(Problem(target, draft)) == pytest.approx(closed_form(target, draft), rel=0, abs=CLOSE)
    assert GUMBEL.acceptance(Problem(draft, target)) == pytest.approx(closed_form(draft, target), rel=0, abs=CLOSE)
    np.testing.assert_allclose(GUMBEL.output_law(Problem(target, draft, 3)), target, rtol=0, atol=CLOSE)
    np.testing.assert_allclose(GUMBEL.output_law(Problem(draft, target, 3)), draft, rtol=0, atol=CLOSE)


def test_any_vocabulary() -> None:
    weights = 1 / np.arange(1.0, 5_001)
    problem = Problem(weights / weights.sum(), np.random.default_rng().permutation(weights) / weights.sum(), 8)
    np.testing.assert_allclose(GUMBEL.output_law(problem), problem.target, rtol=0, atol=1e-13)
    assert lemma_of_many(problem) <= GUMBEL.acceptance(problem) <= bound(problem).value


def lemma_of_many(problem: Problem) -> float:
    """The lemma's bound, from a thousand tokens of many: a lower bound still."""
    few = np.arange(0, problem.vocab_size, 20)
    return float(
        sum(
            8
            / (
                np.maximum(problem.target / problem.target[j], problem.draft / problem.draft[j]).sum()
                + 7 / problem.target[j]
            )
            for j in few
        )
    )
