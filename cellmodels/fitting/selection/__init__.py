"""Which ageing mechanisms a record supports: comparison of sets of mechanisms."""

from cellmodels.fitting.selection.compare import compare_mechanisms
from cellmodels.fitting.selection.result import MechanismComparison

__all__ = ["MechanismComparison", "compare_mechanisms"]
