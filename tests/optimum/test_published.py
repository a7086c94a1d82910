"""Optima known in exact rationals or printed in papers."""

from __future__ import annotations

from fractions import Fraction
from math import prod

import numpy as np
import pytest

from spectest.optimum import lp_oracle, optimal_acceptance
from spectest.problem import Problem

PAIRS = {
    "P1": (
        [Fraction(309, 500), Fraction(177, 500), Fraction(7, 250)],
        [Fraction(373, 1000), Fraction(29, 50), Fraction(47, 1000)],
    ),
    "P2": (
        [Fraction(469, 1000), Fraction(124, 1000), Fraction(407, 1000)],
        [Fraction(201, 1000), Fraction(275, 1000), Fraction(524, 1000)],
    ),
    "P3": ([Fraction(777, 1000), Fraction(223, 1000)], [Fraction(937, 1000), Fraction(63, 1000)]),
    "P4": (
        [Fraction(37, 250), Fraction(21, 500), Fraction(149, 200), Fraction(1, 20), Fraction(3, 200)],
        [Fraction(62, 125), Fraction(17, 125), Fraction(151, 1000), Fraction(1, 125), Fraction(209, 1000)],
    ),
    "P5": ([Fraction(5, 9), Fraction(4, 9)], [Fraction(1, 3), Fraction(2, 3)]),
    "P6": ([Fraction(x, 100) for x in (3, 41, 3, 28, 25)], [Fraction(x, 100) for x in (43, 30, 7, 2, 18)]),
    "P7": ([Fraction(1, 3), Fraction(1, 18), Fraction(11, 18)], [Fraction(1, 3), Fraction(1, 3), Fraction(1, 3)]),
}
GOLDEN = [  # problem, n, with replacement, without replacement
    ("P1", 2, Fraction(988871, 1000000), Fraction(1)),
    ("P2", 3, Fraction(1), Fraction(1)),
    ("P3", 2, Fraction(899031, 1000000), Fraction(1)),
    ("P4", 3, Fraction(610176679, 10**9), Fraction(4440878158613, 5062093092000)),
    ("P5", 2, Fraction(1), Fraction(1)),
    ("P6", 1, Fraction(14, 25), Fraction(14, 25)),
    ("P6", 2, Fraction(1899, 2500), Fraction(19513177, 25356450)),
    ("P6", 3, Fraction(97351, 125000), Fraction(1220978191, 1483352325)),
    ("P7", 2, Fraction(17, 18), Fraction(1)),
]


@pytest.mark.parametrize(("name", "n_drafts", "iid", "distinct"), GOLDEN, ids=[f"{row[0]}-{row[1]}" for row in GOLDEN])
def test_against_rationals(name: str, n_drafts: int, iid: Fraction, distinct: Fraction) -> None:
    target, draft = (np.array([float(x) for x in law]) for law in PAIRS[name])
    for drafting, expected in (("with_replacement", iid), ("without_replacement", distinct)):
        found = optimal_acceptance(target, draft, n_drafts, drafting)
        assert found.exact
        assert found.value == pytest.approx(float(expected), abs=1e-15)
        assert lp_oracle(Problem(target, draft, n_drafts, drafting)) == pytest.approx(float(expected), abs=1e-12)


LEFT = [(0, 8 / 9), (1 / 18, 17 / 18), (1 / 9, 1), (1 / 6, 1), (2 / 9, 1), (1 / 3, 1), (5 / 9, 1), (2 / 3, 8 / 9)]
RIGHT = [
    (0, 13 / 18),
    (1 / 6, 8 / 9),
    (5 / 18, 1),
    (1 / 3, 1),
    (7 / 18, 1),
    (5 / 9, 1),
    (13 / 18, 5 / 6),
    (5 / 6, 13 / 18),
]


@pytest.mark.parametrize(("first", "x", "expected"), [(1 / 3, *row) for row in LEFT] + [(1 / 6, *row) for row in RIGHT])
def test_uniform_draft_of_three(first: float, x: float, expected: float) -> None:
    """Khisti et al., arXiv 2410.18234: the toy figure, both panels."""
    target = np.maximum([first, x, 1 - first - x], 0)
    found = optimal_acceptance(target, np.full(3, 1 / 3), 2)
    assert found.value == pytest.approx(expected, abs=2e-15)


@pytest.mark.parametrize(
    ("target", "draft", "n_drafts", "expected"),
    [
        ([0.5, 0.5, 0], [0, 0.5, 0.5], 2, 0.5),
        ([1, 0, 0], [0.2, 0.3, 0.5], 3, 0.488),
        ([0.2, 0.3, 0.5], [1, 0, 0], 2, 0.2),
        ([0.2, 0.3, 0.5], [0.2, 0.3, 0.5], 4, 1.0),
        ([1.0], [1.0], 5, 1.0),
        ([1, 0], [0, 1], 3, 0.0),
    ],
)
def test_degenerate(target: list[float], draft: list[float], n_drafts: int, expected: float) -> None:
    assert optimal_acceptance(target, draft, n_drafts).value == pytest.approx(expected, abs=1e-15)
    rows = [draft] * n_drafts
    assert optimal_acceptance(target, rows, n_drafts, "independent").value == pytest.approx(expected, abs=1e-15)


def rational_prefix_optimum(target: list[Fraction], draft: list[Fraction], n_drafts: int) -> Fraction:
    """The prefix formula in rationals, over all orders that matter: p/q ascending, exact ties and all."""
    ids = sorted((x for x in range(len(draft)) if draft[x]), key=lambda x: target[x] / draft[x])
    best = Fraction(1)
    inside = mass = Fraction(0)
    for x in ids:
        inside += draft[x]
        mass += target[x]
        best = min(best, 1 + mass - prod([inside] * n_drafts))
    return best


@pytest.mark.parametrize("n_drafts", [1, 2, 3, 8, 16])
def test_float64_against_rationals_with_adversarial_masses(n_drafts: int) -> None:
    rng = np.random.default_rng()
    for _ in range(60):
        vocab = int(rng.integers(1, 12))
        laws = []
        for _ in range(2):
            law = 10.0 ** -rng.choice([0, 1, 2, 15, 38, 100, 300], size=vocab) * rng.integers(0, 5, vocab)
            law[rng.integers(vocab)] += 1.0
            laws.append(law / law.sum())
        problem = Problem(laws[0], laws[1], n_drafts)
        target, draft = ([Fraction(float(x)) for x in law] for law in (problem.target, problem.draft))
        target, draft = [x / sum(target) for x in target], [x / sum(draft) for x in draft]
        found = optimal_acceptance(laws[0], laws[1], n_drafts)
        assert found.value == pytest.approx(float(rational_prefix_optimum(target, draft, n_drafts)), abs=3e-15)


@pytest.mark.parametrize("n_drafts", [2, 5])
def test_float64_against_rationals_on_a_large_vocabulary(n_drafts: int) -> None:
    rng = np.random.default_rng()
    vocab = 3000
    logits = rng.normal(size=vocab) * 2
    target = np.exp(logits) / np.exp(logits).sum()
    draft = np.exp(logits + rng.normal(size=vocab)) * (rng.random(vocab) < 0.9)
    problem = Problem(target, draft / draft.sum(), n_drafts)
    scale = 1 << 1074  # every float64 is an integer multiple of 2^-1074
    p, q = ([int(Fraction(float(x)) * scale) for x in law] for law in (problem.target, problem.draft))
    total_p, total_q = sum(p), sum(q)
    ids = np.flatnonzero(problem.draft)
    inside = mass = 0
    best = 1.0
    for x in sorted(ids, key=lambda x: Fraction(p[x], q[x])):
        inside, mass = inside + q[x], mass + p[x]
        value = mass / total_p + (1 - Fraction(inside, total_q) ** n_drafts if inside * 2 > total_q else 1)
        if inside * 2 <= total_q:
            value -= (inside / total_q) ** n_drafts
        best = min(best, float(value))
    found = optimal_acceptance(problem.target, problem.draft, n_drafts)
    assert found.value == pytest.approx(best, abs=1e-13)
