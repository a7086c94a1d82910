"""Clocks: of the host, and of a CUDA device's own stream of work."""

from __future__ import annotations

import time
from typing import Any, Protocol


class Clock(Protocol):
    """Marks moments; how far apart they are is known once it has settled."""

    def mark(self) -> Any:
        """Mark this moment."""
        ...

    def settle(self) -> None:
        """Wait for everything that was started."""
        ...

    def between(self, start: Any, end: Any) -> float:
        """Return the seconds between two marks."""
        ...


class HostClock:
    """The host's own clock: a call has ended when it returns."""

    def mark(self) -> int:
        """See `Clock`."""
        return time.perf_counter_ns()

    def settle(self) -> None:
        """See `Clock`."""

    def between(self, start: int, end: int) -> float:
        """See `Clock`."""
        return (end - start) / 1e9


class CudaClock:
    """Events in the device's own stream of work: the host waits once, at the end."""

    def __init__(self, device: str) -> None:
        import torch  # noqa: PLC0415 (torch only where a selector needs it)

        self._cuda: Any = torch.cuda
        self._device = device

    def mark(self) -> Any:
        """See `Clock`."""
        event = self._cuda.Event(enable_timing=True)
        event.record(self._cuda.current_stream(self._device))
        return event

    def settle(self) -> None:
        """See `Clock`."""
        self._cuda.synchronize(self._device)

    def between(self, start: Any, end: Any) -> float:
        """See `Clock`."""
        return float(start.elapsed_time(end)) / 1e3


def clock_of(device: str) -> Clock:
    """Return the clock for work on a torch device."""
    return CudaClock(device) if device.startswith("cuda") else HostClock()
