"""A correct selector under somebody's own `@given`: no failure, however many examples."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import HealthCheck, given, settings

import spectest
from spectest.strategies import problems
from tests.checks.bench import SEED


@pytest.mark.slow
@pytest.mark.parametrize("repetition", range(20))
def test_a_correct_selector_never_fails(repetition: int) -> None:
    """A thousand problems of every family, each tested at its own α, at twenty seeds."""
    select = spectest.schemes.get("recursive_rejection").select
    seen = 0

    @hypothesis.seed(SEED + repetition)
    @settings(max_examples=1_000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(problems(vocab=(1, 12)))
    def check(problem: spectest.Problem) -> None:
        nonlocal seen
        seen += 1
        spectest.assert_lossless(select, problem, seed=SEED + repetition)

    check()
    assert seen >= 500  # fewer where Hypothesis runs out of new ones
