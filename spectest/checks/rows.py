"""rows: the rows of a batch are independent draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.checks.decision import decide, grown
from spectest.checks.pairs import Pairing, halves, mirrored, neighbours, pairs_detectable, two_apart
from spectest.checks.problems import build
from spectest.engine import Experiment
from spectest.stats import dispersion_test

if TYPE_CHECKING:
    from collections.abc import Callable

    from spectest.checks.base import Context, Settings
    from spectest.checks.decision import StageTest
    from spectest.checks.result import CaseResult, Verdict
    from spectest.declaration import Declaration
    from spectest.engine import Tally

_OVERLAPPING: Final = ((0.3, 0.25, 0.25, 0.2), (0.1, 0.5, 0.1, 0.3))
_RESIDUAL: Final = ((0.3, 0.3, 0.2, 0.2), (0.0, 0.0, 0.6, 0.4))
#: case -> (laws, rows of a call, a call of this case for so many of `Settings.calls`)
_CASES: Final = {"overlapping": (_OVERLAPPING, 64, 1), "residual": (_RESIDUAL, 64, 1), "wide": (_RESIDUAL, 4096, 32)}
_PAIRINGS: Final = {
    how: Pairing("output", "output", of)
    for how, of in {"neighbours": neighbours, "two apart": two_apart, "halves": halves, "mirrored": mirrored}.items()
}


class Rows:
    """Dependence within a call, whatever the rows' law: that is for `law`.

    Pairs of rows at several distances, and the spread of token counts over calls (too wide: rows share noise; too
    narrow: they are stratified or antithetic). In `residual` two tokens only come from the residual draw; `wide` has
    thousands of rows. The rows of an unbatched selector are successive calls.
    """

    name = "rows"
    weight = 1.0
    summary = "rows of a batch are independent of each other"

    def cases(self, settings: Settings) -> tuple[str, ...]:
        """See `Check`."""
        del settings
        return tuple(_CASES)

    def cost(self, case: str, settings: Settings) -> float:
        """See `Check`."""
        return float(self._samples(case, settings))

    def applies(self, case: str, declaration: Declaration) -> bool:
        """See `Check`; thousands of successive calls are no more telling than 64."""
        return declaration.batched or case != "wide"

    def _samples(self, case: str, settings: Settings) -> int:
        _, rows, every = _CASES[case]
        return rows * max(2, settings.calls // every)

    def run(self, case: str, context: Context) -> CaseResult:
        """See `Check`."""
        generator = np.random.default_rng(context.seed(self.name, case, "problem"))
        laws, rows, _ = _CASES[case]
        target, draft = (np.array(law) for law in laws)
        (prepared,) = context.prepare(build(target, draft, context.declaration, generator, case))
        law = prepared.problem.target

        def draw(stage: int, level: float) -> Tally:
            del level
            samples = grown(self._samples(case, context.settings), stage)
            seed = context.seed(self.name, case, stage)
            return context.sample(Experiment((prepared,), samples, seed, keep=True, rows=rows))

        def tester(name: str) -> Callable[[Tally, float], StageTest]:
            def test(tally: Tally, level: float) -> StageTest:
                return _PAIRINGS[name].test({"output": tally.outputs}, law.size, level)

            return test

        def spread(tally: Tally, level: float) -> StageTest:
            counts = np.stack([(tally.outputs == token).sum(axis=1) for token in range(law.size)], axis=1)
            return dispersion_test(counts, alpha=level)

        tests: dict[str, Callable[[Tally, float], StageTest]] = {name: tester(name) for name in _PAIRINGS}
        tests["spread"] = spread
        decision = decide(context.alpha, tests, draw)
        pairs = decision.tallies[0].outputs.size // 2
        delta = pairs_detectable(law, pairs, context)
        found: tuple[Verdict, str] = "pass", f"{pairs:,} pairs of rows are independent; {delta:.2g} would show"
        if decision.rejected:
            what = f"rows depend on each other ({decision.worst})"
            if decision.worst == "spread":
                what = "token counts vary wrongly between calls"
            found = "fail", f"{what} (p-value {decision.p_value:.2g}): rows of a batch share randomness"
        return decision.result(context, (self.name, case), found, delta=delta)
