"""Work spread over a few processes, each with its share of the cores: results as they come."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeVar

from spectest.runner.sessions import cores, refuse_nested

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_Work = TypeVar("_Work")
_Result = TypeVar("_Result")

_WORKERS: Final = 2
#: Work handed over ahead of time, per process: what is left when time is over was not begun.
_AHEAD: Final = 2


def workers(device: str = "cpu") -> int:
    """Return how many processes are worth having: as many as cores, two at most; one on an accelerator."""
    return min(_WORKERS, cores()) if device == "cpu" else 1


def spread(
    function: Callable[[_Work], _Result], work: Iterable[_Work], *, processes: int, deadline: float | None = None
) -> Iterator[_Result]:
    """Yield the results in the order they are finished; end at the deadline (`time.time`) with those that are.

    The processes work in a folder of their own, so that records of failures are left nowhere, and end with the
    iteration, whatever ends it.

    Args:
        function: of a module, so that another process finds it.
        work: its arguments.
        processes: how many.
        deadline: no more is waited for after it.
    """
    refuse_nested()
    waiting = iter(work)
    before = set(multiprocessing.active_children())
    with tempfile.TemporaryDirectory(prefix="spectest-") as folder:
        context = multiprocessing.get_context("spawn")
        share = max(1, cores() // processes)
        pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_begin, initargs=(folder, share))
        running: set[Future[_Result]] = set()
        try:
            while True:
                ahead = islice(waiting, processes * _AHEAD - len(running))
                running.update(pool.submit(function, one) for one in ahead)
                left = None if deadline is None else deadline - time.time()
                if not running or (left is not None and left <= 0):
                    return
                done, running = wait(running, timeout=left, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            for child in set(multiprocessing.active_children()) - before:
                child.terminate()
            pool.shutdown(wait=True, cancel_futures=True)


def _begin(folder: str, threads: int) -> None:
    """Prepare a process: its folder, its threads; Ctrl-C is for the parent, which ends this one."""
    import torch  # noqa: PLC0415 (the parent may do without)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)
    os.chdir(folder)
