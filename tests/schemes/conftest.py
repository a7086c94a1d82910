"""What the tests of the schemes share."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def seed() -> int:
    """Fresh every time, shown by pytest where a test fails: any seed must pass."""
    seed = int(np.random.SeedSequence().generate_state(1)[0])
    print(f"seed = {seed}")
    return seed
