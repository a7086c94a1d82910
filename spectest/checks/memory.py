"""memory: nothing that an earlier call left behind is used in a later one that looks like it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.checks.decision import grown
from spectest.checks.judging import judge_groups
from spectest.checks.problems import build
from spectest.engine import Call, Experiment, Prepared, Tally
from spectest.engine.executor import rows_allowed
from spectest.problem import Problem, drafting_rule

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spectest.checks.base import Context, Settings
    from spectest.checks.result import CaseResult
    from spectest.declaration import Declaration

_VOCAB: Final = 12
_ROWS: Final = 24
#: In `lookalikes`, the problem of every row of successive calls, written into the same buffers. Between one call and
#: the next only p changes, only q, one row, all rows but one, half of the ids (their masses permuted), the order of the
#: rows; what is cached by anything less than all of the contents is stale after one of these steps.
_STEPS: Final = (
    [0] * _ROWS,
    [1] * _ROWS,
    [3] * _ROWS,
    [2] * _ROWS,
    [0] * _ROWS,
    [0] * (_ROWS - 1) + [1],
    [0] + [3] * (_ROWS - 1),
    [0] + [4] * (_ROWS - 1),
    [3] * (_ROWS - 1) + [0],
    [0] * (_ROWS // 2) + [4] * (_ROWS // 2),
    [4] * (_ROWS // 2) + [0] * (_ROWS // 2),
    [5] * _ROWS,
    [0] * _ROWS,
)
#: In `shapes`, (rows, V, drafts at most) of successive calls: a workspace of a larger one must not show in a smaller.
_SHAPES: Final = ((40, 33, 8), (7, 33, 8), (40, 5, 8), (7, 5, 1), (2, 130, 8), (64, 5, 8), (1, 33, 1), (40, 33, 2))
#: In `wide` two sizes of the vocabulary where kernels and caches go other ways, and that of the main problems if it is
#: larger; two calls in a row have one shape.
_WIDE_SHAPES: Final = ((6, 5_003, 4), (6, 32_003, 4), (6, 32_003, 4))
_WIDE_ROUNDS: Final = 200  # one round for so many of `Settings.calls`
#: Problems that alternate over the rows, the other way round in the next call, and in the next round.
_OF_A_SHAPE: Final = 2


class Memory:
    """State between calls that differ in part, or in shape.

    `lookalikes`: successive calls have one shape, one address and much of their contents in common. `shapes`: the
    number of rows, tokens and drafts changes with every call, larger ones between smaller ones. `wide`: the same with
    few calls of thousands of tokens; in both the rows' problems change from call to call.
    """

    name = "memory"
    wide = ("wide",)
    weight = 0.5
    summary = "a plan or a buffer of an earlier call that looks alike is never used again"

    def cases(self, settings: Settings) -> tuple[str, ...]:
        """See `Check`."""
        del settings
        return ("lookalikes", "shapes", "wide")

    def cost(self, case: str, settings: Settings) -> float:
        """See `Check`."""
        if case == "lookalikes":
            return float(_ROWS * _calls(settings))
        shapes, calls = _shapes(case, settings)
        return float(sum(rows * max(1, size // 100) for rows, size, _ in shapes) * calls / len(shapes))

    def applies(self, case: str, declaration: Declaration) -> bool:
        """See `Check`."""
        del case, declaration
        return True

    def run(self, case: str, context: Context) -> CaseResult:
        """See `Check`."""
        return self._lookalikes(context) if case == "lookalikes" else self._shapes(case, context)

    def _lookalikes(self, context: Context) -> CaseResult:
        prepared = context.prepare(*_lookalikes(context))
        pattern = np.array(_STEPS)
        samples = _ROWS * _calls(context.settings)

        def draw(stage: int, level: float) -> Tally:
            del level
            return context.sample(
                Experiment(
                    prepared, grown(samples, stage), context.seed(self.name, "lookalikes", stage), pattern=pattern
                )
            )

        return judge_groups(context, (self.name, "lookalikes"), prepared, draw)

    def _shapes(self, case: str, context: Context) -> CaseResult:
        sizes, calls = _shapes(case, context.settings)
        shapes = [context.prepare(*_of_shape(shape, context)) for shape in sizes]
        widest = max(size for _, size, _ in sizes)
        judged = [_widened(prepared, widest) for shape in shapes for prepared in shape]

        def draw(stage: int, level: float) -> Tally:
            del level
            tally = Tally.empty(len(judged), widest)
            seeds = np.random.default_rng(context.seed(self.name, case, stage))
            for call in range(grown(calls, stage)):
                times, index = divmod(call, len(sizes))
                if times and context.late:
                    break
                problems, pattern = shapes[index], (np.arange(sizes[index][0]) + times + index) % _OF_A_SHAPE
                seed, draft_seed = map(int, seeds.integers(2**62, size=2))
                outcome = context.session.call(Call(problems, pattern, seed, draft_seed))
                accepted = (outcome.ids == outcome.tokens[:, None]).any(axis=1)
                tally.add(index * _OF_A_SHAPE + pattern, outcome.tokens, accepted)
            return tally

        return judge_groups(context, (self.name, case), judged, draw)


def _calls(settings: Settings) -> int:
    """Return how many calls there are, a whole number of rounds."""
    return max(2, settings.calls // 2 // len(_STEPS)) * len(_STEPS)


def _shapes(case: str, settings: Settings) -> tuple[list[tuple[int, int, int]], int]:
    """Return (rows, V, drafts at most) of the calls of a round of `shapes` or `wide`, and how many calls there are."""
    if case == "shapes":
        return list(_SHAPES), _calls(settings)
    wide = list(_WIDE_SHAPES)
    rows, size, drafts = wide[-1]
    if (largest := max(settings.vocab)) > size:
        wide += [(rows_allowed(rows, largest * drafts), largest, drafts)] * 2
    return wide, len(wide) * max(4, settings.calls // _WIDE_ROUNDS)


def _lookalikes(context: Context) -> list[Problem]:
    """Return problems 0 to 5: (p, q), (p', q), (p, q'), (p', q'), and two that permute p and q of the first.

    p and p' have zeros where the other has mass; the fourth permutes the upper half of the ids, the fifth all of them.
    """
    generator = np.random.default_rng(context.seed(Memory.name, "lookalikes"))
    ids = np.arange(_VOCAB)
    half = _VOCAB // 2
    target, other = (np.where(ids % 3 != rest, generator.dirichlet(np.full(_VOCAB, 20.0)), 0) for rest in (0, 1))
    target, other = target / target.sum(), other / other.sum()
    draft, second = ((row + 0.02) / (row + 0.02).sum() for row in generator.dirichlet(np.full(_VOCAB, 2.0), size=2))
    upper, whole = np.append(ids[:half], np.roll(ids[half:], 1)), np.roll(ids, 1)
    laws = [(target, draft), (other, draft), (target, second), (other, second)]
    laws += [(target[order], draft[order]) for order in (upper, whole)]
    # Where drafters differ from each other, those of one q do so in one way.
    variations = [int(q is second) for _, q in laws]
    return [
        build(p, q, context.declaration, np.random.default_rng(which), f"lookalike-{index}", order=ids)
        for index, ((p, q), which) in enumerate(zip(laws, variations, strict=True))
    ]


def _of_shape(shape: tuple[int, int, int], context: Context) -> list[Problem]:
    """Return the problems of one shape, each with a part of the ids for its target."""
    rows, size, drafts = shape
    generator = np.random.default_rng(context.seed(Memory.name, "shapes", *shape))
    n = min(drafts, context.declaration.n_drafts)
    if drafting_rule(context.declaration.drafting).fixed_drafts is not None:
        n = context.declaration.n_drafts
    found = []
    for index in range(_OF_A_SHAPE):
        target = generator.dirichlet(np.full(size, 3.0)) * (np.arange(size) % _OF_A_SHAPE != index)
        draft = generator.dirichlet(np.full(size, 2.0)) + 0.1 / size
        name = f"{rows} rows of {size} tokens, problem {index}"
        found.append(build(target / target.sum(), draft / draft.sum(), context.declaration, generator, name, n=n))
    return found


def _widened(prepared: Prepared, size: int) -> Prepared:
    """Return a problem with tokens of no mass appended, as a tally of several sizes is judged by."""

    def wider(law: NDArray[np.float64]) -> NDArray[np.float64]:
        padding = [(0, 0)] * (law.ndim - 1) + [(0, size - law.shape[-1])]
        return np.pad(law, padding)

    problem = prepared.problem
    grown = Problem(wider(problem.target), wider(problem.draft), problem.n_drafts, problem.drafting, name=problem.name)
    return Prepared(grown, wider(prepared.target), wider(prepared.draft))
