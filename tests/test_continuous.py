"""`Continuous` against SciPy's solver, a matrix exponential, and differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import linalg
from scipy.integrate import solve_ivp

import cflows as cf
from differences import gradient, gradient_error

NETWORKS = {
    "linear": cf.MLP(()),
    "one hidden layer": cf.MLP((6,), "tanh"),
    "two hidden layers": cf.MLP((6, 5), "silu", output_multiplier=0.7),
    "three hidden layers": cf.MLP((5, 6, 4), "tanh"),
    "output activation": cf.MLP((6,), "softplus", "tanh"),
    "residual": cf.ResidualNet(6, 1, "silu"),
}
ADAPTIVE = ("dopri5", "tsit5")


def new_flow(
    network: Any = NETWORKS["two hidden layers"],
    *,
    features: int = 3,
    context_features: int = 2,
    dtype: str = "float64",
    seed: int = 0,
    **options: Any,
) -> cf.Flow:
    """With weights that are far from zero."""
    flow = cf.Flow(
        [cf.Continuous(network, **options)],
        features=features,
        context_features=context_features,
        dtype=dtype,
        seed=0,
    )
    rng = np.random.default_rng(seed)
    for parameter in flow.parameters.values():
        parameter[...] = 0.7 * rng.normal(size=parameter.shape)
    return flow


def rows(count: int, features: int = 3, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, features))


ACTIVATIONS = {
    "tanh": np.tanh,
    "silu": lambda x: x / (1 + np.exp(-x)),
    "softplus": lambda x: np.logaddexp(0, x),
    "identity": lambda x: x,
}


def velocity(flow: cf.Flow, t: float, x: np.ndarray, context: np.ndarray) -> np.ndarray:
    """The MLP of a flow at one point, by NumPy."""
    options = flow.layers[0].options
    network, count = options["network"].options, options["frequencies"]
    k = np.arange(1, count + 1) * np.pi * t
    h = np.concatenate([x, np.cos(k), np.sin(k), context] if count else [x, [t], context])
    weights = [a for a in flow.parameters.values() if a.ndim == 2]
    biases = [a for a in flow.parameters.values() if a.ndim == 1]
    for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        last = i == len(weights) - 1
        activation = network["output_activation" if last else "activation"]
        h = ACTIVATIONS[activation](weight @ h + bias)
    return h * network["output_multiplier"]


def divergence(flow: cf.Flow, t: float, x: np.ndarray, context: np.ndarray) -> float:
    """By central differences."""
    total, step = 0.0, 1e-5
    for f, e in enumerate(step * np.eye(len(x))):
        higher, lower = velocity(flow, t, x + e, context), velocity(flow, t, x - e, context)
        total += (higher[f] - lower[f]) / (2 * step)
    return total


def solution(flow: cf.Flow, x: np.ndarray, context: np.ndarray, to_base: bool) -> np.ndarray:
    """x and log_det at the other end, by SciPy."""

    def slope(t: float, y: np.ndarray) -> np.ndarray:
        return np.append(velocity(flow, t, y[:-1], context), divergence(flow, t, y[:-1], context))

    ends = (1.0, 0.0) if to_base else (0.0, 1.0)
    found = solve_ivp(slope, ends, np.append(x, 0.0), method="DOP853", rtol=1e-10, atol=1e-10)
    return found.y[:, -1]


@pytest.mark.parametrize("solver", ADAPTIVE)
@pytest.mark.parametrize("network", [name for name in NETWORKS if name != "residual"])
def test_solutions_are_those_of_scipy(network: str, solver: str) -> None:
    flow = new_flow(NETWORKS[network], solver=solver, rtol=1e-10, atol=1e-10)
    x, context = rows(4), rows(4, 2, seed=2)
    for to_base, f in ((True, flow.inverse), (False, flow.forward)):
        y, log_det = f(x, context)
        truth = [solution(flow, *row, to_base) for row in zip(x, context, strict=True)]
        np.testing.assert_allclose(np.column_stack([y, log_det]), truth, rtol=1e-7, atol=1e-7)


def test_time_by_itself_is_read_with_no_frequencies() -> None:
    flow = new_flow(NETWORKS["one hidden layer"], frequencies=0, rtol=1e-10, atol=1e-10)
    x, context = rows(3), rows(3, 2, seed=2)
    y, log_det = flow.forward(x, context)
    truth = [solution(flow, *row, False) for row in zip(x, context, strict=True)]
    np.testing.assert_allclose(np.column_stack([y, log_det]), truth, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("network", NETWORKS)
def test_log_det_is_that_of_the_jacobian(network: str) -> None:
    flow = new_flow(NETWORKS[network], rtol=1e-11, atol=1e-11)
    x, context = rows(20), rows(20, 2, seed=2)
    for direction, f in (("inverse", flow.inverse), ("forward", flow.forward)):
        log_det = f(x, context)[1]
        truth = np.linalg.slogdet(cf.jacobian(flow, x, context, direction=direction))[1]
        np.testing.assert_allclose(log_det, truth, rtol=0, atol=1e-8)
        assert log_det.std() > 0.05 or network == "linear"


def test_a_linear_field_is_a_matrix_exponential() -> None:
    flow = new_flow(NETWORKS["linear"], context_features=0, frequencies=0, rtol=1e-11, atol=1e-11)
    weight, bias = flow.parameters.values()
    weight[:, 3] = bias[:] = 0.0  # of the time
    u = rows(50)
    x, log_det = flow.forward(u)
    np.testing.assert_allclose(x, u @ linalg.expm(weight[:, :3]).T, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(log_det, np.trace(weight[:, :3]), rtol=0, atol=1e-9)


@pytest.mark.parametrize("solver", ADAPTIVE)
@pytest.mark.parametrize("tolerance", [1e-3, 1e-5, 1e-7, 1e-9, 1e-11])
def test_errors_follow_the_tolerance(solver: str, tolerance: float) -> None:
    x, context = rows(200), rows(200, 2, seed=2)
    truth = new_flow(solver="rk4", steps=1000).forward(x, context)
    found = new_flow(solver=solver, rtol=tolerance, atol=tolerance).forward(x, context)
    error = max(np.abs(a - b).max() for a, b in zip(found, truth, strict=True))
    assert error <= 200 * tolerance
    assert tolerance < 1e-8 or error >= 1e-4 * tolerance  # it does not work for nothing


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("rk4", 4)])
def test_orders_of_equal_steps(solver: str, order: int) -> None:
    x, context = rows(50), rows(50, 2, seed=2)
    truth = new_flow(solver="rk4", steps=2000).forward(x, context)
    for part in (0, 1):
        errors = [
            np.abs(new_flow(solver=solver, steps=steps).forward(x, context)[part] - truth[part])
            for steps in (100, 200)
        ]
        ratio = np.median(errors[0].max(axis=-1) / errors[1].max(axis=-1))
        assert abs(np.log2(ratio) - order) < 0.35


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("solver", ADAPTIVE)
def test_rows_take_their_own_steps(solver: str, dtype: str) -> None:
    """The same bits in any batch, on any threads, beside rows that need far more steps."""
    flow = new_flow(solver=solver, dtype=dtype, rtol=1e-5, atol=1e-5)
    x, context = rows(500).astype(dtype), rows(500, 2, seed=2)
    whole = [flow.log_prob(x, context), *flow.forward(x, context)]
    score = flow.grad_log_prob(x, context)
    for first, end in ((0, 1), (3, 20), (100, 500)):
        part = x[first:end], context[first:end]
        again = [flow.log_prob(*part), *flow.forward(*part)]
        assert all(np.array_equal(a, b[first:end]) for a, b in zip(again, whole, strict=True))
        assert np.array_equal(flow.grad_log_prob(*part), score[first:end])
    hard = x.copy()
    hard[::2] *= 100.0
    assert np.array_equal(flow.log_prob(hard, context)[1::2], whole[0][1::2])
    before = cf.get_num_threads()
    try:
        cf.set_num_threads(3)
        assert np.array_equal(flow.log_prob(x, context), whole[0])
    finally:
        cf.set_num_threads(before)


@pytest.mark.parametrize("direction", ["inverse", "forward"])
@pytest.mark.parametrize(
    ("solver", "network"),
    [*(("euler", name) for name in NETWORKS), ("dopri5", "one hidden layer"), ("tsit5", "linear")],
)
def test_gradients_against_differences(solver: str, network: str, direction: str) -> None:
    steps = {"steps": 3} if solver == "euler" else {"rtol": 1e-10, "atol": 1e-10}
    flow = new_flow(NETWORKS[network], solver=solver, features=2, context_features=1, **steps)
    x, context, rng = rows(4, 2), rows(4, 1, seed=2), np.random.default_rng(3)
    dy, dlog_det = rng.normal(size=(4, 2)), rng.normal(size=4)
    ours = flow.vjp(x, dy, dlog_det, context, direction=direction)

    def objective() -> float:
        f = flow.inverse if direction == "inverse" else flow.forward
        y, log_det = f(x, context)
        return float((y * dy).sum() + (log_det * dlog_det).sum())

    named = {**flow.parameters, "x": x, "context": context}
    found = {**ours.parameters, "x": ours.x, "context": ours.context}
    for name, array in named.items():
        truth = gradient(objective, array, 5e-3)
        assert np.linalg.norm(found[name] - truth) <= 1e-6 * (np.linalg.norm(truth) + 1e-3), name


@pytest.mark.parametrize("network", ["three hidden layers", "residual"])
def test_gradients_of_more_features_than_a_loop_has_states(network: str) -> None:
    """The divergence has rows of weights for each feature, whose sums go to the parameters."""
    flow = new_flow(NETWORKS[network], solver="rk4", steps=2, features=10, context_features=0)
    x = rows(5, 10)
    ours = flow.loss_and_grad(x)[1]
    for name, array in flow.parameters.items():
        error = gradient_error(ours[name], lambda: float(flow.loss_and_grad(x)[0]), array)
        assert error <= 1e-6 * (np.linalg.norm(ours[name]) + 1e-3), name


def test_what_needs_more_steps_is_nan_by_itself() -> None:
    flow = new_flow(steps=12, rtol=1e-5, atol=1e-5)
    x, context = rows(200), rows(200, 2, seed=2)
    easy = np.isfinite(flow.log_prob(x, context))
    assert easy.sum() > 50
    x, context = np.resize(x[easy], x.shape), np.resize(context[easy], context.shape)
    whole = flow.log_prob(x, context)
    assert np.isfinite(whole).all()
    hard = x.copy()
    hard[:5] = 1e4 * rows(5, seed=9)
    hard[7, 1] = np.nan
    log_prob = flow.log_prob(hard, context)
    rest = np.r_[5:7, 8:200]
    assert np.array_equal(log_prob[rest], whole[rest])
    assert np.isnan(log_prob[7])
    samples = new_flow(steps=1).sample(50, context[0], seed=0)
    assert np.isnan(samples).all()


def test_samples_agree_whether_log_det_is_asked_for() -> None:
    context = rows(1, 2)
    for options, tolerance in (
        ({"solver": "rk4", "steps": 30}, 0.0),
        ({"rtol": 1e-8, "atol": 1e-8}, 1e-6),
    ):
        flow = new_flow(**options)
        x = flow.sample(100, context[0], seed=3)
        again, log_prob = flow.sample_and_log_prob(100, context[0], seed=3)
        np.testing.assert_allclose(x, again, rtol=0, atol=tolerance)
        np.testing.assert_allclose(log_prob, flow.log_prob(again, context[0]), rtol=0, atol=1e-4)


def test_a_new_layer_is_the_identity() -> None:
    flow = cf.Flow([cf.Continuous()], features=3, dtype="float64", seed=0)
    x = rows(20)
    u, log_det = flow.inverse(x)
    assert np.array_equal(u, x)
    assert not log_det.any()


def test_training_by_probes_is_right_in_the_mean() -> None:
    """The estimated divergence enters the loss linearly."""
    x = rows(400)
    losses = {}
    for probes in (None, 1, 3):
        flow = new_flow(context_features=0, probes=probes, solver="rk4", steps=8)
        losses[probes] = [
            flow.fit(
                x,
                validation=None,
                epochs=1,
                optimizer=cf.SGD(1e-300),
                seed=seed,
                progress=False,
            ).train[0]
            for seed in range(1 if probes is None else 40)
        ]
        assert flow.log_prob(x[:5]) == pytest.approx(
            new_flow(context_features=0, solver="rk4", steps=8).log_prob(x[:5])
        )
    exact = losses[None][0]
    for probes in (1, 3):
        mean, deviation = np.mean(losses[probes]), np.std(losses[probes]) / np.sqrt(40)
        assert 0.0 < deviation < 0.02
        assert abs(mean - exact) < 4 * deviation
    assert np.std(losses[3]) < np.std(losses[1])


def test_a_moon_is_learned_by_likelihood() -> None:
    x = cf.data.toy("moons").sample(2000, seed=0)
    flow = cf.Flow([cf.Continuous(cf.MLP((32, 32), "silu")), cf.Affine()], features=2, seed=0)
    flow.fit(x, epochs=15, batch_size=128, optimizer=cf.Adam(5e-3), seed=0, progress=False)
    held_out = cf.data.toy("moons").sample(2000, seed=1)
    normal = cf.Flow([cf.Triangular(bias=True)], features=2, seed=0)
    normal.fit(x, epochs=30, optimizer=cf.Adam(3e-2), seed=0, progress=False)
    assert flow.log_prob(held_out).mean() > normal.log_prob(held_out).mean() + 0.3


def test_it_comes_back_from_a_file(tmp_path: Any) -> None:
    flow = new_flow(solver="tsit5", rtol=1e-4, frequencies=2, probes=2)
    flow.save(tmp_path / "flow.safetensors")
    again = cf.load(tmp_path / "flow.safetensors")
    x, context = rows(20), rows(20, 2, seed=2)
    assert repr(again) == repr(flow)
    assert np.array_equal(again.log_prob(x, context), flow.log_prob(x, context))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be from 1 to 1048576, got 0"),
        ({"frequencies": -1}, "frequencies must be from 0 to 1024, got -1"),
        ({"probes": 0}, "probes must be from 1 to 1024, got 0"),
        ({"rtol": -1e-3}, "rtol must be from 0 to 1, got -0.001"),
        ({"atol": -1.0}, "atol must be 0 or more, got -1"),
        ({"solver": "heun"}, "solver"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cf.Continuous(**options)
