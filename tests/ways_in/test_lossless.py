"""`assert_lossless`: passes, fails with what is wrong, and refuses what it could not judge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import spectest
from spectest.errors import SpectestError, UsageError
from spectest.zoo import controls

if TYPE_CHECKING:
    import torch

PROBLEM = spectest.Problem([0.5, 0.3, 0.2], [0.2, 0.3, 0.5], 2)


def first_draft(p: torch.Tensor, q: torch.Tensor, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Nothing is verified."""
    return x[:, 0]


def test_a_correct_selector_passes_and_a_wrong_one_says_what_is_wrong() -> None:
    spectest.assert_lossless(controls.rrs_dense, PROBLEM)
    spectest.assert_lossless("spectest.zoo.controls:rrs_dense", PROBLEM, seed=3)
    with pytest.raises(AssertionError, match=r"first_draft is not lossless on .*\n.*total variation"):
        spectest.assert_lossless(first_draft, PROBLEM)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"alpha": 0}, "`alpha` must lie between 0 and 1, got 0"),
        ({"beta": 1.0}, "`beta` must lie between 0 and 1"),
        ({"delta": "a"}, "`delta` must lie between 0 and 1, got 'a'"),
        ({"seed": -1}, "`seed` must be an integer of at least 0, got -1"),
        ({"kind": "chain"}, "`kind` chain is not provided"),
        ({"lossless": False}, "declared lossless=False: there is nothing to assert"),
        ({"colour": 1}, "colour"),
    ],
)
def test_arguments_are_checked(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SpectestError, match=said):
        spectest.assert_lossless(first_draft, PROBLEM, **given)


def test_it_wants_a_problem() -> None:
    with pytest.raises(UsageError, match=r"must be a spectest\.Problem, got list"):
        spectest.assert_lossless(first_draft, [0.5, 0.5])  # type: ignore[arg-type]  # as a user may
