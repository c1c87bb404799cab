"""Columns of bounded and circular data: the layers that recipes make of them."""

import numpy as np
import pytest
from scipy import stats

import cflows as cf

COLUMNS = [cf.real, cf.positive, cf.interval(-2, 10), cf.circular(24, low=-3)]
# Independent columns whose densities SciPy has: an offset that float32 would not hold, units of
# their own, an angle far from where its circle begins.
TRUTH = [
    stats.norm(1e6, 0.5),
    stats.gamma(2.0, scale=300.0),
    stats.beta(2, 3, loc=-2, scale=12),
]
ANGLE, HOURS = stats.vonmises(2.0), 12 / np.pi  # around 20 o'clock


def drawn(n, seed, which=range(4)):
    rng = np.random.default_rng(seed)
    columns = [*(truth.rvs((n, 1), random_state=rng) for truth in TRUTH)]
    columns.append(20 + HOURS * ANGLE.rvs((n, 1), random_state=rng))
    return np.hstack([columns[i] for i in which])


def log_density(x, which=range(4)):
    total = np.zeros(len(x))
    for k, i in enumerate(which):
        angle = (x[:, k] - 20) / HOURS
        total += ANGLE.logpdf(angle) - np.log(HOURS) if i == 3 else TRUTH[i].logpdf(x[:, k])
    return total


RECIPES = {
    "realnvp": (cf.realnvp, [0, 1, 2]),
    "nice": (cf.nice, [2, 0, 1]),
    "glow1d": (cf.glow1d, [0, 1, 2]),
    "maf": (cf.maf, [1, 2, 0]),
    "iaf": (cf.iaf, [2, 1]),
    "nsf": (cf.nsf, [0, 1, 2, 3]),
    "nsf_ar": (cf.nsf_ar, [3, 2, 1, 0]),
    "naf": (cf.naf, [0, 1, 2]),
    "residual": (cf.residual, [1, 2, 0]),
    "gaussianization": (cf.gaussianization, [2, 1, 0]),
    "ncsf": (cf.ncsf, [3, 0]),
    "nsf of an angle": (cf.nsf, [3]),
}


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_learn_bounded_columns(name):
    """Within 0.15 nats of the true density on fresh rows; an unlearned flow is 1 away or more."""
    recipe, which = RECIPES[name]
    columns = [COLUMNS[i] for i in which]
    flow = recipe(len(which), layers=2, hidden=(24,), columns=columns, seed=0)
    x, fresh = drawn(4000, 1, which), drawn(4000, 2, which)
    history = flow.fit(
        x, validation=0.1, epochs=25, optimizer=cf.Adam(5e-3), seed=0, progress=False
    )
    assert history.skipped == 0
    lead = log_density(fresh, which) - flow.log_prob(fresh)
    assert abs(lead.mean()) < 0.15
    samples = flow.sample(2000, seed=3)
    for column, values in zip(columns, samples.T, strict=True):
        assert (values >= column.low).all()
        assert (values <= column.high).all()


def test_whole_turns_do_not_count():
    flow = cf.nsf(4, layers=3, hidden=16, columns=COLUMNS, dtype="float64", seed=0)
    rng = np.random.default_rng(0)
    for parameter in flow.parameters.values():
        parameter += 0.3 * rng.normal(size=parameter.shape)
    x = drawn(100, 0)
    turned = x + [0, 0, 0, 48.0]
    assert np.ptp(flow.log_prob(x)) > 1
    np.testing.assert_allclose(flow.log_prob(turned), flow.log_prob(x), rtol=1e-9)


@pytest.mark.parametrize("column", COLUMNS)
def test_density_of_one_column_integrates_to_one(column):
    flow = cf.nsf(1, layers=2, hidden=8, bins=4, columns=[column], dtype="float64", seed=0)
    rng = np.random.default_rng(0)
    for parameter in flow.parameters.values():
        parameter += 0.5 * rng.normal(size=parameter.shape)
    samples = flow.sample(100_000, seed=0)
    low = max(column.low, samples.min() - 3 * samples.std())
    high = min(column.high, samples.max() + 3 * samples.std())
    cell = (high - low) / 2_000_000
    x = low + cell * (np.arange(2_000_000) + 0.5)
    assert np.exp(flow.log_prob(x[:, None])).sum() * cell == pytest.approx(1, abs=2e-5)


DISCRETE = [cf.real, cf.count, cf.ordinal(6), cf.ordinal(3), cf.ordinal(6)]
DISCRETE_TRUTH = [
    stats.norm(1e6, 0.5),
    stats.nbinom(3, 0.2),
    stats.binom(5, 0.7),
    stats.binom(2, 0.4),
    stats.randint(0, 6),
]


@pytest.mark.parametrize("recipe", [cf.realnvp, cf.nsf, cf.maf])
def test_recipes_learn_integers(recipe):
    """The bound lies below the true density of fresh rows, by less than 0.35 nats; and closer with
    several draws."""
    flow = recipe(5, layers=2, hidden=(24,), columns=DISCRETE, seed=0)
    assert flow.stochastic
    rng = np.random.default_rng(0)
    x, fresh = (np.stack([t.rvs(4000, random_state=rng) for t in DISCRETE_TRUTH], 1) for _ in "ab")
    flow.fit(x, validation=0.1, epochs=25, optimizer=cf.Adam(5e-3), seed=0, progress=False)
    truth = DISCRETE_TRUTH[0].logpdf(fresh[:, 0])
    for column, values in zip(DISCRETE_TRUTH[1:], fresh[:, 1:].T, strict=True):
        truth += column.logpmf(values)
    lead = (truth - flow.log_prob(fresh)).mean()
    closer = (truth - flow.importance_weighted_log_prob(fresh, 20)).mean()
    assert 0.0 < closer < lead < 0.35
    samples = flow.sample(4000, seed=1)
    assert np.array_equal(samples[:, 1:], np.floor(samples[:, 1:]))
    assert samples[:, 1:].min() == 0
    assert samples[:, 2:].max(axis=0).tolist() == [5, 2, 5]
    for i, truth in enumerate(DISCRETE_TRUTH):
        error = truth.std() / np.sqrt(4000)
        assert abs(samples[:, i].mean() - truth.mean()) < 12 * error  # learned, not exact
    outside = fresh[:3].copy()
    outside[[0, 1, 2], [1, 2, 3]] = [-1, 6, 0.5]
    assert not np.any(np.isfinite(flow.log_prob(outside)))


def test_columns_of_integers_are_shown_and_checked():
    assert repr(DISCRETE) == "[real, count, ordinal(6), ordinal(3), ordinal(6)]"
    assert cf.ordinal(6) == cf.ordinal(np.int64(6)) != cf.ordinal(5)
    with pytest.raises(ValueError, match="levels must be 2 or more, got 1"):
        cf.ordinal(1)
    with pytest.raises(TypeError, match=r"levels must be an int, got 2\.0"):
        cf.ordinal(2.0)


def test_columns_are_standardised_on_their_unbounded_side():
    flow = cf.nsf(4, layers=1, hidden=8, columns=COLUMNS, seed=0)
    x = drawn(500, 0)
    flow.fit(x, validation=None, epochs=1, seed=0, progress=False)
    inner, outer = (flow.buffers[f"layers.{i}.shift_scale"].reshape(2, 4) for i in (3, 8))
    assert flow.layers[3].options["standardize"] == (True, True, True, False)
    p = (x[:, 2] + 2) / 12
    seen = np.stack([x[:, 0], np.log(x[:, 1]), np.log(p / (1 - p))], axis=1)
    np.testing.assert_allclose(inner[0], [*seen.mean(0), 0], rtol=1e-10)
    np.testing.assert_allclose(inner[1], [*seen.std(0), 1], rtol=1e-9)
    np.testing.assert_allclose(outer, [[0, 0, 0, 9], [1, 1, 1, 24 / (2 * np.pi)]], rtol=1e-12)
    before = inner.copy()
    flow.fit(x + [1, 0, 0, 0], validation=None, epochs=1, seed=0, progress=False)
    np.testing.assert_array_equal(inner, before)


def test_standardize_is_left_out_on_demand():
    flow = cf.realnvp(3, layers=1, columns=COLUMNS[:3], standardize=False, seed=0)
    assert [layer.type for layer in flow.layers] == ["Coupling", "OnFeatures", "OnFeatures"]
    assert not flow.buffers


def test_the_starting_flow_has_the_moments_of_logarithms():
    """They are standardised behind the map: one epoch at a vanishing rate tells."""
    x = drawn(5000, 0, [1])
    flow = cf.realnvp(1, layers=1, columns=[cf.positive], dtype="float64", seed=0)
    flow.fit(x, validation=None, epochs=1, optimizer=cf.Adam(1e-30), seed=0, progress=False)
    truth = stats.lognorm(np.log(x).std(), scale=np.exp(np.log(x).mean()))
    np.testing.assert_allclose(flow.log_prob(x), truth.logpdf(x[:, 0]), rtol=1e-9)


def test_files_keep_columns(tmp_path):
    flow = cf.ncsf(4, layers=1, hidden=8, columns=COLUMNS, seed=0)
    flow.save(tmp_path / "flow.safetensors")
    x = drawn(10, 0)
    np.testing.assert_array_equal(
        cf.load(tmp_path / "flow.safetensors").log_prob(x), flow.log_prob(x)
    )


def test_reprs():
    assert repr(COLUMNS) == "[real, positive, interval(-2.0, 10.0), circular(24.0, low=-3.0)]"
    assert repr(cf.circular(2)) == "circular(2.0)"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: cf.interval(1, 1), ValueError, "low must be below high"),
        (lambda: cf.interval(0, np.inf), ValueError, "both finite"),
        (lambda: cf.interval("0", 1), TypeError, "low must be a number"),
        (lambda: cf.circular(0), ValueError, "period must be positive"),
        (lambda: cf.circular(np.nan), ValueError, "period must be positive"),
        (lambda: cf.nsf(2, columns=[cf.real]), ValueError, "2 entries, one a feature, got 1"),
        (lambda: cf.nsf(1, columns=["real"]), TypeError, "got 'real' at 0"),
        (lambda: cf.maf(2, columns=COLUMNS[2:]), ValueError, "maf: circular columns take splines"),
        (lambda: cf.realnvp(4, columns=COLUMNS), ValueError, "realnvp: circular columns"),
        (
            lambda: cf.maf(3, columns=cf.real),
            TypeError,
            "must be a list with an entry for each feature, got real",
        ),
        (lambda: cf.circular(1.0, low=1e20), ValueError, "period must be positive"),
        (
            lambda: cf.Flow([cf.Affine(standardize=[True])], features=2),
            ValueError,
            "standardize has 1 entries, the flow has 2 features",
        ),
        (
            lambda: cf.Affine(learned=True, standardize=[True]),
            ValueError,
            "learned scale and shift are not set",
        ),
    ],
)
def test_bad_columns(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(("column", "bad"), [(1, 0.0), (1, -3.0), (2, 10.0), (2, -2.5)])
def test_fit_names_the_row_that_a_column_cannot_hold(column, bad):
    x = drawn(50, 0, [0, 1, 2])
    x[17, column] = bad
    flow = cf.realnvp(3, layers=1, columns=COLUMNS[:3], seed=0)
    with pytest.raises(ValueError, match="row 17 has log_prob"):
        flow.fit(x, epochs=1, progress=False)
