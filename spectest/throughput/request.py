"""What a measurement is asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from spectest.declaration import Declaration
from spectest.errors import UsageError
from spectest.schemes import SCHEMES

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Of a toy, a small model's characters, and the vocabularies of Llama 2 and Llama 3.
VOCAB: Final = (128, 1000, 32_000, 128_256)
BATCH: Final = (1, 8, 64)
_INTEGERS: Final = ("vocab", "drafts", "batch")
_TEXTS: Final = ("devices", "schemes")
#: Declarations that can be chosen for reference schemes, too.
_OF_SCHEMES: Final = ("drafting", "dtype")


@dataclass(frozen=True)
class Request:
    """Everything a measurement can be asked for.

    Args:
        address: of the user's selector, `pkg.mod:name` or `path/to/file.py:name`; None: reference schemes alone.
        vocab: sizes V.
        drafts: numbers of drafts n, in place of the declared one.
        batch: rows per call B.
        devices: torch devices, in place of the declared one; schemes alone are measured on cpu, and on cuda if it is
            there.
        schemes: reference schemes measured as well; by default `recursive_rejection` and the one the selector declares.
        seconds: per cell, at most.
        budget: seconds of measuring in all, loading not counted; what does not fit is left out and said.
        timeout: seconds per call after a process's first.
        threads: torch threads. One by default: figures of several depend on who else uses the cores.
        seed: of everything random.
        overrides: declarations that override the selector's own, and those of the schemes where there is no selector;
            None items are ignored.

    Raises:
        UsageError: a value is out of its range; the message names it.
    """

    address: str | None = None
    vocab: tuple[int, ...] = VOCAB
    drafts: tuple[int, ...] | None = None
    batch: tuple[int, ...] = BATCH
    devices: tuple[str, ...] | None = None
    schemes: tuple[str, ...] | None = None
    seconds: float = 1.0
    budget: float = 100.0
    timeout: float = 10.0
    threads: int = 1
    seed: int = 0
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Validate."""
        for name in _INTEGERS:
            _at_least_one(name, getattr(self, name))
        _at_least_one("threads", (self.threads,))
        for name in ("seconds", "budget", "timeout"):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < math.inf:
                msg = f"`{name}` must be a positive number of seconds, got {value!r}"
                raise UsageError(msg)
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            msg = f"`seed` must be an integer of at least 0, got {self.seed!r}"
            raise UsageError(msg)
        for device in self.devices or ():
            timed_device(device)
        unknown = [name for name in self.schemes or () if name not in SCHEMES]
        if unknown:
            msg = f"`schemes` must be all, none or names among {', '.join(SCHEMES)}; got {', '.join(unknown)}"
            raise UsageError(msg)
        Declaration().override(self.overrides)
        if self.address is None:
            self._check_schemes_alone()

    def _check_schemes_alone(self) -> None:
        if not self.schemes:
            msg = "name a selector, `spectest bench pkg.mod:name`, or schemes alone: `spectest bench --schemes all`"
            raise UsageError(msg)
        fixed = [name for name in self.overrides if name not in _OF_SCHEMES]
        if fixed:
            msg = f"`{fixed[0]}` cannot be chosen for reference schemes: leave it out, or name a selector"
            raise UsageError(msg)


def timed_device(device: str) -> None:
    """Raise unless calls on `device` can be timed.

    Raises:
        UsageError: it is neither the host nor a CUDA device.
    """
    if device.partition(":")[0] not in {"cpu", "cuda"}:
        msg = f"`device` must be cpu or cuda to be timed, got {device!r}"
        raise UsageError(msg)


def _at_least_one(name: str, values: tuple[int, ...] | None) -> None:
    if values is None and name == "drafts":
        return
    for value in values or (None,):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            msg = f"`{name}` must hold integers of at least 1, got {value!r}"
            raise UsageError(msg)


def from_text(given: Mapping[str, Any]) -> Request:
    """Return the request that options ask for; None stands for one that was not given.

    Args:
        given: `vocab`, `drafts`, `batch` as "N[,N]", `devices` and `schemes` as "a,b" (`schemes` also as "all" or
            "none"); anything else as a field of `Request` or of `spectest.declaration.Declaration`.

    Raises:
        UsageError: a value that cannot be read, or out of its range.

    Example:
        >>> given = {"address": "mine.py:select", "vocab": "128,1000", "schemes": "none", "dtype": "float32"}
        >>> request = from_text(given)
        >>> request.vocab, request.schemes, request.overrides
        ((128, 1000), (), {'dtype': 'float32'})
    """
    options = {name: value for name, value in given.items() if value is not None}
    for name in _INTEGERS:
        if name in options:
            options[name] = _integers(name, options[name])
    for name in _TEXTS:
        if name in options:
            options[name] = tuple(part.strip() for part in options[name].split(","))
    if "schemes" in options:
        options["schemes"] = {("all",): tuple(SCHEMES), ("none",): ()}.get(options["schemes"], options["schemes"])
    own = {item.name for item in fields(Request)} - {"overrides"}
    return Request(
        **{name: value for name, value in options.items() if name in own},
        overrides={name: value for name, value in options.items() if name not in own},
    )


def _integers(name: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError as error:
        msg = f"`{name}` must be integers separated by commas, such as 8,64; got {text!r}"
        raise UsageError(msg) from error
