"""What is wrong with a golden table, one line each."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from spectest import schemes
from spectest.errors import UsageError
from spectest.golden.table import COLUMNS, CSV, JSON, Key, Row, Table, digest_of, digest_of_file, read
from spectest.optimum import solve

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from spectest.problem import Problem


def recompute(quantity: str, problem: Problem) -> float:
    """Return what the library computes today, in float64."""
    return solve(problem).value if quantity == "optimum" else schemes.get(quantity).acceptance(problem)


def find_problems(directory: Path, expected: Table, problems: Mapping[Key, Problem]) -> list[str]:
    """Return what is wrong with the files, one line each.

    Args:
        directory: where the files are.
        expected: the table as it is built from fractions.
        problems: the float64 problem of each row of it.

    Raises:
        UsageError: a file is missing, or not even text or JSON.
    """
    text, header = read(directory, CSV), read_header(directory)
    lines = _Lines({row.key: row for row in expected.rows}, problems)
    lines.read(text)
    found = lines.found or _whole(text, header, expected)
    return found + _header(header, expected)


def read_header(directory: Path) -> dict[str, Any]:
    """Return the JSON header.

    Raises:
        UsageError: it is missing or not a JSON object.
    """
    try:
        header = json.loads(read(directory, JSON))
    except json.JSONDecodeError as error:
        msg = f"{directory / JSON} is not JSON: {error}"
        raise UsageError(msg) from error
    if not isinstance(header, dict):
        msg = f"{directory / JSON} must hold a JSON object, got {type(header).__name__}"
        raise UsageError(msg)
    return header


def _name(key: Key) -> str:
    problem, n, drafting, quantity = key
    return f"{quantity} of {problem}, n = {n}, {drafting}"


@dataclass
class _Lines:
    """Goes through the CSV file line by line."""

    expected: dict[Key, Row]
    problems: Mapping[Key, Problem]
    found: list[str] = field(default_factory=list)
    seen: set[Key] = field(default_factory=set)

    def read(self, text: str) -> None:
        first, *lines = text.split("\n")
        if first != ",".join(COLUMNS):
            self.found.append(f"{CSV} line 1: columns are {first}, expected {','.join(COLUMNS)}")
        if lines and not lines[-1]:
            lines.pop()
        for number, line in enumerate(lines, start=2):
            if wrong := self._wrong(line):
                self.found.append(f"{CSV} line {number}: {wrong}")
        self.found += [f"{CSV}: missing line: {_name(key)}" for key in self.expected if key not in self.seen]

    def _wrong(self, line: str) -> str:
        """Return everything that is wrong with a line, in one line."""
        try:
            row = Row.parse(line)
        except ValueError as error:
            self._mark_seen(line)
            return f"{error} ({line})"
        if row.key not in self.expected:
            return f"extra line: no golden case is {_name(row.key)}"
        if row.key in self.seen:
            return f"extra line: {_name(row.key)} stands twice"
        self.seen.add(row.key)
        return "; ".join(self._differences(row, line.rpartition(",")[2]))

    def _mark_seen(self, line: str) -> None:
        """A line that is there but cannot be read is not missing as well."""
        cells = line.split(",")
        for key in self.expected:
            if [key[0], str(key[1]), *key[2:]] == [*cells[:1], *cells[2:5]]:
                self.seen.add(key)

    def _differences(self, row: Row, digest: str) -> list[str]:
        expected, wrong = self.expected[row.key], []
        for name, got, wanted in zip(COLUMNS, row.cells, expected.cells, strict=False):
            if got != wanted:
                wrong.append(f"`{name}` is {got or 'empty'}, the exact computation gives {wanted or 'none'}")
        if digest != digest_of(row.cells):
            wrong.append(f"`digest` {digest} is not that of the line, {digest_of(row.cells)}")
        if row.fraction is not None and row.value != float(row.fraction):
            wrong.append("`value` is not the float64 nearest to `fraction`")
        today = recompute(row.quantity, self.problems[row.key])
        if not abs(today - row.value) <= row.tolerance:
            wrong.append(f"recomputed {today!r} is {abs(today - row.value):.2g} off, more than {row.tolerance:g}")
        return [f"{_name(row.key)}: {wrong[0]}", *wrong[1:]] if wrong else []


def _whole(text: str, header: dict[str, Any], expected: Table) -> list[str]:
    """Every line is right: the file as a whole (order, line ends) may still not be."""
    found = digest_of_file(text.encode())
    if found != header.get("digest") or text.encode() != expected.to_csv():
        return [
            f"{CSV}: digest {found} is not the header's {header.get('digest')}: lines in another order or other ends"
        ]
    return []


def _header(header: dict[str, Any], expected: Table) -> list[str]:
    wanted = expected.header()
    return [
        f"{JSON}: `{name}` is {json.dumps(header.get(name))}, expected {json.dumps(wanted.get(name))}"
        for name in [*wanted, *(name for name in header if name not in wanted)]
        if name not in header or name not in wanted or header[name] != wanted[name]
    ]
