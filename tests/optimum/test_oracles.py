"""The optimum three ways: formula, linear program, max-flow; and what must hold between problems."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from spectest import drafting
from spectest.errors import InvalidProblem
from spectest.optimum import Optimum, bound, cut_value, lp_oracle, lp_plan, optimal_acceptance, prefix, solve
from spectest.optimum.plan import sets_of
from spectest.optimum.search import search
from spectest.problem import DRAFTING, Problem
from tests.optimum.independent import max_flow, simplex

if TYPE_CHECKING:
    from collections.abc import Iterator

LAWS = ["with_replacement", "without_replacement", "independent", "greedy", "hub"]


def problems(law: str, count: int, largest: int = 6, drafts: int = 4) -> Iterator[Problem]:
    rng = np.random.default_rng()
    for _ in range(count):
        vocab, n = int(rng.integers(1, largest + 1)), int(rng.integers(1, drafts + 1))
        rows = np.array([simplex(rng, vocab) for _ in range(n)])
        target = rows[0] if rng.random() < 0.1 else simplex(rng, vocab)
        n = DRAFTING[law].drafts(n, int((rows[0] > 0).sum()))
        yield Problem(target, rows if law == "independent" else rows[0], n, law)


@pytest.mark.parametrize("law", LAWS)
def test_against_linear_program(law: str) -> None:
    for problem in problems(law, 120):
        assert solve(problem).value == pytest.approx(lp_oracle(problem), abs=1e-11), problem


@pytest.mark.parametrize("law", LAWS)
def test_against_max_flow(law: str) -> None:
    for problem in problems(law, 120):
        assert solve(problem).value == pytest.approx(max_flow(problem.target, sets_of(problem)), abs=1e-13), problem


@pytest.mark.parametrize("law", LAWS)
def test_against_every_subset_of_the_joint_law(law: str) -> None:
    """The minimum over subsets with Q(H) summed tuple by tuple; and the certificate re-checked the same way."""
    for problem in problems(law, 100, largest=7, drafts=3):
        tuples, mass = drafting.get(law).joint_law(problem)
        subsets = (np.arange(1 << problem.vocab_size)[:, None] >> np.arange(problem.vocab_size) & 1).astype(bool)
        values = subsets @ problem.target + [1 - mass[h[tuples].all(axis=1)].sum() for h in subsets]
        found = solve(problem)
        assert found.value == pytest.approx(values.min(), abs=1e-13), problem
        contained = mass[found.subset[tuples].all(axis=1)].sum()
        assert found.value == pytest.approx(1 + problem.target[found.subset].sum() - contained, abs=1e-13)


def test_without_replacement_prefixes_against_every_subset() -> None:
    """Hu et al.'s theorem, which larger problems rely on."""
    for problem in problems("without_replacement", 300, largest=9, drafts=5):
        assert prefix.without_replacement(problem).value == pytest.approx(solve(problem).value, abs=1e-13), problem


@pytest.mark.parametrize("n_drafts", [2, 3])
def test_without_replacement_beyond_enumeration_against_linear_program(n_drafts: int) -> None:
    rng = np.random.default_rng()
    for concentration in (0.2, 1.0):
        vocab = 24
        target, draft = rng.dirichlet(np.full(vocab, concentration), size=2)
        problem = Problem(target, draft, n_drafts, "without_replacement")
        found = solve(problem)
        assert found.method == "prefix"
        assert found.value == pytest.approx(lp_oracle(problem), abs=1e-11)


@pytest.mark.parametrize("law", LAWS)
def test_plan_is_a_transport(law: str) -> None:
    for problem in problems(law, 30):
        plan = lp_plan(problem)
        assert plan.mass.sum() == pytest.approx(1, abs=1e-13)
        assert (plan.shipped[~plan.sets] == 0).all()
        assert (plan.shipped >= 0).all()
        assert (plan.shipped.sum(axis=0) <= problem.target + 1e-9).all()
        assert (plan.shipped.sum(axis=1) <= plan.mass + 1e-9).all()
        assert plan.value == pytest.approx(plan.shipped.sum())


def test_sets_of_repeated_drafts_are_merged() -> None:
    members, mass = sets_of(Problem([0.5, 0.5], [0.25, 0.75], 3))
    found = {tuple(s): m for s, m in zip(members.tolist(), mass.tolist(), strict=True)}
    assert found == {(0, 2, 2): 1 / 64, (1, 2, 2): 27 / 64, (0, 1, 2): 36 / 64}


@pytest.mark.parametrize("law", [law for law in LAWS if DRAFTING[law].fixed_drafts is None])
def test_one_draft_is_the_overlap(law: str) -> None:
    rng = np.random.default_rng()
    for vocab in (1, 2, 7, 500):
        target, draft = simplex(rng, vocab), simplex(rng, vocab)
        found = optimal_acceptance(target, draft[None] if law == "independent" else draft, 1, law)
        assert found.value == pytest.approx(np.minimum(target, draft).sum(), abs=1e-13)


def test_between_problems() -> None:
    """More drafts never hurt; distinct drafts are never worse than repeated ones; V = 200 beside V = 8."""
    rng = np.random.default_rng()
    for vocab in (8, 8, 8, 200):
        target, draft = rng.dirichlet(np.full(vocab, 0.5), size=2)
        repeated = [optimal_acceptance(target, draft, n).value for n in range(1, 6)]
        distinct = [optimal_acceptance(target, draft, n, "without_replacement").value for n in range(1, 6)]
        assert (np.diff(repeated) > -1e-13).all()
        assert (np.diff(distinct) > -1e-12).all()
        assert (np.subtract(distinct, repeated) > -1e-12).all()


def test_value_does_not_depend_on_the_names_of_tokens() -> None:
    rng = np.random.default_rng()
    target, draft = rng.dirichlet(np.full(2000, 0.3), size=2)
    names = rng.permutation(2000)
    found, renamed = optimal_acceptance(target, draft, 3), optimal_acceptance(target[names], draft[names], 3)
    assert renamed.value == pytest.approx(found.value, abs=1e-13)
    assert renamed.value == pytest.approx(cut_value(Problem(target, draft, 3), found.subset), abs=1e-13)


def test_bound_is_exact_where_it_can_be() -> None:
    for problem in problems("independent", 20):
        assert bound(problem).to_dict() == solve(problem).to_dict()


def test_search_is_an_upper_bound_and_seldom_loose() -> None:
    loose = 0
    for problem in problems("independent", 200, largest=8):
        found, best = search(problem), solve(problem)
        assert not found.exact
        assert found.value >= best.value - 1e-13
        loose += found.value > best.value + 1e-12
        inclusion = drafting.get("independent").inclusion(problem)
        assert found.value <= np.minimum(problem.target, inclusion).sum() + 1e-13
    assert loose <= 20  # about one in 50,000 is expected


def test_different_drafters_beyond_enumeration() -> None:
    rng = np.random.default_rng()
    target, *rows = rng.dirichlet(np.ones(40), size=3)
    problem = Problem(target, rows, 2, "independent")
    found = solve(problem)
    assert (found.method, found.exact) == ("branch and bound", True)
    assert found.value == pytest.approx(lp_oracle(problem), abs=1e-11)
    # Equal drafters and small supports are exact to rounding at any V.
    assert solve(Problem(target, [rows[0]] * 2, 2, "independent")).exact
    narrow = np.zeros((2, 5000))
    narrow[:, 7:12] = rng.dirichlet(np.ones(5), size=2)
    wide = solve(Problem(rng.dirichlet(np.ones(5000)), narrow, 2, "independent"))
    assert wide.method == "subsets"
    assert set(np.flatnonzero(wide.subset)) <= set(range(7, 12))


def test_full_vocabulary() -> None:
    rng = np.random.default_rng()
    vocab = 128256
    logits = rng.normal(size=vocab) * 2
    target, draft = (np.exp(x) / np.exp(x).sum() for x in (logits, logits + 2 * rng.normal(size=vocab)))
    for n_drafts, law in ((4, "with_replacement"), (2, "without_replacement")):
        problem = Problem(target, draft, n_drafts, law)
        found = solve(problem)
        assert found.value == pytest.approx(cut_value(problem, found.subset), abs=1e-12)
        assert 0 < found.value < 1


def test_certain_acceptance_is_exactly_one() -> None:
    rng = np.random.default_rng()
    target = rng.dirichlet(np.ones(50))
    found = optimal_acceptance(target, target, 3)
    assert found.value == 1.0
    assert not found.subset.any()


def test_result_is_json() -> None:
    found = optimal_acceptance([0.75, 0.25], [0.25, 0.75], 2)
    assert isinstance(found, Optimum)
    assert isinstance(found.value, float)
    assert found.subset.dtype == bool
    expected = {"value": 0.6875, "method": "prefix", "exact": True, "subset": [1]}
    assert json.loads(json.dumps(found.to_dict())) == expected


def test_arguments_are_validated() -> None:
    with pytest.raises(InvalidProblem, match="`drafting` must be one of"):
        optimal_acceptance([1.0], [1.0], 1, "sideways")
    with pytest.raises(InvalidProblem, match="`target` must sum to 1"):
        optimal_acceptance([0.3], [1.0], 1)


def test_import_is_light() -> None:
    code = "import sys, spectest.optimum; sys.exit(any(m in sys.modules for m in ('scipy', 'torch')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
