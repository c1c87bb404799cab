"""Pictures of conditional densities and of calibration, read back from the axes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.collections import PathCollection, QuadMesh
from scipy import stats

import cflows as cf
from cflows import plot

# x is normal about a + 2 b with deviation 0.5: the flow says so exactly.
CONTEXT = np.random.default_rng(0).uniform(-1, 1, size=(3000, 2))
X = CONTEXT @ [1.0, 2.0] + 0.5 * np.random.default_rng(1).normal(size=3000)
TABLE = pd.DataFrame({"b": CONTEXT[:, 1], "a": CONTEXT[:, 0]})


@pytest.fixture(autouse=True)
def headless() -> Iterator[None]:
    with mpl.rc_context({"backend": "agg"}):
        yield
        plt.close("all")


def exact(features: int = 1, scale: float = 0.5) -> cf.Flow:
    """Every feature f is f + the normal above."""
    base = cf.Normal(conditioner=cf.MLP(()))
    flow = cf.Flow([], features, context_features=2, base=base, dtype="float64", seed=0)
    for name, values in flow.parameters.items():
        values[...] = 0.0
        if name.endswith("weight"):
            values[:features] = [1.0, 2.0]
        else:
            values[:features] = np.arange(features)
            values[features:] = np.log(scale)
    flow.context_columns = ["a", "b"]
    return flow


def lines(ax: Any) -> list[Any]:
    return [line for line in ax.lines if len(line.get_xdata()) > 2]


def test_an_image_is_the_density_along_a_column() -> None:
    flow = exact()
    ax = plot.conditional(flow, TABLE, X, along="a", bounds=(-3, 3), resolution=50)
    (mesh,) = (c for c in ax.collections if isinstance(c, QuadMesh))
    image = mesh.get_array().reshape(50, -1)
    corners = mesh.get_coordinates()
    at = 0.5 * (corners[1:, 0, 1] + corners[:-1, 0, 1])
    a = 0.5 * (corners[0, 1:, 0] + corners[0, :-1, 0])
    centre = a + 2.0 * np.median(TABLE["b"])
    np.testing.assert_allclose(image, stats.norm.pdf(at[:, None], centre, 0.5), atol=1e-6)
    for line, p in zip(lines(ax), (0.05, 0.5, 0.95), strict=True):
        np.testing.assert_allclose(line.get_ydata(), stats.norm.ppf(p, centre, 0.5), atol=1e-6)
        assert line.get_label() == f"{p:g}"
    (points,) = (c for c in ax.collections if isinstance(c, PathCollection))
    shown = points.get_offsets().data
    assert len(shown) == 2000
    assert {tuple(row) for row in shown} <= set(zip(CONTEXT[:, 0], X, strict=True))
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_ylim()) == ("a", "$x$", (-3.0, 3.0))


def test_curves_are_densities_of_the_rows() -> None:
    flow = exact()
    flow.columns = ["y"]
    rows = pd.DataFrame({"a": [0.0, 1.0, np.nan], "b": [0.5, 0.5, 0.0]})
    ax = plot.conditional(flow, rows, [0.3, 0.4, 0.5], bounds=(-2, 4))
    for line, centre in zip(lines(ax), (1.0, 2.0), strict=True):
        np.testing.assert_allclose(
            line.get_ydata(), stats.norm.pdf(line.get_xdata(), centre, 0.5), atol=1e-6
        )
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a = 0", "a = 1"]
    truths = [line.get_xdata()[0] for line in ax.lines if len(line.get_xdata()) == 2]
    assert truths == [0.3, 0.4] and ax.get_xlabel() == "y"


def test_a_feature_of_several_is_drawn_from_samples() -> None:
    flow = exact(features=2)
    flow.columns = ["first", "second"]
    ax = plot.conditional(flow, [[0.5, 0.0]], feature="second", bounds=(-1, 4))
    (line,) = lines(ax)
    np.testing.assert_allclose(
        line.get_ydata(), stats.norm.pdf(line.get_xdata(), 1.5, 0.5), atol=0.03
    )
    ax = plot.conditional(flow, CONTEXT, along=1, feature=1, quantiles=[0.5], bounds=(-4, 6))
    (line,) = lines(ax)
    centre = 1.0 + np.median(CONTEXT[:, 0]) + 2.0 * line.get_xdata()
    np.testing.assert_allclose(line.get_ydata(), centre, atol=0.12)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("b", "second")
    with pytest.raises(ValueError, match="2 features: say which"):
        plot.conditional(flow, CONTEXT, along=1)


def test_integers_are_drawn_as_probabilities() -> None:
    flow = cf.maf(1, layers=1, hidden=(4,), columns=[cf.ordinal(4)], context_features=1, seed=0)
    (line,) = lines(plot.conditional(flow, [[0.0]]))
    shares = dict(zip(line.get_xdata(), line.get_ydata(), strict=True))
    steps = np.diff(flow.cdf([-1, 0, 1, 2, 3], [0.0]))
    for level in range(4):
        assert abs(shares[level] - steps[level]) < 0.01
    assert sum(shares.values()) == pytest.approx(1.0)
    spread = flow.sample(4000, [0.0], seed=3)
    heights = plot.pit(flow, spread, [0.0], bins=8).patches[1].get_data().values
    assert np.abs(heights - 500).max() < 4 * np.sqrt(500)


def test_angles_have_no_lines_of_quantiles() -> None:
    flow = cf.nsf(1, layers=1, hidden=4, columns=[cf.circular(24)], context_features=1, seed=0)
    ax = plot.conditional(flow, CONTEXT[:, :1], along=0)
    assert lines(ax) == [] and len(ax.collections) == 1


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "column": ({"along": "c"}, "no column 'c'; the columns are a, b"),
    "number": ({"along": 2}, "at most 1"),
    "feature": ({"feature": 1}, "at most 0"),
    "data": ({"x": X[:5]}, "x must have shape"),
    "constant": ({"context": np.ones((5, 2)), "along": 0}, "1 in all rows"),
    "missing": ({"context": np.full((5, 2), np.nan)}, "no row of finite numbers"),
    "width": ({"context": np.ones((5, 3))}, "context must have shape"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_are_refused(name: str) -> None:
    options, message = WRONG[name]
    with pytest.raises(ValueError, match=message):
        plot.conditional(**{"flow": exact(), "context": CONTEXT, **options})


def test_a_flow_without_context_is_refused() -> None:
    with pytest.raises(ValueError, match=r"plot\.density"):
        plot.conditional(cf.Flow([], features=1, seed=0), CONTEXT)


def test_pit_counts_the_values_of_the_true_distribution() -> None:
    values = stats.norm.cdf(X, CONTEXT @ [1.0, 2.0], 0.5)
    with_nan = np.append(X, np.nan), np.vstack([CONTEXT, [0.0, 0.0]])
    ax = plot.pit(exact(), *with_nan, bins=10)
    steps = ax.patches[1].get_data()
    assert steps.values.tolist() == np.histogram(values, 10, (0, 1))[0].tolist()
    band = ax.patches[0].get_extents().transformed(ax.transData.inverted())
    half = stats.norm.ppf(0.995) * np.sqrt(3000 * 0.1 * 0.9)
    np.testing.assert_allclose([band.y0, band.y1], [300 - half, 300 + half], rtol=1e-4)
    with pytest.raises(ValueError, match="no row of numbers"):
        plot.pit(exact(), [np.nan], CONTEXT[:1])


def test_calibration_is_the_share_of_rows_below_quantiles() -> None:
    flow = exact(scale=1.0)  # twice as wide as the data
    ax = plot.calibration(flow, X, CONTEXT)
    (curve,) = lines(ax)
    p = curve.get_xdata()[1:-1]
    z = X - CONTEXT @ [1.0, 2.0]
    shares = (z <= stats.norm.ppf(p)[:, None]).mean(axis=1)
    np.testing.assert_allclose(curve.get_ydata()[1:-1], shares, atol=1e-3)
    inside = np.abs(z) <= stats.norm.ppf(0.95)
    assert f", {inside.mean():.1%}, " in ax.get_title()


def test_a_density_over_the_line() -> None:
    flow = cf.Flow([cf.Affine(1.0, 2.0)], features=1, dtype="float64", seed=0)
    x = 1.0 + 2.0 * np.random.default_rng(0).normal(size=2000)
    for model, data, bounds in ((flow, x, None), (flow.log_prob, None, (-4.0, 6.0))):
        ax = plot.density(model, data, bounds=bounds)
        (line,) = ax.lines
        np.testing.assert_allclose(line.get_ydata(), stats.norm.pdf(line.get_xdata(), 1, 2), 1e-10)
        assert len(ax.patches) == (data is not None)
    bars = plot.density(flow, x).patches[0].get_data()
    heights = np.histogram(x, bars.edges)[0] / (2000 * np.diff(bars.edges))
    np.testing.assert_allclose(bars.values, heights)
    with pytest.raises(ValueError, match="expected bounds"):
        plot.density(flow)
