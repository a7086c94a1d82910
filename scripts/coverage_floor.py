"""Keep the coverage floor honest: fail below it, and fail if it could be raised (after `coverage combine`)."""

from __future__ import annotations

import io
import sys
import tomllib
from pathlib import Path

from coverage import Coverage

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
SLACK = 3.0  # percentage points the floor may lag behind


def judge(total: float, floor: float) -> tuple[int, str]:
    """Return the exit code and the line to print for a measured `total` and a committed `floor`, in percent."""
    if total < floor:
        return 1, f"coverage {total:.1f} % is below the floor of {floor:g} %: test what the report lists"
    if total > floor + SLACK:
        raised = int(total) - 1
        return 1, f"coverage {total:.1f} % leaves the floor behind: set `fail_under = {raised}` in pyproject.toml"
    return 0, f"coverage {total:.1f} %, floor {floor:g} %"


def main() -> int:
    """Read the combined data and the committed floor, print the judgement; return the exit code."""
    floor = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["tool"]["coverage"]["report"]["fail_under"]
    coverage = Coverage()
    coverage.load()
    code, line = judge(coverage.report(file=io.StringIO()), floor)
    print(line)
    return code


if __name__ == "__main__":
    sys.exit(main())
