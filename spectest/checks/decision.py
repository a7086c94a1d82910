"""The decision every statistical check shares: several tests, early stopping, fresh-seed stages, one share of α."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping  # noqa: TC003 (types of fields)
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from spectest.checks.result import CaseResult
from spectest.stats import stages

if TYPE_CHECKING:
    from spectest.checks.base import Context
    from spectest.checks.result import AcceptanceResult, Verdict
    from spectest.engine import Tally

#: Stage 1 of every decision is tested at this level; only what it rejects is drawn again.
FIRST_STAGE: Final = 1e-3
#: Samples from which tests are looked at while they are drawn, and how many looks there can be: each doubles them.
_LOOKED_AT: Final = 2**16
_LOOKS: Final = 24
_LATER: Final = 4  # times as many samples as the first stage has


class StageTest(Protocol):
    """The result of one test on one stage's sample."""

    @property
    def rejected(self) -> bool:
        """Whether the sample contradicts the hypothesis at the stage's level."""
        ...

    @property
    def p_value(self) -> float:
        """The p-value of this stage."""
        ...


@dataclass(frozen=True)
class Decision:
    """What a staged decision came to.

    `rejected` names the tests that every stage rejected. `worst` is the name of the test with the smallest p-value,
    `p_value` is its own: the product over the stages of a rejected test, each compared with its own level, else that of
    the last stage it was tested in. `final` is its last result.
    """

    rejected: tuple[str, ...]
    worst: str
    p_value: float
    final: StageTest
    samples: int
    tallies: tuple[Tally, ...]

    @property
    def statistic(self) -> float | None:
        """The statistic of the decisive test, where it has one beside its p-value."""
        return getattr(self.final, "statistic", None)

    def result(
        self,
        context: Context,
        name: tuple[str, str],
        found: tuple[Verdict, str],
        *,
        delta: float,
        acceptance: AcceptanceResult | None = None,
    ) -> CaseResult:
        """Return the result of the case `name` = (check, case) that this decided, `found` = (verdict, detail)."""
        return CaseResult(
            *name,
            *found,
            alpha=context.alpha,
            beta=context.settings.beta,
            delta=min(1.0, delta),
            samples=self.samples,
            p_value=self.p_value,
            statistic=self.statistic,
            acceptance=acceptance,
        )


@dataclass(frozen=True)
class Early:
    """How a first sample is read while it is drawn, after every doubling: it ends as soon as that says enough.

    Half of `level` is for evidence that may be read at any time (`stats.evidence`), half for the tests themselves, at
    every one of so many looks: they see what is not in the evidence, and cost more, so large samples alone are tested.

    Args:
        level: its part of α.
        evidence: log E of a tally.
        tests: name -> test of a tally at a level.
    """

    level: float
    evidence: Callable[[Tally], float]
    tests: Mapping[str, Callable[[Tally, float], StageTest]]

    def p_value(self, tally: Tally) -> float:
        """Return a bound on the chance that a tally, at whatever time it is read, says as much against what is true."""
        found = math.exp(min(0.0, -self.evidence(tally)))
        if tally.samples >= _LOOKED_AT:
            share = self.level / 2 / _LOOKS / len(self.tests)
            least = min(test(tally, share).p_value for test in self.tests.values())
            found = min(found, least * _LOOKS * len(self.tests))
        return min(1.0, 2 * found)

    def enough(self, tally: Tally) -> bool:
        """Return whether the tally contradicts the hypothesis, whenever it is read."""
        return self.p_value(tally) <= self.level


def decide(
    alpha: float,
    tests: Mapping[str, Callable[[Tally, float], StageTest]],
    draw: Callable[[int, float], Tally],
    early: Early | None = None,
) -> Decision:
    """Test every hypothesis at α/m, half of it at once and half by fresh-seed stages.

    A test is rejected if its first p-value is at most α/2m, so that a flagrant defect costs one sample; or if every
    stage rejects it, the levels of the stages multiplying to α/2m. Together at most α/m, m the number of tests.
    With `early`, the first sample may have ended when that was enough, and α is what its level leaves.

    Args:
        alpha: total false-alarm rate of all `tests` and of `early`.
        tests: name -> test of a tally at a level.
        draw: (stage, level of one test) -> a fresh tally, stages counted from 0.
        early: how the first sample is read while it is drawn.
    """
    alpha = tests_alpha(alpha, early)
    share = alpha / len(tests) / 2
    standing = dict(tests)
    tallies: list[Tally] = []
    p_values = dict.fromkeys(tests, 1.0)
    final: dict[str, StageTest] = {}
    for stage, level in enumerate(stage_levels(alpha, len(tests))):
        tally = draw(stage, level)
        tallies.append(tally)
        results = {name: test(tally, level) for name, test in standing.items()}
        for name, result in results.items():
            p_values[name] *= result.p_value
            final[name] = result
        if stage == 0 and early is not None and early.enough(tally):
            worst = min(results, key=lambda name: results[name].p_value)
            return Decision((worst,), worst, early.p_value(tally), results[worst], tally.samples, (tally,))
        flagrant = {name: tests[name] for name, result in results.items() if stage == 0 and result.p_value <= share}
        standing = flagrant or {name: tests[name] for name, result in results.items() if result.rejected}
        if flagrant or not standing:
            break
    rejected = tuple(standing)
    if not rejected:  # what a fresh sample did not confirm is judged by that sample alone
        p_values = {name: result.p_value for name, result in final.items()}
    worst = min(rejected or tests, key=p_values.__getitem__)
    samples = sum(tally.samples for tally in tallies)
    return Decision(rejected, worst, p_values[worst], final[worst], samples, tuple(tallies))


def grown(samples: int, stage: int) -> int:
    """Return the samples of a stage, of `samples` in the first one.

    Later ones, which only suspicion leads to, draw four times as many: what the first one finds, they confirm, although
    their level is far stricter. So the first alone decides what may be missed.
    """
    return samples * (_LATER if stage else 1)


def tests_alpha(alpha: float, early: Early | None) -> float:
    """Return what is left of α for the tests beside `early`."""
    return alpha if early is None else alpha - early.level


def stage_levels(alpha: float, tests: int) -> tuple[float, ...]:
    """Return the level of each stage of one of `tests` tests that share α."""
    return stages(alpha / tests / 2, first=FIRST_STAGE)
