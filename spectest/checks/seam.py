"""seam: own drafts and their verification together, as they are used, give the target."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.checks.acceptance import judge_acceptance
from spectest.checks.decision import decide, grown
from spectest.checks.edge_problems import edge_problem
from spectest.checks.judging import judge_law, sample_law
from spectest.checks.law import main_cost, main_prepared
from spectest.checks.laws import law_samples
from spectest.checks.pairs import Pairing, halves, mirrored, neighbours, pairs_detectable, successive, two_apart
from spectest.checks.problems import build, main_names
from spectest.engine import Experiment

if TYPE_CHECKING:
    from collections.abc import Callable

    from spectest.checks.base import Context, Settings
    from spectest.checks.decision import StageTest
    from spectest.checks.result import CaseResult, Verdict
    from spectest.declaration import Declaration
    from spectest.engine import Prepared, Tally

_ACCEPTANCE: Final = "acceptance-"
_EDGE: Final = "edge-"
#: Edge problems on which much is drawn from the residual, or late: noise that comes twice is most visible there.
_EDGES: Final = ("disjoint", "target-off-draft", "late-rounds", "equal")
_ROWS: Final = 64
#: Target and draft of `rows`: two tokens come out of the residual alone, and two drafts are often rejected.
_LAWS: Final = ((0.25, 0.2, 0.25, 0.15, 0.15), (0.0, 0.0, 0.5, 0.2, 0.3))

#: Which of a row's tokens are held against which of another's, at each of the distances.
_STREAMS: Final = (("output", "output"), ("output", "first"), ("first", "output"), ("last", "output"))
_DISTANCES: Final = {
    "neighbours": neighbours,
    "two apart": two_apart,
    "half a batch apart": halves,
    "mirrored": mirrored,
    "one call and the next": successive,
}
_PAIRINGS: Final = {
    f"{left} and {right}, {where}": Pairing(left, right, of)
    for where, of in _DISTANCES.items()
    for left, right in _STREAMS
}


class Seam:
    """`propose`, then the selector, with one generator: noise that serves twice shows here, and a q not drafted from.

    Main problems as in `law`, their `acceptance-…` as in `acceptance`; `edge-…`: where residuals count most; `rows`:
    drafts and outputs of other rows and calls are independent.
    """

    name = "seam"
    weight = 1.0
    summary = "own drafts, then the selector: what comes out follows the target"

    def cases(self, settings: Settings) -> tuple[str, ...]:
        """See `Check`."""
        main = main_names(settings)
        acceptance = tuple(f"{_ACCEPTANCE}{name}" for name in main)
        return (*main, *acceptance, *(f"{_EDGE}{name}" for name in _EDGES), "rows")

    def cost(self, case: str, settings: Settings) -> float:
        """See `Check`; acceptance reads the law's sample."""
        if case.startswith(_ACCEPTANCE):
            return 0.0
        if case.startswith(_EDGE):
            return float(settings.small)
        return float(settings.calls * _ROWS) if case == "rows" else main_cost(case, settings)

    def applies(self, case: str, declaration: Declaration) -> bool:
        """See `Check`."""
        del case
        return declaration.propose is not None

    def run(self, case: str, context: Context) -> CaseResult:
        """See `Check`."""
        if case == "rows":
            return self._rows(context)
        if case.startswith(_EDGE):
            return self._edge(case, context)
        main = case.removeprefix(_ACCEPTANCE)
        prepared = main_prepared(main, context)

        def draw(stage: int, level: float) -> Tally:
            del level
            return self._main_tally(main, prepared, context, stage)

        if case == main:
            return judge_law(context, (self.name, case), prepared, draw, binding=True)
        judged = judge_acceptance(context, (self.name, case), prepared.problem, draw)
        return replace(judged, acceptance=None)  # the report's acceptance is that of the drafting law itself

    def _main_tally(self, case: str, prepared: Prepared, context: Context, stage: int) -> Tally:
        """Return a stage's sample of a main problem; the law and the acceptance are read from the same one."""

        def draw() -> Tally:
            samples = law_samples(prepared.problem, context.settings, stage, context.declaration.tolerance)
            return sample_law(context, prepared, samples, (self.name, case), stage, drafts="own")

        return context.once((self.name, case, stage), draw)

    def _edge(self, case: str, context: Context) -> CaseResult:
        problem = edge_problem(case.removeprefix(_EDGE), context.settings, context.declaration)
        (prepared,) = context.prepare(problem)

        def draw(stage: int, level: float) -> Tally:
            del level
            return sample_law(context, prepared, context.settings.small, (self.name, case), stage, drafts="own")

        return judge_law(context, (self.name, case), prepared, draw)

    def _rows(self, context: Context) -> CaseResult:
        generator = np.random.default_rng(context.seed(self.name, "rows", "problem"))
        target, draft = (np.array(law) for law in _LAWS)
        (prepared,) = context.prepare(build(target, draft, context.declaration, generator, "rows"))
        law = prepared.problem.target

        def draw(stage: int, level: float) -> Tally:
            del level
            samples, seed = grown(context.settings.calls * _ROWS, stage), context.seed(self.name, "rows", stage)
            return context.sample(Experiment((prepared,), samples, seed, keep=True, drafts="own", rows=_ROWS))

        def tester(name: str) -> Callable[[Tally, float], StageTest]:
            def test(tally: Tally, level: float) -> StageTest:
                ids = tally.drafts.astype(np.int64).reshape(-1, _ROWS, tally.drafts.shape[1])
                streams = {"output": tally.outputs, "first": ids[:, :, 0], "last": ids[:, :, -1]}
                return _PAIRINGS[name].test(streams, law.size, level)

            return test

        decision = decide(context.alpha, {name: tester(name) for name in _PAIRINGS}, draw)
        pairs = decision.tallies[0].samples // 2
        delta = pairs_detectable(law, pairs, context)
        found: tuple[Verdict, str] = "pass", f"{pairs:,} pairs of rows are independent; {delta:.2g} would show"
        if decision.rejected:
            what = f"rows depend on each other ({decision.worst})"
            found = "fail", f"{what} (p-value {decision.p_value:.2g}): drafting and verifying share randomness"
        return decision.result(context, (self.name, "rows"), found, delta=delta)
