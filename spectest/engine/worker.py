"""The child process a selector runs in: `python -m spectest.engine CHANNEL HEARTBEAT`, started by `session`.

It imports the selector by address, then answers requests until the channel closes. Whatever the selector prints goes to
this process's own output, which the parent holds in a file.
"""

from __future__ import annotations

import os
import platform
import sys
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, Final

from spectest.declaration import declared_by, name_of
from spectest.engine.address import resolve
from spectest.engine.backends import backend_of
from spectest.engine.caller import Caller
from spectest.engine.executor import Executor
from spectest.engine.experiment import Call
from spectest.engine.faults import SelectorFault
from spectest.engine.heartbeat import Heartbeat
from spectest.engine.proposer import proposer_of
from spectest.engine.timing import Timing, measure
from spectest.errors import SpectestError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

    from spectest.declaration import Declaration

#: Set in the child: `spectest.verify` called while the selector's module is imported must not start another child.
CHILD_VARIABLE: Final = "SPECTEST_SELECTOR_PROCESS"
#: A selector may carry a dict of strings under this name: what an adapter found out about the package it wraps.
ENVIRONMENT_ATTRIBUTE: Final = "__spectest_environment__"


@dataclass(frozen=True)
class Loaded:
    """What the child found at the address."""

    name: str
    declaration: Declaration
    environment: dict[str, str]


def describe(function: Callable[..., Any], declaration: Declaration, address: str) -> Loaded:
    """Return what is known of a selector once it is imported, and where it runs."""
    environment = {"python": platform.python_version(), "platform": platform.platform(), "cpus": str(os.cpu_count())}
    for package in ("numpy", "torch", "spectest"):
        version = getattr(sys.modules.get(package), "__version__", None)
        if version is not None:
            environment[package] = str(version)
    if declaration.device.startswith("cuda"):
        environment["device"] = str(sys.modules["torch"].cuda.get_device_name(declaration.device))
    environment |= getattr(function, ENVIRONMENT_ATTRIBUTE, {})
    if callable(declaration.propose):  # it may not cross to another process
        declaration = replace(declaration, propose=name_of(declaration.propose))
    return Loaded(address, declaration, environment)


def set_threads(threads: int) -> None:
    """Give torch its share of the cores, if the selector uses torch."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(threads)


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def serve(channel: Connection, heartbeat: Heartbeat) -> None:
    """Load one selector and answer requests."""
    request = channel.recv()
    sys.path[:] = request["path"]
    try:
        files: dict[Path, ModuleType] = {}
        function = resolve(request["address"], files)
        declaration = declared_by(function).override(request["overrides"])
        propose = proposer_of(declaration, files)
        backend = backend_of(declaration)
        set_threads(request["threads"])
        loaded = describe(function, declaration, request["address"])
    except SpectestError as error:
        cause = error.__cause__
        trace = "".join(traceback.format_exception(cause)) if cause else None
        channel.send(("unusable", str(error), trace))
        return
    channel.send(("loaded", loaded))
    caller = Caller(function, declaration, backend, heartbeat)
    executor = Executor(caller, propose)
    while True:
        try:
            work = channel.recv()
        except EOFError:
            return
        try:
            if isinstance(work, Call):
                answer: Any = ("done", executor.call(work))
            elif isinstance(work, Timing):
                answer = ("done", measure(caller, work))
            else:
                answer = ("done", executor.sample(work, lambda samples: channel.send(("progress", samples))))
        except SelectorFault as fault:
            answer = ("fault" if backend.usable() else "last words", fault)
        channel.send(answer)


def main() -> None:
    """Serve on the descriptors named on the command line."""
    descriptors = [int(word) for word in sys.argv[1:3]]
    for descriptor in descriptors:  # a process that the selector starts must not keep the channel open
        os.set_inheritable(descriptor, False)  # noqa: FBT003 (the standard library's signature)
    channel, heartbeat = Connection(descriptors[0]), Heartbeat(descriptors[1])
    threading.Thread(target=_watch_parent, args=(os.getppid(),), daemon=True).start()
    with suppress(BrokenPipeError, ConnectionResetError):  # the parent has gone; nobody is left to tell
        serve(channel, heartbeat)
