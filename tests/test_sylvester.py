"""Sylvester flows against the paper's formula, in NumPy and in arithmetic of 60 digits."""

from __future__ import annotations

from typing import Any

import mpmath as mp
import numpy as np
import pytest

import cflows as cf
from amortized import check_amortized, check_finite, check_rows

mp.mp.dps = 60
DTYPES = ("float32", "float64")
FORMS: dict[str, dict[str, Any]] = {
    "orthogonal": {"columns": 3},
    "one column": {"columns": 1},
    "square": {},
    "householder": {"reflections": 2},
    "few columns of many reflections": {"columns": 2, "reflections": 6},
    "triangular": {"reflections": 0},
    "triangular of some": {"columns": 3, "reflections": 0},
}


def frame(vectors: np.ndarray, features: int, columns: int) -> np.ndarray:
    """The first columns of H_K ... H_1, with H_k = I - 2 q q^T / q^T q."""
    product = np.eye(features)
    for q in vectors:
        product = (np.eye(features) - 2 * np.outer(q, q) / (q @ q)) @ product
    return product[:, :columns]


def parts_of(flow: cf.Flow) -> dict[str, np.ndarray]:
    """Q, R, R~ and b, in float64."""
    named = {name[9:]: np.asarray(value, float) for name, value in flow.parameters.items()}
    vectors = named.get("vectors", np.zeros((0, flow.features)))
    return {
        "q": frame(vectors, flow.features, len(named["b"])),
        "r": np.triu(named["R"], 1) + np.diag(np.tanh(named["diagonal"])),
        "tilde": np.triu(named["R_tilde"], 1) + np.diag(np.tanh(named["diagonal_tilde"])),
        "b": named["b"],
    }


def sylvester(z: np.ndarray, parts: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The paper's equations 13 to 15."""
    s = z @ parts["q"] @ parts["tilde"].T + parts["b"]
    x = z + np.tanh(s) @ parts["r"].T @ parts["q"].T
    products = np.diag(parts["r"]) * np.diag(parts["tilde"])
    return x, np.log1p(products / np.cosh(s) ** 2).sum(axis=1)


def random_flow(form: str, dtype: str, size: float, seed: int, layers: int = 1) -> cf.Flow:
    flow = cf.Flow([cf.Sylvester(**FORMS[form]) for _ in range(layers)], 5, dtype=dtype)
    rng = np.random.default_rng(seed)
    for value in flow.parameters.values():
        value[...] = size * rng.normal(size=value.shape)
    return flow


@pytest.mark.parametrize("form", FORMS)
def test_the_formula(form: str) -> None:
    for seed in range(10):
        flow = random_flow(form, "float64", 1.0, seed)
        z = 3 * np.random.default_rng(seed).normal(size=(50, 5))
        truth, truth_log_det = sylvester(z, parts_of(flow))
        x, log_det = flow.forward(z)
        np.testing.assert_allclose(x, truth, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(log_det, truth_log_det, rtol=1e-10, atol=1e-12)
        back, back_log_det = flow.inverse(x)
        np.testing.assert_allclose(back, z, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(back_log_det, -log_det, rtol=1e-8, atol=1e-8)


def test_sizes_of_the_parameters() -> None:
    shapes = {name: value.shape for name, value in random_flow("orthogonal", "float64", 1, 0)
              .parameters.items()}  # fmt: skip
    assert shapes == {
        "layers.0.R": (3, 3),
        "layers.0.R_tilde": (3, 3),
        "layers.0.diagonal": (3,),
        "layers.0.diagonal_tilde": (3,),
        "layers.0.b": (3,),
        "layers.0.vectors": (3, 5),
    }
    assert "layers.0.vectors" not in random_flow("triangular", "float64", 1, 0).parameters


class Exact:
    """The map in 60 digits, in the frame that NumPy has in float64."""

    def __init__(self, flow: cf.Flow) -> None:
        named = {name[9:]: value for name, value in flow.parameters.items()}
        self.m = len(named["b"])
        diagonals = [
            [mp.tanh(min(max(mp.mpf(float(a)), mp.mpf(-40)), mp.mpf(40))) for a in named[name]]
            for name in ("diagonal", "diagonal_tilde")
        ]
        self.r, self.tilde = (
            [
                [
                    diagonal[i]
                    if i == j
                    else mp.mpf(float(named[name][i, j]))
                    if i < j
                    else mp.mpf(0)
                    for j in range(self.m)
                ]
                for i in range(self.m)
            ]
            for name, diagonal in zip(("R", "R_tilde"), diagonals, strict=True)
        )
        self.products = [a * b for a, b in zip(*diagonals, strict=True)]
        self.b = [mp.mpf(float(number)) for number in named["b"]]

    def __call__(self, v: list[Any]) -> tuple[list[Any], Any, Any, Any]:
        """y = v + R tanh(R~ v + b), the size of what is added up, s = R~ v + b and its terms'."""
        s = [mp.fdot(row, v) + b for row, b in zip(self.tilde, self.b, strict=True)]
        sizes = [
            mp.fsum(abs(a * one) for a, one in zip(row, v, strict=True)) + abs(b)
            for row, b in zip(self.tilde, self.b, strict=True)
        ]
        tanh_s = [mp.tanh(one) for one in s]
        y = [one + mp.fdot(row, tanh_s) for one, row in zip(v, self.r, strict=True)]
        rounded = [
            abs(t) + (1 - t * t) * size + mp.mpf(1) / 10**30
            for t, size in zip(tanh_s, sizes, strict=True)
        ]
        size = norm(v) + norm([
            mp.fsum(abs(a) * one for a, one in zip(row, rounded, strict=True)) for row in self.r
        ])  # fmt: skip
        return y, size, s, sizes

    def log_det(self, s: list[Any]) -> Any:
        return mp.fsum(self.one_log_slope(p, a) for p, a in zip(self.products, s, strict=True))

    @staticmethod
    def one_log_slope(p: Any, s: Any) -> Any:
        return mp.log(1 + p * mp.sech(s) ** 2)

    def log_det_rounding(self, s: list[Any], sizes: list[Any], eps: float) -> Any:
        """That of the sum, and how far log_det goes while s moves by its terms' rounding."""
        moved = [
            abs(self.one_log_slope(p, a + sign * 4 * eps * b) - self.one_log_slope(p, a))
            for p, a, b in zip(self.products, s, sizes, strict=True)
            for sign in (-1, 1)
        ]
        return 40 * eps * (1 + abs(self.log_det(s))) + mp.fsum(moved)


def norm(x: Any) -> Any:
    return mp.sqrt(mp.fdot(x, x))


def exact(row: np.ndarray) -> list[Any]:
    return [mp.mpf(float(number)) for number in row]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1.0, 10.0, 100.0, 1000.0])
def test_harsh_weights_in_60_digits(size: float, dtype: str) -> None:
    """Triangular, so that the frame is exact: forward the terms' rounding; backward, the x of the u
    that was found, as near to the given x as the rounding of u and of the terms leaves it."""
    eps = np.finfo(dtype).eps
    for seed in range(10):
        flow = random_flow("triangular", dtype, size, seed)
        truth = Exact(flow)
        z = (2 * np.random.default_rng(seed).normal(size=(4, 5))).astype(dtype)
        x, log_det = flow.forward(z)
        u, back_log_det = flow.inverse(z)
        for row in range(4):
            value, terms, s, sizes = truth(exact(z[row]))
            error = norm([a - b for a, b in zip(exact(x[row]), value, strict=True)])
            assert error <= 16 * eps * terms
            error = abs(float(log_det[row]) - truth.log_det(s))
            assert error <= truth.log_det_rounding(s, sizes, eps)
            value, terms, s, sizes = truth(exact(u[row]))
            error = norm([a - b for a, b in zip(exact(z[row]), value, strict=True)])
            assert error <= 32 * eps * (terms + norm(exact(z[row])))
            error = abs(float(back_log_det[row]) + truth.log_det(s))
            assert error <= 4 * truth.log_det_rounding(s, sizes, eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [10.0, 1000.0])
@pytest.mark.parametrize("form", FORMS)
def test_any_weights_give_numbers(form: str, size: float, dtype: str) -> None:
    rng = np.random.default_rng(5)
    for seed in range(5):
        flow = random_flow(form, dtype, size, seed, layers=2)
        check_finite(flow, rng.normal(size=(50, 5)) * 10.0 ** rng.integers(-3, 4, size=(50, 1)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_diagonals_that_saturate(dtype: str) -> None:
    """Products of -1 to rounding: the slope is what tanh leaves of 1, and never 0."""
    flow = cf.Flow([cf.Sylvester(reflections=0)], 2, dtype=dtype)
    for diagonal in (20.0, 39.0, 1e3):
        flow.parameters["layers.0.diagonal"][...] = [diagonal, -diagonal]
        flow.parameters["layers.0.diagonal_tilde"][...] = [-diagonal, diagonal]
        u = np.array([[0.0, 0.0], [1e-3, -2.0], [30.0, -1e3]], dtype)
        _, log_det = flow.forward(u)
        held = min(mp.mpf(diagonal), mp.mpf(40))
        truth = 2 * mp.log(mp.sech(held) ** 2)
        assert abs(float(log_det[0]) - truth) <= 16 * np.finfo(dtype).eps * abs(truth)
        check_finite(flow, u)


@pytest.mark.parametrize("dtype", DTYPES)
def test_far_points_and_bad_rows(dtype: str) -> None:
    rng = np.random.default_rng(7)
    flow = random_flow("orthogonal", dtype, 1.0, 0)
    check_finite(flow, rng.normal(size=(20, 5)) * 10.0 ** rng.integers(-30, 30, size=(20, 1)))
    check_rows(flow, rng.normal(size=(40, 5)))


@pytest.mark.parametrize("form", FORMS)
def test_a_new_layer_is_the_identity_and_learns(form: str) -> None:
    flow = cf.Flow([cf.Sylvester(**FORMS[form])] * 2, 5, dtype="float64", seed=0)
    u = np.random.default_rng(8).normal(size=(100, 5))
    x, log_det = flow.forward(u)
    np.testing.assert_allclose(x, u, rtol=0, atol=1e-14)
    np.testing.assert_allclose(log_det, 0, rtol=0, atol=1e-14)
    _, gradients = flow.loss_and_grad(2 * u + 1)
    assert np.abs(gradients["layers.0.diagonal"]).max() > 1e-3
    if "layers.0.vectors" in flow.parameters:
        first, second = (flow.parameters[f"layers.{i}.vectors"] for i in range(2))
        assert np.abs(first - second).max() > 1e-2


@pytest.mark.parametrize("form", FORMS)
def test_amortized(form: str) -> None:
    check_amortized(lambda **options: cf.Sylvester(**FORMS[form], **options), 5, scale=0.5)


def test_images_are_one_vector() -> None:
    flow = cf.Flow([cf.Sylvester(4)], shape=(2, 2, 3), dtype="float64")
    vector = cf.Flow([cf.Sylvester(4)], 12, dtype="float64")
    rng = np.random.default_rng(2)
    for name, value in flow.parameters.items():
        value[...] = rng.normal(size=value.shape)
        vector.parameters[name][...] = value
    u = rng.normal(size=(20, 2, 2, 3))
    x, log_det = flow.forward(u)
    flat, flat_log_det = vector.forward(u.reshape(20, 12))
    np.testing.assert_array_equal(x.reshape(20, 12), flat)
    np.testing.assert_array_equal(log_det, flat_log_det)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": 0}, "Sylvester: columns must be from 1 to 65536, got 0"),
        ({"reflections": -1}, "Sylvester: reflections must be from 0 to 65536, got -1"),
        ({"conditioner": cf.MLP(()), "activation": "tanh"}, "short form of a conditioner"),
        (
            {"columns": 3},
            "Sylvester: columns must be at most 2, as many as there are features, got 3",
        ),
    ],
)
def test_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cf.Flow([cf.Sylvester(**options)], 2)
