"""The problems on which own drafts are looked at: small ones to enumerate, mixed batches, known answers.

Everything is a function of (settings, declaration, name), as in `spectest.checks.problems`.
"""

from __future__ import annotations

from math import perm
from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.checks.problems import build
from spectest.problem import drafting_rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from spectest.checks.base import Context
    from spectest.declaration import Declaration
    from spectest.problem import Problem

    Law = NDArray[np.float64]

_SHAPES: Final = ((1, 64), (7, 9), (32, 33), (3, 1), (4, 70_001), (1, 150_001))
_WIDE: Final = 70_001
#: All tuples of drafts are enumerated up to this many, and of so many drafts at most.
_TUPLES: Final = 256
_DRAFTS: Final = 8
_DISTINCT_DRAFTS: Final = 5
_LARGEST: Final = 8
_STATES_VOCAB: Final = 12


def _generic(generator: np.random.Generator, size: int) -> Law:
    law: Law = 0.5 * generator.dirichlet(np.full(size, 2.0)) + 0.5 / size
    return law


def _ties(generator: np.random.Generator, size: int) -> Law:
    del generator
    weights = 1.0 + np.arange(size) // 2 % 2
    law: Law = weights / weights.sum()
    return law


def _zeros(generator: np.random.Generator, size: int) -> Law:
    padded = np.zeros(size + 3)
    padded[:size] = _generic(generator, size)
    return padded


def _peaked(generator: np.random.Generator, size: int) -> Law:
    del generator
    law = np.full(size, 0.05 / max(1, size - 1))
    law[0] = 1 - law[1:].sum()
    return law


#: name -> draft law of a number of tokens.
SMALL_PROBLEMS: Final[dict[str, Callable[[np.random.Generator, int], Law]]] = {
    "generic": _generic,
    "ties": _ties,
    "zeros": _zeros,
    "peaked": _peaked,
}


def small_problem(name: str, context: Context) -> Problem:
    """Return a problem all of whose tuples of drafts can be counted; with many drafts declared it has fewer."""
    declaration = context.declaration
    generator = np.random.default_rng(context.seed("proposal", "joint", name))
    n, size = _small(declaration)
    draft = SMALL_PROBLEMS[name](generator, size)
    return build(np.full(draft.size, 1 / draft.size), draft, declaration, generator, name, n=n)


def _small(declaration: Declaration) -> tuple[int, int]:
    """Return how many drafts of how many tokens make a small problem."""
    distinct = drafting_rule(declaration.drafting).distinct
    n = min(declaration.n_drafts, _DISTINCT_DRAFTS if distinct else _DRAFTS)
    least = n + 1 if distinct else 2
    sizes = [size for size in range(least, _LARGEST + 1) if (perm(size, n) if distinct else size**n) <= _TUPLES]
    return n, max(sizes, default=least)


def known_drafts(context: Context) -> Iterator[list[Problem]]:
    """Yield batches of problems whose q is one token.

    In wide vocabularies those are the last ids and ids where narrow integers and blocks end.
    """
    for rows, vocab_size in _SHAPES:
        generator = np.random.default_rng(context.seed("proposal", "known-drafts", "problems", rows, vocab_size))
        found = []
        for row in range(rows):
            token = (
                (vocab_size - 1, 65_536, 32_768, 1_024)[row] if vocab_size >= _WIDE else generator.integers(vocab_size)
            )
            draft = np.zeros(vocab_size)
            draft[token] = 1.0
            order = np.arange(vocab_size)
            target = np.full(vocab_size, 1 / vocab_size)
            found.append(build(target, draft, context.declaration, generator, f"row-{row}", order=order))
        yield found


def states_problem(context: Context) -> Problem:
    """Return a problem of which hardly two rows have the same drafts by chance."""
    generator = np.random.default_rng(context.seed("proposal", "states", "problem"))
    uniform = np.full(context.declaration.n_drafts + _STATES_VOCAB, 1 / (context.declaration.n_drafts + _STATES_VOCAB))
    return build(uniform, uniform, context.declaration, generator, "states")


def mixed_problems(count: int, case: str, context: Context) -> list[Problem]:
    """Return `count` problems of one (n, V), each with a q on a few tokens of its own.

    Drafts made for another row hold tokens that q does not have, an exact failure.
    """
    declaration = context.declaration
    generator = np.random.default_rng(context.seed("proposal", case, "problems"))
    size = max(3, declaration.n_drafts + 1)
    vocab_size = size + 5
    order, found = generator.permutation(vocab_size), []
    for index in range(count):
        draft = np.zeros(vocab_size)
        draft[(index + np.arange(size)) % vocab_size] = _generic(generator, size)
        target = np.full(vocab_size, 1 / vocab_size)
        found.append(build(target, draft, declaration, generator, f"row-{index}", order=order))
    return found


def rows_problem(context: Context) -> Problem:
    """Return a problem whose last draft still has several tokens to choose from, as few as that takes."""
    generator = np.random.default_rng(context.seed("proposal", "rows", "problem"))
    distinct = drafting_rule(context.declaration.drafting).distinct
    size = context.declaration.n_drafts + 3 if distinct else 4
    draft = _generic(generator, size)
    return build(draft, draft, context.declaration, generator, "rows")
