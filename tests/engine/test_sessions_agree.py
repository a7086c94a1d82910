"""Two kinds of session, one result."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from spectest.engine import (
    Call,
    ChildSession,
    Experiment,
    LocalSession,
    SelectorDied,
    SelectorHung,
)
from tests.engine import samples
from tests.engine.processes import one
from tests.engine.samples import prepared

if TYPE_CHECKING:
    from collections.abc import Callable


# --- two kinds, one result ---------------------------------------------------------------------------------------


EXPERIMENTS = {
    "free": Experiment((prepared(),), 5000, seed=11, cap=900),
    "kept": Experiment((prepared(),), 500, seed=12, rows=25, keep=True),
    "mixed": Experiment(
        (prepared(), prepared()), 500, seed=13, pattern=np.arange(5) % 2, shuffle=True, group="row", keep=True
    ),
    "alternate": Experiment((prepared(), prepared()), 500, seed=14, rows=25, alternate=True, keep=True),
}


@pytest.mark.parametrize("name", ["target_only", "one_target"])
def test_local_and_child_sessions_agree(opened: Callable[..., ChildSession], name: str) -> None:
    session, here = opened(name), LocalSession(getattr(samples, name))
    assert here.loaded.declaration == session.loaded.declaration
    for experiment in EXPERIMENTS.values():
        ours, theirs = here.sample(experiment), session.sample(experiment)
        assert np.array_equal(ours.counts, theirs.counts)
        assert np.array_equal(ours.accepted, theirs.accepted)
        assert np.array_equal(ours.outputs, theirs.outputs)
        assert ours.calls == theirs.calls
    call = Call((prepared(),), np.zeros(40, dtype=np.int64), 3, 4)
    ours_once, theirs_once = here.call(call), session.call(call)
    assert np.array_equal(ours_once.ids, theirs_once.ids)
    assert np.array_equal(ours_once.tokens, theirs_once.tokens)


def test_local_and_child_sessions_agree_on_torch_selectors(opened: Callable[..., ChildSession]) -> None:
    from spectest.zoo import controls

    for name in ("rrs_global", "rrs_uniforms"):
        session, here = opened(f"spectest.zoo.controls:{name}"), LocalSession(getattr(controls, name))
        ours, theirs = here.sample(EXPERIMENTS["mixed"]), session.sample(EXPERIMENTS["mixed"])
        assert np.array_equal(ours.outputs, theirs.outputs)
        session.close()


def test_two_sessions_at_once(opened: Callable[..., ChildSession]) -> None:
    """One dies and one hangs while others work on, each in its own process; two may share an address."""
    started = threading.Barrier(4)
    found: dict[int, Any] = {}
    experiment = EXPERIMENTS["kept"]

    def work(number: int, name: str, first: int) -> None:
        session = opened(name, timeout=0.5)
        started.wait(timeout=60)
        try:
            if first >= 0:
                one(first, session)
                found[number] = one(4, session)
            else:
                found[number] = session.sample(experiment).outputs
        except Exception as error:  # noqa: BLE001
            found[number] = error

    jobs = [("target_only", -1), ("target_only", -1), ("sleeps", 1), ("segfaults", 1)]
    threads = [threading.Thread(target=work, args=(k, *job)) for k, job in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = LocalSession(samples.target_only).sample(experiment).outputs
    assert np.array_equal(found[0], expected)
    assert np.array_equal(found[1], expected)
    assert isinstance(found[2], SelectorHung)
    assert isinstance(found[3], SelectorDied)


def test_local_sessions_name_any_callable() -> None:
    import functools

    for function in (
        samples.holder,
        functools.partial(samples.target_only),
        samples.a_lambda(),
        samples.Holder().method,
    ):
        session = LocalSession(function, {"array": "numpy"})
        assert ":" in session.loaded.name
        one(1, session)
        session.close()
