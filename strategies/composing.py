"""From pairs of laws to problems, for every drafting law."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import strategies as st

from spectest.problem import Problem, drafting_rule
from spectest.strategies.smooth import dyadic

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

    from spectest.strategies.building import Law
    from spectest.strategies.pairing import Pair


@st.composite
def problems_of(
    draw: DrawFn, pairs: SearchStrategy[Pair], n_drafts: tuple[int, int], drafting: tuple[str, ...]
) -> Problem:
    """Return problems over `pairs`; the number of drafts is drawn last, when it is known how many there can be."""
    name = draw(st.sampled_from(drafting))
    rule = drafting_rule(name)
    target, draft = draw(pairs)
    low, high = n_drafts
    support = int((draft > 0).sum())
    n = draw(st.integers(rule.drafts(low, support), rule.drafts(high, support)))
    if not rule.rows_differ:
        return Problem(target, draft, n, name)
    other = _other_drafters(target, draft)
    rows = [draft, *draw(st.lists(other, min_size=n - 1, max_size=n - 1))]
    return Problem(target, np.stack(rows), n, name)


def _other_drafters(target: Law, draft: Law) -> SearchStrategy[Law]:
    """Return further drafters beside `draft`: the same, the target itself, or one with no relation to them."""
    return st.one_of(st.just(draft), st.just(target), dyadic(vocab=target.size))
