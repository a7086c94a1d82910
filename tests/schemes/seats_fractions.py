"""Seats written down a second time, in fractions: winners by enumerating drafts and seats, optima by all subsets.

Nothing is shared with the library: water-filling is done on either side of the best cut, the pairs are the cells of a
north-west corner, and a swap has a measure, not a candidate and a chance.
"""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from itertools import product
from math import prod
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.schemes.enumeration import Law

ZERO, ONE = Fraction(0), Fraction(1)
Seating = dict[int, dict[int, Fraction]]  # P(seat | token)


class Outcome(NamedTuple):
    winner: Law
    output: Law
    acceptance: Fraction


def subsets(vocab: int) -> Iterator[list[int]]:
    for mask in range(1 << vocab):
        yield [x for x in range(vocab) if mask >> x & 1]


def optimum(target: Law, draft: Law, n: int) -> Fraction:
    return min(
        1 + sum((target[x] for x in s), ZERO) - sum((draft[x] for x in s), ZERO) ** n for s in subsets(len(target))
    )


def sums(values: Sequence[Fraction]) -> list[Fraction]:
    total, found = ZERO, [ZERO]
    for value in values:
        total += value
        found.append(total)
    return found


class Seats:
    """The scheme for n i.i.d. drafts; `last` chooses the last of several best cuts, not the first."""

    def __init__(self, target: Law, draft: Law, n: int, *, last: bool = False) -> None:
        self.target, self.draft, self.n = target, draft, n
        self.order = sorted((x for x in range(len(draft)) if draft[x]), key=lambda x: target[x] / draft[x])
        p, q = [target[x] for x in self.order], [draft[x] for x in self.order]
        self.below = sums(q)
        wins = [
            sum((self.below[i + 1] ** k * self.below[i] ** (n - 1 - k) for k in range(n)), ZERO) for i in range(len(q))
        ]
        r = self._water_filled(p, q, last=last)
        self.law = [ZERO] * len(draft)
        for i, x in enumerate(self.order):
            self.law[x] = r[i]
        self.seating: Seating = {x: {i: ONE} for i, x in enumerate(self.order)}
        for (i, j), mass in self._cells([r[i] - q[i] * wins[i] for i in range(len(q))]).items():
            measure = mass / (wins[j] - wins[i])
            for own, other in ((i, j), (j, i)):
                seats = self.seating[self.order[own]]
                seats[own] -= measure / q[own]
                seats[other] = seats.get(other, ZERO) + measure / q[own]
        assert all(share >= 0 for seats in self.seating.values() for share in seats.values()), "a probability"

    def _water_filled(self, p: list[Fraction], q: list[Fraction], *, last: bool) -> list[Fraction]:
        inside, contained = sums(p), [mass**self.n for mass in self.below]
        excess = [a - b for a, b in zip(inside, contained, strict=True)]
        cuts = [m for m, value in enumerate(excess) if value == min(excess)]
        cut = cuts[-1 if last else 0]
        r = list(p)
        if cut:
            low = min((contained[cut] - inside[cut] + inside[j]) / self.below[j] for j in range(1, cut + 1))
            r[:cut] = [max(p[i], low * q[i]) for i in range(cut)]
        if cut < len(q):
            high = max((1 - contained[cut] - inside[j] + inside[cut]) / (1 - self.below[j]) for j in range(cut, len(q)))
            r[cut:] = [min(p[i], high * q[i]) for i in range(cut, len(q))]
        assert sum(r) == 1
        assert sum(r[:cut]) == contained[cut]
        return r

    @staticmethod
    def _cells(lacks: list[Fraction]) -> dict[tuple[int, int], Fraction]:
        """The north-west corner: the first up token gives to the first down token until either is satisfied."""
        up = {i: mass for i, mass in enumerate(lacks) if mass > 0}
        down = {j: -mass for j, mass in enumerate(lacks) if mass < 0}
        cells: dict[tuple[int, int], Fraction] = {}
        while up:
            i, j = next(iter(up)), next(iter(down))
            assert i < j, "feasible: what is lacking stands before what is too much"
            cells[i, j] = mass = min(up[i], down[j])
            for side, place in ((up, i), (down, j)):
                side[place] -= mass
                if not side[place]:
                    del side[place]
        assert not down
        return cells

    def winner_given(self, ids: Sequence[int]) -> Law:
        """Every draft draws its seat; the highest wins, the first of several."""
        found: dict[int, Fraction] = defaultdict(Fraction)
        for seats in product(*(self.seating[x].items() for x in ids)):
            chance = prod((share for _, share in seats), start=ONE)
            places = [place for place, _ in seats]
            found[ids[places.index(max(places))]] += chance
        return tuple(found[x] for x in range(len(self.draft)))

    def given(self, ids: Sequence[int]) -> Law:
        """The law of the output given the drafts."""
        return verified(self.target, self.law, self.winner_given(ids))

    def outcome(self) -> Outcome:
        vocab = len(self.target)
        winner, output, acceptance = [ZERO] * vocab, [ZERO] * vocab, ZERO
        for ids in product(self.order, repeat=self.n):
            mass = prod((self.draft[x] for x in ids), start=ONE)
            picked = self.winner_given(ids)
            given = verified(self.target, self.law, picked)
            winner = [w + mass * g for w, g in zip(winner, picked, strict=True)]
            output = [o + mass * g for o, g in zip(output, given, strict=True)]
            acceptance += mass * sum((given[x] for x in set(ids)), ZERO)
        return Outcome(tuple(winner), tuple(output), acceptance)


def verified(target: Law, law: Sequence[Fraction], picked: Law) -> Law:
    """Single-draft speculative sampling of a winner of law `law`."""
    accepts = [min(ONE, p / r) if r else ONE for p, r in zip(target, law, strict=True)]
    left = [max(p - r, ZERO) for p, r in zip(target, law, strict=True)]
    rejected = sum((w * (1 - a) for w, a in zip(picked, accepts, strict=True)), ZERO)
    total = sum(left, ZERO) or ONE
    return tuple(w * a + rejected * x / total for w, a, x in zip(picked, accepts, left, strict=True))
