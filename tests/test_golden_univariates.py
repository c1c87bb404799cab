"""The reader of golden cases on descriptions that no case at hand has, written here by hand with
their values: masks of any order, of ties, of none; polynomials and mixtures in other layers."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy import special

import cflows as cf
from golden_reader import Case

Array = np.ndarray
RNG = np.random.default_rng(0)

AFFINE = {
    "kind": "affine",
    "raw_order": ["shift", "raw_scale"],
    "scale_map": "exp_softclip_1e-3",
    "x_to_u": "y = scale*x + shift",
}


def affine(x: Array, raw: Array) -> tuple[Array, Array]:
    shift, a = raw[..., 0], raw[..., 1]
    log_scale = a / (1 + np.abs(a / np.log(1e-3)))
    return np.exp(log_scale) * x + shift, log_scale


def description(layer: dict[str, Any], features: int, context: int) -> dict[str, Any]:
    return {
        "features": features,
        "context_features": context,
        "layers": [layer],
        "base": {"type": "standard_normal"},
    }


def masks_of(depends: Array, hidden: list[int], per_feature: int, context: int) -> list[Array]:
    """Masks of a network whose outputs depend on inputs as told, each unit on what some feature
    does; the last feature's own come first, so that units are in no order."""
    features = len(depends)
    rows = [row for row in depends[::-1] if context or row.any()]
    reads = [np.array([rows[i % len(rows)] for i in range(width)]) for width in hidden]
    masks = [np.hstack([reads[0], np.ones((hidden[0], context), bool)])]
    for before, after in pairwise(reads):
        masks.append(~(before[None] & ~after[:, None]).any(2))
    outputs = np.repeat(depends, per_feature, axis=0)
    masks.append(~(reads[-1][None] & ~outputs[:, None]).any(2))
    assert features * per_feature == len(masks[-1])
    return masks


def mlp_case(
    depends: Array,
    order: Any,
    hidden: list[int],
    context: int,
    univariate: dict[str, Any],
    raw: int,
) -> tuple[Case, Any]:
    """A masked network, whose stored weights are not 0 where the masks are, and the network."""
    features, arrays = len(depends), {}
    masks = masks_of(depends, hidden, raw, context)
    sizes = [features + context, *hidden, features * raw]
    for k, mask in enumerate(masks):
        arrays[f"layer0/linear{k}/weight"] = RNG.normal(size=mask.shape)
        arrays[f"layer0/linear{k}/bias"] = RNG.normal(size=len(mask)) * 0.3
        arrays[f"layer0/linear{k}/mask"] = mask.astype(np.int8)
    net = {"kind": "mlp", "prefix": "", "n_linear": len(masks), "sizes": sizes, "masked": True}
    layer = {
        "type": "autoregressive",
        "mode": "parallel",
        "order": order,
        "net": {**net, "activation": "tanh"},
        "use_context": context > 0,
        "raw_per_feature": raw,
        "univariate": univariate,
    }

    def network(x: Array, c: Array) -> Array:
        h = np.hstack([x, c])
        for k, mask in enumerate(masks):
            weight = arrays[f"layer0/linear{k}/weight"] * mask
            h = h @ weight.T + arrays[f"layer0/linear{k}/bias"]
            h = np.tanh(h) if k < len(masks) - 1 else h
        return h.reshape(len(x), features, raw)

    return Case(description(layer, features, context), arrays), network


def residual_case(depends: Array, order: Any, hidden: int, raw: int) -> tuple[Case, Any]:
    features, arrays = len(depends), {}
    first, middle, last = masks_of(depends, [hidden, hidden], raw, 0)
    masks = {
        "initial": first,
        "block0/linear0": middle,
        "block0/linear1": middle,
        "final": last,
    }
    for name, mask in masks.items():
        arrays[f"layer0/{name}/weight"] = RNG.normal(size=mask.shape) * 0.7
        arrays[f"layer0/{name}/bias"] = RNG.normal(size=len(mask)) * 0.3
        arrays[f"layer0/{name}/mask"] = mask.astype(np.int8)
    net = {"kind": "made", "prefix": "", "blocks": 1, "residual": True, "hidden": hidden}
    layer = {
        "type": "autoregressive",
        "mode": "sequential",
        "order": order,
        "net": {**net, "activation": "relu", "context_mode": "nflows"},
        "use_context": False,
        "raw_per_feature": raw,
        "univariate": AFFINE,
    }

    def linear(name: str, h: Array) -> Array:
        weight = arrays[f"layer0/{name}/weight"] * masks[name]
        return h @ weight.T + arrays[f"layer0/{name}/bias"]

    def network(x: Array, c: Array) -> Array:
        h = linear("initial", x)
        inner = linear("block0/linear0", np.maximum(h, 0))
        h = h + linear("block0/linear1", np.maximum(inner, 0))
        return linear("final", h).reshape(len(x), features, raw)

    return Case(description(layer, features, 0), arrays), network


def below(rank: list[int]) -> Array:
    """Feature j depends on k where rank[j] > rank[k]."""
    return np.array(rank)[:, None] > np.array(rank)


CHAIN = np.zeros((4, 4), bool)  # 2 -> 0 -> 3, and 1 by itself: no order's own masks
CHAIN[0, 2] = CHAIN[3, 0] = True

ORDERS = {
    "natural": (below([0, 1, 2, 3]), "given by the masks"),
    "another": (below([2, 0, 3, 1]), "given by the masks"),
    "listed": (below([2, 0, 3, 1]), [2, 0, 3, 1]),
    "ties": (below([0, 1, 0, 1]), "given by the masks"),
    "listed ties": (below([1, 0, 0, 1]), [1, 0, 0, 1]),
    "a chain": (CHAIN, "given by the masks"),
}


@pytest.mark.parametrize("context", [0, 2])
@pytest.mark.parametrize("name", ORDERS)
def test_masked_mlp(name: str, context: int) -> None:
    depends, order = ORDERS[name]
    case, network = mlp_case(depends, order, [13, 17], context, AFFINE, 2)
    flow, _ = case.build()
    x, c = RNG.normal(size=(20, 4)), RNG.normal(size=(20, context))
    u, log_slope = affine(x, network(x, c))
    given = c if context else None
    ours, log_det = flow.inverse(x, given)
    np.testing.assert_allclose(ours, u, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(log_det, log_slope.sum(1), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(flow.forward(u, given)[0], x, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ORDERS)
def test_masked_residual_network_that_reads_its_output(name: str) -> None:
    """u_j = univariate(x_j; net(u)): x of a given u follows in one pass."""
    depends, order = ORDERS[name]
    case, network = residual_case(depends, order, 16, 2)
    flow, _ = case.build()
    u = RNG.normal(size=(20, 4))
    raw = network(u, np.zeros((20, 0)))
    _, log_scale = affine(u, raw)
    x = (u - raw[..., 0]) * np.exp(-log_scale)
    ours, log_det = flow.inverse(x)
    np.testing.assert_allclose(ours, u, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(log_det, log_scale.sum(1), rtol=1e-9, atol=1e-9)


def test_masks_of_no_order() -> None:
    circle = np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]], bool)
    case, _ = mlp_case(circle, "given by the masks", [9], 0, AFFINE, 2)
    with pytest.raises(ValueError, match="not those of any order"):
        case.build()
    case, _ = mlp_case(below([0, 1, 2]), [2, 1, 0], [9], 0, AFFINE, 2)
    with pytest.raises(ValueError, match=r"not those of the order \[2, 1, 0\]"):
        case.build()


# ---- univariates ----


def sum_of_squares(x: Array, raw: Array) -> tuple[Array, Array]:
    """Two polynomials of degree 3, arguments divided by 4, slope 0.01."""
    a = raw[..., :8].reshape(*raw.shape[:-1], 2, 4)
    p = np.concatenate([1 + a[..., :1], a[..., 1:]], -1)
    j = np.arange(4)
    t = x[..., None] / 4
    density = (np.sum(p * t[..., None] ** j, -1) ** 2).mean(-1) + 0.01
    powers = j[:, None] + j
    terms = p[..., :, None] * p[..., None, :] * t[..., None, None] ** powers / (powers + 1)
    integral = x * (terms.sum((-1, -2)).mean(-1) + 0.01)
    return raw[..., -1] + integral, np.log(density)


def bernstein(theta: Array, x: Array, bound: float) -> tuple[Array, Array]:
    """With the tails of zuko: tangents at a millionth from the ends."""
    order, t = theta.shape[-1] - 1, (x + bound) / (2 * bound)
    inside = np.clip(t, 1e-6, 1 - 1e-6)[..., None]
    k, m = np.arange(order + 1), np.arange(order)
    basis = special.binom(order, k) * inside**k * (1 - inside) ** (order - k)
    lower = special.binom(order - 1, m) * inside**m * (1 - inside) ** (order - 1 - m)
    slope = (lower * order * np.diff(theta)).sum(-1)
    u = (basis * theta).sum(-1) + (t - inside[..., 0]) * slope
    return u, np.log(slope / (2 * bound))


def unbounded_bernstein(x: Array, raw: Array) -> tuple[Array, Array]:
    n = raw.shape[-1]
    increments = np.log1p(np.exp(raw[..., 1:]))
    increments = np.concatenate([increments[..., :1], increments, increments[..., -1:]], -1)
    first = raw[..., :1] - np.log(2) * n / 2
    return bernstein(np.cumsum(np.concatenate([first, increments], -1), -1), x, 3.0)


def gaussianization(x: Array, raw: Array) -> tuple[Array, Array]:
    b, a = raw[..., :3], raw[..., 3:]
    z = np.exp(a) * x[..., None] + b
    u = special.ndtri(0.5 + 0.5 * (1 - 1e-6) * special.erf(z / np.sqrt(2)).mean(-1))
    density = (np.exp(a) * np.exp(-(z**2) / 2)).mean(-1)
    return u, np.log(1 - 1e-6) + np.log(density) + u**2 / 2


UNIVARIATES: dict[str, tuple[dict[str, Any], Any, int]] = {
    "sum of squares": (
        {
            "kind": "sos",
            "polynomials": 2,
            "degree": 3,
            "slope": 0.01,
            "formula": "(the polynomial argument is divided by the bound 4, the integral is ...)",
        },
        sum_of_squares,
        9,
    ),
    "unbounded bernstein": (
        {"kind": "bernstein", "bound": 3.0, "raw_per_feature": 6, "formula": "softplus"},
        unbounded_bernstein,
        6,
    ),
    "gaussianization": ({"kind": "gaussianization", "components": 3}, gaussianization, 6),
}


def check(case: Case, formula: Any, raw: Any, features: int) -> None:
    flow, _ = case.build()
    context = case.context_features
    x, c = RNG.normal(size=(30, features)) * 1.5, RNG.normal(size=(30, context))
    u, log_det = formula(x, raw(x, c))
    given = c if context else None
    ours, found = flow.inverse(x, given)
    np.testing.assert_allclose(ours, u, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found, log_det.sum(1), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(flow.forward(ours, given)[0], x, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", UNIVARIATES)
def test_univariates_of_autoregressive_layers(name: str) -> None:
    univariate, formula, raw = UNIVARIATES[name]
    case, network = mlp_case(
        below([1, 2, 0]), "given by the masks", [10], 2, {"raw_order": "", **univariate}, raw
    )
    for key in case.arrays:
        if not key.endswith("mask"):
            case.arrays[key] *= 0.5
    check(case, formula, network, 3)


@pytest.mark.parametrize("name", UNIVARIATES)
def test_univariates_by_element(name: str) -> None:
    """Learned without a network, in several arrays, and as functions of the context."""
    univariate, formula, count = UNIVARIATES[name]
    first, rest = RNG.normal(size=(3, 2)) * 0.5, RNG.normal(size=(3, count - 2)) * 0.5
    arrays = {"layer0/first": first, "layer0/rest": rest}
    layer = {"type": "elementwise", "raw_arrays": ["first", "rest"], "univariate": univariate}
    constant = np.hstack([first, rest])
    case = Case(description(layer, 3, 0), arrays)
    check(case, formula, lambda x, c: np.broadcast_to(constant, (len(x), 3, count)), 3)

    arrays = {
        "layer0/net/linear0/weight": RNG.normal(size=(5, 2)),
        "layer0/net/linear0/bias": RNG.normal(size=5),
        "layer0/net/linear1/weight": RNG.normal(size=(3 * count, 5)) * 0.3,
        "layer0/net/linear1/bias": RNG.normal(size=3 * count) * 0.3,
    }
    sizes = [2, 5, 3 * count]
    net = {"kind": "mlp", "prefix": "net/", "n_linear": 2, "sizes": sizes, "activation": "relu"}
    layer = {
        "type": "elementwise",
        "net": net,
        "use_context": True,
        "raw_per_feature": count,
        "univariate": {"raw_order": "", **univariate},
    }

    def network(x: Array, c: Array) -> Array:
        weight = {key.removeprefix("layer0/net/"): array for key, array in arrays.items()}
        h = np.maximum(c @ weight["linear0/weight"].T + weight["linear0/bias"], 0)
        return (h @ weight["linear1/weight"].T + weight["linear1/bias"]).reshape(-1, 3, count)

    check(Case(description(layer, 3, 2), arrays), formula, network, 3)


@pytest.mark.parametrize("name", UNIVARIATES)
def test_univariates_of_couplings(name: str) -> None:
    univariate, formula, count = UNIVARIATES[name]
    arrays = {
        "layer0/linear0/weight": RNG.normal(size=(6, 2)),
        "layer0/linear0/bias": RNG.normal(size=6),
        "layer0/linear1/weight": RNG.normal(size=(2 * count, 6)) * 0.3,
        "layer0/linear1/bias": RNG.normal(size=2 * count) * 0.3,
    }
    sizes = [2, 6, 2 * count]
    net = {"kind": "mlp", "prefix": "", "n_linear": 2, "sizes": sizes, "activation": "relu"}
    layer = {
        "type": "coupling",
        "conditioning": [2, 0],
        "transformed": [1, 3],
        "net": net,
        "use_context": False,
        "raw_per_feature": count,
        "raw_layout": "feature_major",
        "univariate": {"raw_order": "", **univariate},
    }
    flow, _ = Case(description(layer, 4, 0), arrays).build()
    x = RNG.normal(size=(30, 4)) * 1.5
    h = x[:, [2, 0]] @ arrays["layer0/linear0/weight"].T + arrays["layer0/linear0/bias"]
    raw = np.maximum(h, 0) @ arrays["layer0/linear1/weight"].T + arrays["layer0/linear1/bias"]
    moved, log_det = formula(x[:, [1, 3]], raw.reshape(30, 2, count))
    u, found = flow.inverse(x)
    np.testing.assert_allclose(u[:, [1, 3]], moved, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(u[:, [0, 2]], x[:, [0, 2]])
    np.testing.assert_allclose(found, log_det.sum(1), rtol=1e-9, atol=1e-9)


def test_softclip() -> None:
    case = Case(description({"type": "softclip", "bound": 11.0}, 2, 0), {})
    flow, _ = case.build()
    x = RNG.normal(size=(20, 2)) * 10
    u, log_det = flow.inverse(x)
    np.testing.assert_allclose(u, x / (1 + np.abs(x) / 11), rtol=1e-14)
    np.testing.assert_allclose(log_det, -2 * np.log1p(np.abs(x) / 11).sum(1), rtol=1e-13)
    assert isinstance(flow, cf.Flow)
