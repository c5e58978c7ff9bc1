"""What is known of the parameters before the data: a normal distribution of scaled parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cellmodels.errors import InputError, did_you_mean
from cellmodels.fitting.scaling import Scaling

__all__ = ["Prior"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Prior:
    """A normal prior on the scaled parameters (logarithms where positive).

    It adds rows to the sum of squares, ``root @ (z - mean)``.

    Parameters
    ----------
    mean : ndarray, shape (p,)
        In scaled coordinates.
    root : ndarray, shape (m, p)
        A root of the precision: ``root.T @ root`` is the inverse of the covariance in the
        directions of which something is known, and zero in the others.
    """

    mean: Array
    root: Array

    def __post_init__(self) -> None:
        mean, root = np.array(self.mean, dtype=float), np.array(self.root, dtype=float)
        if mean.ndim != 1 or root.ndim != 2 or root.shape[1] != mean.size:
            raise ValueError(f"a mean of shape {mean.shape} and a root of shape {root.shape}")
        mean.flags.writeable = root.flags.writeable = False
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "root", root)

    @classmethod
    def from_covariance(cls, mean: ArrayLike, covariance: ArrayLike) -> Prior:
        """From a mean (p,) and a positive definite covariance (p, p) of scaled parameters."""
        lower = np.linalg.cholesky(np.asarray(covariance, dtype=float))
        return cls(np.asarray(mean, dtype=float), np.linalg.inv(lower))

    @classmethod
    def independent(
        cls, scaling: Scaling, known: Mapping[str, tuple[float, float]]
    ) -> Prior | None:
        """From values and errors by name.

        Parameters
        ----------
        scaling : Scaling
        known : mapping of str to (float, float)
            The most likely value in the parameter's unit, and the standard deviation: of its
            natural logarithm where the parameter is fitted as a logarithm (0.5 is some 50 %),
            in the parameter's unit else. Parameters that are not named have a flat prior.

        Returns
        -------
        Prior or None
            None where nothing is known.

        Raises
        ------
        InputError
            On a name that is not fitted, a value that cannot be scaled, or an error that is
            not positive.
        """
        if not known:
            return None
        values, errors = scaling.start.copy(), np.full(len(scaling), np.inf)
        for name, pair in known.items():
            if name not in scaling.names:
                raise InputError(
                    f"A prior is given for {name!r}, which is not fitted."
                    + did_you_mean(name, scaling.names)
                )
            i = scaling.names.index(name)
            values[i], errors[i] = _checked(name, pair, scaling.parameters[i].logarithmic)
            if not scaling.parameters[i].logarithmic:
                errors[i] /= scaling.parameters[i].linear_unit
        rows = np.isfinite(errors)
        return cls(scaling.to_scaled(values), np.diag(1 / errors)[rows])

    def residuals(self, scaled: Array) -> Array:
        """Rows of the sum of squares at scaled parameters, shape (m,)."""
        return self.root @ (scaled - self.mean)

    @property
    def precision(self) -> Array:
        """Inverse of the covariance, shape (p, p); singular where the prior is flat."""
        return self.root.T @ self.root


def _checked(name: str, pair: object, logarithmic: bool) -> tuple[float, float]:
    try:
        value, error = (float(number) for number in pair)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        raise InputError(
            f"The prior of {name!r} is a pair of value and standard deviation, not {pair!r}."
        ) from None
    if not (np.isfinite(value) and np.isfinite(error) and error > 0):
        raise InputError(f"The prior of {name!r} needs a finite value and a positive error.")
    if logarithmic and value <= 0:
        raise InputError(f"The prior of {name!r} has the value {value:g}; it must be positive.")
    return value, error
