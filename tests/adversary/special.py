"""Selectors that are right on most problems: each hands out its first draft unverified where a coincidence holds.

p, q: (B, V) and (B, n, V) float64; ids: (B, n).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from spectest import selector

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[Any]
    Coincidence = Callable[[Array, Array, Array], Array]


def drawn(law: Array, coin: Array) -> Array:
    """Draw a token a row by inverse CDF; none of mass 0 at whatever coin in [0, 1)."""
    cdf = law.cumsum(-1)
    level = np.minimum(coin * cdf[:, -1], np.nextafter(cdf[:, -1], 0))
    return (cdf <= level[:, None]).sum(-1)


@selector(array="numpy")
def correct(p: Array, q: Array, ids: Array, generator: np.random.Generator) -> Array:
    """Recursive rejection with replacement: lossless."""
    rows, left = np.arange(len(ids)), p
    token = np.full(len(ids), -1)
    for k in range(ids.shape[1]):
        x = ids[:, k]
        accepted = (token < 0) & (generator.random(len(ids)) * q[rows, k, x] < left[rows, x])
        token = np.where(accepted, x, token)
        residual = np.maximum(left - q[:, k], 0)
        total = residual.sum(-1, keepdims=True)
        left = np.where(total > 0, residual / np.where(total > 0, total, 1), left)
    return np.where(token < 0, drawn(left, generator.random(len(ids))), token)


def unverified(where: Coincidence) -> Callable[..., Array]:
    """Return the correct selector, but the first draft in rows where `where(p, q, ids)` holds."""

    @selector(array="numpy")
    def select(p: Array, q: Array, ids: Array, generator: np.random.Generator) -> Array:
        return np.where(where(p, q, ids), ids[:, 0], correct(p, q, ids, generator))

    return select


def always(p: Array, q: Array, ids: Array) -> Array:
    """Wrong everywhere."""
    return np.full(len(p), fill_value=True)


def _ties(p: Array, q: Array, ids: Array) -> Array:
    ranked = np.sort(p, axis=-1)
    return ((ranked[:, 1:] == ranked[:, :-1]) & (ranked[:, 1:] > 0)).any(-1)


def _repeats(p: Array, q: Array, ids: Array) -> Array:
    return (ids[:, :1] == ids[:, 1:]).any(-1)


def _rare(p: Array, q: Array, ids: Array) -> Array:
    return np.asarray(((p > 100 * q[:, 0]) & (q[:, 0] > 0)).any(-1))


#: name -> where it goes wrong, by the coincidence that it takes.
COINCIDENCES: Final[dict[str, Coincidence]] = {
    "two tokens tie": _ties,
    "the last token has no mass": lambda p, q, ids: p[:, -1] == 0,
    "the laws nearly agree": lambda p, q, ids: np.minimum(p, q[:, 0]).sum(-1) > 0.9,
    "the likeliest token is the same": lambda p, q, ids: p.argmax(-1) == q[:, 0].argmax(-1),
    "the draft is certain": lambda p, q, ids: q[:, 0].max(-1) == 1,
    "a token is a hundred times likelier than drafted": _rare,
    "the vocabulary is odd": lambda p, q, ids: np.full(len(p), p.shape[-1] % 2 == 1),
    "the laws agree on a token": lambda p, q, ids: ((p == q[:, 0]) & (p > 0)).any(-1),
    "a draft repeats": _repeats,
}


@selector(array="numpy")
def looks_at_neighbours(p: Array, q: Array, ids: Array, generator: np.random.Generator) -> Array:
    """Read a batch whose rows differ one row off: right where all rows hold one problem."""
    return correct(np.roll(p, 1, axis=0), q, ids, generator)


@selector(array="numpy")
def refuses_one_token(p: Array, q: Array, ids: Array, generator: np.random.Generator) -> Array:
    """Raise where there is a single token."""
    if p.shape[-1] == 1:
        msg = "nothing to choose from"
        raise RuntimeError(msg)
    return correct(p, q, ids, generator)
