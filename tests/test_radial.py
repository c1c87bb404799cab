"""Radial flows against the paper's formula, in NumPy and in arithmetic of 60 digits."""

from __future__ import annotations

from typing import Any

import mpmath as mp
import numpy as np
import pytest

import cflows as cf
from amortized import check_amortized, check_finite, check_rows, set_parameters

mp.mp.dps = 60
DTYPES = ("float32", "float64")


def radial(
    z: np.ndarray, centre: np.ndarray, alpha: float, beta: float
) -> tuple[np.ndarray, np.ndarray]:
    """The paper's equation 14 and its determinant."""
    a = abs(alpha)
    b = np.log1p(np.exp(beta)) - a
    r = np.linalg.norm(z - centre, axis=1)
    h = b / (a + r)
    slope = -b / (a + r) ** 2
    log_det = (z.shape[1] - 1) * np.log(1 + h) + np.log(1 + h + slope * r)
    return z + h[:, None] * (z - centre), log_det


def flow_of(dtype: str, features: int, **values: Any) -> cf.Flow:
    flow = cf.Flow([cf.Radial()], features, dtype=dtype)
    set_parameters(flow, values)
    return flow


@pytest.mark.parametrize("features", [1, 2, 5])
def test_the_formula(features: int) -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        centre, alpha, beta = rng.normal(size=features), 2 * rng.normal(), 2 * rng.normal()
        flow = flow_of("float64", features, z_0=centre, alpha=alpha, beta=beta)
        z = np.concatenate([3 * rng.normal(size=(50, features)), centre + 0.01 * np.eye(features)])
        truth, truth_log_det = radial(z, centre, alpha, beta)
        x, log_det = flow.forward(z)
        np.testing.assert_allclose(x, truth, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(log_det, truth_log_det, rtol=1e-10, atol=1e-12)
        back, back_log_det = flow.inverse(x)
        np.testing.assert_allclose(back, z, rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(back_log_det, -log_det, rtol=1e-10, atol=1e-11)


class Exact:
    """The map in 60 digits, with the ends at which unconstrained numbers are cut off."""

    def __init__(self, flow: cf.Flow) -> None:
        parameters = {name[9:]: value for name, value in flow.parameters.items()}
        self.centre = exact(parameters["z_0"])
        self.a = min(max(abs(exact(parameters["alpha"])[0]), mp.mpf(1e-10)), mp.mpf(1e10))
        beta = min(max(exact(parameters["beta"])[0], mp.mpf(-50)), mp.mpf(1e10))
        self.s = mp.log1p(mp.exp(beta)) if beta < 1000 else beta

    def log_det(self, r: Any) -> Any:
        ratio = (r + self.s) / (r + self.a)
        slope = (r * r + 2 * r * self.a + self.s * self.a) / (r + self.a) ** 2
        return (len(self.centre) - 1) * mp.log(ratio) + mp.log(slope)

    def __call__(self, z: Any, eps: float) -> tuple[list[Any], Any, Any, Any]:
        """x, its rounding, log_det, and how far that goes while z and the centre are rounded."""
        from_centre = [a - b for a, b in zip(z, self.centre, strict=True)]
        r = norm(from_centre)
        ratio = (r + self.s) / (r + self.a)
        slope = (r * r + 2 * r * self.a + self.s * self.a) / (r + self.a) ** 2
        x = [c + ratio * f for c, f in zip(self.centre, from_centre, strict=True)]
        size, log_det = norm(z) + norm(self.centre), self.log_det(r)
        rounding = norm(self.centre) + norm(x) + max(ratio, slope) * size
        near = [self.log_det(max(r + step, mp.mpf(0))) for step in (-eps * size, eps * size)]
        return x, eps * rounding, log_det, max(abs(one - log_det) for one in near)


def norm(x: Any) -> Any:
    return mp.sqrt(mp.fdot(x, x))


def exact(row: np.ndarray) -> list[Any]:
    return [mp.mpf(float(number)) for number in row]


NUMBERS = [-1e12, -1e4, -60.0, -20.0, -1.0, -1e-3, 0.0, 1e-12, 0.5, 30.0, 1e3, 1e12]


@pytest.mark.parametrize("dtype", DTYPES)
def test_harsh_parameters_in_60_digits(dtype: str) -> None:
    """Forward the terms' rounding; backward, the x of the u that was found, as near to the given x
    as the rounding of u leaves it."""
    rng, eps = np.random.default_rng(2), float(np.finfo(dtype).eps)
    for alpha in NUMBERS:
        for beta in NUMBERS:
            centre = rng.normal(size=3) * rng.choice([0.0, 1e-3, 1.0, 100.0])
            flow = flow_of(dtype, 3, z_0=centre, alpha=alpha, beta=beta)
            truth = Exact(flow)
            z = rng.normal(size=(6, 3)) * 10.0 ** np.array([[-6], [-2], [0], [1], [4], [8]])
            z = z.astype(dtype)
            x, log_det = flow.forward(z)
            u, back_log_det = flow.inverse(z)
            check_finite(flow, z)
            for row in range(len(z)):
                value, rounding, logarithm, spread = truth(exact(z[row]), eps)
                assert norm([a - b for a, b in zip(exact(x[row]), value, strict=True)]) <= (
                    8 * rounding
                )
                error = abs(float(log_det[row]) - logarithm)
                assert error <= 8 * eps * (1 + abs(logarithm)) + 4 * spread
                value, rounding, logarithm, spread = truth(exact(u[row]), eps)
                error = norm([a - b for a, b in zip(exact(z[row]), value, strict=True)])
                assert error <= 8 * rounding
                error = abs(float(back_log_det[row]) + logarithm)
                assert error <= 8 * eps * (1 + abs(logarithm)) + 8 * spread


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1.0, 5.0])
def test_stacks_in_both_directions(size: float, dtype: str) -> None:
    eps = np.finfo(dtype).eps
    flow = cf.Flow([cf.Radial() for _ in range(8)], 4, dtype=dtype)
    rng = np.random.default_rng(4)
    for value in flow.parameters.values():
        value[...] = size * rng.normal(size=value.shape)
    u = (2 * rng.normal(size=(1000, 4))).astype(dtype)
    x, log_det = flow.forward(u)
    back, back_log_det = flow.inverse(x)
    wide, at = flow.astype("float64"), u.astype("float64")
    amplified = np.linalg.norm(at, axis=1)
    for stop in range(1, 9):
        part = wide.part(stop=stop)
        jacobian = cf.jacobian(part, at, direction="forward")
        far = np.linalg.norm(part.forward(at)[0], axis=1) + 2 * size
        amplified += np.linalg.norm(np.linalg.inv(jacobian), 2, axis=(1, 2)) * far
    bound = 30 * eps * amplified
    linear = bound < 1e-2
    assert linear.mean() > (0.9 if dtype == "float64" or size == 1 else 0.5)
    assert np.all((np.linalg.norm(back - u, axis=1) <= bound)[linear])
    assert np.all((np.abs(back_log_det + log_det) <= 30 * bound + 100 * eps)[linear])


@pytest.mark.parametrize("dtype", DTYPES)
def test_at_the_centre(dtype: str) -> None:
    """It stays, with a volume of its own and finite gradients, in both directions."""
    for alpha, beta in ((0.3, 1.0), (2.0, -30.0), (1e-9, 5.0)):
        flow = flow_of(dtype, 3, z_0=[1.0, -2.0, 0.5], alpha=alpha, beta=beta)
        centre = np.array([[1.0, -2.0, 0.5]], dtype)
        x, log_det = flow.forward(centre)
        np.testing.assert_array_equal(x, centre)
        truth = 3 * np.log(np.log1p(np.exp(beta)) / alpha)
        assert log_det[0] == pytest.approx(truth, rel=1e-5 if dtype == "float32" else 1e-12)
        np.testing.assert_array_equal(flow.inverse(centre)[0], centre)
        check_finite(flow, np.concatenate([centre, centre + 1e-30, centre + 1e-6]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_far_points_and_bad_rows(dtype: str) -> None:
    rng = np.random.default_rng(7)
    flow = flow_of(dtype, 3, z_0=rng.normal(size=3), alpha=0.7, beta=2.0)
    far = rng.normal(size=(20, 3)) * 10.0 ** rng.integers(-30, 30, size=(20, 1))
    check_finite(flow, far)
    check_rows(flow, rng.normal(size=(40, 3)))


def test_a_new_layer_is_the_identity_and_learns() -> None:
    flow = cf.Flow([cf.Radial() for _ in range(3)], 4, dtype="float64", seed=0)
    u = np.random.default_rng(8).normal(size=(100, 4))
    x, log_det = flow.forward(u)
    np.testing.assert_allclose(x, u, rtol=0, atol=1e-14)
    np.testing.assert_allclose(log_det, 0, rtol=0, atol=1e-14)
    centres = [flow.parameters[f"layers.{i}.z_0"] for i in range(3)]
    assert min(np.abs(centres[i] - centres[i - 1]).max() for i in range(3)) > 1e-2
    _, gradients = flow.loss_and_grad(u * 2)
    for name in ("alpha", "beta"):
        assert np.abs(gradients[f"layers.1.{name}"]).max() > 1e-3


def test_amortized() -> None:
    check_amortized(cf.Radial, 3)


def test_it_learns_a_sharp_peak() -> None:
    """A narrow one on a broad one, around the same point, which an affine map can't have."""
    rng = np.random.default_rng(0)
    width = np.where(rng.uniform(size=(4000, 1)) < 0.5, 0.2, 1.5)
    x = 3 + width * rng.normal(size=(4000, 2))
    plain = cf.Flow([cf.Affine(learned=True)], 2, seed=0)
    radials = cf.Flow([*[cf.Radial() for _ in range(4)], cf.Affine(3.0, 1.0, learned=True)], 2)
    options: dict[str, Any] = {"epochs": 60, "seed": 0, "progress": False}
    for flow in (plain, radials):
        flow.fit(x, optimizer=cf.Adam(1e-2), **options)
    assert radials.log_prob(x).mean() > plain.log_prob(x).mean() + 0.3
