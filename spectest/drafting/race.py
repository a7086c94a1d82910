"""Drafts without replacement as an exponential race: exact integrals at any vocabulary.

Give token x an arrival time of rate q(x): the first n arrivals, in order, are n drafts without replacement. So all
drafts lie in H if n tokens of H arrive before the first token outside, which arrives at rate r = q(V - H):

    1 - Q(H) = ∫ r exp(-r t) P(fewer than n of H have arrived by t) dt,

a sum of positive terms only. With t = exp(s - exp(-s)) the integrand falls off doubly exponentially on the left, where
it is r t and nothing happens, and is analytic for |Im s| < 1.3 on the right, where t is nearly exp(s): the trapezoid
rule of step h errs by about exp(-2π·1.3/h)·4^n, 1e-16 at the step below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.drafting.arrivals import MOMENTS, LightArrivals, add_token, heavy_tokens
from spectest.errors import ProblemTooLarge

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FIRST: Final = -3.6  # t = 1e-17; r <= 1: what arrives before weighs less than this
_LAST: Final = 45.0  # exp(-45) = 3e-20
_LIGHTEST: Final = 1e-290  # t stays far from overflow
_BLOCK: Final = 2_000_000  # numbers per temporary
_STRETCH: Final = 256  # tokens per stored row of moments


def _nodes(
    draft: NDArray[np.float64], n_drafts: int, end: float = np.inf
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return times up to `end` and weights (T,) that integrate every miss of `draft`.

    By t = 45 / (n-th largest mass) either the n heaviest tokens, all in H, have arrived, or r t >= 45.
    """
    anchor = float(np.partition(draft, -n_drafts)[-n_drafts])
    if anchor < _LIGHTEST:
        msg = f"no exact route at this size when fewer than n = {n_drafts} draft probabilities exceed {_LIGHTEST}"
        raise ProblemTooLarge(msg)
    step = 2.6 * np.pi / (36.0 + 1.4 * n_drafts)
    s = np.arange(_FIRST, np.log(_LAST / anchor) + step, step)
    times = np.exp(s - np.exp(-s))
    weights = step * (1.0 + np.exp(-s)) * times
    return times[times <= end], weights[times <= end]


class Race:
    """The race of one q: heavy tokens, light tokens, and the quadrature that serves every set H.

    Args:
        draft: q, shape (V,).
        n_drafts: n, at most the support of q.

    Raises:
        ProblemTooLarge: fewer than n masses exceed 1e-290.
    """

    def __init__(self, draft: NDArray[np.float64], n_drafts: int) -> None:
        self.n_drafts = n_drafts
        self.heavy, unit, end = heavy_tokens(draft, n_drafts)
        self.times, self._weights = _nodes(draft, n_drafts, end)
        exponent = -np.multiply.outer(draft[self.heavy], self.times)
        #: P(a heavy token is still absent, has arrived, by each time), (K, T).
        self.absent, self.arrived = np.exp(exponent), -np.expm1(exponent)
        #: Masses in units of the lightest heavy token, the heavy ones 0, (V,).
        self.light = draft / unit
        self.light[self.heavy] = 0.0
        # Without light tokens, to which any time is long, none may be taken to the 16th power.
        self._light_arrivals = LightArrivals(self.times * unit if end < np.inf else 0.0 * self.times, n_drafts)

    def start(self, rows: int) -> NDArray[np.float64]:
        """Return P(exactly k heavy tokens of H have arrived), (n, rows, T), before any is added."""
        counts = np.zeros((self.n_drafts, rows, self.times.size))
        counts[0] = 1.0
        return counts

    def miss(
        self, counts: NDArray[np.float64], moments: NDArray[np.float64], outside: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return 1 - Q(H) from the heavy counts (n, M, T), the moments (M, 16) and r (M,): shape (M,)."""
        light = self._light_arrivals(moments)
        at_most = counts.cumsum(axis=0)
        fewer = at_most[-1] * light[0]
        for k in range(1, self.n_drafts):
            fewer += at_most[-1 - k] * light[k]
        rate = outside[:, None]
        found: NDArray[np.float64] = (fewer * np.exp(-rate * self.times) * rate) @ self._weights
        return found.clip(0.0, 1.0)


class PrefixMiss:
    """1 - Q(H) for any prefix H of an order: what is proportional to V is done once, then a prefix costs little.

    Args:
        draft: q, shape (V,).
        n_drafts: n, at most the support of q.
        order: distinct ids, shape (M,), among them every token with q > 0.
    """

    def __init__(self, draft: NDArray[np.float64], n_drafts: int, order: NDArray[np.intp]) -> None:
        self._race = Race(draft, n_drafts)
        position = np.empty(draft.size, dtype=np.intp)
        position[order] = np.arange(order.size)
        self._heavy = np.argsort(position[self._race.heavy])  # in the order of the prefixes
        self._positions = position[self._race.heavy[self._heavy]]
        self._masses, self._light = _stretches(draft[order]), _stretches(self._race.light[order])
        self._tails = np.append(np.cumsum(self._masses.sum(axis=1)[::-1])[::-1], 0.0)
        self._moments = np.zeros((len(self._light) + 1, MOMENTS))
        np.cumsum(_moments(self._light), axis=0, out=self._moments[1:])

    def __call__(self, lengths: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the misses of the first m tokens for m in `lengths`, (K,), ascending."""
        race = self._race
        misses = np.empty(lengths.size)
        counts, added = race.start(1)[:, 0], 0
        block = max(1, _BLOCK // (race.n_drafts * race.times.size))
        for first in range(0, lengths.size, block):
            some = lengths[first : first + block]
            table = np.empty((race.n_drafts, some.size, race.times.size))
            for row, until in enumerate(np.searchsorted(self._positions, some)):
                for i in self._heavy[added:until]:
                    add_token(counts, race.absent[i], race.arrived[i])
                added = until
                table[:, row] = counts
            stretch, inside = np.divmod(some, _STRETCH)
            taken = np.arange(_STRETCH) < inside[:, None]
            moments = self._moments[stretch] + _moments(np.where(taken, self._light[stretch], 0.0))
            outside = self._tails[stretch + 1] + np.where(taken, 0.0, self._masses[stretch]).sum(axis=1)
            misses[first : first + block] = race.miss(table, moments, outside)
        return np.where(lengths < race.n_drafts, 1.0, misses)


def _stretches(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `values` in rows of 256, the last filled up with at least one zero: every length falls in a row."""
    rows = np.zeros((values.size // _STRETCH + 1, _STRETCH))
    rows.flat[: values.size] = values
    return rows


def _moments(masses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sums of the powers 1..16 of each row, (K, M) -> (K, 16)."""
    power, moments = masses.copy(), np.empty((len(masses), MOMENTS))
    for j in range(MOMENTS):
        power.sum(axis=1, out=moments[:, j])
        power *= masses
    return moments


def subset_miss(draft: NDArray[np.float64], n_drafts: int, subsets: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return 1 - Q(H) for each row of `subsets` (K, V) -> (K,); costs some 40 K·V operations where V is large."""
    race = Race(draft, n_drafts)
    misses = np.empty(len(subsets))
    block = max(1, _BLOCK // max(n_drafts * race.times.size, draft.size))
    for first in range(0, len(subsets), block):
        inside = subsets[first : first + block]
        counts = race.start(len(inside))
        for i, x in enumerate(race.heavy):
            member = inside[:, x, None]
            add_token(counts, np.where(member, race.absent[i], 1.0), np.where(member, race.arrived[i], 0.0))
        moments = _moments(np.where(inside, race.light, 0.0))
        misses[first : first + block] = race.miss(counts, moments, np.where(inside, 0.0, draft).sum(axis=1))
    return np.where(np.count_nonzero(subsets & (draft > 0), axis=1) < n_drafts, 1.0, misses)


def _truncated_product(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Multiply polynomials held as (n, ...) coefficients, dropping powers of n and above."""
    product: NDArray[np.float64] = a[0] * b
    for k in range(1, len(a)):
        product[k:] += a[k] * b[: len(b) - k]
    return product


def _all_but_one(leaves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return, for each of the M polynomials (n, M, T), the truncated product of the others: a tree up, then down."""
    n, size, width = leaves.shape
    padded = np.zeros((n, 1 << (size - 1).bit_length(), width))
    padded[0] = 1.0
    padded[:, :size] = leaves
    levels = [padded]
    while levels[-1].shape[1] > 1:
        levels.append(_truncated_product(levels[-1][:, ::2], levels[-1][:, 1::2]))
    others = np.zeros((n, 1, width))
    others[0] = 1.0
    for level in levels[-2::-1]:
        children = np.empty_like(level)
        children[:, ::2] = _truncated_product(others, level[:, 1::2])
        children[:, 1::2] = _truncated_product(others, level[:, ::2])
        others = children
    return others[:, :size]


def race_inclusion(draft: NDArray[np.float64], n_drafts: int) -> NDArray[np.float64]:
    """Return P(x among the n drafts) = P(fewer than n others arrive before x) for each token, (V,)."""
    times, weights = _nodes(draft, n_drafts)
    support = np.flatnonzero(draft)
    masses = draft[support]
    found = np.zeros(support.size)
    block = max(1, _BLOCK // (n_drafts * support.size))
    for first in range(0, times.size, block):
        exponent = -np.multiply.outer(masses, times[first : first + block])
        leaves = np.zeros((n_drafts, *exponent.shape))
        leaves[0] = np.exp(exponent)
        if n_drafts > 1:
            leaves[1] = -np.expm1(exponent)
        fewer = _all_but_one(leaves).sum(axis=0)
        found += (fewer * leaves[0] * masses[:, None]) @ weights[first : first + block]
    inclusion = np.zeros(draft.size)
    inclusion[support] = np.minimum(found, 1.0)
    return inclusion
