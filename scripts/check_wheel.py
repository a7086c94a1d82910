"""Fail unless the one wheel in a folder holds what it must: `python scripts/check_wheel.py dist`."""

from __future__ import annotations

import sys
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parents[1]


def expected() -> set[str]:
    """Return every file of the checkout that the wheel must hold, by its name in the wheel."""
    sources = {f"spectest/{path.relative_to(ROOT / 'spectest')}" for path in (ROOT / "spectest").rglob("*.py")}
    strategies = {f"spectest/strategies/{path.name}" for path in (ROOT / "strategies").glob("*.py")}
    zoo = {f"spectest/zoo/{path.name}" for path in (ROOT / "tests" / "zoo").glob("*.py")}
    schemas = {f"spectest/report/{path.name}" for path in (ROOT / "spectest" / "report").glob("*.json")}
    return sources | strategies | zoo | schemas | {"spectest/py.typed"}


def problems(names: set[str]) -> list[str]:
    """Return what is wrong with a wheel of these file names, one line each."""
    missing = [f"missing: {name}" for name in sorted(expected() - names)]
    inside = ("spectest/", "spectest-")
    strays = [f"does not belong there: {name}" for name in sorted(names) if not name.startswith(inside)]
    licence = [] if any(name.endswith("/licenses/LICENSE") for name in names) else ["missing: the licence"]
    return missing + strays + licence


def main(folder: str) -> int:
    """Print what is wrong, or that nothing is; return the exit code."""
    wheels = sorted(Path(folder).glob("*.whl"))
    if len(wheels) != 1:
        print(f"expected one wheel in {folder}, found {len(wheels)}: {', '.join(w.name for w in wheels) or 'none'}")
        return 1
    with ZipFile(wheels[0]) as archive:
        names = set(archive.namelist())
    found = problems(names)
    print("\n".join(found) or f"{wheels[0].name} holds all {len(expected())} files of the checkout")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
