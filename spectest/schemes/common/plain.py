"""Schemes as plain functions, so that `module:name` addresses them like anybody's selector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spectest.declaration import selector

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from spectest.schemes.base import Scheme


def plain(scheme: Scheme, **declared: Any) -> Callable[..., torch.Tensor]:  # noqa: ANN401 (validated by Declaration)
    """Return `scheme.select` as a function that declares the scheme's name and drafting law.

    Args:
        scheme: what selects.
        declared: further fields of `spectest.declaration.Declaration`.

    Example:
        >>> from spectest import schemes
        >>> from spectest.declaration import declared_by
        >>> declared_by(plain(schemes.get("target_only"), n_drafts=2)).scheme
        'target_only'
    """

    @selector(**{"drafting": scheme.drafting, "broadcast": True, "scheme": scheme.name, **declared})
    def select(
        target_probs: torch.Tensor, draft_probs: torch.Tensor, draft_token_ids: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        return scheme.select(target_probs, draft_probs, draft_token_ids, generator)

    select.__doc__ = type(scheme).select.__doc__
    return select
