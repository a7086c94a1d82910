"""When a run ends: a failure brings its end forward, unless it was told how long it may take."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from spectest.runner import Run
from spectest.runner import deadline as deadlines
from spectest.runner.config import configure
from spectest.runner.deadline import Deadline

if TYPE_CHECKING:
    import torch

CHECKS = ("smoke", "support", "law", "mixture", "rows", "batch", "determinism")


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, "AFTER_FAILURE", 0.5)


def test_the_end_comes_nearer_with_a_failure_and_never_goes_further_away() -> None:
    unasked = Deadline(configure(tier="deep"))
    assert unasked.left() > 3600
    assert not unasked.cut
    unasked.failed()
    assert 0 < unasked.left() <= 0.5
    assert not unasked.cut
    time.sleep(0.3)
    unasked.failed()
    assert unasked.left() <= 0.2
    time.sleep(0.2)
    assert "--budget" in unasked.cut


def test_a_budget_is_kept_whatever_fails() -> None:
    asked = Deadline(configure(budget=0.01))
    asked.failed()
    time.sleep(0.02)
    assert asked.left() == 0
    assert not asked.cut  # every case gets a moment
    longer = Deadline(configure(budget=100))
    longer.failed()
    assert longer.left() > 90


def test_a_run_that_failed_ends_soon_and_says_what_it_left_out() -> None:
    def slow_and_wrong(p: torch.Tensor, q: torch.Tensor, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """The likeliest token, whatever is drawn."""
        time.sleep(0.005)
        return p.argmax(-1)

    began = time.monotonic()
    report = Run(slow_and_wrong, configure(vocab=(5,), checks=CHECKS), workers=1).execute()
    took = time.monotonic() - began
    assert report.verdict == "fail"
    assert report.exit_code == 1
    left_out = [case for case in report.cases if case.detail.startswith("not run")]
    assert left_out
    assert {case.verdict for case in left_out} == {"inconclusive"}
    assert took < 20  # of 600
