"""Cells of every zinc-halogen chemistry, and ways to take them through steps."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pybamm

import cellmodels as cm
from cellmodels import chemistry
from cellmodels.lowering import step_specs
from cellmodels.models.zinc_halogen.mechanisms import MECHANISMS
from cellmodels.solver.collocation import Collocation
from cellmodels.solver.cycle import SequenceSolver
from cellmodels.solver.export import export_dae
from cellmodels.solver.step import StepSolution
from cellmodels.steps import Step

#: The chemistries that the lumped model is of.
CHEMISTRIES = tuple(
    name for name in chemistry.names() if chemistry.Chemistry.load(name).family == "zinc_halogen"
)
#: What the lumped model has beside its reactions.
LUMPED = tuple(kind.short_name for kind in MECHANISMS if "lumped" in kind.levels)
#: The same without crystallisation, which only ends steps, flow, which is for sets with tanks, and
#: the fused salt, which takes the place of an isotherm.
ACTING = tuple(name for name in LUMPED if name not in ("crystallisation", "flow", "fused salt"))
#: Chemistry -> its set with tanks.
FLOW_SETS = {name: f"{name}_flow" for name in CHEMISTRIES}

#: Rates so fast that whatever a mechanism forgets to balance is seen within a cycle.
FAST = {
    "Dead zinc fraction": 0.05,
    "Dendrite growth factor": 20.0,
    "Hydrogen evolution exchange-current density [A.m-2]": 1e-4,
    "Water vapour loss coefficient [mol.m-2.s-1.Pa-1]": 1e-8,
    "Halogen vapour loss velocity [m.s-1]": 1e-7,
    "Halogen irreversible reaction rate [s-1]": 1e-5,
    "Complexing agent loss rate [s-1]": 1e-6,
    "Cathode self-discharge rate [m.s-1]": 1e-8,
    "Carbon oxidation rate [m3.mol-1.s-1]": 1e-7,
    "Carbon oxidation halogen demand [mol.m-2]": 1e-3,
    "Separator fouling rate [m2.A-1.h-1]": 1e-4,
    "Initial potassium ion concentration [mol.m-3]": 300.0,
    "Electrolyte buffer capacity [mol.m-3]": 5.0,
}


def mechanisms_of(name: str) -> list[str]:
    """All acting mechanisms that a chemistry has."""
    has = chemistry.Chemistry.load(name).mechanisms
    return [short for short in ACTING if short in has]


@functools.cache
def cell_of(
    name: str,
    mechanisms: Iterable[str] = (),
    changes: tuple[tuple[str, float], ...] = (),
    parameters: str | None = None,
) -> cm.Cell:
    """A cell of a chemistry's default parameter set, or of another; changes that it does not know
    are left out."""
    cell = cm.Cell(name, parameters, mechanisms=mechanisms)
    values = cell.parameter_values()
    known = {key: value for key, value in changes if key in values}
    return cell.with_parameters(known, source="a test") if known else cell


@functools.cache
def fast_cell(name: str, double_layer: bool = True) -> cm.Cell:
    """A cell that does everything, fast; without double layers its potentials are algebraic."""
    mechanisms = [m for m in mechanisms_of(name) if double_layer or m != "double layer"]
    return cell_of(name, tuple(mechanisms), tuple(FAST.items()))


@dataclass(frozen=True)
class March:
    """What our own solver finds at all points of a sequence of steps."""

    cell: Marcher
    steps: tuple[StepSolution, ...]

    @cached_property
    def points(self) -> np.ndarray:
        """v = [x, z, I] at all points, shape (k, n)."""
        n = self.cell.dae.n
        return np.concatenate([step.stages.reshape(-1, n) for step in self.steps])

    @cached_property
    def states(self) -> np.ndarray:
        """x at the start and at all points, shape (k + 1, nx)."""
        return np.vstack([self.steps[0].start, self.points[:, : self.cell.dae.nx]])

    @property
    def voltage(self) -> np.ndarray:
        """[V], shape (k,)."""
        return np.concatenate([step.voltage.ravel() for step in self.steps])

    def __getitem__(self, name: str) -> np.ndarray:
        """A state of the model at the start and at all points, in its unit, shape (k + 1,).

        Of one that varies in a layer it is the average: layers are cut into volumes of one width.
        """
        values = self.states[:, self.cell.dae.state_names[name]]
        return values.mean(axis=1) * self.cell.scales[name]

    def output(self, name: str) -> np.ndarray:
        """A variable of the model at all points, shape (k,)."""
        column = self.cell.dae.output_names.index(name)
        return self.cell.dae.outputs(self.points, np.ones(0))[:, column]


class Marcher:
    """A cell compiled once, taken by our own solver through any steps from its fresh state."""

    def __init__(self, cell: cm.Cell, outputs: Iterable[str] = ()) -> None:
        self.cell, self.model = cell, cell.pybamm_model()
        self.dae = export_dae(
            self.model, cell.parameter_values(), outputs=list(outputs), var_pts=cell.var_pts()
        )
        found = ((name, self.model.variables.get(name)) for name in self.dae.state_names)
        self.scales = {name: float(v.scale.evaluate()) for name, v in found if v is not None}
        self.collocation = Collocation(self.dae)

    def __call__(self, *steps: str, start: np.ndarray | None = None) -> March:
        """Raises SolveFailure if a step fails."""
        specs = step_specs([Step.parse(step) for step in steps], self.cell)
        sequence = SequenceSolver(self.dae, specs, collocation=self.collocation)
        first = self.dae.start(np.ones(0))[0] if start is None else start
        return March(self, sequence.solve(first, np.ones(0)).steps)


@functools.cache
def marcher(cell: cm.Cell, outputs: tuple[str, ...] = ()) -> Marcher:
    """The compiled cell, once a session."""
    return Marcher(cell, outputs)


def solve(
    cell: cm.Cell, *steps: str, model: pybamm.BaseModel | None = None, rtol: float = 1e-8
) -> pybamm.Solution:
    """The steps as a PyBaMM experiment, by IDAKLU, with one model for all steps.

    PyBaMM would else build one for each, which takes longer than to solve them.
    """
    simulation = pybamm.Simulation(
        model or cell.pybamm_model(),
        parameter_values=cell.parameter_values(),
        experiment=pybamm.Experiment([steps]),
        solver=pybamm.IDAKLUSolver(rtol=rtol, atol=rtol * 1e-2, root_method="lm"),
        var_pts=cell.var_pts(),
        experiment_model_mode="unified",
    )
    return simulation.solve()


def averaged(entries: np.ndarray) -> np.ndarray:
    """A state of the whole cell, or the average of one that varies in a layer."""
    return entries.mean(axis=0) if entries.ndim > 1 else entries


def drift(balance: Mapping[str, float], amounts: Mapping[str, np.ndarray]) -> float:
    """How much a sum of amounts changes, relative to the largest sum of what takes part."""
    total = sum(factor * amounts[name] for name, factor in balance.items())
    gross = sum(abs(factor * amounts[name]) for name, factor in balance.items())
    return float(np.ptp(total) / max(np.max(gross), 1e-6))
