"""What only one row, tens of thousands of tokens, or rows far apart show: defects of those alone, and correct ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

import spectest
from spectest.checks.decision import grown
from spectest.zoo import controls
from spectest.zoo.core import toss, verify
from tests.checks.bench import SMALL, verdict
from tests.checks.seams import invert

pytestmark = pytest.mark.long

Tensor = torch.Tensor


def lenient_alone(p: Tensor, q: Tensor, x: Tensor, generator: torch.Generator) -> Tensor:
    """One row is accepted too easily."""
    leniency = 0.5 if len(p) == 1 else 1.0
    return verify(p, q, x, toss(x, generator), accepts=lambda coin, p, q: coin * q * leniency < p)


def neighbours_share_when_wide(p: Tensor, q: Tensor, x: Tensor, generator: torch.Generator) -> Tensor:
    """Rows 2k and 2k + 1 have one final coin, beyond 1024 tokens."""
    coins = toss(x, generator)
    if p.shape[1] > 1024:
        coins[1::2, -1] = coins[: len(p) // 2 * 2 : 2, -1]
    return verify(p, q, x, coins)


class StaleWhenWide:
    """A plan that is kept as long as the shape stays the same, beyond 4096 tokens."""

    def __init__(self) -> None:
        """No plan yet."""
        self.kept: tuple[Tensor, Tensor] | None = None

    def __call__(self, p: Tensor, q: Tensor, x: Tensor, generator: torch.Generator) -> Tensor:
        """See `verify`."""
        if p.shape[1] > 4096:
            if self.kept is None or self.kept[1].shape != q.shape:
                self.kept = p.clone(), q.clone()
            p, q = self.kept
        return verify(p, q, x, toss(x, generator))


def compact_when_sparse(p: Tensor, q: Tensor, x: Tensor, generator: torch.Generator) -> Tensor:
    """Where few of a thousand tokens have any mass, what is recovered comes from p itself."""
    if p.shape[1] > 1000 and int((p > 0).sum(1).max()) < 64:
        first, rest = p.multinomial(1, generator=generator)[:, 0], toss(x, generator)
        found = verify(p, q, x, rest)
        return torch.where((found[:, None] == x).any(1), found, first)
    return verify(p, q, x, toss(x, generator))


def test_a_few_tokens_of_many_are_tested_by_themselves() -> None:
    for small, vocab in ((3_000, (5, 17)), (20_000, (5, 3001))):
        settings = replace(SMALL, small=small, vocab=vocab)
        assert verdict("edge", "sparse", compact_when_sparse, settings).startswith("fail")
        assert verdict("edge", "sparse", controls.rrs_dense, settings).startswith("pass")
    assert verdict("edge", "rare-tokens", compact_when_sparse).startswith("pass")


@pytest.mark.parametrize("case", ["B1", "B2"])
def test_a_single_row_is_tested_by_itself(case: str) -> None:
    settings = replace(SMALL, small=100_000)
    assert verdict("batch", case, lenient_alone, settings).startswith("fail" if case == "B1" else "pass")


def test_rows_that_share_noise_only_at_a_wide_vocabulary() -> None:
    settings = replace(SMALL, calls=2_000)
    assert "rows 1 apart" in verdict("streams", "wide", neighbours_share_when_wide, settings)
    assert verdict("streams", "B64", neighbours_share_when_wide, settings).startswith("pass")
    assert verdict("streams", "wide", controls.rrs_dense, settings).startswith("pass")


def noise_of_random_rows(p: Tensor, q: Tensor, x: Tensor, generator: torch.Generator) -> Tensor:
    """Noise is drawn for the rows that are not one-hot, and read by the row's place, modulo."""
    drawn = max(1, int((p.max(1).values < 1).sum()))
    coins = toss(x[:drawn], generator)
    return verify(p, q, x, coins[torch.arange(len(p)) % drawn])


def test_rows_that_share_noise_only_beside_one_hot_ones() -> None:
    settings = replace(SMALL, calls=800)
    assert "depend on each other" in verdict("streams", "mixed", noise_of_random_rows, settings)
    assert verdict("streams", "B64", noise_of_random_rows, settings).startswith("pass")
    assert verdict("streams", "mixed", controls.rrs_dense, settings).startswith("pass")


def draft_taken_when_close(p: Tensor, q: Tensor, x: Tensor, generator: torch.Generator) -> Tensor:
    """The first draft is as good as the target, where the laws are within one per cent and tokens are many."""
    close = ((p - q[:, 0]).clamp(min=0).sum(1) < 0.01) & (p.gather(1, x[:, :1])[:, 0] > 0) & (p.shape[1] > 32)
    return torch.where(close, x[:, 0], verify(p, q, x, toss(x, generator)))


def test_a_draft_that_is_nearly_the_target_is_not_it() -> None:
    settings = replace(SMALL, delta=3e-3)
    assert verdict("edge", "close", draft_taken_when_close, settings).startswith("fail")
    assert verdict("edge", "close", controls.rrs_dense, settings).startswith("pass")


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
        return invert(q, coins)

    def select(p: Tensor, q: Tensor, x: Tensor, generator: torch.Generator) -> Tensor:
        coins = toss(x, generator)
        if stash and len(stash[0]) == len(p) > 1:
            rows = torch.arange(len(p))
            coins[:, -1] = stash[0][source(rows, len(p)) % len(p), 0]
        return verify(p, q, x, coins)

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
        return verify(p, q, x, toss(x, generator), residual=lambda left, q, x: left)

    report = spectest.verify(recovers_from_target, vocab=5, checks=("law", "acceptance", "tail"), lossless=False)
    assert report.verdict == "pass"
    details = {case.check: case.detail for case in report.cases}
    assert details["law"].startswith("deviates by design")
    assert all(case.samples > 30_000 for case in report.cases if case.check == "acceptance")


def test_the_samples_of_a_later_stage() -> None:
    assert [grown(100, stage) for stage in range(3)] == [100, 400, 400]
