"""What a session is asked to do, and the tallies that come back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spectest.engine.precision import Prepared

Grouping = Literal["problem", "row"]
Drafts = Literal["law", "own", "unverified"]
#: How the inputs of a call lie in memory: `own`, an array each; `embedded`, a contiguous part of a larger array with
#: poison around it; `expanded`, one draft law seen n times (stride 0), for a selector that declares `broadcast`.
Layout = Literal["own", "embedded", "expanded"]


@dataclass(frozen=True, eq=False)
class Experiment:
    """Many calls of a selector, tallied.

    Args:
        problems: all of one (n, V).
        samples: rows to draw in all.
        seed: of every random stream in it.
        pattern: problem index of each row of a call, shape (B,); None: every row is problem 0 and the
            engine chooses B. Shape (C, B): call c has line c mod C, written into the same buffers as the call before.
        shuffle: permute the pattern afresh for every call.
        alternate: call c is problem c mod P on all its rows, written into the same buffers as the call before.
        group: tally by problem, or by row of the call.
        keep: also return the raw outputs, (calls, B); needs a pattern or `rows`. Own drafts are returned as well.
        drafts: where the drafts come from: `law`, drawn by the engine; `own`, from the implementation's `propose`,
            called before the selector with the same randomness; `unverified`, from `propose` alone: the drafts are
            returned, the selector is not called, and the first draft of each row counts as its token.
        ids: the drafts (n,) of every row of every call, in place of drawn ones.
        layout: how the inputs lie in memory.
        rows: rows of every call, None for the engine's choice.
        cap: the engine's own choice in an earlier run (`Tally.rows`), so that a replay repeats its calls exactly.
        seconds: stop after this long, with fewer samples.
    """

    problems: tuple[Prepared, ...]
    samples: int
    seed: int
    pattern: NDArray[np.int64] | None = None
    shuffle: bool = False
    alternate: bool = False
    group: Grouping = "problem"
    keep: bool = False
    drafts: Drafts = "law"
    ids: NDArray[np.int64] | None = None
    layout: Layout = "own"
    rows: int | None = None
    cap: int | None = None
    seconds: float | None = None

    @property
    def groups(self) -> int:
        """How many groups the tally has."""
        if self.group == "row" and self.pattern is not None:
            return int(self.pattern.shape[-1])
        return len(self.problems)


@dataclass(eq=False)
class Tally:
    """Counts of emitted tokens by group; two tallies of one experiment's kind add up.

    `counts` (G, V): tokens emitted. `accepted` (G, V): those of them that were among the row's drafts.
    """

    counts: NDArray[np.int64]
    accepted: NDArray[np.int64]
    calls: int = 0
    rows: int = 0  # of a call, as asked for or as the engine chose: the `cap` of a replay
    seconds: float = 0.0
    outputs: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 0), dtype=np.int64))
    #: The implementation's own drafts, (rows of all calls, n), in the smallest unsigned type that holds them.
    drafts: NDArray[Any] = field(default_factory=lambda: np.zeros((0, 0), dtype=np.uint8))

    @classmethod
    def empty(cls, groups: int, vocab_size: int) -> Tally:
        """Return a tally of nothing."""
        return cls(np.zeros((groups, vocab_size), np.int64), np.zeros((groups, vocab_size), np.int64))

    @property
    def samples(self) -> int:
        """Rows tallied."""
        return int(self.counts.sum())

    def add(self, group: NDArray[np.int64] | int, tokens: NDArray[np.int64], accepted: NDArray[np.bool_]) -> None:
        """Count one call: `tokens` and `accepted` are (B,), `group` is (B,) or one group for all."""
        vocab_size = self.counts.shape[1]
        cell = np.asarray(group) * vocab_size + tokens
        size = self.counts.size
        self.counts += np.bincount(cell, minlength=size).reshape(self.counts.shape)
        self.accepted += np.bincount(cell[accepted], minlength=size).reshape(self.counts.shape)
        self.calls += 1

    def merge(self, other: Tally) -> Tally:
        """Return the sum of two tallies of the same groups and vocabulary."""
        return Tally(
            self.counts + other.counts,
            self.accepted + other.accepted,
            self.calls + other.calls,
            max(self.rows, other.rows),
            self.seconds + other.seconds,
            self.outputs if not other.outputs.size else other.outputs,
            self.drafts if not other.drafts.size else other.drafts,
        )


@dataclass(frozen=True, eq=False)
class Call:
    """One call, its outputs returned as they are.

    Args:
        problems: all of one (n, V).
        pattern: problem index of each row, shape (B,).
        ids: the drafts (B, n); None to draw them from `draft_seed`.
        then: a call to make next, while this one's answer is held.
        seed: of the selector's randomness.
        draft_seed: of the drafts.
        uniforms: float64 (B, n + 1) in place of drawn ones, for a selector that declares them.
        global_seed: seeds every global generator first, unless those are what it declares.
        litter: a byte that the memory freed just before the call is full of.
    """

    problems: tuple[Prepared, ...]
    pattern: NDArray[np.int64]
    seed: int
    draft_seed: int = 0
    ids: NDArray[np.int64] | None = None
    then: Call | None = None
    uniforms: NDArray[np.float64] | None = None
    global_seed: int | None = None
    litter: int | None = None


@dataclass(frozen=True, eq=False)
class Outcome:
    """The drafts of one call (B, n) and what came back (B,); `held` is that answer read again after the call `then`."""

    ids: NDArray[np.int64]
    tokens: NDArray[np.int64]
    held: NDArray[np.int64] | None = None
