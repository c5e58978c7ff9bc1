# %% [markdown]
# # Inside a zinc-bromine cell: profiles of the porous-electrode model
#
# Makes the pictures of the porous model on [the page about zinc-halogen cells](../zinc_halogen.md).
# No data are needed. The numbers are those of `zinc_bromine_static`, most of them **estimates**.
#
# Run as a script; `CELLMODELS_OUTPUT` names the folder for the pictures (`docs/images` for those of
# the page).

# %%
import matplotlib as mpl
import numpy as np
import pybamm
from example_tools import output, small_and_plain
from matplotlib.figure import Figure

import cellmodels as cm
from cellmodels.plotting import mark

small_and_plain()
CURRENT = 1.0  # A, 10 mA.cm-2 of 100 cm2
STEPS = (f"Charge at {CURRENT} A for 2 hours", f"Discharge at {CURRENT} A until 0.8 V")
CELL = cm.Cell("zinc_bromine", model="porous")
NUMBERS = CELL.parameter_values()


def solve(cell):
    """PyBaMM's solution of a charge and a discharge."""
    simulation = pybamm.Simulation(
        cell.pybamm_model(),
        parameter_values=cell.parameter_values(),
        experiment=pybamm.Experiment([STEPS]),
    )
    return simulation.solve(solver=pybamm.IDAKLUSolver(rtol=1e-6, atol=1e-8, root_method="lm"))


# %% [markdown]
# ## Profiles
#
# Zinc ions are scarce at the plate on charge, bromine is made along the felt and crosses the
# separator and the gap; the reaction keeps to the felt's front where the electrolyte conducts less
# than the carbon. At the end of a discharge the front has no bromine left, and what crossed before
# comes back from the separator.

# %%
solution = solve(CELL)
charge, discharge = solution.cycles[0].steps
layers = [
    NUMBERS[f"{name} thickness [m]"] for name in ("Negative gap", "Separator", "Positive electrode")
]
faces = 1e3 * np.cumsum([0.0, *layers])
whole, felt = np.linspace(0, faces[-1], 300), np.linspace(faces[2], faces[3], 120)
PANELS = (
    ("Zinc ion concentration [mol.m-3]", whole, 1e-3, "zinc ions [mol/L]"),
    ("Aqueous bromine concentration [mol.m-3]", whole, 1.0, "dissolved bromine [mmol/L]"),
    ("Electrolyte potential [V]", whole, 1e3, "electrolyte potential [mV]"),
    (
        "Positive electrode volumetric interfacial current density [A.m-3]",
        felt,
        1e-3,
        "reaction in the felt [mA/cm³]",
    ),
)
figure = Figure(figsize=(10, 6.4), layout="constrained")
axes = figure.subplots(2, 2).ravel()
for step, colours, word in ((charge, "YlGnBu", "charge"), (discharge, "YlOrRd", "discharge")):
    start, end = step.t[0], step.t[-1]
    for share in (0.02, 0.5, 0.995):
        time = start + share * (end - start)
        colour = mpl.colormaps[colours](0.4 + 0.5 * share)
        label = f"{word}, {share:.0%}" if share < 0.9 else f"{word}, end"
        for axis, (name, x, scale, _) in zip(axes, PANELS, strict=True):
            axis.plot(x, scale * solution[name](t=time, x=1e-3 * x), color=colour, label=label)
for axis, (_, _, _, title) in zip(axes, PANELS, strict=True):
    axis.set_title(title)
    axis.set_xlabel("distance from the plate [mm]")
    axis.set_xlim(0, faces[-1])
    axis.axvspan(faces[1], faces[2], color="0.92", zorder=-2)
    axis.axvspan(faces[2], faces[3], color="0.97", zorder=-2)
for k, word in enumerate(("gap", "separator", "felt")):
    place = np.mean(faces[k : k + 2])
    axes[0].text(place, 0.02, word, ha="center", transform=axes[0].get_xaxis_transform())
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
mark(figure, estimates=CELL.estimates)
figure.savefig(output("zinc_profiles.png"), dpi=110)
print(f"Wrote {output('zinc_profiles.png')}.")

# %% [markdown]
# ## Against the lumped model
#
# The lumped model has no gap that bromine must cross: its attack velocity is 1e-4 m/s, so that
# bromine is used up where it leaves the separator. With the gap's own velocity, diffusivity over
# thickness, its coulombic efficiency comes to that of the porous model: the gap is the difference.


# %%
def efficiencies(solution):
    """Coulombic and voltage efficiency."""
    charge, discharge = solution.cycles[0].steps
    given = charge["Discharge capacity [A.h]"].entries
    taken = discharge["Discharge capacity [A.h]"].entries
    energy = [np.ptp(step["Discharge energy [W.h]"].entries) for step in (charge, discharge)]
    coulombic = np.ptp(taken) / np.ptp(given)
    return coulombic, energy[1] / energy[0] / coulombic


lumped = cm.Cell("zinc_bromine")
diffusivity = (
    NUMBERS["Electrolyte diffusivity viscosity factor"] * NUMBERS["Tribromide diffusivity [m2.s-1]"]
)
gap = lumped.with_parameters(
    {"Zinc chemical attack velocity [m.s-1]": diffusivity / layers[0]}, source="the gap's diffusion"
)
cases = {
    "porous": solution,
    "lumped, as the set has it": solve(lumped),
    "lumped, with the gap's velocity": solve(gap),
}
for name, found in cases.items():
    coulombic, voltage = efficiencies(found)
    print(f"{name:32s} CE {coulombic:.3f}  VE {voltage:.3f}  (estimate)")
