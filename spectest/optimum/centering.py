"""Where to cut next: the analytic centre of what cutting planes leave, and the mixture of cuts that bounds them all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ROUNDING: Final = 2.0**-50
_NEWTON_STEPS: Final = 60
_SHORTEST: Final = 1e-9  # step, of a Newton step
_RISE: Final = 1e-3  # in units of μ: the centre is near enough
_PART: Final = 1e-4  # of the rise promised: Armijo's condition


def centre(
    gains: NDArray[np.float64], inside: NDArray[np.float64], level: float, start: NDArray[np.float64], scale: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Maximise t + μ Σ_j log(gains_j - a·inside_j - t) over t and weights a of geometric mean `level`, by Newton steps.

    With a = level · exp(θ), Σθ = 0, this is concave in (θ, t); as μ falls it tends to max over a of min over j of
    gains_j - a·inside_j.

    Args:
        gains: p(H_j), (m,).
        inside: q_k(H_j), (m, n).
        level: the geometric mean of a, positive.
        start: θ to start from, (n,).
        scale: μ, positive.

    Returns:
        θ (n,), and weights of the m cuts, nonnegative and of sum 1: the multipliers μ / (gains_j - a·inside_j - t).
    """
    n = start.size

    def slack(theta: NDArray[np.float64], t: float) -> NDArray[np.float64]:
        with np.errstate(over="ignore", invalid="ignore"):  # too long a step: whatever is not positive is refused
            left: NDArray[np.float64] = gains - inside @ (level * np.exp(theta)) - t
        return left

    theta, reach = start, slack(start, 0.0)
    t = float(reach.min()) - scale * gains.size - _ROUNDING * float(1.0 + np.abs(reach).max())
    system = np.zeros((n + 2, n + 2))
    system[:n, -1] = system[-1, :n] = 1.0  # Σθ = 0
    for _ in range(_NEWTON_STEPS):
        left = slack(theta, t)
        weights = scale / left
        curvature = weights / left
        costs = inside * (level * np.exp(theta))
        spent = weights @ costs
        system[:n, :n] = (costs.T * curvature) @ costs + np.diag(spent)
        system[:n, n] = system[n, :n] = curvature @ costs
        system[n, n] = curvature.sum()
        gradient = np.append(-spent, [1.0 - weights.sum(), 0.0])
        try:
            step = np.linalg.solve(system, gradient)
        except np.linalg.LinAlgError:  # rounding has the last word: every θ is a valid one
            break
        rise = float(gradient @ step)
        if not rise > _RISE * scale:
            break
        value, length = t + scale * np.log(left).sum(), 1.0
        while length > _SHORTEST:
            up = t + length * float(step[n])
            further = slack(theta + length * step[:n], up)
            if (further > 0).all() and up + scale * np.log(further).sum() >= value + _PART * length * rise:
                break
            length /= 2
        else:
            break
        theta, t = theta + length * step[:n], up
    weights = 1.0 / slack(theta, t)
    return theta - theta.mean(), weights / weights.sum()
