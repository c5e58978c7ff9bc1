"""Many cells: fits over cells, mechanism sets and starts, and what cells have in common."""

from cellmodels.many.batch import Batch, fit_many
from cellmodels.many.task import FitTask, fit_tasks

__all__ = ["Batch", "FitTask", "fit_many", "fit_tasks"]
