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

from spectest.runner.sessions import cores, own_cores, refuse_nested

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from multiprocessing.queues import SimpleQueue

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
        shares = context.SimpleQueue()
        for share in _shares(processes):
            shares.put(share)
        pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_begin, initargs=(folder, shares))
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


def _shares(processes: int) -> list[list[int]]:
    """Return which cores each process has for itself and its children; how many, where they cannot be told apart."""
    mine = own_cores()
    each = max(1, len(mine) // processes)
    return [[mine[(index * each + k) % len(mine)] for k in range(each)] for index in range(processes)]


def _begin(folder: str, shares: SimpleQueue[list[int]]) -> None:
    """Prepare a process: its folder, its cores; Ctrl-C is for the parent, which ends this one.

    Threads that wait for a core that another process uses cost several times what they save: so a child of this process
    must not take more threads than this process has cores either.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    share = shares.get()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, share)
    import torch  # noqa: PLC0415 (the parent may do without; it counts the cores it may use)

    torch.set_num_threads(len(share))
    os.chdir(folder)
