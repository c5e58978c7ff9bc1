"""Our zinc-halogen models as PyBaMM's, through the entry points ``pybamm_models``.

With cellmodels installed, ``pybamm.Model("cellmodels_zinc_bromine_lumped")`` works. The names carry
a prefix because entry points of all packages share one name space.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import pybamm

from cellmodels.chemistry import Chemistry
from cellmodels.models.mechanisms import Mechanism
from cellmodels.models.zinc_halogen import parts
from cellmodels.models.zinc_halogen.base import ZincHalogenModel
from cellmodels.models.zinc_halogen.lumped import Lumped
from cellmodels.models.zinc_halogen.porous import Porous
from cellmodels.pybamm_sets import content


class _OfChemistry(ZincHalogenModel[Any]):
    """A model of one of our chemistries, with that chemistry's parameter set.

    Parameters
    ----------
    mechanisms
        What is modelled beyond the electrode reactions and crossover, as objects
        (``cellmodels.DeadZinc()``) or short names (``"dead zinc"``).

    Raises
    ------
    cellmodels.errors.InputError
        If a mechanism is unknown, given twice or not of this level.
    """

    chemistry: ClassVar[str]
    level: ClassVar[str]

    def __init__(self, mechanisms: Iterable[Mechanism | str | Mapping[str, Any]] = ()) -> None:
        chemistry = Chemistry.load(self.chemistry)
        made = parts(mechanisms, chemistry, self.level)
        super().__init__(*made, f"{chemistry.name} {self.level}")

    @property
    def default_parameter_values(self) -> pybamm.ParameterValues:
        """The chemistry's own parameter set."""
        return pybamm.ParameterValues(content(Chemistry.load(self.chemistry).defaults.parameters))


class ZincBromineLumped(_OfChemistry, Lumped):
    """Zinc-bromine cell: two well-mixed compartments and a film at the plate.

    See `cellmodels.models.zinc_halogen.lumped` for the equations. Its parameters come with it; most
    of those that age the cell are estimates.

    Examples
    --------
    >>> model = ZincBromineLumped(mechanisms=["hydrogen evolution"])
    >>> model.name
    'zinc_bromine lumped'
    """

    chemistry, level = "zinc_bromine", "lumped"


class ZincIodineLumped(_OfChemistry, Lumped):
    """Zinc-iodine cell: two well-mixed compartments and a film at the plate.

    See `cellmodels.models.zinc_halogen.lumped` for the equations. Its parameters, those of a flow
    cell, come with it.
    """

    chemistry, level = "zinc_iodine", "lumped"


class ZincBrominePorous(_OfChemistry, Porous):
    """Zinc-bromine cell, resolved through its thickness.

    See `cellmodels.models.zinc_halogen.porous` for the equations. Its parameters come with it; most
    of those that age the cell are estimates.
    """

    chemistry, level = "zinc_bromine", "porous"


class ZincIodinePorous(_OfChemistry, Porous):
    """Zinc-iodine cell, resolved through its thickness.

    See `cellmodels.models.zinc_halogen.porous` for the equations. Its parameters are those of a
    flow cell without a gap: take it with ``mechanisms=["negative felt"]``, or give it a gap.
    """

    chemistry, level = "zinc_iodine", "porous"
