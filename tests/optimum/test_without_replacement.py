"""The optimum without replacement at any vocabulary, against an integral over every prefix, token by token."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations
from math import comb

import numpy as np
import pytest

from spectest.drafting import race
from spectest.errors import ProblemTooLarge
from spectest.optimum import cut_value, optimal_acceptance, prefix, pruning, solve
from spectest.problem import Problem
from tests.optimum.shapes import law, near


def by_every_token(draft: np.ndarray, n_drafts: int, order: np.ndarray) -> np.ndarray:
    """1 - Q(H) of every prefix: the race on a plain grid in log t, tokens added one at a time, no moments."""
    anchor = np.sort(draft)[-n_drafts]
    step = 0.125
    times = np.exp(np.arange(np.log(1e-17), np.log(45 / anchor) + step, step))
    outside = np.append(np.cumsum(draft[order][::-1])[::-1], 0.0)
    counts = np.zeros((n_drafts, times.size))
    counts[0] = 1.0
    misses = [1.0]
    for rate, mass in zip(outside[1:], draft[order], strict=True):
        moved = counts[:-1] * -np.expm1(-mass * times)
        counts *= np.exp(-mass * times)
        counts[1:] += moved
        misses.append(float((counts.sum(axis=0) * np.exp(-rate * times) * rate) @ (step * times)))
    return np.array(misses)


def by_every_prefix(problem: Problem) -> float:
    order = prefix.ratio_order(problem.target, problem.draft)
    gains = np.append(0.0, np.cumsum(problem.target[order]))
    return float(min(1.0, (gains + by_every_token(problem.draft, problem.n_drafts, order)).min()))


def some_problem(rng: np.random.Generator, vocab: int, n_drafts: int) -> Problem | None:
    draft = law(rng, vocab)
    target = [draft, law(rng, vocab), near(rng, draft, 1.0), near(rng, draft, 1e-12)][
        rng.choice(4, p=[0.1, 0.5, 0.3, 0.1])
    ]
    enough = np.count_nonzero(draft > 1e-280)
    return Problem(target, draft, min(n_drafts, enough), "without_replacement") if enough else None


@pytest.mark.parametrize("vocab", [3, 17, 150, 700])
def test_against_every_prefix(vocab: int) -> None:
    rng = np.random.default_rng()
    for _ in range(20):
        problem = some_problem(rng, vocab, int(rng.integers(1, 9)))
        if problem is None:
            continue
        found = prefix.without_replacement(problem)
        assert found.value == pytest.approx(by_every_prefix(problem), abs=1e-12), problem
        assert found.value == pytest.approx(cut_value(problem, found.subset), abs=1e-12), problem


def test_light_tokens_decide_once_heavy_ones_are_drawn() -> None:
    """Masses of all scales at once: q of 1e-14 may be what Q hangs on, and vanishes in a running sum."""
    rng = np.random.default_rng()
    powers = [(np.array([11, 0, 2, 21, 2]), np.array([20, 21, 2, 12, 15]))]
    powers += [(rng.integers(0, 22, vocab), rng.integers(0, 22, vocab)) for vocab in rng.integers(4, 10, 300)]
    for exponents in powers:
        target, draft = (10.0**-power / (10.0**-power).sum() for power in exponents)
        problem = Problem(target, draft, int(rng.integers(2, 5)), "without_replacement")
        assert prefix.without_replacement(problem).value == pytest.approx(solve(problem).value, abs=1e-13), problem


@pytest.mark.slow
@pytest.mark.parametrize("n_drafts", [3, 4, 8, 16])
def test_against_every_prefix_of_a_large_vocabulary(n_drafts: int) -> None:
    rng = np.random.default_rng()
    for _ in range(10):
        problem = some_problem(rng, 32_000, n_drafts)
        if problem is not None:
            found = prefix.without_replacement(problem)
            assert found.value == pytest.approx(by_every_prefix(problem), abs=1e-12), problem


@pytest.mark.parametrize("n_drafts", [1, 2, 3, 4, 8, 16])
def test_misses_against_every_token(n_drafts: int) -> None:
    """Heavy and light tokens meet above some hundred tokens; sets that hold few, none or all of the heavy ones."""
    rng = np.random.default_rng()
    for _ in range(2):
        draft = law(rng, 900)
        if np.count_nonzero(draft > 1e-280) < n_drafts:
            continue
        for order in (rng.permutation(900), np.argsort(draft), np.argsort(-draft)):
            expected = by_every_token(draft, n_drafts, order)
            np.testing.assert_allclose(
                race.PrefixMiss(draft, n_drafts, order)(np.arange(901)), expected, rtol=0, atol=2e-13
            )
            lengths = rng.integers(0, 901, 3)
            sets = np.argsort(order) < lengths[:, None]
            np.testing.assert_allclose(race.subset_miss(draft, n_drafts, sets), expected[lengths], rtol=0, atol=2e-13)


@pytest.mark.parametrize("n_drafts", [3, 4, 8, 16])
@pytest.mark.parametrize("vocab", [400, 128_256])
def test_uniform_draft_against_hypergeometric(vocab: int, n_drafts: int) -> None:
    lengths = np.unique(np.append(np.linspace(0, vocab, 40).astype(int), [n_drafts - 1, n_drafts, vocab - 1]))
    misses = race.PrefixMiss(np.full(vocab, 1 / vocab), n_drafts, np.arange(vocab))(lengths)
    expected = [float(1 - Fraction(comb(int(h), n_drafts), comb(vocab, n_drafts))) for h in lengths]
    np.testing.assert_allclose(misses, expected, rtol=0, atol=1e-14)


def test_two_drafts_by_two_routes() -> None:
    """The closed form for n = 2, prefix by prefix and set by set, and the integrals, at V = 32,000."""
    rng = np.random.default_rng()
    for draft in (rng.dirichlet(np.full(32_000, 0.3)), 1 / np.arange(1.0, 32_001)):
        problem = Problem(rng.dirichlet(np.ones(32_000)), draft / draft.sum(), 2, "without_replacement")
        found = solve(problem)
        order = prefix.ratio_order(problem.target, problem.draft)
        missed = race.PrefixMiss(problem.draft, 2, order)
        target, masses = problem.target[order], problem.draft[order]
        end = pruning.least_prefix(target, masses, missed)
        assert found.value == pytest.approx(target[:end].sum() + missed(np.array([end]))[0], abs=1e-12)
        missed_set = race.subset_miss(problem.draft, 2, found.subset[None])[0]
        assert found.value == pytest.approx(problem.target[found.subset].sum() + missed_set, abs=1e-12)


def test_a_token_added_later_adds_no_less() -> None:
    """Q is convex in the mass, along any order: the theorem blocks are pruned by, in rationals."""
    rng = np.random.default_rng()
    for _ in range(40):
        vocab = int(rng.integers(2, 6))
        n = int(rng.integers(1, vocab + 1))
        masses = [Fraction(int(x)) for x in rng.choice([1, 2, 7, 10**6, 10**15], size=vocab)]
        total = sum(masses)
        drafts: dict[frozenset[int], Fraction] = {}
        for chosen in permutations(range(vocab), n):
            chance, left = Fraction(1), total
            for x in chosen:
                chance *= masses[x] / left
                left -= masses[x]
            drafts[frozenset(chosen)] = drafts.get(frozenset(chosen), Fraction(0)) + chance
        order = rng.permutation(vocab).tolist()
        contained = [sum(q for s, q in drafts.items() if s <= set(order[:m])) for m in range(vocab + 1)]
        slopes = [(contained[m + 1] - contained[m]) / masses[order[m]] for m in range(vocab)]
        assert slopes == sorted(slopes)


@pytest.mark.parametrize("n_drafts", [2, 4, 8])
def test_full_vocabulary(n_drafts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate is the value, between its bounds, and only some hundred prefixes are looked at."""
    looked_at: list[int] = []
    call = race.PrefixMiss.__call__

    def counted(self: race.PrefixMiss, lengths: np.ndarray) -> np.ndarray:
        looked_at.append(lengths.size)
        return call(self, lengths)

    monkeypatch.setattr(race.PrefixMiss, "__call__", counted)
    rng = np.random.default_rng()
    logits = 2 * rng.normal(size=128_256)
    target, draft = (np.exp(x) / np.exp(x).sum() for x in (logits, logits + rng.normal(size=logits.size)))
    found = optimal_acceptance(target, draft, n_drafts, "without_replacement")
    assert found.exact
    assert found.value == pytest.approx(
        cut_value(Problem(target, draft, n_drafts, "without_replacement"), found.subset)
    )
    assert optimal_acceptance(target, draft, n_drafts).value - 1e-12 <= found.value < 1
    assert sum(looked_at) < 1500


def test_too_light_to_integrate() -> None:
    draft = np.append(1.0, np.full(30, 1e-300))
    with pytest.raises(ProblemTooLarge, match="1e-290"):
        solve(Problem(np.full(31, 1 / 31), draft, 3, "without_replacement"))
