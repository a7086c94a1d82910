"""The law of emitted tokens against the target: which tests, how many samples, how a failure reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.checks.base import FIRST_STAGE, Context, Decision, decide, stage_levels
from spectest.checks.result import CaseResult
from spectest.stats import (
    UnreachableDeviation,
    chi_squared_detectable,
    chi_squared_samples,
    chi_squared_test,
    merge,
    partitions,
    total_variation_interval,
    worst_cells,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from spectest.checks.base import Settings, StageTest
    from spectest.checks.result import Verdict
    from spectest.engine import Prepared, Tally
    from spectest.problem import Problem

#: Above this many tokens the tier's δ is that of a partition (statistical policy).
FULL_TABLE: Final = 64
_PARTITION_CELLS: Final = 32
_CONFIDENCE: Final = 0.999
_SHOWN: Final = 5
#: A second stage is designed for at most this many tests in a run.
_TESTS_AT_MOST: Final = 1_000
_FULL = "full table"
_COARSE = ("rank", "ratio")
#: Expected counts below which cells are pooled, and the mass of the lightest tail that is tested by itself.
_POOLED_BELOW: Final = 100.0
_LIGHTEST_TAIL: Final = 1e-5


@dataclass(frozen=True, eq=False)
class LawTests:
    """The tests of one problem: token -> cell maps by name. `binding` names those whose δ the tier promises."""

    problem: Problem
    maps: Mapping[str, NDArray[np.int64]]
    binding: tuple[str, ...]

    def probabilities(self, name: str) -> NDArray[np.float64]:
        """Return the target mass of each cell of a map."""
        return merge(self.problem.target, self.maps[name])


def law_tests(problem: Problem) -> LawTests:
    """Return the full table and the partitions in which bias of a selector usually lives.

    Where V is at most 64 the full table is binding; above, it is the partitions by rank and by p/q. The others, some of
    whose cells are tiny on purpose, and the pooled full table ride along.
    """
    found = dict(partitions(problem.target, problem.draft, max_cells=_PARTITION_CELLS))
    found.pop("full", None)
    everything = {_FULL: np.arange(problem.vocab_size), **found}
    coarse = tuple(name for name in _COARSE if name in found)
    return LawTests(problem, everything, (_FULL,) if problem.vocab_size <= FULL_TABLE or not coarse else coarse)


def design_level(stage: int, settings: Settings) -> float:
    """Return the level a stage's sample size is designed for, whatever the number of tests in the run."""
    return FIRST_STAGE if stage == 0 else min(0.5, settings.alpha / _TESTS_AT_MOST / FIRST_STAGE)


def law_samples(problem: Problem, settings: Settings, stage: int, tolerance: float = 0.0) -> int:
    """Return how many samples a stage needs to find a deviation of δ in every binding test."""
    tests = law_tests(problem)
    alpha = design_level(stage, settings) / (1 if stage == 0 else len(tests.maps))
    design = {"delta": settings.delta, "alpha": alpha, "beta": settings.beta / 2, "tolerance": tolerance}
    return max(
        _samples(tests.probabilities(name), **design) for name in tests.binding
    )


def _samples(probabilities: NDArray[np.float64], *, delta: float, alpha: float, beta: float, tolerance: float) -> int:
    positive = int((probabilities > 0).sum())
    if positive <= 1:  # nothing to deviate to but the impossible, and one sample of that is a failure
        return int(np.ceil(np.log(1 / beta) / delta))
    try:
        return chi_squared_samples(probabilities, delta=delta, alpha=alpha, beta=beta, tolerance=tolerance)
    except UnreachableDeviation:
        # A tolerance wider than δ: no number of samples finds it. As many as an exact kernel needs, and the δ they reach.
        return chi_squared_samples(probabilities, delta=delta, alpha=alpha, beta=beta)


def law_delta(tests: LawTests, decision: Decision, settings: Settings, alpha: float, tolerance: float = 0.0) -> float:
    """Return the deviation that every stage drawn finds with probability 1 − β/2 in the worst binding test."""
    levels = stage_levels(alpha, len(tests.maps))

    def one(name: str, samples: int, level: float) -> float:
        probabilities = tests.probabilities(name)
        if samples == 0:
            return 1.0
        if int((probabilities > 0).sum()) <= 1:
            return min(1.0, float(np.log(2 / settings.beta)) / samples)
        errors = {"samples": samples, "alpha": level, "beta": settings.beta / 2, "tolerance": tolerance}
        return min(1.0, chi_squared_detectable(probabilities, **errors), _beside_tail(probabilities, **errors))

    drawn = zip(decision.tallies, levels, strict=False)  # later stages are drawn on suspicion only
    return max(one(name, tally.samples, level) for tally, level in drawn for name in tests.binding)


def _beside_tail(probabilities: NDArray[np.float64], **errors: float) -> float:
    """Return what the test of these cells and that of their tail find together.

    Pooling hides what moves between a cell and the light ones pooled with it. Where those hold a mass m, all of it in a
    tail whose own exact test finds a deviation d, at most m + d can have moved there, and as much from there: a deviation
    of D + 2 (m + d) leaves D on the other cells, which need no pooling.
    """
    light = (probabilities > 0) & (probabilities * errors["samples"] < _POOLED_BELOW)
    mass = float(probabilities[light].sum())
    if not 0 < mass <= _LIGHTEST_TAIL:
        return 1.0
    rest = np.where(light, 0.0, probabilities)
    tail = chi_squared_detectable(np.array([1 - mass, mass]), **errors)  # type: ignore[arg-type]
    common = chi_squared_detectable(rest / rest.sum(), **errors)  # type: ignore[arg-type]
    return float(common + 2 * (mass + tail))


def decide_law(
    context: Context, tests: LawTests, draw: Callable[[int, float], Tally], alpha: float, group: int = 0
) -> Decision:
    """Decide whether a group of a tally follows the target's law, by fresh-seed stages."""
    tolerance = context.declaration.tolerance

    def tester(name: str) -> Callable[[Tally, float], StageTest]:
        probabilities = tests.probabilities(name)

        def test(tally: Tally, level: float) -> StageTest:
            counts = merge(tally.counts[group], tests.maps[name])
            return chi_squared_test(counts, probabilities, alpha=level, tolerance=tolerance)

        return test

    return decide(alpha, {name: tester(name) for name in tests.maps}, draw)


def judge_law(
    context: Context,
    check: str,
    case: str,
    prepared: Prepared,
    draw: Callable[[int, float], Tally],
    *,
    binding: bool = False,
) -> CaseResult:
    """Run the law tests of one problem on group 0 of what `draw` draws; return the case's result.

    `binding`: the tier promises δ, so a sample too small for it is inconclusive.
    """
    settings = context.settings
    tests = law_tests(prepared.problem)
    decision = decide_law(context, tests, draw, context.alpha)
    first = decision.tallies[0]
    delta = law_delta(tests, decision, settings, context.alpha, context.declaration.tolerance)
    verdict: Verdict = "pass"
    detail = f"{first.samples:,} samples follow the target; a deviation of {delta:.3g} would show"
    if decision.rejected:
        verdict, detail = "fail", explain(tests, decision, _total(decision))
        if not context.declaration.lossless:
            verdict, detail = "pass", f"deviates by design (lossless=False): {detail}"
    elif binding and delta > settings.delta:
        verdict = "inconclusive"
        detail = f"only {first.samples:,} samples in the time given: found would be {delta:.3g}, not {settings.delta:g}"
    return CaseResult(
        check,
        case,
        verdict,
        detail,
        alpha=context.alpha,
        beta=settings.beta,
        delta=delta,
        samples=decision.samples,
        p_value=decision.p_value,
        statistic=decision.statistic,
    )


def _total(decision: Decision) -> NDArray[np.int64]:
    """Return all stages' counts of group 0: what is shown of a failure, not what was decided on."""
    total: NDArray[np.int64] = sum((tally.counts[0] for tally in decision.tallies[1:]), decision.tallies[0].counts[0])
    return total


def explain(tests: LawTests, decision: Decision, counts: NDArray[np.int64]) -> str:
    """Say how counts (V,) deviate: the interval of the deviation and the tokens most wrong."""
    problem = tests.problem
    cells, probabilities = tests.maps[decision.worst], tests.probabilities(decision.worst)
    impossible = np.flatnonzero((problem.target == 0) & (counts > 0))
    lines = []
    if impossible.size:
        token = int(impossible[counts[impossible].argmax()])
        lines.append(f"token {token} has probability 0 and was emitted {counts[token]:,} times")
    estimate, low, high = total_variation_interval(merge(counts, cells), probabilities, confidence=_CONFIDENCE)
    where = "" if cells.size == probabilities.size else f" ({decision.worst} partition)"
    lines.append(
        f"total variation {estimate:.4g} in [{low:.3g}, {high:.3g}]{where}, {counts.sum():,} samples, "
        f"p-value {decision.p_value:.2g}"
    )
    lines += [
        f"token {cell.index}: expected {cell.expected:,.1f}, observed {cell.observed:,} ({cell.z:+.1f} standard deviations)"
        for cell in worst_cells(counts, problem.target, limit=_SHOWN)
    ]
    return "\n".join(lines)


def judge_groups(
    context: Context,
    check: str,
    case: str,
    prepared: list[Prepared],
    draw: Callable[[int, float], Tally],
    labels: list[str] | None = None,
) -> CaseResult:
    """Test each group of a tally against its own problem's law (full table), all on one sample; α is shared equally.

    `labels` names the groups in a failure, the problems' names by default.
    """
    names = labels or [item.problem.name for item in prepared]
    tolerance = context.declaration.tolerance

    def tester(group: int) -> Callable[[Tally, float], StageTest]:
        def test(tally: Tally, level: float) -> StageTest:
            target = prepared[group].problem.target
            return chi_squared_test(tally.counts[group], target, alpha=level, tolerance=tolerance)

        return test

    decision = decide(context.alpha, {name: tester(group) for group, name in enumerate(names)}, draw)
    first, settings = decision.tallies[0], context.settings
    level = stage_levels(context.alpha, len(names))[0]
    delta = max(
        min(1.0, chi_squared_detectable(item.problem.target, samples=max(1, int(count)), alpha=level, beta=settings.beta / 2))
        for item, count in zip(prepared, first.counts.sum(axis=1), strict=True)
    )
    verdict: Verdict = "pass"
    detail = f"{first.samples:,} samples in {first.calls:,} calls, each row by its own law; {delta:.2g} would show in one"
    if decision.rejected:
        group = names.index(decision.worst)
        total = sum((tally.counts[group] for tally in decision.tallies[1:]), first.counts[group])
        single = LawTests(prepared[group].problem, {decision.worst: np.arange(total.size)}, ())
        detail = f"{decision.worst}: {explain(single, decision, total)}"
        verdict = "fail" if context.declaration.lossless else "pass"
    return CaseResult(
        check,
        case,
        verdict,
        detail,
        alpha=context.alpha,
        beta=settings.beta,
        delta=delta,
        samples=decision.samples,
        p_value=decision.p_value,
        statistic=decision.statistic,
    )
