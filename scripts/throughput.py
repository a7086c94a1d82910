"""Measure every scheme under every drafting law and write docs/throughput.md: `python scripts/throughput.py`.

`--from FILE …` writes it from what `spectest bench --json FILE` measured elsewhere, on a machine with a GPU, say.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from spectest.errors import UsageError
from spectest.problem import DRAFTING
from spectest.schemes import SCHEMES
from spectest.throughput import Bench, Request
from spectest.throughput.table import durations

ROOT = Path(__file__).resolve().parents[1]
Cells = list[dict[str, Any]]


def measured(laws: list[str], devices: tuple[str, ...] | None, budget: float) -> list[dict[str, Any]]:
    """Return one report per drafting law, as `spectest bench --json` writes it."""
    reports = []
    for law in laws:
        request = Request(schemes=tuple(SCHEMES), devices=devices, budget=budget, overrides={"drafting": law})
        reports.append(Bench(request, lambda what: print(what, flush=True)).execute().to_dict())
    return reports


def table(cells: Cells) -> list[str]:
    """Return the Markdown table of one device, law, number of drafts, batch and layout: a line per scheme."""
    sizes = sorted({cell["V"] for cell in cells})
    names = list(dict.fromkeys(cell["selector"] for cell in cells))
    found = {(cell["selector"], cell["V"]): cell for cell in cells}
    lines = [
        f"| | {' | '.join(f'V = {size:,}' for size in sizes)} |",
        f"|---|{'---:|' * len(sizes)}",
        f"| `torch.argmax` | {' | '.join(argmax(cells, size) for size in sizes)} |",
    ]
    lines += [f"| `{name}` | {' | '.join(entry(found.get((name, size))) for size in sizes)} |" for name in names]
    return [*lines, ""]


def argmax(cells: Cells, size: int) -> str:
    """Return what `torch.argmax` took beside the schemes, the median of them."""
    times = [cell["argmax"] for cell in cells if cell["V"] == size and cell["status"] == "measured"]
    return durations(statistics.median(times)) if times else "–"


def entry(cell: dict[str, Any] | None) -> str:
    """Return the time per call and how many times argmax that is."""
    if cell is None or cell["status"] == "skipped":
        return "–"
    if cell["status"] != "measured":
        return str(cell["status"])
    return f"{durations(cell['median'])} ({cell['ratio']:,.1f} ×)"


def sections(report: dict[str, Any]) -> list[str]:
    """Return a report's tables, by device, law, n, batch and layout."""
    groups: dict[tuple[Any, ...], Cells] = {}
    for cell in report["cells"]:
        groups.setdefault(tuple(cell[key] for key in ("device", "drafting", "n", "B", "rows")), []).append(cell)
    lines = []
    for (device, law, n, rows, layout), cells in sorted(groups.items()):
        if any(cell["status"] == "measured" for cell in cells):
            lines += [f"### {device}, {law}, n = {n}, B = {rows}, {layout} rows", "", *table(cells)]
    return lines


def missing(reports: list[dict[str, Any]]) -> list[str]:
    """Return why cells have no figure, a line for each scheme, law and reason."""
    reasons: dict[tuple[str, str, str], int] = {}
    for report in reports:
        for cell in report["cells"]:
            if cell["status"] != "measured":
                key = cell["selector"], cell["drafting"], cell["detail"]
                reasons[key] = reasons.get(key, 0) + 1
    return [f"* `{name}`, {law}: {detail} ({count} cells)" for (name, law, detail), count in reasons.items()]


def document(reports: list[dict[str, Any]]) -> str:
    """Return the whole file."""
    machines: dict[str, list[dict[str, Any]]] = {}
    for report in reports:
        machines.setdefault(machine(report["environment"]), []).append(report)
    lines = [
        "# Throughput",
        "",
        "Time per call of every reference scheme, median of the rounds, and in brackets how many times `torch.argmax`",
        "over the same rows took, measured in turns with it in the same process. A call selects one token for each of",
        "B rows. Dense rows are contiguous and each a problem of its own, shared rows are expanded views of one",
        "problem; calls go round more problems than any plan is kept for, so that planning is part of the time. Laws",
        "are softmax of normal logits, on which a single draft is accepted some three times in four (see",
        "`spectest/engine/timing_inputs.py`). `spectest bench pkg.mod:name` measures a selector of yours the same way.",
        "",
        f"Written by `{' '.join(['python scripts/throughput.py', *sys.argv[1:]])}` on {datetime.now(UTC).date()}.",
        "",
    ]
    for name, mine in machines.items():
        lines += [f"## {name}", ""]
        for report in mine:
            lines += sections(report)
    reasons = missing(reports)
    lines += ["## Not measured", "", *reasons, ""] if reasons else []
    return "\n".join(lines)


def machine(environment: dict[str, Any]) -> str:
    """Return what a report was measured on."""
    devices = "; ".join(environment["devices"].values())
    versions = ", ".join(f"{name} {environment[name]}" for name in ("spectest", "python", "torch", "numpy"))
    return f"{devices}, {environment['cores']} cores, {environment['threads']} thread(s), {versions}"


def main() -> int:
    """Measure or read, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--law", action="append", choices=DRAFTING, help="only this drafting law; repeatable")
    parser.add_argument("--device", action="append", help="only this device; repeatable")
    parser.add_argument("--budget", type=float, default=200.0, help="seconds per drafting law")
    parser.add_argument("--from", dest="files", nargs="+", type=Path, default=[], help="reports measured elsewhere")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "throughput.md")
    given = parser.parse_args()
    if given.files:
        reports = [json.loads(path.read_text(encoding="utf-8")) for path in given.files]
    else:
        try:
            reports = measured(given.law or list(DRAFTING), tuple(given.device) if given.device else None, given.budget)
        except UsageError as error:
            parser.error(str(error))
    given.output.write_text(document(reports), encoding="utf-8")
    print(f"{given.output} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
