"""Seats: what is computed once per problem of n i.i.d. drafts. Stated and proved in docs/seats.md.

Tokens stand in ascending order of p/q; Q_i is the draft mass of the first i of them. The winner's law is
r = q clip(p/q, κ, κ'): the target, with the mass 1 - α* moved from where p/q is highest to where it is lowest. A draft
that keeps its own seat i has weight g_i = sum over k < n of Q_i^k Q_(i-1)^(n-1-k), since P(top seat = i) = q_i g_i. A
token whose s_i = r_i/q_i is above g_i ("up") swaps seats with later tokens whose s_j is below g_j ("down"): the masses
q |s - g| of either kind are laid side by side from 0, in order, and what faces each other is paired.

Nothing iterates and nothing can fail: `law` is the law the winner really has, whatever rounding did to the rest.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from spectest.schemes.common.arrays import Array, library, positions, put, take

_HALF: Final = 0.5


class Seats(NamedTuple):
    """A plan, for one problem or for one in each row; seats in ascending order of p/q, `rank` and `law` by token id."""

    rank: Array  # (..., V): each token's own seat
    weight: Array  # (..., V): g
    pull: Array  # (..., V): s - g, positive for up tokens
    ups: Array  # (..., V + 1): running sum of q (s - g)+, from 0
    downs: Array  # (..., V + 1): running sum of q (g - s)+, from 0
    law: Array  # (..., V): R, the law of the winner


def plan(target: Array, draft: Array, n_drafts: int) -> Seats:
    """Return the seats of n i.i.d. drafts.

    Args:
        target: p in float64, (V,), or (B, V) where every row is another problem; rows sum to 1. numpy or torch.
        draft: q, likewise.
        n_drafts: n.
    """
    xp = library(draft)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # Where p/q overflows, r is κ' q as for every ratio above κ': the order among those is free.
        ratio = xp.where(draft > 0, target / draft, np.inf)
    order = xp.argsort(ratio, -1)
    p, q = take(target, order), take(draft, order)
    inside, tail = running(q)
    weight, contained = _weights(inside, from_zero(inside)[..., :-1], n_drafts)
    targets = running(p)
    loss = xp.amax(contained - targets[0], -1, keepdims=True).clip(min=0)  # 1 - α*
    lowest, highest = bounds(loss, targets, (inside, tail), n_drafts)  # κ' <= n: p - n q sums to at most 1 - α*
    pull = xp.minimum(xp.maximum(take(ratio, order), lowest), highest) - weight
    moved = q * pull
    ups, downs = from_zero(xp.cumsum(moved.clip(min=0), -1)), from_zero(xp.cumsum((-moved).clip(min=0), -1))
    # max(p, κ q), not q max(p/q, κ): exactly p between the bounds, whatever p/q rounds to.
    law = xp.minimum(xp.maximum(p, lowest * q), highest * q) - _unpaired(moved, ups, downs)
    return Seats(
        rank=put(xp.empty_like(order), order, positions(order)),
        weight=weight,
        pull=pull,
        ups=ups,
        downs=downs,
        law=put(xp.empty_like(law), order, law.clip(min=0)),
    )


def from_zero(sums: Array) -> Array:
    """Put a 0 in front of running sums, (..., V) -> (..., V + 1)."""
    return library(sums).concatenate((0 * sums[..., :1], sums), -1)


def running(mass: Array) -> tuple[Array, Array]:
    """Return the sums of mass (..., V) up to each token and from each token on, both inclusive; they total 1.

    A sum near 1 is 1 minus what is left, so that neither small end nor the distance from 1 drowns in rounding.
    """
    xp = library(mass)
    tail = xp.flip(xp.cumsum(xp.flip(mass, (-1,)), -1), (-1,))
    left = xp.concatenate((tail[..., 1:], 0 * tail[..., :1]), -1)
    return xp.where(left < _HALF, 1 - left, xp.cumsum(mass, -1)), tail


def _weights(inside: Array, below: Array, n_drafts: int) -> tuple[Array, Array]:
    """Return sum over k < n of Q_i^k Q_(i-1)^(n-1-k) and Q_i^n, both (..., V); n doubles, one binary digit a step.

    Positive terms only: (Q_i^n - Q_(i-1)^n) / q_i would cancel. With g(m) the sum for m drafts,
    g(2m) = g(m) (Q_i^m + Q_(i-1)^m) and g(m + 1) = g(m) Q_i + Q_(i-1)^m.
    """
    weight, power, power_below = library(inside).ones_like(inside), inside, below
    for digit in f"{n_drafts:b}"[1:]:
        weight = weight * (power + power_below)
        power, power_below = power * power, power_below * power_below
        if digit == "1":
            weight = weight * inside + power_below
            power, power_below = power * inside, power_below * below
    return weight, power


def bounds(loss: Array, target: tuple[Array, Array], draft: tuple[Array, Array], largest: float) -> tuple[Array, Array]:
    """Return κ and κ' <= `largest`, (..., 1): sum (κ q - p)+ = sum (p - κ' q)+ = loss.

    In the order of p/q such sums are the largest over prefixes and suffixes: sum (κ q - p)+ = max of κ Q_i - P_i.

    Args:
        loss: the mass to move, (..., 1).
        target: running sums of p in that order, from either end.
        draft: running sums of q.
        largest: a bound on κ'.
    """
    xp = library(loss)
    (p_inside, p_tail), (q_inside, q_tail) = target, draft
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        level = xp.where(q_inside > 0, (loss + p_inside) / q_inside, largest)
        above = xp.where(q_tail > 0, (p_tail - loss) / q_tail, 0.0)
    lowest, highest = xp.amin(level, -1, keepdims=True), xp.amax(above, -1, keepdims=True).clip(max=largest)
    return lowest, xp.maximum(lowest, highest)


def _unpaired(moved: Array, ups: Array, downs: Array) -> Array:
    """Return what R falls short of r by, (..., V): masses paired with nothing, or with a token on the wrong side.

    In exact arithmetic there are none. An up token faces earlier down tokens below `downs` of its place, and nothing
    beyond their end; a down token faces later up tokens, or nothing, above `ups` of its place.
    """
    xp = library(moved)
    early = (downs[..., 1:] - ups[..., :-1]).clip(min=0) + (ups[..., 1:] - downs[..., -1:]).clip(min=0)
    late = (downs[..., 1:] - ups[..., 1:]).clip(min=0)
    return xp.where(moved > 0, xp.minimum(early, moved), -xp.minimum(late, -moved))
