"""Coarse partitions of a vocabulary, each cut where a kind of bug puts its bias.

At large vocabularies a table of all tokens spreads the evidence over thousands of cells. Some sixteen to sixty-four
cells cut along rank, ratio, residual or token id need two to twenty times fewer samples on structural bugs. A test
per partition, each at its share of α, sees what any of them sees.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.stats.validation import law, whole

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_SINGLE_RANKS: Final = 16
_RATIO_BINS: Final = 16
_DECADES: Final = 12  # of |p - q|; what is smaller counts as the smallest
_LANES: Final = 32
_OCTAVES: Final = 12  # of rank, where it is crossed with something else
_QUANTILES: Final = (0.1, 0.3, 0.5, 0.7, 0.9)  # of log(p/q) over the tokens, where it is crossed with rank
_HASHES: Final = 16
_HASH: Final = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio: Fibonacci hashing
_BLOCK: Final = 16  # kernels walk the vocabulary in powers of two from here
_CUTS: Final = (1024, 32)  # where a kernel's last, partial block begins
_LEAST_CELLS: Final = 4
_TAILS: Final = (1e-2, 1e-3, 1e-5)


def partitions(target: ArrayLike, draft: ArrayLike, *, max_cells: int = 64) -> dict[str, NDArray[np.int64]]:
    """Return partitions of the vocabulary by name, each a (V,) map from token to cell.

    Every map covers all tokens with cells 0, 1, ..., of which there are at least two and at most `max_cells`. Maps
    depend on the laws alone. Those that repeat an earlier one are left out, so V = 1 has none.

    * `full`: every token by itself, where V <= max_cells.
    * `rank`: the likeliest tokens one by one, then ranks in bins of doubling size: temperature, top-k, lenience.
    * `ratio`: log(p/q) in bins of about equal target mass: a wrong acceptance rule.
    * `residual`: decades of |p - q|, apart for p > q and p < q: a wrong, truncated or quantised residual.
    * `sign rank`: the sign of p - q crossed with octaves of rank: what only accepted, or only recovered tokens suffer.
    * `ratio rank`: log(p/q) crossed with rank, both coarse: what only small residuals of rare tokens suffer.
    * `ids`: contiguous blocks of ids, the last partial ones apart: a kernel that misses its last block.
    * `lanes`: id modulo 32: a fault of one vector lane.
    * `recovered ids`, `recovered lanes`: the same among tokens with p > q alone: those that are recovered.
    * `hash`: the rarer half of the tokens, by a hash of their id, all others in one cell.
    * `tail 1e-02`, `1e-03`, `1e-05`: the lightest tokens, of that much mass together, against all others: mass smoothed
      onto a tail, or a tail cut off. Two cells are tested exactly, so the tail may be as light as can be.

    Args:
        target: target law p, (V,).
        draft: draft law q, (V,), or (n, V) with one row per drafter, of which the mean counts.
        max_cells: most cells of a map, at least 4.

    Raises:
        ValueError: an argument is not as above.

    Example:
        >>> maps = partitions([0.4, 0.3, 0.1, 0.1, 0.1], [0.1, 0.3, 0.2, 0.2, 0.2])
        >>> list(maps), maps["ratio"].tolist()
        (['full', 'ratio', 'sign rank', 'recovered ids', 'hash'], [2, 1, 0, 0, 0])
    """
    p = law(target, name="target")
    rows = np.atleast_2d(np.asarray(draft, dtype=np.float64))
    q = np.mean([law(row, name="draft") for row in rows], axis=0) if rows.size else rows
    if rows.ndim != 2 or q.shape != p.shape:  # noqa: PLR2004 (one row per drafter)
        msg = f"`draft` must have shape ({p.size},) or (n, {p.size}) like `target`, got {np.shape(draft)}"
        raise ValueError(msg)
    most = whole(max_cells, name="max_cells", least=_LEAST_CELLS)
    ids = np.arange(p.size)
    blocks, lanes = _by_id(p.size, most - 1), ids % min(_LANES, 2 ** int(math.log2(most - 1)))
    candidates = {
        "full": ids if p.size <= most else np.zeros_like(ids),
        "rank": _by_rank(p, most),
        "ratio": _by_ratio(p, q, most),
        "residual": _by_residual(p, q, most),
        "sign rank": _by_sign_and_rank(p, q, most),
        "ratio rank": _by_ratio_and_rank(p, q, most),
        "ids": blocks,
        "lanes": lanes,
        "recovered ids": np.where(p > q, blocks, -1),
        "recovered lanes": np.where(p > q, lanes, -1),
        "hash": _by_hash(p, most),
        **{f"tail {mass:.0e}": _by_tail(p, mass) for mass in _TAILS},
    }
    kept: dict[str, NDArray[np.int64]] = {}
    known: set[bytes] = set()
    for name, raw in candidates.items():
        _, first, cells = np.unique(raw, return_index=True, return_inverse=True)
        # Two maps are the same partition if numbering cells by first appearance makes them equal.
        rank = np.argsort(np.argsort(first))
        signature = rank[cells].astype(np.int64).tobytes()
        if first.size > 1 and signature not in known:
            known.add(signature)
            kept[name] = cells.astype(np.int64)
    return kept


def merge(values: ArrayLike, cells: ArrayLike) -> NDArray[np.int64] | NDArray[np.float64]:
    """Sum counts or probabilities into the cells of a map; integers stay integers.

    Args:
        values: counts or probabilities, (V,).
        cells: cell of each, (V,) integers; entries of cell -1 are left out.

    Returns:
        Sums, (number of cells,), int64 for integers and float64 otherwise.

    Raises:
        ValueError: the shapes differ, or a cell is below -1.

    Example:
        >>> merge([1, 2, 3, 4], [0, 1, 1, -1]).tolist()
        [1, 5]
    """
    numbers, where = np.asarray(values), np.asarray(cells)
    if numbers.ndim != 1 or numbers.shape != where.shape or numbers.dtype.kind not in "iuf":
        msg = f"`values` must be (V,) numbers, one for each of the {where.shape} `cells`, got shape {numbers.shape}"
        raise ValueError(msg)
    if where.dtype.kind not in "iu" or (where.size and int(where.min()) < -1):
        msg = f"`cells` must be integers of at least -1, got {where!r}"
        raise ValueError(msg)
    inside = where >= 0
    size = int(where.max(initial=-1)) + 1
    if numbers.dtype.kind == "f":
        return np.bincount(where[inside], weights=numbers[inside], minlength=size).astype(np.float64)
    sums = np.zeros(size, dtype=np.int64)  # not bincount: its weights are floats, which round large counts
    np.add.at(sums, where[inside], numbers[inside].astype(np.int64))
    return sums


def _ranks(p: NDArray[np.float64]) -> NDArray[np.int64]:
    rank = np.empty(p.size, dtype=np.int64)
    rank[np.argsort(-p, kind="stable")] = np.arange(p.size)
    return rank


def _by_rank(p: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    """The top tokens singly, then bins of ranks [s, 2s), [2s, 4s), ... for s single ranks."""
    rank = _ranks(p)
    single = min(_SINGLE_RANKS, most // 2)
    doubling = single + np.floor(np.log2(np.maximum(rank, single) / single)).astype(np.int64)
    return np.minimum(np.where(rank < single, rank, doubling), most - 1)


def _log_ratio(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    """log(p/q), rounded so that p = q held in another order of operations is still one ratio."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(p > 0, np.log(p) - np.log(q), -np.inf)
    return np.asarray(np.round(ratio, 9), dtype=np.float64)


def _by_ratio(p: NDArray[np.float64], q: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    """Bins of log(p/q) with about equal target mass; equal ratios are never parted."""
    levels, place = np.unique(_log_ratio(p, q), return_inverse=True)
    mass = np.bincount(place, weights=p, minlength=levels.size)
    middle = np.cumsum(mass) - mass / 2
    bins = min(_RATIO_BINS, most)
    return np.minimum((bins * middle).astype(np.int64), bins - 1)[place]


def _by_residual(p: NDArray[np.float64], q: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    """Sign of p - q crossed with the decade of its size; equal ones by themselves."""
    decades = min(_DECADES, (most - 1) // 2)
    difference = p - q
    size = np.maximum(np.abs(difference), 10.0**-decades)
    decade = np.clip(np.floor(-np.log10(size)).astype(np.int64), 0, decades - 1)
    equal = np.abs(difference) <= np.finfo(np.float64).eps * np.maximum(p, q)
    return np.where(equal, decades, np.where(difference > 0, decade, 2 * decades - decade))


def _octaves(p: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    """Ranks 0, 1-2, 3-6, ..., `most` bins of doubling size at most."""
    return np.minimum(np.floor(np.log2(_ranks(p) + 1)).astype(np.int64), most - 1)


def _by_sign_and_rank(p: NDArray[np.float64], q: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    """Rare to likely among p <= q, then likely to rare among p > q: a cut parts the rare ones of either sign."""
    octave = _octaves(p, min(_OCTAVES, most // 2))
    return np.where(p > q, octave, -1 - octave)


def _by_ratio_and_rank(p: NDArray[np.float64], q: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    """Quantiles of log(p/q) within bins of three octaves of rank."""
    classes = len(_QUANTILES) + 1
    ratio = _log_ratio(p, q)
    level = np.searchsorted(np.quantile(ratio[p > 0], _QUANTILES, method="lower"), ratio)
    return _octaves(p, 3 * max(1, most // classes)) // 3 * min(classes, most) + np.minimum(level, most - 1)


def _by_hash(p: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    bins = np.uint64(min(_HASHES, most - 1))
    hashed = (np.arange(p.size, dtype=np.uint64) * np.uint64(_HASH)) >> np.uint64(32)
    return np.where(_ranks(p) < p.size // 2, -1, (hashed % bins).astype(np.int64))


def _by_id(vocab_size: int, most: int) -> NDArray[np.int64]:
    """Contiguous blocks of a power of two, cut again where the last partial block of 1024 and of 32 begins."""
    last = {vocab_size - vocab_size % size for size in _CUTS}
    block = _BLOCK
    while True:
        cuts = sorted((last | set(range(0, vocab_size, block))) - {0, vocab_size})
        if len(cuts) < most:
            return np.searchsorted(np.array(cuts, dtype=np.int64), np.arange(vocab_size), side="right").astype(np.int64)
        block *= 2


def _by_tail(p: NDArray[np.float64], mass: float) -> NDArray[np.int64]:
    """The lightest tokens while they hold at most `mass` together, in cell 1; impossible ones count with the others."""
    order = np.argsort(p, kind="stable")
    light = np.empty(p.size, dtype=np.bool_)
    light[order] = np.cumsum(p[order]) <= mass
    return (light & (p > 0)).astype(np.int64)
