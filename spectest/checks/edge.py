"""edge: the law on ordinary problems that implementations special-case or divide by zero on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from spectest.checks.edge_problems import (
    NEED_SEVERAL_DRAFTS,
    SPARSE,
    edge_names,
    edge_problem,
    full_size,
    sparse_vocab,
)
from spectest.checks.judging import judge_law, sample_law
from spectest.checks.laws import law_samples

if TYPE_CHECKING:
    from spectest.checks.base import Context, Settings
    from spectest.checks.result import CaseResult
    from spectest.declaration import Declaration
    from spectest.engine import Tally


#: Rows of a thousand tokens take so long that half of them must do, of more than this, a quarter.
_WIDE: Final = 2_000


class Edge:
    """One-hot laws, zeros, ties, p = q, disjoint supports, V = 1, n = 1: the same law tests, each with its own δ."""

    name = "edge"
    wide = (SPARSE,)
    weight = 1.0
    summary = "emitted tokens follow the target law on one-hot, tied, disjoint, sparse and other special problems"

    def cases(self, settings: Settings) -> tuple[str, ...]:
        """See `Check`."""
        del settings
        return edge_names()

    def cost(self, case: str, settings: Settings) -> float:
        """See `Check`."""
        if case == SPARSE:
            return _samples(case, settings) * sparse_vocab(settings) / 100
        return 60 / settings.delta**2 / 4 if full_size(case, settings) else _samples(case, settings)

    def applies(self, case: str, declaration: Declaration) -> bool:
        """See `Check`; with one draft two of them say nothing of their own."""
        return declaration.n_drafts > 1 or case not in NEED_SEVERAL_DRAFTS

    def run(self, case: str, context: Context) -> CaseResult:
        """See `Check`."""
        (prepared,) = context.prepare(edge_problem(case, context.settings, context.declaration))

        def draw(stage: int, level: float) -> Tally:
            del level
            samples = _samples(case, context.settings)
            if full_size(case, context.settings):
                samples = law_samples(prepared.problem, context.settings, stage, context.declaration.tolerance)
            return sample_law(context, prepared, samples, (self.name, case), stage)

        return judge_law(context, (self.name, case), prepared, draw)


def _samples(case: str, settings: Settings) -> int:
    if case != SPARSE:
        return settings.small
    return settings.small // (4 if sparse_vocab(settings) > _WIDE else 2)
