# %% [markdown]
# # A lithium-ion cell under fast loads: the first milliseconds
#
# Makes the picture of [the page about fast loads](../fast_loads.md): a step of the current with
# and without double layers, the resistance of pulses of 1 ms to 10 s, and a load that changes every
# 50 ms, as that of GPUs in step does. No data are needed. The capacities of the double layers,
# 0.2 F.m-2 of particle surface, are PyBaMM's, who gives no source for them; a measured pulse or
# impedance spectrum replaces them.
#
# Run as a script; `CELLMODELS_OUTPUT` names the folder for the picture.

# %%
import numpy as np
import pybamm
from example_tools import output, small_and_plain
from matplotlib.figure import Figure

import cellmodels as cm

small_and_plain()
COLOURS = {"SPM": "#777777", "SPMe": "#0072B2", "DFN": "#D55E00"}
SET = "nmc_graphite_siox"


def cell_of(level, *mechanisms):
    return cm.Cell("lithium_ion", SET, level, mechanisms, initial_soc=0.6)


# %% [markdown]
# ## A step to 3C, in plain PyBaMM
#
# Times are wanted on a logarithmic axis, so that the current is given as a number here instead of
# an Experiment. What drops at once is the ohmic part; the SPM has none.


# %%
def voltage(cell, rate, times):
    """Voltage [V] at times after the step of the current."""
    values = cell.parameter_values()
    values["Current function [A]"] = rate * cell.nominal_capacity
    solver = pybamm.IDAKLUSolver(rtol=1e-8, atol=1e-10)
    simulation = pybamm.Simulation(cell.pybamm_model(), parameter_values=values, solver=solver)
    solution = simulation.solve([0.0, times[-1]], t_interp=np.concatenate([[0.0], times]))
    return solution["Voltage [V]"](times)


def after_a_step(axes):
    times = np.logspace(-5, 1, 121)
    for level, colour in COLOURS.items():
        fast, slow = cell_of(level, "double layer"), cell_of(level)
        axes.semilogx(times, voltage(fast, 3.0, times), color=colour, label=level)
        axes.semilogx(times, voltage(slow, 3.0, times), color=colour, ls=(0, (4, 2)))
    axes.plot([], [], color="k", ls=(0, (4, 2)), label="without double layers")
    axes.set(title="Voltage after a step to 3C [V]", xlabel="Time after the step [s]")
    axes.legend()


# %% [markdown]
# ## Resistance of pulses, as a check-up measures it


# %%
def resistance_of_pulses(axes):
    lengths = np.array([1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0])
    tests = [
        cm.Test(
            f"pulse{k}",
            ["Rest for 1 minute", f"Discharge at 2C for {1e3 * length:.0f} ms"],
            measure="resistance",
        )
        for k, length in enumerate(lengths)
    ]
    protocol = cm.Protocol(["Rest for 1 minute"], every={1: cm.Checkup(tests)})
    for level, colour in COLOURS.items():
        for mechanisms, style in ((["double layer"], "o-"), ([], "--")):
            checkups = cm.simulate(cell_of(level, *mechanisms), protocol, 1)["checkups"]
            found = [float(checkups[f"resistance_{test.name}"][0]) for test in tests]
            axes.semilogx(lengths, 1e3 * np.array(found), style, color=colour, ms=3)
            if mechanisms:
                at = {name: found[k] for k, name in ((2, "10 ms"), (4, "100 ms"), (8, "10 s"))}
                said = ", ".join(f"{1e3 * value:.2f} mOhm at {key}" for key, value in at.items())
                print(f"{level}: {said}")
    axes.set(title="Resistance of a 2C pulse [mΩ]", xlabel="Length of the pulse [s]")
    axes.set_ylim(bottom=0.0)


# %% [markdown]
# ## A load that changes every 50 ms, in a plain PyBaMM Experiment


# %%
def changing_load(axes):
    steps = [
        "Discharge at 3C for 0.05 seconds (0.0005 second period)",
        "Discharge at C/2 for 0.05 seconds (0.0005 second period)",
    ]
    for mechanisms, style in ((["double layer"], "-"), ([], (0, (4, 2)))):
        cell = cell_of("SPMe", *mechanisms)
        solution = pybamm.Simulation(
            cell.pybamm_model(),
            parameter_values=cell.parameter_values(),
            experiment=pybamm.Experiment(steps * 4),
            solver=pybamm.IDAKLUSolver(rtol=1e-8, atol=1e-10),
        ).solve()
        clock, volts = solution["Time [s]"].entries, solution["Voltage [V]"].entries
        axes.plot(1e3 * clock, volts, color=COLOURS["SPMe"], ls=style, lw=1.2)
    axes.set(title="3C and C/2 in turn, SPMe [V]", xlabel="Time [ms]")


figure = Figure(figsize=(10.5, 3.4), layout="constrained")
panels = figure.subplots(1, 3)
for draw, axes in zip((after_a_step, resistance_of_pulses, changing_load), panels, strict=True):
    draw(axes)
    axes.grid(alpha=0.25)
figure.savefig(output("lithium_fast_loads.png"), dpi=110)
print(f"Wrote {output('lithium_fast_loads.png')}.")
