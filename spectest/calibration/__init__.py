"""Calibration: the controls and the bugs of the zoo on this machine, so that trust is shown and not claimed."""

from __future__ import annotations

from spectest.calibration.exact import ExactSession, false_alarms
from spectest.calibration.pool import spread, workers
from spectest.calibration.request import Request, parse_bugs
from spectest.calibration.result import Calibration
from spectest.calibration.run import calibrate
from spectest.calibration.table import print_calibration
from spectest.calibration.trial import Task, Trial, run

__all__ = [
    "Calibration",
    "ExactSession",
    "Request",
    "Task",
    "Trial",
    "calibrate",
    "false_alarms",
    "parse_bugs",
    "print_calibration",
    "run",
    "spread",
    "workers",
]
