"""What a sample says against a selector on a trial: one p-value over everything tested, and where it comes from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from spectest import optimum
from spectest.checks.laws import law_tests
from spectest.errors import ProblemTooLarge
from spectest.stats import (
    binomial_interval,
    binomial_test,
    chi_squared_test,
    scan_test,
    total_variation_interval,
    worst_cells,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from spectest.engine import Prepared, Tally
    from spectest.problem import Problem

#: Above this many tokens an optimum may take longer than the sample that is held against it.
_OPTIMUM_AT_MOST: Final = 8
_LEVEL: Final = 0.5  # tests want one; p-values are all that is read
_SMALLEST: Final = 1e-300
_CONFIDENCE: Final = 0.999
_SHOWN: Final = 4
_TOKENS: Final = "tokens"


class Test(NamedTuple):
    """One test of one problem's tally."""

    p_value: float
    problem: int  # its place in the trial
    acceptance: bool  # above the optimum; else the law
    comparisons: int = 1  # that its p-value already pays for


@dataclass(frozen=True, eq=False)
class Evidence:
    """What one sample of a trial came to.

    Args:
        problems: of the trial, as the selector met them.
        tally: of them.
        p_value: over all tests of all problems (Bonferroni); 0 where a token of probability zero came out.
        worst: the test of the smallest p-value.
        comparisons: how many tests there were, every cell that was looked at by itself counted.
    """

    problems: tuple[Problem, ...]
    tally: Tally
    p_value: float
    worst: Test
    comparisons: int

    @property
    def suspicion(self) -> float:
        """How surprising the sample is, −log10 of the p-value: what the search climbs."""
        return -math.log10(max(self.p_value, _SMALLEST))

    @property
    def impossible(self) -> int:
        """How many tokens of probability zero came out."""
        targets = np.stack([problem.target for problem in self.problems])
        return int(self.tally.counts[targets == 0].sum())

    def said(self) -> str:
        """Return what is wrong with the worst problem, for a reader."""
        problem, counts = self.problems[self.worst.problem], self.tally.counts[self.worst.problem]
        samples = int(counts.sum())
        lines = []
        if self.worst.acceptance:
            accepted = int(self.tally.accepted[self.worst.problem].sum())
            low, high = binomial_interval(accepted, samples, confidence=_CONFIDENCE)
            best = optimum.bound(problem).value
            lines.append(
                f"acceptance {accepted / samples:.4f} in [{low:.4f}, {high:.4f}] is above the optimum {best:.4f}, "
                f"{samples:,} samples"
            )
        estimate, low, high = total_variation_interval(counts, problem.target, confidence=_CONFIDENCE)
        p_value = f"{self.p_value:.2g}" if self.p_value > _SMALLEST else f"below {_SMALLEST:g}"
        lines.append(
            f"total variation {estimate:.4g} in [{low:.3g}, {high:.3g}], {samples:,} samples, p-value {p_value}"
        )
        lines += [
            f"token {cell.index}: expected {cell.expected:,.1f}, observed {cell.observed:,}"
            + (f" ({cell.z:+.1f} standard errors)" if math.isfinite(cell.z) else " (impossible)")
            for cell in worst_cells(counts, problem.target, limit=_SHOWN)
            if cell.observed != cell.expected
        ]
        return (f"problem {self.worst.problem + 1}: " if len(self.problems) > 1 else "") + "\n".join(lines)


def weigh(prepared: Sequence[Prepared], tally: Tally, tolerance: float) -> Evidence:
    """Return what a tally of a trial's problems says: the law by χ² and token by token, acceptance by the optimum."""
    tests = [
        test
        for index, item in enumerate(prepared)
        for test in _tests(index, item.problem, tally.counts[index], tally.accepted[index], tolerance)
    ]
    worst = min(tests)
    problems = tuple(item.problem for item in prepared)
    comparisons = len(tests) * max(test.comparisons for test in tests)
    return Evidence(problems, tally, min(1.0, worst.p_value * len(tests)), worst, comparisons)


def _tests(
    index: int, problem: Problem, counts: NDArray[np.int64], accepted: NDArray[np.int64], tolerance: float
) -> list[Test]:
    table = chi_squared_test(counts, problem.target, alpha=_LEVEL, tolerance=tolerance)
    found = [Test(table.p_value, index, acceptance=False)]
    if problem.vocab_size > 1:
        # χ² pools what is rare; the scan tests every token, and every cell of every partition, by itself.
        maps = {_TOKENS: np.arange(problem.vocab_size), **law_tests(problem).maps}
        scan = scan_test(counts, problem.target, maps, alpha=_LEVEL, tolerance=tolerance)
        found.append(Test(scan.p_value, index, acceptance=False, comparisons=scan.comparisons))
    if problem.vocab_size <= _OPTIMUM_AT_MOST:
        best = min(1.0, _best(problem) + tolerance)
        hits, samples = int(accepted.sum()), int(counts.sum())
        result = binomial_test(hits, samples, best, alpha=_LEVEL, alternative="greater")
        found.append(Test(result.p_value, index, acceptance=True))
    return found


def _best(problem: Problem) -> float:
    try:
        return optimum.bound(problem).value
    except ProblemTooLarge:
        return 1.0
