"""What only one row, tens of thousands of tokens, or rows far apart show: defects of those alone, and correct ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

import spectest
from spectest.checks.decision import grown
from spectest.zoo import controls
from tests.checks.bench import SMALL, verdict

pytestmark = pytest.mark.long

Tensor = torch.Tensor


def rejection(p: Tensor, q: Tensor, x: Tensor, coins: Tensor, *, lenient: float = 1.0) -> Tensor:
    """Recursive rejection with the coins (B, n + 1) given; the last is the final draw's."""
    rows, left = torch.arange(len(p)), p
    out = torch.full_like(x[:, 0], -1)
    for k in range(x.shape[1]):
        token = x[:, k]
        kept = (out < 0) & (coins[:, k] * q[rows, k, token] * lenient < left[rows, token])
        out = torch.where(kept, token, out)
        rest = (left - q[:, k]).clamp_min(0)
        total = rest.sum(1, keepdim=True)
        left = torch.where(total > 0, rest / total, left)
    final = (left.cumsum(1) <= coins[:, -1:] * left.sum(1, keepdim=True)).sum(1)
    return torch.where(out < 0, final.clamp_max(p.shape[1] - 1), out)


def coins_for(x: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(x.shape[0], x.shape[1] + 1, generator=generator, dtype=torch.float64)


def lenient_alone(p: Tensor, q: Tensor, x: Tensor, generator: torch.Generator) -> Tensor:
    """One row is accepted too easily."""
    return rejection(p, q, x, coins_for(x, generator), lenient=0.5 if len(p) == 1 else 1.0)


def neighbours_share_when_wide(p: Tensor, q: Tensor, x: Tensor, generator: torch.Generator) -> Tensor:
    """Rows 2k and 2k + 1 have one final coin, beyond 1024 tokens."""
    coins = coins_for(x, generator)
    if p.shape[1] > 1024:
        coins[1::2, -1] = coins[: len(p) // 2 * 2 : 2, -1]
    return rejection(p, q, x, coins)


class StaleWhenWide:
    """A plan that is kept as long as the shape stays the same, beyond 4096 tokens."""

    def __init__(self) -> None:
        """No plan yet."""
        self.kept: tuple[Tensor, Tensor] | None = None

    def __call__(self, p: Tensor, q: Tensor, x: Tensor, generator: torch.Generator) -> Tensor:
        """See `rejection`."""
        if p.shape[1] > 4096:
            if self.kept is None or self.kept[1].shape != q.shape:
                self.kept = p.clone(), q.clone()
            p, q = self.kept
        return rejection(p, q, x, coins_for(x, generator))


@pytest.mark.parametrize("case", ["B1", "B2"])
def test_a_single_row_is_tested_by_itself(case: str) -> None:
    settings = replace(SMALL, small=100_000)
    assert verdict("batch", case, lenient_alone, settings).startswith("fail" if case == "B1" else "pass")


def test_rows_that_share_noise_only_at_a_wide_vocabulary() -> None:
    settings = replace(SMALL, calls=2_000)
    assert "rows 1 apart" in verdict("streams", "wide", neighbours_share_when_wide, settings)
    assert verdict("streams", "B64", neighbours_share_when_wide, settings).startswith("pass")
    assert verdict("streams", "wide", controls.rrs_dense, settings).startswith("pass")


def test_a_plan_that_is_stale_only_at_a_wide_vocabulary() -> None:
    assert verdict("memory", "wide", StaleWhenWide()).startswith("fail")
    assert verdict("memory", "shapes", StaleWhenWide()).startswith("pass")
    assert verdict("memory", "wide", controls.rrs_dense).startswith("pass")


def test_the_wide_cases_are_as_wide_as_the_main_problems() -> None:
    seen: set[int] = set()

    def watching(p: Tensor, q: Tensor, x: Tensor, generator: torch.Generator) -> Tensor:
        assert q.numel() <= 4_000_000
        seen.add(p.shape[1])
        return p.argmax(1)

    for check in ("memory", "streams"):
        verdict(check, "wide", watching, replace(SMALL, vocab=(5, 128_256)))
    assert seen == {5_003, 32_003, 128_256}


def seam_sharing(source: Any) -> Any:
    """Return a pair whose drafts are right; row i has the first draft coin of row `source(i, B)` as its final one."""
    stash: list[Tensor] = []

    def propose(q: Tensor, generator: torch.Generator) -> Tensor:
        coins = torch.rand(q.shape[0], q.shape[1], generator=generator, dtype=torch.float64)
        stash[:] = [coins]
        return (q.cumsum(2) <= coins[..., None] * q.sum(2, keepdim=True)).sum(2).clamp_max(q.shape[2] - 1)

    def select(p: Tensor, q: Tensor, x: Tensor, generator: torch.Generator) -> Tensor:
        coins = coins_for(x, generator)
        if stash and len(stash[0]) == len(p) > 1:
            rows = torch.arange(len(p))
            coins[:, -1] = stash[0][source(rows, len(p)) % len(p), 0]
        return rejection(p, q, x, coins)

    return spectest.selector(propose=propose)(select)


@pytest.mark.parametrize(
    "source",
    [
        lambda row, rows: row - 1,
        lambda row, rows: row - 2,
        lambda row, rows: row + rows // 2,
        lambda row, rows: rows - 1 - row,
    ],
    ids=["one apart", "two apart", "half a batch apart", "mirrored"],
)
def test_noise_of_a_row_far_away_is_seen_in_the_seam(source: Any) -> None:
    assert verdict("seam", "rows", seam_sharing(source), replace(SMALL, calls=800)).startswith("fail")


def test_a_deviation_that_is_declared_does_not_cost_others_their_sample() -> None:
    """`acceptance` reads the sample of `law`."""

    def recovers_from_target(p: Tensor, q: Tensor, x: Tensor, generator: torch.Generator) -> Tensor:
        rows = torch.arange(len(p))
        coins = coins_for(x, generator)
        kept = coins[:, 0] * q[rows, 0, x[:, 0]] < p[rows, x[:, 0]]
        return torch.where(kept, x[:, 0], torch.multinomial(p, 1, generator=generator)[:, 0])

    report = spectest.verify(recovers_from_target, vocab=5, checks=("law", "acceptance", "tail"), lossless=False)
    assert report.verdict == "pass"
    details = {case.check: case.detail for case in report.cases}
    assert details["law"].startswith("deviates by design")
    assert all(case.samples > 30_000 for case in report.cases if case.check == "acceptance")


def test_the_samples_of_a_later_stage() -> None:
    assert [grown(100, stage) for stage in range(3)] == [100, 400, 400]
