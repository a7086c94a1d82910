"""Calling a selector once, whatever its declared conventions, and checking what comes back."""

from __future__ import annotations

import itertools
import traceback
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from spectest.engine.faults import BadOutput, InputMutated, SelectorFault, SelectorRaised, SelectorRefused
from spectest.errors import ProblemTooLarge

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from spectest.declaration import Declaration
    from spectest.engine.backends import Backend
    from spectest.engine.experiment import Layout

#: The two protocols a call may follow.
Function = Literal["select", "propose"]

_SEEDS_AT_ONCE = 1024
_ITEM_SIZES = (1, 2, 4, 8)  # bytes of the types that a selector may keep its results in
#: Seeds of `rng="seed"`: what every consumer takes, among them numpy's legacy generators and signed 32-bit kernels.
_SEED_LIMIT = 2**31


class Pulse(Protocol):
    """Told when a call of the selector begins and ends, so that a watcher can see one that hangs."""

    @property
    def interrupted(self) -> bool:
        """Whether the user has pressed Ctrl-C."""
        ...

    def begin(self, function: Function = "select") -> None:
        """Mark the begin of a call of one of the two functions."""
        ...

    def end(self) -> None:
        """Mark the end of a call."""
        ...


class NoPulse:
    """Nobody watches, and nobody interrupts."""

    interrupted = False

    def begin(self, function: Function = "select") -> None:
        """See `Pulse`."""

    def end(self) -> None:
        """See `Pulse`."""


class Randomness:
    """The last argument of a selector, fresh for every call; a function of the seed alone.

    Where a proposer comes first, both get the same generator, or the same int; uniforms are each one's own.
    """

    def __init__(
        self, declaration: Declaration, backend: Backend, seed: int, uniforms: NDArray[np.float64] | None = None
    ) -> None:
        self._kind = declaration.rng
        self._given = uniforms  # (B, n + 1), for the one call there is
        self._backend = backend
        self._stream = np.random.default_rng(seed)
        self._seeds: list[int] = []
        self._proposed_with: int | None = None
        self._generator: Any = None
        if self._kind == "generator":
            self._generator = backend.generator(seed)
        elif self._kind == "global":
            backend.seed_globals(seed)

    def arguments(self, rows: int | None, n_drafts: int) -> tuple[Any, ...]:
        """Return what follows the drafts in a call of `rows` rows (None: one unbatched position)."""
        if self._kind == "generator":
            return (self._generator,)
        if self._kind == "global":
            return ()
        if self._kind == "seed":
            seed, self._proposed_with = self._proposed_with, None
            return (self._seed() if seed is None else seed,)
        return (self._uniforms(rows, n_drafts + 1),)

    def to_propose(self, rows: int | None, n_drafts: int) -> tuple[Any, ...]:
        """Return what follows `draft_probs` in a call of the proposer, before that of the selector."""
        if self._kind == "seed":
            self._proposed_with = self._seed()
            return (self._proposed_with,)
        if self._kind == "uniforms":
            return (self._uniforms(rows, n_drafts),)
        return self.arguments(rows, n_drafts)

    def _seed(self) -> int:
        if not self._seeds:
            self._seeds = self._stream.integers(_SEED_LIMIT, size=_SEEDS_AT_ONCE).tolist()
        return self._seeds.pop()

    def _uniforms(self, rows: int | None, columns: int) -> Any:
        if self._given is not None:
            given, self._given = (self._given, None) if rows is not None else (self._given[0], self._given[1:])
            return self._backend.uniforms(given)
        shape = (columns,) if rows is None else (rows, columns)
        return self._backend.uniforms(self._stream.random(shape))


class Caller:
    """A selector, its declaration and its backend.

    Args:
        function: the selector.
        declaration: how to call it.
        backend: arrays of its kind.
        pulse: told of every call.
    """

    def __init__(
        self, function: Callable[..., Any], declaration: Declaration, backend: Backend, pulse: Pulse | None = None
    ) -> None:
        self.function = function
        self.declaration = declaration
        self.backend = backend
        self.pulse = pulse or NoPulse()
        self.answer: Any = None  # the last batched answer, as it was returned

    def __call__(
        self,
        target: Any,
        draft: Any,
        ids: NDArray[np.int64],
        randomness: Randomness,
        *,
        layout: Layout = "own",
        litter: int | None = None,
    ) -> NDArray[np.int64]:
        """Call on B rows: target (B, V), draft (B, n, V), ids (B, n); return (B,) int64 on the host.

        `layout` is how its inputs lie in memory, `litter` the byte that memory freed just before the call is full of.

        Raises:
            SelectorFault: the selector raised, returned something else, or wrote to its inputs.
        """
        if not self.declaration.batched:
            return self._one_by_one(target, draft, ids, randomness, layout=layout, litter=litter)
        rows, vocab_size = target.shape
        target, draft, handed = self._laid_out(layout, target, draft, self.backend.integers(ids))
        before = self._versions(target, draft, handed)
        fourth = randomness.arguments(rows, ids.shape[1])

        def read(output: Any) -> NDArray[np.int64]:
            self.answer = output
            return self.backend.tokens(output, rows)

        self._leave(litter, rows, ids.shape[1], vocab_size)
        tokens: NDArray[np.int64] = self._invoke(read, target, draft, handed, *fourth)
        self._unchanged(before, target, draft, handed, ids)
        in_range(tokens, vocab_size)
        return tokens

    def _one_by_one(
        self,
        target: Any,
        draft: Any,
        ids: NDArray[np.int64],
        randomness: Randomness,
        *,
        layout: Layout,
        litter: int | None,
    ) -> NDArray[np.int64]:
        rows, vocab_size = target.shape
        handed = self.backend.integers(ids)
        before = self._versions(target, draft, handed)
        tokens = np.empty(rows, dtype=np.int64)
        for row in range(rows):
            laid_out = self._laid_out(layout, target[row], draft[row], handed[row])
            fourth = randomness.arguments(None, ids.shape[1])
            self._leave(litter, 1, ids.shape[1], vocab_size)
            token: int = self._invoke(_as_int, *laid_out, *fourth)
            if not 0 <= token < vocab_size:  # before it is stored: it may not even fit
                raise BadOutput(_out_of_range(token, vocab_size, row))
            tokens[row] = token
        self._unchanged(before, target, draft, handed, ids)
        return tokens

    def _laid_out(self, layout: Layout, target: Any, draft: Any, handed: Any) -> tuple[Any, Any, Any]:
        """Return the inputs of a call as they are to lie in memory; their contents stay the same."""
        if layout == "embedded":
            return self.backend.embed(target), self.backend.embed(draft), self.backend.embed(handed)
        if layout == "expanded":
            return target, self.backend.share(draft), handed
        return target, draft, handed

    def _leave(self, litter: int | None, rows: int, n_drafts: int, vocab_size: int) -> None:
        """Free memory of the sizes a selector is likely to ask for, full of the byte `litter`."""
        if litter is None:
            return
        elements = {vocab_size, n_drafts, n_drafts * vocab_size}
        elements |= {rows * width for width in (1, n_drafts, n_drafts + 1, vocab_size, n_drafts * vocab_size)}
        self.backend.litter(sorted(size * width for size in elements for width in _ITEM_SIZES), litter)

    def _versions(self, *arrays: Any) -> tuple[int, ...]:
        return tuple(map(self.backend.version, arrays))

    def _unchanged(self, before: tuple[int, ...], target: Any, draft: Any, handed: Any, ids: NDArray[np.int64]) -> None:
        after = self._versions(target, draft, handed)
        changed = [old != new for old, new in zip(before, after, strict=True)]
        # The drafts are few: they are compared as well, for writes the library keeps no count of.
        changed[-1] = changed[-1] or not self.backend.same(handed, self.backend.integers(ids))
        if any(changed):
            names = ("target_probs", "draft_probs", "draft_token_ids")
            msg = f"it wrote to its input {' and '.join(itertools.compress(names, changed))}"
            raise InputMutated(msg)

    def _invoke(self, read: Callable[[Any], Any], *arguments: Any) -> Any:
        """Call the selector and `read` its answer, in one pulse: a device may hang or fail only as that is fetched."""
        return self.guarded(lambda: read(self.function(*arguments)))

    def guarded(self, work: Callable[[], Any], function: Function = "select") -> Any:
        """Return what `work` makes of the selector, or of the `function` named, in one pulse.

        Raises:
            SelectorFault: whatever `work` raises, but the user's Ctrl-C.
        """
        self.pulse.begin(function)
        try:
            return work()
        except SelectorFault:  # of an answer that was read
            raise
        except SystemExit as error:
            msg = f"it called sys.exit({error.code!r})"
            raise SelectorRaised(msg, _trace(error)) from error
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and self.pulse.interrupted:
                raise
            msg = f"it raised {_one_line(error)}"
            fault = SelectorRefused if isinstance(error, ProblemTooLarge) else SelectorRaised
            raise fault(msg, _trace(error)) from error
        finally:
            self.pulse.end()


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def _one_line(error: BaseException) -> str:
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # noqa: BLE001 (an exception of the selector's own making)
        lines = []
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def in_range(tokens: NDArray[np.int64], vocab_size: int) -> None:
    """Refuse ids that are none; `tokens` has one row, or one entry, for each row of the call.

    Raises:
        BadOutput: one lies outside [0, V).
    """
    low, high = int(tokens.min()), int(tokens.max())
    if low < 0 or high >= vocab_size:
        place = int(tokens.argmin() if low < 0 else tokens.argmax())
        row = place // (tokens.size // tokens.shape[0])
        raise BadOutput(_out_of_range(low if low < 0 else high, vocab_size, row))


def _out_of_range(token: int, vocab_size: int, row: int) -> str:
    return f"token ids must lie in [0, {vocab_size}), got {token} in row {row}"


def _as_int(output: Any) -> int:
    if isinstance(output, (int, np.integer)) and not isinstance(output, bool):
        return int(output)
    shape, dtype = getattr(output, "shape", None), str(getattr(output, "dtype", ""))
    if shape is not None and tuple(shape) == () and "int" in dtype:
        return int(output)
    got = f"{dtype} of shape {tuple(shape)}" if shape is not None else f"an object of type {type(output).__name__}"
    msg = f"an unbatched selector must return one int, got {got}"
    raise BadOutput(msg)
