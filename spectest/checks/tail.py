"""tail: one dominant token and hundreds of thousands of rare ones, each drawn as often as it should be."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.checks.decision import decide, stage_levels
from spectest.checks.problems import build
from spectest.engine import Experiment
from spectest.stats import binomial_detectable, binomial_test

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from spectest.checks.base import Context, Settings
    from spectest.checks.decision import StageTest
    from spectest.checks.result import CaseResult, Verdict
    from spectest.declaration import Declaration
    from spectest.engine import Prepared, Tally


@dataclass(frozen=True)
class _Size:
    """`rare` tokens of mass `rare_mass` each, `uncommon` ones of `uncommon_mass`, `samples` of the first stage."""

    rare: int
    rare_mass: float
    uncommon: int
    uncommon_mass: float
    samples: int


#: Masses are powers of two: sums of them are exact, and a grid of uniforms or of rounded partial sums that is coarser
#: than a rare token's mass hits every second or fourth of them and never the others. Noise of 24 bits reaches rare
#: tokens of the full size once where it should fourteen times; in 3600 samples that is enough to suspect.
_FULL: Final = _Size(2**18, 2.0**-26, 2**14, 2.0**-17, 3_600)
_SMALL: Final = _Size(2**14, 2.0**-19, 2**10, 2.0**-13, 1_500)
#: Of `Settings.small`, from which the full size is tested.
_FULL_FROM: Final = 50_000
_STANDARD: Final = 100_000  # of `Settings.small`, above which there are more samples
_LATER: Final = 3  # times as many, as in a stage that only suspicion leads to
_DRAFTED: Final = 4
_PARTS: Final = 4
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
    weight = 1.0
    summary = "tokens of probability 1e-8 beside a dominant one are drawn as often as they should be"

    def cases(self, settings: Settings) -> tuple[str, ...]:
        """See `Check`."""
        size = _size(settings)
        return (f"V{_vocab_size(size)}",)

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
        target = prepared.problem.target
        tests: dict[str, Callable[[Tally, float], StageTest]] = {}
        for name, tokens in levels.items():
            tests[f"{name} tokens"] = _against(tokens, np.ones_like(tokens), float(target[tokens].sum()))
            for what, members in _members(name, tokens):
                tests[f"{name} tokens, {what}"] = _against(members, tokens, float(members.sum() / tokens.sum()))

        rare = list(levels)[-1]
        for hit, grid in _GRIDS:
            tests[f"{rare} tokens, {hit} of every {grid}"] = _most_often(levels[rare], hit, grid)

        def draw(stage: int, level: float) -> Tally:
            del level
            samples = _samples(context.settings) * (_LATER if stage else 1)
            # One row is a call large enough, and several fall out of the cache.
            return context.sample(Experiment((prepared,), samples, context.seed(self.name, case, stage), rows=1))

        def impossible(tally: Tally, level: float) -> StageTest:
            return binomial_test(int(tally.counts[0][target == 0].sum()), tally.samples, 0.0, alpha=level)

        tests["tokens of probability 0"] = impossible
        decision = decide(context.alpha, tests, draw)
        mass, samples = float(target[levels[rare]].sum()), decision.tallies[0].samples
        level, beta = stage_levels(context.alpha, len(tests))[0], context.settings.beta / 2
        delta = binomial_detectable(mass, samples=samples, alpha=level, beta=beta, alternative="less")
        found: tuple[Verdict, str] = "pass", f"{samples:,} samples, {mass * samples:,.0f} of {rare} tokens as expected"
        if decision.rejected:
            result = decision.final
            detail = (
                f"{decision.worst}: expected {result.trials * result.probability:,.1f} of {result.trials:,}, "  # type: ignore[attr-defined]
                f"observed {result.successes:,} (p-value {decision.p_value:.2g})"  # type: ignore[attr-defined]
            )
            found = ("fail" if context.declaration.lossless else "pass"), detail
        return decision.result(context, (self.name, case), found, delta=delta)


def _size(settings: Settings) -> _Size:
    return _FULL if settings.small >= _FULL_FROM else _SMALL


def _samples(settings: Settings) -> int:
    size = _size(settings)
    return size.samples * (_LATER if settings.small > _STANDARD else 1)


def _vocab_size(size: _Size) -> int:
    return size.rare + size.uncommon + _DRAFTED + 1


def _problem(context: Context) -> tuple[Prepared, dict[str, NDArray[np.bool_]]]:
    """Return the problem and its tokens by level, those that have any mass in the selector's precision.

    In the order of ids: drafted tokens, which the target does not have, at both ends; a few of the rare ones; the
    dominant one, early, so that partial sums of most of the others lose the bits it takes; the other rare ones;
    uncommon ones in between, so that every block of ids has some.
    """
    size = _size(context.settings)
    generator = np.random.default_rng(context.seed(Tail.name, "problem"))
    total = _vocab_size(size)
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


def _members(name: str, level: NDArray[np.bool_]) -> list[tuple[str, NDArray[np.bool_]]]:
    """Return parts of the tokens of a level, (description, members)."""
    rank, size = np.cumsum(level) - 1, int(level.sum())
    if size == 1:
        return []
    found = [(f"part {part + 1} of {_PARTS} of the ids", rank * _PARTS // size == part) for part in range(_PARTS)]
    if name == "rare":
        found.append(("every second", rank % 2 == 1))
    return [(what, members & level) for what, members in found]


def _most_often(level: NDArray[np.bool_], hit: int, grid: int) -> Callable[[Tally, float], StageTest]:
    """Return the test that no `hit` of every `grid` tokens of a level, in the order of ids, are drawn too often."""
    place = np.where(level, (np.cumsum(level) - 1) % grid, grid)

    def test(tally: Tally, alpha: float) -> StageTest:
        counts = np.bincount(place, weights=tally.counts[0], minlength=grid + 1)[:grid]
        most, total = int(np.sort(counts)[-hit:].sum()), int(counts.sum())
        found = binomial_test(most, total, hit / grid, alpha=alpha, alternative="greater")
        p_value = min(1.0, math.comb(grid, hit) * found.p_value)  # whichever they are
        return replace(found, p_value=p_value, rejected=p_value <= alpha)

    return test


def _against(
    members: NDArray[np.bool_], among: NDArray[np.bool_], probability: float
) -> Callable[[Tally, float], StageTest]:
    """Return the test that `members` are this part of the outputs that are `among` some tokens."""

    def test(tally: Tally, level: float) -> StageTest:
        counts = tally.counts[0]
        return binomial_test(int(counts[members].sum()), int(counts[among].sum()), min(1.0, probability), alpha=level)

    return test
