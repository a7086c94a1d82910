"""`hunt`: look for a problem on which a selector fails, outside of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from spectest.checks.adversary.families import FAMILIES
from spectest.checks.adversary.hunting import hunt as hunted
from spectest.checks.adversary.trial import Trial
from spectest.checks.base import Context
from spectest.errors import UsageError
from spectest.runner.config import configure
from spectest.runner.sessions import Opener, cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hypothesis.strategies import SearchStrategy

    from spectest.checks.adversary.counterexample import Counterexample
    from spectest.declaration import Declaration
    from spectest.problem import Problem

_ROUND: Final = 250  # examples


def hunt(
    selector: str | Callable[..., Any],
    *,
    drafting: str | None = None,
    n_drafts: int | None = None,
    problems: SearchStrategy[Problem] | None = None,
    examples: int = 500,
    samples: int = 4_096,
    alpha: float = 1e-6,
    seed: int = 0,
    seconds: float | None = None,
    timeout: float = 10.0,
    **declared: Any,  # noqa: ANN401 (validated by Declaration)
) -> Counterexample | None:
    """Look for a problem on which a selector is not lossless; return the simplest one found, None if none was.

    A correct selector gets None with probability at least 1 − `alpha`, however long the hunt. None says little of
    problems that were not tried, and of deviations that `samples` do not show: that is what `verify` is for. The same
    arguments hunt the same way, so that what is returned is found again.

    Args:
        selector: `pkg.mod:name`, `path/to/file.py:name`, or a callable.
        drafting: drafting law, in place of the declared one.
        n_drafts: drafts per position, in place of the declared number.
        problems: where to look, such as `spectest.strategies.problems(...)`; by default every family there is, alone
            and several to a batch.
        examples: problems to try.
        samples: of each problem at first; suspicious ones get more.
        alpha: total false-alarm rate.
        seed: of everything random.
        seconds: how long it may take, as long as it needs by default.
        timeout: seconds per call after the first.
        declared: any other field of `spectest.declaration.Declaration`.

    Returns:
        `.problem`, or `.trial.problems` where several must share a batch; `.detail`; `str()` for a reader.

    Raises:
        UsageError: an argument is out of range, or the selector cannot be called at all.

    Example:
        >>> found = hunt(lambda target, draft, ids, generator: ids[:, 0], examples=20)
        >>> found.problem.vocab_size, found.problem.n_drafts
        (2, 1)
    """
    for name, value in {"examples": examples, "samples": samples}.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            msg = f"`{name}` must be an integer of at least 1, got {value!r}"
            raise UsageError(msg)
    config = configure(
        alpha=alpha, seed=seed, budget=seconds, timeout=timeout, drafting=drafting, n_drafts=n_drafts, **declared
    )
    session = Opener(selector, config).open(cores())
    try:
        config.fitted(session.loaded.declaration)
        for label, strategy, share in _searches(session.loaded.declaration, problems, examples):
            # Each search has its own part of α and of the time, whatever the ones before it left of theirs.
            part = None if seconds is None else seconds * share / examples
            context = Context(session, config.settings, alpha * share / examples, seconds=part)
            found = hunted(context, strategy, label=label, at_most=share, samples=samples)
            if found.counterexample is not None:
                return found.counterexample
    finally:
        session.close()
    return None


def _searches(
    declaration: Declaration, problems: SearchStrategy[Problem] | None, examples: int
) -> Iterator[tuple[str, SearchStrategy[Trial], int]]:
    """Yield searches as (label, where to look, how many examples), which come to `examples` together.

    In rounds, so that what is easy to find in one family need not wait for the end of another.
    """
    from spectest.checks.adversary.proposing import trials  # noqa: PLC0415 (Hypothesis, only where it hunts)

    if problems is not None:
        yield "problems", problems.map(lambda problem: Trial((problem,))), examples
        return
    families = {name: family for name, family in FAMILIES.items() if declaration.batched or family.together == 1}
    whole = sum(family.share for family in families.values())
    for begin in range(0, examples, _ROUND):
        left = size = min(_ROUND, examples - begin)
        for name, family in families.items():
            last = name == next(reversed(families))
            share = left if last else min(left, round(size * family.share / whole))
            left -= share
            if share:
                yield f"{name} {begin}", trials(family, declaration), share
