"""Stored counter-examples: the smallest problem of each failed hunt, put to the same selector first in the next run."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from spectest.checks.adversary.counterexample import Counterexample

if TYPE_CHECKING:
    from collections.abc import Iterator

DIRECTORY: Final = Path(".spectest") / "counterexamples"
#: Those that failed last are put to the selector; older ones stay on disk.
_AT_MOST: Final = 16
_KEY_BYTES: Final = 4
_NAMED: Final = 40  # characters of an address that name its folder
_SAID: Final = 3  # unreadable files are named one by one up to here


class Stored(NamedTuple):
    """What is stored for a selector: counter-examples, and a line on what cannot be read."""

    found: tuple[Counterexample, ...] = ()
    unreadable: tuple[str, ...] = ()


def folder(address: str, directory: Path = DIRECTORY) -> Path:
    """Return where the counter-examples of the selector at `address` are."""
    legible = re.sub(r"[^A-Za-z0-9.]+", "-", address).strip("-.")[-_NAMED:]
    return directory / f"{legible}-{hashlib.blake2b(address.encode(), digest_size=_KEY_BYTES).hexdigest()}"


def save(address: str, counterexample: Counterexample, directory: Path = DIRECTORY) -> Path | None:
    """Store a counter-example; return its file, None if none can be written (the run's result matters more)."""
    file = folder(address, directory) / f"{counterexample.identity}.json"
    temporary = file.with_suffix(f".{os.getpid()}.tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps({"selector": address, **counterexample.to_dict()}, indent=1))
        temporary.replace(file)
    except OSError:
        return None
    return file


def load(address: str, directory: Path = DIRECTORY) -> Stored:
    """Return the counter-examples stored for a selector, those stored last first; what is no such file is named."""
    found: list[Counterexample] = []
    unreadable: list[str] = []
    for file in _newest_first(folder(address, directory)):
        if len(found) == _AT_MOST:
            break
        try:
            found.append(read(file))
        except ValueError as error:
            unreadable.append(str(error))
    said = unreadable[:_SAID]
    if len(unreadable) > _SAID:
        said.append(f"and {len(unreadable) - _SAID} more like it")
    return Stored(tuple(found), tuple(said))


def read(file: Path) -> Counterexample:
    """Return the counter-example in a file.

    Raises:
        ValueError: there is none, or it cannot be read; the message is one line.
    """
    try:
        return Counterexample.from_dict(json.loads(file.read_text()))
    except (OSError, ValueError, RecursionError) as error:
        said = " ".join(str(error).split())
        msg = f"{file} cannot be read as a counter-example: {said}"
        raise ValueError(msg) from error


def _newest_first(where: Path) -> Iterator[Path]:
    def age(file: Path) -> tuple[float, str]:
        try:
            return -file.stat().st_mtime, file.name
        except OSError:  # a link to nowhere
            return 0.0, file.name

    try:
        yield from sorted(where.glob("*.json"), key=age)
    except OSError:
        return
