"""What a whole run says of the zoo: controls pass, bugs fail where they should be seen."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from spectest import zoo
from spectest.runner import Run
from spectest.runner.config import configure

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from spectest.runner import Report

pytestmark = pytest.mark.long

#: Any seed must do. Every failure names it, and the variable brings it back.
SEED = int(os.environ.get("ZOO_SEED") or secrets.randbits(32))
TIMEOUT = 5.0  # seconds per call, six times that for the first of a process

#: Run by default: a whole run takes half a minute. The others run with those marked slow, and in the kill table;
#: tests/checks/test_on_selectors.py has every check and several controls in one process.
BY_DEFAULT = {
    "rrs_uniforms",
    "segfaults",
    "hangs_holding_the_lock",
    "ids_wrap_at_256",
    "naive_declared_recursive",
    "last_row_not_processed",
    "plan_cached_by_shape",
}
#: name -> the check that is there to see it.
SEEN_BY: dict[str, str] = {
    "target_overwritten": "smoke",
    "raises_system_exit": "smoke",
    "segfaults": "smoke",
    "hangs_holding_the_lock": "smoke",
    "private_generator": "determinism",
    "target_smoothed": "support",
    "ids_wrap_at_256": "law",
    "naive_declared_recursive": "acceptance",
    "equal_laws_give_token_zero": "edge",
    "last_row_not_processed": "batch",
    "neighbours_coin": "rows",
    "plan_cached_by_shape": "consecutive",
    "warp_shares_final_coin": "streams",
    "greedy_mask_off_by_one": "mixture",
    "workspace_outgrown": "memory",
    "offset_of_target_ignored": "layout",
    "final_coin_one_call_late": "seeding",
    "scratch_not_filled": "workspace",
    "inclusive_at_zero": "injection",
    "noise_in_bfloat16": "tail",
    "drafted_from_the_top": "proposal",
    "gumbel_noise_shared": "seam",
    "falls_back_to_target": "hunt",
}
#: name -> what makes that quick: no patience with one that never answers, no vocabulary that tells nothing.
QUICKLY: dict[str, dict[str, Any]] = {
    "hangs_holding_the_lock": {"timeout": 0.5},
    "ids_wrap_at_256": {"vocab": (300,)},
    "naive_declared_recursive": {"vocab": (17,)},
}


@pytest.fixture(autouse=True)
def _records_go_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def run(address: str, *, seed: int = SEED, **options: Any) -> Report:
    return Run(address, configure(seed=seed, **{"timeout": TIMEOUT, **options})).execute()


def told(report: Report) -> str:
    """Everything needed to see it again."""
    cases = [f"{case.check}[{case.case}] {case.verdict}: {case.detail}" for case in report.cases]
    return "\n".join([f"{report.selector}: {report.verdict} with ZOO_SEED={SEED}", *cases])


def failing(report: Report) -> set[str]:
    return {check.name for check in report.checks if check.verdict == "fail"}


def by_default(names: Iterable[str]) -> list[Any]:
    """Return parameters, those that take too long for every change marked slow."""
    return [pytest.param(name, marks=[] if name in BY_DEFAULT else [pytest.mark.slow]) for name in names]


@pytest.mark.parametrize("name", by_default(zoo.CONTROLS))
def test_control_passes(name: str) -> None:
    report = run(zoo.CONTROLS[name].address)
    assert report.verdict == "pass", told(report)


@pytest.mark.parametrize("name", by_default(SEEN_BY))
def test_defect_is_seen_by_its_check(name: str) -> None:
    """That check alone, so that none can hide behind another."""
    report = run(zoo.BUGS[name].address, checks=(SEEN_BY[name],), **QUICKLY.get(name, {}))
    assert report.verdict == "fail", told(report)
    assert failing(report) == {SEEN_BY[name]}, told(report)
    assert report.exit_code == 1


def test_every_check_sees_something() -> None:
    from spectest.checks import CHECKS

    assert set(SEEN_BY.values()) == set(CHECKS)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, bug in zoo.BUGS.items() if not bug.escapes("quick")])
def test_bug_fails(name: str) -> None:
    report = run(zoo.BUGS[name].address, **zoo.BUGS[name].options)
    assert report.verdict == "fail", told(report)


def test_tables_name_what_exists() -> None:
    assert {*zoo.CONTROLS, *SEEN_BY} >= BY_DEFAULT
    assert set(SEEN_BY) >= set(QUICKLY)
    assert set(zoo.BUGS) >= set(SEEN_BY)
