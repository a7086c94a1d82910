"""`select`: the law of what comes out, acceptance, and what may never happen, for every scheme and drafting law."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import torch

from spectest import Problem, schemes
from spectest.problem import DRAFTING
from tests.schemes import enumeration as exact
from tests.schemes.sampled import (
    ALPHA,
    EdgeUniforms,
    acceptance_p_value,
    cast,
    draw_around,
    draw_drafts,
    generator,
    law_p_value,
    random_law,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

CASES = [(name, law) for name in ("recursive_rejection", "target_only") for law in schemes.get(name).laws]
CASES = [case for case in CASES if case[1] in schemes.get("recursive_rejection").laws]
BASELINES = ("k_seq", "greedy", "spechub", "gumbel_list", "greedy_block")
CASES += [("naive", "without_replacement"), *((name, law) for name in BASELINES for law in schemes.get(name).laws)]
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
DRAWS = 60_000


class Batch(NamedTuple):
    """Contiguous inputs of one problem, and the problem as the selector gets it."""

    target: torch.Tensor  # (V,)
    draft: torch.Tensor  # (n, V)
    ids: torch.Tensor  # (B, n)
    problem: Problem

    def tensors(self, *, expanded: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        rows = len(self.ids)
        target, draft = self.target.expand(rows, -1), self.draft.expand(rows, -1, -1)
        return (target, draft, self.ids) if expanded else (target.contiguous(), draft.contiguous(), self.ids)


def batch(
    rng: np.random.Generator, law: str, laws: tuple[NDArray[np.float64], NDArray[np.float64]], size: int, **how: Any
) -> Batch:
    """Cast laws p (V,) and q (n, V), draw `size` rows of drafts from what they then are."""
    dtype = how.get("dtype", torch.float64)
    (target, p), (draft, q) = cast(laws[0], dtype), cast(laws[1], dtype)
    n = DRAFTING[law].drafts(len(q), int((q[0] > 0).sum()))
    q, draft = q[:n], draft[:n]
    problem = Problem(p, q if law == "independent" else q[0], n, law)
    if law in {"greedy", "hub"}:
        return Batch(target, draft, draw_around(rng, q[0], n, size, hub=law == "hub"), problem)
    return Batch(target, draft, draw_drafts(rng, q, size, distinct=law == "without_replacement"), problem)


def random_laws(
    rng: np.random.Generator, law: str, vocab: int, n: int = 3
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if law == "independent":
        return random_law(rng, vocab), random_law(rng, n, vocab)
    draft = random_law(rng, vocab)
    while law == "hub" and vocab > 1 and (draft > 0).sum() == 1:  # a batch has one n: two, like its other problems
        draft = random_law(rng, vocab)
    return random_law(rng, vocab), np.tile(draft, (n, 1))


def check(scheme: schemes.Scheme, drawn: Batch, tokens: torch.Tensor) -> None:
    assert tokens.shape == (len(drawn.ids),)
    assert tokens.dtype == torch.int64
    assert law_p_value(tokens, drawn.problem.target) > ALPHA
    assert acceptance_p_value(tokens, drawn.ids, scheme.acceptance(drawn.problem)) > ALPHA


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("vocab", [1, 2, 5, 64, 257])
@pytest.mark.parametrize(("name", "law"), CASES)
def test_law_and_acceptance_of_expanded_inputs(name: str, law: str, vocab: int, dtype: torch.dtype, seed: int) -> None:
    rng, scheme = np.random.default_rng(seed), schemes.get(name, drafting=law)
    drawn = batch(rng, law, random_laws(rng, law, vocab), DRAWS if vocab <= 64 else 20_000, dtype=dtype)
    check(scheme, drawn, scheme.select(*drawn.tensors(expanded=True), generator(seed)))


@pytest.mark.parametrize("dtype", DTYPES[:3], ids=str)
@pytest.mark.parametrize("vocab", [1, 2, 5, 64, 257])
@pytest.mark.parametrize(("name", "law"), CASES)
def test_law_and_acceptance_of_mixed_batches(name: str, law: str, vocab: int, dtype: torch.dtype, seed: int) -> None:
    """Two problems, row by row in turn: a selector that reads another row's law fails both."""
    rng, scheme = np.random.default_rng(seed), schemes.get(name, drafting=law)
    size = min(DRAWS, 750_000 // vocab) // 2
    pair = [random_laws(rng, law, vocab) for _ in range(2)]
    # Without replacement one problem may have fewer tokens to draw, and a batch has one n.
    n = min(len(batch(rng, law, laws, 1, dtype=dtype).draft) for laws in pair)
    first, second = (batch(rng, law, (target, draft[:n]), size, dtype=dtype) for target, draft in pair)
    parts = zip(first.tensors(expanded=False), second.tensors(expanded=False), strict=True)
    mixed = [torch.stack(pair, dim=1).flatten(0, 1) for pair in parts]
    tokens = scheme.select(mixed[0], mixed[1], mixed[2], generator(seed))
    check(scheme, first, tokens[0::2])
    check(scheme, second, tokens[1::2])


@pytest.mark.parametrize("expanded", [False, True])
@pytest.mark.parametrize("law", schemes.get("single_draft").laws)
def test_single_draft(law: str, expanded: bool, seed: int) -> None:  # noqa: FBT001 (a parameter of the test)
    rng, scheme = np.random.default_rng(seed), schemes.get("single_draft", drafting=law)
    drawn = batch(rng, law, random_laws(rng, law, 16, n=1), DRAWS)
    check(scheme, drawn, scheme.select(*drawn.tensors(expanded=expanded), generator(seed)))


def residual_from_target(p: torch.Tensor, q: torch.Tensor, ids: torch.Tensor, g: torch.Generator) -> torch.Tensor:
    """Planted: after a rejection, draw from the target."""
    rows = torch.arange(len(ids))
    x = ids[:, 0]
    accepted = torch.rand(len(ids), generator=g) * q[rows, 0, x] < p[rows, x]
    return torch.where(accepted, x, torch.multinomial(p, 1, generator=g).squeeze(1))


def test_planted_defects_are_found(seed: int) -> None:
    """What passes above has power: drafts of the other law (TV .07 and .12) and a classic bug (TV .14)."""
    rng = np.random.default_rng(seed)
    laws = (np.array(exact.P6[0], dtype=np.float64), np.tile(np.array(exact.P6[1], dtype=np.float64), (2, 1)))
    for drafting, selecting in (
        ("with_replacement", "without_replacement"),
        ("without_replacement", "with_replacement"),
    ):
        drawn = batch(rng, drafting, laws, DRAWS)
        tokens = schemes.get("recursive_rejection", drafting=selecting).select(
            *drawn.tensors(expanded=False), generator(seed)
        )
        assert law_p_value(tokens, drawn.problem.target) < ALPHA
    drawn = batch(rng, "with_replacement", laws, DRAWS)
    tokens = residual_from_target(*drawn.tensors(expanded=False), generator(seed))
    assert law_p_value(tokens, drawn.problem.target) < ALPHA
    tokens = schemes.get("target_only").select(*drawn.tensors(expanded=False), generator(seed))
    assert acceptance_p_value(tokens, drawn.ids, schemes.get("recursive_rejection").acceptance(drawn.problem)) < ALPHA


@pytest.mark.parametrize("value", [0.0, 2.0**-53, 0.5, 1 - 2.0**-53])
@pytest.mark.parametrize("expanded", [False, True])
@pytest.mark.parametrize(("name", "law"), CASES)
def test_no_token_of_target_probability_zero(
    name: str,
    law: str,
    expanded: bool,  # noqa: FBT001 (a parameter of the test)
    value: float,
    seed: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng, scheme = np.random.default_rng(seed), schemes.get(name, drafting=law)
    for module in ("common.sampling", "common.winner", "recursive_rejection.plans", "k_seq.plan", "gumbel_list.sheets"):
        monkeypatch.setattr(f"spectest.schemes.{module}.uniforms", EdgeUniforms(value))
    for vocab in (2, 5, 64):
        drawn = batch(rng, law, random_laws(rng, law, vocab), 500)
        tokens = scheme.select(*drawn.tensors(expanded=expanded), generator(seed))
        assert bool((drawn.target[tokens] > 0).all())
        # The first, the last and every other token without mass: the ends of the inverse CDF.
        target = drawn.target.clone()
        target[0] = target[-1] = target[2::2] = 0
        if target.sum() > 0:
            tokens = scheme.select(*drawn._replace(target=target).tensors(expanded=expanded), generator(seed))
            assert bool((target[tokens] > 0).all())


@pytest.mark.parametrize("expanded", [False, True])
@pytest.mark.parametrize(("name", "law"), CASES)
def test_ordinary_degenerate_problems(name: str, law: str, expanded: bool, seed: int) -> None:  # noqa: FBT001
    rng, scheme = np.random.default_rng(seed), schemes.get(name, drafting=law)
    uniform, one_hot = np.full(4, 0.25), np.eye(4)[2]
    half, other = np.array([0.5, 0.5, 0, 0]), np.array([0, 0.5, 0.5, 0])
    for p, q, n in (
        (uniform, uniform, 3),
        (uniform, uniform, 4),
        (half, other, 2),
        (one_hot, uniform, 4),
        (uniform, one_hot, 1),
        (one_hot, one_hot, 1),
        (half, one_hot, 1),
    ):
        drawn = batch(rng, law, (p, np.tile(q, (n, 1))), 20_000)
        check(scheme, drawn, scheme.select(*drawn.tensors(expanded=expanded), generator(seed)))


def test_more_drafts_than_the_draft_law_has_tokens(seed: int) -> None:
    """Once q is used up, the next draft is uniform over the tokens not tried: lossless then, too."""
    rng = np.random.default_rng(seed)
    target = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    draft = torch.tensor([0.7, 0.3, 0.0, 0.0], dtype=torch.float64)
    first = (rng.random(DRAWS) >= 0.7).astype(np.int64)
    third = 2 + rng.integers(0, 2, DRAWS)
    for columns in ([first, 1 - first, third], [first, 1 - first, third, 5 - third]):
        ids = torch.from_numpy(np.stack(columns, axis=1))
        drawn = Batch(target, draft.expand(len(columns), -1), ids, Problem(target.numpy(), draft.numpy()))
        for expanded in (False, True):
            scheme = schemes.get("recursive_rejection", drafting="without_replacement")
            tokens = scheme.select(*drawn.tensors(expanded=expanded), generator(seed))
            assert law_p_value(tokens, target.numpy()) > ALPHA


@pytest.mark.parametrize("expanded", [False, True])
@pytest.mark.parametrize(("name", "law"), CASES)
def test_the_generator_is_the_only_randomness(name: str, law: str, expanded: bool, seed: int) -> None:  # noqa: FBT001
    rng, scheme = np.random.default_rng(seed), schemes.get(name, drafting=law)
    drawn = batch(rng, law, random_laws(rng, law, 64), 500)
    tensors = drawn.tensors(expanded=expanded)
    before = torch.get_rng_state()
    once, again, other = (scheme.select(*tensors, generator(s)) for s in (seed, seed, seed + 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(once, again)
    assert not torch.equal(once, other)


@pytest.mark.parametrize("dtype", DTYPES[:3], ids=str)
@pytest.mark.parametrize("expanded", [False, True])
@pytest.mark.parametrize(("name", "law"), CASES)
def test_inputs_are_left_as_they_are(name: str, law: str, expanded: bool, dtype: torch.dtype, seed: int) -> None:  # noqa: FBT001
    rng, scheme = np.random.default_rng(seed), schemes.get(name, drafting=law)
    drawn = batch(rng, law, random_laws(rng, law, 64), 500, dtype=dtype)
    tensors = drawn.tensors(expanded=expanded)
    before = [tensor.clone() for tensor in tensors]
    tokens = scheme.select(*tensors, generator(seed))
    assert all(torch.equal(tensor, copy) for tensor, copy in zip(tensors, before, strict=True))
    tokens += 1  # the result is nobody else's memory
    assert torch.equal(tensors[2], before[2])


@pytest.mark.parametrize(("name", "law"), CASES)
@pytest.mark.parametrize("size", [0, 1])
def test_small_batches(name: str, law: str, size: int, seed: int) -> None:
    rng, scheme = np.random.default_rng(seed), schemes.get(name, drafting=law)
    drawn = batch(rng, law, random_laws(rng, law, 5), size)
    tokens = scheme.select(*drawn.tensors(expanded=True), generator(seed))
    assert tokens.shape == (size,)
    assert tokens.dtype == torch.int64


@pytest.mark.parametrize(("name", "law"), CASES)
def test_expanded_rows_are_never_materialised(name: str, law: str, seed: int) -> None:
    """A batch whose (B, n, V) would take 60 GB."""
    rng, scheme = np.random.default_rng(seed), schemes.get(name, drafting=law)
    rows, vocab = 20_000, 128_000
    target, draft = (torch.from_numpy(rng.dirichlet(np.ones(vocab))) for _ in range(2))
    n = DRAFTING[law].drafts(3, vocab)
    ids = torch.from_numpy(rng.integers(0, vocab - n, (rows, 1)) + np.arange(n))
    tokens = scheme.select(target.expand(rows, -1), draft.expand(rows, n, -1), ids, generator(seed))
    assert bool((target[tokens] > 0).all())


@pytest.mark.cuda
@pytest.mark.parametrize("expanded", [False, True])
@pytest.mark.parametrize(("name", "law"), CASES)
def test_law_and_acceptance_on_cuda(name: str, law: str, expanded: bool, seed: int) -> None:  # noqa: FBT001
    rng, scheme = np.random.default_rng(seed), schemes.get(name, drafting=law)
    for vocab in (1, 5, 257, 4096):
        drawn = batch(rng, law, random_laws(rng, law, vocab), 20_000 if vocab < 1000 else 2_000)
        target, draft, ids = (tensor.cuda() for tensor in (drawn.target, drawn.draft, drawn.ids))
        rows = len(ids)
        target, draft = target.expand(rows, -1), draft.expand(rows, -1, -1)
        if not expanded:
            target, draft = target.contiguous(), draft.contiguous()
        tokens = scheme.select(target, draft, ids, torch.Generator("cuda").manual_seed(seed))
        assert tokens.device == ids.device
        check(scheme, drawn, tokens.cpu())
