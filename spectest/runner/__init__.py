"""Runs: tiers, the split of α, one run from plan to report, replay."""

from __future__ import annotations

from spectest.runner.config import TIERS, Planned, RunConfig, plan
from spectest.runner.hunting import hunt
from spectest.runner.lossless import assert_lossless
from spectest.runner.report import CheckResult, Report
from spectest.runner.run import Observer, Run, Silent, verify

__all__ = [
    "TIERS",
    "CheckResult",
    "Observer",
    "Planned",
    "Report",
    "Run",
    "RunConfig",
    "Silent",
    "assert_lossless",
    "hunt",
    "plan",
    "verify",
]
