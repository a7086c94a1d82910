"""What strategies refuse, and that they say why at once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from spectest.errors import InvalidProblem, SpectestError, UsageError
from spectest.strategies import (
    bfloat16_twins,
    dirichlet,
    disjoint_supports,
    dyadic,
    equal,
    near_ties,
    nested_supports,
    one_hot,
    pairs,
    problems,
    simplexes,
    tail_drafts,
    tempered_logits,
    tempered_pairs,
    top_k,
    top_p,
    unrelated,
    zipf,
)

if TYPE_CHECKING:
    from collections.abc import Callable

OF_ANY_SIZE = [
    dyadic,
    dirichlet,
    zipf,
    tempered_logits,
    one_hot,
    simplexes,
    pairs,
    problems,
    unrelated,
    equal,
    tempered_pairs,
]
OF_TWO_OR_MORE = [near_ties, disjoint_supports, nested_supports, tail_drafts, bfloat16_twins]


@pytest.mark.parametrize("family", [*OF_ANY_SIZE, *OF_TWO_OR_MORE])
@pytest.mark.parametrize(
    ("vocab", "message"),
    [
        ("a", "`vocab` must be an int or a (low, high) pair of ints, got vocab='a'"),
        (2.0, "`vocab` must be an int or a (low, high) pair of ints, got vocab=2.0"),
        (True, "`vocab` must be an int or a (low, high) pair of ints, got vocab=True"),
        ((2, 3, 4), "`vocab` must be an int or a (low, high) pair of ints, got vocab=(2, 3, 4)"),
        ([2, 3], "`vocab` must be an int or a (low, high) pair of ints, got vocab=[2, 3]"),
        (0, "here, got vocab=0; raise it"),
        ((5, 3), "`vocab` must be a pair (low, high) with low <= high, got vocab=(5, 3); swap them"),
    ],
)
def test_bad_vocab(family: Callable[..., Any], vocab: object, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        family(vocab=vocab)


@pytest.mark.parametrize("family", OF_TWO_OR_MORE)
def test_one_token_is_too_few_for_some(family: Callable[..., Any]) -> None:
    with pytest.raises(UsageError, match=re.escape("`vocab` must be at least 2 here, got vocab=1; raise it")):
        family(vocab=1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dyadic(full_support=1), "`full_support` must be True or False, got full_support=1"),  # type: ignore[arg-type]
        (lambda: dirichlet(concentration=0), "`concentration` must be greater than 0, got concentration=0"),
        (lambda: dirichlet(concentration=(-1, 2)), "`concentration` must be greater than 0, got concentration=(-1, 2)"),
        (lambda: zipf(exponent=float("nan")), "`exponent` must be a finite number or a (low, high) pair"),
        (lambda: zipf(exponent=(2, 1)), "`exponent` must be a pair (low, high) with low <= high"),
        (lambda: tempered_logits(temperature="hot"), "`temperature` must be a finite number"),  # type: ignore[arg-type]
        (lambda: tempered_pairs(temperature=0.0), "`temperature` must be greater than 0"),
        (lambda: top_k(simplexes(), 0), "`k` must be at least 1 here, got k=0"),
        (lambda: top_k(simplexes), "`laws` must be a Hypothesis strategy, got laws=<function"),  # type: ignore[arg-type]
        (lambda: top_k(simplexes), "; call it to get the strategy"),  # type: ignore[arg-type]
        (lambda: top_p([0.5, 0.5]), "`laws` must be a Hypothesis strategy, got laws=[0.5, 0.5]"),  # type: ignore[arg-type]
        (lambda: top_p(simplexes(), 1.5), "`mass` must be greater than 0 and at most 1, got mass=1.5"),
        (lambda: unrelated(dyadic()), "`laws` must be a function of `vocab` that returns a strategy"),  # type: ignore[arg-type]
        (lambda: equal(3), "`laws` must be a function of `vocab` that returns a strategy"),  # type: ignore[arg-type]
        (lambda: problems(n_drafts=0), "`n_drafts` must be at least 1 here, got n_drafts=0"),
        (lambda: problems(drafting=[]), "`drafting` must be the name of a drafting law, or several, got drafting=[]"),
        (lambda: problems(drafting=3), "`drafting` must be the name of a drafting law"),  # type: ignore[arg-type]
        (lambda: problems(pairs=pairs), "`pairs` must be a Hypothesis strategy"),  # type: ignore[arg-type]
        (lambda: problems(vocab=3, pairs=pairs()), "`vocab` must be left out where `pairs` is given, got vocab=3"),
    ],
)
def test_bad_arguments(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        call()


@pytest.mark.parametrize("drafting", ["with", ("with_replacement", "with"), ["with_replacement", 3]])
def test_unknown_drafting_law(drafting: Any) -> None:
    with pytest.raises(InvalidProblem, match="`drafting` must be one of with_replacement, "):
        problems(drafting=drafting)
    assert issubclass(InvalidProblem, SpectestError)
