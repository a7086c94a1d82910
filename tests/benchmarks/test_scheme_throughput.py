"""How fast every registered scheme selects, beside `torch.argmax` over the same rows in the same process.

`spectest bench --schemes all` measures more cells; this is what every run of `make bench` keeps an eye on.
"""

from __future__ import annotations

import statistics
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from spectest import schemes
from spectest.engine import ChildSession, Refused, SelectorHung, Timing
from spectest.engine.backends import backend_of
from spectest.engine.executor import MAX_ELEMENTS
from spectest.engine.timing import argmax_over
from spectest.engine.timing_inputs import Inputs
from spectest.throughput import reference
from spectest.throughput.machine import environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_benchmark.fixture import BenchmarkFixture

    from spectest.throughput import Subject

VOCAB = (8, 128, 1000, 32_000, 128_256)  # the smallest for schemes that plan small problems only
BATCH = (64, 8, 1)
ROUND = 0.2  # seconds a round may take
TOTAL = 0.3  # seconds of rounds, about
LEAST, MOST = 5, 100  # rounds
PATIENCE = 2.0  # seconds for one row of a scheme that has not been tried at this size


class Trials:
    """What one row costs, found out in a process that can be ended: a planner may take minutes where it is not at home.

    A scheme that took too long is not tried on a larger vocabulary.
    """

    def __init__(self) -> None:
        self._sessions: dict[str, ChildSession] = {}
        self._slow: set[tuple[str, str]] = set()

    def seconds(self, subject: Subject, vocab_size: int) -> float:
        """Return the seconds per row, or skip the test."""
        device, n = subject.declaration.device, subject.declaration.n_drafts
        if (subject.name, device) in self._slow:
            pytest.skip("too slow on a smaller vocabulary")
        if device not in self._sessions:
            self._sessions[device] = ChildSession(subject.address, {"device": device}, timeout=PATIENCE)
        overrides = {"device": device, "drafting": subject.declaration.drafting}
        timing = Timing(vocab_size, n, 1, seconds=0.01, address=subject.address, overrides=overrides)
        try:
            found = self._sessions[device].time(timing)
        except SelectorHung as fault:
            self._slow.add((subject.name, device))
            pytest.skip(fault.message)
        if isinstance(found, Refused):
            pytest.skip(found.reason)
        seconds = statistics.median(found.seconds)
        if seconds > ROUND:
            self._slow.add((subject.name, device))
            pytest.skip(f"one row takes {seconds:.2g} s")
        return seconds

    def close(self) -> None:
        """End the processes."""
        for session in self._sessions.values():
            session.close()


@pytest.fixture(scope="module")
def trials() -> Iterator[Trials]:
    found = Trials()
    yield found
    found.close()


@pytest.mark.benchmark
@pytest.mark.parametrize("name", schemes.SCHEMES)
@pytest.mark.parametrize("vocab_size", VOCAB)
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def test_throughput(name: str, vocab_size: int, device: str, trials: Trials, benchmark: BenchmarkFixture) -> None:
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("there is no CUDA device here")
    subject = reference(name)
    declaration = subject.declaration.override({"device": device})
    subject = type(subject)(name, subject.address, declaration, scheme=True)
    seconds, n = trials.seconds(subject, vocab_size), declaration.n_drafts
    rows = next(b for b in BATCH if b == 1 or (b * seconds <= ROUND and b * n * vocab_size <= MAX_ELEMENTS))
    inputs = Inputs(declaration, backend_of(declaration), Timing(vocab_size, n, rows))
    argmax, settle = argmax_over(inputs.targets), torch.cuda.synchronize if device == "cuda" else lambda: None
    module, _, function = subject.address.partition(":")
    select = getattr(import_module(module), function)
    beside: list[float] = []

    def before() -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Time an argmax over rows of this batch or the next, then hand over a call's arguments."""
        (arguments,) = inputs.calls(1)
        settle()
        start = time.perf_counter()
        argmax()
        settle()
        beside.append(time.perf_counter() - start)
        return arguments, {}

    def call(*arguments: Any) -> Any:
        token = select(*arguments)
        settle()
        return token

    rounds = min(MOST, max(LEAST, int(TOTAL / (rows * seconds))))
    benchmark.group = f"{device}, V = {vocab_size:,}"
    tokens = benchmark.pedantic(call, setup=before, rounds=rounds, warmup_rounds=2)
    assert tokens.shape == (rows,)
    assert bool(((tokens >= 0) & (tokens < vocab_size)).all())
    median, fastest = benchmark.stats.stats.median, statistics.median(beside)
    versions = environment()
    benchmark.extra_info |= {
        "scheme": name,
        "drafting": declaration.drafting,
        "V": vocab_size,
        "n": n,
        "B": rows,
        "device": torch.cuda.get_device_name() if device == "cuda" else versions["devices"]["cpu"],
        "threads": torch.get_num_threads(),
        "versions": {key: versions[key] for key in ("spectest", "python", "torch", "numpy")},
        "argmax": fastest,
        "times argmax": median / fastest,
        "tokens per second": rows / median,
    }
