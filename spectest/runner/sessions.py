"""Opening sessions for whatever a run was given: an address or a callable."""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from spectest.engine import ChildSession, LocalSession, Session, address_of
from spectest.engine.address import addressed
from spectest.engine.session import IMPORT_TIMEOUT
from spectest.engine.worker import CHILD_VARIABLE
from spectest.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from spectest.runner.config import RunConfig

_PATIENCE: Final = 5.0  # seconds for a session that was given up to end itself


def own_cores() -> list[int]:
    """Return the numbers of the cores this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def cores() -> int:
    """Return how many cores this process may use."""
    return len(own_cores())


def refuse_nested() -> None:
    """Raise inside a selector's own process.

    Raises:
        UsageError: always there: a module that verifies while it is imported would start processes without end.
    """
    if os.environ.get(CHILD_VARIABLE):
        msg = (
            "spectest was asked to verify while the selector's module was being imported in its own process; "
            'put the call under `if __name__ == "__main__":`'
        )
        raise UsageError(msg)


class Opener:
    """Opens sessions of one selector.

    Args:
        selector: `pkg.mod:name`, `path/to/file.py:name`, or a callable. A callable that has an address runs in a child
            process; one that has none (a closure, a lambda), or whose module does not import elsewhere, runs here,
            and so does one that is given a `propose` without an address.
        config: of the run.
    """

    def __init__(self, selector: str | Callable[..., Any], config: RunConfig) -> None:
        refuse_nested()
        self._config = config
        self._function = None if isinstance(selector, str) else selector
        if self._function is not None and not callable(self._function):
            msg = f"`selector` must be an address or a callable, got {type(selector).__name__}"
            raise UsageError(msg)
        self._given_up = threading.Event()
        self.address = selector if isinstance(selector, str) else address_of(selector)

    def open(self, threads: int) -> Session:
        """Open a session whose selector gets `threads` torch threads.

        Raises:
            UsageError: the selector cannot be loaded.
        """
        overrides, timeout = self._config.overrides, self._config.timeout
        if self.address is not None:
            try:
                given = addressed(overrides, self.address)
                return ChildSession(
                    self.address,
                    given,
                    timeout=timeout,
                    threads=threads,
                    import_timeout=min(IMPORT_TIMEOUT, self._config.seconds),
                    given_up=self._given_up,
                )
            except UsageError:
                if self._function is None:
                    raise
                self.address = None
        assert self._function is not None
        return LocalSession(self._function, overrides)

    def begin(self, threads: int) -> Future[Session]:
        """Open a session as `open` does, in the background: children start together, and while plans are made."""
        opening: Future[Session] = Future()

        def work() -> None:
            try:
                opening.set_result(self.open(threads))
            except BaseException as error:  # noqa: BLE001 (raised where the session is wanted)
                opening.set_exception(error)

        threading.Thread(target=work, daemon=True).start()
        return opening

    def close(self, openings: Sequence[Future[Session]]) -> None:
        """Close sessions that were begun; one that is still starting is ended."""
        self._given_up.set()
        for opening in wait(openings, timeout=_PATIENCE).done:
            with suppress(BaseException):
                opening.result().close()

    @property
    def local(self) -> bool:
        """Whether the selector runs in this process."""
        return self.address is None
