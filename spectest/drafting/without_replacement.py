"""n distinct drafts: each is drawn from q restricted to the tokens left, renormalised by their mass."""

from __future__ import annotations

from dataclasses import replace
from math import perm
from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.drafting.base import JointLaw
from spectest.drafting.enumeration import check_tuples
from spectest.drafting.inverse_cdf import InverseCdf, in_blocks
from spectest.drafting.quantiles import sequential_quantiles
from spectest.drafting.race import PrefixMiss, race_inclusion, subset_miss

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from numpy.typing import NDArray

    from spectest.drafting.base import DraftingLaw, Sampler
    from spectest.problem import Problem

    Misses: TypeAlias = Callable[[NDArray[np.intp]], NDArray[np.float64]]

_LATTICE: Final = 14  # up to this support, all 2^14 sets of drafts are enumerated
_PAIR: Final = 2
_SCALE: Final = 500


def _skip(lookup: InverseCdf, taken: list[NDArray[np.intp]], uniforms: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return positions drawn by inverse CDF from what is left beside the `taken` ones (columns, ascending in each row).

    Positions ascend in mass, so a stretch between two taken positions holds tokens at least as heavy as every token
    taken before it: the stretch's mass, a difference of cumulative sums, is accurate relative to what is left, and the
    mass left is the sum of the stretches, never 1 - (mass taken).
    """
    edges, size = lookup.edges, lookup.edges.size - 1
    lows = [np.zeros_like(taken[0]), *(column + 1 for column in taken)]
    highs = [*taken, np.full_like(taken[0], size)]
    starts = [edges.take(low) for low in lows]
    reached = np.cumsum([edges.take(high) - start for high, start in zip(highs, starts, strict=True)], axis=0)
    left = reached[-1]
    u = uniforms * left  # < left, since a uniform is at most 1 - 2^-53: the stretch found is never empty
    low, high, t = lows[0], highs[0], u
    for k in range(len(taken)):
        beyond = u >= reached[k]
        low, high = np.where(beyond, lows[k + 1], low), np.where(beyond, highs[k + 1], high)
        t = np.where(beyond, starts[k + 1] + (u - reached[k]), t)
    return np.clip(lookup(t), low, high - 1)


def _insert(taken: list[NDArray[np.intp]], position: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Insert `position` into the columns, keeping each row ascending."""
    columns = []
    for column in taken:
        columns.append(np.minimum(column, position))
        position = np.maximum(column, position)
    return [*columns, position]


def _lattice(masses: NDArray[np.float64], n_drafts: int) -> NDArray[np.float64]:
    """Return P(the set of drafts is S) for every bit mask S of the M positive masses, (2^M,): positive sums only."""
    sums = np.zeros(1)
    for mass in masses:
        sums = np.concatenate([sums, sums + mass])
    left = sums[::-1]  # the complement of mask S is 2^M - 1 - S
    masks = np.arange(sums.size)
    size_of = np.bitwise_count(masks)
    drawn = np.zeros(sums.size)
    drawn[0] = 1.0
    for k in range(n_drafts):
        for i, mass in enumerate(masses):
            source = masks[(size_of == k) & (masks >> i & 1 == 0)]
            drawn[source | 1 << i] += drawn[source] * (mass / left[source])
    return np.where(size_of == n_drafts, drawn, 0.0)


def _pair_containment(draft: NDArray[np.float64], subsets: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return Q(H) = sum over x in H of q(x) q(H - x) / q(V - x), the closed form for two drafts.

    Only the heaviest token can make q(V - x) small: it is summed apart, without subtraction.
    """
    heaviest = int(draft.argmax())
    others = draft.copy()
    others[heaviest] = 0.0
    weights = others / (1.0 - others)
    inside: NDArray[np.float64] = subsets @ draft
    light = inside * (subsets @ weights) - subsets @ (weights * others)
    heavy = draft[heaviest] * (subsets @ others) / others.sum()
    contained: NDArray[np.float64] = light + np.where(subsets[:, heaviest], heavy, 0.0)
    return contained.clip(0.0, 1.0)


def _pair_inclusion(draft: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return P(x among two drafts) = q(x) (1 + sum over y != x of q(y) / q(V - y))."""
    heaviest = int(draft.argmax())
    others = draft.copy()
    others[heaviest] = 0.0
    weights = others / (1.0 - others)
    total = weights.sum()
    inclusion: NDArray[np.float64] = draft * (1.0 + (total - weights) + draft[heaviest] / others.sum())
    inclusion[heaviest] = draft[heaviest] * (1.0 + total)
    return inclusion.clip(0.0, 1.0)


def _short_prefixes(masses: NDArray[np.float64], n_drafts: int) -> NDArray[np.float64]:
    """Return Q(H) for H = the first m tokens of masses (M,), m = 0..M, one or two drafts: (M + 1,)."""
    inside = np.append(0.0, np.cumsum(masses))
    if n_drafts == 1:
        return inside.clip(0.0, 1.0)
    heaviest = int(masses.argmax())
    others = masses.copy()
    others[heaviest] = 0.0
    light = others / (1.0 - others)
    # A new token pairs with every token before it, drawn first or second.
    before = np.append(0.0, np.cumsum(others))[:-1]
    steps = others * np.append(0.0, np.cumsum(light))[:-1] + light * before
    heavy = masses[heaviest] / others.sum()
    steps[heaviest] = masses[heaviest] * light[:heaviest].sum() + heavy * before[heaviest]
    steps[heaviest + 1 :] += light[heaviest + 1 :] * masses[heaviest] + heavy * others[heaviest + 1 :]
    return np.append(0.0, np.cumsum(steps)).clip(0.0, 1.0)


class WithoutReplacement:
    """Distinct drafts: D(t) = prod_j q(x_j) / q(V - {x_1..x_{j-1}}).

    Q(H) and P(x among the drafts) are exact to about 1e-14: closed form for n <= 2, all sets of drafts for a support of
    at most 14 tokens, the integrals of `spectest.drafting.race` above.
    """

    name = "without_replacement"

    def sampler(self, problem: Problem) -> Sampler:
        """Return a sampler of (size, n) ids, in drawn order, in float64 by inverse CDF over the tokens left."""
        ids = np.argsort(problem.draft, kind="stable")
        ids = ids[problem.draft[ids] > 0]
        # Scaled by a power of two, subnormal masses get all the bits of a uniform when nothing else is left.
        lookup, n = InverseCdf(np.ldexp(problem.draft[ids], _SCALE)), problem.n_drafts

        def sample(generator: np.random.Generator, size: int) -> NDArray[np.int64]:
            drafts = np.empty((size, n), dtype=np.int64)
            taken: list[NDArray[np.intp]] = []
            for k in range(n):
                uniforms = generator.random(size)
                position = _skip(lookup, taken, uniforms) if taken else lookup(uniforms * lookup.edges[-1])
                drafts[:, k] = ids.take(position)
                taken = _insert(taken, position)
            return drafts

        return in_blocks(sample, n)

    def joint_law(self, problem: Problem) -> JointLaw:
        """Return every ordered tuple of positive mass; the mass left is summed from what is left.

        Raises:
            ProblemTooLarge: there are more than `enumeration.MAX_TUPLES`.
        """
        support = np.flatnonzero(problem.draft)
        check_tuples(perm(support.size, problem.n_drafts))
        masses = problem.draft[support]
        tuples, mass = np.zeros((1, 0), dtype=np.int64), np.ones(1)
        for _ in range(problem.n_drafts):
            left = np.tile(masses, (len(tuples), 1))
            left[np.arange(len(tuples))[:, None], tuples] = 0.0
            rows, tokens = np.nonzero(left)
            mass = mass[rows] * (left[rows, tokens] / left.sum(axis=1)[rows])
            tuples = np.column_stack([tuples[rows], tokens])
        positive = mass > 0
        return JointLaw(support[tuples[positive]].astype(np.int64, copy=False), mass[positive])

    def containment(self, problem: Problem, subsets: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return Q(H) for each row of `subsets` (K, V) -> (K,), exact to about 1e-14.

        Raises:
            ProblemTooLarge: n >= 3, more than 14 tokens, and fewer than n of them with q above 1e-290.
        """
        draft, n = problem.draft, problem.n_drafts
        if n == 1:
            inside: NDArray[np.float64] = subsets @ draft
            return inside.clip(0.0, 1.0)
        if n == _PAIR:
            return _pair_containment(draft, subsets)
        support = np.flatnonzero(draft)
        if support.size > _LATTICE:
            return 1.0 - subset_miss(draft, n, subsets)
        within = _lattice(draft[support], n)
        for i in range(support.size):  # from P(the set is S) to P(the set lies in H), one token at a time
            halves = within.reshape(-1, 2, 1 << i)
            halves[:, 1] += halves[:, 0]
        codes: NDArray[np.intp] = subsets[:, support] @ (1 << np.arange(support.size))
        return within[codes].clip(0.0, 1.0)

    def prefix_misses(self, problem: Problem, order: NDArray[np.intp]) -> Misses:
        """Return a function that gives 1 - Q(H) for H = the first m tokens of `order`: ascending m (K,) -> (K,).

        Args:
            problem: a problem without replacement.
            order: distinct ids, shape (M,), among them every token with q > 0.

        Raises:
            ProblemTooLarge: n >= 3 and fewer than n tokens with q above 1e-290.
        """
        if problem.n_drafts > _PAIR:
            return PrefixMiss(problem.draft, problem.n_drafts, order)
        contained = _short_prefixes(problem.draft[order], problem.n_drafts)
        return lambda lengths: 1.0 - contained[lengths]

    def inclusion(self, problem: Problem) -> NDArray[np.float64]:
        """Return P(x among the drafts) for each token, (V,), exact to about 1e-14.

        Raises:
            ProblemTooLarge: n >= 3, more than 14 tokens, and fewer than n of them with q above 1e-290.
        """
        draft, n = problem.draft, problem.n_drafts
        if n == 1:
            return draft.copy()
        if n == _PAIR:
            return _pair_inclusion(draft)
        support = np.flatnonzero(draft)
        if support.size > _LATTICE:
            return race_inclusion(draft, n)
        drawn, inclusion = _lattice(draft[support], n), np.zeros(draft.size)
        for i, x in enumerate(support):
            inclusion[x] = min(1.0, drawn.reshape(-1, 2, 1 << i)[:, 1].sum())
        return inclusion

    def marginals(self, problem: Problem) -> NDArray[np.float64]:
        """Return the law of each draft, (n, V): what the k-th adds to P(x among the first k), exact to about 1e-14.

        Raises:
            ProblemTooLarge: n >= 3, more than 14 tokens, and fewer than n of them with q above 1e-290.
        """
        among = np.zeros((problem.n_drafts + 1, problem.vocab_size))
        for k in range(1, problem.n_drafts + 1):
            among[k] = self.inclusion(replace(problem, n_drafts=k))
        # A difference of rounded numbers may be 0 for a token that is drawn now and then; what is left of 1 never
        # exceeds 1, so its probability is at least q(x) P(x not drawn before).
        marginals: NDArray[np.float64] = np.maximum(np.diff(among, axis=0), problem.draft * (1.0 - among[:-1]))
        marginals /= marginals.sum(axis=1, keepdims=True)
        return marginals

    def quantiles(self, problem: Problem, ids: NDArray[np.int64], uniforms: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the randomised quantile of each draft under q restricted to the tokens left, (size, n)."""
        return sequential_quantiles(problem.draft_rows, ids, uniforms, distinct=True)


WITHOUT_REPLACEMENT: Final = WithoutReplacement()
LAW: Final[DraftingLaw] = WITHOUT_REPLACEMENT
