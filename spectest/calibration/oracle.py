"""How far the tests are from one that knows the bug: samples needed beside the likelihood ratio's log(1/α)/KL."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from spectest import zoo
from spectest.checks.laws import law_tests
from spectest.problem import Problem
from spectest.stats import oracle_samples

if TYPE_CHECKING:
    from spectest.checks.laws import LawTests

VOCAB: Final = 32_000
ALPHA: Final = 1e-9
BETA: Final = 1e-3
_SPREAD: Final = 3.0  # of log p over a language model's vocabulary


@dataclass(frozen=True)
class Beside:
    """What it takes to see a bug with one draft, on laws like a language model's.

    `variation` is its total variation; `oracle` the samples of the likelihood-ratio test; `needed` those of the best of
    the suite's tests, called `test`.
    """

    name: str
    variation: float
    oracle: float
    needed: float
    test: str

    @property
    def ratio(self) -> float:
        """How many times what the oracle needs."""
        return self.needed / self.oracle if self.oracle > 0 else 1.0


def language_like(vocab_size: int = VOCAB, seed: int = 0) -> Problem:
    """Return a problem of one draft: log p normal with a spread of 3, log q another unit of spread away from it."""
    generator = np.random.default_rng(seed)
    target = np.exp(_SPREAD * generator.standard_normal(vocab_size))
    draft = target * np.exp(generator.standard_normal(vocab_size))
    return Problem(target / target.sum(), draft / draft.sum(), 1, name="language-like")


@lru_cache(maxsize=1)
def _tests() -> LawTests:
    return law_tests(language_like())


def beside_oracle(name: str) -> Beside | None:
    """Return what it takes to see a bug; None where its output law is not known in closed form, or is the target here.

    By calculation: nothing is drawn.
    """
    output_law = zoo.BUGS[name].output_law
    if output_law is None:
        return None
    problem = _tests().problem
    changed = output_law(problem.target, problem.draft)
    changed = changed / changed.sum()
    variation = float(np.abs(changed - problem.target).sum()) / 2
    oracle = oracle_samples(problem.target, changed, alpha=ALPHA)
    if not math.isfinite(oracle):
        return None
    needed = _tests().samples_against(changed, alpha=ALPHA, beta=BETA)
    test = min(needed, key=needed.__getitem__)
    return Beside(name, variation, oracle, needed[test], test)
