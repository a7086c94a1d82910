"""Published optima: the certified fractions of the golden problems, and the toy figure of 2410.18234."""

from __future__ import annotations

from fractions import Fraction

from tests.schemes import enumeration as exact

#: laws (p, q), n, optimum with replacement, optimum without.
GOLDEN = [
    (exact.P1, 2, "988871/1000000", "1"),
    (exact.P2, 3, "1", "1"),
    (exact.P3, 2, "899031/1000000", "1"),
    (exact.P4, 3, "610176679/1000000000", "4440878158613/5062093092000"),
    (exact.P5, 2, "1", "1"),
    (exact.P6, 1, "14/25", "14/25"),
    (exact.P6, 2, "1899/2500", "19513177/25356450"),
    (exact.P6, 3, "97351/125000", "1220978191/1483352325"),
    (exact.P7, 2, "17/18", "1"),
]

_FIGURE = [
    ("1/3", "0 1/18 1/9 1/6 2/9 1/3 5/9 2/3", "8/9 17/18 1 1 1 1 1 8/9"),
    ("1/6", "0 1/6 5/18 1/3 7/18 5/9 13/18 5/6", "13/18 8/9 1 1 1 1 5/6 13/18"),
]
#: Draft uniform(3), n = 2, target (first, x, 1 - first - x): first, x, optimum.
PANELS = [
    (Fraction(first), Fraction(x), Fraction(optimum))
    for first, xs, optima in _FIGURE
    for x, optimum in zip(xs.split(), optima.split(), strict=True)
]
