"""`spectest calibrate`: what it runs, what it makes of it, how it ends."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from spectest import cli, zoo
from spectest.calibration import (
    Calibration,
    Request,
    Task,
    Trial,
    calibrate,
    parse_bugs,
    print_calibration,
    run,
    spread,
)
from spectest.calibration.request import different_controls, stratified
from spectest.calibration.trial import applies
from spectest.declaration import declared_by
from spectest.errors import UsageError
from tests.calibration.trials import BUG, CONTROL, ESCAPING, trial

if TYPE_CHECKING:
    from pathlib import Path


def calibration(*trials: Trial, planned: int | None = None, **request: Any) -> Calibration:
    return Calibration(Request(**request), trials, len(trials) if planned is None else planned, 12.0)


def printed(result: Calibration, **how: bool) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        print_calibration(result, console, **how)
    return capture.get()


# --- what it runs ------------------------------------------------------------------------------------------------


def test_the_default_is_a_part_of_everything() -> None:
    tasks = Request().tasks()
    names = [task.name for task in tasks]
    assert len(names) == len(set(names)) == len(different_controls()) + 40
    assert {zoo.BUGS[name].kind for name in names if name in zoo.BUGS} == {bug.kind for bug in zoo.BUGS.values()}
    assert not any(zoo.BUGS[name].escapes("quick") for name in names if name in zoo.BUGS)
    assert {declared_by(zoo.get(name)) for name in different_controls()} >= {
        declared_by(zoo.get(name)) for name, control in zoo.CONTROLS.items() if not control.slow
    }
    assert names.index(different_controls()[0]) == 0, "the longest first"


def test_all_is_everything() -> None:
    tasks = Request(bugs=None, seeds=2, seed=5).tasks()
    assert {task.name for task in tasks} == {*zoo.BUGS, *zoo.CONTROLS}
    assert {task.seed for task in tasks} == {5, 6}
    assert {task.name for task in tasks if task.whole} == set(zoo.CONTROLS)


def test_numpy_stays_on_the_cpu() -> None:
    assert applies("rrs_numpy", "cpu")
    assert not applies("rrs_numpy", "cuda")
    names = {task.name for task in Request(bugs=None, device="cuda").tasks()}
    assert "rrs_dense" in names
    assert "rrs_numpy" not in names


def test_kinds_come_in_turn_and_escapes_last() -> None:
    names = stratified("quick")
    assert sorted(names) == sorted(zoo.BUGS)
    kinds = {bug.kind for bug in zoo.BUGS.values()}
    assert {zoo.BUGS[name].kind for name in names[: len(kinds)]} == kinds
    escaping = [zoo.BUGS[name].escapes("quick") for name in names]
    assert escaping == sorted(escaping)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tier": "slow"}, "`tier` must be one of quick"),
        ({"device": ""}, "`device` must name"),
        ({"seed": -1}, "`seed` must be an integer of at least 0"),
        ({"seeds": 0}, "`seeds` must be an integer of at least 1"),
        ({"bugs": True}, "`bugs` must be an integer"),
        ({"budget": math.inf}, "`budget` must be a positive number"),
        ({"budget": 0}, "`budget` must be a positive number"),
    ],
)
def test_bad_requests_say_what_is_wrong(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Request(**given)


def test_bugs_are_a_number_or_all() -> None:
    assert parse_bugs("all") is None
    assert parse_bugs("7") == 7
    with pytest.raises(UsageError, match="a number or all, got 'some'"):
        parse_bugs("some")


# --- one run -----------------------------------------------------------------------------------------------------


def test_a_bug_is_run_to_its_first_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = run(Task("accepts_everything", whole=False))
    assert found.caught
    assert found.first == "smoke[known-answers]"
    assert found.checks == ("smoke",)
    assert 0 < found.seconds < 60
    assert Trial.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    assert not list(tmp_path.iterdir()), "no records of what is meant to fail"


def test_state_is_left_to_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first call of a process is the one that is wrong: here it comes again with every run."""
    monkeypatch.chdir(tmp_path)
    for seed in range(2):
        assert run(Task("first_call_not_verified", seed=seed, whole=False)).caught


# --- several processes -------------------------------------------------------------------------------------------


def slowly(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def failing(number: int) -> int:
    msg = f"number {number}"
    raise UsageError(msg)


def cores_and_threads(seconds: float) -> tuple[tuple[int, ...], int]:
    """Say what a process has; it takes a while, so that every process gets its turn."""
    import torch

    time.sleep(seconds)
    return tuple(sorted(os.sched_getaffinity(0))), torch.get_num_threads()


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="processes have no cores of their own here")
def test_each_process_has_its_share_of_the_cores() -> None:
    """Else a child of each takes as many threads as the machine has cores, and they wait for each other."""
    mine = os.sched_getaffinity(0)
    found = dict(spread(cores_and_threads, [1.0, 1.0, 1.0, 1.0], processes=2))
    each = max(1, len(mine) // 2)
    assert {len(share) for share in found} == set(found.values()) == {each}
    assert len(found) == min(2, len(mine))
    assert set().union(*found) <= mine


def test_work_is_spread_and_all_of_it_done() -> None:
    assert sorted(spread(slowly, [0.0, 0.1, 0.2, 0.3], processes=2)) == [0.0, 0.1, 0.2, 0.3]


def test_the_deadline_ends_what_is_running() -> None:
    before = set(multiprocessing.active_children())
    started = time.time()
    found = list(spread(slowly, [0.0, 300.0, 300.0], processes=2, deadline=started + 5))
    assert found in ([], [0.0])  # the processes may have taken that long to start
    assert time.time() - started < 100
    assert set(multiprocessing.active_children()) == before


def test_errors_reach_the_caller() -> None:
    with pytest.raises(UsageError, match="number 3"):
        list(spread(failing, [3], processes=1))


# --- what it comes to --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trials", "code", "last"),
    [
        ([trial(CONTROL), trial(BUG, caught=True)], 0, "0 of 1 controls failed, 1 of 1 bugs caught"),
        ([trial(CONTROL), trial(ESCAPING)], 0, "0 of 1 bugs caught, 1 known to escape"),
        ([trial(CONTROL, caught=True), trial(BUG, caught=True)], 1, "1 of 1 controls failed"),
        ([trial(BUG, caught=True), trial(BUG, seed=1)], 1, "0 of 1 bugs caught, 1 missed unexpectedly"),
    ],
)
def test_exit_codes(trials: list[Trial], code: int, last: str) -> None:
    result = calibration(*trials)
    assert result.exit_code == code
    assert last in printed(result, quiet=True)
    assert printed(result, quiet=True).count("\n") == 1
    unfinished = replace(result, planned=9)
    assert unfinished.exit_code == (code or 3)
    assert f"ended after {len(trials)} of 9 runs" in printed(unfinished)


def test_everything_is_said() -> None:
    result = calibration(
        trial(CONTROL, deltas={"law": (0.005, 0.01)}),
        trial("rrs_numpy", caught=True, seconds=3.0, deltas={"law": (0.004, 0.008)}),
        trial(BUG, caught=True),
        trial("strict"),
        trial(ESCAPING),
        trial("draft_in_bfloat16", caught=True),
    )
    text = printed(result)
    assert "false alarm: rrs_numpy, seed 0, law[V5]: it deviates" in text
    assert "missed: strict (0 of 1 runs caught it): it is not known to escape" in text
    assert f"missed: {ESCAPING} (0 of 1 runs caught it): a total variation of" in text
    assert "caught, though known to escape at this tier: draft_in_bfloat16" in text
    assert "0.004" in text
    whole = printed(result, verbose=True)
    assert all(name in whole for name in (CONTROL, "rrs_numpy", BUG, "strict", ESCAPING))
    stored = json.loads(json.dumps(result.to_dict()))
    assert stored["exit_code"] == 1
    assert stored["false_alarms"] == ["rrs_numpy"]
    assert [one["name"] for one in stored["missed"]] == ["strict", ESCAPING]
    assert stored["deltas"] == {"law": [0.004, 0.01]}
    assert len(stored["trials"]) == 6


# --- the whole of it ---------------------------------------------------------------------------------------------


@pytest.fixture
def _few(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("spectest.calibration.request.different_controls", list)
    monkeypatch.setattr("spectest.calibration.request.stratified", lambda tier: ["accepts_everything", "raises_always"])
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_few")
def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "calibration.json"
    assert cli.main(["calibrate", "--bugs", "2", "--seed", "3", "--json", str(file), "--verbose"]) == 0
    said = capsys.readouterr().out
    assert "2 of 2 bugs caught" in said
    assert "accepts_everything" in said
    assert "raises_always" in said
    stored = json.loads(file.read_text(encoding="utf-8"))
    assert stored["complete"]
    assert {one["seed"] for one in stored["trials"]} == {3}
    assert sorted(path.name for path in tmp_path.iterdir()) == [file.name]


def test_the_budget_ends_it_and_what_was_measured_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["calibrate", "--budget", "0.5"]) == 3
    said = capsys.readouterr().out
    assert "ended after 0 of" in said
    assert "0 of 0 controls failed" in said


@pytest.mark.parametrize("options", [["--bugs", "some"], ["--tier", "slow"], ["--seeds", "0"], ["--device", "nowhere"]])
def test_what_cannot_be_run_is_refused(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["calibrate", *options]) == 2
    assert capsys.readouterr().err.startswith("spectest: ")


@pytest.mark.slow
def test_the_default_calibration() -> None:
    result = calibrate(Request(seed=int(time.time())))
    assert result.exit_code == 0, printed(result, verbose=True)
    assert not result.missed
    assert result.complete
