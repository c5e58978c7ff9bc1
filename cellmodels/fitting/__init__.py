"""Fitting a cell's parameters to a record of its life, and what the result is worth."""

from cellmodels.fitting.adapt import adapt
from cellmodels.fitting.fit import fit
from cellmodels.fitting.least_squares import FitError
from cellmodels.fitting.result import Fit

__all__ = ["Fit", "FitError", "adapt", "fit"]
