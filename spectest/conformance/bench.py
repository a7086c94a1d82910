"""Selectors under pytest: one session per selector in each worker process, opened when its first case is run."""

from __future__ import annotations

import os
import shlex
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from spectest.errors import SpectestError
from spectest.report.words import failure
from spectest.runner import plan
from spectest.runner.excusing import waived
from spectest.runner.judge import Judge
from spectest.runner.options import from_text
from spectest.runner.sessions import Opener, cores

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from spectest.checks.result import CaseResult
    from spectest.engine import Session
    from spectest.runner import Planned, RunConfig

    Selector = str | Callable[..., Any]

_LEAST_SECONDS: Final = 0.2
#: Idle processes of other selectors kept at once; one that is closed starts again when it is called.
_OPEN_AT_ONCE: Final = 4


def _workers() -> int:
    """Return how many pytest-xdist workers share the machine, 1 without."""
    return int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))


class Bench:
    """One selector in this process: its session, and what its cases share.

    Args:
        selector: a callable or an address.
        config: of its run.
    """

    def __init__(self, selector: Selector, config: RunConfig) -> None:
        self.selector = selector
        self.config = config
        self._session: Session | None = None
        self._judge: Judge
        self._refused: SpectestError | None = None
        self._spent = 0.0
        items = plan(config)
        # What a case costs; where it only reads another check's tally, that one's cost: it may be in another process.
        self._costs = {
            item.name: max(other.cost for other in items if other.case == item.case) or 1.0 for item in items
        }
        self._waiting = set(self._costs)

    def run(self, planned: Planned) -> CaseResult | None:
        """Run one case; None where it says nothing about this kind of selector.

        Raises:
            SpectestError: the selector cannot be called at all; the same for every case.
        """
        if self._refused is not None:
            raise self._refused
        if self._session is None:
            try:
                self._open()
            except SpectestError as error:
                self._refused = error
                raise
        assert self._session is not None
        seconds = self._seconds(planned)
        started = time.monotonic()
        result = self._judge.run(planned, self._session, seconds=seconds)
        self._spent += time.monotonic() - started
        return None if result is None else self._judge.recorded(planned, result)

    def close(self) -> None:
        """End the selector's process; another `run` starts it again."""
        if self._session is not None:
            self._session.close()

    def _open(self) -> None:
        opener = Opener(self.selector, self.config)
        self._session = opener.open(max(1, cores() // _workers()))
        self._judge = Judge(opener, self.config.fitted(self._session.loaded.declaration))

    def _seconds(self, planned: Planned) -> float:
        """Return the case's share of what is left of the budget, as if the workers divided the cases evenly."""
        left = max(0.0, self.config.seconds - self._spent)
        ahead = sum(self._costs[name] for name in self._waiting | {planned.name})
        self._waiting.discard(planned.name)
        return max(_LEAST_SECONDS, min(left, left * _workers() * self._costs[planned.name] / ahead))


class Benches:
    """The benches of one pytest process."""

    def __init__(self) -> None:
        self._benches: list[Bench] = []

    def config_of(self, options: Mapping[str, Any], given: Mapping[str, Any], selectors: int = 1) -> RunConfig:
        """Return the configuration of each selector's run: `given` over `options`, α divided over the selectors.

        Args:
            options: keywords as `spectest.verify` takes them.
            given: options of the command line, as text; None stands for one that was not given.
            selectors: how many share α.

        Raises:
            UsageError: a value is out of its range.
        """
        vocab, checks = options.get("vocab"), options.get("checks")
        merged = dict(options)
        if vocab is not None:
            merged["vocab"] = str(vocab) if isinstance(vocab, int) else ",".join(map(str, vocab))
        if checks is not None and not isinstance(checks, str):
            merged["checks"] = ",".join(checks)
        config = from_text(merged | {name: value for name, value in given.items() if value is not None})
        return replace(config, alpha=config.alpha / selectors)

    def parameters(self, selectors: Sequence[Selector], config: RunConfig) -> list[Any]:
        """Return the parameter sets (selector, check), each with the ID `selector-check-case`."""
        found = []
        for selector, name in zip(selectors, _distinct(list(map(_name, selectors))), strict=True):
            for planned in plan(config):
                check = CheckCase(self, planned, config)
                found.append(pytest.param(selector, check, id=f"{name}-{planned.check}-{planned.case}"))
        return found

    def get(self, selector: Selector, config: RunConfig) -> Bench:
        """Return the bench of a selector under a configuration, the same one every time."""
        for bench in self._benches:
            if bench.config is config and (bench.selector is selector or bench.selector == selector):
                self._benches.remove(bench)
                break
        else:
            bench = Bench(selector, config)
        self._benches.append(bench)
        for idle in self._benches[:-_OPEN_AT_ONCE]:
            idle.close()
        return bench

    def close(self) -> None:
        """End every selector's process."""
        for bench in self._benches:
            bench.close()


class CheckCase:
    """One case of one check: called with a selector it fails, skips or returns.

    Args:
        benches: of this process.
        planned: the case.
        config: of the run it is part of.
    """

    def __init__(self, benches: Benches, planned: Planned, config: RunConfig) -> None:
        self._benches = benches
        self._planned = planned
        self._config = config

    def __repr__(self) -> str:
        """Return `check[case]`."""
        return self._planned.name

    def __call__(self, selector: Selector) -> None:
        """Run the case on a selector; what is inconclusive fails as well, saying so."""
        __tracebackhide__ = True
        refused = ""
        try:
            result = self._benches.get(selector, self._config).run(self._planned)
        except SpectestError as error:
            refused = " ".join(str(error).split())
        if refused:  # outside of the handler, whose error pytest would print as well
            pytest.fail(f"cannot be verified: {refused}", pytrace=False)
        if result is None:
            pytest.skip(f"{self!r} says nothing about a selector that declares this")
        if result.verdict == "inconclusive":
            pytest.fail(f"inconclusive: {self!r}: {result.detail}", pytrace=False)
        if waived(result):
            pytest.xfail(result.detail)
        if result.verdict == "fail":
            pytest.fail(failure(result, _this_item()), pytrace=False)


def _this_item() -> str:
    """Return the command that runs the current item again, where the selector has no address to replay."""
    node = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
    return f"pytest {shlex.quote(node)}"


def _name(selector: Selector) -> str:
    if isinstance(selector, str):
        return selector
    return str(getattr(selector, "__qualname__", type(selector).__name__))


def _distinct(names: list[str]) -> list[str]:
    """Return the names, those that occur twice with their position."""
    return [f"{name}#{index}" if names.count(name) > 1 else name for index, name in enumerate(names)]
