"""Defective selectors: each a few lines around one correct core, with the cause (or the thread it was met in)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import accept, acceptance, calls, faults, law, protocol, residual, rows  # noqa: F401 (they fill the tables)
from .core import ADDRESSES, DEFECTIVE, MILD, NEEDS

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ADDRESSES", "DEFECTIVE", "MILD", "NEEDS", "get"]


def get(name: str) -> Callable[..., Any]:
    """Return the defective selector called `name`."""
    module, _, attribute = ADDRESSES[name].partition(":")
    function: Callable[..., Any] = getattr(import_module(module), attribute)
    return function
