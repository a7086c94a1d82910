"""How a failure reads: what it names."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from spectest import Problem
from spectest.checks.judging import named
from tests.checks.bench import SMALL, drawn, run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def test_a_failing_part_of_a_wide_vocabulary_is_named() -> None:
    """Its ids, what was expected and what was seen, before the single tokens."""
    generator = np.random.default_rng()
    target = 0.9 * generator.dirichlet(np.ones(2_900)) + 0.1 / 2_900
    problem = Problem(target, generator.dirichlet(np.ones(2_900)), 3, name="mine")

    def scarce(law: NDArray[np.float64]) -> NDArray[np.float64]:
        wrong = np.where(np.arange(law.size) >= 2048, 0.7 * law, law)
        return np.asarray(wrong / wrong.sum())

    detail = run("law", "mine", drawn(law=scarce), replace(SMALL, delta=1e-2, problem=problem)).detail
    assert "852 tokens from 2048 to 2899: expected" in detail


@pytest.mark.parametrize(
    ("tokens", "name"),
    [
        ([7], "token 7"),
        ([3, 4], "tokens 3, 4"),
        (range(32, 96), "64 tokens from 32 to 95"),
        (range(5, 320, 32), "10 tokens from 5 to 293, in steps of 32"),
        ([1, 2, 4, 8, 16, 32, 64, 128], "8 tokens (1, 2, 4, 8, 16, 32, … 128)"),
    ],
)
def test_sets_of_tokens_are_named(tokens: Sequence[int], name: str) -> None:
    assert named(np.array(list(tokens))) == name
