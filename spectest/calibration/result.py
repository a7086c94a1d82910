"""What a calibration came to."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from spectest import zoo

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spectest.calibration.request import Request
    from spectest.calibration.trial import Trial

SCHEMA_VERSION: Final = 1
_WRONG, _UNFINISHED = 1, 3


@dataclass(frozen=True)
class Tried:
    """All runs of one selector, one per seed."""

    name: str
    trials: tuple[Trial, ...]

    @property
    def caught(self) -> int:
        """How many runs had a failing check."""
        return sum(trial.caught for trial in self.trials)

    @property
    def seconds(self) -> float:
        """The slowest run's, until its first failure or in all."""
        return max(trial.seconds for trial in self.trials)

    @property
    def samples(self) -> int:
        """Likewise."""
        return max(trial.samples for trial in self.trials)


@dataclass(frozen=True)
class Calibration:
    """Runs of correct controls and of bugs.

    Args:
        request: what was asked for.
        trials: the runs that came to an end.
        planned: how many there were to be.
        seconds: it took.
        environment: versions and the machine.
    """

    request: Request
    trials: tuple[Trial, ...]
    planned: int
    seconds: float
    environment: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def controls(self) -> tuple[Tried, ...]:
        """The correct selectors that were run."""
        return _by_name(trial for trial in self.trials if trial.name in zoo.CONTROLS)

    @cached_property
    def bugs(self) -> tuple[Tried, ...]:
        """The defective ones."""
        return _by_name(trial for trial in self.trials if trial.name in zoo.BUGS)

    @property
    def false_alarms(self) -> tuple[Tried, ...]:
        """Controls with a failing check."""
        return tuple(tried for tried in self.controls if tried.caught)

    @property
    def missed(self) -> tuple[Tried, ...]:
        """Bugs that not every run caught, known to escape or not."""
        return tuple(tried for tried in self.bugs if tried.caught < len(tried.trials))

    @property
    def surprises(self) -> tuple[Tried, ...]:
        """Missed bugs that are not known to escape."""
        return tuple(tried for tried in self.missed if not zoo.BUGS[tried.name].escapes(self.request.tier))

    @property
    def complete(self) -> bool:
        """Whether every planned run came to an end."""
        return len(self.trials) == self.planned

    @property
    def deltas(self) -> dict[str, tuple[float, float]]:
        """What each check would find here, in the time it had: the range over its cases and the controls."""
        found: dict[str, list[float]] = {}
        for tried in self.controls:
            for trial in tried.trials:
                for check, ends in trial.deltas.items():
                    found.setdefault(check, []).extend(ends)
        return {check: (min(some), max(some)) for check, some in found.items()}

    @property
    def exit_code(self) -> int:
        """0 as it should be, 1 a false alarm or a bug missed unexpectedly, 3 ended before that was known."""
        if self.false_alarms or self.surprises:
            return _WRONG
        return 0 if self.complete else _UNFINISHED

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "schema": SCHEMA_VERSION,
            "exit_code": self.exit_code,
            "complete": self.complete,
            "request": asdict(self.request),
            "false_alarms": [tried.name for tried in self.false_alarms],
            "missed": [
                {"name": tried.name, "caught": tried.caught, "runs": len(tried.trials), "why": reason(tried.name)}
                for tried in self.missed
            ],
            "deltas": self.deltas,
            "trials": [trial.to_dict() for trial in self.trials],
            "seconds": self.seconds,
            "environment": self.environment,
        }


def reason(name: str) -> str:
    """Return why a bug is known to escape, and what it would take; empty where it is not known to."""
    escape = zoo.BUGS[name].escape
    return "" if escape is None else f"{escape.why}: about {escape.samples:.0e} samples would show it"


def _by_name(trials: Iterable[Trial]) -> tuple[Tried, ...]:
    found: dict[str, list[Trial]] = {}
    for trial in trials:
        found.setdefault(trial.name, []).append(trial)
    return tuple(Tried(name, tuple(some)) for name, some in found.items())
