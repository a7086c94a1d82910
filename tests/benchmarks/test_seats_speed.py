"""What seats cost at a full vocabulary: a plan and one selection, beside a stable argsort of as many random numbers.

Both are measured in turn in one process; the bounds are ratios, so that they hold on any machine. A stable argsort of
128,256 numbers takes about 9 ms where the first of them is 2 ms.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from spectest import Problem, optimal_acceptance, schemes
from spectest.schemes.seats import with_replacement

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from pytest_benchmark.fixture import BenchmarkFixture

V, N = 128_256, 8
ROUNDS = 60
ROWS = 100_000


def laws(rng: np.random.Generator, kept: int) -> list[NDArray[np.float64]]:
    """A target and a noisy draft of it, each cut to its own `kept` likeliest tokens."""
    logits = 3 * rng.normal(size=V)
    found = []
    for scores in (logits, logits + rng.normal(size=V)):
        mass = np.exp(scores - scores.max())
        mass[np.argsort(mass)[: V - kept]] = 0
        found.append(mass / mass.sum())
    return found


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


@pytest.mark.benchmark
@pytest.mark.parametrize(("kept", "most"), [(1000, 2 / 9), (V, 4.0)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_plan_and_one_selection(benchmark: BenchmarkFixture, dtype: torch.dtype, kept: int, most: float) -> None:
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    p, q = laws(rng, kept)
    target, draft = torch.from_numpy(p).to(dtype)[None], torch.from_numpy(q).to(dtype).expand(1, N, V)
    numbers = rng.random(V)
    took: list[float] = []
    sorts: list[float] = []

    def run() -> None:
        ids = torch.from_numpy(rng.choice(V, size=(1, N), p=q))
        sorts.append(seconds(lambda: np.argsort(numbers, kind="stable")))
        took.append(seconds(lambda: with_replacement(target, draft, ids, generator)))

    benchmark.pedantic(run, rounds=ROUNDS, warmup_rounds=3)
    ratio = statistics.median(a / b for a, b in zip(took, sorts, strict=True))
    benchmark.extra_info |= {
        "scheme": "seats",
        "V": V,
        "n": N,
        "tokens with q > 0": kept,
        "milliseconds": 1e3 * statistics.median(took),
        "milliseconds of a stable argsort": 1e3 * statistics.median(sorts),
        "over a stable argsort": ratio,
    }
    problem = Problem(p, q, N)
    best = optimal_acceptance(p, q, N).value
    assert schemes.get("seats").acceptance(problem) == pytest.approx(best, rel=0, abs=1e-12)
    assert ratio <= most, (ratio, took, sorts)


@pytest.mark.benchmark
@pytest.mark.parametrize("kept", [1000, V])
def test_each_row_of_one_problem(benchmark: BenchmarkFixture, kept: int) -> None:
    """No bound: microseconds for each row of n = 8 drafts, planned once for all rows."""
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    p, q = laws(rng, kept)
    target, draft = torch.from_numpy(p).expand(ROWS, -1), torch.from_numpy(q).expand(ROWS, N, -1)
    ids = torch.from_numpy(rng.choice(V, size=(ROWS, N), p=q))
    took: list[float] = []
    benchmark.pedantic(
        lambda: took.append(seconds(lambda: with_replacement(target, draft, ids, generator))), rounds=5, warmup_rounds=1
    )
    each = 1e6 * statistics.median(took) / ROWS
    benchmark.extra_info |= {"scheme": "seats", "V": V, "n": N, "tokens with q > 0": kept, "microseconds a row": each}
