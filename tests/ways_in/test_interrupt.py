"""Ctrl-C: the reports are written, and say what the run had found."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.ways_in.samples import read_report, write

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("selector", "code"), [("waits", 3), ("wrong_then_waits", 1)])
def test_ctrl_c_writes_the_report(tmp_path: Path, selector: str, code: int) -> None:
    write(tmp_path)
    command = [sys.executable, "-m", "spectest", "verify", f"mine.py:{selector}", "--checks", "smoke,law"]
    run = subprocess.Popen(
        [*command, "--vocab", "5", "--timeout", "100", "--json", "report.json", "--html", "report.html"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "waiting").exists():
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(3)  # the other worker is in the middle of `smoke`
    run.send_signal(signal.SIGINT)
    said, errors = run.communicate(timeout=60)
    assert errors == ""
    assert run.returncode == code
    report = read_report(tmp_path / "report.json")
    assert report["interrupted"]
    assert report["verdict"] == {3: "inconclusive", 1: "fail"}[code]
    assert [check["name"] for check in report["checks"]] == ["smoke"]
    assert "interrupted" in said.splitlines()[-1]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert f"<title>mine.py:{selector} {'fails' if code == 1 else 'inconclusive'} – spectest</title>" in page
    assert "interrupted, what was left did not run</p>" in page
    assert ("<h3>smoke[known-answers] failed</h3>" in page) == (code == 1)


def test_ctrl_c_while_the_selector_is_imported(tmp_path: Path) -> None:
    """Nothing is left running: not even the process that was still importing it."""
    begun = "import os, time, pathlib\npathlib.Path(f'importing-{os.getpid()}').touch()\n"
    (tmp_path / "long.py").write_text(f"{begun}time.sleep(60)\n")
    command = [sys.executable, "-m", "spectest", "verify", "long.py:select"]
    run = subprocess.Popen(
        [*command, "--json", "report.json", "--html", "report.html"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("importing-*")):
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    _, errors = run.communicate(timeout=60)
    assert errors == ""
    assert run.returncode == 3
    assert read_report(tmp_path / "report.json")["interrupted"]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "interrupted, what was left did not run</p>" in page
    assert page.endswith("</html>\n")
    for begun_by in tmp_path.glob("importing-*"):
        with pytest.raises(ProcessLookupError):
            os.kill(int(begun_by.name.partition("-")[2]), 0)
