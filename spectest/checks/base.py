"""What a check is, and what it is given."""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from spectest.engine import Prepared, Tally, prepare
from spectest.stats import derive_seed

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from spectest.checks.adversary.counterexample import Counterexample
    from spectest.checks.result import CaseResult
    from spectest.declaration import Declaration
    from spectest.engine import Experiment, Session
    from spectest.problem import Problem


@dataclass(frozen=True)
class Settings:
    """What a run was asked for; the same on every worker, known before anything is imported.

    Args:
        alpha: total false-alarm rate of the run.
        delta: deviation that `law` and `acceptance` must be able to find on main problems.
        beta: probability of missing it.
        seed: of the run.
        vocab: sizes of the main problems.
        small: samples of an edge or support case.
        calls: calls of a case that learns one row's outcome per call.
        problem: the user's own problem, in place of the main ones.
    """

    alpha: float
    delta: float
    beta: float
    seed: int
    vocab: tuple[int, ...]
    small: int
    calls: int
    problem: Problem | None = None


class Shared:
    """Tallies several checks read, drawn once per process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[Hashable, Future[Tally]] = {}

    def get(
        self, key: Hashable, draw: Callable[[], Tally], wait: Callable[[Future[Tally]], None] | None = None
    ) -> Tally:
        """Return the tally under `key`, drawing it if nobody has; a fault of the selector is shared as well.

        `wait` may do something useful until another worker has drawn it.
        """
        with self._lock:
            mine = key not in self._found
            future = self._found.setdefault(key, Future())
        if mine:
            try:
                future.set_result(draw())
            except BaseException as error:
                future.set_exception(error)
                raise
        elif wait is not None:
            wait(future)
        return future.result()


class Helpers(Protocol):
    """The other workers of a run."""

    def ask(self, experiment: Experiment) -> Future[Tally] | None:
        """Hand an experiment to an idle one; None where there is none."""
        ...

    def help_until(self, done: Future[Tally], session: Session) -> None:
        """Be an idle one, with `session`, until that is done."""
        ...


@dataclass
class Context:
    """What a case is given.

    Args:
        session: the selector.
        settings: of the run.
        alpha: false-alarm rate this case may spend.
        shared: tallies of main problems.
        seconds: how long its sampling may take, None for as long as it needs.
        progress: told (samples so far, samples planned).
        helpers: the other workers, where there are any.
        ends: returns when the whole run ends, as `time.monotonic` counts, which may come nearer.
        cap: rows per call that the run being replayed came to, None in a run.
        stored: counter-examples of earlier runs, and `unreadable`, a line on each of those that cannot be read.
    """

    session: Session
    settings: Settings
    alpha: float
    shared: Shared = field(default_factory=Shared)
    seconds: float | None = None
    progress: Callable[[int, int], None] | None = None
    helpers: Helpers | None = None
    ends: Callable[[], float] | None = None
    cap: int | None = None
    stored: tuple[Counterexample, ...] = ()
    unreadable: tuple[str, ...] = ()
    largest: int = 0  # rows of the largest free-running call so far: the `cap` of a replay

    def __post_init__(self) -> None:
        """Start the clock."""
        self._deadline = None if self.seconds is None else time.monotonic() + self.seconds

    @property
    def declaration(self) -> Declaration:
        """What the selector declares."""
        return self.session.loaded.declaration

    @property
    def late(self) -> bool:
        """Whether the case's time is over: what it draws call by call ends here."""
        left = self._left()
        return left is not None and left < 0

    def seed(self, *labels: str | int) -> int:
        """Return the seed for `labels`: a function of the run's seed alone."""
        return derive_seed(self.settings.seed, *labels)

    def prepare(self, *problems: Problem) -> tuple[Prepared, ...]:
        """Return problems as the selector meets them, in its own precision."""
        return tuple(prepare(problem, self.declaration.dtype) for problem in problems)

    def once(self, key: Hashable, draw: Callable[[], Tally]) -> Tally:
        """Return the tally that all cases share under `key`; whoever comes first draws it, the next ones help."""

        def wait(drawn: Future[Tally]) -> None:
            if self.helpers is not None:
                self.helpers.help_until(drawn, self.session)

        tally = self.shared.get(key, draw, wait)
        self.largest = max(self.largest, tally.rows)
        return tally

    def sample_parts(self, parts: Sequence[Experiment], done: int, total: int) -> Tally:
        """Run the parts of a sample of which `done` rows of `total` were drawn before; idle workers take some of them.

        What is drawn depends on the parts alone, not on who draws them. Once the case's time is over none is begun.
        """
        waiting, helped = deque(parts), deque[Future[Tally]]()
        tally = Tally.empty(parts[0].groups, parts[0].problems[0].problem.vocab_size)
        while waiting and not (tally.samples and self.late):
            mine = waiting.popleft()
            if waiting and self.helpers and (asked := self.helpers.ask(self._timed(waiting[-1]))) is not None:
                helped.append(asked)
                waiting.pop()
            tally = tally.merge(self.sample(mine, (done + tally.samples, total)))
            while helped and helped[0].done():
                tally = tally.merge(helped.popleft().result())
        for theirs in helped:
            tally = tally.merge(theirs.result())
        self.largest = max(self.largest, tally.rows)
        return tally

    def _left(self) -> float | None:
        """Return the seconds that are left to the case; None for as many as it needs."""
        ends = [] if self._deadline is None else [self._deadline]
        if self.ends is not None:
            ends.append(self.ends())
        return min(ends) - time.monotonic() if ends else None

    def _timed(self, experiment: Experiment) -> Experiment:
        left = self._left()
        free = experiment.pattern is None and experiment.rows is None
        return replace(experiment, seconds=None if left is None else max(0.05, left), cap=self.cap if free else None)

    def sample(self, experiment: Experiment, part: tuple[int, int] | None = None) -> Tally:
        """Run an experiment within what is left of the case's time; it may be one part: (drawn before, in all)."""
        before, total = part or (0, experiment.samples)
        free = experiment.pattern is None and experiment.rows is None
        experiment = self._timed(experiment)

        def report(samples: int) -> None:
            if self.progress is not None:
                self.progress(before + samples, total)

        tally = self.session.sample(experiment, report)
        if free:
            self.largest = max(self.largest, tally.rows)
        return tally


class Check(Protocol):
    """One property of a selector, in independent cases.

    `weight` is the share of α of each case relative to other checks' cases; `cost` the samples it needs, for budgets.
    A check that has cases of far more tokens than main problems names them in `wide`: a selector that serves no such
    problem, and says so by `ProblemTooLarge`, is not failed for it.
    """

    name: str
    weight: float
    summary: str

    def cases(self, settings: Settings) -> tuple[str, ...]:
        """Return the names of the cases, from the settings alone."""
        ...

    def cost(self, case: str, settings: Settings) -> float:
        """Return about how many samples the case draws."""
        ...

    def applies(self, case: str, declaration: Declaration) -> bool:
        """Return whether the case says anything about a selector of this kind."""
        ...

    def run(self, case: str, context: Context) -> CaseResult:
        """Run one case.

        Raises:
            SelectorFault: the selector did something wrong when called; the runner makes it a failed case.
        """
        ...
