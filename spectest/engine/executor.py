"""Carrying out experiments and single calls: drafts, buffers, the sampling loop. Runs where the selector runs."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from spectest import drafting
from spectest.engine.caller import Caller, Randomness
from spectest.engine.experiment import Call, Experiment, Outcome, Tally
from spectest.engine.faults import InputMutated
from spectest.engine.proposer import Proposer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from spectest.engine.precision import Prepared

    #: One call: target, draft, the drafts drawn for it or None, the group of each row or of all.
    _Chunk = tuple[Any, Any, NDArray[np.int64] | None, NDArray[np.int64] | int]

#: The contract: a selector that does not declare `broadcast` gets at most this many elements B·n·V in one call.
MAX_ELEMENTS: Final = 4_000_000
#: On a CPU, chunks that stay in cache are several times faster than the largest allowed.
CPU_ELEMENTS: Final = 1_200_000
FEW_ROWS: Final = 16
MAX_ROWS: Final = 140_000  # more than 65,535 and 131,072: a grid of a GPU may end at either
#: A call is kept this short (seconds), so that progress, budget and timeout can act between calls.
LONGEST_CALL: Final = 1.0
#: Every free-running experiment opens with these calls: one row, two small odd ones, a larger one. The last two are
#: timed, and the larger one is left out where it would take too long.
OPENING: Final = (1, 63, 67, 1031)
FIRST_TIMED: Final = 2
PROGRESS_EVERY: Final = 0.2
#: Drafts of small calls of many problems are drawn for this many rows at once.
ROWS_AHEAD: Final = 1 << 12
#: Who may have written to an input, by where the drafts come from.
_WRITERS: Final = {"law": "it", "own": "it, or its `propose`,", "unverified": "its `propose`"}


class Executor:
    """Runs experiments against one selector, and the proposer it declares, if any."""

    def __init__(self, caller: Caller, propose: Callable[..., Any] | None = None) -> None:
        self._caller = caller
        self._backend = caller.backend
        self._proposer = None if propose is None else Proposer(propose, caller)

    def call(self, call: Call) -> Outcome:
        """Make one call; inputs are compared bit for bit afterwards.

        Raises:
            SelectorFault: of the selector.
        """
        ids = call.ids
        if ids is None:
            ids = _Drafts(call.problems, call.draft_seed).rows(call.pattern)
        stacked = self._stacked(call.problems)
        rows = self._taken(stacked, call.pattern)
        if call.global_seed is not None:
            self._backend.seed_globals(call.global_seed)
        randomness = Randomness(self._caller.declaration, self._backend, call.seed, call.uniforms)
        tokens = self._caller(*rows, ids, randomness, litter=call.litter)
        self._unchanged(rows, self._taken(stacked, call.pattern))
        if call.then is None:
            return Outcome(ids, tokens)
        answer = self._caller.answer
        self.call(call.then)
        held = tokens if answer is None else self._backend.tokens(answer, tokens.size)
        return Outcome(ids, tokens, held)

    def sample(self, experiment: Experiment, progress: Callable[[int], None] | None = None) -> Tally:
        """Run an experiment.

        Raises:
            SelectorFault: of the selector.
        """
        started = shown = time.perf_counter()
        vocab_size = experiment.problems[0].problem.vocab_size
        tally = Tally.empty(experiment.groups, vocab_size)
        randomness = Randomness(self._caller.declaration, self._backend, experiment.seed)
        kept: list[NDArray[np.int64]] = []
        proposed: list[NDArray[Any]] = []
        source = self._patterned if experiment.pattern is not None else self._chunks
        until = math.inf if experiment.seconds is None else started + experiment.seconds
        for target, draft, drawn, group in source(experiment, tally, until):
            if drawn is not None:
                ids = drawn
                tokens = self._caller(target, draft, ids, randomness, layout=experiment.layout)
            else:
                assert self._proposer is not None
                ids, tokens = self._proposer.answers(target, draft, randomness, verified=experiment.drafts == "own")
                if experiment.keep or experiment.drafts == "unverified":
                    proposed.append(ids.astype(np.min_scalar_type(vocab_size - 1)))
            tally.add(group, tokens, (ids == tokens[:, None]).any(axis=1))
            if experiment.keep:
                kept.append(tokens)
            now = time.perf_counter()
            if progress is not None and now - shown > PROGRESS_EVERY:
                shown = now
                progress(tally.samples)
        tally.seconds = time.perf_counter() - started
        if experiment.keep:
            tally.outputs = np.stack(kept)
        if proposed:
            tally.drafts = np.concatenate(proposed)
        return tally

    def _stacked(self, problems: tuple[Prepared, ...]) -> tuple[Any, Any]:
        """Return all the problems' laws, (P, V) and (P, n, V), in the selector's own arrays."""
        target = self._backend.probabilities(np.stack([p.target for p in problems]))
        draft = self._backend.probabilities(np.stack([p.draft for p in problems]))
        return target, draft

    def _patterned(self, experiment: Experiment, tally: Tally, until: float) -> Iterator[_Chunk]:
        """Yield calls whose rows hold different problems."""
        assert experiment.pattern is not None
        stacked = self._stacked(experiment.problems)
        lines = np.atleast_2d(experiment.pattern)
        tally.rows = int(lines.shape[1])
        places = np.arange(tally.rows)
        buffers = self._taken(stacked, lines[0])
        for rows, drawn in _ahead(experiment, lines):
            if tally.calls and time.perf_counter() > until:
                break
            handed = self._taken(stacked, rows)
            if experiment.pattern.ndim > 1:
                for buffer, values in zip(buffers, handed, strict=True):
                    self._backend.overwrite(buffer, values)
                handed = buffers
            yield *handed, drawn, places if experiment.group == "row" else rows
            self._unchanged(handed, self._taken(stacked, rows), experiment)

    def _chunks(self, experiment: Experiment, tally: Tally, until: float) -> Iterator[_Chunk]:
        """Yield calls whose rows all hold one problem, in chunks as large as is quick."""
        first = experiment.problems[0]
        drafts = _drafts_of(experiment)
        views = self._caller.declaration.broadcast and not experiment.alternate
        most = MAX_ROWS if views else self._rows_at_once(first.draft.size)
        most = min(most, experiment.samples, experiment.rows or most)
        target, draft = self._buffers(first, most, views=views)
        stacked = self._stacked(experiment.problems) if experiment.alternate else None
        done, call = 0, 0
        opening = [] if experiment.rows is not None else self._opening(most, experiment.cap)
        tally.rows = most
        while done < experiment.samples and (not done or time.perf_counter() <= until):
            rows = opening[call] if call < len(opening) else most
            rows = min(rows, experiment.samples - done)
            problem = call % len(experiment.problems) if stacked is not None else 0
            if stacked is not None:
                self._backend.overwrite(target, stacked[0][problem])
                self._backend.overwrite(draft, stacked[1][problem])
            began = time.perf_counter()
            same = np.full(rows, problem)
            yield target[:rows], draft[:rows], drafts(same), problem
            if min(FIRST_TIMED, len(opening) - 1) <= call < len(opening):
                quick = experiment.cap or _quick_enough(most, (time.perf_counter() - began) / rows)
                opening = [size for size in opening if size <= quick]
                if call >= len(opening) - 1:
                    tally.rows = most = min(most, quick)
            if stacked is not None:
                self._unchanged((target[:rows], draft[:rows]), self._taken(stacked, same), experiment)
            done, call = done + rows, call + 1
        if stacked is None:
            self._unchanged((target, draft), self._buffers(first, int(target.shape[0]), views=True), experiment)

    def _opening(self, most: int, cap: int | None) -> list[int]:
        """Return the rows of the first calls; a `cap` tells whether the larger one was left out."""
        small, larger = OPENING[: FIRST_TIMED + 1], OPENING[FIRST_TIMED + 1 :]
        return [rows for rows in small if rows <= most] + [rows for rows in larger if rows <= min(most, cap or most)]

    def _rows_at_once(self, elements: int) -> int:
        """Return how many rows of n·V `elements` make a good call; a few beat single ones even outside the cache."""
        allowed = max(1, MAX_ELEMENTS // elements)
        if self._caller.declaration.device.startswith("cpu"):
            allowed = min(allowed, max(FEW_ROWS, CPU_ELEMENTS // elements))
        return min(MAX_ROWS, allowed)

    def _buffers(self, prepared: Prepared, rows: int, *, views: bool) -> tuple[Any, Any]:
        """Return (B, V) and (B, n, V) of one problem, as expanded views or contiguous."""
        if views:
            return self._backend.expand(prepared.target, rows), self._backend.expand(prepared.draft, rows)
        index = np.zeros(rows, dtype=np.int64)
        return self._taken(self._stacked((prepared,)), index)

    def _taken(self, stacked: tuple[Any, Any], rows: NDArray[np.int64]) -> tuple[Any, Any]:
        """Return the laws of the problems numbered `rows`, as new arrays."""
        return self._backend.take(stacked[0], rows), self._backend.take(stacked[1], rows)

    def _unchanged(
        self, handed: tuple[Any, Any], expected: tuple[Any, Any], experiment: Experiment | None = None
    ) -> None:
        """Catch writes the library keeps no count of (numpy, raw pointers, kernels)."""
        who = "it" if experiment is None else _WRITERS[experiment.drafts]
        for name, got, want in zip(("target_probs", "draft_probs"), handed, expected, strict=True):
            if not self._backend.same(got, want):
                msg = f"{who} wrote to its input {name}"
                raise InputMutated(msg)


def rows_allowed(rows: int, elements: int) -> int:
    """Return `rows`, or as many as the contract has in one call of n·V `elements` a row; two at least."""
    return max(2, min(rows, MAX_ELEMENTS // elements))


def _quick_enough(rows: int, seconds_per_row: float) -> int:
    """Halve `rows` until a call is expected to take at most `LONGEST_CALL` seconds."""
    while rows > 1 and rows * seconds_per_row > LONGEST_CALL:
        rows //= 2
    return rows


def _ahead(
    experiment: Experiment, lines: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64] | None]]:
    """Yield the problem of each row of a call, and its drafts, which are drawn for some calls at once."""
    stream, drafts = np.random.default_rng([experiment.seed, 1]), _drafts_of(experiment)
    rows = lines.shape[1]
    calls, together = -(-experiment.samples // rows), max(1, ROWS_AHEAD // rows)
    for first in range(0, calls, together):
        block = lines[np.arange(first, min(first + together, calls)) % len(lines)]
        if experiment.shuffle:
            block = stream.permuted(block, axis=1)
        drawn = drafts(block.ravel())
        for call, line in enumerate(block):
            yield line, None if drawn is None else drawn[call * rows : (call + 1) * rows]


def _drafts_of(experiment: Experiment) -> Callable[[NDArray[np.int64]], NDArray[np.int64] | None]:
    """Return what gives rows of these problems their drafts, (B,) to (B, n), or to None where `propose` does."""
    if experiment.drafts != "law":
        return lambda _: None
    if experiment.ids is not None:
        fixed = experiment.ids
        return lambda pattern: np.tile(fixed, (pattern.size, 1))
    return _Drafts(experiment.problems, experiment.seed).rows


class _Drafts:
    """The drafts of several problems, one stream each, so that one problem's draws do not shift another's."""

    def __init__(self, problems: tuple[Prepared, ...], seed: int) -> None:
        self._n = problems[0].problem.n_drafts
        self._samplers = [drafting.get(p.problem.drafting).sampler(p.problem) for p in problems]
        self._streams = [np.random.default_rng([seed, 2, index]) for index in range(len(problems))]

    def rows(self, pattern: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return (B, n) drafts, row b from problem `pattern[b]`."""
        only = int(pattern[0])
        if (pattern == only).all():
            return self._samplers[only](self._streams[only], pattern.size)
        ids = np.empty((pattern.size, self._n), dtype=np.int64)
        order = pattern.argsort(kind="stable")
        ends = np.bincount(pattern).cumsum()
        for problem, (first, last) in enumerate(zip([0, *ends], ends, strict=False)):
            if first < last:
                ids[order[first:last]] = self._samplers[problem](self._streams[problem], int(last - first))
        return ids
