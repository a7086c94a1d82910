"""mixture: every row of a batch in which all rows differ follows its own law, whatever its place and its company."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.checks.decision import decide, grown, stage_levels
from spectest.checks.judging import failed
from spectest.checks.problems import build
from spectest.engine import Experiment, Prepared
from spectest.engine.executor import rows_allowed
from spectest.problem import Problem
from spectest.stats import chi_squared_detectable, chi_squared_test, merge, worst_cells

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from spectest.checks.base import Context, Settings
    from spectest.checks.decision import Decision, StageTest
    from spectest.checks.result import CaseResult, Verdict
    from spectest.declaration import Declaration
    from spectest.engine import Tally

    Law = NDArray[np.float64]


@dataclass(frozen=True)
class _Case:
    """A batch: `padded` tokens without mass follow the others; `calls` is a multiple of `Settings.calls`."""

    rows: int
    vocab_size: int
    calls: float
    padded: int = 0


#: Sizes between and beyond those of `batch`; V is prime, so that no two of its neighbours' ids fall together.
_CASES: Final = {
    "B5": _Case(5, 13, 1 / 4),
    "B64": _Case(64, 13, 1 / 8),
    "B129": _Case(129, 13, 1 / 16),
    "B1000": _Case(1000, 13, 1 / 50),
    "B4096": _Case(4096, 13, 1 / 100),
    "padded": _Case(48, 13, 1 / 32, padded=1018),
    "wide": _Case(600, 1009, 1 / 130),
    "widest": _Case(41, 32_003, 1 / 160),
}
#: The largest is worth its time only where many samples are asked for.
_WIDEST_FROM: Final = 2_000
_FEWEST_CALLS: Final = 4
#: Kinds of rows in turn; seven fit into no power of two.
_KINDS: Final = ("usual", "usual", "one-hot", "usual", "equal", "few drafted", "narrow")
_STRIDE: Final = 5  # ids of row r are shifted by 5r
_SINGLE: Final = 200  # rows of a batch whose first and last row are tested by themselves
_BLOCKS: Final = (32, 128, 1024)
_LANES: Final = 32
_CELLS: Final = 32
_SHOWN: Final = 5


class Mixture:
    """All rows hold one of a few problems, their token ids shifted by another number in each row.

    Shifted back, rows of a kind are one sample, however many there are: it is tested as a whole and by the places where
    kernels change their ways (first, last, last partial block, beyond 1024, lanes, beside a one-hot row). A row
    answered with its neighbour's laws, plan or noise shows as a shifted law, mostly by impossible tokens. Supports are
    ragged; in `padded`, tokens without mass and rows that nobody needs are appended.
    """

    name = "mixture"
    wide = ("padded", "wide", "widest")
    weight = 0.5
    summary = "rows that all differ follow their own laws, at any place, size, padding and company"

    def cases(self, settings: Settings) -> tuple[str, ...]:
        """See `Check`."""
        return tuple(case for case in _CASES if case != "widest" or settings.calls >= _WIDEST_FROM)

    def cost(self, case: str, settings: Settings) -> float:
        """See `Check`; a wide row counts for several."""
        return float(_CASES[case].rows * _calls(case, settings) * max(1, _CASES[case].vocab_size // 100))

    def applies(self, case: str, declaration: Declaration) -> bool:
        """See `Check`; an unbatched selector has no batch."""
        del case
        return declaration.batched

    def run(self, case: str, context: Context) -> CaseResult:
        """See `Check`."""
        kinds, shifts = _layout(case, context)
        size = _CASES[case].vocab_size
        bases = context.prepare(*(_base(kind, case, context) for kind in dict.fromkeys(_KINDS)))
        names = {base.problem.name: index for index, base in enumerate(bases)}
        own, pattern = np.unique([names[k] * size + s for k, s in zip(kinds, shifts, strict=True)], return_inverse=True)
        problems = tuple(_shifted(bases[index // size], int(index % size), size) for index in own)
        groups = {
            place: _Group(rows, _cells(bases[names[kinds[rows][0]]].problem), bases[names[kinds[rows][0]]].problem)
            for place, rows in _places(kinds)
        }

        def draw(stage: int, level: float) -> Tally:
            del level
            samples, seed = len(kinds) * _calls(case, context.settings), context.seed(self.name, case, stage)
            tally = context.sample(Experiment(problems, grown(samples, stage), seed, pattern=pattern, group="row"))
            back = (np.arange(size) + shifts[:, None]) % size
            tally.counts[:, :size] = np.take_along_axis(tally.counts, back, axis=1)
            return tally

        def tester(group: _Group) -> Callable[[Tally, float], StageTest]:
            return lambda tally, level: group.test(tally, level, context.declaration.tolerance)

        decision = decide(context.alpha, {place: tester(group) for place, group in groups.items()}, draw)
        return self._judge(case, context, groups, decision)

    def _judge(self, case: str, context: Context, groups: dict[str, _Group], decision: Decision) -> CaseResult:
        """Say what was found; δ is that of all usual rows together."""
        first, settings = decision.tallies[0], context.settings
        all_usual = groups[f"{_KINDS[0]} rows"]
        level = stage_levels(context.alpha, len(groups))[0]
        samples = int(all_usual.counts(first).sum())
        delta = chi_squared_detectable(all_usual.law, samples=samples, alpha=level, beta=settings.beta / 2)
        found: tuple[Verdict, str] = (
            "pass",
            f"{first.samples:,} rows in {first.calls:,} calls follow their own laws; {delta:.2g} would show in most",
        )
        if decision.rejected:
            said = groups[decision.worst].explain(decision)
            found = failed(context, f"{decision.worst}: {said}")
        return decision.result(context, (self.name, case), found, delta=delta)


@dataclass(frozen=True, eq=False)
class _Group:
    """Rows of one kind: which of a call they are (B,), the cell of each token (V,), their problem as in row 0."""

    rows: NDArray[np.bool_]
    cells: NDArray[np.int64]
    problem: Problem

    @property
    def law(self) -> Law:
        """Target mass of each cell."""
        return merge(self.problem.target, self.cells).astype(np.float64)

    def counts(self, tally: Tally) -> NDArray[np.int64]:
        """Return how often each cell came out, of a tally by row, ids shifted back."""
        return merge(tally.counts[self.rows].sum(axis=0), self.cells).astype(np.int64)

    def test(self, tally: Tally, level: float, tolerance: float) -> StageTest:
        """Test the law of these rows."""
        return chi_squared_test(self.counts(tally), self.law, alpha=level, tolerance=tolerance)

    def explain(self, decision: Decision) -> str:
        """Say how all that was drawn deviates; ids are those of row 0."""
        seen = np.sum([tally.counts[self.rows].sum(axis=0) for tally in decision.tallies], axis=0)
        lines = [f"{seen.sum():,} samples do not follow their law, p-value {decision.p_value:.2g}; ids as in row 0:"]
        lines += [
            f"token {cell.index}: expected {cell.expected:,.1f}, observed {cell.observed:,}"
            for cell in worst_cells(seen, self.problem.target, limit=_SHOWN)
        ]
        return "\n".join(lines)


def _calls(case: str, settings: Settings) -> int:
    return max(_FEWEST_CALLS, round(settings.calls * _CASES[case].calls))


def _layout(case: str, context: Context) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """Return the kind and the shift of every row."""
    shape = _CASES[case]
    width = (shape.vocab_size + shape.padded) * context.declaration.n_drafts
    rows = rows_allowed(shape.rows, width)
    kinds = np.array([_KINDS[row % len(_KINDS)] for row in range(rows)])
    kinds[-1] = "usual"  # where p = q, a draft taken unseen would not show
    shifts = np.arange(rows) * _STRIDE % shape.vocab_size
    if shape.padded:
        kinds[rows * 3 // 4 :] = "one-hot"
        shifts[:] = 0
    return kinds, shifts


def _base(kind: str, case: str, context: Context) -> Problem:
    """Return the problem of a kind of rows as row 0 has it; padding follows.

    The usual one has little target where the draft has most, tokens that only the draft has, and tokens of neither.
    """
    shape = _CASES[case]
    generator = np.random.default_rng(context.seed(Mixture.name, case, kind))
    size, n = shape.vocab_size, context.declaration.n_drafts
    target, draft = np.zeros(size + shape.padded), np.zeros(size + shape.padded)
    both, drafted = size * 8 // 13, size * 10 // 13
    target[:both] = generator.dirichlet(np.full(both, 40.0))
    draft[:drafted] = 0.5 * generator.dirichlet(np.full(drafted, 40.0))
    draft[0] += 0.5
    if kind == "one-hot":
        target = np.eye(1, target.size, both // 2)[0]
    elif kind == "equal":
        target = draft
    elif kind == "narrow":
        target = np.where(np.isin(np.arange(target.size), [1, 4]), target, 0)
    elif kind == "few drafted":
        draft[max(n, 4) :] = 0
    order = np.arange(target.size)
    return build(target / target.sum(), draft / draft.sum(), context.declaration, generator, kind, order=order)


def _shifted(base: Prepared, shift: int, size: int) -> Prepared:
    """Return a problem with its first `size` ids shifted."""

    def shifted(law: Law) -> Law:
        return np.concatenate([np.roll(law[..., :size], shift, axis=-1), law[..., size:]], axis=-1)

    problem = base.problem
    moved = Problem(
        shifted(problem.target), shifted(problem.draft), problem.n_drafts, problem.drafting, name=problem.name
    )
    return Prepared(moved, shifted(base.target), shifted(base.draft))


def _places(kinds: NDArray[np.str_]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield (name, rows) of the groups of rows that are tested, each of one kind."""
    rows, size = np.arange(kinds.size), kinds.size
    usual = kinds == "usual"
    for kind in dict.fromkeys(_KINDS):
        if (kinds == kind).any():
            yield f"{kind} rows", kinds == kind
    places = {
        "odd rows": rows % 2 == 1,
        f"every row {_LANES - 1} of {_LANES}": rows % _LANES == _LANES - 1,
        "rows after a one-hot one": np.roll(kinds == "one-hot", 1),
        "rows before a one-hot one": np.roll(kinds == "one-hot", -1),
        "rows from 1024 on": rows >= 1024,  # noqa: PLR2004 (as the name says)
        "rows from 2048 on": rows >= 2048,  # noqa: PLR2004 (as the name says)
    }
    if size <= _SINGLE:
        places |= {"the first row": rows == 0, "the last row": rows == size - 1}
    places |= {f"the last block of {block}": rows >= (size - 1) // block * block for block in _BLOCKS if size > block}
    yield from ((name, mask & usual) for name, mask in places.items() if (mask & usual).any())


def _cells(problem: Problem) -> NDArray[np.int64]:
    """Return token -> cell: the tokens themselves where they are few, else p/q in bins of about equal target mass.

    Tokens without mass have a cell of their own, number 0.
    """
    size = problem.vocab_size
    if size <= _CELLS:
        return np.arange(size)
    target, draft = problem.target, problem.draft_rows.mean(axis=0)
    ratio = np.divide(target, draft, out=np.full(size, np.inf), where=draft > 0)
    order = np.lexsort((-target, ratio))
    before = np.empty(size)
    before[order] = np.cumsum(target[order]) - target[order]
    cells: NDArray[np.int64] = np.where(target > 0, 1 + np.minimum(before * _CELLS, _CELLS - 1).astype(np.int64), 0)
    return cells
