"""Maps beside the data, and normalisation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cflows as cf

from .sources import Source, Sources

if TYPE_CHECKING:
    from .case import Case


def dequantize_scale(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    return cf.Affine(scale=layer["levels"]), {}


def logit(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    """The affine map is that of p to x."""
    width = 1 - 2 * layer["alpha"]
    return cf.Chain([cf.Sigmoid(), cf.Affine(-layer["alpha"] / width, 1 / width)]), {}


def logit_temperature(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    return cf.Sigmoid(temperature=layer["temperature"], epsilon=layer["eps"]), {}


def softclip(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    return cf.Inverse(cf.Softclip(layer["bound"])), {}


def batchnorm_eval(layer: dict[str, Any], at: str, case: Case) -> tuple[Any, Sources]:
    spec = cf.BatchNorm(epsilon=layer["eps"], scale=cf.Scale("softplus", minimum=layer["eps"]))
    names = {
        "mean": "running_mean",
        "variance": "running_var",
        "shift": "bias",
        "scale": "unconstrained_weight",
    }
    return spec, {ours: Source(f"{at}/{theirs}") for ours, theirs in names.items()}
