"""Judging emitted tokens by their law: one problem, or many rows at once, and how a failure reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.checks.decision import Early, decide, stage_levels, tests_alpha
from spectest.checks.laws import FULL, LawTests, law_delta, law_tests, promised_delta
from spectest.engine import Experiment
from spectest.stats import (
    chi_squared_detectable,
    chi_squared_test,
    evidence,
    merge,
    total_variation_interval,
    worst_cells,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from spectest.checks.base import Context
    from spectest.checks.decision import Decision, StageTest
    from spectest.checks.result import CaseResult, Verdict
    from spectest.engine import Prepared, Tally
    from spectest.engine.experiment import Drafts
    from spectest.stats import CellDeviation

    Draw = Callable[[int, float], Tally]
    Test = Callable[[Tally, float], StageTest]

#: The part of the run's α that each case of one problem's law gives to early stopping: cases are far fewer than 1/it.
_EARLY: Final = 5e-4
#: Samples before the first look at the evidence; every later one doubles them.
_FIRST_LOOK: Final = 1_024
#: A sample is drawn in pieces, so that a worker that is idle can take some: of so many rows at least, and of about so
#: many elements n·V, a second or a few, so that one that becomes idle meanwhile need not wait long.
_PIECE_ROWS: Final = 2_048
_PIECE_ELEMENTS: Final = 60_000_000
_PIECES: Final = 64
_CONFIDENCE: Final = 0.999
_SHOWN: Final = 5
_LISTED: Final = 6
_SMALLEST: Final = 1e-300


def judge_law(
    context: Context, name: tuple[str, str], prepared: Prepared, draw: Draw, *, binding: bool = False
) -> CaseResult:
    """Run the law tests of one problem on what `draw` draws; return the result of the case `name` = (check, case).

    `binding`: the tier promises δ, so a sample too small for it is inconclusive.
    """
    settings, tolerance = context.settings, context.declaration.tolerance
    tests = law_tests(prepared.problem)
    early = early_stop(context, tests)

    decision = decide(context.alpha, _testers(tests, tolerance), draw, early)
    first = decision.tallies[0]
    delta = law_delta(tests, decision, settings, tests_alpha(context.alpha, early), tolerance)
    found: tuple[Verdict, str] = "pass", f"{first.samples:,} samples follow the target; {delta:.3g} would show"
    if decision.rejected:
        found = failed(context, explain(tests, decision, _counts(decision, 0)))
    elif binding and delta > (promised := promised_delta(tests, settings, tolerance)):
        reached = f"only {first.samples:,} samples in the time given: a deviation of {delta:.3g} would show"
        found = "inconclusive", f"{reached}, one of {promised:.3g} might not"
    return decision.result(context, name, found, delta=delta)


def early_stop(context: Context, tests: LawTests) -> Early | None:
    """Return how a sample of one problem's law is read while it is drawn, the same for every case that reads it.

    None with a tolerance, for the evidence is against the exact law; and where a deviation is no failure, for then
    others want the whole sample.
    """
    if context.declaration.tolerance or not context.declaration.lossless:
        return None

    def found(tally: Tally) -> float:
        return evidence(tally.counts[0], tests.problem.target, tests.maps)

    return Early(_EARLY * context.settings.alpha, found, _testers(tests, 0.0))


def _testers(tests: LawTests, tolerance: float) -> dict[str, Test]:
    """Return the tests of a tally's one problem by name."""

    def tester(which: str) -> Test:
        return lambda tally, level: tests.test(which, tally.counts[0], level, tolerance)

    return {which: tester(which) for which in tests.names}


def sample_law(
    context: Context,
    prepared: Prepared,
    samples: int,
    labels: tuple[str | int, ...],
    stage: int,
    *,
    drafts: Drafts = "law",
) -> Tally:
    """Draw a stage's sample of one problem, the first in growing parts, until the evidence is enough."""
    early = early_stop(context, law_tests(prepared.problem)) if stage == 0 else None

    def draw(wanted: int, done: int, part: int) -> Tally:
        by_size = wanted * prepared.draft.size // _PIECE_ELEMENTS
        pieces = max(1, min(wanted // _PIECE_ROWS, _PIECES, max(2, by_size)))
        sizes = [(wanted + piece) // pieces for piece in range(pieces)]
        parts = [
            Experiment((prepared,), size, context.seed(*labels, stage, part, piece), drafts=drafts)
            for piece, size in enumerate(sizes)
        ]
        return context.sample_parts(parts, done, samples)

    if early is None:
        return draw(samples, 0, 0)
    wanted = min(samples, _FIRST_LOOK)
    drawn = tally = draw(wanted, 0, 0)
    part = 1
    while drawn.samples >= wanted and tally.samples < samples and not early.enough(tally):  # else its time is over
        wanted = min(samples - tally.samples, tally.samples)
        drawn = draw(wanted, tally.samples, part)
        tally, part = tally.merge(drawn), part + 1
    return tally


def judge_groups(
    context: Context,
    name: tuple[str, str],
    prepared: Sequence[Prepared],
    draw: Draw,
    labels: Sequence[str] | None = None,
) -> CaseResult:
    """Test each group of a tally against its own problem's law (full table), all on one sample; α is shared equally.

    `labels` names the groups in a failure, the problems' names by default.
    """
    names = list(labels or [item.problem.name for item in prepared])

    def tester(group: int) -> Test:
        def test(tally: Tally, level: float) -> StageTest:
            target = prepared[group].problem.target
            return chi_squared_test(tally.counts[group], target, alpha=level, tolerance=context.declaration.tolerance)

        return test

    decision = decide(context.alpha, {label: tester(group) for group, label in enumerate(names)}, draw)
    first = decision.tallies[0]
    errors = {"alpha": stage_levels(context.alpha, len(names))[0], "beta": context.settings.beta / 2}
    delta = max(
        chi_squared_detectable(item.problem.target, samples=max(1, int(count)), **errors)
        for item, count in zip(prepared, first.counts.sum(axis=1), strict=True)
    )
    said = f"{first.samples:,} samples in {first.calls:,} calls, each row by its own law; {delta:.2g} would show in one"
    found: tuple[Verdict, str] = "pass", said
    if decision.rejected:
        group = names.index(decision.worst)
        tests = LawTests(prepared[group].problem, {FULL: np.arange(first.counts.shape[1])}, ())
        found = failed(context, f"{decision.worst}: {explain(tests, decision, _counts(decision, group))}")
    return decision.result(context, name, found, delta=delta)


def explain(tests: LawTests, decision: Decision, counts: NDArray[np.int64]) -> str:
    """Say how counts (V,) deviate: the interval of the deviation and the tokens most wrong."""
    problem = tests.problem
    where, cells = tests.deviating(decision.worst, decision.final)
    probabilities = merge(problem.target, cells)
    impossible = np.flatnonzero((problem.target == 0) & (counts > 0))
    lines = []
    if impossible.size:
        token = int(impossible[counts[impossible].argmax()])
        lines.append(f"token {token} has probability 0 and was emitted {counts[token]:,} times")
    estimate, low, high = total_variation_interval(merge(counts, cells), probabilities, confidence=_CONFIDENCE)
    where = f" ({where})" if cells.size > probabilities.size else ""
    lines.append(
        f"total variation {estimate:.4g} in [{low:.3g}, {high:.3g}]{where}, {counts.sum():,} samples, "
        f"p-value {said(decision.p_value)}"
    )
    if where:
        (worst,) = worst_cells(merge(counts, cells), probabilities, limit=1)
        lines.append(f"{named(np.flatnonzero(cells == worst.index))}: {_seen(worst)}")
    lines += [
        f"token {cell.index}: {_seen(cell)}"
        for cell in worst_cells(counts, problem.target, limit=_SHOWN)
        if cell.observed != cell.expected
    ]
    return "\n".join(lines)


def named(tokens: NDArray[np.int64]) -> str:
    """Return a set of tokens, ids (k,) in ascending order, for a reader: whole if it has a shape or is small."""
    if tokens.size == 1:
        return f"token {tokens[0]}"
    steps = np.unique(np.diff(tokens))
    if steps.size == 1 and tokens.size > _LISTED:
        every = "" if steps[0] == 1 else f", in steps of {steps[0]}"
        return f"{tokens.size:,} tokens from {tokens[0]} to {tokens[-1]}{every}"
    listed = ", ".join(map(str, tokens[:_LISTED]))
    return f"tokens {listed}" if tokens.size <= _LISTED else f"{tokens.size:,} tokens ({listed}, … {tokens[-1]})"


def _seen(cell: CellDeviation) -> str:
    return f"expected {cell.expected:,.1f}, observed {cell.observed:,} ({cell.z:+.1f} standard errors)"


def said(p_value: float) -> str:
    """Return a p-value for a reader: those below what a double holds are not zero."""
    return f"{p_value:.2g}" if p_value > _SMALLEST else f"below {_SMALLEST:g}"


def _counts(decision: Decision, group: int) -> NDArray[np.int64]:
    """Return all stages' counts of a group: what is shown of a failure, not what was decided on."""
    counts: NDArray[np.int64] = np.sum([tally.counts[group] for tally in decision.tallies], axis=0)
    return counts


def failed(context: Context, detail: str) -> tuple[Verdict, str]:
    """Return the verdict on a deviation, and what is said of it: a selector may be declared to have one."""
    if context.declaration.lossless:
        return "fail", detail
    return "pass", f"deviates by design (lossless=False): {detail}"
