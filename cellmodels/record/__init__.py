"""Cycling data: their form, reading, checking and writing; see :mod:`cellmodels.record.schema`."""

from cellmodels.record.bdf import write_bdf
from cellmodels.record.build import build_record
from cellmodels.record.checks import check_record, flag_outliers
from cellmodels.record.cycles.curves import differential_voltage, incremental_capacity, pseudo_ocv
from cellmodels.record.cycles.cycling import IrregularCycle, irregular_cycles, summarise_cycles
from cellmodels.record.cycles.segments import segment
from cellmodels.record.kramers_kronig import kramers_kronig
from cellmodels.record.netcdf import write_record
from cellmodels.record.noise import add_noise, estimate_noise
from cellmodels.record.quality.report import Finding, QualityReport
from cellmodels.record.readers import check_quality, read_record
from cellmodels.record.table_folder import write_tables

__all__ = [
    "Finding",
    "IrregularCycle",
    "QualityReport",
    "add_noise",
    "build_record",
    "check_quality",
    "check_record",
    "differential_voltage",
    "estimate_noise",
    "flag_outliers",
    "incremental_capacity",
    "irregular_cycles",
    "kramers_kronig",
    "pseudo_ocv",
    "read_record",
    "segment",
    "summarise_cycles",
    "write_bdf",
    "write_record",
    "write_tables",
]
