"""Autoregressive layers, and their masked networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import cflows as cf

from .description import expect
from .feature_networks import FEATURE_NETWORKS, feature_networks
from .sources import Masked, Periodic, Places, Sources, Sum
from .univariates import ORDERS, is_inverse, transform_of

if TYPE_CHECKING:
    from .case import Case


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
            if group < 0:
                raise ValueError("a hidden unit depends on nothing")
            assert seen.get(degree, 0) < self.each
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


def placed(
    keys: dict[str, tuple[np.ndarray, np.ndarray]], rows: int, columns: int, case: Case
) -> Masked:
    """Matrices by key, with the place of each of their rows and columns; places beyond the last
    column are of weights that are masked throughout."""
    places = {}
    for key, (row, column) in keys.items():
        places[key] = np.where(column < columns, row[:, None] * columns + column, rows * columns)
    masks = {key: key.removesuffix("weight") + "mask" for key in keys}
    masks = {key: mask for key, mask in masks.items() if mask in case.arrays}
    return Masked(rows * columns, places, masks)


def vector(key: str, size: int, rows: np.ndarray) -> Places:
    return Places(size, {key: rows})


def degrees_seen(mask: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    return (mask * degrees).max(1).astype(int)


def sees(net: dict[str, Any], at: str, case: Case) -> np.ndarray:
    """Which inputs each of their outputs depends on, by the products of the masks."""

    def mask(name: str) -> np.ndarray:
        return case.arrays[f"{at}/{net['prefix']}{name}/mask"] != 0

    if net["kind"] == "mlp":
        seen = mask("linear0")
        for k in range(1, net["n_linear"]):
            seen = mask(f"linear{k}") @ seen
        return seen
    seen = mask("initial")
    for k in range(net["blocks"]):
        seen = seen | (mask(f"block{k}/linear1") @ (mask(f"block{k}/linear0") @ seen))
    return mask("final") @ seen


def ranks(layer: dict[str, Any], at: str, case: Case) -> np.ndarray:
    """The place of each feature in an order that the masks allow: one before another where that
    depends on it, else as listed, else by number."""
    features = case.meta["features"]
    seen = sees(layer["net"], at, case)[:, :features]
    depends = seen.reshape(features, -1, features).any(1)
    named = isinstance(layer["order"], str)
    listed = np.zeros(features) if named else np.array(layer["order"])
    if not named and np.any(depends & (listed[:, None] <= listed)):
        raise ValueError(f"the masks are not those of the order {layer['order']}")
    rank = np.full(features, -1)
    for place in range(features):
        free = [f for f in range(features) if rank[f] < 0 and np.all(rank[depends[f]] >= 0)]
        if not free:
            raise ValueError("the masks are not those of any order")
        rank[min(free, key=lambda f: (listed[f], f))] = place
    return rank


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
        sources[f"{ours}.weight"] = placed({f"{theirs}/weight": (rows, columns)}, size, width, case)
        sources[f"{ours}.bias"] = vector(f"{theirs}/bias", size, rows)
        columns, width = rows, size
    expect(net, "masked", True)
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
            {f"{theirs}context/weight": (units, context)}, n, d.context_features, case
        )
        sources["conditioner.context.bias"] = vector(f"{theirs}context/bias", n, units)
    elif d.context_features > 0:
        initial[f"{theirs}context/weight"] = (units, context)
        biases.append(vector(f"{theirs}context/bias", n, units))
    weight = placed(initial, n, width, case)
    sources["conditioner.initial.weight"] = weight
    if "preprocess" in net:
        expect(net["preprocess"], "type", "periodic_features_elementwise")
        expect(net["preprocess"], "indices", list(range(len(d.rank))))
        expect(net["preprocess"], "scale", 1.0)
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
                sources[f"{ours}.weight"] = placed(
                    {f"{key}/weight": (units, columns)}, n, size, case
                )
                sources[f"{ours}.bias"] = vector(f"{key}/bias", n, units)
    sources["conditioner.final.weight"] = placed(
        {f"{theirs}final/weight": (out, units)}, outputs, n, case
    )
    sources["conditioner.final.bias"] = vector(f"{theirs}final/bias", outputs, out)
    mode = "add" if added else "gate"
    options = {"blocks": net["blocks"], "activation": net["activation"], "context": mode}
    return cf.ResidualNet(n, **options), sources


def autoregressive(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    univariate, parameters = layer["univariate"], layer["raw_per_feature"]
    rank = ranks(layer, at, case)
    context_features = case.context_features if layer["use_context"] else 0
    widest = max(layer["net"].get("sizes", [0])[1:-1] + [layer["net"].get("hidden", 0)])
    degrees = Degrees(rank, context_features, each=widest)
    affine = univariate["kind"] == "affine"
    networks = univariate["kind"] in FEATURE_NETWORKS
    raw, circular = univariate["raw_order"], isinstance(univariate.get("tails"), list)
    # Their circular splines do not read the slope at the last knot, which is the first.
    order = list(range(parameters - circular))
    if affine:
        order = [raw.index(name) for name in ORDERS["affine"]]
    net = masked_mlp if layer["net"]["kind"] == "mlp" else made
    rows = degrees.outputs(parameters, order)
    conditioner, sources = net(layer["net"], at, case, degrees, rows, len(rank) * len(order))
    if networks:
        transform, found = feature_networks(univariate, at, case)
        sources |= found
    else:
        transform = transform_of(univariate)
    # One pass reads x or, where theirs reads its output, u; theirs transforms x, or undoes it.
    on_x = layer["mode"] == "parallel"
    undoes = networks or is_inverse(univariate)
    spec = cf.Autoregressive(
        order=[int(f) for f in np.argsort(rank)],
        parallel="forward" if on_x != undoes else "inverse",
        transform=transform,
        conditioner=conditioner,
    )
    return (spec if undoes else cf.Inverse(spec)), sources
