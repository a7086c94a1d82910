"""consecutive: an answer, a plan or a draw of an earlier call never comes back in a later one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.checks.decision import decide, grown
from spectest.checks.judging import judge_groups
from spectest.checks.pairs import pair_counts, pairs_detectable
from spectest.checks.problems import build, rows_problems
from spectest.checks.result import CaseResult
from spectest.engine import Call, Experiment
from spectest.stats import independence_test

if TYPE_CHECKING:
    from collections.abc import Callable

    from spectest.checks.base import Context, Settings
    from spectest.checks.decision import StageTest
    from spectest.checks.result import Verdict
    from spectest.declaration import Declaration
    from spectest.engine import Tally

_ROWS: Final = 48
_VOCAB: Final = 6
_PROBLEMS: Final = 3


class Consecutive:
    """Memory between calls.

    `problems`: successive calls hold different problems in the same buffers, and each gets its own law (a plan cached
    by shape, address or call count does not). `draws`: successive calls hold the same inputs, and are independent.
    `answers`: an answer is still the same after the next call.
    """

    name = "consecutive"
    weight = 1.0
    summary = "no earlier call's answer, plan or draw is used again"

    def cases(self, settings: Settings) -> tuple[str, ...]:
        """See `Check`."""
        del settings
        return ("problems", "draws", "answers")

    def cost(self, case: str, settings: Settings) -> float:
        """See `Check`."""
        return 2.0 * _ROWS if case == "answers" else settings.calls * _ROWS

    def applies(self, case: str, declaration: Declaration) -> bool:
        """See `Check`."""
        return declaration.batched or case != "answers"

    def run(self, case: str, context: Context) -> CaseResult:
        """See `Check`."""
        return {"problems": self._problems, "draws": self._draws, "answers": self._answers}[case](context)

    def _problems(self, context: Context) -> CaseResult:
        problems = rows_problems(_PROBLEMS, _VOCAB, context.settings, context.declaration, self.name)
        prepared = context.prepare(*problems)
        samples = context.settings.calls * _ROWS

        def draw(stage: int, level: float) -> Tally:
            del level
            seed = context.seed(self.name, "problems", stage)
            return context.sample(Experiment(prepared, grown(samples, stage), seed, alternate=True, rows=_ROWS))

        return judge_groups(context, (self.name, "problems"), prepared, draw)

    def _draws(self, context: Context) -> CaseResult:
        generator = np.random.default_rng(context.seed(self.name, "problem"))
        target, draft = np.array([0.3, 0.25, 0.25, 0.2]), np.array([0.1, 0.5, 0.1, 0.3])
        (prepared,) = context.prepare(build(target, draft, context.declaration, generator, "same-inputs"))
        law = prepared.problem.target
        lags = (1, 2, 3)

        def draw(stage: int, level: float) -> Tally:
            del level
            samples = grown(context.settings.calls * _ROWS, stage)
            seed = context.seed(self.name, "draws", stage)
            return context.sample(Experiment((prepared,), samples, seed, keep=True, rows=_ROWS))

        def tester(lag: int) -> Callable[[Tally, float], StageTest]:
            def test(tally: Tally, level: float) -> StageTest:
                # Calls 2k·lag + j and (2k + 1)·lag + j, j < lag: every call is in at most one pair.
                usable = tally.outputs.shape[0] // (2 * lag) * 2 * lag
                blocks = tally.outputs[:usable].reshape(-1, 2, lag, _ROWS)
                return independence_test(pair_counts(blocks[:, 0], blocks[:, 1], law.size), alpha=level)

            return test

        def overlap(tally: Tally, level: float) -> StageTest:
            # A generator advanced by half of what a call used gives the next call's first half this one's second.
            usable = tally.outputs.shape[0] // 2 * 2
            pairs = tally.outputs[:usable].reshape(-1, 2, _ROWS)
            half = _ROWS // 2
            return independence_test(pair_counts(pairs[:, 0, half:], pairs[:, 1, :half], law.size), alpha=level)

        tests = {f"{lag} calls apart": tester(lag) for lag in lags} | {"half a call apart": overlap}
        decision = decide(context.alpha, tests, draw)
        pairs = decision.tallies[0].outputs.size // 2
        delta = pairs_detectable(law, pairs, context)
        found: tuple[Verdict, str] = (
            "pass",
            f"{pairs:,} pairs of calls are independent; {delta:.2g} would show",
        )
        if decision.rejected:
            apart = f"outputs of calls with the same inputs, {decision.worst}, depend on each other"
            found = "fail", f"{apart} (p-value {decision.p_value:.2g}): an earlier draw is used again"
        return decision.result(context, (self.name, "draws"), found, delta=delta)

    def _answers(self, context: Context) -> CaseResult:
        problems = rows_problems(_PROBLEMS, _VOCAB, context.settings, context.declaration, "answers")
        prepared, pattern = context.prepare(*problems), np.arange(_ROWS) % _PROBLEMS
        second = Call(prepared, np.roll(pattern, 1), context.seed(self.name, "answers", "second"))
        first = Call(prepared, pattern, context.seed(self.name, "answers", "first"), then=second)
        outcome = context.session.call(first)
        changed = int((outcome.tokens != outcome.held).sum())
        verdict: Verdict = "fail" if changed else "pass"
        detail = f"{_ROWS} answers stayed as they were during the next call"
        if changed:
            detail = f"{changed} of {_ROWS} answers changed during the next call: its output buffer is used again"
        return CaseResult(self.name, "answers", verdict, detail, samples=2 * _ROWS)
