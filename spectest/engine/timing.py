"""Timing a selector, in turns with `torch.argmax` over the same rows. Runs where the selector runs."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from spectest.declaration import declared_by
from spectest.engine.address import resolve
from spectest.engine.backends import backend_of
from spectest.engine.caller import Caller
from spectest.engine.clocks import clock_of
from spectest.engine.faults import SelectorFault
from spectest.engine.timing_inputs import Inputs
from spectest.errors import SpectestError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from spectest.engine.caller import Pulse

#: A round of calls is made this long (seconds) where single calls are shorter: clocks and events cost microseconds.
_ROUND: Final = 1e-2
_ARGMAX_ROUND: Final = 2e-3
_MOST_CALLS: Final = 1000
_MOST_ROUNDS: Final = 100


@dataclass(frozen=True)
class Timing:
    """Calls to be timed.

    Args:
        vocab_size: V.
        n_drafts: n.
        rows: B.
        shared: all rows are one problem, handed over as expanded views, instead of contiguous rows of their own.
        seconds: how long to measure, about; one round is measured in any case.
        seed: of the problems, the drafts and the selector's randomness.
        address: of another selector to be timed in the same process, None for the session's own.
        overrides: declarations that override that other selector's own.
    """

    vocab_size: int
    n_drafts: int
    rows: int
    shared: bool = False
    seconds: float = 1.0
    seed: int = 0
    address: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Timed:
    """What was measured: seconds per call, one figure per round, of the selector and of `torch.argmax`."""

    calls: int  # of the selector in a round
    seconds: tuple[float, ...]
    argmax_seconds: tuple[float, ...]


@dataclass(frozen=True)
class Refused:
    """The selector, or the drafting law, does not take problems of this kind or size, and says so."""

    reason: str


def measure(caller: Caller, timing: Timing) -> Timed | Refused:
    """Time a selector and `torch.argmax` over its rows, in turns.

    Warm-up: one call whose answer is checked as any other, then calls that say how many make a round. On CUDA the
    marks are events, and the device is waited for once, after the last round.

    Args:
        caller: of the session's own selector; `timing` may name another.
        timing: what is to be timed.

    Raises:
        SelectorFault: of the selector, in any call.
    """
    try:
        if timing.address is not None:
            caller = _other(timing.address, timing.overrides, caller.pulse)
        return _Measuring(caller, Inputs(caller.declaration, caller.backend, timing)).run(timing.seconds)
    except SelectorFault as fault:
        if isinstance(fault.__cause__, SpectestError):  # a reference scheme, or what is built on one, says no
            return Refused(str(fault.__cause__))
        raise
    except SpectestError as error:  # there are no such problems, or no such selector
        return Refused(str(error))


def _other(address: str, overrides: Mapping[str, Any], pulse: Pulse) -> Caller:
    function = resolve(address)
    declaration = declared_by(function).override(overrides)
    return Caller(function, declaration, backend_of(declaration), pulse)


class _Measuring:
    """One selector that has answered once, one set of inputs."""

    def __init__(self, caller: Caller, inputs: Inputs) -> None:
        self._caller = caller
        self._inputs = inputs
        caller(*inputs.first, inputs.randomness)
        self._clock = clock_of(caller.declaration.device)
        self._argmax = argmax_over(inputs.targets)

    def run(self, seconds: float) -> Timed:
        """Measure for so long."""
        calls, call = self._calibrated(self._calls, _ROUND)
        argmaxes, argmax = self._calibrated(self._argmaxes, _ARGMAX_ROUND)
        rounds = int(seconds / (calls * call + argmaxes * argmax))
        marks = [self._round(calls, argmaxes) for _ in range(min(max(rounds, 1), _MOST_ROUNDS))]
        self._caller.guarded(self._clock.settle)
        return Timed(
            calls,
            tuple(self._clock.between(start, middle) / calls for start, middle, _ in marks),
            tuple(self._clock.between(middle, end) / argmaxes for _, middle, end in marks),
        )

    def _round(self, calls: int, argmaxes: int) -> tuple[Any, Any, Any]:
        """Make the calls, then the argmaxes; return the marks before, between and after."""
        given = self._inputs.calls(calls)

        def both() -> tuple[Any, Any, Any]:
            start = self._clock.mark()
            self._select(given)
            middle = self._clock.mark()
            for _ in range(argmaxes):
                self._argmax()
            return start, middle, self._clock.mark()

        return self._caller.guarded(both)  # type: ignore[no-any-return]

    def _select(self, given: list[tuple[Any, ...]]) -> None:
        function = self._caller.function
        for arguments in given:
            function(*arguments)

    def _calls(self, number: int) -> float:
        given = self._inputs.calls(number)
        return self._seconds(lambda: self._select(given))

    def _argmaxes(self, number: int) -> float:
        return self._seconds(lambda: [self._argmax() for _ in range(number)])

    def _seconds(self, work: Callable[[], Any]) -> float:
        """Return what `work` takes until the device has done it."""

        def timed() -> float:
            self._clock.settle()
            start = time.perf_counter()
            work()
            self._clock.settle()
            return time.perf_counter() - start

        return self._caller.guarded(timed)  # type: ignore[no-any-return]

    def _calibrated(self, work: Callable[[int], float], length: float) -> tuple[int, float]:
        """Return how many calls make a round of `length` seconds, and what one of them takes."""
        calls, seconds = 1, work(1)
        for _ in range(2):  # the first guess is of a single call, still cold
            if seconds >= length:
                break
            calls = min(_MOST_CALLS, max(1, round(length / seconds)))
            seconds = work(calls) / calls
        return calls, seconds


def argmax_over(targets: list[Any]) -> Callable[[], Any]:
    """Return `torch.argmax` over the rows (B, V) of one target after the other."""
    import torch  # noqa: PLC0415 (torch only where it is needed)

    turns = itertools.cycle([_as_tensor(target) for target in targets])
    return lambda: torch.argmax(next(turns), -1)


def _as_tensor(target: Any) -> Any:
    """Return an array as a tensor, and shared rows of numpy as the expanded view they are."""
    import torch  # noqa: PLC0415 (torch only where it is needed)

    if isinstance(target, torch.Tensor):
        return target
    shared = target.strides[0] == 0  # a broadcast view of numpy is read-only, which torch does not take
    return torch.from_numpy(target[:1].copy()).expand(target.shape) if shared else torch.from_numpy(target)
