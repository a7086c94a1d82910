"""The errors that spectest raises on purpose; what a selector does wrong is a `SelectorFault` (`engine.faults`)."""

from __future__ import annotations


class SpectestError(Exception):
    """Base of all errors raised on purpose by spectest."""


class InvalidProblem(SpectestError, ValueError):
    """A target, draft, number of drafts or drafting law that cannot be a problem."""


class ProblemTooLarge(SpectestError, ValueError):
    """An exact route exists only for smaller problems; spectest never estimates instead."""


class UsageError(SpectestError, ValueError):
    """The request cannot be carried out as given: exit code 2, one line says why."""
