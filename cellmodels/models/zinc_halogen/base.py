"""What zinc-halogen models of all levels have in common: how one is put together."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Generic, TypeVar

import pybamm

from cellmodels.models.zinc_halogen import outputs, thermal
from cellmodels.models.zinc_halogen.assembly import Assembly
from cellmodels.models.zinc_halogen.balances import balances
from cellmodels.models.zinc_halogen.species import Electrolyte

if TYPE_CHECKING:
    from cellmodels.models.zinc_halogen.mechanisms import ZincMechanism

Parts = TypeVar("Parts", bound=Assembly)


class CurrentParameters:
    """What PyBaMM's external circuits and experiments ask of a model's parameters."""

    def __init__(self) -> None:
        self.Q = pybamm.Parameter("Nominal cell capacity [A.h]")
        self.A_cc = pybamm.Parameter("Electrode area [m2]")
        self.n_cells = pybamm.Scalar(1)
        self.current_with_time = pybamm.FunctionParameter(
            "Current function [A]", {"Time [s]": pybamm.t}
        )
        self.current_density_with_time = self.current_with_time / self.A_cc


class ZincHalogenModel(pybamm.BaseModel, Generic[Parts]):
    """A zinc-halogen cell as a PyBaMM model; its levels say how it is laid out in space.

    Parameters
    ----------
    electrolyte
        What is dissolved.
    mechanisms
        What is modelled beyond the cell's own reactions.
    name
        The model's name.

    Attributes
    ----------
    balances : dict of str to mapping of str to float
        What the model conserves: variable -> state -> factor, see `balances`.
    parameter_names : tuple of str
        All parameters that the model reads.
    """

    #: Points that a coordinate's mesh needs, for slopes at its ends.
    least_points = 3

    def __init__(
        self,
        electrolyte: Electrolyte,
        mechanisms: Iterable[ZincMechanism] = (),
        name: str = "zinc-halogen model",
    ) -> None:
        super().__init__(name)
        self.options: dict[str, str] = {}
        self.param = CurrentParameters()
        self.summary_variables: list[str] = []
        self._build(electrolyte, tuple(mechanisms))

    @abstractmethod
    def _assembly(self, electrolyte: Electrolyte) -> Parts:
        """An empty assembly of this level."""

    @abstractmethod
    def _lay_out(self, cell: Parts) -> pybamm.Symbol:
        """Add electrolyte, electrodes and circuit.

        Returns
        -------
        pybamm.Symbol
            Current density through the electrolyte [A.m-2].
        """

    @abstractmethod
    def _close_electrodes(self, cell: Parts, internal: pybamm.Symbol) -> None:
        """Let the partial currents add up to the cell's, once all mechanisms have acted."""

    def _build(self, electrolyte: Electrolyte, mechanisms: tuple[ZincMechanism, ...]) -> None:
        circuit = self.param
        self.variables.update(
            {
                "Current variable [A]": circuit.current_with_time,
                "Current [A]": circuit.current_with_time,
                "Time [s]": pybamm.t,
                "Time [h]": pybamm.t / 3600,
            }
        )
        cell = self._assembly(electrolyte)
        cell.current = circuit.current_with_time / circuit.A_cc
        for name in ("Nominal cell capacity [A.h]", "Electrode area [m2]"):
            cell.numbers(name)
        for mechanism in mechanisms:
            mechanism.prepare(cell)
        internal = self._lay_out(cell)
        for mechanism in mechanisms:
            mechanism.act(cell)
        self._close_electrodes(cell, internal)
        _add_counters(cell, circuit.current_with_time)
        if cell.temperature_state is not None:
            cell.add(cell.temperature_state, thermal.temperature_rate(cell))
        cell.close()
        self.balances = balances(cell)
        outputs.add_variables(cell, internal)
        outputs.add_events(cell)
        self.parameter_names = tuple(cell.numbers.names)
        words = (cell.title("metal"), cell.title("halogen"))
        self._charge_variables = [f"{word} state of charge" for word in words]

    @property
    def default_parameter_values(self) -> pybamm.ParameterValues:
        """None: the numbers come with the cell."""
        return pybamm.ParameterValues({})

    @property
    def default_solver(self) -> pybamm.BaseSolver:
        """IDAKLU with a root finder that finds a charge's start in a cell that is empty."""
        return pybamm.IDAKLUSolver(root_method="lm")

    @property
    def default_quick_plot_variables(self) -> list[str]:
        """What PyBaMM's quick plot shows."""
        return [
            "Current [A]",
            "Voltage [V]",
            *self._charge_variables,
            "Self-discharge current density [A.m-2]",
            "Plate concentration margin",
        ]


def _add_counters(cell: Assembly, current: pybamm.Symbol) -> None:
    """Charge and energy that have passed the terminals, as PyBaMM's models count them."""
    charge = cell.state("Discharge capacity [A.h]")
    energy = cell.state("Discharge energy [W.h]")
    cell.add(charge, current / 3600)
    cell.add(energy, current * cell.voltage / 3600)
