"""What a drafting law provides."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from spectest.problem import Problem


class JointLaw(NamedTuple):
    """The exact law of the ordered drafts."""

    tuples: NDArray[np.int64]  # (T, n), each row an ordered tuple of drafted ids
    mass: NDArray[np.float64]  # (T,), positive, summing to 1


class Sampler(Protocol):
    """Draws drafts of one problem; made once, called for every chunk."""

    def __call__(self, generator: np.random.Generator, size: int) -> NDArray[np.int64]:
        """Return ids of shape (size, n), in drawn order."""
        ...


class DraftingLaw(Protocol):
    """One way of drawing n tokens. Implementations are stateless."""

    name: str

    def sampler(self, problem: Problem) -> Sampler:
        """Return a sampler, in float64 by inverse CDF; a token of mass 0 is never drawn."""
        ...

    def joint_law(self, problem: Problem) -> JointLaw:
        """Return the exact joint law by enumeration.

        Raises:
            ProblemTooLarge: there are too many tuples to enumerate.
        """
        ...

    def containment(self, problem: Problem, subsets: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return Q(H) = P(all drafts lie in H) for each row of `subsets` (K, V) -> (K,).

        Raises:
            ProblemTooLarge: no exact route exists at this size.
        """
        ...

    def inclusion(self, problem: Problem) -> NDArray[np.float64]:
        """Return P(x is among the drafts) for each token, (V,)."""
        ...

    def marginals(self, problem: Problem) -> NDArray[np.float64]:
        """Return the law of each draft by itself, (n, V).

        Raises:
            ProblemTooLarge: no exact route exists at this size.
        """
        ...

    def quantiles(self, problem: Problem, ids: NDArray[np.int64], uniforms: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where each draft lies in its law given the drafts before it, (size, n).

        If `ids` (size, n) follow the law and `uniforms` (size, n) are uniform, the results are independent uniforms:
        the joint law of the drafts becomes one that is known at any V and n (Rosenblatt, Ann. Math. Statist. 23, 1952).
        """
        ...
