"""The named problems of the golden table, in exact fractions."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from spectest.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

Law = tuple[Fraction, ...]


@dataclass(frozen=True)
class Case:
    """A problem in exact fractions: target (V,), and the law (V,) of each draft, equal ones for identical drafters."""

    name: str
    target: Law
    drafts: tuple[Law, ...]
    drafting: str

    @property
    def problem(self) -> Problem:
        """The same problem in float64."""
        rows = [[float(mass) for mass in draft] for draft in self.drafts]
        target = [float(mass) for mass in self.target]
        draft = rows if self.drafting == "independent" else rows[0]
        return Problem(target, draft, len(rows), self.drafting, name=self.name)


@dataclass(frozen=True)
class Named:
    """A target, its drafters and the numbers of drafts to tabulate; several drafters give one draft each."""

    target: Law
    drafters: tuple[Law, ...]
    n_drafts: tuple[int, ...]

    def cases(self, name: str) -> Iterator[Case]:
        """Yield one case for each number of drafts and each drafting law it has."""
        if len(self.drafters) > 1:
            yield Case(name, self.target, self.drafters, "independent")
            return
        (draft,) = self.drafters
        for n in self.n_drafts:
            yield Case(name, self.target, (draft,) * n, "with_replacement")
            if n <= sum(mass > 0 for mass in draft):
                yield Case(name, self.target, (draft,) * n, "without_replacement")


def _law(text: str) -> Law:
    """Read a law from fractions or decimals separated by spaces.

    Raises:
        ValueError: they are not probabilities that sum to 1 exactly.
    """
    law = tuple(Fraction(mass) for mass in text.split())
    if sum(law) != 1 or min(law) < 0:
        msg = f"a golden law must hold probabilities that sum to 1 exactly, got {text!r}"
        raise ValueError(msg)
    return law


def _named(target: str, *drafters: str, n: tuple[int, ...]) -> Named:
    return Named(_law(target), tuple(_law(draft) for draft in drafters), n)


def _panel(side: str, first: str, xs: str) -> dict[str, Named]:
    """Draft uniform(3), target (first, x, 1 - first - x): the toy figure of Khisti et al. (2410.18234)."""
    return {
        f"uniform3_{side}({x})": _named(f"{first} {x} {1 - Fraction(first) - Fraction(x)}", "1/3 1/3 1/3", n=(1, 2))
        for x in xs.split()
    }


NAMED: Final[dict[str, Named]] = {
    "P1": _named("309/500 177/500 7/250", "373/1000 29/50 47/1000", n=(2,)),
    "P2": _named(".469 .124 .407", ".201 .275 .524", n=(3,)),
    "P3": _named(".777 .223", ".937 .063", n=(2,)),
    "P4": _named("37/250 21/500 149/200 1/20 3/200", "62/125 17/125 151/1000 1/125 209/1000", n=(3,)),
    "P5": _named("5/9 4/9", "1/3 2/3", n=(2,)),
    # Chosen so that every structural bug we know of deviates by more than 0.02 in total variation.
    "P6": _named(".03 .41 .03 .28 .25", ".43 .30 .07 .02 .18", n=(1, 2, 3)),
    "P6_two_drafters": _named(".03 .41 .03 .28 .25", ".43 .30 .07 .02 .18", ".35 .1 .15 .3 .1", n=(2,)),
    "P7": _named("1/3 1/18 11/18", "1/3 1/3 1/3", n=(2,)),
    "half_covered": _named("1/2 1/2 0", "0 1/2 1/2", n=(1, 2)),
    "one_hot_target": _named("1 0 0", ".2 .3 .5", n=(1, 3)),
    "one_hot_draft": _named(".2 .3 .5", "1 0 0", n=(1, 3)),
    "equal": _named(".2 .3 .5", ".2 .3 .5", n=(1, 2, 3)),
    "disjoint": _named("1 0", "0 1", n=(1, 2)),
    "one_token": _named("1", "1", n=(1, 2)),
    **_panel("left", "1/3", "0 1/18 1/9 1/6 2/9 1/3 5/9 2/3"),
    **_panel("right", "1/6", "0 1/6 5/18 1/3 7/18 5/9 13/18 5/6"),
}


def cases() -> tuple[Case, ...]:
    """Every named problem, for each of its numbers of drafts, under each drafting law it has."""
    return tuple(case for name, named in NAMED.items() for case in named.cases(name))
