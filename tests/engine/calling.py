"""Calling a selector once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from spectest.engine import Call, LocalSession, Outcome
from tests.engine.samples import prepared

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS, N, V = 6, 3, 5


def call_once(function: Callable[..., Any], *, seed: int = 3, rows: int = ROWS, **declared: Any) -> Outcome:
    """Call a selector once, by way of a session."""
    problem = prepared(drafting=declared.get("drafting", "with_replacement"), dtype=declared.get("dtype", "float64"))
    pattern = np.zeros(rows, dtype=np.int64)
    return LocalSession(function, declared).call(Call((problem,), pattern, seed, draft_seed=seed + 1))


def returning(output: Callable[[Any], Any], **declared: Any) -> Outcome:
    """Call a selector whose answer is `output(ids)`."""
    return call_once(lambda p, q, ids, rng: output(ids), **declared)
