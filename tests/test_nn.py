"""Layers and objectives written in Python: the same contract as any layer's, from NumPy's truth."""

import copy
import itertools
import pickle

import numpy as np
import pytest
from scipy.signal import correlate2d
from scipy.special import ndtr

import cflows as cf
from cflows import _core, nn
from differences import gradient, jacobian

NET = cf.MLP((5,), activation="tanh")
NAMES = (f"function{i}" for i in itertools.count())


def evaluate(model, f, *inputs):
    """What a function of the model gives, under a name of its own."""
    shapes = {f"input{i}": np.shape(array)[1:] for i, array in enumerate(inputs)}
    return nn.function(model, f, next(NAMES), inputs=shapes)(*inputs)


def log_cosh(t):
    return t + nn.softplus(-2.0 * t) - np.log(2.0)


def sinh_layer():
    """x = sinh(a u) / a."""

    def forward(u, p):
        a = nn.exp(p.log_a)
        return (nn.exp(a * u) - nn.exp(-a * u)) / (2.0 * a), nn.sum(log_cosh(a * u))

    def inverse(x, p):
        a = nn.exp(p.log_a)
        t = nn.asinh(a * x)
        return t / a, -nn.sum(log_cosh(t))

    return nn.layer(3, forward, inverse, parameters={"log_a": [0.3, -0.2, 0.1]})


def coupling_layer():
    """An affine coupling with a network of the first feature and the context."""

    def parts(x, p, c):
        params = p.net(nn.concat([x[0], c]))
        return params[:2], params[2:]

    def forward(u, p, c):
        s, t = parts(u, p, c)
        return nn.concat([u[:1], u[1:] * nn.exp(s) + t]), nn.sum(s)

    def inverse(x, p, c):
        s, t = parts(x, p, c)
        return nn.concat([x[0], (x[1:] - t) * nn.exp(-s)]), -nn.sum(s)

    net = nn.Network(NET, 3, 4)
    return nn.layer(3, forward, inverse, context_features=2, networks={"net": net})


def build(dtype="float64"):
    layers = [coupling_layer(), cf.Permutation("reverse"), sinh_layer(), coupling_layer()]
    flow = cf.Flow(layers, features=3, context_features=2, dtype="float64", seed=0)
    rng = np.random.default_rng(1)
    for parameter in flow.parameters.values():
        parameter[...] += 0.4 * rng.normal(size=parameter.shape)
    return flow if dtype == "float64" else flow.astype(dtype)


def rows(n):
    rng = np.random.default_rng(2)
    return rng.normal(size=(n, 3)), rng.normal(size=(n, 2))


def test_layers_against_numpy():
    flow = build()
    x, context = rows(20)
    p = flow.parameters

    def net(i, h):
        w0, b0 = p[f"layers.{i}.net.linear0.weight"], p[f"layers.{i}.net.linear0.bias"]
        w1, b1 = p[f"layers.{i}.net.linear1.weight"], p[f"layers.{i}.net.linear1.bias"]
        return np.tanh(h @ w0.T + b0) @ w1.T + b1

    def coupling(i, u):
        params = net(i, np.hstack([u[:, :1], context]))
        return np.hstack([u[:, :1], u[:, 1:] * np.exp(params[:, :2]) + params[:, 2:]])

    a = np.exp(p["layers.2.log_a"])
    truth = coupling(3, np.sinh(a * coupling(0, x)[:, ::-1]) / a)
    assert np.allclose(flow.forward(x, context)[0], truth, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_contract(dtype):
    flow = build(dtype)
    x, context = rows(50)
    u, log_det = flow.inverse(x, context)
    back, opposite = flow.forward(u, context)
    tolerance = 1e-4 if dtype == "float32" else 1e-11
    assert np.allclose(back, x, atol=tolerance)
    assert np.allclose(log_det, -opposite, atol=tolerance)
    if dtype == "float64":
        matrices = jacobian(lambda x: flow.inverse(x, context)[0], x)
        assert np.allclose(np.linalg.slogdet(matrices)[1], log_det, atol=1e-8)
    whole = flow.log_prob(x, context)
    assert np.array_equal(flow.log_prob(x[7:20], context[7:20]), whole[7:20])
    before = cf.get_num_threads()
    try:
        for threads in (1, 2, 8):
            cf.set_num_threads(threads)
            assert np.array_equal(flow.log_prob(x, context), whole)
    finally:
        cf.set_num_threads(before)


def test_gradients_against_differences():
    flow = build()
    x, context = rows(4)
    loss, gradients = flow.loss_and_grad(x, context)

    def f():
        return -np.mean(flow.log_prob(x, context).astype(np.longdouble))

    assert loss == pytest.approx(float(f()), rel=1e-13)
    for name, array in flow.parameters.items():
        truth = gradient(f, array)
        assert np.linalg.norm(gradients[name] - truth) <= 1e-7 * np.linalg.norm(truth), name


FUNCTIONS = {
    "exp": (nn.exp, np.exp),
    "log": (lambda x: nn.log(x**2 + 1), lambda x: np.log(x**2 + 1)),
    "log1p": (lambda x: nn.log1p(x**2), lambda x: np.log1p(x**2)),
    "expm1": (nn.expm1, np.expm1),
    "tanh": (nn.tanh, np.tanh),
    "sigmoid": (nn.sigmoid, lambda x: 1 / (1 + np.exp(-x))),
    "softplus": (nn.softplus, lambda x: np.log1p(np.exp(x))),
    "relu": (nn.relu, lambda x: np.maximum(x, 0)),
    "elu": (nn.elu, lambda x: np.where(x > 0, x, np.expm1(x))),
    "silu": (nn.silu, lambda x: x / (1 + np.exp(-x))),
    "gelu": (nn.gelu, lambda x: x * ndtr(x)),
    "abs": (nn.abs, np.abs),
    "asinh": (nn.asinh, np.arcsinh),
    "sqrt": (lambda x: nn.sqrt(x**2 + 1), lambda x: np.sqrt(x**2 + 1)),
    "sinh": (nn.sinh, np.sinh),
    "floor": (nn.floor, np.floor),
    "cosine": (lambda x: nn.cosine(x, 0.3, -0.25), lambda x: np.sin(0.6 * np.pi * x)),
    "clamp": (lambda x: nn.clamp(x, -0.5, 1), lambda x: np.clip(x, -0.5, 1)),
    "greater_equal": (lambda x: nn.greater_equal(x, 0.25), lambda x: (x >= 0.25) * 1.0),
    "operators": (
        lambda x: (1 - x) * 2 / (x**2 + 1.5) - x / 4 + (-x) + [1, 2, 3] * x - np.array([1.0, 0, 2]),
        lambda x: (1 - x) * 2 / (x**2 + 1.5) - x / 4 - x + [1, 2, 3] * x - np.array([1.0, 0, 2]),
    ),
    "slices": (lambda x: nn.concat([x[-1], x[:2], x[1:]]), lambda x: x[:, [2, 0, 1, 1, 2]]),
    "sum": (lambda x: nn.repeat(nn.sum(x), 2), lambda x: np.repeat(x.sum(1)[:, None], 2, 1)),
    "one feature": (lambda x: x * x[0] + x[1], lambda x: x * x[:, :1] + x[:, 1:2]),
    "log_sum_exp": (nn.log_sum_exp, lambda x: np.log(np.exp(x).sum(1, keepdims=True))),
    "normal_log_density": (
        nn.normal_log_density,
        lambda x: -0.5 * (x**2).sum(1, keepdims=True) - 1.5 * np.log(2 * np.pi),
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name):
    ours, truth = FUNCTIONS[name]
    model = nn.objective(lambda x, p: nn.sum(x), 3, dtype="float64")
    x = np.random.default_rng(0).normal(size=(40, 3)) * 2
    assert np.allclose(evaluate(model, lambda x, p: ours(x), x), truth(x), rtol=1e-12, atol=1e-14)


def test_no_function_is_forgotten():
    drawn = {"normal", "uniform"}  # test_noise
    assert set(nn.operations.__all__) - drawn <= set(FUNCTIONS)
    assert all(function.__doc__ for function in map(nn.__dict__.get, nn.operations.__all__))


def test_matrices():
    weight = np.arange(6.0).reshape(2, 3)
    model = nn.objective(
        lambda x, p: nn.sum(nn.matmul(p.weight, x) ** 2),
        3,
        parameters={"weight": weight},
        dtype="float64",
    )
    x = np.random.default_rng(0).normal(size=(40, 3))
    ours = evaluate(model, lambda x, p: nn.matmul(p.weight, x), x)
    assert np.allclose(ours, x @ weight.T, rtol=1e-12)
    _, gradients = model.loss_and_grad(x)
    truth = 2 * (weight @ x.T @ x) / 40
    assert np.allclose(gradients["weight"].reshape(2, 3), truth, rtol=1e-11)


def least_squares():
    def loss(x, p, y):
        return nn.sum((nn.matmul(p.slope, x) + p.offset - y) ** 2)

    parameters = {"slope": np.zeros((2, 3)), "offset": np.zeros(2)}
    return nn.objective(loss, 3, context_features=2, parameters=parameters, dtype="float64", seed=0)


def test_an_objective_is_minimised():
    """Linear least squares, of which NumPy has the solution."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    y = x @ rng.normal(size=(3, 2)) + [1.0, -2.0] + 0.1 * rng.normal(size=(400, 2))
    model = least_squares()
    history = model.fit(
        x,
        y,
        validation=None,
        epochs=200,
        optimizer=cf.Adam(0.03),
        schedule="cosine",
        seed=0,
        progress=False,
    )
    design = np.hstack([x, np.ones((400, 1))])
    truth, residual, *_ = np.linalg.lstsq(design, y, rcond=None)
    assert np.allclose(model.parameters["slope"].reshape(2, 3), truth[:3].T, atol=1e-3)
    assert np.allclose(model.parameters["offset"], truth[3], atol=1e-3)
    assert model.loss(x, y).mean() == pytest.approx(residual.sum() / 400, rel=1e-4)
    assert history.train[-1] == pytest.approx(residual.sum() / 400, rel=1e-2)
    for absent in ("log_prob", "sample", "forward", "inverse", "layers", "base"):
        assert not hasattr(model, absent)


def deblurring():
    """From images of one channel to images of two, by convolutions, in one objective."""

    def loss(x, p):
        sharp = p.sharpen(x)
        return nn.sum((sharp[:15] - x) ** 2) + nn.sum(sharp[15:] ** 2) + p.decode(p.encode(x))[0]

    networks = {
        "sharpen": nn.Network(cf.ConvNet((), kernels=3), (1, 3, 5), (2, 3, 5)),
        "encode": nn.Network(cf.MLP((4,), activation="tanh"), 15, 3),
        "decode": nn.Network(cf.ConvDecoder((4,), activation="tanh"), 3, (1, 4, 6)),
    }
    return nn.objective(loss, shape=(1, 3, 5), networks=networks, dtype="float64", seed=0)


def test_networks_of_images():
    """Rows are images channel by channel and row by row; SciPy has the convolution."""
    model = deblurring()
    x = np.random.default_rng(0).normal(size=(7, 1, 3, 5))
    ours = evaluate(model, lambda x, p: p.sharpen(x), x)
    weight, bias = (model.parameters[f"sharpen.conv0.{n}"] for n in ("weight", "bias"))
    kernels = weight.reshape(2, 3, 3)
    truth = [[correlate2d(i, k, mode="same") for k in kernels] for i in x[:, 0]]
    assert np.allclose(ours.reshape(7, 2, 3, 5), np.array(truth) + bias[:, None, None], atol=1e-12)
    before = model.loss(x).mean()
    model.fit(x, epochs=100, optimizer=cf.Adam(0.03), seed=0, progress=False)
    assert model.loss(x).mean() < 0.2 * before


def test_gradients_of_networks_of_images():
    model = deblurring()
    x = np.random.default_rng(0).normal(size=(3, 1, 3, 5))
    _, gradients = model.loss_and_grad(x)
    for name, parameter in model.parameters.items():
        truth = gradient(lambda: model.loss(x).mean(), parameter)
        assert np.allclose(gradients[name], truth, rtol=1e-6, atol=1e-8), name


def test_images_in_files(tmp_path):
    model = deblurring()
    x = np.random.default_rng(0).normal(size=(3, 1, 3, 5))
    model.save(tmp_path / "model")
    other = cf.load(tmp_path / "model")
    assert np.array_equal(other.loss(x), model.loss(x))
    assert np.array_equal(*(evaluate(m, lambda x, p: p.sharpen(x), x) for m in (model, other)))


def test_a_layer_between_those_of_an_image():
    double = nn.layer(4, lambda u, p: (2 * u, 4 * np.log(2)), lambda x, p: (x / 2, -4 * np.log(2)))
    flow = cf.Flow([cf.ActNorm(), double], shape=(1, 2, 2), dtype="float64")
    x = np.random.default_rng(0).normal(size=(5, 1, 2, 2))
    u, log_det = flow.inverse(x)
    assert np.allclose(u, x / 2)
    assert np.allclose(log_det, -4 * np.log(2))


BAD_NETWORKS = [
    (cf.ConvNet(), 9, 9, "net: ConvNet is from images to images"),
    (cf.ConvNet(), (1, 3, 3), 9, "net: ConvNet is from images to images"),
    (cf.ConvNet(), (1, 3, 3), (1, 3, 4), "as high and wide as it reads, 3 x 3, not 3 x 4"),
    (cf.ConvEncoder(), 9, 2, "ConvEncoder reads images"),
    (cf.ConvDecoder(), 9, 9, "ConvDecoder gives images"),
    (cf.MLP(), (3, 3), 2, r"inputs of net must be a number or .* got \(3, 3\)"),
    (cf.MLP(), 9, (1, 0, 1), "outputs of net must be 1 or more, got 0"),
]


@pytest.mark.parametrize(("network", "inputs", "outputs", "message"), BAD_NETWORKS)
def test_networks_of_no_such_sizes(network, inputs, outputs, message):
    networks = {"net": nn.Network(network, inputs, outputs)}
    with pytest.raises(ValueError, match=message):
        nn.objective(lambda x, p: nn.sum(p.net(x)), 9, networks=networks)


def test_objectives_in_files(tmp_path):
    model = least_squares()
    for parameter in model.parameters.values():
        parameter[...] = np.random.default_rng(1).normal(size=parameter.shape)
    x, y = np.ones((4, 3)), np.zeros((4, 2))
    model.save(tmp_path / "model")
    for other in (cf.load(tmp_path / "model"), pickle.loads(pickle.dumps(model)), copy.copy(model)):
        assert np.array_equal(other.loss(x, y), model.loss(x, y))
        offset = evaluate(other, lambda x, p, y: p.offset - y, x, y)
        assert np.array_equal(offset[0], model.parameters["offset"])


def test_noise():
    """A loss with noise: the variance of what is drawn, another seed another draw."""
    model = nn.objective(
        lambda x, p: nn.sum((x + p.size * nn.normal(2) + nn.uniform(2)) ** 2),
        2,
        parameters={"size": 3.0},
        dtype="float64",
    )
    x = np.zeros((100000, 2))
    loss = model.loss(x)
    assert abs(loss.mean() - 2 * (9 + 1 / 3)) < 5 * loss.std() / np.sqrt(len(x))
    assert np.array_equal(loss, model.loss(x))
    assert not np.array_equal(loss, model.loss(x, seed=1))


def same(u, p):
    return u, None


BAD_LOSSES = [
    (lambda x, p: 3.0, TypeError, r"loss must return a Tracer, got 3\.0"),
    (lambda x, p: x, ValueError, "the loss must have one feature, got 2"),
    (
        lambda x, p: p.b,
        AttributeError,
        "no parameter, network or function is called 'b', of a, net",
    ),
    (lambda x, p: p.net(x), ValueError, "net reads 3 features, got 2"),
    (lambda x, p: x + nn.concat([x, x]), ValueError, "add of 2 and 4 features"),
    (lambda x, p: x[2], IndexError, "this Tracer has 2 features, got index 2"),
    (lambda x, p: x[::2], ValueError, "a slice of a Tracer has step 1"),
    (lambda x, p: nn.repeat(x, 2), ValueError, "repeat is of one feature, got 2"),
    (lambda x, p: x**-1, ValueError, "a power of a Tracer must be 1 or more, got -1"),
    (lambda x, p: x + np.zeros((2, 2)), ValueError, "a constant is a number or a vector"),
    (lambda x, p: nn.matmul(p.a, nn.concat([x, x])), ValueError, "make"),
    (lambda x, p: x + np.array([1.0, np.nan]), ValueError, "a constant must be finite"),
    (lambda x, p: nn.clamp(x, 0.0, np.inf), ValueError, "numbers must be finite, got inf"),
    (lambda x, p: x + nn.concat([]), ValueError, "concat needs Tracers, got none"),
]


@pytest.mark.parametrize(("loss", "error", "message"), BAD_LOSSES)
def test_bad_losses(loss, error, message):
    with pytest.raises(error, match=message):
        nn.objective(loss, 2, parameters={"a": [1, 2]}, networks={"net": (NET, 3, 1)})


def test_tracers_of_another_function():
    """As an operand, of a network or a model's function, at a point, or as what is returned."""
    kept = []
    networks = {"net": (NET, 2, 1)}
    model = nn.objective(lambda x, p: kept.append(x) or nn.sum(p.net(x)), 2, networks=networks)
    of_two = kept[0]
    for wrong in (
        lambda x, p: nn.sum(x + of_two),
        lambda x, p: nn.sum(nn.concat([of_two])),
        lambda x, p: p.net(of_two),
        lambda x, p: p.loss(of_two),
        lambda x, p: nn.sum(nn.grad(nn.sum)(of_two)),
        lambda x, p: nn.divergence(lambda y: y, of_two),
        lambda x, p: of_two,
        lambda x, p: (x, of_two),
    ):
        with pytest.raises(ValueError, match="this Tracer is of another function's trace"):
            nn.function(model, wrong, "wrong")
    with pytest.raises(RuntimeError, match="for functions that are traced"):
        kept[0] + kept[0]


def test_numbers_where_rows_are_expected():
    model = nn.objective(lambda x, p: nn.sum(nn.concat([x, nn.exp(1.0), 3])), 2)
    assert model.loss([[1.0, -4.0]])[0] == pytest.approx(np.e, rel=1e-6)


BAD_CALLS = [
    (lambda: nn.normal(2), RuntimeError, "for functions that are traced"),
    (lambda: nn.layer(2, same, lambda x, p: x), TypeError, "inverse must return a Tracer and"),
    (lambda: nn.layer(2, lambda u, p: (u[:1], 0), same), ValueError, "2 features, got 1"),
    (lambda: nn.layer(2, lambda u, p: (u, u), same), ValueError, "one number, got 2"),
    (lambda: nn.layer(2, same, same, parameters={"a": np.ones((1, 1, 1))}), ValueError, "matrix"),
    (
        lambda: nn.layer(2, same, same, parameters={"a": 1}, networks={"a": (NET, 1, 1)}),
        ValueError,
        "'a' is a parameter and a network",
    ),
    (lambda: nn.objective(lambda x, p: nn.sum(x)), TypeError, "either features or a shape"),
    (lambda: nn.objective(lambda x, p: nn.sum(x), 4, shape=(1, 2, 2)), TypeError, "either"),
    (
        lambda: evaluate(cf.realnvp(2), lambda x, p: 3.0, [[0, 0]]),
        TypeError,
        "must return a Tracer",
    ),
    (lambda: nn.layer(2), TypeError, "a forward, an inverse or both, got neither"),
    (
        lambda: nn.function(cf.realnvp(2), same, "sample"),
        TypeError,
        "must return a Tracer, got None",
    ),
    (
        lambda: nn.function(cf.realnvp(2), lambda x, p: x, "sample"),
        ValueError,
        "there is a function called sample already",
    ),
    (lambda: nn.function(cf.realnvp(2), lambda x, p: x), ValueError, "needs a name"),
    (
        lambda: evaluate(cf.realnvp(2), lambda x, p: p.log_prob(x[0]), [[0, 0]]),
        ValueError,
        "log_prob: x has 2 features, got 1",
    ),
    (
        lambda: evaluate(cf.realnvp(2), lambda x, p: p.log_prob(x, x), [[0, 0]]),
        TypeError,
        "log_prob takes x, got 2 arguments",
    ),
    (lambda: nn.grad(nn.sum)(1), RuntimeError, "for functions that are traced"),
    (
        lambda: evaluate(cf.realnvp(2), lambda x, p: nn.grad(nn.exp)(x), [[0, 0]]),
        ValueError,
        "grad is of a function of one feature, got 2",
    ),
    (
        lambda: evaluate(cf.realnvp(2), lambda x, p: nn.divergence(nn.sum, x), [[0, 0]]),
        ValueError,
        "divergence is of a field of 2 features, got 1",
    ),
    (
        lambda: evaluate(cf.realnvp(2), lambda x, p: nn.vjp(nn.exp, x, [1, 2, 3])[1], [[0, 0]]),
        ValueError,
        "the cotangent must have 2 features, got 3",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD_CALLS)
def test_bad_calls(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("text", "truth"),
    [("input 2;scale 0 0 1;sum 1;return 1 2", lambda x: 2 * x - 1),
     ("input 2;at_least 0 1;sum 1;return 1 2", lambda x: (x >= -1) * 1.0)],
)  # fmt: skip
def test_former_names_of_operations(text, truth):
    layer = cf.Expression(inverse=text, numbers=[2.0, -1.0])
    x = np.array([[-1.5, 0.0], [-1.0, 2.0]])
    assert np.array_equal(cf.Flow([layer], features=2, dtype="float64").inverse(x)[0], truth(x))


HOSTILE = [
    "input 2",
    "input 2;return",
    "input 2;return 1",
    "input 2;return 0 0",
    "return 0",
    "input 2;return 0;input 2",
    "input 2;exp;return 0",
    "input 2;exp 1;return 0",
    "input 2;exp 0 0;return 0",
    "input 2;nothing 0;return 0",
    "input 2;scale 0 0 9;return 0",
    "input 2;slice 0 1 2;return 0",
    "input 2;slice 0 18446744073709551615 2;return 0",
    "input 2;slice 0 99999999999999999999999 1;return 0",
    "input 2;constant 0 0;return 0",
    "input 2;constant 3 0;add 0 1;return 0",
    "input 2;matmul 0 0;return 0",
    "input 2;parameter 1;return 0",
    "input 2;network 0 0;return 0",
    "input 2;context 1;return 0",
    "input;return 0",
    "input 2 2;return 0",
    "input 0;return 0",
    "input 3;slice 0 0 2;return 1",
    "input 2;repeat 0 2;return 0",
    "input 2;return 0 -1",
    ";;;",
    "input 2;sum 0;return 1",
    "input 2;return",
    "input 2;sum 0;return 0 1 1",
    "input 2;argument 0 3;return 0",
    "input 2;argument 1 2;return 0",
    "input 2;argument 9 2;return 0",
    "input 2;call log_prob 0 1 0;return 0",
    "input 2;exp 0;gradient 1 1 1;return 2",
    "input 2;sum 0;gradient 1 0 0;return 2",
    "input 2;gradient 0 0;return 1",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_instructions_that_make_no_sense(text):
    with pytest.raises(ValueError, match="Expression"):
        cf.Flow([cf.Expression(text, text, numbers=[1.0, 2.0])], features=2)


def test_a_layer_traced_for_other_features():
    double = nn.layer(2, lambda u, p: (2 * u, np.log(4)), lambda x, p: (x / 2, -np.log(4)))
    assert np.allclose(cf.Flow([double], features=2).inverse([[2.0, 4.0]])[0], [[1.0, 2.0]])
    with pytest.raises(ValueError, match="it was traced for 2 features, got 3"):
        cf.Flow([double], features=3)
    with pytest.raises(ValueError, match="it was traced for 2 context features, got 1"):
        cf.Flow([coupling_layer()], features=3, context_features=1)


def test_rows_are_a_sequence():
    def loss(x, p):
        a, b = x
        return a * 2 + list(x)[1] / 4 + b * x[-1]

    model = nn.objective(loss, 2, dtype="float64")
    assert np.allclose(model.loss([[3.0, 5.0]]), 3 * 2 + 5 / 4 + 25)


@pytest.mark.parametrize(
    "options",
    [
        {"declarations": "parameter a"},
        {"declarations": "parameter 1 2"},
        {"declarations": "parameter a 0"},
        {"declarations": "parameter a 2 2", "starts": [1, 2]},
        {"declarations": "parameter a 2;parameter a 2", "starts": [1, 2, 3, 4]},
        {"declarations": "parameter a 2", "starts": [1]},
        {"declarations": "parameter a 1", "starts": [1, 2]},
        {"declarations": "network n 2 2"},
        *(
            {"declarations": f"network n {sizes}", "networks": [cf.MLP()]}
            for sizes in ("2", "2 0", "2 x", "2 1x", "2 x1", "1x2 2", "2 1x1x1x2", "2 1x1x-1")
        ),
        {"declarations": "network n 2 1048575x1048575x1048575", "networks": [cf.MLP()]},
        {"declarations": "network n 2 18446744073709551616x1x1", "networks": [cf.MLP()]},
        {"declarations": "parameter a 99999999999", "starts": [1, 2]},
        {"declarations": "parameter " + 100 * "a" + " 1", "starts": [1]},
        {"base_features": 0},
        {"base_features": 3},
    ],
)
def test_declarations_that_make_no_sense(options):
    with pytest.raises(ValueError, match="Expression"):
        cf.Flow([cf.Expression("input 2;return 0", "input 2;return 0", **options)], features=2)


def test_a_layer_of_one_direction():
    only = nn.layer(2, inverse=lambda x, p: (2 * x, np.log(4)))
    flow = cf.Flow([only], features=2, dtype="float64")
    assert np.allclose(flow.inverse([[1.0, 3.0]])[0], [[2.0, 6.0]])
    for call in (lambda: flow.sample(3), lambda: flow.forward([[0.0, 0.0]])):
        with pytest.raises(ValueError, match="this layer has no forward"):
            call()
    only = nn.layer(2, forward=lambda u, p: (2 * u, np.log(4)))
    flow = cf.Flow([only], features=2, dtype="float64")
    assert flow.sample(3, seed=0).shape == (3, 2)
    with pytest.raises(ValueError, match="this layer has no inverse"):
        flow.log_prob([[0.0, 0.0]])


MODULES = [
    "nothing",
    "function",
    "function loss",
    "function loss x 2",
    "function loss x 2 gives",
    "function loss x 2 gives loss",
    "function loss x 2 gives loss 0;argument 0 2;return 0",
    "function loss x 2 gives loss 1;argument 0 2;return 0",
    "function loss x 2 gives loss 2;argument 0 3;return 0",
    "function loss x 2 gives loss 2;argument 0 2;return 0 0",
    "function loss x 2 gives loss 2 other 2;argument 0 2;return 0",
    "function loss x 0 gives loss 2;argument 0 2;return 0",
    "function 1 x 2 gives loss 2;argument 0 2;return 0",
    "function loss x 2 gives loss 2;call loss 0 2 0;return 0",
    "function loss x 2 gives loss 2;argument 0 2;return 0\nfunction loss x 2 gives loss 2;return 0",
    "function loss a 1 b 1 c 1 d 1 e 1 f 1 g 1 gives loss 1;argument 0 1;return 0",
]


@pytest.mark.parametrize("text", MODULES)
def test_modules_that_make_no_sense(text):
    with pytest.raises(ValueError, match=r"cannot be read|function|Expression"):
        _core.Model(_core.Module(text))


def test_functions_of_a_model_call_each_other():
    model = nn.objective(lambda x, p: nn.sum((x - p.a) ** 2), 2, parameters={"a": [1.0, 2.0]})
    nn.function(model, lambda x, p: (x * p.a, nn.sum(x)), "pair")
    product, total = nn.function(model, lambda x, p: p.pair(2 * x), "doubled")([[1.0, 3.0]])
    assert np.allclose(product, [[2.0, 12.0]])
    assert np.allclose(total, [[8.0]])
    assert np.allclose(evaluate(model, lambda x, p: p.loss(x), [[0.0, 0.0]]), 5.0)


def random_flow(context_features=0):
    flow = cf.realnvp(
        3,
        layers=3,
        hidden=(8,),
        activation="tanh",
        context_features=context_features,
        dtype="float64",
        seed=0,
    )
    rng = np.random.default_rng(1)
    for parameter in flow.parameters.values():
        parameter[...] = 0.5 * rng.normal(size=parameter.shape)
    return flow


def test_functions_of_a_flow():
    """What its own methods give, and what becomes of it in a function of one's own."""
    flow = random_flow(context_features=2)
    rng = np.random.default_rng(0)
    x, context = rng.normal(size=(40, 3)), rng.normal(size=(40, 2))
    f = nn.function(flow, lambda x, p, c: (2 * p.log_prob(x, c), *p.inverse(x, c)), "several")
    density, u, log_det = f(x, context)
    assert np.allclose(density[:, 0], 2 * flow.log_prob(x, context), rtol=1e-13)
    truth = flow.inverse(x, context)
    assert np.allclose(u, truth[0], rtol=1e-13)
    assert np.allclose(log_det[:, 0], truth[1], rtol=1e-13)
    g = nn.function(flow, lambda u, p, c: p.forward(u, c)[0], "back", inputs={"u": 3, "c": 2})
    assert np.allclose(g(u, context), x, atol=1e-12)


def test_a_kept_function_sees_parameters_that_change():
    flow = random_flow()
    x = np.random.default_rng(0).normal(size=(5, 3))
    f = nn.function(flow, lambda x, p: p.log_prob(x), "density")
    before = f(x)
    flow.parameters["layers.0.conditioner.linear0.weight"][...] *= 2.0
    assert not np.allclose(f(x), before)
    assert np.array_equal(f(x)[:, 0], flow.log_prob(x))
