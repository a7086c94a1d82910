"""The golden files: built to the byte, checked to the byte, every kind of tampering named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spectest import Problem, UsageError, golden
from spectest.golden import checking
from spectest.golden.table import CSV, JSON, Row, Table, digest_of, digest_of_file

if TYPE_CHECKING:
    from collections.abc import Callable

COMMITTED = Path(__file__).parents[2] / "golden"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A copy of the committed table, to be tampered with."""
    for name in (CSV, JSON):
        shutil.copy(COMMITTED / name, tmp_path / name)
    return tmp_path


# ------------------------------------------------------------------------------------------------------------ the files


def test_build_is_the_same_to_the_byte(tmp_path: Path) -> None:
    table = golden.build(tmp_path / "new" / "folder")
    for name in (CSV, JSON):
        assert (tmp_path / "new" / "folder" / name).read_bytes() == (COMMITTED / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == [CSV, JSON]
    assert golden.load(tmp_path / "new" / "folder") == table


def test_build_replaces_and_check_then_passes(directory: Path) -> None:
    (directory / CSV).write_text("nonsense")
    golden.build(directory)
    assert golden.check(directory) == []


def test_a_failed_write_leaves_the_old_files(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(UsageError, match=r"`directory` cannot be written: .*No space left"):
        golden.build(directory)
    monkeypatch.undo()
    assert sorted(path.name for path in directory.iterdir()) == [CSV, JSON]
    assert golden.check(directory) == []


def test_values_round_trip() -> None:
    for row in golden.load(COMMITTED).rows:
        assert Row.parse(row.line) == row
        assert float(row.cells[5]) == row.value
        assert row.fraction is not None
        assert float(row.fraction) == row.value


def test_a_row_may_have_no_fraction() -> None:
    row = Row("large", 1000, 3, "with_replacement", "optimum", 0.1, None)
    assert ",0.1,," in row.line
    assert Row.parse(row.line) == row


# ------------------------------------------------------------------------------------------------------------ tampering

LINE = "P6,5,2,with_replacement,recursive_rejection,0.7488,468/625,"


def edit(directory: Path, change: Callable[[list[str]], None]) -> None:
    """Change the lines of the CSV file."""
    lines = (directory / CSV).read_text().splitlines()
    change(lines)
    (directory / CSV).write_text("".join(f"{line}\n" for line in lines))


def index(lines: list[str]) -> int:
    (found,) = (i for i, line in enumerate(lines) if line.startswith(LINE))
    return found


def resigned(line: str) -> str:
    """The line with the digest its columns ask for: a careful forgery."""
    cells = line.split(",")[:-1]
    return ",".join((*cells, digest_of(cells)))


def replace(lines: list[str], old: str, new: str, *, sign: bool = False) -> None:
    i = index(lines)
    assert old in lines[i]
    lines[i] = lines[i].replace(old, new, 1)
    if sign:
        lines[i] = resigned(lines[i])


@pytest.mark.parametrize("sign", [False, True])
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("0.7488,", "0.7489,", "`value` is 0.7489, the exact computation gives 0.7488"),
        ("0.7488,", "0.7488000000000001,", "`value` is 0.7488000000000001, the exact computation gives 0.7488"),
        ("468/625", "469/625", "`fraction` is 469/625, the exact computation gives 468/625"),
        ("468/625", "", "`fraction` is empty, the exact computation gives 468/625"),
        ("P6,5,", "P6,6,", "`V` is 6, the exact computation gives 5"),
        ("0.7488,", "0.74880,", "is not written the way it is built: `value` 0.74880"),
        ("468/625", "936/1250", "is not written the way it is built: `fraction` 936/1250"),
        ("0.7488,", "many,", "cannot be read"),
        ("468/625", "468/0", "cannot be read"),
        ("0.7488,", "nan,", "`value` is nan, the exact computation gives 0.7488"),
    ],
)
def test_a_changed_cell_is_one_line(directory: Path, old: str, new: str, message: str, sign: bool) -> None:  # noqa: FBT001
    edit(directory, lambda lines: replace(lines, old, new, sign=sign))
    (found,) = golden.check(directory)
    assert message in found
    assert "\n" not in found
    assert found.startswith(f"{CSV} line {index_of_line() + 1}: ")


def index_of_line() -> int:
    return index((COMMITTED / CSV).read_text().splitlines())


def test_a_change_below_the_tolerance_shows_in_the_digest(directory: Path) -> None:
    edit(directory, lambda lines: replace(lines, "0.7488,", "0.7488000000000001,"))
    (found,) = golden.check(directory)
    assert "recursive_rejection of P6, n = 2, with_replacement" in found
    assert "`digest` " in found
    assert "is not that of the line" in found
    assert "more than" not in found, "the tolerance does not see it"


def test_a_change_above_the_tolerance_names_the_recomputed_value(directory: Path) -> None:
    edit(directory, lambda lines: replace(lines, "0.7488,", "0.7489,", sign=True))
    (found,) = golden.check(directory)
    assert "recomputed 0.748" in found
    assert "0.0001 off, more than 1e-12" in found


def test_a_changed_digest(directory: Path) -> None:
    edit(directory, lambda lines: lines.__setitem__(5, lines[5][:-1] + ("0" if lines[5][-1] != "0" else "1")))
    (found,) = golden.check(directory)
    assert found.startswith(f"{CSV} line 6: ")
    assert "`digest`" in found


def test_a_missing_line(directory: Path) -> None:
    edit(directory, lambda lines: lines.remove(lines[index(lines)]))
    assert golden.check(directory) == [f"{CSV}: missing line: recursive_rejection of P6, n = 2, with_replacement"]


def test_extra_lines(directory: Path) -> None:
    strange = resigned("P9,5,2,with_replacement,optimum,0.5,1/2,x")
    edit(directory, lambda lines: lines.extend([lines[7], strange]))
    first, second = golden.check(directory)
    assert "extra line: " in first
    assert first.endswith("stands twice")
    assert second.endswith("extra line: no golden case is optimum of P9, n = 2, with_replacement")


def test_a_line_with_other_columns(directory: Path) -> None:
    edit(directory, lambda lines: lines.append("one,two"))
    (found,) = golden.check(directory)
    assert "has 2 columns instead of 8 (one,two)" in found


def test_other_column_titles(directory: Path) -> None:
    edit(directory, lambda lines: lines.__setitem__(0, lines[0].replace("value", "number")))
    (found,) = golden.check(directory)
    assert found.startswith(f"{CSV} line 1: columns are problem,V,n,drafting,quantity,number")


@pytest.mark.parametrize("change", ["order", "ends", "no end"])
def test_order_and_line_ends(directory: Path, change: str) -> None:
    content = (directory / CSV).read_bytes()
    if change == "order":
        edit(directory, lambda lines: lines.append(lines.pop(3)))
    elif change == "ends":
        (directory / CSV).write_bytes(content.replace(b"\n", b"\r\n"))
    else:
        (directory / CSV).write_bytes(content[:-1])
    found = golden.check(directory)
    assert found
    assert all(CSV in line for line in found)


def test_a_forgery_signed_throughout_is_found_by_computation(directory: Path) -> None:
    """Line digest, whole digest and fraction all fit each other."""
    edit(directory, lambda lines: replace(lines, "0.7488,468/625", "0.7504,469/625", sign=True))
    header = json.loads((directory / JSON).read_text())
    header["digest"] = digest_of_file((directory / CSV).read_bytes())
    (directory / JSON).write_text(json.dumps(header))
    line, whole = golden.check(directory)
    assert "the exact computation gives 468/625" in line
    assert whole.startswith(f"{JSON}: `digest` is ")


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("schema", 2),
        ("lines", 1),
        ("digest", "0"),
        ("tolerances", {}),
        ("columns", []),
        ("extra", 1),
        ("problems", None),
    ],
)
def test_a_header_that_does_not_fit(directory: Path, name: str, changed: object) -> None:
    header = json.loads((directory / JSON).read_text())
    header[name] = changed
    (directory / JSON).write_text(json.dumps(header))
    found = golden.check(directory)
    assert any(f"{JSON}: `{name}` is {json.dumps(changed)}, expected " in line for line in found)
    assert len(found) <= 2


def test_a_header_with_something_missing(directory: Path) -> None:
    header = json.loads((directory / JSON).read_text())
    del header["provenance"]
    (directory / JSON).write_text(json.dumps(header))
    (found,) = golden.check(directory)
    assert found.startswith(f"{JSON}: `provenance` is null")


@pytest.mark.parametrize("quantity", ["optimum", "recursive_rejection", "target_only", "single_draft"])
def test_a_library_that_computes_something_else_is_found(
    directory: Path, monkeypatch: pytest.MonkeyPatch, quantity: str
) -> None:
    def wrong(asked: str, problem: Problem) -> float:
        return original(asked, problem) + (1e-11 if asked == quantity else 0)

    original = checking.recompute
    monkeypatch.setattr(checking, "recompute", wrong)
    found = golden.check(directory)
    expected = golden.load(directory).select(quantity=quantity).rows
    assert len(found) == len(expected) > 0
    assert all("1e-11 off, more than 1e-12" in line for line in found)


def test_a_library_that_computes_nan_is_found(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "recompute", lambda quantity, problem: float("nan"))
    assert len(golden.check(directory)) == len(golden.load(directory).rows)


# -------------------------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize("name", [CSV, JSON])
def test_missing_and_unreadable_files(directory: Path, name: str) -> None:
    (directory / name).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=f"{name} cannot be read .*; `spectest golden build` writes it"):
        golden.check(directory)
    (directory / name).unlink()
    with pytest.raises(UsageError, match=f"{name} cannot be read .*No such file"):
        golden.check(directory)


def test_a_missing_directory(tmp_path: Path) -> None:
    for call in (golden.check, golden.load, golden.show):
        with pytest.raises(UsageError, match="cannot be read"):
            call(tmp_path / "nowhere")


def test_a_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="`directory` cannot be written"):
        golden.build(tmp_path / "file")


@pytest.mark.parametrize(("content", "message"), [("{", "is not JSON"), ("[]", "must hold a JSON object, got list")])
def test_a_header_that_is_no_json_object(directory: Path, content: str, message: str) -> None:
    (directory / JSON).write_text(content)
    with pytest.raises(UsageError, match=message):
        golden.check(directory)


def test_load_names_the_line_it_cannot_read(directory: Path) -> None:
    edit(directory, lambda lines: lines.__setitem__(3, "one,two"))
    with pytest.raises(UsageError, match=r"acceptance\.csv line 4 has 2 columns instead of 8"):
        golden.load(directory)
    (directory / CSV).write_text("")
    with pytest.raises(UsageError, match="line 1: columns are none, expected problem,V"):
        golden.load(directory)


def test_show_selects_and_aligns() -> None:
    text = golden.show(COMMITTED, problem="P6", drafting="without_replacement", quantity="optimum").split("\n")
    assert [line.split() for line in text] == [
        ["problem", "V", "n", "drafting", "quantity", "value", "fraction"],
        ["P6", "5", "1", "without_replacement", "optimum", "0.56", "14/25"],
        ["P6", "5", "2", "without_replacement", "optimum", "0.7695547681161993", "19513177/25356450"],
        ["P6", "5", "3", "without_replacement", "optimum", "0.8231208259979638", "1220978191/1483352325"],
    ]
    assert len({line.index(word) for line, word in zip(text[1:], ["14/25", "19513", "12209"], strict=True)}) == 1
    assert len(golden.show(COMMITTED).split("\n")) == 1 + len(golden.load(COMMITTED).rows)
    with pytest.raises(UsageError, match=r"`problem` P0.*problems: P1, P2"):
        golden.show(COMMITTED, problem="P0")


def test_an_empty_table_is_a_table() -> None:
    assert Table(()).to_csv().count(b"\n") == 1
