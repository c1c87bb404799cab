"""Couplings, and elementwise layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import cflows as cf

from .description import expect
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


def parameters_of(layer: dict[str, Any], order: list[str] | None, j: int) -> list[int]:
    """Which of their unconstrained outputs of transformed feature j ours are; None is all."""
    univariate, count = layer["univariate"], layer["raw_per_feature"]
    if order is not None:
        return [univariate.get("raw_order", ["shift"]).index(name) for name in order]
    tails = univariate.get("tails")
    if not isinstance(tails, list):
        return list(range(count))
    # They have slopes at both ends for each, of which linear tails read none and circles one; ours,
    # one for all if there is a circle, which linear tails do not read either.
    slopes = list(range(2 * univariate["bins"], count))
    if tails[j] == "linear":
        slopes = slopes[1:-1] + (slopes[-1:] if "circular" in tails else [])
    else:
        slopes = slopes[:-1]
    return [*range(2 * univariate["bins"]), *slopes]


def output_rows(layer: dict[str, Any], order: list[str] | None) -> np.ndarray:
    """Their unconstrained outputs in our order: all of order[0], then all of order[1], features
    ascending; None is their own order."""
    features = np.argsort(layer["transformed"])
    count, parameters = len(features), layer["raw_per_feature"]
    p = np.array([parameters_of(layer, order, j) for j in features]).T
    feature_major = layer["raw_layout"] == "feature_major"
    return (features * parameters + p if feature_major else p * count + features).ravel()


def spline_of(layer: dict[str, Any], features: int) -> Any:
    """The transform of a coupling's features; networks read those of no circle as they are."""
    univariate, transformed = layer["univariate"], layer["transformed"]
    tails = univariate.get("tails")
    if tails != "circular" and not isinstance(tails, list):
        return spline(univariate)
    if "preprocess" in layer["net"]:
        raise ValueError("no network of a coupling reads features like this")
    kinds = ["linear", "circular"]
    which = [0] * features
    for j, feature in enumerate(transformed):
        which[feature] = kinds.index(tails[j] if isinstance(tails, list) else tails)
    forms = [spline(univariate.but(tails=kind)) for kind in kinds]
    return cf.MixedTransform(forms, which) if any(which) else forms[0]


def in_order(steps: list[tuple[Any, Sources]]) -> tuple[Any, Sources]:
    """Layers that are listed x -> u, as one."""
    sources: Sources = {}
    for i, (_, found) in enumerate(reversed(steps)):
        sources |= {f"layers.{i}.{name}": source for name, source in found.items()}
    return cf.Chain([spec for spec, _ in reversed(steps)]), sources


def coupling(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    """One whose conditioning features have a map of their own is two layers: from x to u, the
    network reads them before that."""
    one_sided = transformed_side(layer, at, case)
    if "unconditional" not in layer:
        return one_sided
    rank = np.argsort(np.argsort(layer["conditioning"]))
    own, sources = elementwise(layer["unconditional"], at, case, rank)
    return in_order([one_sided, (cf.OnFeatures(layer["conditioning"], own), sources)])


def two_sided_coupling(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    """Couplings one after the other, x -> u, of which each reads what the one before has made."""
    return in_order([transformed_side(side, at, case) for side in layer["sides"]])


def transformed_side(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    univariate = layer["univariate"]
    additive = univariate["kind"] == "additive"
    if univariate["kind"] not in ORDERS:
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
        transform = spline_of(layer, case.meta["features"])
        return cf.Inverse(cf.Coupling(transform=transform, **options)), sources
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
    kept = np.flatnonzero(case.arrays[f"{at}/mask"])
    if not np.array_equal(kept, identity):
        raise ValueError(f"the mask keeps {kept}, the layer {identity}")
    scale, sources = mlp(layer["s_net"], "scale_conditioner", at, transformed, identity)
    shift, more = mlp(layer["t_net"], "shift_conditioner", at, transformed, identity)
    spec = cf.Coupling(mask=layer["conditioning"], conditioner=[scale, shift], scale="exp")
    return spec, sources | more


def elementwise(
    layer: dict[str, Any], at: str, case: Case, rank: np.ndarray | None = None
) -> tuple[Any, Sources]:
    """`rank`: which of our features each of theirs is."""
    univariate = layer["univariate"]
    expect(layer, "use_context", "net" in layer)
    if "net" in layer:  # of the context alone
        every = {"transformed": range(case.meta["features"]), "raw_layout": "feature_major"}
        rows = output_rows(layer.but(**every), ORDERS[univariate["kind"]])
        conditioner, sources = mlp(layer["net"], "conditioner", at, rows, None)
        spec = cf.Elementwise(transform_of(univariate), conditioner)
        return (spec if is_inverse(univariate) else cf.Inverse(spec)), sources
    places, raw = {}, 0
    for name in layer["raw_arrays"]:  # [features, numbers], in ours [numbers, features]
        features = case.meta["features"] if rank is None else len(rank)
        numbers = case.arrays[f"{at}/{name}"].size // features
        ours = np.arange(raw * features, (raw + numbers) * features).reshape(numbers, features)
        places[f"{at}/{name}"] = ours.T if rank is None else ours.T[rank]
        raw += numbers
    sources = {"conditioner.constant": Places(raw * features, places)}
    spec = cf.Elementwise(transform_of(univariate))
    return (spec if is_inverse(univariate) else cf.Inverse(spec)), sources
