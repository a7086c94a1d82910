"""Seeds: one stream for each thing that is drawn, the same in every process and every version."""

from __future__ import annotations

import hashlib

import numpy as np

_PERSON = b"spectest.seeds.1"  # at most 16 bytes; changing it changes every seed and breaks every replay record


def derive_seed(seed: int, *labels: str | int) -> int:
    """Return a 63-bit seed that depends on `seed` and on every label, their kind, order and boundaries.

    Stable across processes, platforms and Python versions (BLAKE2b, no `hash`), so that a run replays exactly and
    workers agree without talking to each other.

    Args:
        seed: the run's seed, any integer.
        labels: what the stream is for: names and numbers, such as ("law", "uniform[16]", 2).

    Raises:
        ValueError: `seed` is not an integer, or a label neither a string nor an integer.

    Example:
        >>> derive_seed(0, "law", 1) == derive_seed(0, "law", 1)
        True
        >>> derive_seed(0, "ab", "c") == derive_seed(0, "a", "bc")
        False
    """
    digest = hashlib.blake2b(digest_size=8, person=_PERSON)
    if isinstance(seed, str):
        msg = f"`seed` must be an integer, got {seed!r}"
        raise ValueError(msg)  # noqa: TRY004 (one kind of error for every bad argument)
    for label in (seed, *labels):
        if isinstance(label, (bool, np.bool_)) or not isinstance(label, (str, int, np.integer)):
            msg = f"`{'seed' if label is seed else 'labels'}` must be integers or strings, got {label!r}"
            raise ValueError(msg)  # noqa: TRY004 (as above)
        text = label if isinstance(label, str) else str(int(label))
        encoded = text.encode("utf-8", "surrogatepass")
        # Kind and length before the content: no two lists of labels give the same bytes.
        digest.update(b"%c%d:" % (b"s" if isinstance(label, str) else b"i", len(encoded)))
        digest.update(encoded)
    return int.from_bytes(digest.digest(), "big") >> 1
