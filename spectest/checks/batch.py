"""batch: every row of a heterogeneous batch follows its own problem, wherever it stands and however many there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.checks.decision import grown
from spectest.checks.judging import judge_groups
from spectest.checks.problems import rows_problems
from spectest.engine import Experiment

if TYPE_CHECKING:
    from spectest.checks.base import Context, Settings
    from spectest.checks.result import CaseResult
    from spectest.declaration import Declaration
    from spectest.engine import Tally

_VOCAB: Final = 6
_SHUFFLED: Final = 97
_POSITIONS: Final = 11
_PROBLEMS: Final = 8
_SMALL: Final = 8  # batches this small hold two problems only: each is then seen often enough in few calls
#: Sizes where kernels change their ways: one, odd, around powers of two, more than a thousand.
_SIZES: Final = (1, 2, 3, 8, 31, 33, 64, 129, 1025, 2050)


class Batch:
    """Heterogeneous batches.

    `shuffled`: rows hold different problems, in a new order every call; tallied by problem. `positions`: a fixed order,
    tallied by row: the first and the last row are seen by themselves. `B…`: one batch size each, among others 1.
    """

    name = "batch"
    weight = 1.0
    summary = "each row of a mixed batch follows its own law, whatever its place and the batch's size"

    def cases(self, settings: Settings) -> tuple[str, ...]:
        """See `Check`."""
        del settings
        return ("shuffled", "positions", *(f"B{size}" for size in _SIZES))

    def cost(self, case: str, settings: Settings) -> float:
        """See `Check`."""
        return float(self._samples(case, settings))

    def applies(self, case: str, declaration: Declaration) -> bool:
        """See `Check`; an unbatched selector has no batch."""
        del case
        return declaration.batched

    def run(self, case: str, context: Context) -> CaseResult:
        """See `Check`."""
        rows = self._rows(case)
        count = rows if case == "positions" else _PROBLEMS if rows > _SMALL else min(rows, 2)
        problems = rows_problems(count, _VOCAB, context.settings, context.declaration, case)
        prepared = context.prepare(*problems)
        pattern = np.arange(rows) % count
        by_row = case == "positions"
        samples = self._samples(case, context.settings)

        def draw(stage: int, level: float) -> Tally:
            del level
            experiment = Experiment(
                prepared,
                grown(samples, stage),
                context.seed(self.name, case, stage),
                pattern=pattern,
                shuffle=not by_row,
                group="row" if by_row else "problem",
            )
            return context.sample(experiment)

        labels = [f"row {row} of {rows}" for row in range(rows)] if by_row else None
        return judge_groups(context, (self.name, case), prepared, draw, labels)

    def _rows(self, case: str) -> int:
        return {"shuffled": _SHUFFLED, "positions": _POSITIONS}.get(case) or int(case[1:])

    def _samples(self, case: str, settings: Settings) -> int:
        rows = self._rows(case)
        if case == "shuffled":
            return rows * (settings.calls // 2)
        if case == "positions":
            return rows * settings.calls
        # Few calls where calls are large, and where they are small no more than time allows: a few rows cost a call.
        if rows <= _SMALL:
            calls = max(settings.calls, settings.small // 12)
            calls = max(calls // rows, calls // 4)
        else:
            calls = int(np.clip(settings.calls * 24 // rows, 4, settings.calls // 4))
        return rows * calls
