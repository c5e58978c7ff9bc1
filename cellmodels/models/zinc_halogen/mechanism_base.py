"""What every mechanism of a zinc-halogen cell is."""

from __future__ import annotations

from typing import ClassVar

from cellmodels.models.mechanisms import Mechanism
from cellmodels.models.zinc_halogen.assembly import Assembly
from cellmodels.models.zinc_halogen.reactions import Change


class ZincMechanism(Mechanism):
    """Base of the mechanisms of zinc-halogen cells.

    Attributes
    ----------
    runs : tuple of mapping of str to float
        What the reactions that a chemistry lists for it make, see `reactions`.
    levels : tuple of str
        Model levels that have it.
    """

    runs: ClassVar[tuple[Change, ...]] = ()
    levels: ClassVar[tuple[str, ...]] = ("lumped", "porous")

    def prepare(self, cell: Assembly) -> None:
        """Declare states, and change what depends on them, before the cell is put together."""

    def act(self, cell: Assembly) -> None:
        """Add rates to the cell's states."""

    @property
    def requires(self) -> tuple[str, ...]:
        """Parameters that the equations read; a parameter set must hold all of them."""
        return tuple(self.parameters)
