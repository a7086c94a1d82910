"""injection: the ends of [0, 1) as noise, for a selector whose caller supplies it, lead to no impossible token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.checks.problems import build
from spectest.checks.result import CaseResult
from spectest.engine import Call, SelectorFault
from spectest.problem import drafting_rule

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spectest.checks.base import Context, Settings
    from spectest.checks.result import Verdict
    from spectest.declaration import Declaration
    from spectest.problem import Problem

#: Uniforms that a run draws once in millions or never: both ends of [0, 1). The last rounds to 1 in float32.
_ENDS: Final = {"0": 0.0, "2⁻⁵³": 2.0**-53, "1 - 2⁻²⁴": 1 - 2.0**-24, "1 - 2⁻²⁶": 1 - 2.0**-26}
#: Nearer to 1 than the rounding of a sum of many float64 terms, and 1 itself: noted, never failed.
_NOTED: Final = {"1 - 2⁻⁵³": 1 - 2.0**-53, "1.0": 1.0}
#: case -> where the chosen uniforms are.
_CASES: Final = {
    "accept": " in the accept tests",
    "final": " in the final draw",
    "all": " in every column",
    "mixed": " in turn",
    "noted": " in every column",
}
_SIZES: Final = (2, 5, 33, 257)
_ROWS: Final = 64
_MIXED: Final = 8


class Injection:
    """Exact: chosen uniforms of the accept tests, of the final draw, of both, and a mixture of the ends in each row.

    A row's token must have target probability. Nothing else is the same for all lossless selectors: which draft is
    accepted at 0, and what the final draw gives, is theirs to choose. Problems have zeros at the first ids, at the
    last ones and between, in p, in q and in both, and sums that rounding leaves below and above 1.

    `noted` tries 1 - 2⁻⁵³, which a rounded sum of probabilities may fall short of, and 1.0, which a half-open interval
    does not have. Careful code in float64 may miss there, once in 2⁵³ calls or never: that is reported and passes. What
    a float32 kernel makes of uniforms that round to 1 shows in the other cases, at 1 - 2⁻²⁶.
    """

    name = "injection"
    weight = 0.0
    summary = "uniforms at the ends of [0, 1) lead to no impossible token"

    def cases(self, settings: Settings) -> tuple[str, ...]:
        """See `Check`."""
        del settings
        return tuple(_CASES)

    def cost(self, case: str, settings: Settings) -> float:
        """See `Check`."""
        del settings
        return float(_ROWS * len(_SIZES) * (_MIXED if case == "mixed" else len(_ENDS)))

    def applies(self, case: str, declaration: Declaration) -> bool:
        """See `Check`."""
        del case
        return declaration.rng == "uniforms"

    def run(self, case: str, context: Context) -> CaseResult:
        """See `Check`."""
        samples = 0
        for size in _SIZES:
            prepared = context.prepare(*(_problem(index, size, context) for index in range(_ROWS)))
            targets = np.stack([one.problem.target for one in prepared])
            for turn, (value, uniforms) in enumerate(_chosen(case, size, prepared[0].problem.n_drafts, context)):
                drafts = context.seed(self.name, case, size, turn)
                call = Call(prepared, np.arange(_ROWS), 0, drafts, uniforms=uniforms)
                found = _impossible(call, targets, value, context)
                samples += _ROWS
                if found is not None:
                    verdict: Verdict = "pass" if case == "noted" or not context.declaration.lossless else "fail"
                    if case == "noted":
                        found += "; so near to 1 it is noted, not failed"
                    return CaseResult(self.name, case, verdict, found, samples=samples)
        detail = f"{samples:,} rows at chosen uniforms, every token with target probability"
        return CaseResult(self.name, case, "pass", detail, samples=samples)


def _impossible(call: Call, targets: NDArray[np.float64], value: str, context: Context) -> str | None:
    """Make a call; return what is wrong with its answer, None where nothing is.

    Raises:
        SelectorFault: of the selector, but where it is only noted.
    """
    at = f"with uniforms of {value}"
    try:
        outcome = context.session.call(call)
    except SelectorFault as fault:
        if value.startswith(tuple(_NOTED)):
            return f"{at}: {fault.message}"
        msg = f"{at}: {fault.message}"
        raise type(fault)(msg, fault.traceback) from fault
    rows = np.flatnonzero(targets[np.arange(len(targets)), outcome.tokens] == 0)
    if not rows.size:
        return None
    row = int(rows[0])
    return (
        f"{at}, {rows.size} of {len(targets)} rows give a token of probability 0, among them row {row}: "
        f"token {outcome.tokens[row]} of {targets.shape[1]} (drafts {outcome.ids[row].tolist()})"
    )


def _chosen(case: str, size: int, n_drafts: int, context: Context) -> list[tuple[str, NDArray[np.float64]]]:
    """Return (what they are, uniforms (B, n + 1)) of the calls of a case; the last column is the final draw's."""
    generator = np.random.default_rng(context.seed(Injection.name, case, size))
    shape = (_ROWS, n_drafts + 1)
    if case == "mixed":
        ends = list(_ENDS.values())
        return [(f"both ends{_CASES[case]}", generator.choice(ends, size=shape)) for _ in range(_MIXED)]
    columns = {"accept": slice(0, n_drafts), "final": slice(n_drafts, None)}.get(case, slice(None))
    found = []
    for value, number in (_NOTED if case == "noted" else _ENDS).items():
        uniforms = generator.random(shape)
        uniforms[:, columns] = number
        found.append((f"{value}{_CASES[case]}", uniforms))
    return found


def _problem(index: int, size: int, context: Context) -> Problem:
    """Return a problem with zeros: first, last, in random places, at both ends; in every third only the target's."""
    generator = np.random.default_rng(context.seed(Injection.name, "problem", size, index))
    ids, cut = np.arange(size), max(1, size // 4)
    without = (
        ids < cut,
        ids >= size - cut,
        generator.permutation(ids) < cut,
        (ids < cut) | (ids >= size - max(0, min(cut, size - cut - 1))),
    )[index % 4]
    target, draft = generator.dirichlet(np.full(size, 0.7), size=2) + 1e-3 / size
    target = np.where(without, 0, target)
    # Where draws must be distinct, equal supports of q keep the number of drafts equal in all rows.
    if index % 3 and not drafting_rule(context.declaration.drafting).distinct:
        draft = np.where(generator.permutation(without) & (target > 0), 0, draft)
    order = np.arange(size)
    return build(
        target / target.sum(), draft / draft.sum(), context.declaration, generator, f"zeros-{index}", order=order
    )
