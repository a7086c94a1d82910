"""Workers that help each other: nobody waits for nothing, nothing is lost, faults reach whoever asked."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from spectest import Problem
from spectest.checks.base import Context, Settings, Shared
from spectest.engine import Experiment, LocalSession, SelectorRaised, Tally, prepare
from spectest.runner.crew import Crew
from spectest.zoo import controls

PREPARED = prepare(Problem([0.3, 0.7], [0.6, 0.4], 3), "float64")
SETTINGS = Settings(alpha=1e-6, delta=1e-2, beta=1e-3, seed=0, vocab=(), small=0, calls=0)


class Recording:
    """A session that says when it was asked, by whom, and answers with an empty tally of one call."""

    def __init__(self, error: Exception | None = None) -> None:
        """Raise `error` where there is one."""
        self.asked: list[Experiment] = []
        self.error = error

    def sample(self, experiment: Experiment, progress: Any = None) -> Tally:
        """See `Session`."""
        self.asked.append(experiment)
        if self.error is not None:
            raise self.error
        return Tally.empty(1, 2)


class Helping(LocalSession):
    """A correct selector's session that says what it drew."""

    def __init__(self) -> None:
        """Nothing was drawn yet."""
        super().__init__(controls.rrs_dense, {})
        self.drawn: list[int] = []

    def sample(self, experiment: Experiment, progress: Any = None) -> Tally:
        """See `Session`."""
        self.drawn.append(experiment.seed)
        return super().sample(experiment, progress)


def experiment() -> Experiment:
    return Experiment((PREPARED,), 10, 0)


def helping(crew: Crew, session: Any) -> threading.Thread:
    """Return a worker that has left, once it is ready to help."""
    thread = threading.Thread(target=crew.leave, args=(session,), daemon=True)
    thread.start()
    time.sleep(0.05)
    return thread


def test_nobody_is_asked_while_all_are_at_work() -> None:
    assert Crew(2).ask(experiment()) is None


def test_an_idle_worker_draws_and_leaves_with_the_last() -> None:
    crew, session = Crew(2), Recording()
    thread = helping(crew, session)
    asked = experiment()
    future = crew.ask(asked)
    assert future is not None
    assert future.result(timeout=5).samples == 0
    assert session.asked == [asked]
    assert thread.is_alive()
    again = crew.ask(asked)
    assert again is not None
    again.result(timeout=5)
    crew.leave(Recording())  # type: ignore[arg-type]
    thread.join(timeout=5)
    assert not thread.is_alive()
    assert crew.ask(asked) is None


def test_no_more_is_asked_than_there_are_idle_workers() -> None:
    crew = Crew(3)
    blocked, release = Recording(), threading.Event()

    def held(*arguments: object) -> Tally:
        release.wait(5)
        return Tally.empty(1, 2)

    blocked.sample = held  # type: ignore[method-assign]
    helping(crew, blocked)
    assert crew.ask(experiment()) is not None
    time.sleep(0.05)
    assert crew.ask(experiment()) is None
    release.set()


def test_a_fault_reaches_whoever_asked_and_the_helper_goes_on() -> None:
    crew = Crew(2)
    thread = helping(crew, Recording(SelectorRaised("there")))
    for _ in range(2):
        future = crew.ask(experiment())
        assert future is not None
        with pytest.raises(SelectorRaised, match="there"):
            future.result(timeout=5)
    assert thread.is_alive()
    crew.leave(None)
    thread.join(timeout=5)
    assert not thread.is_alive()


def test_one_that_failed_to_start_helps_nobody() -> None:
    crew = Crew(2)
    crew.leave(None)
    assert crew.ask(experiment()) is None


@pytest.mark.parametrize("parts", [1, 2, 7])
def test_parts_are_the_same_sample_whoever_draws_them(parts: int) -> None:
    """With help or without: a replay, which has none, sees what the run saw."""
    asked = [Experiment((PREPARED,), 400 + 50 * part, part) for part in range(parts)]
    total = sum(part.samples for part in asked)
    alone = Context(LocalSession(controls.rrs_dense, {}), SETTINGS, 1e-8).sample_parts(asked, 0, total)
    crew, helper = Crew(2), Helping()
    helping(crew, helper)
    context = Context(LocalSession(controls.rrs_dense, {}), SETTINGS, 1e-8, helpers=crew)
    together = context.sample_parts(asked, 0, total)
    assert bool(helper.drawn) == (parts > 1)
    assert together.samples == alone.samples == total
    assert (together.counts == alone.counts).all()
    assert (together.accepted == alone.accepted).all()
    crew.leave(None)


def test_a_worker_that_becomes_idle_takes_what_is_left() -> None:
    """The first parts are drawn alone: whoever is late need not wait for the next sample."""
    crew, helper = Crew(2), Helping()
    asked = [Experiment((PREPARED,), 100, part) for part in range(20)]
    drawn: list[int] = []

    def progress(samples: int, total: int) -> None:
        drawn.append(samples)
        assert total == 2000

    class Slow(LocalSession):
        def sample(self, experiment: Experiment, progress: Any = None) -> Tally:
            if experiment.seed == 3:
                helping(crew, helper)
            time.sleep(0.01)
            progress(experiment.samples)
            return super().sample(experiment)

    context = Context(Slow(controls.rrs_dense, {}), SETTINGS, 1e-8, helpers=crew, progress=progress)
    assert context.sample_parts(asked, 0, 2000).samples == 2000
    assert 19 in helper.drawn
    assert drawn == sorted(drawn)
    crew.leave(None)


def test_who_waits_for_a_shared_sample_helps_to_draw_it() -> None:
    crew, helper, shared = Crew(2), Helping(), Shared()
    asked = [Experiment((PREPARED,), 100, part) for part in range(20)]
    waiting = Context(helper, SETTINGS, 1e-8, shared, helpers=crew)
    drawing = Context(LocalSession(controls.rrs_dense, {}), SETTINGS, 1e-8, shared, helpers=crew)
    found: list[Tally] = []

    def never() -> Tally:
        raise AssertionError

    other = threading.Thread(target=lambda: found.append(waiting.once("it", never)), daemon=True)

    def draw() -> Tally:
        other.start()
        time.sleep(0.05)
        return drawing.sample_parts(asked, 0, 2000)

    drawn = drawing.once("it", draw)
    other.join(timeout=5)
    assert found == [drawn]
    assert drawn.samples == 2000
    assert 19 in helper.drawn
    assert crew.ask(experiment()) is None  # who has what it waited for is not idle any more


def test_a_fault_reaches_who_waits_for_the_sample() -> None:
    crew, shared = Crew(2), Shared()
    context = Context(Helping(), SETTINGS, 1e-8, shared, helpers=crew)

    def draw() -> Tally:
        fault = SelectorRaised("there")
        raise fault

    for _ in range(2):
        with pytest.raises(SelectorRaised, match="there"):
            context.once("it", draw)


def test_parts_end_with_the_time_of_their_case() -> None:
    asked = [Experiment((PREPARED,), 100, part) for part in range(20)]
    context = Context(LocalSession(controls.rrs_dense, {}), SETTINGS, 1e-8, seconds=0.0)
    assert 0 < context.sample_parts(asked, 0, 2000).samples <= 100


def test_parts_end_when_the_end_of_the_run_comes_nearer() -> None:
    asked = [Experiment((PREPARED,), 100, part) for part in range(20)]
    ends = iter([time.monotonic() + 60] * 6 + [0.0] * 40)
    context = Context(LocalSession(controls.rrs_dense, {}), SETTINGS, 1e-8, seconds=1000, ends=lambda: next(ends))
    assert not context.late
    assert 100 < context.sample_parts(asked, 0, 2000).samples < 1000


def test_a_fault_of_the_helper_ends_the_sample() -> None:
    crew = Crew(2)
    helping(crew, Recording(SelectorRaised("there")))
    context = Context(LocalSession(controls.rrs_dense, {}), SETTINGS, 1e-8, helpers=crew)
    with pytest.raises(SelectorRaised, match="there"):
        context.sample_parts([Experiment((PREPARED,), 100, part) for part in range(20)], 0, 2000)
    crew.leave(None)
