"""α*: the largest acceptance any lossless selector can have, its certificate, bounds and an independent oracle."""

from __future__ import annotations

from spectest.optimum.batch import Optima, batched
from spectest.optimum.flow import flow_plan
from spectest.optimum.joint import explicit
from spectest.optimum.oracle import lp_oracle, lp_plan
from spectest.optimum.plan import TransportPlan
from spectest.optimum.result import Optimum, cut_value
from spectest.optimum.solve import bound, optimal_acceptance, solve

__all__ = [
    "Optima",
    "Optimum",
    "TransportPlan",
    "batched",
    "bound",
    "cut_value",
    "explicit",
    "flow_plan",
    "lp_oracle",
    "lp_plan",
    "optimal_acceptance",
    "solve",
]
