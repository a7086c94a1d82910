"""What the harness costs on top of the selector: drafting, calling, validating, tallying.

`SPECTEST_BENCHMARK_DRAWS=1000000 make bench` measures the figure in docs/benchmarks.md; the default is smaller.
"""

from __future__ import annotations

import os
import statistics
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from spectest import Problem
from spectest.declaration import declared_by
from spectest.engine import Experiment, prepare
from spectest.engine.backends import backend_of
from spectest.engine.caller import Caller
from spectest.engine.executor import Executor
from spectest.schemes.recursive_rejection import with_replacement

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

V, N = 1000, 3
DRAWS = int(os.environ.get("SPECTEST_BENCHMARK_DRAWS", "400000"))
ROUNDS = 5
MOST = 1.20


class Timed:
    """The scheme, with a clock around it."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self, *arguments: Any) -> object:
        """Select, and add up the time it took."""
        start = time.perf_counter()
        chosen = with_replacement(*arguments)
        self.seconds += time.perf_counter() - start
        return chosen


@pytest.mark.benchmark
def test_harness_costs_at_most_a_fifth_on_top_of_the_scheme(benchmark: BenchmarkFixture) -> None:
    generator = np.random.default_rng(0)
    target, draft = generator.dirichlet(np.ones(V), size=2)
    declaration = declared_by(with_replacement).override({"n_drafts": N, "broadcast": False})
    prepared = prepare(Problem(target, draft, N), declaration.dtype)
    ratios: list[float] = []

    def run() -> None:
        selector = Timed()
        executor = Executor(Caller(selector, declaration, backend_of(declaration)))
        start = time.perf_counter()
        tally = executor.sample(Experiment((prepared,), DRAWS, seed=len(ratios)))
        ratios.append((time.perf_counter() - start) / selector.seconds)
        assert tally.samples == DRAWS

    benchmark.pedantic(run, rounds=ROUNDS, warmup_rounds=1)
    benchmark.extra_info |= {"draws": DRAWS, "V": V, "n": N, "harness over scheme": ratios}
    assert statistics.median(ratios) <= MOST, ratios
