"""A file that a report will be written to: known to be writable before the run, and written in one step."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

from spectest.errors import UsageError

if TYPE_CHECKING:
    from types import TracebackType


class ReservedFile:
    """A path that is known to be writable before a run starts; a reader sees the old file or the new one, never half.

    Used as a context manager: what was reserved and not written is removed.

    Args:
        path: of the file.
        option: that named it, for error messages.

    Raises:
        UsageError: nothing can be written there.
    """

    def __init__(self, path: Path, option: str) -> None:
        self._path = path
        self._option = option
        self._temporary: Path | None = None
        try:
            if path.exists() and not path.is_file():  # a pipe or a device takes no file's place; a folder raises
                path.open("a").close()
                return
            handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
            os.close(handle)
            self._temporary = Path(temporary)
        except OSError as error:
            raise self._unwritable(error) from error

    def put(self, text: str) -> None:
        r"""Write the whole file.

        What UTF-8 has no bytes for, such as the surrogate that stands for a file name's odd byte, is written `\udcff`.

        Raises:
            UsageError: it can no longer be written.
        """
        whole = text.encode(errors="backslashreplace")
        try:
            if self._temporary is None:
                self._path.write_bytes(whole)
                return
            self._temporary.write_bytes(whole)
            mask = os.umask(0)
            os.umask(mask)
            self._temporary.chmod(0o666 & ~mask)  # the mode of any new file, where mkstemp keeps it to its owner
            self._temporary.replace(self._path)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> UsageError:
        return UsageError(f"`{self._option}` {self._path} cannot be written: {error.strerror or error}")

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove what was reserved and not written."""
        if self._temporary is not None:
            self._temporary.unlink(missing_ok=True)
