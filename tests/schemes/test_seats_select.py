"""Seats, selecting: the law of what comes out, acceptance, and what may never happen, whatever the batch."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from spectest import Problem, UsageError, schemes
from tests.schemes.sampled import (
    ALPHA,
    EdgeUniforms,
    acceptance_p_value,
    cast,
    draw_drafts,
    generator,
    law_p_value,
    random_law,
)

CASES = [("with_replacement", 4), ("independent", 3), ("without_replacement", 2)]
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
DRAWS = 40_000


class Batch:
    """`size` rows of one random problem, cast to `dtype`, with drafts of what it then is."""

    def __init__(self, rng: np.random.Generator, law: str, shape: tuple[int, int], size: int, **how: Any) -> None:
        vocab, n = shape
        dtype = how.get("dtype", torch.float64)
        rows = random_law(rng, n, vocab) if law == "independent" else np.tile(random_law(rng, vocab), (n, 1))
        while law == "without_replacement" and (rows[0] > 0).sum() < n:
            rows = np.tile(random_law(rng, vocab), (n, 1))
        (self.target, p), (self.draft, q) = cast(random_law(rng, vocab), dtype), cast(rows, dtype)
        self.problem = Problem(p, q if law == "independent" else q[0], n, law)
        self.ids = draw_drafts(rng, q, size, distinct=law == "without_replacement")

    def tensors(self, *, expanded: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        rows = len(self.ids)
        target, draft = self.target.expand(rows, -1), self.draft.expand(rows, -1, -1)
        return (target, draft, self.ids) if expanded else (target.contiguous(), draft.contiguous(), self.ids)

    def check(self, tokens: torch.Tensor) -> None:
        assert tokens.shape == (len(self.ids),)
        assert tokens.dtype == torch.int64
        assert law_p_value(tokens, self.problem.target) > ALPHA
        assert acceptance_p_value(tokens, self.ids, schemes.get("seats").acceptance(self.problem)) > ALPHA


@pytest.mark.parametrize(("vocab", "dtype"), [(2, DTYPES[0]), (5, DTYPES[1]), *((64, dtype) for dtype in DTYPES)])
@pytest.mark.parametrize(("law", "n"), CASES)
def test_law_and_acceptance_of_expanded_inputs(law: str, n: int, vocab: int, dtype: torch.dtype, seed: int) -> None:
    drawn = Batch(np.random.default_rng(seed), law, (vocab, n), DRAWS, dtype=dtype)
    drawn.check(schemes.get("seats", drafting=law).select(*drawn.tensors(expanded=True), generator(seed)))


@pytest.mark.parametrize("vocab", [2, 5, 64, 257])
@pytest.mark.parametrize(("law", "n"), CASES)
def test_law_and_acceptance_of_mixed_batches(law: str, n: int, vocab: int, seed: int) -> None:
    """Two problems, row by row in turn: a selector that reads another row's plan fails both."""
    rng = np.random.default_rng(seed)
    first, second = (Batch(rng, law, (vocab, n), min(DRAWS, 500_000 // vocab) // 2) for _ in range(2))
    parts = zip(first.tensors(expanded=False), second.tensors(expanded=False), strict=True)
    mixed = [torch.stack(pair, dim=1).flatten(0, 1) for pair in parts]
    tokens = schemes.get("seats", drafting=law).select(mixed[0], mixed[1], mixed[2], generator(seed))
    first.check(tokens[0::2])
    second.check(tokens[1::2])


@pytest.mark.parametrize("common", ["target", "draft"])
@pytest.mark.parametrize(("law", "n"), CASES)
def test_rows_that_have_only_one_law_in_common(law: str, n: int, common: str, seed: int) -> None:
    """An expanded target with drafts of its own in every row, and the converse, are not one problem."""
    rng, vocab = np.random.default_rng(seed), 5
    pair = [Batch(rng, law, (vocab, n), DRAWS // 2) for _ in range(2)]
    first, second = (drawn.problem for drawn in pair)
    if common == "target":
        pair[1].problem = Problem(first.target, second.draft, n, law)
    else:
        pair[1].problem = Problem(second.target, first.draft, n, law)
        pair[1].ids = draw_drafts(rng, first.draft_rows, DRAWS // 2, distinct=law == "without_replacement")
    targets = torch.stack([torch.tensor(drawn.problem.target) for drawn in pair]).repeat(DRAWS // 2, 1)
    drafts = torch.stack([torch.tensor(drawn.problem.draft_rows.copy()) for drawn in pair]).repeat(DRAWS // 2, 1, 1)
    if common == "target":
        targets = targets[0].expand(DRAWS, -1)
    else:
        drafts = drafts[0].expand(DRAWS, -1, -1)
    ids = torch.stack([drawn.ids for drawn in pair], dim=1).flatten(0, 1)
    tokens = schemes.get("seats", drafting=law).select(targets, drafts, ids, generator(seed))
    for k, drawn in enumerate(pair):
        drawn.check(tokens[k::2])


@pytest.mark.parametrize("value", [0.0, 2.0**-53, 0.5, 1 - 2.0**-53])
@pytest.mark.parametrize("expanded", [False, True])
@pytest.mark.parametrize(("law", "n"), CASES)
def test_no_token_of_target_probability_zero(
    law: str,
    n: int,
    expanded: bool,  # noqa: FBT001 (a parameter of the test)
    value: float,
    seed: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in ("seats.winner", "seats.selecting", "common.winner"):
        monkeypatch.setattr(f"spectest.schemes.{module}.uniforms", EdgeUniforms(value))
    for vocab in (2, 5, 64):
        drawn = Batch(np.random.default_rng(seed), law, (vocab, n), 500)
        # The first, the last and every other token without mass: the ends of the inverse CDF.
        emptied = drawn.target.clone()
        emptied[0] = emptied[-1] = emptied[2::2] = 0
        for target in (drawn.target, emptied) if emptied.sum() > 0 else (drawn.target,):
            drawn.target = target
            tokens = schemes.get("seats", drafting=law).select(*drawn.tensors(expanded=expanded), generator(seed))
            assert bool((target[tokens] > 0).all())


@pytest.mark.parametrize("expanded", [False, True])
@pytest.mark.parametrize(("law", "n"), CASES)
def test_ordinary_degenerate_problems(law: str, n: int, expanded: bool, seed: int) -> None:  # noqa: FBT001
    uniform, one_hot = np.full(4, 0.25), np.eye(4)[2]
    half, other = np.array([0.5, 0.5, 0, 0]), np.array([0, 0.5, 0.5, 0])
    for p, q in (
        (uniform, uniform),
        (half, other),
        (one_hot, uniform),
        (half, uniform),
        (uniform, half),
        (uniform, one_hot),
        (one_hot, one_hot),
        (half, one_hot),
    ):
        distinct = law == "without_replacement"
        drafts = 1 if distinct and q is one_hot else n
        rows = np.tile(q, (drafts, 1))
        drawn = Batch(np.random.default_rng(seed), law, (4, drafts), 1)
        drawn.target, drawn.draft = torch.from_numpy(p), torch.from_numpy(rows)
        drawn.ids = draw_drafts(np.random.default_rng(seed), rows, 20_000, distinct=distinct)
        drawn.problem = Problem(p, rows if law == "independent" else q, drafts, law)
        drawn.check(schemes.get("seats", drafting=law).select(*drawn.tensors(expanded=expanded), generator(seed)))


@pytest.mark.parametrize("expanded", [False, True])
def test_a_second_draft_where_the_draft_law_has_one_token(expanded: bool, seed: int) -> None:  # noqa: FBT001
    """Whatever the second draft is then, the first is the winner, and what comes out follows the target."""
    target, draft = torch.tensor([0.1, 0.2, 0.3, 0.4]).double(), torch.tensor([[0.0, 1, 0, 0]]).double()
    size = 40_000
    ids = torch.stack((torch.ones(size, dtype=torch.int64), torch.arange(size) % 2 * 2), dim=1)
    laws = target.expand(size, -1), draft.expand(size, 2, -1)
    if not expanded:
        laws = laws[0].contiguous(), laws[1].contiguous()
    tokens = schemes.get("seats", drafting="without_replacement").select(*laws, ids, generator(seed))
    assert law_p_value(tokens, target.numpy()) > ALPHA


@pytest.mark.parametrize(("law", "n"), CASES)
def test_drafts_that_could_not_have_been_drawn(law: str, n: int, seed: int) -> None:
    """They count as what the target holds elsewhere, which has the highest seat and is never rejected: token 0 here."""
    target = torch.tensor([0.5, 0.5, 0, 0]).double().expand(100, -1)
    draft = torch.tensor([0.0, 0.5, 0.5, 0]).double().expand(100, n, -1)
    ids = torch.arange(n).flip(0).expand(100, -1)
    tokens = schemes.get("seats", drafting=law).select(target, draft, ids, generator(seed))
    assert bool((tokens == 0).all())


@pytest.mark.parametrize("expanded", [False, True])
@pytest.mark.parametrize(("law", "n"), CASES)
def test_the_generator_is_the_only_randomness(law: str, n: int, expanded: bool, seed: int) -> None:  # noqa: FBT001
    drawn = Batch(np.random.default_rng(seed), law, (64, n), 500)
    tensors = drawn.tensors(expanded=expanded)
    kept, before = [tensor.clone() for tensor in tensors], torch.get_rng_state()
    select = schemes.get("seats", drafting=law).select
    once, again, other = (select(*tensors, generator(s)) for s in (seed, seed, seed + 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert all(torch.equal(tensor, copy) for tensor, copy in zip(tensors, kept, strict=True)), "left as they are"


@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize("vocab", [1, 5])
@pytest.mark.parametrize(("law", "n"), CASES)
def test_small_batches(law: str, n: int, vocab: int, size: int, seed: int) -> None:
    if law == "without_replacement" and vocab == 1:
        n = 1
    drawn = Batch(np.random.default_rng(seed), law, (vocab, n), size)
    tokens = schemes.get("seats", drafting=law).select(*drawn.tensors(expanded=True), generator(seed))
    assert tokens.shape == (size,)
    assert tokens.dtype == torch.int64


@pytest.mark.parametrize(("law", "n"), CASES)
def test_expanded_rows_are_never_materialised(law: str, n: int, seed: int) -> None:
    """A batch whose (B, n, V) would take 40 GB or more."""
    rng, rows, vocab = np.random.default_rng(seed), 20_000, 128_000
    target, draft = (torch.from_numpy(rng.dirichlet(np.ones(vocab))) for _ in range(2))
    ids = torch.from_numpy(rng.integers(0, vocab - n, (rows, 1)) + np.arange(n))
    select = schemes.get("seats", drafting=law).select
    tokens = select(target.expand(rows, -1), draft.expand(rows, n, -1), ids, generator(seed))
    assert bool((target[tokens] > 0).all())


def test_three_distinct_drafts_are_refused() -> None:
    select = partial(schemes.get("seats", drafting="without_replacement").select, torch.full((2, 4), 0.25))
    with pytest.raises(UsageError, match="at most two drafts per row for seats without replacement, got 3"):
        select(torch.full((2, 3, 4), 0.25), torch.arange(3).expand(2, -1), torch.Generator())


@pytest.mark.cuda
@pytest.mark.parametrize("expanded", [False, True])
@pytest.mark.parametrize(("law", "n"), CASES)
def test_law_and_acceptance_on_cuda(law: str, n: int, expanded: bool, seed: int) -> None:  # noqa: FBT001
    for vocab in (2, 5, 257, 1024):
        drawn = Batch(np.random.default_rng(seed), law, (vocab, n), 20_000 if vocab < 1000 else 2_000)
        target, draft, ids = (tensor.cuda() for tensor in (drawn.target, drawn.draft, drawn.ids))
        target, draft = target.expand(len(ids), -1), draft.expand(len(ids), -1, -1)
        if not expanded:
            target, draft = target.contiguous(), draft.contiguous()
        select = schemes.get("seats", drafting=law).select
        tokens = select(target, draft, ids, torch.Generator("cuda").manual_seed(seed))
        assert tokens.device == ids.device
        drawn.check(tokens.cpu())
