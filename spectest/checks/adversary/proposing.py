"""Strategies of trials: problems as `spectest.strategies` draws them, alone or several to a batch."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from spectest.checks.adversary.trial import Trial, trial_of
from spectest.strategies import problems

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

    from spectest.checks.adversary.families import Family
    from spectest.declaration import Declaration
    from spectest.problem import Problem


def trials(family: Family, declaration: Declaration) -> SearchStrategy[Trial]:
    """Return the trials of a family for a selector that declares this: its drafting law, its drafts, its dtype."""
    if family.together == 1:
        return _problems(family.vocab, declaration.n_drafts, declaration.drafting).map(lambda one: Trial((one,)))
    return _batches(family, declaration)


@st.composite
def _batches(draw: DrawFn, family: Family, declaration: Declaration) -> Trial:
    size = draw(st.integers(*family.vocab))
    alike = _problems((size, size), declaration.n_drafts, declaration.drafting)
    return trial_of(draw(st.lists(alike, min_size=2, max_size=family.together)), declaration.dtype)


@functools.cache
def _problems(vocab: tuple[int, int], n_drafts: int, drafting: str) -> SearchStrategy[Problem]:
    return problems(vocab=vocab, n_drafts=n_drafts, drafting=drafting)
