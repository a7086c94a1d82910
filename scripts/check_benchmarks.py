"""Fail unless a benchmark was measured: `python scripts/check_benchmarks.py reports/benchmarks.json`."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def measured(report: Path) -> int:
    """Return how many benchmarks `report` (written by `--benchmark-json`) holds; 0 if it was not written."""
    text = report.read_text(encoding="utf-8") if report.is_file() else ""
    return len(json.loads(text)["benchmarks"]) if text else 0


def main(report: str) -> int:
    """Print what was found; return the exit code."""
    count = measured(Path(report))
    print(f"{count} benchmarks in {report}" if count else f"no benchmark ran: {report} is missing or empty")
    return 0 if count else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
