"""A run: from a selector and a configuration to a `Report`."""

from __future__ import annotations

import math
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from spectest.checks.hunt import STORED
from spectest.runner.config import configure, plan
from spectest.runner.crew import Crew
from spectest.runner.deadline import Deadline
from spectest.runner.judge import Judge
from spectest.runner.report import Report
from spectest.runner.sessions import Opener, cores

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from spectest.checks.result import CaseResult
    from spectest.engine import Loaded, Session
    from spectest.problem import Problem
    from spectest.runner.config import Planned, RunConfig

_WORKERS: Final = 2
#: What every case may take of the time left: one of few samples, each a call of its own, is not cut short by a machine
#: that is busy with something else.
_LEAST_SHARE: Final = 1 / 200
#: Samples of a case that is over in a moment.
_NEXT_TO_NOTHING: Final = 1_200


class Observer(Protocol):
    """Told how a run goes, from whatever thread it happens on."""

    def planned(self, cases: Sequence[Planned]) -> None:
        """Tell which cases there are."""
        ...

    def progress(self, case: Planned, samples: int, total: int) -> None:
        """Tell how far a case's current sample is."""
        ...

    def finished(self, case: Planned, result: CaseResult | None) -> None:
        """Tell what a case came to; None where it says nothing about this kind of selector."""
        ...


class Silent:
    """Tells nobody."""

    def planned(self, cases: Sequence[Planned]) -> None:
        """See `Observer`."""

    def progress(self, case: Planned, samples: int, total: int) -> None:
        """See `Observer`."""

    def finished(self, case: Planned, result: CaseResult | None) -> None:
        """See `Observer`."""


@dataclass
class _State:
    """What the workers of a run share."""

    judge: Judge
    crew: Crew
    deadline: Deadline
    waiting: deque[Planned]
    results: dict[Planned, CaseResult | None] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    error: BaseException | None = None
    stopped: bool = False


class Run:
    """One run of a selector.

    Args:
        selector: an address, or a callable.
        config: what is asked for.
        observer: told how it goes.
        workers: processes to run the selector in; the number of cores up to two by default, one on an accelerator.
        first_failure: end with the first case that fails, and take its word for it.

    Raises:
        UsageError: the selector cannot be called at all.
    """

    def __init__(
        self,
        selector: str | Callable[..., Any],
        config: RunConfig,
        observer: Observer | None = None,
        workers: int | None = None,
        *,
        first_failure: bool = False,
    ) -> None:
        self._config = config
        self._observer = observer or Silent()
        self._opener = Opener(selector, config)
        self._workers = workers or (min(_WORKERS, cores()) if config.overrides.get("device", "cpu") == "cpu" else 1)
        self._first_failure = first_failure

    def execute(self) -> Report:
        """Run every case; Ctrl-C ends the run early with what it has.

        Raises:
            UsageError: the selector cannot be loaded, or a declaration cannot be honoured.
        """
        threads = max(1, cores() // self._workers)
        openings = [self._opener.begin(threads) for _ in range(self._workers)]
        try:
            self._plan = plan(self._config)
            state, interrupted = self._executed(openings)
        finally:
            self._opener.close(openings)
        if state.error is not None:
            raise state.error
        return self._report(state, openings[0].result().loaded, interrupted=interrupted)

    def _executed(self, openings: list[Future[Session]]) -> tuple[_State, bool]:
        """Run the cases; return what came of them, and whether Ctrl-C ended it."""
        loaded = openings[0].result().loaded
        if self._opener.local or loaded.declaration.device != "cpu":
            self._workers = 1
        self._config = self._config.fitted(loaded.declaration)
        crew = Crew(self._workers)
        deadline = Deadline(self._config)
        judge = Judge(self._opener, self._config, crew, deadline)
        state = _State(judge, crew, deadline, deque(self._in_order()))
        self._observer.planned(self._plan)
        try:
            self._all(state, openings)
        except KeyboardInterrupt:
            state.stopped = True
            return state, True
        return state, False

    def _all(self, state: _State, openings: list[Future[Session]]) -> None:
        if self._workers == 1:
            self._work(state, openings[0])
            return
        pool = [threading.Thread(target=self._work, args=(state, opening), daemon=True) for opening in openings]
        for worker in pool:
            worker.start()
        while any(worker.is_alive() for worker in pool):
            for worker in pool:
                worker.join(0.1)

    def _in_order(self) -> list[Planned]:
        """Return the cases as they are run: smoke, what failed before, what is over in a moment, then the longest.

        What the first ones find is found at once, and the workers end together. A run that ends with its first failure
        has the longest last; one that reads another's sample costs what that does.
        """

        def place(item: Planned) -> tuple[int, float]:
            if item.check == "smoke" or item.case == STORED:
                return 0, 0.0
            if self._first_failure:
                return 1, item.cost or math.inf
            return 1 if 0 < item.cost <= _NEXT_TO_NOTHING else 2, -item.cost

        return sorted(self._plan, key=place)

    def _work(self, state: _State, opening: Future[Session]) -> None:
        helping: Session | None = None
        try:
            session = opening.result()
            while (planned := self._next(state)) is not None:
                self._one(planned, state, session)
            helping = session
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 (raised again by `execute`)
            # A worker that ended without a word would leave cases out of the report.
            # After an interrupt its session was closed under it, and its error says nothing.
            with state.lock:
                if not state.stopped:
                    state.error = error
                state.stopped = True
        finally:
            state.crew.leave(helping)

    def _next(self, state: _State) -> Planned | None:
        with state.lock:
            if state.stopped or not state.waiting:
                return None
            return state.waiting.popleft()

    def _one(self, planned: Planned, state: _State, session: Session) -> None:
        with state.lock:
            ahead = planned.cost + sum(item.cost for item in state.waiting)
        remaining = state.deadline.left()
        left = remaining * self._workers
        share = max(left * planned.cost / ahead if ahead else left, left * _LEAST_SHARE)
        result = state.judge.run(
            planned,
            session,
            seconds=max(min(share, remaining), 0.2),
            progress=lambda samples, total: self._observer.progress(planned, samples, total),
        )
        with state.lock:
            state.results[planned] = result
            if result is not None and result.verdict == "fail":
                state.stopped = state.stopped or self._first_failure
                state.deadline.failed()
        self._observer.finished(planned, result)

    def _report(self, state: _State, loaded: Loaded, *, interrupted: bool) -> Report:
        cases = []
        for planned in self._plan:
            result = state.results.get(planned)
            if result is None:
                continue
            try:
                cases.append(state.judge.recorded(planned, result, confirm=not (interrupted or self._first_failure)))
            except KeyboardInterrupt:
                interrupted = True
                cases.append(state.judge.recorded(planned, result, confirm=False))
        environment: dict[str, Any] = {
            **loaded.environment,
            "tier": self._config.tier,
            "seed": self._config.seed,
            "declaration": loaded.declaration.to_dict(),
            "isolated": not self._opener.local,
        }
        return Report(loaded.name, self._config.alpha, tuple(cases), environment, interrupted)


def verify(
    selector: str | Callable[..., Any],
    *,
    tier: str = "quick",
    drafting: str | None = None,
    n_drafts: int | None = None,
    vocab: int | Sequence[int] | None = None,
    scheme: str | None = None,
    alpha: float = 1e-6,
    beta: float = 1e-3,
    delta: float | None = None,
    seed: int = 0,
    device: str | None = None,
    budget: float | None = None,
    timeout: float = 10.0,
    problem: Problem | None = None,
    checks: Sequence[str] | None = None,
    waivers: str | Path | None = None,
    **declared: Any,  # noqa: ANN401 (validated by Declaration)
) -> Report:
    """Verify that a selector is lossless and how far its acceptance is from the optimum.

    A correct selector fails with probability at most `alpha`, whatever the seed; a selector whose output deviates from
    the target by `delta` in total variation on a main problem passes with probability at most `beta`.

    Args:
        selector: `pkg.mod:name`, `path/to/file.py:name`, or a callable (see the README for the protocol).
        tier: quick (δ = 1e-2), standard (2e-3) or deep (5e-4).
        drafting: drafting law, in place of the declared one.
        n_drafts: drafts per position, in place of the declared number.
        vocab: sizes of the main problems, in place of the tier's.
        scheme: reference scheme whose acceptance it claims: significantly less is a failure.
        alpha: total false-alarm rate.
        beta: total miss rate at `delta`.
        delta: deviation to find, in place of the tier's.
        seed: of everything random.
        device: torch device, in place of the declared one.
        budget: seconds the run may take; what then lacks samples is inconclusive. The tier's where none is given,
            and then a run ends 45 seconds after its first failure.
        timeout: seconds per call after a process's first.
        problem: a problem of your own, in place of the generated main ones.
        checks: names of the checks to run, all by default.
        waivers: file of known failures, each with its issue and its counter-example.
        declared: any other field of `spectest.declaration.Declaration`.

    Returns:
        The report: `.verdict`, `.checks`, `.acceptance`, `.exit_code`, `.to_dict()`.

    Raises:
        UsageError: the selector cannot be called at all, or an argument is out of range.
    """
    if problem is not None:
        drafting, n_drafts = problem.drafting, problem.n_drafts
    config = configure(
        tier=tier,
        alpha=alpha,
        beta=beta,
        delta=delta,
        seed=seed,
        vocab=vocab,
        budget=budget,
        timeout=timeout,
        checks=checks,
        waivers=waivers,
        problem=problem,
        drafting=drafting,
        n_drafts=n_drafts,
        scheme=scheme,
        device=device,
        **declared,
    )
    return Run(selector, config).execute()
