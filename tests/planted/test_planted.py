"""The planted selectors are what they are called: the correct ones correct, no defect lossless by accident."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from scipy import stats

from tests.planted import correct, defects
from tests.planted.defects import accept, calls, core, law, protocol
from tests.planted.independent import (
    PROBLEMS,
    Batch,
    acceptance_of,
    dependence,
    deviation,
    draft_rows,
    load,
    sample,
    sample_calls,
)

if TYPE_CHECKING:
    from collections.abc import Callable

SOUND, WRONG = 1e-9, 1e-12  # a p-value above the first is no deviation, one below the second is
NOTICEABLE = 0.01  # total variation
SIZE = 50_000


def of_kind(*kinds: str) -> list[str]:
    """Return the defects of these kinds."""
    return [name for name, kind in defects.DEFECTIVE.items() if kind in kinds]


def size_for(select: Callable[..., Any], name: str) -> int:
    """Return how many rows are affordable."""
    if not Batch(select, ("trivial",), 1).declared.batched:
        return 3_000
    return SIZE if PROBLEMS[name][0].size < 100 else 12_000


def conforms(out: object, size: int, vocab: int) -> bool:
    """Whether an answer obeys the protocol."""
    array = out.numpy() if isinstance(out, torch.Tensor) else out
    if not isinstance(array, np.ndarray) or array.dtype != np.int64 or array.shape != (size,):
        return False
    return bool(((array >= 0) & (array < vocab)).all())


def test_tables_name_what_exists() -> None:
    """Every entry is an attribute, and there is enough of everything."""
    assert len(correct.CORRECT) >= 12
    assert len(defects.DEFECTIVE) >= 35
    assert all(callable(getattr(correct, name)) for name in correct.CORRECT)
    assert all(callable(defects.get(name)) for name in defects.DEFECTIVE)
    assert set(defects.ADDRESSES) == set(defects.DEFECTIVE)
    assert {*defects.NEEDS, *defects.MILD} <= set(defects.DEFECTIVE)


@pytest.mark.parametrize("problem", ["generic", "holes", "ties", "wide"])
@pytest.mark.parametrize("name", correct.CORRECT)
def test_correct_law_and_acceptance(name: str, problem: str) -> None:
    """Law by chi-squared; acceptance, where a scheme is declared, against its closed form."""
    select = getattr(correct, name)
    tokens, ids = sample(select, (problem,), size_for(select, problem))
    p_value, variation = deviation(tokens, problem)
    assert p_value > SOUND, f"TV {variation:.4f}"
    declared = Batch(select, (problem,), 1).declared
    scheme = declared.scheme
    if scheme is None or declared.drafting == "without_replacement":
        return
    target, draft = PROBLEMS[problem]
    exact = acceptance_of(scheme, target, draft_rows(draft, declared.drafting, declared.n_drafts))
    accepted = int((ids == tokens[:, None]).any(1).sum())
    assert stats.binomtest(accepted, len(tokens), min(exact, 1.0)).pvalue > SOUND, (accepted / len(tokens), exact)


@pytest.mark.parametrize("name", correct.CORRECT)
def test_correct_protocol(name: str) -> None:
    """On ordinary and degenerate problems: dtype, shape, range, support, replay, inputs untouched; mixed rows."""
    select = getattr(correct, name)
    for problem in PROBLEMS:
        batch = Batch(select, (problem,), 200)
        before = [tensor.clone() for tensor in (batch.target, batch.draft, batch.ids)]
        first, second = batch.call(select, seed=7), batch.call(select, seed=7)
        assert conforms(first, 200, PROBLEMS[problem][0].size)
        assert (np.asarray(first) == np.asarray(second)).all()
        assert (PROBLEMS[problem][0][np.asarray(first)] > 0).all()
        assert all(torch.equal(*pair) for pair in zip(before, (batch.target, batch.draft, batch.ids), strict=True))
    tokens, _ = sample(select, ("generic", "other"), size_for(select, "generic"))
    assert deviation(tokens[::2], "generic")[0] > SOUND
    assert deviation(tokens[1::2], "other")[0] > SOUND


# rounding q to bfloat16 is too mild for an unpaired test: it has one of its own
@pytest.mark.parametrize("name", [name for name in of_kind("law", "support") if name != "draft_in_bfloat16"])
def test_biased(name: str) -> None:
    """Biased on the problem it needs; noticeably so unless it is marked mild."""
    select = defects.get(name)
    needs = defects.NEEDS.get(name, "generic")
    tokens, _ = sample(select, (needs,), 2 * size_for(select, needs))
    p_value, variation = deviation(tokens, needs)
    assert p_value < WRONG, f"TV {variation:.4f}"
    if name not in defects.MILD:
        assert variation > NOTICEABLE
    if defects.DEFECTIVE[name] == "support":
        assert (PROBLEMS[needs][0][tokens] == 0).any()
    if needs in {"wide", "equal", "ties", "one_hot"}:  # they show there alone
        assert deviation(sample(select, ("generic",), SIZE)[0], "generic")[0] > SOUND


def test_draft_in_bfloat16() -> None:
    """Same uniforms, same drafts: where rounding q changes the token, the changes do not cancel."""
    batch = Batch(law.draft_in_bfloat16, ("generic",), 8 * SIZE)
    rounded = batch.call(law.draft_in_bfloat16, seed=1).numpy()
    exact = batch.call(core.correct, seed=1).numpy()
    changed = rounded != exact
    gained, lost = (np.bincount(tokens[changed], minlength=10) for tokens in (rounded, exact))
    assert (np.abs(gained - lost) / np.sqrt(gained + lost + 1)).max() > 6


@pytest.mark.parametrize("kind", ["law", "support", "rows", "dependence", "determinism", "state", "acceptance"])
def test_answers_everywhere(kind: str) -> None:
    """What is wrong with these is never an exception or the form of the answer, on whatever problem."""
    for name in of_kind(kind):
        select = load(defects.ADDRESSES[name])
        for problem in PROBLEMS:
            vocab = 256 if name == "ids_wrap_at_256" else PROBLEMS[problem][0].size
            assert conforms(Batch(select, (problem,), 9).call(select), 9, vocab), (name, problem)


@pytest.mark.parametrize("name", sorted(defects.MILD))
def test_mild(name: str) -> None:
    """Below 0.01 of total variation on an ordinary problem in an ordinary batch."""
    assert deviation(sample(defects.get(name), ("generic",), 2 * SIZE)[0], "generic")[1] < NOTICEABLE


def test_injection() -> None:
    """Two chosen uniforms emit a token of mass 0; the correct one stays on the support."""
    target, draft = (torch.tensor(law)[None] for law in PROBLEMS["holes"])
    q = draft[:, None].expand(1, 3, -1)
    ids = torch.tensor([[0, 3, 0]])  # target mass 0
    zero, nearly_one = torch.zeros(1, 4).double(), torch.full((1, 4), 1 - 2.0**-53).double()
    assert target[0, accept.inclusive_at_zero(target, q, ids, zero)] == 0
    ends_in_zero = torch.tensor([[0.5, 0.3, 0.2, 0.0]]).double()
    uniform = torch.full((1, 3, 4), 0.25).double()
    last = torch.tensor([[3, 3, 3]])
    assert accept.coin_rounds_to_one(ends_in_zero, uniform, last, nearly_one) == 3
    for uniforms in (zero, nearly_one):
        assert target[0, correct.rrs_uniforms(target, q, ids, uniforms)] > 0
        assert correct.rrs_uniforms(ends_in_zero, uniform, last, uniforms) != 3


@pytest.mark.parametrize("name", of_kind("rows"))
def test_wrong_rows(name: str) -> None:
    """Wrong in the batch it needs, right in an ordinary one where that says anything."""
    select, needs = defects.get(name), defects.NEEDS[name]
    if needs == "mixed":
        tokens, _ = sample(select, ("generic", "other"), SIZE)
        assert min(deviation(tokens[::2], "generic")[0], deviation(tokens[1::2], "other")[0]) < WRONG
        assert deviation(sample(select, ("generic",), SIZE)[0], "generic")[0] > SOUND
    elif needs == "mixed_greedy":
        tokens, _ = sample(select, ("equal", "one_hot"), 2000)
        assert deviation(tokens[::2], "equal")[0] < WRONG
        assert deviation(sample(select, ("equal",), SIZE)[0], "equal")[0] > SOUND
    elif needs in {"last_row", "odd_batch", "single_row"}:
        rows = {"last_row": 4, "odd_batch": 5, "single_row": 1}[needs]
        tokens = sample_calls(select, "generic", rows, 2500)
        assert deviation(tokens[:, -1], "generic")[0] < WRONG
        assert rows == 1 or deviation(tokens[:, 0], "generic")[0] > SOUND
    else:
        tokens, _ = sample(select, ("generic",), 2 * SIZE)
        here = {"beyond_1024": slice(1024, None), "every_100th": slice(99, None, 100), "every_8th": slice(7, None, 8)}
        assert deviation(tokens[here[needs]], "generic")[0] < WRONG


@pytest.mark.parametrize("name", [*of_kind("dependence"), "correct"])
def test_dependent_rows(name: str) -> None:
    """Each row alone has the target law, two rows together do not, unless the selector is correct."""
    select = core.correct if name == "correct" else defects.get(name)
    pairs = sample_calls(select, "small", 2, 2000)
    assert min(deviation(pairs[:, 0], "small")[0], deviation(pairs[:, 1], "small")[0]) > SOUND
    batch = Batch(select, ("small",), 1000)
    batch.ids[:] = 1
    given_equal_drafts = len(batch.call(select).unique())
    if name == "correct":
        assert dependence(pairs) > SOUND
        assert given_equal_drafts > 1
    elif defects.NEEDS.get(name) == "equal_drafts":
        assert given_equal_drafts == 1
    else:
        assert dependence(pairs) < WRONG


def test_determinism() -> None:
    """One ignores the seed, the others cannot be replayed; each law is right."""
    batch = Batch(calls.generator_ignored, ("generic",), 1000)
    assert torch.equal(batch.call(calls.generator_ignored, 1), batch.call(calls.generator_ignored, 2))
    assert not torch.equal(batch.call(correct.rrs_dense, 1), batch.call(correct.rrs_dense, 2))
    assert not torch.equal(batch.call(calls.private_generator, 1), batch.call(calls.private_generator, 1))
    assert deviation(sample(calls.private_generator, ("generic",), SIZE)[0], "generic")[0] > SOUND
    late = [batch.call(calls.final_coin_one_call_late, seed) for seed in (1, 2, 1)]
    assert not torch.equal(late[0], late[2])
    assert deviation(sample(calls.final_coin_one_call_late, ("generic",), SIZE)[0], "generic")[0] > SOUND


@pytest.mark.parametrize("name", of_kind("state"))
def test_state(name: str) -> None:
    """What an earlier call left behind spoils a later one, or the other way round."""
    select, needs = load(defects.ADDRESSES[name]), defects.NEEDS[name]
    earlier, later = (Batch(select, (problem,), 20_000) for problem in ("generic", "other"))
    if needs == "reused_buffer":
        earlier.call(select)
        earlier.target.copy_(later.target)
        earlier.draft.copy_(later.draft)
        earlier.ids.copy_(later.ids)
        assert deviation(earlier.call(select).numpy(), "other")[0] < WRONG
    elif needs == "reused_output":
        kept = earlier.call(select)
        as_returned = kept.clone()
        later.call(select)
        assert not torch.equal(kept, as_returned)
    else:
        first, second = earlier.call(select).numpy(), later.call(select).numpy()
        wrong, right = (0, 1) if needs == "first_call" else (1, 0)
        p_values = [deviation(first, "generic")[0], deviation(second, "other")[0]]
        assert p_values[wrong] < WRONG
        assert p_values[right] > SOUND


@pytest.mark.parametrize("name", of_kind("mutation"))
def test_mutation(name: str) -> None:
    """The answer is right, the caller's arguments are not what they were."""
    select = defects.get(name)
    batch = Batch(select, ("generic",), SIZE)
    before = [tensor.clone() for tensor in (batch.target, batch.draft, batch.ids)]
    assert deviation(batch.call(select).numpy(), "generic")[0] > SOUND
    after = (batch.target, batch.draft, batch.ids)
    assert not all(torch.equal(*pair) for pair in zip(before, after, strict=True))


@pytest.mark.parametrize("name", of_kind("acceptance"))
def test_acceptance_below_declared(name: str) -> None:
    """Lossless, yet accepting noticeably less than recursive rejection would."""
    tokens, ids = sample(defects.get(name), ("peaked",), SIZE)
    assert deviation(tokens, "peaked")[0] > SOUND
    target, draft = PROBLEMS["peaked"]
    exact = acceptance_of("recursive_rejection", target, draft_rows(draft, "with_replacement", 3))
    assert (ids == tokens[:, None]).any(1).mean() < exact - NOTICEABLE


@pytest.mark.parametrize("name", of_kind("protocol"))
def test_protocol_broken(name: str) -> None:
    """The answer is not (B,) int64 in range."""
    assert not conforms(Batch(protocol.no_op, ("generic",), 300).call(defects.get(name)), 300, 10)


@pytest.mark.parametrize("name", of_kind("raise"))
def test_raises(name: str) -> None:
    """Raises on the problem it needs, and answers an ordinary one if it needs any."""
    select, needs = defects.get(name), defects.NEEDS.get(name)
    with pytest.raises(BaseException) as caught:  # noqa: PT011 (SystemExit and KeyboardInterrupt among them)
        Batch(protocol.no_op, (needs or "generic",), 50).call(select)
    assert not isinstance(caught.value, AssertionError)
    if needs:
        assert deviation(sample(select, ("generic",), SIZE)[0], "generic")[0] > SOUND


@pytest.mark.parametrize("name", of_kind("crash", "hang"))
def test_ends_or_stops_its_process(name: str) -> None:
    """The process dies, or does not come back, before it can say that the call returned."""
    script = (
        f"import torch; from tests.planted import defects; select = defects.get({name!r})\n"
        "p = torch.ones(1, 1).double()\n"
        "print('called', flush=True); select(p, p[:, None], torch.zeros(1, 1).long(), torch.Generator()); print('back')"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
    child = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "called\n"
        if defects.DEFECTIVE[name] == "hang":
            with pytest.raises(subprocess.TimeoutExpired):
                child.wait(timeout=0.5)
        else:
            assert child.stdout.read() == ""
            child.wait(timeout=30)
    finally:
        child.kill()
        child.communicate()


def test_noise(capfd: pytest.CaptureFixture[str]) -> None:
    """Lossless, and not silent."""
    tokens, _ = sample(protocol.prints, ("generic",), SIZE)
    assert deviation(tokens, "generic")[0] > SOUND
    assert "verdict" in capfd.readouterr().out
