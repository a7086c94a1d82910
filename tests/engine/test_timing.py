"""Timing a selector: what its calls are handed, what is measured, and what it does wrong."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from spectest.declaration import Declaration
from spectest.engine import BadOutput, Refused, SelectorRaised, Timed, Timing
from spectest.engine.backends import backend_of
from spectest.engine.caller import Caller
from spectest.engine.clocks import CudaClock, HostClock, clock_of
from spectest.engine.timing import argmax_over, measure
from spectest.engine.timing_inputs import Inputs
from spectest.errors import InvalidProblem, ProblemTooLarge
from spectest.problem import DRAFTING
from spectest.schemes.common.planning import REMEMBERED

if TYPE_CHECKING:
    from collections.abc import Callable


def inputs(timing: Timing, **declared: Any) -> Inputs:
    declaration = Declaration().override(declared)
    return Inputs(declaration, backend_of(declaration), timing)


def timed(function: Callable[..., Any], timing: Timing, **declared: Any) -> Timed | Refused:
    declaration = Declaration().override(declared)
    return measure(Caller(function, declaration, backend_of(declaration)), timing)


def first(p: Any, q: Any, ids: Any, *rest: Any) -> Any:
    return ids[..., 0]


# ------------------------------------------------------------------------------------------------ what calls are handed


@pytest.mark.parametrize("law", DRAFTING)
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_dense_rows_are_contiguous_and_each_a_problem_of_its_own(law: str, dtype: str) -> None:
    n = 2 if law == "hub" else 3
    (p, q, ids, generator), *_ = inputs(Timing(40, n, 5), drafting=law, dtype=dtype).calls(1)
    assert (p.shape, q.shape, ids.shape) == ((5, 40), (5, n, 40), (5, n))
    assert p.is_contiguous()
    assert q.is_contiguous()
    assert p.dtype == q.dtype == getattr(torch, dtype)
    assert isinstance(generator, torch.Generator)
    assert len(p.unique(dim=0)) == 5
    torch.testing.assert_close(q.double().sum(-1), torch.ones(5, n).double(), rtol=0, atol=0.05)
    assert (len(q[0].unique(dim=0)) == n) == DRAFTING[law].rows_differ
    assert bool((q.gather(2, ids.unsqueeze(2)) > 0).all())


@pytest.mark.parametrize(("law", "n"), [("greedy", 3), ("hub", 2)])
def test_drafts_belong_to_the_renamed_tokens_of_their_own_row(law: str, n: int) -> None:
    for _, q, ids, _ in inputs(Timing(40, n, 5), drafting=law).calls(50):
        likeliest = q[:, 0].topk(n - 1).indices
        if law == "greedy":
            assert torch.equal(ids[:, :-1], likeliest)
        else:
            assert bool((ids == likeliest).any(-1).all())


def test_drafts_follow_the_law_of_their_row() -> None:
    """Expected and drawn log-likelihood agree over many drafts; those of another row would be far off."""
    given = inputs(Timing(300, 3, 4)).calls(200)
    drawn = torch.stack([q[:, 0].log().gather(1, ids).sum(-1) for _, q, ids, _ in given])
    law = torch.stack([q[:, 0] for _, q, _, _ in given])
    expected = 3 * (law * law.log()).sum(-1)
    deviation = (3 * (law * law.log() ** 2).sum(-1) - expected**2 / 3).sum().sqrt()
    # Calls go round a pool of drafts, met three times or more each: errors are at most twice those of independent ones.
    assert float((drawn - expected).sum().abs() / deviation) < 15


def test_shared_rows_are_expanded_views_of_one_problem() -> None:
    seen = []
    for p, q, ids, _ in inputs(Timing(40, 3, 64, shared=True), broadcast=True).calls(REMEMBERED + 1):
        assert (p.shape, q.shape, ids.shape) == ((64, 40), (64, 3, 40), (64, 3))
        assert p.stride(0) == q.stride(0) == 0
        assert len(ids.unique(dim=0)) > 1
        seen.append(p[0])
    assert len(torch.stack(seen).unique(dim=0)) == REMEMBERED + 1


@pytest.mark.parametrize("rows", [1, 8, 64])
def test_more_problems_than_any_plan_is_kept_for_come_round_and_never_one_twice_in_a_row(rows: int) -> None:
    given = [p for p, *_ in inputs(Timing(40, 3, rows)).calls(80)]
    assert len(torch.cat(given).unique(dim=0)) > REMEMBERED
    assert all(not torch.equal(before, after) for before, after in itertools.pairwise(given))


def test_the_same_seed_gives_the_same_inputs_whatever_the_precision() -> None:
    (p, q, ids, _), (same_p, same_q, same_ids, _), (single, *_), (other, *_) = (
        inputs(Timing(40, 3, 4, seed=seed), dtype=dtype).calls(1)[0]
        for seed, dtype in ((1, "float64"), (1, "float64"), (1, "float32"), (2, "float64"))
    )
    assert torch.equal(p, same_p)
    assert torch.equal(q, same_q)
    assert torch.equal(ids, same_ids)
    assert torch.equal(p.float(), single)
    assert not torch.equal(p, other)


@pytest.mark.parametrize("array", ["torch", "numpy"])
@pytest.mark.parametrize(
    ("rng", "rest"), [("generator", 1), ("global", 0), ("seed", 1), ("uniforms", 1)]
)  # fmt: skip
def test_randomness_comes_as_declared(array: str, rng: str, rest: int) -> None:
    for batched in (True, False):
        for p, q, ids, *fourth in inputs(Timing(9, 3, 1), array=array, rng=rng, batched=batched).calls(3):
            assert len(fourth) == rest
            assert (p.ndim, q.ndim, ids.ndim) == ((2, 3, 2) if batched else (1, 2, 1))
            if rng == "uniforms":
                assert tuple(fourth[0].shape) == ((1, 4) if batched else (4,))


@pytest.mark.parametrize(
    ("timing", "declared", "said"),
    [
        (Timing(2, 3, 1), {"drafting": "without_replacement"}, "`n_drafts`"),
        (
            Timing(400, 400, 1),
            {"drafting": "greedy", "dtype": "float16"},
            "fewer than 400 tokens",
        ),  # the rest underflow
    ],
)
def test_problems_that_do_not_exist_are_refused(timing: Timing, declared: dict[str, Any], said: str) -> None:
    found = timed(first, timing, **declared)
    assert isinstance(found, Refused)
    assert said in found.reason


# ----------------------------------------------------------------------------------------------------- what is measured


def test_a_slow_selector_is_timed_call_by_call() -> None:
    def slow(p: Any, q: Any, ids: Any, generator: Any) -> Any:
        time.sleep(0.02)
        return ids[:, 0]

    found = timed(slow, Timing(8, 3, 2, seconds=0.2))
    assert isinstance(found, Timed)
    assert found.calls == 1
    assert 1 <= len(found.seconds) <= 10
    assert len(found.argmax_seconds) == len(found.seconds)
    assert min(found.seconds) >= 0.02
    assert min(found.argmax_seconds) > 0


def test_a_quick_selector_is_timed_many_calls_at_once() -> None:
    count = 0

    def quick(p: Any, q: Any, ids: Any, generator: Any) -> Any:
        nonlocal count
        count += 1
        return ids[:, 0]

    started = time.perf_counter()
    found = timed(quick, Timing(8, 3, 2, seconds=0.1))
    took = time.perf_counter() - started
    assert isinstance(found, Timed)
    assert found.calls > 1
    assert count > found.calls * len(found.seconds)
    assert found.calls * sum(found.seconds) < took


class Counting:
    """A clock that only calls move on, three seconds each of the selector and five of argmax; it counts its waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.marks: list[float] = []
        self.settled: list[int] = []  # how many marks there were

    def mark(self) -> float:
        self.marks.append(self.now)
        return self.now

    def settle(self) -> None:
        self.settled.append(len(self.marks))

    def between(self, start: float, end: float) -> float:
        assert self.settled[-1] == len(self.marks)  # read once everything has ended
        return end - start

    def select(self, p: Any, q: Any, ids: Any, generator: Any) -> Any:
        self.now += 3.0
        return ids[:, 0]

    def argmax(self) -> None:
        self.now += 5.0


def test_each_is_timed_by_itself_and_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Counting()
    monkeypatch.setattr("spectest.engine.timing.clock_of", lambda _: clock)
    monkeypatch.setattr("spectest.engine.timing.argmax_over", lambda _: clock.argmax)
    found = timed(clock.select, Timing(8, 3, 2, seconds=0.05))
    assert isinstance(found, Timed)
    assert set(found.seconds) == {3.0}
    assert set(found.argmax_seconds) == {5.0}
    assert [marks for marks in clock.settled if marks] == [len(clock.marks)] == [3 * len(found.seconds)]


def test_one_round_is_measured_in_any_case() -> None:
    found = timed(first, Timing(8, 3, 2, seconds=0))
    assert isinstance(found, Timed)
    assert len(found.seconds) == 1


@pytest.mark.parametrize("declared", [{"array": "numpy"}, {"dtype": "bfloat16"}, {"rng": "uniforms"}])
@pytest.mark.parametrize("shared", [False, True])
def test_any_declaration_can_be_timed(declared: dict[str, Any], shared: bool) -> None:  # noqa: FBT001
    found = timed(first, Timing(8, 3, 4, shared, seconds=0.01), **declared)
    assert isinstance(found, Timed)


def test_one_position_a_call() -> None:
    def one(p: Any, q: Any, ids: Any, generator: Any) -> int:
        assert (p.shape, q.shape, ids.shape) == ((8,), (3, 8), (3,))
        return int(ids[0])

    assert isinstance(timed(one, Timing(8, 3, 1, seconds=0.01), batched=False), Timed)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("array", ["torch", "numpy"])
def test_argmax_is_taken_over_the_very_rows(array: str, shared: bool) -> None:  # noqa: FBT001
    given = inputs(Timing(30, 3, 4, shared), array=array, broadcast=True)
    argmax = argmax_over(given.targets)
    for target in given.targets * 2:
        np.testing.assert_array_equal(argmax().numpy(), np.asarray(target).argmax(-1))


# --------------------------------------------------------------------------------------------------- what it does wrong


def test_what_a_call_raises_is_the_selectors_fault_even_late() -> None:
    count = 0

    def late(p: Any, q: Any, ids: Any, generator: Any) -> Any:
        nonlocal count
        count += 1
        if count > 20:
            msg = "worn out"
            raise KeyError(msg)
        return ids[:, 0]

    with pytest.raises(SelectorRaised, match="KeyError: 'worn out'"):
        timed(late, Timing(8, 3, 2, seconds=1))


def test_the_first_answer_is_checked() -> None:
    with pytest.raises(BadOutput, match=r"int64 of shape \(2,\)"):
        timed(lambda p, q, ids, generator: ids, Timing(8, 3, 2))


@pytest.mark.parametrize("error", [ProblemTooLarge, InvalidProblem])
def test_a_selector_that_says_no_is_no_fault(error: type[Exception]) -> None:
    def refuses(p: Any, q: Any, ids: Any, generator: Any) -> Any:
        msg = "at most 3 tokens"
        raise error(msg)

    assert timed(refuses, Timing(8, 3, 2)) == Refused("at most 3 tokens")


def test_another_selector_can_be_timed_in_the_same_process() -> None:
    address = "spectest.schemes.recursive_rejection:with_replacement"
    found = timed(lambda *_: 1 / 0, Timing(8, 3, 2, seconds=0.01, address=address, overrides={"dtype": "float32"}))
    assert isinstance(found, Timed)
    gone = timed(first, Timing(8, 3, 2, address="spectest.schemes:gone"))
    assert isinstance(gone, Refused)
    assert "gone" in gone.reason


# --------------------------------------------------------------------------------------------------------------- clocks


def test_the_host_clock_reads_at_once() -> None:
    clock = clock_of("cpu")
    assert isinstance(clock, HostClock)
    start = clock.mark()
    time.sleep(0.01)
    clock.settle()
    assert 0.01 <= clock.between(start, clock.mark()) < 5


class FakeCuda:
    """What `CudaClock` needs of `torch.cuda`: events that know when they were recorded, in milliseconds."""

    def __init__(self) -> None:
        self.now = 0.0
        self.settled: list[str] = []
        outer = self

        class Event:
            def __init__(self, *, enable_timing: bool) -> None:
                assert enable_timing

            def record(self, stream: object) -> None:
                assert stream == "stream of cuda:1"
                outer.now += 250
                self.at = outer.now

            def elapsed_time(self, other: Event) -> float:
                return other.at - self.at

        self.Event = Event

    def current_stream(self, device: str) -> str:
        return f"stream of {device}"

    def synchronize(self, device: str) -> None:
        self.settled.append(device)


def test_the_cuda_clock_records_events_in_the_stream_and_waits_when_told(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeCuda()
    monkeypatch.setattr(torch, "cuda", fake)
    clock = clock_of("cuda:1")
    assert isinstance(clock, CudaClock)
    start, end = clock.mark(), clock.mark()
    assert fake.settled == []
    clock.settle()
    assert fake.settled == ["cuda:1"]
    assert clock.between(start, end) == 0.25


@pytest.mark.cuda
@pytest.mark.parametrize("shared", [False, True])
def test_on_cuda(shared: bool) -> None:  # noqa: FBT001
    def softmaxes(p: Any, q: Any, ids: Any, generator: Any) -> Any:
        for _ in range(20):
            p = p.softmax(-1)
        return ids[:, 0]

    timing = Timing(128_256, 3, 8, shared, seconds=0.2)
    found = timed(softmaxes, timing, device="cuda", broadcast=True)
    assert isinstance(found, Timed)
    assert min(found.seconds) > max(found.argmax_seconds[1:])
