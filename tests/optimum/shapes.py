"""Laws of the shapes that trouble optima."""

from __future__ import annotations

import numpy as np


def law(rng: np.random.Generator, vocab: int) -> np.ndarray:
    """Spread, peaked, tied, uniform, one-hot, geometric, Zipf, masses to 1e-300, a dominant token: shape (V,)."""
    k = np.arange(1.0, vocab + 1)
    shapes: list[np.ndarray] = [
        rng.dirichlet(np.full(vocab, 0.3)),
        rng.dirichlet(np.full(vocab, 5.0)),
        rng.integers(0, 4, vocab).astype(float),
        np.ones(vocab),
        (k == rng.integers(1, vocab + 1)).astype(float),
        rng.permutation(1 / k),
        rng.permutation(0.9**k),
        10.0 ** -rng.integers(0, 39, vocab),
        10.0 ** -rng.integers(0, 300, vocab),
    ]
    chosen = shapes[rng.integers(len(shapes))]
    if rng.random() < 0.2:
        chosen = chosen * (rng.random(vocab) < 0.5)
    if rng.random() < 0.1:
        chosen[rng.integers(vocab)] = 1e15 * (1 + chosen.sum())
    chosen[0] += chosen.sum() == 0
    scaled: np.ndarray = chosen / chosen.sum()
    return scaled


def near(rng: np.random.Generator, base: np.ndarray, noise: float) -> np.ndarray:
    """A noisy copy of a law."""
    copy = base * np.exp(noise * rng.normal(size=base.size))
    scaled: np.ndarray = copy / copy.sum()
    return scaled
