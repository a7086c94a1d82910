"""Sessions: whatever a selector does to its process, the run goes on; and both kinds of session come to the same."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from spectest.engine import (
    Call,
    ChildSession,
    Experiment,
    LocalSession,
    SelectorDied,
    SelectorHung,
    SelectorRaised,
)
from spectest.errors import UsageError
from tests.engine import samples
from tests.engine.processes import alive, child, ends, one
from tests.engine.samples import address, prepared

if TYPE_CHECKING:
    from collections.abc import Callable


# --- what a selector can do to its process -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sleeps", "sleeps_with_the_lock"])
def test_hang(opened: Callable[..., ChildSession], name: str) -> None:
    session = opened(name, timeout=0.5)
    assert one(3, session) == [3]
    first = child(session)
    started = time.monotonic()
    with pytest.raises(SelectorHung, match=r"^one call took more than 0\.5 s and was ended; raise --timeout"):
        one(4, session)
    assert 0.5 < time.monotonic() - started < 5
    assert not alive(first)
    assert one(2, session) == [2]
    assert child(session) != first


def test_hang_in_the_first_call_has_its_allowance(opened: Callable[..., ChildSession]) -> None:
    session = opened("sleeps", timeout=0.15)
    started = time.monotonic()
    with pytest.raises(SelectorHung, match=r"^its first call took more than 0\.9 s"):
        one(4, session)
    assert time.monotonic() - started > 0.9


def test_compiling_in_the_first_call_is_no_hang_in_any_process(opened: Callable[..., ChildSession]) -> None:
    session = opened("slow_start", timeout=0.25)
    assert one(1, session) == [1]
    session._kill()
    assert one(2, session) == [2]


def test_a_long_sample_of_short_calls_is_no_hang(opened: Callable[..., ChildSession]) -> None:
    session = opened("one_target", timeout=0.2)
    tally = session.sample(Experiment((prepared(),), 10**9, seed=1, seconds=0.6))
    assert tally.samples > 1000
    assert tally.seconds >= 0.6


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("segfaults", "SIGSEGV"),
        ("exits_0", "exit code 0"),
        ("exits_3", "exit code 3"),
        ("leaves_a_process", "exit code 5"),
    ],
)
def test_death(opened: Callable[..., ChildSession], name: str, how: str) -> None:
    session = opened(name)
    assert one(3, session) == [3]
    started = time.monotonic()
    for first in (2, 1):
        with pytest.raises(SelectorDied) as caught:
            one(4, session)
        assert caught.value.message == f"it ended its process ({how})"
        assert one(first, session) == [first]
    assert time.monotonic() - started < 8
    if name == "segfaults":
        assert caught.value.traceback == "a last word"


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (0, "it raised ValueError: first line"),
        (1, "it called sys.exit(7)"),
        (2, "it raised KeyboardInterrupt"),
        (3, "it raised GeneratorExit"),
        (4, "it raised Unspeakable"),
    ],
)
def test_raising_costs_no_process(opened: Callable[..., ChildSession], kind: int, message: str) -> None:
    session = opened("raises")
    before = child(session)
    with pytest.raises(SelectorRaised) as caught:
        one(kind, session)
    assert caught.value.message == message
    assert child(session) == before
    assert session.sample(Experiment((prepared(),), 50, seed=1, rows=50)).samples == 50


def test_what_a_hanging_selector_started_ends_with_it(opened: Callable[..., ChildSession]) -> None:
    session = opened("hangs_in_company", timeout=1.0)
    one(0, session)
    with pytest.raises(SelectorHung) as caught:
        one(4, session)
    assert caught.value.traceback is not None
    assert ends(int(caught.value.traceback))


def test_a_device_that_failed_takes_its_process_along(tmp_path: Path, opened: Callable[..., ChildSession]) -> None:
    """After a failed kernel a process gets nothing but errors from CUDA; a stand-in for it, where there is no GPU."""
    file = tmp_path / "poisoned_device.py"
    file.write_text(
        textwrap.dedent("""
            from spectest import selector
            from spectest.engine.backends import NumpyBackend

            state = {"works": True}
            NumpyBackend.usable = lambda self: state["works"]

            @selector(array="numpy")
            def select(p, q, ids, rng):
                if ids[0, 0] == 4:
                    state["works"] = False
                if not state["works"]:
                    raise RuntimeError("device-side assert triggered")
                return ids[:, 0]
        """)
    )
    session = opened(f"{file}:select")
    assert one(1, session) == [1]
    with pytest.raises(SelectorRaised, match="device-side assert"):
        one(4, session)
    assert one(2, session) == [2]


# --- the channel -------------------------------------------------------------------------------------------------


def test_noise_reaches_nobody(opened: Callable[..., ChildSession], capfd: pytest.CaptureFixture[str]) -> None:
    session = opened("noisy")
    experiment = Experiment((prepared(),), 2000, seed=5, rows=20)
    tally = session.sample(experiment)
    assert np.array_equal(tally.counts, LocalSession(samples.target_only).sample(experiment).counts)
    assert capfd.readouterr() == ("", "")
    last = session._last_output()
    assert last is not None
    assert "oops" in last
    assert len(last.splitlines()) <= 20


def test_the_environment_and_the_declaration_are_reported(opened: Callable[..., ChildSession]) -> None:
    session = opened("target_only", overrides={"n_drafts": 2, "dtype": None})
    assert session.loaded.name == address("target_only")
    assert session.loaded.declaration.n_drafts == 2
    assert session.loaded.declaration.array == "numpy"
    assert session.loaded.environment["numpy"] == np.__version__
    assert "torch" not in session.loaded.environment


def test_numpy_selectors_never_load_torch(tmp_path: Path, opened: Callable[..., ChildSession]) -> None:
    file = tmp_path / "without_torch.py"
    file.write_text(
        "import sys\nfrom spectest import selector\n@selector(array='numpy')\ndef select(p, q, ids, rng):\n"
        "    assert not {'torch', 'scipy.stats', 'pytest', 'hypothesis'} & set(sys.modules)\n    return ids[:, 0]\n"
    )
    assert one(3, opened(f"{file}:select")) == [3]


def test_an_unusable_selector_says_so_with_its_traceback() -> None:
    with pytest.raises(UsageError, match="has no attribute 'nothing'"):
        ChildSession(address("nothing"))
    with pytest.raises(UsageError, match="`n_drafts` must be"):
        ChildSession(address("target_only"), {"n_drafts": 0})
    with pytest.raises(UsageError, match="no_such_package_xyz") as caught:
        ChildSession("no_such_package_xyz:f")
    assert any("ModuleNotFoundError" in note for note in caught.value.__notes__)


def test_progress_crosses_the_boundary(opened: Callable[..., ChildSession]) -> None:
    told: list[int] = []
    tally = opened("one_target").sample(Experiment((prepared(),), 10**9, seed=1, seconds=1.0, rows=50), told.append)
    assert told
    assert told == sorted(told)
    assert told[-1] <= tally.samples


def test_a_listener_that_fails_does_not_spoil_the_next_request(opened: Callable[..., ChildSession]) -> None:
    session = opened("one_target")

    def fail(samples: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        session.sample(Experiment((prepared(),), 10**9, seed=1, seconds=3.0, rows=50), fail)
    experiment = Experiment((prepared(),), 60, seed=1, rows=20)
    assert np.array_equal(session.sample(experiment).counts, LocalSession(samples.one_target).sample(experiment).counts)


# --- ends --------------------------------------------------------------------------------------------------------


def test_closing_ends_the_child_and_may_be_repeated(opened: Callable[..., ChildSession]) -> None:
    session = opened("target_only")
    process = child(session)
    one(1, session)
    session.close()
    assert not alive(process)
    session.close()


def test_closing_a_busy_child(opened: Callable[..., ChildSession]) -> None:
    session = opened("sleeps_with_the_lock", timeout=100)
    one(1, session)
    process = child(session)
    session._channel.send(Call((prepared(),), np.zeros(1, dtype=np.int64), 1, ids=np.array([[4, 0, 0]])))
    time.sleep(0.3)
    session.close()
    assert not alive(process)


@pytest.mark.parametrize("busy", [False, True])
def test_the_child_does_not_outlive_its_parent(busy: bool) -> None:  # noqa: FBT001
    """However the parent ends, and in the middle of a call as well."""
    script = textwrap.dedent(f"""
        import sys, numpy as np
        from spectest.engine import Call, ChildSession
        from tests.engine.samples import prepared
        session = ChildSession({address("sleeps")!r}, timeout=1000)
        print(session._process.pid, flush=True)
        call = Call((prepared(),), np.zeros(1, dtype=np.int64), 1, ids=np.array([[{4 if busy else 1}, 0, 0]]))
        session.call(call)
        sys.stdin.read()
    """)
    path = {"PYTHONPATH": str(Path(samples.HERE).parents[2])}
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | path
    )
    assert parent.stdout is not None
    process = int(parent.stdout.readline())
    time.sleep(0.4)
    assert alive(process)
    parent.kill()
    parent.communicate()
    assert ends(process)


def test_ctrl_c_in_the_parent(opened: Callable[..., ChildSession]) -> None:
    """Goes through at once, ends the child, and the session can be used again."""
    session = opened("interrupts_the_parent", timeout=100)
    assert one(1, session) == [1]
    process = child(session)
    with pytest.raises(KeyboardInterrupt):
        one(4, session)
    assert not alive(process)
    assert one(2, session) == [2]
