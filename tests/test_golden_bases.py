"""The reader of golden cases on bases that no case at hand has, against NumPy and SciPy; and what
it says to descriptions that it does not understand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

import cflows as cf
from golden_reader import Case

Arrays = dict[str, np.ndarray]
FEATURES, COUNT, TRIANGLE = 3, 2, 3
X = np.random.default_rng(0).normal(size=(6, FEATURES))


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape) + 7).normal(size=shape)


def case_of(base: dict[str, Any], arrays: Arrays, context: int = 0, **meta: Any) -> Case:
    described = {"features": FEATURES, "context_features": context, "layers": [], "base": base}
    return Case({**described, **meta}, {f"base/{name}": a for name, a in arrays.items()})


def triangles(diagonal: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Of log diagonals already made positive, and rows below."""
    factor = np.zeros((*diagonal.shape, FEATURES))
    factor[..., range(FEATURES), range(FEATURES)] = diagonal
    factor[(..., *np.tril_indices(FEATURES, -1))] = below
    return factor


def mixture(logits: Any, loc: Any, factor: np.ndarray, x: np.ndarray) -> np.ndarray:
    logits, loc = np.reshape(logits, -1), np.reshape(loc, (-1, FEATURES))
    factor = np.broadcast_to(np.reshape(factor, (-1, FEATURES, FEATURES)), (len(loc), 3, 3))
    terms = [
        weight + stats.multivariate_normal(mean, a @ a.T).logpdf(x)
        for weight, mean, a in zip(special.log_softmax(logits), loc, factor, strict=True)
    ]
    return np.asarray(special.logsumexp(np.reshape(terms, (len(loc), len(x))), axis=0))


def rows(diagonal: str, below: str, leading: int, least: float = 0.0) -> Any:
    """A mixture with logarithms of diagonals, and rows below them."""
    arrays = {
        "logits": normal(1, COUNT),
        "loc": normal(1, COUNT, FEATURES),
        diagonal: 0.5 * normal(leading, FEATURES),
        below: normal(leading, TRIANGLE),
    }

    def log_prob(a: Arrays, x: np.ndarray) -> np.ndarray:
        factor = triangles(np.exp(a[diagonal]) + least, a[below])
        return mixture(a["logits"], a["loc"], factor, x)

    return arrays, log_prob


def whole(leading: int) -> Any:
    arrays = {
        "logits": normal(COUNT),
        "loc": normal(COUNT, FEATURES),
        "scale_tril": triangles(np.exp(normal(leading, FEATURES)), normal(leading, TRIANGLE)),
    }
    return arrays, lambda a, x: mixture(a["logits"], a["loc"], np.tril(a["scale_tril"]), x)


def diagonal_mixture(a: Arrays, x: np.ndarray) -> np.ndarray:
    factor = triangles(np.exp(a["log_scale"][0]), np.zeros((COUNT, TRIANGLE)))
    return mixture(a["logits"], a["loc"], factor, x)


DIAGONAL = {
    "logits": normal(1, COUNT),
    "loc": normal(1, COUNT, FEATURES),
    "log_scale": 0.5 * normal(1, COUNT, FEATURES),
}
LEARNED = {"loc": normal(1, FEATURES), "log_scale": 0.5 * normal(1, FEATURES)}

BASES: dict[str, tuple[dict[str, Any], Any]] = {
    "diagonal normal": (
        {"type": "diag_normal"},
        (
            LEARNED,
            lambda a, x: stats.norm(a["loc"], np.exp(a["log_scale"])).logpdf(x).sum(1),
        ),
    ),
    "mixture": ({"type": "gaussian_mixture_diag"}, (DIAGONAL, diagonal_mixture)),
    "rows below": ({"type": "gaussian_mixture_tril"}, rows("log_diag", "tril", COUNT)),
    "a margin in the formula": (
        {
            "type": "gaussian_mixture_full",
            "formula": "log sum_k softmax(logits)_k N(u; loc_k, L_k L_k^T), L_k with "
            "exp(diag) + 1e-2 on its diagonal and tril below, row by row",
        },
        rows("diag", "tril", COUNT, 1e-2),
    ),
    "a margin": (
        {"type": "gaussian_mixture_full", "eps": 0.3},
        rows("log_scale", "lower", COUNT, 0.3),
    ),
    "tied": ({"type": "gaussian_mixture_tril"}, rows("log_diag", "tril", 1)),
    "whole triangles": ({"type": "gaussian_mixture_triangular"}, whole(COUNT)),
    "one whole triangle": ({"type": "gaussian_mixture_tril"}, whole(1)),
}


@pytest.mark.parametrize("name", BASES)
def test_bases(name: str) -> None:
    """Densities, and gradients carried to the arrays against differences of the formula."""
    base, (arrays, log_prob) = BASES[name]
    case = case_of(base, arrays)
    flow, sources = case.build()
    np.testing.assert_allclose(flow.log_prob(X), log_prob(arrays, X), rtol=1e-11)
    case.arrays.update({f"grad/base/{key}": differences(log_prob, arrays, key) for key in arrays})
    _, gradients = flow.loss_and_grad(X)
    assert sorted(gradients) == sorted(sources)
    for parameter, source in sources.items():
        for ours, theirs in source.gradients(gradients[parameter], case.arrays):
            np.testing.assert_allclose(ours.ravel(), theirs.ravel(), rtol=1e-6, atol=1e-8)


def differences(
    log_prob: Callable[[Arrays, np.ndarray], np.ndarray], arrays: Arrays, key: str
) -> np.ndarray:
    """Of the loss, the mean of -log_prob, by every number of an array."""
    out = np.zeros(arrays[key].shape)
    for i in np.ndindex(out.shape):
        losses = []
        for step in (1e-5, -1e-5):
            moved = arrays[key].copy()
            moved[i] += step
            losses.append(-log_prob({**arrays, key: moved}, X).mean())
        out[i] = (losses[0] - losses[1]) / 2e-5
    return out


def test_boxes() -> None:
    case = case_of({"type": "box_uniform", "lower": -2.0, "upper": 5.0}, {})
    flow, _ = case.build()
    inside = (np.abs(X - 1.5) < 3.5).all(1)
    np.testing.assert_allclose(flow.log_prob(X)[inside], -3 * np.log(7.0), rtol=1e-14)


NET = {"kind": "mlp", "prefix": "net/", "n_linear": 2, "activation": "relu", "masked": False}


def network(outputs: int) -> Arrays:
    return {
        "net/linear0/weight": normal(8, 2),
        "net/linear0/bias": normal(8),
        "net/linear1/weight": 0.15 * normal(outputs, 8),
        "net/linear1/bias": 0.4 * normal(outputs),
    }


def raw_of(arrays: Arrays, context: np.ndarray) -> np.ndarray:
    hidden = context @ arrays["net/linear0/weight"].T + arrays["net/linear0/bias"]
    raw = np.maximum(hidden, 0) @ arrays["net/linear1/weight"].T + arrays["net/linear1/bias"]
    return np.asarray(raw)


def test_a_mixture_whose_factors_depend_on_the_context() -> None:
    """Outputs are logits, locs, logarithms of diagonals, and rows below."""
    outputs = COUNT * (1 + 2 * FEATURES + TRIANGLE)
    arrays = network(outputs)
    base = {
        "type": "gaussian_mixture_tril",
        "eps": 1e-5,
        "components": COUNT,
        "net": {**NET, "sizes": [2, 8, outputs]},
    }
    context = normal(len(X), 2)
    flow, _ = case_of(base, arrays, context=2).build()
    expected = []
    for x, raw in zip(X, raw_of(arrays, context), strict=True):
        logits, loc, diagonal, below = np.split(raw, np.cumsum([COUNT, COUNT * 3, COUNT * 3]))
        diagonal, below = diagonal.reshape(COUNT, 3), below.reshape(COUNT, TRIANGLE)
        factor = triangles(np.exp(diagonal) + 1e-5, below)
        expected.append(mixture(logits, loc, factor, x[None])[0])
    np.testing.assert_allclose(flow.log_prob(X, context), expected, rtol=1e-10)


def test_a_normal_that_depends_on_the_context() -> None:
    arrays, context = network(2 * FEATURES), normal(len(X), 2)
    base = {"type": "diag_normal", "net": {**NET, "sizes": [2, 8, 2 * FEATURES]}}
    flow, _ = case_of(base, arrays, context=2).build()
    loc, log_scale = np.split(raw_of(arrays, context), 2, axis=1)
    expected = stats.norm(loc, np.exp(log_scale)).logpdf(X).sum(1)
    np.testing.assert_allclose(flow.log_prob(X, context), expected, rtol=1e-11)


STANDARD = {"type": "standard_normal"}
PLANAR = {"layer0/w": normal(1, 3), "layer0/u": normal(1, 3), "layer0/b": normal(1)}


def planar_case(**more: Any) -> Case:
    layer = {"type": "planar", "h": "tanh", "x_to_u": "f", **more}
    case = case_of(STANDARD, {}, layers=[layer])
    case.arrays.update(PLANAR)
    return case


REFUSED: dict[str, tuple[Callable[[], Case], str]] = {
    "a key of the case": (lambda: case_of(STANDARD, {}, colour=1), "nothing reads colour"),
    "a key of the base": (
        lambda: case_of({**STANDARD, "scale": 2.0}, {}),
        r"nothing reads base\.scale",
    ),
    "a base": (lambda: case_of({"type": "vmf"}, {}), "base has the unknown type vmf"),
    "an array of the base": (
        lambda: case_of(STANDARD, {"loc": np.ones(3)}),
        "nothing reads base/loc",
    ),
    "a key of a layer": (
        lambda: planar_case(temperature=2.0),
        r"nothing reads layers\[0\]\.temperature",
    ),
    "a layer": (lambda: planar_case(type="wavelet"), r"layers\[0\] has the unknown type wavelet"),
    "an order of latents": (
        lambda: case_of(STANDARD, {}, latent_order="random"),
        "latent_order must be 'first_factored_first' or 'last_first', got 'random'",
    ),
    "two diagonals": (
        lambda: case_of(
            {"type": "gaussian_mixture_tril"},
            {**rows("diag", "tril", COUNT)[0], "log_diag": np.ones((COUNT, FEATURES))},
        ),
        "the base has log_diag and diag",
    ),
    "no triangle": (
        lambda: case_of({"type": "gaussian_mixture_tril"}, DIAGONAL),
        "the base has no triangular factor",
    ),
    "another network": (
        lambda: case_of(
            {"type": "diag_normal", "net": {**NET, "sizes": [2, 8, 6], "dropout": 0.5}},
            network(6),
            context=2,
        ),
        r"nothing reads base\.net\.dropout",
    ),
    "a masked network": (
        lambda: case_of(
            {"type": "diag_normal", "net": {**NET, "sizes": [2, 8, 6], "masked": True}},
            network(6),
            context=2,
        ),
        "masked must be False, got True",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_understood_is_refused(name: str) -> None:
    make, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        make().build()


def test_a_case_that_is_understood_is_not() -> None:
    flow, _ = planar_case(note="of no importance", formula="f(u)").build()
    assert isinstance(flow, cf.Flow)
