"""A hunt: propose, decide, shrink."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.checks.adversary.counterexample import Counterexample, counterexample_of
from spectest.checks.adversary.oracle import GROWTH, Found, Oracle, OutOfTime
from spectest.checks.adversary.shrinking import Shrinker
from spectest.checks.problems import build
from spectest.engine import Experiment, SelectorFault

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    from spectest.checks.adversary.trial import Trial
    from spectest.checks.base import Context

#: Proposals per trial: Hypothesis repeats itself, and more so where there are few problems.
_PROPOSED: Final = 2
#: Streams of counter-examples that are put to a selector again, and the smallest sample they begin with, about.
_RETRIED: Final = 200
_FEW: Final = 2_000
#: Samples, of a problem of so many tokens, that tell how fast a selector is; and the fewest that a trial is given.
_TIMED: Final = 131
_TIMED_TOKENS: Final = 12
_FEWEST: Final = 512


@dataclass(frozen=True, eq=False)
class Hunted:
    """What a hunt came to.

    Args:
        found: the simplest trial that fails, None if none did.
        counterexample: what is stored of it.
        trials: how many were tried; `planned` of them were to be, unless they ran out or time did (`late`).
        tries: of shrinking, and `tokens`, the vocabulary it began with.
        first: samples of each problem in a first sample.
        samples: in all.
        suspicion: the highest −log10 p-value that was seen.
        comparisons: the most tests that one trial was subject to.
    """

    found: Found | None
    counterexample: Counterexample | None
    trials: int
    planned: int
    late: bool
    tries: int
    tokens: int
    first: int
    samples: int
    suspicion: float
    comparisons: int

    @property
    def p_value(self) -> float:
        """Of the most suspicious of so many trials (Šidák)."""
        if self.suspicion == 0 or not self.trials:
            return 1.0
        return -math.expm1(self.trials * math.log1p(-(10**-self.suspicion)))


def hunt(context: Context, trials: SearchStrategy[Trial], *, label: str, at_most: int, samples: int) -> Hunted:
    """Look for a trial on which the selector fails; a correct one is convicted with probability at most the case's α.

    Args:
        context: of the case.
        trials: where to look.
        label: names the hunt: its search is a function of the run's seed and of this.
        at_most: how many trials to make.
        samples: of each problem in a first sample; fewer where time would not suffice for `at_most` of them.
    """
    from spectest.checks.adversary.engine import Enough, search  # noqa: PLC0415 (Hypothesis, only where it hunts)

    samples = _affordable(context, samples, at_most)
    oracle = Oracle(context, trials=at_most, samples=samples)
    answers: dict[str, float] = {}
    found: Found | None = None
    comparisons = 1

    def tell(trial: Trial) -> float:
        nonlocal found, comparisons
        if trial.digest in answers:
            return answers[trial.digest]
        if len(answers) >= at_most or context.late:
            raise Enough
        try:
            examined = oracle.examine(trial)
        except OutOfTime:
            raise Enough from None
        found, comparisons = examined.found, max(comparisons, examined.comparisons)
        answers[trial.digest] = examined.suspicion
        if found is not None:
            raise Enough
        return examined.suspicion

    search(trials, tell, seed=context.seed("hunt", label), at_most=_PROPOSED * at_most)
    tries, tokens = 0, 0
    if found is not None:
        tokens = found.trial.vocab_size
        shrinker = Shrinker(found, oracle)
        shrinker.shrink()
        found, tries = shrinker.found, shrinker.tries
    return Hunted(
        found=found,
        counterexample=None if found is None else counterexample_of(found),
        trials=len(answers),
        planned=at_most,
        late=context.late,
        tries=tries,
        tokens=tokens,
        first=samples,
        samples=oracle.drawn,
        suspicion=max(answers.values(), default=0.0),
        comparisons=comparisons,
    )


def _affordable(context: Context, samples: int, trials: int) -> int:
    """Return how many samples a slow selector can give each trial in the time there is."""
    if context.seconds is None:
        return samples
    target = np.arange(1.0, _TIMED_TOKENS + 1)
    law = target / target.sum()
    problem = build(law, law[::-1].copy(), context.declaration, np.random.default_rng(0), "timed")
    try:
        tally = context.sample(Experiment(context.prepare(problem), _TIMED, context.seed("hunt", "timed")))
    except SelectorFault:  # the hunt will meet it, and say on which problem
        return samples
    affordable = int(context.seconds / trials * tally.samples / max(tally.seconds, 1e-9))
    return min(samples, max(_FEWEST, affordable))


def retry(context: Context, counterexample: Counterexample, *, alpha: float) -> tuple[Found | None, int]:
    """Put a counter-example to the selector again; return what was found, None if it passes, and the samples drawn.

    A correct selector passes with probability at least 1 − alpha. One that still fails as it did when it was stored
    passes with next to none: the last sample is several times as large as the one that showed it. Smaller ones come
    first, for what is flagrant.

    Raises:
        OutOfTime: not all that was needed could be drawn.
    """
    oracle = Oracle(context, trials=1, samples=counterexample.samples)
    trial = counterexample.trial
    sizes = [counterexample.samples]
    while sizes[0] > GROWTH * _FEW:
        sizes.insert(0, sizes[0] // GROWTH)
    for stage, samples in enumerate(sizes):
        try:
            evidence = oracle.sample(trial, samples, _RETRIED + stage)
        except SelectorFault as fault:
            return Found(trial, None, fault, 0.0, samples), oracle.drawn
        if evidence.p_value <= alpha / len(sizes):
            return Found(trial, evidence, None, min(1.0, evidence.p_value * len(sizes)), samples), oracle.drawn
    return None, oracle.drawn
