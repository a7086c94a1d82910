"""seeding: at every size and on every path the given randomness decides the output, and no global state does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.checks.problems import build
from spectest.checks.result import CaseResult
from spectest.engine import Call

if TYPE_CHECKING:
    from spectest.checks.base import Context, Settings
    from spectest.declaration import Declaration
    from spectest.problem import Problem

#: case -> (rows, V): sizes where implementations take another path. A selector that draws one number in the wrong place
#: does so in some of these rows.
_CASES: Final = {
    "B1": ((1, 12),) * 8,
    "B2": ((2, 12),) * 6,
    "B7": ((7, 12),) * 3,
    "B64": ((64, 12),),
    "B1025": ((1025, 12),),
    "B4096": ((4096, 12),),
    "wide": ((5, 1_031), (2, 33_001)),
}
_UNBATCHED: Final = ("B7", "wide")
_KINDS: Final = 4


class Seeding:
    """The same call twice, with the same randomness, and with every global generator seeded differently before each.

    Rows are of several kinds: half-covered, one-hot, p = q, disjoint. In between, a call with other randomness leaves
    its noise behind. Exact: what draws from a global generator, or from one of its own, gives another answer.
    """

    name = "seeding"
    wide = ("wide",)
    weight = 0.0
    summary = "at every size the given randomness decides the output, whatever state global generators are in"

    def cases(self, settings: Settings) -> tuple[str, ...]:
        """See `Check`."""
        del settings
        return tuple(_CASES)

    def cost(self, case: str, settings: Settings) -> float:
        """See `Check`."""
        del settings
        return float(sum(3 * rows * max(1, size // 100) for rows, size in _CASES[case]))

    def applies(self, case: str, declaration: Declaration) -> bool:
        """See `Check`; batches of an unbatched selector differ in nothing but length."""
        return declaration.batched or case in _UNBATCHED

    def run(self, case: str, context: Context) -> CaseResult:
        """See `Check`."""
        samples = 0
        for call, (rows, size) in enumerate(_CASES[case]):
            prepared = context.prepare(*_problems(size, context))
            kinds = np.arange(call, call + rows) % len(prepared)
            seeds = [context.seed(self.name, case, call, label) for label in ("state", "between", "state")]
            answers = [
                context.session.call(
                    Call(
                        prepared,
                        kinds,
                        seed,
                        context.seed(self.name, case, call, "drafts"),
                        global_seed=context.seed(self.name, case, call, "global", turn),
                    )
                ).tokens
                for turn, seed in enumerate(seeds)
            ]
            samples += 3 * rows
            differing = np.flatnonzero(answers[0] != answers[2])
            if differing.size:
                kind = prepared[int(kinds[differing[0]])].problem.name
                detail = (
                    f"{differing.size} of {rows} rows of {size} tokens, the first of them {kind}, differ between two "
                    "calls with the same inputs and generator state: other randomness is used as well"
                )
                return CaseResult(self.name, case, "fail", detail, samples=samples)
        detail = f"{samples:,} rows: the same output from the same state, whatever the global generators are at"
        return CaseResult(self.name, case, "pass", detail, samples=samples)


def _problems(size: int, context: Context) -> list[Problem]:
    """Return a problem half of whose target has no draft, a one-hot one, one with p = q and a disjoint one."""
    generator = np.random.default_rng(context.seed(Seeding.name, size))
    half = size // 2
    whole = generator.dirichlet(np.full(size, 3.0))
    lower, upper = (np.where((np.arange(size) < half) == first, whole, 0) for first in (True, False))
    laws = {
        "half-covered": (whole, lower),
        "one-hot": (np.eye(1, size, half)[0], whole),
        "p = q": (lower, lower),
        "disjoint": (upper, lower),
    }
    return [build(p / p.sum(), q / q.sum(), context.declaration, generator, name) for name, (p, q) in laws.items()]
