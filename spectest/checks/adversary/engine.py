"""Hypothesis as a search engine: it proposes trials, is told how suspicious each one is, and climbs.

Everything of it is set here: neither the user's profile nor their database, nor what other tests drew, changes what is
proposed. The same seed proposes the same trials, as long as they get the same answers.
"""

from __future__ import annotations

import functools
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity
from hypothesis.internal.conjecture.providers import HypothesisProvider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hypothesis.strategies import SearchStrategy

    from spectest.checks.adversary.trial import Trial

_LABEL: Final = "suspicion"
#: Hypothesis climbs from here; what is less suspicious is chance, and climbing on it would cost the search its variety.
_LEAD: Final = 2.0


class Enough(BaseException):
    """Raised by what is told of trials: the search ends. Not an `Exception`, which Hypothesis would try to shrink."""


def search(trials: SearchStrategy[Trial], tell: Callable[[Trial], float], *, seed: int, at_most: int) -> None:
    """Propose trials to `tell`, which returns how suspicious each one is or raises `Enough`.

    They are drawn at random. Half of the way on, the most suspicious one so far, if any is a lead, is varied choice by
    choice for a higher score.

    Args:
        trials: where to look.
        tell: of a trial; it may get the same one again, and must then give the same answer.
        seed: of the search.
        at_most: how many to propose, about.
    """

    def run() -> None:
        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=at_most,
            phases=(Phase.generate, Phase.target),
            database=None,
            deadline=None,
            derandomize=False,
            print_blob=False,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
            verbosity=Verbosity.quiet,
            backend="hypothesis",
        )
        @hypothesis.given(trials)
        def propose(trial: Trial) -> None:
            score = tell(trial)
            if score >= _LEAD:
                hypothesis.target(score, label=_LABEL)

        try:
            with _undisturbed():
                propose()
        except Enough:
            pass

    if hypothesis.currently_in_test_context():
        # Somebody's own `@given` calls us. Hypothesis refuses one inside another, but knows them by thread.
        with ThreadPoolExecutor(1) as pool:
            pool.submit(run).result()
    else:
        run()


_searching = threading.local()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep out the constants that Hypothesis finds in the sources of whatever modules are loaded.

    With them, the same seed would propose other trials under pytest than on the command line or in an xdist worker.
    """
    _leave_out_constants()
    _searching.here = True
    try:
        yield
    finally:
        _searching.here = False


def _leave_out_constants() -> None:
    """Teach Hypothesis to draw none in a thread that searches; all other threads draw as ever."""
    original = getattr(HypothesisProvider, "_maybe_draw_constant", None)
    if original is None or hasattr(original, "__wrapped__"):  # another version of Hypothesis, or done before
        return

    @functools.wraps(original)
    def draw(self: HypothesisProvider, *arguments: Any, **keywords: Any) -> Any:  # noqa: ANN401 (Hypothesis' own)
        return None if getattr(_searching, "here", False) else original(self, *arguments, **keywords)

    HypothesisProvider._maybe_draw_constant = draw  # type: ignore[method-assign]  # noqa: SLF001
