"""Workers without a case of their own draw parts of the samples of others."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

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
            self._changed.notify_all()
        if session is not None:
            self._help(session, lambda: self._at_work <= 0)

    def help_until(self, done: Future[Tally], session: Session) -> None:
        """Help the others with `session` until `done` is, which one of them draws."""
        done.add_done_callback(self._tell)
        self._help(session, done.done)

    def _tell(self, done: Future[Tally]) -> None:
        del done
        with self._changed:
            self._changed.notify_all()

    def _help(self, session: Session, over: Callable[[], bool]) -> None:
        while (asked := self._next(over)) is not None:
            experiment, future = asked
            try:
                future.set_result(session.sample(experiment))
            except BaseException as error:  # noqa: BLE001 (it is raised where the tally was asked for)
                future.set_exception(error)

    def _next(self, over: Callable[[], bool]) -> tuple[Experiment, Future[Tally]] | None:
        """Return what an idle worker is asked for; None once its idleness is over."""
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: self._asked or over())
            self._idle -= 1
            return self._asked.popleft() if self._asked else None
