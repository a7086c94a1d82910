"""Declarations: how the drafting law and the number of drafts go together."""

from __future__ import annotations

import pytest

from spectest.declaration import Declaration, declared_by, selector
from spectest.errors import UsageError


def test_a_law_that_fixes_the_number_of_drafts_brings_it_along() -> None:
    @selector(drafting="hub")
    def pairs() -> None: ...

    assert declared_by(pairs).n_drafts == 2
    assert Declaration(n_drafts=5).override({"drafting": "hub", "n_drafts": None}).n_drafts == 2
    assert Declaration().override({"drafting": "greedy"}).n_drafts == 3


def test_another_number_is_refused() -> None:
    message = "`n_drafts` must be 2 for `drafting` hub, got 3"
    with pytest.raises(UsageError, match=message):
        Declaration().override({"drafting": "hub", "n_drafts": 3})
    with pytest.raises(UsageError, match=message):
        Declaration(drafting="hub", n_drafts=2).override({"n_drafts": 3})
    with pytest.raises(UsageError, match="`drafting` must be one of"):
        Declaration().override({"drafting": ["hub"]})
