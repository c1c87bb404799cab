"""The reader of golden cases on descriptions that no case at hand has, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from golden_reader import Case

RNG = np.random.default_rng(0)


def case_of(layers: list[dict[str, Any]], features: int, arrays: dict[str, Any]) -> Case:
    meta = {
        "layers": layers,
        "features": features,
        "context_features": 0,
        "event_shape": [features],
        "base": {"type": "standard_normal"},
    }
    return Case(meta, {name: np.asarray(array, float) for name, array in arrays.items()})


def check(case: Case, to_base: Any, at: np.ndarray, inverted: bool = False) -> None:
    """x -> u by `to_base`, a function of rows, or by its inverse; both directions of the flow."""
    flow, _ = case.build()
    there, back = (flow.forward, flow.inverse) if inverted else (flow.inverse, flow.forward)
    out, log_det = there(at)
    np.testing.assert_allclose(out, to_base(at), rtol=1e-12, atol=1e-12)
    steps = np.eye(at.shape[1]) * 1e-6
    columns = [(to_base(at + step) - to_base(at - step)) / 2e-6 for step in steps]
    slogdet = np.linalg.slogdet(np.stack(columns, axis=-1))[1]
    np.testing.assert_allclose(log_det, slogdet, rtol=0, atol=1e-7)
    np.testing.assert_allclose(back(out)[0], at, rtol=1e-9, atol=1e-9)


def planar(z: np.ndarray, w: np.ndarray, u: np.ndarray, b: float, h: Any) -> np.ndarray:
    u_hat = u + (np.log1p(np.exp(w @ u)) - 1 - w @ u) * w / (w @ w)
    return z + u_hat * h(z @ w + b)[:, None]


DIRECTIONS = {"f": False, "inverse of f": True}


@pytest.mark.parametrize("x_to_u", DIRECTIONS)
@pytest.mark.parametrize("h", ["tanh", "leaky_relu:0.2", "leaky_relu:0.01"])
def test_planar(h: str, x_to_u: str) -> None:
    w, u, b = RNG.normal(size=(1, 3)), RNG.normal(size=(1, 3)), RNG.normal(size=1)
    arrays = {"layer0/w": w, "layer0/u": u, "layer0/b": b}
    slope = float(h.partition(":")[2] or 1)

    def activation(s: np.ndarray) -> np.ndarray:
        return np.tanh(s) if h == "tanh" else np.where(s > 0, s, slope * s)

    check(
        case_of([{"type": "planar", "h": h, "x_to_u": x_to_u}], 3, arrays),
        lambda z: planar(z, w[0], u[0], b[0], activation),
        2 * RNG.normal(size=(30, 3)),
        DIRECTIONS[x_to_u],
    )


@pytest.mark.parametrize("x_to_u", DIRECTIONS)
def test_radial(x_to_u: str) -> None:
    centre, alpha, beta = RNG.normal(size=(1, 4)), np.array([-0.7]), np.array([1.3])

    def f(z: np.ndarray) -> np.ndarray:
        a = abs(alpha[0])
        b = np.log1p(np.exp(beta[0])) - a
        r = np.linalg.norm(z - centre, axis=1, keepdims=True)
        return z + b / (a + r) * (z - centre)

    check(
        case_of(
            [{"type": "radial", "x_to_u": x_to_u}],
            4,
            {"layer0/z_0": centre, "layer0/alpha": alpha, "layer0/beta": beta},
        ),
        f,
        2 * RNG.normal(size=(30, 4)),
        DIRECTIONS[x_to_u],
    )


@pytest.mark.parametrize("x_to_u", DIRECTIONS)
@pytest.mark.parametrize(("columns", "reflections"), [(1, 1), (2, 4), (4, 2), (4, 4)])
def test_sylvester(columns: int, reflections: int, x_to_u: str) -> None:
    m = columns
    arrays = {
        "q_vectors": RNG.normal(size=(reflections, 4)),
        "R": RNG.normal(size=(m, m)),
        "Rt": RNG.normal(size=(m, m)),
        "diag1": RNG.normal(size=m),
        "diag2": RNG.normal(size=m),
        "b": RNG.normal(size=m),
    }
    rows = np.eye(4)
    for q in arrays["q_vectors"]:
        rows = rows - 2 * np.outer(rows @ q, q) / (q @ q)
    frame = rows[:m].T
    first, second = (
        np.triu(arrays[name], 1) + np.diag(np.tanh(arrays[diagonal]))
        for name, diagonal in (("R", "diag1"), ("Rt", "diag2"))
    )
    check(
        case_of(
            [{"type": "sylvester", "x_to_u": x_to_u}],
            4,
            {f"layer0/{name}": array for name, array in arrays.items()},
        ),
        lambda z: z + np.tanh(z @ frame @ second.T + arrays["b"]) @ first.T @ frame.T,
        2 * RNG.normal(size=(30, 4)),
        DIRECTIONS[x_to_u],
    )


def spline(x: np.ndarray, raw: np.ndarray, form: dict[str, Any]) -> np.ndarray:
    """The rational-quadratic spline of the cases' glossary, one feature, parameters a row."""
    bins, bound = form["bins"], form["bound"]
    circular = form["tails"] == "circular"

    def ends(numbers: np.ndarray, least: float) -> np.ndarray:
        e = np.exp(numbers * form["width_height_prescale"])
        sizes = least + (1 - bins * least) * e / e.sum(axis=1, keepdims=True)
        inner = -bound + 2 * bound * np.cumsum(sizes, axis=1)[:, :-1]
        return np.hstack([np.full((len(x), 1), -bound), inner, np.full((len(x), 1), bound)])

    xs, ys = (ends(raw[:, i * bins : (i + 1) * bins], form["min_width"]) for i in range(2))
    slopes = form["min_derivative"] + np.log1p(np.exp(raw[:, 2 * bins :]))
    one = np.ones((len(x), 1))
    slopes = np.hstack([slopes, slopes[:, :1]] if circular else [one, slopes, one])
    k = np.clip((x[:, None] >= xs).sum(axis=1) - 1, 0, bins - 1)
    row = np.arange(len(x))
    x0, y0, d0, d1 = xs[row, k], ys[row, k], slopes[row, k], slopes[row, k + 1]
    width, height = xs[row, k + 1] - x0, ys[row, k + 1] - y0
    z, s = (x - x0) / width, height / width
    q = s + (d0 + d1 - 2 * s) * z * (1 - z)
    inside = y0 + height * (s * z**2 + d0 * z * (1 - z)) / q
    return np.where(np.abs(x) <= bound, inside, x)


def mlp(x: np.ndarray, arrays: dict[str, np.ndarray], prefix: str) -> np.ndarray:
    hidden = np.maximum(
        x @ arrays[f"{prefix}linear0/weight"].T + arrays[f"{prefix}linear0/bias"], 0
    )
    return hidden @ arrays[f"{prefix}linear1/weight"].T + arrays[f"{prefix}linear1/bias"]


def network(prefix: str, inputs: int, outputs: int) -> tuple[dict[str, Any], dict[str, Any]]:
    net = {
        "kind": "mlp",
        "prefix": prefix,
        "n_linear": 2,
        "sizes": [inputs, 6, outputs],
        "activation": "relu",
    }
    arrays = {}
    for k, (rows, columns) in enumerate(((6, inputs), (outputs, 6))):
        arrays[f"{prefix}linear{k}/weight"] = 0.4 * RNG.normal(size=(rows, columns))
        arrays[f"{prefix}linear{k}/bias"] = 0.4 * RNG.normal(size=rows)
    return net, arrays


@pytest.mark.parametrize("raw_layout", ["feature_major", "param_major"])
@pytest.mark.parametrize("tails", ["linear", "circular", ["circular", "linear", "circular"]])
def test_coupling_with_an_unconditional_spline(tails: str | list[str], raw_layout: str) -> None:
    """The conditioning features in no order of theirs, and networks that read them before."""
    form = {
        "kind": "rqs",
        "param": "durkan",
        "bins": 4,
        "bound": 2.5,
        "tails": tails,
        "min_width": 1e-3,
        "min_height": 1e-3,
        "min_derivative": 1e-3,
        "width_height_prescale": 0.5,
        "raw_order": "K widths, K heights, then derivatives",
    }
    own = {**form, "width_height_prescale": 1.0, "tails": "linear"}
    each = 13 if isinstance(tails, list) else 12 - (tails == "linear")
    conditioning, transformed = [3, 0], [4, 1, 2]
    net, arrays = network("", 2, each * 3)
    names = {"widths": 4, "heights": 4, "derivatives": 3}
    for name, count in names.items():
        arrays[f"uncond/{name}"] = RNG.normal(size=(2, count))
    layer = {
        "type": "coupling",
        "conditioning": conditioning,
        "transformed": transformed,
        "net": net,
        "use_context": False,
        "raw_per_feature": each,
        "raw_layout": raw_layout,
        "univariate": form,
        "unconditional": {"raw_arrays": [f"uncond/{name}" for name in names], "univariate": own},
    }

    def to_base(x: np.ndarray) -> np.ndarray:
        y, raw = x.copy(), mlp(x[:, conditioning], arrays, "")
        for j, feature in enumerate(transformed):
            own_raw = (
                raw[:, j * each :][:, :each] if raw_layout == "feature_major" else raw[:, j::3]
            )
            own_form = form
            if isinstance(tails, list):
                own_form = {**form, "tails": tails[j]}
                own_raw = np.delete(own_raw, [8, 12] if tails[j] == "linear" else [12], axis=1)
            y[:, feature] = spline(x[:, feature], own_raw, own_form)
        learned = np.hstack([arrays[f"uncond/{name}"] for name in names])
        for j, feature in enumerate(conditioning):
            y[:, feature] = spline(x[:, feature], np.repeat(learned[j : j + 1], len(x), 0), own)
        return y

    x = RNG.uniform(-2.4, 2.4, size=(200, 5))
    check(case_of([layer], 5, {f"layer0/{name}": a for name, a in arrays.items()}), to_base, x)


def test_two_sided_coupling() -> None:
    """The second half by the first, then the first by what has become of the second."""
    sides, arrays = [], {}
    for prefix, conditioning, transformed in (("a/", [0, 1], [2, 3, 4]), ("b/", [2, 3, 4], [0, 1])):
        net, more = network(prefix, len(conditioning), 2 * len(transformed))
        arrays |= more
        sides.append({
            "conditioning": conditioning,
            "transformed": transformed,
            "net": net,
            "use_context": False,
            "raw_per_feature": 2,
            "raw_layout": "param_major",
            "univariate": {
                "kind": "affine",
                "scale_map": "exp_tanh:2.0",
                "x_to_u": "y = scale*x + shift",
                "raw_order": ["raw_scale", "shift"],
            },
        })  # fmt: skip

    def to_base(x: np.ndarray) -> np.ndarray:
        y = x.copy()
        for side in sides:
            raw = mlp(y[:, side["conditioning"]], arrays, side["net"]["prefix"])
            scale, shift = np.split(raw, 2, axis=1)
            scale = np.exp(2.0 * np.tanh(scale / 2.0))
            y[:, side["transformed"]] = y[:, side["transformed"]] * scale + shift
        return y

    case = case_of(
        [{"type": "two_sided_coupling", "sides": sides}],
        5,
        {f"layer0/{name}": array for name, array in arrays.items()},
    )
    check(case, to_base, RNG.normal(size=(50, 5)))


def test_latents_that_are_listed_from_the_last() -> None:
    """The numbers of a case of three parts, whose latents were listed the other way round."""
    layers = [{"type": kind} for kind in ("squeeze", "split", "squeeze", "split", "squeeze")]
    meta = {"layers": layers, "features": 16, "context_features": 0}
    first = Case({**meta, "latent_order": "first_factored_first"}, {}).latents()
    last = Case({**meta, "latent_order": "last_first"}, {}).latents()
    np.testing.assert_array_equal(first, np.arange(16))
    np.testing.assert_array_equal(last, [*range(12, 16), *range(8, 12), *range(8)])
