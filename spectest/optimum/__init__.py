"""α*: the largest acceptance any lossless selector can have, its certificate, bounds and an independent oracle."""

from __future__ import annotations

from spectest.optimum.oracle import TransportPlan, lp_oracle, lp_plan
from spectest.optimum.result import Optimum, cut_value
from spectest.optimum.solve import bound, optimal_acceptance, solve

__all__ = [
    "Optimum",
    "TransportPlan",
    "bound",
    "cut_value",
    "lp_oracle",
    "lp_plan",
    "optimal_acceptance",
    "solve",
]
