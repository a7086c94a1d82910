"""hunt: an adversary looks for a problem on which the selector fails, and makes it small enough to read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from spectest.checks.adversary.counterexample import seen
from spectest.checks.adversary.families import FAMILIES
from spectest.checks.adversary.hunting import hunt, retry
from spectest.checks.adversary.oracle import SUSPICIOUS, OutOfTime
from spectest.checks.result import CaseResult
from spectest.stats import binomial_detectable

if TYPE_CHECKING:
    from spectest.checks.adversary.counterexample import Counterexample
    from spectest.checks.adversary.hunting import Hunted
    from spectest.checks.adversary.oracle import Found
    from spectest.checks.base import Context, Settings
    from spectest.checks.result import Verdict
    from spectest.declaration import Declaration

#: The case that puts earlier counter-examples to the selector again.
STORED: Final = "stored"
_LEAST_SAMPLES: Final = 4_096
#: Trials in all per sample of an edge case, and first samples: the deeper the tier, the more and the larger.
_TRIALS: Final = 1 / 100
_SAMPLES: Final = 1 / 12


class Hunt:
    """Many problems with few samples each; those that look suspicious get more, and what is found is shrunk.

    `stored`: counter-examples of earlier runs, first. The other cases are families of problems to look in; `mixed` puts
    several problems in one batch.
    """

    name = "hunt"
    weight = 1.0
    summary = "an adversary looks for a problem the selector fails on, and finds none"

    def cases(self, settings: Settings) -> tuple[str, ...]:
        """See `Check`."""
        del settings
        return (STORED, *FAMILIES)

    def cost(self, case: str, settings: Settings) -> float:
        """See `Check`."""
        return float(settings.small if case == STORED else _trials(case, settings) * _samples(settings))

    def applies(self, case: str, declaration: Declaration) -> bool:
        """See `Check`; an unbatched selector has no batch to mix."""
        return declaration.batched or case == STORED or FAMILIES[case].together == 1

    def run(self, case: str, context: Context) -> CaseResult:
        """See `Check`; a replay puts its counter-example to the selector before it hunts."""
        result = self._stored(case, context)
        if case == STORED or result.verdict != "pass":
            return result
        from spectest.checks.adversary.proposing import trials  # noqa: PLC0415 (Hypothesis, only where it hunts)

        hunted = hunt(
            context,
            trials(FAMILIES[case], context.declaration),
            label=case,
            at_most=_trials(case, context.settings),
            samples=_samples(context.settings),
        )
        if hunted.found is not None and hunted.counterexample is not None:
            how = (
                f"problem {hunted.trials} of {hunted.planned}, found with {hunted.tokens} tokens, "
                f"shrunk in {hunted.tries} tries"
            )
            p_value = min(1.0, hunted.found.p_value * hunted.planned)
            return self._failed(case, context, hunted.found, (hunted.counterexample, how), (hunted.samples, p_value))
        return self._passed(case, context, hunted)

    def _stored(self, case: str, context: Context) -> CaseResult:
        """Put the counter-examples the case was given to the selector, each with an equal part of α."""
        usable = [item for item in context.stored if _fits(item, context.declaration)]
        samples, notes = 0, list(context.unreadable)
        for item in usable:
            try:
                found, drawn = retry(context, item, alpha=context.alpha / len(usable))
            except OutOfTime:
                notes.append("not all in the time given")
                break
            samples += drawn
            if found is not None:
                again = (replace(item, detail=seen(found)), "a stored counter-example still fails")
                return self._failed(case, context, found, again, (samples, min(1.0, found.p_value * len(usable))))
        said = f"{len(usable)} stored counter-examples pass" if usable else "no counter-example is stored"
        detail = "; ".join([said, *notes])
        return CaseResult(self.name, case, "pass", detail, alpha=context.alpha, samples=samples)

    def _failed(
        self,
        case: str,
        context: Context,
        found: Found,
        told: tuple[Counterexample, str],
        spent: tuple[int, float],
    ) -> CaseResult:
        """Return the result; `told` is (the counter-example, how it came), `spent` (samples, p-value)."""
        counterexample, how = told
        samples, p_value = spent
        first, *others = counterexample.detail.splitlines()
        problems, exactly = found.trial.written(), map(repr, found.trial.problems)
        detail = "\n".join([f"{problems[0]}: {first}", *problems[1:], *others, how, *exactly])
        verdict: Verdict = "fail"
        if found.fault is None and not context.declaration.lossless:
            verdict, detail = "pass", f"deviates by design (lossless=False): {detail}"
        return CaseResult(
            self.name,
            case,
            verdict,
            detail,
            alpha=context.alpha,
            samples=samples,
            p_value=p_value,
            traceback=None if found.fault is None else found.fault.traceback,
            lost=found.lost,
            counterexample=counterexample,
        )

    def _passed(self, case: str, context: Context, hunted: Hunted) -> CaseResult:
        settings = context.settings
        level = SUSPICIOUS[0] / hunted.comparisons
        # Half is the mass that is hardest to tell from another.
        delta = binomial_detectable(0.5, samples=hunted.first, alpha=level, beta=settings.beta)
        detail = f"{hunted.trials:,} problems tried, none fails; a mass off by {delta:.2g} in one would show"
        if not hunted.trials:
            detail, delta = "no problem was tried in the time given", 1.0
        elif hunted.late:
            detail += f" ({hunted.planned:,} were planned)"
        return CaseResult(
            self.name,
            case,
            "pass",
            detail,
            alpha=context.alpha,
            beta=settings.beta,
            delta=delta,
            samples=hunted.samples,
            p_value=hunted.p_value,
        )


def _trials(case: str, settings: Settings) -> int:
    return max(8, round(settings.small * _TRIALS * FAMILIES[case].share))


def _samples(settings: Settings) -> int:
    return max(_LEAST_SAMPLES, int(settings.small * _SAMPLES))


def _fits(counterexample: Counterexample, declaration: Declaration) -> bool:
    """Whether the selector, as it declares itself now, can be given it."""
    trial = counterexample.trial
    return trial.drafting == declaration.drafting and (declaration.batched or len(trial.problems) == 1)
