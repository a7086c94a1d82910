"""Workers without a case of their own draw parts of the samples of others."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spectest.engine import Experiment, Session, Tally


class Crew:
    """The workers of one run; safe to use from all of them.

    A run's last cases are its longest: one worker would draw, the others would watch.

    Args:
        workers: how many there are, every one of which calls `leave` once it has no case left.
    """

    def __init__(self, workers: int) -> None:
        self._changed = threading.Condition()
        self._at_work = workers
        self._idle = 0
        self._asked: deque[tuple[Experiment, Future[Tally]]] = deque()

    def ask(self, experiment: Experiment) -> Future[Tally] | None:
        """Hand an experiment to an idle worker; None where there is none."""
        with self._changed:
            if len(self._asked) >= self._idle:
                return None
            future: Future[Tally] = Future()
            self._asked.append((experiment, future))
            self._changed.notify()
            return future

    def leave(self, session: Session | None) -> None:
        """Help the others with `session` until nobody is at work any more; with None just leave."""
        with self._changed:
            self._at_work -= 1
            self._idle += session is not None
            self._changed.notify_all()
        while session is not None and (asked := self._next()) is not None:
            experiment, future = asked
            try:
                future.set_result(session.sample(experiment))
            except BaseException as error:  # noqa: BLE001 (it is raised where the tally was asked for)
                future.set_exception(error)
            with self._changed:
                self._idle += 1

    def _next(self) -> tuple[Experiment, Future[Tally]] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._asked or self._at_work <= 0)
            self._idle -= 1
            return self._asked.popleft() if self._asked else None
