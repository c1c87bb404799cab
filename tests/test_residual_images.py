"""Convolutional residual layers against the dense matrices of their convolutions, in NumPy."""

import numpy as np
import pytest

import cflows as cf
from differences import gradient, jacobian

SHAPE = (2, 4, 3)
ROWS = 5


def new_flow(shape=SHAPE, hidden=(4, 3), kernels=(3, 1, 3), dtype="float64", context=0, **options):
    options = {"coefficient": 0.9, **options}
    return cf.Flow(
        [cf.Residual(hidden, kernels=kernels, **options)],
        shape=shape,
        context_features=context,
        dtype=dtype,
        seed=1,
    )


def parameter(flow, name):
    return flow.parameters[f"layers.0.{name}"]


def conv_count(flow):
    return sum("conv" in name and name.endswith("weight") for name in flow.parameters)


def matrix_of(weight, height, width):
    """The convolution as a matrix, pixel by pixel: zeros around the image."""
    outputs, channels, k, _ = weight.shape
    matrix = np.zeros((outputs, height, width, channels, height, width))
    for y in range(height):
        for x in range(width):
            for i in range(k):
                for j in range(k):
                    row, column = y + i - k // 2, x + j - k // 2
                    if 0 <= row < height and 0 <= column < width:
                        matrix[:, y, x, :, row, column] += weight[:, :, i, j]
    return matrix.reshape(outputs * height * width, channels * height * width)


def randomize(flow, spread=1.5, vectors="zeros", seed=2):
    """Random weights; vectors that are zeros, random or the singular ones."""
    rng = np.random.default_rng(seed)
    for name, array in flow.parameters.items():
        if name not in flow.frozen:
            array[...] = rng.normal(size=array.shape) * spread
    for i in range(conv_count(flow)):
        left, right = (parameter(flow, f"conv{i}.{side}") for side in ("left", "right"))
        weight = parameter(flow, f"conv{i}.weight")
        matrix = weight[:, :, 0, 0]
        if weight.shape[2] > 1:
            matrix = matrix_of(weight, *flow.shape[1:])
        if vectors == "random":
            left[...], right[...] = rng.normal(size=left.shape), rng.normal(size=right.shape)
        elif vectors == "singular":
            u, _, v = np.linalg.svd(matrix)
            left[...], right[...] = u[:, 0], v[0]


def normalized(flow, i, c):
    """W as the docstring has it, as a matrix of the whole image."""
    weight = parameter(flow, f"conv{i}.weight").astype(float)
    left, right = (parameter(flow, f"conv{i}.{side}").astype(float) for side in ("left", "right"))
    matrix = matrix_of(weight, *flow.shape[1:])
    largest = np.linalg.norm(matrix, 2)
    if not right.any():
        s = largest
    else:
        seen = weight[:, :, 0, 0] if weight.shape[2] == 1 else matrix
        s = left @ seen @ right / (np.linalg.norm(left) * np.linalg.norm(right))
        s = max(s, largest * 2 * c / (1 + c))
    return matrix / max(1, s / c)


def g(flow, x, context=None, first=True, c=0.9):
    """LipSwish and convolutions, of images as rows of numbers."""
    pixels = flow.shape[1] * flow.shape[2]
    h = x
    for i in range(conv_count(flow)):
        if i > 0 or first:
            steepness = np.logaddexp(0, parameter(flow, f"activation{i}.beta"))
            h = h / (1 + np.exp(-h * steepness)) / 1.1
        bias = parameter(flow, f"conv{i}.bias")
        if i == 0 and context is not None:
            bias = bias + context @ parameter(flow, "context.weight").T
        h = h @ normalized(flow, i, c).T + np.repeat(bias, pixels, axis=-1)
    return h


def points(flow, rows=ROWS, seed=3, spread=1.5):
    return np.random.default_rng(seed).normal(size=(rows, *flow.shape)) * spread


def flat(images):
    return images.reshape(len(images), -1)


@pytest.mark.parametrize("vectors", ["zeros", "random", "singular"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"context": 2},
        {"hidden": (5,), "kernels": 3, "activation_first": False},
        {"hidden": (3,), "kernels": (5, 1), "context": 1},
        {"hidden": (), "kernels": 7},
    ],
    ids=str,
)
def test_the_map_and_its_determinant(options, vectors):
    flow = new_flow(**options)
    randomize(flow, vectors=vectors)
    x = points(flow)
    context = None
    if options.get("context"):
        context = np.random.default_rng(4).normal(size=(ROWS, options["context"]))

    def formula(y):
        return y + g(flow, y, context, options.get("activation_first", True))

    u, log_det = flow.inverse(x, context)
    np.testing.assert_allclose(flat(u), formula(flat(x)), rtol=1e-12, atol=1e-12)
    truth = np.linalg.slogdet(jacobian(formula, flat(x), 1e-4))[1]
    np.testing.assert_allclose(log_det, truth, rtol=0, atol=1e-8)
    again, forward = flow.forward(u, context)
    np.testing.assert_allclose(again, x, rtol=0, atol=1e-12)
    np.testing.assert_allclose(forward, -log_det, rtol=0, atol=1e-12)


# ---- norms ----

RNG = np.random.default_rng(5)
WEIGHTS = {
    "random": RNG.normal(size=(3, 3, 3, 3)),
    "larger than the image": RNG.normal(size=(2, 2, 9, 9)),
    "of one pixel": RNG.normal(size=(4, 4, 1, 1)),
    "of ones": np.ones((2, 2, 3, 3)),
    "huge": 1e30 * RNG.normal(size=(2, 2, 3, 3)),
    "tiny": 1e-6 * RNG.normal(size=(2, 2, 3, 3)),
    "a shift": np.pad([[[[7.0]]]], ((0, 0), (0, 0), (0, 2), (2, 0))),
    "one corner": np.pad([[[[7.0]]]], ((0, 0), (0, 0), (0, 8), (0, 8))),
}


def linear_flow(weight, left=None, right=None, dtype="float64"):
    """u = x + W x on images of 3 x 5 pixels, c = 0.9."""
    shape = (len(weight), 3, 5)
    flow = new_flow(shape, (), weight.shape[2], dtype, activation="identity")
    parameter(flow, "conv0.weight")[...] = weight
    if left is not None:
        parameter(flow, "conv0.left")[...] = left
        parameter(flow, "conv0.right")[...] = right
    return flow


def weight_of(flow):
    n = int(np.prod(flow.shape))
    unit = np.eye(n).reshape(n, *flow.shape)
    return flat(flow.inverse(unit)[0] - unit).T


@pytest.mark.parametrize("name", WEIGHTS)
def test_the_largest_singular_value_is_found(name):
    weight = WEIGHTS[name]
    matrix = matrix_of(weight, 3, 5)
    truth = matrix / max(1, np.linalg.norm(matrix, 2) / 0.9)
    np.testing.assert_allclose(weight_of(linear_flow(weight)), truth, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in WEIGHTS if name != "of one pixel"])
def test_no_vectors_make_the_map_expand(name):
    """Among them pairs of singular vectors, at which a power iteration would stay."""
    weight = WEIGHTS[name]
    matrix = matrix_of(weight, 3, 5)
    u, s, v = np.linalg.svd(matrix)
    given = [(u[:, k], v[k]) for k in {0, 1, len(u) // 2, len(u) - 1}]
    given += [(-u[:, 0], v[0]), (np.ones(len(u)), np.eye(len(u))[0])]
    for left, right in given:
        flow = linear_flow(weight, 3 * left, right / 7)
        found = np.linalg.norm(weight_of(flow), 2)
        assert min(0.9, s[0]) - 1e-13 <= found <= 0.95 + 1e-13  # W is told by (x + W x) - x
        x = points(flow)
        np.testing.assert_allclose(flow.forward(flow.inverse(x)[0])[0], x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("factor", [1e-3, 1.0, 1e3, 1e12])
def test_contraction_and_round_trip_whatever_the_weights(factor, dtype):
    flow = new_flow((2, 5, 4), dtype=dtype)
    randomize(flow, spread=1.0)
    for name, array in flow.parameters.items():
        if name.endswith("weight"):
            array *= factor
    eps = np.finfo(dtype).eps
    x = points(flow, 100, spread=3).astype(dtype)
    other = x + points(flow, 100, seed=9, spread=1e-2).astype(dtype)
    u, log_det = flow.inverse(x)
    moved = flat((flow.inverse(other)[0] - other) - (u - x))
    slope = np.linalg.norm(moved, axis=1) / np.linalg.norm(flat(other - x), axis=1)
    assert slope.max() <= 0.9**3 + 1e4 * eps
    assert np.isfinite(log_det).all()
    assert np.abs(flow.forward(u)[0] - x).max() <= 200 * eps * np.abs(x).max()


def test_weights_that_are_not_finite_give_nan():
    flow = new_flow()
    randomize(flow)
    parameter(flow, "conv0.weight")[2, 1, 0, 1] = np.nan
    x = points(flow)
    assert np.isnan(flow.log_prob(x)).all()
    assert np.isnan(flow.forward(x)[0]).all()


# ---- gradients and training ----


@pytest.mark.parametrize("vectors", ["zeros", "random", "singular"])
def test_gradients_of_all_parameters(vectors):
    """Through the singular values too: larger than c, and smaller."""
    flow = new_flow((1, 3, 2), (3, 2), context=1)
    randomize(flow, vectors=vectors)
    parameter(flow, "conv1.weight")[...] *= 0.05
    x, value = points(flow), points(flow, seed=6)
    rng = np.random.default_rng(4)
    context, log_det = rng.normal(size=(ROWS, 1)), rng.normal(size=ROWS)
    for direction, call in {"inverse": flow.inverse, "forward": flow.forward}.items():
        ours = flow.vjp(x, value, log_det, context, direction=direction)

        def f(call=call):
            y, ld = call(x, context)
            return np.sum(y * value) + np.sum(ld * log_det)

        for name, array in flow.parameters.items():
            if name in flow.frozen:
                assert not ours.parameters[name].any()
                continue
            truth = gradient(f, array, 1e-3)
            error = np.linalg.norm(ours.parameters[name] - truth)
            assert error <= 1e-8 * (1 + np.linalg.norm(truth)), name
        np.testing.assert_allclose(ours.x, gradient(f, x, 1e-3), rtol=1e-7, atol=1e-9)


def test_training_keeps_the_vectors():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 1, 1, 1)) + 0.5 * rng.normal(size=(400, 2, 3, 3))
    flow = new_flow((2, 3, 3), (8,), 3)
    history = flow.fit(
        x, validation=0.2, epochs=15, optimizer=cf.Adam(1e-2), seed=0, progress=False
    )
    assert history.validation[-1] < history.validation[0] - 0.5
    for i in range(2):
        matrix = matrix_of(parameter(flow, f"conv{i}.weight"), 3, 3)
        left, right = (parameter(flow, f"conv{i}.{side}") for side in ("left", "right"))
        largest = np.linalg.norm(matrix, 2)
        assert left @ matrix @ right == pytest.approx(largest, rel=1e-6)
        np.testing.assert_allclose([left @ left, right @ right], 1, rtol=1e-12)
    np.testing.assert_allclose(flow.forward(flow.inverse(x)[0])[0], x, atol=1e-12)


def test_the_estimates_mean_is_the_exact_number():
    flow = new_flow((2, 2, 2), (6,), 3, log_det="series")
    randomize(flow, vectors="singular", spread=1.0)
    x = np.repeat(points(flow, 8), 250, axis=0)
    exact, gradients = flow.loss_and_grad(x)
    losses, steps = [], []
    for seed in range(30):
        copy = flow.astype("float64")
        before = {name: array.copy() for name, array in copy.parameters.items()}
        with cf.Trainer(copy, None, cf.SGD(1.0), clip_norm=None, seed=seed) as trainer:
            losses.append(trainer.step(x))
        steps.append({name: before[name] - array for name, array in copy.parameters.items()})
    losses = np.array(losses)
    assert losses.std() > 0
    assert abs(losses.mean() - exact) < 4 * losses.std(ddof=1) / len(losses) ** 0.5
    for name, truth in gradients.items():
        if name in flow.frozen:
            continue
        found = np.array([moved[name] for moved in steps])
        noise = found.std(axis=0, ddof=1) / len(steps) ** 0.5
        assert np.all(np.abs(found.mean(axis=0) - truth) < 5 * noise + 1e-9), name


# ---- shapes ----


def test_kernels_of_one_pixel_act_on_channels():
    """Every pixel as a dense layer of its channels."""
    flow = new_flow((3, 2, 4), (5,), 1)
    randomize(flow)
    dense = cf.Flow([cf.Residual((5,), coefficient=0.9)], features=3, dtype="float64", seed=1)
    for name, array in flow.parameters.items():
        other = dense.parameters[name.replace("conv", "linear")]
        other[...] = array.reshape(other.shape)
    x = points(flow)
    u, log_det = flow.inverse(x)
    by_pixel, terms = dense.inverse(np.moveaxis(x, 1, -1).reshape(-1, 3))
    truth = np.moveaxis(by_pixel.reshape(ROWS, 2, 4, 3), -1, 1)
    np.testing.assert_allclose(u, truth, rtol=0, atol=1e-13)
    np.testing.assert_allclose(log_det, terms.reshape(ROWS, 8).sum(axis=1), rtol=0, atol=1e-12)


def test_between_squeezes_and_other_layers(tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 1, 4, 4))
    flow = cf.Flow(
        [cf.Residual((6,), kernels=3), cf.ActNorm(), cf.Squeeze(), cf.Residual((4,), kernels=1)],
        shape=(1, 4, 4),
        dtype="float64",
        seed=0,
    )
    flow.fit(x, validation=None, epochs=2, seed=0, progress=False)
    report = cf.audit(flow, x[:20])
    assert report.round_trip < 1e-11
    assert report.log_det < 1e-11
    flow.save(tmp_path / "flow")
    np.testing.assert_array_equal(cf.load(tmp_path / "flow").log_prob(x), flow.log_prob(x))
