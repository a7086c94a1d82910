"""Judging the cases of one selector: what they share, when to give up on it, and the record of each failure."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from spectest import checks
from spectest.checks.base import Shared
from spectest.checks.hunt import STORED, Hunt
from spectest.checks.result import CaseResult
from spectest.errors import SpectestError
from spectest.runner import counterexamples
from spectest.runner.case import run_case
from spectest.runner.excusing import Excuses, unexpected
from spectest.runner.replay import Record, replay, save

if TYPE_CHECKING:
    from collections.abc import Callable

    from spectest.checks.base import Helpers
    from spectest.engine import Session
    from spectest.runner.config import Planned, RunConfig
    from spectest.runner.deadline import Deadline
    from spectest.runner.sessions import Opener

#: A selector lost (hung, or its process ended) this often in one check is not called again in that check, ...
_LOST_IN_A_CHECK: Final = 2
#: ... this often before it ever passed anything, never again, ...
_LOST_AT_MOST: Final = 2
#: ... nor when as many have taken this part of the budget.
_LOST_TIME: Final = 0.25
#: Failures run again in a fresh process, to tell those that depend on earlier calls: the first of each check.
_CONFIRMED: Final = 2
#: ... unless it took longer than this: a slow selector's run ends when its budget does.
_CONFIRM_SECONDS: Final = 20.0


class Judge:
    """What the cases of one selector share in this process; safe to use from several threads.

    Args:
        opener: of the selector.
        config: of the run, fitted to the selector's declaration.
        helpers: the other workers, where there are any.
        deadline: of the run, where there is one.
    """

    def __init__(
        self, opener: Opener, config: RunConfig, helpers: Helpers | None = None, deadline: Deadline | None = None
    ) -> None:
        self._opener = opener
        self._helpers = helpers
        self._deadline = deadline
        self._config = config
        self._shared = Shared()
        self._lock = threading.Lock()
        self._judged = 0
        self._lost: Counter[str] = Counter()
        self._lost_seconds = 0.0
        self._caps: dict[Planned, int] = {}
        self._confirmed: set[str] = set()
        self._stored = counterexamples.load(opener.address) if opener.address else counterexamples.Stored()
        self._excuses = Excuses(config, opener.address or "")

    def run(
        self,
        planned: Planned,
        session: Session,
        *,
        seconds: float,
        progress: Callable[[int, int], None] | None = None,
    ) -> CaseResult | None:
        """Run one case within `seconds`; None where it says nothing about this kind of selector.

        Raises:
            SpectestError: the case cannot be run as asked for, such as an unknown scheme.
        """
        waivers = self._excuses.covering(planned)
        if not waivers:
            return self._run(planned, session, seconds, progress)
        started = time.monotonic()

        def run() -> CaseResult | None:
            left = max(0.0, seconds - (time.monotonic() - started))
            return self._run(planned, session, left, progress)

        return self._excuses.settled(waivers, planned, session, run, seconds=seconds)

    def _run(
        self, planned: Planned, session: Session, seconds: float, progress: Callable[[int, int], None] | None
    ) -> CaseResult | None:
        applies = checks.get(planned.check).applies(planned.case, session.loaded.declaration)
        if applies and (given_up := self._given_up(planned.check)):
            return CaseResult(planned.check, planned.case, "inconclusive", given_up)
        result, largest = run_case(
            planned,
            self._config,
            session,
            shared=self._shared,
            seconds=seconds,
            progress=progress,
            helpers=self._helpers,
            deadline=self._deadline,
            stored=self._stored if (planned.check, planned.case) == (Hunt.name, STORED) else counterexamples.Stored(),
        )
        with self._lock:
            self._caps[planned] = largest
            self._judged += result is not None
            if result is not None and result.lost:
                self._lost[planned.check] += 1
                self._lost_seconds += result.seconds
        return result

    def _given_up(self, check: str) -> str:
        """Return why the selector is not called again for a case of a check; nothing if it is."""
        if self._deadline is not None and (cut := self._deadline.cut):
            return cut
        with self._lock:
            lost = self._lost.total()
            dear = self._lost_seconds > _LOST_TIME * self._config.seconds
            if lost >= _LOST_AT_MOST and (dear or lost == self._judged):
                return "not run: the selector hung or ended its process too often"
            if self._lost[check] >= _LOST_IN_A_CHECK:
                return f"not run: the selector hung or ended its process {self._lost[check]} times in this check"
        return ""

    def recorded(self, planned: Planned, result: CaseResult, *, confirm: bool = True) -> CaseResult:
        """Store a failure for `spectest replay`; with `confirm`, see whether it comes back in a fresh process.

        A result that is no failure, and one of a selector without an address, is returned as it is.
        """
        if result.verdict != "fail" or self._opener.address is None or unexpected(result):
            return result
        with self._lock:
            first = planned.check not in self._confirmed and len(self._confirmed) < _CONFIRMED
            self._confirmed.add(planned.check)
        record = Record(
            self._opener.address,
            self._config,
            planned.check,
            planned.case,
            self._caps.get(planned) or None,
            counterexample=result.counterexample,
        )
        if result.counterexample is not None:
            counterexamples.save(self._opener.address, result.counterexample)
        result = replace(result, replay=save(record))
        quick = not result.lost and result.seconds <= _CONFIRM_SECONDS
        if confirm and first and quick and _passes(record):
            note = "\nstateful: it did not come back in a fresh process, so it depends on earlier calls"
            result = replace(result, stateful=True, detail=result.detail + note)
        return result


def _passes(record: Record) -> bool:
    try:
        again = replay(record)
    except SpectestError:  # what cannot be run again has not been seen to pass
        return False
    return again is not None and again.verdict != "fail"
