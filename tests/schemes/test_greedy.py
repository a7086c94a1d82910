"""Greedy drafts and hub pairs: their selectors attain the optimum of their drafting law."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given

from spectest import Problem, UsageError, schemes
from spectest.optimum import solve
from tests.schemes import enumeration as exact
from tests.schemes.baselines_enumerated import greedy_given, instances, outcome, spechub_given
from tests.schemes.enumeration import Instance, instance

GREEDY, SPECHUB = schemes.get("greedy"), schemes.get("spechub")
GIVEN = {"greedy": (GREEDY, greedy_given), "hub": (SPECHUB, spechub_given)}
CLOSE = 1e-14


@given(instances("greedy", "hub", vocab=5, n=4))
def test_against_enumeration(case: Instance) -> None:
    scheme, given_drafts = GIVEN[case.drafting]
    output_law, acceptance = outcome(case, given_drafts)
    assert output_law == case.target, "the scheme is lossless"
    assert scheme.acceptance(case.problem) == pytest.approx(float(acceptance), rel=0, abs=CLOSE)
    assert scheme.acceptance(case.problem) == pytest.approx(solve(case.problem).value, rel=0, abs=1e-13)
    np.testing.assert_allclose(scheme.output_law(case.problem), list(map(float, output_law)), rtol=0, atol=CLOSE)


@pytest.mark.parametrize(("n", "acceptance"), [(2, 0.7550877), (3, 0.7940741)])
def test_published_values(n: int, acceptance: float) -> None:
    assert GREEDY.acceptance(instance(*exact.P6, n, "greedy").problem) == pytest.approx(acceptance, rel=0, abs=5e-8)


def test_published_value_of_hub_pairs() -> None:
    assert SPECHUB.acceptance(instance(*exact.P6, 2, "hub").problem) == pytest.approx(0.7550877, rel=0, abs=5e-8)


@pytest.mark.parametrize("tiny", [1e-15, 1e-300, 5e-324])
def test_one_token_that_holds_almost_all_draft_mass(tiny: float) -> None:
    """1 - q(a) is lost to rounding; the sum of the others is not."""
    target = np.array([0.2, 0.3, 0.1, 0.4])
    for law, scheme in (("greedy", GREEDY), ("hub", SPECHUB)):
        problem = Problem(target, [1, tiny, 3 * tiny, 0], 2, law)
        assert scheme.acceptance(problem) == pytest.approx(0.2 + 0.25 + 0.1, rel=0, abs=CLOSE)
        np.testing.assert_allclose(scheme.output_law(problem), target, rtol=0, atol=CLOSE)


def test_any_vocabulary() -> None:
    weights = 1 / np.arange(1.0, 128_001)
    target, draft = weights / weights.sum(), np.random.default_rng().permutation(weights) / weights.sum()
    pair = [Problem(target, draft, 2, law) for law in ("greedy", "hub")]
    assert GREEDY.acceptance(pair[0]) == pytest.approx(SPECHUB.acceptance(pair[1]), abs=1e-13)
    np.testing.assert_allclose(SPECHUB.output_law(pair[1]), target, rtol=0, atol=CLOSE)


def test_hub_pairs_are_two_drafts() -> None:
    law = torch.full((2, 3), 1 / 3)
    ids = torch.tensor([[0, 1, 2], [0, 2, 1]])
    with pytest.raises(UsageError, match="two drafts per row for spechub, got 3"):
        SPECHUB.select(law, law[:, None].expand(-1, 3, -1), ids, torch.Generator())


@pytest.mark.parametrize("draft", [[0.6, 0.4, 0, 0], [1, 0, 0, 0]])
def test_more_drafts_than_the_draft_law_has_tokens(draft: list[float]) -> None:
    """Then the last draft is uniform over the tokens that are left, as without replacement: lossless all the same."""
    size, generator = 40_000, torch.Generator().manual_seed(int(np.random.default_rng().integers(2**40)))
    target = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    top = [0, 1]
    last = torch.tensor([2, 3])[torch.randint(2, (size,), generator=generator)]
    ids = torch.stack([torch.full_like(last, top[0]), torch.full_like(last, top[1]), last], dim=1)
    laws = torch.tensor(draft, dtype=torch.float64)
    tokens = GREEDY.select(target.expand(size, -1), laws.expand(size, 3, -1), ids, generator)
    frequencies = torch.bincount(tokens, minlength=4) / size
    assert torch.allclose(frequencies.double(), target, atol=0.02)


def test_every_token_drafted() -> None:
    """No law is left for a last draft that repeats another: the target's own draw is as good as anything."""
    target = torch.tensor([[0.0, 1.0]])
    ids = torch.tensor([[0, 1, 0]])
    tokens = GREEDY.select(target, target.unsqueeze(1).expand(-1, 3, -1), ids, torch.Generator())
    assert tokens.tolist() == [1]
