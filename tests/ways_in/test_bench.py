"""`spectest bench` on the command line: exit codes, one line where nothing can be called, the table, the JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from spectest.cli import main
from tests.ways_in.samples import write

QUICK = ["--vocab", "8", "--batch", "1,4", "--seconds", "0.01"]
BAD = """
import os, signal, time
import spectest

@spectest.selector(array="numpy")
def raises(p, q, x, generator):
    raise KeyError("k")

@spectest.selector(array="numpy")
def sleeps(p, q, x, generator):
    time.sleep(60)

@spectest.selector(array="numpy")
def dies(p, q, x, generator):
    os.kill(os.getpid(), signal.SIGKILL)

@spectest.selector(array="numpy")
def wrong(p, q, x, generator):
    return x

@spectest.selector(array="numpy")
def refuses(p, q, x, generator):
    raise spectest.ProblemTooLarge("at most 3 tokens")
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write(tmp_path)
    (tmp_path / "bad.py").write_text(BAD)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(path: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("", "spectest bench --schemes all"),
        ("--schemes none", "spectest bench --schemes all"),
        ("mine.py:good --schemes bogus", "bogus"),
        ("mine.py:good --vocab 8,x", "`vocab`"),
        ("mine.py:good --vocab 0", "`vocab`"),
        ("mine.py:good --drafts 0", "`drafts`"),
        ("mine.py:good --batch -1", "`batch`"),
        ("mine.py:good --threads 0", "`threads`"),
        ("mine.py:good --seconds 0", "`seconds`"),
        ("mine.py:good --budget 0", "`budget`"),
        ("mine.py:good --timeout -1", "`timeout`"),
        ("mine.py:good --seed -1", "`seed`"),
        ("mine.py:good --device abacus", "`device`"),
        ("mine.py:good --dtype int8", "`dtype`"),
        ("mine.py:good --drafting bogus", "`drafting`"),
        ("mine.py:good --json gone/bench.json", "gone/bench.json"),
        ("--schemes single_draft --array numpy", "`array`"),
        ("--schemes single_draft --drafting hub", "`drafting` hub"),
        ("mine.py:gone", "gone"),
        ("mine.py:number", "not callable"),
        ("mine.py:good --device cuda", "`device`"),
    ],
)
def test_unusable_requests_are_refused_in_one_line(
    arguments: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *arguments.split()]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert said in line


def test_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "mine.py:good", *QUICK, "--json", "bench.json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""  # no progress where nobody watches
    assert "\x1b" not in captured.out
    lines = captured.out.splitlines()
    assert sum("mine.py:good" in line and " dense " in line for line in lines) == 2
    assert sum(line.lstrip().startswith("recursive_rejection") for line in lines) == 2
    assert lines[-1].startswith("mine.py:good: ")
    assert "tokens/s at V = 8, n = 3, B = 4" in lines[-1]
    assert "2 of 2 cells measured" in lines[-1]
    found = read("bench.json")
    assert (found["schema"], found["selector"]) == (1, "mine.py:good")
    assert [(cell["selector"], cell["reference"], cell["B"]) for cell in found["cells"]] == [
        (name, reference, rows)
        for rows in (1, 4)
        for name, reference in (("mine.py:good", False), ("recursive_rejection", True))
    ]
    for cell in found["cells"]:
        assert cell["status"] == "measured"
        assert len(cell["seconds"]) == len(cell["argmax_seconds"]) >= 1
    environment = found["environment"]
    assert environment["devices"]["cpu"]
    assert environment["threads"] == 1
    assert {"spectest", "python", "torch", "numpy", "platform"} <= set(environment)


def test_schemes_alone(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert main(["bench", "--schemes", "single_draft,target_only", *QUICK, "--quiet", "--json", "bench.json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("2 schemes: 6 of 6 cells measured in ")
    found = read("bench.json")
    assert found["selector"] is None
    assert {(cell["selector"], cell["n"], cell["device"]) for cell in found["cells"]} == {
        ("single_draft", 1, "cpu"),
        ("target_only", 3, "cpu"),
    }
    assert found["notes"] == ["cuda is left out: there is none here"]


@pytest.mark.parametrize(
    ("selector", "said"),
    [
        ("raises", "it raised KeyError: 'k'"),
        ("dies", "it ended its process (SIGKILL)"),
        ("wrong", "it must return int64 of shape (1,)"),
        ("sleeps", "its first call took more than 0.6 s"),
    ],
)
def test_faults_of_the_selector_are_its_own(selector: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    alone = ["--schemes", "none", "--batch", "1", "--timeout", "0.1", "--quiet", "--json", "bench.json"]
    assert main(["bench", f"bad.py:{selector}", *QUICK, *alone]) == 1
    fault, last = capsys.readouterr().out.splitlines()
    assert fault.startswith(f"failed: bad.py:{selector} at V = 8, n = 3, B = 1: ")
    assert said in fault
    assert "0 of 1 cells measured" in last
    assert [cell["status"] for cell in read("bench.json")["cells"]] == ["failed"]


def test_nothing_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "bad.py:refuses", *QUICK, "--schemes", "none"]) == 3
    said = capsys.readouterr().out
    assert "refused: bad.py:refuses at V = 8, n = 3, B = 1 and 1 more: at most 3 tokens" in said


def test_a_report_lost_at_the_end_is_said_after_the_table(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "reports").mkdir()
    (here / "removes.py").write_text(BAD + "\nimport shutil\nshutil.rmtree('reports', ignore_errors=True)\n")
    assert main(["bench", "removes.py:raises", *QUICK, "--schemes", "none", "--json", "reports/b.json"]) == 1
    captured = capsys.readouterr()
    assert "0 of 2 cells measured" in captured.out
    assert "reports/b.json" in captured.err


def test_the_watching_process_needs_no_torch() -> None:
    code = (
        "import sys; from spectest.cli import main\n"
        "print(main(['bench', '--help']), 'numpy' in sys.modules)\n"
        "print(main(['bench', 'bad.py:raises', '--vocab', '8', '--schemes', 'none']), 'torch' in sys.modules)"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    lines = child.stdout.splitlines()
    assert lines[-1] == "1 False"
    assert "0 False" in lines[:-1]


@pytest.mark.cuda
def test_on_cuda() -> None:
    sizes = ["--vocab", "1000", "--batch", "8", "--seconds", "0.1"]
    assert main(["bench", "--schemes", "recursive_rejection", *sizes, "--json", "bench.json"]) == 0
    found = read("bench.json")
    assert {cell["device"]: cell["status"] for cell in found["cells"]} == {"cpu": "measured", "cuda": "measured"}
    assert set(found["environment"]["devices"]) == {"cpu", "cuda"}
