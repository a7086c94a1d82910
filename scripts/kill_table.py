"""Verify the planted selectors and write down what came of it: `python scripts/kill_table.py --tier quick`.

Defective selectors must fail, correct ones pass; the exit code says whether all did but those known to escape.
"""

from __future__ import annotations

import argparse
import contextlib
import platform
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from spectest.errors import UsageError  # noqa: E402 (needs the path)
from spectest.runner import TIERS, Run, RunConfig  # noqa: E402
from spectest.runner.sessions import cores  # noqa: E402
from spectest.throughput.machine import processor  # noqa: E402
from tests.planted import correct, defects  # noqa: E402

HARMFUL = [name for name in defects.DEFECTIVE if name not in defects.HARMLESS]
CONTROLS = {name: f"tests.planted.correct:{name}" for name in correct.CORRECT}
LIBRARIES = ("spectest", "torch", "numpy", "scipy")
TIMEOUT = 5.0  # seconds per call: two of the planted selectors hang


@dataclass(frozen=True)
class Line:
    """One selector's line of the table."""

    name: str
    kind: str
    verdict: str
    failed: tuple[str, ...]
    seconds: float

    @property
    def expected(self) -> bool:
        """Whether the verdict is what the selector deserves, or it is known to escape."""
        return self.verdict == ("fail" if self.name in HARMFUL else "pass") or self.name in defects.UNSEEN

    def __str__(self) -> str:
        """Return it in Markdown."""
        failed = ", ".join(self.failed) or "–"
        return f"| `{self.name}` | {self.kind} | {self.verdict} | {failed} | {self.seconds:.0f} |"


def verified(name: str, tier: str, seed: int) -> Line:
    """Verify one selector."""
    address = CONTROLS.get(name) or defects.ADDRESSES[name]
    started = time.perf_counter()
    failed: tuple[str, ...] = ()
    try:
        report = Run(address, RunConfig(tier=tier, seed=seed, timeout=TIMEOUT)).execute()
    except UsageError as error:
        verdict = f"cannot be called: {error}"
    else:
        verdict, failed = report.verdict, tuple(c.name for c in report.checks if c.verdict == "fail")
    return Line(name, defects.DEFECTIVE.get(name, "correct"), verdict, failed, time.perf_counter() - started)


def document(lines: list[Line], total: int, command: str) -> str:
    """Return the whole file, for as many of `total` selectors as have been verified."""
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    planted = [line for line in lines if line.name in HARMFUL]
    sound = [line for line in lines if line not in planted]
    escaped = [line.name for line in planted if line.verdict != "fail"]
    seen, passed = len(planted) - len(escaped), sum(line.verdict == "pass" for line in sound)
    head = ("| selector | kind | verdict | checks that failed | seconds |", "|---|---|---|---|---:|")
    return "\n".join(
        (
            "# What the suite sees",
            "",
            "Defective selectors (`tests/planted/defects/`), which must fail, and correct ones",
            "(`tests/planted/correct.py`), which must pass; what each defect is stands in its docstring.",
            "",
            f"* command: `{command}`",
            f"* machine: {processor()}, {cores()} cores",
            f"* versions: Python {platform.python_version()}, {versions}",
            f"* date: {datetime.now(UTC).date()}",
            "",
            *([] if len(lines) == total else [f"Unfinished: {len(lines)} of {total} selectors verified.", ""]),
            f"**{seen} of {len(planted)} defective selectors fail; {passed} of {len(sound)} correct ones pass.**",
            "",
            *(["Not seen:", ""] if escaped else []),
            *(f"* `{name}`: {defects.UNSEEN.get(name, 'no reason is known')}" for name in escaped),
            *([""] if escaped else []),
            "## Defective",
            "",
            *head,
            *map(str, planted),
            "",
            "## Correct",
            "",
            *head,
            *map(str, sound),
            "",
        )
    )


def main() -> int:
    """Verify, print as it goes, write the table as it grows; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tier", choices=TIERS, default="quick")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "kill-table.md")
    parser.add_argument("names", nargs="*", metavar="NAME", help="selectors, all by default")
    given = parser.parse_args()
    names = given.names or [*defects.DEFECTIVE, *CONTROLS]
    if unknown := [name for name in names if name not in CONTROLS and name not in defects.DEFECTIVE]:
        parser.error(f"there is no planted selector called {', '.join(unknown)}")
    output, lines = given.output.resolve(), list[Line]()
    output.parent.mkdir(parents=True, exist_ok=True)
    command = " ".join([f"python scripts/kill_table.py --tier {given.tier} --seed {given.seed}", *given.names])
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):  # where the runs leave their records
        for name in names:
            lines.append(verified(name, given.tier, given.seed))
            print(lines[-1], flush=True)
            output.write_text(document(lines, len(names), command), encoding="utf-8")  # a long run may be ended
    surprises = [line.name for line in lines if not line.expected]
    print(f"not as expected: {', '.join(surprises)}" if surprises else "all as expected")
    return 1 if surprises else 0


if __name__ == "__main__":
    sys.exit(main())
