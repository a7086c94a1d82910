"""How often one chain of seats attains the optimum for drafters that differ: the table in docs/seats.md.

`python scripts/seats_gap.py` draws 40,000 problems a row and number of drafters, of 3 to 7 tokens, and prints Markdown.
The optimum is the least 1 + p(H) - Q(H) over all sets H; a chain attains it if sum min(p, R) is within 1e-12.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from spectest.schemes.seats.chain import independent
from spectest.schemes.seats.distinct import two_distinct

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Laws = NDArray[np.float64]

TOKENS: Final = range(3, 8)
DRAFTERS: Final = (2, 3, 4)
ATTAINED: Final = 1e-12


def softmax(logits: Laws) -> Laws:
    """Return laws in the last axis."""
    masses = np.exp(logits - logits.max(axis=-1, keepdims=True))
    law: Laws = masses / masses.sum(axis=-1, keepdims=True)
    return law


def noisy(sigma: float) -> Callable[[np.random.Generator, Laws, int], Laws]:
    """Return drafters that are independent noisy copies of the target."""
    return lambda rng, target, n: softmax(
        np.log(target)[:, None] + sigma * rng.normal(size=(len(target), n, target.shape[1]))
    )


def temperatures(rng: np.random.Generator, target: Laws, n: int) -> Laws:
    """Return drafters that are one noisy copy of the target at n temperatures, log-normal with σ = .4."""
    logits = np.log(target) + 0.3 * rng.normal(size=target.shape)
    return softmax(logits[:, None] * np.exp(0.4 * rng.normal(size=(len(target), n, 1))))


def unrelated(rng: np.random.Generator, target: Laws, n: int) -> Laws:
    """Return drafters that have nothing to do with the target, Dirichlet(.7)."""
    return rng.dirichlet(np.full(target.shape[1], 0.7), size=(len(target), n))


FAMILIES: Final = {
    "temperatures (σ = .4 in log) of one noisy copy of the target": temperatures,
    "noisy copies of the target, noise .3 in the logits": noisy(0.3),
    "noisy copies of the target, noise .7 in the logits": noisy(0.7),
    "unrelated, Dirichlet(.7)": unrelated,
}


def gaps(target: Laws, drafts: Laws, *, distinct: bool) -> Laws:
    """Return how far sum min(p, R) is from the optimum, (B,)."""
    vocab = target.shape[1]
    subsets = (np.arange(1 << vocab)[:, None] >> np.arange(vocab) & 1).astype(np.float64)
    if distinct:
        draft = drafts[:, 0]
        law = two_distinct(torch.tensor(target), torch.tensor(draft)).law.numpy()
        odds = draft / (1 - draft)
        inside = (draft @ subsets.T) * (odds @ subsets.T) - (draft * odds) @ subsets.T
    else:
        law = independent(torch.tensor(target), torch.tensor(drafts)).law.numpy()
        inside = (drafts @ subsets.T).prod(axis=1)
    optimum = (1 + target @ subsets.T - inside).min(axis=1)
    gap: Laws = np.maximum(optimum - np.minimum(target, law).sum(axis=1), 0.0)
    return gap


def row(name: str, problems: int, drafters: tuple[int, ...], *, distinct: bool) -> str:
    """Return a line of the table."""
    rng = np.random.default_rng(sum(map(ord, name)))
    attained, means, largest = [], [], 0.0
    for n in drafters:
        found = []
        for vocab in TOKENS:
            target = rng.dirichlet(np.full(vocab, 0.7), size=problems // len(TOKENS)).clip(min=1e-12)
            target /= target.sum(axis=1, keepdims=True)
            found.append(gaps(target, FAMILIES[name](rng, target, n), distinct=distinct))
        gap = np.concatenate(found)
        attained.append(f"{100 * (gap <= ATTAINED).mean():.2f}")
        means.append(f"{gap.mean():.1e}")
        largest = max(largest, float(gap.max()))
    return f"| {name} | {' / '.join(attained)} % | {' / '.join(means)} | {largest:.2g} |"


def main() -> int:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=40_000, help="per row and number of drafters")
    problems = parser.parse_args().problems
    for distinct, drafters in ((False, DRAFTERS), (True, (2,))):
        title = "two distinct drafts from" if distinct else "drafters"
        print(f"| {title} | attained, n = {' / '.join(map(str, drafters))} | mean gap | largest gap met |")
        print("|---|---|---|---|")
        for name in FAMILIES:
            print(row(name, problems, drafters, distinct=distinct), flush=True)
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
