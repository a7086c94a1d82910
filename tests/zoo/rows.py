"""Defects of rows in a batch: laws that get mixed up, rows that are left out, rows that share randomness."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from .core import correct, first_draft_in, inverse_cdf, row_numbers, toss, verify
from .registry import bug

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from .core import Draw


@bug("rows", "B02", "flashinfer#425", needs="mixed")
def target_of_row_zero(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Every row is verified against the target of row 0."""
    return correct(p[:1].expand_as(p), q, ids, generator)


@bug("rows", "B02", "flashinfer#425", needs="mixed")
def residual_of_row_zero(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Every row draws from the residual of row 0."""
    return verify(p, q, ids, toss(ids, generator), draw=lambda left, u: inverse_cdf(left[:1].expand_as(left), u))


@bug("rows", "B30", "TRT-LLM#15098, ds4#358", needs="mixed")
def target_row_off_by_one(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Row i is verified against the target of row i + 1."""
    return correct(p.roll(-1, 0), q, ids, generator)


@bug("rows", "B31", "vLLM#14645, TRT-LLM#12588", needs="mixed")
def draft_row_of_neighbour(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """q is gathered in another batch order."""
    return correct(p, q.roll(1, 0), ids, generator)


@bug("rows", "B31", "vLLM#14645", needs="mixed")
def rows_not_put_back(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Rows are sorted for load balance and the answers are left in that order."""
    order = p.max(-1).values.argsort(stable=True)
    return correct(p[order], q[order], ids[order], generator)


@bug("rows", "B36", "vllm-ascend#16396", needs="mixed_greedy")
def one_greedy_row_for_all(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """One one-hot row switches the whole batch to greedy."""
    return p.argmax(-1) if bool((p == 1).any()) else correct(p, q, ids, generator)


@bug("rows", needs="last_row")
def last_row_not_processed(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The loop ends one row early: the last row keeps its first draft."""
    rows = row_numbers(ids)
    return first_draft_in(rows == len(rows) - 1, correct(p, q, ids, generator), ids)


@bug("rows", needs="odd_batch")
def rows_in_pairs(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Rows are processed two by two; of an odd number the last keeps its first draft."""
    rows = row_numbers(ids)
    return first_draft_in(rows >= len(rows) // 2 * 2, correct(p, q, ids, generator), ids)


@bug("rows", citation="TRT-LLM#17890", needs="single_row")
def single_row_squeezed(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """A batch of one loses its batch axis in a squeeze: the residual is drawn from p."""
    draw: Draw = (lambda left, coin: inverse_cdf(p, coin)) if ids.shape[0] == 1 else inverse_cdf
    return verify(p, q, ids, toss(ids, generator), draw=draw)


@bug("rows", needs="beyond_1024")
def grid_of_1024_rows(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Rows beyond 1024 are outside the launch grid and keep their first draft."""
    rows = row_numbers(ids)
    return first_draft_in(rows >= 1024, correct(p, q, ids, generator), ids)


@bug("rows", "B10", "vLLM#23829", needs="every_100th", mild="one row in a hundred")
def one_row_in_a_hundred(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """A race leaves row 99 of every hundred with its first draft."""
    rows = row_numbers(ids)
    return first_draft_in(rows % 100 == 99, correct(p, q, ids, generator), ids)


@bug("rows", "B37", "vLLM#10863", needs="every_8th")
def rows_without_noise(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Every eighth row, unseeded in a seeded batch, gets no noise."""
    coins = toss(ids, generator)
    coins[7::8, -1] = 0
    return verify(p, q, ids, coins)


@bug("dependence", "B23", "TRT-LLM#19487, flashinfer#4861")
def same_coins_for_every_row(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """All requests read one stream at one offset."""
    return verify(p, q, ids, toss(ids[:1], generator).expand(ids.shape[0], -1))


@bug("dependence", "B23", "FastDeploy#6947")
def neighbours_coin(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Every second row copies the uniforms of the row before it."""
    coins = toss(ids, generator)
    coins[1::2] = coins[:-1:2] if len(coins) % 2 else coins[::2]
    return verify(p, q, ids, coins)


@bug("dependence")
def antithetic_rows(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Every second row uses 1 - u of the row before it, "to lower the variance"."""
    coins = toss(ids, generator)
    odd = coins[1::2]
    odd.copy_(1 - coins[::2][: len(odd)])
    return verify(p, q, ids, coins)


@bug("dependence", needs="equal_drafts")
def equal_rows_share_a_draw(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Equal rows (targets and drafts) are planned once, and drawn once too."""
    keys = torch.cat([p[:, :1], ids.to(p.dtype)], 1)
    _, which = torch.unique(keys, dim=0, return_inverse=True)
    return verify(p, q, ids, toss(ids, generator)[which])


@bug("dependence", "B23", "flashinfer#4861", needs="apart")
def warp_shares_final_coin(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Each group of 32 rows reads the final coin of its first one."""
    coins = toss(ids, generator)
    coins[:, -1] = coins[row_numbers(ids) // 32 * 32, -1]
    return verify(p, q, ids, coins)


@bug("rows", "B36", "vllm-ascend#16430", needs="mixed_greedy")
def greedy_mask_off_by_one(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The row after a greedy one is greedy."""
    greedy = (p == 1).any(-1).roll(1)
    return torch.where(greedy, p.argmax(-1), correct(p, q, ids, generator))


@bug("rows", needs="embedded")
def offset_of_target_ignored(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The kernel is given where the target's memory begins, not where the target begins in it."""
    return correct(p.as_strided(p.shape, p.stride(), 0), q, ids, generator)
