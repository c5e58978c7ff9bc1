"""Degradation modes: what a cell has lost of lithium and of both active materials over its life."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from cellmodels.cell import Cell
from cellmodels.errors import InputError
from cellmodels.modes.balance import BalancePrior, fit_curves, residuals_text
from cellmodels.modes.curves import SETTLE, Direction
from cellmodels.modes.derived import MODES, degradation
from cellmodels.modes.figures import plot_balance, plot_curves, plot_modes
from cellmodels.modes.half_cells import HalfCells
from cellmodels.modes.inputs import CurveSource, curves_over_life
from cellmodels.quantities import STATE_VARIABLES

__all__ = ["DegradationModes", "degradation_modes"]

_SHORT = {
    "loss_of_lithium_inventory": "LLI",
    "loss_of_active_material_negative": "LAM_NE",
    "loss_of_active_material_positive": "LAM_PE",
}
_SHOWN = 20


@dataclass(frozen=True, eq=False)
class DegradationModes:
    """Degradation modes of a cell over its check-ups.

    Made by :func:`degradation_modes`. Its repr is a table.

    Parameters
    ----------
    dataset : xarray.Dataset
        Dimension ``checkup``: ``loss_of_lithium_inventory``, ``loss_of_active_material_negative``,
        ``loss_of_active_material_positive`` [%] and ``capacity`` between the voltage limits at open
        circuit [A.h], each with ``_std``; ``covariance`` [%²] of the modes over ``checkup``,
        ``mode``, ``other_checkup`` and ``other_mode``. ``number`` is the row of each check-up in
        the source, the attribute ``reference`` the row here that the losses refer to.
    electrodes : xarray.Dataset
        Capacities and stoichiometries of the electrodes, with ``_std``, and the ``rmse`` [V].
    curves : xarray.Dataset
        Measured and fitted curves, their derivatives and both electrodes' parts in them.
    """

    dataset: xr.Dataset
    electrodes: xr.Dataset = field(repr=False)
    curves: xr.Dataset = field(repr=False)

    @property
    def covariance(self) -> xr.DataArray:
        """Covariance of the modes of all check-ups [%²]."""
        return self.dataset["covariance"]

    @property
    def table(self) -> pd.DataFrame:
        """One row a check-up: modes and capacity with their standard errors."""
        columns = {
            str(name): self.dataset[name].values
            for name in self.dataset.coords
            if self.dataset[name].dims == ("checkup",)
        }
        for name in (*MODES, "capacity"):
            unit = self.dataset[name].attrs["units"]
            heading = f"{_SHORT.get(name, name)} [{unit}]"
            columns[heading] = self.dataset[name].values
            columns[f"{_SHORT.get(name, name)} std"] = self.dataset[f"{name}_std"].values
        columns["RMSE [mV]"] = 1e3 * self.electrodes["rmse"].values
        return pd.DataFrame(columns)

    def add_to(self, record: xr.DataTree) -> xr.DataTree:
        """A record with the modes in its ``/checkups``, where a fit takes them as observables.

        The fresh check-up gets no value: the losses refer to it, so that it measures none. A fit
        takes each check-up's errors as independent, although those of one cell are not: all refer
        to the same fresh check-up and the same half cells.

        Parameters
        ----------
        record : xarray.DataTree
            That the curves were taken from. Without ``/checkups`` it gets that group.

        Returns
        -------
        xarray.DataTree
            A copy with the three modes and their ``_std``.

        Raises
        ------
        InputError
            If its check-ups are not those of the modes.
        """
        dataset = self._checkups_of(record)
        rows = self.dataset["number"].values
        fresh = int(self.dataset.attrs["reference"])
        data = {}
        for name in (n for mode in MODES for n in (mode, f"{mode}_std")):
            values = np.full(dataset.sizes["checkup"], np.nan)
            values[rows] = self.dataset[name].values
            values[rows[fresh]] = np.nan
            data[name] = ("checkup", values, {"units": "%"})
        groups = {name: node.to_dataset() for name, node in record.children.items()}
        changed = xr.DataTree.from_dict({**groups, "checkups": dataset.assign(data)})
        changed.attrs = dict(record.attrs)
        return changed

    def _checkups_of(self, record: xr.DataTree) -> xr.Dataset:
        names = [n for n in ("cycle", "throughput", "elapsed_time") if n in self.dataset.coords]
        if "checkups" not in record.children:
            if not names:
                raise InputError("The curves have no cycle numbers that could place check-ups.")
            size = int(self.dataset["number"].max()) + 1
            if size != self.dataset.sizes["checkup"]:
                raise InputError("The record has no /checkups, and some of them had no curve.")
            return xr.Dataset(
                coords={
                    n: ("checkup", self.dataset[n].values, self.dataset[n].attrs) for n in names
                }
            )
        dataset = record["checkups"].to_dataset()
        number = self.dataset["number"].values
        shared = [name for name in names if name in dataset.variables]
        same = number.max() < dataset.sizes["checkup"] and all(
            np.allclose(
                dataset[name].values[number].astype(float),
                self.dataset[name].values.astype(float),
                equal_nan=True,
            )
            for name in shared
        )
        if not (same and (shared or dataset.sizes["checkup"] == number.size)):
            raise InputError("The record's check-ups are not those that the modes belong to.")
        return dataset

    def to_datatree(self) -> xr.DataTree:
        """Everything, in ``/modes``, ``/electrodes`` and ``/curves``; ``to_netcdf`` writes it."""
        groups = {"modes": self.dataset, "electrodes": self.electrodes, "curves": self.curves}
        return xr.DataTree.from_dict(groups)

    def plot(self) -> Figure:
        """Modes and capacity over life, with bars of one standard error."""
        return plot_modes(self.dataset)

    def plot_curves(self, checkup: int | None = None) -> Figure:
        """Differential voltage and incremental capacity, measured and fitted.

        Parameters
        ----------
        checkup : int, optional
            One check-up, with its voltage and residuals too; by default those of all.

        Raises
        ------
        InputError
            If there is no such check-up.
        """
        if checkup is None:
            return plot_curves(self.curves)
        count = self.curves.sizes["checkup"]
        if not 0 <= checkup < count:
            raise InputError(f"There is no check-up {checkup}: they are 0 to {count - 1}.")
        return plot_balance(self.curves.isel(checkup=checkup))

    def __repr__(self) -> str:
        rows = [["check-up", *_SHORT.values(), "capacity A.h", "RMSE mV"]]
        for k in range(self.dataset.sizes["checkup"]):
            one = self.dataset.isel(checkup=k)
            texts = [f"{float(one[m]):.2f} ± {float(one[f'{m}_std']):.2f}" for m in MODES]
            capacity = f"{float(one['capacity']):.4f} ± {float(one['capacity_std']):.4f}"
            rmse = f"{1e3 * float(self.electrodes['rmse'][k]):.2g}"
            rows.append([self._name(k), *texts, capacity, rmse])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(text.rjust(w) for text, w in zip(row, widths, strict=True)) for row in rows
        ]
        if len(lines) > _SHOWN:
            lines = [*lines[: _SHOWN // 2], "…", *lines[-_SHOWN // 2 :]]
        head = "Degradation modes [%], relative to the check-up of the first row without error"
        return "\n".join([head, *lines, residuals_text(self.electrodes.attrs)])

    def _name(self, k: int) -> str:
        for name, word in (("cycle", "cycle"), ("throughput", "A.h"), ("elapsed_time", "s")):
            if name in self.dataset.coords:
                return f"{word} {float(self.dataset[name][k]):g}"
        return str(k)


def degradation_modes(
    cell: Cell,
    source: CurveSource,
    ocv: str = "C20",
    *,
    cycles: Sequence[float] | None = None,
    reference: int = 0,
    direction: Direction | None = None,
    half_cells: HalfCells | None = None,
    prior: BalancePrior | None = None,
    noise: float | None = None,
    end_voltage: float | None = None,
    settle: float = SETTLE,
) -> DegradationModes:
    r"""Losses of lithium and of active materials from slow curves over life.

    Each curve gives both electrodes' capacities Q and stoichiometries, x of the negative and y of
    the positive one. Relative to the fresh cell (index 0)

    .. math:: LAM = 1 - Q / Q_0, \qquad
              LLI = 1 - \frac{Q_n x + Q_p y}{Q_{n,0} x_0 + Q_{p,0} y_0}

    (Birkl et al. (2017), doi:10.1016/j.jpowsour.2016.12.011; Dubarry, Truchot and Liaw (2012),
    doi:10.1016/j.jpowsour.2012.07.016). Lithium counts while it is in active material that is
    connected: active material that is lost takes its lithium along. So it does in PyBaMM, whose
    "Loss of lithium inventory [%]" and "Loss of active material in … electrode [%]" are these,
    relative to its initial state. As there, 100 % is all lithium of the fresh cell, also that which
    never leaves the positive electrode; of others' figures 100 % is the cell's capacity.

    All curves are fitted together (:mod:`cellmodels.modes.joint`). Standard errors hold white
    noise, autocorrelated residuals, the uncertainty of the half-cell curves, which is the same over
    a cell's life and cancels partly, and an overvoltage or hysteresis of its own for each curve.

    Parameters
    ----------
    cell : Cell
        A lithium-ion cell of the same chemistry; of any size. A blend such as graphite with
        silicon oxide counts as one electrode with one curve: that silicon ages faster is not seen.
    source : xarray.DataTree, CheckupsFound or sequence of (charge, voltage)
        A record whose ``/checkups`` hold ``voltage_<ocv>``; or whose ``/traces`` hold such tests,
        found by `cellmodels.find_checkups`, or what that returned; or curves, each as charge [A.h]
        and voltage [V], see :func:`cellmodels.balance_electrodes`.
    ocv : str
        Name of the slow test, such as ``"C20"``, or ``"pocv"`` for the mean of a slow discharge and
        a slow charge in a trace.
    cycles : sequence of float, optional
        After how many cycles each of a sequence of curves was measured.
    reference : int
        Which of the curves is the fresh cell's.
    direction : {"discharge", "charge", "mean"}, optional
        By default as the voltage runs.
    half_cells : HalfCells, optional
        By default those of the cell's parameter set, see :meth:`HalfCells.of`.
    prior : BalancePrior, optional
        How far the electrodes may be from those of the set.
    noise : float, optional
        White noise of a fitted point [V], where it is known; by default it is estimated.
    end_voltage : float, optional
        Voltage at which the tests of ``/checkups`` ended [V], by default ``end_voltage_<ocv>``. It
        makes of ``capacity_<ocv>`` another point of each curve.
    settle : float
        Share of the charge after the current has begun that is left out: until lithium has spread
        in the particles and the electrolyte the overvoltage is not the later one.

    Returns
    -------
    DegradationModes

    Raises
    ------
    InputError
        If the cell is none of lithium ion, or there are no such curves.
    """
    found = curves_over_life(source, ocv, direction, end_voltage, settle)
    count = len(found.curves)
    if not 0 <= reference < count:
        raise InputError(f"reference: there are curves 0 to {count - 1}, not {reference!r}.")
    places = found.coordinates
    if cycles is not None:
        if len(cycles) != count:
            raise InputError(f"cycles: {len(cycles)} numbers are given for {count} curves.")
        places = places.assign_coords(cycle=("checkup", np.asarray(cycles, dtype=float)))
    fit = fit_curves(cell, found.curves, half_cells, prior, noise=noise, reference=reference)
    losses = degradation(fit.quantities, reference)
    covariance = losses.covariance(fit.solution.covariance)
    electrodes = fit.electrodes().assign_coords(places.coords)
    data = {n: electrodes[n].variable for n in ("capacity", "capacity_std")}
    std = np.sqrt(np.maximum(np.einsum("kiki->ki", covariance), 0.0))
    for k, name in enumerate(MODES):
        attrs = {"units": "%", "long_name": STATE_VARIABLES[name].long_name}
        data[name] = xr.Variable("checkup", losses.values[:, k], attrs)
        data[f"{name}_std"] = xr.Variable("checkup", std[:, k], {"units": "%"})
    axes = ("checkup", "mode", "other_checkup", "other_mode")
    data["covariance"] = xr.Variable(axes, covariance, {"units": "%2"})
    dataset = xr.Dataset(
        data,
        {
            **places.coords,
            "number": ("checkup", np.array(found.number)),
            "mode": list(MODES),
            "other_mode": list(MODES),
        },
        {"reference": reference, "ocv": ocv},
    )
    return DegradationModes(dataset, electrodes, fit.dataset().assign_coords(places.coords))
