"""The progress bar of a run: cases done, the case in hand, samples per second, time left."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Self

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from rich.console import Console

    from spectest.checks.result import CaseResult
    from spectest.runner import Planned


class LiveProgress:
    """An `Observer` that draws a bar; used as a context manager, and from several threads.

    Args:
        console: where to draw it.
    """

    def __init__(self, console: Console) -> None:
        self._bar = Progress(
            TextColumn("{task.fields[cases]}"),
            BarColumn(),
            TextColumn("{task.fields[current]}", markup=False),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None, cases="", current="loading the selector", speed="")
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._cases = 0
        self._finished = 0
        self._done = 0.0  # cost of the finished cases
        self._parts: dict[Planned, float] = {}  # cost of the part done of each running case
        self._seen: dict[Planned, int] = {}  # samples of its current experiment
        self._samples = 0

    def __enter__(self) -> Self:
        """Start drawing."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and leave nothing behind."""
        self._bar.stop()

    def planned(self, cases: Sequence[Planned]) -> None:
        """See `Observer`."""
        with self._lock:
            self._started = time.monotonic()
            self._cases = len(cases)
            self._bar.update(self._task, total=sum(map(_cost, cases)))
            self._show("")

    def progress(self, case: Planned, samples: int, total: int) -> None:
        """See `Observer`."""
        with self._lock:
            before = self._seen.get(case, 0)
            # A smaller number is the first of a new experiment.
            self._samples += samples - before if samples >= before else samples
            self._seen[case] = samples
            self._parts[case] = _cost(case) * min(1.0, samples / max(total, 1))
            self._show(case.name)

    def finished(self, case: Planned, result: CaseResult | None) -> None:
        """See `Observer`."""
        del result
        with self._lock:
            self._finished += 1
            self._done += _cost(case)
            self._parts.pop(case, None)
            self._show(case.name)

    def _show(self, current: str) -> None:
        seconds = time.monotonic() - self._started
        self._bar.update(
            self._task,
            completed=self._done + sum(self._parts.values()),
            cases=f"{self._finished}/{self._cases} cases",
            current=current,
            speed=f"{self._samples / seconds:,.0f} samples/s" if self._samples and seconds > 0 else "",
        )


def _cost(case: Planned) -> float:
    return max(case.cost, 1.0)
