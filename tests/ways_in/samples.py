"""Selectors for the ways in: small, and numpy, so that their processes start without torch."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema

from spectest.report import schema

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = '''
import time
from pathlib import Path

import spectest


@spectest.selector(array="numpy")
def good(p, q, x, generator):
    """Lossless: it draws from the target."""
    return (generator.random((len(p), 1)) * p.sum(-1, keepdims=True) < p.cumsum(-1)).argmax(-1)


@spectest.selector(array="numpy")
def first(p, q, x, generator):
    """Not lossless: it always accepts the first draft."""
    return x[:, 0]


@spectest.selector(array="numpy", drafting="without_replacement", n_drafts=2)
def two(p, q, x, generator):
    return good(p, q, x, generator)


@spectest.selector(array="numpy", batched=False)
def single(p, q, x, generator):
    return int((generator.random() * p.sum() < p.cumsum()).argmax())


@spectest.selector(array="numpy")
def slow(p, q, x, generator):
    time.sleep(0.3)
    return good(p, q, x, generator)


@spectest.selector(array="numpy")
def waits(p, q, x, generator):
    """Right until it is called with drafts of five tokens; then it says so and takes its time."""
    if p.shape[-1] == 5 and len(p) > 7:
        Path("waiting").touch()
        time.sleep(60)
    return good(p, q, x, generator)


@spectest.selector(array="numpy")
def wrong_then_waits(p, q, x, generator):
    if p.shape[-1] == 5 and len(p) > 7:
        return waits(p, q, x, generator)
    return x[:, 0]


@spectest.selector(kind="tree")
def tree(p, q, x, parents, generator):
    raise NotImplementedError


number = 7
'''


def write(folder: Path, name: str = "mine.py") -> None:
    """Write the selectors into a folder."""
    (folder / name).write_text(SOURCE, encoding="utf-8")


def read_report(path: Path) -> dict[str, Any]:
    """Return a JSON report, held against the schema that is shipped."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.validate(found, schema())
    return found
