"""The optimum of different drafters at any vocabulary, against every subset, a minimum cut and a linear program."""

from __future__ import annotations

import numpy as np
import pytest

from spectest import drafting
from spectest.errors import ProblemTooLarge
from spectest.optimum import bound, cut_value, cuts, independent, lp_oracle, prefix, solve
from spectest.problem import Problem
from tests.optimum.shapes import law, near


def families(rng: np.random.Generator, vocab: int, n: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Targets and drafters: temperatures of one model, copies of the target, unrelated, alike, disjoint, sparse."""
    target, other, *unrelated = rng.dirichlet(np.full(vocab, 0.5), size=n + 2)
    heated = np.array([other ** (1 / t) for t in np.linspace(0.5, 1.6, n)])
    apart = np.array([rng.random(vocab) * (np.arange(vocab) % n == k) + 1e-300 * (vocab < n) for k in range(n)])
    sparse = np.array(unrelated) * (rng.random((n, vocab)) < 0.3)
    sparse[:, 0] += 1e-3
    return {
        "temperatures": (target, heated / heated.sum(axis=1, keepdims=True)),
        "noisy copies": (target, np.array([near(rng, target, 0.7) for _ in range(n)])),
        "unrelated": (target, np.array(unrelated)),
        "alike": (target, np.array([near(rng, other, 1e-5) for _ in range(n)])),
        "disjoint": (target, apart / apart.sum(axis=1, keepdims=True)),
        "sparse": (target, sparse / sparse.sum(axis=1, keepdims=True)),
        "the target among them": (target, np.array([target, *unrelated[1:]])),
    }


def by_minimum_cut(problem: Problem) -> float:
    """Two drafters: p(H) - q1(H) q2(H) as a cut of V nodes, since -2 x y = (x - y)^2 - x - y for x, y in {0, 1}.

    With W_ij = (q1_i q2_j + q1_j q2_i) / 2 it is sum_i (p_i - sum_j W_ij) x_i + sum_{i<j} W_ij [x_i != x_j].
    """
    flow = pytest.importorskip("ortools.graph.python.max_flow").SimpleMaxFlow()
    (one, two), vocab, unit = problem.draft, problem.vocab_size, 2.0**58
    weights = (np.outer(one, two) + np.outer(two, one)) / 2
    costs = np.rint((problem.target - weights.sum(axis=1)) * unit).astype(np.int64)
    i, j = (ids.astype(np.int32) for ids in np.triu_indices(vocab, 1))
    capacities = np.rint(weights[i, j] * unit).astype(np.int64)
    flow.add_arcs_with_capacity(np.append(i, j), np.append(j, i), np.append(capacities, capacities))
    paid, saved = (np.flatnonzero(x).astype(np.int32) for x in (costs > 0, costs < 0))
    flow.add_arcs_with_capacity(paid, np.full_like(paid, vocab + 1), costs[paid])
    flow.add_arcs_with_capacity(np.full_like(saved, vocab), saved, -costs[saved])
    assert flow.solve(vocab, vocab + 1) == flow.OPTIMAL
    return float(1 + (flow.optimal_flow() + costs[saved].sum()) / unit)


def whole(problem: Problem) -> cuts.Core:
    nothing = np.zeros(problem.vocab_size, dtype=bool)
    return cuts.core_of(problem, nothing, ~nothing)


def every_subset(problem: Problem) -> float:
    vocab = problem.vocab_size
    subsets = (np.arange(1 << vocab)[:, None] >> np.arange(vocab) & 1).astype(float)
    return float(1 + (subsets @ problem.target - (subsets @ problem.draft.T).prod(axis=1)).min())


@pytest.mark.parametrize("n_drafts", [2, 3, 4])
def test_against_every_subset(n_drafts: int) -> None:
    rng = np.random.default_rng()
    for vocab in range(1, 12):
        for name, (target, rows) in families(rng, vocab, n_drafts).items():
            problem = Problem(target, rows, n_drafts, "independent")
            found = independent.independent(problem)
            assert found.value == pytest.approx(every_subset(problem), abs=2e-13), (name, problem)


def test_adversarial_laws_against_every_subset() -> None:
    """Zeros, ties, one-hot, masses to 1e-300."""
    rng = np.random.default_rng()
    for _ in range(150):
        vocab, n = int(rng.integers(1, 10)), int(rng.integers(2, 6))
        problem = Problem(law(rng, vocab), [law(rng, vocab) for _ in range(n)], n, "independent")
        assert independent.independent(problem).value == pytest.approx(every_subset(problem), abs=2e-13), problem


def test_nearly_constant_costs_against_a_minimum_cut() -> None:
    """The target is nearly one drafter's law, and the other drafter has most of its mass on few tokens."""
    rng = np.random.default_rng()
    for noise in (1e-12, 1e-9, 1e-6, 1e-3):
        for _ in range(5):
            vocab = int(rng.integers(15, 90))
            target = law(rng, vocab)
            problem = Problem(target, [law(rng, vocab), near(rng, target, noise)], 2, "independent")
            assert solve(problem).value == pytest.approx(by_minimum_cut(problem), abs=5e-13), problem


@pytest.mark.parametrize("vocab", [60, 200, 500])
def test_two_drafters_against_a_minimum_cut(vocab: int) -> None:
    rng = np.random.default_rng()
    for name, (target, rows) in families(rng, vocab, 2).items():
        problem = Problem(target, rows, 2, "independent")
        found = solve(problem)
        assert (found.method, found.exact) == ("branch and bound", True), name
        assert found.value == pytest.approx(by_minimum_cut(problem), abs=1e-12), name
        assert found.value == pytest.approx(cut_value(problem, found.subset), abs=1e-13), name


@pytest.mark.parametrize(("vocab", "n_drafts"), [(30, 2), (16, 3)])
def test_against_linear_program(vocab: int, n_drafts: int) -> None:
    rng = np.random.default_rng()
    for name, (target, rows) in families(rng, vocab, n_drafts).items():
        problem = Problem(target, rows, n_drafts, "independent")
        assert solve(problem).value == pytest.approx(lp_oracle(problem), abs=1e-11), name


@pytest.mark.parametrize("n_drafts", [2, 3, 8])
def test_equal_drafters_are_one_drafter(n_drafts: int) -> None:
    """By the search, which does not know that they are equal."""
    rng = np.random.default_rng()
    for _ in range(5):
        target, draft = rng.dirichlet(np.full(3000, 0.5), size=2)
        found = independent.independent(Problem(target, [draft] * n_drafts, n_drafts, "independent"))
        assert found.value == pytest.approx(prefix.with_replacement(target, draft, n_drafts).value, abs=2e-13)


def test_between_problems() -> None:
    """The order of the drafters does not matter, one more never hurts, and any one alone accepts 1 - TV."""
    rng = np.random.default_rng()
    for name, (target, rows) in families(rng, 400, 4).items():
        values = [solve(Problem(target, rows[:n], n, "independent")).value for n in (1, 2, 3, 4)]
        assert (np.diff(values) > -2e-13).all(), name
        swapped = solve(Problem(target, rows[::-1], 4, "independent"))
        assert swapped.value == pytest.approx(values[-1], abs=2e-13), name
        assert values[-1] >= np.minimum(target, rows).sum(axis=1).max() - 2e-13, name
        inclusion = drafting.get("independent").inclusion(Problem(target, rows, 4, "independent"))
        assert values[-1] <= np.minimum(target, inclusion).sum() + 2e-13, name


def test_tokens_of_the_best_set_are_those_the_others_weigh_more() -> None:
    """At a_k = prod over j != k of q_j(H*), the dual bound of the search is the optimum itself."""
    rng = np.random.default_rng()
    for name, (target, rows) in families(rng, 1000, 3).items():
        found = solve(Problem(target, rows, 3, "independent"))
        inside = rows[:, found.subset].sum(axis=1)
        weights = cuts.others(inside)
        dual = 1 - np.maximum(weights @ rows - target, 0).sum() + 2 * inside.prod()
        assert dual == pytest.approx(found.value, abs=1e-12), name


@pytest.mark.parametrize("n_drafts", [2, 4])
def test_full_vocabulary(n_drafts: int) -> None:
    rng = np.random.default_rng()
    logits = 2 * rng.normal(size=128_256)
    rows = np.array([np.exp(logits + rng.normal(size=logits.size)) for _ in range(n_drafts)])
    rows /= rows.sum(axis=1, keepdims=True)
    problem = Problem(np.exp(logits) / np.exp(logits).sum(), rows, n_drafts, "independent")
    found = solve(problem)
    assert found.exact
    assert found.value == pytest.approx(cut_value(problem, found.subset), abs=1e-12)
    assert np.minimum(problem.target, rows).sum(axis=1).max() < found.value < 1


def test_a_token_for_each_drafter_that_weighs_nothing() -> None:
    """What is undecided may weigh less than rounding beside what is decided."""
    target = np.append([0.0, 1.0 - 20 * 1e-22], np.full(20, 1e-22))
    rows = np.concatenate([np.full((2, 1), 1.0), np.zeros((2, 1)), np.full((2, 20), 8e-23)], axis=1)
    rows[1, 5:9] = 3e-22
    found = independent.independent(Problem(target, rows, 2, "independent"))
    assert found.value == pytest.approx(0.0, abs=1e-15)


def test_the_bound_does_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Good sets are easily found: without the rule that finds most of them the optimum must be the same."""

    def keep(self: independent._Search, members: np.ndarray) -> None:
        gain, inside = self.cuts.measure(members)
        if gain - inside.prod() < self.best:
            self.best, self.members = gain - inside.prod(), members

    rng = np.random.default_rng()
    made = []
    for n in (2, 3):
        for name, (target, rows) in families(rng, 60, n).items():
            problem = Problem(target, rows, n, "independent")
            value = independent.independent(problem).value
            with monkeypatch.context() as patch:
                patch.setattr(independent._Search, "_improve", keep)
                search = independent._Search(whole(problem), 0.0, cuts.Budget(10_000, 1e9))
                if search.cuts.core.ids.size:
                    search.run()
                    made.append(search.cuts.made)
                    assert 1 + search.best == pytest.approx(value, abs=2e-13), (n, name)
                    assert search.bound == pytest.approx(search.best, abs=2e-13), (n, name)
    assert np.median(made) > 10


def test_rounding_never_costs() -> None:
    rng = np.random.default_rng()
    for _ in range(200):
        target, *rows = rng.dirichlet(np.full(9, 0.5), size=4)
        found = cuts.Cuts(whole(Problem(target, rows, 3, "independent")), cuts.Budget(100, 1e6))
        for _ in range(6):
            found.least(rng.random(3))
        shares = rng.dirichlet(np.full(found.gains.size, 0.5))
        gain, inside = found.measure(found.rounded(np.arange(shares.size), shares))
        assert gain - inside.prod() <= shares @ found.gains - (shares @ found.inside).prod() + 1e-14


def test_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the optimum is not certified in time there is an upper bound, and it says so."""
    rng = np.random.default_rng(0)
    target, *rows = rng.dirichlet(np.ones(300), size=4)
    problem = Problem(target, rows, 3, "independent")
    exact = solve(problem)
    monkeypatch.setattr(independent, "MOST_WORK", 1e4)
    with pytest.raises(ProblemTooLarge, match="bound"):
        solve(problem)
    found = bound(problem)
    assert (found.method, found.exact) == ("search", False)
    assert found.value >= exact.value - 1e-13


@pytest.mark.parametrize("vocab", [60, 300])
def test_where_the_search_stalls_a_flow_decides(vocab: int) -> None:
    """One drafter nearly p, the other with ties and zeros: hundreds of sets within 1e-9 of the best."""
    rng = np.random.default_rng()
    target = np.ones(vocab) / vocab
    tied = rng.integers(0, 4, vocab).astype(float)
    close = target * np.exp(1e-5 * rng.standard_normal(vocab))
    problem = Problem(target, [tied / tied.sum(), close / close.sum()], 2, "independent")
    found = solve(problem)
    assert found.exact
    assert found.value == pytest.approx(cut_value(problem, found.subset), abs=1e-13)
    assert found.value == pytest.approx(lp_oracle(problem) if vocab < 100 else bound(problem).value, abs=1e-11)
