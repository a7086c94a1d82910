"""The baseline schemes a second time, in fractions: laws given the drafts, and Gumbel lists by exact integration."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from spectest.problem import DRAFTING
from tests.schemes.enumeration import Instance, Law, instance, law, tuples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Given = Callable[[Instance, Sequence[int]], Law]
    Sum = dict[Fraction, Fraction]  # exponent -> coefficient: sum of coefficient * exp(-s * exponent)

ZERO, ONE = Fraction(0), Fraction(1)


def weights(vocab: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, 20), min_size=vocab, max_size=vocab).filter(any)


@st.composite
def instances(draw: st.DrawFn, *laws: str, vocab: int = 4, n: int = 3) -> Instance:
    """Problems with zeros, ties, one token and disjoint supports among them."""
    size, drafting = draw(st.integers(1, vocab)), draw(st.sampled_from(laws))
    target, draft = law(*draw(weights(size))), law(*draw(weights(size)))
    n = DRAFTING[drafting].drafts(draw(st.integers(1, n)), sum(mass > 0 for mass in draft))
    if drafting == "independent":
        return Instance(target, (draft, *(law(*draw(weights(size))) for _ in range(n - 1))), drafting)
    return instance(target, draft, n, drafting)


def drafted(case: Instance) -> Iterator[tuple[tuple[int, ...], Fraction]]:
    """Every ordered tuple of drafts of positive mass, and its mass, under any drafting law."""
    if case.drafting not in {"greedy", "hub"}:
        yield from tuples(case)
        return
    draft, n = case.drafts[0], len(case.drafts)
    top = sorted(range(len(draft)), key=lambda x: (-draft[x], x))[: n - 1]
    left = sum((draft[x] for x in range(len(draft)) if x not in top), start=ZERO)
    for x in range(len(draft)):
        if x in top or not draft[x]:
            continue
        if case.drafting == "greedy" or n == 1:
            yield (*top, x), draft[x] / left
        else:
            yield (x, top[0]), draft[x]
            yield (top[0], x), draft[top[0]] * draft[x] / left


def outcome(case: Instance, given: Given) -> tuple[Law, Fraction]:
    """The law of the output, and the acceptance by membership, of a scheme known by its law given the drafts."""
    out, acceptance = [ZERO] * len(case.target), ZERO
    for ids, mass in drafted(case):
        conditional = given(case, ids)
        acceptance += mass * sum(conditional[x] for x in set(ids))
        out = [o + mass * c for o, c in zip(out, conditional, strict=True)]
    return tuple(out), acceptance


def positive(values: Sequence[Fraction]) -> Law:
    """The positive parts, normalised where there is any."""
    parts = [max(value, ZERO) for value in values]
    return law(*parts) if any(parts) else tuple(parts)


def single(target: Law, winner_law: Law, winner: int) -> Law:
    """Single-draft sampling of a winner."""
    accept = min(ONE, target[winner] / winner_law[winner])
    residual = positive([p - r for p, r in zip(target, winner_law, strict=True)])
    return tuple((x == winner) * accept + (1 - accept) * residual[x] for x in range(len(target)))


def naive_given(case: Instance, ids: Sequence[int]) -> Law:
    return single(case.target, case.drafts[0], ids[0])


def greedy_given(case: Instance, ids: Sequence[int]) -> Law:
    last = law(*(0 if x in ids[:-1] else mass for x, mass in enumerate(case.drafts[0])))
    return single(case.target, last, ids[-1])


def greedy_block_given(case: Instance, ids: Sequence[int]) -> Law:
    target, draft = case.target, case.drafts[0]
    n = len(ids)

    def rank(x: int) -> tuple[bool, Fraction, int]:
        return (not draft[x], target[x] / draft[x] if draft[x] else ZERO, x)

    def largest(x: int) -> Fraction:
        upto = sum((draft[y] for y in range(len(draft)) if rank(y) <= rank(x)), start=ZERO)
        return upto**n - (upto - draft[x]) ** n

    return single(target, tuple(largest(x) for x in range(len(draft))), max(ids, key=rank))


def k_seq_given(rho: Fraction) -> Given:
    """K-SEQ as the paper writes it; a residual below zero, where rho is rounded, is cut off."""

    def given(case: Instance, ids: Sequence[int]) -> Law:
        target, draft = case.target, case.drafts[0]
        overlap = [min(p / rho, q) for p, q in zip(target, draft, strict=True)]
        beta = sum(overlap)
        out, reach = [ZERO] * len(target), ONE
        for x in ids:
            accept = min(ONE, target[x] / (rho * draft[x]))
            out[x] += reach * accept
            reach *= 1 - accept
        if not reach:
            return tuple(out)
        accepted = (1 - (1 - beta) ** len(ids)) / beta if beta else Fraction(len(ids))
        residual = positive([p - o * accepted for p, o in zip(target, overlap, strict=True)])
        return tuple(o + reach * r for o, r in zip(out, residual, strict=True))

    return given


def spechub_given(case: Instance, ids: Sequence[int]) -> Law:
    """The table of SpecHub's verification, walked pair by pair."""
    if len(ids) == 1:
        return single(case.target, case.drafts[0], ids[0])
    pairs = dict(drafted(case))
    left = list(case.target)
    (hub,) = set.intersection(*({*pair} for pair in pairs)) - ({max(ids)} if len(pairs) == 2 else set())
    others = [x for x in range(len(left)) if x != hub]
    taken: dict[tuple[tuple[int, ...], int], Fraction] = {}

    def place(pair: tuple[int, ...], token: int, available: Fraction) -> None:
        """Place as much as fits of what is left of `pair` on `token`, in the same proportion for every pair."""
        share = min(ONE, left_before[token] / available) if available else ZERO
        taken[pair, token] = pairs[pair] * share
        left[token] -= taken[pair, token]
        pairs[pair] -= taken[pair, token]

    drawn = dict(pairs)
    for first in (False, True):  # (i, a), then (a, i)
        left_before = list(left)
        for i in others:
            pair = (hub, i) if first else (i, hub)
            if pair in pairs:
                place(pair, i, pairs[pair])
    for first in (True, False):  # (a, i), then (i, a)
        left_before = list(left)
        group = [pair for pair in pairs if (pair[0] == hub) == first]
        available = sum((pairs[pair] for pair in group), start=ZERO)
        for pair in group:
            place(pair, hub, available)
    mine = tuple(ids)
    residual = positive(left)
    return tuple(
        (taken.get((mine, x), ZERO) + pairs[mine] * residual[x]) / drawn[mine] for x in range(len(case.target))
    )


class _Race:
    """One sheet of a Gumbel list: target and one draft on the same exponentials."""

    def __init__(self, target: Law, draft: Law) -> None:
        self.target, self.draft = target, draft
        self.ratio = [p / q if q else None for p, q in zip(target, draft, strict=True)]

    def total(self, r: Fraction) -> Fraction:
        return sum((max(p, r * q) for p, q in zip(self.target, self.draft, strict=True)), start=ZERO)

    def span(self, x: int, high: Fraction | None) -> Sum:
        """q_x ∫ s exp(-s d(r)) dr from r = p_x / q_x to `high`: X = x at draft clock r s, and nothing else before."""
        low = self.ratio[x]
        assert low is not None
        ends = {r for r in self.ratio if r is not None and r > low and (high is None or r < high)}
        points = [low, *sorted(ends), *([] if high is None else [high])]
        found: Sum = {}
        for a, b in zip(points, [*points[1:], None], strict=True):
            if b is None and high is not None:
                break
            slope = (self.total(b) - self.total(a)) / (b - a) if b is not None else ONE
            for point, sign in ((a, 1), (b, -1)):
                if point is not None:
                    exponent = self.total(point)
                    found[exponent] = found.get(exponent, ZERO) + sign * self.draft[x] / slope
        return found

    def arrival(self, x: int, y: int) -> Sum:
        """The density of the first arrival at s being y, with x the draft."""
        low, high = self.ratio[x], self.ratio[y]
        assert low is not None
        if x == y:
            return {self.total(low): self.target[x]}
        if high is not None and high <= low:
            return {}
        return {exponent: self.target[y] * c for exponent, c in self.span(x, high).items()}


def gumbel_joint(case: Instance) -> dict[tuple[tuple[int, ...], int], Fraction]:
    """P(drafts, output) of the coupling: integrals of sums of exponentials, all rational."""
    races = [_Race(case.target, draft) for draft in case.drafts]
    joint: dict[tuple[tuple[int, ...], int], Fraction] = {}
    for ids, _ in tuples(case):
        for y in range(len(case.target)):
            mass = ZERO
            for k in range(len(ids)):
                density: Sum = {ZERO: ONE}
                for place, (race, x) in enumerate(zip(races, ids, strict=True)):
                    factor = race.arrival(x, y) if place == k else race.span(x, None)
                    multiplied: Sum = {}
                    for (a, c), (b, d) in product(density.items(), factor.items()):
                        multiplied[a + b] = multiplied.get(a + b, ZERO) + c * d
                    density = multiplied
                mass += sum((c / exponent for exponent, c in density.items()), start=ZERO)
            joint[ids, y] = mass
    return joint


def gumbel_given(case: Instance) -> Given:
    """The law of the output given the drafts."""
    joint, masses = gumbel_joint(case), dict(tuples(case))

    def given(case: Instance, ids: Sequence[int]) -> Law:
        mine = tuple(ids)
        return tuple(joint[mine, y] / masses[mine] for y in range(len(case.target)))

    return given
