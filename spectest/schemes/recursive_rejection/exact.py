"""Recursive rejection, exactly: acceptance and output law in float64."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.errors import ProblemTooLarge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

#: Without replacement: ordered (n - 1)-tuples of rejected tokens the acceptance may enumerate.
MAX_PREFIXES: Final = 4_000_000
#: Without replacement: probabilities (states times V) the output law may propagate.
MAX_PROBABILITIES: Final = 30_000_000
_CHUNK: Final = 1_000_000  # probabilities held at once


def acceptance_independent(target: NDArray[np.float64], drafts: NDArray[np.float64]) -> float:
    """Return sum min(p, C_n): C_0 = 0, C_{k+1} = C_k + q_k sum (p - C_k)+; target (V,), drafts (n, V).

    The residual after k rejections is (p - C_k)+, and its sum is the probability of those rejections.
    """
    covered = np.zeros_like(target)
    for draft in drafts:
        covered = covered + draft * np.maximum(target - covered, 0).sum()
    return float(np.minimum(target, covered).sum())


def output_law_independent(target: NDArray[np.float64], drafts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the output's law (V,), round by round: accepted mass, then the residual, renormalised each time."""
    law = np.zeros_like(target)
    reach, residual = 1.0, target
    for draft in drafts:
        law += reach * np.minimum(draft, residual)
        reach *= float(np.maximum(draft - residual, 0).sum())
        left = np.maximum(residual - draft, 0)
        if reach <= 0 or left.sum() <= 0:
            return law
        residual = left / left.sum()
    return law + reach * residual


def acceptance_distinct(target: NDArray[np.float64], draft: NDArray[np.float64], n: int) -> float:
    """Return 1 - P(all n drafts are rejected) without replacement; target (V,), draft (V,).

    A rejected token has residual 0 from then on, so that every residual is (p - c q)+ with c <- c + S / W, where S is
    the residual's sum and W the draft mass left. The last round needs no enumeration: a state rejects it with
    probability S_{n+1} / S_n. All ordered (n - 1)-tuples of tokens that can be rejected are enumerated.

    Raises:
        ProblemTooLarge: more than `MAX_PREFIXES` of them.
    """
    residual_sum = _ResidualSum(target, draft)
    states: _States = (np.ones(1), np.zeros(1), np.ones(1), np.zeros((1, 0), dtype=np.int64))
    for _ in range(n - 1):
        states = _reject(target, draft, residual_sum, states)
        if not states[0].size:
            return 1.0
    weight, offset, left, _ = states
    total = residual_sum(offset)
    rejected = residual_sum(offset + total / left) / np.where(total > 0, total, 1.0)
    return float(1 - (weight * rejected).sum())


class _ResidualSum:
    """S(c) = sum (p - c q)+ for many c, by prefix sums in descending order of p / q."""

    def __init__(self, target: NDArray[np.float64], draft: NDArray[np.float64]) -> None:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            ratio = np.where(target > 0, target / draft, 0.0)
        order = np.argsort(-ratio, kind="stable")
        self.breaks = -ratio[order]
        self.target = np.concatenate([[0.0], np.cumsum(target[order])])
        self.draft = np.concatenate([[0.0], np.cumsum(draft[order])])

    def __call__(self, offset: NDArray[np.float64]) -> NDArray[np.float64]:
        prefix = np.searchsorted(self.breaks, -offset)
        total: NDArray[np.float64] = np.maximum(self.target[prefix] - offset * self.draft[prefix], 0)
        return total


_States = tuple["NDArray[np.float64]", "NDArray[np.float64]", "NDArray[np.float64]", "NDArray[np.int64]"]


def _reject(
    target: NDArray[np.float64], draft: NDArray[np.float64], residual_sum: _ResidualSum, states: _States
) -> _States:
    """Return the states (weight, c, W, tried) after one more rejection, one for each token it can reject."""
    found: list[_States] = []
    count = 0
    for weight, offset, left, tried in _chunks(states, draft.size):
        total = residual_sum(offset)
        remaining = np.broadcast_to(draft, (weight.size, draft.size)).copy()
        np.put_along_axis(remaining, tried, 0, axis=1)
        # (D - R)+ of each token; where nothing is left of the target, the round before accepts for certain.
        share = remaining / left[:, None]
        residual = np.maximum(target - offset[:, None] * draft, 0) / np.where(total > 0, total, 1.0)[:, None]
        rejected = np.where(total[:, None] > 0, np.maximum(share - residual, 0), 0)
        state, token = np.nonzero(rejected)
        count += state.size
        if count > MAX_PREFIXES:
            msg = (
                f"recursive_rejection without replacement: the exact acceptance enumerates at most {MAX_PREFIXES} "
                f"ordered tuples of rejected drafts; use a smaller vocabulary (V = {draft.size}) or fewer drafts"
            )
            raise ProblemTooLarge(msg)
        # What is left of q off a token, as a sum of what is left, never as a difference.
        before = np.cumsum(remaining, axis=1)
        after = np.cumsum(remaining[:, ::-1], axis=1)[:, ::-1]
        others = np.zeros_like(remaining)
        others[:, 1:] += before[:, :-1]
        others[:, :-1] += after[:, 1:]
        found.append(
            (
                weight[state] * rejected[state, token],
                (offset + total / left)[state],
                others[state, token],
                np.concatenate([tried[state], token[:, None]], axis=1),
            )
        )
    weight, offset, left, tried = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return weight, offset, left, tried


def _chunks(states: _States, vocab: int) -> Iterator[_States]:
    weight, offset, left, tried = states
    step = max(1, _CHUNK // vocab)
    for start in range(0, weight.size, step):
        part = slice(start, start + step)
        yield weight[part], offset[part], left[part], tried[part]


def output_law_distinct(target: NDArray[np.float64], draft: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return the output's law (V,) without replacement, carrying R and D of every tuple of rejected tokens.

    Raises:
        ProblemTooLarge: more than `MAX_PROBABILITIES` entries of R.
    """
    propagation = _Propagation(target.size)
    propagation.run(np.ones(1), target[None], draft[None], n)
    return propagation.law


class _Propagation:
    """Adds up the output's law, depth first, so that one chunk of states per round is held at a time."""

    def __init__(self, vocab: int) -> None:
        self.law = np.zeros(vocab)
        self.spent = 0

    def run(
        self,
        weight: NDArray[np.float64],
        residual: NDArray[np.float64],
        remaining: NDArray[np.float64],
        rounds: int,
    ) -> None:
        """Add what states of probability `weight` (m,) with R and D (m, V) put out in `rounds` more rounds."""
        share = remaining / remaining.sum(axis=1, keepdims=True)
        self.law += weight @ np.minimum(residual, share)
        rejected = weight[:, None] * np.maximum(share - residual, 0)
        left = np.maximum(residual - share, 0)
        total = left.sum(axis=1, keepdims=True)
        # Where nothing is left of the target, only rounding could still reject.
        rejected[total[:, 0] <= 0] = 0
        left /= np.where(total > 0, total, 1.0)
        if rounds == 1:
            self.law += rejected.sum(axis=1) @ left  # whatever was rejected last, the residual is the same
            return
        state, token = np.nonzero(rejected)
        self._spend(state.size)
        step = max(1, _CHUNK // self.law.size)
        for start in range(0, state.size, step):
            rows, ids = state[start : start + step], token[start : start + step]
            untried = remaining[rows]
            untried[np.arange(rows.size), ids] = 0
            self.run(rejected[rows, ids], left[rows], untried, rounds - 1)

    def _spend(self, states: int) -> None:
        self.spent += states * self.law.size
        if self.spent > MAX_PROBABILITIES:
            msg = (
                f"recursive_rejection without replacement: the exact output law propagates at most {MAX_PROBABILITIES} "
                f"probabilities; use a smaller vocabulary (V = {self.law.size}) or fewer drafts"
            )
            raise ProblemTooLarge(msg)
