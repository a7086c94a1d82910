"""The schemes written down a second time, in fractions, tuple by tuple: what the tests of the schemes compare with."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations, product
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from spectest import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Law = tuple[Fraction, ...]


class Instance(NamedTuple):
    """A problem in exact fractions; `drafts` holds n laws, equal ones where the drafters are identical."""

    target: Law
    drafts: tuple[Law, ...]
    drafting: str

    @property
    def problem(self) -> Problem:
        laws = [[float(mass) for mass in draft] for draft in self.drafts]
        draft = laws if self.drafting == "independent" else laws[0]
        return Problem([float(mass) for mass in self.target], draft, len(laws), self.drafting)


def law(*weights: float | Fraction | str) -> Law:
    """Normalise weights exactly; a float stands for the binary fraction it is."""
    exact = [Fraction(weight) for weight in weights]
    return tuple(weight / sum(exact) for weight in exact)


def instance(target: Law, draft: Law, n: int, drafting: str = "with_replacement") -> Instance:
    return Instance(target, (draft,) * n, drafting)


def tuples(case: Instance) -> Iterator[tuple[tuple[int, ...], Fraction]]:
    """Every ordered tuple of drafts of positive mass, and its mass."""
    vocab, n = range(len(case.target)), len(case.drafts)
    if case.drafting != "without_replacement":
        for ids in product(vocab, repeat=n):
            mass = prod((draft[x] for draft, x in zip(case.drafts, ids, strict=True)), start=Fraction(1))
            if mass:
                yield ids, mass
        return
    for ids in permutations(vocab, n):
        mass, left = Fraction(1), Fraction(1)
        for x in ids:
            if not (chosen := case.drafts[0][x]):
                mass = Fraction(0)
                break
            mass, left = mass * chosen / left, left - chosen
        if mass:
            yield ids, mass


def rejection_given(case: Instance, ids: Sequence[int]) -> Law:
    """The law of recursive rejection's output given the drafts."""
    vocab = range(len(case.target))
    out, reach, residual = [Fraction(0)] * len(vocab), Fraction(1), case.target
    for k, x in enumerate(ids):
        draft = case.drafts[k]
        if case.drafting == "without_replacement":
            draft = law(*(0 if y in ids[:k] else draft[y] for y in vocab))
        accept = min(Fraction(1), residual[x] / draft[x])
        out[x] += reach * accept
        reach *= 1 - accept
        if not reach:
            return tuple(out)
        residual = law(*(max(r - d, Fraction(0)) for r, d in zip(residual, draft, strict=True)))
    return tuple(o + reach * r for o, r in zip(out, residual, strict=True))


def rejection(case: Instance) -> tuple[Law, Fraction]:
    """The law of recursive rejection's output, and its acceptance by membership."""
    out, acceptance = [Fraction(0)] * len(case.target), Fraction(0)
    for ids, mass in tuples(case):
        given = rejection_given(case, ids)
        acceptance += mass * sum(given[x] for x in set(ids))
        out = [o + mass * g for o, g in zip(out, given, strict=True)]
    return tuple(out), acceptance


def coincidence(case: Instance) -> Fraction:
    """The acceptance of drawing from the target."""
    return sum((mass * sum(case.target[x] for x in set(ids)) for ids, mass in tuples(case)), start=Fraction(0))


P1 = (law(309, 177, 14), law(373, 580, 47))
P2 = (law(469, 124, 407), law(201, 275, 524))
P3 = (law(777, 223), law(937, 63))
P4 = (law(148, 42, 745, 50, 15), law(496, 136, 151, 8, 209))
P5 = (law(5, 4), law(1, 2))
P6 = (law(3, 41, 3, 28, 25), law(43, 30, 7, 2, 18))
P7 = (law(6, 1, 11), law(1, 1, 1))
SECOND_DRAFTER = law(35, 10, 15, 30, 10)
