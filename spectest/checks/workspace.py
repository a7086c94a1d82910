"""workspace: memory that a selector allocates and has not written to yet never decides its answer."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.checks.problems import recovered_problems, rows_problems
from spectest.checks.result import CaseResult
from spectest.engine import Call

if TYPE_CHECKING:
    from spectest.checks.base import Context, Settings
    from spectest.declaration import Declaration

#: case -> (rows, V) of its calls.
_CASES: Final = {
    "small": ((1, 6), (5, 6), (8, 17), (33, 6)),
    "batch": ((64, 33), (128, 12), (100, 64)),
    "large": ((64, 300), (1025, 12), (16, 1031)),
}
#: Bytes that memory is full of: zeros; NaN in every floating type and -1 in every integer; huge values in most types;
#: ordinary small floats and huge integers.
_LITTER: Final = (0x00, 0xFF, 0x7F, 0x3F)
#: Of each of two kinds: special rows among others, and rows that are recovered from many tokens.
_PROBLEMS: Final = 4
_ROUNDS: Final = 2


class Workspace:
    """The same call, the same randomness, with freed memory full of zeros, of NaN, of huge values, of small ones.

    A buffer that is allocated and not filled (`torch.empty`, `empty_like`) holds what was freed last, mostly a sensible
    value left by the same code: it shows when the memory is full of something else. Exact: one row whose token depends
    on it is a failure. A buffer the selector keeps to itself is out of reach; see `memory`.
    """

    name = "workspace"
    wide = ("large",)
    weight = 0.0
    summary = "uninitialised memory never decides an output"

    def cases(self, settings: Settings) -> tuple[str, ...]:
        """See `Check`."""
        del settings
        return tuple(_CASES)

    def cost(self, case: str, settings: Settings) -> float:
        """See `Check`; filling memory takes longer than a call."""
        del settings
        return float(sum(len(_LITTER) * _ROUNDS * rows * max(1, size // 10) for rows, size in _CASES[case]))

    def applies(self, case: str, declaration: Declaration) -> bool:
        """See `Check`; for an unbatched selector a few rows are as good as many."""
        return declaration.batched or case == "small"

    def run(self, case: str, context: Context) -> CaseResult:
        """See `Check`."""
        samples = 0
        for rows, size in _CASES[case]:
            given = (min(_PROBLEMS, size), size, context.settings, context.declaration, self.name)
            of_both_kinds = zip(recovered_problems(*given), rows_problems(*given), strict=True)
            prepared = context.prepare(*chain.from_iterable(of_both_kinds))
            pattern = np.arange(rows) % len(prepared)
            for turn in range(_ROUNDS):
                seed, drafts = (context.seed(self.name, rows, size, turn, label) for label in ("state", "drafts"))
                calls = [Call(prepared, pattern, seed, drafts, litter=byte) for byte in _LITTER]
                answers = [context.session.call(call).tokens for call in calls]
                samples += rows * len(_LITTER)
                differing = np.flatnonzero((np.stack(answers) != answers[0]).any(axis=0))
                if differing.size:
                    row = int(differing[0])
                    seen = ", ".join(str(answer[row]) for answer in answers)
                    detail = (
                        f"{differing.size} of {rows} rows of {size} tokens depend on what uninitialised memory holds, "
                        f"inputs and randomness being the same: row {row} gives {seen}"
                    )
                    return CaseResult(self.name, case, "fail", detail, samples=samples)
        detail = f"{samples:,} rows: the same output whatever freed memory was full of"
        return CaseResult(self.name, case, "pass", detail, samples=samples)
