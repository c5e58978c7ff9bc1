# %% [markdown]
# # A static zinc-bromine cell: efficiency, states, standby and ageing
#
# Makes the pictures of [the page about zinc-halogen cells](../zinc_halogen.md), where the cell and
# its equations are explained. No data are needed. The numbers are those of parameter sets in which
# most are **estimates**: the pictures show what the model says such cells do, not what a cell did.
#
# Run as a script; `CELLMODELS_OUTPUT` names the folder for the pictures (`docs/images` for those of
# the page).

# %%
import numpy as np
import pybamm
from example_tools import QUICK, output, small_and_plain
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

import cellmodels as cm
from cellmodels.plotting import mark

small_and_plain()
BLUE, RED, GREEN, ORANGE, GREY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#777777"
SETS = {  # name -> in words, current [mA.cm-2] and capacity of a charge [mAh.cm-2]
    "zinc_bromine_static": ("liquid agent", 10, 12, BLUE),
    "zinc_bromine_strong_agent": ("strong agent", 10, 12, RED),
    "zinc_bromine_activated_carbon": ("activated carbon", 5, 8, GREEN),
}


def save(name, figure):
    figure.savefig(output(f"{name}.png"), dpi=110)
    print(f"Wrote {output(name + '.png')}.")


# %% [markdown]
# ## The cell
#
# From left to right, with the thicknesses of `zinc_bromine_static` (not to scale). Arrows are those
# of a charge; a discharge turns the electrode reactions round. Crossover never turns round.

# %%
NAVY = "#20405c"


def arrow(axes, start, end, colour=NAVY, **style):
    axes.add_patch(
        FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=12, color=colour, **style)
    )


def schematic():
    figure = Figure(figsize=(9, 4.3))
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xlim=(0, 90), ylim=(0, 43))
    axes.set_axis_off()
    layers = [  # left, width, colour, title, thickness
        (10, 4, "#8a8a8a", "plate", ""),
        (14, 3, "#b9c4cc", "zinc", "0 to 50 µm"),
        (17, 15, "#dcecf5", "gap", "0.5 mm"),
        (32, 14, "#f2ead8", "separator", "0.7 mm"),
        (46, 30, "#d9d9d9", "positive electrode\n(carbon felt full of electrolyte)", "3 mm"),
        (76, 4, "#8a8a8a", "plate", ""),
    ]
    for left, width, colour, title, thickness in layers:
        axes.add_patch(Rectangle((left, 8), width, 22, fc=colour, ec="white", lw=1.5))
        axes.text(left + width / 2, 32.2, title, ha="center", va="bottom", size=8.5)
        axes.text(left + width / 2, 6.6, thickness, ha="center", va="top", size=8, color=GREY)
    rng = np.random.default_rng(1)
    for x, y in rng.uniform((47, 9), (75, 29), (70, 2)):
        axes.plot([x - 1.1, x + 1.1], [y, y + rng.uniform(-1, 1)], color="#555555", lw=1.1)
    # the circuit
    for x in (12, 78):
        axes.plot([x, x], [30, 40], color=NAVY, lw=1.2)
    axes.plot([12, 40], [40, 40], color=NAVY, lw=1.2)
    axes.plot([50, 78], [40, 40], color=NAVY, lw=1.2)
    axes.text(45, 40, "charger", ha="center", va="center", size=9, color=NAVY)
    arrow(axes, (37, 40), (22, 40))
    axes.text(29, 40.6, "electrons", ha="center", va="bottom", size=8, color=NAVY)
    # reactions
    box = {"fc": "white", "ec": "none", "alpha": 0.85, "pad": 1.5}
    arrow(axes, (24.5, 26), (17.4, 26))
    axes.text(25, 26, "Zn²⁺ + 2e⁻ → Zn", va="center", size=9, color=NAVY, bbox=box)
    axes.text(61, 26, "2Br⁻ → Br₂ + 2e⁻", ha="center", va="center", size=9, color=NAVY, bbox=box)
    axes.text(
        61, 21.3, "Br₂ + Br⁻ ⇌ Br₃⁻, Br₅⁻\nheld by the agent or the carbon",
        ha="center", va="center", size=8.5, color=NAVY, bbox=box,
    )  # fmt: skip
    # through the separator
    arrow(axes, (50, 16), (28, 16))
    axes.text(39, 16.4, "Zn²⁺, Q⁺", ha="center", va="bottom", size=8.5, color=NAVY)
    arrow(axes, (28, 19.5), (50, 19.5))
    axes.text(39, 19.9, "Br⁻, Cl⁻", ha="center", va="bottom", size=8.5, color=NAVY)
    arrow(axes, (55, 11.5), (17.6, 11.5), RED, lw=1.6)
    axes.text(
        55.8, 11.5, "dissolved bromine crosses:\nZn + Br₂ → Zn²⁺ + 2Br⁻",
        va="center", size=8.5, color=RED, bbox=box,
    )  # fmt: skip
    axes.text(5, 19, "negative", rotation=90, ha="center", va="center", size=9, weight="bold")
    axes.text(85, 19, "positive", rotation=90, ha="center", va="center", size=9, weight="bold")
    axes.plot([17, 39], [3.0, 3.0], color=GREY, lw=3, solid_capstyle="butt")
    axes.plot([39, 76], [3.0, 3.0], color="#bbbbbb", lw=3, solid_capstyle="butt")
    for x, text in ((28, "negative compartment"), (57, "positive compartment")):
        axes.text(x, 2.0, text, ha="center", va="top", size=8, color=GREY)
    return figure


save("zinc_schematic", schematic())

# %% [markdown]
# ## Efficiency over current
#
# Charge limited by capacity, discharge to 0.8 V; the third cycle. The agent's half-loading
# concentration, the free bromine at which it is half full, is ten times smaller in the second set:
# less bromine is dissolved, less crosses, and the coulombic efficiency of slow cycles is another.
# For the same reason its bromine electrode is slower, and its voltage efficiency lower.


# %%
def steps(current, capacity, rest="10 minutes"):
    return [
        f"Charge at {current} mA/cm2 until {capacity} mAh/cm2",
        f"Rest for {rest}",
        f"Discharge at {current} mA/cm2 until 0.8 V",
    ]


def efficiencies(name, currents, capacity):
    cell = cm.Cell("zinc_bromine", parameters=name)
    return [cm.simulate(cell, cm.Protocol(steps(i, capacity)), cycles=3) for i in currents]


def efficiency_picture(currents, capacity=12):
    figure = Figure(figsize=(9, 3.9), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    shown = []
    for axes, name in zip(
        panels, ("zinc_bromine_static", "zinc_bromine_strong_agent"), strict=True
    ):
        lives = efficiencies(name, currents, capacity)
        shown += lives
        for key, colour in (("coulombic", BLUE), ("voltage", ORANGE), ("energy", GREEN)):
            last = [100 * float(life["cycles"][f"{key}_efficiency"][-1]) for life in lives]
            axes.plot(currents, last, "o-", color=colour, ms=4, label=f"{key} efficiency")
            print(f"{name}, {key} efficiency [%]:", np.round(last, 1))
        axes.set(title=SETS[name][0].capitalize(), xlabel="Current density [mA·cm⁻²]")
        axes.set(xscale="log", xticks=currents, xticklabels=[f"{i:g}" for i in currents])
        axes.minorticks_off()
        axes.grid(alpha=0.25)
    panels[0].set_ylabel(f"Efficiency at {capacity} mAh·cm⁻² a cycle [%]")
    panels[1].legend(loc="lower center")
    mark(figure, *shown)
    return figure


save("zinc_efficiency", efficiency_picture([5, 20] if QUICK else [2.5, 5, 10, 20, 30, 40]))

# %% [markdown]
# ## What the states do
#
# A life (`cm.simulate`) keeps what a record keeps: numbers of a cycle, and quantities of the state
# at check-ups. For quantities over time the cell's model runs in PyBaMM itself: three cycles, the
# third with a rest of six hours, and a strip.

# %%
SHADES = {"Charge": "#cfe3f3", "Rest": "#ffffff", "Discharge": "#fbe3d3", "Strip": "#e4d7ee"}


def amperes(cell, current):
    return f"{10 * current * cell.electrode_area:g} A"


def experiment(cell, current, capacity):
    charge = f"Charge at {amperes(cell, current)} for {3600 * capacity / current:.0f} seconds"
    discharge = f"Discharge at {amperes(cell, current)} until 0.8 V"
    strip = [
        f"Discharge at {amperes(cell, current / 10)} until 0.05 V",
        "Hold at 0.05 V for 1 hour",
    ]
    cycles = [(charge, f"Rest for {hours} hours", discharge) for hours in (1, 1, 6)]
    kinds = [("Charge", "Rest", "Discharge")] * 3 + [("Strip", "Strip")]
    return pybamm.Experiment([*cycles, tuple(strip)], period="1 minute"), kinds


def states_picture(name):
    _, current, capacity, _ = SETS[name]
    cell = cm.Cell(
        "zinc_bromine", parameters=name, mechanisms=["hydrogen evolution", "precipitation"]
    )
    done, kinds = experiment(cell, current, capacity)
    simulation = pybamm.Simulation(
        cell.pybamm_model(), parameter_values=cell.parameter_values(), experiment=done
    )
    solution = simulation.solve()
    hours = solution["Time [h]"].entries
    panels = [  # title, unit, variables and what to call them
        ("Voltage", "V", {"Voltage [V]": "terminals", "Open-circuit voltage [V]": "open circuit"}),
        ("State of charge", "", {"Zinc state of charge": "zinc",
                                 "Bromine state of charge": "bromine"}),
        ("Dissolved bromine", "mol·m⁻³",
         {"Positive compartment aqueous bromine concentration [mol.m-3]": ""}),
        ("Self-discharge", "A·m⁻²", {"Self-discharge current density [A.m-2]": ""}),
        ("pH", "", {"Negative compartment pH": "negative", "Positive compartment pH": "positive"}),
        ("Zinc ion at the plate over that in the gap", "", {"Plate concentration margin": ""}),
    ]  # fmt: skip
    figure = Figure(figsize=(9, 7.2), layout="constrained")
    grid = figure.subplots(3, 2, sharex=True)
    for axes, (what, unit, lines) in zip(grid.ravel(), panels, strict=True):
        for cycle, names in zip(solution.cycles, kinds, strict=True):
            for step, kind in zip(cycle.steps, names, strict=True):
                ends = step["Time [h]"].entries[[0, -1]]
                axes.axvspan(*ends, color=SHADES[kind], lw=0, label=f"_{kind}")
        looks = ({"color": BLUE, "lw": 1.4}, {"color": RED, "lw": 1.4, "ls": (0, (4, 3))})
        for (variable, label), look in zip(lines.items(), looks, strict=False):
            axes.plot(hours, solution[variable].entries, **look, label=label)
        axes.set_title(f"{what} [{unit}]" if unit else what)
        axes.set_xlim(0, hours[-1])
        if len(lines) > 1:
            axes.legend(loc=(0.56, 0.06))  # the long rest
    for axes in grid[-1]:
        axes.set_xlabel("Time [h]")
    squares = [Rectangle((0, 0), 1, 1, fc=c, ec="#cccccc", lw=0.5) for c in SHADES.values()]
    figure.legend(squares, SHADES, loc="outside lower center", ncols=4)
    mark(figure, estimates=cell.estimates)
    return figure


save("zinc_states", states_picture("zinc_bromine_static"))

# %% [markdown]
# ## Standby
#
# A charged cell rests for a week, in PyBaMM. Then the same as a protocol of the library: charged,
# held at its open-circuit voltage for a week, and discharged. What flows in during the hold makes
# up the self-discharge; times the voltage, over the energy that the cell gives, it is the standby
# power per stored energy that a backup system pays all year.

# %%
DAYS = 2 if QUICK else 7
POWER = "Standby power per stored energy [h-1]"


def week_of_rest(cell, current, capacity):
    """A week at open circuit after a charge."""
    charge = f"Charge at {amperes(cell, current)} for {3600 * capacity / current:.0f} seconds"
    done = pybamm.Experiment([charge, f"Rest for {24 * DAYS} hours"], period="10 minutes")
    simulation = pybamm.Simulation(
        cell.pybamm_model(), parameter_values=cell.parameter_values(), experiment=done
    )
    return simulation.solve().cycles[1].steps[0]


def week_of_float(cell, current, capacity, voltage):
    """A week held at a voltage: the life, and the power that the hold takes per energy [W/kWh]."""
    charge, _, discharge = steps(current, capacity)
    hold = f"Hold at {voltage:.4f} V for {24 * DAYS} hours"
    life = cm.simulate(cell, cm.Protocol([charge, hold, discharge]), cycles=2)
    last = life["cycles"].to_dataset().isel(point=-1)
    held = cm.simulate(cell, cm.Protocol([charge, discharge]), cycles=2)["cycles"]
    power = float(last["cv_charge_capacity"]) * voltage / (24 * DAYS)
    return life, 1000 * power / float(held["discharge_energy"][-1])


def standby_picture():
    figure = Figure(figsize=(9.5, 3.8), layout="constrained")
    panels = figure.subplots(1, 3)
    shown = []
    for name, (title, current, capacity, colour) in SETS.items():
        cell = cm.Cell("zinc_bromine", parameters=name)
        rest = week_of_rest(cell, current, capacity)
        days = (rest.t - rest.t[0]) / 86400
        charge = rest["Zinc state of charge"].entries
        panels[0].plot(days, rest["Voltage [V]"].entries, color=colour, label=title)
        panels[1].plot(days, 100 * charge / charge[0], color=colour, label=title)
        panels[2].plot(days[1:], 1000 * rest[POWER].entries[1:], color=colour, label=title)
        voltage = rest["Voltage [V]"].entries[1]
        life, power = week_of_float(cell, current, capacity, voltage)
        panels[2].axhline(power, color=colour, ls=(0, (4, 3)), lw=1)
        print(f"{title}: {100 * (1 - np.interp(1, days, charge) / charge[0]):.0f} % lost in a day;"
              f" float at {voltage:.3f} V takes {power:.1f} W per kWh")  # fmt: skip
        shown.append(life)
    titles = ("Open-circuit voltage [V]", "Zinc left [%]", "Standby power [W per kWh stored]")
    for axes, title in zip(panels, titles, strict=True):
        axes.set(title=title, xlabel="Days of rest")
        axes.set_xlim(0, DAYS)
        axes.grid(alpha=0.25)
    panels[1].set_ylim(0, 100)
    panels[2].set_ylim(0)
    panels[1].legend(loc="best")
    panels[2].plot([], [], color=GREY, ls=(0, (4, 3)), lw=1, label="float, held as charged")
    panels[2].plot([], [], color=GREY, label="at rest")
    panels[2].legend(handles=panels[2].lines[-2:], loc="best")
    mark(figure, *shown)
    return figure


save("zinc_standby", standby_picture())

# %% [markdown]
# ## Ageing
#
# Some hundred cycles with a strip every ten, as part of the life (`disturbs=True`); what the strip
# finds is measured. Each rate is an estimate: the dashed lines have all of them ten times as large,
# which for most is the upper end of the plausible range. Shown are the last cycles before a strip;
# the cycle after one has new zinc to plate on a bare plate.

# %%
MECHANISMS = [
    "dead zinc",
    "hydrogen evolution",
    "precipitation",
    "halogen loss",
    "complexing agent loss",
    "cathode self-discharge",
    "carbon oxidation",
    "separator fouling",
]
RATES = [
    "Dead zinc fraction",
    "Hydrogen evolution exchange-current density [A.m-2]",
    "Halogen vapour loss velocity [m.s-1]",
    "Halogen irreversible reaction rate [s-1]",
    "Complexing agent loss rate [s-1]",
    "Cathode self-discharge rate [m.s-1]",
    "Carbon oxidation rate [m3.mol-1.s-1]",
    "Separator fouling rate [m2.A-1.h-1]",
]
EVERY = 10


def aged(name, factor, cycles):
    cell = cm.Cell("zinc_bromine", parameters=name, mechanisms=MECHANISMS)
    cell = cell.with_parameters({rate: factor * cell.value(rate) for rate in RATES})
    _, current, capacity, _ = SETS[name]
    strip = cm.Test(
        "strip",
        [f"Discharge at {current / 10} mA/cm2 until 0.05 V", "Hold at 0.05 V for 1 hour"],
        "discharged",
    )
    protocol = cm.Protocol(
        steps(current, capacity), every={EVERY: cm.Checkup((strip,), disturbs=True)}
    )
    return cm.simulate(cell, protocol, cycles=cycles)


def ageing_picture(cycles):
    figure = Figure(figsize=(9.5, 5.6), layout="constrained")
    grid = figure.subplots(2, 3)
    panels = {
        "discharge_capacity": ("Discharge capacity [mAh·cm⁻²]", 10.0),
        "coulombic_efficiency": ("Coulombic efficiency [%]", 100.0),
        "area_specific_resistance": ("Area-specific resistance [Ω·cm²]", 1e4),
        "inventory_imbalance": ("Bromine in excess of zinc [mol·m⁻²]", 1.0),
        "dead_metal": ("Dead zinc [mol·m⁻²]", 1.0),
        "discharged_strip": ("Found by the strip [mAh·cm⁻²]", 10.0),
    }
    shown = []
    for name in ("zinc_bromine_static", "zinc_bromine_strong_agent"):
        for factor, style in ((1, "-"), (10, (0, (4, 2)))):
            life = aged(name, factor, cycles)
            shown.append(life)
            cycle, checkup = (life[g].to_dataset() for g in ("cycles", "checkups"))
            before_strip = cycle["cycle"].values % EVERY == 0
            for axes, (key, (title, scale)) in zip(grid.ravel(), panels.items(), strict=True):
                group = cycle.isel(point=before_strip) if key in cycle else checkup
                # A.h of the cell by 100 cm2, in mAh.cm-2
                axes.plot(
                    group["cycle"], scale * group[key], color=SETS[name][3], ls=style, lw=1.3,
                    label=f"{SETS[name][0]}, rates × {factor}",
                )  # fmt: skip
                axes.set_title(title)
    for axes in grid.ravel():
        axes.grid(alpha=0.25)
    for axes in grid[-1]:
        axes.set_xlabel("Cycle")
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    mark(figure, *shown)
    return figure


save("zinc_ageing", ageing_picture(30 if QUICK else 300))
