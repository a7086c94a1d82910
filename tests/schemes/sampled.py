"""What sampled selectors are held to: zero-probability tokens exactly, laws by χ², acceptance by a binomial test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import stats

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALPHA = 1e-9
POOLED = 100  # expected counts below this distort χ² at such an α


def p_value(counts: NDArray[np.int64], expected: NDArray[np.float64]) -> float:
    """Pearson's χ² of `counts` against `expected` (same total), cells pooled; 0 if the impossible happened."""
    if counts[expected == 0].any():
        return 0.0
    order = np.argsort(expected)
    expected, counts = expected[order], counts[order]
    rare = int(np.searchsorted(np.cumsum(expected), POOLED)) + 1 if expected[0] < POOLED else 1
    rare = max(rare, int(np.searchsorted(expected, POOLED)))
    starts = np.r_[0, np.arange(rare, len(expected))]
    expected, observed = np.add.reduceat(expected, starts), np.add.reduceat(counts, starts)
    if len(expected) < 2:
        return 1.0
    return float(stats.chi2.sf(((observed - expected) ** 2 / expected).sum(), len(expected) - 1))


def law_p_value(tokens: torch.Tensor, law: NDArray[np.float64]) -> float:
    counts = np.bincount(tokens.numpy(), minlength=law.size)
    return p_value(counts, len(tokens) * law)


def acceptance_p_value(tokens: torch.Tensor, drafts: torch.Tensor, acceptance: float) -> float:
    accepted = int((drafts == tokens.unsqueeze(1)).any(dim=1).sum())
    return float(stats.binomtest(accepted, len(tokens), min(max(acceptance, 0.0), 1.0)).pvalue)


def draw_drafts(rng: np.random.Generator, drafts: NDArray[np.float64], size: int, *, distinct: bool) -> torch.Tensor:
    """Draw (size, n) ids of laws (n, V), by exponential races: not the way the library draws them."""
    with np.errstate(divide="ignore"):
        if distinct:
            times = rng.exponential(size=(size, drafts.shape[1])) / drafts[0]
            return torch.from_numpy(np.argsort(times, axis=1)[:, : len(drafts)].copy())
        columns = [(rng.exponential(size=(size, drafts.shape[1])) / draft).argmin(axis=1) for draft in drafts]
    return torch.from_numpy(np.stack(columns, axis=1))


def draw_around(rng: np.random.Generator, draft: NDArray[np.float64], n: int, size: int, *, hub: bool) -> torch.Tensor:
    """Draw (size, n) ids: the likeliest n - 1 and one of the others; a pair's hub comes first with probability q."""
    top = np.argsort(-draft, kind="stable")[: n - 1]
    others = draft.copy()
    others[top] = 0
    last = draw_drafts(rng, others[None], size, distinct=False).numpy()
    ids = np.concatenate([np.broadcast_to(top, (size, n - 1)), last], axis=1)
    if hub and n > 1:
        second = rng.random(size) >= draft[top[0]]
        ids[second] = ids[second, ::-1]
    return torch.from_numpy(ids)


def cast(law: NDArray[np.float64], dtype: torch.dtype) -> tuple[torch.Tensor, NDArray[np.float64]]:
    """Return `law` in `dtype`, and what it then is, renormalised in float64."""
    tensor = torch.from_numpy(law).to(dtype)
    values = tensor.double().numpy()
    return tensor, values / values.sum(axis=-1, keepdims=True)


def random_law(rng: np.random.Generator, *shape: int) -> NDArray[np.float64]:
    """Uneven laws with exact zeros: some tokens of neither law, most of both."""
    laws = rng.dirichlet(np.full(shape[-1], 0.7), size=shape[:-1] or None)
    laws[(rng.random(laws.shape) < 0.2) & (laws < laws.max(axis=-1, keepdims=True))] = 0
    total: Any = laws.sum(axis=-1, keepdims=True)
    return np.asarray(laws / total, dtype=np.float64)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class EdgeUniforms:
    """Uniforms from the edges of [0, 1), where a wrong comparison lets a token of probability 0 out."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __call__(self, size: int, generator: torch.Generator) -> torch.Tensor:
        return torch.full((size,), self.value, dtype=torch.float64)
