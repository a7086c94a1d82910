"""A run: from a selector and a configuration to a `Report`."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from spectest.checks.base import Shared
from spectest.checks.result import CaseResult
from spectest.runner.case import run_case
from spectest.runner.config import RunConfig, plan
from spectest.runner.replay import Record, replay, save
from spectest.runner.report import Report
from spectest.runner.sessions import Opener, cores

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from spectest.engine import Session
    from spectest.problem import Problem
    from spectest.runner.config import Planned

_WORKERS: Final = 2
#: A selector lost (hung, or its process ended) this often before it ever passed anything is not called again.
_LOST_AT_MOST: Final = 2
#: ... and this often in all.
_LOST_IN_ALL: Final = 8
#: Failures run again in a fresh process, to tell those that depend on earlier calls: the first of each check.
_CONFIRMED: Final = 4


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

    waiting: deque[Planned]
    results: dict[Planned, CaseResult | None] = field(default_factory=dict)
    caps: dict[Planned, int] = field(default_factory=dict)
    sessions: list[Session] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    error: BaseException | None = None
    stopped: bool = False

    @property
    def given_up(self) -> bool:
        """Whether calling the selector again would only cost time."""
        found = [result for result in self.results.values() if result is not None]
        lost = sum(result.lost for result in found)
        return lost >= _LOST_IN_ALL or (lost >= _LOST_AT_MOST and lost == len(found))


class Run:
    """One run of a selector.

    Args:
        selector: an address, or a callable.
        config: what is asked for.
        observer: told how it goes.
        workers: processes to run the selector in; the number of cores up to two by default, one on an accelerator.

    Raises:
        UsageError: the selector cannot be called at all.
    """

    def __init__(
        self,
        selector: str | Callable[..., Any],
        config: RunConfig,
        observer: Observer | None = None,
        workers: int | None = None,
    ) -> None:
        self._config = config
        self._observer = observer or Silent()
        self._opener = Opener(selector, config)
        self._plan = plan(config)
        self._workers = workers or min(_WORKERS, cores())

    def execute(self) -> Report:
        """Run every case; Ctrl-C ends the run early with what it has.

        Raises:
            UsageError: the selector cannot be loaded, or a declaration cannot be honoured.
        """
        threads = max(1, cores() // self._workers)
        first = self._opener.open(threads)
        state = _State(deque(self._in_order()), sessions=[first])
        self._observer.planned(self._plan)
        if self._opener.local or first.loaded.declaration.device != "cpu":
            self._workers = 1
        deadline = time.monotonic() + self._config.seconds
        shared = Shared()
        interrupted = False
        pool = [
            threading.Thread(target=self._work, args=(state, shared, deadline, threads, index), daemon=True)
            for index in range(self._workers)
        ]
        try:
            if self._workers == 1:
                self._work(state, shared, deadline, threads, 0)
            else:
                for worker in pool:
                    worker.start()
                while any(worker.is_alive() for worker in pool):
                    for worker in pool:
                        worker.join(0.1)
        except KeyboardInterrupt:
            interrupted = state.stopped = True
        finally:
            for session in state.sessions:
                session.close()
        if state.error is not None:
            raise state.error
        return self._report(state, first, interrupted=interrupted)

    def _in_order(self) -> list[Planned]:
        """Return the cases as they are run: smoke first, then the longest, so that the workers end together."""
        smoke = [item for item in self._plan if item.check == "smoke"]
        return smoke + sorted((item for item in self._plan if item.check != "smoke"), key=lambda item: -item.cost)

    def _work(self, state: _State, shared: Shared, deadline: float, threads: int, index: int) -> None:
        try:
            if index > 0:
                session = self._opener.open(threads)
                with state.lock:
                    state.sessions.append(session)
            session = state.sessions[0] if index == 0 else session
            while (planned := self._next(state)) is not None:
                self._one(planned, state, shared, session, deadline)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            # A worker that ended without a word would leave cases out of the report: raised again by `execute`.
            # After an interrupt its session was closed under it, and its error says nothing.
            with state.lock:
                if not state.stopped:
                    state.error = error
                state.stopped = True

    def _next(self, state: _State) -> Planned | None:
        with state.lock:
            if state.stopped or not state.waiting:
                return None
            return state.waiting.popleft()

    def _one(self, planned: Planned, state: _State, shared: Shared, session: Session, deadline: float) -> None:
        with state.lock:
            given_up = state.given_up
            ahead = planned.cost + sum(item.cost for item in state.waiting)
        if given_up:
            detail = "not run: the selector hung or ended its process too often"
            result: CaseResult | None = CaseResult(planned.check, planned.case, "inconclusive", detail)
        else:
            left = max(0.0, deadline - time.monotonic()) * self._workers
            seconds = left * planned.cost / ahead if ahead else left
            result, largest = run_case(
                planned,
                self._config,
                session,
                shared=shared,
                seconds=max(seconds, 0.2),
                progress=lambda samples, total: self._observer.progress(planned, samples, total),
            )
            with state.lock:
                state.caps[planned] = largest
        with state.lock:
            state.results[planned] = result
        self._observer.finished(planned, result)

    def _report(self, state: _State, session: Session, *, interrupted: bool) -> Report:
        loaded = session.loaded
        cases = []
        confirmed: set[str] = set()
        for planned in self._plan:
            result = state.results.get(planned)
            if result is None:
                continue
            if result.verdict == "fail" and self._opener.address is not None:
                first = planned.check not in confirmed and len(confirmed) < _CONFIRMED
                confirmed.add(planned.check)
                result = self._recorded(planned, result, state.caps.get(planned), confirm=first and not interrupted)
            cases.append(result)
        environment: dict[str, Any] = {
            **loaded.environment,
            "tier": self._config.tier,
            "seed": self._config.seed,
            "declaration": loaded.declaration.to_dict(),
            "isolated": not self._opener.local,
        }
        return Report(loaded.name, self._config.alpha, tuple(cases), environment, interrupted)

    def _recorded(self, planned: Planned, result: CaseResult, cap: int | None, *, confirm: bool) -> CaseResult:
        """Store a failure for `spectest replay`; where asked, see whether it comes back in a fresh process."""
        assert self._opener.address is not None
        record = Record(self._opener.address, self._config, planned.check, planned.case, cap or None)
        identity = save(record)
        if confirm and not result.lost:
            again = replay(record)
            if again is not None and again.verdict != "fail":
                note = "\nstateful: it did not come back in a fresh process, so it depends on earlier calls"
                result = replace(result, stateful=True, detail=result.detail + note)
        return replace(result, replay=identity)


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
    **declared: Any,  # noqa: ANN401 (validated by Declaration)
) -> Report:
    """Verify that a selector is lossless and how far its acceptance is from the optimum.

    A correct selector fails with probability at most `alpha`, whatever the seed; a selector whose output deviates from the
    target by `delta` in total variation on a main problem passes with probability at most `beta`.

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
        budget: seconds the run may take; what then lacks samples is inconclusive.
        timeout: seconds per call after a process's first.
        problem: a problem of your own, in place of the generated main ones.
        checks: names of the checks to run, all by default.
        declared: any other field of `spectest.declaration.Declaration`.

    Returns:
        The report: `.verdict`, `.checks`, `.acceptance`, `.exit_code`, `.to_dict()`.

    Raises:
        UsageError: the selector cannot be called at all, or an argument is out of range.
    """
    overrides = {"drafting": drafting, "n_drafts": n_drafts, "scheme": scheme, "device": device, **declared}
    if problem is not None:
        overrides |= {"drafting": problem.drafting, "n_drafts": problem.n_drafts}
    config = RunConfig(
        tier=tier,
        alpha=alpha,
        beta=beta,
        delta=delta,
        seed=seed,
        vocab=None if vocab is None else (vocab,) if isinstance(vocab, int) else tuple(vocab),
        budget=budget,
        timeout=timeout,
        checks=None if checks is None else tuple(checks),
        problem=problem,
        overrides=overrides,
    )
    return Run(selector, config).execute()
