"""Telling the user's Ctrl-C from a KeyboardInterrupt that a selector raised, where both happen in one process."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType, TracebackType

    from spectest.engine.caller import Function


class CtrlC:
    """A `Pulse` for the parent's own process: within `with`, it notes whether Ctrl-C was pressed, and lets it through.

    Python delivers signals to the main thread alone, so what is raised in any other is never the user's.
    """

    def __init__(self) -> None:
        self.interrupted = False
        self._previous: signal._HANDLER = None

    def begin(self, function: Function = "select") -> None:
        """See `Pulse`."""

    def end(self) -> None:
        """See `Pulse`."""

    def __enter__(self) -> None:
        """Listen."""
        self.interrupted = False
        self._previous = None
        if threading.current_thread() is threading.main_thread():
            handler = signal.getsignal(signal.SIGINT)
            if callable(handler):  # ignored or left to the system otherwise: then nothing is raised here
                self._previous = handler
                signal.signal(signal.SIGINT, self._note)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Put the handler back."""
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
            self._previous = None

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.interrupted = True
        if callable(self._previous):
            self._previous(number, frame)
