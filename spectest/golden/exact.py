"""The golden values in exact fractions, by routes that share nothing with the float64 code they are checked against."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spectest.golden.problems import Case, Law

ZERO, ONE = Fraction(0), Fraction(1)


def quantities(case: Case) -> Iterator[tuple[str, Fraction]]:
    """Yield the optimum, then the acceptance of every scheme that has the case, each by its name."""
    yield "optimum", optimum(case)
    if len(case.drafts) == 1:
        yield "single_draft", single_draft(case)
    yield "target_only", target_only(case)
    yield "recursive_rejection", recursive_rejection(case)


def contained(case: Case, tokens: frozenset[int]) -> Fraction:
    """Return Q(H) = P(all drafts lie in H)."""
    if case.drafting == "without_replacement":
        return _contained_distinct(case.drafts[0], tokens, len(case.drafts))
    return prod((sum((draft[x] for x in tokens), start=ZERO) for draft in case.drafts), start=ONE)


def _contained_distinct(draft: Law, tokens: frozenset[int], rounds: int) -> Fraction:
    """Return P(the next drafts lie in `tokens`), the drafted ones having left `draft`, which need not sum to 1."""
    if not rounds:
        return ONE
    left = sum(draft, start=ZERO)
    return sum(
        (
            draft[x] / left * _contained_distinct(_without(draft, x), tokens - {x}, rounds - 1)
            for x in tokens
            if draft[x]
        ),
        start=ZERO,
    )


def _without(draft: Law, token: int) -> Law:
    return (*draft[:token], ZERO, *draft[token + 1 :])


def optimum(case: Case) -> Fraction:
    """Return min over all H of 1 + p(H) - Q(H) (Hu et al., 2502.18779): any drafting law, 2^V subsets."""
    vocab = range(len(case.target))
    subsets = (frozenset(tokens) for size in range(len(vocab) + 1) for tokens in combinations(vocab, size))
    return min(1 + sum((case.target[x] for x in tokens), start=ZERO) - contained(case, tokens) for tokens in subsets)


def single_draft(case: Case) -> Fraction:
    """Return 1 - TV(p, q) for n = 1."""
    return 1 - sum((abs(p - q) for p, q in zip(case.target, case.drafts[0], strict=True)), start=ZERO) / 2


def target_only(case: Case) -> Fraction:
    """Return sum p(x) (1 - Q(V - x)): x is missing iff all drafts lie elsewhere."""
    vocab = frozenset(range(len(case.target)))
    return sum((p * (1 - contained(case, vocab - {x})) for x, p in enumerate(case.target)), start=ZERO)


def recursive_rejection(case: Case) -> Fraction:
    """Return the acceptance of recursive rejection by its recursion over rejected drafts."""
    return _accepted(case.target, case.drafts, distinct=case.drafting == "without_replacement")


def _accepted(residual: Law, drafts: tuple[Law, ...], *, distinct: bool) -> Fraction:
    """Return A(R, D_1 .. D_n) = sum min(R, D_1) + sum over x of (D_1 - R)+(x) A(norm (R - D_1)+, D_2 .. D_n).

    Without replacement the rejected x leaves D_2 .. D_n, which are renormalised.
    """
    if not drafts:
        return ZERO
    draft, *later = drafts
    accepted = sum((min(r, d) for r, d in zip(residual, draft, strict=True)), start=ZERO)
    if accepted == 1 or not later:
        return accepted
    following = _normalised(tuple(max(r - d, ZERO) for r, d in zip(residual, draft, strict=True)))
    if not distinct:
        return accepted + (1 - accepted) * _accepted(following, tuple(later), distinct=False)
    for x, (r, d) in enumerate(zip(residual, draft, strict=True)):
        if d > r:
            rest = tuple(_normalised(_without(law, x)) for law in later)
            # Later drafts were conditioned on the tokens rejected before x by the calls above this one.
            accepted += (d - r) * _accepted(following, rest, distinct=True)
    return accepted


def _normalised(law: Law) -> Law:
    total = sum(law, start=ZERO)
    return tuple(mass / total for mass in law)
