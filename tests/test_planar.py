"""Planar flows against the paper's formula, in NumPy and in arithmetic of 60 digits."""

from __future__ import annotations

from typing import Any

import mpmath as mp
import numpy as np
import pytest

import cflows as cf
from amortized import check_amortized, check_finite, check_rows, set_parameters
from differences import gradient

mp.mp.dps = 60
DTYPES = ("float32", "float64")
FORMS: dict[str, dict[str, Any]] = {
    "tanh": {},
    "leaky_relu": {"h": "leaky_relu", "slope": 0.2},
    "relu": {"h": "leaky_relu", "slope": 0.0},
    "line": {"h": "leaky_relu", "slope": 1.0},
}


def planar(
    z: np.ndarray, w: np.ndarray, u: np.ndarray, b: float, h: str = "tanh", slope: float = 0.01
) -> tuple[np.ndarray, np.ndarray]:
    """The paper's equations 10 to 12 and appendix A.1."""
    product = w @ u
    u_hat = u + (np.log1p(np.exp(product)) - 1 - product) * w / (w @ w)
    s = z @ w + b
    value = np.tanh(s) if h == "tanh" else np.where(s > 0, s, slope * s)
    derivative = 1 - np.tanh(s) ** 2 if h == "tanh" else np.where(s > 0, 1, slope)
    return z + u_hat * value[:, None], np.log1p(u_hat @ w * derivative)


def flow_of(dtype: str, features: int, options: Any, **values: Any) -> cf.Flow:
    flow = cf.Flow([cf.Planar(**options)], features, dtype=dtype)
    set_parameters(flow, values)
    return flow


@pytest.mark.parametrize("form", FORMS)
def test_the_formula(form: str) -> None:
    rng = np.random.default_rng(1)
    for _ in range(10):
        w, u, b = rng.normal(size=4), rng.normal(size=4), rng.normal()
        flow = flow_of("float64", 4, FORMS[form], w=w, u=u, b=b)
        z = 3 * rng.normal(size=(50, 4))
        truth, truth_log_det = planar(z, w, u, b, **FORMS[form])
        x, log_det = flow.forward(z)
        np.testing.assert_allclose(x, truth, rtol=1e-13, atol=1e-13)
        np.testing.assert_allclose(log_det, truth_log_det, rtol=1e-12, atol=1e-13)
        back, back_log_det = flow.inverse(x)
        np.testing.assert_allclose(back, z, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(back_log_det, -log_det, rtol=1e-9, atol=1e-9)


def test_images_are_one_vector() -> None:
    flow = cf.Flow([cf.Planar()], shape=(2, 2, 3), dtype="float64")
    vector = cf.Flow([cf.Planar()], 12, dtype="float64")
    rng = np.random.default_rng(2)
    for name, value in flow.parameters.items():
        value[...] = rng.normal(size=value.shape)
        vector.parameters[name][...] = value
    u = rng.normal(size=(20, 2, 2, 3))
    x, log_det = flow.forward(u)
    flat, flat_log_det = vector.forward(u.reshape(20, 12))
    np.testing.assert_array_equal(x.reshape(20, 12), flat)
    np.testing.assert_array_equal(log_det, flat_log_det)


class Exact:
    """The map of one layer's parameters in 60 digits; w.u below -40 counts as -40."""

    def __init__(self, flow: cf.Flow, options: dict[str, Any]) -> None:
        self.w, self.u, (self.b,) = (
            [mp.mpf(float(number)) for number in flow.parameters[f"layers.0.{name}"]]
            for name in ("w", "u", "b")
        )
        product = mp.fdot(self.w, self.u)
        self.p = mp.log1p(mp.exp(max(product, mp.mpf(-40)))) - 1
        square = mp.fdot(self.w, self.w)
        along = (self.p - product) / square if square else mp.mpf(0)
        self.u_hat = [u + along * w for u, w in zip(self.u, self.w, strict=True)]
        self.slope = mp.mpf(options["slope"]) if options else None
        self.size = self.norm(self.u_hat)

    @staticmethod
    def norm(x: Any) -> Any:
        return mp.sqrt(mp.fdot(x, x))

    def at(self, s: Any) -> tuple[Any, Any, Any]:
        """h(s), its derivative and the log_det."""
        if self.slope is None:
            h, derivative = mp.tanh(s), mp.sech(s) ** 2
        else:
            h, derivative = (s, mp.mpf(1)) if s > 0 else (self.slope * s, self.slope)
        return h, derivative, mp.log(1 + self.p * derivative)

    def __call__(self, z: Any) -> tuple[list[Any], Any, Any, Any]:
        """x, log_det, how large its terms are, and how large the Jacobian is."""
        s = mp.fdot(self.w, z) + self.b
        h, derivative, log_det = self.at(s)
        x = [one + h * u for one, u in zip(z, self.u_hat, strict=True)]
        size = self.norm(z) + self.size * abs(h)
        return x, log_det, size, 1 + self.size * self.norm(self.w) * derivative

    def log_det_spread(self, z: Any, eps: float) -> Any:
        """How far log_det goes while w.z + b and w.u move by what they are rounded by."""
        s = mp.fdot(self.w, z) + self.b
        rounding = 4 * eps * (self.norm(self.w) * self.norm(z) + abs(self.b))
        spread = max(abs(self.at(s + step)[2] - self.at(s)[2]) for step in (-rounding, rounding))
        return spread + 4 * eps * self.norm(self.w) * self.norm(self.u)


def exact(row: np.ndarray) -> list[Any]:
    return [mp.mpf(float(number)) for number in row]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1.0, 10.0, 100.0, 1000.0])
@pytest.mark.parametrize("form", ["tanh", "leaky_relu"])
def test_harsh_weights_in_60_digits(form: str, size: float, dtype: str) -> None:
    """Forward the terms' rounding; backward, the x of the u that was found, as near to the given x
    as the rounding of u leaves it."""
    rng, eps = np.random.default_rng(3), np.finfo(dtype).eps
    for _ in range(12):
        values = {"w": size * rng.normal(size=3), "u": size * rng.normal(size=3)}
        flow = flow_of(dtype, 3, FORMS[form], **values, b=size * rng.normal())
        truth = Exact(flow, FORMS[form])
        z = (2 * rng.normal(size=(4, 3))).astype(dtype)
        x, log_det = flow.forward(z)
        u, inverse_log_det = flow.inverse(z)
        for row in range(4):
            value, value_log_det, terms, jacobian = truth(exact(z[row]))
            error = truth.norm([a - b for a, b in zip(exact(x[row]), value, strict=True)])
            assert error <= 8 * eps * (terms + jacobian * truth.norm(exact(z[row])))
            error = abs(float(log_det[row]) - value_log_det)
            spread = truth.log_det_spread(exact(z[row]), eps)
            assert error <= 4 * eps * (1 + abs(value_log_det)) + spread
            found = exact(u[row])
            value, value_log_det, terms, jacobian = truth(found)
            error = truth.norm([a - b for a, b in zip(exact(z[row]), value, strict=True)])
            assert error <= 8 * eps * (terms + jacobian * (1 + truth.norm(found)))
            spread = truth.log_det_spread(found, eps)
            error = abs(float(inverse_log_det[row]) + value_log_det)
            assert error <= 8 * eps * (1 + abs(value_log_det)) + 4 * spread


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("form", ["tanh", "leaky_relu"])
def test_stacks_in_both_directions(form: str, size: float, dtype: str) -> None:
    """Eight layers, out and back: an error of rounding before every layer, amplified by the inverse
    of what has been done until there. Where that is large, it is no longer linear."""
    eps = np.finfo(dtype).eps
    flow = cf.Flow([cf.Planar(**FORMS[form]) for _ in range(8)], 5, dtype=dtype)
    rng = np.random.default_rng(4)
    for value in flow.parameters.values():
        value[...] = size * rng.normal(size=value.shape)
    u = (2 * rng.normal(size=(1000, 5))).astype(dtype)
    x, log_det = flow.forward(u)
    back, back_log_det = flow.inverse(x)
    assert np.isfinite(back).all() and np.isfinite(back_log_det).all()
    wide, at = flow.astype("float64"), u.astype("float64")
    largest, amplified = np.linalg.norm(at, axis=1), np.linalg.norm(at, axis=1)
    for stop in range(1, 9):
        part = wide.part(stop=stop)
        jacobian = cf.jacobian(part, at, direction="forward")
        largest = np.maximum(largest, np.linalg.norm(part.forward(at)[0], axis=1))
        amplified += np.linalg.norm(np.linalg.inv(jacobian), 2, axis=(1, 2)) * largest
    bound = 30 * eps * amplified
    linear = bound < 1e-2
    assert linear.mean() >= {"float32": 0.2, "float64": 0.9}[dtype] or size > 1
    assert np.all((np.linalg.norm(back - u, axis=1) <= bound)[linear])
    assert np.all((np.abs(back_log_det + log_det) <= 30 * bound + 100 * eps)[linear])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("product", [-1e6, -1e3, -60.0, 60.0, 1e3, 1e6])
@pytest.mark.parametrize("form", ["tanh", "leaky_relu"])
def test_products_of_any_size(form: str, product: float, dtype: str) -> None:
    """Along w, by which the inverse goes, x is right however much longer u is than what becomes of
    it, u_hat."""
    rng = np.random.default_rng(5)
    w = rng.normal(size=4)
    flow = flow_of(dtype, 4, FORMS[form], w=w, u=product * w / (w @ w), b=0.3)
    u = np.concatenate([rng.normal(size=(50, 4)), 1e4 * rng.normal(size=(50, 4)), np.zeros((1, 4))])
    check_finite(flow, u)
    truth = Exact(flow, FORMS[form])
    x, log_det = flow.forward(u.astype(dtype))
    for row in (0, 1, 50, 100):
        z = exact(u.astype(dtype)[row])
        value, _, terms, jacobian = truth(z)
        error = abs(mp.fdot(truth.w, [a - b for a, b in zip(exact(x[row]), value, strict=True)]))
        bound = terms + jacobian * (1 + truth.norm(z))
        assert error <= 8 * np.finfo(dtype).eps * truth.norm(truth.w) * bound
        error, eps = abs(float(log_det[row]) - truth(z)[1]), np.finfo(dtype).eps
        assert error <= 4 * eps * (1 + abs(truth(z)[1])) + truth.log_det_spread(z, eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", ["tanh", "leaky_relu"])
def test_without_a_direction_it_is_a_shift(form: str, dtype: str) -> None:
    """w = 0, or too short for a direction."""
    shift = np.tanh(0.7) if form == "tanh" else 0.7
    for w in (0.0, 1e-38, -1e-31):
        flow = flow_of(dtype, 3, FORMS[form], w=[w, 0.0, 0.0], u=[1.0, -2.0, 3.0], b=0.7)
        u = np.random.default_rng(6).normal(size=(20, 3)).astype(dtype)
        x, log_det = flow.forward(u)
        np.testing.assert_allclose(
            x, u + shift * np.array([1.0, -2.0, 3.0]), rtol=4 * np.finfo(dtype).eps, atol=1e-6
        )
        np.testing.assert_allclose(log_det, 0, rtol=0, atol=2 * np.finfo(dtype).eps)
        back, log_det = flow.inverse(x)
        np.testing.assert_allclose(back, u, rtol=0, atol=20 * np.finfo(dtype).eps)
        np.testing.assert_allclose(log_det, 0, rtol=0, atol=2 * np.finfo(dtype).eps)
        check_finite(flow, u)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", ["tanh", "leaky_relu"])
def test_short_directions_follow_the_formula(form: str, dtype: str) -> None:
    """u_hat is then long, (log(2) - 1) w / |w|^2."""
    flow = flow_of(dtype, 3, FORMS[form], w=[3e-10, 0, 4e-10], u=[1.0, 1.0, -1.0], b=0.25)
    truth = Exact(flow, FORMS[form])
    u = np.array([[0.0, 1.0, -3.0], [1e9, 1.0, 2e9]], dtype)
    x, log_det = flow.forward(u)
    for row in range(2):
        value, value_log_det, terms, _ = truth(exact(u[row]))
        error = truth.norm([a - b for a, b in zip(exact(x[row]), value, strict=True)])
        assert error <= 8 * np.finfo(dtype).eps * terms
        assert abs(float(log_det[row]) - value_log_det) <= 16 * np.finfo(dtype).eps
    check_finite(flow, u)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", ["tanh", "leaky_relu"])
def test_far_points_and_bad_rows(form: str, dtype: str) -> None:
    rng = np.random.default_rng(7)
    values = {"w": rng.normal(size=3), "u": rng.normal(size=3), "b": 0.1}
    flow = flow_of(dtype, 3, FORMS[form], **values)
    far = rng.normal(size=(20, 3)) * 10.0 ** rng.integers(-30, 30, size=(20, 1))
    check_finite(flow, far)
    check_rows(flow, rng.normal(size=(40, 3)))


@pytest.mark.parametrize("form", ["tanh", "leaky_relu"])
def test_a_new_layer_is_the_identity_and_learns(form: str) -> None:
    """Layers start at directions of their own, and every weight but b moves at the first step."""
    flow = cf.Flow([cf.Planar(**FORMS[form]) for _ in range(3)], 4, dtype="float64", seed=0)
    u = np.random.default_rng(8).normal(size=(100, 4))
    x, log_det = flow.forward(u)
    np.testing.assert_allclose(x, u, rtol=0, atol=1e-14)
    np.testing.assert_allclose(log_det, 0, rtol=0, atol=1e-14)
    directions = [flow.parameters[f"layers.{i}.w"] for i in range(3)]
    assert abs(np.corrcoef(directions) - np.eye(3)).max() < 0.999
    _, gradients = flow.loss_and_grad(u + 1)
    for name in ("w", "u"):
        assert np.abs(gradients[f"layers.1.{name}"]).max() > 1e-3
    other = cf.Flow([cf.Planar(**FORMS[form])], 4, dtype="float64", seed=1)
    assert np.abs(other.parameters["layers.0.w"] - directions[0]).max() > 1e-2


@pytest.mark.parametrize("form", ["tanh", "leaky_relu"])
def test_amortized(form: str) -> None:
    check_amortized(lambda **options: cf.Planar(**FORMS[form], **options), 3)


def test_it_learns_a_banana_by_variational_inference() -> None:
    """A bent density, of which a normal distribution is far."""

    def log_target(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(x0, x1 - x0^2 / 2) normal; and its score."""
        bent = x[:, 1] - x[:, 0] ** 2 / 2
        value = -0.5 * (x[:, 0] ** 2 + (bent / 0.5) ** 2)
        slope = -bent / 0.25
        return value, np.column_stack([-x[:, 0] - slope * x[:, 0], slope])

    flow = cf.Flow([cf.Affine(learned=True), *[cf.Planar() for _ in range(16)]], 2, seed=0)
    history = flow.fit_target(log_target, steps=2000, optimizer=cf.Adam(5e-3), seed=0)
    # The integral is 2 pi / 2; a normal distribution is 0.3 from it at best.
    assert np.mean(history.elbo[-100:]) > np.log(np.pi) - 0.05


def test_second_derivatives() -> None:
    """The inverse's implicit gradient has one itself: the Hessian of log_prob is symmetric and
    that of differences."""
    rng = np.random.default_rng(9)
    flow = cf.Flow([cf.Planar(), cf.Planar()], 2, dtype="float64")
    for value in flow.parameters.values():
        value[...] = rng.normal(size=value.shape)
    x = rng.normal(size=(1, 2))
    hessian = np.array(
        [gradient(lambda i=i: float(flow.grad_log_prob(x)[0, i]), x)[0] for i in range(2)]
    )
    np.testing.assert_allclose(hessian, hessian.T, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"h": "relu"}, "Planar: h must be one of 'tanh', 'leaky_relu', got 'relu'"),
        ({"h": "leaky_relu", "slope": 1.5}, "Planar: slope must be from 0 to 1, got 1.5"),
        ({"h": "leaky_relu", "slope": -0.1}, "Planar: slope must be from 0 to 1, got -0.1"),
        ({"slope": 0.5}, "Planar: slope is that of h='leaky_relu', got h='tanh'"),
        ({"conditioner": cf.MLP(()), "hidden": (3,)}, "short form of a conditioner"),
    ],
)
def test_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cf.Planar(**options)


def test_posteriors_of_a_vae() -> None:
    """Amortised by what the encoder gives, as in the papers: the bound on data of a bent latent."""
    rng = np.random.default_rng(0)
    latent = rng.normal(size=(2000, 2))
    x = np.tanh(latent @ rng.normal(size=(2, 6))) + 0.1 * rng.normal(size=(2000, 6))
    vae = cf.VAE(
        cf.MLP(32),
        cf.MLP(32),
        2,
        6,
        posterior=[cf.Planar(hidden=8), cf.Sylvester(hidden=8), cf.Radial(hidden=8)],
        likelihood="normal",
        seed=0,
    )
    history = vae.fit(x, epochs=15, seed=0, progress=False)
    assert np.isfinite(history.train).all() and history.train[-1] < history.train[0] - 1
