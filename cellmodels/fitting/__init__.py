"""Fitting a cell's parameters to a record of its life, and what the result is worth."""

from cellmodels.fitting.adapt import adapt
from cellmodels.fitting.fit import fit
from cellmodels.fitting.least_squares import FitError
from cellmodels.fitting.result import Fit
from cellmodels.fitting.trace import TraceFit, fit_trace

__all__ = ["Fit", "FitError", "TraceFit", "adapt", "fit", "fit_trace"]
