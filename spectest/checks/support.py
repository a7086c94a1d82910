"""support: a token of target probability zero never comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.checks.problems import support_problem
from spectest.checks.result import CaseResult
from spectest.engine import Experiment

if TYPE_CHECKING:
    from spectest.checks.base import Context, Settings
    from spectest.checks.result import Verdict
    from spectest.declaration import Declaration

_SIZES: Final = (5, 33, 130)
_SAMPLES_PER_SMALL: Final = 2
_SHOWN: Final = 5


class Support:
    """An exact check: α is zero, one emission is a failure. δ is the impossible mass that would have shown itself."""

    name = "support"
    weight = 0.0
    summary = "no token of probability zero is ever emitted"

    def cases(self, settings: Settings) -> tuple[str, ...]:
        """See `Check`."""
        del settings
        return tuple(f"V{size}" for size in _SIZES)

    def cost(self, case: str, settings: Settings) -> float:
        """See `Check`."""
        del case
        return settings.small * _SAMPLES_PER_SMALL

    def applies(self, case: str, declaration: Declaration) -> bool:
        """See `Check`."""
        del case, declaration
        return True

    def run(self, case: str, context: Context) -> CaseResult:
        """See `Check`."""
        problem = support_problem(int(case[1:]), context.settings, context.declaration)
        (prepared,) = context.prepare(problem)
        samples = context.settings.small * _SAMPLES_PER_SMALL
        tally = context.sample(Experiment((prepared,), samples, context.seed(self.name, case)))
        counts = np.where(prepared.problem.target == 0, tally.counts[0], 0)
        delta = min(1.0, float(np.log(1 / context.settings.beta)) / max(1, tally.samples))
        verdict: Verdict = "pass"
        detail = f"none in {tally.samples:,} samples; a mass of {delta:.2g} on impossible tokens would show"
        if counts.any():
            verdict = "fail" if context.declaration.lossless else "pass"
            lines = [f"tokens of probability 0 were emitted {counts.sum():,} times in {tally.samples:,} samples"]
            most = np.argsort(-counts, kind="stable")[:_SHOWN]
            lines += [f"token {token}: expected 0, observed {counts[token]:,}" for token in most if counts[token]]
            detail = "\n".join(lines)
        return CaseResult(
            self.name,
            case,
            verdict,
            detail,
            beta=context.settings.beta,
            delta=delta,
            samples=tally.samples,
            p_value=0.0 if counts.any() else 1.0,
            statistic=float(counts.sum()),
        )
