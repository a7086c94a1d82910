"""Workers that help each other: nobody waits for nothing, nothing is lost, faults reach whoever asked."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from spectest import Problem
from spectest.checks.base import Context, Settings
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


def test_halves_are_the_same_sample_whoever_draws_them() -> None:
    """With help or without: a replay, which has none, sees what the run saw."""
    halves = Experiment((PREPARED,), 500, 1), Experiment((PREPARED,), 400, 2)
    alone = Context(LocalSession(controls.rrs_dense, {}), SETTINGS, 1e-8).sample_both(*halves, (0, 900))
    crew = Crew(2)
    helping(crew, LocalSession(controls.rrs_dense, {}))
    told: list[tuple[int, int]] = []
    context = Context(
        LocalSession(controls.rrs_dense, {}),
        SETTINGS,
        1e-8,
        assist=crew.ask,
        progress=lambda samples, total: told.append((samples, total)),
    )
    together = context.sample_both(*halves, (0, 900))
    assert together.samples == alone.samples == 900
    assert (together.counts == alone.counts).all()
    assert (together.accepted == alone.accepted).all()
    crew.leave(None)
