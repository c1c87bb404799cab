"""Data outside the domain of a layer or of the base: `fit` refuses them and changes nothing."""

import numpy as np
import pytest

import cflows as cf

RNG = np.random.default_rng(0)
X = RNG.uniform(0.1, 0.9, size=(500, 2))


FLOWS = {  # a flow, and a number that it cannot have in the first column
    "sigmoid": (
        lambda: cf.Flow([cf.Coupling(), cf.OnFeatures([0], cf.Sigmoid())], features=2, seed=0),
        1.2,
    ),
    "sigmoid at its end": (
        lambda: cf.Flow([cf.Coupling(), cf.OnFeatures([0], cf.Sigmoid())], features=2, seed=0),
        1.0,
    ),
    "behind an actnorm": (
        lambda: cf.Flow([cf.Coupling(), cf.ActNorm(), cf.Exp()], features=2, seed=0),
        -0.5,
    ),
    "tanh": (lambda: cf.Flow([cf.Inverse(cf.Chain([cf.Inverse(cf.Tanh())]))], features=2), 1.5),
    "arcsinh": (lambda: cf.Flow([cf.Arcsinh()], features=2, seed=0), 1000.0),  # sinh overflows
    "log": (lambda: cf.Flow([cf.Inverse(cf.Exp())], features=2, seed=0), 1000.0),
    "softplus": (lambda: cf.Flow([cf.Softplus()], features=2, seed=0), -0.1),
    "logit": (lambda: cf.Flow([cf.Inverse(cf.Logit())], features=2, seed=0), -0.1),
    "power": (lambda: cf.Flow([cf.Exp(), cf.Power(2.0)], features=2), 0.0),
    "uniform": (lambda: cf.Flow([cf.Elementwise()], features=2, base=cf.Uniform()), 2.0),
    "product": (
        lambda: cf.Flow(
            [cf.Elementwise()], features=2, base=cf.Product([cf.Normal(), cf.Uniform()], [1, 0])
        ),
        -0.1,
    ),
}


def state(flow):
    return [a.copy() for a in (*flow.parameters.values(), *flow.buffers.values())]


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize("part", ["training", "validation"])
def test_fit_refuses_and_names_the_row(name, part):
    make, bad = FLOWS[name]
    flow, x, validation = make(), X.copy(), X[:100].copy()
    (x if part == "training" else validation)[37, 0] = bad
    before = state(flow)
    with pytest.raises(ValueError, match=f"{part} data: row 37 has log_prob .*domain"):
        flow.fit(x, validation=validation, epochs=1, progress=False)
    for old, new in zip(before, state(flow), strict=True):
        np.testing.assert_array_equal(old, new)
    history = flow.fit(X, validation=X[:100], epochs=1, progress=False)
    assert history.skipped == 0


def test_standardisation_is_undone():
    x = X.copy()
    x[3, 0] = 4.0
    flow = cf.Flow([cf.Elementwise(), cf.Affine()], features=2, base=cf.Uniform(-1, 1))
    before = state(flow)
    with pytest.raises(ValueError, match="training data: row"):
        flow.fit(x, validation=None, epochs=1, progress=False)
    for old, new in zip(before, state(flow), strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_row_is_that_of_the_callers_array_behind_a_split():
    x = X.copy()
    x[211, 0] = 3.0
    with pytest.raises(ValueError, match="data: row 211 has"):
        FLOWS["sigmoid"][0]().fit(x, validation=0.5, epochs=1, progress=False)


def test_rows_without_weight_may_lie_anywhere():
    x, weights = X.copy(), np.ones(len(X))
    x[5, 0], weights[5] = 1.5, 0.0
    history = FLOWS["uniform"][0]().fit(
        x, validation=None, weights=weights, epochs=1, progress=False
    )
    assert history.skipped == 0


def test_noise_counts():
    """Integers up to 3 with noise on [0, 1) lie within (0, 4), without it on the end."""
    x = np.repeat(np.arange(4.0), 50)[:, None]

    def flow():
        return cf.Flow([cf.Elementwise(), cf.Sigmoid(0.0, 4.0)], features=1, seed=0)

    assert flow().fit(x, validation=None, jitter=1.0, epochs=1, progress=False).skipped == 0
    with pytest.raises(ValueError, match="row 0 has"):
        flow().fit(x, validation=None, epochs=1, progress=False)


@pytest.mark.parametrize("recipe", [cf.realnvp, cf.maf, cf.glow1d])
def test_rows_without_weight_may_lie_outside_of_layers(recipe):
    """They change nothing, not even what starts from the data: the others alone decide."""
    x, weights = np.concatenate([X, -X[:50]]), np.ones(550)
    weights[500:] = 0
    order = np.random.default_rng(3).permutation(550)
    flows = [recipe(2, layers=2, columns=[cf.positive] * 2, seed=0) for _ in range(2)]
    options = {"epochs": 2, "batch_size": 500, "optimizer": cf.SGD(1e-3), "progress": False}
    losses = [
        flows[0].fit(X, seed=0, **{"validation": None, **options}),
        flows[1].fit(x[order], weights=weights[order], seed=0, **{"validation": None, **options}),
    ]
    np.testing.assert_allclose(*(history.train for history in losses), rtol=1e-4)
    found = flows[0].loss_and_grad(x, weights=weights)
    expected = flows[0].loss_and_grad(X)
    assert found[0] == pytest.approx(expected[0], rel=1e-5)
    for name, gradient in expected[1].items():
        np.testing.assert_allclose(found[1][name], gradient, rtol=1e-3, atol=1e-5)
