"""Defective selectors: each a few lines around one correct core, with the cause (or the thread it was met in)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import accept, acceptance, calls, faults, law, protocol, residual, rows  # noqa: F401 (they fill the tables)
from .core import ADDRESSES, DEFECTIVE, MILD, NEEDS

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ADDRESSES", "DEFECTIVE", "HARMLESS", "MILD", "NEEDS", "UNSEEN", "get"]

#: What spoils neither law nor acceptance, and must pass.
HARMLESS: frozenset[str] = frozenset(name for name, kind in DEFECTIVE.items() if kind == "noise")
#: name -> why the quick tier does not see it. `test_verdicts.py` fails as soon as it does.
UNSEEN: dict[str, str] = {
    "inclusive_at_zero": "needs a uniform of exactly 0, which a run draws once in 2^53",
    "coin_rounds_to_one": "needs a uniform within 2^-25 of 1: a run draws too few to count on one",
    "draft_in_bfloat16": "a total variation of 0.0007, far below the 0.01 that the quick tier looks for",
}


def get(name: str) -> Callable[..., Any]:
    """Return the defective selector called `name`."""
    module, _, attribute = ADDRESSES[name].partition(":")
    function: Callable[..., Any] = getattr(import_module(module), attribute)
    return function
