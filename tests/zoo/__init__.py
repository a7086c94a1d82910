"""The zoo: selectors to try a verifier on, correct ones and ones with a bug that somebody had, each with its source.

A bug is a few lines around a correct core and a decorator; adding one is writing it down in the module it belongs to.
The controls are correct, among them what is often reported as a bug and is none.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# They fill the tables.
from . import (  # noqa: F401
    accept,
    acceptance,
    calls,
    controls,
    faults,
    innocent,
    law,
    precision,
    protocol,
    residual,
    rows,
    seam,
    wide,
)
from .families import ELSEWHERE
from .registry import BUGS, CONTROLS, TIERS, Bug, Control, Escape

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BUGS", "CONTROLS", "ELSEWHERE", "TIERS", "Bug", "Control", "Escape", "get"]


def get(name: str) -> Callable[..., Any]:
    """Return the selector called `name`, correct or not.

    Raises:
        KeyError: there is none.
    """
    entry = BUGS.get(name) or CONTROLS[name]
    module, _, attribute = entry.address.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), attribute)
    return function
