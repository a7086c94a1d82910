"""A selector that hangs or ends its process: what is not run any more, and what still is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import spectest
from spectest.runner import Run
from spectest.runner.config import configure

if TYPE_CHECKING:
    from pathlib import Path

    from spectest.runner import Report

SOURCE = """
import os
import time

import spectest


def good(p, q, x, generator):
    return (generator.random((len(p), 1)) * p.sum(-1, keepdims=True) < p.cumsum(-1)).argmax(-1)


@spectest.selector(array="numpy")
def dies_when_wide(p, q, x, generator):
    return os.abort() if p.shape[-1] > 100 else good(p, q, x, generator)


@spectest.selector(array="numpy")
def dies(p, q, x, generator):
    os.abort()


@spectest.selector(array="numpy")
def hangs_on_one_token(p, q, x, generator):
    if p.shape[-1] == 1:
        time.sleep(100)
    return good(p, q, x, generator)
"""
CHECKS = ("smoke", "support", "law", "edge", "mixture", "injection")
MIXTURE = 7  # its cases


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)


def verdicts(report: Report) -> dict[str, str]:
    return {f"{case.check}[{case.case}]": case.verdict for case in report.cases}


def not_run(report: Report) -> list[str]:
    return [case.check for case in report.cases if case.detail.startswith("not run")]


def test_a_crash_at_one_size_costs_what_has_that_size() -> None:
    report = spectest.verify("mine.py:dies_when_wide", vocab=(5, 300), checks=CHECKS, delta=0.05)
    found = verdicts(report)
    assert {found[name] for name in ("smoke[known-answers]", "support[V5]", "support[V33]", "law[V5]")} == {"pass"}
    edges = {name: verdict for name, verdict in found.items() if name.startswith("edge")}
    assert edges.pop("edge[sparse]") == "fail"
    assert set(edges.values()) == {"pass"}
    assert {found[name] for name in ("smoke[wide-vocabulary]", "support[V130]", "law[V300]")} == {"fail"}
    assert set(not_run(report)) <= {"mixture"}
    assert sum(name.startswith("mixture") for name in found) == MIXTURE
    assert report.problems == ()


def test_one_that_never_answered_is_not_called_for_ever_and_what_does_not_apply_is_not_counted() -> None:
    report = spectest.verify("mine.py:dies", vocab=(5,), checks=CHECKS)
    assert sum(case.verdict == "fail" for case in report.cases) <= 3  # two, and one that was on its way
    assert set(not_run(report)) <= set(CHECKS) - {"injection"}
    assert [check.name for check in report.checks] == [name for name in CHECKS if name != "injection"]


def test_two_hangs_that_take_much_of_the_budget_are_the_last() -> None:
    def run(budget: float) -> Report:
        config = configure(vocab=(5,), checks=("smoke", "edge", "law"), delta=0.05, timeout=1.5, budget=budget)
        return Run("mine.py:hangs_on_one_token", config, workers=1).execute()

    hasty, patient = run(12), run(100)
    assert verdicts(hasty)["smoke[known-answers]"] == verdicts(patient)["smoke[known-answers]"] == "fail"
    assert verdicts(hasty)["edge[one-token]"] == verdicts(patient)["edge[one-token]"] == "fail"
    assert not_run(hasty)
    assert not not_run(patient)
