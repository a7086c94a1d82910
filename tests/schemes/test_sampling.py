"""The inverse CDF on known answers: the ends of the uniforms, tokens without mass, sums that round."""

from __future__ import annotations

import pytest
import torch

from spectest.schemes.common.sampling import draw, is_shared, totals

LARGEST = 1 - 2.0**-53
SMALLEST = 5e-324  # the smallest float64: any u > 1/2 times it rounds up to it


@pytest.mark.parametrize(
    ("mass", "uniform", "token"),
    [
        ([0, 0.25, 0, 0.75, 0], 0.0, 1),  # not the first token: it has no mass
        ([0, 0.25, 0, 0.75, 0], 0.25 - 2.0**-54, 1),
        ([0, 0.25, 0, 0.75, 0], 0.25, 3),  # the boundary belongs to the next token with mass
        ([0, 0.25, 0, 0.75, 0], LARGEST, 3),  # not the last token: it has no mass
        ([0.5, 0.5], 0.5, 1),
        ([3, 1], 0.75, 1),  # need not sum to 1
        ([SMALLEST, 0], 0.9, 0),
        ([0, SMALLEST, 0], 0.9, 1),
        ([2 * SMALLEST, SMALLEST, 0], 0.9, 1),  # the last token with mass, not the heaviest
        ([1.0, 1e-20, 0.0], LARGEST, 0),  # 1e-20 is lost in the sum
        ([1.0], LARGEST, 0),
    ],
)
def test_draw(mass: list[float], uniform: float, token: int) -> None:
    law, u = torch.tensor(mass, dtype=torch.float64), torch.tensor([uniform], dtype=torch.float64)
    assert draw(law, u).tolist() == [token]
    assert draw(law[None], u).tolist() == [token]


def test_draw_keeps_off_tokens_without_mass_where_the_cdf_is_not_monotone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A parallel cumsum may round so that a token without mass gets a sliver."""

    def uneven(self: torch.Tensor, dim: int) -> torch.Tensor:
        return torch.tensor([0.5, 0.5 + 2.0**-50, 1.0], dtype=torch.float64).expand_as(self).contiguous()

    monkeypatch.setattr(torch.Tensor, "cumsum", uneven)
    law, u = torch.tensor([0.4, 0.0, 0.6], dtype=torch.float64), torch.tensor([0.5], dtype=torch.float64)
    assert draw(law, u).tolist() == [2]
    assert draw(law[None], u).tolist() == [2]


def test_only_expanded_rows_are_shared() -> None:
    row = torch.ones(1, 3)
    assert is_shared(row.expand(4, -1))
    assert not is_shared(row.expand(4, -1), row.repeat(4, 1))
    assert not is_shared(row.expand(1, -1)), "one row is planned once anyway"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_totals_are_float64(dtype: torch.dtype) -> None:
    total = totals(torch.full((2, 3), 0.1, dtype=dtype), name="law")
    assert total.dtype == torch.float64
    assert torch.equal(total, torch.full((2, 3), 0.1, dtype=dtype).double().sum(-1))
