"""Reports: the summary on a terminal, the progress of a run, the JSON file and its schema, the page."""

from __future__ import annotations

from spectest.report.html_file import HtmlFile
from spectest.report.json_file import JsonFile, schema
from spectest.report.progress import LiveProgress
from spectest.report.terminal import print_report
from spectest.report.words import failure, verdict_line

__all__ = ["HtmlFile", "JsonFile", "LiveProgress", "failure", "print_report", "schema", "verdict_line"]
