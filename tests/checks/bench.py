"""Running one case of one check, on a selector or on tallies drawn from a law."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from spectest import checks
from spectest.checks.base import Context, Settings
from spectest.checks.result import CaseResult
from spectest.declaration import Declaration
from spectest.engine import Call, Experiment, Loaded, LocalSession, Outcome, SelectorFault, Tally

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

#: Any seed must pass; one that does not is in the failing test's settings.
SEED = secrets.randbelow(2**31)
SMALL = Settings(alpha=1e-6, delta=0.04, beta=1e-3, seed=SEED, vocab=(5, 17), small=3_000, calls=240)
ALPHA = 1e-8  # of a case, as in a run of all checks at 1e-6


def run(check: str, case: str, session: Any, settings: Settings = SMALL, **options: Any) -> CaseResult:
    """Run a case; what the selector does wrong when called fails it, as in a run."""
    context = Context(session, settings, options.pop("alpha", ALPHA), **options)
    try:
        return checks.get(check).run(case, context)
    except SelectorFault as fault:
        return CaseResult(check, case, "fail", fault.message)


def verdict(check: str, case: str, function: Callable[..., Any], settings: Settings = SMALL, **declared: Any) -> str:
    """Return the verdict and the detail of one case on a selector."""
    found = run(check, case, LocalSession(function, declared), settings)
    return f"{found.verdict}: {found.detail}"


def _as_it_is(target: NDArray[np.float64]) -> NDArray[np.float64]:
    return target


@dataclass
class Drawn:
    """A session without a selector: what would come out is drawn from a law, of each problem's target by default.

    `accepting` is the probability that a token is among the drafts; `most` how many samples there is time for in all.
    """

    declaration: Declaration
    generator: np.random.Generator
    law: Callable[[NDArray[np.float64]], NDArray[np.float64]] = _as_it_is
    accepting: float = 0.5
    most: int | None = None
    experiments: int = 0

    @property
    def loaded(self) -> Loaded:
        """See `Session`."""
        return Loaded("drawn", self.declaration, {})

    def call(self, call: Call) -> Outcome:
        """See `Session`."""
        raise NotImplementedError

    def sample(self, experiment: Experiment, progress: Any = None) -> Tally:
        """See `Session`; every row holds the first problem."""
        self.experiments += 1
        target = experiment.problems[0].problem.target
        tally = Tally.empty(1, target.size)
        samples = experiment.samples
        if self.most is not None:
            samples = min(samples, self.most)
            self.most -= samples
        counts = self.generator.multinomial(samples, self.law(target))
        tally.counts += counts
        tally.accepted += self.generator.binomial(counts, self.accepting)
        tally.calls = 1
        return tally


def drawn(**options: Any) -> Drawn:
    """Return a session whose output is exactly lossless unless `options` say otherwise."""
    declared = options.pop("declared", {})
    return Drawn(Declaration(**declared), np.random.default_rng(), **options)


def with_seed(seed: int, settings: Settings = SMALL) -> Settings:
    """Return the settings with another seed."""
    return replace(settings, seed=seed)
