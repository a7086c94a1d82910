"""One run of one selector of the zoo, and what came of it."""

from __future__ import annotations

import functools
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from spectest import zoo
from spectest.declaration import declared_by
from spectest.runner import TIERS, Run, Silent
from spectest.runner.config import configure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from spectest.checks.result import CaseResult, Verdict
    from spectest.runner import Planned, Report

#: Kinds of bugs that need a process of their own: they end it, hang it, or remember what came before.
_APART: Final = frozenset({"calls", "faults"})


@dataclass(frozen=True)
class Task:
    """What to run: a selector of the zoo by name, at a tier, with a seed.

    `whole`: go on after the first failure. `deadline`, as `time.time` counts, ends the run, whatever it has.
    """

    name: str
    tier: str = "quick"
    seed: int = 0
    device: str | None = None
    whole: bool = True
    deadline: float | None = None


@dataclass(frozen=True)
class Trial:
    """What a run came to.

    `checks` are those that failed, in the order of their first failures; `first` is the case that failed first;
    `samples` and `seconds` were spent until then, or in all where nothing failed, without starting the process.
    `deltas`: check -> the least and the largest deviation that its cases are sure to find.
    """

    name: str
    tier: str
    seed: int
    verdict: Verdict
    whole: bool
    checks: tuple[str, ...]
    first: str
    samples: int
    seconds: float
    detail: str = ""
    deltas: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def caught(self) -> bool:
        """Whether a check failed."""
        return self.verdict == "fail"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON-ready dict."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Trial:
        """Return the trial a dict describes."""
        deltas = {check: (least, largest) for check, (least, largest) in stored["deltas"].items()}
        return cls(**stored | {"checks": tuple(stored["checks"]), "deltas": deltas})


class _Watch(Silent):
    """Notes when the first case fails, and what had been drawn by then."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self.failed: list[CaseResult] = []
        self.samples = 0
        self.seconds = 0.0

    def planned(self, cases: Sequence[Planned]) -> None:
        """Start the clock: the selector has been loaded."""
        del cases
        self._started = time.perf_counter()

    def finished(self, case: Planned, result: CaseResult | None) -> None:
        """Count what a case drew, until one has failed."""
        del case
        if result is None:
            return
        if not self.failed:
            self.samples += result.samples
            self.seconds = time.perf_counter() - self._started
        if result.verdict == "fail":
            self.failed.append(result)


def applies(name: str, device: str | None) -> bool:
    """Return whether a selector of the zoo runs on a device: those of numpy arrays run on the cpu alone."""
    return device in {None, "cpu"} or declared_by(zoo.get(name)).array == "torch"


def run(task: Task) -> Trial:
    """Verify one selector of the zoo.

    A bug runs in this process, where its kind allows it: the seconds are then those of the checks. A control runs as a
    user's selector does, in a process of its own.

    Raises:
        UsageError: it cannot be run as asked for, such as on a device that is not there.
        KeyError: there is no such selector.
    """
    entry = zoo.BUGS.get(task.name) or zoo.CONTROLS[task.name]
    # Given, even if it is the tier's: else a whole run would end a little after its first failure.
    left = TIERS[task.tier].budget if task.deadline is None else max(1.0, task.deadline - time.time())
    given = {"tier": task.tier, "seed": task.seed, "device": task.device, "budget": left}
    config = configure(**{**entry.options, **given})
    apart = isinstance(entry, zoo.Control) or entry.kind in _APART
    watch = _Watch()
    selector = entry.address if apart else _here(zoo.get(task.name))
    report = Run(selector, config, watch, workers=1, first_failure=not task.whole).execute()
    first = watch.failed[0] if watch.failed else None
    return Trial(
        name=task.name,
        tier=task.tier,
        seed=task.seed,
        verdict=report.verdict,
        whole=task.whole,
        checks=tuple(dict.fromkeys(result.check for result in watch.failed)),
        first=f"{first.check}[{first.case}]" if first else "",
        samples=watch.samples,
        seconds=watch.seconds,
        detail=first.detail.partition("\n")[0] if first else _undecided(report),
        deltas=_deltas(report),
    )


def _deltas(report: Report) -> dict[str, tuple[float, float]]:
    found = {check.name: [case.delta for case in check.cases if case.delta is not None] for check in report.checks}
    return {name: (min(some), max(some)) for name, some in found.items() if some}


def _undecided(report: Report) -> str:
    """Return what was left open, for a run that came to no verdict."""
    return next((case.detail for case in report.cases if case.verdict == "inconclusive"), "")


def _here(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the same selector without an address, so that it runs in this process."""

    @functools.wraps(function)
    def selector(*arguments: Any) -> Any:  # noqa: ANN401 (a selector's own)
        return function(*arguments)

    return selector
