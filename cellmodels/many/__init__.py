"""Many cells: fits over cells, mechanism sets and starts, and what cells have in common."""

from cellmodels.many.batch import Batch, fit_many
from cellmodels.many.pooled import fit_pooled
from cellmodels.many.pooled_result import PooledFit
from cellmodels.many.predictive import predict_cells
from cellmodels.many.task import FitTask, fit_tasks

__all__ = ["Batch", "FitTask", "PooledFit", "fit_many", "fit_pooled", "fit_tasks", "predict_cells"]
