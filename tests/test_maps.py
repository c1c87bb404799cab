"""The fixed maps of single features, against NumPy's and SciPy's functions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import linalg, special

import cflows as cf

Array = np.ndarray

# (layer, points of its domain, map, logarithm of the derivative)
CASES: dict[str, tuple[cf.Layer, Array, Callable[[Array], Array], Callable[[Array], Array]]] = {
    "exp": (cf.Exp(), np.linspace(-50, 50, 101), np.exp, lambda u: u),
    "log": (cf.Log(), np.geomspace(1e-20, 1e20, 101), np.log, lambda u: -np.log(u)),
    "sigmoid": (
        cf.Sigmoid(-1.0, 3.0, temperature=0.5),
        np.linspace(-60, 60, 121),
        lambda u: -1 + 4 * special.expit(u / 2),
        lambda u: np.log(2.0) + special.log_expit(u / 2) + special.log_expit(-u / 2),
    ),
    "logit": (
        cf.Logit(temperature=2.0),
        np.linspace(0.001, 0.999, 101),
        lambda u: special.logit(u) / 2,
        lambda u: -np.log(2 * u * (1 - u)),
    ),
    "tanh": (
        cf.Tanh(),
        np.linspace(-30, 30, 121),
        np.tanh,
        lambda u: -2 * np.log(np.cosh(u)),
    ),
    "softplus": (
        cf.Softplus(),
        np.linspace(-60, 60, 121),
        lambda u: np.logaddexp(0, u),
        special.log_expit,
    ),
    "sinh": (cf.Sinh(), np.linspace(-40, 40, 121), np.sinh, lambda u: np.log(np.cosh(u))),
    "arcsinh": (
        cf.Arcsinh(),
        np.concatenate([-np.geomspace(1e-30, 1e30, 61), [0.0], np.geomspace(1e-30, 1e30, 61)]),
        np.arcsinh,
        lambda u: -np.log(np.hypot(1, u)),
    ),
    "softclip": (
        cf.Softclip(3.0),
        np.concatenate([-np.geomspace(1e-30, 1e30, 61), [0.0], np.geomspace(1e-30, 1e30, 61)]),
        lambda u: u / (1 + np.abs(u) / 3),
        lambda u: -2 * np.log1p(np.abs(u) / 3),
    ),
    "inverse of softclip": (
        cf.Inverse(cf.Softclip(3.0)),
        np.linspace(-2.999, 2.999, 101),
        lambda u: 3 * u / (3 - np.abs(u)),
        lambda u: -2 * np.log((3 - np.abs(u)) / 3),
    ),
    "mobius": (
        cf.Mobius(0.5, 0.1),
        np.linspace(-3.1, 3.1, 63),
        lambda u: 0.5 + 2 * np.arctan(0.1 * np.tan(u / 2)),
        lambda u: np.log(0.1) - np.log(np.cos(u / 2) ** 2 + (0.1 * np.sin(u / 2)) ** 2),
    ),
    "power": (
        cf.Power(-1.5),
        np.geomspace(1e-10, 1e10, 101),
        lambda u: u**-1.5,
        lambda u: np.log(1.5) - 2.5 * np.log(u),
    ),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", list(CASES))
def test_values_and_log_dets(name: str, dtype: str) -> None:
    layer, points, value, log_slope = CASES[name]
    flow = cf.Flow([layer], features=1, dtype=dtype)
    points = points.astype(dtype).astype(np.float64)
    x, log_det = flow.forward(points[:, None])
    eps = np.finfo(dtype).eps
    # Exponents of size 75 lose as many units in the last place.
    np.testing.assert_allclose(x[:, 0], value(points), rtol=100 * eps, atol=10 * eps)
    np.testing.assert_allclose(log_det, log_slope(points), rtol=10 * eps, atol=10 * eps)


@pytest.mark.parametrize(
    ("layer", "outside"),
    [
        (cf.Log(), [-1.0]),
        (cf.Logit(), [-0.1, 1.1]),
        (cf.Power(0.5), [-2.0]),
        (cf.Inverse(cf.Exp()), [-1.0]),
        (cf.Inverse(cf.Tanh()), [1.5, -1.5]),
        (cf.Inverse(cf.Softplus()), [-1.0, np.nan]),
        (cf.Inverse(cf.Sigmoid(0.0, 1.0)), [-0.5, 1.5]),
        (cf.Logit(-1.0, 0.9), [-1.5, 0.95]),
        (cf.Power(-0.5), [-2.0]),
        (cf.Inverse(cf.Softclip(2.0)), [2.0, -2.0, 3.0]),
        (cf.Inverse(cf.Power(0.5)), [-2.0]),
    ],
    ids=str,
)
def test_outside_the_domain_a_row_is_nan_and_no_other(layer: cf.Layer, outside: list) -> None:
    flow = cf.Flow([layer], features=1, dtype="float64")
    points = np.array([0.5, *outside, 0.25])[:, None]
    x, log_det = flow.forward(points)
    assert np.isnan(x[1:-1]).all() and np.isnan(log_det[1:-1]).all()
    assert np.isfinite(x[[0, -1]]).all() and np.isfinite(log_det[[0, -1]]).all()


def test_logit_with_epsilon_takes_the_ends() -> None:
    flow = cf.Flow([cf.Logit(epsilon=1e-6)], features=1, dtype="float64")
    x, log_det = flow.forward(np.array([[0.0], [1.0]]))
    np.testing.assert_allclose(x[:, 0], [special.logit(1e-6), -special.logit(1e-6)], rtol=1e-9)
    assert np.isfinite(log_det).all()


def test_long_tails_of_both_signs() -> None:
    """A flow that begins with Sinh scores a heavy-tailed table in its own units."""
    flow = cf.Flow([cf.Sinh()], features=1, dtype="float64")
    x = np.array([[1e150], [-1e150]])
    u = np.arcsinh(x)
    expected = -(u[:, 0] ** 2) / 2 - np.log(2 * np.pi) / 2 - np.log(1e150)
    np.testing.assert_allclose(flow.log_prob(x), expected, rtol=1e-14)


def test_partial_takes_the_features_in_ascending_order() -> None:
    flow = cf.Flow(
        [cf.OnFeatures([2, 0], cf.Affine(shift=[1.0, 2.0]))], features=3, dtype="float64"
    )
    np.testing.assert_array_equal(flow.forward(np.zeros((1, 3)))[0], [[1.0, 0.0, 2.0]])


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (cf.OnFeatures([0, 3], cf.Exp()), "features index 3 is not from 0 to 2: the flow has 3"),
        (cf.OnFeatures([1, 1], cf.Exp()), "features index 1 is repeated"),
        (cf.OnFeatures([True, False], cf.Exp()), "must have 3 entries, one a feature, got 2"),
        (cf.OnFeatures([False] * 3, cf.Exp()), "no feature is left to the layer"),
        (cf.Triangular(signs=[1, -1]), "2 signs, the flow has 3 features"),
        (cf.Triangular(scale="sigmoid"), "starts at scale 1, which 'sigmoid' with minimum 0"),
        (cf.Linear(scale=cf.Scale("softplus", minimum=1.5)), "'softplus' with minimum 1.5"),
        (cf.BatchNorm(scale=cf.Scale("softplus", maximum=0.5)), "and maximum 0.5 does not give"),
    ],
    ids=str,
)
def test_layers_that_do_not_fit_the_flow(layer: cf.Layer, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cf.Flow([layer], features=3)


def test_triangular_is_the_matrix_that_it_says() -> None:
    rng = np.random.default_rng(0)
    flow = cf.Flow(
        [cf.Triangular(upper=True, signs=[1, -1, 1], bias=True)],
        features=3,
        dtype="float64",
    )
    for parameter in flow.parameters.values():
        parameter[...] = rng.normal(size=parameter.shape)
    weight, diagonal, bias = (
        flow.parameters[f"layers.0.{n}"] for n in ("weight", "diagonal", "bias")
    )
    matrix = np.triu(weight, 1) + np.diag(np.exp(diagonal) * [1, -1, 1])
    u = rng.normal(size=(50, 3))
    x, log_det = flow.forward(u)
    np.testing.assert_allclose(x, u @ matrix.T + bias, rtol=0, atol=1e-13)
    np.testing.assert_allclose(log_det, np.full(50, diagonal.sum()), rtol=1e-14)
    np.testing.assert_allclose(
        flow.inverse(x)[0], np.linalg.solve(matrix, (x - bias).T).T, rtol=0, atol=1e-12
    )


@pytest.mark.parametrize(
    "scale",
    [
        cf.Scale("softplus", offset=1.0),
        cf.Scale("softplus", minimum=0.3, maximum=2.0),
        cf.Scale("sigmoid", minimum=0.2, offset=-1.0),
        cf.Scale("sigmoid", minimum=0.9, reciprocal=True),
        cf.Scale("tanh", offset=3.0),
    ],
    ids=repr,
)
def test_triangular_starts_as_the_identity(scale: cf.Scale) -> None:
    flow = cf.Flow([cf.Triangular(scale=scale)], features=3, dtype="float64")
    x, log_det = flow.forward(np.eye(3))
    np.testing.assert_allclose(x, np.eye(3), rtol=0, atol=1e-14)
    np.testing.assert_allclose(log_det, 0.0, rtol=0, atol=1e-14)


def test_householder_is_orthogonal_and_of_the_sign_of_its_reflections() -> None:
    for count in (1, 2, 5):
        flow = cf.Flow([cf.Householder(count)], features=5, dtype="float64", seed=count)
        matrix = flow.forward(np.eye(5))[0].T
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(5), rtol=0, atol=1e-14)
        assert np.linalg.det(matrix) == pytest.approx((-1) ** count)
        vectors = flow.parameters["layers.0.vectors"]
        expected = np.eye(5)
        for q in vectors:
            expected = (np.eye(5) - 2 * np.outer(q, q) / (q @ q)) @ expected
        np.testing.assert_allclose(matrix, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layer", [cf.Householder(4), cf.Linear("qr")])
def test_reflections_at_vectors_of_any_length(layer: cf.Layer, dtype: str) -> None:
    """They depend on directions alone; a vector of zeros reflects nothing."""
    flow = cf.Flow([layer], features=3, dtype=dtype, seed=0)
    vectors = next(v for name, v in flow.parameters.items() if name.endswith("vectors"))
    directions = np.random.default_rng(0).normal(size=(3, 3)).astype(dtype)
    tiny, huge = np.finfo(dtype).tiny, np.finfo(dtype).max
    vectors[:3] = directions
    if len(vectors) == 4:
        vectors[3] = 0.0
    points = np.random.default_rng(1).normal(size=(5, 3))
    expected, _ = flow.forward(points)
    vectors[:3] = directions * np.array([tiny * 4, 1e-30, huge / 4])[:, None]
    found, _ = flow.forward(points)
    rtol = {"float32": 2e-6, "float64": 1e-14}[dtype]
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(flow.inverse(found)[0], points, rtol=10 * rtol, atol=10 * rtol)
    matrix = np.eye(3)
    for q in directions.astype(float):
        matrix = (np.eye(3) - 2 * np.outer(q, q) / (q @ q)) @ matrix
    if layer.type == "Householder":
        np.testing.assert_allclose(found, points @ matrix.T, rtol=rtol, atol=rtol)
    assert np.isfinite(flow.vjp(points, np.ones((5, 3))).parameters["layers.0.vectors"][1]).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [1e4, 1e8, 1e15, 1e30])
def test_rotation_is_one_however_large_the_weights_are(size: float, dtype: str) -> None:
    flow = cf.Flow([cf.Rotation()], features=6, dtype=dtype)
    weight = flow.parameters["layers.0.weight"]
    weight[...] = size * np.random.default_rng(3).normal(size=(6, 6))
    matrix = flow.forward(np.eye(6))[0].astype(float)
    atol = {"float32": 1e-6, "float64": 1e-12}[dtype]
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(6), rtol=0, atol=atol)
    assert np.linalg.det(matrix) == pytest.approx(1.0, rel=1e-5)


@pytest.mark.parametrize("size", [1e-3, 1.0, 30.0])
def test_rotation_is_the_exponential_of_an_antisymmetric_matrix(size: float) -> None:
    rng = np.random.default_rng(1)
    flow = cf.Flow([cf.Rotation()], features=5, dtype="float64")
    weight = flow.parameters["layers.0.weight"]
    weight[...] = size * rng.normal(size=(5, 5))
    matrix = flow.forward(np.eye(5))[0].T
    np.testing.assert_allclose(
        matrix, linalg.expm(weight - weight.T), rtol=0, atol=1e-13 + 1e-14 * size
    )
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(5), rtol=0, atol=1e-14 * (1 + 10 * size))
    assert np.linalg.det(matrix) == pytest.approx(1)


@pytest.mark.parametrize("n", [1, 3, 16, 64])
def test_rotation_in_float32_is_a_rotation_to_rounding(n: int) -> None:
    flow = cf.Flow([cf.Rotation()], features=n)
    weight = flow.parameters["layers.0.weight"]
    weight[...] = 100 * np.random.default_rng(n).normal(size=(n, n))
    matrix = flow.forward(np.eye(n))[0].astype(float).T
    difference = (weight - weight.T).astype(float)
    np.testing.assert_allclose(matrix, linalg.expm(difference), rtol=0, atol=1e-6)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(n), rtol=0, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_rotation_gradient_is_the_derivative_of_the_exponential(scale: float) -> None:
    """However large the cotangent is."""
    rng = np.random.default_rng(2)
    flow = cf.Flow([cf.Rotation()], features=4, dtype="float64")
    weight = flow.parameters["layers.0.weight"]
    weight[...] = rng.normal(size=(4, 4))
    dx = rng.normal(size=(4, 4))
    gradient = (
        flow.vjp(np.eye(4), scale * dx, direction="forward").parameters["layers.0.weight"] / scale
    )
    expected = np.zeros((4, 4))
    for i, j in np.ndindex(4, 4):
        change = np.zeros((4, 4))
        change[i, j] += 1
        change[j, i] -= 1
        expected[i, j] = np.sum(
            dx.T * linalg.expm_frechet(weight - weight.T, change, compute_expm=False)
        )
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-13)
