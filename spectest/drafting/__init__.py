"""Drafting laws: how the n tokens of a problem are drawn, one file each."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from spectest.drafting.base import DraftingLaw, JointLaw, Sampler
from spectest.problem import drafting_rule

__all__ = ["DraftingLaw", "JointLaw", "Sampler", "get"]


def get(name: str) -> DraftingLaw:
    """Return the drafting law called `name`.

    Raises:
        InvalidProblem: no law has that name; the message lists those that exist.
    """
    return cast("DraftingLaw", import_module(drafting_rule(name).module).LAW)
