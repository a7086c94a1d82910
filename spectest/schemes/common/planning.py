"""Selecting where a plan costs more than a pass over the vocabulary: one plan per distinct problem. Imports torch."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
import torch

from spectest.errors import ProblemTooLarge
from spectest.problem import Problem, drafting_rule
from spectest.schemes.common.sampling import check_inputs, is_shared, totals

if TYPE_CHECKING:
    from collections.abc import Callable

#: Problems whose plans are kept, compared by the bits of their laws.
REMEMBERED: Final = 16


class Plan(Protocol):
    """How one problem's drafts are turned into tokens."""

    def select(self, draft_token_ids: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return one token per row, (B, n) -> (B,), on the device of the ids."""
        ...


def select_by_problem(
    planner: Callable[[Problem], Plan],
    drafting: str,
    inputs: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    generator: torch.Generator,
    *,
    at_most: int | None = None,
) -> torch.Tensor:
    """Plan each distinct problem of a batch once and let it select its rows, (B,) int64.

    Expanded views are one problem. The plans of the last `REMEMBERED` problems are kept, so that a law met again call
    after call is not planned again; `forget` drops them, before anything is timed.

    Args:
        planner: makes the plan of a problem; plans are remembered under it.
        drafting: the drafting law of the rows.
        inputs: target_probs (B, V), draft_probs (B, n, V) and draft_token_ids (B, n); see `Scheme.select`.
        generator: the only source of randomness.
        at_most: how many different problems one batch may hold, None for any number.

    Raises:
        UsageError: shapes, dtypes, devices, ids or row sums that cannot be right.
        InvalidProblem: laws that cannot be drafted from so.
        ProblemTooLarge: the planner's own, or there are more different problems.
    """
    target_probs, draft_probs, ids = inputs
    check_inputs(target_probs, draft_probs, ids, generator)
    totals(target_probs, name="target_probs")
    totals(draft_probs if drafting_rule(drafting).rows_differ else draft_probs[:, 0], name="draft_probs")
    # The n rows are equal by contract where the drafters are.
    laws = draft_probs if drafting_rule(drafting).rows_differ else draft_probs[:, :1]
    vocab, n = target_probs.shape[1], ids.shape[1]
    if is_shared(target_probs, laws):
        rows = torch.cat([target_probs[:1], laws[0]])
        return _plan(planner, drafting, rows, n).select(ids, generator)
    selected = torch.empty(len(ids), dtype=torch.int64, device=ids.device)
    if not len(ids):
        return selected
    rows = torch.cat([target_probs.unsqueeze(1), laws], dim=1).double()
    distinct, which, counts = torch.unique(rows.flatten(1), dim=0, return_inverse=True, return_counts=True)
    if at_most is not None and len(distinct) > at_most:
        msg = f"the batch holds {len(distinct)} different problems of {vocab} tokens, more than {at_most}: split it"
        raise ProblemTooLarge(msg)
    groups = which.argsort(stable=True).split(counts.tolist())
    for problem, group in zip(distinct, groups, strict=True):
        plan = _plan(planner, drafting, problem.reshape(-1, vocab), n)
        selected[group] = plan.select(ids.index_select(0, group), generator)
    return selected


def forget() -> None:
    """Drop every plan that is kept."""
    _planned.cache_clear()


def _plan(planner: Callable[[Problem], Plan], drafting: str, rows: torch.Tensor, n_drafts: int) -> Plan:
    """Return the plan of the problem of laws (1 + r, V): target, then drafters."""
    laws = rows.detach().double().cpu().numpy()
    laws = laws / laws.sum(axis=1, keepdims=True)
    return _planned(planner, drafting, laws[0].tobytes(), laws[1:].tobytes(), n_drafts)


@lru_cache(maxsize=REMEMBERED)
def _planned(planner: Callable[[Problem], Plan], drafting: str, target: bytes, draft: bytes, n_drafts: int) -> Plan:
    p = np.frombuffer(target)
    q = np.frombuffer(draft).reshape(-1, p.size)
    return planner(Problem(p, q if drafting_rule(drafting).rows_differ else q[0], n_drafts, drafting))
