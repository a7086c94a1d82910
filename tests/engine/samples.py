"""Problems, and numpy selectors that stand alone: a child process that loads one by path needs no torch."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spectest import Problem, selector
from spectest.engine import Prepared, prepare

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Rng = np.random.Generator

HERE = str(Path(__file__).resolve())


def prepared(n_drafts: int = 3, drafting: str = "with_replacement", dtype: Any = "float64") -> Prepared:
    """Return a problem of five tokens, all of positive mass in both laws."""
    target, draft = np.array([0.1, 0.2, 0.3, 0.25, 0.15]), np.array([0.3, 0.25, 0.05, 0.3, 0.1])
    if drafting == "independent":
        draft = np.stack([np.roll(draft, k) for k in range(n_drafts)])
    return prepare(Problem(target, draft, n_drafts, drafting, name="sample"), dtype)


def address(name: str) -> str:
    """Return the address of a selector of this file."""
    return f"{HERE}:{name}"


@selector(array="numpy")
def target_only(p: Array, q: Array, ids: Array, rng: Rng) -> Array:
    """Lossless: a draw of the target."""
    cdf = p.cumsum(1)
    return (cdf < (rng.random(len(p)) * cdf[:, -1])[:, None]).sum(1)


@selector(array="numpy", batched=False)
def one_target(p: Array, q: Array, ids: Array, rng: Rng) -> int:
    """Lossless: a draw of the target, one position a call."""
    return int(rng.choice(len(p), p=p))


@selector(array="numpy")
def first_draft(p: Array, q: Array, ids: Array, rng: Rng) -> Array:
    """A view of the drafts it was given: q comes out."""
    return ids[:, 0]


@selector(array="numpy")
def own_process(p: Array, q: Array, ids: Array, rng: Rng) -> Array:
    """The drafts, and a line with the process's number on stdout."""
    print(os.getpid(), flush=True)
    return ids[:, 0]


#: Set by an id: a selector of `at` misbehaves where its first draft is token 4 of a call of one row.
def _called(ids: Array) -> bool:
    return ids.shape[0] == 1 and ids[0, 0] == 4


@selector(array="numpy")
def sleeps(p: Array, q: Array, ids: Array, rng: Rng) -> Array:
    """Hangs."""
    if _called(ids):
        time.sleep(1000)
    return ids[:, 0]


@selector(array="numpy")
def sleeps_with_the_lock(p: Array, q: Array, ids: Array, rng: Rng) -> Array:
    """Hangs in C, holding the interpreter lock."""
    if _called(ids):
        ctypes.PyDLL(None).sleep(1000)
    return ids[:, 0]


@selector(array="numpy")
def slow_start(p: Array, q: Array, ids: Array, rng: Rng) -> Array:
    """Compiles for 0.6 s in the first call of its process."""
    if not _SEEN:
        time.sleep(0.6)
    _SEEN.append(1)
    return ids[:, 0]


_SEEN: list[int] = []


@selector(array="numpy")
def segfaults(p: Array, q: Array, ids: Array, rng: Rng) -> Array:
    """Dies of a signal."""
    if _called(ids):
        os.write(2, b"a last word\n")
        ctypes.string_at(0)
    return ids[:, 0]


@selector(array="numpy")
def exits_0(p: Array, q: Array, ids: Array, rng: Rng) -> Array:
    """Ends its process with a success."""
    if _called(ids):
        os._exit(0)
    return ids[:, 0]


@selector(array="numpy")
def exits_3(p: Array, q: Array, ids: Array, rng: Rng) -> Array:
    """Ends its process with a failure."""
    if _called(ids):
        os._exit(3)
    return ids[:, 0]


@selector(array="numpy")
def leaves_a_process(p: Array, q: Array, ids: Array, rng: Rng) -> Array:
    """Dies while a process it forked lives on, with every descriptor it had."""
    if _called(ids):
        if os.fork() == 0:
            time.sleep(12)  # longer than a call may take: who waits for the channel to close sees a hang
            os._exit(0)
        os._exit(5)
    return ids[:, 0]


@selector(array="numpy")
def hangs_in_company(p: Array, q: Array, ids: Array, rng: Rng) -> Array:
    """Starts a process that prints its number, and hangs."""
    if _called(ids):
        other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
        print(other.pid, flush=True)
        time.sleep(1000)
    return ids[:, 0]


@selector(array="numpy")
def raises(p: Array, q: Array, ids: Array, rng: Rng) -> Array:
    """Raises what the first draft says."""
    if ids.shape[0] == 1:
        kinds: tuple[BaseException, ...] = (
            ValueError("first line\nsecond line"),
            SystemExit(7),
            KeyboardInterrupt(),
            GeneratorExit(),
            Unspeakable(),
        )
        raise kinds[int(ids[0, 0])]
    return ids[:, 0]


class Unspeakable(Exception):
    """An exception whose message cannot be had."""

    def __str__(self) -> str:
        """Fail."""
        raise RuntimeError


@selector(array="numpy")
def noisy(p: Array, q: Array, ids: Array, rng: Rng) -> Array:
    """Lossless; writes to both outputs, by Python and by descriptor."""
    print('("done", 1)', flush=True)
    print("oops", file=sys.stderr)
    os.write(1, b"\x80\x04N.\xff\xfe noise")
    os.write(2, bytes(range(256)))
    return target_only(p, q, ids, rng)  # type: ignore[no-any-return]


@selector(array="numpy")
def interrupts_the_parent(p: Array, q: Array, ids: Array, rng: Rng) -> Array:
    """Sends its parent what Ctrl-C would."""
    if _called(ids):
        os.kill(os.getppid(), 2)
        time.sleep(1000)
    return ids[:, 0]


class Holder:
    """A class with every kind of method, and a callable object."""

    def method(self, p: Array, q: Array, ids: Array, rng: Rng) -> Array:
        """See `first_draft`."""
        return ids[:, 0]

    @staticmethod
    def static(p: Array, q: Array, ids: Array, rng: Rng) -> Array:
        """See `first_draft`."""
        return ids[:, 0]

    @classmethod
    def of_class(cls, p: Array, q: Array, ids: Array, rng: Rng) -> Array:
        """See `first_draft`."""
        return ids[:, 0]

    def __call__(self, p: Array, q: Array, ids: Array, rng: Rng) -> Array:
        """See `first_draft`."""
        return ids[:, 0]


holder = Holder()


def a_lambda() -> Any:
    """Return a lambda, a closure and a local function's kin."""
    return lambda p, q, ids, rng: ids[:, 0]
