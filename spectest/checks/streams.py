"""streams: no two rows share a stream of noise, wherever they stand, in one call or in successive ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from spectest import drafting
from spectest.checks.decision import decide, grown
from spectest.checks.pairs import pairs_detectable
from spectest.checks.problems import build
from spectest.engine import Experiment
from spectest.engine.executor import rows_allowed
from spectest.problem import Problem
from spectest.stats import association_test, binomial_interval, binomial_test, suspicious_lags, suspicious_pairs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from spectest.checks.base import Context, Settings
    from spectest.checks.decision import StageTest
    from spectest.checks.result import CaseResult, Verdict
    from spectest.declaration import Declaration
    from spectest.engine import Prepared, Tally

    Events = NDArray[np.bool_]

#: rows of a call -> calls, as a multiple of `Settings.calls`. Several streams of 32, 128, 256 or 1024 rows fit in 4096.
_CASES: Final = {1: 1.0, 3: 1 / 2, 64: 1 / 2, 1000: 1 / 32, 4096: 1 / 64}
#: In `wide` fewer rows and calls, of so many tokens, or of as many as the main problems have if those are more.
_WIDE: Final = "wide"
_WIDE_ROWS: Final = 16
_WIDE_CALLS: Final = 1 / 25
_WIDE_VOCAB: Final = 32_003
#: In `mixed` a third of the rows have a one-hot target: noise may be drawn for the others alone.
_MIXED: Final = "mixed"
_MIXED_ROWS: Final = 64
_MIXED_CALLS: Final = 1 / 2
_DECIDED: Final = 1 / 3
_FEWEST_CALLS: Final = 8
_UNDRAFTED: Final = 12  # tokens that only come from the final draw
_CANDIDATES: Final = 64
_LAGS_IN_CALLS: Final = 4  # lags looked at, in calls
_SUSPECTS: Final = 3
_SHARE_OF_PAIRS: Final = 8  # one pair of suspect rows in so many is tested together with the best one
_REPEATS_AMONG: Final = 1_000  # calls compared with each other
_CERTAIN: Final = 1 - 1e-12


@dataclass(frozen=True)
class Suspicion:
    """The least p-value of some suspects, times their number; `what` says which it was."""

    p_value: float
    rejected: bool
    what: str


class Streams:
    """All rows of all calls hold one problem and the same drafts, so that their outputs are i.i.d.

    With equal drafts, rows that share noise give equal answers, not slightly dependent ones. The first half of the
    calls names suspects (lags up to four calls, pairs of rows), the second half tests them: thousands are looked at
    for the price of a few. And no two calls may agree on more rows than chance has them agree. `wide`: the same at
    tens of thousands of tokens, where kernels draw in other ways. `mixed`: the same of rows between one-hot ones.
    """

    name = "streams"
    wide = (_WIDE,)
    weight = 0.5
    summary = "no two rows share noise, in a call or across calls, whatever the distance between them"

    def cases(self, settings: Settings) -> tuple[str, ...]:
        """See `Check`."""
        del settings
        return (*(f"B{rows}" for rows in _CASES), _MIXED, _WIDE)

    def cost(self, case: str, settings: Settings) -> float:
        """See `Check`."""
        rows, size = _shape(case, settings)
        return float(rows * _calls(case, settings) * max(1, size // 100))

    def applies(self, case: str, declaration: Declaration) -> bool:
        """See `Check`; rows of an unbatched selector are successive calls."""
        return declaration.batched or case == "B1"

    def run(self, case: str, context: Context) -> CaseResult:
        """See `Check`."""
        rows, size = _shape(case, context.settings)
        if case == _WIDE:
            rows = rows_allowed(rows, size * context.declaration.n_drafts)
        prepared, ids = _same_everywhere(context, size)
        problems: tuple[Prepared, ...] = (prepared,)
        pattern, undecided = None, np.arange(rows)
        if case == _MIXED:
            problems = (prepared, _decided(prepared, ids, context))
            pattern = (np.random.default_rng(context.seed(self.name, case)).random(rows) < _DECIDED).astype(np.int64)
            undecided = np.flatnonzero(pattern == 0)

        def draw(stage: int, level: float) -> Tally:
            del level
            samples, seed = rows * _calls(case, context.settings), context.seed(self.name, case, stage)
            how = Experiment(problems, grown(samples, stage), seed, pattern=pattern, keep=True, rows=rows, ids=ids)
            tally = context.sample(how)
            tally.outputs = tally.outputs[:, undecided]
            return tally

        def halves(tally: Tally) -> tuple[Events, Events]:
            events = _events(tally.outputs, ids)
            half = tally.outputs.shape[0] // 2
            return events[:, :half], events[:, half:]

        tests: dict[str, Callable[[Tally, float], StageTest]] = {
            "lags": lambda tally, level: _lags(*halves(tally), level),
        }
        if case == _MIXED:  # what is left of a call is no stretch of rows
            del tests["lags"]
        if rows > 1:
            tests["pairs of rows"] = lambda tally, level: _pairs(*halves(tally), undecided, level)
        if rows > 1 and case != _WIDE:  # there no token comes out often
            tests["repeated calls"] = lambda tally, level: _repeats(tally.outputs, level)
        decision = decide(context.alpha, tests, draw)
        samples = decision.tallies[0].outputs.size
        delta = pairs_detectable(np.array([0.5, 0.5]), samples // 4, context)
        found: tuple[Verdict, str] = (
            "pass",
            f"{samples:,} rows with equal drafts are independent at every distance; {delta:.2g} would show",
        )
        if decision.rejected:
            assert isinstance(decision.final, Suspicion)
            found = "fail", f"{decision.final.what} (p-value {decision.p_value:.2g}): they share randomness"
        return decision.result(context, (self.name, case), found, delta=delta)


def _shape(case: str, settings: Settings) -> tuple[int, int]:
    """Return the rows of a call, and the tokens; 0 for a few."""
    if case == _WIDE:
        return _WIDE_ROWS, max(_WIDE_VOCAB, *settings.vocab)
    return (_MIXED_ROWS if case == _MIXED else int(case[1:])), 0


def _calls(case: str, settings: Settings) -> int:
    special = {_WIDE: _WIDE_CALLS, _MIXED: _MIXED_CALLS}
    part = special[case] if case in special else _CASES[int(case[1:])]
    return max(_FEWEST_CALLS, round(settings.calls * part))


def _same_everywhere(context: Context, size: int) -> tuple[Prepared, NDArray[np.int64]]:
    """Return a problem and one row of drafts (n,) that leave the accept test and the final draw undecided.

    It has `size` tokens, if those are more than are needed.

    Half of the target has no draft. Of some rows of drafts the one whose tokens q has most often is used, and p least.
    """
    generator = np.random.default_rng(context.seed(Streams.name, "problem"))
    drafted = context.declaration.n_drafts + 1
    others = max(_UNDRAFTED, size - drafted)
    draft = np.append(0.5 ** np.arange(drafted), np.zeros(others))
    target = np.append(np.full(drafted, 0.5 / drafted), np.full(others, 0.5 / others))
    (prepared,) = context.prepare(
        build(target, draft / draft.sum(), context.declaration, generator, "same-drafts-everywhere")
    )
    problem = prepared.problem
    candidates = drafting.get(problem.drafting).sampler(problem)(generator, _CANDIDATES)
    expected = problem.draft_rows[np.arange(problem.n_drafts), candidates]
    ids: NDArray[np.int64] = candidates[int(expected.sum(axis=1).argmax())]
    return prepared, ids


def _decided(prepared: Prepared, ids: NDArray[np.int64], context: Context) -> Prepared:
    """Return the same problem with all of the target on the first draft: its rows need no noise."""
    given = prepared.problem
    target = np.eye(given.vocab_size)[ids[0]]
    return context.prepare(Problem(target, given.draft, given.n_drafts, given.drafting, name="one-hot"))[0]


def _events(outputs: NDArray[np.int64], ids: NDArray[np.int64]) -> Events:
    """Return (3, calls, B): the token was drafted; its id is in the upper half; its id is odd."""
    return np.stack([np.isin(outputs, ids), outputs > np.median(outputs), outputs % 2 == 1])


def _lags(first: Events, second: Events, level: float) -> Suspicion:
    """Test on the second half of the calls what the first half says of rows at a fixed distance, calls in order."""
    explored, tested = first.reshape(3, -1), second.reshape(3, -1)
    longest = max(1, min(_LAGS_IN_CALLS * max(16, first.shape[2]), tested.shape[1] // 4))
    found = []
    for lag, event in suspicious_lags(explored, longest=longest, count=_SUSPECTS):
        # Times 2k·lag + j and (2k + 1)·lag + j, j < lag: every time is in at most one pair, and the other half of all
        # pairs is had by starting one lag later. Rows may share noise in only one of the halves.
        for start in (0, lag):
            usable = (tested.shape[1] - start) // (2 * lag) * 2 * lag
            blocks = tested[event, start : start + usable].reshape(-1, 2, lag)
            result = association_test(blocks[:, 0].ravel(), blocks[:, 1].ravel(), alpha=level)
            found.append((result.p_value, f"rows {lag} apart depend on each other{_in_calls(lag, first.shape[2])}"))
    return _worst(found, level)


def _in_calls(lag: int, rows: int) -> str:
    calls, rest = divmod(lag, rows)
    if calls == 0:
        return ""
    return f" ({calls} calls{f' and {rest} rows' if rest else ', the same row'})"


def _pairs(first: Events, second: Events, places: NDArray[np.int64], level: float) -> Suspicion:
    """Test on the second half of the calls the pairs of rows that agree most in the first: the best, and an eighth.

    `places` are the rows' own in a call.
    """
    pairs = suspicious_pairs(first)
    found = []
    for count in {1, max(1, len(pairs) // _SHARE_OF_PAIRS)}:
        left, right = pairs[:count].T
        one, other = places[left[0]], places[right[0]]
        for event in second:
            result = association_test(event[:, left].ravel(), event[:, right].ravel(), alpha=level)
            what = f"rows {one} and {other} depend on each other"
            if count > 1:
                what = f"{count} pairs of rows, such as {one} and {other}, depend on each other"
            found.append((result.p_value, what))
    return _worst(found, level)


def _repeats(outputs: NDArray[np.int64], level: float) -> Suspicion:
    """Compare calls with each other: how many rows any two agree on is binomial, and none may agree on too many."""
    flat = outputs.ravel()
    apart = flat.size // 2
    agreeing = int((flat[:apart] == flat[apart : 2 * apart]).sum())
    chance = binomial_interval(agreeing, apart, confidence=_CERTAIN).high
    calls = outputs[:_REPEATS_AMONG]
    # Every agreement is an entry of a product of indicators.
    found = np.zeros((len(calls), len(calls)), dtype=np.float32)
    for token in np.unique(calls):
        indicator = (calls == token).astype(np.float32)
        found += indicator @ indicator.T
    np.fill_diagonal(found, -1)
    one, other = np.unravel_index(int(found.argmax()), found.shape)
    most, rows = int(found[one, other]), calls.shape[1]
    number = len(calls) * (len(calls) - 1) / 2
    agreed = binomial_test(most, rows, chance, alpha=level, alternative="greater")
    p_value = min(1.0, number * agreed.p_value + (1 - _CERTAIN))
    what = f"calls {min(one, other)} and {max(one, other)} give the same token in {most} of {rows} rows"
    return Suspicion(p_value, p_value <= level, what)


def _worst(found: Iterable[tuple[float, str]], level: float) -> Suspicion:
    results = list(found)
    if not results:
        return Suspicion(1.0, rejected=False, what="")
    p_value, what = min(results, key=lambda result: result[0])
    p_value = min(1.0, p_value * len(results))
    return Suspicion(p_value, p_value <= level, what)
