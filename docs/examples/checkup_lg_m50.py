# %% [markdown]
# # A check-up, from the cycler's rows to the numbers: LG M50 at 25 °C
#
# First check-up (RPT0) of an LG M50 cell, 5 A·h, NMC811 against graphite-SiOx, of the study
# doi:10.1016/j.jpowsour.2024.234185 (data doi:10.5281/zenodo.10637534, CC BY 4.0), as PyProBE hands
# it out (github.com/ImperialCollegeLondon/PyProBE): a charge, a slow discharge and a slow charge.
#
# Run as a script; `CELLMODELS_DATA` names the folder with the data, `CELLMODELS_OUTPUT` where
# results go. The same from the shell: `cellmodels quality FILE`, `cellmodels checkups FILE`.

# %%
from example_tools import data_file, output

import cellmodels as cm

FILE = data_file(
    "pyprobe_lgm50_rpt0/"
    "NDK_-_LG_M50_deg_-_exp_2_2_-_rig_3_-_25degC_-_cell_C_-_BoL_-_RPT0_short_CA4.parquet"
)

# %% [markdown]
# **Is anything wrong with the file?** Its header does not say which sign of the current is which;
# that is told by what the voltage does, with a warning. Nothing else is found.

# %%
print(cm.check_quality(FILE))

# %% [markdown]
# **What was measured?** Each row of the table says how its numbers were obtained.

# %%
found = cm.find_checkups(FILE)
print(found)
found.plot().savefig(output("checkup_lg_m50.png"), dpi=140)
cm.write_record(found.record, output("checkup_lg_m50.nc"))

# %% [markdown]
# **Against a model.** The same slow discharge of the nearest parameter set: Chen's LG M50 with the
# ageing of O'Kane, whose cell is another one of this type.

# %%
cell = cm.Cell("lithium_ion", parameters="nmc_graphite_siox", model="SPMe")
test = found.tests.isel(test=found.tests["name"].values.tolist().index("C10"))
current, ends_at = float(test["current"]), float(test["end_voltage"])
slow = f"Discharge at {current:.4f} A until {ends_at:.3f} V"
life = cm.simulate(
    cell,
    cm.Protocol(
        [slow, "Charge at C/3 until 4.2 V"], every={1: cm.Checkup([cm.Test("C10", [slow])])}
    ),
    cycles=1,
    progress=False,
)
measured = float(found.record["checkups"]["capacity_C10"][0])
simulated = float(life["checkups"]["capacity_C10"][0])
print(
    f"\nC/10 discharge to 2.5 V: measured {measured:.3f} A.h, {cell.parameters} {simulated:.3f} A.h"
)
