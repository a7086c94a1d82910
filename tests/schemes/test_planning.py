"""One plan per distinct problem, remembered by what the problem is and by nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from spectest import InvalidProblem, schemes
from spectest.schemes.common.planning import REMEMBERED, forget, select_by_problem
from tests.schemes.planned import check_select, random_instance

if TYPE_CHECKING:
    from spectest import Problem


class Recorder:
    """Plans by noting the problem; selects the token where its target is largest."""

    def __init__(self) -> None:
        self.planned: list[Problem] = []

    def __call__(self, problem: Problem) -> Any:
        self.planned.append(problem)

        class Plan:
            def select(self, draft_token_ids: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
                return torch.full((len(draft_token_ids),), int(problem.target.argmax()))

        return Plan()

    def select(self, target: torch.Tensor, draft: torch.Tensor, drafting: str = "with_replacement") -> list[int]:
        ids = torch.zeros(draft.shape[:2], dtype=torch.int64)
        return select_by_problem(self, drafting, (target, draft, ids), torch.Generator()).tolist()


@pytest.fixture
def recorder() -> Recorder:
    forget()
    return Recorder()


TARGETS = torch.tensor([[0.5, 0.2, 0.3], [0.2, 0.2, 0.6], [0.1, 0.8, 0.1]], dtype=torch.float64)
DRAFT = torch.tensor([0.25, 0.25, 0.5], dtype=torch.float64)


def test_expanded_rows_are_one_problem(recorder: Recorder) -> None:
    assert recorder.select(TARGETS[0].expand(100, -1), DRAFT.expand(100, 4, -1)) == [0] * 100
    (planned,) = recorder.planned
    assert (planned.n_drafts, planned.drafting) == (4, "with_replacement")
    np.testing.assert_array_equal(planned.draft, DRAFT.numpy())


def test_every_distinct_row_is_planned_once(recorder: Recorder) -> None:
    pattern = torch.tensor([0, 1, 2, 2, 1, 0, 0, 2])
    assert recorder.select(TARGETS[pattern], DRAFT.repeat(8, 2, 1)) == [[0, 2, 1][k] for k in pattern.tolist()]
    assert len(recorder.planned) == 3


def test_rows_that_differ_in_one_drafter_are_two_problems(recorder: Recorder) -> None:
    draft = DRAFT.repeat(2, 2, 1)
    draft[1, 1] = TARGETS[0]
    recorder.select(TARGETS[[0, 0]], draft, "independent")
    assert sorted(problem.draft[1, 0] for problem in recorder.planned) == [0.25, 0.5]


def test_a_buffer_written_again_is_another_problem(recorder: Recorder) -> None:
    """Plans are found by the bits of the laws: not by address, shape or turn."""
    buffer, draft = TARGETS[[0, 0]].clone(), DRAFT.repeat(2, 2, 1)
    assert recorder.select(buffer, draft) == [0, 0]
    buffer[:] = TARGETS[1]
    assert recorder.select(buffer, draft) == [2, 2]
    buffer[:] = TARGETS[0]
    assert recorder.select(buffer, draft) == [0, 0]
    assert len(recorder.planned) == 2
    recorder.select(buffer, DRAFT.repeat(2, 3, 1))  # another number of drafts
    forget()
    recorder.select(buffer, draft)
    assert len(recorder.planned) == 4


def test_few_plans_are_kept(recorder: Recorder) -> None:
    targets = torch.from_numpy(np.random.default_rng(0).dirichlet(np.ones(3), size=REMEMBERED + 1))
    for _ in range(2):
        recorder.select(targets, DRAFT.repeat(len(targets), 1, 1))
    assert len(recorder.planned) > REMEMBERED + 1


def test_another_planner_plans_for_itself(recorder: Recorder) -> None:
    other = Recorder()
    for planner in (recorder, other, recorder):
        planner.select(TARGETS[:1], DRAFT.repeat(1, 1, 1))
    assert len(recorder.planned) == len(other.planned) == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_rows_are_renormalised_in_float64(recorder: Recorder, dtype: torch.dtype) -> None:
    rows, draft = TARGETS.to(dtype) * 3, DRAFT.repeat(3, 1, 1).to(dtype)
    recorder.select(rows, draft)
    for problem in recorder.planned:
        values = rows.double().numpy()
        assert min(np.abs(problem.target - values / values.sum(axis=1, keepdims=True)).max(axis=1)) <= 1e-15


def test_no_rows(recorder: Recorder) -> None:
    assert recorder.select(TARGETS[:0], DRAFT.repeat(0, 2, 1)) == []
    assert recorder.planned == []


def test_laws_that_cannot_be_drawn_from_are_refused(recorder: Recorder) -> None:
    with pytest.raises(InvalidProblem, match="3 drafts of 2 tokens"):
        recorder.select(TARGETS[:1], torch.tensor([[[0.5, 0.5, 0.0]]]).repeat(1, 3, 1), "without_replacement")


@pytest.mark.cuda
@pytest.mark.parametrize(
    ("name", "law"),
    [
        (name, law)
        for name in ("canonical", "transport", "importance", "global_resolution")
        for law in schemes.get(name).laws
    ],
)
def test_planned_schemes_select_on_cuda(name: str, law: str) -> None:
    seed = int(np.random.SeedSequence().generate_state(1)[0])
    print(f"seed = {seed}")
    rng = np.random.default_rng(seed)
    cases = [random_instance(rng, law, 6, 3) for _ in range(2)]
    check_select(schemes.get(name, drafting=law), cases, seed, device="cuda")
