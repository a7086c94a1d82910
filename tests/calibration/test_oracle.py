"""How far the tests are from one that knows the bug, for the bugs whose output law is known."""

from __future__ import annotations

import numpy as np
import pytest

from spectest import zoo
from spectest.calibration.oracle import ALPHA, VOCAB, beside_oracle, language_like
from spectest.stats import oracle_samples


def test_language_like_laws() -> None:
    problem = language_like()
    assert problem.vocab_size == VOCAB
    assert np.log(problem.target).std() == pytest.approx(3, rel=0.05)
    assert np.log(problem.draft_rows[0] / problem.target).std() == pytest.approx(1, rel=0.05)
    assert not np.array_equal(language_like(seed=1).target, problem.target)


@pytest.mark.parametrize("name", ["falls_back_to_target", "last_block_of_1024_lost"])
def test_structural_bugs_take_few_times_what_the_oracle_takes(name: str) -> None:
    found = beside_oracle(name)
    assert found is not None
    problem, output_law = language_like(), zoo.BUGS[name].output_law
    assert output_law is not None
    changed = output_law(problem.target, problem.draft_rows[0])
    assert found.oracle == pytest.approx(oracle_samples(problem.target, changed, alpha=ALPHA), rel=1e-6)
    assert found.variation == pytest.approx(np.abs(changed - problem.target).sum() / 2, rel=1e-6)
    assert 1 < found.ratio < 30
    assert found.needed == pytest.approx(found.ratio * found.oracle)


def test_nothing_is_said_where_nothing_is_known_or_nothing_is_wrong() -> None:
    assert zoo.BUGS["same_coins_for_every_row"].output_law is None
    assert beside_oracle("same_coins_for_every_row") is None


@pytest.mark.slow
def test_median_ratio() -> None:
    """At most five in the middle, and no bug of structure above thirty."""
    found = {name: beside for name in zoo.BUGS if (beside := beside_oracle(name)) is not None}
    assert len(found) > 30
    assert np.median([beside.ratio for beside in found.values()]) <= 5
    structural = [beside.ratio for name, beside in found.items() if zoo.BUGS[name].kind != "precision"]
    assert max(structural) <= 30
