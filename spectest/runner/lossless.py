"""`assert_lossless`: one problem, one assertion, fit for use under Hypothesis' `@given`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spectest.checks.base import Context
from spectest.checks.judging import judge_law, sample_law
from spectest.checks.laws import law_samples
from spectest.engine import LocalSession
from spectest.engine.address import resolve
from spectest.errors import UsageError
from spectest.problem import Problem
from spectest.runner.config import RunConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    from spectest.engine import Tally


def assert_lossless(
    selector: str | Callable[..., Any],
    problem: Problem,
    *,
    alpha: float = 1e-9,
    delta: float = 0.05,
    seed: int = 0,
    beta: float = 1e-3,
    **declared: Any,  # noqa: ANN401 (validated by Declaration)
) -> None:
    """Assert that a selector's output follows the target on one problem.

    A correct selector fails with probability at most `alpha` per call; a total variation of `delta` (of the partition,
    where V is above 64) passes with probability at most `beta`. The same arguments give the same verdict, so Hypothesis
    shrinks and replays without flakes. The selector runs in this process, on drafts of the drafting law: its own
    `propose`, if it declares one, is for `verify`.

    Args:
        selector: a callable or an address.
        problem: what to test it on; its drafting law and number of drafts override the declared ones.
        alpha: false-alarm rate of this call.
        delta: deviation to find.
        seed: of the drafts and of the selector's generator.
        beta: miss rate at `delta`.
        declared: other fields of `spectest.declaration.Declaration`.

    Raises:
        AssertionError: it deviates; the message shows the problem and the tokens most wrong.
        SelectorFault: the selector raised or returned something else than token ids.
        UsageError: an argument is out of range, or the selector cannot be loaded.
    """
    __tracebackhide__ = True  # pytest shows where it is called, not this
    if not isinstance(problem, Problem):
        msg = f"`problem` must be a spectest.Problem, got {type(problem).__name__}"
        raise UsageError(msg)
    config = RunConfig(alpha=alpha, delta=delta, beta=beta, seed=seed, problem=problem)
    function = resolve(selector) if isinstance(selector, str) else selector
    session = LocalSession(function, {"drafting": problem.drafting, "n_drafts": problem.n_drafts, **declared})
    declaration = session.loaded.declaration
    settings = config.fitted(declaration).settings
    if not declaration.lossless:
        msg = f"{session.loaded.name} is declared lossless=False: there is nothing to assert"
        raise UsageError(msg)
    context = Context(session, settings, alpha)
    (prepared,) = context.prepare(problem)

    def draw(stage: int, level: float) -> Tally:
        del level
        samples = law_samples(prepared.problem, settings, stage, declaration.tolerance)
        return sample_law(context, prepared, samples, ("assert_lossless",), stage)

    result = judge_law(context, ("assert_lossless", problem.name), prepared, draw)
    if result.verdict == "fail":
        msg = f"{session.loaded.name} is not lossless on {problem!r}:\n{result.detail}"
        raise AssertionError(msg)
