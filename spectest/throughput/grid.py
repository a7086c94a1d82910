"""Which cells are measured: sizes, within what one call may hold."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Final

from spectest.engine.executor import MAX_ELEMENTS
from spectest.throughput.result import Cell

if TYPE_CHECKING:
    from spectest.declaration import Declaration
    from spectest.throughput.request import Request

#: Elements B·n·V of dense rows in one call on an accelerator, of selectors the contract sets no limit for.
ACCELERATOR_ELEMENTS: Final = 16 * MAX_ELEMENTS


def grid(declaration: Declaration, request: Request) -> tuple[list[Cell], list[str]]:
    """Return the cells of a selector, smallest vocabulary first, and what was left out.

    Dense rows, and shared ones for a selector that takes views; a selector of one position a call has B = 1.

    Raises:
        UsageError: the selector's drafting law has another number of drafts.
    """
    drafts = request.drafts or (declaration.n_drafts,)
    for n in drafts:
        declaration.override({"n_drafts": n})
    batch = request.batch if declaration.batched else (1,)
    cells, notes = list[Cell](), list[str]()
    limit = limit_of(declaration)
    for v, n, rows in product(sorted(request.vocab), drafts, batch):
        if rows * n * v <= limit:
            cells.append(Cell(declaration.device, v, n, rows))
        else:
            notes = [f"dense rows of more than {limit:,} elements B·n·V a call are left out"]
        if declaration.broadcast and declaration.batched and rows > 1:
            cells.append(Cell(declaration.device, v, n, rows, shared=True))
    return cells, notes


def limit_of(declaration: Declaration) -> int:
    """Return how many elements B·n·V dense rows may have in one call."""
    roomy = declaration.broadcast and declaration.device != "cpu"
    return ACCELERATOR_ELEMENTS if roomy else MAX_ELEMENTS
