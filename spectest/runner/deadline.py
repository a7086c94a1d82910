"""When a run ends: with its budget, or a little after its first failure."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from spectest.runner.config import RunConfig

#: Seconds that a run goes on after its first failure, to say what else is wrong.
AFTER_FAILURE: Final = 45.0


class Deadline:
    """The end of one run; its workers read it, and any of them may bring it forward.

    A run that has failed cannot conform any more: where no budget was asked for, it does not take the tier's to say
    what else is wrong.

    Args:
        config: of the run, which begins now.
    """

    def __init__(self, config: RunConfig) -> None:
        self.at = time.monotonic() + config.seconds
        self._fixed = config.budget is not None
        self._nearer = False

    def failed(self) -> None:
        """Bring the end forward, unless a budget was asked for: something has failed."""
        soon = time.monotonic() + AFTER_FAILURE
        if not self._fixed and soon < self.at:
            self._nearer, self.at = True, soon

    def left(self) -> float:
        """Return the seconds that are left."""
        return max(0.0, self.at - time.monotonic())

    @property
    def cut(self) -> str:
        """Why nothing more is begun; empty while something is: a budget that is used up leaves every case a moment."""
        if not self._nearer or self.left() > 0:
            return ""
        return (
            f"not run: a run ends {AFTER_FAILURE:g} s after its first failure; --budget gives it all the time you say"
        )
