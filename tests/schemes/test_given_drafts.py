"""`select` given the drafts, stronger than its law: for every tuple of drafts, the enumerated conditional law."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from spectest import schemes
from tests.schemes import enumeration as exact
from tests.schemes.baselines_enumerated import (
    drafted,
    greedy_block_given,
    greedy_given,
    gumbel_given,
    k_seq_given,
    naive_given,
    spechub_given,
)
from tests.schemes.sampled import ALPHA, p_value

GIVEN = {
    "recursive_rejection": exact.rejection_given,
    "naive": naive_given,
    "k_seq": k_seq_given(Fraction(3, 2)),  # rho* of the pair
    "greedy": greedy_given,
    "spechub": spechub_given,
    "greedy_block": greedy_block_given,
}


def given_the_drafts(name: str, case: exact.Instance, seed: int, *, expanded: bool) -> float:
    """Return the p-value of the tokens of every tuple of drafts against the enumerated law given that tuple."""
    given = gumbel_given(case) if name == "gumbel_list" else GIVEN[name]
    tuples = [ids for ids, _ in drafted(case)]
    each, vocab = 6_000, len(case.target)
    ids = torch.tensor(tuples).repeat_interleave(each, dim=0)
    target, draft = torch.tensor(case.problem.target), torch.tensor(case.problem.draft_rows.copy())
    target, draft = target.expand(len(ids), -1), draft.expand(len(ids), -1, -1)
    if not expanded:
        target, draft = target.contiguous(), draft.contiguous()
    scheme = schemes.get(name, drafting=case.drafting)
    tokens = scheme.select(target, draft, ids, torch.Generator().manual_seed(seed))
    counts = np.bincount((torch.arange(len(ids)) // each * vocab + tokens).numpy(), minlength=vocab * len(tuples))
    expected = np.array([given(case, ids) for ids in tuples], dtype=np.float64).ravel() * each
    return p_value(counts, expected)  # totals per tuple are fixed: fewer degrees of freedom than it assumes


@pytest.mark.parametrize("expanded", [False, True])
@pytest.mark.parametrize(
    ("name", "law"), [(name, law) for name in (*GIVEN, "gumbel_list") for law in schemes.get(name).laws]
)
def test_law_given_the_drafts(name: str, law: str, expanded: bool, seed: int) -> None:  # noqa: FBT001 (a parameter of the test)
    second = exact.SECOND_DRAFTER if law == "independent" else exact.P6[1]
    case = exact.Instance(exact.P6[0], (exact.P6[1], second), law)
    assert given_the_drafts(name, case, seed, expanded=expanded) > ALPHA


@pytest.mark.parametrize("expanded", [False, True])
@pytest.mark.parametrize(
    ("name", "law"), [("greedy", "greedy"), ("spechub", "hub"), ("greedy_block", "with_replacement")]
)
def test_law_given_the_drafts_where_tokens_tie(name: str, law: str, expanded: bool, seed: int) -> None:  # noqa: FBT001
    """Two likeliest tokens, and two tokens of the same p / q."""
    case = exact.instance(exact.law(1, 3, 4, 2, 2), exact.law(3, 1, 3, 2, 2), 2, law)
    assert given_the_drafts(name, case, seed, expanded=expanded) > ALPHA


@pytest.mark.parametrize("law", schemes.get("recursive_rejection").laws)
def test_law_given_three_drafts(law: str, seed: int) -> None:
    drafts = (exact.P6[1], exact.SECOND_DRAFTER if law == "independent" else exact.P6[1], exact.P6[1])
    case = exact.Instance(exact.P6[0], drafts, law)
    assert given_the_drafts("recursive_rejection", case, seed, expanded=True) > ALPHA
