"""The trace simulator: a fresh cell's voltage over a sequence of steps, and its derivatives.

With a lumped temperature among the mechanisms, that too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from cellmodels.cell import Cell
from cellmodels.errors import InputError
from cellmodels.lowering import check_held, step_specs
from cellmodels.observations import Outcome, Points, Prediction
from cellmodels.solver.collocation import Collocation
from cellmodels.solver.cycle import SequenceSolver
from cellmodels.solver.dae import Dae
from cellmodels.solver.export import CURRENT_OFFSET, export_dae
from cellmodels.solver.mesh import MeshOptions
from cellmodels.solver.newton import NewtonOptions
from cellmodels.solver.outcome import Reason, SolveFailure
from cellmodels.solver.threads import single_threaded
from cellmodels.solver.trace import Trace, TraceSolver, guarded
from cellmodels.steps import Step, parse_steps

#: How far outside the measured voltages a step is stopped [V].
MARGIN = 0.3
#: Few intervals, and all of them kept: a trace is read everywhere, not only at the steps' ends.
#: Its error is some 20 uV, at early times of a step too.
_MESH = MeshOptions(rtol=2e-3, atol=2e-4, energy=2e-4, first=2.0, growth=8.0, share=1.0)
_NEWTON = NewtonOptions(tolerance=1e-7)


#: The model's variable that is a cell's temperature, where it has one.
TEMPERATURE = "Volume-averaged cell temperature [K]"


@dataclass(frozen=True, eq=False)
class CompiledCell:
    """A cell's model, compiled once with some parameters variable; shared by its traces.

    Attributes
    ----------
    names : tuple of str
        The parameters.
    dae : Dae
    collocation : Collocation
    """

    names: tuple[str, ...]
    dae: Dae
    collocation: Collocation

    @classmethod
    def of(cls, cell: Cell, free: Sequence[str], *, temperature: bool = False) -> CompiledCell:
        """Compile.

        Parameters
        ----------
        cell : Cell
        free : sequence of str
            Scalar parameters that stay variable, by PyBaMM name.
        temperature : bool
            Whether the cell's temperature is wanted beside its voltage.

        Raises
        ------
        InputError
            If a parameter is unknown, cannot be varied, or does not act on the voltage.
        """
        dae = _compiled(cell, tuple(free), (TEMPERATURE,) if temperature else ())
        return cls(tuple(free), dae, Collocation(dae))


class TraceSimulator:
    """A fresh cell taken through steps, its voltage at fixed times.

    Parameters
    ----------
    cell : Cell
        Its initial concentrations are those of the start, whatever the free parameters do.
    steps : str, Step or iterable of either
    times : numpy.ndarray
        Since the first step began [s], ascending, shape (m,). A time at which the step changes
        belongs to the step that ends.
    free : sequence of str
        Scalar parameters that stay variable, by PyBaMM name.
    limits : tuple of float
        Lowest and highest measured voltage [V]; steps end `MARGIN` outside them.
    compiled : CompiledCell, optional
        Of this cell with these parameters, where it is at hand.

    Raises
    ------
    InputError
        If a step cannot be read, the times go beyond the steps, or a parameter is unknown, cannot
        be varied, or does not act on the voltage.
    """

    def __init__(
        self,
        cell: Cell,
        steps: str | Step | Iterable[str | Step],
        times: np.ndarray,
        free: Sequence[str],
        limits: tuple[float, float],
        compiled: CompiledCell | None = None,
    ) -> None:
        self.steps = parse_steps(steps, "the trace")
        plain = step_specs(self.steps, cell)
        _check_length(self.steps, times)
        compiled = CompiledCell.of(cell, free) if compiled is None else compiled
        self.dae = compiled.dae
        check_held(self.steps, self.dae, cell)
        specs = [guarded(spec, limits[0] - MARGIN, limits[1] + MARGIN) for spec in plain]
        guards = [len(g.stops) > len(p.stops) for g, p in zip(specs, plain, strict=True)]
        sequence = SequenceSolver(
            self.dae, specs, collocation=compiled.collocation, mesh=_MESH, newton=_NEWTON
        )
        self._solver = TraceSolver(sequence, guards, np.asarray(times, float))

    def predict(
        self,
        values: np.ndarray,
        points: Points | None = None,
        jacobian: bool = True,
        tolerance: float | None = None,
        state: object = None,
    ) -> Prediction:
        """The voltage at the simulator's times, and its derivatives; a `Predictor` of the fit.

        Parameters
        ----------
        values : numpy.ndarray
            Free parameters in natural units, shape (p,).
        points, jacobian, tolerance
            Not used: the times are fixed, derivatives are always there, the time mesh is fine.
        state : object, optional
            `Prediction.state` of a call at neighbouring values.

        Returns
        -------
        Prediction
            `outcome.ok` is False where the cell could not be simulated. A step that ends early
            because the voltage leaves the limits is none: see `Trace.cuts`.
        """
        try:
            trace = self.trace(values, state if isinstance(state, Trace) else None)
        except SolveFailure as failure:
            return Prediction(None, None, Outcome(False, str(failure.reason), str(failure)))
        outcome = Outcome(True, str(Reason.COMPLETED))
        return Prediction(trace.voltage, trace.slopes / self.dae.nominal, outcome, state=trace)

    @single_threaded
    def trace(self, values: np.ndarray, near: Trace | None = None) -> Trace:
        """Voltage and temperature, with derivatives by factors: values over `dae.nominal`.

        Raises
        ------
        SolveFailure
        """
        return self._solver.solve(np.asarray(values, float) / self.dae.nominal, near)


def with_its_own_start(cell: Cell) -> Cell:
    """The same cell with its initial concentrations as numbers, not as a state of charge.

    A state of charge stands for concentrations that depend on other parameters; those of the
    cell as it is given are kept.
    """
    if cell.initial_soc is None:
        return cell
    plain = Cell(
        cell.chemistry, cell.parameters, cell.model, cell.mechanisms, cell.mesh, initial_soc=None
    )
    before, after = (dict(one.parameter_values().items()) for one in (plain, cell))
    start = {
        name: float(value)
        for name, value in after.items()
        if isinstance(value, int | float) and before.get(name) != value
    }
    return plain.with_parameters(start, source=f"at a state of charge of {cell.initial_soc:g}")


def _check_length(steps: Sequence[Step], times: np.ndarray) -> None:
    """Refuse times after steps whose durations are all known."""
    lengths = [step.max_duration for step in steps if step.max_duration is not None]
    total = float(sum(lengths))
    if len(lengths) == len(steps) and len(times) and times[-1] > total + 1e-6:
        raise InputError(
            f"The trace ends at {times[-1]:g} s, but its steps end after at most {total:g} s."
        )


def _compiled(cell: Cell, free: tuple[str, ...], outputs: tuple[str, ...]) -> Dae:
    own = tuple(name for name in free if name != CURRENT_OFFSET)
    for name in own:
        cell.value(name)
        if name in ("Nominal cell capacity [A.h]", "Current function [A]"):
            raise InputError(f"{name!r} cannot be free: it defines the currents of the steps.")
    try:
        dae = _export(cell, free, outputs)
    except Exception as error:  # PyBaMM's builders raise what they meet, an IndexError say
        fixed = [name for name in own if not _can_be_free(cell, name)]
        if not fixed:
            raise
        raise InputError(
            f"{fixed[0]!r} cannot be fitted to a trace of this cell: the model is built with its "
            "value (as with lengths, which make the mesh), or does not have it."
        ) from error
    slopes = np.abs(dae.start_jacobian(dae.reference)).sum(axis=0)
    for k, name in enumerate(free):
        if slopes[k] == 0.0 and k not in dae.parametric_pattern.cols:
            raise InputError(f"{name!r} does not act on the voltage of this cell.")
    return dae


def _export(cell: Cell, free: tuple[str, ...], outputs: tuple[str, ...] = ()) -> Dae:
    return export_dae(
        cell.pybamm_model(free),
        cell.parameter_values(),
        free=free,
        outputs=outputs,
        var_pts=cell.var_pts(),
    )


def _can_be_free(cell: Cell, name: str) -> bool:
    try:
        _export(cell, (name,))
    except Exception:  # as above; only asked for the name to blame after a failure
        return False
    return True
