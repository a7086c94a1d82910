"""Addresses: what they name, what they refuse, and which callables have one."""

from __future__ import annotations

import functools
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from spectest import verify
from spectest.engine import ChildSession, address_of
from spectest.engine.address import resolve, split
from spectest.errors import UsageError
from tests.engine import samples

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOURCE = "import numpy as np\nfrom spectest import selector\n"
BODY = "@selector(array='numpy')\ndef select(p, q, ids, rng):\n    return ids[:, 0]\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder; what is imported from it is forgotten afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = dict(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - set(before):
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def write(place: Path, name: str, text: str = BODY) -> Path:
    """Write a module and return its path."""
    file = place / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(SOURCE + text)
    return file


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("pkg.mod:name", ("pkg.mod", "name")),
        ("pkg.mod:Class.method", ("pkg.mod", "Class.method")),
        ("a/b c/file.py:name", ("a/b c/file.py", "name")),
        ("a:b/file.py:name", ("a:b/file.py", "name")),
    ],
)
def test_split(address: str, parts: tuple[str, str]) -> None:
    assert split(address) == parts


@pytest.mark.parametrize("address", ["", "name", ":name", "mod:", "mod:1x", "mod:a.", "mod:a b", "file.py", "mod:a-b"])
def test_split_refuses(address: str) -> None:
    with pytest.raises(UsageError, match=r"named as `pkg\.mod:name`"):
        split(address)


def test_module_and_file_and_nested_attribute_and_object(place: Path) -> None:
    sys.path.insert(0, str(place))
    write(place, "some_package/__init__.py", "")
    write(
        place, "some_package/inner.py", BODY + "class Holder:\n    select = staticmethod(select)\nholder = Holder()\n"
    )
    ids = np.array([[3, 1]])
    by_module = resolve("some_package.inner:select")
    assert by_module(None, None, ids, None).tolist() == [3]
    assert resolve("some_package.inner:holder.select") is by_module
    by_file = resolve(f"{place}/some_package/inner.py:select")
    assert by_file(None, None, ids, None).tolist() == [3]
    assert resolve(f"{samples.HERE}:holder")(None, None, ids, None).tolist() == [3]


def test_file_finds_its_neighbours_and_a_relative_path_is_one(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(place, "kernels/uncommon_helper.py", "ANSWER = 4\n")
    write(place, "kernels/of_mine.py", "import uncommon_helper\n" + BODY.replace("ids[:, 0]", "uncommon_helper.ANSWER"))
    monkeypatch.chdir(place)
    assert resolve("kernels/of_mine.py:select")(None, None, None, None) == 4


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("no_such_module_anywhere:f", "cannot import 'no_such_module_anywhere': ModuleNotFoundError"),
        ("json.no_such_part:f", "cannot import"),
        ("json:nothing_of_that_name", "json has no attribute 'nothing_of_that_name'"),
        ("json:decoder.nothing", "json has no attribute 'decoder.nothing'"),
        ("json:__name__", "json:__name__ is not callable, it is of type str"),
        ("no/such/file.py:f", "no such file: /"),
        (".py:f", "no such file"),
    ],
)
def test_what_is_not_there(address: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(address)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise RuntimeError('one line\\nanother')", "RuntimeError: one line"),
        ("def broken(:", "SyntaxError"),
        ("import a_package_that_is_not_installed", "ModuleNotFoundError: No module named 'a_package_that"),
        ("raise ValueError", "ValueError"),
    ],
)
def test_import_that_raises_keeps_its_error_as_cause(place: Path, text: str, message: str) -> None:
    file = write(place, "raising_module.py", text)
    with pytest.raises(UsageError) as caught:
        resolve(f"{file}:select")
    assert f"cannot import {file}: {message}" in str(caught.value)
    assert "another" not in str(caught.value)
    assert caught.value.__cause__ is not None
    assert "raising_module" not in sys.modules


def test_a_usage_error_of_the_import_is_its_own_message(place: Path) -> None:
    text = "from spectest.errors import UsageError\nraise UsageError('needs the extra: pip install it')"
    file = write(place, "adapter_of_something.py", text)
    sys.path.insert(0, str(place))
    for address in (f"{file}:f", "adapter_of_something:f"):
        with pytest.raises(UsageError, match=r"^needs the extra: pip install it$"):
            resolve(address)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import sys; sys.exit(4)", "ended its process (exit code 4)"),
        ("import os; os._exit(0)", "ended its process (exit code 0)"),
        ("import os; os.write(2, b'told you\\n'); os.abort()", "ended its process (SIGABRT): told you"),
        ("raise KeyboardInterrupt", "ended its process"),
        (
            "import os\nif os.fork() == 0:\n    import time; time.sleep(3)\nos._exit(1)",
            "ended its process (exit code 1)",
        ),
        ("raise RuntimeError('at import')", "RuntimeError: at import"),
    ],
)
def test_import_that_takes_its_process_along(place: Path, text: str, message: str) -> None:
    file = write(place, "module_of_doom.py", text)
    with pytest.raises(UsageError) as caught:
        ChildSession(f"{file}:select")
    assert message in str(caught.value)


def test_import_that_prints_is_no_harm(place: Path) -> None:
    file = write(place, "talkative.py", "import os\nprint('hello', flush=True)\nos.write(1, b'\\x80\\x04N.')\n" + BODY)
    session = ChildSession(f"{file}:select")
    session.close()
    assert session.loaded.name == f"{file}:select"
    assert session.loaded.declaration.array == "numpy"


def test_import_that_takes_too_long(place: Path) -> None:
    """Never longer than the run may take in all."""
    file = write(place, "sleepy.py", "import time; time.sleep(1000)\n" + BODY)
    with pytest.raises(UsageError, match=r"took more than 0\.3 s"):
        ChildSession(f"{file}:select", import_timeout=0.3)
    with pytest.raises(UsageError, match="took more than 1 s"):
        verify(f"{file}:select", budget=1)


@pytest.mark.parametrize("name", ["random", "json", "colorsys", "statistics", "numpy", "scipy"])
def test_file_named_like_another_module_replaces_it_for_nobody(place: Path, name: str) -> None:
    """In a process of its own: some of these modules are loaded there, some are not."""
    text = f"import {name} as real\nassert real.__file__ != __file__, real\n" + BODY
    file = write(place, f"{name}.py", text)
    script = (
        "import sys, spectest.engine.address as a, importlib\n"
        f"a.resolve({str(file) + ':select'!r})\n"
        f"assert importlib.import_module({name!r}).__file__ != {str(file)!r}"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_file_named_torch(place: Path) -> None:
    """The backend needs the real one, and so does the file."""
    text = BODY.replace("array='numpy'", "").replace("select(p", "select(p") + "import torch\ntorch.ones(1)\n"
    session = ChildSession(f"{write(place, 'torch.py', text)}:select")
    try:
        tokens = session.call(call_of([2, 1, 0])).tokens
    finally:
        session.close()
    assert tokens.tolist() == [2]


def call_of(ids: list[int]) -> Any:
    """Return a call of one row with these drafts."""
    from spectest.engine import Call

    return Call((samples.prepared(len(ids)),), np.zeros(1, dtype=np.int64), 1, ids=np.array([ids]))


# --- address_of --------------------------------------------------------------------------------------------------


def module_level(p: Any, q: Any, ids: Any, rng: Any) -> Any:
    """A function of a test module."""
    return ids[:, 0]


def test_functions_of_modules_have_an_address_that_leads_back() -> None:
    for function in (samples.target_only, module_level, samples.Holder.static, np.linalg.norm):
        found = address_of(function)
        assert found is not None
        name = found.rpartition(":")[2]
        assert resolve(found).__qualname__ == name == function.__qualname__


def test_a_fresh_process_finds_what_address_of_says() -> None:
    found = address_of(samples.target_only)
    assert found is not None
    session = ChildSession(found)
    session.close()
    assert session.loaded.declaration.array == "numpy"


def test_no_address() -> None:
    def local(p: Any, q: Any, ids: Any, rng: Any) -> Any:
        return ids[:, 0]

    @functools.wraps(module_level)
    def pretender(*arguments: Any) -> Any:
        return module_level(*arguments)

    for function in (
        local,
        pretender,
        lambda p, q, ids, rng: ids[:, 0],
        samples.a_lambda(),
        samples.holder,
        samples.holder.method,
        samples.Holder.of_class,
        functools.partial(module_level),
    ):
        assert address_of(function) is None


def test_a_module_that_hides_another_of_its_name_is_addressed_by_file(place: Path) -> None:
    """Such as pytest's importlib mode makes: the name is in `sys.modules`, yet a fresh process finds something else."""
    import importlib.util

    file = write(place, "hidden/colorsys.py")
    spec = importlib.util.spec_from_file_location("tests.colorsys_of_mine", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    assert address_of(module.select) == f"{file}:select"


@pytest.mark.parametrize("how", ["script", "-m", "-c"])
def test_address_in_main(place: Path, how: str) -> None:
    text = (
        BODY + "if __name__ == '__main__':\n    from spectest.engine import address_of\n    print(address_of(select))\n"
    )
    file = write(place, "program_of_mine.py", text)
    command = {"script": [str(file)], "-m": ["-m", "program_of_mine"], "-c": ["-c", file.read_text()]}[how]
    found = subprocess.run(
        [sys.executable, *command], check=True, capture_output=True, text=True, cwd=place, env=environment()
    ).stdout.strip()
    assert found == {"script": f"{file}:select", "-m": "program_of_mine:select", "-c": "None"}[how]


def environment() -> dict[str, str]:
    """Return an environment in which spectest is found."""
    import os
    from pathlib import Path

    return os.environ | {"PYTHONPATH": str(Path(samples.HERE).parents[2])}
