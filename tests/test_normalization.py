"""Layer normalization and FiLM in networks, against formulas in NumPy."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import cflows as cf

Array = np.ndarray
FEATURES, CONTEXT = 4, 2


def build(net: Any, context_features: int = CONTEXT, dtype: str = "float64") -> cf.Flow:
    """An additive coupling: forward(u) - u is what the network says of the first two features."""
    layer = cf.Coupling("half", transform="additive", conditioner=net)
    flow = cf.Flow([layer], FEATURES, context_features, dtype=dtype, seed=0)
    rng = np.random.default_rng(3)
    for parameter in flow.parameters.values():
        parameter[...] = rng.normal(size=parameter.shape)
    return flow


def rows(context_features: int = CONTEXT) -> tuple[Array, Array | None]:
    rng = np.random.default_rng(4)
    u = rng.normal(size=(37, FEATURES))
    return u, rng.normal(size=(37, context_features)) if context_features else None


class Network:
    def __init__(self, flow: cf.Flow, normalized: bool) -> None:
        prefix = "layers.0.conditioner."
        self.of = {name.removeprefix(prefix): p for name, p in flow.parameters.items()}
        self.normalized = normalized

    def dense(self, name: str, h: Array) -> Array:
        return h @ self.of[f"{name}.weight"].T + self.of[f"{name}.bias"]

    def norm(self, name: str, h: Array) -> Array:
        """Ba et al. 2016, equation 4, with the epsilon of the frameworks."""
        if not self.normalized:
            return h
        z = (h - h.mean(1, keepdims=True)) / np.sqrt(h.var(1, keepdims=True) + 1e-5)
        return self.of[f"{name}.gain"] * z + self.of[f"{name}.bias"]

    def mlp(self, x: Array, context: Array | None, hidden: int) -> Array:
        h = x if context is None else np.concatenate([x, context], axis=1)
        for k in range(hidden):
            h = np.tanh(self.norm(f"norm{k}", self.dense(f"linear{k}", h)))
        return self.dense(f"linear{hidden}", h)

    def residual_net(self, x: Array, c: Array | None, blocks: int, mode: str) -> Array:
        if mode == "add" and c is not None:
            h = self.dense("initial", x) + np.tanh(self.dense("context", c))
        else:
            h = self.dense("initial", x if c is None else np.concatenate([x, c], axis=1))
        for k in range(blocks):
            block = f"block{k}."
            t = self.dense(f"{block}linear0", np.tanh(self.norm(f"{block}norm0", h)))
            if mode == "add" and c is not None:
                t = t + self.dense(f"{block}context", c)
            t = self.norm(f"{block}norm1", t)
            if mode == "film" and c is not None:
                t = t * (1 + self.dense(f"{block}scale", c)) + self.dense(f"{block}shift", c)
            t = self.dense(f"{block}linear1", np.tanh(t))
            if mode == "gate" and c is not None:
                t = t / (1 + np.exp(-self.dense(f"{block}context", c)))
            h = h + t
        return self.dense("final", h)


@pytest.mark.parametrize("context_features", [0, CONTEXT])
@pytest.mark.parametrize("hidden", [(), (5,), (9, 6), (1, 3)], ids=str)
def test_mlp(hidden: tuple[int, ...], context_features: int) -> None:
    net = cf.MLP(hidden, activation="tanh", normalization="layer")
    flow = build(net, context_features)
    u, context = rows(context_features)
    expected = Network(flow, normalized=True).mlp(u[:, :2], context, len(hidden))
    x, log_det = flow.forward(u, context)
    np.testing.assert_allclose(x[:, 2:] - u[:, 2:], expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(log_det, 0)


@pytest.mark.parametrize("context_features", [0, CONTEXT])
@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("mode", ["gate", "add", "film"])
def test_residual_net(mode: str, normalized: bool, context_features: int) -> None:
    normalization = "layer" if normalized else "none"
    net = cf.ResidualNet(7, 2, activation="tanh", context=mode, normalization=normalization)
    flow = build(net, context_features)
    u, context = rows(context_features)
    expected = Network(flow, normalized).residual_net(u[:, :2], context, 2, mode)
    x, _ = flow.forward(u, context)
    np.testing.assert_allclose(x[:, 2:] - u[:, 2:], expected, rtol=1e-11, atol=1e-11)


def test_new_networks_are_normalized_and_not_scaled() -> None:
    net = cf.ResidualNet(8, 1, context="film", normalization="layer")
    flow = cf.Flow([cf.Coupling("half", conditioner=net)], FEATURES, CONTEXT, seed=0)
    gains = [p for name, p in flow.parameters.items() if name.endswith("gain")]
    assert len(gains) == 2
    assert all(np.all(gain == 1) for gain in gains)
    assert all(np.all(p == 0) for name, p in flow.parameters.items() if ".norm0.bias" in name)
    u, context = rows()
    np.testing.assert_array_equal(flow.forward(u, context)[0], u.astype("float32"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1e-30, 1e25])
def test_units_of_any_size_are_normalized(scale: float, dtype: str) -> None:
    """Their squares overflow in float32, or vanish beside the epsilon."""
    flow = build(cf.MLP((8,), activation="tanh", normalization="layer"), 0, dtype)
    u, _ = rows(0)
    weight = flow.parameters["layers.0.conditioner.linear0.weight"]
    flow.parameters["layers.0.conditioner.linear0.bias"][...] = 0
    weight *= scale
    h = u[:, :2] @ weight.T.astype("float64")
    z = (h - h.mean(1, keepdims=True)) / np.sqrt(h.var(1, keepdims=True) + 1e-5)
    network = Network(flow.astype("float64"), normalized=True)
    gain, bias = network.of["norm0.gain"], network.of["norm0.bias"]
    expected = network.dense("linear1", np.tanh(gain * z + bias))
    x, _ = flow.forward(u)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(x[:, 2:] - u[:, 2:], expected, rtol=0, atol=10 * tolerance)


@pytest.mark.parametrize("parallel", ["inverse", "forward"])
def test_film_of_a_masked_network_keeps_to_its_masks(parallel: str) -> None:
    graph = np.array([[0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [1, 0, 1, 0]], bool)
    of_context = np.array([[1, 0], [0, 1], [1, 1], [0, 0]], bool)
    net = cf.ResidualNet(9, 2, activation="silu", context="film")
    for adjacency, reads in itertools.product((graph, None), (of_context, None)):
        layer = cf.Autoregressive(
            parallel=parallel, conditioner=net, adjacency=adjacency, context_adjacency=reads
        )
        flow = cf.Flow([layer], FEATURES, CONTEXT, dtype="float64", seed=0)
        rng = np.random.default_rng(3)
        for parameter in flow.parameters.values():
            parameter[...] = rng.normal(size=parameter.shape) / 3
        x, context = rows()
        y = flow.inverse(x, context)[0]
        np.testing.assert_allclose(flow.forward(y, context)[0], x, rtol=0, atol=1e-9)
        found = np.any(cf.jacobian(flow, x, context, direction=parallel) != 0, axis=0)
        before = np.tri(FEATURES, k=-1, dtype=bool) if adjacency is None else adjacency
        np.testing.assert_array_equal(found, before | np.eye(FEATURES, dtype=bool))
        for feature in range(FEATURES):
            cotangent = np.zeros_like(x)
            cotangent[:, feature] = 1
            of = flow.vjp(x, cotangent, None, context, direction=parallel).context
            expected = [True, True] if reads is None else reads[feature]
            np.testing.assert_array_equal(np.any(of != 0, axis=0), expected)


@pytest.mark.parametrize("hidden", [(6,), (6, 5)], ids=str)
def test_continuous_flows_of_normalized_networks_have_the_right_divergence(
    hidden: tuple[int, ...],
) -> None:
    """The short way to the trace, for plain MLPs, is not taken."""
    net = cf.MLP(hidden, activation="tanh", normalization="layer")
    flow = cf.Flow([cf.Continuous(net, solver="rk4", steps=100)], 3, dtype="float64", seed=0)
    rng = np.random.default_rng(0)
    for parameter in flow.parameters.values():
        parameter[...] = 0.5 * rng.normal(size=parameter.shape)
    x = rng.normal(size=(5, 3))
    _, log_det = flow.inverse(x)
    matrices = cf.jacobian(flow, x)
    np.testing.assert_allclose(log_det, np.linalg.slogdet(matrices)[1], rtol=0, atol=1e-7)
