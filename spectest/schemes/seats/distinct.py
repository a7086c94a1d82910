"""Seats for two drafts without replacement: two different drafters, met off their diagonal. See docs/seats.md.

With a = q/(1 - q), the ordered pair (x, y) has the law a(x) q(y) over x != y: drafters of masses a and q, drawn
independently until they differ. On the diagonal the winner would be x whatever the seats, with mass q(x) a(x): so the
winner's law is that of independent drafters less q∘a, and to win r off the diagonal they aim at r + q∘a. Everything is
in units in which a and q stand as they are: P(x, y) sums to 1 off the diagonal.
"""

from __future__ import annotations

from typing import Final

from spectest.schemes.common.arrays import Array, library, put, take
from spectest.schemes.seats.chain import LARGEST, Chain, for_each, order_by, paired, weights
from spectest.schemes.seats.plan import bounds, from_zero

_LIGHTEST: Final = 1e-300


def odds(draft: Array) -> Array:
    """Return a = q / (1 - q), (..., V); rows of 0 where all tokens but one are together lighter than 1e-300.

    At most one token has q > 1/2: for the heaviest, 1 - q is the sum of the others.
    """
    xp = library(draft)
    heaviest = xp.argmax(draft, -1)[..., None]
    rest = put(draft + 0, heaviest, 0 * take(draft, heaviest)).sum(-1)[..., None]
    others = put(1 - draft, heaviest, rest)
    return xp.where(rest > _LIGHTEST, draft / xp.where(rest > _LIGHTEST, others, 1.0), 0.0)


def two_distinct(target: Array, draft: Array) -> Chain:
    """Return the seats of two drafts without replacement; `drafts` holds a for the first, q for the second.

    Where one token has all the mass, the second draft says nothing: the first is the winner, of law q.

    Args:
        target: p in float64, (V,), or (B, V) where every row is another problem; rows sum to 1. numpy or torch.
        draft: q, likewise.
    """
    xp = library(draft)
    drafts = xp.stack((odds(draft), draft), -2)
    diagonal = drafts.prod(-2)
    # The best set H is a prefix of the order of p/q. Seats stand in the order of (p + q∘a) / (λ·(a, q)) with
    # λ = (q(H), a(H)), and H is a prefix of that, too; without a gain, H is the vocabulary.
    order = order_by(target, draft)
    inside, base = _lower(take(drafts, for_each(order, drafts)))
    gain = xp.cumsum(base, -1) - xp.cumsum(take(target, order), -1)
    end = xp.argmax(gain, -1)[..., None]
    end = xp.where(take(gain, end) > 0, end, gain.shape[-1] - 1)
    factors = xp.flip(take(inside, for_each(end, drafts)), (-2,))
    order = order_by(target + diagonal, (factors * drafts).sum(-2))
    p, square, pair = take(target, order), take(diagonal, order), take(drafts, for_each(order, drafts))
    inside, base = _lower(pair)
    loss = xp.amax(xp.cumsum(base - p, -1), -1, keepdims=True).clip(min=0)  # 1 - α*
    goal, w = p + square, (factors * pair).sum(-2)
    lowest, highest = bounds(loss, _from_both_ends(goal), _from_both_ends(w), LARGEST)
    # Not clip(p + q∘a) - q∘a: exactly p between the bounds, however large a is.
    law = p + (lowest * w - goal).clip(min=0) - (goal - highest * w).clip(min=0)
    chain = paired(order, pair, weights(from_zero(inside)[..., :-1], pair), base, law.clip(min=0), loss=loss)
    return chain._replace(law=xp.where(is_alone(chain), draft, chain.law))


def is_alone(chain: Chain) -> Array:
    """Return whether one token has all the draft mass, (..., 1)."""
    return chain.drafts[..., 0, :].sum(-1)[..., None] == 0


def _lower(drafts: Array) -> tuple[Array, Array]:
    """Return the running sums of a and q, (..., 2, V), and P(this token is the higher of the two), (..., V)."""
    inside = library(drafts).cumsum(drafts, -1)
    below = from_zero(inside)[..., :-1]
    return inside, drafts[..., 0, :] * below[..., 1, :] + drafts[..., 1, :] * below[..., 0, :]


def _from_both_ends(mass: Array) -> tuple[Array, Array]:
    """Return the running sums of mass (..., V) up to each token and from each token on, both inclusive."""
    xp = library(mass)
    return xp.cumsum(mass, -1), xp.flip(xp.cumsum(xp.flip(mass, (-1,)), -1), (-1,))
