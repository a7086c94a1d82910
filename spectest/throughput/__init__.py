"""Throughput: how fast a selector and the reference schemes are, each beside `torch.argmax` over the same rows."""

from __future__ import annotations

from spectest.throughput.request import Request, from_text
from spectest.throughput.result import Cell, Measurement, Throughput
from spectest.throughput.run import Bench
from spectest.throughput.subjects import Subject, reference
from spectest.throughput.table import print_throughput

__all__ = [
    "Bench",
    "Cell",
    "Measurement",
    "Request",
    "Subject",
    "Throughput",
    "from_text",
    "print_throughput",
    "reference",
]
