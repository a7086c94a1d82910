"""Checks: one file each, listed here in the order they run and are reported."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from spectest.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spectest.checks.base import Check

#: The registry: name -> where the check is. Adding one is a file here and a line.
CHECKS: dict[str, str] = {
    "smoke": "spectest.checks.smoke:Smoke",
    "determinism": "spectest.checks.determinism:Determinism",
    "support": "spectest.checks.support:Support",
    "law": "spectest.checks.law:Law",
    "acceptance": "spectest.checks.acceptance:Acceptance",
    "edge": "spectest.checks.edge:Edge",
    "batch": "spectest.checks.batch:Batch",
    "rows": "spectest.checks.rows:Rows",
    "consecutive": "spectest.checks.consecutive:Consecutive",
    "streams": "spectest.checks.streams:Streams",
    "mixture": "spectest.checks.mixture:Mixture",
    "memory": "spectest.checks.memory:Memory",
    "layout": "spectest.checks.layout:Layouts",
    "seeding": "spectest.checks.seeding:Seeding",
    "workspace": "spectest.checks.workspace:Workspace",
    "injection": "spectest.checks.injection:Injection",
    "tail": "spectest.checks.tail:Tail",
    "proposal": "spectest.checks.proposal:Proposal",
    "seam": "spectest.checks.seam:Seam",
    "hunt": "spectest.checks.hunt:Hunt",
}


def get(name: str) -> Check:
    """Return the check called `name`.

    Raises:
        UsageError: there is none; the message lists those that exist.
    """
    if name not in CHECKS:
        msg = f"unknown check {name!r}; there are {', '.join(CHECKS)}"
        raise UsageError(msg)
    module, _, attribute = CHECKS[name].partition(":")
    return cast("Check", getattr(import_module(module), attribute)())


def select(names: Iterable[str] | None = None) -> list[Check]:
    """Return the checks called `names` in registry order, all of them by default.

    Raises:
        UsageError: a name is unknown.
    """
    wanted = list(CHECKS) if names is None else list(names)
    found = {name: get(name) for name in wanted}
    return [found[name] for name in CHECKS if name in found]
