"""Fail unless every scheme's benchmarks were measured: `python scripts/check_benchmarks.py reports/benchmarks.json`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from spectest.schemes import SCHEMES


def measured(report: Path) -> list[dict[str, Any]]:
    """Return the benchmarks that `report` (written by `--benchmark-json`) holds; none if it was not written."""
    text = report.read_text(encoding="utf-8") if report.is_file() else ""
    return json.loads(text)["benchmarks"] if text.strip() else []


def main(report: str) -> int:
    """Print what was found; return the exit code."""
    found = measured(Path(report))
    if not found:
        print(f"no benchmark ran: {report} is missing or empty")
        return 1
    missing = sorted(set(SCHEMES) - {benchmark["extra_info"].get("scheme") for benchmark in found})
    print(f"{len(found)} benchmarks in {report}")
    if missing:
        print(f"no benchmark of {', '.join(missing)}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
