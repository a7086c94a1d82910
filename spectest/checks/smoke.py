"""smoke: known answers, shapes, dtypes, ranges, inputs left as they were."""

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
    from spectest.problem import Problem

_SHAPES: Final = ((1, 64), (7, 9), (32, 33), (3, 1))
_WIDE: Final = ((4, 70_001), (1, 150_001))
#: Main problems of at least this many tokens say that a selector is made for real vocabularies.
_WIDE_FROM: Final = 100


class Smoke:
    """Where the target is one token, that token is the only answer: a dead kernel or arguments in disorder show here.

    The session itself verifies shape, dtype, device and range of every answer and that inputs are unchanged.
    """

    name = "smoke"
    wide = ("wide-vocabulary",)
    weight = 0.0
    summary = "known answers, shape, dtype, device, range; inputs are not written to"

    def cases(self, settings: Settings) -> tuple[str, ...]:
        """See `Check`."""
        wide = max((*settings.vocab, settings.problem.vocab_size if settings.problem else 0))
        return ("known-answers", "wide-vocabulary") if wide >= _WIDE_FROM else ("known-answers",)

    def cost(self, case: str, settings: Settings) -> float:
        """See `Check`."""
        del case, settings
        return 100.0

    def applies(self, case: str, declaration: Declaration) -> bool:
        """See `Check`."""
        del case, declaration
        return True

    def run(self, case: str, context: Context) -> CaseResult:
        """See `Check`."""
        generator = np.random.default_rng(context.seed(self.name, case))
        rows_seen = 0
        for rows, vocab_size in _SHAPES if case == "known-answers" else _WIDE:
            problems = [_one_answer(row, vocab_size, context, generator) for row in range(rows)]
            prepared = context.prepare(*problems)
            seeds = (context.seed(self.name, rows), context.seed(self.name, rows, "drafts"))
            outcome = context.session.call(Call(prepared, np.arange(rows), *seeds))
            expected = np.array([int(p.problem.target.argmax()) for p in prepared])
            rows_seen += rows
            if (outcome.tokens != expected).any():
                row = int(np.flatnonzero(outcome.tokens != expected)[0])
                detail = (
                    f"row {row} of {rows}: the target is all on token {expected[row]} of {vocab_size}, "
                    f"token {outcome.tokens[row]} came out (drafts {outcome.ids[row].tolist()})"
                )
                verdict: Verdict = "fail" if context.declaration.lossless else "pass"
                return CaseResult(self.name, case, verdict, detail, samples=rows_seen)
        detail = f"{rows_seen} rows with one possible answer each; shapes, dtypes, ranges and inputs in order"
        return CaseResult(self.name, case, "pass", detail, samples=rows_seen)


def _one_answer(row: int, vocab_size: int, context: Context, generator: np.random.Generator) -> Problem:
    """Return a problem with a one-hot target; in every other row no draft is the answer.

    One that is emitted unverified, if only by a process's first call, shows there. In a wide vocabulary the answers are
    the last ids and those where narrow integers and blocks end.
    """
    answer = int(generator.integers(vocab_size))
    if vocab_size >= _WIDE[0][1]:
        answer = (vocab_size - 1, 65_536, 32_768, 1_024)[row]
    target = np.zeros(vocab_size)
    target[answer] = 1.0
    draft = generator.dirichlet(np.full(vocab_size, 2.0))
    if row % 2 == 0 and vocab_size > context.declaration.n_drafts:
        draft = np.where(target > 0, 0.0, draft)
    order = np.arange(vocab_size)
    return build(target, draft / draft.sum(), context.declaration, generator, f"row-{row}", order=order)
