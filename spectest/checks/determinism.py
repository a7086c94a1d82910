"""determinism: the generator's state decides the output, and nothing else does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.checks.problems import build
from spectest.checks.result import CaseResult
from spectest.engine import Call

if TYPE_CHECKING:
    from spectest.checks.base import Context, Settings
    from spectest.checks.result import Verdict
    from spectest.declaration import Declaration
    from spectest.engine import Prepared

_ROWS: Final = 128
_VOCAB: Final = 12


class Determinism:
    """Same state, same output; another state, same inputs, another output.

    In the second case half of p lies where q has nothing, spread over several tokens: a lossless selector must draw
    them afresh, so two states agree on all rows with a probability below 1e-30.
    """

    name = "determinism"
    weight = 0.0
    summary = "the same generator state gives the same output, another state another one"

    def cases(self, settings: Settings) -> tuple[str, ...]:
        """See `Check`."""
        del settings
        return ("same-state", "other-state")

    def cost(self, case: str, settings: Settings) -> float:
        """See `Check`."""
        del case, settings
        return 4.0 * _ROWS

    def applies(self, case: str, declaration: Declaration) -> bool:
        """See `Check`; one that is not lossless may need no randomness."""
        return declaration.lossless or case == "same-state"

    def run(self, case: str, context: Context) -> CaseResult:
        """See `Check`."""
        (prepared,) = self._problem(context)
        seed = context.seed(self.name, "state")
        first = self._tokens(prepared, seed, context)
        verdict: Verdict = "pass"
        if case == "same-state":
            self._tokens(prepared, context.seed(self.name, "state", "between"), context)  # leaves other noise behind
            again = self._tokens(prepared, seed, context)
            differing = int((first != again).sum())
            detail = f"{_ROWS} rows came out the same twice"
            if differing:
                verdict = "fail"
                detail = (
                    f"{differing} of {_ROWS} rows differ between two calls with the same inputs and generator state"
                )
        else:
            others = [self._tokens(prepared, context.seed(self.name, "state", k), context) for k in range(1, 4)]
            detail = f"{_ROWS} rows change with the generator state"
            if all((first == other).all() for other in others):
                verdict = "fail"
                detail = f"all {_ROWS} rows stayed the same under four generator states: the generator is not used"
        return CaseResult(self.name, case, verdict, detail, samples=_ROWS * (3 if case == "same-state" else 4))

    def _problem(self, context: Context) -> tuple[Prepared, ...]:
        generator = np.random.default_rng(context.seed(self.name, "problem"))
        half = _VOCAB // 2
        target = np.full(_VOCAB, 1 / _VOCAB)
        draft = np.zeros(_VOCAB)
        draft[:half] = generator.dirichlet(np.full(half, 3.0))
        return context.prepare(build(target, draft, context.declaration, generator, "half-covered"))

    def _tokens(self, prepared: Prepared, seed: int, context: Context) -> np.ndarray:
        call = Call((prepared,), np.zeros(_ROWS, dtype=np.int64), seed, context.seed(self.name, "drafts"))
        return context.session.call(call).tokens
