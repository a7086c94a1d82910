"""A plan of seats for different drafters, run through every tuple of drafts and every tuple of seats."""

from __future__ import annotations

from itertools import product
from math import prod
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from spectest import schemes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from spectest import Problem


class Outcome(NamedTuple):
    winner: NDArray[np.float64]
    output: NDArray[np.float64]
    acceptance: float


class Enumerated:
    """The seats of a small problem, with nothing but P(seat | token) of each drafter and the rule that the top wins."""

    def __init__(self, problem: Problem) -> None:
        support, chain = schemes.get("seats")._planned(problem)  # type: ignore[attr-defined]
        self.problem, self.ids = problem, support.ids
        self.law = np.zeros(problem.vocab_size)
        self.law[support.ids] = chain.law[:-1]
        self.seating: list[dict[int, dict[int, float]]] = []
        for k in range(problem.n_drafts):
            seating: dict[int, dict[int, float]] = {}
            for place, token in enumerate(support.ids):
                own = int(chain.rank[place])
                seats = {own: 1.0}
                for up, down, measure in zip(chain.ups, chain.downs, chain.measure[k], strict=True):
                    if measure and own in {up, down}:
                        share = measure / chain.drafts[k, own]
                        other = int(down if own == up else up)
                        seats[own] -= share
                        seats[other] = seats.get(other, 0.0) + share
                assert min(seats.values()) > -1e-12, "probabilities"
                seating[int(token)] = seats
            self.seating.append(seating)

    def given(self, ids: Sequence[int]) -> NDArray[np.float64]:
        """The law of the winner given the drafts: the highest seat, one of several at random."""
        found = np.zeros(self.problem.vocab_size)
        for seats in product(*(self.seating[k][int(x)].items() for k, x in enumerate(ids))):
            chance = prod(share for _, share in seats)
            top = max(place for place, _ in seats)
            first = [x for x, (place, _) in zip(ids, seats, strict=True) if place == top]
            for x in first:
                found[x] += chance / len(first)
        return found

    def verified(self, picked: NDArray[np.float64]) -> NDArray[np.float64]:
        p, r = self.problem.target, self.law
        accepts = np.array([min(1.0, a / b) if b else 1.0 for a, b in zip(p, r, strict=True)])
        left = np.maximum(p - r, 0)
        residual = left / left.sum() if left.any() else p
        verified: NDArray[np.float64] = picked * accepts + (picked * (1 - accepts)).sum() * residual
        return verified

    def outcome(self, tuples: NDArray[np.int64], mass: NDArray[np.float64]) -> Outcome:
        winner, output, acceptance = 0 * self.law, 0 * self.law, 0.0
        for ids, weight in zip(tuples, mass, strict=True):
            picked = self.given(ids)
            given = self.verified(picked)
            winner, output = winner + weight * picked, output + weight * given
            acceptance += weight * given[list({int(x) for x in ids})].sum()
        return Outcome(winner, output, float(acceptance))
