"""What tests of optima share: awkward laws, and a maximum flow by another library."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from spectest.optimum.sets import DraftSets


def simplex(rng: np.random.Generator, vocab: int) -> np.ndarray:
    """A law of one of the shapes that trouble selectors: zeros, ties, one-hot, masses down to 1e-38."""
    shapes: list[np.ndarray] = [
        rng.dirichlet(np.full(vocab, 0.3)),
        rng.dirichlet(np.full(vocab, 5.0)),
        rng.integers(0, 4, vocab).astype(float),
        np.eye(vocab)[rng.integers(vocab)],
        np.ones(vocab),
        10.0 ** -rng.integers(0, 39, vocab),
    ]
    law = shapes[rng.integers(len(shapes))]
    law[0] += law.sum() == 0
    scaled: np.ndarray = law / law.sum()
    return scaled


def max_flow(target: np.ndarray, sets: DraftSets) -> float:
    """The transport as an integer max-flow of ortools: masses in units of 2^-56."""
    flow = pytest.importorskip("ortools.graph.python.max_flow").SimpleMaxFlow()
    vocab, unit = target.size, 2.0**56
    source, sink = vocab + len(sets.mass), vocab + len(sets.mass) + 1
    for y in range(vocab):
        flow.add_arc_with_capacity(source, y, round(target[y] * unit))
    for s, members in enumerate(sets.members):
        flow.add_arc_with_capacity(vocab + s, sink, round(sets.mass[s] * unit))
        for y in members[members < vocab].tolist():
            flow.add_arc_with_capacity(y, vocab + s, round(unit))
    assert flow.solve(source, sink) == flow.OPTIMAL
    return float(flow.optimal_flow() / unit)
