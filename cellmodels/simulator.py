"""The simulator: one cell under one protocol, compiled once, simulated and differentiated."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import xarray as xr

from cellmodels.cell import Cell
from cellmodels.checkup_solver import CheckupRun, CheckupSolver
from cellmodels.errors import InputError, did_you_mean
from cellmodels.estimates import ATTRIBUTE, as_attribute
from cellmodels.lowering import check_held, step_specs
from cellmodels.observables import (
    CycleObservables,
    between,
    counters,
    locate,
    state_at,
)
from cellmodels.observations import Outcome, Points, PointSet, Prediction
from cellmodels.protocol import Protocol
from cellmodels.solver.blocks import Block, BlockLife, BlockSolver
from cellmodels.solver.collocation import Collocation
from cellmodels.solver.cycle import SequenceSolver
from cellmodels.solver.cycle_map import CycleMap
from cellmodels.solver.dae import Dae
from cellmodels.solver.export import export_dae
from cellmodels.solver.life import Life, LifeOptions, LifeSolver
from cellmodels.solver.macro import MacroOptions
from cellmodels.solver.mesh import MeshOptions
from cellmodels.solver.newton import NewtonOptions
from cellmodels.solver.outcome import Reason, SolveFailure
from cellmodels.solver.threads import single_threaded
from cellmodels.steps import Step

METHODS = ("auto", "macro", "direct")
#: Shortest life that "auto" integrates over cycle number [cycles].
_MACRO_CYCLES = 30
#: Fewest blocks of a life that is integrated over their number, how many are simulated one by one
#: at first, and the first element's length.
_BLOCKS, _SETTLING_BLOCKS, _FIRST = 30, 3, 12


#: A short cycle [s].
_SHORT = 7200.0

#: How many times longer than expected a life may become to reach the last point.
_LONGEST = 10

#: How many times tighter the steps' tolerances are where every cycle is simulated: a cell that dies
#: within a few cycles multiplies every error.
_FINER = 10.0
#: Share of the intervals that is kept in check-ups, of that in cycles.
_CHECKUP_SHARE = 0.75


@dataclass(frozen=True)
class SolverOptions:
    """How accurately, and by which way, lives are simulated.

    Attributes
    ----------
    method : str
        "macro" integrates over cycle number, "direct" simulates every cycle, "auto" chooses
        the first for lives from 30 cycles on, unless the cell only rests.
    tolerance : float
        Accepted error of a cycle's capacity in the macro integration, relative to the
        nominal capacity.
    mesh : MeshOptions
        Time mesh of the steps. Tolerances are ten times tighter where every cycle is simulated;
        check-ups are thinned further than cycles, as their errors do not add up.
    newton : NewtonOptions
        Newton's method. Its tolerance is that of cycles whose errors add up over a life; those
        that count less often are left as accurate as they need be, and check-ups ten times less
        accurate.
    """

    method: str = "auto"
    tolerance: float = 2e-5
    mesh: MeshOptions = field(default_factory=MeshOptions)
    newton: NewtonOptions = field(default_factory=NewtonOptions)

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise InputError(
                f"Unknown method {self.method!r}." + did_you_mean(self.method, METHODS)
            )
        if not (math.isfinite(self.tolerance) and self.tolerance > 0):
            raise InputError(f"tolerance: {self.tolerance!r} is not a positive number.")


@dataclass(frozen=True)
class _WarmStart:
    """What one prediction leaves for the next."""

    life: Life | BlockLife
    checkups: Mapping[tuple, CheckupRun]
    cycles: int


class Simulator:
    """A cell under a protocol, compiled for simulation and exact derivatives.

    Parameters
    ----------
    cell : Cell
    protocol : Protocol
    free : sequence of str
        Scalar parameters that stay variable, by PyBaMM name.
    options : SolverOptions, optional

    Raises
    ------
    InputError
        If a free parameter is unknown or cannot be varied.

    Notes
    -----
    The compiled functions depend on the model and on the names of the free parameters,
    not on their values: one simulator serves a whole fit.
    """

    def __init__(
        self,
        cell: Cell,
        protocol: Protocol,
        free: Sequence[str] = (),
        options: SolverOptions | None = None,
    ) -> None:
        self.cell, self.protocol, self.free = cell, protocol, tuple(free)
        self.options = options or SolverOptions()
        self._check_free()
        self.nominal = np.array([cell.value(name) for name in self.free])
        self._states = cell.state_variables
        self.dae = self._export()
        self._collocation = Collocation(self.dae)
        self.specs = step_specs(protocol.cycle, cell)
        self._follow = self._temperature()
        self._observables = CycleObservables(
            self.specs, cell.electrode_area, temperature=self._follow is not None
        )
        self._cycle = {method: self._map(protocol.cycle, method) for method in METHODS[1:]}
        kept = {n: v for n, v in self._states.items() if v in self.dae.output_names}
        self._checkups = CheckupSolver(protocol, cell, self._checkup_sequence, kept)
        self._between: dict[tuple[str, tuple[Step, ...]], CycleMap] = {}
        self._block: CycleMap | None = None

    @property
    def cycle_variables(self) -> tuple[str, ...]:
        """What each cycle gives: names of /cycles."""
        return self._observables.names()

    @property
    def checkup_variables(self) -> tuple[str, ...]:
        """What check-ups give: names of /checkups."""
        return self._checkups.variables()

    # --- simulation ----------------------------------------------------------------------------

    @single_threaded
    def simulate(
        self,
        cycles: int,
        values: Mapping[str, float] | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> xr.DataTree:
        """Simulate a life.

        Parameters
        ----------
        cycles : int
            Number of cycles.
        values : mapping of str to float, optional
            Values of free parameters that differ from the cell's.
        progress : callable, optional
            Called with the number of completed cycles.

        Returns
        -------
        xarray.DataTree
            In the record schema: /cycles, /checkups (with the protocol's check-ups, and the
            loss of lithium and of active material); attributes tell the outcome, the
            estimated error and the work done.

        Raises
        ------
        InputError
            If `cycles` is not a positive whole number or a name is unknown.
        """
        if isinstance(cycles, bool) or int(cycles) != cycles or cycles < 1:
            raise InputError(f"cycles: {cycles!r} is not a whole number from 1 on.")
        theta = self._theta(self._values(values))
        solver = self._solver(int(cycles))
        before = solver.counts
        life = solver.run(theta, int(cycles), sensitivities=False, progress=progress)
        work = solver.counts.since(before)
        return self._tree(life, theta, int(cycles), work)

    @single_threaded
    def life(
        self,
        values: np.ndarray,
        cycles: int,
        *,
        sensitivities: bool = True,
        previous: Life | BlockLife | None = None,
    ) -> Life | BlockLife:
        """The solver's own result, for those who need derivatives of everything.

        `values` are those of the free parameters, in natural units, shape (p,);
        derivatives are with respect to factors on the cell's values.
        """
        theta = self._theta(np.asarray(values, float))
        return self._run(self._solver(cycles), theta, cycles, sensitivities, previous)

    @staticmethod
    def _run(
        solver: LifeSolver | BlockSolver,
        theta: np.ndarray,
        cycles: int,
        sensitivities: bool,
        previous: Life | BlockLife | None,
    ) -> Life | BlockLife:
        """A life near another one, where that was simulated in the same way."""
        if isinstance(solver, BlockSolver):
            return solver.run(theta, cycles, sensitivities=sensitivities, previous=previous)
        near = previous if isinstance(previous, Life) else None
        return solver.run(theta, cycles, sensitivities=sensitivities, previous=near)

    def life_solver(self, cycles: int, options: LifeOptions) -> LifeSolver:
        """The solver of lives of so many cycles, with settings of one's own.

        Raises
        ------
        InputError
            If the method is neither "macro" nor "direct".
        """
        if options.method not in self._cycle:
            known = did_you_mean(options.method, tuple(self._cycle))
            raise InputError(f"Unknown method {options.method!r}." + known)
        interruptions = self._interruptions(cycles, options.method)
        return LifeSolver(self._cycle[options.method], interruptions, options)

    def _block_solver(self, cycles: int, options: LifeOptions) -> BlockSolver | None:
        """The solver of a life in blocks, where one is interrupted regularly and often."""
        found = self.protocol.block
        if options.method != "macro" or found is None or cycles < _BLOCKS * found[0]:
            return None
        every, before = found
        features = len(self._cycle["macro"].features.names)
        block = Block(len(before), len(self.protocol.cycle), every, features)
        if self._block is None:
            steps = (*before, *self.protocol.cycle * every)
            self._block = CycleMap(self._sequence(steps), kept=block.ends, follow=self._follow)
        macro = replace(options.macro, tolerance=every * options.macro.tolerance)
        of_blocks = replace(options, macro=macro, settle=_SETTLING_BLOCKS, first_element=_FIRST)
        plain = self.life_solver(cycles, replace(options, method="direct"))
        return BlockSolver(LifeSolver(self._block, {}, of_blocks), block, plain)

    # --- prediction ----------------------------------------------------------------------------

    @single_threaded
    def predict(
        self,
        values: np.ndarray,
        points: Points,
        jacobian: bool = True,
        tolerance: float | None = None,
        state: object = None,
    ) -> Prediction:
        """Values of observables at points of a life, and their derivatives.

        Parameters
        ----------
        values : numpy.ndarray
            Free parameters in natural units, shape (p,).
        points : Points
            What is asked.
        jacobian : bool
            Whether derivatives are wanted.
        tolerance : float, optional
            Accepted error of a capacity [A.h]; by default from the options.
        state : object, optional
            `Prediction.state` of a call at neighbouring values.

        Returns
        -------
        Prediction
            `outcome.ok` is False where the life ended before a point was reached.

        Raises
        ------
        InputError
            If a point names a quantity that this protocol does not give.
        """
        self._check_points(points)
        theta = self._theta(np.asarray(values, float))
        warm = state if isinstance(state, _WarmStart) else None
        cycles = warm.cycles if warm is not None else self._first_guess(points)
        try:
            life, cycles = self._long_enough(theta, cycles, points, jacobian, tolerance, warm)
            runs: dict[tuple, CheckupRun] = {}
            parts = [self._point_set(life, theta, s, runs, warm) for s in points]
        except SolveFailure as failure:
            return Prediction(None, None, _outcome(failure))
        flat = np.concatenate([v for v, _ in parts]) if parts else np.empty(0)
        outcome = Outcome(True, str(Reason.COMPLETED))
        if not np.all(np.isfinite(flat)):
            ended = life.failure or SolveFailure(
                Reason.NON_FINITE, "a predicted value", cycle=life.cycles
            )
            return Prediction(None, None, _outcome(ended))
        slopes = np.vstack([d for _, d in parts]) / self._scale if jacobian else None
        kept = _WarmStart(life, {k: r.without_chords() for k, r in runs.items()}, cycles)
        return Prediction(flat, slopes, outcome, life.error, kept)

    def _long_enough(
        self,
        theta: np.ndarray,
        cycles: int,
        points: Points,
        jacobian: bool,
        tolerance: float | None,
        warm: _WarmStart | None,
    ) -> tuple[Life | BlockLife, int]:
        """A life that reaches all points; lengthened as long as it does not."""
        previous = warm.life if warm is not None else None
        most = _LONGEST * max(cycles, self._first_guess(points))
        while cycles <= most:
            solver = self._solver(cycles, tolerance)
            life = self._run(solver, theta, cycles, jacobian, previous)
            short = self._shortfall(life, points)
            if short <= 1.0:
                return life, cycles
            if life.failure is not None:
                raise life.failure
            cycles = math.ceil(life.cycles * min(short * 1.02, 3.0)) + 1
        message = f"the last point lies beyond {most} cycles, which pass less and less charge"
        raise SolveFailure(Reason.END_NOT_REACHED, message, cycle=most)

    def _shortfall(self, life: Life | BlockLife, points: Points) -> float:
        """How many times longer the life would have to be for its points."""
        axes, _ = counters(life)
        worst = 0.0
        for asked in points:
            if asked.size:
                reached = float(axes[asked.coordinate][-1])
                worst = max(worst, float(np.max(asked.at)) / reached if reached > 0 else np.inf)
        return min(worst / (1.0 + 1e-12), 1e6)

    def _first_guess(self, points: Points) -> int:
        """Cycles needed to reach the points, from the nominal capacity where not stated."""
        guess = 1.0
        for asked in points:
            if not asked.size:
                continue
            last = float(np.max(asked.at))
            if asked.coordinate == "cycle":
                guess = max(guess, last)
            elif asked.coordinate == "throughput":
                guess = max(guess, 1.2 * last / self.cell.nominal_capacity)
            else:
                guess = max(guess, min(last / max(_SHORT, self._shortest()), 50.0))
        return max(math.ceil(guess), 1)

    def _shortest(self) -> float:
        """Time that a cycle takes at least, by its steps of given duration [s]."""
        return sum(spec.limit for spec in self.specs if spec.limit_is_end and not spec.stops)

    def _point_set(
        self,
        life: Life | BlockLife,
        theta: np.ndarray,
        asked: PointSet,
        runs: dict,
        warm: _WarmStart | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        n, dn = locate(life, asked.coordinate, asked.at)
        if asked.group == "cycles":
            # cycle k is the k-th: its quantities belong to the k-th whole number
            low = np.clip(np.floor(n).astype(int), 1, max(life.cycles - 1, 1))
            pair = np.stack([low, np.minimum(low + 1, life.cycles)], axis=1)
            values, slopes = self._observables.integer(life, asked.variable, pair.ravel())
            shaped = slopes.reshape(len(n), 2, -1)
            return between(
                values.reshape(-1, 2), shaped, np.maximum(n, 1.0), dn * (n >= 1.0)[:, None], low
            )
        values = np.empty(len(n))
        slopes = np.empty((len(n), dn.shape[1]))
        for k in range(len(n)):
            run = self._checkup(life, theta, float(n[k]), dn[k], asked.variable, runs, warm)
            values[k], slopes[k] = run.value(asked.variable, asked.column)
        return values, slopes

    def _checkup(
        self,
        life: Life | BlockLife,
        theta: np.ndarray,
        n: float,
        dn: np.ndarray,
        variable: str,
        runs: dict,
        warm: _WarmStart | None,
    ) -> CheckupRun:
        """The check-up test that gives `variable`, run once at each place of the life."""
        test = self._checkups.test_of(variable)
        done = [key for key in runs if key[0] == test]
        for key in done:
            if runs[key].place == n:
                return runs[key]
        # a check-up keeps its place in the list of points while its cycle number moves
        key = (test, len(done))
        near = warm.checkups.get(key) if warm is not None else None
        x, dx = state_at(life, n, dn)
        runs[key] = self._checkups.run(test, x, dx, theta, near, place=n)
        return runs[key]

    # --- parts ---------------------------------------------------------------------------------

    def _export(self) -> Dae:
        """The cell as functions of its state and the free parameters."""
        try:
            return export_dae(
                self.cell.pybamm_model(self.free),
                self.cell.parameter_values(),
                free=self.free,
                outputs=list(self._states.values()),
                var_pts=self.cell.var_pts(),
            )
        except LookupError as error:
            acting = ", ".join(self.cell.ageing_parameters) or "none that ages it"
            raise InputError(
                f"{error.args[0]} does not act in this cell: it has no mechanism that uses it. "
                f"Of its ageing parameters these do: {acting}."
            ) from None
        except ValueError as error:
            raise InputError(str(error)) from error

    def _sequence(
        self,
        steps: Sequence[Step],
        mesh: MeshOptions | None = None,
        newton: NewtonOptions | None = None,
    ) -> SequenceSolver:
        specs = step_specs(steps, self.cell)
        check_held(steps, self.dae, self.cell)
        for step, spec in zip(steps, specs, strict=True):
            for stop in spec.stops:
                if stop.quantity == "output" and stop.name not in self.dae.output_names:
                    raise InputError(f"The step {step}: this cell has no such state.")
        return SequenceSolver(
            self.dae,
            specs,
            collocation=self._collocation,
            mesh=mesh or self.options.mesh,
            newton=newton or self.options.newton,
        )

    def _map(self, steps: Sequence[Step], method: str, may_be_empty: bool = False) -> CycleMap:
        mesh = self.options.mesh.finer(_FINER) if method == "direct" else self.options.mesh
        return CycleMap(self._sequence(steps, mesh), may_be_empty, follow=self._follow)

    def _temperature(self) -> str | None:
        """The model's output that is the cell's temperature, if that changes at all."""
        name = self._states.get("cell_temperature")
        if name not in self.dae.output_names or not len(self.dae.output_sees(name)):
            return None
        return name

    def _checkup_sequence(self, steps: Sequence[Step]) -> SequenceSolver:
        """A looser one: the errors of check-ups do not add up as those of cycles do."""
        mesh, newton = self.options.mesh, self.options.newton
        if mesh.share < 1.0:
            mesh = replace(mesh, share=_CHECKUP_SHARE * mesh.share, change=4.0 * mesh.change)
        return self._sequence(steps, mesh, replace(newton, tolerance=10.0 * newton.tolerance))

    def _solver(self, cycles: int, tolerance: float | None = None) -> LifeSolver | BlockSolver:
        ampere_hours = self.options.tolerance * self.cell.nominal_capacity
        if tolerance is not None:
            ampere_hours = tolerance
        method = self.options.method
        if method == "auto":
            # the macro integration measures its error by charge, of which a rest passes none
            stored = all(step.control == "rest" for step in self.protocol.cycle)
            method = "macro" if cycles >= _MACRO_CYCLES and not stored else "direct"
        options = LifeOptions(method=method, macro=MacroOptions(tolerance=ampere_hours))
        return self._block_solver(cycles, options) or self.life_solver(cycles, options)

    def _interruptions(self, cycles: int, method: str) -> dict[int, CycleMap]:
        """Pauses and disturbing check-ups inside a life of so many cycles, compiled once each."""
        found = {}
        for after, steps in self.protocol.interruptions(cycles):
            if (method, steps) not in self._between:
                self._between[method, steps] = self._map(steps, method, may_be_empty=True)
            found[after] = self._between[method, steps]
        return found

    @property
    def _scale(self) -> np.ndarray:
        return self.dae.nominal

    def _theta(self, values: np.ndarray) -> np.ndarray:
        if values.shape != (len(self.free),):
            raise InputError(
                f"{len(self.free)} free parameters, but values of shape {values.shape}."
            )
        return values / self._scale

    def _values(self, values: Mapping[str, float] | None) -> np.ndarray:
        out = self.nominal.copy()
        for name, value in (values or {}).items():
            if name not in self.free:
                raise InputError(
                    f"{name!r} is not a free parameter." + did_you_mean(name, self.free)
                )
            out[self.free.index(name)] = value
        return out

    def _check_free(self) -> None:
        for k, name in enumerate(self.free):
            self.cell.value(name)
            if name in self.free[:k]:
                raise InputError(f"Free parameter {name!r} is given twice.")
            if name in ("Nominal cell capacity [A.h]", "Current function [A]"):
                raise InputError(f"{name!r} cannot be free: it defines the protocol's currents.")

    def _check_points(self, points: Points) -> None:
        for asked in points:
            known = (
                self._observables.names() if asked.group == "cycles" else self._checkups.variables()
            )
            if asked.variable not in known:
                raise InputError(
                    f"The protocol gives no {asked.variable!r} in /{asked.group}."
                    + did_you_mean(asked.variable, known)
                )

    def _tree(
        self, life: Life | BlockLife, theta: np.ndarray, cycles: int, work: Mapping[str, int]
    ) -> xr.DataTree:
        axes, _ = counters(life)
        n = np.arange(1, life.cycles + 1)
        cycle_data = (
            {
                name: ("point", self._observables.integer(life, name, n)[0], {"units": unit})
                for name, unit in self._observables.units.items()
            }
            if life.cycles
            else {}
        )
        tree = {"/cycles": xr.Dataset(cycle_data, coords=_coordinates(axes, n, "point"))}
        wanted = np.array(
            [k for k in self.protocol.checkup_cycles(cycles) if k <= life.cycles], int
        )
        failure = life.failure
        if len(wanted):
            data, failed = self._checkup_table(life, theta, wanted)
            failure = failure or failed
            tree["/checkups"] = xr.Dataset(data, coords=_coordinates(axes, wanted, "checkup"))
        out = xr.DataTree.from_dict(tree)
        out.attrs = {**self._attributes(life, failure), **work}
        return out

    def _checkup_table(
        self, life: Life | BlockLife, theta: np.ndarray, wanted: np.ndarray
    ) -> tuple[dict, SolveFailure | None]:
        """Check-up and state variables after `wanted` cycles; NaN where a check-up failed."""
        states, _ = life.states(wanted)
        rows: list[dict[str, np.ndarray]] = []
        near: dict[str, CheckupRun] = {}
        failure: SolveFailure | None = None
        for k, y in zip(wanted, states, strict=True):
            row: dict[str, np.ndarray] = {}
            for test in self._checkups.tests_at(int(k), life.cycles):
                x, none = y[: self.dae.nx], np.zeros((self.dae.nx, 0))
                try:
                    near[test] = self._checkups.run(
                        test, x, none, theta, near.get(test), place=float(k)
                    )
                    row.update(near[test].table())
                except SolveFailure as failed:
                    failed.cycle = int(k)
                    failure = failure or failed
            rows.append(row)
        data = self._checkups.dataset(rows)
        return data, failure

    def _attributes(self, life: Life | BlockLife, failure: SolveFailure | None) -> dict:
        return {
            "schema": "cellmodels-record/1",
            "title": f"simulated life of {self.cell.parameters.name} ({self.cell.model})",
            "synthetic": 1,
            "source": "cellmodels simulation",
            "checkups_count_as_cycles": int(any(c.counts for c in self.protocol.every.values())),
            "outcome": str(failure.reason if failure else Reason.COMPLETED),
            "message": str(failure) if failure else "",
            "completed_cycles": life.cycles,
            "simulated_cycles": life.simulated,
            "estimated_error_Ah": life.error,
            "cell_hash": self.cell.hash,
            ATTRIBUTE: as_attribute(self.cell.estimates),
        }


def simulate(
    cell: Cell,
    protocol: Protocol,
    cycles: int,
    *,
    method: str = "auto",
    tolerance: float | None = None,
    progress: bool = False,
) -> xr.DataTree:
    """Simulate the life of a cell.

    Parameters
    ----------
    cell : Cell
    protocol : Protocol
    cycles : int
        Number of cycles.
    method : str
        "macro" integrates over cycle number with an error estimate, "direct" simulates
        every cycle; "auto" chooses by the size of the model, see `SolverOptions`.
    tolerance : float, optional
        Accepted error of a cycle's capacity in the macro integration, relative to the
        nominal capacity.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    xarray.DataTree
        See `Simulator.simulate`.

    Raises
    ------
    InputError
        On a bad argument.
    """
    options = SolverOptions(method=method)
    if tolerance is not None:
        options = replace(options, tolerance=tolerance)
    simulator = Simulator(cell, protocol, options=options)
    if not progress:
        return simulator.simulate(cycles)
    from tqdm.auto import tqdm

    with tqdm(total=cycles, unit="cycle", desc="life") as bar:
        return simulator.simulate(cycles, progress=lambda done: bar.update(done - bar.n))


def _coordinates(axes: Mapping[str, np.ndarray], at: np.ndarray, dim: str) -> dict:
    units = {"throughput": "A.h", "elapsed_time": "s"}
    out = {"cycle": (dim, np.asarray(at, int), {"units": "-"})}
    for name, unit in units.items():
        out[name] = (dim, axes[name][at], {"units": unit})
    return out


def _outcome(failure: SolveFailure) -> Outcome:
    return Outcome(False, str(failure.reason), str(failure), failure.cycle)
