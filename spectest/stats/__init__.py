"""Statistics: tests, what they detect, the samples they need, partitions, the error budget and seeds.

Pure numpy and scipy.special; imports nothing else of the project. Every test is a triple: `..._test` decides,
`..._detectable` says what it finds, `..._samples` how many samples it needs. Rates are totals of the call.
"""

from __future__ import annotations

from spectest.stats.association import AssociationResult, association_detectable, association_samples, association_test
from spectest.stats.binomial import (
    BinomialResult,
    Interval,
    binomial_detectable,
    binomial_interval,
    binomial_samples,
    binomial_test,
)
from spectest.stats.budget import split_alpha, stages
from spectest.stats.chi_squared import (
    ChiSquaredResult,
    chi_squared_detectable,
    chi_squared_samples,
    chi_squared_test,
    chi_squared_tolerated,
)
from spectest.stats.deviation import CellDeviation, TotalVariation, total_variation_interval, worst_cells
from spectest.stats.dispersion import DispersionResult, dispersion_detectable, dispersion_samples, dispersion_test
from spectest.stats.evidence import evidence
from spectest.stats.independence import (
    IndependenceResult,
    independence_detectable,
    independence_samples,
    independence_test,
)
from spectest.stats.partitions import merge, partitions
from spectest.stats.pooling import pool
from spectest.stats.power import chi_squared_power, oracle_samples, scan_power
from spectest.stats.scan import ScanResult, TokenSet, scan_detectable, scan_samples, scan_test
from spectest.stats.seeds import derive_seed
from spectest.stats.suspects import LagSuspect, suspicious_lags, suspicious_pairs
from spectest.stats.validation import UnreachableDeviation

__all__ = [
    "AssociationResult",
    "BinomialResult",
    "CellDeviation",
    "ChiSquaredResult",
    "DispersionResult",
    "IndependenceResult",
    "Interval",
    "LagSuspect",
    "ScanResult",
    "TokenSet",
    "TotalVariation",
    "UnreachableDeviation",
    "association_detectable",
    "association_samples",
    "association_test",
    "binomial_detectable",
    "binomial_interval",
    "binomial_samples",
    "binomial_test",
    "chi_squared_detectable",
    "chi_squared_power",
    "chi_squared_samples",
    "chi_squared_test",
    "chi_squared_tolerated",
    "derive_seed",
    "dispersion_detectable",
    "dispersion_samples",
    "dispersion_test",
    "evidence",
    "independence_detectable",
    "independence_samples",
    "independence_test",
    "merge",
    "oracle_samples",
    "partitions",
    "pool",
    "scan_detectable",
    "scan_power",
    "scan_samples",
    "scan_test",
    "split_alpha",
    "stages",
    "suspicious_lags",
    "suspicious_pairs",
    "total_variation_interval",
    "worst_cells",
]
