"""Edge problems: ordinary ones that some implementation special-cases, divides by zero on, or gets wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.checks.problems import build, softmax
from spectest.stats import derive_seed

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from spectest.checks.base import Settings
    from spectest.declaration import Declaration
    from spectest.problem import Problem

    Law = NDArray[np.float64]


def _pad(values: tuple[float, ...]) -> Law:
    return np.array(values, dtype=np.float64)


_APART: Final = 0.009


def _close(size: int) -> tuple[Law, Law]:
    """Return laws `_APART` in total variation: a draft taken for the target within one per cent is none."""
    draft = 1.0 + np.arange(size) % 5
    target = draft * (1 + 2 * _APART * np.where(np.arange(size) % 2, 1, -1))
    return target / target.sum(), draft / draft.sum()


#: name -> (target, draft) before the permutation. Each is an ordinary problem that some implementation got wrong.
_EDGES: Final[dict[str, Callable[[], tuple[Law, Law]]]] = {
    "one-hot-target": lambda: (_pad((0, 0, 1, 0, 0)), _pad((0.1, 0.3, 0.2, 0.3, 0.1))),
    "one-hot-draft": lambda: (_pad((0.1, 0.3, 0.2, 0.3, 0.1)), _pad((0, 0, 1, 0, 0))),
    "one-hot-both": lambda: (_pad((0, 1, 0, 0, 0)), _pad((0, 1, 0, 0, 0))),
    "one-hot-apart": lambda: (_pad((0, 1, 0, 0, 0)), _pad((0, 0, 0, 1, 0))),
    "equal": lambda: (_pad((0.3, 0.05, 0.2, 0.1, 0.25, 0.07, 0.03)),) * 2,
    "ties": lambda: (_pad((0.2, 0.2, 0.2, 0.2, 0.1, 0.1)), _pad((0.4, 0.1, 0.1, 0.1, 0.1, 0.2))),
    "uniform": lambda: (np.full(8, 0.125), np.full(8, 0.125)),
    "zeros-target": lambda: (_pad((0.5, 0, 0.2, 0, 0.3, 0)), _pad((0.1, 0.2, 0.3, 0.1, 0.1, 0.2))),
    "zeros-draft": lambda: (_pad((0.1, 0.2, 0.3, 0.1, 0.1, 0.2)), _pad((0.5, 0, 0.2, 0, 0.3, 0))),
    "zeros-both": lambda: (_pad((0.3, 0.3, 0, 0.4, 0, 0, 0)), _pad((0.5, 0, 0.2, 0.2, 0, 0.1, 0))),
    "disjoint": lambda: (_pad((0.2, 0, 0.5, 0, 0.3, 0)), _pad((0, 0.3, 0, 0.6, 0, 0.1))),
    "draft-off-target": lambda: (_pad((0.6, 0.4, 0, 0, 0)), _pad((0.05, 0.05, 0.4, 0.3, 0.2))),
    "target-off-draft": lambda: (_pad((0.05, 0.05, 0.4, 0.3, 0.2)), _pad((0.6, 0.4, 0, 0, 0))),
    # Of the token that is drafted now and then hardly anything is left: it shows what the residual subtracts.
    "peaked-draft": lambda: (_pad((0.3, 0.05, 0.4, 0.25)), _pad((0.95, 0.04, 0.005, 0.005))),
    "peaked-target": lambda: (_pad((0.97, 0.01, 0.01, 0.01)), _pad((0.1, 0.3, 0.2, 0.4))),
    # What is taken for one-hot by a threshold has a law of its own all the same.
    "nearly-one-hot-target": lambda: (_pad((0.994, 0.003, 0.002, 0.001)), _pad((0.1, 0.3, 0.2, 0.4))),
    "nearly-one-hot-draft": lambda: (_pad((0.1, 0.3, 0.35, 0.25)), _pad((0.991, 0.004, 0.003, 0.002))),
    "late-rounds": lambda: (_pad((0.1, 0.32, 0.25, 0.33)), _pad((0.55, 0.02, 0.22, 0.21))),
    "rare-tokens": lambda: (np.append(np.full(6, 0.165), np.full(24, 0.01 / 24)), np.full(30, 1 / 30)),
    "nearly-equal": lambda: (_pad((0.25, 0.25, 0.25, 0.25)), _pad((0.2501, 0.2499, 0.2502, 0.2498))),
    "close": lambda: _close(40),
    "tiny-masses": lambda: (_pad((0.6, 0.4, 1e-30, 1e-300)), _pad((0.3, 0.7, 1e-300, 1e-30))),
    "one-token": lambda: (_pad((1.0,)), _pad((1.0,))),
    "one-draft": lambda: (_pad((0.35, 0.1, 0.25, 0.3)), _pad((0.1, 0.4, 0.3, 0.2))),
}
#: Edges that are tested with a main problem's sample size: implementations special-case the first three, and in the
#: last the coins of the second and third round of rejection decide more often than on any main problem.
FULL_SIZE_EDGES: Final = frozenset({"equal", "ties", "close", "late-rounds"})
NEED_SEVERAL_DRAFTS: Final = frozenset({"one-draft", "late-rounds"})
#: The wide one: as after top-k, the few tokens' ids are scattered over the largest vocabulary asked for, at least 1009.
SPARSE: Final = "sparse"
_LEAST_WIDE: Final = 1009
_KEPT, _OFFERED, _SHARED = 50, 40, 30  # tokens of p, of q, of both


def _sparse(vocab_size: int, generator: np.random.Generator) -> tuple[Law, Law]:
    """Return laws of a few dozen tokens; most of the mass is on tokens that both have, where coins decide."""
    logits = 0.8 * generator.standard_normal(_KEPT + _OFFERED - _SHARED)
    target, draft = np.zeros(vocab_size), np.zeros(vocab_size)
    target[:_KEPT] = softmax(logits[:_KEPT])
    offered = logits[-_OFFERED:] + 0.8 * generator.standard_normal(_OFFERED)
    draft[logits.size - _OFFERED : logits.size] = softmax(offered)
    return target, draft


def full_size(name: str, settings: Settings) -> bool:
    """Return whether an edge is tested with a main problem's sample; not where it can hide no deviation of δ."""
    return name in FULL_SIZE_EDGES and (name != "close" or settings.delta < _APART)


def sparse_vocab(settings: Settings) -> int:
    """Return the vocabulary of the sparse problem."""
    return max(_LEAST_WIDE, *settings.vocab)


def edge_names() -> tuple[str, ...]:
    """Return the names of the edge problems."""
    return (*_EDGES, SPARSE)


def edge_problem(name: str, settings: Settings, declaration: Declaration) -> Problem:
    """Return an edge problem, its ids permuted by the run's seed."""
    generator = np.random.default_rng(derive_seed(settings.seed, "edge", name))
    target, draft = _sparse(sparse_vocab(settings), generator) if name == SPARSE else _EDGES[name]()
    n = 1 if name == "one-draft" else None
    return build(target, draft, declaration, generator, name, n=n)
