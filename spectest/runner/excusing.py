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

#: How the detail of a waived case begins: its verdict is `pass`.
WAIVED: Final = "waived ("


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

    def covering(self, planned: Planned) -> Waiver | None:
        """Return the waiver of a case, None where there is none."""
        found = [item for item in self._waivers if item.covers(item.selector, planned.check, planned.case)]
        return found[0] if found else None

    def settled(
        self,
        waiver: Waiver,
        planned: Planned,
        session: Session,
        run: Callable[[], CaseResult | None],
        *,
        seconds: float,
    ) -> CaseResult | None:
        """Return what a waived case comes to: `run` runs it, after its counter-example."""
        try:
            gone = waiver.counterexample is not None and not self._still_fails(waiver, session, seconds)
        except OutOfTime:
            detail = f"the counter-example of its waiver ({waiver.issue}) needs more time"
            return CaseResult(planned.check, planned.case, "inconclusive", detail)
        result = None if gone else run()
        if result is None:
            return _unexpected(waiver, planned) if gone else None
        if result.verdict == "fail":
            return replace(result, verdict="pass", detail=f"{WAIVED}{waiver.issue}): {result.detail}")
        if result.verdict == "pass" and waiver.counterexample is None:
            return _unexpected(waiver, planned)
        return replace(result, detail=f"{WAIVED}{waiver.issue}), not seen by this case: {result.detail}")

    def _still_fails(self, waiver: Waiver, session: Session, seconds: float) -> bool:
        """Put the counter-example to the selector, once in a run."""
        assert waiver.counterexample is not None
        with self._lock:
            if waiver not in self._fails:
                context = Context(session, self._config.settings, self._config.alpha, seconds=seconds)
                found, _ = retry(context, waiver.counterexample, alpha=self._config.alpha)
                self._fails[waiver] = found is not None
            return self._fails[waiver]


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
