# %% [markdown]
# # Which mechanisms do the data of a Sanyo UR18650E support?
#
# The cell and the record of [fit_sanyo_capacity_resistance](fit_sanyo_capacity_resistance.py): one
# of 48 equal NMC/graphite cells (1.85 Ah), cycled at RWTH Aachen between about 20 and 80 % of
# charge at 25 °C. Data: doi:10.18154/RWTH-2021-04545 (CC BY 4.0), after W. Li et al., J. Power
# Sources 506 (2021) 230024. Capacity at 1C and C/4 and the resistance of a 10 s pulse, by charge
# throughput, up to the knee. That page says why these points and this protocol.
#
# Run as a script; `CELLMODELS_DATA` names the folder with the data, `CELLMODELS_OUTPUT` where
# results go.

# %%
import numpy as np
from example_tools import QUICK, data_file, keep, output

import cellmodels as cm

record = cm.read_record(
    data_file("isea_sanyo48/tests.csv.gz"),
    columns={
        "t_days": "elapsed_time [d]",
        "discharge_throughput_end_Ah": "throughput [A.h]",
        "CapDCH1": "capacity_1C [A.h]",
        "CapqOCVDCH": "capacity_C4 [A.h]",
        "r10s_dis_ohm": "resistance_10s [ohm]",
    },
    where={"cell": "epSanyo002"},
    title="Sanyo UR18650E, cell epSanyo002",
    flag=False,
)
checkups = record["checkups"].to_dataset()
before_knee = checkups["throughput"].values < 1000.0
other_charge = np.arange(before_knee.size) < 2  # the first two pulses
checkups["resistance_10s_flag"] = ("checkup", other_charge.astype("int8"))
record["checkups"] = checkups
chosen = before_knee & (np.arange(before_knee.size) % 2 == 0) if QUICK else before_knee
record = keep(record, "checkups", chosen)

# %%
full = ["Charge at C/2 until 4.1 V", "Hold at 4.1 V until C/20", "Rest for 30 minutes"]
tests = (
    cm.Test("1C", [*full, "Discharge at 1C until 2.8 V"]),
    cm.Test("C4", [*full, "Discharge at C/4 until 2.8 V"]),
    cm.Test(
        "10s",
        [*full, "Discharge at C/2 until 0.98 A.h", "Rest for 30 minutes",
         "Discharge at 2.05 A for 10 seconds"],
        measure="resistance",
    ),
)  # fmt: skip
cycle = ["Charge at 1.1C until 3.9 V", "Rest for 2200 seconds", "Discharge at 1.1C until 56 %"]
protocol = cm.Protocol(cycle, every={100: cm.Checkup(tests)}, name="20 to 80 %, 1.1C")

# %% [markdown]
# **Cell.** PyBaMM's Ecker2015 has no mechanics, which the loss of active material needs: they are
# taken from the LG M50 of `nmc_graphite_siox`, as estimates. They scale the rate that is fitted, so
# that the rate's value means little here; its course over the life is what is tested. The cell is
# adapted to the first check-ups, with negligible ageing.

# %%
FILM, CONTACT = "SEI resistivity [Ohm.m]", "Contact resistance [Ohm]"
REACTION = "SEI reaction exchange current density [A.m-2]"
DIFFUSION = "SEI solvent diffusivity [m2.s-1]"
by_reaction = cm.SEI(limit="reaction", porosity_change=False)
by_diffusion = cm.SEI(limit="solvent diffusion", porosity_change=False)
loss = cm.LossOfActiveMaterial(electrodes=("negative",))
(LOSS,) = loss.rates

ecker = cm.ParameterSet.load("Ecker2015")
numbers = cm.ParameterSet.load("nmc_graphite_siox").parameter_values()
missing = {n: numbers[n] for n in loss.requires if n not in ecker.parameter_values()}
lent = cm.ParameterSet.from_pybamm(missing, "mechanics", source="nmc_graphite_siox")
mechanics = {name: lent.value(name) for name in missing}
ecker = ecker.replace(mechanics, source="nmc_graphite_siox, another cell", status="estimate")
cell = cm.Cell(
    "lithium_ion", parameters=ecker, model="SPM", mechanisms=[by_reaction], initial_soc=0.5
).with_parameters({REACTION: 1e-10})
cell = cm.adapt(cm.adapt(cell, record), record, protocol)
contact = cell.value(CONTACT)
print(f"adapted: {cell.nominal_capacity:.4g} A.h, contact resistance {1e3 * contact:.3g} mOhm")

# %% [markdown]
# **Sets.** A film that grows at a constant rate (limited by its reaction) or ever more slowly
# (limited by diffusion through it), each alone and with a loss of active material. The film's
# resistivity and the contact resistance are fitted in every set.

# %%
sets = {
    "film, reaction": [by_reaction],
    "film, diffusion": [by_diffusion],
    "film, reaction + loss": [by_reaction, loss],
    "film, diffusion + loss": [by_diffusion, loss],
}
if QUICK:
    sets = {name: sets[name] for name in ("film, reaction", "film, diffusion")}
start = {REACTION: 2e-6, DIFFUSION: 2e-20, LOSS: 1e-7, FILM: 8e3, CONTACT: 0.93 * contact}
bounds = {
    REACTION: (2e-8, 2e-4),
    DIFFUSION: (1e-23, 1e-17),
    LOSS: (1e-10, 1e-4),
    FILM: (1e2, 1e6),
    CONTACT: (0.5 * contact, 1.2 * contact),
}
used = {name for mechanisms in sets.values() for m in mechanisms for name in m.rates}
used |= {FILM, CONTACT}
found = cm.compare_mechanisms(
    cell,
    record,
    protocol,
    sets,
    also=[FILM, CONTACT],
    coordinate="throughput",
    start={name: value for name, value in start.items() if name in used},
    bounds={name: pair for name, pair in bounds.items() if name in used},
    cuts=(0.6,) if QUICK else (0.5, 0.6, 0.7),
    progress=False,
    max_evaluations=8 if QUICK else 30,
)
print(found)
found.save(output("sanyo_mechanisms.nc"))
found.plot().savefig(output("sanyo_mechanisms.png"), dpi=140)
print(found.parameters["value"].to_pandas().T.to_string(float_format="{:.3g}".format))

# %% [markdown]
# **What the data support.** A film limited by diffusion alone is refuted: with the root of time
# there is no straight line. A film that grows at a constant rate makes the line, and a loss of
# material beside it is driven to its lower bound: it is not needed. A thin film with a loss of
# material is preferred by its AICc, with half the misfit; but no set explains the cell. The
# residuals are several times the scatter of the points and keep their sign, and no set predicts the
# rest of the life within the noise. So capacity and resistance up to the knee tell the course of
# the loss and refute one law, and they do not tell its cause beyond doubt: slow voltage curves at
# the check-ups could, as they tell lost lithium from lost material.
