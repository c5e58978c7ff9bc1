# %% [markdown]
# # A zinc-iodine flow cell, predicted before it is fitted
#
# Pacific Northwest National Laboratory's cell of 24 July 2013: 40 cm² of Nafion 115 between two
# graphite felts, 60 ml of 1.5 M zinc iodide at the positive and 40 ml at the negative electrode,
# 0.8 A (20 mA/cm²), charged by 3.216 A·h, which is all iodide of the positive side to triiodide,
# and discharged to 0.5 V. The record is in the repository of their own model, EZBattery
# (https://github.com/pnnl/EZBattery); the chemistry is that of B. Li et al., Nature Communications
# 6 (2015) 6303, doi:10.1038/ncomms7303. Only the first cycle is used.
#
# Run as a script; `CELLMODELS_DATA` names the folder with the data, `CELLMODELS_OUTPUT` where
# results go.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pybamm
import xarray as xr
from example_tools import data_file, output

import cellmodels as cm
from cellmodels.plotting import mark

# %% [markdown]
# **Data.** One row a minute, and more where the voltage moves fast: 15 of the 255 rows of the
# charge lie in its first four minutes, eight of them in the first five seconds. The step's clock
# starts 3 s before its first row.

# %%
trace = np.genfromtxt(
    data_file("pnnl_ezbattery_flow/ZnI2_trace_tidy.csv"), delimiter=",", names=True
)


def step(index):
    """Time [s] and voltage [V] of the rows of one step of the cycler's schedule."""
    rows = trace[trace["Step_Index"] == index]
    return rows["Step_Times"], rows["VoltageV"]


measured = {"charge": step(10), "discharge": step(12)}
rests = {"after the charge": step(11)[1], "after the discharge": step(13)[1]}
CURRENT = float(np.mean(trace["CurrentA"][trace["Step_Index"] == 10]))
DURATION = float(measured["charge"][0][-1])
CHARGE = CURRENT * DURATION / 3600
AREA = 0.004

# %% [markdown]
# **Cell.** All numbers of the set `zinc_iodine_pnnl` are from the cell's description, from the
# literature, or estimates with their reason beside them; none has seen the voltage. Three of them
# shape the open-circuit voltage:
#
# - *Nafion is not permselective here.* Its fixed charge is 3.5 mol per litre of pore water, the
#   solution outside has 3 M iodide: Donnan's equilibrium lets iodide into the membrane, which then
#   carries a third of the current. So the positive side is left with more iodide than a membrane
#   would leave it that zinc ions cross alone.
# - *Iodine settles* once there is too little iodide to hold it as triiodide: free iodine stays at
#   its solubility of 1.34 mmol per litre.
# - *Activity coefficients* of zinc iodide rise from 0.65 at 0.5 M to 1.0 at 1.5 M, by Pitzer's
#   equation with published coefficients; the salt of the positive side falls from 1.5 to 0.9 M in
#   this charge, within the range of the coefficients.

# %%
PITZER = cm.ActivityCoefficients("Pitzer")
cell = cm.Cell("zinc_iodine", "zinc_iodine_pnnl", mechanisms=[PITZER])
MEMBRANE = "Membrane area resistance [Ohm.m2]"


def simulate(cell):
    """Solutions of charge, rest, discharge and rest, by PyBaMM's own simulation."""
    steps = (
        f"Charge at {CURRENT} A for {DURATION} seconds",
        "Rest for 30 seconds",
        f"Discharge at {CURRENT} A until 0.5 V",
        "Rest for 30 seconds",
    )
    simulation = pybamm.Simulation(
        cell.pybamm_model(),
        parameter_values=cell.parameter_values(),
        experiment=pybamm.Experiment([steps], period="5 seconds"),
        solver=pybamm.IDAKLUSolver(rtol=1e-8, atol=1e-10, root_method="lm"),
    )
    names = ("charge", "rest after the charge", "discharge", "rest after the discharge")
    return dict(zip(names, simulation.solve().cycles[0].steps, strict=True))


def branch(step, variable="Voltage [V]"):
    """Time from the step's start [s], and a variable."""
    time = step["Time [s]"].entries
    return time - time[0], step[variable].entries


# %% [markdown]
# **What is compared.** By state of charge, from 20 to 90 % of the charge passed, both branches at
# the same charge: their mean, in which resistances cancel (the mid-line), and each by itself. And
# on the windows on which EZBattery was judged: the middle 96 % of each branch's time, and all of
# it, every row of the record with the same weight, model and measurement at the same fraction of
# their own duration. As rows crowd where the voltage moves fast, the same over time, with every
# minute weighted alike.


# %%
def rms(error):
    """Root of the mean square, in mV."""
    return 1e3 * float(np.sqrt(np.mean(error**2)))


def by_charge(solved):
    """Errors [mV] of the mid-line and of both branches at 20 to 90 % of the charge."""
    at = np.linspace(0.2, 0.9, 71) * CHARGE

    def lines(charge, discharge):
        up = np.interp(at, charge[0] * CURRENT / 3600, charge[1])
        down = np.interp(CHARGE - at, discharge[0] * CURRENT / 3600, discharge[1])
        return up, down

    up, down = lines(branch(solved["charge"]), branch(solved["discharge"]))
    true_up, true_down = lines(measured["charge"], measured["discharge"])
    middle = (true_up + true_down) / 2
    time, open_circuit = branch(solved["charge"], "Open-circuit voltage [V]")
    return {
        "mid_line": rms((up + down) / 2 - middle),
        "open_circuit": rms(np.interp(at, time * CURRENT / 3600, open_circuit) - middle),
        "charge": rms(up - true_up),
        "discharge": rms(down - true_down),
    }


def by_time(solved):
    """Errors [mV] of both branches over their time, rows and minutes weighted alike."""
    found = {}
    for name, (time, voltage) in measured.items():
        modelled, v = branch(solved[name])
        rows, minutes = time / time[-1], np.linspace(0, 1, 2001)
        for weight, at in (("rows", rows), ("minutes", minutes)):
            error = np.interp(at, modelled / modelled[-1], v) - np.interp(at, rows, voltage)
            inner = (at >= 0.02) & (at <= 0.98)
            found[f"{name}_middle_{weight}"] = rms(error[inner])
            found[f"{name}_all_{weight}"] = rms(error)
    return found


def efficiency(solved):
    """Coulombic efficiency: both currents are the same."""
    return float(branch(solved["discharge"])[0][-1] / DURATION)


# %% [markdown]
# **Without any fitted parameter.**

# %%
predicted = simulate(cell)
without = by_charge(predicted) | by_time(predicted)
measured_efficiency = float(measured["discharge"][0][-1] / DURATION)

numbers = cell.parameters.parameters.values()
estimates = sum(number.status == "estimate" for number in numbers)
print(f"{estimates} of the set's {len(numbers)} numbers are estimates, none is fitted")
print("rms over 20-90 % of charge, no fitted parameter [mV]")
print(f"  mid-line of both branches   {without['mid_line']:6.1f}   (target 10)")
print(f"  open-circuit voltage        {without['open_circuit']:6.1f}")
print(f"  charge, discharge           {without['charge']:6.1f} {without['discharge']:6.1f}")
print("coulombic efficiency (the charge is imposed), discharge capacity")
for name, value in (("measured", measured_efficiency), ("predicted", efficiency(predicted))):
    print(f"  {name:27s} {value:6.3f} {value * CHARGE:6.3f} A.h")
for name, voltages in rests.items():
    v = branch(predicted[f"rest {name}"])[1]
    print(f"voltage 30 s {name}: measured {voltages[-1]:.3f} V, predicted {v[-1]:.3f} V")

# %% [markdown]
# **What each piece of physics does**, again without fitting. A membrane that zinc ions cross alone
# leaves the positive side too little iodide, and the voltage too high. Donnan's equilibrium lets
# too much triiodide through: three to four times what the measured efficiency leaves room for. With
# a third of it the efficiency is nearly right, and the mid-line is as good, if the activity
# coefficient is kept at its value of 1.5 M: this record alone does not tell the two apart, nor does
# it see the solid, whose plateau would be in the last tenth of the charge.

# %%
ANION = "Separator anion partition coefficient"
donnan = cell.value(ANION)
constant = cm.Cell("zinc_iodine", "zinc_iodine_pnnl")
SATURATION = "Iodine saturation concentration [mol.m-3]"
variants = {
    "as it is": cell,
    "iodine never settles": cell.with_parameters({SATURATION: 1e6}),
    "activity coefficient of 1.5 M": constant,
    "a third of the anions in the membrane": cell.with_parameters({ANION: donnan / 3}),
    "a third, activity coefficient of 1.5 M": constant.with_parameters({ANION: donnan / 3}),
    "hardly any anions": cell.with_parameters({ANION: donnan / 100}),
    "hardly any, activity coefficient of 1.5 M": constant.with_parameters({ANION: donnan / 100}),
}
print("\nrms of the mid-line over 20-90 % [mV], coulombic efficiency")
for name, variant in variants.items():
    solved = simulate(variant)
    print(f"  {name:42s} {by_charge(solved)['mid_line']:6.1f} {efficiency(solved):8.3f}")

# %% [markdown]
# **With one fitted resistance.** The membrane's is the least known one: EZBattery took it from the
# impedance of a thinner Nafion. At constant current it moves each branch by its current density
# times the change, so the least squares over both branches' middle 96 % are a mean. From here on
# the figures are a **calibration**, not a prediction.

# %%
errors = []
for name, sign in (("charge", 1), ("discharge", -1)):
    time, voltage = measured[name]
    at = time / time[-1]
    modelled, v = branch(predicted[name])
    error = np.interp(at, modelled / modelled[-1], v) - voltage
    errors.append(sign * error[(at >= 0.02) & (at <= 0.98)])
fitted_resistance = cell.value(MEMBRANE) - float(np.mean(np.concatenate(errors))) * AREA / CURRENT
calibrated = simulate(cell.with_parameters({MEMBRANE: fitted_resistance}, source="calibrated"))
fitted = by_charge(calibrated) | by_time(calibrated)

# %% [markdown]
# EZBattery, as delivered (its commit d0a5397, `SDPF_ZIB_V5.xlsx`), run and compared in just the
# same way:

# %%
ezbattery = {
    "charge_middle_rows": 6.9,
    "charge_all_rows": 57.3,
    "discharge_middle_rows": 8.5,
    "discharge_all_rows": 32.8,
    "charge_middle_minutes": 6.9,
    "charge_all_minutes": 23.0,
    "discharge_middle_minutes": 8.6,
    "discharge_all_minutes": 22.8,
}
targets = {"middle_rows": 6.0, "all_rows": 15.0}
print(f"\ncalibration: membrane {1e4 * fitted_resistance:.2f} ohm cm2", end="")
print(f" instead of {1e4 * cell.value(MEMBRANE):.2f}")
print("rms [mV]                          calibrated  no fit  EZBattery  target")
for key, theirs in ezbattery.items():
    name = key.replace("_", ", ", 1).replace("middle", "middle 96 %").replace("_", ", by ")
    target = next((f"{t:g}" for end, t in targets.items() if key.endswith(end)), "")
    print(f"  {name:32s} {fitted[key]:9.1f} {without[key]:7.1f} {theirs:10.1f}  {target:>6s}")

# %% [markdown]
# **What is missed, and why.** The rows of the charge cannot be met: the first five seconds, from
# 0.61 V on, are the double layers of a cell that never was charged, on a clock that does not tell
# when the current set in; and for three minutes the felt's first zinc costs 0.13 V more, with jumps
# of 0.1 V within a fifth of a second, until it suddenly is there. These few rows alone make nearly
# all of the error of the whole charge. The discharge is predicted 7 % too short, and its last 4 %
# bend down slowly in the record and late in the model: it has one state for the whole felt, where
# zinc or iodine really runs out in one place after another. And at the end of charge the
# record rises on, 17 mV above the model: iodine that ought to settle stays dissolved for a while.

# %%
figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained", sharey=True)
for axis, name in zip(axes, ("charge", "discharge"), strict=True):
    time, voltage = measured[name]
    axis.plot(time / time[-1], voltage, ".", color="0.6", ms=4, label="measured")
    for solved, style, label in (
        (predicted, "--", "predicted"),
        (calibrated, "-", "one fitted resistance"),
    ):
        t, v = branch(solved[name])
        axis.plot(t / t[-1], v, style, label=f"{label}, {t[-1] * CURRENT / 3600:.2f} A·h")
    title = f"{name}, {time[-1] * CURRENT / 3600:.2f} A·h measured"
    axis.set(xlabel=f"share of the {name}'s own time", title=title)
    axis.legend()
axes[0].set(ylabel="voltage [V]", ylim=(1.0, 1.5))
mark(figure, estimates=cell.estimates)
figure.savefig(output("zinc_iodine_pnnl.png"), dpi=140)

figures = {f"predicted_{key}": value for key, value in without.items()}
figures |= {f"calibrated_{key}": value for key, value in fitted.items()}
results = xr.Dataset({key: ((), value, {"units": "mV"}) for key, value in figures.items()})
results["measured_efficiency"] = measured_efficiency
results["predicted_efficiency"] = efficiency(predicted)
results["fitted_resistance"] = ((), fitted_resistance, {"units": "ohm.m2"})
results.to_netcdf(output("zinc_iodine_pnnl.nc"), engine="h5netcdf")
print(f"Wrote {output('zinc_iodine_pnnl.nc')} and {output('zinc_iodine_pnnl.png')}.")
