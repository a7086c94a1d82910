"""Running a calibration."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from spectest.calibration.pool import spread, workers
from spectest.calibration.result import Calibration
from spectest.calibration.trial import Trial, run
from spectest.throughput.machine import environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from spectest.calibration.request import Request


def calibrate(request: Request, tell: Callable[[Trial, int, int], None] | None = None) -> Calibration:
    """Run the controls and the bugs that are asked for; Ctrl-C and the budget end it with what there is.

    Args:
        request: what to run.
        tell: told of each run, with how many are done of how many.

    Raises:
        UsageError: the device is not there.
    """
    started = time.time()
    deadline = None if request.budget is None else started + request.budget
    tasks = request.tasks(deadline)
    trials: list[Trial] = []
    try:
        for trial in spread(run, tasks, processes=workers(request.device), deadline=deadline):
            if trial.verdict == "inconclusive" and deadline is not None and time.time() >= deadline:
                continue  # it was time that ended it
            trials.append(trial)
            if tell is not None:
                tell(trial, len(trials), len(tasks))
    except KeyboardInterrupt:
        pass
    place = {(task.name, task.seed): number for number, task in enumerate(tasks)}
    trials.sort(key=lambda trial: place[trial.name, trial.seed])
    return Calibration(request, tuple(trials), len(tasks), time.time() - started, environment())
