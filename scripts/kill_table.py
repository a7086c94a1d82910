"""What the suite catches: `python scripts/kill_table.py` runs the zoo and writes docs/kill-table.md.

Every run is kept as a line of JSON, so that an interrupted run loses nothing and the next one goes on. `--check` runs
what is asked for and compares it with the committed table, within the intervals of both, in place of writing it.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from scripts.kill_table_document import differences, document  # noqa: E402 (needs the path)
from spectest import zoo  # noqa: E402
from spectest.calibration.exact import Objections, on_exact_tallies  # noqa: E402
from spectest.calibration.pool import spread, workers  # noqa: E402
from spectest.calibration.request import stratified  # noqa: E402
from spectest.calibration.trial import Task, Trial, run  # noqa: E402
from spectest.declaration import declared_by  # noqa: E402
from spectest.runner import TIERS  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Seeds of a bug of which every check is run, not only up to the first failure: for the column of checks.
WHOLE = 1


@dataclass
class Store:
    """Finished runs, in a file of JSON lines."""

    path: Path
    trials: dict[tuple[str, str, int], Trial] = field(default_factory=dict)
    objections: dict[tuple[str, str, int], Objections] = field(default_factory=dict)

    def load(self) -> None:
        """Read what an earlier run left; a line that was cut off is left out."""
        if not self.path.exists():
            return
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                stored = json.loads(line)
            except ValueError:
                continue
            self.hold(Objections(**stored | {"cases": tuple(stored["cases"])}) if "cases" in stored else _trial(stored))

    def hold(self, result: Trial | Objections) -> None:
        """Take a result in."""
        key = result.name, result.tier, result.seed
        if isinstance(result, Trial):
            self.trials[key] = result
        else:
            self.objections[key] = result

    def add(self, result: Trial | Objections) -> None:
        """Take a result in and write it down."""
        self.hold(result)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(result.to_dict(), ensure_ascii=False) + "\n")


def _trial(stored: dict[str, Any]) -> Trial:
    return Trial.from_dict(stored)


def representatives() -> dict[str, list[str]]:
    """Return, for each declaration, the first control that makes it, and all: tallies know nothing else of them."""
    found: dict[Any, list[str]] = {}
    for name in zoo.CONTROLS:
        found.setdefault(declared_by(zoo.get(name)), []).append(name)
    return {names[0]: names for names in found.values()}


def asked(given: argparse.Namespace, store: Store) -> Iterator[tuple[Callable[[Task], Any], list[Task]]]:
    """Yield what is still to be run: seed by seed, so that an interrupted table has all rows."""
    bugs = names_of(given.bugs, stratified(given.tier))
    runs = [Task(name, given.tier, seed, whole=seed < WHOLE) for seed in range(given.seeds) for name in bugs]
    controls = names_of("all", list(zoo.CONTROLS))
    runs += [Task(name, given.tier, seed) for seed in range(given.controls) for name in controls]
    yield run, [task for task in runs if (task.name, task.tier, task.seed) not in store.trials]
    exact = [Task(name, given.tier, seed) for seed in range(given.exact) for name in representatives()]
    yield on_exact_tallies, [task for task in exact if (task.name, task.tier, task.seed) not in store.objections]


def names_of(text: str, known: list[str]) -> list[str]:
    """Return the names that `all`, a number or a list with commas stands for."""
    if text == "all":
        return known
    if text.isdecimal():
        return known[: int(text)]
    return [name.strip() for name in text.split(",")]


def options() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tier", choices=TIERS, default="quick")
    parser.add_argument("--seeds", type=int, default=50, help="runs of each bug (50)")
    parser.add_argument("--bugs", default="all", help="all, how many, or names with commas")
    parser.add_argument("--controls", type=int, default=40, help="runs of each control, end to end (40)")
    parser.add_argument("--exact", type=int, default=1000, help="runs of each control on exact tallies (1000)")
    parser.add_argument("--results", type=Path, default=ROOT / "reports" / "kill-table.jsonl", help="lines of JSON")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "kill-table.md", help="the table")
    parser.add_argument("--check", action="store_true", help="compare with the table there is, and write nothing")
    return parser


def measured(given: argparse.Namespace, store: Store) -> None:
    """Run what is missing, saying what comes of it; Ctrl-C ends it with what there is."""
    try:
        for function, tasks in asked(given, store):
            for number, result in enumerate(spread(function, tasks, processes=workers()), 1):
                store.add(result)
                said = f"{result.verdict} {result.first}" if isinstance(result, Trial) else ", ".join(result.cases)
                print(f"{number}/{len(tasks)} {result.name} seed {result.seed} {said or 'no objection'}", flush=True)
    except KeyboardInterrupt:
        print("interrupted: the next run goes on from here")


def main() -> int:
    """Run, write the table or compare with it; return 1 where something is not as it should be."""
    parser = options()
    given = parser.parse_args()
    unknown = [name for name in names_of(given.bugs, stratified(given.tier)) if name not in zoo.BUGS]
    if unknown:
        parser.error(f"there is no bug called {', '.join(unknown)} in the zoo")
    given.results.parent.mkdir(parents=True, exist_ok=True)
    store = Store(given.results.resolve())
    store.load()
    measured(given, store)
    trials = [trial for trial in store.trials.values() if trial.tier == given.tier]
    objections = [found for found in store.objections.values() if found.tier == given.tier]
    counts = f"--tier {given.tier} --seeds {given.seeds} --controls {given.controls} --exact {given.exact}"
    command = f"python scripts/kill_table.py {counts}"
    found = document(trials, objections, given.tier, representatives(), command)
    if given.check:
        committed = given.output.read_text(encoding="utf-8")
        wrong = [*differences(committed, found.text, whole=given.bugs == "all"), *found.surprises]
        print("\n".join(wrong) or "as committed, within the intervals")
        return 1 if wrong else 0
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(found.text, encoding="utf-8")
    print("\n".join(found.surprises) or "all as expected")
    return 1 if found.surprises else 0


if __name__ == "__main__":
    sys.exit(main())
