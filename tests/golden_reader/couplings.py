"""Couplings, and elementwise layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import cflows as cf

from .networks import NETS, mlp
from .sources import Places, Sources
from .univariates import ORDERS, is_inverse, scale_of, spline, transform_of

if TYPE_CHECKING:
    from .case import Case


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
    if ORDERS[univariate["kind"]] is None:
        return cf.Coupling(transform=transform_of(univariate), **options), sources
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


def elementwise(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    univariate = layer["univariate"]
    if "net" in layer:  # of the context alone
        every = {"transformed": range(case.meta["features"]), "raw_layout": "feature_major"}
        rows = output_rows({**layer, **every}, ORDERS[univariate["kind"]])
        conditioner, sources = mlp(layer["net"], "conditioner", at, rows, None)
        spec = cf.Elementwise(transform_of(univariate), conditioner)
        return (spec if is_inverse(univariate) else cf.Inverse(spec)), sources
    places, raw = {}, 0
    for name in layer["raw_arrays"]:  # [features, numbers], in ours [numbers, features]
        features = case.meta["features"]
        numbers = case.arrays[f"{at}/{name}"].size // features
        ours = np.arange(raw * features, (raw + numbers) * features).reshape(numbers, features)
        places[f"{at}/{name}"] = ours.T
        raw += numbers
    sources = {"conditioner.constant": Places(raw * features, places)}
    spec = cf.Elementwise(transform_of(univariate))
    return (spec if is_inverse(univariate) else cf.Inverse(spec)), sources
