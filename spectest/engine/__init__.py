"""Calling selectors: addresses, child processes, the sampling loop, tallies."""

from __future__ import annotations

from spectest.engine.address import address_of
from spectest.engine.experiment import Call, Experiment, Outcome, Tally
from spectest.engine.faults import (
    BadOutput,
    InputMutated,
    SelectorDied,
    SelectorFault,
    SelectorHung,
    SelectorRaised,
    SelectorRefused,
)
from spectest.engine.precision import Prepared, prepare
from spectest.engine.session import ChildSession, LocalSession, Session
from spectest.engine.timing import Refused, Timed, Timing
from spectest.engine.worker import Loaded

__all__ = [
    "BadOutput",
    "Call",
    "ChildSession",
    "Experiment",
    "InputMutated",
    "Loaded",
    "LocalSession",
    "Outcome",
    "Prepared",
    "Refused",
    "SelectorDied",
    "SelectorFault",
    "SelectorHung",
    "SelectorRaised",
    "SelectorRefused",
    "Session",
    "Tally",
    "Timed",
    "Timing",
    "address_of",
    "prepare",
]
