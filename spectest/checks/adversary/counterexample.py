"""A counter-example: a trial that a selector fails, as it is printed, stored and put to the selector again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from spectest.checks.adversary.trial import Trial
from spectest.errors import SpectestError

if TYPE_CHECKING:
    from spectest.checks.adversary.oracle import Found
    from spectest.problem import Problem

_VERSION: Final = 1
#: A stored counter-example is drawn this many times as often as it took to show it ...
_MARGIN: Final = 8
#: ... and often enough for so many impossible tokens as were expected ten at least ...
_IMPOSSIBLE: Final = 10
#: ... but not more often than this.
_MOST: Final = 4_000_000


@dataclass(frozen=True, eq=False)
class Counterexample:
    """The smallest trial found on which a selector fails.

    Args:
        trial: the problem, or several that must share a batch.
        samples: how many samples of each problem show it again, at any seed.
        detail: what was seen, for a reader.
    """

    trial: Trial
    samples: int
    detail: str

    @property
    def problem(self) -> Problem:
        """The problem; the first where several must share a batch."""
        return self.trial.problems[0]

    @property
    def identity(self) -> str:
        """Letters and digits that name it."""
        return self.trial.digest

    def __str__(self) -> str:
        """Return the problem as a person reads it, and what was seen."""
        return "\n".join([*self.trial.written(), self.detail])

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict, from which `from_dict` makes the same counter-example."""
        return {"version": _VERSION, **self.trial.to_dict(), "samples": self.samples, "detail": self.detail}

    @classmethod
    def from_dict(cls, stored: object) -> Counterexample:
        """Return the counter-example a dict describes.

        Raises:
            ValueError: it describes none; the message says why.
        """
        try:
            if not isinstance(stored, dict) or stored["version"] != _VERSION:
                msg = "not a counter-example of this version of spectest"
                raise ValueError(msg)
            samples = stored["samples"]
            if isinstance(samples, bool) or not isinstance(samples, int) or not 0 < samples <= _MOST:
                msg = f"`samples` must be an integer from 1 to {_MOST:,}, got {samples!r}"
                raise ValueError(msg)
            return cls(Trial.from_dict(stored), samples, str(stored["detail"]))
        except (KeyError, TypeError, SpectestError) as error:
            msg = f"no counter-example: {type(error).__name__} {error}"
            raise ValueError(msg) from error


def counterexample_of(found: Found) -> Counterexample:
    """Return what remains of a trial that failed."""
    if found.evidence is None:
        return Counterexample(found.trial, min(_MOST, found.samples * _MARGIN), seen(found))
    impossible = found.evidence.impossible
    rare = math.ceil(_IMPOSSIBLE / impossible) if 0 < impossible < _IMPOSSIBLE else 1
    samples = min(_MOST, found.samples * _MARGIN * rare)
    return Counterexample(found.trial, samples, seen(found))


def seen(found: Found) -> str:
    """Return what was seen of a trial that failed, for a reader."""
    return str(found.fault) if found.evidence is None else found.evidence.said()
