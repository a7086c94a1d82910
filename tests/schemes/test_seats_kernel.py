"""Seats, the kernel: the law given the drafts, and losslessness that depends on nothing computed before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from spectest import Problem, drafting, schemes
from spectest.schemes.common.arrays import library
from spectest.schemes.seats import plan as seats_plan
from spectest.schemes.seats import winner as seats_winner
from tests.schemes import enumeration as exact
from tests.schemes.enumeration import Instance
from tests.schemes.sampled import ALPHA, acceptance_p_value, draw_drafts, generator, law_p_value, p_value
from tests.schemes.seats_enumerated import Enumerated
from tests.schemes.seats_fractions import Seats

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

DRAFTS = {"with_replacement": 3, "independent": 3, "without_replacement": 2}
DRAWS = 40_000


Conditional = tuple[Problem, "Callable[[Any], Any]", "NDArray[np.float64]"]


def conditional(law: str) -> Conditional:
    """A problem whose seats are swapped a lot, the law of its output given the drafts, and R."""
    n = DRAFTS[law]
    drafts = (exact.P6[1], exact.SECOND_DRAFTER if law == "independent" else exact.P6[1], exact.P6[1])
    case = Instance(exact.P6[0], drafts[:n], law)
    if law == "with_replacement":
        kernel = Seats(case.target, case.drafts[0], n)
        return case.problem, kernel.given, np.array(kernel.law, dtype=np.float64)
    enumerated = Enumerated(case.problem)
    return case.problem, lambda ids: enumerated.verified(enumerated.given(ids)), enumerated.law


@pytest.mark.parametrize("expanded", [False, True])
@pytest.mark.parametrize("law", DRAFTS)
def test_law_given_the_drafts(law: str, expanded: bool, seed: int) -> None:  # noqa: FBT001
    """Stronger than the law: for every tuple of drafts, the conditional law is the enumerated one."""
    problem, given, _ = conditional(law)
    tuples, _ = drafting.get(law).joint_law(problem)
    each = 5_000 if expanded else 1_000
    ids = torch.from_numpy(tuples).repeat_interleave(each, dim=0)
    target, draft = torch.tensor(problem.target).expand(len(ids), -1), torch.tensor(problem.draft_rows.copy())
    draft = draft.expand(len(ids), -1, -1)
    if not expanded:
        target, draft = target.contiguous(), draft.contiguous()
    tokens = schemes.get("seats", drafting=law).select(target, draft, ids, generator(seed))
    counts = np.bincount((torch.arange(len(ids)) // each * 5 + tokens).numpy(), minlength=5 * len(tuples))
    expected = np.array([given(row.tolist()) for row in tuples], dtype=np.float64).ravel() * each
    expected[expected < 1e-9] = 0  # rounding of the enumeration in float64
    assert p_value(counts, expected) > ALPHA  # totals per tuple are fixed: fewer degrees of freedom than it assumes


@pytest.mark.parametrize("law", DRAFTS)
def test_a_wrong_kernel_would_show(law: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: every draft keeps its own seat, and R is still believed."""
    monkeypatch.setattr(seats_winner.IidSeats, "_draw", lambda self, own, generator: own)
    monkeypatch.setattr(seats_winner.ChainSeats, "_draw", lambda self, own, generator: own)
    problem, _, _ = conditional(law)
    drafts = problem.draft_rows
    ids = draw_drafts(np.random.default_rng(seed), drafts, DRAWS, distinct=law == "without_replacement")
    target, draft = torch.tensor(problem.target).expand(DRAWS, -1), torch.tensor(drafts.copy()).expand(DRAWS, -1, -1)
    tokens = schemes.get("seats", drafting=law).select(target, draft, ids, generator(seed))
    assert law_p_value(tokens, problem.target) < ALPHA


@pytest.mark.parametrize("expanded", [False, True])
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.0, 1.3), (0.5, 0.5), (2.0, 1.0)])
def test_lossless_even_if_the_bounds_are_wrong(
    low: float,
    high: float,
    expanded: bool,  # noqa: FBT001 (a parameter of the test)
    seed: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Masses that face nothing, or the wrong side, keep their seats: up to .28 of all mass here, not rounding alone."""
    problem, _, law = conditional("with_replacement")
    right = seats_plan.bounds

    def wrong(*arguments: Any) -> Any:
        lowest, highest = right(*arguments)
        return low * lowest, library(lowest).maximum(low * lowest, (high * highest).clip(max=arguments[-1]))

    monkeypatch.setattr(seats_plan, "bounds", wrong)
    target, draft = torch.tensor(problem.target), torch.tensor(problem.draft)
    ids = draw_drafts(np.random.default_rng(seed), problem.draft_rows, 4 * DRAWS, distinct=False)
    planned = seats_winner.plan_iid(target, draft, 3)
    assert np.abs(planned.law.numpy() - law).max() > 0.02
    assert law_p_value(planned.winner(ids, generator(seed)), planned.law.numpy()) > ALPHA
    laws = target.expand(len(ids), -1), draft.expand(len(ids), 3, -1)
    if not expanded:
        laws = laws[0].contiguous(), laws[1].contiguous()
    assert law_p_value(schemes.get("seats").select(*laws, ids, generator(seed)), problem.target) > ALPHA


@pytest.mark.parametrize("n", [2, 8])
def test_winners_of_a_full_vocabulary(n: int, seed: int) -> None:
    """χ² of the winner against R, and of the output against the target, in pooled cells and in bands of p/q."""
    rng, vocab, size = np.random.default_rng(seed), 128_256, 100_000
    p, q = (np.sort(rng.dirichlet(np.full(vocab, 0.05)))[::-1] for _ in range(2))
    rng.shuffle(q[:2000])
    q[vocab // 2 :] = 0
    q /= q.sum()
    shuffled = rng.permutation(vocab)
    p, q = p[shuffled], q[shuffled]
    target, draft = torch.from_numpy(p), torch.from_numpy(q)
    ids = torch.from_numpy(rng.choice(vocab, size=(size, n), p=q))
    planned = seats_winner.plan_iid(target, draft, n)
    bands = np.argsort(np.argsort(np.divide(p, q, out=np.full(vocab, np.inf), where=q > 0))) // 2_000
    for tokens, law in (
        (planned.winner(ids, generator(seed)), planned.law.numpy()),
        (
            schemes.get("seats").select(target.expand(size, -1), draft.expand(size, n, -1), ids, generator(seed)),
            p,
        ),
    ):
        assert law_p_value(tokens, law) > ALPHA
        banded = np.bincount(bands, weights=law)
        assert p_value(np.bincount(bands[tokens.numpy()], minlength=len(banded)), size * banded) > ALPHA
    acceptance = schemes.get("seats").acceptance(Problem(p, q, n))
    assert acceptance_p_value(tokens, ids, acceptance) > ALPHA
