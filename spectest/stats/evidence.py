"""Evidence against a law that may be read at any time: an e-process, for stopping early on what is flagrant.

A p-value may be read once, at a number of samples fixed before. The evidence E may be read after every sample, by
whatever rule: under the null hypothesis it ever exceeds 1/α with probability at most α (Ville's inequality).

It is a mean of likelihood ratios. Each bets that a partition's masses are drawn from a Dirichlet law around the null's,
Dir(c p): a small c bets on a large deviation, a large one on a small deviation, and the mean over c from 1 to 1e7 is
never much worse than the best of them. On 64 cells and fewer it needs little more than a test with a fixed number of
samples; on thousands of cells it would need some thirty times more, so those are left to tests.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy import special

from spectest.stats.partitions import merge
from spectest.stats.scan import token_sets
from spectest.stats.validation import law, tally

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

MOST_CELLS: Final = 64
_CONCENTRATIONS: Final = 10.0 ** np.arange(8)[:, None, None]


def evidence(counts: ArrayLike, probs: ArrayLike, maps: Mapping[str, NDArray[np.int64]]) -> float:
    """Return log E, the evidence that counts are not a sample of `probs`; P(log E ever reaches log 1/α) <= α.

    Half of the bets are on the cells of whole partitions, half on single cells and cuts of them (see `scan_test`).

    Args:
        counts: how often each token was seen so far, (V,) integers.
        probs: the law p under the null hypothesis, (V,), summing to 1.
        maps: partitions by name, (V,) maps from token to cell; those of more than 64 cells are left out.

    Returns:
        log E: inf once a token of probability zero was seen, 0.0 where there is nothing to bet on.

    Raises:
        ValueError: an argument is not as above.

    Source: Ville (1939); Robbins (1970) for mixtures; Lindon & Malek 2201.02588 for the Dirichlet-multinomial one.

    Example:
        >>> halves = {"halves": np.array([0, 0, 1, 1])}
        >>> evidence([0, 0, 0, 0], [0.25] * 4, halves)
        0.0
        >>> evidence([300, 300, 200, 200], [0.25] * 4, halves) > math.log(1e6)
        True
    """
    target = law(probs)
    seen = tally(counts, cells=target.size)
    if seen[target == 0].any():
        return math.inf
    small = {name: cells for name, cells in maps.items() if int(cells.max()) < MOST_CELLS}
    whole = [_bets(merge(seen, cells)[None], merge(target, cells)[None]) for cells in small.values()]
    hits, masses = token_sets(seen, small).sums, token_sets(target, small).sums
    either = np.stack([hits, seen.sum() - hits], axis=1), np.stack([masses, 1 - masses], axis=1)
    groups = [np.concatenate(whole), _bets(*either)] if small and masses.size else []
    logs = [np.logaddexp.reduce(group) - math.log(group.size) for group in groups]
    return float(np.logaddexp.reduce(logs) - math.log(len(logs))) if logs else 0.0


def _bets(counts: NDArray[Any], probs: NDArray[Any]) -> NDArray[np.float64]:
    """Return the log of each likelihood ratio, the mean over c of Dirichlet-multinomial over multinomial: (rows,)."""
    # A cell of mass 0 holds nothing, and a sum of the rest may round to 0 or below it.
    inside = probs > 0
    weight = _CONCENTRATIONS * np.where(inside, probs, 1.0)
    gained = special.gammaln(weight + counts) - special.gammaln(weight) - counts * np.log(np.where(inside, probs, 1.0))
    totals = _CONCENTRATIONS[..., 0] * np.where(inside, probs, 0.0).sum(axis=1)
    samples = counts.sum(axis=1)
    logs = np.where(inside, gained, 0.0).sum(axis=2) + special.gammaln(totals) - special.gammaln(totals + samples)
    return np.asarray(np.logaddexp.reduce(logs, axis=0) - math.log(logs.shape[0]), dtype=np.float64)
