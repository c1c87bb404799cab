"""IntegratedNetwork against its formula in NumPy, and against quadrature by SciPy and mpmath."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy import integrate, special

import cflows as cf
from differences import gradient

Array = np.ndarray
DTYPES = ("float32", "float64")


def softclip(d: Array, bound: float) -> Array:
    return d / (1 + np.abs(d) / bound)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "elu": lambda h: np.where(h > 0, h, np.expm1(np.minimum(h, 0))),
    "tanh": np.tanh,
    "silu": lambda h: h * special.expit(h),
}


class Integrand:
    """log g of features with weights [features, out, in], biases [features, out] and signals
    [features, numbers]."""

    def __init__(self, flow: cf.Flow, activation: str, log_scale: Callable[[Array], Array]) -> None:
        def read(name: str) -> Array:
            return flow.parameters[f"layers.0.{name}"].astype("float64")

        count = sum("transform" in name for name in flow.parameters) // 2
        self.layers = [
            (read(f"transform.linear{k}.weight"), read(f"transform.linear{k}.bias"))
            for k in range(count)
        ]
        features = len(self.layers[0][0])
        params = read("conditioner.constant").reshape(-1, features)
        self.signal, self.constant = params[:-1].T, params[-1]
        self.activation, self.log_scale = ACTIVATIONS[activation], log_scale

    def log(self, t: Array) -> Array:
        """At t [n, features]."""
        signal = self.signal + np.zeros((len(t), 1, 1))
        h = np.concatenate([t[:, :, None], signal], axis=2)
        for k, (weight, bias) in enumerate(self.layers):
            if k > 0:
                h = self.activation(h)
            h = np.einsum("foi,nfi->nfo", weight, h) + bias
        return self.log_scale(h[:, :, 0])

    def rule(self, x: Array, nodes: Array, weights: Array) -> Array:
        """constant + the rule's integral, on [0, 1] for every x."""
        mean = sum(w * np.exp(self.log(node * x)) for node, w in zip(nodes, weights, strict=True))
        return self.constant + x * mean


def gauss(points: int) -> tuple[Array, Array]:
    nodes, weights = np.polynomial.legendre.leggauss(points)
    return (nodes + 1) / 2, weights / 2


def clenshaw_curtis(points: int) -> tuple[Array, Array]:
    """The weights that integrate Chebyshev polynomials exactly on their extrema."""
    nodes = -np.cos(np.pi * np.arange(points) / (points - 1))
    values = np.polynomial.chebyshev.chebvander(nodes, points - 1).T
    moments = [0.0 if k % 2 else 2 / (1 - k * k) for k in range(points)]
    return (nodes + 1) / 2, np.linalg.solve(values, moments) / 2


RULES = {"gauss_legendre": gauss, "clenshaw_curtis": clenshaw_curtis}
SCALES: dict[str, tuple[Any, Callable[[Array], Array]]] = {
    "softclip": ("softclip", lambda d: softclip(d, np.log(1000))),
    "softclip of 7": (cf.Scale("softclip", bound=7.0), lambda d: softclip(d, 7.0)),
    "tanh": (cf.Scale("tanh", bound=2.0), lambda d: 2 * np.tanh(d / 2)),
    "softplus": (
        cf.Scale("softplus", minimum=0.1),
        lambda d: np.log(np.logaddexp(0, d) + 0.1),
    ),
}


def flow_of(
    features: int,
    dtype: str = "float64",
    size: float = 0.7,
    activation: str = "tanh",
    scale: str = "tanh",
    **options: Any,
) -> tuple[cf.Flow, Integrand]:
    transform = cf.IntegratedNetwork(
        **{"signal": 3, "hidden": (6, 5), **options}, activation=activation, scale=SCALES[scale][0]
    )
    flow = cf.Flow([cf.Elementwise(transform)], features=features, dtype=dtype, seed=0)
    rng = np.random.default_rng(features)
    for parameter in flow.parameters.values():
        parameter[...] = size * rng.normal(size=parameter.shape)
    return flow, Integrand(flow, activation, SCALES[scale][1])


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(1,), (7,), (5, 4, 3)])
def test_values_by_the_formula(hidden: tuple[int, ...], activation: str, scale: str) -> None:
    flow, g = flow_of(3, hidden=hidden, activation=activation, scale=scale)
    x = 3 * np.random.default_rng(1).normal(size=(200, 3))
    u, log_det = flow.inverse(x)
    np.testing.assert_allclose(u, g.rule(x, *gauss(32)), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(log_det, g.log(x).sum(axis=1), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("points", [2, 3, 4, 5, 16, 31, 64, 256])
@pytest.mark.parametrize("rule", RULES)
def test_rules(rule: str, points: int) -> None:
    flow, g = flow_of(5, rule=rule, points=points)
    x = 2 * np.random.default_rng(1).normal(size=(100, 5))
    nodes, weights = RULES[rule](points)
    np.testing.assert_allclose(
        flow.inverse(x)[0], g.rule(x, nodes, weights), rtol=1e-12, atol=1e-11
    )


@pytest.mark.parametrize("rule", RULES)
def test_the_integral_by_quadrature(rule: str) -> None:
    """A smooth integrand is integrated to rounding."""
    flow, g = flow_of(2, rule=rule, points=60)
    x = np.linspace(-4, 4, 9)[:, None] + np.array([0.0, 0.3])
    u, _ = flow.inverse(x)
    for row, point in enumerate(x):
        for f in range(2):
            truth, _ = integrate.quad(
                lambda t, f=f: np.exp(g.log(np.full((1, 2), t))[0, f]), 0, point[f], epsabs=1e-13
            )
            assert u[row, f] == pytest.approx(g.constant[f] + truth, rel=1e-12, abs=1e-12)


def test_gauss_legendre_in_high_precision() -> None:
    """Nodes and weights: the integral of exp(t), whose network is linear on one side of ELU."""
    transform = cf.IntegratedNetwork(
        1, (1,), activation="relu", scale=cf.Scale("softclip", bound=1e15), points=20
    )
    flow = cf.Flow([cf.Elementwise(transform)], features=1, dtype="float64", seed=0)
    for parameter in flow.parameters.values():
        parameter[...] = 0
    flow.parameters["layers.0.transform.linear0.weight"][0, 0, 0] = 1
    flow.parameters["layers.0.transform.linear1.weight"][...] = 1
    x = np.array([0.1, 1.0, 3.0, 7.0])[:, None]
    u, log_det = flow.inverse(x)
    truth = [float(mpmath.expm1(mpmath.mpf(point))) for (point,) in x]
    np.testing.assert_allclose(u[:, 0], truth, rtol=1e-13)
    np.testing.assert_allclose(log_det, x[:, 0], rtol=1e-13)


@pytest.mark.parametrize("scale", ["softclip", "tanh", "softplus"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_it_starts_as_the_identity(dtype: str, scale: str) -> None:
    transform = cf.IntegratedNetwork(scale=SCALES[scale][0])
    flow = cf.Flow(
        [cf.Autoregressive(transform=transform)],
        features=3,
        context_features=2,
        dtype=dtype,
        seed=0,
    )
    rng = np.random.default_rng(0)
    x, context = (5 * rng.normal(size=(99, 3))).astype(dtype), rng.normal(size=(99, 2))
    u, log_det = flow.inverse(x, context)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(u, x, rtol=10 * eps)
    np.testing.assert_allclose(log_det, 0, atol=10 * eps)


@pytest.mark.parametrize("size", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("dtype", DTYPES)
def test_inversion(dtype: str, size: float) -> None:
    """As near as the rounding of u lets it be, also far out, where g is steady."""
    eps = np.finfo(dtype).eps
    flow, g = flow_of(8, dtype, size)
    rng = np.random.default_rng(1)
    u = np.concatenate([3 * rng.normal(size=(300, 8)), 300 * rng.normal(size=(50, 8))])
    u = u.astype(dtype)
    x, log_det = flow.forward(u)
    assert np.isfinite(x).all() and np.isfinite(log_det).all()
    wide = x.astype("float64")
    truth, slope = g.rule(wide, *gauss(32)), np.exp(g.log(wide))
    # d log(g) / dx times the rounding of x, which is that of the products in the first layer.
    inside = 100 * eps * (1 + size) ** 2 * (1 + np.abs(u)) * (1 + np.abs(x * slope))
    assert np.all(np.abs(truth - u) <= inside)
    back, log_det_back = flow.inverse(x)
    assert np.array_equal(log_det_back, -log_det)
    assert np.all(np.abs(back - u) <= inside)


def test_every_number_is_reached_with_harsh_weights() -> None:
    """Softclip bounds g, so that far out u grows at least as x / 1000."""
    for dtype in DTYPES:
        flow, _ = flow_of(4, dtype, 30.0, activation="elu", scale="softclip")
        u = np.random.default_rng(0).normal(size=(200, 4)).astype(dtype) * 100
        x, log_det = flow.forward(u)
        assert np.isfinite(x).all() and np.isfinite(log_det).all()
        assert np.abs(log_det).max() <= 4 * np.log(1000)


def test_gradients_by_the_convention() -> None:
    """In x that of the integral, g(x); in weights and signal that of the rule, also where it is far
    from exact."""
    flow, g = flow_of(3, points=3)
    x = 2 * np.random.default_rng(3).normal(size=(5, 3))
    value = np.random.default_rng(4).normal(size=(5, 3))
    ours = flow.vjp(x, value, np.zeros(5))
    np.testing.assert_allclose(ours.x, value * np.exp(g.log(x)), rtol=1e-12)
    u, _ = flow.inverse(x)
    back = flow.vjp(u, value, np.zeros(5), direction="forward")
    np.testing.assert_allclose(back.x, value / np.exp(g.log(x)), rtol=1e-9)

    def objective() -> Any:
        return np.sum(flow.inverse(x)[0] * value, dtype=np.longdouble)

    for name, parameter in flow.parameters.items():
        truth = gradient(objective, parameter, 2e-3)
        np.testing.assert_allclose(ours.parameters[name], truth, rtol=1e-6, atol=1e-8)


def test_bad_rows_stay_alone() -> None:
    flow, _ = flow_of(2)
    x = np.array([[0.5, 1.0], [np.nan, 1.0], [np.inf, 0.0], [0.5, 1.0]])
    u, log_det = flow.inverse(x)
    assert np.array_equal(u[0], u[3]) and np.isfinite(u[[0, 3]]).all()
    assert np.isnan(u[1, 0]) and np.isnan(log_det[1])
    x, _ = flow.forward(np.array([[0.5, 1.0], [np.nan, 1.0], [0.5, 1.0]]))
    assert np.array_equal(x[0], x[2]) and np.isfinite(x[[0, 2]]).all() and np.isnan(x[1, 0])
