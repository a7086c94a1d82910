"""The JSON file of a run, and its JSON Schema."""

from __future__ import annotations

import json
import math
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Protocol

from spectest.report.reserved import ReservedFile

if TYPE_CHECKING:
    from pathlib import Path


class Writable(Protocol):
    """A report of any kind."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        ...


def schema() -> dict[str, Any]:
    """Return the JSON Schema of what `JsonFile` writes.

    Example:
        >>> schema()["properties"]["schema"]
        {'const': 1}
    """
    text = files("spectest.report").joinpath("schema.json").read_text(encoding="utf-8")
    return json.loads(text)  # type: ignore[no-any-return]


def to_json(report: Writable) -> str:
    """Return a report as JSON; what is not a finite number becomes null, which every reader of JSON understands."""
    text = json.dumps(_finite(report.to_dict()), indent=1, ensure_ascii=False, allow_nan=False, default=_plain)
    return text + "\n"


def _plain(value: Any) -> Any:  # noqa: ANN401 (a numpy scalar, where one has slipped in)
    return value.item()


def _finite(value: Any) -> Any:  # noqa: ANN401 (any JSON value)
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class JsonFile(ReservedFile):
    """The file of `--json`; see `ReservedFile`.

    Args:
        path: of the file.

    Raises:
        UsageError: nothing can be written there.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "--json")

    def write(self, report: Writable) -> None:
        """Write the report.

        Raises:
            UsageError: it can no longer be written.
        """
        self.put(to_json(report))
