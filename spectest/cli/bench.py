"""`spectest bench`: how fast a selector is, beside the reference schemes and `torch.argmax` over the same rows."""

# ruff: noqa: ARG001 (typer makes the command line from the signature; the values are read from the context)

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from spectest.errors import UsageError

if TYPE_CHECKING:
    from spectest.report import JsonFile
    from spectest.throughput import Request, Throughput

#: Options of the command itself; all others go to the request by their own names.
_OWN: Final = ("json", "quiet", "verbose")
_PIPED_WIDTH: Final = 140  # columns of the table where no terminal says how many there are

_WHAT: Final = "What is measured"
_CALL: Final = "How the selector is called, in place of what it declares"
_OUTPUT: Final = "Output"


def _what(text: str, *names: str) -> Any:  # noqa: ANN401 (what typer takes in an annotation)
    return typer.Option(*names, help=text, rich_help_panel=_WHAT)


def _call(text: str, *names: str) -> Any:  # noqa: ANN401 (what typer takes in an annotation)
    return typer.Option(*names, help=text, rich_help_panel=_CALL)


def _output(text: str, *names: str) -> Any:  # noqa: ANN401 (what typer takes in an annotation)
    return typer.Option(*names, help=text, rich_help_panel=_OUTPUT)


def bench(
    context: typer.Context,
    address: Annotated[str | None, typer.Argument(help="pkg.mod:name or path/to/file.py:name")] = None,
    *,
    vocab: Annotated[str | None, _what("N[,N]: vocabulary sizes; 128,1000,32000,128256 by default")] = None,
    drafts: Annotated[str | None, _what("N[,N]: drafts per position; as declared by default")] = None,
    batch: Annotated[str | None, _what("N[,N]: rows per call; 1,8,64 by default")] = None,
    devices: Annotated[str | None, _what("a,b: torch devices; as declared by default", "--device")] = None,
    schemes: Annotated[
        str | None,
        _what("all, none or a,b: reference schemes beside it; recursive_rejection and the declared one by default"),
    ] = None,
    seconds: Annotated[float | None, _what("seconds per cell, at most; 1 by default")] = None,
    budget: Annotated[float | None, _what("seconds of measuring in all; 100 by default")] = None,
    timeout: Annotated[float | None, _what("seconds per call after the first; 10 by default")] = None,
    threads: Annotated[int | None, _what("torch threads; 1 by default")] = None,
    seed: Annotated[int | None, _what("seed of everything random; 0 by default")] = None,
    drafting: Annotated[str | None, _call("drafting law")] = None,
    array: Annotated[str | None, _call("torch or numpy")] = None,
    dtype: Annotated[str | None, _call("float64, float32, float16 or bfloat16")] = None,
    batched: Annotated[bool | None, _call("rows per call, or one", "--batched/--no-batched")] = None,
    broadcast: Annotated[bool | None, _call("takes expanded views", "--broadcast/--no-broadcast")] = None,
    rng: Annotated[str | None, _call("generator, global, seed or uniforms")] = None,
    json: Annotated[Path | None, _output("Write every time that was measured as JSON.")] = None,
    quiet: Annotated[bool, _output("Print the last line alone.", "--quiet")] = False,
    verbose: Annotated[bool, _output("Print tracebacks.", "--verbose")] = False,
) -> int:
    """Measure a selector: time per call, tokens per second, and how many times `torch.argmax` over the same rows.

    Without an address, the reference schemes alone: `spectest bench --schemes all`.
    Exit codes: 0 measured, 1 it failed when called, 2 it could not be called at all, 3 nothing was measured.
    """
    from spectest.report import JsonFile  # noqa: PLC0415 (`spectest --help` needs no scipy)
    from spectest.throughput import from_text  # noqa: PLC0415 (as above)

    request = from_text({name: value for name, value in context.params.items() if name not in _OWN})
    with nullcontext() if json is None else JsonFile(json) as file:
        return _measured(request, file, quiet=quiet, verbose=verbose)


def _measured(request: Request, file: JsonFile | None, *, quiet: bool, verbose: bool) -> int:
    from rich.console import Console  # noqa: PLC0415 (`spectest --version` needs no rich)

    from spectest.throughput import print_throughput  # noqa: PLC0415 (as above)

    result = _result(request, quiet=quiet)
    error: UsageError | None = None
    if file is not None:
        try:
            file.write(result)
        except UsageError as caught:  # what was measured is said all the same
            error = caught
    console = Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH)
    print_throughput(result, console, quiet=quiet, verbose=verbose)
    if error is not None:
        if result.exit_code == 0:
            raise error
        typer.echo(f"spectest: {error}", err=True)
    return result.exit_code


def _result(request: Request, *, quiet: bool) -> Throughput:
    from rich.console import Console  # noqa: PLC0415 (`spectest --version` needs no rich)
    from rich.text import Text  # noqa: PLC0415 (as above)

    from spectest.throughput import Bench  # noqa: PLC0415 (as above)

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        return Bench(request).execute()
    with console.status("", refresh_per_second=2) as status:  # what is measured shares the machine with it
        return Bench(request, lambda what: status.update(Text(what))).execute()
