"""MonotoneNetwork against its formula, in NumPy and in high precision."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest

import cflows as cf
from differences import gradient

Array = np.ndarray
DTYPES = ("float32", "float64")


def elu(h: Array) -> tuple[Array, Array]:
    """And its slope."""
    return np.where(h > 0, h, np.expm1(np.minimum(h, 0))), np.exp(np.minimum(h, 0))


def softplus(h: Array) -> tuple[Array, Array]:
    return np.logaddexp(0, h), np.exp(-np.logaddexp(0, -h))


ACTIVATIONS = {"elu": elu, "softplus": softplus}


def layers_of(flow: cf.Flow, at: str = "layers.0.transform") -> list[tuple[Array, Array]]:
    """Weights [features, out, in] and biases [features, out]."""
    names = [name for name in flow.parameters if name.startswith(at) and name.endswith("weight")]
    return [
        (
            flow.parameters[name].astype("float64"),
            flow.parameters[name.replace("weight", "bias")].astype("float64"),
        )
        for name in names
    ]


def network(
    layers: list[tuple[Array, Array]], x: Array, signal: Array, activation: str = "elu"
) -> tuple[Array, Array]:
    """u and du/dx of x [n, features] with signals [n, features, numbers]."""
    h = np.concatenate([x[:, :, None], signal], axis=2)
    slope = np.zeros_like(h)
    slope[:, :, 0] = 1
    for k, (weight, bias) in enumerate(layers):
        if k > 0:
            half = (h.shape[2] + 1) // 2
            up, up_slope = ACTIVATIONS[activation](h[:, :, :half])
            down, down_slope = ACTIVATIONS[activation](-h[:, :, half:])
            h = np.concatenate([up, -down], axis=2)
            slope = slope * np.concatenate([up_slope, down_slope], axis=2)
        h = np.einsum("foi,nfi->nfo", np.abs(weight), h) + bias
        slope = np.einsum("foi,nfi->nfo", np.abs(weight), slope)
    return h[:, :, 0], slope[:, :, 0]


def elementwise(
    features: int, dtype: str = "float64", size: float = 0.7, seed: int = 0, **options: Any
) -> tuple[cf.Flow, Array]:
    """A flow with random weights, and its signal [features, numbers]."""
    transform = cf.MonotoneNetwork(**{"signal": 3, "hidden": (6, 5), **options})
    flow = cf.Flow([cf.Elementwise(transform)], features=features, dtype=dtype, seed=0)
    rng = np.random.default_rng(seed)
    for parameter in flow.parameters.values():
        parameter[...] = size * rng.normal(size=parameter.shape)
    constant = flow.parameters["layers.0.conditioner.constant"].astype("float64")
    return flow, constant.reshape(-1, features).T


@pytest.mark.parametrize("activation", ["elu", "softplus"])
@pytest.mark.parametrize("hidden", [(2,), (7,), (5, 4), (16, 3, 8)])
@pytest.mark.parametrize("features", [1, 3, 20])
def test_values_by_the_formula(features: int, hidden: tuple[int, ...], activation: str) -> None:
    flow, signal = elementwise(features, hidden=hidden, activation=activation)
    x = 3 * np.random.default_rng(1).normal(size=(300, features))
    u, log_det = flow.inverse(x)
    truth, slope = network(layers_of(flow), x, signal + np.zeros((300, 1, 1)), activation)
    np.testing.assert_allclose(u, truth, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(log_det, np.log(slope).sum(axis=1), rtol=1e-12, atol=1e-12)


def test_the_signal_of_a_conditioner() -> None:
    """The first number of all transformed features first, from a linear conditioner."""
    transform = cf.MonotoneNetwork(2, (4, 3))
    flow = cf.Flow(
        [cf.Coupling([4, 1], transform=transform, hidden=())], features=5, dtype="float64", seed=0
    )
    rng = np.random.default_rng(0)
    for parameter in flow.parameters.values():
        parameter[...] = rng.normal(size=parameter.shape)
    x = rng.normal(size=(100, 5))
    weight, bias = (
        flow.parameters[f"layers.0.conditioner.linear0.{n}"] for n in ("weight", "bias")
    )
    params = x[:, [1, 4]] @ weight.T + bias
    signal = params.reshape(100, 2, 3).transpose(0, 2, 1)
    u, log_det = flow.inverse(x)
    truth, slope = network(layers_of(flow), x[:, [0, 2, 3]], signal)
    np.testing.assert_allclose(u[:, [0, 2, 3]], truth, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(log_det, np.log(slope).sum(axis=1), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("activation", ["elu", "softplus"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_it_starts_with_a_slope_of_one_and_with_bends(dtype: str, activation: str) -> None:
    flow = cf.Flow(
        [cf.Autoregressive(transform=cf.MonotoneNetwork(activation=activation))],
        features=3,
        context_features=2,
        dtype=dtype,
        seed=0,
    )
    context = np.random.default_rng(0).normal(size=(99, 2))
    eps = np.finfo(dtype).eps
    u, log_det = flow.inverse(np.zeros((99, 3)), context)
    np.testing.assert_allclose(u, 0, rtol=0, atol=100 * eps)
    np.testing.assert_allclose(log_det, 0, rtol=0, atol=100 * eps)
    x = np.linspace(-4, 4, 99).repeat(3).reshape(99, 3).astype(dtype)
    u, log_det = flow.inverse(x, context)
    assert np.abs(u - x).max() < 4
    assert np.abs(log_det).max() < 3 * np.log(4)
    slope = np.diff(u, axis=0) / np.diff(x, axis=0)
    assert np.all(np.abs(np.diff(np.log(slope), axis=0)).sum(axis=0) > 0.05)


def test_networks_of_different_features_start_apart() -> None:
    flow = cf.Flow([cf.Elementwise(cf.MonotoneNetwork())], features=2, seed=3)
    first, second = flow.parameters["layers.0.transform.linear1.weight"]
    assert not np.any(first == second)
    other = cf.Flow([cf.Elementwise(cf.MonotoneNetwork())], features=2, seed=4)
    assert not np.any(first == other.parameters["layers.0.transform.linear1.weight"][0])


def high_precision(layers: list[tuple[Array, Array]], x: float, signal: Array) -> tuple[Any, Any]:
    """u and du/dx of one number with the network of feature 0."""
    one = mpmath.mpf(1)
    h, slope = [mpmath.mpf(float(n)) for n in (x, *signal)], [one] + [0 * one] * len(signal)
    for k, (weights, biases) in enumerate(layers):
        if k > 0:
            half = (len(h) + 1) // 2
            sign = [1 if i < half else -1 for i in range(len(h))]
            before = [s * n for s, n in zip(sign, h, strict=True)]
            slope = [d * mpmath.exp(min(n, 0)) for d, n in zip(slope, before, strict=True)]
            h = [s * (n if n > 0 else mpmath.expm1(n)) for s, n in zip(sign, before, strict=True)]
        weight = [[abs(mpmath.mpf(float(w))) for w in row] for row in weights[0]]
        h = [
            mpmath.fdot(row, h) + mpmath.mpf(float(bias))
            for row, bias in zip(weight, biases[0], strict=True)
        ]
        slope = [mpmath.fdot(row, slope) for row in weight]
    return h[0], slope[0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_tails_in_high_precision(dtype: str) -> None:
    """Far out, where all units of a half have come to their ends, with weights of any size."""
    eps = np.finfo(dtype).eps
    x = np.array([-1e4, -300.0, -20.0, -1.0, 0.0, 1e-3, 2.0, 40.0, 1e3, 1e5], dtype)[:, None]
    for size in (1e-2, 0.5, 3.0, 30.0):
        flow, signal = elementwise(1, dtype, size, seed=2)
        u, log_det = flow.inverse(x)
        with mpmath.workdps(50):
            for row, (point,) in enumerate(x):
                truth, slope = high_precision(layers_of(flow), point, signal[0])
                rounding = eps * 30 * (1 + abs(float(truth)) + abs(float(point * slope)))
                rounding += eps * 100 * size**3 * 20
                assert abs(float(u[row, 0] - truth)) <= rounding
                # An exponent h is rounded by eps |h|.
                assert abs(float(log_det[row] - mpmath.log(slope))) <= eps * 300 * (1 + size**2)


@pytest.mark.parametrize("size", [0.3, 1.0, 5.0, 50.0])
@pytest.mark.parametrize("dtype", DTYPES)
def test_inversion(dtype: str, size: float) -> None:
    """As near as the rounding of u lets it be, far out and with harsh weights, too."""
    eps = np.finfo(dtype).eps
    flow, signal = elementwise(8, dtype, size, seed=5)
    rng = np.random.default_rng(1)
    u = np.concatenate([3 * rng.normal(size=(500, 8)), 1e3 * rng.normal(size=(100, 8))])
    u = u.astype(dtype)
    x, log_det = flow.forward(u)
    assert np.isfinite(x).all() and np.isfinite(log_det).all()
    signals = signal + np.zeros((len(x), 1, 1))
    truth, slope = network(layers_of(flow), x.astype("float64"), signals)
    # The sums inside are as large as the biases, times the weights that follow.
    inside = 50 * eps * (1 + size) ** 3
    assert np.all(np.abs(truth - u) <= inside + 20 * eps * (np.abs(u) + np.abs(x) * slope))
    back, log_det_back = flow.inverse(x)
    assert np.array_equal(log_det_back, -log_det)
    assert np.all(np.abs(back - u) <= inside + 20 * eps * (np.abs(u) + np.abs(x) * slope))


def test_gradients_against_differences() -> None:
    """Of every weight; these lie away from 0, where their absolute values have a kink."""
    flow, _ = elementwise(3, activation="softplus")
    for parameter in flow.parameters.values():
        parameter[...] += np.sign(parameter) * 0.05
    x = 1.5 * np.random.default_rng(3).normal(size=(5, 3))
    value, log_det = np.random.default_rng(4).normal(size=(5, 3)), np.arange(5.0)
    for direction, f in (("inverse", flow.inverse), ("forward", flow.forward)):
        ours = flow.vjp(x, value, log_det, direction=direction)

        def objective(f: Any = f) -> Any:
            y, found = f(x)
            return np.sum(y * value, dtype=np.longdouble) + np.sum(found * log_det)

        for name, parameter in flow.parameters.items():
            truth = gradient(objective, parameter, 2e-3)
            np.testing.assert_allclose(ours.parameters[name], truth, rtol=1e-6, atol=1e-7)


def test_the_weights_of_a_mixed_and_shifted_transform() -> None:
    """Each feature has its network's row, also where a layer asks for one feature at a time."""
    network_of = cf.MonotoneNetwork(2, (4, 3))
    shifted = cf.ShiftedTransform(network_of, shift=0.5, low=-50.0, high=50.0)
    mixed = cf.MixedTransform([network_of, cf.AffineTransform(), shifted], [2, 0, 1, 0])
    for parallel in ("inverse", "forward"):
        layer = cf.Autoregressive(
            transform=mixed, order=[2, 0, 3, 1], parallel=parallel, hidden=(8,)
        )
        flow = cf.Flow([layer], features=4, dtype="float64", seed=0)
        shapes = {name: p.shape for name, p in flow.parameters.items() if "linear0.w" in name}
        assert shapes["layers.0.transform.transform0.linear0.weight"] == (2, 4, 3)
        assert shapes["layers.0.transform.transform2.linear0.weight"] == (1, 4, 3)
        rng = np.random.default_rng(0)
        for name, parameter in flow.parameters.items():
            if "conditioner" not in name:
                parameter[...] = 0.7 * rng.normal(size=parameter.shape)
        last = flow.parameters["layers.0.conditioner.linear1.bias"].reshape(4, 2)  # by rank
        last[...] = rng.normal(size=last.shape)
        x = rng.normal(size=(50, 4))
        u, _ = flow.inverse(x)
        signal = last[[1, 3, 0, 2]]  # by feature
        parts = {
            "transform0": ([1, 3], x[:, [1, 3]], 0.0),
            "transform2": ([0], x[:, [0]], 0.5),
        }
        for name, (features, numbers, shift) in parts.items():
            layers = layers_of(flow, f"layers.0.transform.{name}")
            truth, _ = network(layers, numbers, signal[features] + np.zeros((50, 1, 1)))
            np.testing.assert_allclose(u[:, features], truth - shift, rtol=1e-11, atol=1e-11)
        np.testing.assert_allclose(flow.forward(u)[0], x, rtol=1e-10, atol=1e-10)


def test_it_learns_two_clusters() -> None:
    rng = np.random.default_rng(0)
    x = np.where(rng.random((2000, 1)) < 0.3, -2.0, 1.5) + 0.3 * rng.normal(size=(2000, 1))
    flow = cf.Flow([cf.Elementwise(cf.MonotoneNetwork(4, (16, 16)))], features=1, seed=0)
    flow.fit(x, epochs=200, batch_size=200, optimizer=cf.Adam(1e-2), seed=0, progress=False)
    p = 0.3 * np.exp(-((x + 2) ** 2) / 0.18) + 0.7 * np.exp(-((x - 1.5) ** 2) / 0.18)
    truth = np.log(p / (0.3 * np.sqrt(2 * np.pi))).mean()
    assert flow.log_prob(x).mean() > truth - 0.05


def test_it_leaves_the_best_linear_map_soon() -> None:
    """Clusters so near to 0 that units with remote bends would all be linear there."""
    rng = np.random.default_rng(0)
    x = np.where(rng.random((4000, 1)) < 0.4, -1.2, 1.0) + 0.3 * rng.normal(size=(4000, 1))
    options = {"validation": None, "optimizer": cf.Adam(1e-2), "seed": 0, "progress": False}
    flow = cf.Flow([cf.Elementwise(cf.MonotoneNetwork())], features=1, seed=0)
    flow.fit(x, epochs=20, batch_size=500, **options)
    p = 0.4 * np.exp(-((x + 1.2) ** 2) / 0.18) + 0.6 * np.exp(-((x - 1.0) ** 2) / 0.18)
    truth = np.log(p / (0.3 * np.sqrt(2 * np.pi))).mean()
    assert flow.log_prob(x).mean() > truth - 0.1
