"""Finished runs made up for tests."""

from __future__ import annotations

from typing import Any

from spectest.calibration import Trial

CONTROL, BUG, ESCAPING = "rrs_dense", "lenience", "residual_in_float16"


def trial(name: str, *, caught: bool = False, seed: int = 0, **fields: Any) -> Trial:
    """Return a run of a selector of the zoo, passed or failed in `law[V5]`."""
    found = {"verdict": "fail", "checks": ("law", "edge"), "first": "law[V5]", "detail": "it deviates"}
    passed = {"verdict": "pass", "checks": (), "first": ""}
    given: dict[str, Any] = {"tier": "quick", "whole": True, "samples": 1000, "seconds": 0.5}
    return Trial(name=name, seed=seed, **{**given, **(found if caught else passed), **fields})
