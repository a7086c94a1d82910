"""proposal: an implementation's own drafts follow the law that their verification takes them to follow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from spectest import drafting
from spectest.checks.decision import decide, grown
from spectest.checks.draft_problems import (
    SMALL_PROBLEMS,
    known_drafts,
    mixed_problems,
    rows_problem,
    small_problem,
    states_problem,
)
from spectest.checks.drafts import (
    Drafted,
    DraftTally,
    View,
    draft_samples,
    joint_view,
    judge_drafts,
    plain,
    sample_drafts,
    views_by_position,
)
from spectest.checks.law import main_prepared
from spectest.checks.pairs import Pairing, halves, neighbours, pairs_detectable, successive
from spectest.checks.problems import main_names
from spectest.checks.result import CaseResult
from spectest.engine import Experiment

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from spectest.checks.base import Context, Settings
    from spectest.checks.decision import StageTest
    from spectest.checks.result import Verdict
    from spectest.declaration import Declaration
    from spectest.engine import Prepared, Tally

_BATCHES: Final = {"B1": 1, "B97": 97, "B1025": 1025}
_PROBLEMS: Final = 8
_ROWS: Final = 64
_STATES_ROWS: Final = 128

_PAIRINGS: Final = {
    "first drafts of neighbours": Pairing("first", "first", neighbours),
    "last drafts of neighbours": Pairing("last", "last", neighbours),
    "a row's last draft and the next row's first": Pairing("last", "first", neighbours),
    "last drafts half a batch apart": Pairing("last", "last", halves),
    "last drafts of one call and the next": Pairing("last", "last", successive),
    "a call's last drafts and the next call's first": Pairing("last", "first", successive),
}
#: A small problem's own case is `joint-NAME`.
_JOINT: Final = "joint-"
#: The small problem whose sample is large enough for the tier's δ; the others have so many times `Settings.small`.
_BINDING: Final = "generic"
_PER_SMALL: Final = 10


class Proposal:
    """What `propose` returns, the selector aside.

    `known-drafts`: where q is one token, that token; `states`: the generator decides. `joint-…`: all ordered tuples of
    a small problem, exactly. Main problems: each draft by itself, repeats, and pairs by quantiles in their laws. `B…`:
    each row of a mixed batch by its own q. `rows`: drafts of other rows and calls are independent.
    """

    name = "proposal"
    weight = 1.0
    summary = "own drafts (`propose`) follow the declared drafting law of q"

    def cases(self, settings: Settings) -> tuple[str, ...]:
        """See `Check`."""
        joint = tuple(f"{_JOINT}{name}" for name in SMALL_PROBLEMS)
        return ("known-drafts", "states", *joint, *main_names(settings), *_BATCHES, "rows")

    def cost(self, case: str, settings: Settings) -> float:
        """See `Check`."""
        if case in {"known-drafts", "states"}:
            return 4.0 * _STATES_ROWS
        if case in _BATCHES:
            return float(_samples(_BATCHES[case], settings))
        if case == "rows":
            return float(settings.calls * _ROWS)
        if case in main_names(settings):
            return 40 / settings.delta**2 / 4
        return 150 / settings.delta**2 / 4 if case == f"{_JOINT}{_BINDING}" else float(_PER_SMALL * settings.small)

    def applies(self, case: str, declaration: Declaration) -> bool:
        """See `Check`; an unbatched implementation has no batch."""
        return declaration.propose is not None and (declaration.batched or case not in _BATCHES)

    def run(self, case: str, context: Context) -> CaseResult:
        """See `Check`."""
        if case in _BATCHES:
            return self._batch(case, context)
        if case.startswith(_JOINT):
            return self._joint(case, context)
        special = {"known-drafts": self._known, "states": self._states, "rows": self._rows}
        return special[case](context) if case in special else self._main(case, context)

    def _known(self, context: Context) -> CaseResult:
        rows_seen = 0
        for problems in known_drafts(context):
            prepared, pattern = context.prepare(*problems), np.arange(len(problems))
            seed = context.seed(self.name, "known-drafts", len(problems))
            tally = context.sample(Experiment(prepared, pattern.size, seed, pattern=pattern, drafts="unverified"))
            expected = np.stack([item.problem.draft_rows.argmax(axis=1) for item in prepared])
            rows_seen += pattern.size
            wrong = np.flatnonzero((tally.drafts != expected).any(axis=1))
            if wrong.size:
                row = int(wrong[0])
                detail = (
                    f"row {row} of {pattern.size}: q is all on token {expected[row, 0]} of "
                    f"{prepared[row].problem.vocab_size}, drafts {tally.drafts[row].tolist()} came out"
                )
                return CaseResult(self.name, "known-drafts", "fail", detail, samples=rows_seen, p_value=0.0)
        detail = f"{rows_seen} rows with one possible draft each; shapes, dtypes and ranges in order"
        return CaseResult(self.name, "known-drafts", "pass", detail, samples=rows_seen)

    def _states(self, context: Context) -> CaseResult:
        (prepared,) = context.prepare(states_problem(context))
        pattern = np.zeros(_STATES_ROWS, dtype=np.int64)

        def drafts(state: int) -> NDArray[np.int64]:
            seed = context.seed(self.name, "states", state)
            experiment = Experiment((prepared,), pattern.size, seed, pattern=pattern, drafts="unverified")
            return context.sample(experiment).drafts

        first, second, again = drafts(0), drafts(1), drafts(0)
        detail = f"{pattern.size} rows come again with the generator's state, and change with it"
        verdict: Verdict = "pass"
        if (first != again).any():
            differing = int((first != again).any(axis=1).sum())
            verdict, detail = "fail", f"{differing} of {pattern.size} rows differ between two calls in the same state"
        elif (first == second).all():
            verdict = "fail"
            detail = f"all {pattern.size} rows stayed the same in another state: the generator is not used"
        return CaseResult(self.name, "states", verdict, detail, samples=3 * pattern.size)

    def _joint(self, case: str, context: Context) -> CaseResult:
        name = case.removeprefix(_JOINT)
        (prepared,) = context.prepare(small_problem(name, context))
        views = [joint_view(prepared.problem)]
        return self._judged(case, context, prepared, views, binding=name == _BINDING)

    def _main(self, case: str, context: Context) -> CaseResult:
        prepared = main_prepared(case, context)
        return self._judged(case, context, prepared, views_by_position(prepared.problem), binding=True)

    def _judged(
        self, case: str, context: Context, prepared: Prepared, views: list[View], *, binding: bool
    ) -> CaseResult:
        def draw(stage: int, level: float) -> DraftTally:
            del level
            samples = _PER_SMALL * context.settings.small
            if binding:
                samples = draft_samples(views, context.settings, stage, context.declaration.tolerance)
            return sample_drafts(context, prepared, views, samples, (self.name, case, stage))

        return judge_drafts(context, (self.name, case), views, draw, binding=binding)

    def _batch(self, case: str, context: Context) -> CaseResult:
        rows = _BATCHES[case]
        prepared = context.prepare(*mixed_problems(min(rows, _PROBLEMS), case, context))
        pattern = np.arange(rows) % len(prepared)
        views = [view for item in prepared for view in _marginals(item)]
        noise = np.random.default_rng(context.seed(self.name, case, "quantiles"))

        def draw(stage: int, level: float) -> DraftTally:
            del level
            seed = context.seed(self.name, case, stage)
            samples = grown(_samples(rows, context.settings), stage)
            tally = context.sample(Experiment(prepared, samples, seed, pattern=pattern, drafts="unverified"))
            ids = tally.drafts.reshape(-1, rows, tally.drafts.shape[1]).astype(np.int64)
            by_problem = [ids[:, pattern == group].reshape(-1, ids.shape[2]) for group in range(len(prepared))]
            drafted = [Drafted(item.problem, found, noise) for item, found in zip(prepared, by_problem, strict=True)]
            owners = [item for item in drafted for _ in range(ids.shape[2])]
            counts = [view.counts(owner) for view, owner in zip(views, owners, strict=True)]
            return DraftTally(tally.counts, tally.accepted, tally.calls, tally.rows, tally.seconds, views=counts)

        return judge_drafts(context, (self.name, case), views, draw)

    def _rows(self, context: Context) -> CaseResult:
        (prepared,) = context.prepare(rows_problem(context))
        law = drafting.get(prepared.problem.drafting).marginals(prepared.problem)[-1]

        def draw(stage: int, level: float) -> Tally:
            del level
            samples, seed = grown(context.settings.calls * _ROWS, stage), context.seed(self.name, "rows", stage)
            return context.sample(Experiment((prepared,), samples, seed, drafts="unverified", rows=_ROWS))

        def tester(name: str) -> Callable[[Tally, float], StageTest]:
            def test(tally: Tally, level: float) -> StageTest:
                ids = tally.drafts.astype(np.int64).reshape(-1, _ROWS, tally.drafts.shape[1])
                return _PAIRINGS[name].test({"first": ids[:, :, 0], "last": ids[:, :, -1]}, law.size, level)

            return test

        decision = decide(context.alpha, {name: tester(name) for name in _PAIRINGS}, draw)
        pairs = decision.tallies[0].samples // 2
        delta = pairs_detectable(law, pairs, context)
        found: tuple[Verdict, str] = "pass", f"{pairs:,} pairs of rows are independent; {delta:.2g} would show"
        if decision.rejected:
            what = f"drafts of different rows depend on each other ({decision.worst})"
            found = "fail", f"{what} (p-value {decision.p_value:.2g}): rows or calls share randomness"
        return decision.result(context, (self.name, "rows"), found, delta=delta)


def _marginals(prepared: Prepared) -> list[View]:
    """Return the views of each draft by itself, the full table alone."""
    laws = drafting.get(prepared.problem.drafting).marginals(prepared.problem)
    return [
        View(
            f"{prepared.problem.name}, draft {column + 1}",
            plain(law, binding=True),
            _column(column),
            lambda cell: f"token {cell}",
        )
        for column, law in enumerate(laws)
    ]


def _column(column: int) -> Callable[[Drafted], NDArray[np.int64]]:
    return lambda drafted: drafted.ids[:, column]


def _samples(rows: int, settings: Settings) -> int:
    """Return a sample of a batch of so many rows: few calls where they are large."""
    return rows * max(32, min(settings.calls, 64 * settings.calls // rows))
