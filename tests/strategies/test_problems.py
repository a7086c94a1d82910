"""Problems: valid for every drafting law, printed as the call that makes them, small once shrunk."""

from __future__ import annotations

import ast
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st
from hypothesis.statistics import collector

import spectest.strategies
from spectest.problem import DRAFTING, Problem
from spectest.strategies import (
    PAIRS,
    SIMPLEXES,
    dyadic,
    near_ties,
    one_hot,
    pairs,
    problems,
    simplexes,
    tail_drafts,
    top_k,
    unrelated,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.strategies import SearchStrategy

EVERY_LAW = tuple(DRAFTING)


def total_variation(problem: Problem) -> float:
    return float(0.5 * np.abs(problem.target - problem.draft_rows[0]).sum())


@pytest.mark.parametrize("drafting", EVERY_LAW)
@given(data=st.data(), n_drafts=st.sampled_from([1, 3, (2, 5)]), vocab=st.sampled_from([1, 2, (1, 6), 65]))
def test_every_drafting_law(drafting: str, data: st.DataObject, n_drafts: Any, vocab: Any) -> None:
    problem = data.draw(problems(vocab=vocab, n_drafts=n_drafts, drafting=drafting))
    low, high = n_drafts if isinstance(n_drafts, tuple) else (n_drafts, n_drafts)
    assert isinstance(problem, Problem)
    assert problem.drafting == drafting
    assert problem.draft.shape == ((problem.n_drafts,) * DRAFTING[drafting].rows_differ + (problem.vocab_size,))
    if (fixed := DRAFTING[drafting].fixed_drafts) is not None:
        low = high = fixed
    if DRAFTING[drafting].distinct:
        support = int((problem.draft > 0).sum())
        low, high = min(low, support), min(high, support)
    assert low <= problem.n_drafts <= high


@settings(max_examples=20)
@given(problems(vocab=(1_000, 50_000), n_drafts=(1, 4), drafting=EVERY_LAW))
def test_large_vocabularies(problem: Problem) -> None:
    # The rounded ones drop what they leave unused, down to the size asked for and no further.
    assert 1_000 <= problem.vocab_size <= 50_000


@pytest.mark.parametrize("drafting", EVERY_LAW)
def test_several_laws_are_all_drawn(drafting: str) -> None:
    assert find(problems(drafting=EVERY_LAW), lambda problem: problem.drafting == drafting).n_drafts == 1


def agreeing(*, agree: bool) -> Callable[[Problem], bool]:
    return lambda problem: bool((problem.draft[0] == problem.draft[1]).all()) == agree


def test_independent_drafters_can_differ_and_can_agree() -> None:
    strategy = problems(vocab=2, n_drafts=2, drafting="independent")
    for agree in (True, False):
        problem = find(strategy, agreeing(agree=agree))
        assert (problem.draft[0] == problem.draft[1]).all() == agree


@given(problems(pairs=tail_drafts(vocab=4), n_drafts=2))
def test_pairs_are_taken_as_they_are(problem: Problem) -> None:
    assert problem.vocab_size == 4
    assert problem.n_drafts == 2
    assert 0 < problem.target[problem.target > 0].min() <= 2**-10


@given(problems(pairs=st.tuples(dyadic(vocab=6), top_k(simplexes(vocab=6), 2))))
def test_pairs_compose_from_laws(problem: Problem) -> None:
    assert 1 <= np.count_nonzero(problem.draft) <= 2


# ------------------------------------------------------------------------------------------------------- printing


def remade(problem: Problem) -> Problem:
    made = eval(repr(problem), {"Problem": Problem})  # noqa: S307 (the repr is a call, that is the claim)
    assert isinstance(made, Problem)
    return made


@given(problems(pairs=unrelated(dyadic), drafting=EVERY_LAW))
def test_repr_makes_the_same_problem(problem: Problem) -> None:
    again = remade(problem)
    assert again.target.tobytes() == problem.target.tobytes()
    assert again.draft.tobytes() == problem.draft.tobytes()
    assert (again.n_drafts, again.drafting, again.name) == (problem.n_drafts, problem.drafting, problem.name)
    assert repr(again) == repr(problem)


@given(problems(vocab=(1, 64), drafting=EVERY_LAW))
def test_repr_of_any_law_makes_it_to_the_last_place(problem: Problem) -> None:
    np.testing.assert_allclose(remade(problem).target, problem.target, rtol=1e-15, atol=0)
    np.testing.assert_allclose(remade(problem).draft, problem.draft, rtol=1e-15, atol=0)


def test_repr_says_what_is_not_the_default_and_no_more() -> None:
    assert repr(Problem([0.5, 0.5], [0.25, 0.75])) == "Problem([0.5, 0.5], [0.25, 0.75], n_drafts=1)"
    named = Problem([1.0], [1.0], 1, "without_replacement", name="one token")
    assert repr(named) == "Problem([1.0], [1.0], n_drafts=1, drafting='without_replacement', name='one token')"
    assert repr(Problem(np.ones(100) / 100, np.ones(100) / 100)) == "<Problem of 100 tokens: n_drafts=1>"


def test_hypothesis_prints_the_call() -> None:
    @settings(database=None)
    @given(problem=problems(pairs=unrelated(vocab=2), n_drafts=2))
    def fails(problem: Problem) -> None:
        assert total_variation(problem) <= 0.1

    with pytest.raises(AssertionError) as caught:
        fails()
    printed = " ".join(" ".join(caught.value.__notes__).split())
    assert "problem=Problem([1.0, 0.0], [0.5, 0.5], n_drafts=2)" in printed


# ------------------------------------------------------------------------------------------------------ shrinking


def test_laws_shrink_to_halves() -> None:
    assert find(simplexes(), lambda law: bool((law > 0).sum() == 2)).tolist() == [0.5, 0.5]


def test_a_pair_shrinks_to_two_tokens_and_halves() -> None:
    problem = find(problems(pairs=unrelated()), lambda problem: total_variation(problem) > 0.1)
    assert problem.vocab_size == 2
    assert {*problem.target, *problem.draft} <= {0.0, 0.25, 0.5, 0.75, 1.0}


def test_problems_shrink_to_few_tokens_and_short_fractions() -> None:
    # Shrinking ends in a local minimum now and then; small and short is what most must be.
    found = [find(problems(), lambda p: total_variation(p) > 0.1, random=Random()) for _ in range(5)]
    small = [problem for problem in found if problem.vocab_size <= 3 and len(repr(problem)) < 90]
    assert len(small) >= 2, found


def test_sizes_and_drafts_shrink_to_the_smallest_that_fail() -> None:
    problem = find(problems(), lambda problem: problem.vocab_size >= 3 and problem.n_drafts >= 2)
    assert (problem.vocab_size, problem.n_drafts) == (3, 2)


# --------------------------------------------------------------------------------------------------- no rejection


def statuses(strategy: SearchStrategy[Any]) -> set[str]:
    """How Hypothesis's test cases over `strategy` ended."""
    seen: list[dict[str, Any]] = []

    @settings(database=None, max_examples=200)
    @given(strategy)
    def draws(_: object) -> None:
        pass

    with collector.with_value(seen.append):  # type: ignore[arg-type]  # typed by its default, None
        draws()
    return {
        case["status"]
        for run in seen
        for phase in run.values()
        if isinstance(phase, dict)
        for case in phase["test-cases"]
    }


@pytest.mark.parametrize(
    "strategy",
    [simplexes(), pairs(), problems(drafting=EVERY_LAW), simplexes(vocab=64), problems(vocab=500, drafting=EVERY_LAW)],
    ids=["simplexes", "pairs", "problems", "simplexes-64", "problems-500"],
)
def test_nothing_drawn_is_rejected(strategy: SearchStrategy[Any]) -> None:
    found = statuses(strategy)
    assert "valid" in found
    assert "invalid" not in found


def test_a_planted_filter_is_seen() -> None:
    assert "invalid" in statuses(dyadic(vocab=5).filter(lambda law: law[0] > 0.9))


def test_no_source_asks_to_reject() -> None:
    folder = Path(spectest.strategies.__file__).parent
    names = {"assume", "reject", "filter", "unique", "unique_by", "seed"}
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            used = getattr(node, "id", None) or getattr(node, "attr", None) or getattr(node, "arg", None)
            assert used not in names, f"{path.name} uses {used}"


# ----------------------------------------------------------------------------------------------------- registries


def test_registered_families_are_exported_under_their_name() -> None:
    for name in (*SIMPLEXES, *PAIRS):
        assert name in spectest.strategies.__all__
        assert callable(getattr(spectest.strategies, name))


def test_unions_hold_every_family() -> None:
    # Only near-ties give a gap below 2^-30 between tokens that are not equal, only one-hot laws a single token of 5.
    def nearly_tied(law: Any) -> bool:
        gaps = np.diff(np.sort(law))
        return bool(((gaps > 0) & (gaps < 2**-30)).any() and law.min() > 0.05)

    assert nearly_tied(find(simplexes(vocab=4), nearly_tied, settings=settings(max_examples=5_000)))
    assert nearly_tied(find(near_ties(vocab=4), nearly_tied))
    assert find(one_hot(vocab=5), lambda law: bool(law[4] == 1)).tolist() == [0, 0, 0, 0, 1]
