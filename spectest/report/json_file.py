"""The JSON file of a run, written in one step, and its JSON Schema."""

from __future__ import annotations

import json
import math
import os
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from spectest.errors import UsageError

if TYPE_CHECKING:
    from types import TracebackType


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


class JsonFile:
    """A path that is known to be writable before a run starts; a reader sees the old file or the new one, never half.

    Used as a context manager: what was reserved and not written is removed.

    Args:
        path: of the file.

    Raises:
        UsageError: nothing can be written there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._temporary: Path | None = None
        try:
            if path.exists() and not path.is_file():  # a pipe or a device takes no file's place; a folder raises
                path.open("a").close()
                return
            handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
            os.close(handle)
            self._temporary = Path(temporary)
        except OSError as error:
            raise _unwritable(path, error) from error

    def write(self, report: Writable) -> None:
        """Write the report.

        Raises:
            UsageError: it can no longer be written.
        """
        text = to_json(report)
        try:
            if self._temporary is None:
                self._path.write_text(text, encoding="utf-8")
                return
            self._temporary.write_text(text, encoding="utf-8")
            mask = os.umask(0)
            os.umask(mask)
            self._temporary.chmod(0o666 & ~mask)  # the mode of any new file, where mkstemp keeps it to its owner
            self._temporary.replace(self._path)
        except OSError as error:
            raise _unwritable(self._path, error) from error

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove what was reserved and not written."""
        if self._temporary is not None:
            self._temporary.unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> UsageError:
    return UsageError(f"`--json` {path} cannot be written: {error.strerror or error}")
