"""The kill table: its text, what is compared with a committed one, and that no finished run is run again."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.kill_table import Store, names_of, representatives
from scripts.kill_table_document import differences, document
from spectest import zoo
from spectest.calibration.exact import Objections
from spectest.declaration import declared_by
from tests.calibration.trials import BUG, CONTROL, ESCAPING, trial

pytestmark = pytest.mark.long

SCRIPT = Path(__file__).parents[2] / "scripts" / "kill_table.py"


def runs(name: str, caught: int, total: int) -> list[object]:
    return [trial(name, caught=seed < caught, seed=seed, whole=seed == 0) for seed in range(total)]


def table(caught: int, total: int, *, alarms: int = 0) -> str:
    trials = [*runs(BUG, caught, total), *runs(ESCAPING, 0, total), *runs(CONTROL, alarms, total)]
    return document(trials, [Objections(CONTROL, "quick", 0, ())], "quick", {CONTROL: [CONTROL, "prints"]}).text


def test_document() -> None:
    text = table(48, 50)
    row = re.search(rf"^\| `{BUG}` .*$", text, re.MULTILINE)
    assert row is not None
    assert "| 48/50 | law, edge | 1,000 | 0.5 |" in row[0]
    assert zoo.BUGS[BUG].citation in row[0]
    assert f"* `{BUG}`, 48 of 50: no reason is known" in text
    assert f"* `{ESCAPING}`, 0 of 50: a total variation of" in text
    assert re.search(rf"^\| `{CONTROL}` \| 0/50 \|", text, re.MULTILINE)
    assert f"| {CONTROL} | 0/1 | `prints` |" in text
    assert "Median ratio" in text


def test_surprises_are_named() -> None:
    trials = [*runs(BUG, 1, 2), *runs(ESCAPING, 0, 2), *runs(CONTROL, 1, 2)]
    found = document(trials, [Objections("rrs_numpy", "quick", 0, ("law[V5]",))], "quick", {})
    assert found.surprises == (f"missed: {BUG}", f"false alarm: {CONTROL}", "false alarm: rrs_numpy")
    assert document(runs(BUG, 2, 2), [], "quick", {}).surprises == ()


def test_tables_are_compared_within_their_intervals() -> None:
    committed = table(48, 50)
    assert differences(committed, committed) == []
    assert differences(committed, table(5, 5)) == []
    assert differences(committed, table(10, 50)) == [f"{BUG}: 10 of 50 against 48 of 50 in the committed table"]
    assert differences(committed, table(48, 50, alarms=30)) == [
        f"{CONTROL}: 30 of 50 against 0 of 50 in the committed table"
    ]
    missing = "\n".join(line for line in committed.splitlines() if BUG not in line)
    assert differences(missing, committed) == [f"{BUG}: not in the committed table"]
    assert differences(committed, missing) == [f"{BUG}: not measured"]
    assert differences(committed, missing, whole=False) == []
    alarmed = committed.replace(f"| {CONTROL} | 0/1 |", f"| {CONTROL} | 900/1000 |")
    quiet = committed.replace(f"| {CONTROL} | 0/1 |", f"| {CONTROL} | 0/1000 |")
    assert differences(quiet, alarmed) == [
        f"{CONTROL} on exact tallies: 900 of 1000 against 0 of 1000 in the committed table"
    ]


def test_a_store_keeps_what_was_finished(tmp_path: Path) -> None:
    store = Store(tmp_path / "results.jsonl")
    store.load()
    store.add(trial(BUG, caught=True, deltas={"law": (0.1, 0.2)}))
    store.add(Objections(CONTROL, "quick", 3, ("law[V5]",)))
    with store.path.open("a", encoding="utf-8") as file:
        file.write('{"name": "cut o')
    again = Store(store.path)
    again.load()
    assert again.trials == store.trials
    assert again.objections == store.objections


def test_names() -> None:
    assert names_of("all", ["a", "b", "c"]) == ["a", "b", "c"]
    assert names_of("2", ["a", "b", "c"]) == ["a", "b"]
    assert names_of("c, a", ["a", "b", "c"]) == ["c", "a"]


def test_every_control_is_stood_for_once() -> None:
    groups = representatives()
    assert sorted(name for names in groups.values() for name in names) == sorted(zoo.CONTROLS)
    for first, names in groups.items():
        assert {declared_by(zoo.get(name)) for name in names} == {declared_by(zoo.get(first))}


def script(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, str(SCRIPT), "--controls", "0", "--exact", "0"),
            *("--results", str(folder / "runs.jsonl"), "--output", str(folder / "table.md"), *options),
        ],
        cwd=folder,
        capture_output=True,
        check=False,
        text=True,
    )


def test_script_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    done = script(tmp_path, "--bugs", "accepts_everything", "--seeds", "1")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "| `accepts_everything` | law | B06 |" in text
    lines = (tmp_path / "runs.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["first"] for line in lines] == ["smoke[known-answers]"]
    again = script(tmp_path, "--bugs", "accepts_everything", "--seeds", "1", "--check")
    assert again.returncode == 0, again.stderr
    assert again.stdout == "as committed, within the intervals\n"
    assert (tmp_path / "runs.jsonl").read_text(encoding="utf-8").splitlines() == lines
    assert (tmp_path / "table.md").read_text(encoding="utf-8") == text


@pytest.mark.parametrize("options", [["--bugs", "unheard_of"], ["--tier", "slow"]])
def test_script_refuses_what_there_is_not(options: list[str], tmp_path: Path) -> None:
    assert script(tmp_path, *options).returncode == 2
