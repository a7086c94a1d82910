"""Waivers applied: what a waived case comes to, once its counter-example has been put to the selector."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from spectest.checks.adversary.hunting import retry
from spectest.checks.adversary.oracle import OutOfTime
from spectest.checks.base import Context
from spectest.checks.result import CaseResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from spectest.engine import Session
    from spectest.runner.config import Planned, RunConfig
    from spectest.runner.waivers import Waiver

#: How the detail of a waived failure begins: its verdict is `pass`.
_WAIVED: Final = "waived ("


class Excuses:
    """The waivers of one selector in this process; safe to use from several threads.

    Args:
        config: of the run.
        selector: its address.
    """

    def __init__(self, config: RunConfig, selector: str) -> None:
        self._config = config
        self._waivers = [waiver for waiver in config.waivers if waiver.selector == selector]
        self._lock = threading.Lock()
        self._fails: dict[Waiver, bool] = {}

    def covering(self, planned: Planned) -> list[Waiver]:
        """Return the waivers of a case."""
        return [item for item in self._waivers if item.covers(item.selector, planned.check, planned.case)]

    def settled(
        self,
        waivers: list[Waiver],
        planned: Planned,
        session: Session,
        run: Callable[[], CaseResult | None],
        *,
        seconds: float,
    ) -> CaseResult | None:
        """Return what a waived case comes to: `run` runs it, after the counter-examples of all its waivers."""
        for waiver in waivers:
            try:
                if waiver.counterexample is not None and not self._still_fails(waiver, session, seconds):
                    return _unexpected(waiver, planned)
            except OutOfTime:
                detail = f"the counter-example of its waiver ({waiver.issue}) needs more time"
                return CaseResult(planned.check, planned.case, "inconclusive", detail)
        result = run()
        if result is None:
            return None
        issues = ", ".join(waiver.issue for waiver in waivers)
        if result.verdict == "fail":
            return replace(result, verdict="pass", detail=f"{_WAIVED}{issues}): {result.detail}")
        bare = [waiver for waiver in waivers if waiver.counterexample is None]
        if result.verdict == "pass" and bare:
            return _unexpected(bare[0], planned)
        return replace(result, detail=f"not seen by this case, which is waived ({issues}): {result.detail}")

    def _still_fails(self, waiver: Waiver, session: Session, seconds: float) -> bool:
        """Put the counter-example to the selector, once in a run."""
        assert waiver.counterexample is not None
        with self._lock:
            if waiver not in self._fails:
                context = Context(session, self._config.settings, self._config.alpha, seconds=seconds)
                found, _ = retry(context, waiver.counterexample, alpha=self._config.alpha)
                self._fails[waiver] = found is not None
            return self._fails[waiver]


def waived(result: CaseResult) -> bool:
    """Return whether a pass is a failure that is waived."""
    return result.verdict == "pass" and result.detail.startswith(_WAIVED)


def unexpected(result: CaseResult) -> bool:
    """Return whether a failure is that of a waiver, which there is nothing to replay of."""
    return result.verdict == "fail" and result.detail.startswith(_PASSES)


_PASSES: Final = "unexpected pass"


def _unexpected(waiver: Waiver, planned: Planned) -> CaseResult:
    if waiver.counterexample is None:
        what = [f"{_PASSES}: it is waived ({waiver.issue}) and no longer fails; remove the waiver"]
    else:
        what = [f"{_PASSES}: the counter-example of {waiver.issue} no longer fails; remove the waiver"]
        what += waiver.counterexample.trial.written()
    return CaseResult(planned.check, planned.case, "fail", "\n".join(what))
