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
    """A problem in exact fractions: target (V,), one draft law (V,) per draft, equal ones where drafters are identical."""

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
    """A named pair of laws and the numbers of drafts it is tabulated for; several laws are several drafters."""

    target: Law
    draft: Law | tuple[Law, ...]
    n_drafts: tuple[int, ...]


def _law(text: str) -> Law:
    """Read a law from whitespace-separated fractions or decimals.

    Raises:
        ValueError: they do not sum to 1.
    """
    law = tuple(Fraction(mass) for mass in text.split())
    if sum(law) != 1 or min(law) < 0:
        msg = f"a golden law must be probabilities that sum to 1 exactly, got {text}"
        raise ValueError(msg)
    return law


def _panel(side: str, first: Fraction, xs: str) -> dict[str, Named]:
    """Draft uniform(3), target (first, x, 1 - first - x): the toy figure of Khisti et al. (2410.18234)."""
    uniform = (Fraction(1, 3),) * 3
    return {
        f"uniform3_{side}({x})": Named((first, Fraction(x), 1 - first - Fraction(x)), uniform, (1, 2)) for x in xs.split()
    }


_P6: Final = (_law(".03 .41 .03 .28 .25"), _law(".43 .30 .07 .02 .18"))

NAMED: Final[dict[str, Named]] = {
    "P1": Named(_law("309/500 177/500 7/250"), _law("373/1000 29/50 47/1000"), (2,)),
    "P2": Named(_law(".469 .124 .407"), _law(".201 .275 .524"), (3,)),
    "P3": Named(_law(".777 .223"), _law(".937 .063"), (2,)),
    "P4": Named(_law("37/250 21/500 149/200 1/20 3/200"), _law("62/125 17/125 151/1000 1/125 209/1000"), (3,)),
    "P5": Named(_law("5/9 4/9"), _law("1/3 2/3"), (2,)),
    "P6": Named(*_P6, (1, 2, 3)),
    "P6_two_drafters": Named(_P6[0], (_P6[1], _law(".35 .1 .15 .3 .1")), (2,)),
    "P7": Named(_law("1/3 1/18 11/18"), _law("1/3 1/3 1/3"), (2,)),
    "half_covered": Named(_law("1/2 1/2 0"), _law("0 1/2 1/2"), (1, 2)),
    "one_hot_target": Named(_law("1 0 0"), _law(".2 .3 .5"), (1, 3)),
    "one_hot_draft": Named(_law(".2 .3 .5"), _law("1 0 0"), (1, 3)),
    "equal": Named(_law(".2 .3 .5"), _law(".2 .3 .5"), (1, 2, 3)),
    "disjoint": Named(_law("1 0"), _law("0 1"), (1, 2)),
    "one_token": Named(_law("1"), _law("1"), (1, 2)),
    **_panel("left", Fraction(1, 3), "0 1/18 1/9 1/6 2/9 1/3 5/9 2/3"),
    **_panel("right", Fraction(1, 6), "0 1/6 5/18 1/3 7/18 5/9 13/18 5/6"),
}


def cases() -> Iterator[Case]:
    """Every named problem for each of its numbers of drafts, under each drafting law it has."""
    for name, named in NAMED.items():
        first = named.draft[0]
        for n in named.n_drafts:
            if isinstance(first, tuple):
                yield Case(name, named.target, _rows(named.draft), "independent")
                continue
            draft: Law = tuple(Fraction(mass) for mass in _flat(named.draft))
            yield Case(name, named.target, (draft,) * n, "with_replacement")
            if n <= sum(mass > 0 for mass in draft):
                yield Case(name, named.target, (draft,) * n, "without_replacement")
