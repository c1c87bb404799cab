"""The contract of stochastic layers: with its seed, all that a flow does is a function."""

import pickle

import numpy as np
import pytest

import cflows as cf
from differences import gradient

NET = cf.MLP((6,), activation="tanh")
CONV = cf.ConvNet((3,), (3, 1), activation="tanh")


def noise_of_images():
    return [
        cf.Elementwise(conditioner=CONV),
        cf.Coupling("checkerboard", conditioner=CONV, scale="tanh"),
    ]


def noise_of_squeezed_images():
    """Its networks read x squeezed."""
    return [cf.Coupling(conditioner=CONV), cf.Squeeze()]


def inverse_autoregressive_flow():
    return [cf.Inverse(cf.Autoregressive(conditioner=NET))]


FLOWS = {
    "uniform": lambda: ([cf.Coupling(conditioner=NET), cf.Sigmoid(), cf.Dequantize(5)], 3, 0),
    "uniform-counts": lambda: (
        [
            cf.Coupling(conditioner=NET, transform="spline"),
            cf.Affine(scale=3.0),
            cf.Dequantize(None),
        ],
        3,
        2,
    ),
    "columns": lambda: (
        [
            cf.Coupling(conditioner=NET),
            cf.OnFeatures([0, 2], cf.Dequantize(None, [cf.Elementwise(conditioner=NET)])),
        ],
        3,
        2,
    ),
    "variational": lambda: (
        [
            cf.Coupling(conditioner=NET),
            cf.Sigmoid(),
            cf.Dequantize(5, [cf.Coupling(conditioner=NET)]),
        ],
        3,
        0,
    ),
    "variational-context": lambda: (
        [
            cf.Coupling(conditioner=NET),
            cf.Sigmoid(),
            cf.Dequantize(3, [cf.Inverse(cf.Autoregressive(conditioner=NET)), cf.ActNorm()]),
        ],
        3,
        2,
    ),
    "images": lambda: (
        [
            cf.Coupling("checkerboard", conditioner=CONV, scale="tanh"),
            cf.Sigmoid(-0.05, 1.05),
            cf.Dequantize(8, noise_of_images()),
        ],
        (1, 4, 2),
        0,
    ),
    "images-squeezed": lambda: (
        [
            cf.Coupling("checkerboard", conditioner=CONV, scale="tanh"),
            cf.Sigmoid(-0.05, 1.05),
            cf.Dequantize(8, noise_of_squeezed_images()),
        ],
        (2, 2, 2),
        2,
    ),
    "vae": lambda: (
        [cf.Coupling(conditioner=NET), cf.Variational(3, NET, NET)],
        4,
        0,
    ),
    "vae-normal-context": lambda: (
        [cf.Coupling(conditioner=NET), cf.Variational(2, NET, NET, "normal")],
        4,
        2,
    ),
    "vae-normal-fixed": lambda: ([cf.Variational(2, NET, NET, cf.NormalLikelihood(0.5))], 4, 0),
    "vae-categorical": lambda: (
        [cf.Variational(2, NET, NET, cf.CategoricalLikelihood(3), [cf.Coupling(conditioner=NET)])],
        4,
        0,
    ),
    "vae-logistic": lambda: (
        [cf.Variational(3, NET, NET, cf.LogisticLikelihood(5), inverse_autoregressive_flow())],
        3,
        2,
    ),
    "vae-images": lambda: (
        [
            cf.Coupling(conditioner=NET),
            cf.Variational(
                3,
                cf.ConvEncoder((3, 2), activation="tanh"),
                cf.ConvDecoder((2, 3), activation="tanh"),
            ),
        ],
        (1, 4, 8),
        2,
    ),
}


def build(name, dtype="float64"):
    layers, size, context_features = FLOWS[name]()
    size = {"shape": size} if isinstance(size, tuple) else {"features": size}
    flow = cf.Flow(layers, **size, context_features=context_features, dtype="float64", seed=1)
    rng = np.random.default_rng(1)
    for parameter in flow.parameters.values():
        fan_in = np.prod(parameter.shape[1:]) if parameter.ndim > 1 else 4.0
        parameter[...] = 1.3 * rng.normal(size=parameter.shape) / np.sqrt(fan_in)
    return flow if dtype == "float64" else flow.astype(dtype)


def data_rows(flow, rows, seed=3):
    """Samples of the flow, which have all that it supports, and their context."""
    if flow.context_features == 0:
        return flow.sample(rows, seed=seed).astype(np.float64), None
    context = np.random.default_rng(seed).normal(size=(rows, flow.context_features))
    return flow.sample(1, context, seed=seed)[:, 0].astype(np.float64), context


@pytest.mark.parametrize("name", FLOWS)
def test_gradients_against_differences(name):
    flow = build(name)
    assert flow.stochastic
    x, context = data_rows(flow, 4)
    loss, gradients = flow.loss_and_grad(x, context, seed=9, start=7)

    def f():
        return -np.mean(flow.log_prob(x, context, seed=9, start=7).astype(np.longdouble))

    assert loss == pytest.approx(float(f()), rel=1e-13)
    for parameter, array in flow.parameters.items():
        truth = gradient(f, array)
        error = np.linalg.norm(gradients[parameter] - truth)
        assert error <= 1e-7 * (np.linalg.norm(truth) + 1e-3), parameter
    assert sum(np.any(g != 0) for g in gradients.values()) == len(gradients)


@pytest.mark.parametrize("name", FLOWS)
def test_float32_against_float64(name):
    """They draw different numbers: means over many agree."""
    narrow = build(name, "float32")
    x, context = data_rows(narrow, 3)
    x = np.repeat(x, 20000, axis=0)
    context = None if context is None else np.repeat(context, 20000, axis=0)
    ours, truth = narrow.log_prob(x, context), narrow.astype("float64").log_prob(x, context)
    ours, truth = ours.reshape(3, -1).astype(np.float64), truth.reshape(3, -1)
    error = np.sqrt((ours.var(1) + truth.var(1)) / 20000)
    assert np.all(np.abs(ours.mean(1) - truth.mean(1)) < 5 * error)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FLOWS)
def test_noise_belongs_to_seed_and_row(name, dtype):
    flow = build(name, dtype)
    x, context = data_rows(flow, 300)
    whole = flow.log_prob(x, context, seed=5)
    before = cf.get_num_threads()
    try:
        for threads in (1, 2, 8):
            cf.set_num_threads(threads)
            assert np.array_equal(flow.log_prob(x, context, seed=5), whole)
    finally:
        cf.set_num_threads(before)
    part = None if context is None else context[100:217]
    assert np.array_equal(flow.log_prob(x[100:217], part, seed=5, start=100), whole[100:217])
    u, log_det = flow.inverse(x, context, seed=5)
    assert not np.array_equal(flow.log_prob(x, context, seed=6), whole)
    assert not np.array_equal(flow.log_prob(x, context, seed=5, start=1), whole)
    assert not np.array_equal(u, flow.inverse(x, context, seed=6)[0])
    assert np.array_equal(log_det, flow.inverse(x, context, seed=5)[1])
    score = flow.grad_log_prob(x, context, seed=5)
    assert np.array_equal(flow.grad_log_prob(x[100:217], part, seed=5, start=100), score[100:217])


@pytest.mark.parametrize("name", ["variational", "vae-normal-context"])
def test_no_call_takes_the_program_of_another(name):
    """Whatever was computed before: programs are kept, and each call gets its own."""
    x, context = data_rows(build(name), 30)
    u = build(name).inverse(x, context)[0]
    cotangent, ones = np.ones_like(u), np.ones(len(x))
    calls = [
        lambda flow: flow.inverse(x, context, seed=2)[0],
        lambda flow: flow.inverse(x, context, seed=2, mean=True)[0],
        lambda flow: flow.inverse(x, context, seed=2, mean=True)[1],
        lambda flow: flow.forward(u, context, seed=2)[0],
        lambda flow: flow.forward(u, context, seed=2, mean=True)[0],
        lambda flow: flow.log_prob(x, context, seed=2),
        lambda flow: flow.grad_log_prob(x, context, seed=2),
        lambda flow: flow.grad_log_prob(x, context, return_log_prob=True, seed=2)[1],
        lambda flow: flow.vjp(x, cotangent, None, context, parameters=False, seed=2).x,
        lambda flow: flow.vjp(x, None, ones, context, parameters=False, seed=2).x,
        lambda flow: flow.vjp(x, cotangent, ones, context, seed=2).x,
        lambda flow: flow.vjp(u, x, None, context, direction="forward", seed=2).x,
        lambda flow: flow.loss_and_grad(x, context, seed=2)[0],
        lambda flow: flow.sample(3, context, seed=2),
    ]
    alone = [call(build(name)) for call in calls]
    for seed in range(5):
        flow = build(name)
        for i in np.random.default_rng(seed).permutation(len(calls)):
            assert np.array_equal(calls[i](flow), alone[i]), i


@pytest.mark.parametrize("name", FLOWS)
def test_a_bad_row_affects_itself_alone(name):
    flow = build(name)
    x, context = data_rows(flow, 40)
    whole = flow.log_prob(x, context)
    bad = x.copy()
    bad[3].flat[0] = np.nan
    bad[17].flat[0] = np.inf
    bad[39].flat[0] = -np.inf
    log_prob = flow.log_prob(bad, context)
    rest = np.setdiff1d(np.arange(40), [3, 17, 39])
    assert np.array_equal(log_prob[rest], whole[rest])
    assert np.isnan(log_prob[3])
    assert not np.any(log_prob[[17, 39]] > -1e300)


@pytest.mark.parametrize("name", FLOWS)
def test_saved_and_pickled(name, tmp_path):
    flow = build(name)
    x, context = data_rows(flow, 20)
    flow.save(tmp_path / "flow.safetensors")
    for copy in (cf.load(tmp_path / "flow.safetensors"), pickle.loads(pickle.dumps(flow))):
        assert repr(copy) == repr(flow)
        assert np.array_equal(copy.log_prob(x, context), flow.log_prob(x, context))


def test_training_draws_new_noise_in_every_step_and_resumes(tmp_path):
    x, _ = data_rows(build("variational"), 200)
    options = {"batch_size": 50, "progress": False, "seed": 3}
    whole, halves = build("variational"), build("variational")
    first = whole.fit(x, epochs=4, **options)
    assert len(set(first.train)) == 4
    halves.fit(x, epochs=2, checkpoint=tmp_path / "half", **options)
    halves.fit(x, epochs=4, resume=tmp_path / "half", **options)
    for name, parameter in whole.parameters.items():
        assert np.array_equal(parameter, halves.parameters[name])


def test_densities_of_samples_are_refused():
    flow = build("variational")
    with pytest.raises(ValueError, match="draw them, then ask for log_prob"):
        flow.sample_and_log_prob(3)
    with pytest.raises(ValueError, match="draw them, then ask for log_prob"):
        flow.fit_target(lambda x: (x[:, 0], x), steps=1)
    assert np.all(np.isnan(flow.forward(np.zeros((2, 3)))[1]))
    plain = cf.Flow([cf.Coupling()], features=2)
    assert not plain.stochastic


def test_importance_weights():
    flow = build("variational-context")
    x, context = data_rows(flow, 30)
    draws = [flow.log_prob(x, context, seed=4, start=30 * j) for j in range(5)]
    truth = np.log(np.mean(np.exp(draws), axis=0))
    ours = flow.importance_weighted_log_prob(x, 5, context, seed=4)
    assert ours.dtype == np.float64
    assert np.allclose(ours, truth, rtol=1e-12)
    plain = cf.realnvp(2, seed=0)
    u = np.random.default_rng(0).normal(size=(5, 2))
    assert np.array_equal(plain.importance_weighted_log_prob(u, 10), plain.log_prob(u))
    with pytest.raises(ValueError, match="samples must be 1 or more, got 0"):
        flow.importance_weighted_log_prob(x, 0, context)
    with pytest.raises(TypeError, match=r"samples must be an int, got 2\.5"):
        flow.importance_weighted_log_prob(x, 2.5, context)
