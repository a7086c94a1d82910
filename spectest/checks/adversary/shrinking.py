"""Shrinking: from a trial that fails to the simplest one that still fails.

Hypothesis would shrink the choices that led to a problem, which takes hundreds of tries, each of them a sample, and
seldom leads out of a softmax. Here the problem itself is made smaller: fewer neighbours, fewer drafts, fewer tokens,
rounder numbers, some dozens of tries in all.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.checks.adversary.oracle import Found, OutOfTime
from spectest.checks.adversary.trial import Trial
from spectest.engine import SelectorFault, SelectorHung
from spectest.errors import InvalidProblem
from spectest.problem import Problem, drafting_rule
from spectest.strategies.unions import rounded

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from spectest.checks.adversary.oracle import Oracle

    Change = Callable[[Problem], Problem | None]

#: What shrinking may cost: tries, and seconds.
TRIES: Final = 150
SECONDS: Final = 5.0
#: Tries that each cost a process.
_LOST_TRIES: Final = 4
#: A simpler trial must fail this clearly by itself. It costs no α: the selector has failed already.
_CLEARLY: Final = 1e-7
_DENOMINATORS: Final = (1, 2, 3, 4, 5, 8, 10, 20, 100)
_BLOCK: Final = 3  # from here on every block is tried: some failures need an odd vocabulary, some an even one
_STREAM: Final = 100  # of the shrinker's samples, apart from those that decide


class _Spent(Exception):
    """No tries are left, or no time."""


class Shrinker:
    """Makes what was found simpler, step by step; `found` is the simplest so far, `tries` what it took.

    What it has found stands whenever it ends: once nothing simpler fails, or after so many tries, or when time is over.

    Args:
        found: what fails.
        oracle: that found it.
    """

    def __init__(self, found: Found, oracle: Oracle) -> None:
        self.found = found
        self.tries = 0
        self._oracle = oracle
        self._until = time.monotonic() + SECONDS
        self._at_most = TRIES if not found.lost else 0 if isinstance(found.fault, SelectorHung) else _LOST_TRIES
        self._seen = {found.trial.digest}

    def shrink(self) -> None:
        """Shrink as far as it goes."""
        try:
            before = None
            while before != self.found.trial.digest:
                before = self.found.trial.digest
                self._fewer_problems()
                self._fewer_drafts()
                self._rounder()
                self._fewer_tokens()
        except _Spent:
            pass

    def _fewer_problems(self) -> None:
        for problem in self.found.trial.problems:
            self._try(Trial((problem,)))
        index = 0
        while index < (count := len(self.found.trial.problems)) and count > 1:
            problems = self.found.trial.problems
            if not self._try(Trial(problems[:index] + problems[index + 1 :])):
                index += 1

    def _fewer_drafts(self) -> None:
        for n in range(1, self.found.trial.n_drafts):
            if self._change(lambda problem, n=n: _with_drafts(problem, n)):  # type: ignore[misc]
                return

    def _fewer_tokens(self) -> None:
        """Leave out blocks of tokens, or make one token of each, from the first id to the last, halves first."""
        block = self.found.trial.vocab_size // 2
        while block:
            start = 0
            while start < self.found.trial.vocab_size:
                stop = start + block
                left_out = self._change(lambda problem, a=start, b=stop: _without(problem, a, b))  # type: ignore[misc]
                if not left_out and not self._change(lambda problem, a=start, b=stop: _merged(problem, a, b)):  # type: ignore[misc]
                    start += block if block > _BLOCK else 1
            block = block // 2 if block > _BLOCK else block - 1

    def _rounder(self) -> None:
        """Round laws to small denominators: both, then each by itself."""
        for p, q in ((True, True), (True, False), (False, True)):
            for d in _DENOMINATORS:
                if self._change(lambda problem, p=p, q=q, d=d: _rounded(problem, d, p, q)):  # type: ignore[misc]
                    break

    def _change(self, change: Change) -> bool:
        """Try the trial with every problem changed, if that leaves problems of one number of drafts."""
        try:
            changed = [change(problem) for problem in self.found.trial.problems]
        except InvalidProblem:
            return False
        problems = tuple(problem for problem in changed if problem is not None)
        if len(problems) < len(changed) or len({problem.n_drafts for problem in problems}) > 1:
            return False
        return self._try(Trial(problems))

    def _try(self, candidate: Trial) -> bool:
        """Take a simpler trial for the one found, if it fails in the same way."""
        if candidate.digest in self._seen or candidate.complexity >= self.found.trial.complexity:
            return False
        if self.tries >= self._at_most or time.monotonic() > self._until or self._oracle.late:
            raise _Spent
        self._seen.add(candidate.digest)
        self.tries += 1
        samples = self.found.samples
        try:
            evidence = self._oracle.sample(candidate, samples, _STREAM)
        except SelectorFault as fault:
            again = Found(candidate, None, fault, 0.0, samples)
        except OutOfTime:
            raise _Spent from None
        else:
            again = Found(candidate, evidence, None, evidence.p_value, samples)
        if not again.alike(self.found) or again.p_value > _CLEARLY:
            return False
        self.found = again
        return True


def _with_drafts(problem: Problem, n: int) -> Problem:
    draft = problem.draft[:n] if problem.draft.ndim > 1 else problem.draft
    return Problem(problem.target, draft, n, problem.drafting)


def _without(problem: Problem, start: int, stop: int) -> Problem | None:
    """Leave out tokens; those that stay keep their ratios."""
    kept = np.delete(np.arange(problem.vocab_size), slice(start, stop))
    target, draft = problem.target[kept], problem.draft[..., kept]
    if not kept.size or target.sum() <= 0 or (draft.sum(axis=-1) <= 0).any():
        return None
    return _like(problem, target / target.sum(), draft / draft.sum(axis=-1, keepdims=True))


def _merged(problem: Problem, start: int, stop: int) -> Problem:
    """Make one token of several; all others keep their masses."""
    starts = np.delete(np.arange(problem.vocab_size), slice(start + 1, stop))
    return _like(problem, np.add.reduceat(problem.target, starts), np.add.reduceat(problem.draft, starts, axis=-1))


def _rounded(problem: Problem, denominator: int, target: bool, draft: bool) -> Problem:  # noqa: FBT001 (private)
    p, q = problem.target, np.atleast_2d(problem.draft)
    p = rounded(p, denominator) if target else p
    q = np.stack([rounded(row, denominator) for row in q]) if draft else q
    return _like(problem, p, q if problem.draft.ndim > 1 else q[0])


def _like(problem: Problem, target: NDArray[np.float64], draft: NDArray[np.float64]) -> Problem:
    """Return a problem like another, with fewer drafts where the law needs distinct tokens and too few are left."""
    n = drafting_rule(problem.drafting).drafts(problem.n_drafts, int((draft > 0).sum()))
    return Problem(target, draft, n, problem.drafting)
