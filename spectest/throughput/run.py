"""Measuring: cell by cell, all selectors on a cell before the next one, within a budget.

The user's selector has a process of its own; the reference schemes share one, which is started again after a hang.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from spectest import schemes
from spectest.engine import ChildSession, Refused, SelectorDied, SelectorFault, SelectorHung, Timing
from spectest.errors import UsageError
from spectest.throughput.grid import grid
from spectest.throughput.machine import environment
from spectest.throughput.request import timed_device
from spectest.throughput.result import Measurement, Throughput, place_of
from spectest.throughput.subjects import Subject, reference

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from spectest.engine import Loaded, Timed
    from spectest.throughput.request import Request
    from spectest.throughput.result import Cell, Status

#: A call that would take more of the timeout than one in so many is not tried.
_CALLS_IN_TIMEOUT: Final = 4
_USUAL_SCHEME: Final = "recursive_rejection"


class Process(Protocol):
    """Where selectors are timed: what is used of a `ChildSession`."""

    loaded: Loaded

    def time(self, timing: Timing) -> Timed | Refused:
        """Time calls.

        Raises:
            SelectorFault: of the selector.
        """
        ...

    def close(self) -> None:
        """End it."""
        ...


@dataclass
class _Entrant:
    """A subject, the process it is measured in, and its cells."""

    subject: Subject
    session: Process
    cells: Sequence[Cell]
    spent: float = 0.0  # seconds
    ended: str = ""  # why nothing more is asked of it


class Bench:
    """One measurement of a selector, reference schemes, or both.

    Args:
        request: what is asked for.
        tell: told what is being done.
        start: starts the process that selectors are timed in.
    """

    def __init__(
        self,
        request: Request,
        tell: Callable[[str], None] = lambda _: None,
        start: Callable[..., Process] = ChildSession,
    ) -> None:
        self._request = request
        self._tell = tell
        self._start = start
        self._done: list[Measurement] = []
        self._notes: list[str] = []
        self._environment: dict[str, Any] = environment() | {"threads": request.threads, "seed": request.seed}
        self._left = request.budget

    def execute(self) -> Throughput:
        """Measure; Ctrl-C ends it early with what it has.

        Raises:
            UsageError: a selector cannot be called at all.
        """
        started, interrupted = time.monotonic(), False
        measure = self._schemes_alone if self._request.address is None else self._selector
        # CUDA first: where there is none, all of the budget is left for the CPU.
        devices = self._request.devices or ((None,) if self._request.address is not None else ("cuda", "cpu"))
        try:
            for left, device in zip(range(len(devices), 0, -1), devices, strict=True):
                with ExitStack() as stack:
                    self._measure(measure(device, stack), share=1 / left)
        except KeyboardInterrupt:
            interrupted = True
        return Throughput(
            self._request.address,
            tuple(self._done),
            tuple(dict.fromkeys(self._notes)),
            self._environment,
            time.monotonic() - started,
            interrupted,
        )

    def _selector(self, device: str | None, stack: ExitStack) -> list[_Entrant]:
        """Start the user's selector, and schemes to be measured on the same cells."""
        address = str(self._request.address)
        told = dict(self._request.overrides) | ({} if device is None else {"device": device})
        session = self._open(address, address, told, stack)
        declaration = session.loaded.declaration
        if declaration.kind != "selector":
            msg = f"`kind` {declaration.kind} is not provided: spectest measures selectors of one position"
            raise UsageError(msg)
        timed_device(declaration.device)
        subject = Subject(address, address, declaration)
        cells, notes = grid(declaration, self._request)
        beside = self._beside(subject)
        self._notes += notes
        return [_Entrant(subject, session, cells), *self._entered(beside, [cells] * len(beside), stack)]

    def _beside(self, subject: Subject) -> list[Subject]:
        """Return the schemes to be measured beside a selector: those asked for that have its drafting law."""
        declared = subject.declaration
        asked = self._request.schemes
        if asked is None:
            asked = tuple(dict.fromkeys((_USUAL_SCHEME, declared.scheme or _USUAL_SCHEME)))
        found = self._with_law(asked, declared.drafting)
        return [_like(it, declared.device, declared.dtype) for it in found if it.address != subject.address]

    def _with_law(self, names: Sequence[str], law: str | None) -> list[Subject]:
        """Return the schemes that have a drafting law; with None each has its first one."""
        lacking = [name for name in names if law is not None and law not in schemes.get(name).laws]
        if lacking:
            self._notes.append(f"left out, without a drafting law {law}: {', '.join(lacking)}")
        return [reference(name, law) for name in names if name not in lacking]

    def _schemes_alone(self, device: str | None, stack: ExitStack) -> list[_Entrant]:
        """Start reference schemes, each with its first drafting law and its own number of drafts by default."""
        law, dtype = (self._request.overrides.get(name) for name in ("drafting", "dtype"))
        found = self._with_law(self._request.schemes or (), law)
        if not found:
            msg = f"`drafting` {law} is a law that none of these schemes has"
            raise UsageError(msg)
        subjects = [_like(subject, str(device), dtype) for subject in found]
        plans = [grid(subject.declaration, self._request) for subject in subjects]
        try:
            entrants = self._entered(subjects, [cells for cells, _ in plans], stack)
        except UsageError:
            if self._request.devices is not None or device == "cpu":
                raise
            self._notes.append(f"{device} is left out: there is none here")  # and nobody asked for it by name
            return []
        self._notes += [note for _, notes in plans for note in notes]
        return entrants

    def _entered(self, schemes: Sequence[Subject], cells: Sequence[Sequence[Cell]], stack: ExitStack) -> list[_Entrant]:
        """Start the process that all schemes share."""
        if not schemes:
            return []
        first = schemes[0]
        session = self._open("schemes", first.address, _told(first), stack)
        return [_Entrant(scheme, session, mine) for scheme, mine in zip(schemes, cells, strict=True)]

    def _open(self, name: str, address: str, overrides: dict[str, Any], stack: ExitStack) -> Process:
        self._tell(f"loading {name}")
        session = self._start(address, overrides, timeout=self._request.timeout, threads=self._request.threads)
        stack.enter_context(closing(session))
        if "device" in session.loaded.environment:
            self._environment["devices"][session.loaded.declaration.device] = session.loaded.environment["device"]
        return session

    def _measure(self, entrants: Sequence[_Entrant], share: float) -> None:
        """Measure every cell; what is left of the budget is divided evenly, so that a slow one costs no other."""
        started = time.monotonic()
        for cell in sorted({cell for entrant in entrants for cell in entrant.cells}, key=place_of):
            for entrant in entrants:
                if cell not in entrant.cells:
                    continue
                began = time.monotonic()
                seconds = share * self._left / len(entrants) - entrant.spent
                ahead = sum(place_of(cell) <= place_of(other) for other in entrant.cells)
                self._done.append(self._one(entrant, cell, seconds / ahead))
                entrant.spent += time.monotonic() - began
        self._left -= time.monotonic() - started

    def _one(self, entrant: _Entrant, cell: Cell, seconds: float) -> Measurement:
        subject = entrant.subject
        if seconds <= 0:
            entrant.ended = entrant.ended or f"its share of the budget of {self._request.budget:g} s was spent"
        if entrant.ended:
            return Measurement(subject, cell, "skipped", detail=entrant.ended)
        call = self._expected(subject, cell)
        if call > self._request.timeout / _CALLS_IN_TIMEOUT:
            detail = f"a call would take some {call:.0f} s; raise --timeout and --budget to see"
            return Measurement(subject, cell, "skipped", detail=detail)
        self._tell(f"{subject.name} at {cell}")
        seconds = min(seconds, self._request.seconds)
        timing = Timing(cell.V, cell.n, cell.B, cell.shared, seconds, self._request.seed)
        if subject.scheme:
            timing = replace(timing, address=subject.address, overrides=_told(subject))
        try:
            found = entrant.session.time(timing)
        except SelectorFault as fault:
            if isinstance(fault, (SelectorHung, SelectorDied)):
                entrant.ended = f"its process was ended at {cell}"
            slow = subject.scheme and isinstance(fault, SelectorHung)  # a scheme of ours that takes long is no fault
            status: Status = "skipped" if slow else "failed"
            return Measurement(subject, cell, status, detail=fault.message, traceback=fault.traceback)
        if isinstance(found, Refused):
            return Measurement(subject, cell, "refused", detail=found.reason)
        return Measurement(subject, cell, "measured", found.calls, found.seconds, found.argmax_seconds)

    def _expected(self, subject: Subject, cell: Cell) -> float:
        """Return what a call is expected to take at most, from fewer rows or from the next smaller vocabulary."""
        before = [
            item
            for item in self._done
            if item.subject == subject
            and item.status == "measured"
            and (item.cell.device, item.cell.n, item.cell.shared) == (cell.device, cell.n, cell.shared)
        ]
        largest = max((item.cell.V for item in before), default=0)
        near = [item for item in before if largest == item.cell.V]
        rows = {item: 1.0 if cell.shared else max(1.0, cell.B / item.cell.B) for item in near}
        return min((item.quartiles[1] * rows[item] for item in near), default=0.0)


def _like(scheme: Subject, device: str, dtype: str | None) -> Subject:
    """Return a scheme on the given device, in the given precision."""
    declaration = scheme.declaration.override({"device": device, "dtype": dtype})
    return Subject(scheme.name, scheme.address, declaration, scheme=True)


def _told(scheme: Subject) -> dict[str, Any]:
    """Return what a scheme's process is told of how to call it."""
    declared = scheme.declaration
    return {"drafting": declared.drafting, "device": declared.device, "dtype": declared.dtype}
