"""A fit before it is run: what predicts, what was measured, what is free.

Everything that asks for the sum of squares at some parameters (the driver, profiles, samples,
restarts) asks a :class:`Problem`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cellmodels.errors import InputError
from cellmodels.fitting.loss import SQUARES, Loss
from cellmodels.fitting.prior import Prior
from cellmodels.fitting.residuals import Observations
from cellmodels.fitting.scaling import Scaling
from cellmodels.observations import Outcome, Points, Prediction

__all__ = ["Evaluation", "Predictor", "Problem"]

Array = NDArray[np.float64]

_FAILED_RESIDUAL = 1e3
"""Residuals where the simulation fails; the cost is infinite, whatever they are."""


class Predictor(Protocol):
    """What gives the model's values; `Simulator.predict` is one."""

    def __call__(
        self,
        values: Array,
        points: Points,
        jacobian: bool = True,
        tolerance: float | None = None,
        state: Any = None,
    ) -> Prediction:
        """Values of a life at `points` for parameter `values`, and their derivatives."""
        ...


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The sum of a fit at one point.

    Parameters
    ----------
    scaled : ndarray, shape (p,)
        Scaled coordinates.
    values : ndarray, shape (p,)
        Parameter values in their own units.
    prediction : Prediction
    residuals : ndarray, shape (k,)
        ``(model - data) / std``; a large constant when the simulation failed.
    jacobian : ndarray, shape (k, p)
        Derivative of the residuals with respect to the scaled coordinates.
    terms : ndarray, shape (m,)
        What is squared and summed: residuals after the loss, followed by the prior's rows.
    slopes : ndarray, shape (m, p)
        Derivative of the terms with respect to the scaled coordinates.
    """

    scaled: Array
    values: Array
    prediction: Prediction
    residuals: Array
    jacobian: Array
    terms: Array
    slopes: Array

    @property
    def outcome(self) -> Outcome:
        """How the simulation ended."""
        return self.prediction.outcome

    @property
    def ok(self) -> bool:
        """Whether the simulation succeeded."""
        return self.prediction.outcome.ok

    @property
    def cost(self) -> float:
        """Half the sum of squared terms; infinite when the simulation failed."""
        return float(0.5 * self.terms @ self.terms) if self.ok else float("inf")


@dataclass(frozen=True, eq=False)
class Problem:
    """What is fitted to what.

    Parameters
    ----------
    predict : Predictor
    observations : Observations
    scaling : Scaling
        Free parameters, their starts and bounds.
    loss : Loss
    prior : Prior, optional
        On the scaled parameters; a flat one by default.
    tolerance : float, optional
        Solver tolerance of the predictions [A.h]; by default, and at most, what the noise of
        the capacities allows (`Observations.solver_tolerance`).
    """

    predict: Predictor
    observations: Observations
    scaling: Scaling
    loss: Loss = SQUARES
    prior: Prior | None = None
    tolerance: float | None = None

    def __post_init__(self) -> None:
        limit, wanted = self.observations.solver_tolerance, self.tolerance
        known = [t for t in (limit, wanted) if t is not None]
        object.__setattr__(self, "tolerance", min(known) if known else None)

    @property
    def size(self) -> int:
        """Number of free parameters, p."""
        return len(self.scaling)

    def evaluate(self, scaled: ArrayLike, near: Evaluation | None = None) -> Evaluation:
        """The residuals and their exact derivatives at a point.

        Parameters
        ----------
        scaled : array_like, shape (p,)
            Scaled coordinates.
        near : Evaluation, optional
            One that succeeded nearby: the warm start of the simulation.

        Returns
        -------
        Evaluation
            With an infinite cost where the simulation failed.
        """
        scaled = np.array(scaled, dtype=float)
        values = self.scaling.to_values(scaled)
        prediction = _checked(
            self.predict(
                values,
                self.observations.points,
                jacobian=True,
                tolerance=self.tolerance,
                state=None if near is None else near.prediction.state,
            ),
            self.observations.size,
            self.size,
        )
        return self.evaluation(scaled, prediction)

    def evaluation(self, scaled: ArrayLike, prediction: Prediction) -> Evaluation:
        """The residuals of a prediction that was made at a point, shape (p,)."""
        scaled = np.array(scaled, dtype=float)
        values = self.scaling.to_values(scaled)
        if not prediction.outcome.ok:
            return self._failed(scaled, values, prediction)
        assert prediction.values is not None and prediction.jacobian is not None
        residuals = self.observations.residuals(prediction.values)
        jacobian = prediction.jacobian * (
            self.scaling.slopes(scaled) / self.observations.std[:, None]
        )
        terms, slopes = self.loss.terms(residuals, jacobian)
        if self.prior is not None:
            terms = np.concatenate([terms, self.prior.residuals(scaled)])
            slopes = np.vstack([slopes, self.prior.root])
        return Evaluation(scaled, values, prediction, residuals, jacobian, terms, slopes)

    def log_density(self, scaled: ArrayLike, near: Evaluation | None = None) -> tuple[float, float]:
        """Logarithms of the likelihood and the prior, but for constants, without derivatives.

        Parameters
        ----------
        scaled : array_like, shape (p,)
            Scaled coordinates, inside the bounds.
        near : Evaluation, optional
            As in :meth:`evaluate`.

        Returns
        -------
        likelihood, prior : float
            Minus half the sums of squares; the likelihood is minus infinity where the
            simulation failed.
        """
        scaled = np.array(scaled, dtype=float)
        prediction = self.predict(
            self.scaling.to_values(scaled),
            self.observations.points,
            jacobian=False,
            tolerance=self.tolerance,
            state=None if near is None else near.prediction.state,
        )
        prior = 0.0
        if self.prior is not None:
            prior = -0.5 * float(np.sum(self.prior.residuals(scaled) ** 2))
        if not prediction.outcome.ok or prediction.values is None:
            return -np.inf, prior
        residuals = self.observations.residuals(prediction.values)
        cost = 0.5 * float(np.sum(self.loss.rho(residuals)))
        return (-cost if np.isfinite(cost) else -np.inf), prior

    def evaluate_optimum(self, values: ArrayLike) -> Evaluation:
        """The evaluation at parameter values in their own units, shape (p,)."""
        return self.evaluate(self.scaling.to_scaled(values))

    def with_data(self, data: ArrayLike) -> Problem:
        """The same problem for other measured values at the same points, shape (k,)."""
        data = np.asarray(data, dtype=float)
        if data.shape != self.observations.data.shape:
            raise ValueError(f"data of shape {data.shape} for {self.observations.size} points")
        return replace(self, observations=replace(self.observations, data=data))

    def with_points(self, chosen: Sequence[bool] | NDArray[np.bool_]) -> Problem:
        """The same problem with the chosen points alone.

        Raises
        ------
        InputError
            When none is left.
        """
        if not np.any(chosen):
            raise InputError("No point of the record is left to fit.")
        return replace(self, observations=self.observations.subset(np.asarray(chosen, dtype=bool)))

    def _failed(self, scaled: Array, values: Array, prediction: Prediction) -> Evaluation:
        size = self.observations.size
        large, flat = np.full(size, _FAILED_RESIDUAL), np.zeros((size, scaled.size))
        return Evaluation(scaled, values, prediction, large, flat, large, flat)


def _checked(prediction: Prediction, size: int, count: int) -> Prediction:
    """A prediction whose numbers can be used, or one that says it failed."""
    if not prediction.outcome.ok:
        return prediction
    values, jacobian = prediction.values, prediction.jacobian
    if values is None or jacobian is None:
        raise TypeError("a successful prediction must carry values and a Jacobian")
    if np.shape(values) != (size,) or np.shape(jacobian) != (size, count):
        raise ValueError(
            f"the prediction has shapes {np.shape(values)} and {np.shape(jacobian)}; "
            f"expected {(size,)} and {(size, count)}"
        )
    if np.all(np.isfinite(values)) and np.all(np.isfinite(jacobian)):
        return prediction
    outcome = Outcome(False, "not finite", "the prediction holds numbers that are not finite")
    return Prediction(None, None, outcome, prediction.error, prediction.state)
