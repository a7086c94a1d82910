"""Hypothesis strategies of laws, pairs and problems: valid by construction, shrinking to halves and quarters.

Each family is a function; `simplexes`, `pairs` and `problems` draw from all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from spectest.errors import UsageError
from spectest.strategies.arguments import Sizes, check_drafting, check_strategy, size_range
from spectest.strategies.building import Law
from spectest.strategies.composing import problems_of
from spectest.strategies.pairing import (
    Pair,
    bfloat16_twins,
    disjoint_supports,
    equal,
    nested_supports,
    tail_drafts,
    tempered_pairs,
    unrelated,
)
from spectest.strategies.shaped import near_ties, one_hot, top_k, top_p
from spectest.strategies.smooth import dirichlet, dyadic, tempered_logits, zipf
from spectest.strategies.unions import Family, legible_laws, legible_pairs, union

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hypothesis.strategies import SearchStrategy

    from spectest.problem import Problem

__all__ = [
    "PAIRS",
    "SIMPLEXES",
    "Family",
    "Law",
    "Pair",
    "bfloat16_twins",
    "dirichlet",
    "disjoint_supports",
    "dyadic",
    "equal",
    "near_ties",
    "nested_supports",
    "one_hot",
    "pairs",
    "problems",
    "simplexes",
    "tail_drafts",
    "tempered_logits",
    "tempered_pairs",
    "top_k",
    "top_p",
    "unrelated",
    "zipf",
]


def simplexes(*, vocab: Sizes = (1, 8)) -> SearchStrategy[Law]:
    """Return laws of every registered family: float64, shape (V,), non-negative, summing to 1.

    Some are rounded to halves, eighths or sixty-fourths and rid of tokens left unused: failures shrink to those
    if they can.

    Args:
        vocab: the number of tokens, or a (low, high) pair. Up to 64, laws shrink token by token.

    Raises:
        UsageError: `vocab` is not as above.

    Example:
        >>> from hypothesis import find
        >>> find(simplexes(), lambda law: (law > 0).sum() == 2).tolist()
        [0.5, 0.5]
    """
    low, high = size_range(vocab, name="vocab")
    return legible_laws(union(SIMPLEXES, (low, high)), low)


def pairs(*, vocab: Sizes = (1, 8)) -> SearchStrategy[Pair]:
    """Return (target, draft) of every registered family that has laws of this size.

    Some are rounded to halves, eighths or sixty-fourths and rid of tokens left unused: failures shrink to those
    if they can. A single family, such as `disjoint_supports`, is never rounded and keeps its feature.

    Args:
        vocab: the number of tokens, or a (low, high) pair.

    Raises:
        UsageError: `vocab` is not as above.
    """
    low, high = size_range(vocab, name="vocab")
    return legible_pairs(union(PAIRS, (low, high)), low)


def problems(
    *,
    vocab: Sizes | None = None,
    n_drafts: Sizes = (1, 3),
    drafting: str | Sequence[str] = "with_replacement",
    pairs: SearchStrategy[Pair] | None = None,
) -> SearchStrategy[Problem]:
    """Return problems, every one of them valid, edge cases included.

    Where a drafting law needs distinct tokens and the draft has fewer than `n_drafts` of them, the problem has as many
    drafts as the draft has tokens; a law that fixes the number of drafts (`hub`: 2) has that many. For `independent`,
    the first row is the pair's draft; the others repeat it, equal the target, or are unrelated to both.

    Args:
        vocab: the number of tokens, or a (low, high) pair; (1, 8) unless `pairs` decides it.
        n_drafts: how many drafts, or a (low, high) pair.
        drafting: a name in `spectest.problem.DRAFTING`, or several to draw from.
        pairs: a strategy of (target, draft) in place of every registered family.

    Raises:
        UsageError: an argument is not as above, or both `vocab` and `pairs` are given.
        InvalidProblem: no drafting law has that name.

    Example:
        >>> from hypothesis import find
        >>> small = problems(pairs=unrelated(), n_drafts=2)
        >>> find(small, lambda problem: abs(problem.target - problem.draft).max() > 0.1)
        Problem([1.0, 0.0], [0.5, 0.5], n_drafts=2)
    """
    names = check_drafting(drafting)
    drafts = size_range(n_drafts, name="n_drafts")
    if pairs is None:
        low, high = size_range((1, 8) if vocab is None else vocab, name="vocab")
        pairs = legible_pairs(union(PAIRS, (low, high)), low)
    elif vocab is not None:
        msg = f"`vocab` must be left out where `pairs` is given, got vocab={vocab!r}; give it to `pairs` instead"
        raise UsageError(msg)
    check_strategy(pairs, name="pairs")
    return problems_of(pairs, drafts, names)


#: Families of laws, the one that shrinks best first: adding one is a function in this folder and a line here.
SIMPLEXES: Final[dict[str, Family[Law]]] = {
    "dyadic": Family(lambda vocab: dyadic(vocab=vocab)),
    "one_hot": Family(lambda vocab: one_hot(vocab=vocab)),
    "zipf": Family(lambda vocab: zipf(vocab=vocab)),
    "top_k": Family(lambda vocab: top_k(tempered_logits(vocab=vocab))),
    "top_p": Family(lambda vocab: top_p(zipf(vocab=vocab))),
    "near_ties": Family(lambda vocab: near_ties(vocab=vocab), fewest_tokens=2),
    "tempered_logits": Family(lambda vocab: tempered_logits(vocab=vocab)),
    "dirichlet": Family(lambda vocab: dirichlet(vocab=vocab)),
}


def _every_law(*, vocab: Sizes) -> SearchStrategy[Law]:
    """Return laws of every family as they come: pairs are rounded as a whole."""
    return union(SIMPLEXES, size_range(vocab, name="vocab"))


#: Families of (target, draft): adding one is a function in this folder and a line here.
PAIRS: Final[dict[str, Family[Pair]]] = {
    "unrelated": Family(lambda vocab: unrelated(_every_law, vocab=vocab)),
    "equal": Family(lambda vocab: equal(_every_law, vocab=vocab)),
    "disjoint_supports": Family(lambda vocab: disjoint_supports(vocab=vocab), fewest_tokens=2),
    "nested_supports": Family(lambda vocab: nested_supports(vocab=vocab), fewest_tokens=2),
    "tail_drafts": Family(lambda vocab: tail_drafts(vocab=vocab), fewest_tokens=2),
    "bfloat16_twins": Family(lambda vocab: bfloat16_twins(vocab=vocab), fewest_tokens=2),
    "tempered_pairs": Family(lambda vocab: tempered_pairs(vocab=vocab)),
}
