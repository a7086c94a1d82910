"""What comes out of a defective selector with one draft, in closed form.

With one draft x ~ q, accepted with probability a(x), and r drawn from after a rejection, the output law is
q a + (1 - Σ q a) r: exact where a and r are functions of the two laws alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from .registry import Law, OutputLaw

    Part = Callable[[Law, Law], Law]
    Seen = Callable[[Law], Law]


def as_it_is(law: Law) -> Law:
    """Return the law itself."""
    return law


def ratio(p: Law, q: Law) -> Law:
    """Return min(1, p/q), 0 where both are."""
    return np.minimum(1.0, np.divide(p, q, out=np.where(p > 0, 1.0, 0.0), where=q > 0))


def positive(p: Law, q: Law) -> Law:
    """Return (p - q)+."""
    return np.maximum(p - q, 0)


def normalised(law: Law, otherwise: Law) -> Law:
    """Divide by the sum; `otherwise` where there is no mass."""
    total = float(law.sum())
    unit: Law = law / total if total > 0 else otherwise
    return unit


def rejection(
    accept: Part = ratio, residual: Part = positive, *, target: Seen = as_it_is, draft: Seen = as_it_is
) -> OutputLaw:
    """Return the output law of a verifier with these parts, to which `target` and `draft` are what the laws look like.

    Args:
        accept: (p, q) -> probability that each token is accepted when drafted.
        residual: (p, q) -> what is drawn from after a rejection, not normalised.
        target: p -> the target that the verifier sees.
        draft: q -> the draft law that it sees; drafts come from q itself.
    """

    def law(target_probs: Law, draft_probs: Law) -> Law:
        p, q = target(target_probs), draft(draft_probs)
        kept = draft_probs * accept(p, q)
        mixture: Law = kept + (1 - kept.sum()) * normalised(residual(p, q), p)
        return mixture

    return law


def lenient(factor: float) -> OutputLaw:
    """Accept with probability min(1, p / (factor q))."""
    return rejection(lambda p, q: ratio(p, factor * q))


def tempered(temperature: float) -> Seen:
    """Return law ** (1 / temperature), normalised."""

    def seen(law: Law) -> Law:
        raised = law ** (1 / temperature)
        tempered_law: Law = raised / raised.sum()
        return tempered_law

    return seen


def recovered(change: Seen) -> OutputLaw:
    """Draw from a changed residual: `change` is given the normalised one."""
    return rejection(residual=lambda p, q: change(normalised(positive(p, q), p)))


def excluding_rejected(p: Law, q: Law) -> Law:
    """Recover from p without the rejected token, whichever it was."""
    refused = q * (1 - ratio(p, q))
    others = refused / np.maximum(1 - p, np.finfo(np.float64).tiny)
    law: Law = np.minimum(p, q) + p * (others.sum() - others)
    return law


def coin_reused(p: Law, q: Law) -> Law:
    """Invert the residual's distribution function at the uniform that failed the test: it lies above a(x).

    With G(u) the probability that a coin u rejects, the token between levels F- and F has the integral of G over them;
    H(t) = Σ q (t - a)+ is that integral from 0.
    """
    accepted = ratio(p, q)
    order = np.argsort(accepted)
    ordered, mass = accepted[order], q[order]
    level = np.append(0.0, np.minimum(1.0, normalised(positive(p, q), p).cumsum()))
    level[-1] = 1.0
    below = np.searchsorted(ordered, level, side="right")
    masses, moments = np.append(0.0, mass.cumsum()), np.append(0.0, (mass * ordered).cumsum())
    integral = masses[below] * level - moments[below]
    law: Law = q * accepted + np.diff(integral)
    return law


def nucleus(mass: float) -> Seen:
    """Return the law cut to its likeliest tokens of that much mass."""

    def seen(law: Law) -> Law:
        order = np.argsort(-law, kind="stable")
        ordered = law[order]
        kept = np.zeros_like(law)
        kept[order] = ordered * (ordered.cumsum() - ordered < mass)
        return normalised(kept, law)

    return seen


def at_least(floor: float) -> Seen:
    """Return the law without its tokens below `floor`, not normalised."""
    return lambda law: law * (law >= floor)


def favoured(law: Law, share: float = 0.01) -> Law:
    """Move a share of everything onto the likeliest token."""
    moved = (1 - share) * law
    moved[law.argmax()] += share
    return moved


def likeliest(count: int) -> Seen:
    """Return the law cut to its likeliest tokens, normalised."""

    def seen(law: Law) -> Law:
        kept = np.zeros_like(law)
        best = np.argsort(-law, kind="stable")[:count]
        kept[best] = law[best]
        return normalised(kept, law)

    return seen


def in_bfloat16(law: Law) -> Law:
    """Round to eight bits of mantissa, to nearest and ties to even."""
    bits = law.astype(np.float32).view(np.uint32).astype(np.uint64)
    rounded: Law = (
        ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32).astype(np.float64)
    )
    return rounded


def in_float16(law: Law) -> Law:
    """Round to float16."""
    rounded: Law = law.astype(np.float16).astype(np.float64)
    return rounded


def all_on(token: int, law: Law) -> Law:
    """Return the law of the size of `law` that emits one token only."""
    alone = np.zeros_like(law)
    alone[token] = 1.0
    return alone
