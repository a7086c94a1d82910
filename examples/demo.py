"""The demonstration: verify transformers as published, then the same with a defect planted around it.

Exits 0 if the first passes and the second fails, as they should. Options given here are passed on to both.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REPORTS = Path("reports")
CONFORMS, FAILED = 0, 1
# It verifies one position a call: all checks on all problems of the tier take longer than a newcomer waits.
LAW = ("--checks", "smoke,determinism,support,law,acceptance", "--vocab", "5,64,300")
FEW = ("--checks", "law,acceptance", "--vocab", "5")  # one problem shows it
STEPS = (
    (
        "transformers, as published",
        "spectest.adapters.transformers:speculative_sampling",
        "transformers",
        LAW,
        CONFORMS,
    ),
    ("the same with a planted defect", "examples/broken_transformers.py:wrong_temperature", "defect", FEW, FAILED),
)


def main() -> int:
    """Run both verifications with the command a user would type."""
    (ROOT / REPORTS).mkdir(exist_ok=True)
    outcomes = []
    for title, address, name, options, expected in STEPS:
        report = REPORTS / f"{name}.json"
        command = ["spectest", "verify", address, *options, *sys.argv[1:], "--json", str(report)]
        print(f"\n== {title}\n$ {' '.join(command)}\n", flush=True)
        code = subprocess.run([sys.executable, "-m", *command], check=False, cwd=ROOT).returncode  # noqa: S603 (our own command)
        outcomes.append(code == expected)
        print(f"exit code {code}, expected {expected}; report in {report}", flush=True)
    return 0 if all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
