"""Defects that give no answer: they raise, hang, or take their process with them."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from typing import TYPE_CHECKING

import torch

from .core import correct, subtract
from .registry import bug

if TYPE_CHECKING:
    from torch import Generator, Tensor


@bug("raise")
def raises_always(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Raises at every call."""
    msg = "planted: raises always"
    raise RuntimeError(msg)


@bug("raise", needs="trivial")
def raises_on_one_token(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """V = 1 loses its vocabulary axis in a squeeze."""
    return correct(p.squeeze(-1), q.squeeze(-1), ids, generator)


@bug("raise", "B43", "transformers 5.23.0", needs="equal")
def raises_on_equal_laws(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Draws from every row's residual, needed or not: 0/0 raises where p = q."""
    torch.multinomial(subtract(p, q[:, 0], ids), 1, generator=generator)
    return correct(p, q, ids, generator)


@bug("raise")
def raises_system_exit(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """`sys.exit(0)`: not an `Exception`, and a success to whoever reads the exit code."""
    sys.exit(0)


@bug("raise")
def raises_keyboard_interrupt(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Looks like a Ctrl-C of the user."""
    raise KeyboardInterrupt


@bug("hang", options={"timeout": 0.5})
def hangs(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Sleeps for ever."""
    while True:
        time.sleep(1e6)


@bug("hang", options={"timeout": 0.5})
def hangs_holding_the_lock(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Sleeps for ever in a C call that keeps the interpreter lock: no thread of that process ever runs again."""
    while True:
        ctypes.PyDLL(None).sleep(10**6)


@bug("crash")
def exits_with_zero(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Ends its process with a success."""
    os._exit(0)


@bug("crash")
def segfaults(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Reads address 0, as a kernel with a bad index does."""
    ctypes.string_at(0)
    return ids[:, 0]


@bug("crash")
def aborts(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """SIGABRT, as a failed device assertion gives."""
    os.abort()
