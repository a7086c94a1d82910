"""Proposers and selectors that stand alone: a child process that loads one by path needs no torch."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spectest import selector

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Rng = np.random.Generator

HERE = str(Path(__file__).resolve())

#: What the proposer leaves for the selector: there only where both live in one module.
_LEFT: list[int] = []


def draws(q: Array, rng: Rng) -> Array:
    """Drafts by inverse CDF; leaves word of it."""
    _LEFT.append(len(q))
    cdf = q.cumsum(-1)
    return (cdf < (rng.random(q.shape[:2]) * cdf[..., -1])[..., None]).sum(-1).astype(np.int64)


@selector(array="numpy", propose=draws)
def takes(p: Array, q: Array, ids: Array, rng: Rng) -> Array:
    """The first drafts, where the proposer was called just before, with as many rows."""
    assert _LEFT.pop() == len(p)
    assert not _LEFT
    return ids[:, 0]


@selector(array="numpy")
def plain(p: Array, q: Array, ids: Array, rng: Rng) -> Array:
    """The first drafts; declares no proposer."""
    return ids[:, 0]


@selector(array="numpy", propose=lambda q, rng: np.zeros(q.shape[:2], dtype=np.int64))
def with_a_lambda(p: Array, q: Array, ids: Array, rng: Rng) -> Array:
    """Declares a proposer that has no address."""
    return ids[:, 0]


def hangs(q: Array, rng: Rng) -> Array:
    """Hang."""
    time.sleep(1000)
    return draws(q, rng)


def hangs_later(q: Array, rng: Rng) -> Array:
    """Hang in a batch."""
    if len(q) > 1:
        time.sleep(1000)
    return draws(q, rng)


def dies(q: Array, rng: Rng) -> Array:
    """End the process."""
    os._exit(3)


def slow_start(q: Array, rng: Rng) -> Array:
    """Compile for 0.6 s in the first call of its process."""
    if not _STARTED:
        time.sleep(0.6)
    _STARTED.append(1)
    return draws(q, rng)


_STARTED: list[int] = []


def address(name: str) -> str:
    """Return the address of a function of this file."""
    return f"{HERE}:{name}"
