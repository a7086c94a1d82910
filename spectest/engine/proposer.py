"""Calling an implementation's own drafting, `propose`, by itself or before its selector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from spectest.engine.address import resolve
from spectest.engine.caller import in_range
from spectest.engine.faults import BadOutput, InputMutated, SelectorFault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

    from numpy.typing import NDArray

    from spectest.declaration import Declaration
    from spectest.engine.backends import Backend
    from spectest.engine.caller import Caller, Randomness


def proposer_of(declaration: Declaration, files: dict[Path, ModuleType] | None = None) -> Callable[..., Any] | None:
    """Return the declared proposer, None if there is none; `files` as in `resolve`.

    Raises:
        UsageError: its address does not import, does not exist or is not callable.
    """
    declared = declaration.propose
    return resolve(declared, files) if isinstance(declared, str) else declared


class Proposer:
    """A proposer, called by the conventions its selector declares, in the same process and under the same watch.

    Args:
        function: `propose(draft_probs, generator)`.
        caller: of the selector.
    """

    def __init__(self, function: Callable[..., Any], caller: Caller) -> None:
        self._function = function
        self._caller = caller

    def answers(
        self, target: Any, draft: Any, randomness: Randomness, *, verified: bool
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return own drafts (B, n) and, if `verified`, what the selector makes of them, else the first ones, (B,).

        The selector's call follows the proposer's at once, for an unbatched implementation position by position.

        Raises:
            SelectorFault: of either; a fault of the proposer names it.
        """
        rows = int(target.shape[0])
        step = rows if self._caller.declaration.batched else 1
        drafts, tokens = [], []
        for first in range(0, rows, step):
            some = slice(first, first + step)
            ids = self(draft[some], randomness)
            drafts.append(ids)
            tokens.append(self._caller(target[some], draft[some], ids, randomness) if verified else ids[:, 0])
        return np.concatenate(drafts), np.concatenate(tokens)

    def __call__(self, draft: Any, randomness: Randomness) -> NDArray[np.int64]:
        """Return the drafts (B, n) of one call: draft (B, n, V), of one row where the implementation is unbatched.

        Raises:
            SelectorFault: the proposer raised, returned something else, or wrote to its input.
        """
        try:
            return self._checked(draft, randomness)
        except SelectorFault as fault:
            msg = f"`propose`: {fault.message}"
            raise type(fault)(msg, fault.traceback) from fault

    def _checked(self, draft: Any, randomness: Randomness) -> NDArray[np.int64]:
        backend, batched = self._caller.backend, self._caller.declaration.batched
        rows, n_drafts, vocab_size = draft.shape
        handed = draft if batched else draft[0]
        before = backend.version(draft)
        last = randomness.to_propose(rows if batched else None, n_drafts)

        def work() -> NDArray[np.int64]:
            output = self._function(handed, *last)
            return backend.tokens(output, rows, n_drafts) if batched else _as_ids(output, backend, n_drafts)

        ids: NDArray[np.int64] = self._caller.guarded(work, "propose")
        if backend.version(draft) != before:
            msg = "it wrote to its input draft_probs"
            raise InputMutated(msg)
        in_range(ids, vocab_size)
        return ids


def _as_ids(output: Any, backend: Backend, n_drafts: int) -> NDArray[np.int64]:
    """Return one position's drafts, (1, n): an array (n,) int64, or a sequence of n ints."""
    if not isinstance(output, Sequence):
        return backend.tokens(output, n_drafts)[None]
    ids = [int(token) for token in output if isinstance(token, (int, np.integer)) and not isinstance(token, bool)]
    if len(ids) != n_drafts or len(output) != n_drafts:
        msg = f"it must return {n_drafts} ints for one position, got {type(output).__name__} of length {len(output)}"
        raise BadOutput(msg)
    return np.array([ids], dtype=np.int64)
