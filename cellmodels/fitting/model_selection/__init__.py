"""Which ageing mechanisms a record supports: comparison of sets of mechanisms."""

from cellmodels.fitting.model_selection.compare import compare_mechanisms
from cellmodels.fitting.model_selection.result import MechanismComparison

__all__ = ["MechanismComparison", "compare_mechanisms"]
