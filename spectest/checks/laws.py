"""The law of emitted tokens against the target: which tests, how many samples, what they find."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from spectest.checks.decision import FIRST_STAGE, stage_levels
from spectest.stats import (
    ScanResult,
    chi_squared_detectable,
    chi_squared_power,
    chi_squared_samples,
    chi_squared_test,
    chi_squared_tolerated,
    merge,
    partitions,
    scan_power,
    scan_test,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from spectest.checks.base import Settings
    from spectest.checks.decision import Decision, StageTest
    from spectest.problem import Problem

#: Above this many tokens the tier's δ is that of a partition (statistical policy).
_FULL_AT_MOST: Final = 64
_PARTITION_CELLS: Final = 64
#: A second stage is designed for at most this many tests in a run.
_TESTS_AT_MOST: Final = 1_000
FULL: Final = "full table"
SCAN: Final = "scan"
TOKENS: Final = "tokens"
_COARSE: Final = ("rank", "ratio")
#: Expected counts below which cells are pooled, and the mass of the lightest tail that is tested by itself.
_POOLED_BELOW: Final = 100.0
_LIGHTEST_TAIL: Final = 1e-5


@dataclass(frozen=True, eq=False)
class LawTests:
    """The tests of one problem: χ² on each of `maps`, token -> cell by name, and two scans.

    `scan` looks at every cell of a partition and at every cut through one, `tokens` at every token by itself.
    `binding` names those whose δ the tier promises.
    """

    problem: Problem
    maps: Mapping[str, NDArray[np.int64]]
    binding: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Every test by name; each gets an equal part of α."""
        return (*self.maps, *self._scans)

    @property
    def _scans(self) -> dict[str, dict[str, NDArray[np.int64]]]:
        parted = {name: cells for name, cells in self.maps.items() if name != FULL}
        everything = {TOKENS: np.arange(self.problem.vocab_size)}
        return {SCAN: parted, TOKENS: everything} if parted else {TOKENS: everything}

    def probabilities(self, name: str) -> NDArray[np.float64]:
        """Return the target mass of each cell of a map."""
        return merge(self.problem.target, self.maps[name]).astype(np.float64)

    def test(self, name: str, counts: NDArray[np.int64], level: float, tolerance: float = 0.0) -> StageTest:
        """Test counts of tokens (V,) by the test `name`, at `level`."""
        if name in self.maps:
            merged = merge(counts, self.maps[name])
            return chi_squared_test(merged, self.probabilities(name), alpha=level, tolerance=tolerance)
        maps = self._scans[name]
        return scan_test(counts, self.problem.target, maps, alpha=level, tolerance=tolerance)

    def samples_against(self, changed: NDArray[np.float64], *, alpha: float, beta: float) -> dict[str, float]:
        """Return how many samples each test needs to find that the law is `changed` (V,), at its part of α."""
        errors = {"alpha": alpha / len(self.names), "beta": beta}
        target = self.problem.target
        found = {name: (merge(target, cells), merge(changed, cells)) for name, cells in self.maps.items()}
        needed = {name: chi_squared_power(*laws, **errors) for name, laws in found.items()}
        return needed | {name: scan_power(target, changed, maps, **errors) for name, maps in self._scans.items()}

    def deviating(self, name: str, result: StageTest) -> tuple[str, NDArray[np.int64]]:
        """Return where a result of the test `name` found its deviation, in words and as a map (V,)."""
        if isinstance(result, ScanResult) and result.worst is not None:
            cells = self._scans[name][result.worst.partition]
            return str(result.worst), result.worst.members(cells).astype(np.int64)
        return f"{name} partition", self.maps.get(name, np.arange(self.problem.vocab_size))


def law_tests(problem: Problem) -> LawTests:
    """Return the full table, the partitions in which bias of a selector usually lives, and the scans.

    Where V is at most 64 the full table is binding; above, it is the partitions by rank and by p/q. The others, some of
    whose cells are tiny on purpose, and the pooled full table ride along.
    """
    found = dict(partitions(problem.target, problem.draft, max_cells=_PARTITION_CELLS))
    found.pop("full", None)
    everything = {FULL: np.arange(problem.vocab_size), **found}
    coarse = tuple(name for name in _COARSE if name in found)
    return LawTests(problem, everything, (FULL,) if problem.vocab_size <= _FULL_AT_MOST or not coarse else coarse)


def design_level(stage: int, settings: Settings) -> float:
    """Return the level a stage's sample size is designed for, whatever the number of tests in the run."""
    return FIRST_STAGE if stage == 0 else min(0.5, settings.alpha / _TESTS_AT_MOST / FIRST_STAGE)


def law_samples(problem: Problem, settings: Settings, stage: int, tolerance: float = 0.0) -> int:
    """Return how many samples a stage needs to find δ, beyond what is forgiven, in every binding test."""
    tests = law_tests(problem)
    return samples_of_tests(tests, len(tests.names), settings, stage, tolerance)


def samples_of_tests(
    tests: LawTests, among: int, settings: Settings, stage: int, tolerance: float, *, at_least: int = 1
) -> int:
    """Return how many samples a stage needs to find δ in every binding one of `tests`, `among` so many that share α."""
    alpha = design_level(stage, settings) / (1 if stage == 0 else among)
    design = {"delta": settings.delta, "alpha": alpha, "beta": settings.beta / 2, "tolerance": tolerance}

    def needed(name: str, at_least: int) -> int:
        return _samples(tests.probabilities(name), at_least, **design)

    return enough_for_all([partial(needed, name) for name in tests.binding], at_least)


def enough_for_all(needs: Sequence[Callable[[int], int]], at_least: int) -> int:
    """Return a number from `at_least` on that is enough for every need: (at least so many) -> enough for this one.

    The largest of what each needs may not be: more than one test needs may be just what it does less with.
    """
    before, found = 0, at_least
    while found != before:
        before = found
        for need in needs:
            found = need(found)
    return found


def _samples(
    probabilities: NDArray[np.float64], at_least: int, *, delta: float, alpha: float, beta: float, tolerance: float
) -> int:
    positive = int((probabilities > 0).sum())
    if positive <= 1:  # nothing to deviate to but the impossible, and one sample of that is a failure
        return max(at_least, int(np.ceil(np.log(1 / beta) / delta)))
    errors: dict[str, Any] = {"alpha": alpha, "beta": beta, "at_least": at_least}
    try:
        beyond = delta + chi_squared_tolerated(probabilities, tolerance=tolerance)
        return chi_squared_samples(probabilities, delta=beyond, tolerance=tolerance, **errors)
    except ValueError:  # so wide a tolerance that no deviation lies δ beyond it
        return chi_squared_samples(probabilities, delta=delta, **errors)


def promised_delta(tests: LawTests, settings: Settings, tolerance: float) -> float:
    """Return the deviation that the tier promises to find: δ, counted from the edge of what a tolerance forgives."""
    forgiven = (chi_squared_tolerated(tests.probabilities(name), tolerance=tolerance) for name in tests.binding)
    return settings.delta + max(forgiven)


def law_delta(tests: LawTests, decision: Decision, settings: Settings, alpha: float, tolerance: float = 0.0) -> float:
    """Return the deviation that every stage drawn finds with probability 1 − β/2 in the worst binding test."""
    levels = stage_levels(alpha, len(tests.names))

    def one(name: str, samples: int, level: float) -> float:
        probabilities = tests.probabilities(name)
        if samples == 0:
            return 1.0
        if int((probabilities > 0).sum()) <= 1:
            return min(1.0, float(np.log(2 / settings.beta)) / samples)

        def detectable(probs: NDArray[np.float64]) -> float:
            return chi_squared_detectable(
                probs, samples=samples, alpha=level, beta=settings.beta / 2, tolerance=tolerance
            )

        return min(1.0, detectable(probabilities), _beside_tail(probabilities, samples, detectable))

    drawn = zip(decision.tallies, levels, strict=False)  # later stages are drawn on suspicion only
    return max(one(name, tally.samples, level) for tally, level in drawn for name in tests.binding)


def _beside_tail(
    probabilities: NDArray[np.float64], samples: int, detectable: Callable[[NDArray[np.float64]], float]
) -> float:
    """Return what the test of these cells and that of their tail find together.

    Pooling hides what moves between a cell and the light ones pooled with it. Where those hold a mass m, all of it in a
    tail whose own exact test finds a deviation d, at most m + d can have moved there, and as much from there: a
    deviation of D + 2 (m + d) leaves D on the other cells, which need no pooling.
    """
    light = (probabilities > 0) & (probabilities * samples < _POOLED_BELOW)
    mass = float(probabilities[light].sum())
    if not 0 < mass <= _LIGHTEST_TAIL:
        return 1.0
    rest = np.where(light, 0.0, probabilities)
    return detectable(rest / rest.sum()) + 2 * (mass + detectable(np.array([1 - mass, mass])))
