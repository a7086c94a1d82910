"""Seats for drafters that differ, and for two drafts without replacement: one chain of seats, common swaps.

Stated in docs/seats.md. All drafters share one order of the tokens; C_k are the running sums of draft law q_k in it. A
draft at seat m, level uniform within it, beats the others with probability w_k,m = prod over j != k of C_j at that
level, on average. Masses of the winner's law that are too low ("up") are paired in order with masses that are too high
("down"); a pair swaps seats with a measure shared among the drafters in proportion to min(q_k,i, q_k,j), clipped to
what the tokens have. Where the clip binds, the target acceptance is missed, and `law` says by how much: it is the law
the winner really has, so that selection is lossless in any case.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from spectest.schemes.common.arrays import Array, add, library, positions, put, take
from spectest.schemes.seats.plan import bounds, from_zero, running

_ROUNDS: Final = 4
_ROUNDING: Final = 2.0**-50
LARGEST: Final = 1e300


class Chain(NamedTuple):
    """A plan for n drafters, for one problem or for one in each row; seats in order, `rank` and `law` by token id."""

    rank: Array  # (..., V): each token's own seat
    law: Array  # (..., V): R, the law of the winner
    loss: Array  # (..., 1): no lossless selector accepts more than 1 - loss
    drafts: Array  # (..., n, V): the mass of each seat's own token, for each drafter
    weight: Array  # (..., n, V): w
    up: Array  # (..., V): whether the seat's own token is up
    first: Array  # (..., V): the first pair it is in
    last: Array  # (..., V): one more than the last
    ups: Array  # (..., 2 V): the up token of each pair
    downs: Array  # (..., 2 V): its down token
    measure: Array  # (..., n, 2 V): the swap measure of each pair, for each drafter


def independent(target: Array, drafts: Array) -> Chain:
    """Return the seats of n drafts, each of its own law.

    Args:
        target: p in float64, (V,), or (B, V) where every row is another problem; rows sum to 1. numpy or torch.
        drafts: q, (n, V) or (B, n, V), likewise.
    """
    return _chain(target, drafts, _factors(target, drafts))


def _factors(target: Array, drafts: Array) -> Array:
    """Return λ, (..., n, 1): the order is that of p / sum over k of λ_k q_k.

    A minimiser H of p(H) - prod q_k(H) is a prefix of that order for λ_k = prod over j != k of q_j(H). From λ = 1, take
    the best prefix for H, and repeat; the order with the best prefix is kept, the first of them if several are.
    """
    xp = library(drafts)
    factors = xp.ones_like(drafts[..., :1])
    best, least = factors, xp.zeros_like(target[..., :1])
    for _ in range(_ROUNDS):
        order = order_by(target, (factors * drafts).sum(-2))
        inside, _ = running(take(drafts, for_each(order, drafts)))
        gain = inside.prod(-2) - running(take(target, order))[0]
        end = xp.argmax(gain, -1)[..., None]
        loss = take(gain, end)
        best = xp.where((loss > least + _ROUNDING)[..., None], factors, best)
        least = xp.maximum(least, loss)
        # A gain is positive only where every drafter has mass: no product is 0.
        factors = xp.where((loss > 0)[..., None], _others(take(inside, for_each(end, drafts))), factors)
    return best


def order_by(target: Array, weight: Array) -> Array:
    """Return the order of ascending p/weight, ties by id, tokens of weight 0 last."""
    xp = library(target)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return xp.argsort(xp.where(weight > 0, target / weight, np.inf), stable=True)


def for_each(index: Array, drafts: Array) -> Array:
    """Repeat (..., K) for each drafter of `drafts` (..., n, V), without copying: (..., n, K)."""
    return library(index).broadcast_to(index[..., None, :], (*drafts.shape[:-1], index.shape[-1]))


def _others(values: Array) -> Array:
    """Return prod over j != k of values_j, (..., n, K), without dividing."""
    xp = library(values)
    one = xp.ones_like(values[..., :1, :])
    before = xp.concatenate((one, xp.cumprod(values, -2)[..., :-1, :]), -2)
    after = xp.flip(xp.concatenate((one, xp.cumprod(xp.flip(values, (-2,)), -2)[..., :-1, :]), -2), (-2,))
    return before * after


def _chain(target: Array, drafts: Array, factors: Array) -> Chain:
    """Return the seats of independent drafters in the order of p / (λ·q)."""
    xp = library(drafts)
    order = order_by(target, (factors * drafts).sum(-2))
    p, q = take(target, order), take(drafts, for_each(order, drafts))
    w = (factors * q).sum(-2)
    w = w / w.sum(-1)[..., None]
    inside, _ = running(q)
    targets = running(p)
    loss = xp.amax(inside.prod(-2) - targets[0], -1, keepdims=True).clip(min=0)
    lowest, highest = bounds(loss, targets, running(w), LARGEST)
    law = xp.minimum(xp.maximum(p, lowest * w), highest * w)
    weight = weights(from_zero(inside)[..., :-1], q)
    base = (q * weight).sum(-2)
    return paired(order, q, weight, base, law, loss=loss)


def weights(below: Array, drafts: Array) -> Array:
    """Return w_k,m = ∫ prod over j != k of (C_j,m-1 + s q_j,m) ds over [0, 1], (..., n, V): Gauss, exact."""
    nodes, shares = np.polynomial.legendre.leggauss((drafts.shape[-2] + 1) // 2)
    weight = 0 * drafts
    for node, share in zip(nodes.tolist(), shares.tolist(), strict=True):
        weight = weight + share / 2 * _others(below + (1 + node) / 2 * drafts)
    return weight


def paired(order: Array, drafts: Array, weight: Array, base: Array, law: Array, *, loss: Array) -> Chain:
    """Pair what the winner's law lacks with what it has too much of; all but `order` in the order of the seats.

    Args:
        order: token ids by seat, (..., V).
        drafts: q, (..., n, V).
        weight: w, (..., n, V).
        base: the law of the winner where every draft keeps its own seat, (..., V).
        law: the law the winner should have, (..., V).
        loss: Q(H) - p(H) for some set H of tokens, (..., 1).
    """
    xp, size = library(drafts), drafts.shape[-1]
    moved = law - base
    sums = xp.concatenate([xp.cumsum(part.clip(min=0), -1) for part in (moved, -moved)], -1)
    by = xp.argsort(sums, -1)
    edges = from_zero(take(sums, by))
    of_ups = by < size
    ups = xp.cumsum(of_ups, -1) - 1 * of_ups  # complete before this pair: its up token is the next
    downs = positions(by) - ups
    in_order = (ups < downs) & (downs < size)
    ups, downs = ups.clip(max=size - 1), downs.clip(max=size - 1)
    mass = xp.where(in_order, edges[..., 1:] - edges[..., :-1], 0.0)
    each_up, each_down = for_each(ups, drafts), for_each(downs, drafts)
    share = xp.minimum(take(drafts, each_up), take(drafts, each_down))
    gap = take(weight, each_down) - take(weight, each_up)
    gain = (share * gap).sum(-2)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        rate = xp.where(gain > 0, (mass / gain).clip(max=1), 0.0)  # no token has more than its share of mass 1
        measure = share * rate[..., None, :]
        needed = add(add(xp.zeros_like(drafts), ups, measure), downs, measure)
        kept = xp.where(needed > drafts, drafts / needed, 1.0)
    measure = measure * xp.minimum(take(kept, each_up), take(kept, each_down))
    moves = (measure * gap).sum(-2)
    realised = add(base + 0, ups, moves) - add(0 * base, downs, moves)
    ends = put(xp.empty_like(by), by, positions(by)) + 1
    lasts = ends[..., :size], ends[..., size:]
    return Chain(
        rank=put(xp.empty_like(order), order, positions(order)),
        law=put(xp.empty_like(base), order, realised.clip(min=0)),
        loss=loss,
        drafts=drafts,
        weight=weight,
        up=moved > 0,
        first=xp.where(moved > 0, *(from_zero(ends)[..., :size] for ends in lasts)),
        last=xp.where(moved > 0, *lasts),
        ups=ups,
        downs=downs,
        measure=measure,
    )
