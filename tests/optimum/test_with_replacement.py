"""The optimum for i.i.d. drafts by bins of p/q, against a scan of every prefix."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from spectest.optimum import cut_value, prefix
from spectest.problem import Problem
from tests.optimum.shapes import law, near


def by_every_prefix(target: np.ndarray, draft: np.ndarray, n_drafts: int) -> float:
    """1 + p(H) - q(H)^n over all prefixes, in sorted order, in long double."""
    order = prefix.ratio_order(target, draft)
    inside = np.append(0.0, np.cumsum(draft[order].astype(np.longdouble)))
    gains = np.append(0.0, np.cumsum(target[order].astype(np.longdouble)))
    return float(1 + (gains - (inside / inside[-1]) ** n_drafts).min())


@pytest.mark.parametrize("vocab", [1, 2, 9, 300, 2048, 2049, 20_000])
def test_against_every_prefix(vocab: int) -> None:
    rng = np.random.default_rng()
    for _ in range(30):
        draft = law(rng, vocab)
        target = [draft, law(rng, vocab), near(rng, draft, 1.0), near(rng, draft, 1e-3)][rng.integers(4)]
        problem = Problem(target, draft, int(rng.choice([1, 2, 3, 8, 64])))
        found = prefix.with_replacement(problem.target, problem.draft, problem.n_drafts)
        expected = by_every_prefix(problem.target, problem.draft, problem.n_drafts)
        assert found.value == pytest.approx(expected, abs=1e-13), problem
        assert found.value == pytest.approx(cut_value(problem, found.subset), abs=1e-12)


def test_ties_that_end_within_a_bin() -> None:
    """Thousands of tokens of almost one p/q, so that the best prefix ends among them; in rationals."""
    rng = np.random.default_rng()
    vocab = 4096
    draft = np.full(vocab, 1 / vocab)
    low, high = 0.5 + 1e-4 * np.sort(rng.random(vocab // 2)), 1.5 - 1e-4 * np.sort(rng.random(vocab // 2))
    target = np.concatenate([low, high])
    target /= target.sum()
    for n in (2, 3, 7):
        found = prefix.with_replacement(target, draft, n)
        size, gain = np.flatnonzero(found.subset).size, sum(Fraction(x) for x in target[found.subset])
        assert found.value == pytest.approx(float(1 + gain - Fraction(size, vocab) ** n), abs=1e-14)
        assert found.value == pytest.approx(by_every_prefix(target, draft, n), abs=1e-13)
