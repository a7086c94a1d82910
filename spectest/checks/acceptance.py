"""acceptance: on main problems, never above the optimum, and what the declared scheme promises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from spectest import optimum, schemes
from spectest.checks.decision import decide, stage_levels
from spectest.checks.law import main_prepared, main_tally
from spectest.checks.problems import main_names
from spectest.checks.result import AcceptanceResult
from spectest.errors import ProblemTooLarge
from spectest.stats import binomial_detectable, binomial_interval, binomial_test

if TYPE_CHECKING:
    from collections.abc import Callable

    from spectest.checks.base import Context, Settings
    from spectest.checks.decision import Decision, StageTest
    from spectest.checks.judging import Draw
    from spectest.checks.result import CaseResult, Verdict
    from spectest.declaration import Declaration
    from spectest.engine import Tally
    from spectest.optimum import Optimum
    from spectest.problem import Problem

_CONFIDENCE: Final = 0.999


@dataclass(frozen=True)
class Promise:
    """What acceptance is held to on one problem; `scheme` is None where none is declared or none can be computed."""

    best: Optimum
    scheme: float | None
    note: str = ""


def promise(problem: Problem, declaration: Declaration) -> Promise:
    """Return the optimum (or the best upper bound known) and the declared scheme's exact acceptance.

    Raises:
        UsageError: the declared scheme does not exist or does not serve this drafting law.
    """
    try:
        best = optimum.bound(problem)
    except ProblemTooLarge:  # nothing is known but that a probability is at most 1
        best = optimum.Optimum(1.0, np.zeros(problem.vocab_size, dtype=np.bool_), "none", exact=False)
    if declaration.scheme is None:
        return Promise(best, None)
    try:
        return Promise(best, schemes.get(declaration.scheme, drafting=problem.drafting).acceptance(problem))
    except ProblemTooLarge:
        return Promise(best, None, f"; no exact acceptance of {declaration.scheme} is known at this size")


class Acceptance:
    """Exact binomial tests of P(output ∈ drafts), by membership."""

    name = "acceptance"
    weight = 2.0
    summary = "acceptance is never above the optimum, nor below the declared scheme's"

    def cases(self, settings: Settings) -> tuple[str, ...]:
        """See `Check`."""
        return main_names(settings)

    def cost(self, case: str, settings: Settings) -> float:
        """See `Check`; the sample is the law's."""
        del case, settings
        return 0.0

    def applies(self, case: str, declaration: Declaration) -> bool:
        """See `Check`."""
        del case, declaration
        return True

    def run(self, case: str, context: Context) -> CaseResult:
        """See `Check`."""

        def draw(stage: int, level: float) -> Tally:
            del level
            return main_tally(case, context, stage)

        return judge_acceptance(context, (self.name, case), main_prepared(case, context).problem, draw)


def judge_acceptance(context: Context, name: tuple[str, str], problem: Problem, draw: Draw) -> CaseResult:
    """Hold what `draw` draws to the optimum and to the declared scheme; the result of the case `name` = (check, case).

    Raises:
        UsageError: the declared scheme does not exist or does not serve this drafting law.
    """
    held_to = promise(problem, context.declaration)
    slack = context.declaration.tolerance

    def tester(probability: float, alternative: Literal["greater", "less"]) -> Callable[[Tally, float], StageTest]:
        def test(tally: Tally, level: float) -> StageTest:
            accepted = int(tally.accepted.sum())
            return binomial_test(accepted, tally.samples, probability, alpha=level, alternative=alternative)

        return test

    tests = {"optimum": tester(min(1.0, held_to.best.value + slack), "greater")}
    if held_to.scheme is not None:
        tests["scheme"] = tester(max(0.0, held_to.scheme - slack), "less")
    return _judged(context, name, problem, held_to, decide(context.alpha, tests, draw))


def _judged(
    context: Context, name: tuple[str, str], problem: Problem, held_to: Promise, decision: Decision
) -> CaseResult:
    settings, tally = context.settings, decision.tallies[0]
    accepted = int(tally.accepted.sum())
    low, high = binomial_interval(accepted, tally.samples, confidence=_CONFIDENCE)
    measured = AcceptanceResult(
        problem=name[1],
        V=problem.vocab_size,
        n=problem.n_drafts,
        samples=tally.samples,
        measured=accepted / tally.samples,
        low=low,
        high=high,
        optimum=held_to.best.value,
        optimum_method=held_to.best.method,
        scheme=held_to.scheme,
    )
    direction: Literal["greater", "less"] = "greater" if held_to.scheme is None else "less"
    aim = held_to.best.value if held_to.scheme is None else held_to.scheme
    level = stage_levels(context.alpha, 1 if held_to.scheme is None else 2)[0]
    delta = binomial_detectable(aim, samples=tally.samples, alpha=level, beta=settings.beta / 2, alternative=direction)
    verdict, detail = _verdict(context, measured, held_to, decision)
    if verdict == "pass" and delta > settings.delta:
        verdict = "inconclusive"
        reached = f"only {tally.samples:,} samples: {delta:.3g} would show"
        detail = f"{detail}; {reached}, {settings.delta:g} might not"
    return decision.result(context, name, (verdict, detail), delta=delta, acceptance=measured)


def _verdict(context: Context, measured: AcceptanceResult, held_to: Promise, decision: Decision) -> tuple[Verdict, str]:
    interval = f"acceptance {measured.measured:.4f} in [{measured.low:.4f}, {measured.high:.4f}]"
    best = f"{'optimum' if held_to.best.exact else 'upper bound on the optimum'} {held_to.best.value:.4f}"
    claimed = f"{context.declaration.scheme} {held_to.scheme:.4f}" if held_to.scheme is not None else ""
    p_value = f"p-value {decision.p_value:.2g}"
    if "optimum" in decision.rejected:
        detail = f"{interval} is above the {best} ({p_value}): no lossless selector can do that"
        return ("fail" if context.declaration.lossless else "pass"), detail
    if "scheme" in decision.rejected:
        return "fail", f"{interval} is below what the declared scheme has, {claimed} ({p_value}); {best}"
    noted = ", above the declared scheme" if held_to.scheme is not None and measured.low > held_to.scheme else ""
    against = " and ".join(filter(None, [best, claimed]))
    return "pass", f"{interval} against {against}{noted}{held_to.note}"
