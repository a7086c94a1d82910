"""What a problem accepts, normalises and refuses."""

from __future__ import annotations

import re
from fractions import Fraction

import numpy as np
import pytest

from spectest.errors import InvalidProblem
from spectest.problem import DRAFTING, Problem, as_law, drafting_rule


def test_holds_float64_renormalised_and_read_only() -> None:
    target = np.array([0.5, 0.25, 0.25], dtype=np.float32)
    problem = Problem(target, [0.2, 0.3, 0.5 + 1e-9], n_drafts=2)
    assert problem.target.dtype == problem.draft.dtype == np.float64
    assert problem.draft.sum() == pytest.approx(1, abs=1e-15)
    assert problem.vocab_size == 3
    for array in (problem.target, problem.draft, problem.draft_rows):
        with pytest.raises(ValueError, match="read-only"):
            array[..., 0] = 1.0
    target[:] = 0  # the caller's array is not ours, nor ours the caller's
    assert problem.target[0] == 0.5


def test_draft_rows_are_a_view_where_the_drafters_are_equal() -> None:
    problem = Problem([0.5, 0.5], [0.25, 0.75], n_drafts=4)
    assert problem.draft_rows.shape == (4, 2)
    assert problem.draft_rows.strides[0] == 0
    rows = Problem([0.5, 0.5], [[0.25, 0.75], [1.0, 0.0]], 2, "independent").draft_rows
    assert rows.tolist() == [[0.25, 0.75], [1, 0]]


@pytest.mark.parametrize(
    "law",
    [[1], [True], [Fraction(1, 3), Fraction(2, 3)], (0.0, 1.0), np.array([0.1, 0.9], np.float16), [1 - 1e-300, 1e-300]],
)
def test_ordinary_laws(law: object) -> None:
    assert as_law(law, name="target").sum() == pytest.approx(1, abs=1e-15)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("law", "message"),
    [
        ([], "at least one token"),
        (1.0, "at least one token"),
        ([0.5, np.nan], r"finite, got nan at index (1,)"),
        ([np.inf, 0.5], "finite, got inf"),
        ([1.5, -0.5], r"negative, got -0.5 at index (1,)"),
        ([0.5, 0.4], "must sum to 1, got 0.9"),
        ([0.0, 0.0], "must sum to 1, got 0"),
        ([1e308, 1e308], "must sum to 1, got inf"),
        ([0.5, 0.5 + 1e-5], "must sum to 1"),
        ([[0.5, 0.5]], "must have shape (V,)"),
        ([[0.5], [0.2, 0.3]], "array of numbers, got list"),
        (["0.5", "0.5"], "real numbers, got dtype <U3"),
        ([0.5 + 0j, 0.5], "real numbers, got dtype complex128"),
        ({0: 1.0}, "array of numbers, got dict"),
        (None, "at least one token"),
    ],
)
def test_refused_laws(law: object, message: str) -> None:
    with pytest.raises(InvalidProblem, match="`target`.*" + re.escape(message)):
        Problem(law, [0.5, 0.5])  # type: ignore[arg-type]


def test_float32_and_half_sums_are_forgiven_their_rounding() -> None:
    assert as_law(np.array([0.5, 0.5005], np.float32), name="target").sum() == pytest.approx(1)
    assert as_law(np.array([0.5, 0.51], np.float16), name="target").sum() == pytest.approx(1)
    with pytest.raises(InvalidProblem, match="sum to 1"):
        as_law(np.array([0.5, 0.5005], np.float64), name="target")


def test_tensors_that_require_grad_say_what_to_do() -> None:
    torch = pytest.importorskip("torch")
    assert Problem(torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0])).vocab_size == 2
    with pytest.raises(InvalidProblem, match="detach"):
        Problem(torch.tensor([1.0], requires_grad=True), [1.0])


@pytest.mark.parametrize("n_drafts", [0, -1, 1.0, "2", None, True])
def test_refused_number_of_drafts(n_drafts: object) -> None:
    with pytest.raises(InvalidProblem, match="`n_drafts` must be an integer of at least 1"):
        Problem([1.0], [1.0], n_drafts)  # type: ignore[arg-type]


def test_refused_shapes() -> None:
    with pytest.raises(InvalidProblem, match=re.escape("`draft` must have shape (V,) = (2,)")):
        Problem([0.5, 0.5], [1.0])
    with pytest.raises(InvalidProblem, match=re.escape("`draft` must have shape (n, V) = (3, 2)")):
        Problem([0.5, 0.5], [[0.5, 0.5]] * 2, 3, "independent")


@pytest.mark.parametrize("law", [name for name, rule in DRAFTING.items() if rule.distinct])
def test_distinct_drafts_need_support(law: str) -> None:
    message = "got 3 drafts of 2 tokens with positive probability"
    with pytest.raises(InvalidProblem, match=message):
        Problem([0.5, 0.5, 0.0], [0.5, 0.5, 0.0], 3, law)


@pytest.mark.parametrize("n_drafts", [1, 3])
def test_a_law_that_fixes_the_number_of_drafts(n_drafts: int) -> None:
    with pytest.raises(InvalidProblem, match=f"`n_drafts` must be 2 for hub, got {n_drafts}"):
        Problem([0.5, 0.3, 0.2], [0.5, 0.3, 0.2], n_drafts, "hub")
    assert Problem([0.5, 0.3, 0.2], [0.5, 0.3, 0.2], 2, "hub").n_drafts == 2


def test_a_pair_needs_two_tokens() -> None:
    with pytest.raises(InvalidProblem, match="got 2 drafts of 1 tokens"):
        Problem([0.5, 0.5], [0.0, 1.0], 2, "hub")
    assert Problem([0.5, 0.5], [0.0, 1.0], 1, "hub").n_drafts == 1  # all of the support, as a run's problems have it


@pytest.mark.parametrize("name", ["", "With_replacement", None, 3, []])
def test_refused_drafting(name: object) -> None:
    with pytest.raises(InvalidProblem, match="`drafting` must be one of with_replacement"):
        drafting_rule(name)
