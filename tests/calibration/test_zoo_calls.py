"""The zoo's bugs of rows, calls, faults, answers and acceptance are what they are called."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from spectest import zoo
from spectest.zoo import calls, controls, core, innocent, protocol
from tests.calibration.independent import (
    NOTICEABLE,
    PROBLEMS,
    SIZE,
    SOUND,
    WRONG,
    Batch,
    acceptance_of,
    conforms,
    dependence,
    deviation,
    draft_rows,
    load,
    of_effect,
    sample,
    sample_calls,
)

pytestmark = pytest.mark.long


@pytest.mark.parametrize("name", of_effect("rows"))
def test_wrong_rows(name: str) -> None:
    """Wrong in the batch it needs, right in an ordinary one where that says anything."""
    select, needs = zoo.get(name), zoo.BUGS[name].needs
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
    elif needs == "embedded":
        batch = Batch(select, ("generic",), SIZE)
        assert deviation(batch.call(select).numpy(), "generic")[0] > SOUND
        around = torch.zeros(len(batch.target) + 1, batch.target.shape[1], dtype=torch.float64)
        around[1:] = batch.target
        around[0, 0] = 1
        batch.target = around[1:]
        assert batch.call(select)[0] == 0
    else:
        tokens, _ = sample(select, ("generic",), 2 * SIZE)
        here = {"beyond_1024": slice(1024, None), "every_100th": slice(99, None, 100), "every_8th": slice(7, None, 8)}
        assert deviation(tokens[here[needs]], "generic")[0] < WRONG


@pytest.mark.parametrize("name", [*of_effect("dependence"), "correct"])
def test_dependent_rows(name: str) -> None:
    """Each row alone has the target law, two rows together do not, unless the selector is controls."""
    select = core.correct if name == "correct" else zoo.get(name)
    needs = "" if name == "correct" else zoo.BUGS[name].needs
    problem = needs if needs in PROBLEMS else "small"
    pairs = sample_calls(select, problem, 2, 2000)
    assert min(deviation(pairs[:, 0], problem)[0], deviation(pairs[:, 1], problem)[0]) > SOUND
    batch = Batch(select, ("small",), 1000)
    batch.ids[:] = 1
    given_equal_drafts = len(batch.call(select).unique())
    if name == "correct":
        assert dependence(pairs) > SOUND
        assert given_equal_drafts > 1
    elif needs == "equal_drafts":
        assert given_equal_drafts == 1
    elif needs == "next_call":
        assert dependence(np.column_stack([pairs[:-1, 1], pairs[1:, 0]])) < WRONG
    else:
        assert dependence(pairs) < WRONG


def test_determinism() -> None:
    """One ignores the seed, the others cannot be replayed; each law is right."""
    batch = Batch(calls.generator_ignored, ("generic",), 1000)
    assert torch.equal(batch.call(calls.generator_ignored, 1), batch.call(calls.generator_ignored, 2))
    assert not torch.equal(batch.call(controls.rrs_dense, 1), batch.call(controls.rrs_dense, 2))
    assert not torch.equal(batch.call(calls.private_generator, 1), batch.call(calls.private_generator, 1))
    assert deviation(sample(calls.private_generator, ("generic",), SIZE)[0], "generic")[0] > SOUND
    late = [batch.call(calls.final_coin_one_call_late, seed) for seed in (1, 2, 1)]
    assert not torch.equal(late[0], late[2])
    assert deviation(sample(calls.final_coin_one_call_late, ("generic",), SIZE)[0], "generic")[0] > SOUND


def test_what_memory_holds_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same call, its scratch memory full of ones or of zeros."""
    batch, answers = Batch(calls.scratch_not_filled, ("ties",), 1000), []
    for fill in (1.0, 0.0):
        monkeypatch.setattr(torch, "empty_like", lambda like, fill=fill: torch.full_like(like, fill))
        answers.append(batch.call(calls.scratch_not_filled, 1))
    assert not torch.equal(*answers)


@pytest.mark.parametrize("name", of_effect("state"))
def test_state(name: str) -> None:
    """What an earlier call left behind spoils a later one, or the other way round."""
    select, needs = load(zoo.BUGS[name].address), zoo.BUGS[name].needs
    earlier, later = (Batch(select, (problem,), 20_000) for problem in ("generic", "other"))
    if needs == "reused_buffer":
        earlier.call(select)
        earlier.target.copy_(later.target)
        earlier.draft.copy_(later.draft)
        earlier.ids.copy_(later.ids)
        assert deviation(earlier.call(select).numpy(), "other")[0] < WRONG
    elif needs == "smaller_vocabulary":
        assert deviation(earlier.call(select).numpy(), "generic")[0] > SOUND
        wide = Batch(select, ("wide",), 20_000)
        assert deviation(wide.call(select).numpy(), "wide")[0] > SOUND
        assert deviation(later.call(select).numpy(), "other")[0] < WRONG
    elif needs == "every_16th_call":
        tokens = sample_calls(select, "generic", 50, 640)
        assert deviation(tokens[15::16].ravel(), "generic")[0] < WRONG
        assert deviation(tokens[::16].ravel(), "generic")[0] > SOUND
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


@pytest.mark.parametrize("name", of_effect("mutation"))
def test_mutation(name: str) -> None:
    """The answer is right, the caller's arguments are not what they were."""
    select = zoo.get(name)
    batch = Batch(select, ("generic",), SIZE)
    before = [tensor.clone() for tensor in (batch.target, batch.draft, batch.ids)]
    assert deviation(batch.call(select).numpy(), "generic")[0] > SOUND
    after = (batch.target, batch.draft, batch.ids)
    assert not all(torch.equal(*pair) for pair in zip(before, after, strict=True))


@pytest.mark.parametrize("name", of_effect("acceptance"))
def test_acceptance_below_declared(name: str) -> None:
    """Lossless, yet accepting noticeably less than recursive rejection would."""
    tokens, ids = sample(zoo.get(name), ("peaked",), SIZE)
    assert deviation(tokens, "peaked")[0] > SOUND
    target, draft = PROBLEMS["peaked"]
    exact = acceptance_of("recursive_rejection", target, draft_rows(draft, "with_replacement", 3))
    assert (ids == tokens[:, None]).any(1).mean() < exact - NOTICEABLE


@pytest.mark.parametrize("name", of_effect("answer"))
def test_protocol_broken(name: str) -> None:
    """The answer is not (B,) int64 in range."""
    assert not conforms(Batch(protocol.no_op, ("generic",), 300).call(zoo.get(name)), 300, 10)


@pytest.mark.parametrize("name", of_effect("raise"))
def test_raises(name: str) -> None:
    """Raises on the problem it needs, and answers an ordinary one if it needs any."""
    select, needs = zoo.get(name), zoo.BUGS[name].needs
    with pytest.raises(BaseException) as caught:  # noqa: PT011 (SystemExit and KeyboardInterrupt among them)
        Batch(protocol.no_op, (needs or "generic",), 50).call(select)
    assert not isinstance(caught.value, AssertionError)
    if needs:
        assert deviation(sample(select, ("generic",), SIZE)[0], "generic")[0] > SOUND


@pytest.mark.parametrize("name", of_effect("crash", "hang"))
def test_ends_or_stops_its_process(name: str) -> None:
    """The process dies, or does not come back, before it can say that the call returned."""
    script = (
        f"import torch; from spectest import zoo; select = zoo.get({name!r})\n"
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
        if zoo.BUGS[name].effect == "hang":
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
    tokens, _ = sample(innocent.prints, ("generic",), SIZE)
    assert deviation(tokens, "generic")[0] > SOUND
    assert "verdict" in capfd.readouterr().out
