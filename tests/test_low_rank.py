"""LowRank against dense matrices, in NumPy and in arithmetic of 60 digits."""

from __future__ import annotations

from typing import Any

import mpmath as mp
import numpy as np
import pytest

import cflows as cf
from amortized import check_finite, check_rows

mp.mp.dps = 60
DTYPES = ("float32", "float64")


def random_flow(
    rank: int, dtype: str = "float64", size: float = 1.0, seed: int = 0, **options: Any
) -> cf.Flow:
    flow = cf.Flow([cf.LowRank(rank, **options)], 6, dtype=dtype)
    rng = np.random.default_rng(seed)
    for value in flow.parameters.values():
        value[...] = rng.normal(size=value.shape)
    flow.parameters["layers.0.factors"][...] *= size
    return flow


@pytest.mark.parametrize("rank", [1, 2, 5, 6])
@pytest.mark.parametrize("scale", ["exp", "softplus"])
def test_the_matrix(scale: str, rank: int) -> None:
    flow = random_flow(rank, scale=scale)
    factors, unconstrained, shift = (
        flow.parameters[f"layers.0.{name}"] for name in ("factors", "scale", "shift")
    )
    diagonal = np.exp(unconstrained) if scale == "exp" else np.log1p(np.exp(unconstrained))
    matrix = diagonal[:, None] * (np.eye(6) + factors.T @ factors)
    u = 3 * np.random.default_rng(1).normal(size=(50, 6))
    x, log_det = flow.forward(u)
    np.testing.assert_allclose(x, u @ matrix.T + shift, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(log_det, np.linalg.slogdet(matrix)[1], rtol=1e-12)
    back, back_log_det = flow.inverse(x)
    np.testing.assert_allclose(back, np.linalg.solve(matrix, (x - shift).T).T, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(back, u, rtol=1e-10, atol=1e-10)
    np.testing.assert_array_equal(back_log_det, -log_det)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1e-3, 1.0, 30.0, 1000.0])
@pytest.mark.parametrize("parallel", [False, True])
def test_determinants_in_60_digits(parallel: bool, size: float, dtype: str) -> None:
    """As well as the factors' own rounding lets them be known, also of factors that are next to
    parallel, of which the products lose the small eigenvalue."""
    for rank in (1, 3, 6):
        flow = random_flow(rank, dtype, size)
        factors = flow.parameters["layers.0.factors"]
        if parallel:
            factors[1:] = factors[0]
        rows = mp.matrix([[mp.mpf(float(number)) for number in row] for row in factors])
        diagonal = mp.fsum(mp.mpf(float(a)) for a in flow.parameters["layers.0.scale"])
        truth = mp.log(mp.det(mp.eye(rank) + rows * rows.T)) + diagonal
        _, log_det = flow.forward(np.zeros((1, 6)))
        eps = np.finfo(dtype).eps
        # Rounding moves the factors by eps |v|, and what there is beside them is 1.
        lost = eps * np.linalg.norm(factors, 2) * rank if parallel else 0.0
        assert abs(float(log_det[0]) - truth) <= 40 * eps * (1 + abs(truth)) + 8 * lost


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [0.1, 1.0, 10.0, 100.0])
def test_round_trips(size: float, dtype: str) -> None:
    eps = np.finfo(dtype).eps
    for seed in range(5):
        flow = random_flow(3, dtype, size, seed)
        u = np.random.default_rng(seed).normal(size=(200, 6)).astype(dtype)
        x, _ = flow.forward(u)
        wide = cf.jacobian(flow.astype("float64"), u[:1].astype("float64"), direction="forward")
        condition = np.linalg.cond(wide[0])
        back, _ = flow.inverse(x)
        assert np.abs(back - u).max() <= 20 * eps * condition * (1 + np.abs(u).max())


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_weights_give_numbers(dtype: str) -> None:
    rng = np.random.default_rng(5)
    for size in (1e-20, 1e-3, 1e3, 1e6):
        for seed in range(3):
            check_finite(random_flow(4, dtype, size, seed), rng.normal(size=(40, 6)))
    check_rows(random_flow(2, dtype), rng.normal(size=(40, 6)), volume=False)
    zero = random_flow(2, dtype, 0.0)
    check_finite(zero, rng.normal(size=(40, 6)))


def test_a_new_layer_is_near_the_identity_and_learns() -> None:
    flow = cf.Flow([cf.LowRank(2)], 6, dtype="float64", seed=0)
    u = np.random.default_rng(8).normal(size=(100, 6))
    x, log_det = flow.forward(u)
    assert np.abs(x - u).max() < 0.1 and np.abs(log_det).max() < 0.1
    _, gradients = flow.loss_and_grad(2 * u)
    assert all(np.abs(value).max() > 1e-3 for value in gradients.values())


def test_it_learns_a_correlation() -> None:
    """The covariance of a common factor."""
    rng = np.random.default_rng(0)
    loading = np.array([1.0, -2.0, 0.5, 0.0, 3.0, 1.0])
    x = rng.normal(size=(20_000, 1)) * loading + 0.5 * rng.normal(size=(20_000, 6))
    flow = cf.Flow([cf.LowRank(2)], 6, seed=0)
    flow.fit(x, epochs=80, optimizer=cf.Adam(1e-2), seed=0, progress=False)
    covariance = np.outer(loading, loading) + 0.25 * np.eye(6)
    entropy = 0.5 * np.linalg.slogdet(2 * np.pi * np.e * covariance)[1]
    assert -flow.log_prob(x).mean() < entropy + 0.05


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 0}, "LowRank: rank must be from 1 to 1024, got 0"),
        ({"rank": 3}, "LowRank: rank must be at most 2, as many as there are features, got 3"),
        ({"scale": "cube"}, "LowRank: scale must be one of"),
    ],
)
def test_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cf.Flow([cf.LowRank(**options)], 2)
