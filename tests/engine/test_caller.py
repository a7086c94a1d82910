"""Calling a selector by each convention, and everything that may come back."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from spectest.declaration import Declaration
from spectest.engine import (
    BadOutput,
    Call,
    LocalSession,
)
from spectest.engine.backends import backend_of
from spectest.engine.caller import Randomness
from tests.engine.calling import ROWS, N, V, call_once, returning
from tests.engine.samples import prepared

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = ("generator", "global", "seed", "uniforms")


# --- what is handed over -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("array", ["torch", "numpy"])
@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("rng", KINDS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_arguments(array: str, batched: bool, rng: str, dtype: str) -> None:  # noqa: FBT001
    if array == "numpy" and dtype == "bfloat16":
        return
    seen: list[tuple[Any, ...]] = []

    def select(*arguments: Any) -> Any:
        seen.append(arguments)
        return arguments[2][:, 0] if batched else int(arguments[2][0])

    outcome = call_once(select, array=array, batched=batched, rng=rng, dtype=dtype)
    assert outcome.tokens.tolist() == outcome.ids[:, 0].tolist()
    assert outcome.tokens.dtype == np.int64
    assert len(seen) == (1 if batched else ROWS)
    lead = (ROWS,) if batched else ()
    problem = prepared(dtype=dtype)
    kind = torch.Tensor if array == "torch" else np.ndarray
    for row, arguments in enumerate(seen):
        target, draft, ids, *fourth = arguments
        assert all(isinstance(item, kind) for item in (target, draft, ids))
        assert [str(item.dtype).removeprefix("torch.") for item in (target, draft, ids)] == [dtype, dtype, "int64"]
        assert [tuple(item.shape) for item in (target, draft, ids)] == [(*lead, V), (*lead, N, V), (*lead, N)]
        for item in (target, draft, ids):
            assert item.is_contiguous() if array == "torch" else item.flags.c_contiguous
        shown = np.asarray(target.double() if array == "torch" else target)
        assert np.array_equal(np.broadcast_to(shown, (*lead, V)), np.broadcast_to(problem.target, (*lead, V)))
        assert np.array_equal(np.asarray(ids), outcome.ids if batched else outcome.ids[row])
        if rng == "global":
            assert not fourth
        elif rng == "generator":
            assert isinstance(fourth[0], torch.Generator if array == "torch" else np.random.Generator)
        elif rng == "seed":
            assert type(fourth[0]) is int
            assert 0 <= fourth[0] < 2**31
        else:
            assert isinstance(fourth[0], kind)
            assert str(fourth[0].dtype).removeprefix("torch.") == "float64"
            assert tuple(fourth[0].shape) == (*lead, N + 1)
            assert bool(((fourth[0] >= 0) & (fourth[0] < 1)).all())


def test_independent_drafters_are_handed_over_in_order() -> None:
    seen = []

    def select(p: Any, q: Any, ids: Any, rng: Any) -> Any:
        seen.append(q.numpy().copy())
        return ids[:, 0]

    call_once(select, drafting="independent")
    assert np.array_equal(seen[0], np.broadcast_to(prepared(drafting="independent").draft, (ROWS, N, V)))


def draws(kind: str, array: str, batched: bool) -> Callable[..., Any]:  # noqa: FBT001
    """Return a selector whose answer is its randomness."""

    def number(fourth: tuple[Any, ...], rows: int) -> Any:
        if kind == "uniforms":
            found = fourth[0].reshape(rows, -1)[:, -1]
            return (found * V).long() if array == "torch" else (found * V).astype(np.int64)
        if array == "numpy":
            source = {"generator": lambda: fourth[0], "seed": lambda: np.random.default_rng(fourth[0])}
            if kind == "global":
                return np.random.randint(V, size=rows) * 0 + (np.random.randint(V, size=rows) + random.randrange(V)) % V
            return source[kind]().integers(V, size=rows)
        generator = {"generator": lambda: fourth[0], "seed": lambda: torch.Generator().manual_seed(fourth[0])}
        return torch.randint(V, (rows,), generator=generator[kind]() if kind in generator else None)

    def select(p: Any, q: Any, ids: Any, *fourth: Any) -> Any:
        return number(fourth, len(p)) if batched else number(fourth, 1)[0]

    return select


@pytest.mark.parametrize("array", ["torch", "numpy"])
@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("rng", KINDS)
def test_the_seed_decides(array: str, batched: bool, rng: str) -> None:  # noqa: FBT001
    select = draws(rng, array, batched)
    declared: Any = {"array": array, "batched": batched, "rng": rng, "rows": 60}
    first, again, other = (call_once(select, seed=seed, **declared) for seed in (5, 5, 6))
    assert np.array_equal(first.tokens, again.tokens)
    assert np.array_equal(first.ids, again.ids)
    assert not np.array_equal(first.tokens, other.tokens)
    assert len(set(first.tokens.tolist())) > 1


def test_randomness_is_fresh_for_every_call_and_never_repeats() -> None:
    declaration = Declaration(array="numpy", rng="seed")
    randomness = Randomness(declaration, backend_of(declaration), 1)
    seeds = [randomness.arguments(2, N)[0] for _ in range(5000)]
    assert len(set(seeds)) > 4990  # of 2^31: a coincidence now and then
    declaration = Declaration(array="numpy", rng="uniforms")
    randomness = Randomness(declaration, backend_of(declaration), 1)
    uniforms = np.concatenate([randomness.arguments(7, N)[0].ravel() for _ in range(500)])
    assert np.unique(uniforms).size == uniforms.size == 500 * 7 * (N + 1)


# --- what comes back ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (lambda ids: ids[:, :1], "int64 of shape (6,), got int64 of shape (6, 1)"),
        (lambda ids: ids[:-1, 0], "got int64 of shape (5,)"),
        (lambda ids: ids[0, 0], "got int64 of shape ()"),
        (lambda ids: ids[:, 0].int(), "got int32 of shape (6,)"),
        (lambda ids: ids[:, 0].bool(), "got bool of shape (6,)"),
        (lambda ids: ids[:, 0].double(), "got float64 of shape (6,)"),
        (lambda ids: ids[:, 0] * torch.nan, "got float32 of shape (6,)"),
        (lambda ids: None, "a torch tensor of shape (6,), got nothing (None)"),
        (lambda ids: ids[:, 0].tolist(), "got an object of type list"),
        (lambda ids: ids[:, 0].numpy(), "got an object of type ndarray"),
        (lambda ids: 1, "got an object of type int"),
        (lambda ids: (ids[:, 0], None), "got an object of type tuple"),
        (lambda ids: ids[:, 0] * 0 + V, "must lie in [0, 5), got 5 in row 0"),
        (lambda ids: ids[:, 0] * 0 - 1, "got -1 in row 0"),
        (lambda ids: torch.tensor([0, 0, 0, 2**62, 0, 0]), f"got {2**62} in row 3"),
        (lambda ids: torch.tensor([0, 0, 0, -(2**62), 9, 0]), f"got -{2**62} in row 3"),
        (lambda ids: ids[:, 0].to("meta"), "on cpu, got one on meta"),
    ],
)
def test_bad_outputs_of_torch_selectors(output: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(BadOutput) as caught:
        returning(output)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (lambda ids: ids[:, :1], "int64 of shape (6,), got int64 of shape (6, 1)"),
        (lambda ids: ids[:, 0].astype(np.int32), "got int32 of shape (6,)"),
        (lambda ids: ids[:, 0].astype(np.uint64), "got uint64 of shape (6,)"),
        (lambda ids: ids[:, 0].astype(object), "got object of shape (6,)"),
        (lambda ids: ids[:, 0] * np.nan, "got float64 of shape (6,)"),
        (lambda ids: torch.from_numpy(ids[:, 0]), "a numpy array of shape (6,), got an object of type Tensor"),
        (lambda ids: None, "got nothing (None)"),
        (lambda ids: ids[:, 0] + V, "must lie in [0, 5)"),
    ],
)
def test_bad_outputs_of_numpy_selectors(output: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(BadOutput) as caught:
        returning(output, array="numpy")
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (lambda ids: ids[:1], "one int, got int64 of shape (1,)"),
        (lambda ids: float(ids[0]), "got an object of type float"),
        (lambda ids: ids[0] * 1.0, "got float32 of shape ()"),
        (lambda ids: ids[0] > 2, "got bool of shape ()"),
        (lambda ids: True, "got an object of type bool"),
        (lambda ids: None, "got an object of type NoneType"),
        (lambda ids: "1", "got an object of type str"),
        (lambda ids: V, "must lie in [0, 5), got 5 in row 0"),
        (lambda ids: -1, "got -1 in row 0"),
        (lambda ids: 10**30, f"got {10**30} in row 0"),
    ],
)
def test_bad_outputs_of_unbatched_selectors(output: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(BadOutput) as caught:
        returning(output, batched=False)
    assert message in caught.value.message.replace("torch.", "")


@pytest.mark.parametrize(
    "output",
    [
        lambda ids: ids[0],
        lambda ids: int(ids[0]),
        lambda ids: ids[0].int(),
        lambda ids: ids[0].numpy()[()],
        lambda ids: np.int32(ids[0]),
        lambda ids: np.array(int(ids[0])),
        lambda ids: ids[0].to(torch.uint8),
    ],
)
def test_every_kind_of_int_is_one(output: Callable[[Any], Any]) -> None:
    outcome = returning(output, batched=False)
    assert outcome.tokens.tolist() == outcome.ids[:, 0].tolist()


def test_views_of_the_drafts_are_answers() -> None:
    for array in ("torch", "numpy"):
        outcome = returning(lambda ids: ids[:, 1], array=array)
        assert outcome.tokens.tolist() == outcome.ids[:, 1].tolist()
    one = prepared(n_drafts=1)
    call = Call((one,), np.zeros(ROWS, dtype=np.int64), 1)
    outcome = LocalSession(lambda p, q, ids, rng: ids.view(-1)).call(call)  # the very tensor, in another shape
    assert outcome.tokens.tolist() == outcome.ids[:, 0].tolist()
