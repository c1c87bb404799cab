"""Derivatives within functions: against differences of NumPy's truth, closed forms, and JAX."""

from pathlib import Path

import numpy as np
import pytest
from scipy import special

import cflows as cf
import differences
from cflows import nn

TIGHT = {"rtol": 1e-7, "atol": 1e-7}  # differences are right to about 1e-10
ROWS = 6


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


# Functions of single numbers: ours, NumPy's, and where they are looked at.
SMOOTH = {
    "exp": (nn.exp, np.exp, (-2.0, 2.0)),
    "log": (nn.log, np.log, (0.3, 3.0)),
    "log1p": (nn.log1p, np.log1p, (-0.6, 3.0)),
    "expm1": (nn.expm1, np.expm1, (-2.0, 2.0)),
    "tanh": (nn.tanh, np.tanh, (-3.0, 3.0)),
    "sigmoid": (nn.sigmoid, sigmoid, (-4.0, 4.0)),
    "softplus": (nn.softplus, lambda x: np.logaddexp(0.0, x), (-4.0, 4.0)),
    "silu": (nn.silu, lambda x: x * sigmoid(x), (-4.0, 4.0)),
    "gelu": (nn.gelu, lambda x: x * special.ndtr(x), (-3.0, 3.0)),
    "asinh": (nn.asinh, np.arcsinh, (-3.0, 3.0)),
    "sqrt": (nn.sqrt, np.sqrt, (0.3, 3.0)),
    "sinh": (nn.sinh, np.sinh, (-3.0, 3.0)),
    "cosine": (lambda x: nn.cosine(x, 0.3, 0.1), lambda x: np.cos(2 * np.pi * (0.3 * x + 0.1)),
               (-2.0, 2.0)),
    "cube": (lambda x: x**3, lambda x: x**3, (-2.0, 2.0)),
    "reciprocal": (lambda x: 1.0 / x, lambda x: 1.0 / x, (0.5, 3.0)),
    "line": (lambda x: 3.0 * x - 1.0, lambda x: 3.0 * x - 1.0, (-2.0, 2.0)),
}  # fmt: skip


def reductions(x):
    """What mixes features: our own."""
    weights = np.array([0.5, -1.0, 2.0])
    y = nn.concat([x[2], x[:2] * x[1], nn.repeat(nn.sum(x), 2)])
    return nn.log_sum_exp(y) + nn.normal_log_density(x) - nn.sum(weights * x) ** 2 / (4.0 + x[0])


def numpy_reductions(x):
    total = x.sum(axis=1)
    y = np.column_stack([x[:, 2], x[:, 0] * x[:, 1], x[:, 1] ** 2, total, total])
    density = -0.5 * (x**2).sum(axis=1) - 1.5 * np.log(2 * np.pi)
    square = (x @ [0.5, -1.0, 2.0]) ** 2 / (4.0 + x[:, 0])
    return special.logsumexp(y, axis=1) + density - square


def evaluate(function, *arrays, parameters=None, networks=None, seed=0):
    """The function of a new model in float64, for rows."""
    model = nn.objective(
        lambda x, p: nn.sum(x), 1, parameters=parameters, networks=networks, dtype="float64", seed=0
    )
    inputs = {"abcdef"[i]: array.shape[1] for i, array in enumerate(arrays)}
    return nn.function(model, function, "f", inputs=inputs)(*arrays, seed=seed)


def points(low=-1.0, high=1.0, features=3, rows=ROWS):
    return np.random.default_rng(0).uniform(low, high, size=(rows, features))


# -- one function at a time -- #


@pytest.mark.parametrize("name", SMOOTH)
def test_derivatives_of_functions(name):
    """First to third of single numbers, each by grad of the one before."""
    ours, truth, (low, high) = SMOOTH[name]
    x = points(low, high)

    def derivatives(x, p):
        first = nn.grad(lambda y: nn.sum(ours(y)))
        second = nn.grad(lambda y: nn.sum(first(y)))
        return first(x), second(x), nn.grad(lambda y: nn.sum(second(y)))(x)

    found = evaluate(derivatives, x)
    np.testing.assert_allclose(found[0], differences.derivative(lambda h: truth(x + h)), **TIGHT)
    for k in (1, 2):  # of what has just been found right
        values = lambda h, k=k: evaluate(derivatives, x + h)[k - 1]  # noqa: E731
        np.testing.assert_allclose(found[k], differences.derivative(values), **TIGHT)


def test_the_gradient_of_what_mixes_features():
    x = points()
    found = evaluate(lambda x, p: nn.grad(reductions)(x), x)
    expected = differences.jacobian(lambda x: numpy_reductions(x)[:, None], x)[:, 0]
    np.testing.assert_allclose(found, expected, **TIGHT)


# -- products, divergences, nesting -- #

FIELD_PARAMETERS = {"w": np.random.default_rng(5).normal(size=(3, 3)), "c": [0.3, -0.2, 0.9]}


def field(p):
    """From three features to three."""
    return lambda x: nn.tanh(nn.matmul(p.w, x)) * p.c + nn.sum(x) * x[::1] ** 2


def numpy_field(x):
    w, c = (np.asarray(FIELD_PARAMETERS[name]) for name in "wc")
    return np.tanh(x @ w.T) * c + x.sum(axis=1, keepdims=True) * x**2


def test_products_with_the_jacobian():
    x, v = points(), points(-2.0, 2.0)[::-1].copy()
    jacobian = differences.jacobian(numpy_field, x)
    value, product, value_too, forward = evaluate(
        lambda x, p, v: (*nn.vjp(field(p), x, v), *nn.jvp(field(p), x, v)),
        x,
        v,
        parameters=FIELD_PARAMETERS,
    )
    np.testing.assert_allclose(value, numpy_field(x), rtol=1e-13)
    np.testing.assert_allclose(value_too, numpy_field(x), rtol=1e-13)
    np.testing.assert_allclose(product, np.einsum("ni,nij->nj", v, jacobian), **TIGHT)
    np.testing.assert_allclose(forward, np.einsum("nij,nj->ni", jacobian, v), **TIGHT)


def test_products_where_the_sizes_differ_and_with_numbers():
    x, w = points(), np.random.default_rng(5).normal(size=(2, 3))

    def products(x, p):
        def wide(y):
            return nn.tanh(nn.matmul(p.w, y))

        return nn.vjp(wide, x, [1.0, -2.0])[1], nn.jvp(wide, x, [0.5, 1.0, 2.0])[1]

    back, forward = evaluate(products, x, parameters={"w": w})
    jacobian = (1 - np.tanh(x @ w.T) ** 2)[:, :, None] * w
    np.testing.assert_allclose(back, np.array([1.0, -2.0]) @ jacobian, rtol=1e-12)
    np.testing.assert_allclose(forward, jacobian @ [0.5, 1.0, 2.0], rtol=1e-12)


def test_the_exact_divergence():
    x = points()
    found = evaluate(lambda x, p: nn.divergence(field(p), x), x, parameters=FIELD_PARAMETERS)
    expected = np.trace(differences.jacobian(numpy_field, x), axis1=1, axis2=2)
    np.testing.assert_allclose(found[:, 0], expected, **TIGHT)


def test_the_divergence_of_a_gradient_is_the_laplacian():
    x = points()

    def laplacian(x, p):
        return nn.divergence(nn.grad(reductions), x)

    def second(i):
        step = np.eye(3)[i]
        first = lambda h: differences.derivative(  # noqa: E731
            lambda k: numpy_reductions(x + (h + k) * step), 1e-2
        )
        return differences.derivative(first, 1e-2)

    found = evaluate(laplacian, x)[:, 0]
    np.testing.assert_allclose(found, sum(map(second, range(3))), **TIGHT)


@pytest.mark.parametrize("probes", [1, 4])
def test_the_estimate_of_the_divergence(probes):
    """Hutchinson's is unbiased; its variance with signs is the sum of (J_ij + J_ji)^2, i < j."""
    rows = 20_000
    x = np.broadcast_to(points(rows=1), (rows, 3)).copy()
    estimate = lambda x, p: nn.divergence(field(p), x, probes=probes)  # noqa: E731
    found, same, other = (
        evaluate(estimate, x, parameters=FIELD_PARAMETERS, seed=seed)[:, 0] for seed in (1, 1, 2)
    )
    jacobian = differences.jacobian(numpy_field, x[:1])[0]
    upper = np.triu(jacobian + jacobian.T, 1)
    variance = (upper**2).sum() / probes
    assert abs(found.mean() - np.trace(jacobian)) < 4.5 * np.sqrt(variance / rows)
    assert found.var() == pytest.approx(variance, rel=0.1)
    assert np.array_equal(found, same)
    assert (found != other).mean() > 0.3
    assert abs(np.corrcoef(found, other)[0, 1]) < 4.5 / np.sqrt(rows)
    assert abs(np.corrcoef(found[:-1], found[1:])[0, 1]) < 4.5 / np.sqrt(rows)


SCALES = ["tanh", "exp", "softclip"]
ACTIVATIONS = ["tanh", "silu", "gelu", "softplus", "sigmoid", "identity"]
NETWORKS = {name: nn.MLP((7, 5), activation=name) for name in ACTIVATIONS}
NETWORKS["residual"] = nn.ResidualNet(8, 1, activation="tanh")


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_and_laplacians_of_networks(name):
    x, networks = points(), {"net": nn.Network(NETWORKS[name], 3, 1)}

    def all_of_them(x, p):
        gradient = nn.grad(p.net)
        return p.net(x), gradient(x), nn.divergence(gradient, x)

    _, gradient, laplacian = evaluate(all_of_them, x, networks=networks)

    def at(k):
        return lambda x: evaluate(all_of_them, x, networks=networks)[k]

    np.testing.assert_allclose(gradient, differences.jacobian(at(0), x)[:, 0], **TIGHT)
    hessian = differences.jacobian(at(1), x)
    np.testing.assert_allclose(hessian, hessian.transpose(0, 2, 1), **TIGHT)
    np.testing.assert_allclose(laplacian[:, 0], np.trace(hessian, axis1=1, axis2=2), **TIGHT)


# -- losses with a derivative inside -- #


def matching(score, x):
    """Hyvärinen 2005, equation 4."""
    return nn.divergence(score, x) + 0.5 * nn.sum(score(x) ** 2)


def energy_model(activation, hidden=(8, 6)):
    def loss(x, p):
        return matching(nn.grad(lambda y: -1.0 * p.net(y)), x)

    networks = {"net": nn.Network(nn.MLP(hidden, activation=activation), 3, 1)}
    return nn.objective(loss, 3, networks=networks, dtype="float64", seed=0)


def score_model(activation):
    """A field that need be no gradient, with parameters beside the network."""

    def loss(x, p):
        return matching(lambda y: p.net(y) * nn.exp(p.scale) - p.mean, x)

    networks = {"net": nn.Network(nn.MLP((6,), activation=activation), 3, 3)}
    parameters = {"scale": 0.3, "mean": [0.1, 0.2, -0.5]}
    return nn.objective(loss, 3, parameters=parameters, networks=networks, dtype="float64", seed=0)


def coupling_flow(scale):
    layers = [
        cf.Coupling(swap=swap, hidden=(5,), activation="tanh", scale=scale)
        for swap in (False, True)
    ]
    flow = cf.Flow(layers, features=3, dtype="float64", seed=0)
    rng = np.random.default_rng(1)
    for array in flow.parameters.values():
        array[...] = 0.6 * rng.normal(size=array.shape)
    return flow


def fisher(flow):
    """The Fisher divergence to the rows, but for a constant, as a loss of the flow."""

    def loss(x, p):
        return matching(lambda y: p.score(y)[0], x)

    return nn.function(flow, loss, "fisher", loss=True)


def flow_model(scale):
    flow = coupling_flow(scale)
    return flow, fisher(flow)


MODELS = {
    **{f"energy {name}": lambda name=name: (energy_model(name), None) for name in ACTIVATIONS[:4]},
    **{f"score {name}": lambda name=name: (score_model(name), None) for name in ACTIVATIONS[:4]},
    **{f"flow {name}": lambda name=name: flow_model(name) for name in SCALES},
}


def losses_of(model, function, x):
    return model.loss(x) if function is None else function(x)[:, 0]


def gradients_of(model, function, x):
    """Of the mean loss, as a step of gradient descent of length 1 goes."""
    stepped = model.astype("float64")
    if function is not None:
        function = fisher(stepped)
    before = {name: array.copy() for name, array in stepped.parameters.items()}
    with cf.Trainer(stepped, function, cf.SGD(1.0), clip_norm=None) as trainer:
        loss = trainer.step(x)
    return loss, {name: before[name] - array for name, array in stepped.parameters.items()}


@pytest.mark.parametrize("name", MODELS)
def test_losses_with_derivatives_against_differences(name):
    """The loss from differences of what the model's parts give, its gradient from the loss's."""
    model, function = MODELS[name]()
    x = points()
    if function is not None:
        score = model.grad_log_prob
    elif name.startswith("energy"):
        score = nn.function(model, lambda x, p: nn.grad(lambda y: -1.0 * p.net(y))(x), "score")
        energy = nn.function(model, lambda x, p: p.net(x), "energy")
        slope = -differences.jacobian(energy, x)[:, 0]
        np.testing.assert_allclose(score(x), slope, **TIGHT)
    else:
        score = nn.function(model, lambda x, p: p.net(x) * nn.exp(p.scale) - p.mean, "score")
    trace = np.trace(differences.jacobian(score, x), axis1=1, axis2=2)
    losses = losses_of(model, function, x)
    np.testing.assert_allclose(losses, trace + 0.5 * (score(x) ** 2).sum(axis=1), **TIGHT)
    loss, gradients = gradients_of(model, function, x)
    assert loss == pytest.approx(losses.mean(), rel=1e-12)
    for parameter, array in model.parameters.items():
        mean = lambda: losses_of(model, function, x).mean()  # noqa: E731
        np.testing.assert_allclose(gradients[parameter], differences.gradient(mean, array), **TIGHT)


def test_score_matching_of_a_normal_density():
    """With energy (x - m)^2 e^a / 2 the loss is e^2a (x - m)^2 / 2 - e^a, feature by feature."""

    def loss(x, p):
        return matching(nn.grad(lambda y: -0.5 * nn.sum((y - p.m) ** 2 * nn.exp(p.a))), x)

    model = nn.objective(
        loss, 2, parameters={"m": [0.2, -0.4], "a": [0.1, 0.7]}, dtype="float64", seed=0
    )
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 2)) * [2.0, 0.5] + [1.0, -3.0]
    m, precision = np.array([0.2, -0.4]), np.exp([0.1, 0.7])
    expected = ((precision * (x - m)) ** 2 / 2 - precision).sum(axis=1)
    np.testing.assert_allclose(model.loss(x), expected, rtol=1e-12)
    model.fit(
        x,
        validation=None,
        epochs=150,
        optimizer=cf.Adam(0.05),
        schedule="cosine",
        seed=0,
        progress=False,
    )
    # At the optimum m and 1 / e^a are mean and variance of the rows.
    np.testing.assert_allclose(model.parameters["m"], x.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(np.exp(-model.parameters["a"]), x.var(axis=0), rtol=0.02)
    best = -0.5 / x.var(axis=0)
    assert model.loss(x).mean() == pytest.approx(best.sum(), rel=1e-3)


def test_the_fisher_divergence_of_an_affine_flow():
    """It falls to -1/2 times the sum of the precisions, and not below."""
    flow = cf.Flow([cf.Affine(learned=True)], features=2, dtype="float64", seed=0)
    loss = fisher(flow)
    x = np.random.default_rng(0).normal(size=(3000, 2)) * [0.7, 1.5] + [0.5, -1.0]
    history = flow.fit(
        x,
        validation=None,
        loss=loss,
        epochs=150,
        optimizer=cf.Adam(0.05),
        schedule="cosine",
        seed=0,
        progress=False,
    )
    best = -0.5 * (1.0 / x.var(axis=0)).sum()
    assert history.train[0] > best + 0.2
    assert loss(x).mean() == pytest.approx(best, rel=1e-3)
    assert loss(x).mean() > best - 1e-9
    shift, log_scale = (flow.parameters[f"layers.0.{name}"] for name in ("shift", "log_scale"))
    np.testing.assert_allclose(shift, x.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(np.exp(log_scale), x.std(axis=0), rtol=0.02)


# -- against JAX -- #

JAX = Path(__file__).parent / "derivatives" / "jax.npz"
WITH_JAX = {
    **{f"energy-{name}": lambda name=name: (energy_model(name), None) for name in ACTIVATIONS[:4]},
    **{f"coupling-{name}": lambda name=name: flow_model(name) for name in SCALES},
}


@pytest.mark.parametrize("case", WITH_JAX)
def test_losses_and_gradients_against_jax(case):
    """What `tests/data/README.md` says was computed there, of the same parameters and rows."""
    model, function = WITH_JAX[case]()
    with np.load(JAX) as file:
        x, losses = file["x"], file[f"{case}/losses"]
        gradients = {name: file[f"{case}/gradient/{name}"] for name in model.parameters}
        for name, array in model.parameters.items():
            array[...] = file[f"{case}/parameter/{name}"]
    np.testing.assert_allclose(losses_of(model, function, x), losses, **TIGHT)
    loss, found = gradients_of(model, function, x)
    assert loss == pytest.approx(losses.mean(), rel=1e-9)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(found[name], gradient, **TIGHT)
