"""Calling a selector once, whatever its declared conventions, and checking what comes back."""

from __future__ import annotations

import itertools
import traceback
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from spectest.engine.faults import BadOutput, InputMutated, SelectorFault, SelectorRaised

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from spectest.declaration import Declaration
    from spectest.engine.backends import Backend

_SEEDS_AT_ONCE = 1024
#: Seeds of `rng="seed"`: what every consumer takes, among them numpy's legacy generators and signed 32-bit kernels.
_SEED_LIMIT = 2**31


class Pulse(Protocol):
    """Told when a call of the selector begins and ends, so that a watcher can see one that hangs."""

    @property
    def interrupted(self) -> bool:
        """Whether the user has pressed Ctrl-C."""
        ...

    def begin(self) -> None:
        """Mark the begin of a call."""
        ...

    def end(self) -> None:
        """Mark the end of a call."""
        ...


class NoPulse:
    """Nobody watches, and nobody interrupts."""

    interrupted = False

    def begin(self) -> None:
        """See `Pulse`."""

    def end(self) -> None:
        """See `Pulse`."""


class Randomness:
    """The fourth argument of a selector, fresh for every call; a function of the seed alone."""

    def __init__(self, declaration: Declaration, backend: Backend, seed: int) -> None:
        self._kind = declaration.rng
        self._backend = backend
        self._stream = np.random.default_rng(seed)
        self._seeds: list[int] = []
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
            if not self._seeds:
                self._seeds = self._stream.integers(_SEED_LIMIT, size=_SEEDS_AT_ONCE).tolist()
            return (self._seeds.pop(),)
        shape = (n_drafts + 1,) if rows is None else (rows, n_drafts + 1)
        return (self._backend.uniforms(self._stream.random(shape)),)


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
    ) -> NDArray[np.int64]:
        """Call on B rows: target (B, V), draft (B, n, V), ids (B, n); return (B,) int64 on the host.

        Raises:
            SelectorFault: the selector raised, returned something else, or wrote to its inputs.
        """
        if not self.declaration.batched:
            return self._one_by_one(target, draft, ids, randomness)
        rows, vocab_size = target.shape
        handed = self.backend.integers(ids)
        before = self._versions(target, draft, handed)
        fourth = randomness.arguments(rows, ids.shape[1])

        def read(output: Any) -> NDArray[np.int64]:
            self.answer = output
            return self.backend.tokens(output, rows)

        tokens: NDArray[np.int64] = self._invoke(read, target, draft, handed, *fourth)
        self._unchanged(before, target, draft, handed, ids)
        _in_range(tokens, vocab_size)
        return tokens

    def _one_by_one(
        self,
        target: Any,
        draft: Any,
        ids: NDArray[np.int64],
        randomness: Randomness,
    ) -> NDArray[np.int64]:
        rows, vocab_size = target.shape
        handed = self.backend.integers(ids)
        before = self._versions(target, draft, handed)
        tokens = np.empty(rows, dtype=np.int64)
        for row in range(rows):
            fourth = randomness.arguments(None, ids.shape[1])
            token: int = self._invoke(_as_int, target[row], draft[row], handed[row], *fourth)
            if not 0 <= token < vocab_size:  # before it is stored: it may not even fit
                raise BadOutput(_out_of_range(token, vocab_size, row))
            tokens[row] = token
        self._unchanged(before, target, draft, handed, ids)
        return tokens

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

    def guarded(self, work: Callable[[], Any]) -> Any:
        """Return what `work` makes of the selector, in one pulse.

        Raises:
            SelectorFault: whatever `work` raises, but the user's Ctrl-C.
        """
        self.pulse.begin()
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
            raise SelectorRaised(msg, _trace(error)) from error
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


def _in_range(tokens: NDArray[np.int64], vocab_size: int) -> None:
    low, high = int(tokens.min()), int(tokens.max())
    if low < 0 or high >= vocab_size:
        row = int(tokens.argmin() if low < 0 else tokens.argmax())
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
