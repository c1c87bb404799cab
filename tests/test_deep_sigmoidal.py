"""DeepSigmoidal against its definition in high precision, without logarithms of sums."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest

import cflows as cf

Array = np.ndarray
DTYPES = ("float32", "float64")
FORMS = [(1, 1, False), (4, 1, False), (3, 3, False), (3, 1, True), (3, 2, True), (5, 4, True)]


def positive(a: Any) -> Any:
    """Softclip, as the default has it."""
    return mpmath.exp(a / (1 + abs(a) / mpmath.log(1000)))


def simplex(logits: list[Any]) -> list[Any]:
    weights = [mpmath.exp(logit) for logit in logits]
    return [w / mpmath.fsum(weights) for w in weights]


def definition(params: Array, x: float, form: tuple[int, int, bool]) -> tuple[Any, Any]:
    """u and du/dx, by the formula and the chain rule."""
    units, layers, dense = form
    numbers = iter([mpmath.mpf(float(p)) for p in params])

    def take(count: int) -> list[Any]:
        return [next(numbers) for _ in range(count)]

    h, slope = [mpmath.mpf(float(x))], [mpmath.mpf(1)]
    for layer in range(layers):
        outputs = units if dense and layer + 1 < layers else 1
        a, bias = [positive(p) for p in take(units)], take(units)
        rows = [simplex(take(units)) for _ in range(outputs)]
        averages = [simplex(take(len(h))) if len(h) > 1 else [1] for _ in range(units)]
        z = [n * mpmath.fdot(v, h) + c for n, v, c in zip(a, averages, bias, strict=True)]
        dz = [n * mpmath.fdot(v, slope) for n, v in zip(a, averages, strict=True)]
        sigmoid = [1 / (1 + mpmath.exp(-n)) for n in z]
        other = [1 / (1 + mpmath.exp(n)) for n in z]
        bump = [s * o * d for s, o, d in zip(sigmoid, other, dz, strict=True)]
        low, high = ([mpmath.fdot(w, part) for w in rows] for part in (sigmoid, other))
        h = [mpmath.log(f / g) for f, g in zip(low, high, strict=True)]
        slope = [mpmath.fdot(w, bump) / f / g for w, f, g in zip(rows, low, high, strict=True)]
    assert next(numbers, None) is None
    return h[0], slope[0]


def flow_of(
    form: tuple[int, int, bool], features: int, dtype: str = "float64", size: float = 1.0
) -> tuple[cf.Flow, Array]:
    """With random unconstrained parameters, [numbers, features]."""
    flow = cf.Flow(
        [cf.Elementwise(cf.DeepSigmoidal(*form))], features=features, dtype=dtype, seed=0
    )
    constant = flow.parameters["layers.0.conditioner.constant"]
    constant[...] = size * np.random.default_rng(1).normal(size=constant.shape)
    return flow, constant.reshape(-1, features).astype("float64")


@pytest.mark.parametrize("form", FORMS)
def test_values_and_tails(form: tuple[int, int, bool]) -> None:
    """Out to where 1 - F is far below the smallest number."""
    x = np.array([-1e4, -50.0, -3.0, -0.1, 0.0, 1.0, 7.0, 300.0, 1e4])
    for size in (0.5, 2.0, 20.0):
        for dtype in DTYPES:
            flow, params = flow_of(form, 2, dtype, size)
            eps = np.finfo(dtype).eps
            u, _ = flow.inverse(np.stack([x, x], axis=1))
            log_det = flow.inverse(x[:, None] + np.zeros(2))[1]
            with mpmath.workdps(40):
                for row, point in enumerate(x):
                    point = float(np.dtype(dtype).type(point))
                    found = [definition(params[:, f], point, form) for f in range(2)]
                    for f, (truth, slope) in enumerate(found):
                        # u is as sensitive as the products a x that are rounded on the way.
                        rounding = 30 * eps * form[1] * (1 + abs(float(truth)) + 3 * size)
                        rounding += 30 * eps * abs(float(slope * point)) * form[1]
                        rounding += 10 * eps * 1000 * size * (size > 10)
                        assert abs(float(u[row, f] - truth)) <= rounding
                    total = sum(float(mpmath.log(slope)) for _, slope in found)
                    far = max(float(abs(t)) + float(abs(s * point)) for t, s in found)
                    assert abs(float(log_det[row]) - total) <= 200 * eps * (10 + far + 30 * size)


@pytest.mark.parametrize("form", FORMS)
def test_it_starts_near_the_identity(form: tuple[int, int, bool]) -> None:
    flow = cf.Flow(
        [cf.Autoregressive(transform=cf.DeepSigmoidal(*form))],
        features=3,
        context_features=2,
        dtype="float64",
        seed=0,
    )
    rng = np.random.default_rng(0)
    x, context = 3 * rng.normal(size=(200, 3)), rng.normal(size=(200, 2))
    u, log_det = flow.inverse(x, context)
    # Far out, the logarithm of the mean of exp(b) in every layer, b from -1 to 1.
    assert np.abs(u - x).max() <= np.log(np.cosh(1)) * form[1]
    assert np.abs(log_det).max() <= 0.5 * form[1]


@pytest.mark.parametrize("dense", [False, True])
def test_components_learn_different_things(dense: bool) -> None:
    """No two parameters of one kind have the same gradient at the start."""
    layers = cf.DeepSigmoidal(4, 3, dense)
    flow = cf.Flow([cf.Elementwise(layers)], features=1, dtype="float64", seed=0)
    x = np.random.default_rng(0).normal(size=(50, 1)) + 0.5
    gradient = flow.loss_and_grad(x)[1]["layers.0.conditioner.constant"]
    for first in range(0, 8, 4):  # scales, biases of the first layer
        assert len(set(gradient[first : first + 4].round(14))) == 4


@pytest.mark.parametrize("size", [0.5, 2.0, 20.0])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", [(4, 1, False), (3, 3, False), (4, 3, True)])
def test_inversion(form: tuple[int, int, bool], dtype: str, size: float) -> None:
    eps = np.finfo(dtype).eps
    flow, _ = flow_of(form, 10, dtype, size)
    rng = np.random.default_rng(2)
    u = np.concatenate([3 * rng.normal(size=(300, 10)), 300 * rng.normal(size=(50, 10))])
    u = u.astype(dtype)
    x, log_det = flow.forward(u)
    assert np.isfinite(x).all() and np.isfinite(log_det).all()
    back, log_det_back = flow.inverse(x)
    assert np.array_equal(log_det_back, -log_det)
    # One unit in the last place of x moves u by its slope; the numbers on the way by theirs.
    slope = np.abs(flow.inverse(x + eps * np.abs(x) + eps * eps)[0] - back)
    allowed = 40 * eps * (1 + np.abs(u) + 3 * size) * form[1] + 4 * slope
    if size > 10:
        allowed *= 1000  # steep layers magnify the rounding of those before
    assert np.all(np.abs(back - u) <= allowed)
