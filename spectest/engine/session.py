"""Sessions: where requests for a selector go. A child process for one that has an address, else this process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Protocol

from spectest.engine.faults import SelectorDied, SelectorFault, SelectorHung
from spectest.engine.heartbeat import Monitor
from spectest.engine.worker import CHILD_VARIABLE, Loaded
from spectest.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from spectest.engine.experiment import Call, Experiment, Outcome, Tally
    from spectest.engine.timing import Refused, Timed, Timing

#: Importing a selector (and torch, and whatever else its module imports) may take this long, seconds.
IMPORT_TIMEOUT: Final = 180.0
#: The first call of a process warms up and compiles: it may take this many timeouts.
FIRST_CALL: Final = 6.0
_POLL: Final = 0.05
_HOME: Final = str(Path(__file__).resolve().parents[2])  # where a child finds spectest, installed or not
_LAST_LINES: Final = 20
_LAST_BYTES: Final = 64 * 1024


class GivenUp(Exception):
    """Nobody waits for this session any more."""


class Session(Protocol):
    """One selector, ready to be called."""

    loaded: Loaded

    def call(self, call: Call) -> Outcome:
        """Make one call.

        Raises:
            SelectorFault: of the selector.
        """
        ...

    def sample(self, experiment: Experiment, progress: Callable[[int], None] | None = None) -> Tally:
        """Run an experiment, reporting samples so far to `progress`.

        Raises:
            SelectorFault: of the selector.
        """
        ...

    def close(self) -> None:
        """End it."""
        ...


class ChildSession:
    """A selector in a child process of its own, restarted after it hung or died.

    Args:
        address: `pkg.mod:name` or `path/to/file.py:name`.
        overrides: declarations given on the command line; None items are ignored.
        timeout: seconds per call after a process's first.
        threads: torch threads of the child.
        import_timeout: seconds the import may take.
        given_up: once it is set, nobody waits for a child that is still starting, and it is ended.

    Raises:
        UsageError: the address does not import, is not callable, or its device is missing.
        GivenUp: it was.
    """

    def __init__(
        self,
        address: str,
        overrides: Mapping[str, Any] | None = None,
        *,
        timeout: float = 10.0,
        threads: int = 1,
        import_timeout: float = IMPORT_TIMEOUT,
        given_up: threading.Event | None = None,
    ) -> None:
        self._address = address
        self._overrides = dict(overrides or {})
        self._timeout = timeout
        self._threads = threads
        self._import_timeout = import_timeout
        self._given_up = given_up or threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Connection
        self._heartbeat: Monitor
        self._output: IO[bytes]
        self.loaded = self._start()

    def call(self, call: Call) -> Outcome:
        """See `Session`."""
        return self._request(call, None)  # type: ignore[no-any-return]

    def sample(self, experiment: Experiment, progress: Callable[[int], None] | None = None) -> Tally:
        """See `Session`."""
        return self._request(experiment, progress)  # type: ignore[no-any-return]

    def time(self, timing: Timing) -> Timed | Refused:
        """Time calls of the selector, or of another one in its process.

        Raises:
            SelectorFault: of the selector.
        """
        return self._request(timing, None)  # type: ignore[no-any-return]

    def close(self) -> None:
        """End the child."""
        if self._process is None:
            return
        self._channel.close()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            _end_group(self._process)
            self._process.wait()
        self._heartbeat.close()
        self._output.close()
        self._process = None

    def _start(self) -> Loaded:
        ours, theirs = socket.socketpair()
        self._heartbeat = Monitor()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the child)
        descriptors = (theirs.fileno(), self._heartbeat.descriptor)
        threads = str(self._threads)
        here = str(Path.cwd())
        path = [entry or here for entry in sys.path]
        if here not in path:  # an installed command does not search it, `python -m` does: an address means the same
            path.insert(0, here)
        environment = os.environ | {
            CHILD_VARIABLE: "1",
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
            "PYTHONPATH": os.pathsep.join([_HOME, *filter(None, [os.environ.get("PYTHONPATH")])]),
        }
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 (the command is ours)
                [sys.executable, "-P", "-m", "spectest.engine", *map(str, descriptors)],
                pass_fds=descriptors,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches the parent alone, which then ends the child
            )
        self._channel = Connection(ours.detach())
        request = {"address": self._address, "overrides": self._overrides, "path": path, "threads": self._threads}
        deadline = time.monotonic() + self._import_timeout
        try:
            self._channel.send(request)
            while not self._answered():
                if self._given_up.is_set():
                    raise GivenUp  # noqa: TRY301 (the child is ended below)
                if time.monotonic() > deadline:
                    msg = f"importing {self._address} took more than {self._import_timeout:g} s"
                    raise UsageError(msg)  # noqa: TRY301 (the child is ended below)
            answer = self._channel.recv()
        except (EOFError, ConnectionResetError, BrokenPipeError) as error:
            last = self._last_output()
            how = self._kill()
            msg = f"importing {self._address} ended its process ({how})"
            if last:
                msg += f": {last.splitlines()[-1]}"
            raise UsageError(msg) from error
        except BaseException:
            self._kill()
            raise
        if answer[0] == "unusable":
            self.close()
            unusable = UsageError(answer[1])
            if answer[2]:
                unusable.add_note(answer[2])
            raise unusable
        return answer[1]  # type: ignore[no-any-return]

    def _request(self, work: Call | Experiment | Timing, progress: Callable[[int], None] | None) -> Any:
        if self._process is None:
            self._start()
        try:
            self._channel.send(work)
            while True:
                self._wait()
                kind, value = self._channel.recv()
                if kind == "done":
                    return value
                if kind == "last words":
                    self._kill()
                if kind != "progress":
                    raise value  # noqa: TRY301 (it came from the child)
                if progress is not None:
                    progress(value)
        except (EOFError, ConnectionResetError, BrokenPipeError) as error:
            last = self._last_output()
            blamed = self._heartbeat.read().blamed
            how = self._kill()
            msg = f"{blamed}it ended its process ({how})"
            raise SelectorDied(msg, last) from error
        except SelectorFault:
            raise
        except BaseException:
            # Interrupted between a request and its answer: what the child still sends belongs to nobody.
            self._kill()
            raise

    def _wait(self) -> None:
        """Wait for the next message; kill the child if one call of the selector takes too long."""
        seen, since = self._heartbeat.read().beats, time.monotonic()
        while not self._answered():
            beat = self._heartbeat.read()
            if beat.beats != seen:
                seen, since = beat.beats, time.monotonic()
            limit = self._timeout * (FIRST_CALL if beat.first else 1)
            if beat.calling and time.monotonic() - since > limit:
                last = self._last_output()
                self._kill()
                what = f"{beat.blamed}{'its first call' if beat.first else 'one call'}"
                msg = f"{what} took more than {limit:g} s and was ended; raise --timeout if it only needs longer"
                raise SelectorHung(msg, last)

    def _answered(self) -> bool:
        """Wait a moment for a message.

        Raises:
            EOFError: the child has ended without one; a process it left behind may hold the channel open.
        """
        assert self._process is not None
        if self._channel.poll(_POLL):
            return True
        if self._process.poll() is not None and not self._channel.poll():
            raise EOFError
        return False

    def _last_output(self) -> str | None:
        size = os.fstat(self._output.fileno()).st_size  # not seek: the child writes at the position both share
        text = os.pread(self._output.fileno(), _LAST_BYTES, max(0, size - _LAST_BYTES)).decode(errors="replace").strip()
        return "\n".join(text.splitlines()[-_LAST_LINES:]) or None

    def _kill(self) -> str:
        """End the child now; return how it ended, for a message."""
        process = self._process
        if process is None:
            return "not running"
        try:
            code = process.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            _end_group(process)
            code = process.wait()
        self._channel.close()
        self._heartbeat.close()
        self._output.close()
        self._process = None
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a child that has not been waited for, and what it started: it leads a process group of its own."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


class LocalSession:
    """A selector that has no address, called in this process: a crash of it is a crash of the run.

    Args:
        function: the selector.
        overrides: declarations given on the command line; None items are ignored.
    """

    def __init__(self, function: Callable[..., Any], overrides: Mapping[str, Any] | None = None) -> None:
        # Imported here: a parent that only watches children needs no drafting, backends or torch.
        from spectest.declaration import declared_by, name_of  # noqa: PLC0415
        from spectest.engine.backends import backend_of  # noqa: PLC0415
        from spectest.engine.caller import Caller  # noqa: PLC0415
        from spectest.engine.executor import Executor  # noqa: PLC0415
        from spectest.engine.interrupts import CtrlC  # noqa: PLC0415
        from spectest.engine.proposer import proposer_of  # noqa: PLC0415
        from spectest.engine.worker import describe  # noqa: PLC0415

        declaration = declared_by(function).override(overrides or {})
        self._ctrl_c = CtrlC()
        caller = Caller(function, declaration, backend_of(declaration), self._ctrl_c)
        self._executor = Executor(caller, proposer_of(declaration))
        self.loaded = describe(function, declaration, name_of(function))

    def call(self, call: Call) -> Outcome:
        """See `Session`."""
        with self._ctrl_c:
            return self._executor.call(call)

    def sample(self, experiment: Experiment, progress: Callable[[int], None] | None = None) -> Tally:
        """See `Session`."""
        with self._ctrl_c:
            return self._executor.sample(experiment, progress)

    def close(self) -> None:
        """Nothing to end."""
