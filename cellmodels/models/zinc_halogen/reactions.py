"""Whether a chemistry's reactions are those that the models run.

The models' rates are written for components of the electrolyte (`species`): a chemistry that names
a reaction for a mechanism must mean the same change of them, and of what is in other phases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cellmodels.chemistry import Chemistry, Reaction
from cellmodels.errors import InputError, did_you_mean
from cellmodels.models.zinc_halogen.species import HALIDE, HALOGEN, METAL_ION, Electrolyte

#: Component of the electrolyte, or another phase -> how much of it one run of a reaction makes.
Change = Mapping[str, float]

#: Phase of the metal on the electrodes.
DEPOSIT = "deposit"
PLATING: Change = {METAL_ION: -1.0, DEPOSIT: 1.0}
REDUCTION: Change = {HALOGEN: -1.0, HALIDE: 2.0}
ATTACK: Change = {DEPOSIT: -1.0, METAL_ION: 1.0, HALOGEN: -1.0, HALIDE: 2.0}

#: Reactions of every cell, by their names in the chemistry.
_OF_EVERY_CELL = {"metal electrode": PLATING, "halogen electrode": REDUCTION, "attack": ATTACK}


def change(electrolyte: Electrolyte, reaction: Reaction) -> dict[str, float]:
    """What one run of a reaction makes.

    Parameters
    ----------
    electrolyte
        What is dissolved.
    reaction
        The reaction as the chemistry has it.

    Returns
    -------
    dict of str to float
        Components of the electrolyte, and formula units in each other phase; what does not change
        is left out, and so are electrons and the solvent.
    """
    contents = {solute.key: solute.contents for solute in electrolyte.solutes}
    total: dict[str, float] = {}
    for sign, side in ((-1.0, reaction.reactants), (1.0, reaction.products)):
        for term in side:
            dissolved = term.phase == "electrolyte"
            held = contents.get(term.species, ()) if dissolved else ((term.phase, 1.0),)
            for what, count in held if term.phase else ():
                total[what] = total.get(what, 0.0) + sign * term.count * count
    return {what: count for what, count in total.items() if count}


def check_cell(chemistry: Chemistry, electrolyte: Electrolyte) -> None:
    """Check the reactions that every cell has.

    Parameters
    ----------
    chemistry, electrolyte
        What reacts, and what is dissolved.

    Raises
    ------
    InputError
        If one is missing or has another form.
    """
    for name, expected in _OF_EVERY_CELL.items():
        if name not in chemistry.reactions:
            hint = did_you_mean(name, chemistry.reactions)
            raise InputError(f"The chemistry '{chemistry.name}' lacks the reaction '{name}'.{hint}")
        reaction = chemistry.reactions[name]
        if change(electrolyte, reaction) != expected:
            raise InputError(
                f"chemistry '{chemistry.name}': the reaction '{name}' must make "
                f"{_words(electrolyte, expected)}; it is written '{reaction.equation}'."
            )


def check_mechanism(
    chemistry: Chemistry, electrolyte: Electrolyte, short_name: str, runs: Sequence[Change]
) -> None:
    """Check the reactions that a chemistry lists for a mechanism.

    Parameters
    ----------
    chemistry, electrolyte
        What reacts, and what is dissolved.
    short_name
        The mechanism's name.
    runs
        What the mechanism's equations make, one entry for each reaction.

    Raises
    ------
    InputError
        If the chemistry lists others, or fewer, or more.
    """
    if short_name not in chemistry.mechanisms:
        return
    names = chemistry.mechanisms[short_name].reactions
    left = [dict(expected) for expected in runs]
    for name in names:
        reaction = chemistry.reactions[name]
        made = change(electrolyte, reaction)
        if made not in left:
            raise InputError(
                f"mechanisms -> {short_name}: the model runs no reaction '{reaction.equation}' "
                f"('{name}') there."
            )
        left.remove(made)
    if left:
        raise InputError(
            f"mechanisms -> {short_name}: no reaction is listed that makes "
            f"{_words(electrolyte, left[0])}, which the model runs."
        )


def _words(electrolyte: Electrolyte, expected: Change) -> str:
    return ", ".join(f"{count:+g} {electrolyte.word(what)}" for what, count in expected.items())
