"""Selectors, and processes that are this one: what `Bench` does with them needs no child."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING, Any

from rich.console import Console

import spectest
from spectest.declaration import declared_by
from spectest.engine import Loaded, SelectorDied, SelectorHung, Timed
from spectest.engine.address import resolve
from spectest.engine.backends import backend_of
from spectest.engine.caller import Caller
from spectest.engine.timing import measure
from spectest.throughput import Bench, Request, Throughput, print_throughput, reference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spectest.engine import Refused, Timing


@spectest.selector(array="numpy", drafting="without_replacement", n_drafts=2)
def first(p: Any, q: Any, x: Any, generator: Any) -> Any:
    return x[:, 0]


@spectest.selector(broadcast=True, scheme="target_only", dtype="float32")
def views(p: Any, q: Any, x: Any, generator: Any) -> Any:
    return x[:, 0].clone()


@spectest.selector(batched=False)
def one(p: Any, q: Any, x: Any, generator: Any) -> int:
    return int(x[0])


def refuses(p: Any, q: Any, x: Any, generator: Any) -> Any:
    if p.shape[1] > 8:
        msg = "at most 8 tokens"
        raise spectest.ProblemTooLarge(msg)
    return x[:, 0].clone()


def raises(p: Any, q: Any, x: Any, generator: Any) -> Any:
    msg = "k"
    raise KeyError(msg)


@spectest.selector(kind="tree")
def tree(*arguments: Any) -> Any:
    raise NotImplementedError


@spectest.selector(drafting="hub")
def pairs(p: Any, q: Any, x: Any, generator: Any) -> Any:
    return x[:, 0].clone()


class Here:
    """A process that is this one."""

    def __init__(self, address: str, overrides: Mapping[str, Any], *, timeout: float, threads: int) -> None:
        self.function = globals()[address] if address in globals() else resolve(address)
        self.declaration = declared_by(self.function).override(overrides)
        self.loaded = Loaded(address, self.declaration, {})
        self.closed = False
        opened.append(self)

    def time(self, timing: Timing) -> Timed | Refused:
        return measure(Caller(self.function, self.declaration, backend_of(self.declaration)), timing)

    def close(self) -> None:
        self.closed = True


opened: list[Here] = []


def bench(address: str | None = None, *, start: Any = Here, **given: Any) -> Throughput:
    request = Request(address, **({"vocab": (8,), "batch": (1, 4), "schemes": (), "seconds": 1e-3} | given))
    return Bench(request, start=start).execute()


def printed(result: Throughput, width: int = 140, **options: bool) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_throughput(result, console, **options)
    return console.file.getvalue()  # type: ignore[attr-defined]


class Ending(Here):
    """Its process ends on more than 8 tokens, by a hang or a crash."""

    fault: Any = SelectorHung

    def time(self, timing: Timing) -> Timed | Refused:
        if timing.vocab_size > 8:
            msg = "it ended"
            raise self.fault(msg)
        return super().time(timing)


class Dying(Ending):
    fault = SelectorDied


class Fixed(Here):
    """A call takes half a second per row."""

    def time(self, timing: Timing) -> Timed | Refused:
        return Timed(1, (0.5 * timing.rows,) * 4, (1e-6,) * 4)


class Slow(Fixed):
    """One scheme takes its time."""

    def time(self, timing: Timing) -> Timed | Refused:
        if timing.address == reference("naive", "without_replacement").address:
            time.sleep(0.7)
        return super().time(timing)
