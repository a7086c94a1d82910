"""Addresses: `pkg.mod:name` or `path/to/file.py:name`, the form in which a selector crosses a process boundary."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spectest.declaration import name_of
from spectest.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType


def split(address: str) -> tuple[str, str]:
    """Split an address into its module or file and the attribute in it.

    Raises:
        UsageError: it is not of the form `pkg.mod:name` or `path/to/file.py:name`.
    """
    module, _, name = address.rpartition(":")
    if not module or not all(part.isidentifier() for part in name.split(".")):
        msg = f"a function is named as `pkg.mod:name` or `path/to/file.py:name`, got {address!r}"
        raise UsageError(msg)
    return module, name


def resolve(address: str, files: dict[Path, ModuleType] | None = None) -> Callable[..., Any]:
    """Import what an address names.

    Args:
        address: `pkg.mod:name` or `path/to/file.py:name`.
        files: modules found for earlier addresses, by file; one of the same file is the same module, so that what its
            functions share stays shared. Without it a file is run afresh.

    Raises:
        UsageError: it does not import, does not exist or is not callable. The import's own error is its cause.
    """
    where, name = split(address)
    files = {} if files is None else files
    if where.endswith(".py"):
        path = Path(where).expanduser().resolve()
        module = files[path] if path in files else _load_file(path)
    else:
        module = _load_module(where)
    file = getattr(module, "__file__", None)
    if file:
        files[Path(file).resolve()] = module
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            msg = f"{where} has no attribute {name!r}"
            raise UsageError(msg)
        found = getattr(found, part)
    if not callable(found):
        msg = f"{address} is not callable, it is of type {type(found).__name__}"
        raise UsageError(msg)
    return found  # type: ignore[no-any-return]


def _load_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except UsageError:  # an adapter whose package is missing says so itself
        raise
    except Exception as error:
        msg = f"cannot import {name!r}: {_one_line(error)}"
        raise UsageError(msg) from error


def _load_file(path: Path) -> ModuleType:
    """Import the file at an absolute path under its own stem, with its folder importable as it is for a script."""
    if not path.is_file():
        msg = f"no such file: {path}"
        raise UsageError(msg)
    # A file called like an installed module (random.py, torch.py) must not replace it for everybody else: the module is
    # imported before the file's folder is searched.
    taken = path.stem in sys.modules or _means_another(path)
    if taken and path.stem not in sys.modules:
        _load_module(path.stem)
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    name = f"_spectest_selector_{path.stem}" if taken else path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        msg = f"cannot import {path}: not a Python source file"
        raise UsageError(msg)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        sys.modules.pop(name, None)
        if isinstance(error, UsageError) or not isinstance(error, Exception):
            raise
        msg = f"cannot import {path}: {_one_line(error)}"
        raise UsageError(msg) from error
    return module


def _means_another(path: Path) -> bool:
    """Whether `import <stem>` finds something else than the file."""
    found = _origin(path.stem)
    return path.stem in sys.stdlib_module_names or (found is not None and found != path)


def _origin(module: str) -> Path | None:
    """Return the file in which a fresh process with the same `sys.path` would find a module; nothing is imported."""
    where, spec, name = None, None, ""
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        try:
            spec = PathFinder.find_spec(name, where)
        except (ImportError, ValueError):
            return None
        if spec is None:
            return None
        where = spec.submodule_search_locations
    return Path(spec.origin).resolve() if spec is not None and spec.has_location and spec.origin else None


def _one_line(error: BaseException) -> str:
    first = str(error).strip().splitlines()
    return f"{type(error).__name__}: {first[0]}" if first else type(error).__name__


def addressed(declared: Mapping[str, Any], selector: str) -> dict[str, Any]:
    """Return declarations with a callable `propose` by its address, as they reach the process that runs `selector`.

    Raises:
        UsageError: it has none.
    """
    given = dict(declared)
    propose = given.get("propose")
    if callable(propose):
        given["propose"] = address_of(propose)
        if given["propose"] is None:
            msg = (
                f"`propose` {name_of(propose)} has no address under which the process that runs {selector} finds it: "
                "define it at the top of a module, or declare it where the selector is defined, with "
                "`@spectest.selector(propose=...)`"
            )
            raise UsageError(msg)
    return given


def address_of(function: Callable[..., Any]) -> str | None:
    """Return the address under which another process finds `function`, None if there is none.

    A closure, a lambda, a local function, a bound method or a callable object has no address.
    """
    name = getattr(function, "__qualname__", None)
    where = getattr(function, "__module__", None)
    if not isinstance(name, str) or not isinstance(where, str) or "<" in name:
        return None
    module = sys.modules.get(where)
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if module is None or found is not function:
        return None
    spec = getattr(module, "__spec__", None)
    if where == "__main__":
        # `python -m pkg.mod` leaves a spec; a script leaves a file; a console leaves neither.
        if spec is not None:
            return f"{spec.name}:{name}"
        file = getattr(module, "__file__", None)
        return f"{Path(file).resolve()}:{name}" if file and file.endswith(".py") else None
    file = getattr(module, "__file__", None)
    if spec is not None and file and _origin(where) == Path(file).resolve():  # not so in pytest's importlib mode
        return f"{where}:{name}"
    return f"{Path(file).resolve()}:{name}" if file and file.endswith(".py") else None
