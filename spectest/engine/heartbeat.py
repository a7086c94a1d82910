"""The heartbeat: what a child says of its calls in shared memory, even while it is stuck in one."""

from __future__ import annotations

import mmap
import os
import tempfile
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from spectest.engine.caller import Function

_COUNTER_BYTES: Final = 8
_BYTES: Final = _COUNTER_BYTES + 1  # the last says what is being called
_FIRST: Final = 1
_PROPOSE: Final = 2


class Heartbeat:
    """The child's side, a `Pulse`: a counter that is odd during a call, and what that is a call of."""

    interrupted = False  # Ctrl-C reaches the parent alone

    def __init__(self, descriptor: int) -> None:
        self._memory = mmap.mmap(descriptor, _BYTES)
        self._beats = 0
        self._known: set[Function] = set()

    def begin(self, function: Function = "select") -> None:
        """Mark the begin of a call, and of which function."""
        first = 0 if function in self._known else _FIRST
        self._known.add(function)
        self._memory[_COUNTER_BYTES] = first | (_PROPOSE if function == "propose" else 0)
        self.end()

    def end(self) -> None:
        """Mark the end of a call."""
        self._beats += 1
        self._memory[:_COUNTER_BYTES] = self._beats.to_bytes(_COUNTER_BYTES, "little")


class Beat(NamedTuple):
    """What the parent sees: `beats` moves with every call; `calling` while one lasts, `first` its function's first."""

    beats: int
    calling: bool
    first: bool
    function: Function

    @property
    def blamed(self) -> str:
        """What a message about this call begins with: nothing for the selector, the proposer's name."""
        return "`propose`: " if self.calling and self.function == "propose" else ""


class Monitor:
    """The parent's side; `descriptor` is for the child."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the child)
        self._file.write(bytes(_BYTES))
        self._file.flush()
        self.descriptor = self._file.fileno()

    def read(self) -> Beat:
        """Return the heartbeat as it is now."""
        memory = os.pread(self.descriptor, _BYTES, 0)
        beats, called = int.from_bytes(memory[:_COUNTER_BYTES], "little"), memory[_COUNTER_BYTES]
        return Beat(beats, bool(beats % 2), bool(called & _FIRST), "propose" if called & _PROPOSE else "select")

    def close(self) -> None:
        """Let go of it."""
        self._file.close()
