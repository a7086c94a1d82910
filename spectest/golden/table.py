"""The golden table: its rows, their digests, and the two files that hold it."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spectest.errors import UsageError
from spectest.golden.problems import NAMED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spectest.golden.problems import Law

SCHEMA: Final = 1
CSV: Final = "acceptance.csv"
JSON: Final = "acceptance.json"
COLUMNS: Final = ("problem", "V", "n", "drafting", "quantity", "value", "fraction", "digest")
#: How far a float64 route may be from the exact value.
TOLERANCES: Final = {"optimum": 1e-12, "scheme": 1e-12}

Key = tuple[str, int, str, str]


@dataclass(frozen=True)
class Row:
    """One value: the optimum of a problem, or the acceptance of a scheme on it.

    `value` is the float64 nearest to `fraction`; a row without an exact fraction leaves it None.
    """

    problem: str
    V: int
    n: int
    drafting: str
    quantity: str
    value: float
    fraction: Fraction | None

    @property
    def key(self) -> Key:
        """What identifies the row."""
        return self.problem, self.n, self.drafting, self.quantity

    @property
    def cells(self) -> tuple[str, ...]:
        """The columns as text, without the digest; floats by repr, which reads back as the same float."""
        fraction = "" if self.fraction is None else f"{self.fraction.numerator}/{self.fraction.denominator}"
        return self.problem, str(self.V), str(self.n), self.drafting, self.quantity, repr(self.value), fraction

    @property
    def line(self) -> str:
        """The line of the CSV file, without its end."""
        return ",".join((*self.cells, digest_of(self.cells)))

    @property
    def tolerance(self) -> float:
        """How far a float64 route may be from the value."""
        return TOLERANCES["optimum" if self.quantity == "optimum" else "scheme"]

    @classmethod
    def parse(cls, line: str) -> Row:
        """Read a line; whether its digest fits is for the caller to say.

        Raises:
            ValueError: it has other columns, or a column that does not read back as it is written.
        """
        cells = line.split(",")
        if len(cells) != len(COLUMNS):
            msg = f"has {len(cells)} columns instead of {len(COLUMNS)}"
            raise ValueError(msg)
        problem, vocab, n, drafting, quantity, value, fraction, _ = cells
        try:
            exact = Fraction(fraction) if fraction else None
            row = cls(problem, int(vocab), int(n), drafting, quantity, float(value), exact)
        except (ValueError, ZeroDivisionError) as error:
            msg = f"cannot be read: {error}"
            raise ValueError(msg) from error
        if row.cells != tuple(cells[:-1]):
            wrong = [f"`{name}` {got}" for name, got, is_ in zip(COLUMNS, cells, row.cells, strict=False) if got != is_]
            msg = f"is not written the way it is built: {', '.join(wrong)}"
            raise ValueError(msg)
        return row


def digest_of(cells: Sequence[str]) -> str:
    """Return the BLAKE2b-64 of the cells as they stand in the file, in hex."""
    return blake2b(",".join(cells).encode(), digest_size=8).hexdigest()


def digest_of_file(content: bytes) -> str:
    """Return the BLAKE2b-128 of the CSV file, in hex."""
    return blake2b(content, digest_size=16).hexdigest()


@dataclass(frozen=True)
class Table:
    """All rows, in the order of the file."""

    rows: tuple[Row, ...]

    def select(self, *, problem: str | None = None, drafting: str | None = None, quantity: str | None = None) -> Table:
        """Return the rows that match everything asked for."""
        wanted = {"problem": problem, "drafting": drafting, "quantity": quantity}
        chosen = {name: value for name, value in wanted.items() if value is not None}
        return Table(tuple(row for row in self.rows if all(getattr(row, k) == v for k, v in chosen.items())))

    def to_csv(self) -> bytes:
        """Return the CSV file."""
        return "".join(f"{line}\n" for line in (",".join(COLUMNS), *(row.line for row in self.rows))).encode()

    def header(self) -> dict[str, Any]:
        """Return the JSON header: where the values come from, how exact they are, and the digest of the whole."""
        return {
            "schema": SCHEMA,
            "columns": list(COLUMNS),
            "provenance": {
                "command": "spectest golden build",
                "fraction": "spectest.golden.exact: subset enumeration and recursions in fractions.Fraction",
                "value": "the float64 nearest to the fraction, by repr",
                "checked_against": {
                    "optimum": "spectest.optimum.solve",
                    "scheme": "spectest.schemes.get(quantity).acceptance",
                },
            },
            "tolerances": TOLERANCES,
            "lines": len(self.rows),
            "digest": digest_of_file(self.to_csv()),
            "problems": {
                name: {"target": _text(named.target), "drafters": [_text(draft) for draft in named.drafters]}
                for name, named in NAMED.items()
            },
        }

    def to_json(self) -> bytes:
        """Return the JSON header file."""
        return (json.dumps(self.header(), indent=1) + "\n").encode()


def _text(law: Law) -> str:
    return " ".join(map(str, law))


def write(table: Table, directory: Path) -> None:
    """Write both files, each in one step: a reader sees the old file or the new one.

    Raises:
        UsageError: the directory cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in ((CSV, table.to_csv()), (JSON, table.to_json())):
            handle, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=directory)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                Path(temporary).chmod(0o644)
                Path(temporary).replace(directory / name)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
    except OSError as error:
        msg = f"`directory` cannot be written: {error}"
        raise UsageError(msg) from error


def read(directory: Path, name: str) -> str:
    """Return the text of one of the two files.

    Raises:
        UsageError: it is missing, or cannot be read.
    """
    try:
        # newline="" keeps the file's own line ends: a changed one is a changed byte.
        with (directory / name).open(encoding="utf-8", newline="") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{directory / name} cannot be read ({error}); `spectest golden build` writes it"
        raise UsageError(msg) from error
