"""Which machine and which versions a figure belongs to."""

from __future__ import annotations

import contextlib
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import spectest

LIBRARIES: Final = ("torch", "numpy")


def processor() -> str:
    """Return the processor's model, as Linux tells it, or its architecture."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def environment() -> dict[str, Any]:
    """Return versions and the host; nothing is imported for it."""
    versions = {name: version(name) for name in LIBRARIES}
    return {
        "spectest": spectest.__version__,
        "python": platform.python_version(),
        **versions,
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "devices": {"cpu": processor()},
    }
