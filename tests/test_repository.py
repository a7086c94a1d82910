"""The repository itself: sizes, layers, lazy imports, pins, and that what is promised in one place holds in another."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import spectest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
LONGEST_MODULE = 400
#: Dependencies that work by being installed: pytest plugins, and the test runner a plugin lives in.
NOT_IMPORTED = {"pytest-benchmark", "pytest-xdist"}


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def git_files() -> list[Path]:
    """Everything committed or about to be: what .gitignore leaves out is not the repository's."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    paths = [ROOT / name for name in listing.stdout.split("\0") if name]
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def modules() -> list[Path]:
    return [path for path in git_files() if path.suffix == ".py"]


def library() -> list[Path]:
    """What is installed: the zoo among it."""
    installed = [ROOT / name for name in ("spectest", "strategies", "tests/zoo")]
    return [path for path in modules() if any(path.is_relative_to(folder) for folder in installed)]


@pytest.fixture(scope="module")
def pyproject() -> dict[str, Any]:
    return tomllib.loads(read("pyproject.toml"))


@pytest.fixture(scope="module")
def pins() -> dict[str, str]:
    lines = [line for line in read("constraints.txt").splitlines() if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def requirements(pyproject: dict[str, Any]) -> Iterator[Requirement]:
    project = pyproject["project"]
    for line in [*project["dependencies"], *(x for extra in project["optional-dependencies"].values() for x in extra)]:
        yield Requirement(line)


# ------------------------------------------------------------------------------------------------------------ modules


def test_modules_are_rooms() -> None:
    assert len(library()) > 10, "the listing is broken"
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_MODULE} == {}


def test_no_module_is_called_selectors() -> None:
    """It would shadow the standard library's for everything started from its folder."""
    assert [path for path in modules() if path.stem == "selectors"] == []


@pytest.mark.parametrize(("name", "where"), [("strategies", "strategies"), ("zoo", "tests/zoo")])
def test_what_lies_elsewhere_is_a_symlink(name: str, where: str) -> None:
    link = ROOT / "spectest" / name
    assert link.is_symlink()
    assert str(link.readlink()) == f"../{where}"
    assert (link / "__init__.py").samefile(ROOT / where / "__init__.py")


def test_the_zoo_is_imported_as_it_is_installed() -> None:
    """Under another name it would have a second registry."""
    pattern = re.compile(r"^\s*(from|import) tests\.zoo\b", re.MULTILINE)
    assert [path for path in modules() if pattern.search(path.read_text(encoding="utf-8"))] == []


def test_top_level_strategies_is_never_imported() -> None:
    pattern = re.compile(r"^\s*(from|import) strategies\b", re.MULTILINE)
    assert [path for path in modules() if pattern.search(path.read_text(encoding="utf-8"))] == []


def layers_of(pyproject: dict[str, Any]) -> list[str]:
    contracts = pyproject["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    return [name for layer in layers for name in re.split(r"[\s:|]+", layer)]


def test_every_module_has_one_layer(pyproject: dict[str, Any]) -> None:
    here = {path.stem for path in (ROOT / "spectest").glob("*.py")} - {"__init__"}
    here |= {path.parent.name for path in (ROOT / "spectest").glob("*/__init__.py")}
    layers = layers_of(pyproject)
    assert len(layers) == len(set(layers))
    assert set(layers) == here


def test_stats_contract_names_the_whole_project(pyproject: dict[str, Any]) -> None:
    contracts = pyproject["tool"]["importlinter"]["contracts"]
    (stats,) = [c for c in contracts if c["type"] == "forbidden" and c["source_modules"] == ["spectest.stats"]]
    forbidden = {name.removeprefix("spectest.") for name in stats["forbidden_modules"] if name.startswith("spectest.")}
    assert forbidden == set(layers_of(pyproject)) - {"stats"}


def test_layers_are_not_bypassed_through_the_package_itself(pyproject: dict[str, Any]) -> None:
    """`from spectest import verify` reaches any layer through a string-based import that import-linter cannot see."""
    ways_in = {"cli", "conformance", "golden", "pytest_plugin", "__init__", "__main__"}
    layers = set(layers_of(pyproject))
    bypasses = []
    for path in library():
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[0] == "spectest" and parts[1] in ways_in:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "spectest":
                names = [alias.name for alias in node.names if alias.name not in {*layers, "__version__"}]
                bypasses += [f"{path.relative_to(ROOT)}:{node.lineno} {name}" for name in names]
    assert bypasses == []


# ------------------------------------------------------------------------------------------------------- lazy imports


@pytest.mark.parametrize("module", ["spectest", "spectest.pytest_plugin"])
def test_import_is_light(module: str) -> None:
    """Every pytest run of everybody who has spectest installed pays for the plugin."""
    code = f"import sys, {module}; print(sorted({{'torch', 'scipy'}} & set(sys.modules)))"
    child = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False, text=True)
    assert child.returncode == 0, child.stderr
    assert child.stdout.strip() == "[]"


@pytest.mark.parametrize("name", spectest.__all__)
def test_everything_offered_exists(name: str) -> None:
    assert name in dir(spectest)
    assert getattr(spectest, name) is not None


# ------------------------------------------------------------------------------------------------------- dependencies


def test_pins_satisfy_the_ranges(pyproject: dict[str, Any], pins: dict[str, str]) -> None:
    declared = [requirement for requirement in requirements(pyproject) if requirement.name != "spectest"]
    assert {r.name for r in declared if canonicalize_name(r.name) not in pins} == set(), "add them to constraints.txt"
    assert [str(r) for r in declared if not r.specifier.contains(pins[canonicalize_name(r.name)])] == []
    assert "+" not in pins["torch"], "a local version exists on one index only"


def test_dev_extra_holds_every_other_extra(pyproject: dict[str, Any]) -> None:
    extras = pyproject["project"]["optional-dependencies"]
    (own,) = [r for r in map(Requirement, extras["dev"]) if r.name == "spectest"]
    assert own.extras == set(extras) - {"dev"}


def imported_distributions() -> dict[str, set[str]]:
    """Distribution -> the library's files that import it, at the top or inside a function."""
    distributions = packages_distributions()
    found: dict[str, set[str]] = {}
    for path in library():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            for package in {name.partition(".")[0] for name in names} - {"spectest", *sys.stdlib_module_names}:
                distribution = canonicalize_name(distributions.get(package, [package])[0])
                found.setdefault(distribution, set()).add(str(path.relative_to(ROOT)))
    return found


def test_what_is_imported_is_declared_and_what_is_declared_is_imported(pyproject: dict[str, Any]) -> None:
    project = pyproject["project"]
    needed = {canonicalize_name(Requirement(line).name) for line in project["dependencies"]}
    extras = project["optional-dependencies"]
    optional = {canonicalize_name(Requirement(x).name) for key, lines in extras.items() if key != "dev" for x in lines}
    imported = imported_distributions()
    assert {name: files for name, files in imported.items() if name not in needed | optional} == {}
    assert needed - NOT_IMPORTED - set(imported) == set()


def test_every_pip_install_is_constrained() -> None:
    """An unpinned torch brings gigabytes of CUDA."""
    files = ["Makefile", ".ci/run", ".github/workflows/ci.yml", "CONTRIBUTING.md"]
    lines = [line for name in files for line in read(name).splitlines() if "pip install" in line]
    assert len(lines) >= 3
    assert [line for line in lines if "-c constraints.txt" not in line] == []


def test_files_that_are_no_modules_are_installed(pyproject: dict[str, Any]) -> None:
    patterns = pyproject["tool"]["setuptools"]["package-data"]["spectest"]
    installed = {path for pattern in patterns for path in (ROOT / "spectest").glob(pattern)}
    others = {path for path in git_files() if path.is_relative_to(ROOT / "spectest") and path.suffix != ".py"}
    assert others == installed


# ---------------------------------------------------------------------------------------------- promises and metadata


@pytest.mark.parametrize("command", ["make demo", "make test"])
def test_readme_starts_with_what_works_on_a_fresh_machine(command: str) -> None:
    assert command in read("README.md")
    assert re.search(rf"^{command.removeprefix('make ')}:", read("Makefile"), re.MULTILINE)


def test_one_version() -> None:
    assert f"\nversion: {spectest.__version__}\n" in read("CITATION.cff")


def test_changelog_fragments_are_named_after_what_changed() -> None:
    names = [path.name for path in git_files() if path.parent == ROOT / "changelog.d" and path.name != "README.md"]
    assert [name for name in names if not re.fullmatch(r"[a-z0-9-]+\.(added|changed|fixed|removed)\.md", name)] == []


def test_ci_script_runs_anywhere() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111 == 0o111
    assert "set -euo pipefail" in script.read_text(encoding="utf-8")
    assert ".ci/run" in read(".github/workflows/ci.yml")


def test_actions_are_pinned_to_commits() -> None:
    uses = re.findall(r"uses: *(\S+)", read(".github/workflows/ci.yml"))
    assert uses
    assert [action for action in uses if not re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", action)] == []


def test_no_file_names_a_developers_machine() -> None:
    pattern = re.compile(rb"(?<![\w.:/-])/(work|root|home)/")
    assert [str(path.relative_to(ROOT)) for path in git_files() if pattern.search(path.read_bytes())] == []
