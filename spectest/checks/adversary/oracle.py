"""The oracle: puts trials to a selector and decides, at a false-alarm rate that covers the whole hunt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from spectest.checks.adversary.evidence import Evidence, weigh
from spectest.engine import Experiment, SelectorDied, SelectorFault, SelectorHung

if TYPE_CHECKING:
    from spectest.checks.adversary.trial import Trial
    from spectest.checks.base import Context

#: A first sample is suspicious at the first level; the second, this many times as large, at the next.
SUSPICIOUS: Final = (1e-2, 1e-3)
GROWTH: Final = 8
_MIXED_ROWS: Final = 1_021  # of a batch of several problems


class OutOfTime(Exception):
    """What was left of the time did not suffice for a whole sample; nothing is decided on part of one."""


@dataclass(frozen=True, eq=False)
class Found:
    """A trial that a selector fails.

    Either `evidence`, the sample that decided, or `fault`, what the selector did wrong when called, is there. `p_value`
    is that of all samples of this trial together; `samples` is the size of a sample that shows it clearly.
    """

    trial: Trial
    evidence: Evidence | None
    fault: SelectorFault | None
    p_value: float
    samples: int

    @property
    def lost(self) -> bool:
        """Whether the selector hung or took its process with it."""
        return isinstance(self.fault, (SelectorDied, SelectorHung))

    def alike(self, other: Found) -> bool:
        """Whether both failed in the same way: shrinking must not wander from a wrong law to an exception."""
        return type(self.fault) is type(other.fault)


class Examined(NamedTuple):
    """The answer to a trial: how suspicious its last sample is (−log10 of the p-value), and what was found, if any."""

    suspicion: float
    found: Found | None
    comparisons: int = 1


class Oracle:
    """Decides the trials of one hunt; the same trial always gets the same answer.

    Each of at most `trials` has an equal part of the case's α. A trial whose first sample is suspicious is drawn again,
    larger and on a fresh stream, and once more if that is suspicious too. It fails if a sample contradicts the law at a
    level that, times the levels of the samples before it, is a third of the trial's part of α. So the whole hunt raises
    a false alarm with probability at most α, however one trial leads to the next.

    Args:
        context: of the case.
        trials: how many trials there may be.
        samples: of each problem in a first sample.
    """

    def __init__(self, context: Context, *, trials: int, samples: int) -> None:
        self._context = context
        self._level = context.alpha / trials / (len(SUSPICIOUS) + 1)
        self._samples = samples
        self.drawn = 0  # samples so far

    @property
    def late(self) -> bool:
        """Whether the case's time is over."""
        return self._context.late

    def examine(self, trial: Trial) -> Examined:
        """Decide a trial.

        Raises:
            OutOfTime: before it was decided.
        """
        try:
            return self._staged(trial)
        except SelectorFault as fault:
            return Examined(0.0, Found(trial, None, fault, 0.0, self._samples))

    def _staged(self, trial: Trial) -> Examined:
        spent = together = 1.0
        clear = None
        for stage in range(len(SUSPICIOUS) + 1):
            samples = self._samples * GROWTH**stage
            evidence = self.sample(trial, samples, stage)
            together *= evidence.p_value
            if clear is None and evidence.p_value <= self._level:
                clear = samples
            if evidence.p_value <= min(1.0, self._level / spent):
                found = Found(trial, evidence, None, together, clear or samples)
                return Examined(evidence.suspicion, found, evidence.comparisons)
            if stage == len(SUSPICIOUS) or evidence.p_value > SUSPICIOUS[stage]:
                break
            spent *= SUSPICIOUS[stage]
        return Examined(evidence.suspicion, None, evidence.comparisons)

    def sample(self, trial: Trial, samples: int, stage: int) -> Evidence:
        """Draw a sample of a trial, `samples` of each problem, on the stream of this stage, and weigh it.

        Raises:
            SelectorFault: of the selector.
            OutOfTime: it could not be drawn in whole.
        """
        context = self._context
        prepared = context.prepare(*trial.problems)
        seed = context.seed("hunt", trial.digest, stage)
        experiment = Experiment(prepared, samples, seed)
        if len(prepared) > 1:
            calls = -(-samples * len(prepared) // _MIXED_ROWS)
            pattern = np.arange(_MIXED_ROWS) % len(prepared)
            experiment = Experiment(prepared, calls * _MIXED_ROWS, seed, pattern=pattern, shuffle=True)
        tally = context.sample(experiment)
        self.drawn += tally.samples
        if tally.samples < experiment.samples:
            raise OutOfTime
        return weigh(prepared, tally, context.declaration.tolerance)
