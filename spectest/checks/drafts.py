"""Own drafts against their law: views of them whose law is known, the sample, the verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Final

import numpy as np

from spectest import drafting
from spectest.checks.decision import decide
from spectest.checks.judging import said
from spectest.checks.laws import FULL, LawTests, enough_for_all, law_delta, law_tests, promised_delta, samples_of_tests
from spectest.engine import Experiment, Tally
from spectest.problem import Problem, drafting_rule
from spectest.stats import total_variation_interval, worst_cells

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from spectest.checks.base import Context, Settings
    from spectest.checks.decision import Decision, StageTest
    from spectest.checks.judging import Draw, Test
    from spectest.checks.result import CaseResult, Verdict
    from spectest.engine import Prepared

    Cells = NDArray[np.int64]

#: Drafts fetched from the selector's process at once.
_AT_ONCE: Final = 1_000_000
#: Quantiles of two drafts are counted in so many bins each.
_BINS: Final = 8
#: With more drafts than this, only neighbours and the two ends are looked at in pairs.
_ALL_PAIRS: Final = 4
_CONFIDENCE: Final = 0.999
_SHOWN: Final = 5
_MOST_TOLERANT: Final = 0.9


@dataclass(frozen=True, eq=False)
class Drafted:
    """Drafts of one problem, (N, n), and the noise their quantiles take."""

    problem: Problem
    ids: NDArray[np.int64]
    noise: np.random.Generator

    @cached_property
    def quantiles(self) -> NDArray[np.float64]:
        """The randomised quantiles of the drafts in their laws, (N, n): independent uniforms if they follow it."""
        uniforms = self.noise.random(self.ids.shape)
        return drafting.get(self.problem.drafting).quantiles(self.problem, self.ids, uniforms)


@dataclass(frozen=True, eq=False)
class View:
    """Something about drafts whose law is known.

    Args:
        label: what a failure calls it.
        tests: of the counts of its cells.
        cells: drafts -> the cell of each observation.
        named: cell -> what a failure calls it.
        drafts: how many drafts an observation is made of; a declared tolerance grows with its root.
        per_row: how many observations a row of drafts gives.
    """

    label: str
    tests: LawTests
    cells: Callable[[Drafted], Cells]
    named: Callable[[int], str]
    drafts: int = 1
    per_row: int = 1

    @property
    def size(self) -> int:
        """How many cells there are."""
        return self.tests.problem.vocab_size

    def tolerance(self, declared: float) -> float:
        """Return what a relative error of `declared` in each draft's law comes to."""
        return min(_MOST_TOLERANT, declared * math.sqrt(self.drafts))

    def counts(self, drafted: Drafted) -> Cells:
        """Return how often each cell occurs, (K,)."""
        return np.bincount(self.cells(drafted), minlength=self.size)


@dataclass(eq=False)
class DraftTally(Tally):
    """A tally of drafts: the counts (K,) of each view, in order."""

    views: list[NDArray[np.int64]] = field(default_factory=list)


def plain(probabilities: NDArray[np.float64], *, binding: bool = False) -> LawTests:
    """Return the tests of cells that no partition groups."""
    law = Problem(probabilities, probabilities)
    return LawTests(law, {FULL: np.arange(law.vocab_size)}, (FULL,) if binding else ())


def joint_view(problem: Problem) -> View:
    """Return the view of all drafts together, a cell for every ordered tuple and one for those that cannot be.

    Raises:
        ProblemTooLarge: there are too many tuples.
    """
    law = drafting.get(problem.drafting).joint_law(problem)
    weights = problem.vocab_size ** np.arange(problem.n_drafts)[::-1]
    cell_of = np.full(problem.vocab_size**problem.n_drafts, len(law.tuples))
    cell_of[law.tuples @ weights] = np.arange(len(law.tuples))

    def named(cell: int) -> str:
        if cell == len(law.tuples):
            return "impossible drafts"
        return f"drafts ({', '.join(map(str, law.tuples[cell]))})"

    tests = plain(np.append(law.mass, 0.0), binding=True)
    return View("all drafts", tests, lambda drafted: cell_of[drafted.ids @ weights], named, problem.n_drafts)


def views_by_position(problem: Problem) -> list[View]:
    """Return the views of drafts too many to enumerate: each by itself, pairs that repeat, pairs of quantiles.

    Drafts that are drawn from one law are counted together as well; the tier's δ is that of this view, and where the
    laws differ that of each draft.
    """
    law, rule = drafting.get(problem.drafting), drafting_rule(problem.drafting)
    marginals, n = law.marginals(problem), problem.n_drafts
    views = [_marginal(problem, row, column) for column, row in enumerate(marginals)]
    if n > 1 and not rule.distinct and (marginals == marginals[0]).all():
        tests, named = views[0].tests, views[0].named
        views = [replace(view, tests=replace(tests, binding=())) for view in views]
        views.append(View("drafts taken together", tests, lambda drafted: drafted.ids.ravel(), named, per_row=n))
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
    if n > _ALL_PAIRS:
        pairs = [(i, j) for i, j in pairs if j in {i + 1, i + n - 1}]
    for i, j in pairs:
        equal = 0.0 if rule.distinct else float(marginals[i] @ marginals[j])
        views += [_repeats(i, j, equal), _quantiles(i, j)]
    return views


def _marginal(problem: Problem, law: NDArray[np.float64], column: int) -> View:
    """Return the view of one draft by itself: its full table and the partitions of `law`."""
    tests = law_tests(Problem(law, problem.target))
    return View(f"draft {column + 1}", tests, lambda drafted: drafted.ids[:, column], lambda cell: f"token {cell}")


def _repeats(i: int, j: int, equal: float) -> View:
    def cells(drafted: Drafted) -> Cells:
        repeated: Cells = (drafted.ids[:, i] == drafted.ids[:, j]).astype(np.int64)
        return repeated

    names = (f"drafts {i + 1} and {j + 1} differ", f"drafts {i + 1} and {j + 1} are one token")
    return View(f"drafts {i + 1} and {j + 1}", plain(np.array([1 - equal, equal])), cells, names.__getitem__, 2)


def _quantiles(i: int, j: int) -> View:
    def cells(drafted: Drafted) -> Cells:
        bins = (drafted.quantiles * _BINS).astype(np.int64).clip(0, _BINS - 1)
        pairs: Cells = bins[:, i] * _BINS + bins[:, j]
        return pairs

    def named(cell: int) -> str:
        return f"quantiles {cell // _BINS + 1} and {cell % _BINS + 1} of {_BINS}"

    tests = plain(np.full(_BINS**2, _BINS**-2.0))
    return View(f"drafts {i + 1} and {j + 1} by quantiles in their laws", tests, cells, named, 2)


def draft_samples(views: Sequence[View], settings: Settings, stage: int, tolerance: float) -> int:
    """Return how many rows of drafts find a deviation of δ in every binding view."""
    among = sum(len(view.tests.names) for view in views)

    def needed(view: View, at_least: int) -> int:
        observed, forgiven = at_least * view.per_row, view.tolerance(tolerance)
        return -(-samples_of_tests(view.tests, among, settings, stage, forgiven, at_least=observed) // view.per_row)

    return enough_for_all([partial(needed, view) for view in views if view.tests.binding], 1)


def sample_drafts(
    context: Context, prepared: Prepared, views: Sequence[View], samples: int, labels: tuple[str | int, ...]
) -> DraftTally:
    """Draw rows of one problem's own drafts, from the seeds of `labels`, and count every view."""
    tally = DraftTally.empty(1, prepared.problem.vocab_size)
    assert isinstance(tally, DraftTally)
    tally.views = [np.zeros(view.size, dtype=np.int64) for view in views]
    noise = np.random.default_rng(context.seed(*labels, "quantiles"))
    rows, part = None, 0
    while tally.samples < samples:
        wanted = min(_AT_ONCE, samples - tally.samples)
        experiment = Experiment((prepared,), wanted, context.seed(*labels, part), drafts="unverified", rows=rows)
        drawn = context.sample(experiment, (tally.samples, samples))
        drafted = Drafted(prepared.problem, drawn.drafts.astype(np.int64), noise)
        tally.views = [counts + view.counts(drafted) for counts, view in zip(tally.views, views, strict=True)]
        tally.counts += drawn.counts
        tally.rows = rows = drawn.rows  # as the engine chose in the first part, so that a replay repeats every call
        tally.calls, part = tally.calls + drawn.calls, part + 1
        if drawn.samples < wanted:  # its time is over
            break
    return tally


def judge_drafts(
    context: Context, name: tuple[str, str], views: Sequence[View], draw: Draw, *, binding: bool = False
) -> CaseResult:
    """Run all views' tests on what `draw` draws, a `DraftTally`; return the result of the case `name` = (check, case).

    `binding`: the tier promises δ, so a sample too small for it is inconclusive.
    """
    tolerance = context.declaration.tolerance
    places = {f"{view.label}: {test}": (index, test) for index, view in enumerate(views) for test in view.tests.names}

    def tester(index: int, test: str) -> Test:
        def run(tally: Tally, level: float) -> StageTest:
            assert isinstance(tally, DraftTally)
            return views[index].tests.test(test, tally.views[index], level, views[index].tolerance(tolerance))

        return run

    decision = decide(context.alpha, {label: tester(*place) for label, place in places.items()}, draw)
    delta = max(_delta(context, view, _seen(decision, index), len(places)) for index, view in enumerate(views))
    first = decision.tallies[0]
    found: tuple[Verdict, str] = "pass", f"{first.samples:,} rows of drafts follow their law; {delta:.3g} would show"
    if decision.rejected:
        index, test = places[decision.worst]
        found = "fail", _explain(views[index], replace(_seen(decision, index), worst=test))
    elif binding and delta > (promised := _promised(context, views)):
        reached = f"only {first.samples:,} rows of drafts in the time given: a deviation of {delta:.3g} would show"
        found = "inconclusive", f"{reached}, one of {promised:.3g} might not"
    return decision.result(context, name, found, delta=delta)


def _promised(context: Context, views: Sequence[View]) -> float:
    """Return the deviation that the tier promises to find in every binding view."""
    tolerance = context.declaration.tolerance
    binding = (view for view in views if view.tests.binding)
    return max(promised_delta(view.tests, context.settings, view.tolerance(tolerance)) for view in binding)


def _seen(decision: Decision, index: int) -> Decision:
    """Return the decision as one view's tallies of it."""
    tallies = []
    for tally in decision.tallies:
        assert isinstance(tally, DraftTally)
        counts = tally.views[index][None]
        tallies.append(Tally(counts, np.zeros_like(counts)))
    return replace(decision, tallies=tuple(tallies))


def _delta(context: Context, view: View, decision: Decision, tests: int) -> float:
    """Return what one of its view's binding tests would find; each has an equal part of α."""
    if not view.tests.binding:
        return 0.0
    alpha = context.alpha * len(view.tests.names) / tests
    return law_delta(view.tests, decision, context.settings, alpha, view.tolerance(context.declaration.tolerance))


def _explain(view: View, decision: Decision) -> str:
    """Say how a view's counts deviate: the interval of the deviation and the cells most wrong."""
    law = view.tests.problem.target
    counts: NDArray[np.int64] = np.sum([tally.counts[0] for tally in decision.tallies], axis=0)
    estimate, low, high = total_variation_interval(counts, law, confidence=_CONFIDENCE)
    interval = f"total variation {estimate:.4g} in [{low:.3g}, {high:.3g}]"
    lines = [f"{view.label}: {interval}, {counts.sum():,} samples, p-value {said(decision.p_value)}"]
    lines += [
        f"{view.named(cell.index)}: expected {cell.expected:,.1f}, observed {cell.observed:,} "
        f"({cell.z:+.1f} standard errors)"
        for cell in worst_cells(counts, law, limit=_SHOWN)
        if cell.observed != cell.expected
    ]
    return "\n".join(lines)
