"""What is applied to a feature: scales, splines and other transforms."""

from __future__ import annotations

from typing import Any

import numpy as np

import cflows as cf

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


ORDERS = {"additive": ["shift"], "affine": ["raw_scale", "shift"], "rqs": None}
