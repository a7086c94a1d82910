"""What theory says of the optimum, as properties of drawn problems."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from spectest import Problem, drafting, strategies
from spectest.optimum import cut_value, optimal_acceptance, solve
from spectest.problem import DRAFTING

ROUNDING = 1e-12
SMALL = (1, 6)
LAWS = tuple(DRAFTING)


def subsets_of(vocab: int) -> np.ndarray:
    """Every subset of the tokens, boolean (2^V, V)."""
    subsets: np.ndarray = (np.arange(1 << vocab)[:, None] >> np.arange(vocab) & 1).astype(bool)
    return subsets


def value(target: Any, draft: Any, n: int, law: str = "with_replacement") -> float:
    return optimal_acceptance(target, draft, n, law).value


@st.composite
def pairs_of_pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Two targets and two drafts over one vocabulary."""
    vocab = draw(st.integers(2, 6))
    laws = [np.asarray(law) for _ in range(2) for law in draw(strategies.pairs(vocab=vocab))]
    return laws[0], laws[2], laws[1], laws[3]


@given(strategies.problems(vocab=SMALL, n_drafts=(2, 2), drafting="with_replacement"))
def test_two_drafts_by_khistis_expression(problem: Problem) -> None:
    """Theorem 3 of arXiv 2410.18234: min over S of p(S) + q(S^c)^2 + 2 q(S) q(S^c)."""
    subsets = subsets_of(problem.vocab_size)
    inside, outside = subsets @ problem.draft, ~subsets @ problem.draft
    least = (subsets @ problem.target + outside**2 + 2 * inside * outside).min()
    assert solve(problem).value == pytest.approx(least, abs=ROUNDING)


@given(strategies.problems(vocab=SMALL, n_drafts=(1, 5), drafting="with_replacement"))
def test_certain_acceptance_by_khistis_condition(problem: Problem) -> None:
    """Theorem 2 there, for n drafts: the optimum is 1 iff p(S) >= q(S)^n for every S."""
    subsets = subsets_of(problem.vocab_size)
    slack = (subsets @ problem.target - (subsets @ problem.draft) ** problem.n_drafts).min()
    assume(abs(slack) > ROUNDING or slack == 0)
    assert (solve(problem).value >= 1 - ROUNDING) == (slack >= 0)


@given(strategies.problems(vocab=SMALL, n_drafts=(1, 4), drafting=LAWS), st.data())
def test_what_a_subset_costs_is_submodular(problem: Problem, data: st.DataObject) -> None:
    """p(H) - Q(H), under every drafting law: Q is a sum of indicators of H containing the drafted set."""
    mask = st.lists(st.booleans(), min_size=problem.vocab_size, max_size=problem.vocab_size)
    a, b = (np.array(data.draw(mask)) for _ in range(2))
    contained = drafting.get(problem.drafting).containment(problem, np.stack([a, b, a | b, a & b]))
    assert contained[0] + contained[1] <= contained[2] + contained[3] + ROUNDING


@given(strategies.problems(vocab=SMALL, n_drafts=(1, 4), drafting=LAWS))
def test_certificate_can_be_checked_in_one_line(problem: Problem) -> None:
    found = solve(problem)
    assert cut_value(problem, found.subset) == pytest.approx(found.value, abs=ROUNDING)


@given(strategies.pairs(vocab=(1, 40)))
def test_drafts_add_ever_less(pair: strategies.Pair) -> None:
    """With replacement the optimum is nondecreasing and concave in n, and tends to the target mass q covers."""
    values = [value(*pair, n) for n in range(1, 8)]
    gains = np.diff(values)
    assert (gains >= -ROUNDING).all()
    assert (np.diff(gains) <= ROUNDING).all()
    covered = np.asarray(pair[0])[np.asarray(pair[1]) > 0].sum()
    assert values[-1] <= covered + ROUNDING


@given(strategies.pairs(vocab=(1, 8)))
def test_distinct_drafts_are_worth_more(pair: strategies.Pair) -> None:
    """Each factor (q(H) - s) / (1 - s) is at most q(H); and one more draft only shrinks Q(H)."""
    support = int((np.asarray(pair[1]) > 0).sum())
    distinct = [value(*pair, n, "without_replacement") for n in range(1, support + 1)]
    for n, found in enumerate(distinct, start=1):
        assert found >= value(*pair, n) - ROUNDING
    assert all(more >= less - ROUNDING for less, more in pairwise(distinct))
    # Cover property (Sequoia): once every token of q is drafted, only target mass off its support is lost.
    covered = np.asarray(pair[0])[np.asarray(pair[1]) > 0].sum()
    assert distinct[-1] == pytest.approx(covered, abs=ROUNDING)


@given(pairs_of_pairs(), st.integers(1, 5), st.floats(0, 1))
def test_jointly_concave(laws: tuple[np.ndarray, ...], n: int, share: float) -> None:
    p, p_other, q, q_other = laws
    mixed = value(share * p + (1 - share) * p_other, share * q + (1 - share) * q_other, n)
    assert mixed >= share * value(p, q, n) + (1 - share) * value(p_other, q_other, n) - ROUNDING


@given(pairs_of_pairs(), st.integers(1, 5))
def test_small_changes_change_little(laws: tuple[np.ndarray, ...], n: int) -> None:
    """At most TV(p, p') for another target, n TV(q, q') for another draft."""
    p, p_other, q, q_other = laws
    base = value(p, q, n)
    assert abs(value(p_other, q, n) - base) <= np.abs(p - p_other).sum() / 2 + ROUNDING
    assert abs(value(p, q_other, n) - base) <= n * np.abs(q - q_other).sum() / 2 + ROUNDING


@given(strategies.problems(vocab=(2, 8), n_drafts=(1, 4), drafting="with_replacement"), st.data())
def test_merging_tokens_never_lowers_it(problem: Problem, data: st.DataObject) -> None:
    groups = np.array(data.draw(st.lists(st.integers(0, 3), min_size=problem.vocab_size, max_size=problem.vocab_size)))
    target, draft = (np.bincount(groups, weights=law, minlength=4) for law in (problem.target, problem.draft))
    assert value(target, draft, problem.n_drafts) >= solve(problem).value - ROUNDING


@given(strategies.problems(vocab=SMALL, n_drafts=(1, 4), drafting=LAWS), st.randoms(use_true_random=False))
def test_names_of_tokens_and_order_of_drafters_do_not_matter(problem: Problem, random: Any) -> None:
    names = random.sample(range(problem.vocab_size), problem.vocab_size)
    rows = problem.draft[..., names]
    if problem.drafting == "independent":
        rows = rows[random.sample(range(problem.n_drafts), problem.n_drafts)]
    renamed = Problem(problem.target[names], rows, problem.n_drafts, problem.drafting)
    assert solve(renamed).value == pytest.approx(solve(problem).value, abs=ROUNDING)


@given(strategies.problems(vocab=SMALL, n_drafts=(1, 4), drafting=LAWS))
def test_no_token_gives_more_than_it_has_or_than_is_drafted(problem: Problem) -> None:
    inclusion = drafting.get(problem.drafting).inclusion(problem)
    assert solve(problem).value <= np.minimum(problem.target, inclusion).sum() + ROUNDING


@given(strategies.problems(vocab=SMALL, n_drafts=(1, 4), drafting="independent"))
def test_several_drafters_are_worth_the_best_of_them(problem: Problem) -> None:
    alone = [np.minimum(problem.target, row).sum() for row in problem.draft_rows]
    assert solve(problem).value >= max(alone) - ROUNDING


@given(strategies.simplexes(vocab=(1, 40)), st.integers(1, 5))
def test_equal_laws_are_always_accepted(law: strategies.Law, n: int) -> None:
    assert value(law, law, n) == pytest.approx(1, abs=ROUNDING)
