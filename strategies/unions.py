"""Drawing from every family at once, in a way that shrinks out of all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

import numpy as np
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hypothesis.strategies import DrawFn, SearchStrategy

    from spectest.strategies.arguments import Sizes
    from spectest.strategies.building import Law
    from spectest.strategies.pairing import Pair

_T = TypeVar("_T")

# A failure found in one family rarely survives a change of family, and softmaxes do not shrink to halves. So every
# union ends with one more choice: 0 rounds to halves, 1 to eighths, 2 to sixty-fourths, the rest leave laws as drawn.
_SIMPLIFICATIONS: Final = st.integers(0, 15)
_DENOMINATORS: Final = {0: 2, 1: 8, 2: 64}


class Family(NamedTuple, Generic[_T]):
    """A named family: its strategy at given sizes, and the fewest tokens it can have."""

    strategy: Callable[[Sizes], SearchStrategy[_T]]
    fewest_tokens: int = 1


def union(families: Mapping[str, Family[_T]], vocab: tuple[int, int]) -> SearchStrategy[_T]:
    """Return what the families that have laws of these sizes give, exactly as they give it."""
    low, high = vocab
    fitting = [family for family in families.values() if family.fewest_tokens <= high]
    return st.one_of([family.strategy((max(low, family.fewest_tokens), high)) for family in fitting])


def legible_laws(laws: SearchStrategy[Law], fewest_tokens: int) -> SearchStrategy[Law]:
    """Return `laws`, now and then simplified: where failures shrink to if they can."""
    return _legible(laws.map(lambda law: (law,)), fewest_tokens).map(lambda only: only[0])


def legible_pairs(pairs: SearchStrategy[Pair], fewest_tokens: int) -> SearchStrategy[Pair]:
    """Return `pairs`, now and then with both laws simplified alike: where failures shrink to if they can."""
    return _legible(pairs, fewest_tokens).map(lambda both: (both[0], both[1]))


@st.composite
def _legible(draw: DrawFn, groups: SearchStrategy[tuple[Law, ...]], fewest_tokens: int) -> tuple[Law, ...]:
    laws = draw(groups)
    choice = draw(_SIMPLIFICATIONS)
    return simplified(laws, _DENOMINATORS[choice], fewest_tokens) if choice in _DENOMINATORS else laws


def simplified(laws: tuple[Law, ...], denominator: int, fewest_tokens: int) -> tuple[Law, ...]:
    """Return `laws` rounded to fractions over `denominator`, without the tokens that none of them uses.

    Unused tokens stay only as far as `fewest_tokens` asks.
    """
    fractions = np.stack([rounded(law, denominator) for law in laws])
    used = np.asarray((fractions > 0).any(axis=0))
    spare = np.flatnonzero(~used)[: max(0, fewest_tokens - int(used.sum()))]
    used[spare] = True
    return tuple(fractions[:, used])


def rounded(law: Law, denominator: int) -> Law:
    """Return the law of fractions over `denominator` nearest to `law`, by largest remainder; zeros stay zero."""
    shares = law * denominator
    counts = np.floor(shares)
    # A law's sum may be a hair off 1, its floors never above the denominator by a whole unit.
    short = denominator - int(counts.sum())
    counts[np.argsort(counts - shares, kind="stable")[:short]] += 1
    return np.asarray(counts / denominator, dtype=np.float64)
