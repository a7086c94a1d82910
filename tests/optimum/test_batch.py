"""Optima of a batch against one at a time, in numpy and in torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spectest import Problem, strategies
from spectest.errors import InvalidProblem
from spectest.optimum import batched, cut_value, solve
from tests.optimum.independent import simplex

if TYPE_CHECKING:
    from collections.abc import Callable

LAWS = ("with_replacement", "greedy", "hub")  # without a loop over rows


def same_as_one_at_a_time(target: np.ndarray, draft: np.ndarray, n: int, law: str, device: str = "cpu") -> None:
    """Both libraries, every row: the value, and what the subset certifies."""
    ours = batched(target, draft, n, law)
    theirs = batched(torch.tensor(target, device=device), torch.tensor(draft, device=device), n, law)
    assert isinstance(ours.values, np.ndarray)
    assert isinstance(theirs.values, torch.Tensor)
    assert theirs.values.device.type == theirs.subsets.device.type == device
    assert ours.values.dtype == np.float64
    assert theirs.values.dtype == torch.float64
    for values, subsets in (ours, (theirs.values.cpu().numpy(), theirs.subsets.cpu().numpy())):
        assert subsets.shape == target.shape
        for k in range(len(target)):
            problem = Problem(target[k], draft[k], n, law)
            assert values[k] == pytest.approx(solve(problem).value, abs=1e-13), problem
            assert values[k] == pytest.approx(cut_value(problem, subsets[k]), abs=1e-13), problem
            assert (values[k] == 1) <= (not subsets[k].any())


def rows(rng: np.random.Generator, vocab: int, least: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of every awkward shape, p = q among them, q with at least that many tokens."""
    pairs = [(simplex(rng, vocab), simplex(rng, vocab)) for _ in range(rng.integers(1, 9))]
    pairs += [(q, q) for _, q in pairs[:1]]
    kept = [pair for pair in pairs if (pair[1] > 0).sum() >= least] or [(np.ones(vocab) / vocab,) * 2]
    target, draft = (np.array(laws) for laws in zip(*kept, strict=True))
    return target, draft


@pytest.mark.parametrize("law", LAWS)
def test_against_one_at_a_time(law: str) -> None:
    rng = np.random.default_rng()
    for _ in range(60):
        vocab = int(rng.integers(2, 9))
        n = 2 if law == "hub" else int(rng.integers(1, vocab + 1))
        same_as_one_at_a_time(*rows(rng, vocab, 1 if law == "with_replacement" else n), n, law)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("vocab", [300, 20_000])
def test_large_vocabularies(law: str, vocab: int) -> None:
    rng = np.random.default_rng()
    logits = 2 * rng.normal(size=(3, vocab))
    target, draft = (np.exp(x) for x in (logits, logits + rng.normal(size=(3, vocab))))
    draft[1, 50:] = 0.0  # rows of very different support
    target[2] = draft[2]
    target, draft = (laws / laws.sum(axis=1, keepdims=True) for laws in (target, draft))
    for n in (2,) if law == "hub" else (1, 2, 5):
        same_as_one_at_a_time(target, draft, n, law)


@pytest.mark.parametrize("law", ["without_replacement", "independent"])
def test_laws_without_a_closed_form_go_row_by_row(law: str) -> None:
    rng = np.random.default_rng()
    for vocab, n in [(3, 2), (6, 3), (40, 2)]:
        target, draft = rng.dirichlet(np.ones(vocab), size=4), rng.dirichlet(np.ones(vocab), size=(4, n))
        same_as_one_at_a_time(target, draft if law == "independent" else draft[:, 0], n, law)


def test_one_drafter_may_have_an_axis_of_its_own() -> None:
    target, draft = np.random.default_rng().dirichlet(np.ones(7), size=(2, 3))
    flat, axis = (batched(target, q, 1, "independent").values for q in (draft, draft[:, None]))
    np.testing.assert_array_equal(flat, axis)


@pytest.mark.cuda
@pytest.mark.parametrize("law", LAWS)
def test_on_an_accelerator(law: str) -> None:
    rng = np.random.default_rng()
    for vocab in (2, 7, 300, 128_256):
        target, draft = rng.dirichlet(np.full(vocab, 0.5), size=(2, 5))
        draft[0, : vocab // 3] = 0.0  # two tokens keep both
        draft /= draft.sum(axis=1, keepdims=True)
        same_as_one_at_a_time(target, draft, 1 if vocab == 2 and law == "greedy" else 2, law, device="cuda")


@given(st.data())
def test_any_rows(data: st.DataObject) -> None:
    vocab, count = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 4))
    n = data.draw(st.integers(1, 4))
    pairs = [data.draw(strategies.pairs(vocab=(vocab, vocab))) for _ in range(count)]
    target, draft = (np.array(laws) for laws in zip(*pairs, strict=True))
    same_as_one_at_a_time(target, draft, n, "with_replacement")


@pytest.mark.parametrize("law", ["without_replacement", "independent"])
def test_one_draft_of_any_law_is_the_overlap(law: str) -> None:
    rng = np.random.default_rng()
    target, draft = rng.dirichlet(np.ones(9), size=(2, 4))
    np.testing.assert_allclose(batched(target, draft, 1, law).values, np.minimum(target, draft).sum(axis=1), atol=1e-15)


def test_ties_go_by_id_in_both_libraries() -> None:
    """One, two and three of four equal tokens are always drafted."""
    target, draft = np.array([[0.1, 0.2, 0.3, 0.4, 0.0]] * 2), np.array([[0.25, 0.25, 0.25, 0.25, 0.0]] * 2)
    for n in (2, 3, 4):
        same_as_one_at_a_time(target, draft, n, "greedy")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_low_precision_is_renormalised_in_float64(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    target, draft = (torch.randn(3, 40, generator=generator).softmax(1).to(dtype) for _ in range(2))
    found = batched(target, draft, 3)
    exact = [laws.double() / laws.double().sum(1, keepdim=True) for laws in (target, draft)]
    for k in range(3):
        one = Problem(exact[0][k], exact[1][k], 3)
        assert float(found.values[k]) == pytest.approx(solve(one).value, abs=1e-13)


# ----------------------------------------------------------------------------------------------------------- arguments


HALF = [[0.5, 0.5], [0.5, 0.5]]
LIBRARIES: tuple[Callable[[Any], Any], ...] = (np.array, torch.tensor)


@pytest.mark.parametrize("array", LIBRARIES)
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([0.5, 0.5], HALF, 2), "`target` must have shape"),
        ((HALF, [[]], 2), "`draft`"),
        ((HALF, [[0.5, 0.6], [0.5, 0.5]], 2), "`draft` must"),
        ((HALF, [[0.5, 0.5], [-0.5, 1.5]], 2), "`draft` must"),
        ((HALF, [[0.5, 0.5], [float("nan"), 0.5]], 2), "`draft` must"),
        ((HALF, [[0.5, 0.5]], 2), "must agree in B, V, library and device"),
        ((HALF, HALF, 0), "`n_drafts` must be an integer of at least 1"),
        ((HALF, HALF, 1.5), "`n_drafts` must be an integer of at least 1"),
        ((HALF, HALF, 2, "sideways"), "`drafting` must be one of"),
        ((HALF, HALF, 2, "independent"), r"`draft` must have shape \(B, n, V\)"),
        ((HALF, [HALF, HALF], 3, "independent"), r"one row per drafter, \(B, 3, V\)"),
        ((HALF, HALF, 1, "hub"), "`n_drafts` must be 2 for hub, got 1"),
        ((HALF, HALF, 3, "greedy"), "`n_drafts` must not exceed the support of any row"),
    ],
)
def test_refused_arguments(array: Callable[[Any], Any], arguments: tuple[Any, ...], said: str) -> None:
    target, draft, *rest = arguments
    with pytest.raises(InvalidProblem, match=said):
        batched(array(target), array(draft), *rest)


def test_libraries_are_not_mixed() -> None:
    with pytest.raises(InvalidProblem, match=r"numpy cpu and .* torch cpu"):
        batched(np.array(HALF), torch.tensor(HALF), 2)
