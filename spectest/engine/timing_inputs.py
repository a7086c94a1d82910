"""What timed calls are handed: rows as an engine has them, fresh problems call after call.

Laws are softmax: standard normal logits times 3, and for the drafter noise of 0.7 on top, which makes a single draft
accepted some three times in four at any vocabulary. Every row is a problem of its own (`shared`: all rows of a call are
one, handed over as expanded views): one of a few drawn afresh, its tokens renamed by a rotation of its own. Calls go
round more problems than anybody's plans are kept for, so that planning is part of what is timed; and round several sets
of drafts, so that accepted and rejected rows are met as often as the laws make them.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from spectest import drafting
from spectest.engine.caller import Randomness
from spectest.engine.precision import prepare
from spectest.errors import InvalidProblem
from spectest.problem import Problem, drafting_rule

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spectest.declaration import Declaration
    from spectest.drafting import Sampler
    from spectest.engine.backends import Backend
    from spectest.engine.precision import Prepared
    from spectest.engine.timing import Timing

_SPREAD: Final = 3.0
_NOISE: Final = 0.7
#: Problems that calls go round, in at least two batches: twice what `spectest.schemes.common.planning` remembers.
_PROBLEMS: Final = 32
_FEWEST_BATCHES: Final = 2
#: Problems drawn afresh, of which the others are rotations.
_DRAWN: Final = 4
_DRAFT_SETS: Final = 8


class Inputs:
    """Batches of rows in the selector's own arrays, and sets of drafts of each.

    Args:
        declaration: of the selector.
        backend: arrays of its kind.
        timing: what is to be timed.

    Raises:
        InvalidProblem: there are no such problems.
        ProblemTooLarge: the drafting law does not reach that far.
    """

    def __init__(self, declaration: Declaration, backend: Backend, timing: Timing) -> None:
        each = 1 if timing.shared else timing.rows
        number = max(_FEWEST_BATCHES, -(-_PROBLEMS // each))
        problems = _Problems(declaration, timing, number * each)
        self.targets: list[Any] = []
        calls = []
        for batch in range(number):
            rows = [problems.row(batch * each + index) for index in range(each)]
            target, draft = _handed(rows, backend, timing)
            sets = np.stack([row.drafts(_DRAFT_SETS * timing.rows // each) for row in rows], axis=1)
            sets = sets.reshape(_DRAFT_SETS, timing.rows, timing.n_drafts)
            self.targets.append(target)
            calls.append([(target, draft, ids) for ids in sets])
        #: The arguments of one call, the drafts on the host.
        self.first: tuple[Any, Any, NDArray[np.int64]] = calls[0][0]
        self.randomness = Randomness(declaration, backend, timing.seed)
        self._shape = (timing.rows if declaration.batched else None, timing.n_drafts)
        # Batch by batch, so that no problem comes twice in a row.
        arguments = [(p, q, backend.integers(ids)) for turn in zip(*calls, strict=True) for p, q, ids in turn]
        if not declaration.batched:
            arguments = [(p[0], q[0], ids[0]) for p, q, ids in arguments]
        self._turns = itertools.cycle(arguments)

    def calls(self, number: int) -> list[tuple[Any, ...]]:
        """Return the arguments of the next calls."""
        return [
            (*arguments, *self.randomness.arguments(*self._shape))
            for arguments in itertools.islice(self._turns, number)
        ]


def _handed(rows: list[_Row], backend: Backend, timing: Timing) -> tuple[Any, Any]:
    """Return (B, V) and (B, n, V), as expanded views of one problem or contiguous."""
    if timing.shared:
        return backend.expand(rows[0].target, timing.rows), backend.expand(rows[0].draft, timing.rows)
    target = backend.probabilities(np.stack([row.target for row in rows]))
    return target, backend.probabilities(np.stack([row.draft for row in rows]))


class _Problems:
    """So many problems of one size: a few drawn afresh, and rotations of them."""

    def __init__(self, declaration: Declaration, timing: Timing, number: int) -> None:
        v = timing.vocab_size
        kinds = max(_DRAWN, -(-number // v))
        self._drawn = [_drawn(declaration, timing, kind) for kind in range(kinds)]
        self._samplers = [drafting.get(it.problem.drafting).sampler(it.problem) for it in self._drawn]
        self._stride = max(1, v * kinds // number)
        self._stream = np.random.default_rng([timing.seed, 1])

    def row(self, index: int) -> _Row:
        """Return one of them."""
        turn, kind = divmod(index, len(self._drawn))
        drawn = self._drawn[kind]
        return _Row(drawn, self._samplers[kind], self._stream, turn * self._stride % drawn.target.size)


class _Row:
    """A problem with its tokens renamed, x to x + shift modulo V."""

    def __init__(self, drawn: Prepared, sampler: Sampler, stream: np.random.Generator, shift: int) -> None:
        self._sampler = sampler
        self._stream = stream
        self._shift = shift
        self.target = np.roll(drawn.target, shift)
        self.draft = np.roll(drawn.draft, shift, axis=1)

    def drafts(self, size: int) -> NDArray[np.int64]:
        """Return drafts (size, n)."""
        renamed: NDArray[np.int64] = (self._sampler(self._stream, size) + self._shift) % self.target.size
        return renamed


def _drawn(declaration: Declaration, timing: Timing, kind: int) -> Prepared:
    """Return one problem in the selector's precision."""
    v, n = timing.vocab_size, timing.n_drafts
    generator = np.random.default_rng([timing.seed, 0, v, kind])
    logits = _SPREAD * generator.standard_normal(v)
    noise = _NOISE * generator.standard_normal((n, v) if drafting_rule(declaration.drafting).rows_differ else v)
    problem = Problem(_softmax(logits), _softmax(logits + noise), n, declaration.drafting)
    prepared = prepare(problem, declaration.dtype)
    if prepared.problem.n_drafts != n:
        msg = f"in {declaration.dtype} fewer than {n} tokens have a positive draft probability"
        raise InvalidProblem(msg)
    return prepared


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    mass: NDArray[np.float64] = np.exp(logits - logits.max(axis=-1, keepdims=True))
    mass /= mass.sum(axis=-1, keepdims=True)
    return mass
