"""Planning the importance scheme: the pairs of a tournament, each a truncated linear program, and what they come to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.errors import ProblemTooLarge
from spectest.schemes.common.linear_program import Entries, maximise

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from spectest.problem import Problem

#: For more than two drafts the acceptance plays one tournament without each token: at most so many winner masses.
MAX_MASSES: Final = 100_000_000
_CHUNK: Final = 2_000_000  # masses held at once
_PAIR: Final = 2


@dataclass(frozen=True, eq=False)
class Match:
    """One pairing: which of two different tokens is kept. The better rank, but among the first s with a probability.

    Args:
        order: token ids by rank, the best first, (V,).
        keep: P(rank i is kept | ranks i and j), both below s, (s, s); 0 on the diagonal.
    """

    order: NDArray[np.intp]
    keep: NDArray[np.float64]

    def beaten(self, mass: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the `mass` of the other tokens that each token is kept against, both by rank, (..., V), in O(V)."""
        s = len(self.keep)
        ahead = np.zeros((*mass.shape[:-1], mass.shape[-1] + 1))
        ahead[..., :-1] = mass[..., ::-1].cumsum(axis=-1)[..., ::-1]
        beaten: NDArray[np.float64] = ahead[..., 1:].copy()
        beaten[..., :s] = ahead[..., s, None] + mass[..., :s] @ self.keep.T
        return beaten

    def law(self, first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the law of the token kept of two independent ones, r(i) = q1 q2 + q1 K(q2) + q2 K(q1), (..., V)."""
        a, b = first[..., self.order], second[..., self.order]
        law = np.empty(np.broadcast_shapes(a.shape, b.shape))
        law[..., self.order] = a * b + a * self.beaten(b) + b * self.beaten(a)
        return law


def match(target: NDArray[np.float64], first: NDArray[np.float64], second: NDArray[np.float64], s: int) -> Match:
    """Return the match of two drafts of laws q1 and q2, ranked by p - q1 q2 descending, ties by id.

    Maximise the sum over the first s tokens of min(p, r), r the law of the token kept: a linear program in the masses
    v(i, j) = w(i, j) (q1(i) q2(j) + q1(j) q2(i)) of the pairs in which the better one is kept.

    Raises:
        SpectestError: the solver gave up.
    """
    order = np.argsort(first * second - target, kind="stable")
    s = min(s, target.size)
    p, a, b = target[order], first[order], second[order]
    unplayed = Match(order, np.zeros((s, s)))
    sure = (a * b + a * unplayed.beaten(b) + b * unplayed.beaten(a))[:s]
    pairs = np.outer(a[:s], b[:s]) + np.outer(b[:s], a[:s])
    better, worse = np.triu_indices(s, 1)
    kept = np.ones(better.size)
    if (mass := pairs[better, worse]).any():
        # What a token is sure of, all pairs going to the worse one, and v moved over to the better one.
        available = sure + np.bincount(worse, weights=mass, minlength=s)
        columns = np.tile(np.arange(mass.size), 2)
        matrix = Entries(np.repeat([-1.0, 1.0], mass.size), np.append(better, worse), columns)
        v = maximise(p[:s], matrix, available, mass)
        kept = np.minimum(np.divide(v, mass, out=kept, where=mass > 0), 1.0)
    keep = np.zeros((s, s))
    keep[better, worse], keep[worse, better] = kept, 1.0 - kept
    return Match(order, keep)


@dataclass(frozen=True, eq=False)
class Tournament:
    """The matches of one problem: the winner of each meets the next draft. Lossless, whatever the matches.

    Args:
        target: p, (V,).
        drafts: the laws of the drafts, (n, V).
        matches: n - 1 of them.
        law: of the last winner, r, (V,), from the matches as they are.
    """

    target: NDArray[np.float64]
    drafts: NDArray[np.float64]
    matches: tuple[Match, ...]
    law: NDArray[np.float64]

    @classmethod
    def of(cls, problem: Problem, s: int) -> Tournament:
        """Plan a problem, match by match."""
        law, matches = problem.draft_rows[0], []
        for draft in problem.draft_rows[1:]:
            matches.append(match(problem.target, law, draft, s))
            law = matches[-1].law(law, draft)
        return cls(problem.target, problem.draft_rows, tuple(matches), law)

    def output_law(self) -> NDArray[np.float64]:
        """Return the law of the output, (V,): winners kept, and the residual for the others."""
        rejected = np.maximum(self.law - self.target, 0.0).sum()
        law: NDArray[np.float64] = np.minimum(self.target, self.law) + rejected * self._residual
        return law

    @property
    def _residual(self) -> NDArray[np.float64]:
        left = np.maximum(self.target - self.law, 0.0)
        return left / left.sum() if left.any() else self.target

    def acceptance(self) -> float:
        """Return P(output is among the drafts): winners accepted, and residual draws that happen to be drafts.

        Raises:
            ProblemTooLarge: three drafts or more, and V^2 n above `MAX_MASSES`.
        """
        accepted = float(np.minimum(self.target, self.law).sum())
        rejects = np.zeros_like(self.law)  # P(the winner is rejected | it is this token)
        np.divide(self.law - self.target, self.law, out=rejects, where=self.law > self.target)
        if len(self.drafts) == 1 or not rejects.any():
            return accepted
        coincidences = self._pair if len(self.drafts) == _PAIR else self._several
        return min(1.0, accepted + coincidences(rejects))

    def _pair(self, rejects: NDArray[np.float64]) -> float:
        """Return P(the residual draw is the loser of the only match), in O(V)."""
        (only,) = self.matches
        a, b = self.drafts[:, only.order]
        residual = self._residual[only.order]
        lost = a * only.beaten(b * residual) + b * only.beaten(a * residual)
        return float(rejects[only.order] @ lost)

    def _several(self, rejects: NDArray[np.float64]) -> float:
        """Return the sum over y of residual(y) P(winner rejected, y drafted): 1 - P(y not drafted), in O(V^2 n).

        The drafts without y play the same tournament with no mass on y.
        """
        residual = self._residual
        tokens = np.flatnonzero(residual)
        if (masses := tokens.size * residual.size * len(self.drafts)) > MAX_MASSES:
            msg = (
                f"the exact acceptance of importance with {len(self.drafts)} drafts takes V^2 n = {masses:.2g} masses, "
                f"more than {MAX_MASSES:.2g}: use a smaller vocabulary (V = {residual.size}) or two drafts"
            )
            raise ProblemTooLarge(msg)
        found = 0.0
        for part in np.array_split(tokens, max(1, tokens.size * residual.size // _CHUNK)):
            present = np.ones((part.size, residual.size))
            present[np.arange(part.size), part] = 0.0
            law = self.drafts[0] * present
            for played, draft in zip(self.matches, self.drafts[1:], strict=True):
                law = played.law(law, draft * present)
            found += float(residual[part] @ ((self.law - law) @ rejects))
        return found

    def select(self, draft_token_ids: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return one token per row, (B, n) -> (B,); see `common.planning.Plan`."""
        import torch  # noqa: PLC0415 (only when selecting)

        from spectest.schemes.common.sampling import uniforms  # noqa: PLC0415 (torch)
        from spectest.schemes.common.winner import verify_winner  # noqa: PLC0415 (torch)

        device = draft_token_ids.device
        winner = draft_token_ids[:, 0]
        for k, played in enumerate(self.matches, start=1):
            challenger = draft_token_ids[:, k]
            rank = torch.empty(self.target.size, dtype=torch.int64)
            rank[torch.from_numpy(played.order)] = torch.arange(rank.numel())
            keep = torch.from_numpy(played.keep).to(device)
            mine, other = (rank.to(device)[ids] for ids in (winner, challenger))
            last = len(keep) - 1
            weighed = keep[mine.clamp(max=last), other.clamp(max=last)]
            sure = (mine <= other).double()  # of two equal tokens either will do
            chance = torch.where(torch.maximum(mine, other) <= last, weighed, sure)
            winner = torch.where(uniforms(len(winner), generator) < chance, winner, challenger)
        target, law = (torch.tensor(table, device=device) for table in (self.target, self.law))
        return verify_winner(target, law, winner, generator)
