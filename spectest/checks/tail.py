"""tail: one dominant token and hundreds of thousands of rare ones, each drawn as often as it should be."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.checks.decision import decide, stage_levels
from spectest.checks.judging import failed
from spectest.checks.problems import build
from spectest.engine import Experiment
from spectest.stats import binomial_detectable, chi_squared_test

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from spectest.checks.base import Context, Settings
    from spectest.checks.decision import StageTest
    from spectest.checks.result import CaseResult, Verdict
    from spectest.declaration import Declaration
    from spectest.engine import Prepared, Tally

    Law = NDArray[np.float64]


@dataclass(frozen=True)
class _Size:
    """`rare` tokens of mass `rare_mass` each, `uncommon` ones of `uncommon_mass`, `samples` of the first stage."""

    rare: int
    rare_mass: float
    uncommon: int
    uncommon_mass: float
    samples: int

    @property
    def vocab_size(self) -> int:
        """All its tokens: those of the draft and the dominant one among them."""
        return self.rare + self.uncommon + _DRAFTED + 1


_DRAFTED: Final = 4
#: Masses are powers of two: sums of them are exact, and a grid of uniforms or of rounded partial sums that is coarser
#: than a rare token's mass hits every second or fourth of them and never the others. Noise of 24 bits reaches rare
#: tokens of the full size once where it should seventeen times; in 4500 samples that is enough to suspect.
_FULL: Final = _Size(2**18, 2.0**-26, 2**14, 2.0**-17, 4_500)
_SMALL: Final = _Size(2**14, 2.0**-19, 2**10, 2.0**-13, 1_500)
#: Of `Settings.small`, from which the full size is tested.
_FULL_FROM: Final = 50_000
_STANDARD: Final = 100_000  # of `Settings.small`, above which there are more samples
_LATER: Final = 3  # times as many, as in a stage that only suspicion leads to
_BLOCKS: Final = 4
_MOST_TOLERANCE: Final = 0.99
#: Rare tokens that come out for all: one of every four where uniforms are multiples of four rare masses, two of every
#: eight where partial sums are rounded to such multiples, ties to even.
_GRIDS: Final = ((1, 4), (2, 8))


class Tail:
    """Draws from a law with a long tail: the draft has none of the target's tokens, so that every output is drawn.

    Where noise, a ratio or a partial sum is kept in too few bits, rare tokens come out too seldom, never, or only some
    of them. Exact binomial tests: how often the dominant token, the uncommon and the rare ones come out; which part of
    the ids they are from; and, of the rare ones, whether a few of every eight come out for all.
    """

    name = "tail"
    wide = tuple(f"V{size.vocab_size}" for size in (_FULL, _SMALL))
    weight = 1.0
    summary = "tokens of probability 1e-8 beside a dominant one are drawn as often as they should be"

    def cases(self, settings: Settings) -> tuple[str, ...]:
        """See `Check`."""
        size = _size(settings)
        return (f"V{size.vocab_size}",)

    def cost(self, case: str, settings: Settings) -> float:
        """See `Check`; a row costs as much as some thousand small ones."""
        del case
        size = _size(settings)
        return float(_samples(settings) * max(1, size.rare // 256))

    def applies(self, case: str, declaration: Declaration) -> bool:
        """See `Check`."""
        del case, declaration
        return True

    def run(self, case: str, context: Context) -> CaseResult:
        """See `Check`."""
        prepared, levels = _problem(context)
        parts = _parts(prepared.problem.target, levels, context.declaration.tolerance)

        def tester(part: _Part) -> Callable[[Tally, float], StageTest]:
            return lambda tally, level: part.test(tally.counts[0], level)

        def draw(stage: int, level: float) -> Tally:
            del level
            samples = _samples(context.settings) * (_LATER if stage else 1)
            # One row is a call large enough, and several fall out of the cache.
            return context.sample(Experiment((prepared,), samples, context.seed(self.name, case, stage), rows=1))

        decision = decide(context.alpha, {name: tester(part) for name, part in parts.items()}, draw)
        rarest = list(levels)[-1]
        mass, samples = float(prepared.problem.target[levels[rarest]].sum()), decision.tallies[0].samples
        alpha, beta = stage_levels(context.alpha, len(parts))[0], context.settings.beta / 2
        delta = binomial_detectable(mass, samples=samples, alpha=alpha, beta=beta, alternative="less")
        found: tuple[Verdict, str] = "pass", f"{samples:,} samples, {mass * samples:,.0f} of {rarest} tokens expected"
        if decision.rejected:
            counts = np.sum([tally.counts[0] for tally in decision.tallies], axis=0)
            said = f"{decision.worst}: {parts[decision.worst].said(counts)} (p-value {decision.p_value:.2g})"
            found = failed(context, said)
        return decision.result(context, (self.name, case), found, delta=delta)


@dataclass(frozen=True, eq=False)
class _Part:
    """Outputs in one of some sets of tokens, whichever is largest, as a part of those in `among`.

    Args:
        place: the set of each token, -1 for none, (V,); sets 0 to `sets` - 1 are equally likely.
        among: the outputs that count, (V,).
        probability: of `taken` sets, given that.
        tolerance: forgiven, as in `chi_squared_test`.
    """

    place: NDArray[np.int64]
    among: NDArray[np.bool_]
    probability: float
    tolerance: float
    sets: int = 1
    taken: int = 1

    def counted(self, counts: NDArray[np.int64]) -> tuple[int, int]:
        """Return how many outputs are in the sets taken, and of how many."""
        found = np.bincount(self.place + 1, weights=counts, minlength=self.sets + 1)[1:]
        return int(np.sort(found)[-self.taken :].sum()), int(counts[self.among].sum())

    def test(self, counts: NDArray[np.int64], alpha: float) -> StageTest:
        """Test that they are as many as they should be, by the two-cell test: it is exact."""
        inside, total = self.counted(counts)
        law = np.array([self.probability, 1 - self.probability])
        found = chi_squared_test(np.array([inside, total - inside]), law, alpha=alpha, tolerance=self.tolerance)
        p_value = min(1.0, math.comb(self.sets, self.taken) * found.p_value)
        return replace(found, p_value=p_value, rejected=p_value <= alpha)

    def said(self, counts: NDArray[np.int64]) -> str:
        """Say how many there are, and how many there should be."""
        inside, total = self.counted(counts)
        return f"expected {total * self.probability:,.1f} of {total:,}, observed {inside:,}"


def _parts(target: Law, levels: dict[str, NDArray[np.bool_]], tolerance: float) -> dict[str, _Part]:
    """Return what is tested: each level, its parts by id, and the places of rare tokens among each other.

    Within a level of mass m, a law that is tolerated as a whole may deviate by its tolerance over the root of m.
    """
    every = np.ones(target.size, dtype=np.bool_)
    found = {"tokens of probability 0": _Part(np.where(target == 0, 0, -1), every, 0.0, 0.0)}
    for name, tokens in levels.items():
        mass, size = float(target[tokens].sum()), int(tokens.sum())
        found[f"{name} tokens"] = _Part(np.where(tokens, 0, -1), every, min(1.0, mass), tolerance)
        if size == 1:
            continue
        rank, slack = np.cumsum(tokens) - 1, min(_MOST_TOLERANCE, tolerance / math.sqrt(mass))
        for part in range(_BLOCKS):
            members = tokens & (rank * _BLOCKS // size == part)
            share = float(members.sum() / size)
            found[f"{name} tokens, part {part + 1} of {_BLOCKS} of the ids"] = _Part(
                np.where(members, 0, -1), tokens, share, slack
            )
    for taken, sets in _GRIDS:
        place = np.where(tokens, rank % sets, -1)
        found[f"{name} tokens, {taken} of every {sets}"] = _Part(place, tokens, taken / sets, slack, sets, taken)
    return found


def _size(settings: Settings) -> _Size:
    return _FULL if settings.small >= _FULL_FROM else _SMALL


def _samples(settings: Settings) -> int:
    size = _size(settings)
    return size.samples * (_LATER if settings.small > _STANDARD else 1)


def _problem(context: Context) -> tuple[Prepared, dict[str, NDArray[np.bool_]]]:
    """Return the problem and its tokens by level, those that have any mass in the selector's precision.

    In the order of ids: drafted tokens, which the target does not have, at both ends; a few of the rare ones; the
    dominant one, early, so that partial sums of most of the others lose the bits it takes; the other rare ones;
    uncommon ones in between, so that every block of ids has some.
    """
    size = _size(context.settings)
    generator = np.random.default_rng(context.seed(Tail.name, "problem"))
    total = size.vocab_size
    masses = np.full(size.rare + size.uncommon, size.rare_mass)
    masses[:: masses.size // size.uncommon][: size.uncommon] = size.uncommon_mass
    masses = np.insert(masses, size.rare // 16, 1 - masses.sum())
    target, draft = np.zeros(total), np.zeros(total)
    target[_DRAFTED // 2 : -(_DRAFTED // 2)] = masses
    draft[np.r_[: _DRAFTED // 2, total - _DRAFTED // 2 : total]] = 1 / _DRAFTED
    order = np.arange(total)
    (prepared,) = context.prepare(build(target, draft, context.declaration, generator, "long-tail", n=1, order=order))
    kept = prepared.problem.target > 0
    levels = {
        "dominant": target > 0.5,  # noqa: PLR2004 (more than all others)
        "uncommon": target == size.uncommon_mass,
        "rare": target == size.rare_mass,
    }
    return prepared, {name: members & kept for name, members in levels.items() if (members & kept).any()}
