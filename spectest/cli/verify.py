"""`spectest verify`: one selector, all checks, a verdict."""

# ruff: noqa: ARG001 (typer makes the command line from the signature; the values are read from the context)

from __future__ import annotations

import sys
import time
from contextlib import ExitStack, nullcontext
from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from spectest.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from rich.console import Console

    from spectest.report import LiveProgress
    from spectest.runner import Report, RunConfig

    Write = Callable[[Report, float], None]  # a report, and the seconds its run took, to a file

#: Options of the command itself; all others go to the run by their own names.
_OWN: Final = ("address", "exit_first", "list_checks", "json", "html", "quiet", "verbose")
_PIPED_WIDTH: Final = 140  # columns of the tables where no terminal says how many there are

_RUN: Final = "The run"
_CALL: Final = "How the selector is called, in place of what it declares"
_OUTPUT: Final = "Output"


def _run(text: str, *names: str) -> Any:  # noqa: ANN401 (what typer takes in an annotation)
    return typer.Option(*names, help=text, rich_help_panel=_RUN)


def _call(text: str, *names: str) -> Any:  # noqa: ANN401 (what typer takes in an annotation)
    return typer.Option(*names, help=text, rich_help_panel=_CALL)


def _output(text: str, *names: str) -> Any:  # noqa: ANN401 (what typer takes in an annotation)
    return typer.Option(*names, help=text, rich_help_panel=_OUTPUT)


def verify(
    context: typer.Context,
    address: Annotated[str | None, typer.Argument(help="pkg.mod:name or path/to/file.py:name")] = None,
    *,
    tier: Annotated[str | None, _run("quick, standard or deep; quick by default")] = None,
    vocab: Annotated[str | None, _run("N[,N]: sizes of the main problems")] = None,
    target: Annotated[Path | None, _run("p.npy: a target of your own, with --draft")] = None,
    draft: Annotated[Path | None, _run("q.npy: its draft law, (V,), or (n, V) for independent drafters")] = None,
    alpha: Annotated[float | None, _run("total false-alarm rate; 1e-6 by default")] = None,
    beta: Annotated[float | None, _run("miss rate at δ; 1e-3 by default")] = None,
    delta: Annotated[float | None, _run("deviation to find, in place of the tier's")] = None,
    seed: Annotated[int | None, _run("seed of everything random; 0 by default")] = None,
    budget: Annotated[float | None, _run("seconds the cases may take in all, start-up aside")] = None,
    timeout: Annotated[float | None, _run("seconds per call after the first; 10 by default")] = None,
    checks: Annotated[str | None, _run("a,b: only these checks")] = None,
    waivers: Annotated[Path | None, _run("FILE.toml: failures that are known")] = None,
    exit_first: Annotated[
        bool, _run("End with the first failure, the cheapest cases first.", "--exitfirst", "-x")
    ] = False,
    list_checks: Annotated[bool, _run("List the checks and exit.")] = False,
    kind: Annotated[str | None, _call("selector, chain or tree")] = None,
    drafting: Annotated[str | None, _call("drafting law")] = None,
    n_drafts: Annotated[int | None, _call("drafts per position", "--drafts")] = None,
    scheme: Annotated[str | None, _call("scheme whose acceptance it claims")] = None,
    array: Annotated[str | None, _call("torch or numpy")] = None,
    device: Annotated[str | None, _call("torch device")] = None,
    dtype: Annotated[str | None, _call("float64, float32, float16 or bfloat16")] = None,
    batched: Annotated[bool | None, _call("rows per call, or one", "--batched/--no-batched")] = None,
    broadcast: Annotated[bool | None, _call("takes expanded views", "--broadcast/--no-broadcast")] = None,
    rng: Annotated[str | None, _call("generator, global, seed or uniforms")] = None,
    lossless: Annotated[bool | None, _call("deviations fail, or are reported", "--lossless/--no-lossless")] = None,
    tolerance: Annotated[float | None, _call("relative error of a low-precision kernel")] = None,
    degenerate: Annotated[str | None, _call("error, fallback or unspecified")] = None,
    propose: Annotated[str | None, _call("pkg.mod:name or path/to/file.py:name of its own drafting")] = None,
    json: Annotated[Path | None, _output("Write the report as JSON.")] = None,
    html: Annotated[Path | None, _output("Write the report as a page for a browser.")] = None,
    quiet: Annotated[bool, _output("Print the verdict alone.", "--quiet")] = False,
    verbose: Annotated[bool, _output("Print every case, and tracebacks.", "--verbose")] = False,
) -> int:
    """Verify that a selector is lossless, and how far its acceptance is from the optimum.

    Exit codes: 0 conforms, 1 a check failed, 2 it could not be called at all, 3 inconclusive.
    """
    if list_checks:
        return _list_checks()
    if address is None:
        msg = "name a selector: `spectest verify pkg.mod:name` or `spectest verify path/to/file.py:name`"
        raise UsageError(msg)
    from spectest.runner.options import from_text  # noqa: PLC0415 (`spectest --help` needs no scipy)

    config = from_text({name: value for name, value in context.params.items() if name not in _OWN})
    with ExitStack() as reserved:
        writes = _files(reserved, json, html)
        return _verified(address, config, writes, exit_first=exit_first, quiet=quiet, verbose=verbose)


def _files(reserved: ExitStack, json: Path | None, html: Path | None) -> list[Write]:
    """Reserve the files that are asked for, before anything runs; return what writes each."""
    from spectest.report import HtmlFile, JsonFile  # noqa: PLC0415 (`spectest --help` needs no scipy)

    if json is not None and html is not None and json.resolve() == html.resolve():
        msg = f"`--json` and `--html` must be two files, got {html} for both"
        raise UsageError(msg)
    writes: list[Write] = []
    if json is not None:
        as_json = reserved.enter_context(JsonFile(json))
        writes.append(lambda report, _: as_json.write(report))
    if html is not None:
        writes.append(reserved.enter_context(HtmlFile(html)).write)
    return writes


def _verified(
    address: str, config: RunConfig, writes: Sequence[Write], *, exit_first: bool, quiet: bool, verbose: bool
) -> int:
    from rich.console import Console  # noqa: PLC0415 (`spectest --version` needs no rich)

    from spectest.report import print_report  # noqa: PLC0415 (as above)

    started = time.monotonic()
    report = _report(address, config, exit_first=exit_first, quiet=quiet)
    seconds = time.monotonic() - started
    try:
        lost = _written(writes, report, seconds)
    finally:  # what was found is said all the same
        console = Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH)
        print_report(report, console, seconds=seconds, quiet=quiet, verbose=verbose)
    if lost:
        if report.exit_code == 0:
            raise UsageError("; ".join(lost))
        typer.echo(f"spectest: {'; '.join(lost)}", err=True)
    return report.exit_code


def _written(writes: Sequence[Write], report: Report, seconds: float) -> list[str]:
    """Write the files; return why those that could not be written could not."""
    lost = []
    for write in writes:
        try:
            write(report, seconds)
        except UsageError as error:
            lost.append(str(error))
    return lost


def _report(address: str, config: RunConfig, *, exit_first: bool, quiet: bool) -> Report:
    """Run it. Ctrl-C before the first case leaves an empty report: inconclusive."""
    from rich.console import Console  # noqa: PLC0415 (`spectest --version` needs no rich)

    from spectest.runner import Report, Run  # noqa: PLC0415 (as above)

    try:
        with _progress(Console(stderr=True), quiet=quiet) as observer:
            return Run(address, config, observer, first_failure=exit_first).execute()
    except KeyboardInterrupt:
        return Report(address, config.alpha, (), {"tier": config.tier, "seed": config.seed}, interrupted=True)


def _progress(console: Console, *, quiet: bool) -> AbstractContextManager[LiveProgress | None]:
    if quiet or not console.is_terminal:
        return nullcontext()
    from spectest.report import LiveProgress  # noqa: PLC0415 (only where somebody watches)

    return LiveProgress(console)


def _list_checks() -> int:
    from spectest import checks  # noqa: PLC0415 (`spectest --help` needs no scipy)

    for check in checks.select():
        typer.echo(f"{check.name:12} {check.summary}")
    return 0
