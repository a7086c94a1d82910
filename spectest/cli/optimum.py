"""`spectest optimum`: the largest acceptance any lossless selector can have on a problem."""

from __future__ import annotations

import json
from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import Annotated

import typer


def optimum(
    target: Annotated[Path, typer.Option(help="p.npy: target probabilities, (V,)")],
    draft: Annotated[Path, typer.Option(help="q.npy: draft probabilities, (V,), or (n, V) for independent drafters")],
    drafts: Annotated[
        int | None, typer.Option(help="drafts per position; by default the rows of q, 2 for hub, else 3")
    ] = None,
    drafting: Annotated[str, typer.Option(help="drafting law")] = "with_replacement",
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with the ids of the subset.")] = False,
) -> int:
    """Print the optimal acceptance α* of a problem and the subset of tokens that certifies it."""
    from spectest.optimum import optimal_acceptance  # noqa: PLC0415 (`spectest --help` needs no scipy)
    from spectest.problem import drafting_rule  # noqa: PLC0415 (as above)
    from spectest.runner.options import read_law  # noqa: PLC0415 (as above)

    p, q = read_law(target, "target"), read_law(draft, "draft")
    n = drafts if drafts is not None else q.shape[0] if q.ndim > 1 else drafting_rule(drafting).fixed_drafts or 3
    found = optimal_acceptance(p, q, n, drafting)
    if as_json:
        typer.echo(json.dumps(found.to_dict()))
        return 0
    typer.echo(f"optimum  {found.value!r}")
    typer.echo(f"method   {found.method}")
    typer.echo(f"subset   {int(found.subset.sum())} of {found.subset.size} tokens (--json lists them)")
    return 0
