"""BlockNeural against its formula, in NumPy and in high precision."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest

import cflows as cf

Array = np.ndarray
DTYPES = ("float32", "float64")


def softclip(a: Array) -> Array:
    return a / (1 + np.abs(a) / np.log(1000))


def matrix_of(raw: Array, log_norm: Array, features: int) -> Array:
    """Zero blocks above the diagonal, exp on it, rows of norm exp(softclip(log_norm))."""
    outputs, inputs = raw.shape[0] // features, raw.shape[1] // features
    out = np.zeros_like(raw)
    for i in range(features):
        rows = slice(i * outputs, (i + 1) * outputs)
        out[rows, : i * inputs] = raw[rows, : i * inputs]
        own = slice(i * inputs, (i + 1) * inputs)
        out[rows, own] = np.exp(raw[rows, own])
    return out / np.linalg.norm(out, axis=1, keepdims=True) * np.exp(softclip(log_norm))[:, None]


def read(flow: cf.Flow, name: str) -> Array:
    return flow.parameters[f"layers.0.{name}"].astype("float64")


def network(flow: cf.Flow, x: Array, context: Array | None, residual: str) -> tuple[Array, Array]:
    """u and the Jacobian's diagonal, from the whole Jacobian [n, features, features]."""
    features = x.shape[1]
    count = sum(name.endswith("log_norm") for name in flow.parameters)
    h, jacobian = x, np.eye(features) + np.zeros((len(x), 1, 1))
    for k in range(count):
        weight = matrix_of(
            read(flow, f"linear{k}.weight"), read(flow, f"linear{k}.log_norm"), features
        )
        h = h @ weight.T + read(flow, f"linear{k}.bias")
        jacobian = weight @ jacobian
        if k == 0 and context is not None:
            h = h + context @ read(flow, "context.weight").T
        if k + 1 < count:
            h = np.tanh(h)
            jacobian = (1 - h[:, :, None] ** 2) * jacobian
    share = 1.0
    rest = 1.0
    if residual == "gated":
        share = 1 / (1 + np.exp(-softclip(read(flow, "gate")[0])))
        rest = 1 - share
    u, jacobian = share * h + rest * x, share * jacobian + rest * np.eye(features)
    assert np.all(np.triu(jacobian, 1) == 0)
    return u, jacobian


def flow_of(
    features: int,
    hidden: tuple[int, ...],
    residual: str = "gated",
    context: int = 0,
    dtype: str = "float64",
    size: float = 0.7,
) -> cf.Flow:
    layer = cf.BlockNeural(hidden, residual)
    flow = cf.Flow([layer], features=features, context_features=context, dtype=dtype, seed=0)
    rng = np.random.default_rng(features)
    for parameter in flow.parameters.values():
        parameter[...] = size * rng.normal(size=parameter.shape)
    return flow


@pytest.mark.parametrize("residual", ["gated", "normal"])
@pytest.mark.parametrize("context", [0, 3])
@pytest.mark.parametrize("hidden", [(1,), (6,), (4, 3), (2, 5, 3)])
@pytest.mark.parametrize("features", [1, 2, 7])
def test_values_by_the_formula(
    features: int, hidden: tuple[int, ...], context: int, residual: str
) -> None:
    """The numbers above the diagonal blocks are random, too: they are not read."""
    flow = flow_of(features, hidden, residual, context)
    rng = np.random.default_rng(1)
    x = 2 * rng.normal(size=(100, features))
    given = rng.normal(size=(100, context)) if context else None
    u, log_det = flow.inverse(x, given)
    truth, jacobian = network(flow, x, given, residual)
    np.testing.assert_allclose(u, truth, rtol=1e-12, atol=1e-12)
    diagonal = np.diagonal(jacobian, axis1=1, axis2=2)
    np.testing.assert_allclose(log_det, np.log(diagonal).sum(axis=1), rtol=1e-11, atol=1e-11)
    back, log_det = flow.forward(u, given)
    np.testing.assert_allclose(back, x, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(log_det, -np.log(diagonal).sum(axis=1), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_feature_in_high_precision(dtype: str) -> None:
    """Slopes of the network down to exp(-1e4), beside the residual's, and without loss."""
    eps = np.finfo(dtype).eps
    x = np.array([-1e3, -20.0, -1.0, 0.0, 0.3, 5.0, 300.0], dtype)[:, None]
    for size in (0.5, 3.0, 10.0):
        flow = flow_of(1, (4, 3), "normal", dtype=dtype, size=size)
        u, log_det = flow.inverse(x)
        weights = [
            [[mpmath.exp(float(w)) for w in row] for row in read(flow, f"linear{k}.weight")]
            for k in range(3)
        ]
        for row, (point,) in enumerate(x):
            with mpmath.workdps(60):
                h, slope = [mpmath.mpf(float(point))], [mpmath.mpf(1)]
                for k in range(3):
                    norms = read(flow, f"linear{k}.log_norm")
                    bias = read(flow, f"linear{k}.bias")
                    rows = [
                        [w * mpmath.exp(softclip(g)) / mpmath.norm(r) for w in r]
                        for r, g in zip(weights[k], norms, strict=True)
                    ]
                    h = [mpmath.fdot(r, h) + c for r, c in zip(rows, bias, strict=True)]
                    slope = [mpmath.fdot(r, slope) for r in rows]
                    if k < 2:
                        slope = [s / mpmath.cosh(n) ** 2 for s, n in zip(slope, h, strict=True)]
                        h = [mpmath.tanh(n) for n in h]
                truth, log_slope = point + h[0], mpmath.log1p(slope[0])
                allowed = eps * (100 * (1 + size) * (1 + abs(float(truth))) + 1000 * size)
                assert abs(float(u[row, 0] - truth)) <= allowed
                assert abs(float(log_det[row] - log_slope)) <= 2000 * eps * (1 + size) ** 2


@pytest.mark.parametrize("residual", ["gated", "normal"])
@pytest.mark.parametrize("size", [0.3, 2.0, 30.0])
@pytest.mark.parametrize("dtype", DTYPES)
def test_inversion(dtype: str, size: float, residual: str) -> None:
    """Each feature is found to the rounding of u, with harsh weights and far out."""
    eps = np.finfo(dtype).eps
    flow = flow_of(5, (4, 3), residual, dtype=dtype, size=size)
    rng = np.random.default_rng(2)
    u = np.concatenate([3 * rng.normal(size=(300, 5)), 300 * rng.normal(size=(50, 5))])
    u = u.astype(dtype)
    x, log_det = flow.forward(u)
    assert np.isfinite(x).all() and np.isfinite(log_det).all()
    # How far u moves with the last place of x; of steep networks, as far as tanh goes.
    wide = flow.astype("float64")
    moved = np.abs(wide.inverse(x * (1 + 4 * eps))[0] - wide.inverse(x * (1 - 4 * eps))[0])
    allowed = 400 * eps * (1 + size) * (1 + np.abs(u)) * 30 + 4 * moved
    error = np.abs(wide.inverse(x.astype("float64"))[0] - u)
    steep = size > 10
    assert np.all(error <= allowed) if not steep else np.mean(error <= allowed) > 0.97


@pytest.mark.parametrize("dtype", DTYPES)
def test_harsh_weights_are_finite(dtype: str) -> None:
    flow = flow_of(6, (5, 4), dtype=dtype, size=100.0)
    x = 10 * np.random.default_rng(0).normal(size=(100, 6))
    u, log_det = flow.inverse(x)
    assert np.isfinite(u).all() and np.isfinite(log_det).all()
    loss, gradients = flow.loss_and_grad(x)
    assert np.isfinite(loss)
    assert all(np.isfinite(array).all() for array in gradients.values())


def test_weights_of_zero_have_gradients() -> None:
    flow = flow_of(3, (4,))
    for name, parameter in flow.parameters.items():
        if name.endswith("weight"):
            parameter[...] = 0
    x = np.random.default_rng(0).normal(size=(50, 3))
    gradients: dict[str, Any] = flow.loss_and_grad(x)[1]
    assert all(np.isfinite(array).all() for array in gradients.values())
    weight = gradients["layers.0.linear0.weight"]
    assert np.all(weight[8:, :2] != 0)  # below the diagonal
    assert not np.any(np.triu(weight[::4], 1))  # above


def test_a_new_layer_is_near_the_identity() -> None:
    for residual in ("gated", "normal"):
        flow = cf.Flow([cf.BlockNeural(residual=residual)], features=4, dtype="float64", seed=0)
        x = np.random.default_rng(0).normal(size=(200, 4))
        log_det = flow.inverse(x)[1]
        assert np.abs(log_det).max() < 2.5
