"""Samplers against the exact joint laws, and where rounding could go wrong."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from spectest import drafting
from spectest.drafting.inverse_cdf import InverseCdf
from spectest.drafting.without_replacement import _skip
from spectest.problem import DRAFTING, Problem

ALPHA = 1e-9  # of each test; about forty of them: any seed passes on correct code
LAWS = ["with_replacement", "without_replacement", "independent", "greedy", "hub"]


class Constant:
    """A generator whose every uniform is the same."""

    def __init__(self, value: float) -> None:
        self.value = value

    def random(self, size: int | tuple[int, ...]) -> np.ndarray:
        return np.full(size, self.value)


def draft_for(law: str, rows: np.ndarray) -> np.ndarray:
    return rows if law == "independent" else rows[0]


def tuple_counts(drafts: np.ndarray, tuples: np.ndarray, vocab: int) -> np.ndarray:
    codes = vocab ** np.arange(tuples.shape[1])
    order = np.argsort(tuples @ codes)
    where = np.searchsorted((tuples @ codes)[order], drafts @ codes).clip(max=len(tuples) - 1)
    counts = np.zeros(len(tuples), dtype=int)
    assert ((tuples @ codes)[order][where] == drafts @ codes).all(), "drew a tuple of no mass"
    np.add.at(counts, order[where], 1)
    return counts


def chi_squared(counts: np.ndarray, mass: np.ndarray) -> float:
    """p-value, cells pooled to an expected count of 100 or more."""
    expected = mass / mass.sum() * counts.sum()
    common = expected >= 100
    observed = np.append(counts[common], counts[~common].sum())
    wanted = np.append(expected[common], expected[~common].sum())
    if wanted[-1] < 100:  # too rare to be a cell of its own: join the smallest
        smallest = wanted[:-1].argmin()
        observed[smallest] += observed[-1]
        wanted[smallest] += wanted[-1]
        observed, wanted = observed[:-1], wanted[:-1]
    if wanted.size == 1:
        return 1.0
    return float(stats.chi2.sf(((observed - wanted) ** 2 / wanted).sum(), wanted.size - 1))


@pytest.mark.parametrize(
    ("law", "n_drafts"), [(law, n) for law in LAWS for n in (1, 2, 3, 4) if DRAFTING[law].drafts(n, 5) == n]
)
def test_against_joint_law(law: str, n_drafts: int) -> None:
    rng = np.random.default_rng()
    vocab = 6
    rows = rng.dirichlet(np.full(vocab, 0.7), size=n_drafts)
    rows[0] = [0.35, 0.05, 0.0, 0.3, 0.1, 0.2]
    problem = Problem(np.full(vocab, 1 / vocab), draft_for(law, rows), n_drafts, law)
    drafts = drafting.get(law).sampler(problem)(rng, 200_000)
    assert drafts.shape == (200_000, n_drafts)
    assert drafts.dtype == np.int64
    tuples, mass = drafting.get(law).joint_law(problem)
    assert chi_squared(tuple_counts(drafts, tuples, vocab), mass) > ALPHA


def test_the_test_finds_a_planted_defect() -> None:
    """The right sets of drafts, in the wrong order."""
    rng = np.random.default_rng()
    problem = Problem(np.full(4, 0.25), [0.4, 0.3, 0.2, 0.1], 2, "without_replacement")
    tuples, mass = drafting.get("without_replacement").joint_law(problem)
    wrong = drafting.get("without_replacement").sampler(problem)(rng, 200_000)[:, ::-1]
    assert chi_squared(tuple_counts(wrong, tuples, 4), mass) < ALPHA


@pytest.mark.parametrize("law", LAWS)
def test_large_vocabulary_against_marginal_and_pairs(law: str) -> None:
    rng = np.random.default_rng()
    vocab, size, n_drafts = 5000, 300_000, DRAFTING[law].drafts(3, 5000)
    rows = rng.dirichlet(np.full(vocab, 0.1), size=n_drafts)
    problem = Problem(np.full(vocab, 1 / vocab), draft_for(law, rows), n_drafts, law)
    drafts = drafting.get(law).sampler(problem)(rng, size)
    if law == "greedy":
        assert (drafts[:, :-1] == np.argsort(-rows[0], kind="stable")[:2]).all()
    else:
        assert chi_squared(np.bincount(drafts[:, 0], minlength=vocab), problem.draft_rows[0]) > ALPHA
    inclusion = drafting.get(law).inclusion(problem)
    ordered = np.sort(drafts, axis=1)
    first_seen = np.concatenate([np.ones((size, 1), dtype=bool), ordered[:, 1:] != ordered[:, :-1]], axis=1)
    seen = np.bincount(ordered[first_seen], minlength=vocab)
    # Bonferroni over tokens, exact binomial tails on both sides.
    tails = np.minimum(stats.binom.cdf(seen, size, inclusion), stats.binom.sf(seen - 1, size, inclusion))
    assert tails.min() > ALPHA / (2 * vocab)
    if DRAFTING[law].distinct:
        assert first_seen.all()


@pytest.mark.parametrize(
    "draft",
    [
        [1 - 1e-15, 5e-16, 5e-16, 0.0],
        [0.5, 0.5, 1e-300, 0.0, 1e-300],
        [1e-300, 0.0, 1.0, 1e-300, 1e-300, 1e-38],
        [5e-324, 1.0, 5e-324],
        [1.0, 1e-15, 1e-30, 1e-45],
    ],
)
def test_without_replacement_draws_from_what_is_left(draft: list[float]) -> None:
    """The mass left is 15 or 300 orders of magnitude below the mass drawn: 1 - sum(drawn) would be noise or zero."""
    rng = np.random.default_rng()
    law = drafting.get("without_replacement")
    support = int((np.array(draft) > 0).sum())
    problem = Problem(np.full(len(draft), 1 / len(draft)), draft, support, "without_replacement")
    drafts = law.sampler(problem)(rng, 100_000)
    assert (np.sort(drafts, axis=1) == np.flatnonzero(draft)).all()
    tuples, mass = law.joint_law(problem)
    assert mass.sum() == pytest.approx(1, abs=1e-13)
    assert chi_squared(tuple_counts(drafts, tuples, len(draft)), mass) > ALPHA


@pytest.mark.parametrize("law", ["greedy", "hub"])
@pytest.mark.parametrize(
    "draft", [[1 - 1e-15, 5e-16, 5e-16, 0.0], [5e-324, 1.0, 5e-324], [0.4, 0.4, 0.2], [1e-38, 1.0]]
)
def test_pairs_draw_from_what_is_left(law: str, draft: list[float]) -> None:
    rng = np.random.default_rng()
    problem = Problem(np.full(len(draft), 1 / len(draft)), draft, 2, law)
    drafts = drafting.get(law).sampler(problem)(rng, 100_000)
    tuples, mass = drafting.get(law).joint_law(problem)
    assert mass.sum() == pytest.approx(1, abs=1e-14)
    assert chi_squared(tuple_counts(drafts, tuples, len(draft)), mass) > ALPHA


@pytest.mark.parametrize("law", ["greedy", "hub"])
def test_draft_of_a_single_token(law: str) -> None:
    problem = Problem([0.5, 0.5], [0.0, 1.0], 1, law)
    assert (drafting.get(law).sampler(problem)(np.random.default_rng(), 7) == 1).all()
    assert drafting.get(law).joint_law(problem).tuples.tolist() == [[1]]


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("uniform", [0.0, 5e-324, 0.25, 0.5, 1 - 2**-53])
@pytest.mark.parametrize(
    "row",
    [
        [0.0, 0.25, 0.0, 0.25, 0.5, 0.0],
        [0.0, 0.1, 0.2, 0.7 - 1e-17, 0.0, 0.0],
        [0.0, 1 / 3, 1 / 3, 1 / 3, 0.0, 0.0],
        [0.0, 1e-300, 1.0, 1e-16, 0.0, 0.0],
    ],
)
def test_extreme_uniforms_never_draw_a_token_of_no_mass(law: str, uniform: float, row: list[float]) -> None:
    rows = np.array([row] * 3)
    problem = Problem(np.full(6, 1 / 6), draft_for(law, rows), DRAFTING[law].drafts(3, 3), law)
    drafts = drafting.get(law).sampler(problem)(Constant(uniform), 5)  # type: ignore[arg-type]
    assert (np.array(row)[drafts] > 0).all()
    if DRAFTING[law].distinct:
        assert (np.diff(np.sort(drafts, axis=1), axis=1) > 0).all()


def test_a_uniform_on_the_edge_of_a_taken_token_does_not_draw_it_again() -> None:
    """Just below each stretch's end, start + (u - before) may round up to the taken token itself."""
    rng = np.random.default_rng()
    masses = np.sort(rng.dirichlet(np.full(50, 0.5)))
    lookup = InverseCdf(masses)
    taken = np.sort(np.array([rng.permutation(50)[:2] for _ in range(2000)]), axis=1)
    kept = masses * (np.arange(50) != taken[:, :1]) * (np.arange(50) != taken[:, 1:])
    ends = np.take_along_axis(np.cumsum(kept, axis=1), taken, axis=1) / kept.sum(axis=1, keepdims=True)
    for column in ends.T:
        for uniforms in (column, np.nextafter(column, 0), np.nextafter(column, 1)):
            drawn = _skip(lookup, [taken[:, 0], taken[:, 1]], uniforms.clip(0, 1 - 2**-53))
            assert (drawn[:, None] != taken).all()
            assert ((drawn >= 0) & (drawn < 50)).all()


@pytest.mark.parametrize("law", LAWS)
def test_vocabulary_of_one(law: str) -> None:
    draft = [[1.0]] if law == "independent" else [1.0]
    problem = Problem([1.0], draft, 1, law)
    assert (drafting.get(law).sampler(problem)(np.random.default_rng(), 7) == 0).all()
    assert drafting.get(law).inclusion(problem).tolist() == [1.0]


@pytest.mark.parametrize("size", [0, 1, 70_000])
@pytest.mark.parametrize("law", LAWS)
def test_same_seed_same_drafts_at_any_size(law: str, size: int) -> None:
    rows = np.random.default_rng().dirichlet(np.ones(9), size=2)
    sampler = drafting.get(law).sampler(Problem(np.full(9, 1 / 9), draft_for(law, rows), 2, law))
    once, again = (sampler(np.random.default_rng(3), size) for _ in range(2))
    assert once.shape == (size, 2)
    assert np.array_equal(once, again)


def test_guide_table_is_a_binary_search() -> None:
    rng = np.random.default_rng()
    for exponent in (0, 5, 40, 300):
        masses = 10.0 ** -(exponent * rng.random(rng.integers(1, 400)))
        lookup = InverseCdf(masses)
        t = np.concatenate([rng.random(2000) * lookup.edges[-1], lookup.edges, np.nextafter(lookup.edges, 0)])
        expected = np.minimum(np.searchsorted(lookup.edges[1:], t, side="right"), masses.size - 1)
        assert np.array_equal(lookup(t), expected)
