"""Seats, exactly: the law of the winner from the kernel itself, and residual draws that hit another draft. numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.errors import ProblemTooLarge

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spectest.schemes.seats.chain import Chain
    from spectest.schemes.seats.plan import Seats

#: Rejecting seats times tokens of the residual times drafters that the coincidences may cost.
MAX_COINCIDENCES: Final = 200_000_000
_CHUNK: Final = 4_000_000  # numbers held at once
_NEGLIGIBLE: Final = 1e-14


def iid_winner_law(seats: Seats, draft: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the law of the winner, (V,), adding up what the kernel does pair by pair.

    It does not read `seats.law`, but P(token, seat), and that a draft of seat m has the highest seat, and wins as the
    first of those, with total probability q_m g_m.

    Args:
        seats: the plan of one problem.
        draft: q, (V,).
    """
    weight, ups, downs = seats.weight, seats.ups, seats.downs
    mass = np.empty_like(draft)
    mass[seats.rank] = draft
    edges = np.sort(np.concatenate((ups, downs)))
    width = np.diff(edges)
    i, j = (np.searchsorted(sums, edges[:-1], side="right") - 1 for sums in (ups, downs))
    paired = (width > 0) & (i < j) & (j < weight.size)
    i, j, width = i[paired], j[paired], width[paired]
    gap = weight[j] - weight[i]
    stays, moves = mass.copy(), np.zeros_like(mass)
    for own, other, sums in ((i, j, ups), (j, i, downs)):
        faces = width / (sums[own + 1] - sums[own])
        swapped = mass[own] * faces * np.minimum(np.abs(seats.pull[own]) / gap, 1.0)
        np.subtract.at(stays, own, swapped)
        np.add.at(moves, own, swapped * weight[other])
    law: NDArray[np.float64] = (stays * weight + moves)[seats.rank]
    return law


def coincidences(chain: Chain, target: NDArray[np.float64]) -> float:
    """Return P(the winner is rejected, and the residual draw is one of the other drafts).

    Given that draft k wins at seat m, level s, the others are below: y is among them with probability
    prod over j != k of B_j - prod over j != k of (B_j - L_j(y)), where B_j is the mass of draft j below that level and
    L_j(y) the part of it where its token is y. Both are polynomials in s, which Gauss nodes integrate exactly. Seats
    that reject, and tokens of the residual, are left out from the lightest up to a total probability of 1e-14.

    Args:
        chain: the plan of one problem.
        target: p, (V,).

    Raises:
        ProblemTooLarge: more than `MAX_COINCIDENCES` combinations of seats, tokens and drafters are left.
    """
    rejecting = _rejecting(chain, target)
    residual = np.maximum(target - chain.law, 0.0)
    if not rejecting.any() or not residual.any():
        return 0.0
    residual /= residual.sum()
    at = _heavy(rejecting.sum(axis=0))
    own = chain.rank[tokens := _heavy(residual)]
    # A residual token whose seats are all above the seats that reject is no loser's token.
    below = _lowest(chain)[own] <= at.max(initial=-1)
    own, share = own[below], residual[tokens[below]]
    drafters, seats = chain.drafts.shape
    if (cost := own.size * at.size * drafters) > MAX_COINCIDENCES:
        msg = (
            f"seats: the exact acceptance of this problem counts {cost:.3g} coincidences of the residual with other "
            f"drafts, more than {MAX_COINCIDENCES:.3g}; `Seats().plan(problem).guaranteed` is a lower bound"
        )
        raise ProblemTooLarge(msg)
    step = max(1, _CHUNK // (drafters * seats))
    total = 0.0
    for first in range(0, own.size, step):
        part = slice(first, first + step)
        total += _coincidences(chain, own[part], share[part], at, rejecting[:, at])
    return total


def _rejecting(chain: Chain, target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return P(token is rejected | it wins) times the mass of draft k at seat m, summed over tokens: (n, V)."""
    law = chain.law
    rejects = np.empty_like(law)
    rejects[chain.rank] = np.divide(np.maximum(law - target, 0.0), law, out=np.zeros_like(law), where=law > target)
    mass = (chain.drafts - _swapped(chain)) * rejects
    np.add.at(mass.T, chain.downs, (chain.measure * rejects[chain.ups]).T)
    np.add.at(mass.T, chain.ups, (chain.measure * rejects[chain.downs]).T)
    rejecting: NDArray[np.float64] = np.maximum(mass, 0.0)
    return rejecting


def _swapped(chain: Chain) -> NDArray[np.float64]:
    """Return the mass of each token that leaves its own seat, (n, V)."""
    mass: NDArray[np.float64] = np.zeros_like(chain.drafts)
    for own in (chain.ups, chain.downs):
        np.add.at(mass.T, own, chain.measure.T)
    return mass


def _heavy(mass: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return where `mass` is, without its lightest entries, negligible together."""
    order = np.argsort(mass)
    return np.sort(order[np.cumsum(mass[order]) > _NEGLIGIBLE])


def _lowest(chain: Chain) -> NDArray[np.int64]:
    """Return the lowest seat each seat's own token may take, (V,)."""
    lowest = np.arange(chain.up.size)
    used = chain.measure.any(axis=0)
    np.minimum.at(lowest, chain.downs[used], chain.ups[used])
    return lowest


def _coincidences(
    chain: Chain,
    own: NDArray[np.int64],
    share: NDArray[np.float64],
    at: NDArray[np.intp],
    rejecting: NDArray[np.float64],
) -> float:
    """Return the coincidences with the tokens at `own` (Y,), of residual `share`, when the seats `at` (A,) reject."""
    drafters, seats = chain.drafts.shape
    where = np.full(seats, -1)
    where[own] = np.arange(own.size)
    kernel = np.zeros((drafters, own.size, seats))  # P(token, seat) of each drafter
    kernel[:, np.arange(own.size), own] = (chain.drafts - _swapped(chain))[:, own]
    flat = kernel.reshape(drafters, -1)
    for mine, other in ((chain.ups, chain.downs), (chain.downs, chain.ups)):
        known = where[mine] >= 0
        np.add.at(flat.T, where[mine[known]] * seats + other[known], chain.measure[:, known].T)
    here = kernel[:, :, at]
    lower = np.cumsum(kernel, axis=2)[:, :, at] - here
    below = (np.cumsum(chain.drafts, axis=1) - chain.drafts)[:, None, at]
    level = chain.drafts[:, None, at]
    nodes, weights = np.polynomial.legendre.leggauss((drafters + 1) // 2)
    total = 0.0
    for node, weight in zip((1 + nodes) / 2, weights / 2, strict=True):
        lost = below + node * level
        missed = lost - (lower + node * here)
        for k in range(drafters):
            others = np.arange(drafters) != k
            hits = lost[others].prod(axis=0) - missed[others].prod(axis=0)
            total += float(weight * (share @ (hits * rejecting[k]).sum(axis=1)))
    return total
