"""What a scheme does with a small problem whose drafts are enumerated."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Outcome(NamedTuple):
    """What a scheme does with a problem."""

    acceptance: float  # P(output is among the drafts)
    output_law: NDArray[np.float64]  # (V,)


def verified(target: NDArray[np.float64], law: NDArray[np.float64], picked: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the law of the output, (T, V), once the winner is verified against its law; see `schemes.common.winner`.

    Args:
        target: p, (V,).
        law: r, the law of the winner, (V,).
        picked: the law of the winner given each tuple, (T, V).
    """
    accepts = np.divide(target, law, out=np.ones_like(target), where=law > target)
    residual = np.maximum(target - law, 0.0)
    total = residual.sum()
    residual = residual / total if total > 0 else target
    rejected = (picked * (1.0 - accepts)).sum(axis=1, keepdims=True)
    verified_law: NDArray[np.float64] = picked * accepts + rejected * residual
    return verified_law
