"""Calling a selector in its own process, and watching that process."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spectest.engine import Call
from tests.engine.samples import prepared

if TYPE_CHECKING:
    from spectest.engine import ChildSession, Session


def one(first: int, session: Session) -> list[int]:
    """Call on one row whose first draft is `first`; 4 makes the selectors of `samples` misbehave."""
    ids = np.array([[first, 0, 0]])
    return session.call(Call((prepared(),), np.zeros(1, dtype=np.int64), 1, ids=ids)).tokens.tolist()


def alive(process: int) -> bool:
    """Whether a process runs (one that ended and was not waited for does not)."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def ends(process: int, seconds: float = 10.0) -> bool:
    """Whether a process ends within some time."""
    until = time.monotonic() + seconds
    while alive(process) and time.monotonic() < until:
        time.sleep(0.05)
    return not alive(process)


def child(session: ChildSession) -> int:
    """Return the number of a session's process."""
    assert session._process is not None
    return session._process.pid
