"""Builds a flow from a golden case with public constructors and ``flow.parameters``.

A builder a layer type turns the description into a spec and says which array fills which parameter.
Weights are copied with their rows and columns re-ordered, and that is all.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import cflows as cf


class Copied:
    """A parameter that holds numbers of theirs as they are, so that gradients are the same too."""

    def read(self, arrays: dict[str, np.ndarray], prefix: str = "") -> np.ndarray:
        raise NotImplementedError

    def gradients(
        self, ours: np.ndarray, arrays: dict[str, np.ndarray]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Pairs that are equal: ours, carried on to what theirs differentiates, and theirs."""
        return [(ours, self.read(arrays, "grad/").reshape(ours.shape))]


@dataclass(frozen=True)
class Source(Copied):
    """Which part of which golden array a parameter is."""

    key: str
    rows: np.ndarray | None = None  # None: all, in their order
    columns: np.ndarray | None = None

    def read(self, arrays: dict[str, np.ndarray], prefix: str = "") -> np.ndarray:
        array = arrays[prefix + self.key]
        array = array if self.rows is None else array[self.rows]
        return array if self.columns is None else array[:, self.columns]

    def unread(self, arrays: dict[str, np.ndarray], prefix: str = "") -> np.ndarray:
        """The numbers of the array that are not copied."""
        array = arrays[prefix + self.key]
        used = np.zeros(array.shape, bool)
        rows = slice(None) if self.rows is None else self.rows
        if self.columns is None:
            used[rows] = True
        else:
            column = np.isin(np.arange(array.shape[1]), self.columns)
            used[rows] = column.reshape(-1, *(1,) * (array.ndim - 2))
        return array[~used]


@dataclass(frozen=True)
class Places(Copied):
    """Where the numbers of some golden arrays lie in a parameter, which is 0 elsewhere."""

    size: int
    places: dict[str, np.ndarray]  # by key: the place of each number of the array

    def read(self, arrays: dict[str, np.ndarray], prefix: str = "") -> np.ndarray:
        out = np.zeros(self.size)
        for key, places in self.places.items():
            inside = places.ravel() < self.size
            out[places.ravel()[inside]] = arrays[prefix + key].ravel()[inside]
        return out

    def unread(self, arrays: dict[str, np.ndarray], prefix: str = "") -> np.ndarray:
        return np.concatenate(
            [
                arrays[prefix + key].ravel()[places.ravel() >= self.size]
                for key, places in self.places.items()
            ]
        )


@dataclass(frozen=True)
class Part(Places):
    """As `Places`, of arrays whose other numbers are in other parameters."""

    def unread(self, arrays: dict[str, np.ndarray], prefix: str = "") -> np.ndarray:
        return np.zeros(0)


@dataclass(frozen=True)
class Sum(Copied):
    """The sum of arrays: theirs are several terms where ours is one."""

    terms: tuple[Places, ...]

    def read(self, arrays: dict[str, np.ndarray], prefix: str = "") -> np.ndarray:
        parts = [term.read(arrays, prefix) for term in self.terms]
        if prefix:  # each has the gradient of the sum
            for part in parts[1:]:
                np.testing.assert_allclose(part, parts[0], rtol=1e-9, atol=1e-12)
            return parts[0]
        return sum(parts[1:], parts[0])

    def unread(self, arrays: dict[str, np.ndarray], prefix: str = "") -> np.ndarray:
        return np.zeros(0)


@dataclass(frozen=True)
class Periodic:
    """A first weight that reads cosine and sine of each feature, where theirs reads one mixture of
    the two: ours[:, (2 j, 2 j + 1)] = weight[:, j] mixture[j, (1, 0)]."""

    weight: Places  # [rows, features]
    features: int
    mixture: str  # key of [features, (sine, cosine)]

    def _parts(self, arrays: dict[str, np.ndarray], prefix: str) -> tuple[np.ndarray, np.ndarray]:
        weight = self.weight.read(arrays, prefix).reshape(-1, self.features)
        return weight, arrays[prefix + self.mixture][: self.features, ::-1]

    def read(self, arrays: dict[str, np.ndarray], prefix: str = "") -> np.ndarray:
        weight, mixture = self._parts(arrays, prefix)
        return weight[:, :, None] * mixture

    def gradients(
        self, ours: np.ndarray, arrays: dict[str, np.ndarray]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """As `Copied.gradients`: on to their weight and mixture, by the product rule."""
        weight, mixture = self._parts(arrays, "")
        ours = ours.reshape(-1, self.features, 2)
        carried = (ours * mixture).sum(axis=2), (ours * weight[:, :, None]).sum(axis=0)
        return list(zip(carried, self._parts(arrays, "grad/"), strict=True))

    def unread(self, arrays: dict[str, np.ndarray], prefix: str = "") -> np.ndarray:
        return arrays[prefix + self.mixture][self.features :].ravel()


@dataclass(frozen=True)
class LogDiagonal:
    """Logarithms of the magnitudes of a matrix's diagonal."""

    key: str

    def read(self, arrays: dict[str, np.ndarray], prefix: str = "") -> np.ndarray:
        return np.log(np.abs(np.diag(arrays[prefix + self.key])))

    def gradients(
        self, ours: np.ndarray, arrays: dict[str, np.ndarray]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """As `Copied.gradients`: d log|a| = da / a."""
        return [(ours / np.diag(arrays[self.key]), np.diag(arrays["grad/" + self.key]))]

    def unread(self, arrays: dict[str, np.ndarray], prefix: str = "") -> np.ndarray:
        return np.zeros(0)


Sources = dict[
    str, "Source | Places | Sum | Periodic | LogDiagonal"
]  # by parameter name within the layer

SCALES: dict[str, dict[str, Any]] = {
    "exp": {"form": "exp"},
    "exp_softclip_1e-3": {"form": "softclip", "bound": -np.log(1e-3)},
    "sigmoid_plus2": {"form": "sigmoid", "offset": 2.0},
    "sigmoid_plus2_eps": {"form": "sigmoid", "offset": 2.0, "minimum": 1e-3},
    "softplus_eps": {"form": "softplus", "minimum": 1e-3},
    "softplus_eps_clamp3": {"form": "softplus", "minimum": 1e-3, "maximum": 3.0},
}


TAILS = {"linear": "linear", "circular": "circular", "none": "free"}


def scale_of(univariate: dict[str, Any], **options: Any) -> cf.Scale:
    name = univariate["scale_map"]
    if name.startswith("exp_tanh:"):
        return cf.Scale("tanh", bound=float(name.split(":")[1]), **options)
    return cf.Scale(**SCALES[name], **options)


def spline(univariate: dict[str, Any]) -> cf.Spline:
    bound = univariate["bound"]
    if univariate["param"] == "zuko":
        return cf.Spline(
            univariate["bins"], bound, form="softclip", minimum_slope=univariate["slope"]
        )
    if univariate["min_width"] != univariate["min_height"]:
        raise ValueError("no spline has two least bins")
    return cf.Spline(
        univariate["bins"],
        tails=TAILS[univariate["tails"] if isinstance(univariate["tails"], str) else "circular"],
        minimum_bin=univariate["min_width"],
        minimum_slope=univariate["min_derivative"],
        factor=univariate["width_height_prescale"],
        **({"box": [0.0, bound]} if univariate["tails"] == "none" else {"bound": bound}),
    )


def transform_of(univariate: dict[str, Any]) -> cf.Transform:
    """What is applied to a feature, as theirs goes from x to u."""
    if univariate["kind"] == "affine":
        return cf.AffineTransform(scale_of(univariate))
    if univariate["kind"] == "circular_shift_rqs":
        bound = univariate["bound"]
        return cf.ShiftedTransform(spline(univariate), bound, -bound, bound)
    return spline(univariate)


def dense(
    ours: str, theirs: str, rows: np.ndarray | None = None, columns: np.ndarray | None = None
) -> Sources:
    return {
        f"{ours}.weight": Source(f"{theirs}/weight", rows, columns),
        f"{ours}.bias": Source(f"{theirs}/bias", rows),
    }


def mlp(net: dict[str, Any], name: str, at: str, rows: Any, columns: Any) -> tuple[Any, Sources]:
    sizes = net["sizes"]
    spec = cf.MLP(
        hidden=tuple(sizes[1:-1]),
        activation=net["activation"],
        output_activation=net.get("output_activation") or "identity",
        output_multiplier=net.get("output_multiplier") or 1.0,
    )
    sources: Sources = {}
    last = net["n_linear"] - 1
    for k in range(net["n_linear"]):
        sources |= dense(
            f"{name}.linear{k}",
            f"{at}/{net['prefix']}linear{k}",
            rows if k == last else None,
            columns if k == 0 else None,
        )
    return spec, sources


def residual_net(
    net: dict[str, Any], name: str, at: str, rows: Any, columns: Any
) -> tuple[Any, Sources]:
    spec = cf.ResidualNet(net["hidden"], blocks=net["blocks"], activation=net["activation"])
    theirs = f"{at}/{net['prefix']}"
    sources = dense(f"{name}.initial", f"{theirs}initial", columns=columns)
    for k in range(net["blocks"]):
        block = f"{theirs}block{k}"
        sources |= dense(f"{name}.block{k}.linear0", f"{block}/linear0")
        sources |= dense(f"{name}.block{k}.linear1", f"{block}/linear1")
        sources |= dense(f"{name}.block{k}.context", f"{block}/context")
    return spec, sources | dense(f"{name}.final", f"{theirs}final", rows)


def conv_net(
    net: dict[str, Any], name: str, at: str, rows: Any, columns: Any
) -> tuple[Any, Sources]:
    last = net["n_conv"] - 1
    spec = cf.ConvNet(net["channels"][1:-1], net["kernels"], activation=net["activation"])
    sources: Sources = {}
    for k in range(last + 1):
        theirs = f"{at}/{net['prefix']}conv{k}"
        sources |= dense(f"{name}.conv{k}", theirs, rows if k == last else None)
    return spec, sources


def conv_residual_net(
    net: dict[str, Any], name: str, at: str, rows: Any, columns: Any
) -> tuple[Any, Sources]:
    spec = cf.ConvResidualNet(net["hidden"], blocks=net["blocks"], activation=net["activation"])
    theirs = f"{at}/{net['prefix']}"
    sources = dense(f"{name}.initial", f"{theirs}initial", columns=columns)
    for k in range(net["blocks"]):
        for conv in ("conv0", "conv1"):
            sources |= dense(f"{name}.block{k}.{conv}", f"{theirs}block{k}/{conv}")
    return spec, sources | dense(f"{name}.final", f"{theirs}final", rows)


NETS = {"mlp": mlp, "residual_net": residual_net, "conv_residual_net": conv_residual_net}


def input_columns(layer: dict[str, Any], context_features: int) -> np.ndarray:
    """Their inputs (listed features, then context) in our order (ascending, then context)."""
    count = len(layer["conditioning"])
    context = np.arange(count, count + (context_features if layer["use_context"] else 0))
    return np.concatenate([np.argsort(layer["conditioning"]), context]).astype(int)


def output_rows(layer: dict[str, Any], order: list[str] | None) -> np.ndarray:
    """Their unconstrained outputs in our order: all of order[0], then all of order[1], features
    ascending; None is their own order."""
    features = np.argsort(layer["transformed"])
    count, parameters = len(features), layer["raw_per_feature"]
    theirs = layer["univariate"].get("raw_order", ["shift"])
    rows = []
    for p in range(parameters) if order is None else map(theirs.index, order):
        feature_major = layer["raw_layout"] == "feature_major"
        rows.append(features * parameters + p if feature_major else p * count + features)
    return np.concatenate(rows)


ORDERS = {"additive": ["shift"], "affine": ["raw_scale", "shift"], "rqs": None}


def coupling(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    univariate = layer["univariate"]
    additive = univariate["kind"] == "additive"
    if univariate["kind"] not in ORDERS or "unconditional" in layer:
        raise ValueError(f"no coupling has the univariate {univariate['kind']}")
    conditioner, sources = NETS[layer["net"]["kind"]](
        layer["net"],
        "conditioner",
        at,
        output_rows(layer, ORDERS[univariate["kind"]]),
        input_columns(layer, case.context_features),
    )
    options = {"mask": layer["conditioning"], "conditioner": conditioner}
    if univariate["kind"] == "rqs":
        return cf.Inverse(cf.Coupling(transform=spline(univariate), **options)), sources
    if additive:
        spec = cf.Coupling(transform="additive", **options)
        return (cf.Inverse(spec) if univariate["sign"] > 0 else spec), sources
    form = univariate["x_to_u"]
    if form == "y = scale*x + shift":
        return cf.Inverse(cf.Coupling(scale=scale_of(univariate), **options)), sources
    if form == "y = (x - shift)/scale":
        return cf.Coupling(scale=scale_of(univariate), **options), sources
    if form == "y = (x - shift)*scale":
        return cf.Coupling(scale=scale_of(univariate, reciprocal=True), **options), sources
    raise ValueError(f"no coupling has the form {form}")


def masked_affine(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    identity, transformed = np.sort(layer["conditioning"]), np.sort(layer["transformed"])
    scale, sources = mlp(layer["s_net"], "scale_conditioner", at, transformed, identity)
    shift, more = mlp(layer["t_net"], "shift_conditioner", at, transformed, identity)
    spec = cf.Coupling(mask=layer["conditioning"], conditioner=[scale, shift], scale="exp")
    return spec, sources | more


def permutation(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    return cf.Inverse(cf.Permutation(case.arrays[f"{at}/permutation"])), {}


def diag_affine_const(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    shift, scale = case.arrays[f"{at}/shift"], case.arrays[f"{at}/scale"]
    return cf.Inverse(cf.Affine(shift, scale)), {}


def elementwise(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    univariate = layer["univariate"]
    if "net" in layer:  # of the context alone
        every = {"transformed": range(case.meta["features"]), "raw_layout": "feature_major"}
        rows = output_rows({**layer, **every}, ORDERS[univariate["kind"]])
        conditioner, sources = mlp(layer["net"], "conditioner", at, rows, None)
        return cf.Inverse(cf.Elementwise(transform_of(univariate), conditioner)), sources
    places, raw = {}, 0
    for name in layer["raw_arrays"]:  # [features, numbers], in ours [numbers, features]
        features, numbers = case.arrays[f"{at}/{name}"].shape
        ours = np.arange(raw * features, (raw + numbers) * features).reshape(numbers, features)
        places[f"{at}/{name}"] = ours.T
        raw += numbers
    sources = {"conditioner.constant": Places(raw * features, places)}
    return cf.Inverse(cf.Elementwise(spline(univariate))), sources


def triangle(name: str, key: str, n: int, upper: bool) -> Sources:
    """Entries of a strict triangle, row by row."""
    rows, columns = np.triu_indices(n, 1) if upper else np.tril_indices(n, -1)
    return {f"{name}.weight": Places(n * n, {key: rows * n + columns})}


def lu_linear(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    n = len(case.arrays[f"{at}/bias"])
    permutation = case.arrays.get(f"{at}/permutation", np.arange(n))
    spec = cf.Chain(
        [
            cf.Permutation(permutation),
            cf.Triangular(upper=True, scale=cf.Scale("softplus", minimum=layer["eps"])),
            cf.Triangular(unit=True, bias=True),
        ]
    )
    sources = triangle("layers.1", f"{at}/upper_entries", n, True)
    sources |= triangle("layers.2", f"{at}/lower_entries", n, False)
    sources["layers.1.diagonal"] = Source(f"{at}/unconstrained_upper_diag")
    sources["layers.2.bias"] = Source(f"{at}/bias")
    return cf.Inverse(spec), sources


def householder_sequence(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    vectors = f"{at}/q_vectors"
    spec = cf.Householder(len(case.arrays[vectors]))
    return cf.Inverse(spec), {"vectors": Source(vectors)}


def qr_linear(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    vectors = f"{at}/q_vectors"
    reflections = cf.Householder(len(case.arrays[vectors]), bias=True)
    sources = triangle("layers.0", f"{at}/upper_entries", case.meta["features"], True)
    sources["layers.0.diagonal"] = Source(f"{at}/log_upper_diag")
    sources["layers.1.vectors"] = Source(vectors)
    sources["layers.1.bias"] = Source(f"{at}/bias")
    return cf.Inverse(cf.Chain([cf.Triangular(upper=True), reflections])), sources


def channel_affine(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    sources: Sources = {name: Source(f"{at}/{name}") for name in ("shift", "log_scale")}
    undoes = layer["x_to_u"] == "y = (x - shift)*exp(-log_scale)"
    return cf.ActNorm() if undoes else cf.Inverse(cf.ActNorm()), sources


def squeeze(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    assert layer["order"] == "channel_major"
    return cf.Squeeze(), {}


def checkerboard_affine(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    conditioner, sources = conv_net(layer["net"], "conditioner", at, None, None)
    mask = case.arrays[f"{at}/mask"]
    odd = bool(mask[0, 1])
    np.testing.assert_array_equal(mask, np.indices(mask.shape).sum(axis=0) % 2 == odd)
    options = {"swap": odd, "conditioner": conditioner, "scale": scale_of(layer)}
    return cf.Inverse(cf.Coupling("checkerboard", **options)), sources


def split(
    layer: dict[str, Any], at: str, rest: list[Any], found: Sources
) -> tuple[cf.Split, Sources]:
    """A split whose inner layers, base to data, are `rest`, with their sources."""
    options: dict[str, Any] = {"swap": layer["factored"] == "first"}
    sources = dict(found)
    if "prior" in layer:
        outputs = layer["prior"]["channels"][-1]  # means, then logarithms of scales
        rows = np.roll(np.arange(outputs), outputs // 2)
        conditioner, prior = conv_net(layer["prior"], "prior.conditioner", at, rows, None)
        options |= {"conditioner": conditioner, "scale": "exp"}
        sources |= prior
    return cf.Split(rest, **options), sources


def dequantize_scale(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    return cf.Affine(scale=layer["levels"]), {}


def logit(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    """The affine map is that of p to x."""
    width = 1 - 2 * layer["alpha"]
    return cf.Chain([cf.Sigmoid(), cf.Affine(-layer["alpha"] / width, 1 / width)]), {}


def logit_temperature(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    return cf.Sigmoid(temperature=layer["temperature"], epsilon=layer["eps"]), {}


@dataclass(frozen=True)
class Degrees:
    """Their masked network's units, placed among ours: units of one degree, in their order, take
    the first of ours of that degree, of which there are `each`; ours ascend by degree."""

    rank: np.ndarray  # by feature
    context_features: int
    each: int

    def hidden(self) -> int:
        return self.each * (len(self.rank) - (self.context_features == 0))

    def places(self, degrees: np.ndarray) -> np.ndarray:
        seen: dict[int, int] = {}
        places = []
        for degree in map(int, degrees):
            group = degree - (self.context_features == 0)
            assert group >= 0 and seen.get(degree, 0) < self.each
            places.append(group * self.each + seen.setdefault(degree, 0))
            seen[degree] += 1
        return np.array(places)

    def features(self) -> np.ndarray:
        """The column of each feature; that of the last rank lies beyond, and is never read."""
        return self.context_features + self.rank

    def outputs(self, parameters: int, order: list[int]) -> np.ndarray:
        """Our row of each of their rows, [feature, unconstrained parameter]; beyond ours if order
        lacks it."""
        rows = np.full((len(self.rank), parameters), len(self.rank) * len(order))
        rows[:, order] = self.rank[:, None] * len(order) + np.arange(len(order))
        return rows.ravel()


def placed(keys: dict[str, tuple[np.ndarray, np.ndarray]], rows: int, columns: int) -> Places:
    """Matrices by key, with the place of each of their rows and columns; places beyond the last
    column are of weights that are masked throughout."""
    places = {}
    for key, (row, column) in keys.items():
        places[key] = np.where(column < columns, row[:, None] * columns + column, rows * columns)
    return Places(rows * columns, places)


def vector(key: str, size: int, rows: np.ndarray) -> Places:
    return Places(size, {key: rows})


def degrees_seen(mask: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    return (mask * degrees).max(1).astype(int)


def masked_mlp(
    net: dict[str, Any], at: str, case: Case, d: Degrees, out: np.ndarray, outputs: int
) -> Any:
    context = np.arange(d.context_features)
    columns, width = np.concatenate([d.features(), context]), d.context_features + len(d.rank) - 1
    degrees = np.concatenate([d.rank + 1, 0 * context])
    sources: Sources = {}
    for k in range(net["n_linear"]):
        theirs, ours = f"{at}/{net['prefix']}linear{k}", f"conditioner.linear{k}"
        last = k == net["n_linear"] - 1
        if last:
            rows, size = out, outputs
        else:
            degrees = degrees_seen(case.arrays[f"{theirs}/mask"], degrees)
            rows, size = d.places(degrees), d.hidden()
        sources[f"{ours}.weight"] = placed({f"{theirs}/weight": (rows, columns)}, size, width)
        sources[f"{ours}.bias"] = vector(f"{theirs}/bias", size, rows)
        columns, width = rows, size
    hidden = (d.hidden(),) * (net["n_linear"] - 1)
    return cf.MLP(hidden, activation=net["activation"]), sources


def made(
    net: dict[str, Any], at: str, case: Case, d: Degrees, out: np.ndarray, outputs: int
) -> Any:
    if not net["residual"]:
        raise ValueError("no masked network is like this")
    theirs, n, context = f"{at}/{net['prefix']}", d.hidden(), np.arange(d.context_features)
    units = d.places(degrees_seen(case.arrays[f"{theirs}initial/mask"], d.rank + 1))
    added = net["context_mode"] == "nflows"
    separate = added and d.context_features > 0
    width = len(d.rank) - 1 + (0 if separate else d.context_features)
    initial = {
        f"{theirs}initial/weight": (units, d.features() - (d.context_features if separate else 0))
    }
    biases = [vector(f"{theirs}initial/bias", n, units)]
    sources: Sources = {}
    if separate:
        sources["conditioner.context.weight"] = placed(
            {f"{theirs}context/weight": (units, context)}, n, d.context_features
        )
        sources["conditioner.context.bias"] = vector(f"{theirs}context/bias", n, units)
    elif d.context_features > 0:
        initial[f"{theirs}context/weight"] = (units, context)
        biases.append(vector(f"{theirs}context/bias", n, units))
    weight = placed(initial, n, width)
    sources["conditioner.initial.weight"] = weight
    if "preprocess" in net:
        sources["conditioner.initial.weight"] = Periodic(weight, width, f"{at}/preproc/weights")
    sources["conditioner.initial.bias"] = Sum(tuple(biases))
    for k in range(net["blocks"]):
        for name, columns, size in (
            ("linear0", units, n),
            ("linear1", units, n),
            ("context", context, d.context_features),
        ):
            key, ours = f"{theirs}block{k}/{name}", f"conditioner.block{k}.{name}"
            if size > 0:
                sources[f"{ours}.weight"] = placed({f"{key}/weight": (units, columns)}, n, size)
                sources[f"{ours}.bias"] = vector(f"{key}/bias", n, units)
    sources["conditioner.final.weight"] = placed(
        {f"{theirs}final/weight": (out, units)}, outputs, n
    )
    sources["conditioner.final.bias"] = vector(f"{theirs}final/bias", outputs, out)
    mode = "add" if added else "gate"
    return cf.ResidualNet(n, blocks=net["blocks"], context=mode), sources


def autoregressive(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    univariate, parameters = layer["univariate"], layer["raw_per_feature"]
    natural = isinstance(layer["order"], str)  # the masks are those of the natural order
    rank = np.arange(case.meta["features"]) if natural else np.array(layer["order"])
    context_features = case.context_features if layer["use_context"] else 0
    degrees = Degrees(rank, context_features, each=16)
    affine = univariate["kind"] == "affine"
    raw, circular = univariate["raw_order"], isinstance(univariate.get("tails"), list)
    # Their circular splines do not read the slope at the last knot, which is the first.
    order = list(range(parameters - circular))
    if affine:
        order = [raw.index(name) for name in ORDERS["affine"]]
    net = masked_mlp if layer["net"]["kind"] == "mlp" else made
    rows = degrees.outputs(parameters, order)
    conditioner, sources = net(layer["net"], at, case, degrees, rows, len(rank) * len(order))
    # One pass reads x or, where theirs reads its output, u; theirs transforms x, or undoes it.
    on_x = layer["mode"] == "parallel"
    undoes = affine and univariate["x_to_u"] == "y = (x - shift)/scale"
    spec = cf.Autoregressive(
        order=[int(f) for f in np.argsort(rank)],
        parallel="forward" if on_x != undoes else "inverse",
        transform=transform_of(univariate),
        conditioner=conditioner,
    )
    return (spec if undoes else cf.Inverse(spec)), sources


def batchnorm_eval(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    spec = cf.BatchNorm(epsilon=layer["eps"], scale=cf.Scale("softplus", minimum=layer["eps"]))
    names = {
        "mean": "running_mean",
        "variance": "running_var",
        "shift": "bias",
        "scale": "unconstrained_weight",
    }
    return spec, {ours: Source(f"{at}/{theirs}") for ours, theirs in names.items()}


def transposed_triangle(key: str, n: int, upper: bool) -> Places:
    """A strict triangle of their matrix, transposed."""
    rows, columns = np.indices((n, n))
    inside = rows < columns if upper else columns < rows
    return Places(n * n, {key: np.where(inside, columns * n + rows, n * n)})


def plu_right(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    """u = U^T L^T P^T x."""
    n = case.meta["features"]
    spec = cf.Chain(
        [
            cf.Permutation(np.argmax(case.arrays[f"{at}/P"], axis=0)),
            cf.Triangular(upper=True, unit=True),
            cf.Triangular(signs=[int(s) for s in case.arrays[f"{at}/sign_S"]]),
        ]
    )
    return cf.Inverse(spec), {
        "layers.1.weight": transposed_triangle(f"{at}/L", n, upper=False),
        "layers.2.weight": transposed_triangle(f"{at}/U", n, upper=True),
        "layers.2.diagonal": Source(f"{at}/log_S"),
    }


def dense_right(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    n = case.meta["features"]
    places = np.arange(n * n).reshape(n, n).T
    spec = cf.Inverse(cf.Linear("dense", bias=False))
    return spec, {"weight": Places(n * n, {f"{at}/W": places})}


def rotation_expm(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    return cf.Inverse(cf.Rotation()), {"weight": Source(f"{at}/A")}


def lu_linear_zuko(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    """u = L U x; L's diagonal, which may be negative, stands in their one array."""
    n = case.meta["features"]
    key = f"{at}/LU"
    diagonal = np.diag(case.arrays[key])
    spec = cf.Chain(
        [
            cf.Triangular(upper=True, unit=True),
            cf.Triangular(signs=[int(s) for s in np.sign(diagonal)], scale="exp"),
        ]
    )
    rows, columns = np.indices((n, n))
    above, below = (
        Part(n * n, {key: np.where(inside, rows * n + columns, n * n)})
        for inside in (rows < columns, columns < rows)
    )
    return cf.Inverse(spec), {
        "layers.0.weight": above,
        "layers.1.weight": below,
        "layers.1.diagonal": LogDiagonal(key),
    }


LAYERS = {
    "rotation_expm": rotation_expm,
    "lu_linear_zuko": lu_linear_zuko,
    "autoregressive": autoregressive,
    "batchnorm_eval": batchnorm_eval,
    "plu_right": plu_right,
    "dense_right": dense_right,
    "elementwise": elementwise,
    "lu_linear": lu_linear,
    "householder_sequence": householder_sequence,
    "qr_linear": qr_linear,
    "channel_affine": channel_affine,
    "conv1x1": lu_linear,
    "squeeze": squeeze,
    "checkerboard_affine": checkerboard_affine,
    "dequantize_scale": dequantize_scale,
    "logit": logit,
    "logit_temperature": logit_temperature,
    "coupling": coupling,
    "masked_affine": masked_affine,
    "permutation": permutation,
    "diag_affine_const": diag_affine_const,
}


def standard_normal(base: dict[str, Any], case: Case) -> tuple[Any, Sources]:
    return cf.Normal(), {}


def diag_normal(base: dict[str, Any], case: Case) -> tuple[Any, Sources]:
    sources = {"base.loc": Source("base/loc"), "base.log_scale": Source("base/log_scale")}
    return cf.Normal(learned=True), sources


def mixture(base: dict[str, Any], case: Case) -> tuple[Any, Sources]:
    count = case.arrays["base/logits"].size
    names = ("logits", "loc", "log_scale")
    return cf.Mixture(count), {f"base.{name}": Source(f"base/{name}") for name in names}


def box_uniform(base: dict[str, Any], case: Case) -> tuple[Any, Sources]:
    return cf.Uniform(base["lower"], base["upper"]), {}


BASES = {
    "standard_normal": standard_normal,
    "diag_normal": diag_normal,
    "gaussian_mixture_diag": mixture,
    "box_uniform": box_uniform,
}


@dataclass
class Case:
    """One golden case: its description and arrays."""

    meta: dict[str, Any]
    arrays: dict[str, np.ndarray]

    @classmethod
    def read(cls, path: Path) -> Case:
        with np.load(path) as file:
            arrays = {key: file[key] for key in file.files if key != "meta"}
            return cls(json.loads(str(file["meta"])), arrays)

    @property
    def context_features(self) -> int:
        return int(self.meta["context_features"])

    def _layers(self, first: int) -> tuple[list[Any], Sources]:
        """Theirs from number `first` on, which are listed x -> u, base to data."""
        described = list(enumerate(self.meta["layers"]))[first:]
        chain: list[tuple[Any, Sources]] = []
        for i, layer in described:
            if layer["type"] == "split":
                chain.insert(0, split(layer, f"layer{i}", *self._layers(i + 1)))
                break
            chain.insert(0, LAYERS[layer["type"]](layer, f"layer{i}", self))
        sources: Sources = {}
        for i, (_, found) in enumerate(chain):
            sources |= {f"layers.{i}.{name}": source for name, source in found.items()}
        return [spec for spec, _ in chain], sources

    def build(self, dtype: str = "float64") -> tuple[cf.Flow, Sources]:
        """The flow with this case's weights, and where each parameter's values come from."""
        layers, sources = self._layers(0)
        described = self.meta["base"]
        base, found = BASES[described["type"]](described, self)
        shape = tuple(self.meta.get("event_shape") or ())
        size = {"shape": shape} if len(shape) == 3 else {"features": self.meta["features"]}
        flow = cf.Flow(
            layers,
            **size,
            context_features=self.context_features,
            base=base,
            dtype=dtype,
        )
        sources |= found
        # What the description names but this net does not have (a block's context layer).
        sources = {name: s for name, s in sources.items() if name in flow.parameters}
        assert sorted(sources) == sorted(flow.parameters)
        for name, parameter in flow.parameters.items():
            parameter[...] = sources[name].read(self.arrays).reshape(parameter.shape)
        return flow, sources
