"""What is applied to a feature: scales, splines and other transforms."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

import cflows as cf

from .description import expect

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
    expect(univariate, "param", "durkan", "zuko")
    if univariate["param"] == "zuko":
        expect(univariate, "boundary_derivative", 1.0)
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


def sum_of_squares(univariate: dict[str, Any]) -> cf.SumOfSquares:
    """The bound by which arguments are divided stands in the formula alone."""
    found = re.search(r"divided by the bound ([0-9.e+-]*[0-9])", univariate["formula"])
    if found is None:
        raise ValueError(f"no bound in {univariate['formula']}")
    return cf.SumOfSquares(
        univariate["polynomials"], univariate["degree"], univariate["slope"], float(found[1])
    )


def bernstein(univariate: dict[str, Any]) -> cf.Bernstein:
    """Theirs leaves the polynomial a millionth before its ends."""
    options: dict[str, Any] = {"bound": univariate["bound"], "margin": 1e-6}
    if "softmax" not in univariate["formula"]:
        options |= {"tails": "linear", "minimum_slope": 0.0}
    return cf.Bernstein(univariate["raw_per_feature"] - 1, **options)


def gaussianization(univariate: dict[str, Any]) -> cf.MixtureNormal:
    """One of equal weights, whose distribution function is drawn to 1/2 by a millionth."""
    return cf.MixtureNormal(
        univariate["components"], equal_weights=True, spread=0.0, scale="exp", epsilon=1e-6
    )


def transform_of(univariate: dict[str, Any]) -> cf.Transform:
    """What is applied to a feature, as theirs goes from x to u."""
    if univariate["kind"] == "sos":
        return sum_of_squares(univariate)
    if univariate["kind"] == "bernstein":
        return bernstein(univariate)
    if univariate["kind"] == "gaussianization":
        return gaussianization(univariate)
    if univariate["kind"] == "affine":
        return cf.AffineTransform(scale_of(univariate))
    if univariate["kind"] == "circular_shift_rqs":
        bound = univariate["bound"]
        return cf.ShiftedTransform(spline(univariate), bound, -bound, bound)
    return spline(univariate)


# Their unconstrained parameters in our order; None: as they are.
ORDERS = {
    "additive": ["shift"],
    "affine": ["raw_scale", "shift"],
    "rqs": None,
    "sos": None,
    "bernstein": None,
    "gaussianization": None,
}


def is_inverse(univariate: dict[str, Any]) -> bool:
    """Whether theirs from x to u is our transform's inverse, which then is a formula."""
    if univariate["kind"] == "affine":
        return univariate["x_to_u"] == "y = (x - shift)/scale"
    return univariate["kind"] in ("sos", "bernstein", "gaussianization")
