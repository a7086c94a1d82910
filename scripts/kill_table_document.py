"""The text of docs/kill-table.md, and what of it two tables can be compared by."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from statistics import median
from typing import TYPE_CHECKING, TypeVar

from spectest import zoo
from spectest.calibration.oracle import ALPHA, VOCAB, Beside, beside_oracle
from spectest.calibration.result import reason
from spectest.runner.sessions import cores
from spectest.stats import binomial_interval
from spectest.throughput.machine import processor

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from spectest.calibration.exact import Objections
    from spectest.calibration.trial import Trial

T = TypeVar("T", "Trial", "Objections")
LIBRARIES = ("spectest", "torch", "numpy", "scipy")
#: Chance, over all rows of two tables, that intervals of the same rates lie apart.
LEVEL = 1e-3
#: A row: its selector first, one of its cells how many of how many.
ROW = re.compile(r"^\| (?P<name>`\w+`|\w+) \|(?:.*?\|)?? (?P<seen>\d+)/(?P<runs>\d+) \|", re.MULTILINE)


@dataclass(frozen=True)
class Document:
    """The text, and what is in it that should not be."""

    text: str
    surprises: tuple[str, ...]


def document(
    trials: Iterable[Trial],
    objections: Iterable[Objections],
    tier: str,
    like: Mapping[str, Sequence[str]],
    command: str = "python scripts/kill_table.py",
) -> Document:
    """Return the table of these runs.

    Args:
        trials: of bugs and controls.
        objections: to exact tallies.
        tier: of all of them.
        like: the control in whose place exact tallies were judged -> all that declare the same.
        command: that made it.
    """
    runs = _by_name(trials)
    bugs = {name: runs[name] for name in zoo.BUGS if name in runs}
    controls = {name: runs[name] for name in zoo.CONTROLS if name in runs}
    missed = [name for name, some in bugs.items() if not all(trial.caught for trial in some)]
    alarms = [name for name, some in controls.items() if any(trial.caught for trial in some)]
    exact = _by_name(objections)
    objected = [name for name, some in exact.items() if any(found.cases for found in some)]
    text = "\n".join(
        [
            *_head(tier, command),
            f"**{len(bugs) - len(missed)} of {len(bugs)} bugs are caught in every run,",
            f"{len(controls) - len(alarms)} of {len(controls)} controls never fail.**",
            "",
            *_bugs(bugs),
            *_missed(missed, bugs),
            *_elsewhere(),
            *_oracle(bugs),
            *_controls(controls),
            *_exact(exact, like),
        ]
    )
    unexpected = [name for name in missed if not zoo.BUGS[name].escapes(tier)]
    surprises = [f"missed: {name}" for name in unexpected] + [f"false alarm: {name}" for name in [*alarms, *objected]]
    return Document(text.rstrip() + "\n", tuple(surprises))


def differences(committed: str, measured: str, *, whole: bool = True) -> list[str]:
    """Return, a line each, the rows of two tables whose rates cannot be the same; `whole`: and those not measured."""
    before, after = _rates(committed), _rates(measured)
    shared = [name for name in after if name in before]
    confidence = 1 - LEVEL / max(1, len(shared))
    lines = [f"{name}: not in the committed table" for name in after if name not in before]
    lines += [f"{name}: not measured" for name in before if whole and name not in after]
    for name in shared:
        old, new = (binomial_interval(*rates[name], confidence=confidence) for rates in (before, after))
        if old.low > new.high or new.low > old.high:
            said = " against ".join(f"{seen} of {runs}" for seen, runs in (after[name], before[name]))
            lines.append(f"{name}: {said} in the committed table")
    return lines


def _rates(text: str) -> dict[str, tuple[int, int]]:
    found = {}
    for row in ROW.finditer(text):
        name = row["name"].strip("`")
        found[name if name != row["name"] else f"{name} on exact tallies"] = int(row["seen"]), int(row["runs"])
    return found


def _by_name(found: Iterable[T]) -> dict[str, list[T]]:
    some: dict[str, list[T]] = {}
    for one in sorted(found, key=lambda item: item.seed):
        some.setdefault(one.name, []).append(one)
    return some


def _head(tier: str, command: str) -> list[str]:
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return [
        "# What the suite catches",
        "",
        f"The bugs and the controls of `spectest.zoo`, each run with several seeds by `{command}`.",
        "",
        f"* tier: {tier}, default options, and the vocabulary a bug needs where it needs one",
        f"* machine: {processor()}, {cores()} cores",
        f"* versions: Python {platform.python_version()}, {versions}",
        f"* date: {datetime.now(UTC).date()}",
        "",
    ]


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a table in Markdown; a title that ends in a colon is of numbers."""
    names = [title.rstrip(":") for title in titles]
    lines = [f"| {' | '.join(names)} |", f"|{'|'.join('---:' if t.endswith(':') else '---' for t in titles)}|"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]


def _bugs(bugs: Mapping[str, list[Trial]]) -> list[str]:
    def row(name: str, some: list[Trial]) -> list[str]:
        bug, caught = zoo.BUGS[name], [trial for trial in some if trial.caught]
        checks = next((trial.checks for trial in some if trial.whole), caught[0].checks if caught else ())
        spent = ["–", "–"]
        if caught:
            spent = [f"{median(t.samples for t in caught):,.0f}", f"{median(t.seconds for t in caught):.2g}"]
        return [
            f"`{name}`",
            bug.kind,
            bug.family,
            bug.citation,
            f"{len(caught)}/{len(some)}",
            ", ".join(checks) or "–",
            *spent,
        ]

    titles = ("bug", "kind", "family", "met in", "caught:", "checks", "samples:", "seconds:")
    return [
        "## Bugs",
        "",
        "What each is stands in its docstring. `checks`: all that fail in a whole run. `samples`, `seconds`: medians",
        "until the first failure, on one core, without starting the process: the smoke test first, then from the",
        "smallest samples to the largest.",
        "",
        *_table(titles, (row(name, some) for name, some in bugs.items())),
    ]


def _missed(missed: Sequence[str], bugs: Mapping[str, list[Trial]]) -> list[str]:
    if not missed:
        return []
    lines = []
    for name in missed:
        caught = sum(trial.caught for trial in bugs[name])
        lines.append(f"* `{name}`, {caught} of {len(bugs[name])}: {reason(name) or 'no reason is known'}")
    return ["## Not caught in every run", "", *lines, ""]


def _elsewhere() -> list[str]:
    lines = [f"* {family}: {why}" for family, why in zoo.ELSEWHERE.items()]
    return ["## Families of published bugs that are not in the selection of one token", "", *lines, ""]


def _oracle(bugs: Iterable[str]) -> list[str]:
    found = [beside for name in bugs if (beside := beside_oracle(name)) is not None]
    if not found:
        return []

    def row(beside: Beside) -> list[str]:
        numbers = [f"{beside.variation:.2g}", f"{beside.oracle:.2g}", f"{beside.needed:.2g}"]
        return [f"`{beside.name}`", *numbers, beside.test, f"{beside.ratio:.1f}"]

    titles = ("bug", "total variation:", "oracle:", "needed:", "by", "ratio:")
    return [
        "## Beside a test that knows the bug",
        "",
        f"One draft, V = {VOCAB:,}, laws like a language model's (log p normal with a spread of 3, log q a spread of 1",
        f"from it), α = {ALPHA:g}, β = 1e-3, by calculation. `oracle`: log(1/α)/KL, what a likelihood-ratio test needs",
        "that knows the output law of the bug. `needed`: what the best of the tests of `law` needs at its share of α.",
        "",
        f"Median ratio: {median(beside.ratio for beside in found):.1f}.",
        "",
        *_table(titles, map(row, found)),
    ]


def _controls(controls: Mapping[str, list[Trial]]) -> list[str]:
    if not controls:
        return []

    def row(name: str, some: list[Trial]) -> list[str]:
        failed = sum(trial.caught for trial in some)
        reported = zoo.CONTROLS[name].reported or "–"
        return [f"`{name}`", f"{failed}/{len(some)}", f"{median(t.seconds for t in some):.0f}", reported]

    return [
        "## Controls, end to end",
        "",
        "Correct selectors, each run in a process of its own as a user's is. `reported`: where its like is taken for a",
        "bug.",
        "",
        *_table(("control", "failed:", "seconds:", "reported"), (row(*item) for item in controls.items())),
    ]


def _exact(exact: Mapping[str, list[Objections]], like: Mapping[str, Sequence[str]]) -> list[str]:
    if not exact:
        return []

    def row(name: str, some: list[Objections]) -> list[str]:
        objecting = sum(bool(found.cases) for found in some)
        others = ", ".join(f"`{other}`" for other in like.get(name, ()) if other != name)
        return [name, f"{objecting}/{len(some)}", others or "–"]

    return [
        "## Controls, on exact tallies",
        "",
        "All statistical decisions of a run, its tallies drawn from the targets themselves: the level of the checks,",
        "whatever a selector does. Controls that declare the same share a row.",
        "",
        *_table(("control", "runs with an objection:", "stands for as well"), (row(*item) for item in exact.items())),
    ]
