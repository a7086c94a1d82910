"""Linear programs on probability masses, by HiGHS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from spectest.errors import SpectestError

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Masses are handed over in units of 1e-4: HiGHS may break a constraint by 1e-10, in its own units.
_UNITS: Final = 1e4
_TOLERANCE: Final = 1e-10


def maximise(
    worth: NDArray[np.float64],
    matrix: Any,  # noqa: ANN401 (a scipy sparse array; scipy is not imported before it is needed)
    limits: NDArray[np.float64],
    most: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Return x >= 0, (E,), of the largest worth · x with A x <= limits and x <= most.

    Constraints may be broken by 1e-14.

    Args:
        worth: (E,).
        matrix: A, (R, E).
        limits: (R,) masses.
        most: (E,) masses, no upper bounds by default.

    Raises:
        SpectestError: the solver gave up.

    Example:
        >>> found = maximise(np.array([1.0, 2.0]), np.array([[1.0, 1.0]]), np.array([0.7]), np.array([1.0, 0.5]))
        >>> found.round(9).tolist()
        [0.2, 0.5]
    """
    from scipy.optimize import linprog  # noqa: PLC0415 (scipy is slow to import)

    upper = np.full(worth.size, np.inf) if most is None else _UNITS * most
    found = linprog(  # type: ignore[call-overload]  # the stubs know no sparse matrices
        -worth,
        A_ub=matrix,
        b_ub=_UNITS * limits,
        bounds=np.column_stack([np.zeros(worth.size), upper]),
        method="highs-ds",
        options={"primal_feasibility_tolerance": _TOLERANCE, "dual_feasibility_tolerance": _TOLERANCE},
    )
    if found.status != 0 or found.x is None:
        msg = f"HiGHS could not solve a linear program of {worth.size:,} variables: {found.message}"
        raise SpectestError(msg)
    values: NDArray[np.float64] = np.maximum(found.x, 0.0) / _UNITS
    return values
