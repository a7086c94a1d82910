"""The page: it says what the terminal and the JSON say, asks nobody for anything, and takes nothing for markup."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spectest.checks.result import AcceptanceResult, CaseResult
from spectest.cli import main
from spectest.errors import UsageError
from spectest.report import HtmlFile, JsonFile
from spectest.report.html_file import to_html
from spectest.report.words import meaning
from spectest.runner import Report
from tests.ways_in.samples import SOURCE, read_report, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from spectest.checks.result import Verdict

VOID = {"meta", "rect", "line", "path"}  # as `<rect/>` in the chart
SPOKEN = {"pass": "passed", "fail": "failed", "inconclusive": "inconclusive"}


class Page(HTMLParser):
    """A page taken apart: its elements in order, the text under each, the rows of its tables."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.tables: list[list[list[str]]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == [], "elements that were never closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag in {"table", "tr", "td", "th"}:
            where: list[Any] = self.tables
            for _ in range(("table", "tr", "td", "th").index(tag) if tag != "th" else 2):
                where = where[-1]
            where.append("" if tag in {"td", "th"} else [])

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self._open[-1] if self._open else "", data))
        if {"td", "th"} & set(self._open):
            self.tables[-1][-1][-1] += data

    def under(self, tag: str) -> list[str]:
        """Return the texts directly within elements of a kind."""
        return [text for where, text in self.texts if where == tag]

    @property
    def said(self) -> str:
        """All text but the style sheet's, on one line."""
        return " ".join("".join(text for where, text in self.texts if where != "style").split())


FAILED = CaseResult(
    "law", "V5", "fail", "far off\ntoken 3", alpha=1e-7, delta=0.3, samples=9, p_value=1e-12, replay="abc123"
)
OTHER = replace(FAILED, case="V64", replay=None, stateful=True, traceback="Traceback: inner")
PASSED = CaseResult("smoke", "known-answers", "pass", "43 rows", samples=43)
UNDECIDED = CaseResult("rows", "B2", "inconclusive", "too few samples", delta=0.3)
MEASURED = AcceptanceResult("V5", 5, 3, 1000, 0.5, 0.45, 0.55, 0.75, "prefix", 0.6)
ACCEPTED = CaseResult("acceptance", "V5", "pass", "as it should", beta=1e-3, delta=0.01, acceptance=MEASURED)
ENVIRONMENT = {"seed": 3, "tier": "quick", "declaration": {"kind": "selector", "lossless": True, "scheme": None}}
REPORT = Report("mine:first", 1e-6, (PASSED, UNDECIDED, FAILED, OTHER, ACCEPTED), ENVIRONMENT)
EMPTY = Report("mine:first", 1e-6, (), {"tier": "quick", "seed": 0}, interrupted=True)


def page_of(report: Report) -> Page:
    return Page(to_html(report, 1.25))


def with_everything(text: str) -> Report:
    """A report that holds a text wherever a selector, or whoever wrote one, can put it."""
    case = CaseResult(text, text, "fail", text, traceback=text, replay=text, acceptance=replace(MEASURED, problem=text))
    undecided = replace(case, check="", verdict="inconclusive", acceptance=None)
    environment = {text: text, "contract": text, "tier": text, "seed": text, "declaration": {text: [text]}}
    return Report(text, 1e-6, (case, replace(case, case="", replay=None), undecided), environment)


# ------------------------------------------------------------------------------------------- what a run writes


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def checks_of(found: dict[str, Any]) -> Iterator[list[str]]:
    for check in found["checks"]:
        numbers = ["–" if check[key] is None else f"{check[key]:.2g}" for key in ("delta", "p_value")]
        first = check["detail"].splitlines()[0]
        yield [
            check["name"],
            SPOKEN[check["verdict"]],
            f"{len(check['cases'])}",
            f"{check['samples']:,}",
            *numbers,
            first,
        ]


def acceptance_of(found: dict[str, Any]) -> Iterator[list[str]]:
    for it in found["problems"]:
        best, scheme = ("–" if it[key] is None else f"{it[key]:.4f}" for key in ("optimum", "scheme"))
        interval = f"{it['low']:.4f} – {it['high']:.4f}"
        share = f"{it['measured'] / it['optimum']:.2%}"
        shown = [f"{it['samples']:,}", f"{it['measured']:.4f}", interval, best, scheme, share]
        yield [it["name"], f"{it['V']}", f"{it['n']}", *shown]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("mine.py:good --checks smoke,law,acceptance --scheme target_only", 0),
        ("mine.py:first --checks smoke,law,acceptance", 1),
        ("mine.py:slow --checks smoke,law --budget 1", 3),
    ],
)
def test_a_page_has_the_numbers_of_the_json_and_the_words_of_the_terminal(
    here: Path, arguments: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    written = ["--json", "r.json", "--html", "r.html"]
    assert main(["verify", *arguments.split(), "--vocab", "5", *written]) == code
    found, page = read_report(here / "r.json"), Page((here / "r.html").read_text(encoding="utf-8"))
    checks, cases, *acceptance = page.tables
    clean = [[cell.removeprefix("✓ ").removeprefix("✗ ").removeprefix("? ") for cell in row] for row in checks[1:]]
    assert clean == list(checks_of(found))
    assert len(cases) - 1 == sum(len(check["cases"]) for check in found["checks"])
    assert [row for table in acceptance for row in table[1:]] == list(acceptance_of(found))
    for check in found["checks"]:
        if check["verdict"] != "pass":
            assert " ".join(check["detail"].split()) in page.said
        assert check["replay"] is None or f"Reproduce: spectest replay {check['replay']}" in page.said
    last = capsys.readouterr().out.splitlines()[-1]
    verdict, _, rest = last.removeprefix(found["selector"]).strip().partition(": ")
    assert page.under("title") == [f"{found['selector']} {verdict} – spectest"]
    grounds, circumstances = rest[:-1].rsplit(" (", 1)
    assert {grounds, f"tier quick, {circumstances}"} <= set(page.under("p"))
    assert sorted(path.name for path in here.glob("*r.*")) == ["r.html", "r.json"]


def test_what_a_selector_raises_is_not_markup(here: Path) -> None:
    raises = "def select(p, q, x, g):\n    raise KeyError('<script>alert(1)</script>')\n"
    (here / "raises.py").write_text(raises)
    arguments = ["--array", "numpy", "--checks", "smoke,support", "--vocab", "5", "--quiet", "--html", "r.html"]
    assert main(["verify", "raises.py:select", *arguments]) == 1
    text = (here / "r.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert any("in select" in said for said in Page(text).under("pre"))


@pytest.mark.parametrize("path", ["gone/r.html", "."])
def test_an_unwritable_page_is_refused_before_the_selector_is_imported(
    here: Path, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "marks.py").write_text(SOURCE + "\nPath('imported').touch()\n")
    assert main(["verify", "marks.py:good", "--json", "r.json", "--html", path]) == 2
    assert f"`--html` {path} cannot be written" in capsys.readouterr().err
    assert not (here / "imported").exists()
    assert list(here.glob("*r.*")) == []


def test_one_file_cannot_be_both(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "mine.py:good", "--json", "r", "--html", "./r"]) == 2
    assert "must be two files" in capsys.readouterr().err


def test_an_unusable_run_leaves_an_earlier_page_alone(here: Path) -> None:
    (here / "r.html").write_text("earlier")
    assert main(["verify", "mine.py:bogus", "--html", "r.html"]) == 2
    assert (here / "r.html").read_text() == "earlier"
    assert [path.name for path in here.iterdir() if path.name.startswith(".r")] == []


def test_files_lost_at_the_end_are_said_after_the_summary(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "reports").mkdir()
    (here / "removes.py").write_text(SOURCE + "\nimport shutil\nshutil.rmtree('reports', ignore_errors=True)\n")
    lost = ["--json", "reports/r.json", "--html", "reports/r.html"]
    assert main(["verify", "removes.py:good", "--checks", "smoke", *lost]) == 2
    captured = capsys.readouterr()
    assert "conforms" in captured.out
    (line,) = captured.err.splitlines()
    assert "`--json` reports/r.json" in line
    assert "`--html` reports/r.html" in line


def test_a_page_that_cannot_be_drawn_takes_no_verdict_with_it(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(HtmlFile, "write", lambda *_: 1 / 0)
    assert main(["verify", "mine.py:good", "--checks", "smoke", "--json", "r.json", "--html", "r.html"]) == 2
    captured = capsys.readouterr()
    assert "conforms" in captured.out
    assert "internal error" in captured.err
    assert read_report(here / "r.json")["verdict"] == "pass"


# -------------------------------------------------------------------------------------------- what is on a page


def test_failures_come_first_and_whole() -> None:
    page = page_of(REPORT)
    titles = [text for where, text in page.texts if where in {"h2", "h3", "h4"}]
    failures = ["What failed", "law[V5] failed", "law[V64] failed, stateful"]
    undecided = ["What could not be decided", "rows[B2] inconclusive"]
    assert titles == [*failures, *undecided, "Checks", "Acceptance", "Environment"]
    assert page.under("pre") == ["token 3", "token 3", "Traceback: inner"]
    elsewise = "spectest verify mine:first --checks law --seed 3, with the other options of this run"
    assert page.under("code") == ["mine:first", "spectest replay abc123", elsewise]
    assert "problem V5, V = 5, n = 3" in page.said


def test_the_chart_has_the_numbers_of_the_table() -> None:
    chart = [(tag, values) for tag, values in page_of(REPORT).elements if values.get("class") and "y" in str(values)]
    shown = {values["class"]: values for tag, values in chart if "%" in str(values) and values["class"] != "grid"}
    assert shown["bar"]["width"] == "50.000%"
    assert (shown["interval"]["x"], shown["interval"]["width"]) == ("45.000%", "10.000%")
    assert shown["optimum"]["x1"] == shown["optimum"]["x2"] == "75.000%"
    assert shown["mark"]["x"] == "60.000%"
    bare = replace(ACCEPTED, acceptance=replace(MEASURED, optimum=None, scheme=None))
    classes = {values.get("class") for _, values in page_of(Report("m:s", 1e-6, (bare,))).elements}
    assert "bar" in classes
    assert not {"mark", "scheme"} & classes


@pytest.mark.parametrize(
    ("report", "said"),
    [
        (REPORT, "Correct code fails with probability at most α = 1e-06, whatever the seed."),
        (replace(REPORT, cases=(PASSED,)), "Nothing was found."),
        (replace(REPORT, cases=(PASSED, ACCEPTED)), "probability at most β = 0.001."),
        (replace(REPORT, cases=(replace(PASSED, detail="waived (#3): off"),)), "beyond what is waived."),
        (
            replace(REPORT, cases=(PASSED,), environment={"declaration": {"lossless": False}}),
            "as lossy does not allow.",
        ),
        (replace(REPORT, cases=(replace(FAILED, detail="unexpected pass: it is"),)), "What failed is a waiver"),
        (replace(REPORT, cases=(PASSED, UNDECIDED)), "some could not decide in the time they had: this is not a pass."),
        (replace(REPORT, cases=(PASSED,), interrupted=True), "not all that was asked for has run: this is not a pass."),
        (EMPTY, "not all that was asked for has run: this is not a pass."),
    ],
)
def test_a_verdict_is_explained(report: Report, said: str) -> None:
    assert meaning(report) in page_of(report).under("p")
    assert said in meaning(report)


def test_an_interrupted_run_says_so() -> None:
    stopped = "interrupted, what was left did not run"
    assert stopped in page_of(EMPTY).under("p")
    assert page_of(EMPTY).tables == []
    grounds = f"law (1 of 4 checks); {stopped}"
    assert grounds in page_of(replace(REPORT, interrupted=True)).under("p")


# ------------------------------------------------------------------------------------------------------ escaping


def pictured(text: str) -> str:
    """Return a text with pictures of the control characters that HTML has no place for."""
    pictures = {chr(code): chr(0x2400 + code) for code in range(32)} | {"\x7f": "\u2421", "\t": "\t"}
    return "".join("\ufffd" if "\x7f" < c < "\xa0" else pictures.get(c, c) for c in text)


@example("<script>alert(1)</script>")
@example("\"'><img src=x onerror=alert(1)>")
@example("</style></title></pre></table><!-- ]]> -->")
@example("{{ 7 * 7 }}{% raw %} &lt;b&gt; &#x3c;")
@example("\x1b[31mred\x00\r\x7f\x85\ufffe")
@given(st.text(min_size=1).filter(lambda text: "\n" not in text and not text.isspace()))
def test_whatever_a_selector_says_is_text(text: str) -> None:
    page = page_of(with_everything(text))
    assert page.elements == page_of(with_everything("x")).elements
    visible = pictured(text)
    assert page.under("title") == [f"{visible} fails – spectest"]
    assert page.under("dd").count(visible) >= 4
    assert page.under("pre")[0] == pictured(text.rstrip())
    assert f"spectest replay {visible}" in page.under("code")
    assert visible in page.under("text")


def test_what_utf_8_has_no_bytes_for_is_written_all_the_same(tmp_path: Path) -> None:
    report = replace(REPORT, cases=(replace(FAILED, detail="no such file: \udcff"),))
    with JsonFile(tmp_path / "r.json") as as_json, HtmlFile(tmp_path / "r.html") as as_html:
        as_json.write(report)
        as_html.write(report, 0.0)
    assert json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["checks"][0]["detail"][-1] == "\udcff"
    assert r"no such file: \udcff" in Page((tmp_path / "r.html").read_text(encoding="utf-8")).said


def test_unwritable_paths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"`--html` .*gone"):
        HtmlFile(tmp_path / "gone" / "r.html")


# -------------------------------------------------------------------------------- self-contained, and for everybody


@pytest.mark.parametrize("report", [REPORT, EMPTY, with_everything("https://example.org/x.js")])
def test_a_page_asks_the_network_for_nothing(report: Report) -> None:
    page = page_of(report)
    assert not {tag for tag, _ in page.elements} & {"script", "link", "img", "iframe", "object", "base", "use", "a"}
    names = {name for _, values in page.elements for name in values}
    assert not {name for name in names if name in {"src", "href", "style", "action"} or name.startswith("on")}
    assert not re.search(r"url\(|@import|//", "".join(page.under("style")))
    policy = {"http-equiv": "Content-Security-Policy", "content": "default-src 'none'; style-src 'unsafe-inline'"}
    assert ("meta", policy) in page.elements


@pytest.mark.parametrize("report", [REPORT, EMPTY, replace(REPORT, cases=(PASSED, ACCEPTED))])
def test_a_page_can_be_read_by_a_machine_that_reads_aloud(report: Report) -> None:
    text = to_html(report, 1.25)
    page = Page(text)
    assert text.startswith('<!DOCTYPE html>\n<html lang="en">\n')
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    headers = [values["scope"] for tag, values in page.elements if tag == "th"]
    columns = sum(len(table[0]) for table in page.tables)
    assert headers.count("col") == columns
    assert headers.count("row") == sum(len(table) - 1 for table in page.tables)
    charts = [values for tag, values in page.elements if tag == "svg" and values.get("role") == "img"]
    assert all(values["aria-label"] for values in charts)


@pytest.mark.parametrize(("verdict", "sign"), [("pass", "✓"), ("fail", "✗"), ("inconclusive", "?")])
def test_colour_is_not_the_only_sign(verdict: Verdict, sign: str) -> None:
    page = page_of(replace(REPORT, cases=(replace(PASSED, verdict=verdict),)))
    assert page.tables[0][1][1] == f"{sign} {SPOKEN[verdict]}"


def luminance(colour: str) -> float:
    """WCAG 2, relative luminance of #rrggbb."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_colours_stand_out_by_day_and_by_night() -> None:
    """WCAG 2 AA: 4.5 between text and what is behind it, 3 between the parts of a chart."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    style = files("spectest.report").joinpath("report.css").read_text(encoding="utf-8")
    palettes = [
        dict(re.findall(r"--(\w+): (#\w{6});", rules)) for rules in re.findall(r":root \{([^}]*--[^}]*)\}", style)
    ]
    assert len(palettes) == 2
    for palette in palettes:
        for text in ("text", "muted", "pass", "fail", "inconclusive"):
            for behind in ("page", "surface"):
                assert contrast(palette[text], palette[behind]) >= 4.5, (text, behind)
        for one, other in (("measured", "bar"), ("measured", "surface"), ("text", "bar"), ("inconclusive", "surface")):
            assert contrast(palette[one], palette[other]) >= 3, (one, other)
