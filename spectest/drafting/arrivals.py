"""How many tokens of a set H have arrived by time t, at any vocabulary: heavy ones one by one, light ones by moments.

In the race of `spectest.drafting.race` the number of arrivals among H by time t has the generating function
prod over x in H of (e^{-qt} + (1 - e^{-qt}) z), q = q(x). Heavy tokens are multiplied in one at a time. The others, all
with q t <= y, multiply to

    e^{-t Σq} exp(Σ_k (-1)^{k+1} z^k/k S_k),  S_k = Σ_x (e^{qt} - 1)^k = Σ_j a_kj t^j Σ_x q^j,  a_kj = [y^j](e^y - 1)^k:

their moments Σ q^j are all that matters, whatever the vocabulary. With y = 2/n Newton's identities, whose signs
alternate, cost a factor e^{k y} < e² of accuracy at most.

Heavy are the K heaviest tokens of q, and the integral ends at the time T when each of them has q T >= y. With a of them
in H and b outside, a + b = K, what is left out is at most

    e^{-rT} P(fewer than n of H by T) <= e^{-yb} Σ_{k<n} C(a,k) (1 - e^{-y})^k e^{-y(a-k)}
                                      <= e^{-yK} Σ_{k<n} C(K,k) (e^y - 1)^k,

which is below 1e-18 at K y = 50 + 2.2 n. At an earlier time s T the same bound holds with s y for y, while the series,
where k y < 2, leave out terms of (2s)^17/17! and less after the 16th: the product is below 1e-18 for every s.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOMENTS: Final = 16
_LIGHT: Final = 0.5  # y, where n is small


def heavy_tokens(draft: NDArray[np.float64], n_drafts: int) -> tuple[NDArray[np.intp], float, float]:
    """Return the ids of the heavy tokens (K,), the mass u of the lightest of them, and the time y/u.

    Up to that time all other tokens are light. Where every token is heavy, u is 1 and the time infinite.

    Args:
        draft: q, shape (V,).
        n_drafts: n.
    """
    light = min(_LIGHT, 2.0 / n_drafts)
    count = ceil((50.0 + 2.2 * n_drafts) / light)
    if count < draft.size:
        ids = np.argpartition(draft, -count)[-count:]
        unit = float(draft[ids].min())
        if unit > 0:
            with np.errstate(over="ignore"):  # a subnormal mass: the race is over long before
                return ids, unit, float(np.divide(light, unit))
    return np.flatnonzero(draft), 1.0, np.inf


def add_token(
    counts: NDArray[np.float64], absent: NDArray[np.float64], arrived: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Add a token, P(still absent) and P(arrived) of which are given, to `counts` in place, P(exactly k have arrived).

    Args:
        counts: (n, ..., T).
        absent: (T,) or (..., T).
        arrived: (T,) or (..., T).
    """
    moved = counts[:-1] * arrived
    counts *= absent
    counts[1:] += moved
    return counts


class LightArrivals:
    """P(exactly k of the light tokens of H have arrived by each time), k < n, from the moments of their masses.

    Args:
        times: times in the unit of the moments, (T,), at most y.
        n_drafts: n.
    """

    def __init__(self, times: NDArray[np.float64], n_drafts: int) -> None:
        first = 1.0 / np.cumprod(np.arange(1.0, MOMENTS + 1))  # of e^y - 1
        coefficients = [first]
        for _ in range(2, n_drafts):
            coefficients.append(np.append(0.0, np.convolve(coefficients[-1], first)[: MOMENTS - 1]))
        self._times = times
        powers = times ** np.arange(1, MOMENTS + 1)[:, None]
        self._sums = [(-1) ** k * a[:, None] * powers for k, a in enumerate(coefficients[: n_drafts - 1])]

    def __call__(self, moments: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """Return n arrays (M, T) from the moments 1..16, (M, 16): Newton's identities, k e_k = Σ ±e_{k-i} S_i."""
        counts = [np.exp(-np.multiply.outer(moments[:, 0], self._times))]
        sums = [moments @ table for table in self._sums]
        for k in range(1, len(sums) + 1):
            exactly = counts[k - 1] * sums[0]
            for i in range(1, k):
                exactly += counts[k - 1 - i] * sums[i]
            counts.append(exactly / k)
        return counts
