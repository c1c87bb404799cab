"""Residual layers against formulas by hand: NumPy's singular values, Jacobians and determinants."""

import numpy as np
import pytest

import cflows as cf
from differences import gradient, jacobian

LIPSWISH = "lipswish"
ACTIVATIONS = {
    "elu": lambda h: np.where(h > 0, h, np.expm1(np.minimum(h, 0))),
    "tanh": np.tanh,
    "relu": lambda h: np.maximum(h, 0),
    "leaky_relu": lambda h: np.where(h > 0, h, 0.01 * h),
    "softplus": lambda h: np.logaddexp(0, h),
    "sigmoid": lambda h: 1 / (1 + np.exp(-h)),
    "sine": np.sin,
    "identity": lambda h: h,
}
KINKED = ("relu", "leaky_relu", "elu")
ROWS = 7


def new_flow(features=3, dtype="float64", context_features=0, seed=1, **options):
    options = {"hidden": (6, 5), **options}
    return cf.Flow(
        [cf.Residual(**options)],
        features=features,
        context_features=context_features,
        dtype=dtype,
        seed=seed,
    )


def parameter(flow, name):
    return flow.parameters[f"layers.0.{name}"]


def layer_count(flow):
    return sum(name.endswith("weight") and "linear" in name for name in flow.parameters)


def randomize(flow, seed=2, spread=1.5, vectors="zeros"):
    """Random weights; vectors that are zeros, random or the singular ones."""
    rng = np.random.default_rng(seed)
    for name, array in flow.parameters.items():
        if name not in flow.frozen:
            array[...] = rng.normal(size=array.shape) * spread
    for i in range(layer_count(flow)):
        left, right = (parameter(flow, f"linear{i}.{side}") for side in ("left", "right"))
        if vectors == "random":
            left[...], right[...] = rng.normal(size=left.shape), rng.normal(size=right.shape)
        elif vectors == "singular":
            u, _, v = np.linalg.svd(parameter(flow, f"linear{i}.weight"))
            left[...], right[...] = u[:, 0], v[0]


def bound(c):
    return (1 + c) / 2


def normalized(flow, i, c):
    """W as the docstring has it."""
    weight, left, right = (
        parameter(flow, f"linear{i}.{name}").astype(float) for name in ("weight", "left", "right")
    )
    largest = np.linalg.norm(weight, 2)
    if not right.any():
        s = largest
    else:
        s = left @ weight @ right / (np.linalg.norm(left) * np.linalg.norm(right))
        s = max(s, largest * c / bound(c))
    return weight / max(1, s / c)


def g(flow, x, context=None, activation=LIPSWISH, first=True, c=0.97):
    h = x
    for i in range(layer_count(flow)):
        if i > 0 or first:
            if activation == LIPSWISH:
                steepness = np.logaddexp(0, parameter(flow, f"activation{i}.beta"))
                h = h / (1 + np.exp(-h * steepness)) / 1.1
            else:
                h = ACTIVATIONS[activation](h)
        h = h @ normalized(flow, i, c).T + parameter(flow, f"linear{i}.bias")
        if i == 0 and context is not None:
            h = h + context @ parameter(flow, "context.weight").T
    return h


def points(features, rows=ROWS, seed=3, spread=1.5):
    return np.random.default_rng(seed).normal(size=(rows, features)) * spread


FORMS = [
    {"hidden": (6, 5)},
    {"hidden": ()},
    {"hidden": (8,), "activation_first": False},
    *({"activation": name} for name in ACTIVATIONS),
    {"hidden": (4, 4, 4), "activation": "sine", "activation_first": False, "coefficient": 0.5},
    {"hidden": (), "activation_first": False},
]


@pytest.mark.parametrize("vectors", ["zeros", "random", "singular"])
@pytest.mark.parametrize("context_features", [0, 2])
@pytest.mark.parametrize("options", FORMS, ids=str)
def test_the_map_and_its_determinant(options, context_features, vectors):
    flow = new_flow(context_features=context_features, **options)
    randomize(flow, vectors=vectors)
    x = points(3)
    context = points(2, seed=4) if context_features else None
    form = {
        "activation": options.get("activation", LIPSWISH),
        "first": options.get("activation_first", True),
        "c": options.get("coefficient", 0.97),
    }

    def formula(y):
        return y + g(flow, y, context, **form)

    u, log_det = flow.inverse(x, context)
    np.testing.assert_allclose(u, formula(x), rtol=1e-12, atol=1e-12)
    truth = np.linalg.slogdet(jacobian(formula, x, 1e-4))[1]
    np.testing.assert_allclose(log_det, truth, rtol=0, atol=1e-8)
    again, forward = flow.forward(u, context)
    np.testing.assert_allclose(again, x, rtol=0, atol=1e-12)
    np.testing.assert_allclose(forward, -log_det, rtol=0, atol=1e-12)


def test_a_new_layer_is_the_identity():
    flow, x = new_flow(context_features=2), points(3)
    for result in (flow.inverse(x, points(2)), flow.forward(x, points(2))):
        np.testing.assert_array_equal(result[0], x)
        np.testing.assert_array_equal(result[1], 0)


# ---- norms ----


def linear_flow(weight, left=None, right=None, c=0.97, dtype="float64"):
    """u = x + W x + bias."""
    n = len(weight)
    flow = new_flow(n, dtype, hidden=(), activation_first=False, coefficient=c)
    parameter(flow, "linear0.weight")[...] = weight
    if left is not None:
        parameter(flow, "linear0.left")[...] = left
        parameter(flow, "linear0.right")[...] = right
    return flow


def weight_of(flow):
    n = flow.features
    columns = flow.inverse(np.eye(n))[0] - flow.inverse(np.zeros((n, n)))[0] - np.eye(n)
    return columns.T


def hadamard(n):
    h = np.ones((1, 1))
    while len(h) < n:
        h = np.block([[h, h], [h, -h]])
    return h


RNG = np.random.default_rng(5)
WEIGHTS = {
    "random": RNG.normal(size=(9, 9)),
    "random, wide": RNG.normal(size=(130, 130)),
    "of rank one": 1e3 * np.outer(RNG.normal(size=8), RNG.normal(size=8)),
    "tiny": 1e-6 * RNG.normal(size=(7, 7)),
    "huge": 1e30 * RNG.normal(size=(7, 7)),
    "orthogonal": 50 * np.linalg.qr(RNG.normal(size=(12, 12)))[0],
    "nearly equal singular values": np.diag(np.linspace(9.99, 10.0, 40)),
    "one large number": np.diag([1.0, 2.0, 3.0, 4.0, 5e3]),
    "nilpotent": 30 * np.triu(np.ones((10, 10)), 1),
    "of ones": np.ones((16, 16)),
    "hadamard": hadamard(16),
    "one number": np.array([[-7.0]]),
    "zeros": np.zeros((4, 4)),
}


@pytest.mark.parametrize("c", [0.5, 0.97, 0.999])
@pytest.mark.parametrize("name", WEIGHTS)
def test_the_largest_singular_value_is_found(name, c):
    weight = WEIGHTS[name]
    found = weight_of(linear_flow(weight, c=c))
    truth = weight / max(1, np.linalg.norm(weight, 2) / c)
    np.testing.assert_allclose(found, truth, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in WEIGHTS if name != "zeros"])
def test_no_vectors_make_the_map_expand(name):
    """Among them every pair of singular vectors, at which a power iteration would stay."""
    weight, c = WEIGHTS[name], 0.9
    u, _, v = np.linalg.svd(weight)
    given = [(u[:, k], v[k]) for k in {0, 1, len(u) // 2, len(u) - 1} if k < len(u)]
    given += [(-u[:, 0], v[0]), (np.ones(len(u)), np.eye(len(u))[0])]
    for left, right in given:
        flow = linear_flow(weight, left * 3, right / 7, c)
        found = np.linalg.norm(weight_of(flow), 2)
        smallest = min(c, np.linalg.norm(weight, 2))
        assert smallest * (1 - 1e-12) <= found <= bound(c) * (1 + 1e-12)
        x = points(len(u))
        np.testing.assert_allclose(flow.forward(flow.inverse(x)[0])[0], x, rtol=0, atol=1e-11)


def test_vectors_that_are_good_enough_are_used_as_they_are():
    """The rule is continuous, so that a search along a line of weights sees no jump."""
    weight, c = WEIGHTS["random"], 0.9
    u, s, v = np.linalg.svd(weight)
    for angle in np.linspace(0, 0.6, 25):
        left = np.cos(angle) * u[:, 0] + np.sin(angle) * u[:, 1]
        value = max(left @ weight @ v[0], s[0] * c / bound(c))
        found = weight_of(linear_flow(weight, left, v[0], c))
        np.testing.assert_allclose(found, weight * c / value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("factor", [1e-3, 1.0, 1e3, 1e12])
@pytest.mark.parametrize("activation", [LIPSWISH, "elu", "sine", "identity"])
def test_contraction_and_round_trip_whatever_the_weights(activation, factor, dtype):
    flow = new_flow(5, dtype, hidden=(16, 16), activation=activation, coefficient=0.9)
    randomize(flow, spread=1.0)
    for name, array in flow.parameters.items():
        if name.endswith("weight"):
            array *= factor
    x, eps = points(5, 200, spread=3), np.finfo(dtype).eps
    x = x.astype(dtype)
    other = x + points(5, 200, seed=9, spread=1e-2).astype(dtype)
    u, log_det = flow.inverse(x)
    moved = (flow.inverse(other)[0] - other) - (u - x)
    slope = np.linalg.norm(moved, axis=1) / np.linalg.norm(other - x, axis=1)
    assert slope.max() <= 0.9**3 + 1e4 * eps
    assert np.isfinite(log_det).all()
    again = flow.forward(u)[0]
    assert np.abs(again - x).max() <= 200 * eps * np.abs(x).max()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("c", [0.9, 0.99, 0.999])
@pytest.mark.parametrize("sign", [-1, 1])
def test_rounding_errors_that_the_fixed_point_enlarges(sign, c, dtype):
    """With J = c iterates go to and fro, with J = -c they creep; rows never fail, nor gradients."""
    flow = linear_flow(np.diag([5.0 * sign, 0.1, -3.0]), c=c, dtype=dtype)
    weight = np.diag([sign, 0.02, -0.6]) * c
    u = points(3, 400, spread=4).astype(dtype)
    x, _ = flow.forward(u)
    eps = np.finfo(dtype).eps
    truth = u.astype(float) / (1 + np.diag(weight))
    assert np.abs(x - truth).max() <= 64 * eps / (1 - c) * np.abs(truth).max()
    cotangent = points(3, 400, seed=8).astype(dtype)
    found = flow.vjp(u, cotangent, direction="forward").x
    truth = cotangent.astype(float) / (1 + np.diag(weight))
    assert np.abs(found - truth).max() <= 64 * eps / (1 - c) * np.abs(truth).max()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_small_x_beside_large_numbers_that_cancel(dtype):
    """At x = 0, u is the bias of g; rounding errors are relative to that, not to x."""
    flow = new_flow(2, dtype, hidden=(8, 8))
    randomize(flow, spread=100.0)
    x = np.zeros((5, 2), dtype)
    x[1:] = np.array([1e-30, 1e-12, 1e-6, 1e-3], dtype)[:, None]
    u, _ = flow.inverse(x)
    assert np.abs(u).max() > 50
    error = np.abs(flow.forward(u)[0] - x)
    assert error.max() <= 100 * np.finfo(dtype).eps * np.abs(u).max()


def test_weights_that_are_not_finite_give_nan():
    flow = new_flow()
    randomize(flow)
    parameter(flow, "linear1.weight")[2, 3] = np.nan
    x = points(3)
    assert np.isnan(flow.log_prob(x)).all()
    assert np.isnan(flow.forward(x)[0]).all()


# ---- gradients ----


@pytest.mark.parametrize("vectors", ["zeros", "random", "singular"])
@pytest.mark.parametrize("direction", ["inverse", "forward"])
def test_gradients_of_all_parameters(direction, vectors):
    """Through the singular values too: larger than c, and smaller."""
    flow = new_flow(3, context_features=2, coefficient=0.9)
    randomize(flow, vectors=vectors)
    parameter(flow, "linear1.weight")[...] *= 0.1
    x, context = points(3), points(2, seed=4)
    value, log_det = points(3, seed=6), np.random.default_rng(7).normal(size=ROWS)
    ours = flow.vjp(x, value, log_det, context, direction=direction)

    def f():
        y, ld = (flow.inverse if direction == "inverse" else flow.forward)(x, context)
        return np.sum(y * value) + np.sum(ld * log_det)

    for name, array in flow.parameters.items():
        if name in flow.frozen:
            assert not ours.parameters[name].any()
            continue
        truth = gradient(f, array, 1e-3)
        assert np.linalg.norm(ours.parameters[name] - truth) <= 1e-8 * (1 + np.linalg.norm(truth))
    np.testing.assert_allclose(ours.x, gradient(f, x, 1e-3), rtol=1e-7, atol=1e-9)


def score_loss(flow):
    def loss(x, p):
        score, _ = p.score(x)
        return cf.nn.sum(score * score)

    return cf.nn.function(flow, loss, "score_loss", loss=True)


@pytest.mark.parametrize("inverted", [False, True])
def test_gradients_of_scores(inverted):
    """Of the determinant's gradient, and of the fixed point's."""
    flow = new_flow(3, hidden=(5,))
    randomize(flow, vectors="singular")
    if inverted:
        other = cf.Flow([cf.Inverse(cf.Residual((5,)))], features=3, dtype="float64", seed=1)
        for name, array in flow.parameters.items():
            other.parameters[name][...] = array
        flow = other
    x = points(3)
    _, ours = one_step(flow, x, 0, score_loss)
    for name, array in flow.parameters.items():
        if name not in flow.frozen:
            truth = gradient(lambda: np.sum(flow.grad_log_prob(x) ** 2) / len(x), array, 1e-3)
            error = np.linalg.norm(ours[name] - truth)
            assert error <= 1e-6 * (1 + np.linalg.norm(truth)), name


def test_the_gradient_of_an_estimate_is_differentiated_once():
    flow = estimating_flow(3)
    with pytest.raises(ValueError, match="a loop that has no gradient is differentiated"):
        one_step(flow, points(3), 0, score_loss)


# ---- training ----


def test_training_keeps_the_vectors():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 2)) @ np.array([[1.0, 0.4], [0.0, 0.3]]) + np.sin(rng.normal())
    flow = new_flow(2, hidden=(16, 16), coefficient=0.9)
    history = flow.fit(
        x, validation=0.2, epochs=30, optimizer=cf.Adam(1e-2), seed=0, progress=False
    )
    assert history.validation[-1] < history.validation[0] - 0.1
    for i in range(3):
        weight, left, right = (
            parameter(flow, f"linear{i}.{name}") for name in ("weight", "left", "right")
        )
        largest = np.linalg.norm(weight, 2)
        assert left @ weight @ right == pytest.approx(largest, rel=1e-6)
        np.testing.assert_allclose([left @ left, right @ right], 1, rtol=1e-12)
    np.testing.assert_allclose(flow.forward(flow.inverse(x)[0])[0], x, atol=1e-12)


def test_batches_of_one_row_and_saved_vectors(tmp_path):
    x = points(2, 40)
    flow = new_flow(2)
    flow.fit(x, validation=None, batch_size=1, epochs=1, seed=0, progress=False)
    flow.save(tmp_path / "flow")
    loaded = cf.load(tmp_path / "flow")
    for name, array in flow.parameters.items():
        np.testing.assert_array_equal(loaded.parameters[name], array)
    np.testing.assert_array_equal(loaded.log_prob(x), flow.log_prob(x))


def test_a_target_is_learned_through_the_fixed_point():
    flow = new_flow(2, hidden=(16, 16))

    def target(x):
        z = (x - 1.0) / 0.7
        return -0.5 * np.sum(z * z, axis=1), -z / 0.7

    flow.fit_target(target, steps=300, batch_size=64, optimizer=cf.Adam(1e-2), seed=0)
    samples = flow.sample(4000, seed=1)
    np.testing.assert_allclose(samples.mean(axis=0), 1.0, atol=0.08)
    np.testing.assert_allclose(samples.std(axis=0), 0.7, atol=0.08)


# ---- the estimate ----


def estimating_flow(features, coefficient=0.9):
    flow = new_flow(features, hidden=(12,), log_det="series", coefficient=coefficient)
    randomize(flow, vectors="singular", spread=1.0)
    return flow


def one_step(flow, x, seed, function=None):
    """The mean loss that a step sees, and its gradient: what plain descent at rate 1 subtracts."""
    copy = flow.astype("float64")
    before = {name: array.copy() for name, array in copy.parameters.items()}
    loss = None if function is None else function(copy)
    with cf.Trainer(copy, loss, cf.SGD(1.0), clip_norm=None, seed=seed) as trainer:
        value = trainer.step(x)
    return value, {name: before[name] - array for name, array in copy.parameters.items()}


@pytest.mark.parametrize("features", [1, 2, 6])
def test_the_estimates_mean_is_the_exact_number(features):
    flow = estimating_flow(features)
    x = np.repeat(points(features, 8), 250, axis=0)
    exact, gradients = flow.loss_and_grad(x)
    steps = [one_step(flow, x, seed) for seed in range(40)]
    losses = np.array([loss for loss, _ in steps])
    assert losses.std() > 0
    assert abs(losses.mean() - exact) < 4 * losses.std(ddof=1) / len(losses) ** 0.5
    for name, truth in gradients.items():
        if name in flow.frozen:
            continue
        found = np.array([moved[name] for _, moved in steps])
        error = np.abs(found.mean(axis=0) - truth)
        noise = found.std(axis=0, ddof=1) / len(steps) ** 0.5
        assert np.all(error < 5 * noise + 1e-9)
        assert np.linalg.norm(error) < 0.2 * np.linalg.norm(truth) + 0.01


def test_the_estimate_is_of_its_seed_and_scores_are_exact():
    flow, x = estimating_flow(4), points(4, 100)
    first, again, other = (one_step(flow, x, seed) for seed in (1, 1, 2))
    assert first[0] == again[0] != other[0]
    exact = new_flow(4, hidden=(12,), log_det="exact", coefficient=0.9)
    for name, array in flow.parameters.items():
        exact.parameters[name][...] = array
    np.testing.assert_array_equal(flow.log_prob(x), exact.log_prob(x))


def test_the_estimate_is_the_same_for_any_number_of_threads(set_threads):
    """Neighbours have as many terms, but tiles do not decide who they are."""
    flow, x = estimating_flow(4), points(4, 300)
    results = []
    for threads in (1, 3):
        set_threads(threads)
        results.append(one_step(flow, x, 1))
    assert results[0][0] == results[1][0]
    for name, array in results[0][1].items():
        np.testing.assert_array_equal(results[1][1][name], array)


def test_many_features_are_learned_by_the_estimate():
    """More than 32, where log_det='auto' estimates: the scales of a normal distribution."""
    rng = np.random.default_rng(0)
    scale = np.linspace(0.6, 1.5, 40)
    x = rng.normal(size=(2000, 40)) * scale
    flow = new_flow(40, hidden=(64,), dtype="float32")
    before = flow.log_prob(x).mean()
    flow.fit(x, validation=0.2, epochs=25, optimizer=cf.Adam(3e-3), seed=0, progress=False)
    truth = (-0.5 * (x / scale) ** 2 - np.log(scale) - 0.5 * np.log(2 * np.pi)).sum(axis=1).mean()
    after = flow.log_prob(x).mean()
    assert before < after < truth + 1.0
    assert truth - after < 0.5 * (truth - before)


# ---- shapes and options ----


def test_images_are_rows_of_numbers():
    flow = cf.Flow([cf.Residual((10,))], shape=(2, 3, 2), dtype="float64", seed=0)
    flat = new_flow(12, hidden=(10,))
    randomize(flat)
    for name, array in flat.parameters.items():
        flow.parameters[name][...] = array
    x = points(12)
    images = x.reshape(-1, 2, 3, 2)
    np.testing.assert_array_equal(flow.inverse(images)[0].reshape(x.shape), flat.inverse(x)[0])
    np.testing.assert_array_equal(flow.log_prob(images), flat.log_prob(x))


def test_it_stands_among_others():
    """In a chain with batch statistics, inverted, twice: one fit keeps them all."""
    x = points(4, 300)
    flow = cf.Flow(
        [
            cf.Residual((8,)),
            cf.BatchNorm(),
            cf.Inverse(cf.Chain([cf.Residual((8,)), cf.ActNorm()])),
            cf.Residual((8,), activation="sine"),
        ],
        features=4,
        dtype="float64",
        seed=0,
    )
    flow.fit(x, validation=None, epochs=3, seed=0, progress=False)
    assert cf.audit(flow, x[:50]).round_trip < 1e-10
