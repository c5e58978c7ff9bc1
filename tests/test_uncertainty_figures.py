"""Figures of profiles and pairs show what the datasets hold."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr

from cellmodels.errors import InputError
from cellmodels.uncertainty_figures import plot_pairs, plot_profiles

NAMES = ["Rate $a$ [s-1]", "Offset [V]"]


@pytest.fixture
def profile():
    """One closed on both sides, on a logarithmic scale; one open above, on a linear one."""
    at = np.array([[0.5, 0.7, 1.0, 1.5, 2.2], [-1.0, -0.5, 0.0, 1.0, np.nan]])
    deviance = np.array([[4.0, 1.2, 0.0, 1.4, 3.9], [4.2, 1.0, 0.0, 1.0, np.nan]])
    return xr.Dataset(
        {
            "at": (("parameter", "point"), at),
            "deviance": (("parameter", "point"), deviance),
            "optimum": ("parameter", [1.0, 0.0]),
            "interval_low": ("parameter", [0.51, -0.97]),
            "interval_high": ("parameter", [2.18, 1.0]),
            "pieces": (
                ("parameter", "piece", "side"),
                [[[0.51, 2.18], [np.nan, np.nan]], [[-0.97, 1.0], [np.nan, np.nan]]],
            ),
            "closed_low": ("parameter", [True, True]),
            "closed_high": ("parameter", [True, False]),
            "end_low": ("parameter", ["closed", "closed"]),
            "end_high": ("parameter", ["closed", "blocked"]),
            "logarithmic": ("parameter", [True, False]),
            "scaled_standard_error": ("parameter", [0.35, 0.5]),
            "linear_unit": ("parameter", [1.0, 1.0]),
        },
        coords={"parameter": NAMES},
        attrs={"threshold": 3.84, "level": 0.95},
    )


@pytest.fixture
def tree():
    parameters = xr.Dataset(
        {
            "value": ("parameter", [2.0, 0.1]),
            "standard_error": ("parameter", [0.2, 0.05]),
            "scaled_standard_error": ("parameter", [0.1, 0.025]),
            "lower_bound": ("parameter", [0.02, -4.0]),
            "upper_bound": ("parameter", [200.0, 4.0]),
            "logarithmic": ("parameter", [True, False]),
            "covariance": (("parameter", "other"), [[0.01, 0.001], [0.001, 0.025**2]]),
        },
        coords={"parameter": NAMES},
    )
    return xr.DataTree.from_dict({"parameters": parameters})


def axes_of(figure):
    figure.canvas.draw()
    return [ax for ax in figure.axes if ax.axison]


def texts(ax):
    return " ".join(text.get_text() for text in ax.texts)


def test_profiles_show_points_threshold_and_open_sides(profile):
    first, second = axes_of(plot_profiles(profile))
    for ax, k in ((first, 0), (second, 1)):
        drawn = [line.get_xydata() for line in ax.lines if line.get_marker() == "o"]
        known = np.isfinite(profile["at"].values[k])
        expected = np.stack([profile["at"].values[k], profile["deviance"].values[k]], axis=1)[known]
        np.testing.assert_array_equal(drawn[0], expected)
    assert first.get_xscale() == "log" and second.get_xscale() == "linear"
    assert texts(first) == "" and "simulations" in texts(second)
    assert any(np.allclose(line.get_ydata(), 3.84) for line in first.lines)
    # the smooth curve goes through the points and never below zero
    curve = next(line for line in first.lines if len(line.get_xdata()) == 300
                 and np.isclose(line.get_xdata()[0], 0.5))  # fmt: skip
    assert curve.get_ydata().min() >= 0.0
    assert np.interp(0.7, curve.get_xdata(), curve.get_ydata()) == pytest.approx(1.2, abs=0.02)


def test_gaps_between_optima_are_not_shaded_and_have_no_curve(profile):
    two = profile.isel(parameter=[0]).copy(deep=True)
    two["pieces"][0] = [[0.51, 0.8], [1.3, 2.18]]
    (ax,) = axes_of(plot_profiles(two))
    shaded = sorted((p.get_x(), p.get_x() + p.get_width()) for p in ax.patches)
    np.testing.assert_allclose(shaded, [(0.51, 0.8), (1.3, 2.18)])
    curves = [line.get_xdata() for line in ax.lines if line.get_linestyle() == "-"
              and line.get_linewidth() == 1.4]  # fmt: skip
    np.testing.assert_allclose([(x[0], x[-1]) for x in curves], [(0.5, 1.0), (1.5, 2.2)])


def test_a_parabola_of_the_standard_error_stands_beside(profile):
    first, _ = axes_of(plot_profiles(profile))
    parabola = first.lines[[line.get_color() for line in first.lines].index("#9A9A9A")]
    x, y = parabola.get_data()
    np.testing.assert_allclose(y, (np.log(x) / 0.35) ** 2)


def test_a_parameter_that_does_nothing(profile):
    flat = profile.copy(deep=True)
    flat["deviance"] = 0.0 * flat["deviance"]
    flat["closed_low"][:], flat["closed_high"][:] = False, False
    flat["scaled_standard_error"][:] = 1e9
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for ax in axes_of(plot_profiles(flat)):
            assert "open" in texts(ax) or "simulations" in texts(ax)


def test_pairs_show_ellipses(tree):
    figure = plot_pairs(tree)
    diagonal, pair, last = axes_of(figure)
    assert pair.get_xlabel() == "Rate \\$a\\$ / fitted" and pair.get_ylabel() == "Offset [V]"
    ellipses = [line.get_xydata() for line in pair.lines if len(line.get_xdata()) == 200]
    assert len(ellipses) == 2
    steps = np.stack([np.log(ellipses[1][:, 0]), (ellipses[1][:, 1] - 0.1) / 2.0], axis=1)
    inverse = np.linalg.inv(tree["parameters"]["covariance"].values)
    np.testing.assert_allclose(np.einsum("ij,jk,ik->i", steps, inverse, steps), 5.991, rtol=1e-3)
    assert diagonal.get_xlim()[0] < 1 < diagonal.get_xlim()[1] and last.get_xlabel() == "Offset [V]"


def test_pairs_show_draws(tree):
    rng = np.random.default_rng(0)
    values = np.stack([2 * np.exp(0.1 * rng.standard_normal(50)), rng.standard_normal(50)], axis=1)
    values[3] = np.nan  # a refit that failed
    tree["bootstrap"] = xr.DataTree(xr.Dataset({"values": (("draw", "parameter"), values)}))
    _, pair, _ = axes_of(plot_pairs(tree))
    dots = next(line for line in pair.lines if line.get_marker() == ".")
    assert len(dots.get_xdata()) == 49
    np.testing.assert_allclose(dots.get_xdata()[0], values[0, 0] / 2)


def test_the_draws_of_one_parameter_have_an_area_of_one(tree):
    rng = np.random.default_rng(0)
    values = np.stack([2 * np.exp(rng.standard_normal(500)), rng.standard_normal(500)], axis=1)
    tree["samples"] = xr.DataTree(xr.Dataset({"values": (("draw", "parameter"), values)}))
    first, _, last = axes_of(plot_pairs(tree))
    assert first.get_xscale() == "log" and last.get_xscale() == "linear"
    for ax, form in ((first, np.log), (last, lambda x: x)):
        counts, edges, _ = ax.patches[0].get_data()
        assert np.sum(counts * np.diff(form(edges))) == pytest.approx(1.0, abs=0.01)


def test_an_unknown_parameter_is_shown_between_its_bounds(tree):
    covariance = tree["parameters"]["covariance"].values.copy()
    covariance[0] = covariance[:, 0] = 0.0
    covariance[0, 0] = 1e20
    tree["parameters"]["covariance"].values[:] = covariance
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        diagonal, *_ = axes_of(plot_pairs(tree))
    assert diagonal.get_xscale() == "log"
    np.testing.assert_allclose(diagonal.get_xlim(), (0.01, 100.0))


def test_what_is_no_profile_or_fit():
    with pytest.raises(InputError, match="no profile"):
        plot_profiles(xr.Dataset())
    with pytest.raises(InputError, match="not that of a fit"):
        plot_pairs(xr.DataTree())
