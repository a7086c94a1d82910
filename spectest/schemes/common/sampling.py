"""What every batched selector needs: checked inputs and draws by inverse CDF. Imports torch."""

from __future__ import annotations

import torch

from spectest.errors import UsageError


def check_inputs(
    target_probs: torch.Tensor,
    draft_probs: torch.Tensor,
    draft_token_ids: torch.Tensor,
    generator: torch.Generator,
) -> None:
    """Check shapes, dtypes, devices and the range of the ids, without touching the probabilities.

    Raises:
        UsageError: the message names the argument, what was got and what it must be.
    """
    for name, tensor, shape in (
        ("target_probs", target_probs, "(B, V)"),
        ("draft_probs", draft_probs, "(B, n, V)"),
        ("draft_token_ids", draft_token_ids, "(B, n)"),
    ):
        if not isinstance(tensor, torch.Tensor) or tensor.ndim != shape.count(",") + 1:
            got = tuple(tensor.shape) if isinstance(tensor, torch.Tensor) else type(tensor).__name__
            msg = f"`{name}` must be a tensor of shape {shape}, got {got}"
            raise UsageError(msg)
    rows, vocab = target_probs.shape
    n = draft_token_ids.shape[1]
    if vocab < 1 or n < 1 or draft_token_ids.shape[0] != rows or draft_probs.shape != (rows, n, vocab):
        msg = (
            "`target_probs` (B, V), `draft_probs` (B, n, V) and `draft_token_ids` (B, n) must agree, V, n >= 1, got "
            f"{tuple(target_probs.shape)}, {tuple(draft_probs.shape)}, {tuple(draft_token_ids.shape)}"
        )
        raise UsageError(msg)
    if not (target_probs.is_floating_point() and draft_probs.is_floating_point()):
        msg = (
            "`target_probs` and `draft_probs` must hold floating-point probabilities, got "
            f"{target_probs.dtype} and {draft_probs.dtype}"
        )
        raise UsageError(msg)
    if draft_token_ids.dtype != torch.int64:
        msg = f"`draft_token_ids` must be int64, got {draft_token_ids.dtype}"
        raise UsageError(msg)
    if not isinstance(generator, torch.Generator):
        msg = f"`generator` must be a torch.Generator, got {type(generator).__name__}"
        raise UsageError(msg)
    devices = {target_probs.device.type, draft_probs.device.type, draft_token_ids.device.type, generator.device.type}
    if len(devices) > 1:
        msg = f"the tensors and `generator` must be on one device, got {', '.join(sorted(devices))}"
        raise UsageError(msg)
    if rows:
        low, high = (int(bound) for bound in draft_token_ids.aminmax())
        if low < 0 or high >= vocab:
            msg = f"`draft_token_ids` must lie in [0, {vocab}), got {low} .. {high}"
            raise UsageError(msg)


def is_shared(*tensors: torch.Tensor) -> bool:
    """Whether all rows of each tensor are the same memory: an expanded view, to be planned once."""
    return all(tensor.shape[0] > 1 and tensor.stride(0) == 0 for tensor in tensors)


def totals(mass: torch.Tensor, *, name: str) -> torch.Tensor:
    """Return the sum of each row in float64: dividing by it renormalises without writing a copy.

    Raises:
        UsageError: a sum is not positive and finite.
    """
    total = mass.sum(-1, dtype=torch.float64)
    if not bool(((total > 0) & total.isfinite()).all()):
        msg = f"`{name}` must have rows of positive, finite sum: divide by the sum and replace NaN before selecting"
        raise UsageError(msg)
    return total


def uniforms(size: int, generator: torch.Generator) -> torch.Tensor:
    """Return float64 uniforms in [0, 1), (size,), on the generator's device."""
    return torch.rand(size, generator=generator, device=generator.device, dtype=torch.float64)


def draw(mass: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """Draw from `mass` by inverse CDF; a token of mass 0 never comes out of a row that has any mass.

    Args:
        mass: float64, (m, V), or (V,) for all m draws; need not sum to 1, but must be positive somewhere.
        uniform: float64 in [0, 1), (m,).

    Returns:
        Token ids, (m,) int64.
    """
    cdf = mass.cumsum(-1)
    total = cdf[..., -1:].contiguous()
    if mass.ndim == 1:
        token = torch.searchsorted(cdf, uniform * total, right=True)
    else:
        token = torch.searchsorted(cdf, (uniform * total.squeeze(-1)).unsqueeze(-1), right=True).squeeze(-1)
    # u * total may round up to total: the last token of positive mass is where the CDF first reaches its end.
    last = torch.searchsorted(cdf, total).squeeze(-1)
    token = torch.minimum(token, last)
    # A parallel cumsum (CUDA) is not monotone to the last bit and could stop on a token of mass 0.
    chosen = mass[token] if mass.ndim == 1 else mass.gather(1, token.unsqueeze(1)).squeeze(1)
    heaviest = mass.argmax(-1) if bool((chosen <= 0).any()) else token
    return torch.where(chosen > 0, token, heaviest)
