"""What a calibration is asked for, and the runs it comes to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from spectest import zoo
from spectest.calibration.trial import Task, applies
from spectest.declaration import declared_by
from spectest.errors import UsageError
from spectest.runner import TIERS

#: Bugs of a calibration that does not say how many: with the controls about two minutes on two cores.
BUGS: Final = 40
ALL: Final = "all"


@dataclass(frozen=True)
class Request:
    """Everything a calibration can be asked for.

    Args:
        tier: of every run.
        device: torch device of the selectors; those of numpy arrays are left out on any but the cpu.
        seed: of the first run of each selector.
        seeds: runs of each selector, with as many seeds from `seed` on.
        bugs: how many bugs, of every kind in turn; None for all of them, and all controls.
        budget: seconds it may take, None for as long as it needs.

    Raises:
        UsageError: a value is out of its range; the message names it.
    """

    tier: str = "quick"
    device: str = "cpu"
    seed: int = 0
    seeds: int = 1
    bugs: int | None = BUGS
    budget: float | None = None

    def __post_init__(self) -> None:
        """Validate."""
        if self.tier not in TIERS:
            msg = f"`tier` must be one of {', '.join(TIERS)}, got {self.tier!r}"
            raise UsageError(msg)
        if not isinstance(self.device, str) or not self.device:
            msg = f"`device` must name a torch device such as cpu or cuda, got {self.device!r}"
            raise UsageError(msg)
        for name, least in (("seed", 0), ("seeds", 1), ("bugs", 1)):
            value = getattr(self, name)
            if name == "bugs" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                msg = f"`{name}` must be an integer of at least {least}, got {value!r}"
                raise UsageError(msg)
        if self.budget is not None and not (
            isinstance(self.budget, (int, float)) and not isinstance(self.budget, bool) and 0 < self.budget < math.inf
        ):
            msg = f"`budget` must be a positive number of seconds, got {self.budget!r}"
            raise UsageError(msg)

    def tasks(self, deadline: float | None = None) -> list[Task]:
        """Return the runs, the longest first: controls, which no failure ends early, then bugs."""
        names = [name for name in (*self._controls(), *self._bugs()) if applies(name, self.device)]
        device = None if self.device == "cpu" else self.device
        return [
            Task(name, self.tier, self.seed + k, device, name in zoo.CONTROLS, deadline)
            for k in range(self.seeds)
            for name in names
        ]

    def _controls(self) -> list[str]:
        return list(zoo.CONTROLS) if self.bugs is None else different_controls()

    def _bugs(self) -> list[str]:
        return list(zoo.BUGS) if self.bugs is None else stratified(self.tier)[: self.bugs]


def parse_bugs(text: str | None) -> int | None:
    """Return how many bugs `--bugs` asks for, None for all.

    Raises:
        UsageError: it is neither a number nor `all`.

    Example:
        >>> parse_bugs("all") is None, parse_bugs("12"), parse_bugs(None)
        (True, 12, 40)
    """
    if text is None:
        return BUGS
    if text == ALL:
        return None
    try:
        return int(text)
    except ValueError as error:
        msg = f"`bugs` must be a number or all, got {text!r}"
        raise UsageError(msg) from error


def different_controls() -> list[str]:
    """Return the first control of each declaration, those of one position a call left out: they take minutes."""
    first = {declared_by(zoo.get(name)): name for name in reversed(zoo.CONTROLS) if not zoo.CONTROLS[name].slow}
    return [name for name in zoo.CONTROLS if name in set(first.values())]


def stratified(tier: str) -> list[str]:
    """Return all bugs, one of each kind in turn; what is known to escape at the tier comes last."""
    kinds: dict[str, list[str]] = {}
    for name, bug in zoo.BUGS.items():
        kinds.setdefault(bug.kind, []).append(name)
    in_turn = [name for row in zip_longest(*kinds.values()) for name in row if name is not None]
    return sorted(in_turn, key=lambda name: zoo.BUGS[name].escapes(tier))
