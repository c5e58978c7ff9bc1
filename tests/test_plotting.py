import matplotlib
import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from cellmodels.errors import InputError
from cellmodels.plotting import _pretty_unit, _title, plot_fit, plot_life

NAMES = ["SEI solvent diffusivity [m2.s-1]", "Contact resistance [Ohm]"]


def make_life(flagged: bool = True, coordinate: str = "cycle") -> xr.DataTree:
    n = np.arange(1.0, 201.0)
    capacity = 5 - 0.02 * np.sqrt(n)
    flags = np.zeros(n.size)
    if flagged:
        capacity[[20, 40]] = 4.95, 1.0  # the second far below everything else
        flags[[20, 40]] = 1
    cycles = xr.Dataset(
        {
            "discharge_capacity": ("point", capacity, {"units": "A.h"}),
            "discharge_capacity_flag": ("point", flags),
            "charge_capacity": ("point", capacity + 0.01, {"units": "A.h"}),
            "coulombic_efficiency": ("point", np.full(n.size, 0.998), {"units": "-"}),
        },
        coords={coordinate: ("point", n * (86400 if coordinate == "elapsed_time" else 1))},
    )
    checkups = xr.Dataset(
        {
            "capacity_C20": ("checkup", [5.0, 4.8, 4.7], {"units": "A.h"}),
            "resistance_pulse": ("checkup", [0.03, 0.031, np.nan], {"units": "ohm"}),
            "voltage_C20": (
                ("checkup", "charge_C20"),
                [[4.1, 3.8, 3.4], [4.1, 3.7, 3.3], [4.0, 3.7, np.nan]],
                {"units": "V"},
            ),
        },
        coords={"cycle": ("checkup", [0, 100, 200]), "charge_C20": [0.5, 2.5, 4.5]},
    )
    return xr.DataTree.from_dict({"cycles": cycles, "checkups": checkups})


def make_fit_tree(identifiable=(True, False), logarithmic=(True, True)) -> xr.DataTree:
    """The tree of a fit of a scalar variable and a voltage curve."""
    life = make_life()
    n = np.array([1.0, 50.0, 100.0, 0.0, 0.0, 100.0, 100.0])
    voltage = np.array([False] * 3 + [True] * 4)
    data = np.array([4.98, 4.86, 4.8, 4.1, 3.4, 4.1, 3.3])
    points = xr.Dataset(
        {
            "data": ("point", data),
            "std": ("point", np.full(7, 0.01)),
            "prediction": ("point", data + 0.005),
            "normalised_residual": ("point", np.full(7, 0.5)),
        },
        coords={
            "group": ("point", np.where(voltage, "checkups", "cycles")),
            "variable": ("point", np.where(voltage, "voltage_C20", "discharge_capacity")),
            "unit": ("point", np.where(voltage, "V", "A.h")),
            "charge": ("point", np.where(voltage, [0, 0, 0, 0.5, 4.5, 0.5, 4.5], np.nan)),
            "coordinate": ("point", ["cycle"] * 7),
            "at": ("point", n),
        },
    )
    columns = {
        "value": [2e-22, 1e-3],
        "start": [1e-22, 2e-3],
        "lower_bound": [1e-24, 1e-5],
        "upper_bound": [1e-20, 1e-1],
        "standard_error": [1e-23, 2e-3],
        "scaled_standard_error": [0.05, 2.0],
        "interval_low": [1.8e-22, 0.0],
        "interval_high": [2.2e-22, np.inf],
        "identifiable": list(identifiable),
        "logarithmic": list(logarithmic),
    }
    parameters = xr.Dataset(
        {name: ("parameter", values) for name, values in columns.items()},
        coords={"parameter": NAMES},
    )
    tree = xr.DataTree.from_dict({"points": points, "parameters": parameters})
    tree["record"] = life
    return tree


def all_axes(figure: Figure) -> list:
    return figure.get_axes()


def titled(figure: Figure, title: str):
    return next(ax for ax in all_axes(figure) if ax.get_title(loc="left") == title)


def draw(figure: Figure) -> None:
    figure.draw_without_rendering()


def test_fit_has_a_panel_and_residuals_for_each_variable():
    figure = plot_fit(make_fit_tree())
    draw(figure)
    assert titled(figure, "Discharge capacity").get_ylabel() == "Capacity [A·h]"
    assert titled(figure, "Voltage C20 at check-ups").get_ylabel() == "Voltage [V]"
    residuals = [ax for ax in all_axes(figure) if ax.get_ylabel() == "residual\n/ noise"]
    assert len(residuals) == 2
    assert {ax.get_xlabel() for ax in residuals} == {"Cycle", "Discharged charge [A·h]"}


def test_fit_shows_data_model_and_flagged_points():
    ax = titled(plot_fit(make_fit_tree()), "Discharge capacity")
    lines = {line.get_label(): line for line in ax.get_lines()}
    np.testing.assert_allclose(lines["model"].get_ydata(), [4.985, 4.865, 4.805])
    assert "flagged, not fitted (2)" in lines
    # One outlier is far away: it is shown on the edge and does not squeeze the others.
    assert "flagged, beyond this axis" in lines
    assert ax.get_ylim()[0] > 4.5


def test_a_parameter_that_is_not_determined_is_grey_and_open():
    ax = titled(plot_fit(make_fit_tree()), "Parameters")
    values = [line for line in ax.get_lines() if line.get_marker() == "o"]
    assert [line.get_markerfacecolor() == "white" for line in values] == [False, True]
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels[0] == "SEI solvent diffusivity\n2×10⁻²² m²·s⁻¹ ± 5 %"
    assert labels[1] == "Contact resistance\n0.001 Ω, not determined"
    np.testing.assert_allclose([line.get_xdata()[0] for line in values], [2.0, 0.5])


def test_unbounded_intervals_end_at_finite_places():
    figure = plot_fit(make_fit_tree())
    draw(figure)
    for line in titled(figure, "Parameters").get_lines():
        assert np.all(np.isfinite(np.asarray(line.get_xdata(), dtype=float)))


def test_parameters_on_linear_scales_get_their_own_axis():
    figure = plot_fit(make_fit_tree(logarithmic=(True, False)))
    draw(figure)
    labels = [ax.get_xlabel() for ax in all_axes(figure)]
    assert "value / start" in labels
    assert "(value − start) / distance to farther bound" in labels


def test_life_puts_quantities_of_one_kind_together():
    figure = plot_life(make_life())
    draw(figure)
    titles = [ax.get_title(loc="left") for ax in all_axes(figure)]
    for title in ("Capacity", "Coulombic efficiency", "Capacity C20", "Resistance pulse"):
        assert title in titles
    legend = titled(figure, "Capacity").get_legend()
    shown = {text.get_text() for text in legend.get_texts()}
    assert shown == {"Discharge capacity", "Charge capacity"}


def make_states() -> xr.DataTree:
    def state(values, unit, about):
        return "checkup", values, {"units": unit, "long_name": about}

    checkups = xr.Dataset(
        {
            "ph_negative": state([3.0, 4.0], "-", "pH at the negative electrode"),
            "ph_positive": state([3.0, 3.5], "-", "pH at the positive electrode"),
            "hydrogen": state([0.0, 0.1], "mol.m-2", "hydrogen made"),
            "plate_margin": state([1.0, 0.9], "-", "metal ion at the plate"),
        },
        coords={"cycle": ("checkup", [0, 10])},
    )
    return xr.DataTree.from_dict({"checkups": checkups})


def test_quantities_of_the_state_are_called_by_their_long_names():
    figure = plot_life(make_states())
    draw(figure)
    assert titled(figure, "Hydrogen made").get_ylabel() == "[mol·m⁻²]"
    assert titled(figure, "Metal ion at the plate").get_ylabel() == ""  # the title says it
    shown = {text.get_text() for text in titled(figure, "pH").get_legend().get_texts()}
    assert shown == {"pH at the negative electrode", "pH at the positive electrode"}
    assert titled(figure, "pH").get_ylabel() == "pH"


def test_many_panels_are_not_one_long_column():
    tree = make_states()
    many = tree["checkups"].to_dataset()
    for k in range(9):
        many[f"end_voltage_{k}"] = many["hydrogen"].assign_attrs(long_name=f"state {k}")
    tree["checkups"] = xr.DataTree(many)
    width, height = plot_life(tree).get_size_inches()
    assert width > height


def test_time_is_shown_in_days():
    figure = plot_life(make_life(coordinate="elapsed_time"))
    ax = titled(figure, "Capacity")
    assert ax.get_xlabel() == "Time [days]"
    assert ax.dataLim.x1 == pytest.approx(200)


def test_no_state_of_pyplot_or_of_the_style_is_left():
    before = matplotlib.rcParams.copy()
    figure = plot_life(make_life())
    plot_fit(make_fit_tree())
    assert matplotlib.rcParams == before
    assert isinstance(figure, Figure)
    assert figure.number is None if hasattr(figure, "number") else True
    import matplotlib.pyplot as plt

    assert plt.get_fignums() == []


def test_figures_are_written_without_a_display(tmp_path):
    for name, figure in (("life", plot_life(make_life())), ("fit", plot_fit(make_fit_tree()))):
        for suffix in (".png", ".pdf"):
            path = tmp_path / f"{name}{suffix}"
            figure.savefig(path)
            assert path.stat().st_size > 5000


def test_nothing_to_plot_is_said():
    with pytest.raises(InputError, match="nothing to plot"):
        plot_life(xr.DataTree())
    with pytest.raises(InputError, match="no group /points"):
        plot_fit(make_life())


@pytest.mark.parametrize("text", [r"$\frac{$", "$x$", "5 $"])
def test_a_dollar_sign_of_a_file_begins_no_formula(text):
    dataset = xr.Dataset({"own": ("x", [1.0])})
    dataset["own"].attrs = {"long_name": text}
    figure = Figure()
    figure.suptitle(f"{_title('own', dataset)} {_pretty_unit(text)}")
    figure.canvas.draw()
    assert figure.get_suptitle().count(r"\$") == 2 * text.count("$")
