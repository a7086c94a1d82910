"""The page of a run: one HTML file that asks the network for nothing, drawn from the words and rows of the terminal."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

import jinja2

from spectest.report import rows, words
from spectest.report.reserved import ReservedFile

if TYPE_CHECKING:
    from pathlib import Path

    from spectest.runner.report import Report

_TEMPLATE: Final = "report.html.jinja"
#: Checks whose cases are the main problems; those of others may be called the same.
_ON_PROBLEMS: Final = ("law", "acceptance")
#: HTML has no control characters but these; what a selector printed may hold any, and is shown by their pictures.
_ALLOWED: Final = "\t\n"
_PICTURES: Final = (
    {code: 0x2400 + code for code in range(0x20) if chr(code) not in _ALLOWED}
    | {0x7F: 0x2421}
    | dict.fromkeys(range(0x80, 0xA0), 0xFFFD)
)


def to_html(report: Report, seconds: float) -> str:
    """Return a report as a page that needs nothing but itself; whatever comes from the run is escaped.

    Args:
        report: of the run.
        seconds: the run took.
    """
    return _render(_template(), report, seconds)


class HtmlFile(ReservedFile):
    """The file of `--html`; see `ReservedFile`.

    Args:
        path: of the file.

    Raises:
        UsageError: nothing can be written there.
    """

    def __init__(self, path: Path) -> None:
        self._page = _template()  # read before the run, so that a broken installation is known as early as a bad path
        super().__init__(path, "--html")

    def write(self, report: Report, seconds: float) -> None:
        """Write the report.

        Args:
            report: of the run.
            seconds: the run took.

        Raises:
            UsageError: it can no longer be written.
        """
        self.put(_render(self._page, report, seconds))


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("spectest.report", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals.update(rows=rows, words=words)
    return environment.get_template(_TEMPLATE)


def _render(page: jinja2.Template, report: Report, seconds: float) -> str:
    troubles = [check for check in report.checks if check.verdict != "pass"]
    troubles.sort(key=lambda check: check.verdict != "fail")
    return page.render(
        report=report,
        seconds=seconds,
        troubles=troubles,
        problems={(check, problem.problem): problem for problem in report.problems for check in _ON_PROBLEMS},
        environment=_flat(report.environment),
    ).translate(_PICTURES)


def _flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return names and values as text; those of a dict within follow it, under its name."""
    found = []
    for name, value in values.items():
        if isinstance(value, dict):
            found += _flat(value, f"{prefix}{name}.")
        else:
            found.append((prefix + name, _said(value)))
    return found


def _said(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
