"""What the tests of the engine share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from spectest.engine import ChildSession
from tests.engine.samples import address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def opened() -> Iterator[Callable[..., ChildSession]]:
    """Open child sessions that are closed afterwards."""
    sessions: list[ChildSession] = []

    def start(name: str, **options: Any) -> ChildSession:
        sessions.append(ChildSession(name if ":" in name else address(name), **options))
        return sessions[-1]

    yield start
    for session in sessions:
        session.close()
