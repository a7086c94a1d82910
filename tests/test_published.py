"""docs/published.md is what its command writes now, and every figure in it agrees."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_published_figures_are_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "published.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
