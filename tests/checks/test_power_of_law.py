"""Where bias lives: structural bugs at V = 32,000 against a test that knows them (log(1/α)/KL).

Closed forms of one draft, on laws like a language model's; all by calculation, nothing is drawn from a selector.
"""

from __future__ import annotations

import numpy as np
import pytest

from spectest import Problem
from spectest.checks.laws import law_tests
from spectest.stats import oracle_samples

V, ALPHA, BETA = 32_000, 1e-9, 1e-3
Law = np.ndarray


def laws() -> tuple[Law, Law]:
    random = np.random.default_rng()
    p = np.exp(3 * random.normal(size=V))
    q = p * np.exp(random.normal(size=V))
    return p / p.sum(), q / q.sum()


def emitted(kept: Law, recovered: Law) -> Law:
    """What comes out: what was kept, the rest from `recovered`."""
    law: Law = kept + (1 - kept.sum()) * recovered / recovered.sum()
    return law


def bugs(p: Law, q: Law) -> dict[str, Law]:
    ids, kept, residual = np.arange(V), np.minimum(p, q), np.maximum(p - q, 0)
    share = residual / residual.sum()
    cold, warm = p ** (1 / 0.98), q ** (1 / 1.05)
    return {
        "lenient ratio .98": emitted(np.minimum(q, p / 0.98), residual),
        "lenient ratio .9": emitted(np.minimum(q, p / 0.9), residual),
        "target at temperature .98": cold / cold.sum(),
        "recovered from p": emitted(kept, p),
        "drafted at temperature 1.05": emitted(warm / warm.sum() * np.minimum(1, p / q), residual),
        "small residuals dropped": emitted(kept, np.where(share < 1e-5, 0, residual)),
        "last block of 1024 never recovered": emitted(kept, np.where(ids >= V - V % 1024, 0, residual)),
        "a block of 512 never recovered": emitted(kept, np.where(ids // 512 == 20, 0, residual)),
        "a lane of 32 never recovered": emitted(kept, np.where(ids % 32 == 7, 0, residual)),
        "residual quantised": emitted(kept, np.round(share * 2**11)),
        "residual of the next id": emitted(kept, np.roll(residual, 1)),
        "top-p .999": emitted(np.where(p >= np.sort(p)[np.searchsorted(np.cumsum(np.sort(p)), 1e-3)], p, 0), p),
    }


@pytest.mark.slow
def test_structural_bugs_need_few_times_what_the_oracle_needs() -> None:
    """Median at most five times, none above thirty; the full table alone takes several times as many."""
    ratios, full = {}, {}
    p, q = laws()
    tests = law_tests(Problem(p, q, 1))
    for name, law in bugs(p, q).items():
        oracle = oracle_samples(p, law, alpha=ALPHA)
        needed = tests.samples_against(law / law.sum(), alpha=ALPHA, beta=BETA)
        ratios[name] = min(needed.values()) / oracle
        full[name] = needed["full table"] / oracle
    assert np.median(list(ratios.values())) <= 5, ratios
    assert max(ratios.values()) <= 30, ratios
    assert np.median(list(full.values())) >= 2 * np.median(list(ratios.values()))
