"""Joint laws, containment and inclusion against exact rationals and each other."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from spectest import drafting
from spectest.drafting import enumeration, race
from spectest.drafting.greedy import top_tokens
from spectest.drafting.without_replacement import WITHOUT_REPLACEMENT
from spectest.errors import InvalidProblem, ProblemTooLarge
from spectest.problem import DRAFTING, Problem

LAWS = ["with_replacement", "without_replacement", "independent", "greedy", "hub"]


def exact_joint(problem: Problem) -> dict[tuple[int, ...], Fraction]:
    """The definition of each law, in rationals: what float64 q means, normalised without rounding."""
    rows = [[Fraction(float(x)) for x in row] for row in problem.draft_rows]
    rows = [[x / sum(row) for x in row] for row in rows]
    if problem.drafting in {"greedy", "hub"}:
        return exact_around_the_likeliest(rows[0], problem.n_drafts, problem.drafting)
    joint = {}
    for drafts in product(range(problem.vocab_size), repeat=problem.n_drafts):
        mass = Fraction(1)
        for k, x in enumerate(drafts):
            if problem.drafting == "without_replacement":
                left = sum((m for y, m in enumerate(rows[k]) if y not in drafts[:k]), Fraction(0))
                mass *= rows[k][x] / left if x not in drafts[:k] and left else 0
            else:
                mass *= rows[k][x]
        if mass:
            joint[drafts] = mass
    return joint


def exact_around_the_likeliest(q: list[Fraction], n: int, law: str) -> dict[tuple[int, ...], Fraction]:
    """Hu et al.'s greedy drafts, and SpecHub's pairs as its authors write them."""
    order = sorted(range(len(q)), key=lambda x: (-q[x], x))
    if law == "greedy":
        top = order[: n - 1]
        left = sum(q[x] for x in order[n - 1 :])
        return {(*top, x): q[x] / left for x in order[n - 1 :] if q[x]}
    hub, others = order[0], [x for x in order[1:] if q[x]]
    if n == 1:
        return {(hub,): q[hub]}
    second: dict[tuple[int, ...], Fraction] = {(hub, x): q[hub] * q[x] / (1 - q[hub]) for x in others}
    return second | {(x, hub): q[x] for x in others}


def random_problem(rng: np.random.Generator, law: str) -> Problem:
    vocab, n = int(rng.integers(1, 6)), int(rng.integers(1, 4))
    rows = rng.dirichlet(np.full(vocab, rng.choice([0.1, 1.0, 5.0])), size=n) * (rng.random((n, vocab)) < 0.8)
    rows += 10.0 ** -rng.integers(1, 40, rows.shape) * (rng.random(rows.shape) < 0.4)
    rows[:, 0] += rows.sum(axis=1) == 0
    if rng.random() < 0.2:
        rows[:, 0] = 1e15
    rows /= rows.sum(axis=1, keepdims=True)
    n = DRAFTING[law].drafts(n, int((rows[0] > 0).sum()))
    return Problem(np.full(vocab, 1 / vocab), rows if law == "independent" else rows[0], n, law)


def all_subsets(vocab: int) -> np.ndarray:
    return (np.arange(1 << vocab)[:, None] >> np.arange(vocab) & 1).astype(bool)


@pytest.mark.parametrize("law", LAWS)
def test_against_rationals(law: str) -> None:
    rng = np.random.default_rng()
    for _ in range(60):
        problem = random_problem(rng, law)
        exact = exact_joint(problem)
        tuples, mass = drafting.get(law).joint_law(problem)
        assert {tuple(t) for t in tuples.tolist()} <= set(exact)
        for row, got in zip(tuples.tolist(), mass, strict=True):
            assert got == pytest.approx(float(exact[tuple(row)]), rel=1e-13)  # relative, however small
        subsets = all_subsets(problem.vocab_size)
        inside = [float(sum(m for t, m in exact.items() if h[list(t)].all())) for h in subsets]
        np.testing.assert_allclose(drafting.get(law).containment(problem, subsets), inside, rtol=0, atol=2e-15)
        among = [float(sum(m for t, m in exact.items() if x in t)) for x in range(problem.vocab_size)]
        np.testing.assert_allclose(drafting.get(law).inclusion(problem), among, rtol=1e-13, atol=0)


def test_race_against_enumeration() -> None:
    """The integrals and the lattice of sets share no code: supports up to 14, up to 8 drafts."""
    rng = np.random.default_rng()
    for _ in range(25):
        vocab = int(rng.integers(3, 13))
        n = int(rng.integers(1, min(vocab, 8) + 1))
        draft = rng.dirichlet(np.full(vocab, rng.choice([0.2, 1.0, 5.0]))) + 1e-38
        problem = Problem(np.full(vocab, 1 / vocab), draft, n, "without_replacement")
        subsets = np.concatenate([rng.random((40, vocab)) < 0.7, np.ones((1, vocab), bool), np.zeros((1, vocab), bool)])
        order = rng.permutation(vocab)
        prefixes = np.tri(vocab + 1, vocab, -1, dtype=bool)[:, np.argsort(order)]
        for sets, miss in (
            (subsets, race.subset_miss(problem.draft, n, subsets)),
            (prefixes, race.PrefixMiss(problem.draft, n, order)(np.arange(vocab + 1))),
        ):
            np.testing.assert_allclose(1 - miss, WITHOUT_REPLACEMENT.containment(problem, sets), rtol=0, atol=5e-14)
        among = WITHOUT_REPLACEMENT.inclusion(problem)
        np.testing.assert_allclose(race.race_inclusion(problem.draft, n), among, rtol=1e-12, atol=0)


@pytest.mark.parametrize("n_drafts", [1, 2, 3, 5])
def test_routes_agree_on_a_large_vocabulary(n_drafts: int) -> None:
    rng = np.random.default_rng()
    vocab = 300
    problem = Problem(np.full(vocab, 1 / vocab), rng.dirichlet(np.full(vocab, 0.3)), n_drafts, "without_replacement")
    order = rng.permutation(vocab)
    some = rng.integers(0, vocab + 1, 12)
    prefixes = np.argsort(order) < some[:, None]
    along = 1 - WITHOUT_REPLACEMENT.prefix_misses(problem, order)(np.arange(vocab + 1))
    np.testing.assert_allclose(WITHOUT_REPLACEMENT.containment(problem, prefixes), along[some], rtol=0, atol=1e-13)
    assert along[0] == 0
    assert along[-1] == pytest.approx(1, abs=1e-13)
    inclusion = WITHOUT_REPLACEMENT.inclusion(problem)
    assert inclusion.sum() == pytest.approx(n_drafts, abs=1e-11)  # n distinct tokens, always
    without = ~np.eye(vocab, dtype=bool)[:9]
    np.testing.assert_allclose(1 - WITHOUT_REPLACEMENT.containment(problem, without), inclusion[:9], rtol=0, atol=1e-13)
    closed = race.subset_miss(problem.draft, n_drafts, prefixes)
    np.testing.assert_allclose(1 - closed, along[some], rtol=0, atol=1e-13)


def test_uniform_draft_against_hypergeometric() -> None:
    """A uniform q without replacement is a simple random sample: Q(H) = C(h, n) / C(V, n)."""
    from math import comb

    vocab, n = 40, 6
    problem = Problem(np.full(vocab, 1 / vocab), np.full(vocab, 1 / vocab), n, "without_replacement")
    along = 1 - WITHOUT_REPLACEMENT.prefix_misses(problem, np.arange(vocab))(np.arange(vocab + 1))
    expected = [comb(h, n) / comb(vocab, n) for h in range(vocab + 1)]
    np.testing.assert_allclose(along, expected, rtol=0, atol=1e-13)
    np.testing.assert_allclose(WITHOUT_REPLACEMENT.inclusion(problem), n / vocab, rtol=1e-12)


def test_inclusion_keeps_relative_accuracy() -> None:
    draft = np.array([1 - 1e-30, 1e-30])
    for law in ("with_replacement", "independent"):
        problem = Problem([0.5, 0.5], draft if law == "with_replacement" else [draft] * 3, 3, law)
        assert drafting.get(law).inclusion(problem)[1] == pytest.approx(3e-30, rel=1e-14)


@pytest.mark.parametrize("law", LAWS)
def test_too_many_tuples(law: str, monkeypatch: pytest.MonkeyPatch) -> None:
    vocab, n = 200, DRAFTING[law].drafts(3, 200)
    rows = np.full((n, vocab), 1 / vocab)
    problem = Problem(rows[0], rows if law == "independent" else rows[0], n, law)
    monkeypatch.setattr(enumeration, "MAX_TUPLES", 197)  # greedy drafts are 198 tuples
    with pytest.raises(ProblemTooLarge, match="tuples"):
        drafting.get(law).joint_law(problem)


def test_race_refuses_what_it_cannot_integrate() -> None:
    draft = np.full(20, 1e-300)
    draft[0] = 1.0
    problem = Problem(np.full(20, 0.05), draft, 3, "without_replacement")
    with pytest.raises(ProblemTooLarge, match="1e-290"):
        WITHOUT_REPLACEMENT.containment(problem, np.ones((1, 20), bool))


def test_top_tokens_by_mass_then_by_id() -> None:
    rng = np.random.default_rng()
    for _ in range(200):
        draft = rng.integers(0, 5, rng.integers(1, 30)) / 4  # ties, on either side of the last place too
        order = np.lexsort((np.arange(draft.size), -draft)).tolist()
        for count in range(draft.size + 1):
            assert top_tokens(draft, count).tolist() == order[:count]


def test_hub_and_greedy_pairs_differ_in_order_alone() -> None:
    rng = np.random.default_rng()
    draft = rng.dirichlet(np.full(30, 0.3))
    pair, greedy = (Problem(np.full(30, 1 / 30), draft, 2, law) for law in ("hub", "greedy"))
    unordered = np.zeros((30, 30))
    tuples, mass = drafting.get("hub").joint_law(pair)
    np.add.at(unordered, tuple(np.sort(tuples, axis=1).T), mass)
    tuples, mass = drafting.get("greedy").joint_law(greedy)
    np.subtract.at(unordered, tuple(np.sort(tuples, axis=1).T), mass)
    assert np.abs(unordered).max() < 1e-14


def test_unknown_law_lists_those_that_exist() -> None:
    with pytest.raises(InvalidProblem, match="with_replacement, without_replacement, independent"):
        drafting.get("sideways")
