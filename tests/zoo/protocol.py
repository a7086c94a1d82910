"""Defects of the answer: its type, its shape, its range."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from .core import correct, toss, verify
from .laws import all_on
from .registry import bug

if TYPE_CHECKING:
    from torch import Generator, Tensor


@bug("answer")
def returns_int32(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """int32 in place of int64."""
    return correct(p, q, ids, generator).int()


@bug("answer")
def returns_float(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Ids as float64, one of them NaN."""
    token = correct(p, q, ids, generator).double()
    token[-1] = torch.nan
    return token


@bug("answer")
def returns_column(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Shape (B, 1), as `multinomial` returns it."""
    return correct(p, q, ids, generator)[:, None]


@bug("answer")
def returns_list(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> list[int]:
    """A list of ints."""
    return [int(token) for token in correct(p, q, ids, generator)]


@bug("answer")
def returns_nothing(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> None:
    """The return statement was forgotten."""
    correct(p, q, ids, generator)


@bug("answer")
def returns_too_few(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The last row is missing."""
    return correct(p, q, ids, generator)[:-1]


@bug("answer")
def id_beyond_vocabulary(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Id V where an inverse CDF runs over the end: here, in the last row."""
    token = correct(p, q, ids, generator)
    token[-1] = p.shape[-1]
    return token


@bug("answer")
def id_negative(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """-1 for "all drafts rejected": the caller is left to resample."""
    coins = toss(ids, generator)
    return verify(p, q, ids, coins, draw=lambda left, coin: torch.full_like(ids[:, 0], -1))


@bug("law", "B39", "vLLM#42638", output_law=lambda p, q: all_on(0, p))
def no_op(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The kernel is not there and the output stays zero."""
    return torch.zeros_like(ids[:, 0])
