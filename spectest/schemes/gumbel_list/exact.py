"""Gumbel list sampling, exactly: which token arrives first, and whether it is a draft, as integrals over the clock.

Write rho_j = p_j / q_j and d(r) = sum max(p_i, r q_i). In one sheet, at clock s,

    hit:     first arrival at s is j, the draft         p_j exp(-s d(rho_j)) ds,
    found:   first arrival at s is j, not the draft     p_j ∫ s d'(r) exp(-s d(r)) dr over r < rho_j, times ds,
    held:    no arrival before s, and j is the draft    q_j ∫ s exp(-s d(r)) dr over r >= rho_j,
    waiting: no arrival before s                        sum of the line above over j.

Held, for one: E_j = q_j t is the least E_i / q_i and no E_i is below p_i s, so that t >= rho_j s and every other E_i
exceeds max(p_i s, q_i t); t = r s. d is linear between neighbouring values of rho, and the integrals are sums of
differences of exp(-s d) along the tokens in order of rho: positive terms only. Sheets are independent, and the output

    is j with density sum over k of (hit + found)_k prod over l != k of waiting_l,
    is j and no draft with density sum over k of found_k prod over l != k of (waiting - held)_l.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from spectest.schemes.common.quadrature import half_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spectest.problem import Problem

_LAST: Final = 45.0  # exp(-45) = 3e-20
_BLOCK: Final = 300_000  # numbers per temporary, which stay in cache


class Parts(NamedTuple):
    """The law of the output in two parts, (V,) each."""

    among: NDArray[np.float64]  # the output is this token, and a draft
    beside: NDArray[np.float64]  # the output is this token, and no draft


def integrate(problem: Problem) -> Parts:
    """Return both parts of the output's law, for drafts with replacement or from independent drafters; any V and n."""
    differ = problem.drafting == "independent"
    sheets = [_Sheet(problem.target, row) for row in (problem.draft if differ else problem.draft[None])]
    # Equal drafters have equal sheets.
    members = range(problem.n_drafts) if differ else [0] * problem.n_drafts
    law, beside = np.zeros(problem.vocab_size), np.zeros(problem.vocab_size)
    clocks, weights = half_line(problem.n_drafts, _LAST)
    blocks = max(1, clocks.size * problem.vocab_size // _BLOCK)
    for clock, weight in zip(np.array_split(clocks, blocks), np.array_split(weights, blocks), strict=True):
        densities = [sheet.densities(clock) for sheet in sheets]
        # Sums over k of a product over the others, grown factor by factor.
        arrives: NDArray[np.float64] | float = 0.0
        misses: NDArray[np.float64] | float = 0.0
        waits: NDArray[np.float64] | float = 1.0
        spares: NDArray[np.float64] | float = 1.0
        for k in members:
            hit, found, held = densities[k]
            waiting = held.sum(axis=1, keepdims=True)
            arrives, waits = arrives * waiting + waits * (hit + found), waits * waiting
            misses, spares = misses * (waiting - held) + spares * found, spares * (waiting - held)
        law += weight @ arrives
        beside += weight @ misses
    return Parts(np.maximum(law - beside, 0.0), beside)


class _Sheet:
    """One drafter's race, tabulated along the tokens of positive q in descending order of rho."""

    def __init__(self, target: NDArray[np.float64], draft: NDArray[np.float64]) -> None:
        support = np.flatnonzero(draft)
        with np.errstate(over="ignore"):  # q is subnormal: the token weighs nothing as a draft
            rho = np.minimum(target[support] / draft[support], np.finfo(np.float64).max)
        order = np.argsort(-rho, kind="stable")
        self.ids, rho = support[order], rho[order]
        self.draft = draft[self.ids]
        self.target, self.on_support = target, target[self.ids]
        above = np.append(0.0, np.cumsum(self.on_support)[:-1]) + target[draft <= 0].sum()
        self.slope = np.cumsum(self.draft[::-1])[::-1]  # d' between this rho and the one before it
        with np.errstate(over="ignore"):
            self.total = above + rho * self.slope  # d(rho)
            self.growth = np.append(np.inf, -np.diff(rho)) * self.slope  # of d, up to the rho before it

    def densities(self, clock: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """Return `hit`, `found` and `held` at clocks (T,), (T, V) each."""
        with np.errstate(over="ignore"):
            start = np.exp(-np.multiply.outer(clock, self.total))
            pieces = start * -np.expm1(-np.multiply.outer(clock, self.growth))
        shape = (clock.size, self.target.size)
        hit, held = np.zeros(shape), np.zeros(shape)
        hit[:, self.ids] = self.on_support * start
        held[:, self.ids] = self.draft * np.cumsum(pieces / self.slope, axis=1)
        below = np.cumsum(pieces[:, ::-1], axis=1)[:, ::-1]
        found = self.target * below[:, :1]
        found[:, self.ids[:-1]] = self.on_support[:-1] * below[:, 1:]
        found[:, self.ids[-1]] = 0.0
        return hit, found, held
