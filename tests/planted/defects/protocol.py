"""Defects of the answer: its type, its shape, its range; and one that says more than its answer."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch

from .core import correct, defect, toss, verify

if TYPE_CHECKING:
    from torch import Generator, Tensor


@defect("protocol")
def returns_int32(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """int32 in place of int64."""
    return correct(p, q, ids, generator).int()


@defect("protocol")
def returns_float(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Ids as float64, one of them NaN."""
    token = correct(p, q, ids, generator).double()
    token[-1] = torch.nan
    return token


@defect("protocol")
def returns_column(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Shape (B, 1), as `multinomial` returns it."""
    return correct(p, q, ids, generator)[:, None]


@defect("protocol")
def returns_list(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> list[int]:
    """A list of ints."""
    return [int(token) for token in correct(p, q, ids, generator)]


@defect("protocol")
def returns_nothing(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> None:
    """The return statement was forgotten."""
    correct(p, q, ids, generator)


@defect("protocol")
def returns_too_few(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The last row is missing."""
    return correct(p, q, ids, generator)[:-1]


@defect("protocol")
def id_beyond_vocabulary(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Id V where an inverse CDF runs over the end: here, in the last row."""
    token = correct(p, q, ids, generator)
    token[-1] = p.shape[-1]
    return token


@defect("protocol")
def id_negative(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """-1 for "all drafts rejected": the caller is left to resample."""
    coins = toss(ids, generator)
    return verify(p, q, ids, coins, draw=lambda left, coin: torch.full_like(ids[:, 0], -1))


@defect("law")
def no_op(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The kernel is not there and the output stays zero (vLLM#42638)."""
    return torch.zeros_like(ids[:, 0])


@defect("noise")
def prints(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Lossless; writes to stdout and to file descriptor 1, where a caller may have a protocol of its own."""
    print('{"verdict": "pass"}', flush=True)
    os.write(1, b"\x80\x04N. noise\n")
    return correct(p, q, ids, generator)
