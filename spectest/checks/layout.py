"""layout: the law, where inputs are parts of larger arrays and what lies around them must not be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.checks.decision import grown
from spectest.checks.judging import judge_groups
from spectest.checks.problems import build
from spectest.engine import Experiment
from spectest.problem import Problem, drafting_rule

if TYPE_CHECKING:
    from spectest.checks.base import Context, Settings
    from spectest.checks.result import CaseResult
    from spectest.declaration import Declaration
    from spectest.engine import Tally
    from spectest.engine.experiment import Layout

#: case -> (layout, rows, V, problems, one call of it for so many of `Settings.calls`). Odd sizes: rows start at
#: addresses that are multiples of nothing but their own type.
_CASES: Final[dict[str, tuple[Layout, int, int, int, int]]] = {
    "embedded": ("embedded", 5, 7, 5, 2),
    "embedded-large": ("embedded", 67, 33, 4, 8),
    "expanded": ("expanded", 5, 7, 5, 2),
}
_FEWEST_CALLS: Final = 8


class Layouts:
    """Inputs as engines hand them over: slices of larger buffers.

    `embedded`: each input is a contiguous part of a larger array, NaN (or an id far out of range) before and after it,
    which the contract allows for every selector. `expanded`: one draft law seen n times with stride 0, for selectors
    that declare `broadcast`; rows of stride 0 are what `law`, `edge` and `support` hand to those already. No selector
    is handed other strides.
    """

    name = "layout"
    weight = 0.5
    summary = "the law holds where inputs lie inside larger buffers, and nothing around them is read"

    def cases(self, settings: Settings) -> tuple[str, ...]:
        """See `Check`."""
        del settings
        return tuple(_CASES)

    def cost(self, case: str, settings: Settings) -> float:
        """See `Check`."""
        return float(_samples(case, settings))

    def applies(self, case: str, declaration: Declaration) -> bool:
        """See `Check`; drafters that differ share no law."""
        if case == "expanded":
            return declaration.broadcast and not drafting_rule(declaration.drafting).rows_differ
        return declaration.batched or case == "embedded"

    def run(self, case: str, context: Context) -> CaseResult:
        """See `Check`; a few rows are judged one by one, many by their problem."""
        layout, rows, _, count, _ = _CASES[case]
        prepared = context.prepare(*(_problem(index, case, context) for index in range(count)))
        by_row = rows == count

        def draw(stage: int, level: float) -> Tally:
            del level
            experiment = Experiment(
                prepared,
                grown(_samples(case, context.settings), stage),
                context.seed(self.name, case, stage),
                pattern=np.arange(rows) % count,
                group="row" if by_row else "problem",
                layout=layout,
            )
            return context.sample(experiment)

        labels = [f"row {row} of {rows}" for row in range(rows)] if by_row else None
        return judge_groups(context, (self.name, case), prepared, draw, labels)


def _problem(index: int, case: str, context: Context) -> Problem:
    """Return a problem with much of its target on the first and on the last id, where a row meets its surroundings."""
    _, _, size, _, _ = _CASES[case]
    generator = np.random.default_rng(context.seed(Layouts.name, case, index))
    ends = np.isin(np.arange(size), [0, size - 1]) / 2
    target, draft = ends / 2 + generator.dirichlet(np.full(size, 4.0)) / 2, generator.dirichlet(np.ones(size)) + 0.01
    order = np.arange(size)
    return build(target, draft / draft.sum(), context.declaration, generator, f"problem {index}", order=order)


def _samples(case: str, settings: Settings) -> int:
    _, rows, _, _, every = _CASES[case]
    return rows * max(_FEWEST_CALLS, settings.calls // every)
