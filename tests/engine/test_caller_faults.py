"""Calling a selector once: what it may not do, and what it raises."""

from __future__ import annotations

import ctypes
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from spectest.declaration import Declaration
from spectest.engine import (
    InputMutated,
    LocalSession,
    SelectorFault,
    SelectorRaised,
)
from spectest.engine.backends import backend_of
from spectest.engine.caller import Caller, Randomness
from spectest.errors import UsageError
from tests.engine.calling import ROWS, N, call_once, returning
from tests.engine.samples import Unspeakable, prepared

if TYPE_CHECKING:
    from collections.abc import Callable


# --- what it may not do ------------------------------------------------------------------------------------------


def mutations() -> dict[str, tuple[str, Callable[..., Any]]]:
    """Return selectors that write to an input, by library and by raw pointer: name -> (array, function)."""

    def poke(pointer: int, value: bytes) -> None:
        ctypes.memmove(pointer, value, len(value))

    def writing(write: Callable[[Any, Any, Any], Any]) -> Callable[..., Any]:
        def select(p: Any, q: Any, ids: Any, rng: Any) -> Any:
            answer = ids[..., 0].copy() if isinstance(ids, np.ndarray) else ids[..., 0].clone()
            write(p, q, ids)
            return answer if answer.ndim else int(answer)

        return select

    return {
        "target_probs by torch": ("torch", writing(lambda p, q, ids: p.mul_(0.5))),
        "draft_probs by torch": ("torch", writing(lambda p, q, ids: q.clamp_(min=0.2))),
        "draft_token_ids by torch": ("torch", writing(lambda p, q, ids: ids.add_(1))),
        "target_probs under detach": ("torch", writing(lambda p, q, ids: p.detach().zero_())),
        "target_probs by data": ("torch", writing(lambda p, q, ids: p.data.zero_())),
        "draft_probs by numpy view": ("torch", writing(lambda p, q, ids: q.numpy().fill(0))),
        "draft_token_ids by numpy view": ("torch", writing(lambda p, q, ids: ids.numpy().fill(0))),
        "target_probs by pointer": ("torch", writing(lambda p, q, ids: poke(p.data_ptr(), b"\1" * 8))),
        "draft_token_ids by pointer": ("torch", writing(lambda p, q, ids: poke(ids.data_ptr(), b"\1" * 8))),
        "target_probs in numpy": ("numpy", writing(lambda p, q, ids: p.__imul__(0.5))),
        "draft_probs in numpy": ("numpy", writing(lambda p, q, ids: q.fill(0))),
        "draft_token_ids in numpy": ("numpy", writing(lambda p, q, ids: ids.__iadd__(1))),
        "target_probs by numpy pointer": ("numpy", writing(lambda p, q, ids: poke(p.ctypes.data, b"\1" * 8))),
    }


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("name", mutations())
def test_written_inputs(name: str, batched: bool) -> None:  # noqa: FBT001
    array, select = mutations()[name]
    with pytest.raises(InputMutated) as caught:
        call_once(select, array=array, batched=batched)
    assert caught.value.message == f"it wrote to its input {name.split(maxsplit=1)[0]}"


def test_scratch_of_its_own_is_no_input() -> None:
    def select(p: Any, q: Any, ids: Any, uniforms: Any) -> Any:
        uniforms.zero_()
        p.clone().zero_()
        return ids[:, 0].clone().zero_()

    assert call_once(select, rng="uniforms").tokens.tolist() == [0] * ROWS


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("first line\nsecond line"), "it raised ValueError: first line"),
        (RuntimeError(), "it raised RuntimeError"),
        (SystemExit(0), "it called sys.exit(0)"),
        (SystemExit("bye"), "it called sys.exit('bye')"),
        (KeyboardInterrupt(), "it raised KeyboardInterrupt"),
        (GeneratorExit(), "it raised GeneratorExit"),
        (Unspeakable(), "it raised Unspeakable"),
        (UsageError("as if spectest had been called wrongly"), "it raised UsageError: as if"),
    ],
)
def test_whatever_it_raises_is_its_fault(error: BaseException, message: str, batched: bool) -> None:  # noqa: FBT001
    def select(p: Any, q: Any, ids: Any, rng: Any) -> Any:
        raise error

    with pytest.raises(SelectorRaised) as caught:
        call_once(select, batched=batched)
    assert caught.value.message.startswith(message)
    assert "\n" not in caught.value.message
    assert caught.value.traceback is not None
    assert "in select" in caught.value.traceback
    assert type(error).__name__ in caught.value.traceback


def test_an_answer_that_cannot_be_read_is_its_fault() -> None:
    """A kernel that failed may say so only when its answer is fetched."""

    class Late(torch.Tensor):
        def detach(self) -> Any:
            msg = "device-side assert"
            raise RuntimeError(msg)

    with pytest.raises(SelectorRaised, match="it raised RuntimeError: device-side assert"):
        returning(lambda ids: ids[:, 0].clone().as_subclass(Late))


class Watch:
    """A pulse that writes down what it was told."""

    interrupted = False

    def __init__(self) -> None:
        """Start empty."""
        self.beats: list[str] = []

    def begin(self, function: str = "select") -> None:
        """Note it."""
        self.beats.append("begin")

    def end(self) -> None:
        """Note it."""
        self.beats.append("end")


def test_the_pulse_covers_reading_the_answer() -> None:
    watch = Watch()

    class Answer(np.ndarray[Any, Any]):
        def __array_finalize__(self, other: Any) -> None:
            watch.beats.append("read")

    def select(p: Any, q: Any, ids: Any, rng: Any) -> Any:
        return ids[:, 0].view(Answer)

    declaration = Declaration(array="numpy")
    backend = backend_of(declaration)
    caller = Caller(select, declaration, backend, watch)
    problem = prepared()
    arrays = np.tile(problem.target, (ROWS, 1)), np.tile(problem.draft, (ROWS, 1, 1))
    caller(*arrays, np.zeros((ROWS, N), dtype=np.int64), Randomness(declaration, backend, 1))
    assert watch.beats[0] == "begin"
    assert watch.beats[-1] == "end"
    assert watch.beats.count("begin") == watch.beats.count("end") == 1


def test_the_users_own_interrupt_passes_through() -> None:
    """Told from one that the selector raises by whether the signal came."""
    import os
    import signal

    def select(p: Any, q: Any, ids: Any, rng: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(10**9):
            pass
        return ids[:, 0]

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        call_once(select)
    assert signal.getsignal(signal.SIGINT) is before


def test_interrupts_outside_of_the_main_thread_are_the_selectors() -> None:
    import threading

    found: list[BaseException] = []

    def select(p: Any, q: Any, ids: Any, rng: Any) -> Any:
        raise KeyboardInterrupt

    def work() -> None:
        try:
            call_once(select)
        except BaseException as error:  # noqa: BLE001
            found.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert isinstance(found[0], SelectorRaised)


def test_faults_cross_processes_whole() -> None:
    import pickle

    for kind in (*SelectorFault.__subclasses__(), SelectorFault):
        again = pickle.loads(pickle.dumps(kind("what", "where")))
        assert (type(again), again.message, again.traceback, str(again)) == (kind, "what", "where", "what")


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="device 'no-such-device' cannot be used here"):
        LocalSession(lambda p, q, ids, rng: ids[:, 0], {"device": "no-such-device"})
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="device 'cuda' cannot be used here"):
            LocalSession(lambda p, q, ids, rng: ids[:, 0], {"device": "cuda"})
    assert "torch" in sys.modules
