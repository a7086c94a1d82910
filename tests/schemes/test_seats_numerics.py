"""Seats in float64: adversarial problems, the numerical traps one by one, and laws that stay laws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from spectest import Problem, schemes
from spectest.optimum import solve
from spectest.schemes.seats import exact as seats_exact
from spectest.schemes.seats import plan as seats_plan
from spectest.schemes.seats.chain import independent
from spectest.schemes.seats.distinct import two_distinct
from spectest.schemes.seats.plan import plan

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEATS: Any = schemes.get("seats")
KINDS = 8


@pytest.fixture
def rng() -> np.random.Generator:
    """Fresh every time, shown by pytest where a test fails: any seed must pass."""
    seed = int(np.random.SeedSequence().generate_state(1)[0])
    print(f"seed = {seed}")
    return np.random.default_rng(seed)


def adversarial(rng: np.random.Generator, rows: int, vocab: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pairs of laws that make rounding matter: ties, zeros, one-hot, equal up to rounding, masses down to 1e-300."""
    p, q = rng.dirichlet(np.full(vocab, 0.4), size=(2, rows))
    kind = rng.integers(KINDS, size=(rows, 1))
    integers = rng.integers(0, 4, size=(2, rows, vocab)) + np.eye(vocab)[rng.integers(vocab, size=rows)]
    p, q = np.where(kind == 1, integers, np.stack((p, q)))
    q = np.where(kind == 2, p, q)
    q = np.where(kind == 3, p * (1 + 2e-16 * rng.integers(-2, 3, size=p.shape)), q)
    p = np.where(kind == 4, np.eye(vocab)[rng.integers(vocab, size=rows)], p)
    q = np.where(kind == 5, np.eye(vocab)[rng.integers(vocab, size=rows)], q)
    with np.errstate(under="ignore"):
        q = np.where(kind == 6, q ** rng.choice([5, 20, 200], size=(rows, 1)), q)
        p, q = np.where(kind == 7, p**50, p), np.where(kind == 7, q**80, q)
    return p / p.sum(axis=1, keepdims=True), q / q.sum(axis=1, keepdims=True)


def optima(p: NDArray[np.float64], q: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """The least 1 + p(H) - q(H)^n over all subsets H, row by row."""
    vocab = p.shape[1]
    masks = (np.arange(1 << vocab) >> np.arange(vocab)[:, None] & 1).astype(float)
    found: NDArray[np.float64] = 1 + (p @ masks - (q @ masks) ** n).min(axis=1)
    return found


def test_adversarial_problems_reach_the_optimum(rng: np.random.Generator) -> None:
    """40,000 of them, in batches: R is a law, and sum min(p, R) the optimum, to 1e-12."""
    for n in (1, 2, 3, 4, 7, 8, 16, 33):
        vocab = int(rng.integers(1, 8))
        p, q = adversarial(rng, 5_000, vocab)
        law = plan(p, q, n).law
        assert (law >= 0).all()
        np.testing.assert_allclose(law.sum(axis=1), 1, rtol=0, atol=1e-14 * n)
        np.testing.assert_allclose(np.minimum(p, law).sum(axis=1), optima(p, q, n), rtol=0, atol=1e-14 * n)
        assert (law[q == 0] == 0).all()
        batched = plan(torch.from_numpy(p), torch.from_numpy(q), n)
        np.testing.assert_allclose(batched.law.numpy(), law, rtol=0, atol=1e-14 * n)


def test_the_law_is_the_one_the_kernel_has(rng: np.random.Generator) -> None:
    p, q = adversarial(rng, 800, 6)
    for target, draft in zip(p, q, strict=True):
        seats = plan(target, draft, int(rng.integers(1, 9)))
        np.testing.assert_allclose(seats_exact.iid_winner_law(seats, draft), seats.law, rtol=0, atol=1e-14)


def test_the_law_is_the_one_the_kernel_has_even_if_the_bounds_are_wrong(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lossless whatever κ and κ' came out as: only acceptance depends on them."""
    right, lost = seats_plan.bounds, 0

    def wrong(*arguments: Any) -> Any:
        lowest, highest = right(*arguments)
        lowest = np.minimum(lowest * rng.choice([0, 0.3, 0.9, 1, 1.1, 3]), arguments[-1])
        return lowest, np.clip(highest * rng.choice([0.3, 0.9, 1, 1.1, 3]), lowest, arguments[-1])

    monkeypatch.setattr(seats_plan, "bounds", wrong)
    p, q = adversarial(rng, 800, 6)
    for target, draft in zip(p, q, strict=True):
        n = int(rng.integers(1, 9))
        seats = plan(target, draft, n)
        assert seats.law.sum() == pytest.approx(1, rel=0, abs=1e-13)
        np.testing.assert_allclose(seats_exact.iid_winner_law(seats, draft), seats.law, rtol=0, atol=1e-13)
        lost += np.minimum(target, seats.law).sum() < optima(target[None], draft[None], n)[0] - 1e-6
    assert lost, "the bounds were wrong enough to matter"


def test_numpy_and_torch_plan_alike(rng: np.random.Generator) -> None:
    """numpy plans one problem on a CPU; torch plans batches, and everything on an accelerator."""
    planners: tuple[Any, ...] = (lambda p, q: plan(p, q[0], 5), independent, lambda p, q: two_distinct(p, q[0]))
    for _ in range(50):
        target, *drafts = rng.dirichlet(np.full(6, 0.4), size=3)
        for planner in planners:
            law = planner(torch.from_numpy(target), torch.from_numpy(np.stack(drafts))).law
            np.testing.assert_allclose(law.numpy(), planner(target, np.stack(drafts)).law, rtol=0, atol=1e-9)


def spread(*masses: float) -> NDArray[np.float64]:
    law = np.array(masses)
    return np.asarray(law / law.sum())


TRAPS = {
    "p one-hot where q = 1e-100": (spread(0, 0, 0, 0, 1), spread(0.8996, 0.0992, 0.0012, 1e-8, 1e-100), 4),
    "p/q overflows": (spread(0.5, 0.5, 0), spread(1e-320, 0.5, 0.5), 3),
    "p/q overflows everywhere but once": (spread(0.2, 0.3, 0.5), spread(1e-320, 5e-324, 1), 2),
    "q(H) is 1 up to rounding": (spread(1e-20, 0.5, 0.5), spread(1, 1e-18, 1e-17), 5),
    "q(H)^n is 1 up to rounding, H decides": (spread(0, 1e-3, 1), spread(1, 1e-12, 1e-13), 8),
    "ties in p/q": (spread(1, 1, 2, 4), spread(2, 2, 4, 1), 3),
    "everything ties": (spread(1, 1, 1, 1), spread(1, 1, 1, 1), 4),
    "q one-hot": (spread(2, 3, 5), spread(0, 1, 0), 3),
    "p one-hot": (spread(0, 1, 0), spread(2, 3, 5), 3),
    "both one-hot, the same": (spread(0, 1, 0), spread(0, 1, 0), 2),
    "both one-hot, different": (spread(0, 1, 0), spread(1, 0, 0), 2),
    "p = q": (spread(2, 3, 5), spread(2, 3, 5), 6),
    "p = q but for rounding": (spread(2, 3, 5), spread(2, 3, 5) * (1 + np.array([2e-16, -2e-16, 0])), 2),
    "masses of 1e-300": (spread(1e-300, 1, 2e-300), spread(1e-300, 1e-300, 1), 3),
    "drafts hardly ever hold the target": (spread(1, 0, 0, 0), spread(1e-300, 1, 1, 1), 16),
    "disjoint": (spread(1, 1, 0, 0), spread(0, 0, 1, 1), 3),
    "one token": (spread(1), spread(1), 3),
    "many drafts": (spread(5, 1, 4), spread(1, 8, 1), 1_000),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_traps(trap: str, rng: np.random.Generator) -> None:
    p, q, n = TRAPS[trap]
    with np.errstate(all="raise", under="ignore"):
        planned = SEATS.plan(Problem(p, q, n))
    assert np.isfinite(planned.law).all()
    assert (planned.law >= 0).all()
    assert planned.law.sum() == pytest.approx(1, rel=0, abs=1e-14)
    best = optima(p[None], q[None], n)[0]
    assert planned.guaranteed == pytest.approx(best, rel=0, abs=1e-14 * n)
    assert solve(Problem(p, q, n)).value == pytest.approx(planned.guaranteed, rel=0, abs=1e-14 * n)
    np.testing.assert_allclose(SEATS.output_law(Problem(p, q, n)), p, rtol=0, atol=1e-14 * n)
    size = 4_000
    drafts = torch.from_numpy(rng.choice(len(p), size=(size, n), p=q)) if n < 100 else None
    for expanded in (True, False) if drafts is not None else ():
        target, draft = torch.from_numpy(p).expand(size, -1), torch.from_numpy(q).expand(size, n, -1)
        if not expanded:
            target, draft = target.contiguous(), draft.contiguous()
        tokens = SEATS.select(target, draft, drafts, torch.Generator().manual_seed(int(rng.integers(2**31))))
        assert bool((target[0][tokens] > 0).all())
        accepted = float((drafts == tokens.unsqueeze(1)).any(dim=1).double().mean())
        assert abs(accepted - best) < 7 * np.sqrt(best * (1 - best) / size) + 1e-9


def test_bounds_stay_finite_where_rounding_leaves_mass_to_tokens_of_no_weight() -> None:
    target, draft = (seats_plan.running(np.array(law)) for law in ([0.5, 0.5], [1.0, 5e-324]))
    lowest, highest = seats_plan.bounds(np.array([0.4]), target, draft, 3)
    assert (lowest.item(), highest.item()) == (pytest.approx(0.9), 3)


def test_running_sums_do_not_drift(rng: np.random.Generator) -> None:
    """Over a vocabulary of tokens, 1 is 1: a plain running sum ends some 1e-14 from it."""
    inside, tail = seats_plan.running(np.asarray(rng.dirichlet(np.ones(128_256))))
    assert inside[-1] == 1
    assert tail[0] == pytest.approx(1, rel=0, abs=1e-12)
    np.testing.assert_allclose(inside[:-1] + tail[1:], 1, rtol=0, atol=1e-12)


def test_the_smallest_optimum_keeps_its_digits() -> None:
    """The target's only token is drafted once in 1e8: (1 - (1 - 1e-8)^4) is not 4 units of rounding."""
    problem = Problem([0, 0, 1], [0.6, 0.4 - 1e-8, 1e-8], 4)
    assert SEATS.acceptance(problem) == pytest.approx(4e-8, rel=1e-7)


@pytest.mark.parametrize("law", SEATS.laws)
@pytest.mark.parametrize("expanded", [True, False])
def test_rows_need_not_sum_to_one(rng: np.random.Generator, law: str, expanded: bool) -> None:  # noqa: FBT001
    p, q = (torch.from_numpy(rng.dirichlet(np.ones(50))).float() for _ in range(2))
    ids = torch.from_numpy(rng.permuted(np.tile(np.arange(50), (64, 1)), axis=1)[:, :2])
    tokens = []
    for scale in (1, 4):
        target, draft = (scale * p).expand(64, -1), (q / scale).expand(64, 2, -1)
        if not expanded:
            target, draft = target.contiguous(), draft.contiguous()
        select = schemes.get("seats", drafting=law).select
        tokens.append(select(target, draft, ids, torch.Generator().manual_seed(1)))
    assert torch.equal(*tokens)


@pytest.mark.parametrize("n", [2, 8])
def test_full_vocabulary(rng: np.random.Generator, n: int) -> None:
    vocab = 128_256
    p, q = (np.asarray(x) for x in rng.dirichlet(np.full(vocab, 0.1), size=2))
    p[rng.random(vocab) < 0.2] = 0
    q[rng.random(vocab) < 0.2] = 0
    problem = Problem(p / p.sum(), q / q.sum(), n)
    planned = SEATS.plan(problem)
    assert planned.law.sum() == pytest.approx(1, rel=0, abs=1e-12)
    assert planned.guaranteed == pytest.approx(planned.optimum.value, rel=0, abs=1e-12)
    assert SEATS.acceptance(problem) == pytest.approx(planned.optimum.value, rel=0, abs=1e-12)
    np.testing.assert_allclose(SEATS.output_law(problem), problem.target, rtol=0, atol=1e-12)


def test_chains_of_adversarial_laws_are_laws(rng: np.random.Generator) -> None:
    for n in (2, 3, 4):
        vocab = int(rng.integers(1, 8))
        laws = [adversarial(rng, 1_000, vocab) for _ in range(n)]
        p, drafts = laws[0][0], np.stack([pair[1] for pair in laws], axis=1)
        law = independent(torch.from_numpy(p), torch.from_numpy(drafts)).law.numpy()
        assert (law >= 0).all()
        np.testing.assert_allclose(law.sum(axis=1), 1, rtol=0, atol=1e-13)
        assert (law[(drafts == 0).all(axis=1)] < 1e-15).all()
        law = two_distinct(torch.from_numpy(p), torch.from_numpy(drafts[:, 0])).law.numpy()
        assert (law >= 0).all()
        np.testing.assert_allclose(law.sum(axis=1), 1, rtol=0, atol=1e-12)


def test_a_batch_is_its_rows() -> None:
    """Plans of many problems at once, of numpy as of torch, are the plans of each."""
    rng = np.random.default_rng()
    target, drafts = rng.dirichlet(np.ones(6), size=40), rng.dirichlet(np.ones(6), size=(40, 3))
    for planner, draft in ((independent, drafts), (two_distinct, drafts[:, 0].copy())):
        batch = planner(target, draft).law
        np.testing.assert_allclose(planner(torch.tensor(target), torch.tensor(draft)).law.numpy(), batch, atol=1e-14)
        for row in range(40):
            np.testing.assert_allclose(planner(target[row], draft[row]).law, batch[row], rtol=0, atol=1e-14)
