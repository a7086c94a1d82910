"""What was measured, cell by cell."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from spectest.throughput.subjects import Subject

SCHEMA_VERSION = 1
Status = Literal["measured", "refused", "failed", "skipped"]


@dataclass(frozen=True)
class Cell:
    """The size of a call.

    Args:
        device: where it is made.
        V: vocabulary size.
        n: drafts per row.
        B: rows.
        shared: all rows are one problem, handed over as expanded views, instead of contiguous rows of their own.
    """

    device: str
    V: int
    n: int
    B: int
    shared: bool = False

    @property
    def layout(self) -> str:
        """`shared` or `dense`."""
        return "shared" if self.shared else "dense"

    def __str__(self) -> str:
        """Return it as messages name it."""
        shared = ", shared rows" if self.shared else ""
        return f"V = {self.V:,}, n = {self.n}, B = {self.B}{shared}"


def place_of(cell: Cell) -> tuple[str, int, int, int, bool]:
    """Return where a cell comes in tables: by device, then from small to large."""
    return cell.device, cell.V, cell.n, cell.B, cell.shared


@dataclass(frozen=True)
class Measurement:
    """One selector on one cell; seconds are per call, one figure per round.

    Args:
        subject: what was measured.
        cell: the size of a call.
        status: measured, refused (it does not take such problems, and says so), failed, or skipped.
        calls: of the selector in a round.
        seconds: of the selector.
        argmax_seconds: of `torch.argmax` over the same rows, in turns with it.
        detail: why nothing was measured.
        traceback: the selector's own.
    """

    subject: Subject
    cell: Cell
    status: Status
    calls: int = 0
    seconds: tuple[float, ...] = ()
    argmax_seconds: tuple[float, ...] = ()
    detail: str = ""
    traceback: str | None = None

    @cached_property
    def quartiles(self) -> tuple[float, float, float]:
        """First quartile, median and third quartile of the seconds per call, of what was measured."""
        low, median, high = np.percentile(self.seconds, (25, 50, 75)).tolist()
        return low, median, high

    @property
    def tokens_per_second(self) -> float:
        """Rows per call over the median."""
        return self.cell.B / self.quartiles[1]

    @property
    def argmax(self) -> float:
        """Median seconds per call of `torch.argmax`."""
        return float(np.median(self.argmax_seconds))

    @property
    def ratio(self) -> float:
        """How many times `torch.argmax` it takes."""
        return self.quartiles[1] / self.argmax

    def to_dict(self) -> dict[str, Any]:
        """Return it ready for JSON, with the raw times."""
        declaration, cell = self.subject.declaration, self.cell
        found: dict[str, Any] = {
            "selector": self.subject.name,
            "address": self.subject.address,
            "reference": self.subject.scheme,
            "drafting": declaration.drafting,
            "array": declaration.array,
            "dtype": declaration.dtype,
            "device": cell.device,
            "V": cell.V,
            "n": cell.n,
            "B": cell.B,
            "rows": cell.layout,
            "status": self.status,
            "detail": self.detail,
        }
        if self.status == "measured":
            q1, median, q3 = self.quartiles
            found |= {
                "median": median,
                "quartiles": [q1, q3],
                "tokens_per_second": self.tokens_per_second,
                "argmax": self.argmax,
                "ratio": self.ratio,
                "calls_per_round": self.calls,
                "seconds": list(self.seconds),
                "argmax_seconds": list(self.argmax_seconds),
            }
        return found


@dataclass(frozen=True)
class Throughput:
    """The result of `spectest bench`.

    Args:
        selector: the user's address, None where schemes alone were measured.
        measurements: by subject, in the order they were made.
        notes: what was left out, and why.
        environment: versions, devices, threads.
        seconds: it took in all.
        interrupted: whether Ctrl-C ended it.
    """

    selector: str | None
    measurements: tuple[Measurement, ...]
    notes: tuple[str, ...] = ()
    environment: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    interrupted: bool = False

    @property
    def judged(self) -> list[Measurement]:
        """The measurements that decide: of the user's selector, or of the schemes where there is none."""
        own = [item for item in self.measurements if not item.subject.scheme]
        return own if self.selector is not None else list(self.measurements)

    @property
    def exit_code(self) -> int:
        """1 after a fault of what was to be measured, 3 where nothing of it was measured or Ctrl-C came, else 0."""
        statuses = {item.status for item in self.judged}
        if "failed" in statuses:
            return 1
        return 0 if "measured" in statuses and not self.interrupted else 3

    def to_dict(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        return {
            "schema": SCHEMA_VERSION,
            "selector": self.selector,
            "cells": [item.to_dict() for item in self.measurements],
            "notes": list(self.notes),
            "seconds": self.seconds,
            "interrupted": self.interrupted,
            "environment": self.environment,
        }
