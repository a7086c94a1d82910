"""A selector may say that a problem is too large for it, in cases far wider than the main problems and only there."""

from __future__ import annotations

from typing import Any

import pytest

import spectest
from spectest import checks, zoo
from spectest.errors import ProblemTooLarge
from spectest.runner.config import configure
from tests.checks.bench import SMALL

pytestmark = pytest.mark.long

WIDE = {check.name: set(getattr(check, "wide", ())) for check in checks.select()}


def small_problems_only(p: Any, q: Any, ids: Any, generator: Any) -> Any:
    """Serves at most 300 tokens."""
    if p.shape[-1] > 300:
        msg = f"{p.shape[-1]} tokens are too many"
        raise ProblemTooLarge(msg)
    return zoo.get("rrs_dense")(p, q, ids, generator)


def breaks_down(p: Any, q: Any, ids: Any, generator: Any) -> Any:
    """Runs out of something above 300 tokens."""
    if p.shape[-1] > 300:
        raise MemoryError
    return zoo.get("rrs_dense")(p, q, ids, generator)


def test_every_wide_case_is_a_case() -> None:
    for name, wide in WIDE.items():
        cases = {*checks.get(name).cases(SMALL), *checks.get(name).cases(configure(tier="standard").settings)}
        assert wide <= {*cases, "wide-vocabulary"}


@pytest.mark.parametrize("check", ["smoke", "mixture", "seeding"])
def test_a_refusal_of_a_wide_case_is_no_failure(check: str) -> None:
    report = spectest.verify(small_problems_only, checks=[check])
    assert report.verdict == "pass", [case.detail for case in report.cases]
    refused = {case.case for case in report.cases if case.detail.startswith("not provided: it raised ProblemTooLarge")}
    assert refused
    assert refused <= WIDE[check]


def test_any_other_exception_is_one() -> None:
    assert spectest.verify(breaks_down, checks=["seeding"]).verdict == "fail"


def test_a_refusal_of_what_was_asked_for_is_one() -> None:
    report = spectest.verify(small_problems_only, checks=["law"], vocab=301)
    assert report.verdict == "fail"
    assert "ProblemTooLarge" in report.cases[0].detail
