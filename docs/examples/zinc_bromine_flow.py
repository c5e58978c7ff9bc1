# %% [markdown]
# # A zinc-bromine flow cell: where the bromine is, and what a rest costs
#
# Makes the picture of flow cells in [the page about such cells](../zinc_halogen.md). No data
# are needed. Most of the numbers are **estimates**: the picture shows what the model says such a
# cell does, not what a cell did.
#
# Run as a script; `CELLMODELS_OUTPUT` names the folder for the picture (`docs/images` for that of
# the page).

# %%
import numpy as np
import pybamm
from example_tools import output, small_and_plain
from matplotlib.figure import Figure

import cellmodels as cm
from cellmodels.plotting import mark

small_and_plain()
BLUE, RED, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#777777"
CHARGE, DISCHARGE = "Charge at 2 A for 3.75 hours", "Discharge at 2 A until 0.8 V"


def flow_cell(**choices):
    return cm.Cell("zinc_bromine", "zinc_bromine_flow", mechanisms=[cm.Flow(**choices)])


def solve(cell, *steps):
    """PyBaMM's own simulation of some steps."""
    simulation = pybamm.Simulation(
        cell.pybamm_model(),
        parameter_values=cell.parameter_values(),
        experiment=pybamm.Experiment([steps]),
        solver=pybamm.IDAKLUSolver(rtol=1e-8, atol=1e-10, root_method="lm"),
    )
    return simulation.solve()


# %% [markdown]
# ## A cycle
#
# On charge the complexed phase settles in the positive tank and stays there. The dissolved bromine,
# and with it the self-discharge, is that in equilibrium with it. A valve opens for the discharge
# and brings the phase back to the felt, which it takes a few residence times to fill.

# %%
cell = flow_cell()
cycle = solve(cell, CHARGE, "Rest for 30 minutes", DISCHARGE)
hours = cycle["Time [h]"].entries
figure = Figure(figsize=(9.5, 5.6), layout="constrained")
grid = figure.subplots(2, 3)
(voltage, bromine, dissolved), (power, rest, lost) = grid

voltage.plot(hours, cycle["Voltage [V]"].entries, color=BLUE)
voltage.set_title("Voltage [V]")
for place, colour in (("tank", BLUE), ("compartment", RED)):
    name = f"Positive {place}"
    label = "cell" if place == "compartment" else "tank"
    bromine.plot(
        hours, cycle[f"{name} bromine concentration [mol.m-3]"].entries, color=colour, label=label
    )
    dissolved.plot(
        hours,
        cycle[f"{name} aqueous bromine concentration [mol.m-3]"].entries,
        color=colour,
        label=label,
        ls="-" if place == "tank" else (0, (4, 2)),
    )
bromine.set_title("Bromine, all [mol·m⁻³]")
dissolved.set_title("Bromine, dissolved [mol·m⁻³]")
for axes in (bromine, dissolved):
    axes.legend()

current = cycle["Current density [A.m-2]"].entries
terminals = np.abs(current * cycle["Voltage [V]"].entries)
taken = cycle["Pump power [W.m-2]"].entries
power.plot(hours, terminals, color=BLUE, label="terminals (magnitude)")
power.plot(hours, taken, color=GREEN, label="pumps")
power.set_title("Power [W·m⁻²]")
power.legend(loc="upper right")
for axes in (voltage, bromine, dissolved, power):
    axes.set_xlabel("Time [h]")

# %% [markdown]
# ## A rest, with pumps that run and with pumps that stop
#
# Electrolyte that circulates carries bromine to the separator until the charge is gone. Where the
# pumps stand still, only what is between the plates can be lost.

# %%
DAYS = 10
for stops, colour, label in ((False, RED, "pumps on"), (True, GREEN, "pumps off")):
    rested = solve(flow_cell(stops_at_rest=stops), CHARGE, f"Rest for {24 * DAYS} hours")
    step = rested.cycles[0].steps[1]
    days = (step["Time [h]"].entries - step["Time [h]"].entries[0]) / 24
    rest.plot(days, step["Self-discharge current density [A.m-2]"].entries, color=colour)
    zinc = step["Zinc areal capacity [A.h.m-2]"].entries / 10
    lost.plot(days, zinc, color=colour, label=label)
    left, held = zinc[-1], zinc[0]
    print(f"{label}: {100 * (1 - left / held):.0f} % of {held:.0f} mAh/cm2 lost in {DAYS} days")
rest.set_title("Self-discharge at rest [A·m⁻²]")
lost.set_title("Zinc at rest [mAh·cm⁻²]")
lost.set_ylim(bottom=0)
lost.legend()
for axes in (rest, lost):
    axes.set_xlabel("Time [days]")
for axes in grid.ravel():
    axes.grid(alpha=0.25)
mark(figure, estimates=cell.estimates)
figure.savefig(output("zinc_flow.png"), dpi=110)
print(f"Wrote {output('zinc_flow.png')}.")
