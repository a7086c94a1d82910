"""A scan: the mass of every cell, and of everything up to every cell, of several partitions, tested exactly.

A chi-squared test spreads its power over all directions in which the cells can deviate. Most bugs move mass in one:
out of one cell (a lost block of ids), or from one side of a cut to the other (a wrong ratio, a temperature). The
largest of some hundred exact binomial tests finds those with half the samples, at a price of log(comparisons) in log α.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import special

from spectest.stats.binomial import binomial_detectable
from spectest.stats.partitions import merge
from spectest.stats.validation import UnreachableDeviation, fewest_samples, law, rate, real, tally, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray


class TokenSet(NamedTuple):
    """A set of tokens: the cell `cell` of the partition `partition`, or everything up to it."""

    partition: str
    cell: int
    upto: bool

    def __str__(self) -> str:
        """Say it in words."""
        return f"{self.partition} {'up to cell' if self.upto else 'cell'} {self.cell}"

    def members(self, cells: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which tokens are in it, (V,), given the partition's map from token to cell."""
        return cells <= self.cell if self.upto else cells == self.cell


@dataclass(frozen=True)
class ScanResult:
    """What a scan found: the set whose mass is most wrong, and the p-value over all `comparisons`.

    `statistic` is that set's deviation in standard errors. `impossible` counts observations on tokens of probability
    zero: any of them is an exact rejection, with p-value 0.
    """

    worst: TokenSet | None
    statistic: float
    p_value: float
    alpha: float
    rejected: bool
    samples: int
    comparisons: int
    impossible: int

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON-ready dict."""
        return asdict(self) | {"worst": None if self.worst is None else str(self.worst)}


class Sets(NamedTuple):
    """The sets a scan compares, and a sum over each."""

    names: tuple[TokenSet, ...]
    sums: NDArray[np.float64]  # (sets,)


def token_sets(values: NDArray[Any], maps: Mapping[str, NDArray[np.int64]]) -> Sets:
    """Return the sum of `values` (V,) over every cell of every map, and over everything up to every cell.

    A set and its complement are one comparison: the last cut is left out, and the first, which is a cell; of two cells
    one is enough.
    """
    names: list[TokenSet] = []
    sums: list[NDArray[np.float64]] = []
    for partition, cells in maps.items():
        single = merge(values, cells).astype(np.float64)
        last = single.size - 1
        kept = range(single.size if last > 1 else last)
        names += [TokenSet(partition, cell, upto=False) for cell in kept]
        names += [TokenSet(partition, cell, upto=True) for cell in range(1, last - 1)]
        sums += [single[: len(kept)], np.cumsum(single)[1 : max(1, last - 1)]]
    return Sets(tuple(names), np.concatenate([*sums, np.zeros(0)]))


def scan_test(
    counts: ArrayLike, probs: ArrayLike, maps: Mapping[str, NDArray[np.int64]], *, alpha: float, tolerance: float = 0.0
) -> ScanResult:
    """Reject with probability at most `alpha` when counts are a multinomial sample of `probs`: exact at any N.

    Every cell of every map, and every union of a map's first cells, has its binomial p-value; the smallest, times how
    many there are, is the p-value of the scan (Bonferroni).

    Args:
        counts: how often each token was seen, (V,) integers.
        probs: the law p under the null hypothesis, (V,), summing to 1.
        maps: partitions by name, (V,) maps from token to cell, as `partitions` makes them.
        alpha: false-alarm rate of this test.
        tolerance: masses m' with (m' - m)² <= tolerance² m (1 - m) are forgiven, as in `chi_squared_test`.

    Raises:
        ValueError: an argument is not as above.

    Example:
        >>> maps = {"halves": np.array([0, 0, 1, 1])}
        >>> found = scan_test([300, 300, 200, 200], [0.25] * 4, maps, alpha=1e-6)
        >>> found.rejected, str(found.worst), found.comparisons
        (True, 'halves cell 0', 1)
    """
    target = law(probs)
    seen = tally(counts, cells=target.size)
    level, slack = rate(alpha, name="alpha"), real(tolerance, name="tolerance")
    samples, impossible = int(seen.sum()), int(seen[target == 0].sum())
    names, masses = token_sets(target, maps)
    hits = token_sets(seen, maps).sums
    p_values = _two_sided(hits, samples, masses, slack)
    smallest = float(p_values.min(initial=1.0))
    p_value = 0.0 if impossible else min(1.0, smallest * max(1, len(names)))
    worst = int(p_values.argmin()) if len(names) else None
    return ScanResult(
        worst=None if worst is None else names[worst],
        statistic=0.0 if worst is None else _standard(hits[worst], samples, masses[worst]),
        p_value=p_value,
        alpha=level,
        rejected=p_value <= level,
        samples=samples,
        comparisons=len(names),
        impossible=impossible,
    )


def scan_detectable(
    probs: ArrayLike, maps: Mapping[str, NDArray[np.int64]], *, samples: int, alpha: float, beta: float
) -> float:
    """Return a δ: when the mass of any of the sets is off by δ or more, the scan finds it with probability 1 - beta.

    Args:
        probs: the law p, (V,).
        maps: as in `scan_test`.
        samples: N, how many samples will be drawn.
        alpha: false-alarm rate.
        beta: miss rate.

    Raises:
        ValueError: an argument is not as above.
    """
    target, trials = law(probs), whole(samples, name="samples")
    return _detectable(token_sets(target, maps).sums, trials, rate(alpha, name="alpha"), rate(beta, name="beta"))


def scan_samples(
    probs: ArrayLike, maps: Mapping[str, NDArray[np.int64]], *, delta: float, alpha: float, beta: float
) -> int:
    """Return how many samples find every set whose mass is off by `delta` with probability at least 1 - beta.

    Raises:
        UnreachableDeviation: no set's mass can be off by that much.
        ValueError: an argument is not as in `scan_detectable`.
    """
    target, size = law(probs), rate(delta, name="delta")
    level, miss = rate(alpha, name="alpha"), rate(beta, name="beta")
    masses = token_sets(target, maps).sums
    if not masses.size or size > float(np.maximum(masses, 1 - masses).max()):
        msg = f"`delta` {delta!r} is more than the mass of any of {masses.size} sets can be off by"
        raise UnreachableDeviation(msg)
    return fewest_samples(lambda trials: _detectable(masses, trials, level, miss), size)


def _detectable(masses: NDArray[np.float64], samples: int, alpha: float, beta: float) -> float:
    if not masses.size:
        return 1.0
    # A binomial deviation is the harder to see the closer the mass is to one half.
    hardest = float(masses[np.abs(masses - 0.5).argmin()])
    return binomial_detectable(hardest, samples=samples, alpha=alpha / masses.size, beta=beta)


def _two_sided(
    hits: NDArray[np.float64], samples: int, masses: NDArray[np.float64], tolerance: float
) -> NDArray[np.float64]:
    """Return the exact two-sided p-value of each mass, twice the smaller tail."""
    reach = tolerance * np.sqrt(np.clip(masses * (1 - masses), 0, None))
    low, high = np.clip(masses - reach, 0, 1), np.clip(masses + reach, 0, 1)
    # The incomplete beta function is the binomial's tail: P(X >= k) = I_p(k, n - k + 1).
    greater = np.where(hits <= 0, 1.0, special.betainc(np.maximum(hits, 1), samples - np.maximum(hits, 1) + 1, high))
    inside = np.minimum(hits, samples - 1)
    less = np.where(hits >= samples, 1.0, special.betaincc(inside + 1, samples - inside, low))
    return np.minimum(1.0, 2 * np.minimum(greater, less)) if samples else np.ones(hits.size)


def _standard(hits: float, samples: int, mass: float) -> float:
    spread = np.sqrt(samples * mass * (1 - mass))
    return float((hits - samples * mass) / spread) if spread > 0 else 0.0
