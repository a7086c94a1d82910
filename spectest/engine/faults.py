"""What a selector can do wrong when it is called. Each fault fails the case it happened in, never the run."""

from __future__ import annotations

from spectest.errors import SpectestError


class SelectorFault(SpectestError):
    """The selector did something wrong when called.

    Args:
        message: one line that says what.
        traceback: the selector's own traceback or last output, for `--verbose`.
    """

    def __init__(self, message: str, traceback: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.traceback = traceback

    def __reduce__(self) -> tuple[type[SelectorFault], tuple[str, str | None]]:
        """Pickle across the process boundary with both arguments."""
        return type(self), (self.message, self.traceback)


class SelectorRaised(SelectorFault):
    """It raised an exception."""


class SelectorRefused(SelectorRaised):
    """It raised `spectest.errors.ProblemTooLarge`: it serves no problem of this size, and says so."""


class BadOutput(SelectorFault):
    """Wrong type, shape, dtype or device, NaN, or an id outside the vocabulary."""


class InputMutated(SelectorFault):
    """It wrote to a tensor it was given."""


class SelectorHung(SelectorFault):
    """One call took longer than the timeout; its process was killed."""


class SelectorDied(SelectorFault):
    """Its process ended during a call: a segmentation fault, an abort, an exit."""
