"""Layers whose parameters a network may give: the same layer with learned ones, context by
context."""

from __future__ import annotations

from typing import Any

import numpy as np

import cflows as cf


def learned_parameters(layer: cf.Layer, features: int) -> dict[str, np.ndarray]:
    """Those of the layer in a flow without context, by their names, in their order."""
    flow = cf.Flow([layer], features, dtype="float64")
    return {name.removeprefix("layers.0."): value for name, value in flow.parameters.items()}


def set_parameters(flow: cf.Flow, values: dict[str, Any]) -> None:
    for name, value in values.items():
        flow.parameters[f"layers.0.{name}"][...] = value


def check_amortized(layer: Any, features: int, scale: float = 1.0) -> None:
    """`layer(conditioner=…)` by a linear network is, at every context, the layer with its outputs
    for parameters; and a new one starts where a layer without context does, for every context."""
    rng = np.random.default_rng(0)
    names = learned_parameters(layer(), features)
    count = sum(value.size for value in names.values())
    conditioned = cf.Flow(
        [layer(conditioner=cf.MLP(()))], features, context_features=2, dtype="float64", seed=3
    )
    weight, bias = (
        conditioned.parameters[f"layers.0.conditioner.linear0.{part}"]
        for part in ("weight", "bias")
    )
    assert weight.shape == (count, 2)
    context, u = rng.normal(size=(7, 2)), 2 * rng.normal(size=(7, features))
    start, _ = conditioned.forward(u, context)
    np.testing.assert_allclose(start, u, rtol=0, atol=1e-14)
    weight[...] = scale * rng.normal(size=weight.shape)
    bias[...] = scale * rng.normal(size=bias.shape)
    x, log_det = conditioned.forward(u, context)
    back, back_log_det = conditioned.inverse(x, context)
    learned = cf.Flow([layer()], features, dtype="float64")
    for row in range(7):
        outputs, first = weight @ context[row] + bias, 0
        for name, value in names.items():
            part = outputs[first : first + value.size].reshape(value.shape)
            set_parameters(learned, {name: part})
            first += value.size
        truth, truth_log_det = learned.forward(u[row : row + 1])
        np.testing.assert_allclose(x[row], truth[0], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(log_det[row], truth_log_det[0], rtol=1e-11, atol=1e-11)
        truth, truth_log_det = learned.inverse(x[row : row + 1])
        np.testing.assert_allclose(back[row], truth[0], rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(back_log_det[row], truth_log_det[0], rtol=1e-9, atol=1e-9)


def check_rows(flow: cf.Flow, u: np.ndarray, volume: bool = True) -> None:
    """Rows of NaN and infinities affect themselves alone, in both directions; `volume`: log_det
    depends on them."""
    whole = {name: getattr(flow, name)(u) for name in ("forward", "inverse")}
    bad = u.copy()
    bad[1, 0], bad[2, -1], bad[3, 0] = np.nan, np.inf, -np.inf
    rest = np.setdiff1d(np.arange(len(u)), [1, 2, 3])
    for name, (x, log_det) in whole.items():
        out, out_log_det = getattr(flow, name)(bad)
        assert np.array_equal(out[rest], x[rest])
        assert np.array_equal(out_log_det[rest], log_det[rest])
        assert np.isnan(out[1]).any() and np.isnan(out_log_det[1]) == volume
        assert not np.isfinite(out[2]).all() and not np.isfinite(out[3]).all()


def check_finite(flow: cf.Flow, u: np.ndarray) -> None:
    """Values, log-determinants and gradients, in both directions."""
    for direction in ("forward", "inverse"):
        x, log_det = getattr(flow, direction)(u)
        assert np.isfinite(x).all() and np.isfinite(log_det).all()
        pulled = flow.vjp(u, np.ones_like(x), np.ones(len(u)), direction=direction)
        assert np.isfinite(pulled.x).all()
        assert all(np.isfinite(value).all() for value in pulled.parameters.values())
