"""Calling a selector once, whatever its declared conventions, and checking what comes back."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from spectest.engine.faults import BadOutput, InputMutated, SelectorRaised

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from spectest.declaration import Declaration
    from spectest.engine.backends import Backend

_SEEDS_AT_ONCE = 1024


class Pulse(Protocol):
    """Told when a call of the selector begins and ends, so that a watcher can see one that hangs."""

    def begin(self) -> None:
        """Mark the begin of a call."""
        ...

    def end(self) -> None:
        """Mark the end of a call."""
        ...


class NoPulse:
    """Nobody watches."""

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
                self._seeds = self._stream.integers(2**63, size=_SEEDS_AT_ONCE).tolist()
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

    def __call__(
        self, target: Any, draft: Any, ids: NDArray[np.int64], randomness: Randomness  # noqa: ANN401
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
        output = self._invoke(target, draft, handed, *randomness.arguments(rows, ids.shape[1]))
        tokens = self.backend.tokens(output, rows)
        if self._versions(target, draft, handed) != before:
            raise InputMutated(_mutated(before, self._versions(target, draft, handed)))
        _in_range(tokens, vocab_size)
        return tokens

    def _one_by_one(
        self, target: Any, draft: Any, ids: NDArray[np.int64], randomness: Randomness  # noqa: ANN401
    ) -> NDArray[np.int64]:
        rows, vocab_size = target.shape
        handed = self.backend.integers(ids)
        before = self._versions(target, draft, handed)
        tokens = np.empty(rows, dtype=np.int64)
        for row in range(rows):
            output = self._invoke(target[row], draft[row], handed[row], *randomness.arguments(None, ids.shape[1]))
            tokens[row] = _as_int(output)
        if self._versions(target, draft, handed) != before:
            raise InputMutated(_mutated(before, self._versions(target, draft, handed)))
        _in_range(tokens, vocab_size)
        return tokens

    def _versions(self, *arrays: Any) -> tuple[int, ...]:  # noqa: ANN401
        return tuple(map(self.backend.version, arrays))

    def _invoke(self, *arguments: Any) -> Any:  # noqa: ANN401
        self.pulse.begin()
        try:
            return self.function(*arguments)
        except Exception as error:
            trace = "".join(traceback.format_exception(error))
            first = str(error).strip().splitlines()
            msg = f"it raised {type(error).__name__}" + (f": {first[0]}" if first else "")
            raise SelectorRaised(msg, trace) from error
        except SystemExit as error:
            msg = f"it called sys.exit({error.code!r})"
            raise SelectorRaised(msg) from error
        finally:
            self.pulse.end()


def _mutated(before: tuple[int, ...], after: tuple[int, ...]) -> str:
    names = ("target_probs", "draft_probs", "draft_token_ids")
    changed = [name for name, old, new in zip(names, before, after, strict=True) if old != new]
    return f"it wrote to its input {' and '.join(changed)}"


def _in_range(tokens: NDArray[np.int64], vocab_size: int) -> None:
    low, high = int(tokens.min()), int(tokens.max())
    if low < 0 or high >= vocab_size:
        row = int(tokens.argmin() if low < 0 else tokens.argmax())
        msg = f"token ids must lie in [0, {vocab_size}), got {low if low < 0 else high} in row {row}"
        raise BadOutput(msg)


def _as_int(output: Any) -> int:  # noqa: ANN401
    if isinstance(output, (int, np.integer)) and not isinstance(output, bool):
        return int(output)
    shape, dtype = getattr(output, "shape", None), str(getattr(output, "dtype", ""))
    if shape is not None and tuple(shape) == () and "int" in dtype:
        return int(output)
    got = f"{dtype} of shape {tuple(shape)}" if shape is not None else f"an object of type {type(output).__name__}"
    msg = f"an unbatched selector must return one int, got {got}"
    raise BadOutput(msg)
