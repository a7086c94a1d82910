"""Where the adversary looks: one case each. Known without Hypothesis, which planning a run does not need."""

from __future__ import annotations

from typing import Final, NamedTuple


class Family(NamedTuple):
    """Problems of `vocab` tokens, up to `together` of them in a batch; `share` of the examples."""

    vocab: tuple[int, int]
    together: int
    share: float


#: Small vocabularies have the most coincidences: ties, zeros, equal laws, repeated drafts.
FAMILIES: Final[dict[str, Family]] = {
    "small": Family((1, 6), 1, 0.4),
    "medium": Family((2, 24), 1, 0.3),
    "large": Family((25, 200), 1, 0.1),
    "mixed": Family((1, 6), 4, 0.2),
}
