"""The checks on exact tallies: what a perfect selector would give them, and how often they object."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from spectest import drafting, zoo
from spectest.checks.acceptance import promise
from spectest.checks.base import Shared
from spectest.declaration import declared_by
from spectest.engine import Loaded, Outcome, Tally
from spectest.runner.case import run_case
from spectest.runner.config import configure, plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from spectest.calibration.trial import Task
    from spectest.declaration import Declaration
    from spectest.engine import Call, Experiment, Prepared, Session
    from spectest.problem import Problem
    from spectest.runner import RunConfig

_OWN_STREAM: Final = 3
#: With more problems at once the law alone is looked at; a token is then accepted if it was drafted, whatever it is.
_FEW: Final = 8


class ExactSession:
    """A session without a selector: tokens are drawn from the target of their row, independent of everything else.

    A free-running sample is one multinomial draw, whatever its size. Acceptance is exactly what the declaration
    promises, the scheme's or else the optimum; where the drafts are given, it is by membership.

    Args:
        declaration: of the selector that is stood in for.
    """

    def __init__(self, declaration: Declaration) -> None:
        self.loaded = Loaded("exact tallies", declaration, {})

    def call(self, call: Call) -> Outcome:
        """See `Session`."""
        stream = np.random.default_rng([call.seed, _OWN_STREAM])
        ids = call.ids
        if ids is None:
            ids = _drafts(call.problems, call.pattern, np.random.default_rng([call.draft_seed, _OWN_STREAM]))
        tokens = _tokens(call.problems, call.pattern, stream)
        return Outcome(ids, tokens, None if call.then is None else tokens)

    def sample(self, experiment: Experiment, progress: Callable[[int], None] | None = None) -> Tally:
        """See `Session`."""
        del progress
        stream = np.random.default_rng([experiment.seed, _OWN_STREAM])
        plain = experiment.pattern is None and not experiment.alternate and not experiment.keep
        if plain and experiment.drafts == "law" and experiment.ids is None:
            return self._multinomial(experiment, stream)
        return self._row_by_row(experiment, stream)

    def close(self) -> None:
        """Nothing to end."""

    def _accepting(self, problem: Problem, experiment: Experiment) -> NDArray[np.float64]:
        """Return P(accepted | token), (V,)."""
        if len(experiment.problems) > _FEW:
            return drafting.get(problem.drafting).inclusion(problem)
        return _promised(problem, self.loaded.declaration)

    def _multinomial(self, experiment: Experiment, stream: np.random.Generator) -> Tally:
        (problem,) = (item.problem for item in experiment.problems[:1])
        counts = stream.multinomial(experiment.samples, problem.target)
        accepted = stream.binomial(counts, self._accepting(problem, experiment))
        return Tally(counts[None], accepted[None], calls=1, rows=experiment.rows or experiment.samples)

    def _row_by_row(self, experiment: Experiment, stream: np.random.Generator) -> Tally:
        pattern = _patterns(experiment, stream)
        calls, rows = pattern.shape
        tokens = _tokens(experiment.problems, pattern.ravel(), stream)
        ids = experiment.ids
        if ids is not None:
            ids = np.broadcast_to(ids, (tokens.size, ids.size))
        elif experiment.drafts != "law":
            ids = _drafts(experiment.problems, pattern.ravel(), stream)
        if experiment.drafts == "unverified" and ids is not None:
            tokens = ids[:, 0]
        if ids is not None and experiment.drafts != "own":
            accepted = (ids == tokens[:, None]).any(axis=1)
        else:
            accepting = np.stack([self._accepting(item.problem, experiment) for item in experiment.problems])
            accepted = stream.random(tokens.size) < accepting[pattern.ravel(), tokens]
        tally = Tally.empty(experiment.groups, experiment.problems[0].problem.vocab_size)
        by_row = experiment.group == "row"
        tally.add(np.tile(np.arange(rows), calls) if by_row else pattern.ravel(), tokens, accepted)
        tally.calls, tally.rows = calls, rows
        if experiment.keep:
            tally.outputs = tokens.reshape(calls, rows)
        if ids is not None and experiment.drafts != "law":
            tally.drafts = ids.astype(np.min_scalar_type(tally.counts.shape[1]))
        return tally


def _patterns(experiment: Experiment, stream: np.random.Generator) -> NDArray[np.int64]:
    """Return the problem of each row of each call, (calls, B)."""
    if experiment.pattern is None:
        rows = experiment.rows or experiment.samples
        calls = -(-experiment.samples // rows)
        problems = np.arange(calls) % len(experiment.problems) if experiment.alternate else np.zeros(calls, np.int64)
        return np.repeat(problems[:, None], rows, axis=1)
    lines = np.atleast_2d(experiment.pattern)
    calls = -(-experiment.samples // lines.shape[1])
    found = lines[np.arange(calls) % len(lines)]
    return stream.permuted(found, axis=1) if experiment.shuffle else found


def _tokens(
    problems: tuple[Prepared, ...], pattern: NDArray[np.int64], stream: np.random.Generator
) -> NDArray[np.int64]:
    """Return a token for each row, from the target of its problem."""
    tokens = np.empty(pattern.size, dtype=np.int64)
    for index, item in enumerate(problems):
        mine = pattern == index
        tokens[mine] = stream.choice(item.problem.vocab_size, size=int(mine.sum()), p=item.problem.target)
    return tokens


def _drafts(
    problems: tuple[Prepared, ...], pattern: NDArray[np.int64], stream: np.random.Generator
) -> NDArray[np.int64]:
    """Return drafts (B, n), each row by its problem's drafting law."""
    ids = np.empty((pattern.size, problems[0].problem.n_drafts), dtype=np.int64)
    for index, item in enumerate(problems):
        mine = pattern == index
        if mine.any():
            ids[mine] = drafting.get(item.problem.drafting).sampler(item.problem)(stream, int(mine.sum()))
    return ids


@lru_cache(maxsize=64)
def _promised(problem: Problem, declaration: Declaration) -> NDArray[np.float64]:
    """Return P(accepted | token), (V,): in proportion to min(p, P(drafted)), of the promised mass in all."""
    held_to = promise(problem, declaration)
    acceptance = held_to.best.value if held_to.scheme is None else held_to.scheme
    possible = np.minimum(problem.target, drafting.get(problem.drafting).inclusion(problem))
    share = min(1.0, acceptance / possible.sum()) if possible.sum() else 0.0
    return np.divide(share * possible, problem.target, out=np.zeros_like(possible), where=problem.target > 0)


@dataclass(frozen=True)
class Objections:
    """Which cases, `check[case]`, of one run object to exact tallies in place of a control's."""

    name: str
    tier: str
    seed: int
    cases: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON-ready dict."""
        return asdict(self)


def on_exact_tallies(task: Task) -> Objections:
    """Run the statistical decisions of one run of a control, with tallies drawn from the targets themselves.

    Cases without a share of α make no statistical decision, and are left out.
    """
    config = configure(**{**zoo.CONTROLS[task.name].options, "tier": task.tier, "seed": task.seed})
    cases = false_alarms(declared_by(zoo.get(task.name)).override(config.overrides), config)
    return Objections(task.name, task.tier, task.seed, tuple(cases))


def false_alarms(declaration: Declaration, config: RunConfig, session: Session | None = None) -> list[str]:
    """Return which cases, `check[case]`, of one run object to exact tallies.

    Args:
        declaration: of the selector that is stood in for.
        config: of the run; its seed is the tallies'.
        session: in place of an `ExactSession`.
    """
    session, shared = session or ExactSession(declaration), Shared()
    fitted = config.fitted(declaration)
    objecting = []
    for planned in plan(fitted):
        if planned.alpha > 0:
            result, _ = run_case(planned, fitted, session, shared=shared)
            if result is not None and result.verdict == "fail":
                objecting.append(planned.name)
    return objecting
