"""Running one case: its time, its faults, its record."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from spectest import checks
from spectest.checks.base import Context, Shared
from spectest.checks.result import CaseResult
from spectest.engine import SelectorDied, SelectorFault, SelectorHung, SelectorRefused
from spectest.runner.counterexamples import Stored

if TYPE_CHECKING:
    from collections.abc import Callable

    from spectest.checks.base import Helpers
    from spectest.engine import Session
    from spectest.runner.config import Planned, RunConfig
    from spectest.runner.deadline import Deadline


def run_case(
    planned: Planned,
    config: RunConfig,
    session: Session,
    *,
    shared: Shared | None = None,
    seconds: float | None = None,
    cap: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    helpers: Helpers | None = None,
    deadline: Deadline | None = None,
    stored: Stored = Stored(),  # noqa: B008 (a tuple)
) -> tuple[CaseResult | None, int]:
    """Run one case; None where it says nothing about this kind of selector.

    Whatever the selector does wrong when called is a failed case; but where a case is far wider than the main problems
    (`Check.wide`) it may refuse by raising `ProblemTooLarge`. The second value is the rows of the largest
    free-running call, which a replay needs. A hunt begins with the counter-examples that are `stored`.

    Raises:
        UsageError: a declaration cannot be honoured, such as an unknown scheme.
    """
    check = checks.get(planned.check)
    if not check.applies(planned.case, session.loaded.declaration):
        return None, 0
    context = Context(
        session,
        config.settings,
        planned.alpha,
        shared or Shared(),
        seconds=seconds,
        progress=progress,
        helpers=helpers,
        ends=None if deadline is None else lambda: deadline.at,
        cap=cap,
        stored=stored.found,
        unreadable=stored.unreadable,
    )
    started = time.perf_counter()
    try:
        result = check.run(planned.case, context)
    except SelectorFault as fault:
        result = CaseResult(
            planned.check, planned.case, "fail", fault.message, alpha=planned.alpha, traceback=fault.traceback
        )
        if isinstance(fault, (SelectorDied, SelectorHung)):
            result = replace(result, lost=True)
        if isinstance(fault, SelectorRefused) and planned.case in getattr(check, "wide", ()):
            result = replace(result, verdict="pass", detail=f"not provided: {fault.message}")
    return replace(result, seconds=time.perf_counter() - started), context.largest
