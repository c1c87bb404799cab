"""Pictures: what is drawn where, read back from the axes; how they look is for eyes to judge."""

import io
import subprocess
import sys
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image
from scipy import stats

import cflows as cf
from cflows import data, plot
from cflows.plot.canvas import mass_levels, thinned

RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(400, 8)) * [1, 1e5, 1e-3, 1, 1, 1, 1, 1]


@pytest.fixture(autouse=True)
def headless():
    with mpl.rc_context({"backend": "agg"}):
        yield
        plt.close("all")


def bent(context_features=0, seed=0):
    """A flow of two features in which every layer does something."""
    flow = cf.Flow(
        [
            cf.Coupling(hidden=(5,), activation="tanh"),
            cf.Permutation("reverse"),
            cf.Coupling(hidden=(5,), activation="tanh"),
            cf.BatchNorm(),
            cf.Affine(shift=[0.5, -1.0], scale=[0.9, -0.4]),
        ],
        features=2,
        context_features=context_features,
        dtype="float64",
        seed=seed,
    )
    rng = np.random.default_rng(seed)
    for name, parameter in flow.parameters.items():
        parameter[...] = rng.normal(size=parameter.shape) * 0.3
        if name.endswith("variance"):
            np.exp(parameter, out=parameter)
    return flow


def rendered(figure):
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=30)
    return len(file.getvalue())


def test_matplotlib_waits_for_the_first_picture():
    script = "import sys; from cflows import plot; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_missing_matplotlib_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    history = SimpleNamespace(train=[1.0], validation=None, steps=[1], seconds=[0.1])
    for picture in (
        lambda: plot.density(data.toy("moons")),
        lambda: plot.densities({"moons": data.toy("moons")}),
        lambda: plot.samples(TABLE, TABLE),
        lambda: plot.images(np.ones((4, 8, 8))),
        lambda: plot.learning_curve(history),
        lambda: plot.grid(bent()),
        lambda: plot.layers(bent()),
        lambda: plot.animate(bent()),
        lambda: plot.mask("half", 4),
    ):
        with pytest.raises(ImportError, match=r"pip install .cflows\[plot\]"):
            picture()


# --- Densities -------------------------------------------------------------------------------


def test_density_is_drawn_where_it_is():
    toy = data.toy("pinwheel")
    ax = plot.density(toy, bounds=((-3.0, 1.0), (0.0, 2.0)), resolution=50)
    (image,) = ax.images
    assert image.get_extent() == [-3.0, 1.0, 0.0, 2.0]
    # Row 10, column 20, from the lower left corner: the middles of the pixels.
    pixel = np.exp(toy.log_prob([[-3.0 + 4.0 * 20.5 / 50, 2.0 * 10.5 / 50]]))
    assert image.get_array()[10, 20] == pytest.approx(pixel[0])
    assert image.origin == "lower"
    assert (ax.get_xlim(), ax.get_ylim()) == ((-3.0, 1.0), (0.0, 2.0))
    assert rendered(ax.figure)


def test_density_takes_a_callable_or_a_flow():
    toy = data.toy("circles")

    class CallableFlow:
        def log_prob(self, x):
            return toy.log_prob(x).astype(np.float32)

        def __call__(self, _):
            raise AssertionError

    pictures = [
        plot.density(model, bounds=toy.bounds, resolution=30).images[0].get_array()
        for model in (toy, toy.log_prob, CallableFlow())
    ]
    np.testing.assert_array_equal(pictures[0], pictures[1])
    np.testing.assert_allclose(pictures[0], pictures[2], rtol=1e-4)


def test_density_lays_data_on_top_and_takes_bounds_from_it():
    x = RNG.normal(loc=[10.0, 0.0], size=(3000, 2))
    x[7] = np.nan
    figure, given = plt.subplots()
    ax = plot.density(lambda x: -np.square(x - [10.0, 0.0]).sum(axis=1), x, ax=given)
    assert ax is given and ax.figure is figure
    offsets = ax.collections[0].get_offsets()
    assert len(offsets) == 2000 and np.isin(offsets, x).all()
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    assert 6.0 < left < 8.0 and 12.0 < right < 14.0
    assert -4.0 < bottom < -2.0 and 2.0 < top < 4.0


def test_density_keeps_its_shades_beside_a_spike_and_a_hole():
    def log_prob(x):
        log_prob = -0.5 * np.square(x).sum(axis=1)
        log_prob[3000] = 3.0
        log_prob[5000] = np.nan
        return log_prob

    ax = plot.density(log_prob, bounds=((-3, 3), (-3, 3)), resolution=100)
    assert 0.9 < ax.images[0].norm.vmax <= 1.0
    assert rendered(ax.figure)


def test_density_errors():
    toy = data.toy("moons")
    with pytest.raises(ValueError, match="expected bounds, or data x"):
        plot.density(toy.log_prob)
    with pytest.raises(ValueError, match="got 3 features"):
        plot.density(toy, np.ones((5, 3)))
    with pytest.raises(ValueError, match="no row of finite numbers"):
        plot.density(toy, np.full((5, 2), np.nan))
    with pytest.raises(ValueError, match=r"shape \(100,\), got \(100, 2\)"):
        plot.density(lambda x: x, bounds=toy.bounds, resolution=10)
    for resolution in (0, -1, -3):
        with pytest.raises(ValueError, match="resolution must be 1 or more"):
            plot.density(toy, resolution=resolution)
    with pytest.raises(TypeError, match="resolution must be an int"):
        plot.density(toy, resolution=10.0)
    assert plt.get_fignums() == []


def test_density_given_a_context():
    flow = cf.realnvp(2, layers=2, hidden=(6,), context_features=3, dtype="float64", seed=0)
    for parameter in flow.parameters.values():
        parameter[...] = RNG.normal(size=parameter.shape) * 0.5
    context, bounds = np.array([0.5, -1.0, 2.0]), ((-2.0, 2.0), (-2.0, 2.0))
    ax = plot.density(flow, context=context, bounds=bounds, resolution=20)
    # Row 5, column 12, from the lower left corner.
    log_prob = flow.log_prob([[-2.0 + 4.0 * 12.5 / 20, -2.0 + 4.0 * 5.5 / 20]], context)
    pixel = ax.images[0].get_array()[5, 12]
    assert pixel == pytest.approx(np.exp(log_prob[0]))
    by_callable = plot.density(flow.log_prob, context=context, bounds=bounds, resolution=20)
    assert by_callable.images[0].get_array()[5, 12] == pixel
    with pytest.raises(ValueError, match="context"):
        plot.density(flow, bounds=bounds, resolution=20)
    with pytest.raises(ValueError, match="context"):
        plot.density(flow, context=context[:2], bounds=bounds, resolution=20)


def test_density_has_a_scale_of_colours():
    toy = data.toy("moons")
    ax = plot.density(toy, resolution=20)
    _, bar = ax.figure.axes
    assert bar.get_ylabel() == "density"
    assert bar.get_ylim() == (0.0, ax.images[0].norm.vmax)
    _, given = plt.subplots()
    plot.density(toy, resolution=20, colorbar=False, ax=given)
    assert given.figure.axes == [given]


def test_density_hatches_what_is_no_number():
    def log_prob(x):
        return np.where(x[:, 0] < 0.0, np.nan, -x[:, 0])

    ax = plot.density(log_prob, bounds=((-1.0, 1.0), (0.0, 1.0)), resolution=10)
    assert ax.patch.get_hatch()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["NaN"]
    ax = plot.density(log_prob, bounds=((0.0, 1.0), (0.0, 1.0)), resolution=10)
    assert ax.patch.get_hatch() is None and ax.get_legend() is None
    # Nothing but holes: no colour, and no error.
    assert rendered(plot.density(log_prob, bounds=((-2, -1), (0, 1)), resolution=10).figure)


def test_densities_share_bounds_and_colours():
    bounds = ((-2.0, 2.0), (-1.0, 1.0))
    models = {
        f"deviation {scale}": lambda x, scale=scale: stats.norm.logpdf(x, 0, scale).sum(axis=1)
        for scale in (1.0, 0.5, 2.0)
    }
    figure = plot.densities(models, bounds=bounds, resolution=20)
    *panels, bar = figure.axes
    assert [ax.get_title() for ax in panels] == list(models)
    high = bar.get_ylim()[1]
    # The peak of the narrowest, 1 / (2 π 0.5²), but for its densest 2 %.
    assert 0.9 < high * 2 * np.pi * 0.25 <= 1.0
    for ax, scale in zip(panels, (1.0, 0.5, 2.0), strict=True):
        (image,) = ax.images
        assert image.get_clim() == (0.0, high) and image.get_extent() == [-2.0, 2.0, -1.0, 1.0]
        # Row 3, column 15, from the lower left corner.
        truth = stats.norm.pdf([-2.0 + 4.0 * 15.5 / 20, -1.0 + 2.0 * 3.5 / 20], 0, scale).prod()
        assert image.get_array()[3, 15] == pytest.approx(truth)
    assert rendered(figure)


def test_densities_take_their_places():
    toy = data.toy("moons")
    x = toy.sample(50, seed=0)
    own = Figure()
    shown = plot.densities(dict.fromkeys("abcde", toy), x, columns=3, resolution=5, figure=own)
    assert shown is own
    *panels, empty, _ = own.axes
    assert [ax.get_title() for ax in panels] == list("abcde") and not empty.axison
    assert [ax.get_subplotspec().colspan.start for ax in panels] == [0, 1, 2, 0, 1]
    for ax in panels:
        assert (ax.get_xlim(), ax.get_ylim()) == toy.bounds
        np.testing.assert_array_equal(ax.collections[0].get_offsets(), x)
    seven = plot.densities(dict.fromkeys("abcdefg", toy), resolution=5).axes
    assert [ax.get_subplotspec().rowspan.start for ax in seven[:7]] == [0] * 4 + [1] * 3
    with pytest.raises(ValueError, match="expected models to draw, by their titles, got none"):
        plot.densities({})
    with pytest.raises(ValueError, match="columns must be 1 or more"):
        plot.densities({"a": toy}, columns=0, resolution=5)
    with pytest.raises(ValueError, match="expected bounds, or data x"):
        plot.densities({"a": toy.log_prob})


# --- Names -----------------------------------------------------------------------------------


def test_axes_have_the_names_of_the_columns():
    flow = bent()
    flow.columns = ("mass", "cost in $")
    labelled = ("mass", r"cost in \$")  # a formula would begin at the sign
    frame = pd.DataFrame(TABLE[:200, [0, 3]], columns=list(flow.columns))
    square = ((-1.0, 1.0), (-1.0, 1.0))
    for ax in (
        plot.density(flow, bounds=square, resolution=5),
        plot.density(data.toy("moons"), frame, resolution=5),
        plot.densities({"a": flow, "b": flow}, bounds=square, resolution=5).axes[0],
        plot.grid(flow, lines=3),
    ):
        assert (ax.get_xlabel() or labelled[0], ax.get_ylabel()) == labelled
        assert rendered(ax.figure)
    assert plot.grid(flow, direction="inverse", lines=3).get_xlabel() == "$u_{1}$"
    figure = plot.layers(flow, stages=[0, 5], lines=3)
    assert (figure.get_supxlabel(), figure.get_supylabel()) == labelled
    left, _ = plot.samples(frame, TABLE[:50, [0, 3]], names=flow.columns).axes
    assert (left.get_xlabel(), left.get_ylabel()) == labelled


def test_tables_are_matched_by_their_names():
    flow = bent()
    flow.columns = ("mass", "radius")
    frame = pd.DataFrame(TABLE[:50, :3], columns=["radius", "other", "mass"])
    ax = plot.density(flow, frame, resolution=5)
    offsets = ax.collections[0].get_offsets()
    np.testing.assert_array_equal(offsets, frame[["mass", "radius"]])
    with pytest.raises(ValueError, match="lacks the column radius"):
        plot.density(flow, frame[["other", "mass"]], resolution=5)


def test_data_and_samples_are_matched_by_their_names():
    table = pd.DataFrame(TABLE[:50, [3, 0]], columns=["radius", "mass"])
    ordered = table[["mass", "radius"]]
    for x, y, names in (
        (table, ordered, None),  # in the order of the first
        (ordered, table.assign(more=0.0), None),
        (table, ordered.to_numpy(), ("mass", "radius")),
        (ordered.to_numpy(), table, ("mass", "radius")),
    ):
        left, right = plot.samples(x, y, names=names).axes
        first, second = (ax.collections[0].get_offsets() for ax in (left, right))
        np.testing.assert_array_equal(first, second)
        shown = table if x is table and names is None else ordered
        np.testing.assert_array_equal(first, shown)
        assert (left.get_xlabel(), left.get_ylabel()) == tuple(shown.columns)
    left, _ = plot.samples(table, table.to_numpy(), names=["$r$", "$m$"]).axes  # labels alone
    np.testing.assert_array_equal(left.collections[0].get_offsets(), table)
    left, right = plot.samples(table, table.to_numpy()).axes  # by position
    assert (left.get_xlabel(), left.get_ylabel()) == ("radius", "mass")
    np.testing.assert_array_equal(right.collections[0].get_offsets(), table)
    with pytest.raises(ValueError, match="data have the columns radius, mass, samples mass: give"):
        plot.samples(table, table[["mass"]])
    plot.samples(table[["mass"]], TABLE[:50, 0])


def test_mass_levels_hold_their_masses():
    x = np.linspace(-5.0, 5.0, 10_001)
    prob = np.append(np.exp(-0.5 * x**2), np.nan)
    # The central 68.27 % and 95.45 % of a normal lie within one and two standard deviations.
    levels = mass_levels(prob, [0.6826895, 0.9544997])
    np.testing.assert_allclose(levels, np.exp([-0.5, -2.0]), rtol=1e-2)
    np.testing.assert_array_equal(mass_levels(np.zeros(4), [0.5]), [0.0])


# --- Data beside samples ---------------------------------------------------------------------


def test_two_features_are_two_scatters():
    x, y = TABLE[:300, [0, 3]], TABLE[300:, [4, 5]]
    figure = plot.samples(x, y, names=["height", "width"])
    left, right = figure.axes
    assert [left.get_title(), right.get_title()] == ["data", "samples"]
    assert [left.get_xlabel(), right.get_xlabel(), left.get_ylabel()] == ["height"] * 2 + ["width"]
    for ax, points in ((left, x), (right, y)):
        offsets = ax.collections[0].get_offsets()
        # As many of each.
        assert len(offsets) == 100
        np.testing.assert_array_equal(offsets, thinned(points, 100))
    assert left.get_xlim() == right.get_xlim() and left.get_ylim() == right.get_ylim()
    assert rendered(figure)


def test_both_clouds_are_in_the_picture():
    near, far = RNG.normal(size=(300, 2)), RNG.normal(size=(300, 2)) + [9.0, -4.0]
    for x, y in ((near, far), (far, near)):
        figure = plot.samples(x, y, labels=("before", "after"))
        assert [ax.get_title() for ax in figure.axes] == ["before", "after"]
        (left, right), (bottom, top) = figure.axes[0].get_xlim(), figure.axes[0].get_ylim()
        both = np.concatenate([x, y])
        inside = (both > [left, bottom]) & (both < [right, top])
        assert inside.all(axis=1).mean() > 0.99
        assert right - left < 20.0
    (ax,) = plot.samples(near[:, 0], far[:, 0], labels=("before", "after")).axes
    for stairs in ax.patches:
        heights, edges, _ = stairs.get_data()
        assert (heights * np.diff(edges)).sum() > 0.99
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["before", "after"]
    wide = np.concatenate([near, far], axis=1)
    corner = plot.samples(wide, wide + [0, 0, 0, 20], labels=("before", "after"))
    assert corner.axes[-1].get_xlim()[1] > 20.0
    legend = corner.axes[3].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["before", "after"]


def test_one_feature_is_two_histograms():
    figure = plot.samples(TABLE[:, 0], TABLE[:300, :1], names=["height"])
    (ax,) = figure.axes
    assert ax.get_xlabel() == "height"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["data", "samples"]
    for stairs, x in zip(ax.patches, (TABLE[:, 0], TABLE[:300, 0]), strict=True):
        heights, edges, _ = stairs.get_data()
        inside = ((x >= edges[0]) & (x <= edges[-1])).mean()
        assert (heights * np.diff(edges)).sum() == pytest.approx(inside)
        assert inside > 0.95
    assert rendered(figure)


@pytest.mark.parametrize(("features", "shown"), [(3, 3), (6, 6), (8, 6)])
def test_more_features_are_pairs(features, shown):
    names = [f"feature {i}" for i in range(features)]
    figure = plot.samples(TABLE[:, :features], TABLE[::-2, :features], names=names)
    axes = np.reshape(figure.axes, (shown, shown))
    assert [ax.get_xlabel() for ax in axes[-1]] == names[:shown]
    assert [ax.get_ylabel() for ax in axes[1:, 0]] == names[1:shown]
    for (row, column), ax in np.ndenumerate(axes):
        assert ax.axison == (row >= column)
        assert bool(ax.collections) == (row > column)
    assert rendered(figure)


def test_pairs_survive_awkward_columns():
    """A constant, a few integers, one row, and samples that lie nowhere near the data."""
    x = np.column_stack([np.ones(50), RNG.integers(3, size=50), RNG.normal(size=50)])
    assert rendered(plot.samples(x, x + 1000.0))
    assert rendered(plot.samples(x[:1], x))
    assert rendered(plot.samples(x[:, :2], x[:1, :2]))
    assert rendered(plot.samples(x[:, 0], x[:, 0]))


def test_samples_leave_out_rows_that_are_not_finite():
    x = TABLE[:100, [0, 3]].copy()
    x[3, 0], x[50, 1] = np.nan, -np.inf
    left, _ = plot.samples(x, TABLE[:, [0, 3]]).axes
    np.testing.assert_array_equal(left.collections[0].get_offsets(), np.delete(x, [3, 50], axis=0))
    with pytest.raises(ValueError, match="samples has no row of finite numbers"):
        plot.samples(x, np.full((3, 2), np.inf))


def test_images_are_compared_as_sheets():
    digits, _ = data.digits()
    for shown in (
        plot.samples(digits[:900], digits[900:] * 2.0),
        plot.samples(digits[:900].reshape(900, 64), digits[900:].reshape(-1, 64), shape=(8, 8)),
    ):
        left, right = shown.axes
        assert [left.get_title(), right.get_title()] == ["data", "samples"]
        for ax in (left, right):
            assert ax.images[0].get_array().shape == (8 * 9 - 1, 8 * 9 - 1)
        # The scale of grey is the data's for both.
        np.testing.assert_allclose(left.images[0].get_array()[:8, :8], digits[0] / 16.0)
        assert rendered(shown)
    sample = np.clip(digits[900] * 2.0 / 16.0, 0.0, 1.0)
    right = plot.samples(digits[:900], digits[900:] * 2.0).axes[1]
    np.testing.assert_allclose(right.images[0].get_array()[:8, :8], sample)


def test_samples_and_curve_share_a_figure():
    figure = plt.figure(layout="constrained")
    above, below = figure.subfigures(2, 1)
    assert plot.samples(TABLE[:, :2], TABLE[:, :2], figure=above) is above
    history = SimpleNamespace(train=[2.0, 1.0], validation=[2.0, 1.5], steps=[1, 2], seconds=[1, 2])
    plot.learning_curve(history, ax=below.subplots())
    assert len(figure.axes) == 3 and plt.get_fignums() == [figure.number]
    # A figure that pyplot knows nothing of serves as well.
    own = Figure()
    assert plot.samples(TABLE, TABLE, figure=own) is own
    assert rendered(figure) and rendered(own)


def test_samples_errors():
    with pytest.raises(ValueError, match="data have 2 features, samples have 3"):
        plot.samples(TABLE[:, :2], TABLE[:, :3])
    with pytest.raises(ValueError, match="expected 2 names, got 1"):
        plot.samples(TABLE[:, :2], TABLE[:, :2], names=["x"])
    with pytest.raises(ValueError, match="expected rows in data, got a single number"):
        plot.samples(1.0, TABLE)
    with pytest.raises(ValueError, match="data has no row of finite numbers"):
        plot.samples(np.empty((0, 2)), TABLE[:, :2])


# --- Images ----------------------------------------------------------------------------------


def test_sheet_holds_every_image_in_its_place():
    pictures = RNG.integers(0, 256, size=(7, 4, 5), dtype=np.uint8)
    ax = plot.images(pictures, columns=3, limits=(0, 255))
    sheet = ax.images[0].get_array()
    assert sheet.shape == (3 * 5 - 1, 3 * 6 - 1)
    for i, picture in enumerate(pictures):
        row, column = divmod(i, 3)
        place = sheet[row * 5 : row * 5 + 4, column * 6 : column * 6 + 5]
        np.testing.assert_allclose(place, picture / 255.0)
    assert not sheet[:, 5].any() and not sheet[4].any() and not sheet[10:, 6:].any()
    assert not ax.axison
    assert rendered(ax.figure)


def test_colour_images_and_the_default_range():
    pictures = RNG.normal(size=(5, 3, 4, 4))
    sheet = plot.images(pictures).images[0].get_array()
    assert sheet.shape == (2 * 5 - 1, 3 * 5 - 1, 3)
    scaled = (pictures - pictures.min()) / np.ptp(pictures)
    np.testing.assert_allclose(sheet[:4, 5:9], scaled[1].transpose(1, 2, 0))
    flat = plot.images(pictures.reshape(5, 48), shape=(3, 4, 4)).images[0].get_array()
    np.testing.assert_array_equal(flat, sheet)
    one_channel = plot.images(pictures[:, :1]).images[0].get_array()
    assert one_channel.shape == (9, 14)
    assert rendered(plot.images(np.zeros((2, 8, 8))).figure)


@pytest.mark.parametrize(
    ("shape", "image"),
    [((5, 64), None), ((5, 2, 8, 8), None), ((0, 8, 8), None), ((5, 64), (8, 9)), ((), (8, 8))],
)
def test_arrays_that_are_no_images(shape, image):
    with pytest.raises(ValueError, match=r"expected \(n, height, width\)"):
        plot.images(np.zeros(shape), shape=image)
    assert plt.get_fignums() == []


@pytest.mark.parametrize("columns", [0, -1, -3])
def test_sheets_have_columns(columns):
    with pytest.raises(ValueError, match="columns must be 1 or more"):
        plot.images(np.zeros((4, 8, 8)), columns=columns)
    with pytest.raises(TypeError, match="columns must be an int"):
        plot.images(np.zeros((4, 8, 8)), columns=2.0)
    assert plt.get_fignums() == []


# --- Learning curves -------------------------------------------------------------------------


def test_learning_curve_draws_both_losses_and_marks_the_best():
    history = SimpleNamespace(
        train=[5.0, 3.0, 2.0, 1.5],
        validation=[5.1, float("nan"), 2.5, 2.7],
        steps=[10, 20, 30, 40],
        seconds=[0.5, 1.0, 1.5, 2.0],
    )
    for against, at in (("epochs", [1, 2, 3, 4]), ("steps", [10, 20, 30, 40])):
        ax = plot.learning_curve(history, against=against)
        train, validation, best = ax.lines
        np.testing.assert_array_equal(train.get_xydata(), np.column_stack([at, history.train]))
        np.testing.assert_array_equal(validation.get_xdata(), np.take(at, [0, 2, 3]))
        np.testing.assert_array_equal(best.get_xydata(), [[at[2], 2.5]])
        assert ax.get_xlabel() == against
        legend = [text.get_text() for text in ax.get_legend().get_texts()]
        assert legend == ["training", "validation", "best: 2.5"]
        assert rendered(ax.figure)
    assert plot.learning_curve(history, against="seconds").lines[0].get_xdata()[-1] == 2.0


@pytest.mark.parametrize("validation", [None, [], [None, None], [float("nan")] * 2, np.array([])])
def test_learning_curve_without_validation(validation):
    history = SimpleNamespace(train=[2.0, 1.0], validation=validation, steps=[1, 2], seconds=[1, 2])
    ax = plot.learning_curve(history)
    assert [line.get_label() for line in ax.lines] == ["training"]


@pytest.mark.parametrize("train", [[], [1.0], [float("nan"), 1.0], [1.0, 1.0]])
def test_learning_curve_of_hardly_any_epochs(train):
    n = len(train)
    history = SimpleNamespace(train=train, validation=[1.0] * n, steps=range(n), seconds=range(n))
    ax = plot.learning_curve(history)
    if np.isfinite(train).sum() == 1:
        assert ax.lines[0].get_marker() == "o"
    assert rendered(ax.figure)


def test_learning_curve_shows_what_is_learnt_late():
    epochs = np.arange(100)
    train = 1.0 + np.exp(-epochs / 20) + 1e6 * np.exp(-epochs)
    ax = plot.learning_curve(SimpleNamespace(train=train, validation=train + 0.1))
    bottom, top = ax.get_ylim()
    assert 0.5 < bottom < train.min() and 2.0 < top < 10.0


def test_learning_curve_says_what_it_cuts():
    train = np.append([1e6, 6.0], np.linspace(3.0, 2.0, 20))
    history = SimpleNamespace(train=train, validation=train + np.append(7.0, np.zeros(21)))
    ax = plot.learning_curve(history)
    cut = [line for line in ax.lines if line.get_marker() == "^"]
    for line in cut:
        np.testing.assert_array_equal(line.get_xdata(), [1, 2])
        # On the upper edge, whatever the limits become.
        assert line.get_transform() == ax.get_xaxis_transform()
        np.testing.assert_array_equal(line.get_ydata(), 1.0)
    assert len(cut) == 2
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["training", "validation", "best: 2", "above, up to 1e+06"]
    assert rendered(ax.figure)


def test_learning_curve_cuts_nothing_for_little():
    train = [4.4, 3.8, 3.75, 3.7, 3.65, 3.6, 3.58, 3.55, 3.52, 3.5]
    ax = plot.learning_curve(SimpleNamespace(train=train, validation=None))
    assert ax.get_ylim()[1] > 4.4 and len(ax.lines) == 1


@pytest.mark.parametrize("epochs", [1, 2, 3, 5, 40, 150])
def test_epochs_are_whole(epochs):
    train = np.linspace(2.0, 1.0, epochs)
    ax = plot.learning_curve(SimpleNamespace(train=train, validation=None))
    ticks = ax.get_xticks()
    np.testing.assert_array_equal(ticks, np.round(ticks))


def test_learning_curve_errors():
    with pytest.raises(ValueError, match=r"'epochs', 'steps' or 'seconds', got 'hours'"):
        plot.learning_curve(SimpleNamespace(train=[1.0], validation=None), against="hours")


# --- Grids that a flow bends ---------------------------------------------------------------


def vertices_of(ax):
    """What is drawn: the mesh's points, its colours, and the two sets of lines."""
    mesh, of_first, of_second = ax.collections
    points = np.asarray(mesh.get_coordinates())
    colours = np.asarray(mesh.get_array()).reshape(points.shape[:-1])
    return points, colours, np.array(of_first.get_segments()), np.array(of_second.get_segments())


def by_differences(map_, points, step=1e-5):
    """log|det| of the Jacobian, column by column from central differences."""
    columns = [
        (map_(points + step * unit)[0] - map_(points - step * unit)[0]) / (2 * step)
        for unit in np.eye(2)
    ]
    return np.linalg.slogdet(np.stack(columns, axis=-1))[1]


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_grid_is_where_the_flow_carries_it(direction):
    flow = bent()
    (left, right), (bottom, top) = bounds = (-2.0, 1.0), (-1.0, 2.0)
    ax = plot.grid(flow, direction=direction, bounds=bounds, lines=7)
    map_ = getattr(flow, direction)
    points, colours, of_first, of_second = vertices_of(ax)
    side = len(points)
    start = np.stack(np.meshgrid(np.linspace(left, right, side), np.linspace(bottom, top, side)))
    start = start.transpose(1, 2, 0).reshape(-1, 2)
    np.testing.assert_allclose(points.reshape(-1, 2), map_(start)[0], atol=1e-12)
    np.testing.assert_allclose(colours.ravel(), by_differences(map_, start), atol=1e-6)

    assert of_first.shape == of_second.shape == (7, side, 2)
    for i in range(7):
        along = np.linspace(0.0, 1.0, side)
        constant = np.full(side, i / 6)
        first = np.column_stack([left + 3.0 * constant, bottom + 3.0 * along])
        second = np.column_stack([left + 3.0 * along, bottom + 3.0 * constant])
        np.testing.assert_allclose(of_first[i], map_(first)[0], atol=1e-12)
        np.testing.assert_allclose(of_second[i], map_(second)[0], atol=1e-12)

    mesh = ax.collections[0]
    assert mesh.norm.vmin == -mesh.norm.vmax
    bar = ax.figure.axes[1]
    assert ("x / " if direction == "forward" else "u / ") in bar.get_ylabel()
    assert ax.get_xlabel() == ("$x_{1}$" if direction == "forward" else "$u_{1}$")
    assert rendered(ax.figure)


def test_grid_shows_where_the_probability_is():
    flow = bent(seed=4)
    ax = plot.grid(flow)
    x = flow.sample(5000, seed=1)
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    inside = (x[:, 0] > left) & (x[:, 0] < right) & (x[:, 1] > bottom) & (x[:, 1] < top)
    assert inside.mean() > 0.95
    # Against the flow the densest x fill what is seen of the base.
    ax = plot.grid(flow, direction="inverse")
    assert -6.0 < ax.get_xlim()[0] < -2.0 and 2.0 < ax.get_xlim()[1] < 6.0


@pytest.mark.parametrize("seed", [0, 4, 7])
def test_grids_stay_in_their_frames(seed):
    flow = bent(seed=seed)
    for ax in (plot.grid(flow), *plot.layers(flow, lines=7).axes[:6]):
        points = vertices_of(ax)[0]
        (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
        assert left < points[..., 0].min() and points[..., 0].max() < right
        assert bottom < points[..., 1].min() and points[..., 1].max() < top


def test_far_corners_do_not_make_a_grid_small():
    flow = cf.Flow([cf.Sinh(), cf.Sinh()], features=2, dtype="float64")
    points = np.array([[3.0, 3.0], [2.0, 2.0]])
    corner, dense = np.sinh(np.sinh(points))
    assert corner[0] > 200 * dense[0]
    ax = plot.grid(flow)
    assert dense[0] < ax.get_xlim()[1] < 20 * dense[0]


def test_regular_grids_lie_where_the_base_does():
    assert np.abs(vertices_of(plot.grid(cf.Flow([], features=2)))[0]).max() == 3.0
    flow = cf.Flow([cf.Logit()], features=2, base=cf.Uniform(), dtype="float64")
    points = vertices_of(plot.grid(flow))[0]
    corner = np.log(0.0025 / 0.9975)
    np.testing.assert_allclose([points.min(), points.max()], [corner, -corner], rtol=0.1)


def test_grid_takes_a_context_an_axes_and_either_dtype():
    flow = bent(context_features=2)
    figure, (left, right) = plt.subplots(1, 2)
    assert plot.grid(flow, context=[0.5, -1.0], ax=left, lines=3) is left
    plot.grid(flow, context=[-0.5, 2.0], ax=right, lines=3, colorbar=False)
    assert len(figure.axes) == 3 and plt.get_fignums() == [figure.number]
    corner = flow.forward([[-3.0, -3.0]], [0.5, -1.0])[0]
    np.testing.assert_allclose(vertices_of(left)[0][0, 0], corner[0])
    assert not np.allclose(vertices_of(right)[0], vertices_of(left)[0])
    single = vertices_of(plot.grid(flow.astype("float32"), context=[0.5, -1.0], lines=3))
    np.testing.assert_allclose(single[0], vertices_of(left)[0], atol=1e-4)


def test_layers_are_the_flows_own_one_after_the_other():
    flow = bent()
    figure = plot.layers(flow, lines=5)
    *panels, bar = figure.axes
    assert len(panels) == 6 and "log" in bar.get_ylabel()
    assert [ax.get_title() for ax in panels[:3]] == ["$u$", "1: Coupling", "2: Permutation"]
    assert panels[-1].get_title().startswith("5: Affine")
    u = vertices_of(panels[0])[0].reshape(-1, 2)
    for k, ax in enumerate(panels):
        points, colours, _, _ = vertices_of(ax)
        part = flow.part(0, k)
        np.testing.assert_allclose(points.reshape(-1, 2), part.forward(u)[0], atol=1e-12)
        by_jacobian = by_differences(part.forward, u)
        np.testing.assert_allclose(colours.ravel(), by_jacobian, atol=1e-6)
        assert ax.collections[0].norm.vmax == panels[0].collections[0].norm.vmax
    # Coupling after coupling, the colour is that of the whole flow in the end.
    np.testing.assert_allclose(colours.ravel(), flow.forward(u)[1], atol=1e-12)
    assert len({(ax.get_xlim(), ax.get_ylim()) for ax in panels}) == 1
    assert rendered(figure)


def test_layers_of_deep_flows_and_chosen_stages():
    deep = cf.Flow([cf.Rotation()] * 29, features=2, seed=0)
    titles = [ax.get_title() for ax in plot.layers(deep, lines=3).axes if ax.get_title()]
    assert len(titles) == 8 and titles[0] == "$u$" and titles[-1].startswith("29: Rotation")
    own = Figure()
    assert plot.layers(deep, stages=[3, 29], lines=3, figure=own) is own
    assert [ax.get_title() for ax in own.axes[:2]] == ["3: Rotation", titles[-1]]
    # Nothing changes areas: no colour for what rounding leaves.
    assert own.axes[0].collections[0].norm.vmax == 1.0


@pytest.mark.parametrize("affine", [{"scale": 1e5}, {"shift": 1e3}])
def test_panels_have_frames_of_their_own_where_one_would_lose_some(affine):
    flow = cf.Flow([cf.Rotation(), cf.Affine(**affine)], features=2, seed=0)
    for ax in plot.layers(flow, lines=5).axes[:3]:
        points, across = vertices_of(ax)[0], np.ptp(ax.get_xlim())
        assert 0.5 < np.ptp(points[..., 0]) / across < 2.0
        assert ax.get_xlim()[0] < points[..., 0].mean() < ax.get_xlim()[1]
        assert np.ptp(ax.get_ylim()) == pytest.approx(across)


def test_animation_moves_the_grid_from_stage_to_stage(tmp_path):
    flow = bent()
    animation = plot.animate(flow, frames=4, lines=3)
    # Two pictures rest at either end, four lead to each of the five layers.
    assert len(list(animation.new_frame_seq())) == 2 + 5 * 4 + 1 + 2
    ax = animation._fig.axes[0]
    drawn = {}
    for frame in (0, 2, 4, 6, 22, 24):
        animation._func(frame)
        drawn[frame] = vertices_of(ax)
    u = drawn[0][2]
    for frame, layers in ((2, 0), (6, 1), (22, 5), (24, 5)):
        x, log_det = flow.part(0, layers).forward(u.reshape(-1, 2))
        np.testing.assert_allclose(drawn[frame][2].reshape(-1, 2), x, atol=1e-12)
        # Every other point of the lines is one of the mesh.
        colours = drawn[frame][1][:, ::4].T.ravel()
        np.testing.assert_allclose(colours, log_det.reshape(3, -1)[:, ::2].ravel(), atol=1e-12)
    for part in range(4):
        middle = (drawn[2][part] + drawn[6][part]) / 2
        np.testing.assert_allclose(drawn[4][part], middle, atol=1e-12)

    path = tmp_path / "flow.gif"
    animation.save(path, writer="pillow", dpi=20)
    with Image.open(path) as gif:
        assert gif.format == "GIF" and 20 <= gif.n_frames <= 25


def test_animation_of_flows_as_they_were_learned():
    flows = [bent(seed=seed) for seed in range(3)]
    animation = plot.animate(flows, frames=2, lines=3, figure=Figure())
    assert len(list(animation.new_frame_seq())) == 1 + 2 * 2 + 1 + 1
    ax = animation._fig.axes[0]
    for frame, flow in zip((1, 3, 5), flows, strict=True):
        animation._func(frame)
        corner = vertices_of(ax)[0][0, 0]
        np.testing.assert_allclose(corner, flow.forward([[-3.0, -3.0]])[0][0])
    assert ax.get_title() == "flow 3 of 3"
    animation._draw_was_started = True  # or its end warns that nobody looked at it


def test_grids_errors():
    flow = bent()
    for picture in (plot.grid, plot.layers, plot.animate):
        with pytest.raises(ValueError, match=r"flow of 2 features, got one of shape \(3,\)"):
            picture(cf.realnvp(3))
        with pytest.raises(ValueError, match=r"bounds \(\(left, right\), \(bottom, top\)\), got"):
            picture(flow, bounds=((1.0, -1.0), (0.0, 1.0)))
        with pytest.raises(ValueError, match="lines must be 2 or more"):
            picture(flow, lines=1)
        with pytest.raises(TypeError, match="lines must be an int"):
            picture(flow, lines=9.0)
        with pytest.raises(ValueError, match="context"):
            picture(flow, context=[1.0])
        with pytest.raises(ValueError, match="context"):
            picture(bent(context_features=1))
        logarithm = cf.Flow([cf.Log()], features=2)
        with pytest.raises(ValueError, match=r"not finite at .* points of the grid"):
            picture(logarithm, bounds=((-1.0, 1.0), (1.0, 2.0)))
    for picture in (plot.grid, plot.layers):
        with pytest.raises(TypeError, match="expected a flow, got str"):
            picture("flow")
    with pytest.raises(TypeError, match="expected a flow, got int"):
        plot.animate([flow, 3])
    with pytest.raises(ValueError, match="expected a flow, or several, got none"):
        plot.animate([])
    with pytest.raises(ValueError, match="frames must be 1 or more"):
        plot.animate(flow, frames=0)
    with pytest.raises(ValueError, match="direction must be 'forward' or 'inverse', got 'back'"):
        plot.grid(flow, direction="back")
    with pytest.raises(ValueError, match="stages must be at most 5"):
        plot.layers(flow, stages=[0, 6])
    with pytest.raises(TypeError, match="stages must be an int"):
        plot.layers(flow, stages=["u"])
    with pytest.raises(ValueError, match="expected stages to draw, got none"):
        plot.layers(flow, stages=[])
    assert plt.get_fignums() == []


# --- Masks -----------------------------------------------------------------------------------


def transformed(ax):
    """1 where a square is drawn as transformed, 0 where as kept, -1 where there is none."""
    squares = ax.collections[0].get_array()
    return np.ma.filled(squares - 1.0, -1.0).astype(int)


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        ("half", [0, 0, 1, 1, 1]),
        ("alternating", [0, 1, 0, 1, 0]),
        ([True, False, False, True, False], [0, 1, 1, 0, 1]),
        (np.array([False, False, False, False, True]), [1, 1, 1, 1, 0]),
        ([4, 0], [0, 1, 1, 1, 0]),
        (cf.Coupling("half", swap=True), [1, 1, 0, 0, 0]),
        (cf.Split([], "alternating"), [0, 1, 0, 1, 0]),
    ],
)
def test_masks_of_vectors(mask, expected):
    ax = plot.mask(mask, 5)
    np.testing.assert_array_equal(transformed(ax), [expected])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["identity", "transformed"]
    assert rendered(ax.figure)


def test_masks_of_images():
    checkerboard = np.indices((4, 6)).sum(axis=0) % 2
    np.testing.assert_array_equal(transformed(plot.mask("checkerboard", (1, 4, 6))), checkerboard)
    blank = np.full((4, 1), -1)
    two = transformed(plot.mask(cf.Coupling("checkerboard", swap=True), (2, 4, 6)))
    np.testing.assert_array_equal(two, np.hstack([1 - checkerboard, blank, 1 - checkerboard]))
    halves = transformed(plot.mask("half", (2, 4, 6)))
    np.testing.assert_array_equal(halves[:, [0, 5, 6, 7, 12]], [[0, 0, -1, 1, 1]] * 4)
    # Six channels in two rows of three, the first three of which are kept.
    sheet = transformed(plot.mask("half", (6, 2, 2)))
    assert set(sheet[:2].ravel()) == {0, -1} and set(sheet[3:].ravel()) == {1, -1}
    pixels = RNG.uniform(size=(2, 3, 3)) < 0.5
    drawn = transformed(plot.mask(pixels.ravel(), (2, 3, 3)))
    np.testing.assert_array_equal(drawn[:, 4:], ~pixels[1])


def test_masks_in_a_row_need_one_legend():
    ax = plot.mask("half", 4, legend=False)
    assert ax.get_legend() is None
    np.testing.assert_array_equal(transformed(ax), [[0, 0, 1, 1]])


def test_masks_of_bound_layers():
    flow = cf.realnvp_image((1, 4, 4), seed=0)
    last = next(layer for layer in reversed(flow.layers) if layer.type == "Coupling")
    figure, ax = plt.subplots()
    assert plot.mask(last, ax=ax) is ax and ax.figure is figure
    np.testing.assert_array_equal(transformed(ax), transformed(plot.mask(last.spec, last.shape)))


def test_mask_errors():
    with pytest.raises(ValueError, match="expected a shape: the number of features, or"):
        plot.mask("half")
    with pytest.raises(TypeError, match=r"a Coupling or Split, got Affine\(\)"):
        plot.mask(cf.Affine(), 3)
    with pytest.raises(ValueError, match="keeps all 2 features"):
        plot.mask([True, True], 2)
    with pytest.raises(ValueError, match="got 'stripes'"):
        plot.mask("stripes", 4)
    with pytest.raises(ValueError, match="mask index 7 is not from 0 to 3: the flow has"):
        plot.mask([0, 7], 4)
    with pytest.raises(TypeError, match="mask expects"):
        plot.mask(3.5, 4)
    assert plt.get_fignums() == []
