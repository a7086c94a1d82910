"""law: on main problems, what is emitted is distributed as the target, to the tier's δ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spectest.checks.judging import judge_law, sample_law
from spectest.checks.laws import law_samples
from spectest.checks.problems import main_names, main_problem

if TYPE_CHECKING:
    from spectest.checks.base import Context, Settings
    from spectest.checks.result import CaseResult
    from spectest.declaration import Declaration
    from spectest.engine import Prepared, Tally


def main_prepared(case: str, context: Context) -> Prepared:
    """Return a main problem as the selector meets it."""
    return context.prepare(main_problem(case, context.settings, context.declaration))[0]


def main_cost(case: str, settings: Settings) -> float:
    """Return about how many samples of a small problem take as long as a main problem's sample."""
    vocab_size = settings.problem.vocab_size if settings.problem is not None else int(case[1:])
    # λ of about 120 finds a deviation δ in some 64 cells; a row of more tokens than a hundred takes longer.
    return 120 / settings.delta**2 / 4 * max(1.0, vocab_size / 100)


def main_tally(case: str, context: Context, stage: int) -> Tally:
    """Return a stage's sample of a main problem; `law` and `acceptance` read the same one."""
    prepared = main_prepared(case, context)

    def draw() -> Tally:
        samples = law_samples(prepared.problem, context.settings, stage, context.declaration.tolerance)
        return sample_law(context, prepared, samples, ("main", case), stage)

    return context.once((case, stage), draw)


class Law:
    """Pearson's χ² on the full table and on partitions, by fresh-seed stages; exact on impossible tokens."""

    name = "law"
    weight = 4.0
    summary = "emitted tokens follow the target law on main problems, to the tier's δ"

    def cases(self, settings: Settings) -> tuple[str, ...]:
        """See `Check`."""
        return main_names(settings)

    def cost(self, case: str, settings: Settings) -> float:
        """See `Check`."""
        return main_cost(case, settings)

    def applies(self, case: str, declaration: Declaration) -> bool:
        """See `Check`."""
        del case, declaration
        return True

    def run(self, case: str, context: Context) -> CaseResult:
        """See `Check`."""
        prepared = main_prepared(case, context)

        def draw(stage: int, level: float) -> Tally:
            del level
            return main_tally(case, context, stage)

        return judge_law(context, (self.name, case), prepared, draw, binding=True)
