"""Reference schemes: how published selectors choose a token from n drafts, one file each."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final, cast

from spectest.errors import UsageError
from spectest.schemes.base import Scheme

__all__ = ["SCHEMES", "Scheme", "get"]

#: The registry of schemes: adding one is a file in `spectest/schemes/` and a line here.
SCHEMES: Final[dict[str, str]] = {
    "single_draft": "spectest.schemes.single_draft",
    "target_only": "spectest.schemes.target_only",
    "recursive_rejection": "spectest.schemes.recursive_rejection",
    "seats": "spectest.schemes.seats",
    "naive": "spectest.schemes.naive",
    "k_seq": "spectest.schemes.k_seq",
    "greedy": "spectest.schemes.greedy",
    "spechub": "spectest.schemes.spechub",
    "gumbel_list": "spectest.schemes.gumbel_list",
    "greedy_block": "spectest.schemes.greedy_block",
    "canonical": "spectest.schemes.canonical",
    "importance": "spectest.schemes.importance",
    "transport": "spectest.schemes.transport",
    "global_resolution": "spectest.schemes.global_resolution",
}


def get(name: str, *, drafting: str | None = None, **options: Any) -> Scheme:  # noqa: ANN401 (the scheme's own)
    """Return the reference scheme called `name`.

    Args:
        name: a name in `SCHEMES`.
        drafting: the law `select` expects its drafts from; the scheme's first one by default.
        options: the scheme's own options.

    Raises:
        UsageError: no scheme, drafting law or option has that name; the message lists those that exist.

    Example:
        >>> from spectest import Problem
        >>> round(get("recursive_rejection").acceptance(Problem([5 / 9, 4 / 9], [1 / 3, 2 / 3], n_drafts=2)), 6)
        0.851852
    """
    if not isinstance(name, str) or name not in SCHEMES:
        msg = f"`name` must be one of {', '.join(SCHEMES)}, got {name!r}"
        raise UsageError(msg)
    scheme = cast("type[Scheme]", import_module(SCHEMES[name]).SCHEME)
    unknown = sorted(set(options) - set(scheme.options))
    if unknown:
        msg = f"unknown option {', '.join(unknown)} of {name}; it has {', '.join(scheme.options) or 'none'}"
        raise UsageError(msg)
    return scheme(drafting=drafting, **options)
